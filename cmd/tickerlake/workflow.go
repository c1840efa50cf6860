package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/tickerlake/tickerlake/flow"
	"github.com/tickerlake/tickerlake/watch"
)

// mainWorkflow is the workflow of every pipeline.
const mainWorkflow = flow.Main

// openFlow opens the engine that runs the workflows.
func (p *pipeline) openFlow(ctx context.Context) error {
	store, err := flow.NewStore(ctx, p.catalog.DB())
	if err != nil {
		return err
	}
	var secrets watch.Secrets
	secrets.Add(p.file.Secrets...)
	// The lock is held: those that are left are of a process that was killed.
	left, err := filepath.Glob(filepath.Join(p.dir, "tmp", jobRows))
	if err != nil {
		return err
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil {
			return diskError("open the lake", path, err)
		}
	}
	p.runs = store
	p.flow, err = flow.New(p.file.Workflow, flow.Options{
		Store: store, Clock: p.clock, Log: p.log, LogDir: p.runLogs(), Events: p.ops,
		LogHandler: func(w io.Writer) slog.Handler {
			return watch.NewHandler(w, watch.LogOptions{Level: slog.LevelDebug, Secrets: &secrets})
		},
	})
	return err
}

// endInterrupted ends a run that was cut off instead of finishing it.
func (p *pipeline) endInterrupted(ctx context.Context, why error) error {
	for {
		result, found, err := p.flow.End(ctx, mainWorkflow, why)
		if err != nil || !found {
			return err
		}
		if err := p.lake.Abandon(ctx, result.ID, why); err != nil {
			return err
		}
	}
}

// endOutlived ends a run that was cut off with the machine: what its jobs have left for
// each other may be lost in part. What it worked on is worked on by the next one.
func (p *pipeline) endOutlived(ctx context.Context) error {
	runs, err := p.runs.Runs(ctx, mainWorkflow, 1)
	if err != nil || len(runs) == 0 || runs[0].State != flow.RunRunning || p.lake.Trusts(runs[0].ID) {
		return err
	}
	if crawl := runs[0].Jobs[0]; crawl.State == flow.JobWaiting {
		return nil // nothing is left of it
	}
	p.log.WarnContext(ctx, "the machine was started anew while a run was under way: the run is ended, and what it worked on is worked on again", "run", runs[0].ID)
	return p.endInterrupted(ctx, errors.New("the machine was started anew"))
}

// mainJobs are the main workflow. With full the crawler lists every folder.
func (p *pipeline) mainJobs(full bool) flow.Workflow {
	return flow.Workflow{Name: mainWorkflow, Whole: true, Jobs: []flow.Job{
		flow.NewJob("crawl", func(ctx context.Context, r *flow.Run) error { return p.lake.Crawl(ctx, r, full) }),
		flow.NewJob("clean", func(ctx context.Context, r *flow.Run) error { return p.lake.Clean(ctx, r) }),
		flow.NewJob("optimize", func(ctx context.Context, r *flow.Run) error { return p.lake.Optimize(ctx, r) }),
		flow.NewJob("quality", func(ctx context.Context, r *flow.Run) error { return p.lake.Quality(ctx, r) }),
		flow.NewJob("publish", func(ctx context.Context, r *flow.Run) error { return p.lake.Publish(ctx, r) }),
	}}
}

// A start begins a run of a workflow: flow.Engine.Start or Resume.
type start func(ctx context.Context, w flow.Workflow) (flow.RunResult, error)

// starting begins runs as how says.
func (p *pipeline) starting(how flow.Start) start {
	return func(ctx context.Context, w flow.Workflow) (flow.RunResult, error) { return p.flow.Start(ctx, w, how) }
}

// resuming begins with a run that does again what failed in another, or the jobs named.
func (p *pipeline) resuming(run string, jobs []string, how flow.Start) start {
	done := false
	return func(ctx context.Context, w flow.Workflow) (flow.RunResult, error) {
		if done {
			return p.flow.Start(ctx, w, how)
		}
		done = true
		return p.flow.Resume(ctx, w, run, jobs, how)
	}
}

// runMain runs the main workflow and waits for its end. A run that was cut off is
// finished first; what came since waits for the one after it, which follows. So do, one
// after the other, the runs of what was released after a rollback. next is told of each
// run that another follows.
func (p *pipeline) runMain(ctx context.Context, work flow.Workflow, begin start, next func(flow.RunResult)) (flow.RunResult, error) {
	// What a fetch that was cut off had acknowledged is delivered first.
	if err := p.bars.Flush(ctx); err != nil {
		return flow.RunResult{}, err
	}
	if err := p.endOutlived(ctx); err != nil {
		return flow.RunResult{}, err
	}
	for {
		result, err := begin(ctx, work)
		if result.ID == "" {
			return result, err // none was begun
		}
		p.countRun(result)
		settled := p.settle(context.WithoutCancel(ctx), result, err)
		if result.Resumed && !result.Attempted && result.State == flow.RunError {
			// Its failure was told when it happened; only storing it had failed.
			p.log.WarnContext(ctx, "a run that had failed before is ended; what it left is tried again", "run", result.ID, "error", result.Error)
			err = nil
		}
		if err = errors.Join(err, settled); err != nil {
			return result, err
		}
		more := result.Resumed
		if !more {
			if more, err = p.catalog.Replaying(ctx); err != nil || !more {
				return result, err
			}
		}
		next(result)
	}
}

// settle clears up after a run that has ended and delivers its events.
func (p *pipeline) settle(ctx context.Context, result flow.RunResult, cause error) error {
	var err error
	switch result.State {
	case flow.RunCompleted:
		err = p.lake.Finish(result.ID)
	case flow.RunError, flow.RunStopped:
		if cause == nil {
			cause = errors.New(result.Error)
		}
		err = p.lake.Abandon(ctx, result.ID, cause)
	}
	return errors.Join(err, p.ops.flush(ctx))
}

// runOwn runs a workflow of the pipeline file and waits for its end. A run that was cut
// off is finished first, and next told of it.
func (p *pipeline) runOwn(ctx context.Context, name string, begin start, next func(flow.RunResult)) (flow.RunResult, error) {
	work := p.file.Workflows.Workflow(name, func(job string, c flow.JobConfig) flow.Job { return p.ownJob(name, job, c) })
	for {
		result, err := begin(ctx, work)
		if result.ID == "" {
			return result, err // none was begun
		}
		p.countRun(result)
		err = errors.Join(err, p.ops.flush(context.WithoutCancel(ctx)))
		if err != nil || !result.Resumed {
			return result, err
		}
		next(result)
	}
}

// runWorkflow runs a workflow by name.
func (p *pipeline) runWorkflow(ctx context.Context, name string, full bool, begin start, next func(flow.RunResult)) (flow.RunResult, error) {
	if p.onRun != nil {
		defer p.onRun()
	}
	if name == mainWorkflow {
		return p.runMain(ctx, p.mainJobs(full), begin, next)
	}
	return p.runOwn(ctx, name, begin, next)
}
