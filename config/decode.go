package config

import (
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A decoder puts YAML nodes into Go values and remembers the line of every key.
type decoder struct {
	name     string // of the file
	env      Env
	lines    map[string]int  // line by path of key
	reported map[string]bool // keys whose value cannot be used
	guessed  map[string]bool // keys that an unknown one was most likely meant to be
	problems Problems
	vars     map[string]string   // what came from the environment, by variable
	expanded map[*yaml.Node]bool // scalars with such a part
	// before prepares a value for the mapping that is decoded over it.
	before func(d *decoder, n *yaml.Node, v reflect.Value, path string)
}

func newDecoder(name string, env Env) *decoder {
	return &decoder{name: name, env: env, lines: map[string]int{}, reported: map[string]bool{}, guessed: map[string]bool{},
		vars: map[string]string{}, expanded: map[*yaml.Node]bool{}}
}

// say reports a mistake at a line.
func (d *decoder) say(line int, path, format string, args ...any) {
	d.problems = append(d.problems, Problem{File: d.name, Line: line, Key: path, Message: fmt.Sprintf(format, args...)})
}

// add reports a value that cannot be used. What could be said of it later would add
// nothing.
func (d *decoder) add(line int, path, format string, args ...any) {
	d.say(line, path, format, args...)
	d.reported[path] = true
}

// knownBad reports whether a mistake of the key, or of one that holds it, has been
// reported.
func (d *decoder) knownBad(path string) bool {
	if d.guessed[path] {
		return true
	}
	for ; path != ""; path = parent(path) {
		if d.reported[path] {
			return true
		}
	}
	return false
}

// line gives the line of a key, or of the nearest that holds it.
func (d *decoder) line(path string) int {
	for ; path != ""; path = parent(path) {
		if line, ok := d.lines[path]; ok {
			return line
		}
	}
	return 1
}

// parent is the path without its last part: "a" of "a.b" and of "a[0]".
func parent(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}

func child(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// decode puts n into v, over what is there: keys that n lacks keep their values.
func (d *decoder) decode(n *yaml.Node, v reflect.Value, path string) {
	if _, ok := d.lines[path]; !ok {
		d.lines[path] = n.Line
	}
	if d.reported[path] {
		return
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		d.decode(n, v.Elem(), path)
		return
	}
	switch u := v.Addr().Interface().(type) {
	case interface{ UnmarshalYAML(func(any) error) error }:
		d.custom(n, u.UnmarshalYAML, path)
		return
	case encoding.TextUnmarshaler:
		if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
			d.wrong(n, path, "text")
		} else if err := u.UnmarshalText([]byte(n.Value)); err != nil {
			d.add(n.Line, path, "%s", err)
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.object(n, v, path)
	case reflect.Map:
		d.table(n, v, path)
	case reflect.Slice:
		d.list(n, v, path)
	default:
		d.scalar(n, v, path)
	}
}

// custom lets a type decode itself with what decode can do.
func (d *decoder) custom(n *yaml.Node, unmarshal func(func(any) error) error, path string) {
	err := unmarshal(func(target any) error {
		try := *d
		try.problems, try.reported = nil, map[string]bool{}
		try.decode(n, reflect.ValueOf(target).Elem(), path)
		if len(try.problems) > 0 {
			return try.problems
		}
		return nil
	})
	if err != nil {
		last := path[strings.LastIndex(path, ".")+1:]
		d.add(n.Line, path, "%s", strings.TrimPrefix(err.Error(), last+": "))
	}
}

// pairs calls f for each key of a mapping, and reports keys that come twice.
func (d *decoder) pairs(n *yaml.Node, path string, f func(key, value *yaml.Node, path string)) {
	if n.Kind != yaml.MappingNode {
		d.wrong(n, path, "keys with values")
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := child(path, key.Value)
		switch first, twice := seen[key.Value]; {
		case key.Kind != yaml.ScalarNode:
			d.say(key.Line, path, "a key is %s: want text", kind(key))
		case twice:
			d.say(key.Line, at, "is there already, at line %d: keep one", first)
		default:
			seen[key.Value] = key.Line
			d.lines[at] = key.Line
			f(key, value, at)
		}
	}
}

func (d *decoder) object(n *yaml.Node, v reflect.Value, path string) {
	if d.before != nil {
		d.before(d, n, v, path)
	}
	fields := fieldsOf(v)
	d.pairs(n, path, func(key, value *yaml.Node, at string) {
		if field, ok := fields[key.Value]; ok {
			d.decode(value, field, at)
			return
		}
		known := slices.Sorted(maps.Keys(fields))
		if guess := nearest(key.Value, known); guess != "" {
			d.say(key.Line, at, "unknown key: did you mean %s?", guess)
			d.guessed[child(path, guess)] = find(n, guess) == nil
			return
		}
		d.say(key.Line, at, "unknown key: want one of %s", strings.Join(known, ", "))
	})
}

// fieldsOf gives the fields of a struct by the keys of the file.
func fieldsOf(v reflect.Value) map[string]reflect.Value {
	out := map[string]reflect.Value{}
	for i := range v.NumField() {
		key, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		if key != "" && key != "-" {
			out[key] = v.Field(i)
		}
	}
	return out
}

// table decodes into a map, whose other entries stay.
func (d *decoder) table(n *yaml.Node, v reflect.Value, path string) {
	merged := reflect.MakeMap(v.Type())
	for _, key := range v.MapKeys() {
		merged.SetMapIndex(key, v.MapIndex(key))
	}
	d.pairs(n, path, func(key, value *yaml.Node, at string) {
		name := reflect.ValueOf(key.Value).Convert(v.Type().Key())
		entry := reflect.New(v.Type().Elem()).Elem()
		if old := merged.MapIndex(name); old.IsValid() {
			entry.Set(old)
		}
		d.decode(value, entry, at)
		merged.SetMapIndex(name, entry)
	})
	v.Set(merged)
}

// list decodes into a slice, in place of what it held.
func (d *decoder) list(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.SequenceNode {
		d.wrong(n, path, "a list")
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, entry := range n.Content {
		d.decode(entry, out.Index(i), fmt.Sprintf("%s[%d]", path, i))
	}
	v.Set(out)
}

func (d *decoder) scalar(n *yaml.Node, v reflect.Value, path string) {
	// A text in quotes is text, unless it is there for the environment's sake.
	quoted := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 && !d.expanded[n]
	text := n.Kind == yaml.ScalarNode && n.Tag != "!!null"
	switch v.Kind() {
	case reflect.String:
		if !text {
			d.wrong(n, path, "text")
			return
		}
		v.SetString(n.Value)
	case reflect.Bool:
		if !text || quoted || n.Value != "true" && n.Value != "false" {
			d.wrong(n, path, "true or false")
			return
		}
		v.SetBool(n.Value == "true")
	case reflect.Int, reflect.Int64:
		i, err := strconv.ParseInt(n.Value, 10, v.Type().Bits())
		if !text || quoted || err != nil {
			d.wrong(n, path, "a whole number")
			return
		}
		v.SetInt(i)
	case reflect.Float64:
		f, err := strconv.ParseFloat(n.Value, 64)
		if !text || quoted || err != nil {
			d.wrong(n, path, "a number")
			return
		}
		v.SetFloat(f)
	default:
		panic(fmt.Sprintf("config: no way to decode %s at %s", v.Type(), path))
	}
}

// wrong reports a value of another type than want.
func (d *decoder) wrong(n *yaml.Node, path, want string) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		d.add(n.Line, path, "has no value: want %s, or leave the key out", want)
		return
	}
	d.add(n.Line, path, "is %s: want %s", kind(n), want)
}

// kind names what a node is, as people would.
func kind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "an object"
	case yaml.SequenceNode:
		return "a list"
	}
	if len(n.Value) > 40 {
		return strconv.Quote(n.Value[:40]) + ".."
	}
	return strconv.Quote(n.Value)
}
