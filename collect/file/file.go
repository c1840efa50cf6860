// Package file brings price files into the lake: CSV, NDJSON, JSON arrays and Parquet,
// compressed or not, and the raw lines of the project that tickerlake descends from.
//
// An Importer is given a file and how to read it (Task). It hands on the same raw
// documents as a source of an HTTP API, to the same Sink: what the file said, before any
// cast or judgement. What cannot be read goes on as the text it is, so that clean
// quarantines it with its reason. A file is taken once: its identity follows from its
// content and from how it is read, and a Ledger keeps how far it has come.
//
// An import tells no watermarks. What a file has and what it lacks is not known to be
// what its source has; the next fetch asks as if there had been no file.
package file

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/collect"
)

// A Ledger keeps which files were taken.
type Ledger interface {
	// Import gives what is kept of a file, tickerlake.NotFound if nothing is.
	Import(ctx context.Context, id string) (tickerlake.Import, error)
	// KeepImport records how far a file has come.
	KeepImport(ctx context.Context, i tickerlake.Import) error
	// NextImport is when a file is begun now: later than all of which is kept.
	NextImport(ctx context.Context) (time.Time, error)
}

// Options are what an Importer is handed.
type Options struct {
	Sink   collect.Sink
	Ledger Ledger
	// Series gives what is known of the symbols of a table. Nil: nothing is.
	Series func(ctx context.Context, table string) (map[tickerlake.Symbol]tickerlake.Series, error)
	Clock  tickerlake.Clock
	Log    *slog.Logger
	// TempDir is for what must be unpacked to be read: compressed Parquet files.
	TempDir string
	// OnFetch takes the records of a file, one for each symbol. An error ends the import.
	OnFetch func(ctx context.Context, records ...tickerlake.Fetch) error
	// OnProgress is told from time to time.
	OnProgress func(Progress)
}

// Progress is how far a file has come.
type Progress struct {
	Fraction float64
	Rows     int64
	// Checking is true while the file is read for its identity.
	Checking bool
}

// A Task is one file and how to read it.
type Task struct {
	// Path of the file, Name as the user named it.
	Path, Name string
	// Config says interval, table, time zone, session end, settle, basis and currency. An
	// empty one of them is the default: UTC, raw, USD, and for lines of the original what
	// its API gave.
	Config collect.Config
	// Source is what the rows say as their source.
	Source string
	// Symbol of the rows, if the file has no column of it; by default the file's name
	// says it.
	Symbol tickerlake.Symbol
	// Map is a jq expression from a row to rows with keys of Fields.
	Map string
	// TimeFormat is how the file writes times; see timeReader.
	TimeFormat string
	// Header names the columns of a CSV file that has no line of them.
	Header []string
	// FetchedAt is when the rows were learned; zero: the file's time, or what its rows say.
	FetchedAt time.Time
	// Again takes a file that was taken before.
	Again bool
}

// A Report says what became of a file.
type Report struct {
	Name    string
	Format  string // such as "csv, gzip"
	Symbols []Rows
	Rows    int64
	// Unreadable rows have a time that cannot be read or are no rows at all; clean
	// quarantines them.
	Unreadable int64
	// Dropped rows are those for which Map gave nothing.
	Dropped int64
	// Twice counts times that the clock of the zone shows twice, which were told apart by
	// the order of the rows.
	Twice int64
	// Later rows have a bar after FetchedAt, which is why clean will quarantine them.
	Later     int64
	FetchedAt time.Time
	Config    collect.Config // as it was used
	// Resumed documents were durable before: an import that was cut off is gone on with.
	Resumed int64
	// TakenAt is set if the file was taken before, and so nothing was done.
	TakenAt time.Time
	// Err is why the file failed.
	Err error
}

// Rows are the rows of one symbol.
type Rows struct {
	Symbol  tickerlake.Symbol
	FetchID string
	Rows    int64
	// From and To are the first and the last Ts, zero if none can be read.
	From, To time.Time
	// Err is why they were not taken.
	Err error
}

// An Importer brings files in, one after the other.
type Importer struct{ o Options }

// New makes an importer.
func New(o Options) *Importer {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.OnProgress == nil {
		o.OnProgress = func(Progress) {}
	}
	return &Importer{o}
}

// failed is an error of the file itself, which stops no other file.
type failed struct{ error }

func (f failed) Unwrap() error { return f.error }

func failure(name string, code tickerlake.Code, format string, args ...any) error {
	return failed{tickerlake.Errorf(code, "file.Import", name, format, args...)}
}

// Import brings one file in and returns when its rows are durable in the sink. The error is one that
// stops the import as a whole; what is wrong with the file is in the report.
func (i *Importer) Import(ctx context.Context, t Task) (Report, error) {
	if t.Name == "" {
		t.Name = t.Path
	}
	r := &run{Importer: i, task: t, report: Report{Name: t.Name}, begun: i.o.Clock()}
	err := r.all(ctx)
	if f, ok := errors.AsType[failed](err); ok {
		r.report.Err, err = f.error, nil
	}
	return r.report, err
}

// Check says what is wrong with a task before any file is opened. Only what is set is
// looked at.
func (t Task) Check() error {
	bad := func(flag, format string, args ...any) error {
		return tickerlake.Errorf(tickerlake.Invalid, "file.Check", flag, format, args...)
	}
	if t.Symbol != "" && !t.Symbol.Valid() {
		return bad("--symbol", "%q: want up to 32 of A-Z, 0-9 and . - ^ = / _, such as AAPL or BRK.B", t.Symbol)
	}
	if t.Source == "" || len(t.Source) > 128 || strings.ContainsFunc(t.Source, func(r rune) bool { return r < ' ' || r > '~' }) {
		return bad("--source", "%q: want a name such as file", t.Source)
	}
	if name := t.Config.Table; name != "" && !tableName.MatchString(name) || name == "latest" || strings.HasSuffix(name, "_revisions") {
		return bad("--table", "%q: want a name such as bars_1d_files: lower case, digits and _, neither latest nor ending in _revisions", name)
	}
	switch t.Config.Basis {
	case "", tickerlake.BasisRaw, tickerlake.BasisSplit, tickerlake.BasisTotal:
	default:
		return bad("--basis", "%q: want raw, split or total", t.Config.Basis)
	}
	if c := t.Config.Currency; c != "" && !currencyCode.MatchString(c) {
		return bad("--currency", "%q: want three letters, such as USD", c)
	}
	if z := t.Config.TimeZone; z != "" {
		if _, _, err := (collect.Config{TimeZone: z, Interval: tickerlake.Day}).Finality(); err != nil {
			return bad("--time-zone", "%w", err)
		}
	}
	if err := ParseTimeFormat(t.TimeFormat); err != nil {
		return bad("--time-format", "%w", err)
	}
	if t.Map != "" {
		if _, err := CompileMap(t.Map); err != nil {
			return err
		}
	}
	return nil
}

var (
	tableName    = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
	currencyCode = regexp.MustCompile(`^[A-Z]{3}$`)
)
