package quality

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// condition reads a condition, nil if the next token begins none.
func (p *parser) condition() *Condition {
	t := p.peek()
	c := &Condition{Pos: t.pos}
	not := false
	if t.is("not") {
		p.next()
		not = true
		if n := p.peek(); !n.is("between") && !n.is("in") && !n.is("matches") {
			p.unexpected("between, in or matches")
		}
	}
	switch t = p.peek(); {
	case t.is("="), t.is("!="), t.is(">"), t.is(">="), t.is("<"), t.is("<="):
		p.next()
		c.Op = Op(t.text)
		c.Operands = []Operand{p.operand()}
	case t.is("between"):
		p.next()
		c.Op = Between
		low := p.operand()
		if !p.peek().is("and") && !p.peek().is("AND") {
			p.unexpected("and")
		}
		p.next()
		c.Operands = []Operand{low, p.operand()}
	case t.is("in"):
		p.next()
		c.Op = In
		p.members(c)
	case t.is("matches"):
		p.next()
		c.Op = Matches
		pattern := literal(p.quoted("a regular expression in quotes"))
		pattern.Value = unescapeQuotes(pattern.Raw)
		c.Operands = []Operand{pattern}
	default:
		return nil
	}
	if not {
		c.Op = "not " + c.Op
	}
	p.classify(c)
	return c
}

// members reads what follows in: a list, or a variable that is one.
func (p *parser) members(c *Condition) {
	if p.peek().is("$") {
		v := p.reference()
		if !v.List {
			p.fail(v.Pos, "%s is one text; in takes a list", v.Name)
		}
		c.Variable = v.Name
		for _, t := range v.Texts {
			c.Operands = append(c.Operands, Text{Pos: v.Pos, Raw: t.Raw, Value: t.Value})
		}
		return
	}
	if !p.peek().is("[") {
		p.unexpected("a list in brackets, as [1, 2]")
	}
	p.next()
	for {
		o := p.operand()
		if t, ok := o.(Text); ok && t.Variable == "" {
			t.Value = unescapeList(t.Raw)
			o = t
		}
		c.Operands = append(c.Operands, o)
		if !p.accept(",") {
			break
		}
	}
	if !p.peek().is("]") {
		p.unexpected(", or ]")
	}
	p.next()
}

// operand reads one operand of any kind.
func (p *parser) operand() Operand {
	t := p.peek()
	switch {
	case t.kind == text:
		p.next()
		return literal(t)
	case t.kind == dateText, t.kind == timeText, t.kind == nowCall:
		return p.date()
	case t.is("(") && p.peekAt(1).kind == nowCall:
		return p.date()
	case t.is("$"):
		v := p.reference()
		if v.List {
			p.fail(v.Pos, "%s is a list; it can stand after in only", v.Name)
		}
		return Text{Pos: v.Pos, Raw: v.Texts[0].Raw, Value: v.Texts[0].Value, Variable: v.Name}
	case isOperandWord(t):
		p.next()
		return Keyword{Pos: t.pos, Name: strings.ToUpper(t.text)}
	case t.kind == number:
		switch u := p.peekAt(1); {
		case isUnit(u, durationUnits):
			return p.duration()
		case isUnit(u, sizeUnits):
			amount, unit := p.amount()
			return Size{Pos: t.pos, Amount: amount, Unit: unit}
		case u.kind == identifier:
			for _, unit := range slices.Concat(durationUnits, sizeUnits) {
				if strings.EqualFold(u.text, unit) || strings.EqualFold(u.text+"s", unit) {
					p.fail(u.pos, "unknown unit %q; did you mean %s?", u.text, unit)
				}
			}
		}
	}
	return p.arithmetic()
}

var (
	durationUnits = []string{"days", "hours", "minutes"}
	sizeUnits     = []string{"B", "KB", "MB", "GB", "TB"}
)

func isUnit(t token, units []string) bool {
	for _, u := range units {
		if t.is(u) {
			return true
		}
	}
	return false
}

func (p *parser) duration() Duration {
	pos := p.peek().pos
	amount, unit := p.amount()
	return Duration{Pos: pos, Amount: amount, Unit: unit}
}

// amount reads a whole number and a unit.
func (p *parser) amount() (int64, string) {
	n := p.next()
	v, whole := wholeNumber(n.text)
	if !whole || v > 1_000_000_000 {
		p.fail(n.pos, "expected a whole number before %s, found %s", p.peek().text, n.text)
	}
	return v, p.next().text
}

func wholeNumber(s string) (int64, bool) {
	v, err := strconv.ParseInt(s, 10, 64)
	return v, err == nil && v >= 0
}

// date reads a day, a time of day, now() or (now() - 3 days).
func (p *parser) date() Operand {
	t := p.next()
	switch t.kind {
	case dateText:
		day, err := time.Parse(time.DateOnly, t.text)
		if err != nil {
			p.fail(t.pos, "there is no day %s", t.text)
		}
		return Date{Pos: t.pos, Day: day}
	case timeText:
		return Date{Pos: t.pos, Clock: t.text}
	case nowCall:
		return Date{Pos: t.pos, Now: true}
	}
	p.next() // now()
	d := Date{Pos: t.pos, Now: true}
	sign := p.peek()
	if !sign.is("-") && !sign.is("+") {
		p.unexpected("+ or - and a duration")
	}
	p.next()
	d.Sign = sign.text
	if p.peek().kind != number || !isUnit(p.peekAt(1), durationUnits) {
		p.unexpected("a duration, as 3 days")
	}
	d.Offset = p.duration()
	p.expect(")")
	return d
}

// arithmetic reads numbers and calls joined by + - * /, from left to right.
func (p *parser) arithmetic() Operand {
	left := p.term()
	for {
		op := p.peek()
		if !op.is("+") && !op.is("-") && !op.is("*") && !op.is("/") {
			return left
		}
		p.next()
		left = Binary{Pos: left.Position(), Op: op.text, Left: left, Right: p.term()}
	}
}

func (p *parser) term() Operand {
	t := p.peek()
	switch {
	case t.is("("):
		p.next()
		var o Operand
		p.deeper(t.pos, func() { o = p.arithmetic() })
		p.expect(")")
		return o
	case t.is("-"):
		p.next()
		if p.peek().kind != number {
			p.unexpected("a number after the minus")
		}
		return Number{Pos: t.pos, Value: "-" + p.next().text}
	case t.kind == number:
		p.next()
		return Number{Pos: t.pos, Value: t.text}
	case t.kind == identifier && p.peekAt(1).is("("):
		return p.call()
	}
	p.unexpected("a number, a quoted text, a date or a duration")
	return nil
}

func (p *parser) call() Operand {
	name := p.next()
	p.next()
	c := Call{Pos: name.pos, Name: name.text}
	if p.accept(")") {
		return c
	}
	p.deeper(name.pos, func() {
		for {
			c.Args = append(c.Args, p.arithmetic())
			if !p.accept(",") {
				break
			}
		}
	})
	if !p.peek().is(")") {
		p.unexpected(", or )")
	}
	p.next()
	return c
}

// classify finds the kind of a condition from its operands, which must agree, and
// checks that the operator suits it. NULL goes with numbers, texts and dates, and
// is a number by itself.
func (p *parser) classify(c *Condition) {
	for _, o := range c.Operands {
		var k Kind
		switch v := o.(type) {
		case Text:
			k = KindText
		case Date:
			k = KindDate
		case Duration:
			k = KindDuration
		case Size:
			k = KindSize
		case Keyword:
			if v.Name == Null {
				continue
			}
			k = KindText
		default:
			k = KindNumber
		}
		if c.Kind != "" && c.Kind != k {
			p.fail(o.Position(), "operands of one kind belong together; %s is a %s among %ss", o, k, c.Kind)
		}
		c.Kind = k
	}
	if c.Kind == "" {
		c.Kind = KindNumber
	}
	for _, o := range c.Operands {
		if k, ok := o.(Keyword); ok && (c.Kind == KindDuration || c.Kind == KindSize) {
			p.fail(k.Pos, "%s is no %s", k.Name, c.Kind)
		}
	}
	if c.Kind == KindText {
		switch c.Op {
		case Equal, NotEqual, In, NotIn, Matches, NotMatches:
		default:
			p.fail(c.Pos, "texts have no order; use =, !=, in or matches, not %s", c.Op)
		}
	}
}
