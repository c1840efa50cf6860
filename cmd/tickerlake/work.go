package main

import (
	"context"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
	"github.com/tickerlake/tickerlake/flow"
)

// batchWindow is how long deliveries are gathered before a run begins.
const batchWindow = time.Second

// runWhenDue runs the main workflow when something was delivered, until ctx is done.
func (d *daemon) runWhenDue(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.due:
		}
		if err := d.lake.pace.Sleep(ctx, batchWindow); err != nil {
			return nil
		}
		select {
		case <-d.due: // came within the window: the run has it
		default:
		}
		d.runOnce(ctx)
	}
}

// unfinished reports whether an earlier process has left work: objects that wait for a
// run, or a run that was cut off.
func (p *pipeline) unfinished(ctx context.Context) (bool, error) {
	waiting, err := p.catalog.Objects(ctx, catalog.Waiting)
	if err != nil || len(waiting) > 0 {
		return len(waiting) > 0, err
	}
	store, err := flow.NewStore(ctx, p.catalog.DB())
	if err != nil {
		return false, err
	}
	runs, err := store.Runs(ctx, mainWorkflow, 1)
	return len(runs) > 0 && runs[0].State == flow.RunRunning, err
}

// runOnce runs the workflow and tells of it. What fails is tried again with what comes
// next.
func (d *daemon) runOnce(ctx context.Context) {
	if d.lake.writer.take(ctx, nil) != nil {
		return
	}
	defer d.lake.writer.give()
	result, err := d.lake.runWorkflow(ctx, false, d.published, func(flow.Progress) {})
	switch {
	case ctx.Err() != nil:
	case err != nil:
		d.tell.problem(ctx, "failed", "run "+result.ID, err, "run", result.ID)
	default:
		d.published(result)
		d.tidyIfDue(ctx)
	}
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
