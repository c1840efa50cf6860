package lake

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake"
)

// spans gives what the fetches of the run tell of the table completely, if they are
// complete, those of rows that are skipped not.
func (b *builder) spans() []Span {
	var out []Span
	type fetch struct {
		symbol, id string
		at         time.Time
	}
	seen := map[fetch]int{}
	for _, g := range b.groups {
		if g.Table != b.name || g.Outcome != OutcomeBars || skipped(g, b.skips) {
			continue
		}
		r, anew := b.restated[g.Symbol]
		anew = anew && r.FetchID == g.FetchID && r.FetchedAt.Equal(g.FetchedAt)
		if tickerlake.FromFile(g.FetchID) && !anew {
			continue
		}
		// The rows of a fetch may lie in several objects.
		key := fetch{g.Symbol, g.FetchID, g.FetchedAt}
		if i, ok := seen[key]; ok {
			s := &out[i]
			s.From, s.To = tickerlake.Earlier(s.From, g.MinTs), tickerlake.Later(s.To, g.MaxTs)
			continue
		}
		seen[key] = len(out)
		s := Span{Symbol: g.Symbol, From: g.MinTs, To: g.MaxTs, FetchedAt: g.FetchedAt, FetchID: g.FetchID, Remove: b.lake.Remove[g.Source]}
		if anew {
			s.From, s.To, s.Anew = r.From, r.To, true
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Span) int { return strings.Compare(a.Symbol, b.Symbol) })
	return out
}

// reach is the part of the spans, which are sorted by symbol, that matters to a
// partition: it has files in which they may show withdrawn bars, or rows of several
// fetches; rows from files, which have no span, may be there too.
func (p Part) reach(spans []Span, files []file) []Span {
	first, last := p.Partition, p.Partition+"~"
	overlaps := func(s Span) bool {
		return s.From.Format(time.DateOnly) < last && first <= s.To.Format(time.DateOnly)
	}
	var out []Span
	for i := 0; i < len(spans); {
		symbol := spans[i].Symbol
		var here []Span
		for ; i < len(spans) && spans[i].Symbol == symbol; i++ {
			if overlaps(spans[i]) {
				here = append(here, spans[i])
			}
		}
		for _, s := range here {
			if s.Anew || len(here) > 1 || slices.ContainsFunc(files, func(f file) bool { return f.partition == p.Partition && f.within(s) }) {
				out = append(out, s)
			}
		}
	}
	return out
}

// within reports whether the file may hold bars of a span.
func (f file) within(s Span) bool {
	return f.symbols[0] <= s.Symbol && s.Symbol <= f.symbols[1] && !f.times[0].After(s.To) && !f.times[1].Before(s.From)
}

// bare gives a part without rows for each partition that has none in this run, but
// files within the spans of fetches.
func bare(table string, parts []Part, spans []Span, files []file) []Part {
	var out []Part
	for _, f := range files {
		has := func(p Part) bool { return p.Partition == f.partition }
		if slices.ContainsFunc(parts, has) || slices.ContainsFunc(out, has) || !slices.ContainsFunc(spans, f.within) {
			continue
		}
		out = append(out, Part{Outcome: OutcomeBars, Table: table, Partition: f.partition})
	}
	return out
}

// maxTold bounds the withdrawals that the log names one by one, a table.
const maxTold = 20

// tellWithdrawn logs the bars that the sources no longer have.
func tellWithdrawn(ctx context.Context, run Run, c Candidate) {
	for i, w := range c.Withdrawn {
		if i == maxTold {
			run.Log().WarnContext(ctx, "more bars are withdrawn", "table", c.Table, "symbols", len(c.Withdrawn)-maxTold)
			return
		}
		what := "the source no longer has bars; they stay (withdrawn: report)"
		if w.Removed {
			what = "the source no longer has bars; they are removed, their revisions say when"
		}
		run.Log().WarnContext(ctx, what, "table", c.Table, "symbol", w.Symbol, "first", w.First, "last", w.Last, "bars", w.Bars, "fetch_id", w.FetchID)
	}
}

// together joins what the partitions of a table told of one symbol and fetch.
func together(all []Withdrawal) []Withdrawal {
	var out []Withdrawal
	for _, w := range all {
		i := slices.IndexFunc(out, func(o Withdrawal) bool {
			return o.Symbol == w.Symbol && o.FetchID == w.FetchID && o.FetchedAt.Equal(w.FetchedAt) && o.Removed == w.Removed
		})
		if i < 0 {
			out = append(out, w)
			continue
		}
		o := &out[i]
		o.Bars += w.Bars
		o.First, o.Last = tickerlake.Earlier(o.First, w.First), tickerlake.Later(o.Last, w.Last)
	}
	slices.SortFunc(out, func(a, b Withdrawal) int { return strings.Compare(a.Symbol, b.Symbol) })
	return out
}

// withdrawn counts withdrawn bars.
func withdrawn(all []Withdrawal) tickerlake.Counts {
	var c tickerlake.Counts
	for _, w := range all {
		c.Withdrawn += w.Bars
		if w.Removed {
			c.Removed += w.Bars
		}
	}
	return c
}
