package quality

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// planColumnValues judges the values of a column row by row. Without a threshold
// every row must pass.
func planColumnValues(p *plan, r *Rule) (judge, error) {
	col, err := p.find(r.Parameters[0])
	if err != nil {
		return nil, err
	}
	w, err := p.where(r)
	if err != nil {
		return nil, err
	}
	pass, total := "", p.countRows(w)
	passing := total
	if r.Condition == nil {
		if !col.Type.class().numeric() {
			return nil, misplaced{r.Parameters[0].Pos, fmt.Errorf("%s is of type %s; ColumnValues measures the extremes of numbers", col.Name, col.Type)}
		}
	} else {
		if pass, err = p.passes(r.Condition, col); err != nil {
			return nil, err
		}
		passing = p.countPassing(r.Condition, col, w, pass)
	}
	name := r.Parameters[0].Value
	var low, high string
	least, greatest := extremes(r, col)
	if least {
		low = p.minimum(Ident(col.Name), w, col.Type.class() == floating)
	}
	if greatest {
		high = p.maximum(Ident(col.Name), w, col.Type.class() == floating)
	}
	return func(context.Context) outcome {
		s, err := p.share(passing, total)
		if err != nil {
			return erred(err)
		}
		if s.total == 0 {
			return noRows(r)
		}
		m := Metrics{}
		for metric, aggregate := range map[string]string{"Minimum": low, "Maximum": high} {
			if aggregate == "" {
				continue
			}
			if v, ok, err := p.value(aggregate); err == nil && ok {
				m["Column."+name+"."+metric] = v
			}
		}
		if r.Condition == nil {
			return outcome{verdict: Pass, metrics: m}
		}
		if r.Condition.Op == Matches || r.Condition.Op == NotMatches {
			m["Column."+name+".PatternMatch"] = s.ratio()
		}
		if r.Threshold != nil || len(m) == 0 {
			m["Column."+name+".ColumnValues.Compliance"] = s.ratio()
		}
		if r.Threshold != nil {
			return measured("the share of rows that pass", s.ratio(), r.Threshold, m)
		}
		o := all(s, m, fmt.Sprintf("%s is not %s", name, r.Condition))
		if lowest, ok := m["Column."+name+".Minimum"]; ok {
			o.message += ", the least value is " + show(lowest)
		}
		if highest, ok := m["Column."+name+".Maximum"]; ok {
			o.message += ", the greatest value is " + show(highest)
		}
		return o
	}, nil
}

// extremes says which of the least and the greatest value a rule reports: the one
// that its comparison depends on.
func extremes(r *Rule, col Column) (least, greatest bool) {
	c := r.Condition
	switch {
	case c == nil:
		return true, true
	case r.written.calls() && col.Type.class().numeric():
		// What later evaluations compare with.
		return c.Op == Greater || c.Op == GreaterEqual || c.Op == Between, c.Op == Less || c.Op == LessEqual || c.Op == Between
	}
	if c.Kind != KindNumber || r.Threshold != nil || !col.Type.class().numeric() || isNull(c.Operands[0]) {
		return false, false
	}
	switch c.Op {
	case Greater, GreaterEqual:
		return true, false
	case Less, LessEqual:
		return false, true
	case Equal:
		return true, true
	}
	return false, false
}

func isNull(o Operand) bool {
	k, ok := o.(Keyword)
	return ok && k.Name == Null
}

// passes is the condition on a value of the column as SQL: true for a row that
// passes, false or NULL for one that does not.
func (p *plan) passes(c *Condition, col Column) (string, error) {
	x := Ident(col.Name)
	if !slices.ContainsFunc(c.Operands, func(o Operand) bool { return !isNull(o) }) {
		switch c.Op {
		case Equal, In:
			return x + " IS NULL", nil
		case NotEqual, NotIn:
			return x + " IS NOT NULL", nil
		}
	}
	if c.ordered() && c.Op != Matches && c.Op != NotMatches {
		if i := slices.IndexFunc(c.Operands, isNull); i >= 0 {
			return "", misplaced{c.Operands[i].Position(), fmt.Errorf("NULL has no place in an order; use =, != or in")}
		}
	}
	switch c.Kind {
	case KindNumber:
		return p.numberPasses(c, col)
	case KindText:
		return p.textPasses(c, col)
	}
	return p.datePasses(c, col)
}

// combine builds a condition from comparisons of x. equal compares with operand i,
// compare with an order.
func (p *plan) combine(x string, c *Condition, equal func(o Operand) string, compare func(op string, o Operand) string) string {
	switch c.Op {
	case Between:
		return compare(">", c.Operands[0]) + " AND " + compare("<", c.Operands[1])
	case NotBetween:
		return compare("<=", c.Operands[0]) + " OR " + compare(">=", c.Operands[1])
	case Greater, GreaterEqual, Less, LessEqual:
		return compare(string(c.Op), c.Operands[0])
	}
	var terms []string
	null := false
	for _, o := range c.Operands {
		if isNull(o) {
			null = true
			continue
		}
		terms = append(terms, equal(o))
	}
	any := strings.Join(terms, " OR ")
	switch {
	case c.Op == Equal || c.Op == In:
		if null {
			return x + " IS NULL OR " + any
		}
		return any
	case null:
		return x + " IS NOT NULL AND NOT (" + any + ")"
	}
	return x + " IS NULL OR NOT (" + any + ")"
}

func (p *plan) numberPasses(c *Condition, col Column) (string, error) {
	x, cls := Ident(col.Name), col.Type.class()
	value := x
	if cls == textual && (c.Op == In || c.Op == NotIn || c.Op == NotEqual) {
		value, cls = TryCast(x, "double"), floating
	}
	if !cls.numeric() {
		return "", misplaced{c.Pos, fmt.Errorf("%s is of type %s; %s wants a column of numbers", col.Name, col.Type, c)}
	}
	for _, o := range c.Operands {
		if isNull(o) {
			continue
		}
		if _, err := numberLiteral(o, cls); err != nil {
			return "", misplaced{o.Position(), err}
		}
	}
	literal := func(o Operand) string {
		l, _ := numberLiteral(o, cls)
		return l
	}
	return p.combine(x, c, func(o Operand) string {
		equal := value + " = " + literal(o)
		if value != x { // what is no number equals none
			equal = "COALESCE(" + equal + ", FALSE)"
		}
		return equal
	}, func(op string, o Operand) string {
		return p.dialect.Compare(value, op, literal(o), cls == floating)
	}), nil
}

// numberLiteral writes a number for comparison with values of the class: a double
// for doubles and for what arithmetic gives, else exactly as written.
func numberLiteral(o Operand, cls class) (string, error) {
	v, err := amountOf(o)
	if err != nil {
		return "", err
	}
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return "", fmt.Errorf("%s is not a finite number", o)
	}
	n, written := o.(Number)
	if cls == floating || !written || len(n.Value) > 36 {
		return strconv.FormatFloat(v, 'E', -1, 64), nil
	}
	digits, minus := strings.CutPrefix(n.Value, "-")
	whole, fraction, point := strings.Cut(digits, ".")
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		whole = "0"
	}
	if point {
		whole += "." + fraction
	}
	if minus {
		whole = "-" + whole
	}
	return whole, nil
}

// whiteSpace matches a text of white space only: blanks, tabs, line ends. A no-break
// space is none.
const whiteSpace = `[\s\x0B]+`

func (p *plan) textPasses(c *Condition, col Column) (string, error) {
	x, cls := Ident(col.Name), col.Type.class()
	if c.Op == Matches || c.Op == NotMatches {
		if cls != textual {
			return "", misplaced{c.Pos, fmt.Errorf("%s is of type %s; %s wants a column of texts", col.Name, col.Type, c.Op)}
		}
		// The empty text has nothing to match: on Glue it fails both ways.
		match := p.dialect.FullMatch(x, c.Operands[0].(Text).Value)
		if c.Op == NotMatches {
			match = "NOT " + match
		}
		return x + " <> '' AND " + match, nil
	}
	return p.combine(x, c, func(o Operand) string {
		switch v := o.(type) {
		case Keyword:
			switch {
			case cls != textual:
				return "FALSE"
			case v.Name == Empty:
				return x + " = ''"
			}
			return p.dialect.FullMatch(x, whiteSpace)
		case Text:
			return textEqual(x, v.Value, col.Type)
		}
		return "FALSE"
	}, nil), nil
}

// textEqual compares a value with a text, which for a column of another type is
// read as a value of that type; what cannot be read equals nothing.
func textEqual(x, s string, t Type) string {
	switch cls := t.class(); {
	case cls == textual:
		return x + " = " + Literal(s)
	case cls.numeric():
		return "COALESCE(" + x + " = " + TryCast(Literal(s), "double") + ", FALSE)"
	case cls == other:
		return "COALESCE(" + Cast(x, "varchar") + " = " + Literal(s) + ", FALSE)"
	}
	return "COALESCE(" + x + " = " + TryCast(Literal(s), t) + ", FALSE)"
}

// countPassing counts the rows that pass. A comparison with now differs at each
// evaluation.
func (p *plan) countPassing(c *Condition, col Column, where, pass string) string {
	moves := c.Kind == KindDate && c.Op != NotEqual && c.Op != NotIn && !slices.ContainsFunc(c.Operands, isNull) &&
		slices.ContainsFunc(c.Operands, func(o Operand) bool { d, ok := o.(Date); return ok && d.Now })
	x, instants, err := p.dateSide(c, col)
	if !moves || err != nil {
		return p.scalar(CountIf(both(where, "("+pass+")")))
	}
	at := make([]time.Time, len(c.Operands))
	for i, o := range c.Operands {
		if at[i] = p.dateOf(o.(Date)).Truncate(time.Microsecond); !instants {
			at[i] = time.Date(at[i].Year(), at[i].Month(), at[i].Day(), 0, 0, 0, 0, time.UTC)
		}
	}
	return p.countDated(x, where, pass, at, ordered(c.Op, at))
}

// dateSide is what a date condition compares: days, or instants if now is taken with
// hours or minutes.
func (p *plan) dateSide(c *Condition, col Column) (x string, instants bool, err error) {
	for _, o := range c.Operands {
		d, ok := o.(Date)
		if ok && d.Clock != "" {
			return "", false, misplaced{d.Pos, fmt.Errorf("a time of day compares with files only, not with values of a column")}
		}
		instants = instants || ok && d.Sign != "" && d.Offset.Unit != "days"
	}
	x, cls := Ident(col.Name), col.Type.class()
	if cls == day && instants {
		return Cast(x, "timestamp"), true, nil
	} else if cls == day {
		return x, false, nil
	}
	if cls == textual && !instants {
		return p.textDay(x), false, nil
	}
	if x, err = p.timestamp(col); err != nil {
		return "", false, misplaced{c.Pos, fmt.Errorf("%w; %s wants a column of dates", err, c)}
	}
	if !instants {
		x = Cast(x, "date")
	}
	return x, instants, nil
}

func (p *plan) datePasses(c *Condition, col Column) (string, error) {
	x, instants, err := p.dateSide(c, col)
	if err != nil {
		return "", err
	}
	cls := col.Type.class()
	operand := func(o Operand) string {
		t := p.dateOf(o.(Date))
		if instants {
			return TimestampLiteral(t)
		}
		return DateLiteral(t)
	}
	return p.combine(Ident(col.Name), c, func(o Operand) string {
		if cls == textual {
			return "COALESCE(" + x + " = " + operand(o) + ", FALSE)"
		}
		return x + " = " + operand(o)
	}, func(op string, o Operand) string { return x + " " + op + " " + operand(o) }), nil
}

// dateOf is the instant that an operand means.
func (p *plan) dateOf(d Date) time.Time {
	switch {
	case !d.Now:
		return d.Day
	case d.Sign == "-":
		return p.now.Add(-d.Offset.Length())
	case d.Sign == "+":
		return p.now.Add(d.Offset.Length())
	}
	return p.now
}

// timestamp is the column as a timestamp without zone, in UTC.
func (p *plan) timestamp(col Column) (string, error) {
	x := Ident(col.Name)
	switch col.Type.class() {
	case instant:
		return x, nil
	case zonedInstant:
		return p.dialect.UTC(x), nil
	case day:
		return Cast(x, "timestamp"), nil
	case textual:
		return p.textMoment(x), nil
	}
	return "", fmt.Errorf("%s is of type %s", col.Name, col.Type)
}

// planFreshness judges the age of every row's time: now less the time, so that the
// future has a negative age. NULL has none and fails. No rows pass.
func planFreshness(p *plan, r *Rule) (judge, error) {
	if r.Condition == nil {
		return nil, fmt.Errorf("DataFreshness measures nothing without a duration; write it as a rule")
	}
	col, err := p.find(r.Parameters[0])
	if err != nil {
		return nil, err
	}
	w, err := p.where(r)
	if err != nil {
		return nil, err
	}
	x, err := p.timestamp(col)
	if err != nil {
		return nil, misplaced{r.Parameters[0].Pos, fmt.Errorf("%w; DataFreshness wants a column of dates or timestamps", err)}
	}
	total, passing := p.countRows(w), p.countFresh(x, w, r.Condition)
	name := r.Parameters[0].Value
	return func(context.Context) outcome {
		s, err := p.share(passing, total)
		if err != nil {
			return erred(err)
		}
		if s.total == 0 {
			return outcome{verdict: Pass, message: "no rows, so none is too old"}
		}
		return all(s, Metrics{"Column." + name + ".DataFreshness.Compliance": s.ratio()},
			fmt.Sprintf("the age of %s is not %s", name, r.Condition))
	}, nil
}

// countFresh counts the rows of the ages that are wanted, by comparing x with the
// instants at which it would have the ages of the operands: age <= 3 days is
// x >= now - 3 days.
func (p *plan) countFresh(x, where string, c *Condition) string {
	condition, op, at := p.freshPasses(x, c)
	return p.countDated(x, where, condition, at, ordered(op, at))
}

// freshPasses is the condition on the age of x as one on x itself: its SQL, and how x
// compares with which instants.
func (p *plan) freshPasses(x string, c *Condition) (condition string, op Op, at []time.Time) {
	at = make([]time.Time, len(c.Operands))
	literals := make([]string, len(c.Operands))
	for i, o := range c.Operands {
		at[i] = p.now.Add(-o.(Duration).Length()).Truncate(time.Microsecond)
		literals[i] = TimestampLiteral(at[i])
	}
	op = map[Op]Op{Less: Greater, LessEqual: GreaterEqual, Greater: Less, GreaterEqual: LessEqual}[c.Op]
	switch c.Op {
	case Between, NotBetween:
		op = c.Op
		slices.Reverse(at) // the greater age is the earlier instant
		condition = x + " < " + literals[0] + " AND " + x + " > " + literals[1]
		if op == NotBetween {
			condition = x + " >= " + literals[0] + " OR " + x + " <= " + literals[1]
		}
	case In, NotIn, Equal, NotEqual:
		op = c.Op
		word := map[Op]string{In: " IN (", NotIn: " NOT IN (", Equal: " = ", NotEqual: " <> "}[op]
		condition = x + word + strings.Join(literals, ", ")
		if op == In || op == NotIn {
			condition += ")"
		}
	default:
		condition = x + " " + string(op) + " " + literals[0]
	}
	return condition, op, at
}
