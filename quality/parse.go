package quality

import (
	"errors"
	"strings"
)

// Limits of a ruleset. The first two are Glue's for labels; the others keep a
// hostile text from costing more than a message.
const (
	maxLabels   = 10
	maxLabelKey = 128
	maxLabelVal = 256
	maxDepth    = 64
	maxErrors   = 50
)

// Parse reads a ruleset. If it has mistakes, the error holds all that were found,
// each a *tickerlake.Error whose Name is "line:column"; see Errors.
func Parse(src string) (*Ruleset, error) {
	tokens, errs := scan(src)
	p := &parser{src: src, tokens: tokens, errs: errs, rs: &Ruleset{}}
	if len(errs) == 0 {
		p.document()
	}
	if len(p.errs) > 0 {
		return nil, errors.Join(p.errs...)
	}
	return p.rs, nil
}

// A parser descends through the tokens. A method that meets a mistake calls fail,
// which unwinds to the nearest place where reading can go on.
type parser struct {
	src    string
	tokens []token
	at     int
	depth  int
	rs     *Ruleset
	errs   []error
}

// stop is what fail unwinds with.
type stop struct{}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) peekAt(n int) token { return p.tokens[min(p.at+n, len(p.tokens)-1)] }

func (p *parser) next() token {
	t := p.peek()
	if t.kind != endOfText {
		p.at++
	}
	return t
}

// note records a mistake and goes on.
func (p *parser) note(pos Position, format string, args ...any) {
	if len(p.errs) < maxErrors {
		p.errs = append(p.errs, mistake("quality.Parse", pos, format, args...))
	}
}

// fail records a mistake and gives up what is being read.
func (p *parser) fail(pos Position, format string, args ...any) {
	p.note(pos, format, args...)
	panic(stop{})
}

// unexpected fails at the next token.
func (p *parser) unexpected(wanted string) {
	t := p.peek()
	p.fail(t.pos, "expected %s, found %s", wanted, t)
}

// attempt runs f and reports whether it came to its end.
func (p *parser) attempt(f func()) (ok bool) {
	defer func() {
		if r := recover(); r != nil {
			if _, is := r.(stop); !is {
				panic(r)
			}
			ok = false
		}
	}()
	f()
	return true
}

// accept takes the next token if it is s.
func (p *parser) accept(s string) bool {
	if p.peek().is(s) {
		p.at++
		return true
	}
	return false
}

// expect takes the token s or fails.
func (p *parser) expect(s string) token {
	if !p.peek().is(s) {
		p.unexpected(s)
	}
	return p.next()
}

// quoted takes a quoted text or fails.
func (p *parser) quoted(what string) token {
	t := p.peek()
	switch t.kind {
	case text:
		return p.next()
	case dateText, timeText:
		p.fail(t.pos, "expected %s, found %s; the language takes such a text for nothing else", what, t)
	}
	p.unexpected(what)
	return token{}
}

// deeper guards against texts that nest without end.
func (p *parser) deeper(pos Position, f func()) {
	p.depth++
	if p.depth > maxDepth {
		p.fail(pos, "nested more than %d deep", maxDepth)
	}
	f()
	p.depth--
}

// document reads metadata, data sources, variables, default labels, and rules or
// analyzers, in that order.
func (p *parser) document() {
	p.attempt(func() {
		if p.accept("Metadata") {
			p.metadata()
		}
		if p.accept("DataSources") {
			p.dataSources()
		}
		for p.peek().kind == identifier {
			p.variable()
		}
		if p.peek().is("DefaultLabels") {
			p.next()
			p.expect("=")
			p.rs.DefaultLabels = p.labels()
		}
		start := p.peek()
		switch {
		case p.accept("Rules"):
			p.expect("=")
			p.rs.Rules = p.list("a rule", p.topRule)
			if p.accept("Analyzers") {
				p.expect("=")
				p.rs.Analyzers = p.list("an analyzer", p.analyzer)
			}
		case p.accept("Analyzers"):
			p.expect("=")
			p.rs.Analyzers = p.list("an analyzer", p.analyzer)
			if p.peek().is("Rules") {
				p.fail(p.peek().pos, "Rules stand before Analyzers; move this section up")
			}
		default:
			p.misplaced()
		}
		if t := p.peek(); t.kind != endOfText {
			p.fail(t.pos, "expected the end of the text, found %s; what follows the last ] would be ignored", t)
		}
		if len(p.errs) == 0 && len(p.rs.Rules) == 0 && len(p.rs.Analyzers) == 0 {
			p.fail(start.pos, "there are no rules; write at least one between [ and ]")
		}
	})
}

// misplaced fails where a section should begin.
func (p *parser) misplaced() {
	t := p.peek()
	for _, s := range []string{"Metadata", "DataSources", "DefaultLabels"} {
		if t.is(s) {
			p.fail(t.pos, "%s stands too late; the order is Metadata, DataSources, variables, DefaultLabels, Rules, Analyzers", s)
		}
	}
	p.unexpected("Rules = [ .. ]")
}

func (p *parser) metadata() {
	p.dictionary(func(key token, values []Text, list bool) {
		if key.text != "Version" {
			p.fail(key.pos, "metadata know the key Version only, not %q", key.text)
		}
		if list {
			p.fail(values[0].Pos, "the version is one text, not a list")
		}
		p.rs.Version = values[0].Raw
	})
}

func (p *parser) dataSources() {
	p.dictionary(func(key token, values []Text, list bool) {
		switch key.text {
		case "Primary":
			if list {
				p.fail(values[0].Pos, "the primary data source is one text, not a list")
			}
			p.rs.Primary = values[0].Raw
		case "AdditionalDataSources":
			if !list {
				p.fail(values[0].Pos, `additional data sources are a list: [ "a", "b" ]`)
			}
			for _, v := range values {
				p.rs.Additional = append(p.rs.Additional, v.Raw)
			}
		default:
			p.fail(key.pos, "data sources have the keys Primary and AdditionalDataSources, not %q", key.text)
		}
	})
}

// dictionary reads = { "key": "value" or ["a", "b"], .. }.
func (p *parser) dictionary(pair func(key token, values []Text, list bool)) {
	p.expect("=")
	p.expect("{")
	seen := map[string]bool{}
	for {
		key := p.quoted("a quoted key")
		if seen[key.text] {
			p.fail(key.pos, "the key %q stands here twice", key.text)
		}
		seen[key.text] = true
		p.expect(":")
		if p.peek().is("[") {
			pair(key, p.textList(false), true)
		} else {
			pair(key, []Text{literal(p.quoted("a quoted text or a list"))}, false)
		}
		if !p.accept(",") {
			break
		}
	}
	if !p.peek().is("}") {
		p.unexpected(", or }")
	}
	p.next()
}

// textList reads [ "a", "b" ]; with words, keywords stand for themselves.
func (p *parser) textList(words bool) []Text {
	p.expect("[")
	var list []Text
	for {
		if t := p.peek(); words && isOperandWord(t) {
			p.next()
			list = append(list, Text{Pos: t.pos, Raw: strings.ToUpper(t.text), Value: strings.ToUpper(t.text)})
		} else {
			t := literal(p.quoted("a quoted text"))
			t.Value = unescapeList(t.Raw)
			list = append(list, t)
		}
		if !p.accept(",") {
			break
		}
	}
	if !p.peek().is("]") {
		p.unexpected(", or ]")
	}
	p.next()
	return list
}

func isOperandWord(t token) bool {
	if t.kind != keyword {
		return false
	}
	switch strings.ToUpper(t.text) {
	case Null, Empty, WhitespacesOnly:
		return true
	}
	return false
}

func (p *parser) variable() {
	name := p.next()
	v := Variable{Pos: name.pos, Name: name.text}
	if name.text[0] == '_' || name.text[0] == '.' {
		p.fail(name.pos, "the name of a variable begins with a letter or a digit, not as %q does", name.text)
	}
	if !p.peek().is("=") {
		p.unexpected(`= (a variable is name = "text" or name = ["a", "b"])`)
	}
	p.next()
	for _, section := range []string{"Rules", "Analyzers", "Metadata", "DataSources", "DefaultLabels"} {
		if strings.EqualFold(name.text, section) || name.text+"s" == section {
			if t := p.peek(); t.is("{") || t.is("[") && p.peekAt(1).kind != text {
				p.fail(name.pos, "unknown section %q; did you mean %s?", name.text, section)
			}
		}
	}
	switch t := p.peek(); {
	case t.is("["):
		v.List = true
		v.Texts = p.textList(true)
	case isOperandWord(t):
		p.next()
		v.Texts = []Text{{Pos: t.pos, Raw: strings.ToUpper(t.text), Value: strings.ToUpper(t.text)}}
	default:
		x := literal(p.quoted("a quoted text or a list of them as the variable's value"))
		x.Value = unescapeList(x.Raw)
		v.Texts = []Text{x}
	}
	if _, known := p.lookup(name.text); known {
		p.fail(name.pos, "the variable %s is set twice", name.text)
	}
	p.rs.Variables = append(p.rs.Variables, v)
}

func (p *parser) lookup(name string) (Variable, bool) {
	for _, v := range p.rs.Variables {
		if v.Name == name {
			return v, true
		}
	}
	return Variable{}, false
}

// reference reads $name and gives the variable.
func (p *parser) reference() Variable {
	dollar := p.expect("$")
	t := p.peek()
	if t.kind != identifier && t.kind != number {
		p.unexpected("the name of a variable")
	}
	p.next()
	v, ok := p.lookup(t.text)
	if !ok {
		var names []string
		for _, v := range p.rs.Variables {
			names = append(names, v.Name)
		}
		hint := `set it before the rules: ` + t.text + ` = "text"`
		if n := nearest(t.text, names); n != "" {
			hint = "did you mean $" + n + "?"
		}
		p.fail(dollar.pos, "there is no variable %s; %s", t.text, hint)
	}
	v.Pos = dollar.pos
	return v
}

// literal is a quoted text as an operand; outside of lists a backslash stays
// what it is, unless it stands before a quote or a backslash.
func literal(t token) Text { return Text{Pos: t.pos, Raw: t.text, Value: unescape(t.text)} }

func unescape(s string) string {
	return strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(s)
}

// unescapeQuotes takes the backslash from before quotes only: in SQL and regular
// expressions it has a meaning of its own.
func unescapeQuotes(s string) string { return strings.ReplaceAll(s, `\"`, `"`) }

// unescapeList is the rule inside of lists: a backslash goes, what follows stays.
func unescapeList(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// list reads [ item, item ]. After a mistake in an item it goes on at the next.
func (p *parser) list(what string, item func() *Rule) []*Rule {
	open := p.expect("[")
	var all []*Rule
	if p.accept("]") {
		return nil
	}
	for {
		start, depth := p.at, p.depth
		ok := p.attempt(func() {
			if t := p.peek(); t.is(",") || t.is("]") {
				p.fail(t.pos, "expected %s, found %s", what, t)
			}
			r := item()
			if t := p.peek(); !t.is(",") && !t.is("]") {
				p.behind(t, r)
			}
			all = append(all, r)
		})
		if !ok {
			p.depth = depth
			p.resume(start)
		}
		switch {
		case p.accept(","):
		case p.accept("]"):
			return all
		default:
			if ok {
				p.unexpected(", or ]")
			}
			if len(p.errs) == 0 {
				p.fail(open.pos, "this [ has no ]")
			}
			panic(stop{})
		}
	}
}

// behind fails at a token that cannot follow a rule, with the best guess why.
func (p *parser) behind(t token, r *Rule) {
	if t.is("labels") && (r.Threshold != nil || len(r.Tags) > 0) {
		p.fail(t.pos, "labels stand before with")
	}
	if t.is("where") {
		p.fail(t.pos, "where stands once, behind the condition and before labels and with")
	}
	if t.kind == identifier {
		for _, w := range []string{"where", "with", "labels", "and", "or", "between", "in", "not"} {
			if strings.EqualFold(t.text, w) || t.text+"s" == w {
				p.fail(t.pos, "unknown word %q; did you mean %s?", t.text, w)
			}
		}
	}
	p.fail(t.pos, "expected , or ] or more of the rule, found %s", t)
}

// resume goes to the comma or bracket that ends the item which began at start.
func (p *parser) resume(start int) {
	failed := p.at
	p.at = start
	round, square := 0, 0
	for p.peek().kind != endOfText {
		t := p.peek()
		switch {
		case t.is("("):
			round++
		case t.is(")"):
			round = max(0, round-1)
		case t.is("["):
			square++
		case t.is("]") && square > 0:
			square--
		case t.is("]") && p.at >= failed:
			return
		case t.is(",") && round == 0 && square == 0 && p.at >= failed:
			return
		}
		p.next()
	}
}
