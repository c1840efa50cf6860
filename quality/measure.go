package quality

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// measures holds what was measured for the rules of one evaluation.
type measures struct {
	querier Querier
	values  map[string]any    // by aggregate
	failed  map[*plan]error   // plans whose aggregates could not be taken
	answers map[string]answer // of other statements, by their text
}

type answer struct {
	columns []string
	rows    [][]any
	err     error
}

// scalar asks for an aggregate over the rows where the condition holds.
func (p *plan) scalar(aggregate string) string {
	p.scalars = append(p.scalars, aggregate)
	return aggregate
}

// take takes the aggregates of all plans in one statement. If that fails it takes
// those of each plan by themselves, so that only the rules at fault are ERROR.
func (m *measures) take(ctx context.Context, plans []*plan, t Target) {
	m.values, m.failed = map[string]any{}, map[*plan]error{}
	var all []string
	users := 0
	for _, p := range plans {
		if len(p.scalars) > 0 {
			users++
		}
		all = append(all, p.scalars...)
	}
	if len(all) == 0 {
		return
	}
	err := m.aggregate(ctx, all, t)
	if err == nil || ctx.Err() != nil {
		return
	}
	for _, p := range plans {
		if len(p.scalars) == 0 {
			continue
		}
		if users > 1 {
			err = m.aggregate(ctx, p.scalars, t)
		}
		if err != nil {
			m.failed[p] = err
		}
	}
}

func (m *measures) aggregate(ctx context.Context, aggregates []string, t Target) error {
	sql, distinct := scalarStatement(aggregates, t)
	_, rows, err := m.querier.Query(ctx, sql)
	if err != nil {
		return err
	}
	if len(rows) != 1 || len(rows[0]) != len(distinct) {
		return fmt.Errorf("the statement of %d aggregates gave no row of them", len(distinct))
	}
	for i, a := range distinct {
		m.values[a] = rows[0][i]
	}
	return nil
}

// scalarStatement selects each of the aggregates once, named m0, m1 and so on.
func scalarStatement(aggregates []string, t Target) (string, []string) {
	var b strings.Builder
	var distinct []string
	seen := map[string]bool{}
	b.WriteString("SELECT")
	for _, a := range aggregates {
		if seen[a] {
			continue
		}
		seen[a] = true
		if len(distinct) > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "\n  %s AS m%d", a, len(distinct))
		distinct = append(distinct, a)
	}
	b.WriteString("\nFROM " + t.relation())
	return b.String(), distinct
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

// query runs a statement once.
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
