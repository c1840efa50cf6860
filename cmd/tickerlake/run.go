package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
	"github.com/tickerlake/tickerlake/flow"
	"github.com/tickerlake/tickerlake/watch"
)

func (a *app) runCommand() *cobra.Command {
	var full, release bool
	var resume string
	cmd := &cobra.Command{
		Use:   "run [WORKFLOW] | run --resume RUN [JOB..] | run --release [OBJECT..]",
		Short: "Run a workflow now and wait for its end",
		Long: `Runs a workflow of the pipeline file, or main (crawl, clean, optimize, quality, publish)
on what has been delivered, and waits. A run that was cut off is finished first. While as
many runs of a workflow are under way as there may be (max_concurrent_runs), it is refused.

If a rule of the pipeline fails, nothing is published, prod stays as it was and the
exit status is 3; what was delivered is tried again by the next run. A raw object that
the rules have stopped three times is held.

With --resume the jobs that failed in a run, or those named, are run again and all that
follow on them, in a new run that takes over the others as they ended. main and tidy begin
with their first job.

With --release the raw objects that are held, all or those named, are worked on again,
and the sources go on of which none is held any more. What a rollback has taken back is
published in the order in which it was published before, in a run each.

After a run of main that has published the lake is tidied (tickerlake tidy) if it was not
for a day or for 60 publications.`,
		Example: `  tickerlake run
  tickerlake run weekly     # a workflow of the pipeline file
  tickerlake run --resume 20261125t101500-000
  tickerlake run --full     # look for raw objects in every folder, not only in recent ones
  tickerlake run --release  # also what is held; tickerlake status lists it`,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case release && resume != "":
				return wrongUse(cmd, errors.New("--release and --resume do not go together"))
			case release:
				return a.open(cmd, true, func(ctx context.Context, p *pipeline) error {
					if err := a.writing(ctx, p, func() error { return a.release(ctx, p, args) }); err != nil {
						return err
					}
					return a.run(ctx, p, mainWorkflow, full, p.starting)
				})
			case resume != "":
				return a.open(cmd, true, func(ctx context.Context, p *pipeline) error { return a.resume(ctx, p, resume, args) })
			}
			if err := usage(cobra.MaximumNArgs(1))(cmd, args); err != nil {
				return err
			}
			return a.open(cmd, true, func(ctx context.Context, p *pipeline) error {
				name := mainWorkflow
				if len(args) == 1 {
					name = args[0]
				}
				if err := p.known(name); err != nil {
					return err
				}
				return a.run(ctx, p, name, full, p.starting)
			})
		},
	}
	cmd.Flags().BoolVar(&full, "full", false, "list every folder of the raw bucket")
	cmd.Flags().BoolVar(&release, "release", false, "work on raw objects that are held, all or those named, and let paused sources go on")
	cmd.Flags().StringVar(&resume, "resume", "", "run again what failed in this run, or the jobs named")
	return cmd
}

// known fails with Invalid if the pipeline file has no such workflow.
func (p *pipeline) known(workflow string) error {
	if names := p.file.Workflows.Names(); !slices.Contains(names, workflow) {
		return tickerlake.Errorf(tickerlake.Invalid, "run", workflow, "there is no such workflow; there is %s", strings.Join(names, ", "))
	}
	return nil
}

// resume runs again what failed in a run.
func (a *app) resume(ctx context.Context, p *pipeline, run string, jobs []string) error {
	old, err := p.runs.Run(ctx, run)
	if err != nil {
		return err
	}
	if old.Workflow == tidyWorkflow {
		return tickerlake.Errorf(tickerlake.Invalid, "run", "run "+run, "tickerlake tidy does again what failed in it")
	}
	if err := p.known(old.Workflow); err != nil {
		return err
	}
	return a.run(ctx, p, old.Workflow, false, func(how flow.Start) start { return p.resuming(run, jobs, how) })
}

// release makes held objects pending and tells of it.
func (a *app) release(ctx context.Context, p *pipeline, names []string) error {
	released, sources, err := p.lake.Release(ctx, names...)
	if err != nil || a.json {
		return err
	}
	text := plural(int64(len(released)), "held object") + " released"
	if len(sources) > 0 {
		text += "; no longer paused: " + strings.Join(sources, ", ")
	}
	_, err = fmt.Fprintln(a.Stdout, text)
	return err
}

// run runs a workflow, main in its turn.
func (a *app) run(ctx context.Context, p *pipeline, name string, full bool, begin func(flow.Start) start) error {
	if name != mainWorkflow {
		return a.runNow(ctx, p, name, full, begin)
	}
	return a.writing(ctx, p, func() error { return a.runNow(ctx, p, name, full, begin) })
}

func (a *app) runNow(ctx context.Context, p *pipeline, name string, full bool, begin func(flow.Start) start) error {
	live := watch.Terminal(a.Stderr)
	out := a.Stdout
	if a.json || live {
		out = a.Stderr
	}
	bar := watch.NewBar(out, time.Now, live && !a.json)
	next := func(r flow.RunResult) {
		if a.json {
			return
		}
		bar.Clear()
		if r.Resumed {
			fmt.Fprintf(out, "run %s, which was cut off, is finished: %s; now what came since\n", r.ID, countsText(r.Counts))
		} else {
			fmt.Fprintf(out, "run %s: %s; now what was published after that\n", r.ID, countsText(r.Counts))
		}
	}
	progress := func(at flow.Progress) {
		job := fmt.Sprintf("%-8s", at.Job) // as long as optimize
		switch {
		case a.json:
		case at.State == flow.JobRunning:
			if live {
				bar.Show(job, at.Fraction, countsText(at.Counts))
			}
		default:
			bar.End(job, jobLine(at))
		}
	}
	result, err := p.runWorkflow(ctx, name, full, begin(flow.Start{Progress: progress}), next)
	bar.Clear()
	if name == mainWorkflow {
		err = errors.Join(err, a.tellHeld(ctx, p))
	}
	if a.json && result.ID != "" {
		if perr := a.printJSON(result); perr != nil {
			return perr
		}
	} else if err == nil {
		_, err = fmt.Fprintf(a.Stdout, "run %s: %s\n", result.ID, countsText(result.Counts))
	}
	if err == nil && name == mainWorkflow {
		a.tidyIfDue(ctx, p, out)
	}
	return err
}

// tellHeld says on Stderr how much is held.
func (a *app) tellHeld(ctx context.Context, p *pipeline) error {
	held, err := p.catalog.Objects(ctx, catalog.Held)
	if err != nil || len(held) == 0 {
		return err
	}
	verb := "are"
	if len(held) == 1 {
		verb = "is"
	}
	_, err = fmt.Fprintf(a.Stderr, "%s %s held: tickerlake status says why, tickerlake run --release frees them\n", plural(int64(len(held)), "raw object"), verb)
	return err
}

func jobLine(at flow.Progress) string {
	line := fmt.Sprintf("%-9s  %s", strings.ToLower(string(at.State)), at.Elapsed.Round(time.Millisecond))
	if counts := countsText(at.Counts); at.State == flow.JobSucceeded && at.Counts != (tickerlake.Counts{}) {
		line += "  " + counts
	}
	return line // the error is told at the end, and in the log
}

// countsText says what became of rows, without what is zero.
func countsText(c tickerlake.Counts) string {
	text := plural(c.Read, "row") + " in"
	for _, o := range outcomes(c) {
		if o.n > 0 {
			text += fmt.Sprintf(", %d %s", o.n, o.name)
		}
	}
	if c.Withdrawn > 0 {
		text += fmt.Sprintf("; %s withdrawn by the source, %d removed", plural(c.Withdrawn, "bar"), c.Removed)
	}
	return text
}
