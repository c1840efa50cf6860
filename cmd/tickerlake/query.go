package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/klauspost/compress/gzip"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/blob"
	"github.com/tickerlake/tickerlake/collect"
	"github.com/tickerlake/tickerlake/duck"
	"github.com/tickerlake/tickerlake/lake"
	"github.com/tickerlake/tickerlake/query"
	"github.com/tickerlake/tickerlake/watch"
)

func (a *app) queryCommand() *cobra.Command {
	var format, asOf string
	var limit int64
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "query SQL",
		Short: "Answer SQL over prod, raw and ops",
		Long: `Answers one SELECT over the published tables (prod), the raw documents (raw) and what
the pipeline did (ops). A table without a database is looked for in prod, ops, raw. The
statement runs in a process of its own that can read these tables and nothing else, and
sees the snapshots of the moment it began.

With - the statement is read from standard input.

With --as-of the tables of bars are as they were known at a past moment: of each bar
what the last fetch not after it had brought, without bars that were withdrawn by
then. A date means the end of that day in UTC. Prices adjusted later count as they are
now (adj_close has no history), and so do raw, ops and the tables of revisions;
prod.latest has no past and is refused.`,
		Example: `  tickerlake query "SELECT symbol, count(*) FROM bars_1d GROUP BY symbol"
  tickerlake query --as-of 2026-03-02T21:30:00Z "SELECT * FROM bars_1d WHERE symbol = 'AAPL'"
  tickerlake query -f csv "SELECT * FROM bars_1d WHERE symbol = 'AAPL' ORDER BY ts" > aapl.csv
  echo "SELECT reason, count(*) FROM ops.quarantine GROUP BY reason" | tickerlake query -`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			sql := args[0]
			if sql == "-" {
				text, err := io.ReadAll(a.Stdin)
				if err != nil {
					return err
				}
				sql = string(text)
			}
			if a.json && !cmd.Flags().Changed("format") {
				format = "json"
			}
			past, err := moment(asOf)
			if err != nil {
				return err
			}
			return a.open(cmd, false, func(ctx context.Context, p *pipeline) error {
				return a.query(ctx, p, query.Request{SQL: sql, MaxRows: limit, Timeout: timeout}, past, format)
			})
		},
	}
	cmd.Flags().StringVarP(&format, "format", "f", "table", "table, csv, json, ndjson or parquet")
	cmd.Flags().StringVar(&asOf, "as-of", "", "answer from bars as they were known then: a date, or a time such as 2026-03-02T21:30:00Z")
	cmd.Flags().Int64Var(&limit, "limit", 0, "end the result after so many rows; 0 is no limit")
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "give up after this time")
	return cmd
}

// moment reads the value of --as-of; the zero time is now.
func moment(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := lake.ParseMoment(text)
	if err != nil {
		return t, tickerlake.Errorf(tickerlake.Invalid, "tickerlake", "--as-of", "%w", err)
	}
	return t, nil
}

// views are the lake's tables as they are, or with a moment as they were known then.
func (p *pipeline) views(ctx context.Context, asOf time.Time) ([]lake.View, error) {
	if asOf.IsZero() {
		return p.lake.Views(ctx)
	}
	return p.lake.ViewsAsOf(ctx, asOf)
}

// queryTables are the lake's tables as query names them.
func queryTables(views []lake.View) []query.Table {
	out := make([]query.Table, len(views))
	for i, v := range views {
		out[i] = query.Table{Database: v.Database, Name: v.Name, Format: v.Format, Files: v.Files, Key: v.Key, Version: v.Version,
			AsOf: v.AsOf, Revisions: v.Revisions, Refused: v.Refused}
		for _, c := range v.Columns {
			out[i].Columns = append(out[i].Columns, query.Column{Name: c.Name, Type: c.Type})
		}
	}
	return out
}

// names reports whether a statement may name a table: the name stands in it as a word.
func names(sql, table string) bool {
	ok, err := regexp.MatchString(`(?i)(^|[^a-z0-9_])`+regexp.QuoteMeta(table)+`($|[^a-z0-9_])`, sql)
	return ok || err != nil
}

// ask answers a statement over pinned tables.
func (p *pipeline) ask(ctx context.Context, views []lake.View, r query.Request, do func(s *duck.Sandbox, r query.Request) error) error {
	named := slices.DeleteFunc(slices.Clone(views), func(v lake.View) bool { return !names(r.SQL, v.Name) })
	if err := p.lake.Readable(ctx, named...); err != nil {
		return err
	}
	r.Tables = queryTables(views)
	for _, database := range query.DefaultPath {
		r.Path = append(r.Path, p.lake.Database(database))
	}
	scratch := filepath.Join(p.dir, "tmp")
	if err := os.MkdirAll(scratch, 0o700); err != nil {
		return diskError("query", scratch, err)
	}
	sandbox, err := duck.NewSandbox(duck.Options{TempDir: scratch})
	if err != nil {
		return err
	}
	return errors.Join(do(sandbox, r), sandbox.Close())
}

func (a *app) query(ctx context.Context, p *pipeline, r query.Request, asOf time.Time, format string) error {
	if format == "parquet" && watch.Terminal(a.Stdout) {
		return tickerlake.Errorf(tickerlake.Invalid, "query", "--format", "parquet is not for a terminal: write it to a file with > FILE")
	}
	started := p.clock()
	counter := &rowCounter{}
	views, err := p.views(ctx, asOf)
	if err != nil {
		return err
	}
	err = p.ask(ctx, views, r, func(s *duck.Sandbox, r query.Request) error {
		counter.Engine = s
		return query.Run(ctx, counter, r, query.Output{Format: format, Width: a.width()}, a.Stdout)
	})
	p.recordQuery(context.WithoutCancel(ctx), r.SQL, started, counter.rows, err)
	if err != nil {
		return err
	}
	return a.sayIfSimulated(ctx, p, r.SQL, views)
}

// A rowCounter counts the rows that an engine gives.
type rowCounter struct {
	query.Engine
	rows int64
}

// Query counts as the rows are taken.
func (c *rowCounter) Query(ctx context.Context, r query.Request) (query.Rows, error) {
	rows, err := c.Engine.Query(ctx, r)
	if err != nil {
		return nil, err
	}
	return &countedRows{rows, c}, nil
}

type countedRows struct {
	query.Rows
	counter *rowCounter
}

func (c *countedRows) Next() ([][]any, error) {
	rows, err := c.Rows.Next()
	c.counter.rows += int64(len(rows))
	return rows, err
}

// recordQuery leaves the event of a statement in ops.queries. A reader does not hold
// the delivery log, so the event is an object of its own. A lake that cannot be
// written to answers all the same.
func (p *pipeline) recordQuery(ctx context.Context, sql string, started time.Time, rows int64, failure error) {
	now := p.clock().UTC()
	id := uuid.Must(uuid.NewV7()).String()
	e := tickerlake.QueryEvent{ID: id, SQL: sql, State: "SUCCEEDED", Rows: rows, DurationMS: now.Sub(started).Milliseconds(), Started: started.UTC(), At: now}
	if failure != nil {
		e.State, e.Error = "FAILED", failure.Error()
		if errors.Is(failure, tickerlake.Canceled) {
			e.State = "CANCELLED"
		}
	}
	var body bytes.Buffer
	z := gzip.NewWriter(&body)
	err := json.NewEncoder(z).Encode(e)
	if err = errors.Join(err, z.Close()); err == nil {
		key := "ops/queries/dt=" + now.Format(time.DateOnly) + "/queries-1-" + now.Format("2006-01-02-15-04-05") + "-" + id + ".gz"
		_, err = p.raw.Put(ctx, key, &body, blob.Condition{IfAbsent: true})
	}
	if err != nil {
		p.log.WarnContext(ctx, "the statement is not in ops.queries", "why", err)
	}
}

// width is that of the terminal, 0 if there is none.
func (a *app) width() int {
	if f, ok := a.Stdout.(*os.File); ok && watch.Terminal(f) {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil {
			return w
		}
	}
	return 0
}

// sayIfSimulated notes on Stderr that prices which a statement may have shown are made
// up: those of tables that it names.
func (a *app) sayIfSimulated(ctx context.Context, p *pipeline, sql string, views []lake.View) error {
	sql = strings.ToLower(sql)
	if !slices.ContainsFunc(views, func(v lake.View) bool { return !strings.HasSuffix(v.Database, "ops") && strings.Contains(sql, v.Name) }) {
		return nil
	}
	series, err := p.catalog.AllSeries(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, name := range p.file.SourceNames() {
		// Once something is published it is known whose it is.
		has := func(s tickerlake.Series) bool { return s.Source == collect.SimulatedPrefix+name }
		if p.file.Sources[name].Simulated && (len(series) == 0 || slices.ContainsFunc(series, has)) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	_, err = fmt.Fprintf(a.Stderr, "note: the prices of %s are simulated\n", strings.Join(names, ", "))
	return err
}
