package main

import (
	"context"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/collect"
	"github.com/tickerlake/tickerlake/flow"
	"github.com/tickerlake/tickerlake/watch"
)

// countFetch counts the symbols and rows of a fetch, by source and class.
func (p *pipeline) countFetch(r collect.Report) {
	source := watch.Label{Name: "source", Value: r.Source}
	p.metrics.Counter("tickerlake_fetched_rows_total", source).Add(r.Rows)
	p.metrics.Counter("tickerlake_requests_total", source).Add(r.Requests)
	for _, s := range r.Symbols {
		p.metrics.Counter("tickerlake_fetched_symbols_total", source, watch.Label{Name: "class", Value: string(s.Class)}).Add(1)
	}
}

// countRun counts a run and what became of its rows.
func (p *pipeline) countRun(r flow.RunResult) {
	p.metrics.Counter("tickerlake_runs_total", watch.Label{Name: "state", Value: string(r.State)}).Add(1)
	for _, o := range outcomes(r.Counts) {
		p.metrics.Counter("tickerlake_rows_total", watch.Label{Name: "outcome", Value: o.name}).Add(o.n)
	}
	p.metrics.Counter("tickerlake_withdrawn_bars_total").Add(r.Counts.Withdrawn)
	p.metrics.Counter("tickerlake_removed_bars_total").Add(r.Counts.Removed)
}

type counted struct {
	name string
	n    int64
}

// outcomes names what became of the rows of a run.
func outcomes(c tickerlake.Counts) []counted {
	return []counted{
		{"inserted", c.Inserted}, {"replaced", c.Replaced}, {"unchanged", c.Unchanged},
		{"superseded", c.Superseded}, {"quarantined", c.Quarantined}, {"not final", c.NotFinal},
	}
}

// logMetrics writes every counter to the log, at level debug.
func (p *pipeline) logMetrics(ctx context.Context) {
	for _, s := range p.metrics.Snapshot() {
		attrs := []any{"value", s.Value}
		for _, l := range s.Labels {
			attrs = append(attrs, l.Name, l.Value)
		}
		p.log.DebugContext(ctx, s.Name, attrs...)
	}
	if p.bars != nil {
		for name, value := range p.bars.Metrics() {
			p.log.DebugContext(ctx, name, "value", value, "stream", streamName)
		}
	}
}
