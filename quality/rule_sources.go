package quality

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
)

// source finds a further table by its alias; primary is the table itself.
func (p *plan) source(alias string, pos Position) (Target, error) {
	if alias == primaryName {
		return p.target, nil
	}
	s, ok := p.target.Sources[alias]
	if !ok {
		var names []string
		for name := range p.target.Sources {
			names = append(names, name)
		}
		slices.Sort(names)
		hint := "there are no other sources"
		if n := nearest(alias, names); n != "" {
			hint = fmt.Sprintf("did you mean %q?", n)
		} else if len(names) > 0 {
			hint = "there are " + strings.Join(names, ", ")
		}
		return Target{}, misplaced{pos, missingSource{fmt.Errorf("there is no data source %q; %s", alias, hint)}}
	}
	return Target{Name: alias, From: s.From, Columns: s.Columns}, nil
}

// missingSource is the error of a data source that is not there.
type missingSource struct{ error }

// The names of the two relations in statements that join them.
const (
	ours   = `"ours"`
	theirs = `"theirs"`
)

// numbersOfQuery runs a statement of one row of numbers; NULL is 0.
func (p *plan) numbersOfQuery(ctx context.Context, sql string, n int) ([]float64, error) {
	a := p.query(ctx, sql)
	if a.err != nil {
		return nil, a.err
	}
	if len(a.rows) != 1 || len(a.rows[0]) != n {
		return nil, fmt.Errorf("the statement gave %d rows and not one of %d numbers", len(a.rows), n)
	}
	out := make([]float64, len(a.rows[0]))
	for i, v := range a.rows[0] {
		var err error
		if out[i], _, err = toFloat(v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// planRowCountMatch compares the number of rows with that of another source: ours by
// theirs. By no rows it is infinite.
func planRowCountMatch(p *plan, r *Rule) (judge, error) {
	alias := r.Parameters[0].Value
	other, err := p.source(unescape(alias), r.Parameters[0].Pos)
	if err != nil {
		return nil, err
	}
	rows := p.countRows("")
	return func(ctx context.Context) outcome {
		n, err := p.count(rows)
		if err != nil {
			return erred(err)
		}
		v := []float64{n}
		if other.From != p.target.From {
			if v, err = p.numbersOfQuery(ctx, "SELECT count(*) FROM "+other.From+" AS "+theirs, 1); err != nil {
				return erred(err)
			}
		}
		ratio := n / v[0]
		return measured(fmt.Sprintf("%s rows by %s of %s", show(n), show(v[0]), alias), ratio, r.Condition, Metrics{"Dataset." + alias + ".RowCountMatch": ratio})
	}, nil
}

// columnList takes "a, b" apart.
func columnList(text string) (names []string) {
	for _, name := range strings.Split(text, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// reference takes "source.column" or "source.{a, b}" apart.
func reference(text string) (alias string, columns []string, ok bool) {
	if alias, list, ok := strings.Cut(text, ".{"); ok {
		list, closed := strings.CutSuffix(strings.TrimSpace(list), "}")
		return alias, columnList(list), closed && alias != ""
	}
	i := strings.LastIndexByte(text, '.')
	if i <= 0 || i == len(text)-1 {
		return "", nil, false
	}
	return text[:i], []string{text[i+1:]}, true
}

// foundIn is true for a row of the table whose values another source has. NULL is in
// none.
func (p *plan) foundIn(r *Rule) (sql string, err error) {
	names := columnList(unescape(r.Parameters[0].Value))
	at := r.Parameters[1]
	alias, columns, ok := reference(unescape(at.Value))
	if !ok {
		return "", misplaced{at.Pos, fmt.Errorf("%q: want columns of another source, as %q or %q", at.Value, "reference.symbol", "reference.{symbol, ts}")}
	}
	other, err := p.source(alias, at.Pos)
	if err != nil {
		return "", err
	}
	if len(names) != len(columns) || len(names) == 0 {
		return "", misplaced{at.Pos, fmt.Errorf("%d columns are compared with %d of %s", len(names), len(columns), alias)}
	}
	var equal []string
	for i, name := range names {
		mine, err := p.target.find(name)
		if err != nil {
			return "", misplaced{r.Parameters[0].Pos, missingColumn{err}}
		}
		their, err := other.find(columns[i])
		if err != nil {
			return "", misplaced{at.Pos, missingColumn{err}}
		}
		equal = append(equal, Ident(primaryName)+"."+Ident(mine.Name)+" = "+theirs+"."+Ident(their.Name))
	}
	return "EXISTS (SELECT 1 FROM " + other.From + " AS " + theirs + " WHERE " + strings.Join(equal, " AND ") + ")", nil
}

// planReferentialIntegrity measures the share of rows whose values another source has.
func planReferentialIntegrity(p *plan, r *Rule) (judge, error) {
	found, err := p.foundIn(r)
	if err != nil {
		return nil, err
	}
	alias, _, _ := reference(unescape(r.Parameters[1].Value))
	p.reads("it looks up every row in " + alias)
	sql := "SELECT count(*), " + CountIf("found") + "\nFROM (SELECT " + found + " AS found FROM " + p.target.relation() + ") AS t"
	return func(ctx context.Context) outcome {
		v, err := p.numbersOfQuery(ctx, sql, 2)
		if err != nil {
			return erred(err)
		}
		s := share{part: v[1], total: v[0]}
		if s.total == 0 {
			return noRows(r)
		}
		return measured("the share of rows that "+alias+" has", s.ratio(), r.Condition, Metrics{"Column." + alias + ".ReferentialIntegrity": s.ratio()})
	}, nil
}

// A pairing is columns of ours with those of theirs.
type pairing struct{ ours, theirs Column }

// pairings reads "a, b->c": columns of one name, and those that are named otherwise there.
func (p *plan) pairings(param Parameter, other Target) (out []pairing, err error) {
	for _, part := range columnList(unescape(param.Value)) {
		mine, their, renamed := strings.Cut(part, "->")
		if !renamed {
			their = mine
		}
		var pair pairing
		if pair.ours, err = p.target.find(strings.TrimSpace(mine)); err == nil {
			pair.theirs, err = other.find(strings.TrimSpace(their))
		}
		if err != nil {
			return nil, misplaced{param.Pos, missingColumn{err}}
		}
		out = append(out, pair)
	}
	if len(out) == 0 {
		return nil, misplaced{param.Pos, fmt.Errorf("want columns, as %q or %q", "symbol, ts", "close->last")}
	}
	return out, nil
}

// planDatasetMatch measures the share of rows that another source has with equal keys
// and equal values, by default of all other columns. Keys must be unique on both sides;
// among values NULL equals NULL.
func planDatasetMatch(p *plan, r *Rule) (judge, error) {
	alias := r.Parameters[0].Value
	other, err := p.source(unescape(alias), r.Parameters[0].Pos)
	if err != nil {
		return nil, err
	}
	keys, err := p.pairings(r.Parameters[1], other)
	if err != nil {
		return nil, err
	}
	values, err := p.matched(r, other, keys)
	if err != nil {
		return nil, err
	}
	var on, same, mine, their []string
	for _, k := range keys {
		on = append(on, ours+"."+Ident(k.ours.Name)+" = "+theirs+"."+Ident(k.theirs.Name))
		mine, their = append(mine, Ident(k.ours.Name)), append(their, Ident(k.theirs.Name))
	}
	for _, v := range values {
		same = append(same, ours+"."+Ident(v.ours.Name)+" IS NOT DISTINCT FROM "+theirs+"."+Ident(v.theirs.Name))
	}
	if len(same) == 0 {
		same = []string{"TRUE"}
	}
	p.reads("it compares every row with " + alias)
	sql := "SELECT (SELECT count(*) FROM " + p.target.From + " AS " + ours + "), " + CountIf(strings.Join(same, " AND ")) +
		"\nFROM " + p.target.From + " AS " + ours + " JOIN " + other.From + " AS " + theirs + " ON " + strings.Join(on, " AND ")
	twice := []string{keyTwice(p.target.From, mine), keyTwice(other.From, their)}
	return func(ctx context.Context) outcome {
		for i, q := range twice {
			v, err := p.numbersOfQuery(ctx, q, 1)
			if err != nil {
				return erred(err)
			}
			if v[0] > 0 {
				return erred(fmt.Errorf("%s has %s keys (%s) more than once; DatasetMatch wants unique keys",
					[]string{p.target.Name, alias}[i], show(v[0]), r.Parameters[1].Value))
			}
		}
		v, err := p.numbersOfQuery(ctx, sql, 2)
		if err != nil {
			return erred(err)
		}
		s := share{part: v[1], total: v[0]}
		if s.total == 0 {
			return noRows(r)
		}
		return measured("the share of rows that "+alias+" has alike", s.ratio(), r.Condition, Metrics{"Dataset." + alias + ".DatasetMatch": s.ratio()})
	}, nil
}

// matched are the columns to compare: those that the rule names, else all but the keys.
func (p *plan) matched(r *Rule, other Target, keys []pairing) (out []pairing, err error) {
	if len(r.Parameters) > 2 {
		return p.pairings(r.Parameters[2], other)
	}
	for _, c := range p.target.Columns {
		if slices.ContainsFunc(keys, func(k pairing) bool { return k.ours.Name == c.Name }) {
			continue
		}
		their, err := other.find(c.Name)
		if err != nil {
			return nil, misplaced{r.Parameters[0].Pos, missingColumn{err}}
		}
		out = append(out, pairing{c, their})
	}
	return out, nil
}

// keyTwice counts the keys that stand more than once.
func keyTwice(from string, columns []string) string {
	list := strings.Join(columns, ", ")
	return "SELECT count(*) FROM (SELECT 1 AS one FROM " + from + " AS " + ours + " GROUP BY " + list + " HAVING count(*) > 1) AS g"
}

// planSchemaMatch measures the share of columns that both sides have with the same type.
func planSchemaMatch(p *plan, r *Rule) (judge, error) {
	alias := r.Parameters[0].Value
	other, err := p.source(unescape(alias), r.Parameters[0].Pos)
	if err != nil {
		return nil, err
	}
	same := 0
	var differ []string
	for _, c := range p.target.Columns {
		if slices.ContainsFunc(other.Columns, func(o Column) bool { return o.Name == c.Name && o.Type.sql() == c.Type.sql() }) {
			same++
		} else {
			differ = append(differ, c.Name)
		}
	}
	return func(context.Context) outcome {
		of := max(len(p.target.Columns), len(other.Columns))
		if of == 0 {
			return outcome{verdict: Fail, message: "there are no columns"}
		}
		v := float64(same) / float64(of)
		o := measured("the share of columns that "+alias+" has alike", v, r.Condition, Metrics{"Dataset." + alias + ".SchemaMatch": v})
		if len(differ) > 0 {
			o.message += "; not alike: " + strings.Join(differ, ", ")
		}
		return o
	}, nil
}

var aggregateExpression = regexp.MustCompile(`^\s*(sum|avg|SUM|AVG)\(\s*(.+?)\s*\)\s*$`)

// aggregateOf reads "sum(close)" or "avg(reference.close)".
func (p *plan) aggregateOf(param Parameter) (sql, column string, err error) {
	m := aggregateExpression.FindStringSubmatch(unescape(param.Value))
	if m == nil {
		return "", "", misplaced{param.Pos, fmt.Errorf("%q: want sum or avg of a column, as %q or %q", param.Value, "sum(volume)", "avg(reference.close)")}
	}
	t, name := p.target, m[2]
	if _, err := t.find(name); err != nil {
		if alias, columns, ok := reference(name); ok && len(columns) == 1 {
			if t, err = p.source(alias, param.Pos); err != nil {
				return "", "", err
			}
			name = columns[0]
		}
	}
	col, err := t.find(name)
	if err != nil {
		return "", "", misplaced{param.Pos, missingColumn{err}}
	}
	x := Ident(col.Name)
	switch cls := col.Type.class(); {
	case cls == textual:
		x = TryCast(x, "double")
	case cls.numeric() && strings.EqualFold(m[1], "avg"):
		x = Cast(x, "double") // the mean of decimals is a decimal in Trino
	case cls == integral:
		x = p.dialect.Addend(x)
	case !cls.numeric():
		return "", "", misplaced{param.Pos, fmt.Errorf("%s is of type %s; %s wants a column of numbers", col.Name, col.Type, strings.ToLower(m[1]))}
	}
	p.reads("it aggregates by a statement of its own")
	return "SELECT " + strings.ToLower(m[1]) + "(" + x + ") FROM " + t.From + " AS " + theirs, name, nil
}

// aggregateMetric is the name of the metric: the columns without their sources.
func aggregateMetric(r *Rule) string {
	var names []string
	for _, param := range r.Parameters {
		name := ""
		if m := aggregateExpression.FindStringSubmatch(unescape(param.Value)); m != nil {
			name = m[2][strings.LastIndexByte(m[2], '.')+1:]
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return "Column." + strings.Join(names, ",") + ".AggregateMatch"
}

// planAggregateMatch divides one aggregate by another. NULL is 0, 0 by 0 is 1, and what
// else is divided by 0 is 0.
func planAggregateMatch(p *plan, r *Rule) (judge, error) {
	first, column, err := p.aggregateOf(r.Parameters[0])
	if err != nil {
		return nil, err
	}
	second, other, err := p.aggregateOf(r.Parameters[1])
	if err != nil {
		return nil, err
	}
	if other != column {
		column += "," + other
	}
	return func(ctx context.Context) outcome {
		a, err := p.numbersOfQuery(ctx, first, 1)
		if err != nil {
			return erred(err)
		}
		b, err := p.numbersOfQuery(ctx, second, 1)
		if err != nil {
			return erred(err)
		}
		v := a[0] / b[0]
		switch {
		case math.IsNaN(a[0]):
		case b[0] == 0 && a[0] == 0:
			v = 1
		case b[0] == 0:
			v = 0
		}
		what := fmt.Sprintf("%s by %s", r.Parameters[0].Value, r.Parameters[1].Value)
		return measured(what, v, r.Condition, Metrics{"Column." + column + ".AggregateMatch": v})
	}, nil
}
