package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/spf13/cobra"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/duck"
	"github.com/tickerlake/tickerlake/lake"
	"github.com/tickerlake/tickerlake/query"
	"github.com/tickerlake/tickerlake/watch"
)

// An exportWish is what the flags of export say.
type exportWish struct {
	table, where, format, file, asOf string
	columns                          []string
	force                            bool
}

func (a *app) exportCommand() *cobra.Command {
	var w exportWish
	cmd := &cobra.Command{
		Use:   "export TABLE",
		Short: "Write a table, or a part of it, as Parquet, CSV or NDJSON",
		Long: `Writes the rows of a table sorted by symbol and ts, to standard output or to a file that
is there whole or not at all. --where is a condition in the SQL of tickerlake query, under
the same rules. Times are UTC; in Parquet they are timestamps, prices doubles.

What export has written, tickerlake import reads: with all columns the rows come back with
their source, their basis and when they were learned.`,
		Example: `  tickerlake export bars_1d -o bars.parquet
  tickerlake export bars_1d --where "symbol = 'AAPL' AND ts >= '2024-01-01'" --columns ts,close
  tickerlake export bars_1d --as-of 2024-12-31 -o then.csv
  tickerlake export bars_1m -o bars_1m.csv.gz --force`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			w.table = args[0]
			if err := w.settle(a.json); err != nil {
				return err
			}
			return a.open(cmd, false, func(ctx context.Context, p *pipeline) error { return a.export(ctx, p, w) })
		},
	}
	cmd.Flags().StringVar(&w.where, "where", "", "a condition in SQL; by default all rows")
	cmd.Flags().StringSliceVar(&w.columns, "columns", nil, "which columns, in their order; by default all")
	cmd.Flags().StringVar(&w.asOf, "as-of", "", "bars as they were known then: a date, or a time such as 2026-03-02T21:30:00Z")
	cmd.Flags().StringVarP(&w.format, "format", "f", "", "parquet, csv or ndjson (default what the file's name says, else csv)")
	cmd.Flags().StringVarP(&w.file, "output", "o", "", "a file instead of standard output; packed if it ends in .gz")
	cmd.Flags().BoolVar(&w.force, "force", false, "replace a file that is there")
	return cmd
}

// exportFormats by the endings of files.
var exportFormats = map[string]string{".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson"}

// settle checks the wish and decides its format.
func (w *exportWish) settle(json bool) error {
	bad := func(flag, format string, args ...any) error {
		return tickerlake.Errorf(tickerlake.Invalid, "export", flag, format, args...)
	}
	if w.format == "" {
		w.format = cmp.Or(exportFormats[filepath.Ext(strings.TrimSuffix(w.file, ".gz"))], "csv")
	}
	switch w.format {
	case "parquet", "csv", "ndjson":
	default:
		return bad("--format", "%q: want parquet, csv or ndjson", w.format)
	}
	switch {
	case w.file == "" && json:
		return bad("--json", "standard output is for the rows: name a file with -o")
	case w.file == "":
		return nil
	case w.format == "parquet" && strings.HasSuffix(w.file, ".gz"):
		return bad("--output", "%s: Parquet is packed already: leave .gz off", w.file)
	}
	info, err := os.Stat(w.file)
	switch {
	case err == nil && info.IsDir():
		return bad("--output", "%s is a folder: name a file in it", w.file)
	case err == nil && !w.force:
		return exists(w.file)
	}
	return nil
}

func exists(path string) error {
	return tickerlake.Errorf(tickerlake.Exists, "export", path, "the file is there already: name another, or replace it with --force")
}

// statement is the SQL of the rows, and that of their number.
func (w *exportWish) statement(v lake.View) (rows, count string, err error) {
	var names []string
	for _, c := range v.Columns {
		names = append(names, c.Name)
	}
	columns := w.columns
	if len(columns) == 0 {
		columns = names
	}
	quoted := make([]string, len(columns))
	for i, c := range columns {
		c = strings.TrimSpace(c)
		if !slices.Contains(names, c) {
			return "", "", tickerlake.Errorf(tickerlake.Invalid, "export", "--columns", "%s.%s has no column %q; it has %s", v.Database, v.Name, c, strings.Join(names, ", "))
		}
		quoted[i] = quoteName(c)
	}
	from := " FROM " + quoteName(v.Database) + "." + quoteName(v.Name)
	if strings.TrimSpace(w.where) != "" {
		from += "\nWHERE (" + w.where + "\n)" // the end of a line ends a comment
	}
	var order []string
	for _, key := range []string{"symbol", "ts", "table", "replaced_at", "recorded_at", "fetched_at", "fetch_id", "row", "id"} {
		if slices.Contains(names, key) {
			order = append(order, quoteName(key))
		}
	}
	rows = "SELECT " + strings.Join(quoted, ", ") + from
	if len(order) > 0 {
		rows += "\nORDER BY " + strings.Join(order, ", ")
	}
	return rows, "SELECT count(*)" + from, nil
}

func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// An exported is the result of an export, for --json.
type exported struct {
	Table  string `json:"table"`
	Format string `json:"format"`
	File   string `json:"file"`
	Rows   int64  `json:"rows"`
	Bytes  int64  `json:"bytes"`
}

func (a *app) export(ctx context.Context, p *pipeline, w exportWish) error {
	if w.file == "" && w.format == "parquet" && watch.Terminal(a.Stdout) {
		return tickerlake.Errorf(tickerlake.Invalid, "export", "--format", "parquet is not for a terminal: name a file with -o")
	}
	past, err := moment(w.asOf)
	if err != nil {
		return err
	}
	views, err := p.views(ctx, past)
	if err != nil {
		return err
	}
	v, err := findView(views, w.table)
	if err != nil {
		return err
	}
	rows, count, err := w.statement(v)
	if err != nil {
		return err
	}
	started := p.clock()
	out := exported{Table: v.Database + "." + v.Name, Format: w.format, File: w.file}
	err = p.ask(ctx, views, query.Request{SQL: rows}, func(s *duck.Sandbox, r query.Request) error {
		number := r
		number.SQL = count
		if out.Rows, err = one(ctx, s, number); err != nil {
			return err
		}
		return a.write(w, func(to io.Writer) error {
			counter := &rowCounter{Engine: s}
			return query.Run(ctx, counter, r, query.Output{Format: w.format}, a.progress(out, counter, to))
		}, &out.Bytes)
	})
	p.recordQuery(context.WithoutCancel(ctx), rows, started, out.Rows, err)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(out)
	}
	to, where := a.Stdout, " written to "+w.file
	if w.file == "" {
		to, where = a.Stderr, " written"
	}
	if _, err := fmt.Fprintf(to, "%s: %s, %s%s\n", out.Table, thousands(out.Rows, "row"), sizeText(out.Bytes), where); err != nil {
		return err
	}
	return a.sayIfSimulated(ctx, p, rows, []lake.View{v})
}

// one is the number that a statement gives.
func one(ctx context.Context, e query.Engine, r query.Request) (n int64, err error) {
	rows, err := e.Query(ctx, r)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	batch, err := rows.Next()
	if err != nil {
		return 0, err
	}
	n, _ = batch[0][0].(int64)
	return n, nil
}

// progress shows on a terminal how much has been written to w.
func (a *app) progress(out exported, counter *rowCounter, w io.Writer) io.Writer {
	if !watch.Terminal(a.Stderr) || out.File == "" && watch.Terminal(a.Stdout) {
		return w
	}
	return &progressWriter{w: w, bar: watch.NewBar(a.Stderr, time.Now, true), out: out, counter: counter}
}

type progressWriter struct {
	w       io.Writer
	bar     *watch.Bar
	out     exported
	counter *rowCounter
	n       int64
}

func (p *progressWriter) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	p.n += int64(n)
	fraction := -1.0 // the rows of Parquet are not seen
	if p.out.Format != "parquet" {
		fraction = float64(p.counter.rows) / float64(max(p.out.Rows, 1))
	}
	if p.bar.Show(p.out.Table, fraction, sizeText(p.n)); err != nil || p.out.Format != "parquet" && p.counter.rows >= p.out.Rows {
		p.bar.Clear()
	}
	return n, err
}

// write gives do where to write: standard output, or a file that gets its name when it is
// whole.
func (a *app) write(w exportWish, do func(io.Writer) error, size *int64) error {
	if w.file == "" {
		counted := &countedWriter{w: a.Stdout}
		err := do(counted)
		*size = counted.n
		return err
	}
	dir, base := filepath.Split(w.file)
	f, err := os.CreateTemp(cmp.Or(dir, "."), "."+base+".*")
	if err != nil {
		return diskError("export", w.file, err)
	}
	defer os.Remove(f.Name())
	buffer := bufio.NewWriterSize(f, 256<<10)
	if strings.HasSuffix(w.file, ".gz") {
		z, zerr := gzip.NewWriterLevel(buffer, gzip.BestSpeed)
		if zerr != nil {
			return errors.Join(zerr, f.Close())
		}
		err = errors.Join(do(z), z.Close())
	} else {
		err = do(buffer)
	}
	if ferr := errors.Join(buffer.Flush(), f.Chmod(0o644), f.Sync()); err == nil && ferr != nil {
		err = diskError("export", w.file, ferr)
	}
	if info, serr := f.Stat(); serr == nil {
		*size = info.Size()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if w.force {
		err = os.Rename(f.Name(), w.file)
	} else if err = os.Link(f.Name(), w.file); err != nil && !errors.Is(err, fs.ErrExist) {
		err = os.Rename(f.Name(), w.file) // a file system without links
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return exists(w.file)
	case err != nil:
		return diskError("export", w.file, err)
	}
	return nil
}

type countedWriter struct {
	w io.Writer
	n int64
}

func (c *countedWriter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
