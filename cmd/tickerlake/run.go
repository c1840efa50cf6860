package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/flow"
	"github.com/tickerlake/tickerlake/watch"
)

func (a *app) runCommand() *cobra.Command {
	var full bool
	cmd := &cobra.Command{
		Use:   "run [WORKFLOW]",
		Short: "Run a workflow now and wait for its end",
		Long: `Runs the workflow (main: crawl, clean, optimize, quality, publish) on what has been
delivered, and waits. A run that was cut off is finished first.

If a rule of the pipeline fails, nothing is published, prod stays as it was and the
exit status is 3; what was delivered is tried again by the next run.`,
		Example: `  tickerlake run
  tickerlake run --full     # look for raw objects in every folder, not only in recent ones`,
		Args: usage(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && args[0] != mainWorkflow {
				return tickerlake.Errorf(tickerlake.Invalid, "run", args[0], "there is no such workflow; there is %s", mainWorkflow)
			}
			return a.open(cmd, true, func(ctx context.Context, p *pipeline) error { return a.run(ctx, p, full) })
		},
	}
	cmd.Flags().BoolVar(&full, "full", false, "list every folder of the raw bucket")
	return cmd
}

func (a *app) run(ctx context.Context, p *pipeline, full bool) error {
	live := watch.Terminal(a.Stderr)
	out := a.Stdout
	if a.json || live {
		out = a.Stderr
	}
	bar := watch.NewBar(out, time.Now, live && !a.json)
	resumed := func(r flow.RunResult) {
		if !a.json {
			bar.Clear()
			fmt.Fprintf(out, "run %s, which was cut off, is finished: %s; now what came since\n", r.ID, countsText(r.Counts))
		}
	}
	result, err := p.runWorkflow(ctx, full, resumed, func(at flow.Progress) {
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
	if a.json {
		if perr := a.printJSON(result); perr != nil {
			return perr
		}
		return err
	}
	if err == nil {
		_, err = fmt.Fprintf(a.Stdout, "run %s: %s\n", result.ID, countsText(result.Counts))
	}
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
	return text
}
