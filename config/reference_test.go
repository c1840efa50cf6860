package config_test

import (
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/tickerlake/tickerlake/collect"
)

const referenceHead = `# The pipeline file, key by key

<!-- Written by go test ./config -update from the Config structs: edit the comments there, and config/notes_test.go. -->

` + "`tickerlake.yaml`" + ` is one YAML document. ` + "`tickerlake validate`" + ` reads it strictly and reports every mistake at once, each with its line: a key that is not on this page, a key that stands twice, a key without a value, a value of another type, range or form. Anchors, aliases and a second document are refused. A path is relative to the folder of the file.

` + "`${VAR}`" + ` in a value is replaced by the environment variable, which must be set; ` + "`$${`" + ` stands for the characters ` + "`${`" + `. Values from the environment are not shown in messages and logs.

Types: a **text** needs no quotes unless YAML would read it otherwise; a **number** is whole and without quotes; a **duration** is a whole number and a unit, ` + "`30 seconds`, `5 minutes`, `1 hour`, `7 days`" + ` (a day is 24 hours); a **truth value** is ` + "`true` or `false`" + `. In paths, ` + "`NAME`" + ` is a name of your own.

An editor that knows the YAML language server checks and completes the file by the JSON Schema that ` + "`tickerlake init`" + ` puts beside it; after an update of the program, ` + "`tickerlake validate --schema > tickerlake.schema.json`" + ` renews it.

`

// reference is docs/config.md.
func reference(t *testing.T, root key) []byte {
	presets := presetValues(t)
	var b strings.Builder
	b.WriteString(referenceHead)
	b.WriteString("| key | type | default |\n|---|---|---|\n")
	root.each(func(k key) {
		if k.path != "" && k.name != "" {
			fmt.Fprintf(&b, "| [`%s`](#%s) | %s | %s |\n", shown(k.path), anchor(k.path), kindWords[k.kind], inCell(without(k)))
		}
	})
	section := "-"
	root.each(func(k key) {
		if k.path == "" || k.name == "" {
			return
		}
		if top, _, _ := strings.Cut(k.path, "."); top != section && (k.kind == object || k.kind == mapping) {
			section = top
			fmt.Fprintf(&b, "\n## %s\n", top)
		} else if section == "-" {
			section = ""
			b.WriteString("\n## The lake\n")
		}
		fmt.Fprintf(&b, "\n<a id=\"%s\"></a>\n### `%s`\n\n%s\n\n", anchor(k.path), shown(k.path), strings.TrimSpace(k.doc))
		fmt.Fprintf(&b, "- type: %s", kindWords[k.kind])
		if k.entry != nil && k.entry.leaf() {
			fmt.Fprintf(&b, " of %s", map[string]string{text: "texts"}[k.entry.kind])
		}
		if k.note.Unit != "" {
			fmt.Fprintf(&b, ", in %s", k.note.Unit)
		}
		if w := without(k); strings.HasPrefix(w, "required") {
			b.WriteString("\n- required\n")
		} else {
			fmt.Fprintf(&b, "\n- default: %s\n", inBlock(w))
		}
		for _, p := range presets[k.path] {
			fmt.Fprintf(&b, "- preset %s\n", p)
		}
		if w := wanted(k); w != "" {
			fmt.Fprintf(&b, "- wanted: %s; all else is refused\n", w)
		}
		if e := example(k); e != "" {
			fmt.Fprintf(&b, "\n```yaml\n%s\n```\n", e)
		}
	})
	return []byte(b.String())
}

var kindWords = map[string]string{object: "keys with values", mapping: "names with values", list: "list", text: "text",
	number: "number", boolean: "truth value", duration: "duration", symbols: "list of symbols, or a file"}

func shown(path string) string {
	path = strings.Replace(path, "sources.*", "sources.NAME", 1)
	return strings.ReplaceAll(path, ".*", ".NAME")
}

func anchor(path string) string {
	return strings.NewReplacer(".*", "", "[]", "", ".", "-").Replace(path)
}

// without says what holds if the key is left out.
func without(k key) string {
	switch {
	case k.note.Instead != "":
		return k.note.Instead
	case k.value != "" && k.leaf() && !strings.Contains(k.value, "\n"):
		return "`" + k.value + "`"
	case k.leaf() && k.value != "":
		return k.value
	}
	return "those of its keys"
}

func inCell(s string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", `\|`)
}

func inBlock(s string) string { return strings.ReplaceAll(s, "\n", "\n  ") }

// wanted says what is allowed.
func wanted(k key) string {
	n := k.note
	var own string
	for _, e := range []*key{k.entry} {
		if e != nil && e.leaf() {
			own = wanted(*e)
		}
	}
	switch {
	case n.Enum != nil:
		return "`" + strings.Join(n.Enum, "`, `") + "`"
	case n.Min != "" && n.Max != "":
		return n.Min + " to " + n.Max
	case n.Min != "":
		return n.Min + " or more"
	case n.Want != "":
		return n.Want
	case own != "":
		return "each " + strings.TrimPrefix(own, "each ")
	case k.kind == boolean:
		return "true or false"
	}
	return ""
}

// example is a piece of a file that has the key.
func example(k key) string {
	value := k.note.Example
	if k.entry != nil && k.entry.leaf() && value == "" {
		switch k.kind {
		case mapping:
			return k.name + ":\n  " + k.entry.note.Name + ": " + k.entry.note.Example
		case list:
			return k.name + ":\n  - " + k.entry.note.Example
		}
	}
	if value == "" {
		return ""
	}
	return k.name + ": " + value
}

// presetValues are what presets say of keys, "NAME: value".
func presetValues(t *testing.T) map[string][]string {
	out := map[string][]string{}
	for _, name := range collect.Presets() {
		source, _ := collect.Preset(name)
		var doc yaml.Node
		if err := yaml.Unmarshal(source, &doc); err != nil {
			t.Fatal(err)
		}
		var walk func(n *yaml.Node, path string)
		walk = func(n *yaml.Node, path string) {
			switch {
			case n.Kind == yaml.MappingNode:
				for i := 0; i+1 < len(n.Content); i += 2 {
					walk(n.Content[i+1], path+"."+n.Content[i].Value)
				}
			case n.Kind == yaml.ScalarNode && !strings.Contains(n.Value, "\n"):
				out[path] = append(out[path], fmt.Sprintf("`%s`: `%s`", name, n.Value))
			default:
				out[path] = append(out[path], fmt.Sprintf("`%s`: [its own](../collect/presets/%s.yaml)", name, name))
			}
		}
		walk(doc.Content[0], "sources.*")
	}
	return out
}

// TestReference holds docs/config.md to the structs.
func TestReference(t *testing.T) {
	golden(t, "../docs/config.md", reference(t, fileKeys(t)))
}
