package main

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/collect"
	"github.com/tickerlake/tickerlake/flow"
)

// metrics are what a pipeline counts while it is open.
type metrics struct {
	registry                                          *prometheus.Registry
	fetchedRows, requests, fetchedSymbols, runs, rows *prometheus.CounterVec
	withdrawn, removed                                prometheus.Counter
	runSeconds                                        *prometheus.HistogramVec
	lastFetch, lastRun                                *prometheus.GaugeVec
}

func newMetrics() *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		m.registry.MustRegister(c)
		return c
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
		m.registry.MustRegister(g)
		return g
	}
	m.fetchedRows = counter("tickerlake_fetched_rows_total", "Rows that sources gave.", "source")
	m.requests = counter("tickerlake_requests_total", "Requests to sources, repeats included.", "source")
	m.fetchedSymbols = counter("tickerlake_fetched_symbols_total", "Symbols that were asked for, by the class of the answer.", "source", "class")
	m.lastFetch = gauge("tickerlake_last_fetch_timestamp_seconds", "When the last fetch of a source ended.", "source")
	m.runs = counter("tickerlake_runs_total", "Runs that have ended, by how.", "workflow", "state")
	m.lastRun = gauge("tickerlake_last_run_timestamp_seconds", "When the last run ended that way.", "workflow", "state")
	m.rows = counter("tickerlake_rows_total", "Rows that runs have worked on, by what became of them.", "outcome")
	m.withdrawn = counter("tickerlake_withdrawn_bars_total", "Bars that a source no longer has.").WithLabelValues()
	m.removed = counter("tickerlake_removed_bars_total", "Withdrawn bars that were taken out of tables.").WithLabelValues()
	m.runSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "tickerlake_run_duration_seconds", Help: "How long runs took.",
		Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800},
	}, []string{"workflow"})
	m.registry.MustRegister(m.runSeconds)
	return m
}

// countFetch counts the symbols and rows of a fetch, by source and class.
func (p *pipeline) countFetch(r collect.Report) {
	p.metrics.fetchedRows.WithLabelValues(r.Source).Add(float64(r.Rows))
	p.metrics.requests.WithLabelValues(r.Source).Add(float64(r.Requests))
	p.metrics.lastFetch.WithLabelValues(r.Source).Set(seconds(p.clock()))
	for _, s := range r.Symbols {
		p.metrics.fetchedSymbols.WithLabelValues(r.Source, string(s.Class)).Inc()
	}
}

// countRun counts a run and what became of its rows.
func (p *pipeline) countRun(r flow.RunResult) {
	if r.ID == "" || r.State == flow.RunRunning {
		return // there was none, or it goes on
	}
	p.metrics.runs.WithLabelValues(r.Workflow, string(r.State)).Inc()
	p.metrics.lastRun.WithLabelValues(r.Workflow, string(r.State)).Set(seconds(r.Ended))
	p.metrics.runSeconds.WithLabelValues(r.Workflow).Observe(r.Ended.Sub(r.Started).Seconds())
	if r.State != flow.RunCompleted {
		return // what it had done is undone
	}
	for _, o := range outcomes(r.Counts) {
		p.metrics.rows.WithLabelValues(o.name).Add(float64(o.n))
	}
	p.metrics.withdrawn.Add(float64(r.Counts.Withdrawn))
	p.metrics.removed.Add(float64(r.Counts.Removed))
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
		{"waiting", c.Waiting},
	}
}

// logMetrics writes what was counted to the log, at level debug.
func (p *pipeline) logMetrics(ctx context.Context) {
	if !p.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	families, err := p.metrics.registry.Gather()
	if err != nil {
		p.log.DebugContext(ctx, "metrics", "error", err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			attrs := []any{"value", value(m)}
			for _, l := range m.GetLabel() {
				attrs = append(attrs, l.GetName(), l.GetValue())
			}
			p.log.DebugContext(ctx, f.GetName(), attrs...)
		}
	}
	if p.bars != nil {
		for name, value := range p.bars.Metrics() {
			p.log.DebugContext(ctx, name, "value", value, "stream", streamName)
		}
	}
}

// value is that of a metric; of a histogram its sum.
func value(m *dto.Metric) float64 {
	switch {
	case m.Counter != nil:
		return m.Counter.GetValue()
	case m.Gauge != nil:
		return m.Gauge.GetValue()
	default:
		return m.GetHistogram().GetSampleSum()
	}
}
