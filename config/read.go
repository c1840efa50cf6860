package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/collect"
	"github.com/tickerlake/tickerlake/deliver"
	"github.com/tickerlake/tickerlake/quality"
)

// A reader makes a File of a text.
type reader struct {
	*decoder
	file *File
	text []byte
	// guessing has the sources whose preset is unknown: what they do not say, the
	// preset that was meant may say.
	guessing map[string]bool
	rules    *yaml.Node
}

func (r *reader) read() {
	root := r.parse()
	if root == nil {
		return
	}
	if root.Kind != yaml.MappingNode {
		r.wrong(root, "", "keys with values, such as sources:")
		return
	}
	r.expand(root, "")
	r.guessing = map[string]bool{}
	r.before = r.base
	r.decode(root, reflect.ValueOf(&r.file.Config).Elem(), "")
	r.rules = find(find(root, "quality"), "rules")
	r.checkTop()
	r.checkSources()
	r.checkClock()
	r.checkDelivery()
	r.stage("delivery", r.file.Delivery.Validate())
	r.stage("workflow", r.file.Workflow.Validate())
	r.checkWorkflows()
	r.checkAlarms()
	r.stage("tidy", r.file.Tidy.Validate())
	r.checkRules()
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(?s:(.*))$`)

// parse gives the mapping that the file is, nil if it is none.
func (r *reader) parse() *yaml.Node {
	if len(r.text) > maxBytes {
		r.say(1, "", "the file is longer than %d MiB: a pipeline file is short", maxBytes>>20)
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(r.text))
	var doc, more yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF) || err == nil && (len(doc.Content) != 1 || doc.Content[0].Tag == "!!null"):
		r.say(1, "", "the file is empty: tickerlake init writes one that runs")
		return nil
	case err != nil:
		r.syntax(err)
		return nil
	}
	if err := dec.Decode(&more); err == nil {
		r.say(more.Line, "", "a second document begins here: a pipeline file has one")
	} else if !errors.Is(err, io.EOF) {
		r.syntax(err)
	}
	return doc.Content[0]
}

func (r *reader) syntax(err error) {
	m := yamlLine.FindStringSubmatch(err.Error())
	if m == nil {
		r.say(1, "", "not YAML: %s", err)
		return
	}
	line, _ := strconv.Atoi(m[1])
	r.say(max(line, 1), "", "not YAML: %s", m[2])
}

// base puts the defaults and the preset of a source under its keys.
func (r *reader) base(d *decoder, n *yaml.Node, v reflect.Value, path string) {
	c, ok := v.Addr().Interface().(*collect.Config)
	if !ok || d.name != r.name {
		return
	}
	*c = collect.Defaults()
	preset := find(n, "preset")
	if preset == nil || preset.Kind != yaml.ScalarNode {
		return
	}
	text, ok := collect.Preset(preset.Value)
	if !ok {
		r.guessing[path] = true
		return
	}
	if err := decodePreset(preset.Value, text, c); err != nil {
		d.add(preset.Line, child(path, "preset"), "%s", err)
	}
}

// decodePreset decodes a preset over c. A preset with mistakes is a defect of the
// program.
func decodePreset(name string, text []byte, c *collect.Config) error {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return err
	}
	d := newDecoder("preset "+name, nil)
	d.decode(doc.Content[0], reflect.ValueOf(c).Elem(), "")
	if len(d.problems) > 0 {
		return d.problems
	}
	return nil
}

// find gives the value of a key, nil if it is not there.
func find(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// bad reports a mistake of a key, unless one was found there before.
func (r *reader) bad(path, format string, args ...any) {
	if !r.knownBad(path) {
		r.say(r.line(path), path, format, args...)
	}
}

// stage reports what the configuration of a stage says of itself.
func (r *reader) stage(path string, err error) {
	for _, e := range flatten(err) {
		name, message := "", e.Error()
		if te, ok := errors.AsType[*tickerlake.Error](e); ok && te.Err != nil {
			name, message = te.Name, te.Err.Error()
		}
		at := child(path, name)
		if name == "" {
			at = path
		}
		if _, written := r.lines[at]; r.guessing[path] && !written {
			continue
		}
		r.bad(at, "%s", message)
	}
}

// flatten gives the single errors of joined ones.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range many.Unwrap() {
			out = append(out, flatten(e)...)
		}
		return out
	}
	return []error{err}
}

var (
	lakeName   = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
	sourceName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,63}$`)
	scheme     = regexp.MustCompile(`^[a-z0-9]+://`)
)

func (r *reader) checkTop() {
	c := &r.file.Config
	if c.Name != "" && !lakeName.MatchString(c.Name) {
		r.bad("name", "%q: want up to 32 of a-z, 0-9 and _, a letter first", c.Name)
	}
	switch {
	case c.Lake == "":
		r.bad("lake", "is empty: want a folder, such as %s", DefaultLake)
	case scheme.MatchString(c.Lake):
		r.bad("lake", "%q: want a folder, such as %s", c.Lake, DefaultLake)
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || host == "" || n == 0 && port != "0" {
		r.bad("listen", "%q: want a host and a port, such as %s", c.Listen, DefaultListen)
	}
}

func (r *reader) checkSources() {
	if len(r.file.Sources) == 0 {
		r.bad("sources", "missing: want at least one source, such as market: {preset: simulated, symbols: [AMZN, TSLA]}")
	}
	for _, name := range r.file.SourceNames() {
		c, path := r.file.Sources[name], child("sources", name)
		if !sourceName.MatchString(name) {
			r.bad(path, "cannot name a source: want up to 64 of a-z, 0-9, - and _, a letter first")
		}
		r.stage(path, c.Validate())
		if c.Symbols.File != "" {
			if _, err := c.Symbols.Resolve(r.file.Dir); err != nil {
				r.symbolsFile(child(path, "symbols"), err)
			}
		}
	}
}

// symbolsFile reports the mistakes of a file of symbols, which have places of their
// own.
func (r *reader) symbolsFile(path string, err error) {
	for _, e := range flatten(err) {
		message := e.Error()
		if te, ok := errors.AsType[*tickerlake.Error](e); ok && te.Name == "symbols.file" && te.Err != nil {
			message = te.Err.Error()
		}
		r.bad(child(path, "file"), "%s", message)
	}
}

// checkDelivery finds what the stages after delivery cannot live with: the crawler
// reads gzip below one folder, and that folder holds nothing but bars.
func (r *reader) checkDelivery() {
	d := r.file.Delivery
	if r.knownBad("delivery") {
		return
	}
	if d.Compression != deliver.Gzip {
		r.add(r.line("delivery.compression"), "delivery.compression", "%q: want %s, which the crawler reads", d.Compression, deliver.Gzip)
	}
	switch folder := d.Folder(); {
	case folder == "":
		r.bad("delivery.prefix", "%q: want a folder before the first expression, such as %s", d.Prefix, DefaultPrefix)
	case strings.HasPrefix(folder, "ops/"):
		r.bad("delivery.prefix", "%q: ops/ is for the events of the pipeline: want another folder, such as %s", d.Prefix, DefaultPrefix)
	case strings.HasPrefix(d.ErrorPrefix, folder):
		r.bad("delivery.error_prefix", "%q: lies in %s, where bars are looked for: want another folder, such as errors/", d.ErrorPrefix, folder)
	}
}

// checkWorkflows also keeps jobs from the tables of others, and reads their rules.
func (r *reader) checkWorkflows() {
	sources := map[string]string{}
	for _, name := range r.file.SourceNames() {
		sources[r.file.Sources[name].TableName()] = name
	}
	r.stage("workflows", r.file.Workflows.Validate(func(table string) string {
		of := strings.TrimSuffix(table, "_revisions")
		switch name, ok := sources[of]; {
		case ok:
			return "it is the table of the source " + name
		case of != table || strings.HasPrefix(table, "bars_"):
			return "such names are for tables of bars"
		case table == "latest" || table == "actions":
			return "it is a table of the lake"
		}
		return ""
	}))
	r.file.JobRules = map[string]*quality.Ruleset{}
	for _, name := range sortedKeys(r.file.Workflows) {
		for _, job := range sortedKeys(r.file.Workflows[name].Jobs) {
			text := r.file.Workflows[name].Jobs[job].Rules
			if text == "" {
				continue
			}
			rules, err := quality.Parse(text)
			if err == nil {
				err = quality.Check(rules, nil)
			}
			if err != nil {
				r.bad("workflows."+name+".jobs."+job+".rules", "%s", err)
			}
			r.file.JobRules[name+"."+job] = rules
		}
	}
}

func (r *reader) checkRules() {
	if s := r.file.Quality.Scope; s != quality.Table && s != quality.Touched {
		r.bad("quality.scope", "%q: want %s or %s", s, quality.Table, quality.Touched)
	}
	const path = "quality.rules"
	if r.knownBad(path) {
		return
	}
	rules, err := quality.Parse(r.file.Quality.Rules)
	if err == nil {
		err = quality.Check(rules, nil)
	}
	found := quality.Errors(err)
	if err != nil && len(found) == 0 {
		r.bad(path, "%s", err)
	}
	for _, e := range found {
		p := r.ruleProblem(path, e)
		r.say(p.Line, p.Key, "%s", p.Message)
	}
	if rules == nil {
		return
	}
	r.file.Ruleset = rules
	for _, e := range rules.Warnings {
		r.file.Warnings = append(r.file.Warnings, r.ruleProblem(path, e))
	}
	r.file.Warnings.sort()
}

// ruleProblem gives a mistake of the rules its place in the file, as far as it can be
// told: in a literal block and in a text on one line it can.
func (r *reader) ruleProblem(path string, e *quality.Error) Problem {
	p := Problem{File: r.name, Line: r.line(path), Key: path, Message: fmt.Sprintf("at %s of the rules: %s", e.Pos, e.Message)}
	switch {
	case r.rules == nil || r.expanded[r.rules]:
	case r.rules.Style&yaml.LiteralStyle != 0:
		p.Line = r.rules.Line + e.Pos.Line
		p.Message = fmt.Sprintf("column %d: %s", r.indent(p.Line, e.Pos.Line)+e.Pos.Column, e.Message)
	case r.rules.Style&yaml.FoldedStyle == 0:
		p.Line = r.rules.Line
	}
	return p
}

// indent is how far a line of the file stands right of the same line of the rules.
func (r *reader) indent(line, ruleLine int) int {
	lines := bytes.Split(r.text, []byte("\n"))
	rules := strings.Split(r.file.Quality.Rules, "\n")
	if line > len(lines) || ruleLine > len(rules) {
		return 0
	}
	before, ok := strings.CutSuffix(strings.TrimSuffix(string(lines[line-1]), "\r"), strings.TrimSuffix(rules[ruleLine-1], "\r"))
	if !ok {
		return 0
	}
	return len(before)
}
