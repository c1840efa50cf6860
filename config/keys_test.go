package config_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/collect"
	"github.com/tickerlake/tickerlake/config"
)

const module = "github.com/tickerlake/tickerlake"

// The kinds of keys.
const (
	object   = "object"   // keys with values, all known
	mapping  = "mapping"  // names of the user's with values
	list     = "list"     //
	text     = "text"     //
	number   = "number"   // whole
	boolean  = "boolean"  //
	duration = "duration" //
	symbols  = "symbols"  // a list, or an object that names a file
)

// A key is a key of the pipeline file, as the Config structs of the stages have it:
// its name from the yaml tag, its meaning from the comment on the field, its default
// from Defaults.
type key struct {
	name  string // "" for the entries of a mapping or list
	path  string // sources.*.http.rows; * is a name of the user's, [] an entry of a list
	kind  string
	doc   string
	value string // the default, as YAML; "" if there is none
	note  note
	keys  []key // of an object
	entry *key  // of a mapping or list
}

// each calls f for k and every key below, in the order of the structs.
func (k key) each(f func(key)) {
	f(k)
	for _, sub := range k.keys {
		sub.each(f)
	}
	if k.entry != nil {
		k.entry.each(f)
	}
}

// leaf reports whether a value stands behind the key rather than other keys.
func (k key) leaf() bool { return k.kind != object && k.kind != mapping && k.kind != list }

// A keyReader reads the Config structs.
type keyReader struct {
	t    *testing.T
	docs map[string]map[string]string // comments of fields, by type and field
	seen map[string]bool              // packages
}

// fileKeys are the keys of the whole file.
func fileKeys(t *testing.T) key {
	r := &keyReader{t: t, docs: map[string]map[string]string{}, seen: map[string]bool{}}
	d := config.Defaults()
	root := r.read(reflect.ValueOf(d), "", "")
	unused := map[string]bool{}
	for path := range notes {
		unused[path] = true
	}
	root.each(func(k key) { delete(unused, k.path) })
	for path := range unused {
		t.Errorf("notes_test.go has a note for %s, which is no key", path)
	}
	return root
}

func (r *keyReader) read(v reflect.Value, name, path string) key {
	k := key{name: name, path: path, note: notes[path]}
	t := v.Type()
	if t.Kind() == reflect.Pointer {
		if v.IsNil() {
			k = r.read(reflect.Zero(t.Elem()), name, path)
			k.value = k.note.Default
			return k
		}
		return r.read(v.Elem(), name, path)
	}
	if v.IsValid() && !v.IsZero() && v.Kind() != reflect.Struct {
		k.value = yamlText(r.t, v.Interface())
	}
	switch {
	case t == reflect.TypeFor[collect.Config]():
		v = reflect.ValueOf(collect.Defaults())
		k.kind, k.keys = object, r.fields(v, path)
	case t == reflect.TypeFor[collect.Symbols]():
		k.kind = symbols
	case t == reflect.TypeFor[tickerlake.Duration]():
		k.kind = duration
		if v.IsZero() {
			k.value = yamlText(r.t, v.Interface())
		}
	case t.Kind() == reflect.Struct:
		k.kind, k.keys = object, r.fields(v, path)
	case t.Kind() == reflect.Map:
		entry := r.read(reflect.Zero(t.Elem()), "", path+".*")
		k.kind, k.entry = mapping, &entry
	case t.Kind() == reflect.Slice:
		entry := r.read(reflect.Zero(t.Elem()), "", path+"[]")
		k.kind, k.entry = list, &entry
	case t.Kind() == reflect.String:
		k.kind = text
	case t.Kind() == reflect.Bool:
		k.kind = boolean
		k.value = fmt.Sprint(v.Bool())
	case v.CanInt():
		k.kind = number
		k.value = fmt.Sprint(v.Int())
	default:
		r.t.Fatalf("%s: the schema has no way to describe a %s: teach keys_test.go", path, t)
	}
	if k.note.Default != "" {
		k.value = k.note.Default
	}
	return k
}

func yamlText(t *testing.T, v any) string {
	out, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func (r *keyReader) fields(v reflect.Value, path string) []key {
	t := v.Type()
	docs := r.comments(t)
	names := map[string]string{} // key by field
	for i := range t.NumField() {
		if tag := tagOf(t.Field(i)); tag != "" {
			names[t.Field(i).Name] = tag
		}
	}
	var out []key
	for i := range t.NumField() {
		f := t.Field(i)
		tag := tagOf(f)
		if tag == "" {
			continue
		}
		at := tag
		if path != "" {
			at = path + "." + tag
		}
		k := r.read(v.Field(i), tag, at)
		if docs[f.Name] == "" {
			r.t.Errorf("%s.%s has no comment: what the key %s means is taken from there", t, f.Name, at)
		}
		k.doc = inKeys(docs[f.Name], names)
		out = append(out, k)
	}
	return out
}

func tagOf(f reflect.StructField) string {
	tag, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return strings.Trim(tag, "-")
}

var word = regexp.MustCompile(`[A-Za-z]+`)

// inKeys writes a comment with the names of keys in place of those of fields.
func inKeys(doc string, names map[string]string) string {
	doc = word.ReplaceAllStringFunc(strings.Join(strings.Fields(doc), " "), func(w string) string {
		if name, ok := names[w]; ok {
			return "`" + name + "`"
		}
		return w
	})
	return doc
}

// comments are those of a type's fields.
func (r *keyReader) comments(t reflect.Type) map[string]string {
	if !r.seen[t.PkgPath()] {
		r.seen[t.PkgPath()] = true
		dir := filepath.Join("..", strings.TrimPrefix(strings.TrimPrefix(t.PkgPath(), module), "/"))
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			r.t.Fatalf("%s: %v", dir, err)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				r.t.Fatal(err)
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				r.t.Fatal(err)
			}
			r.collect(t.PkgPath(), parsed)
		}
	}
	return r.docs[t.PkgPath()+"."+t.Name()]
}

func (r *keyReader) collect(pkg string, file *ast.File) {
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		st, ok := spec.Type.(*ast.StructType)
		if !ok {
			return false
		}
		docs := map[string]string{}
		for _, f := range st.Fields.List {
			for _, name := range f.Names {
				docs[name.Name] = f.Doc.Text()
			}
		}
		r.docs[pkg+"."+spec.Name.Name] = docs
		return false
	})
}
