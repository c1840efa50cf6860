package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tickerlake/tickerlake"
)

func (a *app) rollbackCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rollback TABLE SNAPSHOT",
		Short: "Take a table back to a kept snapshot",
		Long: `Makes a kept snapshot of a table (tickerlake snapshots TABLE) what is published. The
table's revisions go back with it, and what the lake knows of its series.

Nothing of what is taken back returns by itself: the raw objects that have fed the table
since, and those that wait for a run, are held, and the sources of the former are paused.
tickerlake run --release lets them go on.

Other tables stay as they are. A run that was cut off is ended first, and what it worked
on is held too. A rollback that is cut off is finished by the next command that writes.`,
		Example: `  tickerlake snapshots bars_1d
  tickerlake rollback bars_1d 7301246129421349213
  tickerlake run --release`,
		Args: usage(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := strconv.ParseInt(args[1], 10, 64)
			if err != nil {
				return tickerlake.Errorf(tickerlake.Invalid, "rollback", args[1], "want the number of a snapshot; tickerlake snapshots %s lists them", args[0])
			}
			return a.open(cmd, true, func(ctx context.Context, p *pipeline) error {
				name, err := p.published("rollback", args[0])
				if err != nil {
					return err
				}
				return a.alone(ctx, p, func() error { return a.rollback(ctx, p, name, id) })
			})
		},
	}
}

func (a *app) rollback(ctx context.Context, p *pipeline, name string, id int64) error {
	// What a fetch that was cut off had acknowledged is held with the rest.
	if err := p.bars.Flush(ctx); err != nil {
		return err
	}
	if err := p.endInterrupted(ctx, errors.New("ended by a rollback of "+name)); err != nil {
		return err
	}
	done, err := p.lake.Rollback(ctx, name, id)
	if err = errors.Join(err, p.ops.flush(context.WithoutCancel(ctx))); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(done)
	}
	if done.From.ID == done.To.ID {
		_, err := fmt.Fprintf(a.Stdout, "%s is at snapshot %d: nothing to take back\n", done.Table, id)
		return err
	}
	out := fmt.Sprintf("%s is again what run %s published: snapshot %d of %s, %s (before: %s)\n",
		done.Table, done.To.Run, done.To.ID, timeText(done.To.At), plural(done.To.Rows, "row"), plural(done.From.Rows, "row"))
	if n := len(done.Held); n > 0 {
		out += fmt.Sprintf("held until released: %s\n", plural(int64(n), "raw object"))
	}
	if len(done.Paused) > 0 {
		out += fmt.Sprintf("paused until released: %s\n", strings.Join(done.Paused, ", "))
	}
	if len(done.Held)+len(done.Paused) > 0 {
		out += "tickerlake status lists them; when the cause is mended, tickerlake run --release lets them go on\n"
	}
	_, err = fmt.Fprint(a.Stdout, out)
	return err
}
