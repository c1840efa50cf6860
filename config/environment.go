package config

import (
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// variable matches ${VAR}, and $${ which stands for ${.
var variable = regexp.MustCompile(`\$?\$\{([A-Za-z_][A-Za-z0-9_]*\})?`)

// expand replaces ${VAR} in the values of n and below, and refuses what a pipeline
// file has no use for.
func (d *decoder) expand(n *yaml.Node, path string) {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		d.add(n.Line, path, "anchors and aliases (& and *) are not supported: write the value out")
		*n = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Line: n.Line}
		return
	}
	switch n.Kind {
	case yaml.ScalarNode:
		if strings.Contains(n.Value, "${") {
			d.expandScalar(n, path)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			d.expand(n.Content[i+1], child(path, n.Content[i].Value))
		}
	case yaml.SequenceNode:
		for i, entry := range n.Content {
			d.expand(entry, fmt.Sprintf("%s[%d]", path, i))
		}
	}
}

func (d *decoder) expandScalar(n *yaml.Node, path string) {
	n.Value = variable.ReplaceAllStringFunc(n.Value, func(found string) string {
		if strings.HasPrefix(found, "$$") {
			return found[1:]
		}
		name := strings.TrimSuffix(strings.TrimPrefix(found, "${"), "}")
		if name == "" {
			d.add(n.Line, path, "${ without the name of a variable and }: want ${VAR}, or $${ for the characters themselves")
			return found
		}
		value, ok := d.env(name)
		if !ok {
			d.add(n.Line, path, "the environment variable %s is not set: set it, or write $${%s} for the characters themselves", name, name)
			return found
		}
		d.vars[name] = value
		d.expanded[n] = true
		if n.Tag == "!!null" {
			n.Tag = "!!str"
		}
		return value
	})
}

// secrets are the values that came from the environment.
func (d *decoder) secrets() []string {
	var out []string
	for _, name := range sortedKeys(d.vars) {
		if value := d.vars[name]; value != "" {
			out = append(out, value)
		}
	}
	return out
}

// redacted are the mistakes, by line, with the names of variables in place of their
// values.
func (d *decoder) redacted() Problems {
	for i := range d.problems {
		d.problems[i].Message = d.hide(d.problems[i].Message)
	}
	d.problems.sort()
	return d.problems
}

func (d *decoder) hide(message string) string {
	for _, name := range sortedKeys(d.vars) {
		value := d.vars[name]
		if value == "" {
			continue
		}
		quoted := fmt.Sprintf("%q", value)
		for _, v := range []string{value, quoted[1 : len(quoted)-1]} {
			message = strings.ReplaceAll(message, v, "${"+name+"}")
		}
	}
	return message
}
