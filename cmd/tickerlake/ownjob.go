package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/duck"
	"github.com/tickerlake/tickerlake/flow"
	"github.com/tickerlake/tickerlake/lake"
	"github.com/tickerlake/tickerlake/query"
)

// jobRows is the pattern of the files that hold what the SELECT of a job has given.
const jobRows = "job-*.parquet"

// ownJob is a job of the pipeline file: a SELECT whose rows go to a table.
func (p *pipeline) ownJob(workflow, name string, c flow.JobConfig) flow.Job {
	job := workflow + "." + name
	return flow.NewJob(name, func(ctx context.Context, run *flow.Run) (err error) {
		rows, err := p.answerInto(ctx, job, c.SQL)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.Remove(rows)) }()
		run.Report(-1, tickerlake.Counts{})
		if err := p.writer.take(ctx, nil); err != nil {
			return err
		}
		defer p.writer.give()
		counts, err := p.lake.Derive(ctx, run, lake.Derivation{
			Table: c.Table, Job: job, Work: run.Origin() + "/" + name, Attempt: run.Attempt(),
			Append: c.Mode == flow.Append, Merge: c.Mode == flow.Merge, Keys: c.Keys, Rules: p.file.JobRules[job], Rows: rows,
		})
		if err != nil {
			return err
		}
		return run.Contribute(ctx, counts)
	})
}

// jobOf is the job, workflow.job, that writes a table.
func (p *pipeline) jobOf(table string) (string, bool) {
	table = strings.TrimPrefix(table, p.lake.Database("prod")+".")
	for workflow, d := range p.file.Workflows {
		for name, c := range d.Jobs {
			if c.Table == table {
				return workflow + "." + name, true
			}
		}
	}
	return "", false
}

// answerInto writes what a statement gives to a Parquet file, whose path it returns. The
// tables stay as they were when it began, whatever is tidied meanwhile.
func (p *pipeline) answerInto(ctx context.Context, job, sql string) (path string, err error) {
	lease, err := lake.TakeLease(p.dir, "run "+job, p.clock())
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, lease.Release()) }()
	views, err := p.lake.Views(ctx)
	if err != nil {
		return "", err
	}
	started := p.clock()
	err = p.ask(ctx, views, query.Request{SQL: sql}, func(s *duck.Sandbox, r query.Request) error {
		f, err := os.CreateTemp(filepath.Join(p.dir, "tmp"), jobRows)
		if err != nil {
			return diskError("run", p.dir, err)
		}
		path = f.Name()
		err = s.Parquet(ctx, r, f)
		return errors.Join(err, f.Close())
	})
	p.recordQuery(context.WithoutCancel(ctx), sql, started, 0, err)
	if err != nil && path != "" {
		err = errors.Join(err, os.Remove(path))
	}
	return path, err
}
