package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/collect"
	"github.com/tickerlake/tickerlake/collect/file"
	"github.com/tickerlake/tickerlake/watch"
)

// importSource is the source of rows that came from files, unless it is named.
const importSource = "file"

// An importWish is what the flags of import say.
type importWish struct {
	symbol, interval, table, source, basis, currency string
	zone, fetchedAt, mapping, timeFormat             string
	header                                           []string
	again, run                                       bool
}

func (a *app) importCommand() *cobra.Command {
	var w importWish
	cmd := &cobra.Command{
		Use:   "import FILE.. --interval I",
		Short: "Bring in price files: CSV, NDJSON, JSON arrays, Parquet",
		Long: `Brings bars from files by the way of a fetch: they are delivered to the raw bucket, and
tickerlake run cleans, checks and publishes them. CSV (also with ; or tabs), NDJSON, JSON
arrays and Parquet are read, also packed with gzip, zstd or bzip2, and the raw lines of
the original project; which it is, the content says. A folder stands for all files below.

Columns are found by their usual names: Date, Datetime, Timestamp or Time; Open, High,
Low, Close, Adj Close, Volume; Symbol or Ticker; Currency. --map makes rows of anything
else by jq. A file without a column of symbols is of the symbol that its name says
(aapl_daily.csv.gz: AAPL), or --symbol.

Rows count as learned at the file's time, or --fetched-at: an old file never takes the
place of what a later fetch confirmed. A file is taken once, by its content. What cannot be
read is not dropped; it is quarantined with its reason. With --source NAME of a source in
the pipeline file, interval, zone, basis, currency and table are those of the source.

A file that fails stops no other: the exit status is then 4.`,
		Example: `  tickerlake import daily/*.csv --interval 1d --basis split --run
  tickerlake import SX5E.csv --interval 1m --currency EUR
  tickerlake import ticks.csv.gz --interval 1m --time-zone America/New_York --time-format "MM/dd/yyyy HH:mm"
  tickerlake import dump.ndjson --interval 1d --map '{symbol: .tic, ts: .day, close: .px}'`,
		Args: usage(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			paths, err := a.expand(args)
			if err != nil {
				return err
			}
			return a.open(cmd, true, func(ctx context.Context, p *pipeline) error { return a.importFiles(ctx, p, paths, w) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&w.symbol, "symbol", "", "symbol of files that have no column of it; by default their names say it")
	f.StringVar(&w.interval, "interval", "", "length of the bars: 1m, 5m, 15m, 1h or 1d")
	f.StringVar(&w.table, "table", "", "where the rows belong (default bars_<interval>)")
	f.StringVar(&w.source, "source", importSource, "what the rows say as their source")
	f.StringVar(&w.basis, "basis", "", "what prices are adjusted for: raw, split or total (default raw)")
	f.StringVar(&w.currency, "currency", "", "currency of rows that say none (default USD)")
	f.StringVar(&w.zone, "time-zone", "", "zone of the exchange, and of times that name none (default UTC)")
	f.StringVar(&w.timeFormat, "time-format", "", "how times are written, such as MM/dd/yyyy, or epoch_ms")
	f.StringVar(&w.fetchedAt, "fetched-at", "", "when the prices were learned, RFC 3339 (default the file's time)")
	f.StringVar(&w.mapping, "map", "", "jq from a row to {"+strings.Join(file.Fields, ", ")+"}")
	f.StringSliceVar(&w.header, "header", nil, "names of the columns of CSV files that have no header")
	f.BoolVar(&w.again, "again", false, "take files that were taken before")
	f.BoolVar(&w.run, "run", false, "clean, check and publish at once")
	return cmd
}

// task is the wish as one for every file.
func (p *pipeline) task(w importWish) (t file.Task, err error) {
	bad := func(flag, format string, args ...any) (file.Task, error) {
		return t, tickerlake.Errorf(tickerlake.Invalid, "import", flag, format, args...)
	}
	var cfg collect.Config
	t = file.Task{Source: w.source, Symbol: tickerlake.Symbol(w.symbol), Map: w.mapping, TimeFormat: w.timeFormat, Header: w.header, Again: w.again}
	if known, ok := p.file.Sources[w.source]; ok {
		cfg, t.Source = known, known.Label(w.source)
		if cfg.Currency == collect.CurrencyOfAnswer {
			cfg.Currency = ""
		}
	}
	if w.interval != "" {
		if cfg.Interval, err = tickerlake.ParseInterval(w.interval); err != nil {
			return bad("", "--%w", err)
		}
	}
	for _, set := range []struct {
		to   *string
		flag string
	}{{&cfg.Table, w.table}, {&cfg.Currency, w.currency}, {&cfg.TimeZone, w.zone}, {(*string)(&cfg.Basis), w.basis}} {
		if set.flag != "" {
			*set.to = set.flag
		}
	}
	t.Config = cfg
	if err := t.Check(); err != nil {
		return t, err
	}
	if w.fetchedAt != "" {
		if t.FetchedAt, err = time.Parse(time.RFC3339, w.fetchedAt); err != nil {
			return bad("--fetched-at", "%q: want a time such as 2024-01-31T21:00:00Z", w.fetchedAt)
		}
		if t.FetchedAt.After(p.clock()) {
			return bad("--fetched-at", "%q is in the future", w.fetchedAt)
		}
	}
	return t, nil
}

// An imported is the result of one file, for --json.
type imported struct {
	File       string           `json:"file"`
	Format     string           `json:"format,omitempty"`
	Taken      bool             `json:"taken"`
	TakenAt    time.Time        `json:"taken_at,omitzero"` // if it was taken before
	FetchedAt  time.Time        `json:"fetched_at,omitzero"`
	Table      string           `json:"table,omitempty"`
	Rows       int64            `json:"rows"`
	Unreadable int64            `json:"unreadable"`
	Dropped    int64            `json:"dropped"`
	Resumed    int64            `json:"resumed"`
	Symbols    []importedSymbol `json:"symbols,omitempty"`
	Notes      []string         `json:"notes,omitempty"`
	Error      string           `json:"error,omitempty"`
}

type importedSymbol struct {
	Symbol  tickerlake.Symbol `json:"symbol"`
	Rows    int64             `json:"rows"`
	From    time.Time         `json:"from,omitzero"`
	To      time.Time         `json:"to,omitzero"`
	FetchID string            `json:"fetch_id"`
	Error   string            `json:"error,omitempty"`
}

func (a *app) importFiles(ctx context.Context, p *pipeline, paths []string, w importWish) error {
	task, err := p.task(w)
	if err != nil {
		return err
	}
	if task.Config.Interval == "" {
		for _, path := range paths {
			if !file.Original(a.path(path)) {
				return tickerlake.Errorf(tickerlake.Invalid, "import", "--interval", "missing: want one of 1m, 5m, 15m, 1h, 1d (%s does not say how long its bars are)", path)
			}
		}
	}
	mine := p.asking[imports]
	if err := mine.take(ctx, func() { fmt.Fprintln(a.Stderr, "waiting for the import that is under way") }); err != nil {
		return err
	}
	done := sync.OnceFunc(mine.give)
	defer done()
	paused, err := p.catalog.Paused(ctx)
	if err != nil {
		return err
	}
	if err := refused(w.source, paused); err != nil {
		return err
	}
	live := watch.Terminal(a.Stderr)
	bar := watch.NewBar(a.Stderr, time.Now, live)
	name := ""
	importer := file.New(file.Options{
		Sink: p.bars, Ledger: p.catalog, Series: p.catalog.Series, Clock: p.clock, Log: p.log,
		TempDir: filepath.Join(p.dir, "tmp"),
		OnFetch: func(ctx context.Context, records ...tickerlake.Fetch) error {
			events := make([]any, len(records))
			for i, f := range records {
				events[i] = f
			}
			return p.ops.Emit(ctx, "fetches", events...)
		},
		OnProgress: func(at file.Progress) {
			if live {
				what := plural(at.Rows, "row")
				if at.Checking {
					what = "checking"
				}
				bar.Show(name, at.Fraction, what)
			}
		},
	})
	var out []imported
	failures := 0
	for _, path := range paths {
		task.Path, task.Name, name = a.path(path), path, filepath.Base(path)
		var report file.Report
		report, err = importer.Import(ctx, task)
		bar.Clear()
		if report.Err != nil {
			failures++
			p.log.ErrorContext(ctx, "a file could not be imported", "file", path, "error", report.Err)
		}
		result := importedOf(report)
		out = append(out, result)
		if err != nil {
			break
		}
		if perr := a.printImported(report, result); perr != nil {
			return perr
		}
	}
	err = errors.Join(err, p.bars.Flush(ctx), p.ops.flush(context.WithoutCancel(ctx)))
	if a.json {
		if perr := a.printJSON(out); perr != nil {
			return perr
		}
	}
	if err == nil && w.run {
		done() // who changes more waits for imports, and the run waits for them
		err = a.run(ctx, p, mainWorkflow, false, p.starting)
	}
	if failures > 0 {
		err = errors.Join(err, tickerlake.Errorf(tickerlake.SourceFailed, "import", "", "%d of %s could not be imported", failures, plural(int64(len(paths)), "file")))
	}
	return err
}

func importedOf(r file.Report) imported {
	out := imported{
		File: r.Name, Format: r.Format, Taken: r.Err == nil && r.TakenAt.IsZero() && r.Rows > 0, TakenAt: r.TakenAt, FetchedAt: r.FetchedAt,
		Rows: r.Rows, Unreadable: r.Unreadable, Dropped: r.Dropped, Resumed: r.Resumed,
	}
	if r.Config.Interval != "" {
		out.Table = r.Config.TableName()
	}
	for _, s := range r.Symbols {
		symbol := importedSymbol{Symbol: s.Symbol, Rows: s.Rows, From: s.From, To: s.To, FetchID: s.FetchID}
		if s.Err != nil {
			symbol.Error = s.Err.Error()
		}
		out.Symbols = append(out.Symbols, symbol)
	}
	note := func(n int64, format string, args ...any) {
		if n > 0 {
			out.Notes = append(out.Notes, fmt.Sprintf(format, args...))
		}
	}
	note(r.Resumed, "%s were delivered before the import was cut off", plural(r.Resumed, "row"))
	note(r.Unreadable, "%s cannot be read and will be quarantined", plural(r.Unreadable, "row"))
	note(r.Dropped, "--map gave nothing for %s", plural(r.Dropped, "row"))
	note(r.Twice, "%s stand in the hour that the clock of %s shows twice; their order told which is meant", plural(r.Twice, "time"), r.Config.TimeZone)
	note(r.Later, "%s have bars after the file's time, %s, and will be quarantined; say with --fetched-at when they were learned", plural(r.Later, "row"), timeText(r.FetchedAt))
	if r.Err != nil {
		out.Error = r.Err.Error()
	}
	return out
}

// printImported tells of one file as soon as it is done.
func (a *app) printImported(r file.Report, result imported) error {
	if r.Err != nil {
		_, err := fmt.Fprintln(a.Stderr, "tickerlake: "+a.secrets.Hide(r.Err.Error()))
		return err
	}
	if a.json {
		return nil
	}
	line := r.Name + ": "
	switch {
	case !r.TakenAt.IsZero():
		line += fmt.Sprintf("already taken on %s, nothing to do", timeText(r.TakenAt))
	case r.Rows == 0:
		line += "holds no rows"
	default:
		whose := plural(int64(len(r.Symbols)), "symbol")
		if len(r.Symbols) == 1 {
			whose = string(r.Symbols[0].Symbol)
		}
		line += fmt.Sprintf("%s of %s (%s, %s, %s, learned %s)", thousands(r.Rows, "row"), whose, r.Config.TableName(), r.Config.Basis, r.Config.Currency, timeText(r.FetchedAt))
	}
	if _, err := fmt.Fprintln(a.Stdout, line); err != nil {
		return err
	}
	for _, n := range result.Notes {
		if _, err := fmt.Fprintln(a.Stderr, "note: "+r.Name+": "+n); err != nil {
			return err
		}
	}
	return nil
}

// thousands is a number of things with commas.
func thousands(n int64, thing string) string {
	text := plural(n, thing)
	digits, rest, _ := strings.Cut(text, " ")
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits + " " + rest
}
