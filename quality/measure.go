package quality

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A measure is one aggregate that rules ask for: over the rows of the table, or
// over its groups of rows with an equal key.
type measure struct {
	// id is its name among the values, and the name it is kept by in a State.
	id        string
	aggregate string
	over      *grouping // nil: over rows
	// kind says how the values of parts make that of the whole; empty if they do not.
	kind mergeKind
	// moves is set if the aggregate has the clock in its text.
	moves bool
	// dated is set if the aggregate compares times with the clock's.
	dated *dated
}

// A grouping is the rows where a condition holds (all if it is empty) by the values
// of columns. Aggregates over it know the number of rows of a group as n.
type grouping struct {
	idents []string // of the columns, quoted
	where  string
}

func (g grouping) id() string { return strings.Join(g.idents, ", ") + " where " + g.where }

// statement selects aggregates over the groups of a relation.
func (g grouping) statement(head string, aggregates []measure, relation string) string {
	s := "SELECT" + head + columnsOf(aggregates) + "\nFROM (SELECT count(*) AS n FROM " + relation
	if g.where != "" {
		s += "\n  WHERE " + g.where
	}
	return s + "\n  GROUP BY " + strings.Join(g.idents, ", ") + ") AS g"
}

// scalar asks for an aggregate over the rows of the table. Its value is told by
// value and count under the name that scalar returns.
func (p *plan) scalar(aggregate string) string {
	return p.ask(measure{id: aggregate, aggregate: aggregate, kind: p.target.mergeKind(aggregate)})
}

// minimum and maximum ask for the least and the greatest x of the rows where the
// condition holds; with floating, NaN is above all numbers.
func (p *plan) minimum(x, where string, floating bool) string {
	a := p.dialect.Minimum(x, where, floating)
	return p.ask(measure{id: a, aggregate: a, kind: p.target.mergeKind("min(" + x + ")" + filter(where))})
}

func (p *plan) maximum(x, where string, floating bool) string {
	a := p.dialect.Maximum(x, where, floating)
	return p.ask(measure{id: a, aggregate: a, kind: p.target.mergeKind("max(" + x + ")" + filter(where))})
}

// groups asks for an aggregate over the groups, in which n is the number of rows
// of a group.
func (p *plan) groups(g grouping, aggregate string) string {
	kind := notMerged
	if p.target.partedBy(g.idents) && p.target.pure(g.where) {
		kind = p.target.mergeKind(aggregate)
	}
	return p.ask(measure{id: aggregate + " over groups of " + g.id(), aggregate: aggregate, over: &g, kind: kind})
}

// maxName is the longest name of a measure, in bytes; a longer one is told by its hash.
const maxName = 240

func (p *plan) ask(m measure) string {
	m.id = nameOf(m.id)
	p.asks = append(p.asks, m)
	return m.id
}

func nameOf(id string) string {
	if len(id) <= maxName {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// reads notes that the rule reads all rows by statements of its own, and why.
func (p *plan) reads(why string) { p.own = why }

// measures holds what was measured for the rules of one evaluation.
type measures struct {
	querier Querier
	state   State
	target  Target
	kept    partValues // of the state, and what was measured since
	fresh   bool       // kept has values that the state does not
	values  map[string]any
	failed  map[*plan]error   // plans whose aggregates could not be taken
	answers map[string]answer // of other statements, by their text
}

type answer struct {
	columns []string
	rows    [][]any
	err     error
}

func newMeasures(q Querier, s State, t Target) *measures {
	return &measures{querier: q, state: s, target: t, kept: partValues{}, values: map[string]any{},
		failed: map[*plan]error{}, answers: map[string]answer{}}
}

// take takes what all plans ask for, in as few statements as can be. If that fails
// it takes what each plan asks for by itself, so that only the rules at fault are
// ERROR. The error is that of the state.
func (m *measures) take(ctx context.Context, plans []*plan) error {
	var all []measure
	users := 0
	for _, p := range plans {
		if len(p.asks) > 0 {
			users++
		}
		all = append(all, p.asks...)
	}
	if len(all) == 0 {
		return nil
	}
	if err := m.load(ctx); err != nil {
		return err
	}
	err := m.takeAll(ctx, all)
	if err != nil && ctx.Err() == nil {
		for _, p := range plans {
			if len(p.asks) == 0 {
				continue
			}
			if users > 1 {
				err = m.takeAll(ctx, p.asks)
			}
			if err != nil {
				m.failed[p] = err
			}
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return m.save(ctx, all)
}

// takeAll takes measures: by parts what can be, the rest over the whole table.
func (m *measures) takeAll(ctx context.Context, asks []measure) error {
	var parted, whole []measure
	seen := map[string]bool{}
	for _, a := range asks {
		if seen[a.id] {
			continue
		}
		seen[a.id] = true
		if len(m.target.Parts) > 0 && (a.kind != notMerged || a.dated != nil) {
			parted = append(parted, a)
		} else {
			whole = append(whole, a)
		}
	}
	rest, err := m.takeParts(ctx, parted)
	if err != nil {
		return err
	}
	return m.takeWhole(ctx, append(whole, rest...))
}

// takeWhole takes measures over the whole table: all over rows in one statement,
// those over groups in one for each grouping.
func (m *measures) takeWhole(ctx context.Context, asks []measure) error {
	for _, batch := range byGrouping(asks) {
		_, rows, err := m.querier.Query(ctx, selectOf("", batch, m.target.relation()))
		if err != nil {
			return err
		}
		if len(rows) != 1 || len(rows[0]) != len(batch) {
			return fmt.Errorf("the statement of %d aggregates gave no row of them", len(batch))
		}
		for i, a := range batch {
			m.values[a.id] = rows[0][i]
		}
	}
	return nil
}

// byGrouping splits measures into those that one SELECT can take.
func byGrouping(asks []measure) [][]measure {
	var out [][]measure
	at := map[string]int{}
	for _, a := range asks {
		g := ""
		if a.over != nil {
			g = "by " + a.over.id()
		}
		i, ok := at[g]
		if !ok {
			i = len(out)
			at[g] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], a)
	}
	return out
}

// selectOf selects measures of one grouping, named m0, m1 and so on, behind head.
func selectOf(head string, batch []measure, relation string) string {
	if g := batch[0].over; g != nil {
		return g.statement(head, batch, relation)
	}
	return "SELECT" + head + columnsOf(batch) + "\nFROM " + relation
}

func columnsOf(batch []measure) string {
	var b strings.Builder
	for i, a := range batch {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "\n  %s AS m%d", a.aggregate, i)
	}
	return b.String()
}

// relation is the target under the name that fragments know it by.
func (t Target) relation() string { return t.From + " AS " + Ident(primaryName) }

// value is a measured aggregate as a number; not ok if it is NULL.
func (p *plan) value(aggregate string) (v float64, ok bool, err error) {
	if err := p.measures.failed[p]; err != nil {
		return 0, false, err
	}
	return toFloat(p.measures.values[aggregate])
}

// count is a measured count.
func (p *plan) count(aggregate string) (float64, error) {
	v, _, err := p.value(aggregate)
	return v, err
}

// query runs a statement of the rule's own once. A planner that will query the
// table says so by reads.
func (p *plan) query(ctx context.Context, sql string) answer {
	a, ok := p.measures.answers[sql]
	if !ok {
		a.columns, a.rows, a.err = p.measures.querier.Query(ctx, sql)
		p.measures.answers[sql] = a
	}
	return a
}

// toFloat reads a value as a number: true is 1, a time its seconds since 1970.
func toFloat(v any) (float64, bool, error) {
	switch v := v.(type) {
	case nil:
		return 0, false, nil
	case bool:
		if v {
			return 1, true, nil
		}
		return 0, true, nil
	case int64:
		return float64(v), true, nil
	case int32:
		return float64(v), true, nil
	case int:
		return float64(v), true, nil
	case float64:
		return v, true, nil
	case float32:
		return float64(v), true, nil
	case time.Time:
		return float64(v.UnixMicro()) / 1e6, true, nil
	case string:
		f, err := strconv.ParseFloat(v, 64)
		if err != nil {
			return 0, false, fmt.Errorf("%q is not a number", v)
		}
		return f, true, nil
	}
	return 0, false, fmt.Errorf("a value of type %T is not a number", v)
}
