package main

import (
	"context"
	"errors"
	"fmt"
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
	cmd := &cobra.Command{
		Use:   "run [WORKFLOW] | run --release [OBJECT..]",
		Short: "Run a workflow now and wait for its end",
		Long: `Runs the workflow (main: crawl, clean, optimize, quality, publish) on what has been
delivered, and waits. A run that was cut off is finished first.

If a rule of the pipeline fails, nothing is published, prod stays as it was and the
exit status is 3; what was delivered is tried again by the next run. A raw object that
the rules have stopped three times is held.

With --release the raw objects that are held, all or those named, are worked on again,
and the sources go on of which none is held any more. What a rollback has taken back is
published in the order in which it was published before, in a run each.

After a run that has published the lake is tidied (tickerlake tidy) if it was not for a
day or for 60 publications.`,
		Example: `  tickerlake run
  tickerlake run --full     # look for raw objects in every folder, not only in recent ones
  tickerlake run --release  # also what is held; tickerlake status lists it`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if release {
				return a.open(cmd, true, func(ctx context.Context, p *pipeline) error {
					if err := a.writing(ctx, p, func() error { return a.release(ctx, p, args) }); err != nil {
						return err
					}
					return a.run(ctx, p, full)
				})
			}
			if err := usage(cobra.MaximumNArgs(1))(cmd, args); err != nil {
				return err
			}
			if len(args) == 1 && args[0] != mainWorkflow {
				return tickerlake.Errorf(tickerlake.Invalid, "run", args[0], "there is no such workflow; there is %s", mainWorkflow)
			}
			return a.open(cmd, true, func(ctx context.Context, p *pipeline) error { return a.run(ctx, p, full) })
		},
	}
	cmd.Flags().BoolVar(&full, "full", false, "list every folder of the raw bucket")
	cmd.Flags().BoolVar(&release, "release", false, "work on raw objects that are held, all or those named, and let paused sources go on")
	return cmd
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

// run runs the main workflow, in its turn.
func (a *app) run(ctx context.Context, p *pipeline, full bool) error {
	return a.writing(ctx, p, func() error { return a.runNow(ctx, p, full) })
}

func (a *app) runNow(ctx context.Context, p *pipeline, full bool) error {
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
	result, err := p.runWorkflow(ctx, full, next, func(at flow.Progress) {
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
	})
	bar.Clear()
	err = errors.Join(err, a.tellHeld(ctx, p))
	if a.json {
		if perr := a.printJSON(result); perr != nil {
			return perr
		}
	} else if err == nil {
		_, err = fmt.Fprintf(a.Stdout, "run %s: %s\n", result.ID, countsText(result.Counts))
	}
	if err == nil {
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
