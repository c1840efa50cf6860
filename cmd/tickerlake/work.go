package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
	"github.com/tickerlake/tickerlake/flow"
)

// openWorkflows makes the scheduler of the workflows.
func (d *daemon) openWorkflows() {
	p := d.lake
	d.workflows = flow.NewScheduler(flow.SchedulerOptions{
		Engine: p.flow, Workflows: p.file.Workflows, Run: d.runOnce, Pace: p.pace,
		Pending: func(ctx context.Context) (int, error) {
			waiting, err := p.catalog.Objects(ctx, catalog.Waiting)
			return len(waiting), err
		},
	})
}

// runOnce runs a workflow, main in its turn, and tells of it. Of what fails in main, what
// was delivered is tried again with what comes next.
func (d *daemon) runOnce(ctx context.Context, name string, how flow.Start) error {
	if name == mainWorkflow {
		if err := d.lake.writer.take(ctx, nil); err != nil {
			return err
		}
		defer d.lake.writer.give()
	}
	result, err := d.lake.runWorkflow(ctx, name, false, d.lake.starting(how), d.published)
	switch {
	case ctx.Err() != nil || result.ID == "":
	case err != nil:
		d.tell.problem(ctx, "failed", "run "+result.ID, err, "run", result.ID, "workflow", name)
	default:
		d.published(result)
		if c := result.Counts; c.Inserted+c.Replaced+c.Removed > 0 {
			d.tellFreshness(ctx)
		}
		if name == mainWorkflow {
			d.tidyIfDue(ctx)
		}
	}
	return err
}

// published tells of a run that has succeeded.
func (d *daemon) published(r flow.RunResult) {
	if r.Counts == (tickerlake.Counts{}) {
		return
	}
	took := r.Ended.Sub(r.Started)
	d.tell.event(context.Background(), "published", "run "+r.ID, countsText(r.Counts)+", in "+took.Round(time.Millisecond).String(),
		"run", r.ID, "counts", r.Counts, "duration_ms", took.Milliseconds())
}

// tellFreshness tells how far each table has come.
func (d *daemon) tellFreshness(ctx context.Context) {
	tables, err := d.lake.freshness(ctx)
	if err != nil {
		d.tell.problem(ctx, "failed", "freshness", err)
		return
	}
	for _, t := range tables {
		last := timeText(t.Newest)
		if t.Interval.Daily() {
			last = t.Newest.Format(time.DateOnly)
		}
		text := plural(t.Series, "symbol") + " up to " + last
		if !t.Stalest.Equal(t.Newest) {
			text += fmt.Sprintf(", one of them %s behind", ageText(t.Newest.Sub(t.Stalest)))
		}
		d.tell.event(ctx, "fresh", t.Table, text, "table", t.Table, "symbols", t.Series, "newest", t.Newest, "stalest", t.Stalest)
	}
}

// A freshness is how far a table has come.
type freshness struct {
	Table    string
	Interval tickerlake.Interval
	Series   int64
	// Newest is the last final bar of any symbol, Stalest that of the symbol which is
	// furthest behind.
	Newest, Stalest time.Time
}

// freshness tells of each table that has final bars, in the order of their names.
func (p *pipeline) freshness(ctx context.Context) ([]freshness, error) {
	series, err := p.catalog.AllSeries(ctx)
	if err != nil {
		return nil, err
	}
	tables := map[string]*freshness{}
	for _, x := range series {
		if x.Last.IsZero() {
			continue // nothing of it is published
		}
		t := tables[x.Table]
		if t == nil {
			t = &freshness{Table: x.Table, Interval: x.Interval, Stalest: x.Last}
			tables[x.Table] = t
		}
		t.Series++
		t.Newest, t.Stalest = tickerlake.Later(t.Newest, x.Last), tickerlake.Earlier(t.Stalest, x.Last)
	}
	var out []freshness
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		out = append(out, *tables[name])
	}
	return out, nil
}

// tidyIfDue tidies after a run. The run has succeeded, whatever comes of that.
func (d *daemon) tidyIfDue(ctx context.Context) {
	result, done, err := d.lake.tidyIfDue(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		d.tell.problem(ctx, "failed", "tidy", err)
	case done:
		d.tell.event(ctx, "tidied", "run "+result.Run.ID, tidiedText(result.TidyReport), "run", result.Run.ID)
	}
}
