package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/flow"
)

func (a *app) cancelCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "cancel RUN [JOB]",
		Short: "Stop a run, or one job of it",
		Long: `Stops a run for good: its jobs are canceled, no other begins, and it ends as STOPPED.
What a run of main has worked on waits for the next one; what it had published stays. A
run that was cut off with the program is ended instead of being finished.

With JOB that job alone is canceled, and ends as STOPPED: the run goes on with the jobs
that wait for this state, and ends as ERROR. tickerlake run --resume RUN runs again what
was stopped.

A run of a tickerlake run in another terminal is stopped there, with Ctrl-C.`,
		Example: `  tickerlake cancel 20261125t101500-000
  tickerlake cancel 20261125t101500-000 movers
  tickerlake query "SELECT id, workflow FROM ops.runs ORDER BY started_at DESC LIMIT 5"`,
		Args: usage(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.open(cmd, true, func(ctx context.Context, p *pipeline) error {
				job := ""
				if len(args) == 2 {
					job = args[1]
				}
				return a.cancel(ctx, p, args[0], job)
			})
		},
	}
}

func (a *app) cancel(ctx context.Context, p *pipeline, run, job string) error {
	result, idle, err := p.flow.Stop(ctx, run, job)
	if err != nil {
		return err
	}
	if idle {
		err = p.ops.flush(ctx)
		if result.Workflow == mainWorkflow {
			err = a.writing(ctx, p, func() error { return p.settle(ctx, result, flow.ErrStop) })
		}
	}
	switch {
	case err != nil:
	case job == "" && result.State != flow.RunStopped:
		err = tickerlake.Errorf(tickerlake.Conflict, "cancel", "run "+run, "it had come to its end before it could be stopped, as %s", result.State)
	case a.json:
	case job != "":
		_, err = fmt.Fprintf(a.Stdout, "run %s: job %s is canceled\n", run, job)
	default:
		_, err = fmt.Fprintf(a.Stdout, "run %s is stopped\n", run)
	}
	if a.json && result.ID != "" {
		err = errors.Join(err, a.printJSON(result))
	}
	return err
}
