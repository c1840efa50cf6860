package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/lake"
)

func (a *app) tablesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "tables",
		Short: "List the tables of the catalog",
		Long:  "Lists every table with its rows, files, size and the time of its snapshot, in UTC.",
		Example: `  tickerlake tables
  tickerlake tables --json`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.open(cmd, false, func(ctx context.Context, p *pipeline) error {
				views, err := p.lake.Views(ctx)
				if err != nil {
					return err
				}
				if a.json {
					return a.printJSON(views)
				}
				rows := [][]string{{"TABLE", "ROWS", "FILES", "SIZE", "UPDATED (UTC)"}}
				for _, v := range views {
					if v.Damage != nil {
						rows = append(rows, []string{v.Database + "." + v.Name, "damaged: " + v.Damage.Error()})
						continue
					}
					rows = append(rows, []string{v.Database + "." + v.Name, rowsText(v), strconv.Itoa(len(v.Files)), sizeText(v.Bytes), timeText(v.Updated)})
				}
				return a.columns(rows)
			})
		},
	}
}

func (a *app) describeCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "describe TABLE",
		Short:   "Describe a table: columns, snapshot, size",
		Example: "  tickerlake describe bars_1d\n  tickerlake describe ops.quarantine",
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.open(cmd, false, func(ctx context.Context, p *pipeline) error {
				v, err := p.view(ctx, args[0])
				if err != nil {
					return err
				}
				if a.json {
					return a.printJSON(v)
				}
				rows := [][]string{{"COLUMN", "TYPE"}}
				for _, c := range v.Columns {
					rows = append(rows, []string{c.Name, c.Type})
				}
				if err := a.columns(rows); err != nil {
					return err
				}
				_, err = fmt.Fprintf(a.Stdout, "\n%s.%s: %s rows in %d %s files, %s, snapshot %s, %s\n", v.Database, v.Name,
					rowsText(v), len(v.Files), v.Format, sizeText(v.Bytes), snapshotText(v), timeText(v.Updated))
				return err
			})
		},
	}
}

// view finds a table by name, with or without its database.
func (p *pipeline) view(ctx context.Context, name string) (lake.View, error) {
	views, err := p.lake.Views(ctx)
	if err != nil {
		return lake.View{}, err
	}
	return findView(views, name)
}

func findView(views []lake.View, name string) (lake.View, error) {
	database, table, ok := strings.Cut(name, ".")
	if !ok {
		database, table = "", name
	}
	var names []string
	for _, v := range views {
		if v.Name == table && (database == "" || v.Database == database) {
			return v, v.Damage
		}
		names = append(names, v.Database+"."+v.Name)
	}
	return lake.View{}, tickerlake.Errorf(tickerlake.NotFound, "describe", name, "there is no such table; there are %s", strings.Join(names, ", "))
}

func rowsText(v lake.View) string {
	if v.Rows < 0 {
		return "-" // known only by reading
	}
	return strconv.FormatInt(v.Rows, 10)
}

func snapshotText(v lake.View) string {
	if v.Snapshot == 0 {
		return "-"
	}
	return strconv.FormatInt(v.Snapshot, 10)
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.DateTime)
}

// sizeText is a number of bytes for people, in binary units.
func sizeText(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " B"
	}
	f, unit := float64(n), ""
	for _, unit = range []string{"KiB", "MiB", "GiB", "TiB"} {
		if f /= 1024; f < 1024 {
			break
		}
	}
	return strconv.FormatFloat(f, 'f', 1, 64) + " " + unit
}
