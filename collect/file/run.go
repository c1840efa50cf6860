package file

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/collect"
	"github.com/tickerlake/tickerlake/internal/fault"
)

// A run is the import of one file.
type run struct {
	*Importer
	task   Task
	report Report
	begun  time.Time

	in      *input
	spooled *os.File // of a compressed Parquet file
	cfg     collect.Config
	zone    *time.Location
	final   func(ts, at time.Time) bool
	times   *timeReader
	utc     *timeReader // of fetched_at, and of all times of an export
	symbol  tickerlake.Symbol
	entry   tickerlake.Import
	known   map[tickerlake.Symbol]tickerlake.Series

	writer  writer
	origins map[originKey]*origin
	order   []*origin
	read    bool   // a time was read
	first   string // what the first row without one says
}

// slack is how far the file's clock may be ahead, as clean has it.
const slack = time.Hour

func (r *run) all(ctx context.Context) (err error) {
	if r.in, err = open(r.task.Path, r.task.Name); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	r.report.Format = r.in.format()
	if err := r.settle(ctx); err != nil {
		return err
	}
	if taken, err := r.identify(ctx); err != nil || taken {
		return err
	}
	if r.o.Series != nil {
		if r.known, err = r.o.Series(ctx, r.cfg.TableName()); err != nil {
			return err
		}
	}
	if err := r.rows(ctx); err != nil {
		return err
	}
	if r.in.changed() {
		return failure(r.task.Name, tickerlake.Conflict, "changed while it was read: import it again when it is whole")
	}
	return r.end(ctx)
}

func (r *run) close() error {
	err := r.in.close()
	if r.spooled != nil {
		err = errors.Join(err, r.spooled.Close())
	}
	return err
}

// open opens the rows of the file from the beginning.
func (r *run) open(ctx context.Context) (rowReader, func() error, error) {
	none := func() error { return nil }
	var rows rowReader
	release := none
	mapped := r.task.Map != ""
	if r.in.form == formParquet {
		src := r.in.file
		if r.in.compression != "" {
			if r.spooled == nil {
				var err error
				if r.spooled, err = r.in.spool(ctx, cmp.Or(r.o.TempDir, os.TempDir())); err != nil {
					return nil, none, r.in.damaged(err)
				}
			}
			src = r.spooled
		}
		p, err := newParquet(ctx, src, r.task.Name, mapped)
		if err != nil {
			return nil, none, err
		}
		rows, release = p, func() error { p.close(); return nil }
	} else {
		body, err := r.in.body()
		if err != nil {
			return nil, none, err
		}
		release = body.Close
		if r.in.form == formCSV {
			rows, err = newCSV(body, r.task.Name, r.task.Header, mapped)
		} else {
			rows, err = newJSON(r.in, body, mapped)
		}
		if err != nil {
			return nil, none, errors.Join(r.readError(err), release())
		}
	}
	if !mapped {
		return rows, release, nil
	}
	code, err := CompileMap(r.task.Map)
	if err != nil {
		return nil, none, errors.Join(err, release())
	}
	m := &mapper{rowReader: rows, ctx: ctx, code: code, vars: []any{filepath.Base(r.task.Name), string(r.task.Config.Interval)}}
	return m, release, nil
}

// readError makes an error of reading one of the file.
func (r *run) readError(err error) error {
	if _, ok := errors.AsType[failed](err); ok || tickerlake.CodeOf(err) == tickerlake.Canceled {
		return err
	}
	return r.in.damaged(err)
}

// settle reads the first row and decides how the file is to be read.
func (r *run) settle(ctx context.Context) (err error) {
	rows, release, err := r.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	var one row
	if err := rows.next(&one); err != nil && err != io.EOF {
		return r.readError(err)
	} else if err == io.EOF {
		one.clear(0)
	}
	has := !one.cells[fieldSymbol].null
	l := rows.layout()
	if l != nil {
		has = l.has(fieldSymbol) || has
	}
	r.cfg = whole(r.task.Config, one.line > 0)
	if r.cfg.Interval == "" {
		return failure(r.task.Name, tickerlake.Invalid, "the length of its bars is not known: say --interval, such as --interval 1d")
	}
	if r.zone, r.final, err = r.cfg.Finality(); err != nil {
		return failure(r.task.Name, tickerlake.Invalid, "%w", err)
	}
	if r.times, err = newTimeReader(r.cfg.Interval, r.zone, r.task.TimeFormat); err != nil {
		return failure(r.task.Name, tickerlake.Invalid, "%w", err)
	}
	if r.utc, err = newTimeReader(r.cfg.Interval, time.UTC, ""); err != nil {
		return err
	}
	r.report.Config = r.cfg
	switch {
	case has && r.task.Symbol != "":
		return failure(r.task.Name, tickerlake.Invalid, "its rows say their symbol (the first %q): leave --symbol out, or choose with --map", excerpt(one.cells[fieldSymbol].text))
	case has:
	case r.task.Symbol != "":
		r.symbol = r.task.Symbol
	default:
		if name := perhapsSymbol(l, rows, r.task.Map != ""); name != "" {
			return failure(r.task.Name, tickerlake.Invalid,
				"it is not clear whose prices it has: there is a column %s, and none named Symbol or Ticker. If all are of one symbol, say --symbol; otherwise map it, such as --map '{symbol: .%q, ts: .date, ..}'", name, name)
		}
		if r.symbol = SymbolOf(r.task.Path); !r.symbol.Valid() {
			return failure(r.task.Name, tickerlake.Invalid, "its name gives no symbol, and it has no column of it: say --symbol")
		}
	}
	return nil
}

// perhapsSymbol names a column that may be the symbol.
func perhapsSymbol(l *layout, rows rowReader, mapped bool) string {
	if l != nil {
		return l.perhaps
	}
	object, ok := rows.columns().(map[string]any)
	if !ok || mapped {
		return ""
	}
	for name := range object {
		if slices.Contains(perhapsSymbols, normal(name)) {
			return name
		}
	}
	return ""
}

// whole fills in what a configuration leaves open. The API of the original gave daily
// bars of New York, adjusted for splits.
func whole(c collect.Config, original bool) collect.Config {
	d := collect.Defaults()
	if original {
		c.Interval = cmp.Or(c.Interval, tickerlake.Day)
		c.Basis = cmp.Or(c.Basis, tickerlake.BasisSplit)
		c.TimeZone = cmp.Or(c.TimeZone, "America/New_York")
		if c.TimeZone == "America/New_York" {
			c.SessionEnd = cmp.Or(c.SessionEnd, "16:00")
		}
	}
	c.Basis = cmp.Or(c.Basis, tickerlake.BasisRaw)
	c.TimeZone = cmp.Or(c.TimeZone, d.TimeZone)
	c.Currency = cmp.Or(c.Currency, d.Currency)
	c.Settle = cmp.Or(c.Settle, d.Settle)
	return c
}

// identify finds out whether the file was taken, or how far it had come.
func (r *run) identify(ctx context.Context) (taken bool, err error) {
	r.in.onRead = func(at float64) { r.o.OnProgress(Progress{Fraction: at, Checking: true}) }
	sum, err := r.in.sum(ctx)
	if err != nil {
		return false, err
	}
	// Everything that decides what the documents say. The file's time does not: a file
	// that was touched is the same file.
	how, err := json.Marshal(map[string]any{
		"content": hex.EncodeToString(sum[:]), "symbol": r.symbol, "source": r.task.Source, "table": r.cfg.TableName(),
		"interval": r.cfg.Interval, "basis": r.cfg.Basis, "currency": r.cfg.Currency, "time_zone": r.cfg.TimeZone,
		"session_end": r.cfg.SessionEnd, "settle": int64(r.cfg.Settle), "map": r.task.Map, "time_format": r.task.TimeFormat,
		"header": r.task.Header, "fetched_at": r.task.FetchedAt.UTC(),
	})
	if err != nil {
		return false, err
	}
	id := sha256.Sum256(how)
	at := r.task.FetchedAt
	if at.IsZero() {
		at = r.in.modified()
	}
	fresh := tickerlake.Import{ID: hex.EncodeToString(id[:16]), Name: r.task.Name, Size: r.in.info.Size(), FetchedAt: at.UTC().Truncate(time.Microsecond)}
	if fresh.Begun, err = r.o.Ledger.NextImport(ctx); err != nil {
		return false, err
	}
	r.entry, err = r.o.Ledger.Import(ctx, fresh.ID)
	switch {
	case errors.Is(err, tickerlake.NotFound):
		r.entry = fresh
	case err != nil:
		return false, err
	case !r.entry.TakenAt.IsZero() && !r.task.Again:
		r.report.TakenAt, r.report.FetchedAt = r.entry.TakenAt, r.entry.FetchedAt
		return true, nil
	case !r.entry.TakenAt.IsZero():
		r.entry.Documents, r.entry.TakenAt, r.entry.Begun = 0, time.Time{}, fresh.Begun
	}
	r.report.Resumed, r.report.FetchedAt = r.entry.Documents, r.entry.FetchedAt
	if r.entry.FetchedAt.After(r.begun.Add(slack)) {
		return false, failure(r.task.Name, tickerlake.Invalid, "its time, %s, is in the future: say with --fetched-at when its prices were learned", r.entry.FetchedAt.Format(time.RFC3339))
	}
	return false, nil
}

// rows hands every row on.
func (r *run) rows(ctx context.Context) (err error) {
	r.origins = map[originKey]*origin{}
	r.writer = writer{run: r, skip: r.entry.Documents}
	rows, release, err := r.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	r.in.onRead = func(at float64) { r.o.OnProgress(Progress{Fraction: at, Rows: r.report.Rows}) }
	var one row
	for n := 0; ; n++ {
		if n%1024 == 0 {
			if ctx.Err() != nil {
				return canceled(ctx)
			}
			if at := rows.fraction(); at >= 0 {
				r.o.OnProgress(Progress{Fraction: at, Rows: r.report.Rows})
			}
		}
		err := rows.next(&one)
		if err == io.EOF {
			break
		}
		if err != nil {
			return r.readError(err)
		}
		if err := r.row(ctx, &one); err != nil {
			return err
		}
	}
	if m, ok := rows.(*mapper); ok {
		r.report.Dropped = m.dropped
	}
	if err := r.sound(); err != nil {
		return err
	}
	return r.writer.put(ctx)
}

// sound fails if not one row has a time that can be read: then the file is another than
// it was taken for, and nothing of it was handed on.
func (r *run) sound() error {
	if r.read || r.report.Rows == 0 {
		return nil
	}
	return failure(r.task.Name, tickerlake.Invalid,
		"none of its first %d rows has a time that can be read; the first: %s. Say with --time-format how times are written, such as MM/dd/yyyy, or with --map what the rows are", r.report.Rows, r.first)
}

// end records that the file was taken.
func (r *run) end(ctx context.Context) error {
	var conflicts []string
	var records []tickerlake.Fetch
	bySymbol := map[tickerlake.Symbol]int{}
	now := r.o.Clock()
	for _, o := range r.order {
		f := tickerlake.Fetch{
			ID: o.id, Source: o.source, Symbol: o.symbol, Table: r.cfg.TableName(), Interval: r.cfg.Interval,
			From: o.from, FetchedAt: o.at, Class: tickerlake.ClassOK, Rows: o.rows, Attempts: 1,
			DurationMS: now.Sub(r.begun).Milliseconds(), File: r.task.Name, At: now.UTC(),
		}
		if !o.to.IsZero() {
			f.To = o.to.Add(r.cfg.Interval.Duration())
		}
		rows := Rows{Symbol: o.symbol, FetchID: o.id, Rows: o.rows, From: o.from, To: o.to}
		if o.conflict != "" {
			f.Class, f.Rows, f.Error = tickerlake.ClassConflict, 0, o.conflict
			rows.Rows = 0
			rows.Err = tickerlake.Errorf(tickerlake.Conflict, "file.Import", string(o.symbol), "%s", o.conflict)
			conflicts = append(conflicts, rows.Err.Error())
		}
		records = append(records, f)
		at, ok := bySymbol[o.symbol]
		if !ok {
			bySymbol[o.symbol] = len(r.report.Symbols)
			r.report.Symbols = append(r.report.Symbols, rows)
			continue
		}
		s := &r.report.Symbols[at]
		s.Rows += rows.Rows
		s.From, s.To = tickerlake.Earlier(s.From, rows.From), tickerlake.Later(s.To, rows.To)
		s.Err = cmp.Or(s.Err, rows.Err)
	}
	if r.o.OnFetch != nil && len(records) > 0 {
		if err := r.o.OnFetch(ctx, records...); err != nil {
			return fmt.Errorf("%s: recording its fetches: %w", r.task.Name, err)
		}
	}
	if len(conflicts) > 0 {
		more := ""
		if n := len(conflicts) - 5; n > 0 {
			conflicts, more = conflicts[:5], fmt.Sprintf("; and %d more symbols", n)
		}
		return failure(r.task.Name, tickerlake.Conflict, "%s%s", strings.Join(conflicts, "; "), more)
	}
	if r.report.Rows == 0 {
		return nil
	}
	fault.Point("file.put")
	r.entry.Documents, r.entry.TakenAt = r.writer.documents, now.UTC().Truncate(time.Microsecond)
	if err := r.o.Ledger.KeepImport(ctx, r.entry); err != nil {
		return err
	}
	fault.Point("file.taken")
	return nil
}

// fetchID is made of the file's identity and of when it was begun: cut off and gone on
// with it has the same ids, and of rows with one fetched_at those of the file that was
// brought in last win, as of one file that is read in another way.
func (r *run) fetchID(key originKey) string {
	b := append([]byte(r.entry.ID), key.symbol...)
	b = binary.AppendVarint(append(b, 0), key.line)
	sum := sha256.Sum256(b)
	return tickerlake.FileFetch + collect.FetchID(r.entry.Begun, [10]byte(sum[:10]))
}
