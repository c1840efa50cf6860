package quality

import (
	"slices"
	"time"
)

// A dated counts rows whose time stands in an order to instants that move with the
// clock, such as now less three days. Its text differs at each evaluation, so that
// it cannot be kept; but a part whose times all lie between two neighbouring instants
// has all of its rows counted or none, which its least and greatest time tell. Only
// parts with times on both sides of an instant are read again.
type dated struct {
	at    []time.Time
	holds func(t time.Time) bool
	// bounds are the least and the greatest time, and how many rows have one.
	bounds []measure
}

// countDated counts the rows where the condition holds: a comparison of the time x
// with the instants at, which is not true for NULL and which holds tells for times
// that are none of them.
func (p *plan) countDated(x, where, condition string, at []time.Time, holds func(t time.Time) bool) string {
	d := &dated{at: at, holds: holds}
	for _, a := range []string{"min(" + x + ")" + filter(where), "max(" + x + ")" + filter(where), CountIf(both(where, x+" IS NOT NULL"))} {
		kind := p.target.mergeKind(a)
		if kind == notMerged {
			return p.scalar(CountIf(both(where, "("+condition+")")))
		}
		d.bounds = append(d.bounds, measure{id: nameOf(a), aggregate: a, kind: kind})
	}
	a := CountIf(both(where, "("+condition+")"))
	return p.ask(measure{id: a, aggregate: a, dated: d})
}

// count is the count of a part by what is kept of it; not ok if only its rows can
// tell.
func (d *dated) count(kept map[string]any) (int64, bool) {
	n, _ := kept[d.bounds[2].id].(int64)
	if n == 0 {
		_, known := kept[d.bounds[2].id]
		return 0, known
	}
	least, ok := kept[d.bounds[0].id].(time.Time)
	greatest, ok2 := kept[d.bounds[1].id].(time.Time)
	if !ok || !ok2 || slices.ContainsFunc(d.at, func(t time.Time) bool { return !t.Before(least) && !t.After(greatest) }) {
		return 0, false
	}
	if d.holds(least) {
		return n, true
	}
	return 0, true
}

// ordered tells a comparison of a time with instants, for times that are none of
// them: between every two instants it is the same for all.
func ordered(op Op, at []time.Time) func(t time.Time) bool {
	return func(t time.Time) bool {
		switch op {
		case Greater, GreaterEqual:
			return t.After(at[0])
		case Less, LessEqual:
			return t.Before(at[0])
		case Between:
			return t.After(at[0]) && t.Before(at[1])
		case NotBetween:
			return t.Before(at[0]) || t.After(at[1])
		case NotEqual, NotIn:
			return true
		}
		return false // equal to one of them
	}
}
