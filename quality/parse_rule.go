package quality

import (
	"strings"
	"unicode/utf8"
)

// topRule reads a rule of the list and gives it and its parts the default labels.
func (p *parser) topRule() *Rule {
	r := p.or()
	p.inherit(r)
	return r
}

func (p *parser) inherit(r *Rule) {
	r.Labels = append([]Label(nil), r.own...)
	for _, d := range p.rs.DefaultLabels {
		if !hasLabel(r.own, d.Key) {
			r.Labels = append(r.Labels, d)
		}
	}
	if len(r.Labels) > maxLabels {
		p.fail(r.Pos, "a rule has at most %d labels, the defaults among them; this one has %d", maxLabels, len(r.Labels))
	}
	for _, n := range r.Nested {
		p.inherit(n)
	}
}

func hasLabel(labels []Label, key string) bool {
	for _, l := range labels {
		if l.Key == key {
			return true
		}
	}
	return false
}

// or reads rules joined by or, each of them rules joined by and.
func (p *parser) or() *Rule {
	left := p.and()
	for p.peek().is("or") || p.peek().is("OR") {
		p.next()
		left = &Rule{Pos: left.Pos, Type: Composite, Operator: "or", Nested: []*Rule{left, p.and()}}
	}
	return left
}

func (p *parser) and() *Rule {
	left := p.primary()
	for p.peek().is("and") || p.peek().is("AND") {
		p.next()
		left = &Rule{Pos: left.Pos, Type: Composite, Operator: "and", Nested: []*Rule{left, p.primary()}}
	}
	return left
}

// primary reads a rule, or a rule in parentheses with labels behind them.
func (p *parser) primary() *Rule {
	t := p.peek()
	if !t.is("(") {
		return p.rule()
	}
	p.next()
	var r *Rule
	p.deeper(t.pos, func() { r = p.or() })
	if !p.peek().is(")") {
		p.unexpected(")")
	}
	p.next()
	if p.peek().is("labels") {
		pos := p.peek().pos
		if len(r.own) > 0 {
			p.fail(pos, "the rule has labels already; write all of them in one list")
		}
		p.next()
		p.expect("=")
		r.own = p.labels()
	}
	return r
}

func (p *parser) rule() *Rule {
	name := p.typeName("a rule")
	r := &Rule{Pos: name.pos, Type: name.text}
	t, known := typeOf(name.text)
	if !known || t.name == allStatistics {
		p.unknownType(name)
	}
	p.parameters(r, t)
	if cond := p.condition(); cond != nil {
		p.fit(r, t, cond)
		r.Condition = cond
	} else if !t.allows(KindNone) || t.instead && len(r.Parameters) < len(t.params) {
		p.fail(p.peek().pos, "%s %s, found %s", r.Type, t.wantsCondition(), p.peek())
	}
	if t.instead && r.Condition != nil && len(r.Parameters) == len(t.params) {
		p.fail(r.Condition.Pos, "%s of two paths takes no condition", r.Type)
	}
	if w := p.peek(); w.is("where") {
		p.next()
		clause := p.quoted("an SQL condition in quotes")
		if strings.TrimSpace(clause.text) == "" {
			p.fail(clause.pos, "the condition after where is empty")
		}
		if !t.where {
			p.fail(w.pos, "%s takes no where", r.Type)
		}
		r.Where, r.WherePos = clause.text, clause.pos
	}
	if p.peek().is("labels") {
		p.next()
		p.expect("=")
		r.own = p.labels()
	}
	for p.peek().is("with") {
		p.with(r, t)
	}
	return r
}

// typeName takes the name that begins a rule or an analyzer.
func (p *parser) typeName(what string) token {
	t := p.peek()
	if t.kind != identifier {
		p.unexpected(what)
	}
	return p.next()
}

func (p *parser) unknownType(name token) {
	if name.text == allStatistics {
		p.fail(name.pos, "AllStatistics is an analyzer; move it to Analyzers")
	}
	var rules []string
	for _, t := range Types() {
		if t != allStatistics {
			rules = append(rules, t)
		}
	}
	if n := nearest(name.text, rules); n != "" {
		p.fail(name.pos, "unknown rule type %s; did you mean %s?", name.text, n)
	}
	p.fail(name.pos, "unknown rule type %s; the types are %s", name.text, strings.Join(rules, ", "))
}

// parameters reads the parameters of a rule, each a quoted text, a bare name or a
// variable, perhaps after and or of.
func (p *parser) parameters(r *Rule, t ruleType) {
	for {
		param := Parameter{Pos: p.peek().pos}
		at := p.at
		if c := p.peek(); c.is("and") || c.is("AND") || c.is("of") || c.is("OF") {
			if n := p.peekAt(1); n.kind != text && n.kind != identifier && !n.is("$") {
				if strings.EqualFold(c.text, "and") && n.is("(") {
					break // a composite, without parentheses around its first rule
				}
				p.next()
				p.unexpected("a parameter")
			}
			param.Connector = strings.ToLower(p.next().text)
		}
		switch v := p.peek(); {
		case v.kind == text:
			param.Value = v.text
			p.next()
		case v.kind == identifier:
			param.Value, param.Bare = v.text, true
			p.next()
		case v.is("$"):
			x := p.reference()
			if x.List {
				p.fail(x.Pos, "%s is a list; a parameter is one text", x.Name)
			}
			param.Value, param.Variable = x.Texts[0].Value, x.Name
		default:
			p.at = at
			p.checkParameters(r, t)
			return
		}
		r.Parameters = append(r.Parameters, param)
	}
	p.checkParameters(r, t)
}

func (p *parser) checkParameters(r *Rule, t ruleType) {
	n := len(r.Parameters)
	if !t.takes(n) {
		pos := p.peek().pos
		if n > len(t.params) {
			extra := r.Parameters[len(t.params)]
			if extra.Bare {
				p.fail(extra.Pos, "%s takes %s; %q is one too many, or a word out of place", r.Type, t.wants(), extra.Value)
			}
			p.fail(extra.Pos, "%s takes %s, not %d", r.Type, t.wants(), n)
		}
		what := p.peek().String()
		if k := p.peek().kind; k == dateText || k == timeText {
			what += " and so cannot name a column"
		}
		p.fail(pos, "%s takes %s; expected a quoted text, found %s", r.Type, t.wants(), what)
	}
	for i := range r.Parameters {
		r.Parameters[i].Name = t.parameterName(i, n)
	}
}

// fit checks that a condition suits the type. A number of bytes may stand for a
// size, and NULL alone for nothing where a text is wanted.
func (p *parser) fit(r *Rule, t ruleType, c *Condition) {
	if c.Kind == KindNumber && t.allows(KindSize) {
		sizes := make([]Operand, 0, len(c.Operands))
		for _, o := range c.Operands {
			n, ok := o.(Number)
			amount, whole := wholeNumber(n.Value)
			if !ok || !whole {
				p.fail(o.Position(), "a size is a whole number and a unit, as 5 MB")
			}
			sizes = append(sizes, Size{Pos: n.Pos, Amount: amount, Unit: "B", bare: true})
		}
		c.Kind, c.Operands = KindSize, sizes
	}
	if !t.allows(c.Kind) {
		p.fail(c.Pos, "%s %s, not %s", r.Type, t.wantsCondition(), c)
	}
}

// with reads a threshold or a tag.
func (p *parser) with(r *Rule, t ruleType) {
	p.next()
	name := p.peek()
	if name.kind != identifier {
		p.unexpected("threshold or the name of a tag")
	}
	p.next()
	if name.text == "filterOrder" && p.peek().is("=") && p.peekAt(1).is("[") {
		p.filterOrder(r, name.pos)
		return
	}
	c := p.condition()
	if c == nil {
		p.unexpected("a condition, as > 0.9")
	}
	if name.text == "threshold" && c.Kind == KindNumber {
		if !t.threshold {
			p.fail(name.pos, "%s takes no threshold", r.Type)
		}
		if r.Threshold != nil {
			p.fail(name.pos, "the rule has a threshold already")
		}
		r.Threshold = c
		return
	}
	if c.Op != Equal {
		if name.text != "threshold" && nearest(name.text, []string{"threshold"}) != "" {
			p.fail(name.pos, "unknown word %q; did you mean threshold?", name.text)
		}
		p.fail(c.Pos, "a tag takes =, not %s", c.Op)
	}
	tag := Label{Key: name.text}
	switch v := c.Operands[0].(type) {
	case Text:
		tag.Value = v.Raw
	case Number:
		tag.Value = v.Value
	default:
		p.fail(c.Pos, "a tag takes a text or a number")
	}
	if hasLabel(r.Tags, tag.Key) {
		p.fail(name.pos, "the tag %s stands here twice", tag.Key)
	}
	if tag.Key == "threshold" {
		p.rs.Warnings = append(p.rs.Warnings, &Error{Pos: name.pos,
			Message: `a threshold in quotes is a tag without effect; write with threshold = ` + tag.Value})
	}
	r.Tags = append(r.Tags, tag)
}

// filterOrder reads = ["uriRegex", "recentFiles"], the one tag that is a list. Its
// value is that of the same names with commas in one text.
func (p *parser) filterOrder(r *Rule, pos Position) {
	p.next()
	p.next()
	var names []string
	for {
		names = append(names, p.quoted("the quoted name of a filter").text)
		if !p.accept(",") {
			break
		}
	}
	p.expect("]")
	if hasLabel(r.Tags, "filterOrder") {
		p.fail(pos, "the tag filterOrder stands here twice")
	}
	r.Tags = append(r.Tags, Label{Key: "filterOrder", Value: strings.Join(names, ",")})
}

// labels reads [ "key" = "value", .. ].
func (p *parser) labels() []Label {
	open := p.expect("[")
	var all []Label
	for {
		key := p.quoted("the quoted key of a label")
		p.expect("=")
		value := p.quoted("the quoted value of a label")
		p.checkLabel(all, key, value)
		all = append(all, Label{Key: key.text, Value: value.text})
		if !p.accept(",") {
			break
		}
	}
	if !p.peek().is("]") {
		p.unexpected(", or ]")
	}
	p.next()
	if len(all) > maxLabels {
		p.fail(open.pos, "at most %d labels, not %d", maxLabels, len(all))
	}
	return all
}

func (p *parser) checkLabel(all []Label, key, value token) {
	switch {
	case key.text == "":
		p.fail(key.pos, "the key of a label is empty")
	case value.text == "":
		p.fail(value.pos, "the value of a label is empty")
	case utf8.RuneCountInString(key.text) > maxLabelKey:
		p.fail(key.pos, "the key of a label has at most %d characters", maxLabelKey)
	case utf8.RuneCountInString(value.text) > maxLabelVal:
		p.fail(value.pos, "the value of a label has at most %d characters", maxLabelVal)
	case hasLabel(all, key.text):
		p.fail(key.pos, "the label %q stands here twice", key.text)
	}
}

func (p *parser) analyzer() *Rule {
	name := p.typeName("an analyzer")
	r := &Rule{Pos: name.pos, Type: name.text, measures: true}
	t, known := typeOf(name.text)
	if !known {
		var names []string
		for _, t := range ruleTypes {
			if t.analyzer {
				names = append(names, t.name)
			}
		}
		if n := nearest(name.text, names); n != "" {
			p.fail(name.pos, "unknown analyzer %s; did you mean %s?", name.text, n)
		}
		p.fail(name.pos, "unknown analyzer %s", name.text)
	}
	if !t.analyzer {
		p.fail(name.pos, "%s is a rule, not an analyzer", name.text)
	}
	p.parameters(r, t)
	if t := p.peek(); !t.is(",") && !t.is("]") {
		p.fail(t.pos, "expected , or ], found %s; an analyzer has parameters and nothing else", t)
	}
	return r
}
