package config_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/collect"
	"github.com/tickerlake/tickerlake/config"
)

type dict = map[string]any

const durations = `^[0-9]+ (milliseconds?|seconds?|minutes?|hours?|days?)$`

// schemaOf makes the schema of the file of its keys.
func schemaOf(t *testing.T, root key) []byte {
	s := nodeOf(t, root)
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = config.DefaultFile
	s["description"] = "The pipeline file of tickerlake: what to collect, where to keep it, and what must hold of it. Generated from the program's own types; tickerlake validate knows more."
	s["required"] = []string{"sources"}
	s["$defs"] = dict{
		"variable": dict{"type": "string", "pattern": `\$\{[A-Za-z_][A-Za-z0-9_]*\}`, "description": "A value from the environment, ${VAR}."},
		"duration": dict{"type": "string", "pattern": durations, "description": "A whole number and a unit: milliseconds, seconds, minutes, hours or days."},
		"symbol":   dict{"type": []string{"string", "integer"}, "pattern": `^[A-Z0-9^][A-Z0-9^.=/_-]{0,31}$`},
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(s); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func nodeOf(t *testing.T, k key) dict {
	var s dict
	switch k.kind {
	case object:
		properties := dict{}
		for _, sub := range k.keys {
			properties[sub.name] = nodeOf(t, sub)
		}
		s = dict{"type": "object", "additionalProperties": false, "properties": properties}
		extra(k, s)
	case mapping:
		s = dict{"type": "object", "additionalProperties": nodeOf(t, *k.entry)}
		extra(k, s)
	case list:
		s = dict{"type": "array", "items": nodeOf(t, *k.entry)}
	case symbols:
		s = dict{"anyOf": []dict{
			{"type": "array", "minItems": 1, "uniqueItems": true, "items": either(dict{"$ref": "#/$defs/symbol"})},
			{"type": "object", "required": []string{"file"}, "additionalProperties": false, "properties": dict{
				"file": dict{"type": "string", "minLength": 1, "description": "A file with one symbol a line, relative to the pipeline file."}}},
		}}
	case duration:
		s = either(dict{"$ref": "#/$defs/duration"})
	case boolean:
		s = either(dict{"type": "boolean"})
	case number:
		n := dict{"type": "integer"}
		if k.note.Min != "" {
			n["minimum"] = json.Number(k.note.Min)
		}
		if k.note.Max != "" {
			n["maximum"] = json.Number(k.note.Max)
		}
		s = either(n)
	case text:
		s = textNode(k.note)
	}
	if k.doc != "" {
		s["description"] = k.doc
	}
	if k.value != "" && k.leaf() {
		s["default"] = plain(t, k.value)
	}
	if k.note.Example != "" {
		s["examples"] = []any{plain(t, k.note.Example)}
	}
	return s
}

// either allows a value of the environment in place of n.
func either(n dict) dict { return dict{"anyOf": []dict{n, {"$ref": "#/$defs/variable"}}} }

func textNode(n note) dict {
	if n.Enum == nil && n.Pattern == "" && n.Not == "" {
		return dict{"type": []string{"string", "number", "boolean"}}
	}
	s := dict{"type": "string"}
	if n.Enum != nil {
		s = dict{"enum": n.Enum}
	}
	if n.Pattern != "" {
		s["pattern"] = n.Pattern
	}
	if n.Not != "" {
		s["not"] = dict{"pattern": n.Not}
	}
	return either(s)
}

// extra adds what holds between keys.
func extra(k key, s dict) {
	switch k.path {
	case "sources":
		s["minProperties"] = 1
		s["propertyNames"] = dict{"pattern": `^[a-z][a-z0-9_-]{0,63}$`}
	case "sources.*":
		s["required"] = []string{"symbols"}
		s["anyOf"] = []dict{
			{"required": []string{"preset"}},
			{"required": []string{"base_url", "basis", "http"}, "properties": dict{"http": dict{"required": []string{"request", "rows"}}}},
		}
	case "clock":
		s["required"] = []string{"start"}
	case "sources.*.http.spelling":
		s["propertyNames"] = dict{"$ref": "#/$defs/symbol"}
	case "workflows", "workflows.*.jobs":
		s["propertyNames"] = dict{"pattern": `^[a-z][a-z0-9_-]{0,63}$`}
	case "workflows.*.jobs.*":
		s["required"] = []string{"sql", "table", "mode"}
	case "workflows.*.triggers[]":
		s["required"] = []string{"type"}
	case "workflows.*.triggers[].conditions[]":
		s["required"] = []string{"job", "state"}
	case "delivery.buffering":
		s["dependentRequired"] = dict{"size_mb": []string{"interval_seconds"}, "interval_seconds": []string{"size_mb"}}
	}
}

// plain is a YAML text as JSON has it, read by the rules of YAML 1.2, as editors do:
// dates and times of day are text.
func plain(t *testing.T, source string) any {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(source), &doc); err != nil || len(doc.Content) != 1 {
		t.Fatalf("not YAML: %v: %s", err, source)
	}
	return plainNode(doc.Content[0])
}

func plainNode(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		out := dict{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			out[n.Content[i].Value] = plainNode(n.Content[i+1])
		}
		return out
	case yaml.SequenceNode:
		out := make([]any, len(n.Content))
		for i, c := range n.Content {
			out[i] = plainNode(c)
		}
		return out
	}
	switch n.ShortTag() {
	case "!!int", "!!float":
		if _, err := strconv.ParseFloat(n.Value, 64); err == nil {
			return json.Number(n.Value)
		}
	case "!!bool":
		return n.Value == "true"
	case "!!null":
		return nil
	}
	return n.Value
}

func compiled(t *testing.T) *jsonschema.Schema {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(config.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(config.SchemaFile, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(config.SchemaFile) // refuses what is no schema of its draft
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// golden compares a generated file with the committed one, or writes it.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is stale: go test ./config -update writes it", file)
	}
}

func TestSchema(t *testing.T) {
	golden(t, config.SchemaFile, schemaOf(t, fileKeys(t)))
	compiled(t)
}

func TestSchemaTakesGoodFiles(t *testing.T) {
	s := compiled(t)
	files, err := filepath.Glob("testdata/*.good.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	check := func(name, source string) {
		if err := s.Validate(plain(t, source)); err != nil {
			t.Errorf("the schema refuses %s: %v", name, err)
		}
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		check(file, string(source))
	}
	for _, preset := range collect.Presets() {
		source, err := config.Template(preset, nil)
		if err != nil {
			t.Fatal(err)
		}
		check("the template of "+preset, source)
	}
}

// blind are the bad files whose mistakes no schema can see.
var blind = map[string]string{
	"documents": "two documents",
	"syntax":    "not YAML", "empty": "nothing to judge", "environment": "the environment is the program's",
	"rules": "DQDL", "rules-inline": "DQDL", "delivery-error": "one prefix within another", "deep": "what only the stages can tell", "headers": "templates", "templates": "templates",
	"symbols-lists": "files of symbols", "workflows-cycle": "cycles", "clock-real": "presets say what is simulated", "prefix-*": "expressions",
}

func TestSchemaRefusesBadFiles(t *testing.T) {
	s := compiled(t)
	files, err := filepath.Glob("testdata/*.bad.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".bad.yaml")
		if strings.HasPrefix(name, "prefix-") {
			name = "prefix-*"
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var doc yaml.Node
		err = yaml.Unmarshal(source, &doc)
		if err == nil && len(doc.Content) == 1 {
			err = s.Validate(plainNode(doc.Content[0]))
			if err == nil && blind[name] == "" {
				t.Errorf("the schema takes %s", file)
			}
			if err != nil && blind[name] != "" {
				t.Errorf("the schema refuses %s (%v), which the list of what it cannot see has: %s", file, err, blind[name])
			}
		} else if blind[name] == "" {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// whole is a file in which every key may be set.
const whole = `
sources:
  own:
    base_url: http://127.0.0.1:1
    symbols: [AMZN]
    basis: raw
    http:
      request: {path: /bars, query: {s: "{symbols}"}}
      history: {path: /history, query: {s: "{symbols}"}}
      rows: .[]
delivery: {buffering: {size_mb: 1, interval_seconds: 1}}
`

// clocked is whole on a clock, which wants simulated prices.
var clocked = "clock: {start: 2026-01-05T14:25:00Z}" + strings.Replace(whole, "basis: raw", "basis: raw\n    simulated: true", 1)

// with is whole with one value set; it gives the path of the key.
func with(t *testing.T, k key, value string) (source, path string) {
	text := whole
	if strings.HasPrefix(k.path, "clock") {
		text = clocked
	}
	if beside, ok := k.note.Besides[value]; ok {
		text += "workflows: {weekly: " + beside + "}"
	} else if k.note.Beside != "" {
		text += "workflows: {weekly: " + k.note.Beside + "}"
	}
	var doc, v yaml.Node
	if err := errors.Join(yaml.Unmarshal([]byte(text), &doc), yaml.Unmarshal([]byte(value), &v)); err != nil {
		t.Fatalf("%s: %v: %s", k.path, err, value)
	}
	at := k.path
	for pattern, name := range map[string]string{"sources.*": "sources.own", "workflows.*": "workflows.weekly", ".jobs.*": ".jobs.movers"} {
		at = strings.Replace(at, pattern, name, 1)
	}
	parts := strings.Split(at, ".")
	if n := len(parts) - 1; parts[n] == "*" {
		parts[n] = k.note.Name
	}
	n := doc.Content[0]
	for i, part := range parts {
		part, entry := strings.CutSuffix(part, "[]")
		next := &yaml.Node{Kind: yaml.MappingNode}
		found := false
		for j := 0; j+1 < len(n.Content); j += 2 {
			if n.Content[j].Value == part {
				next, found = n.Content[j+1], true
			}
		}
		if !found {
			n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: part}, next)
		}
		last := i == len(parts)-1
		switch {
		case last && entry:
			*next = yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{v.Content[0]}}
		case last:
			*next = *v.Content[0]
		case entry:
			next = next.Content[0]
		}
		n = next
	}
	out, err := yaml.Marshal(&doc)
	if err != nil {
		t.Fatal(err)
	}
	return string(out), strings.TrimSuffix(strings.ReplaceAll(strings.Join(parts, "."), "[].", "[0]."), "[]")
}

// values gives what to try of a key: what the notes name, both ends of a range, and
// what lies beyond them.
func (k key) values(t *testing.T) (good, bad, deep []string) {
	n := k.note
	good, bad, deep = slices.Clone(n.Good), slices.Clone(n.Bad), slices.Clone(n.Deep)
	good = append(good, n.Enum...)
	if n.Example != "" {
		good = append(good, n.Example)
	}
	ends := func(end string, step int64) {
		switch {
		case end == "":
		case k.kind == number:
			i, err := strconv.ParseInt(end, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			good, bad = append(good, end), append(bad, fmt.Sprint(i+step))
		default:
			d, err := tickerlake.ParseDuration(end)
			if err != nil {
				t.Fatal(err)
			}
			good = append(good, end)
			if d += tickerlake.Duration(step * 1e6); d >= 0 {
				deep = append(deep, d.String())
			}
		}
	}
	ends(n.Min, -1)
	ends(n.Max, 1)
	switch k.kind {
	case number:
		bad = append(bad, `"1"`, "1.5", "many", "[1]", "")
		if n.Min == "" {
			t.Errorf("%s: the note of a number has its least value", k.path)
		}
	case duration:
		bad = append(bad, "5", "10 fortnights", "1.5 hours", "-1 day", "{}", "")
		if n.Min == "" || n.Max == "" {
			t.Errorf("%s: the note of a duration has its range", k.path)
		}
	case boolean:
		good = append(good, "true", "false")
		bad = append(bad, `"true"`, "[true]", "")
	case text:
		bad = append(bad, "[x]", "{x: y}", "")
	default:
		bad = append(bad, "nothing", "")
	}
	return good, bad, deep
}

// TestNotes holds the notes, and so the schema and docs/config.md, to what Load does.
func TestNotes(t *testing.T) {
	s := compiled(t)
	fileKeys(t).each(func(k key) {
		if k.path == "" || k.kind == object && k.name == "" {
			return
		}
		if k.leaf() && k.note.Example == "" {
			t.Errorf("%s: notes_test.go has no example of it", k.path)
		}
		if k.leaf() && k.name != "" && k.value == "" && k.note.Instead == "" {
			t.Errorf("%s: no default: notes_test.go has to say what holds without the key (Instead)", k.path)
		}
		good, bad, deep := k.values(t)
		for _, v := range good {
			source, _ := with(t, k, v)
			if _, err := config.Parse("f.yaml", "testdata", []byte(source), env); err != nil {
				t.Errorf("%s: %s: Load: %v", k.path, v, err)
			}
			if err := s.Validate(plain(t, source)); err != nil {
				t.Errorf("%s: %s: the schema: %v", k.path, v, err)
			}
		}
		for i, v := range slices.Concat(bad, deep) {
			source, path := with(t, k, cmp.Or(v, "null"))
			_, err := config.Parse("f.yaml", "testdata", []byte(source), env)
			problems, _ := errors.AsType[config.Problems](err)
			if !slices.ContainsFunc(problems, func(p config.Problem) bool { return strings.HasPrefix(p.Key, path) }) {
				t.Errorf("%s: %q: Load: %v, want a mistake of %s", k.path, v, err, path)
			}
			err = s.Validate(plain(t, source))
			if refused := err != nil; i < len(bad) && !refused {
				t.Errorf("%s: the schema takes %q", k.path, v)
			}
		}
	})
}

var place = regexp.MustCompile(`\[[0-9]+\]`)

// TestEveryKeyHasFiles: each key stands in a good file, and in a bad one with a
// mistake.
func TestEveryKeyHasFiles(t *testing.T) {
	good, bad := map[string]bool{}, map[string]bool{}
	var walk func(n *yaml.Node, k key)
	walk = func(n *yaml.Node, k key) {
		good[k.path] = true
		for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			for _, sub := range k.keys {
				if sub.name == n.Content[i].Value {
					walk(n.Content[i+1], sub)
				}
			}
			if k.entry != nil {
				walk(n.Content[i+1], *k.entry)
			}
		}
		for i := 0; n.Kind == yaml.SequenceNode && i < len(n.Content) && k.entry != nil; i++ {
			walk(n.Content[i], *k.entry)
		}
	}
	root := fileKeys(t)
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, ".good.yaml") {
			var doc yaml.Node
			if err := yaml.Unmarshal(source, &doc); err != nil {
				t.Fatal(err)
			}
			walk(doc.Content[0], root)
			continue
		}
		_, err = config.Parse(file, "testdata", source, env)
		problems, _ := errors.AsType[config.Problems](err)
		for _, p := range problems {
			bad[place.ReplaceAllString(p.Key, "[]")] = true
		}
	}
	root.each(func(k key) {
		if k.path == "" || k.path == "sources.*" || k.path == "workflows.*" || k.path == "workflows.*.jobs.*" {
			return
		}
		if !good[k.path] {
			t.Errorf("%s is in no good file of testdata", k.path)
		}
		if !inBad(bad, k.path) {
			t.Errorf("%s is in no bad file of testdata with a mistake", k.path)
		}
	})
}

// inBad reports whether a mistake stands at the key, whatever the names at its stars.
func inBad(bad map[string]bool, path string) bool {
	pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(path), `\*`, `.+`) + "$"
	re := regexp.MustCompile(pattern)
	for at := range bad {
		if re.MatchString(at) {
			return true
		}
	}
	return false
}
