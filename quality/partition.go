package quality

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Part is a piece of a target: a partition of a table. What was measured of it
// can be kept by its key and need not be measured again while the key is the same.
type Part struct {
	// Key names the content: a hash of the immutable files that hold it.
	Key string
	// From is its rows as they stand after FROM.
	From string
	// Touched is set if the run that is judged has changed it.
	Touched bool
}

// A State keeps what was measured of the parts of one table.
type State interface {
	// Load gives what is kept of the parts with these keys: values by measure, by
	// part.
	Load(ctx context.Context, parts []string) (map[string]map[string]string, error)
	// Save keeps these values and no others.
	Save(ctx context.Context, values map[string]map[string]string) error
}

// partValues are measured values by the key of the part and the measure.
type partValues map[string]map[string]any

func (v partValues) set(part, measure string, value any) {
	if v[part] == nil {
		v[part] = map[string]any{}
	}
	v[part][measure] = value
}

// partedBy reports whether rows that are equal in these columns are in one part.
func (t Target) partedBy(idents []string) bool {
	if t.PartedBy == "" {
		return false
	}
	c, err := t.find(t.PartedBy)
	return err == nil && slices.Contains(idents, Ident(c.Name))
}

// OnlyTouched is the target with the rows of touched parts only. It is not ok, and the
// whole target, if that is all of it or if no part is known to be touched.
func (t Target) OnlyTouched() (Target, bool) {
	var froms []string
	n := 0
	for _, p := range t.Parts {
		if p.Touched {
			froms = append(froms, "SELECT * FROM "+p.From+" AS p")
			n++
		}
	}
	if n == 0 || n == len(t.Parts) {
		return t, false
	}
	t.From = "(" + strings.Join(froms, "\nUNION ALL\n") + ")"
	t.Parts = nil
	return t, true
}

// load brings what the state keeps of the target's parts.
func (m *measures) load(ctx context.Context) error {
	if m.state == nil || len(m.target.Parts) == 0 {
		return nil
	}
	keys := make([]string, len(m.target.Parts))
	for i, p := range m.target.Parts {
		keys[i] = p.Key
	}
	kept, err := m.state.Load(ctx, keys)
	if err != nil {
		return fmt.Errorf("what was measured of earlier partitions of %s: %w", m.target.Name, err)
	}
	for part, values := range kept {
		for measure, text := range values {
			if v, ok := decodeValue(text); ok {
				m.kept.set(part, measure, v)
			}
		}
	}
	return nil
}

// save hands the state what it does not have yet, and with it what of the rest was
// of use.
func (m *measures) save(ctx context.Context, asks []measure) error {
	if m.state == nil || !m.fresh {
		return nil
	}
	out := map[string]map[string]string{}
	for _, p := range m.target.Parts {
		values := map[string]string{}
		for _, a := range stored(asks) {
			if v, ok := m.kept[p.Key][a.id]; ok {
				if text, ok := encodeValue(v); ok {
					values[a.id] = text
				}
			}
		}
		out[p.Key] = values
	}
	if err := m.state.Save(ctx, out); err != nil {
		return fmt.Errorf("what was measured of the partitions of %s: %w", m.target.Name, err)
	}
	m.fresh = false
	return nil
}

// stored are the measures that parts keep for the given ones.
func stored(asks []measure) []measure {
	var out []measure
	seen := map[string]bool{}
	for _, a := range asks {
		needs := []measure{a}
		if a.dated != nil {
			needs = a.dated.bounds
		}
		for _, n := range needs {
			if n.kind != notMerged && !seen[n.id] {
				seen[n.id] = true
				out = append(out, n)
			}
		}
	}
	return out
}

// takeParts takes measures part by part, those parts only of which they are not
// kept, and merges them. It gives back the measures whose values do not merge.
func (m *measures) takeParts(ctx context.Context, asks []measure) (rest []measure, err error) {
	if len(asks) == 0 {
		return nil, nil
	}
	keep := stored(asks)
	err = m.ask(ctx, keep, func(p Part, a measure) bool {
		_, ok := m.kept[p.Key][a.id]
		return !ok
	}, func(p Part, a measure, v any) {
		m.kept.set(p.Key, a.id, v)
		m.fresh = true
	})
	if err != nil {
		return nil, err
	}
	// Of times compared with the clock's, the parts that lie on both sides.
	now := partValues{}
	var dates []measure
	for _, a := range asks {
		if a.dated != nil {
			dates = append(dates, a)
		}
	}
	err = m.ask(ctx, dates, func(p Part, a measure) bool {
		n, ok := a.dated.count(m.kept[p.Key])
		if ok {
			now.set(p.Key, a.id, n)
		}
		return !ok
	}, func(p Part, a measure, v any) { now.set(p.Key, a.id, v) })
	if err != nil {
		return nil, err
	}
	for _, a := range asks {
		from, kind := m.kept, a.kind
		if a.dated != nil {
			from, kind = now, mergeCount
		}
		values := make([]any, len(m.target.Parts))
		for i, p := range m.target.Parts {
			values[i] = from[p.Key][a.id]
		}
		v, ok := kind.merge(values)
		if !ok {
			rest = append(rest, a)
			continue
		}
		m.values[a.id] = v
	}
	return rest, nil
}

// maxStatement bounds the text of a statement over several parts, in bytes; Athena
// takes 262,144. A single part may need more.
const maxStatement = 128 << 10

// ask measures what is missing of each part: parts that lack the same in one
// statement, as far as its text may go.
func (m *measures) ask(ctx context.Context, asks []measure, missing func(Part, measure) bool, found func(Part, measure, any)) error {
	for _, batch := range byGrouping(asks) {
		var order []string
		lacks := map[string][]measure{}
		parts := map[string][]int{}
		for i, p := range m.target.Parts {
			var lack []measure
			id := ""
			for _, a := range batch {
				if missing(p, a) {
					lack = append(lack, a)
					id += a.id + "\x00"
				}
			}
			if len(lack) == 0 {
				continue
			}
			if lacks[id] == nil {
				order = append(order, id)
				lacks[id] = lack
			}
			parts[id] = append(parts[id], i)
		}
		for _, id := range order {
			if err := m.askParts(ctx, lacks[id], parts[id], found); err != nil {
				return err
			}
		}
	}
	return nil
}

// askParts takes measures of parts, a SELECT for each.
func (m *measures) askParts(ctx context.Context, batch []measure, parts []int, found func(Part, measure, any)) error {
	for len(parts) > 0 {
		var sql strings.Builder
		wanted := map[int64]Part{}
		for _, i := range parts {
			p := m.target.Parts[i]
			one := selectOf(fmt.Sprintf("\n  %d AS part,", i), batch, p.From+" AS "+Ident(primaryName))
			if len(wanted) > 0 {
				if sql.Len()+len(one) > maxStatement {
					break
				}
				sql.WriteString("\nUNION ALL\n")
			}
			sql.WriteString(one)
			wanted[int64(i)] = p
		}
		parts = parts[len(wanted):]
		_, rows, err := m.querier.Query(ctx, sql.String())
		if err != nil {
			return err
		}
		for _, row := range rows {
			i, _, err := toFloat(row[0])
			if err != nil || len(row) != len(batch)+1 {
				return fmt.Errorf("a row of %d values where %d aggregates of a part were expected", len(row), len(batch))
			}
			p, ok := wanted[int64(i)]
			if !ok {
				return fmt.Errorf("the aggregates of part %d came twice or were not asked for", int64(i))
			}
			delete(wanted, int64(i))
			for k, a := range batch {
				found(p, a, row[k+1])
			}
		}
		if len(wanted) > 0 {
			return fmt.Errorf("the statement of %d aggregates gave none of the parts %v", len(batch), slices.Sorted(maps.Keys(wanted)))
		}
	}
	return nil
}

// why is the reason for which the rule reads all rows at each evaluation, empty if
// what parts give is enough.
func (p *plan) why() string {
	if p.own != "" {
		return p.own
	}
	for _, a := range p.asks {
		if a.kind != notMerged || a.dated != nil {
			continue
		}
		switch {
		case a.over != nil && !p.target.partedBy(a.over.idents):
			return "rows of one key (" + strings.Join(a.over.idents, ", ") + ") may be in several partitions"
		case a.moves:
			return "its rows are compared with what is another at each evaluation"
		case a.over != nil && !p.target.pure(a.over.where) || merges(a.aggregate):
			return "its SQL calls what may answer otherwise the next time, or asks for other rows"
		}
		return "its values in partitions do not make that of the table"
	}
	return ""
}
