package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tickerlake/tickerlake"
)

func (a *app) snapshotsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "snapshots TABLE",
		Short: "List the kept snapshots of a table",
		Long: `Lists the snapshots that led to what is published of a table of prod, newest first:
when each was made (UTC), by which run, whether the run published it or tidy rewrote it,
its rows, and how many more they are than in the one before.

The current one is marked with *, those that tickerlake rollback accepts with <.`,
		Example: "  tickerlake snapshots bars_1d\n  tickerlake snapshots prod.bars_1d --json",
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.open(cmd, false, func(ctx context.Context, p *pipeline) error {
				name, err := p.published("snapshots", args[0])
				if err != nil {
					return err
				}
				snapshots, err := p.lake.Snapshots(ctx, name)
				if err != nil {
					return err
				}
				if a.json {
					return a.printJSON(snapshots)
				}
				rows := [][]string{{"", "SNAPSHOT", "TIME (UTC)", "RUN", "MADE BY", "ROWS", "ADDED", "TAGS"}}
				for _, s := range snapshots {
					mark := ""
					switch {
					case s.Current:
						mark = "*"
					case s.Target:
						mark = "<"
					}
					rows = append(rows, []string{mark, strconv.FormatInt(s.ID, 10), timeText(s.At), s.Run, s.Made,
						strconv.FormatInt(s.Rows, 10), strconv.FormatInt(s.Added, 10), strings.Join(s.Tags, " ")})
				}
				return a.columns(rows)
			})
		},
	}
}

// published gives the name of a table of prod without its database.
func (p *pipeline) published(op, name string) (string, error) {
	database, table, ok := strings.Cut(name, ".")
	if !ok {
		database, table = p.lake.Database("prod"), name
	}
	if database != p.lake.Database("prod") || table == "latest" {
		return "", tickerlake.Errorf(tickerlake.Invalid, op, name, "only the tables of bars in %s have snapshots", p.lake.Database("prod"))
	}
	return table, nil
}
