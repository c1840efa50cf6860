package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/flow"
	"github.com/tickerlake/tickerlake/lake"
	"github.com/tickerlake/tickerlake/watch"
)

// tidyWorkflow is the workflow that keeps the lake small.
const tidyWorkflow = flow.Tidy

func (a *app) tidyCommand() *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use:   "tidy",
		Short: "Merge small files, expire snapshots, delete what nothing needs",
		Long: `Keeps the lake small, as the key tidy of the pipeline file says: merges small data files
up to file_mb, keeps the newest snapshots of each table and the last of each day, drops
candidates of failed runs, deletes published raw objects and events that are past their
time, merges the events of past days, and deletes files that nothing references and no
reader has open.

It changes no row: queries, --as-of and rollbacks to kept snapshots answer as before.
tickerlake run tidies by itself when it is due.`,
		Example: `  tickerlake tidy
  tickerlake tidy --dry-run     # what would be done`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.open(cmd, true, func(ctx context.Context, p *pipeline) error {
				return a.writing(ctx, p, func() error { return a.tidy(ctx, p, dry) })
			})
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "tell what would be done and do nothing")
	return cmd
}

// A tidied is what tidy prints.
type tidied struct {
	Run    *flow.RunResult `json:"run"` // null for a dry run
	DryRun bool            `json:"dry_run"`
	lake.TidyReport
}

func (a *app) tidy(ctx context.Context, p *pipeline, dry bool) error {
	live := watch.Terminal(a.Stderr)
	bar := watch.NewBar(a.Stderr, time.Now, live && !a.json)
	result, err := p.tidy(ctx, dry, func(at flow.Progress) {
		if live && !a.json && at.State == flow.JobRunning {
			bar.Show(fmt.Sprintf("%-8s", at.Job), at.Fraction, "")
		}
	})
	bar.Clear()
	if a.json {
		return errors.Join(err, a.printJSON(result))
	}
	if err != nil {
		return err
	}
	return a.printTidied(result)
}

// tidy runs the workflow tidy and waits for its end. One that was cut off is finished
// first.
func (p *pipeline) tidy(ctx context.Context, dry bool, progress func(flow.Progress)) (tidied, error) {
	o := lake.TidyOptions{Dry: dry}
	runs, err := p.runs.Runs(ctx, mainWorkflow, 1)
	if err != nil {
		return tidied{}, err
	}
	if len(runs) > 0 && runs[0].State == flow.RunRunning {
		o.Unfinished = append(o.Unfinished, runs[0].ID)
	}
	t := p.lake.NewTidy(o)
	jobs := []struct {
		name string
		do   func(context.Context, lake.Run) error
	}{{"compact", t.Compact}, {"expire", t.Expire}, {"retain", t.Retain}, {"ops", t.Ops}, {"collect", t.Collect}}
	if dry {
		for _, j := range jobs {
			if err := j.do(ctx, dryRun{p.log}); err != nil {
				return tidied{}, err
			}
		}
		return tidied{DryRun: true, TidyReport: t.Report()}, nil
	}
	work := flow.Workflow{Name: tidyWorkflow, Whole: true}
	for _, j := range jobs {
		work.Jobs = append(work.Jobs, flow.NewJob(j.name, func(ctx context.Context, r *flow.Run) error { return j.do(ctx, r) }))
	}
	for {
		result, err := p.flow.Start(ctx, work, flow.Start{Progress: progress})
		p.countRun(result)
		err = errors.Join(err, p.ops.flush(context.WithoutCancel(ctx)))
		if err != nil || !result.Resumed {
			return tidied{Run: &result, TidyReport: t.Report()}, err
		}
	}
}

// A dryRun is the run of a dry run: it leaves no record.
type dryRun struct{ log *slog.Logger }

func (dryRun) ID() string                                                   { return "dry-run" }
func (r dryRun) Log() *slog.Logger                                          { return r.log }
func (dryRun) UpdateCounts(context.Context, func(*tickerlake.Counts)) error { return nil }
func (dryRun) Counts() tickerlake.Counts                                    { return tickerlake.Counts{} }
func (dryRun) Report(float64, tickerlake.Counts)                            {}

// tidyIfDue tidies if it is time to.
func (p *pipeline) tidyIfDue(ctx context.Context) (result tidied, done bool, err error) {
	if due, err := p.lake.TidyDue(ctx); err != nil || !due {
		return tidied{}, false, err
	}
	result, err = p.tidy(ctx, false, nil)
	return result, err == nil, err
}

// tidyIfDue tidies after a run, and tells of it in one line. The run has succeeded,
// whatever comes of that.
func (a *app) tidyIfDue(ctx context.Context, p *pipeline, out io.Writer) {
	switch result, done, err := p.tidyIfDue(ctx); {
	case err != nil:
		fmt.Fprintf(a.Stderr, "tidy failed, the run did not: %s; see tickerlake tidy\n", a.secrets.Hide(err.Error()))
	case done:
		fmt.Fprintf(out, "tidy: %s\n", tidiedText(result.TidyReport))
	}
}

// tidiedText sums a report up in one line.
func tidiedText(r lake.TidyReport) string {
	var t lake.TidyTable
	for _, x := range r.Tables {
		t.FilesRewritten += x.FilesRewritten
		t.BytesRewritten += x.BytesRewritten
		t.SnapshotsExpired += x.SnapshotsExpired
		t.FilesDeleted += x.FilesDeleted
		t.BytesFreed += x.BytesFreed
	}
	return fmt.Sprintf("%s (%s) merged, %s expired, %s deleted (%s)", plural(t.FilesRewritten, "file"), sizeText(t.BytesRewritten),
		plural(t.SnapshotsExpired, "snapshot"), plural(t.FilesDeleted, "file"), sizeText(t.BytesFreed))
}

func (a *app) printTidied(r tidied) error {
	rows := [][]string{{"TABLE", "FILES BEFORE", "AFTER", "REWRITTEN", "SNAPSHOTS", "EXPIRED", "TAGGED", "FILES DELETED", "FREED"}}
	n := func(n int64) string { return strconv.FormatInt(n, 10) }
	for _, t := range r.Tables {
		rewritten := "-"
		if t.FilesRewritten > 0 {
			rewritten = n(t.FilesRewritten) + " (" + sizeText(t.BytesRewritten) + ")"
		}
		rows = append(rows, []string{t.Table, n(t.FilesBefore), n(t.FilesAfter), rewritten, n(t.SnapshotsBefore), n(t.SnapshotsExpired), n(t.Tagged),
			n(t.FilesDeleted), sizeText(t.BytesFreed)})
	}
	if err := a.columns(rows); err != nil {
		return err
	}
	var more []string
	var waiting, candidates, merged, expired int64
	for _, t := range r.Tables {
		waiting, candidates, merged, expired = waiting+t.FilesWaiting, candidates+t.Candidates, merged+t.ObjectsMerged, expired+t.ObjectsExpired
	}
	for _, line := range []struct {
		n    int64
		text string
	}{
		{merged, plural(merged, "object") + " of ops merged"}, {expired, plural(expired, "object") + " past their time"},
		{candidates, plural(candidates, "candidate") + " of failed runs dropped"}, {r.Staging, plural(r.Staging, "folder") + " of ended runs removed from staging"},
		{waiting, plural(waiting, "file") + " that nothing needs left until readers have ended"},
	} {
		if line.n > 0 {
			more = append(more, line.text)
		}
	}
	more = append(more, r.Waiting...)
	for _, u := range slices.Sorted(slices.Values(r.Unknown)) {
		more = append(more, "not known, left where it is: "+u)
	}
	if r.DryRun {
		more = append(more, "dry run: nothing was changed")
	} else {
		more = append(more, "run "+r.Run.ID+": "+tidiedText(r.TidyReport))
	}
	_, err := fmt.Fprintln(a.Stdout, "\n"+strings.Join(more, "\n"))
	return err
}
