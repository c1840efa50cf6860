package file

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/collect"
	"github.com/tickerlake/tickerlake/internal/fault"
)

// An originKey tells the rows apart that count as one fetch: those of a symbol, in files
// of the original those of a line.
type originKey struct {
	symbol string
	line   int64
}

// An origin is what the rows of one fetch share.
type origin struct {
	symbol   tickerlake.Symbol
	id       string
	source   string
	at       time.Time
	rows     int64
	from, to time.Time
	conflict string

	// Of the last row whose time was read: its instant, and which way they go.
	last int64
	way  int
}

// origin finds the origin of a row, or makes it with what this first row says.
func (r *run) origin(symbol string, one *row, at time.Time) *origin {
	key := originKey{symbol, one.line}
	if o, ok := r.origins[key]; ok {
		return o
	}
	if one.line > 0 {
		clear(r.origins) // the lines before are complete
	}
	o := &origin{symbol: tickerlake.Symbol(symbol), id: r.fetchID(key), at: at, source: textOr(one.cells[fieldSource], r.task.Source)}
	if o.symbol.Valid() {
		o.conflict = r.conflict(o, one)
	}
	r.origins[key] = o
	r.order = append(r.order, o)
	return o
}

func textOr(c cell, other string) string {
	if c.null {
		return other
	}
	return string(c.text)
}

// conflict says how the rows of a symbol contradict those that the table has of it.
func (r *run) conflict(o *origin, one *row) string {
	known, ok := r.known[o.symbol]
	if !ok || known.Source == "" {
		for _, other := range r.known {
			if other.Interval != "" && other.Interval != r.cfg.Interval {
				return fmt.Sprintf("table %s holds bars of %s: choose another with --table, or another --interval", r.cfg.TableName(), other.Interval)
			}
		}
		return ""
	}
	var differ, flags []string
	for _, c := range []struct{ what, stored, ours, flag string }{
		{"source", known.Source, o.source, "--source"},
		{"basis", string(known.Basis), textOr(one.cells[fieldBasis], string(r.cfg.Basis)), "--basis"},
		{"currency", known.Currency, textOr(one.cells[fieldCurrency], r.currency()), "--currency"},
		{"interval", string(known.Interval), string(r.cfg.Interval), "--interval"},
	} {
		if c.stored != "" && c.stored != c.ours {
			differ = append(differ, fmt.Sprintf("%s %q where the file has %q", c.what, c.stored, c.ours))
			flags = append(flags, c.flag+" "+strings.TrimPrefix(c.stored, collect.SimulatedPrefix))
		}
	}
	if len(differ) == 0 {
		return ""
	}
	return fmt.Sprintf("table %s holds rows of it with %s: import to a table of its own (--table), or, if the file is of the same prices, with %s",
		r.cfg.TableName(), strings.Join(differ, ", and "), strings.Join(flags, " "))
}

// currency of rows that say none.
func (r *run) currency() string {
	if r.cfg.Currency == collect.CurrencyOfAnswer {
		return ""
	}
	return r.cfg.Currency
}

// row hands one row on.
func (r *run) row(ctx context.Context, one *row) error {
	r.report.Rows++
	at, atText := r.learned(one)
	symbol := string(bytes.ToUpper(bytes.TrimSpace(one.cells[fieldSymbol].text)))
	if symbol == "" {
		symbol = string(r.symbol)
	}
	o := r.origin(symbol, one, at)
	o.rows++
	text, ts, known := r.time(one, o)
	final := !known || r.final(ts, at)
	if c := one.cells[fieldFinal]; !c.null {
		final = bytes.EqualFold(c.text, []byte("true"))
	}
	if known {
		r.read = true
		o.from, o.to = tickerlake.Earlier(o.from, ts), tickerlake.Later(o.to, ts)
		if r.ahead(ts, at) {
			r.report.Later++
		}
	} else {
		r.report.Unreadable++
		if r.first == "" {
			r.first = excerpt([]byte(text))
		}
	}
	if o.conflict != "" {
		r.writer.documents++ // it has its place, whether it is handed on or not
		return nil
	}
	return r.writer.add(ctx, document{row: one, origin: o, symbol: symbol, ts: text, final: final, at: atText})
}

// ahead reports whether clean will find a bar in the future.
func (r *run) ahead(ts, at time.Time) bool {
	if r.cfg.Interval.Daily() {
		return ts.After(at.Add(14 * time.Hour))
	}
	return ts.After(at)
}

// learned is when a row was learned, and how its document says so.
func (r *run) learned(one *row) (time.Time, string) {
	c := one.cells[fieldFetchedAt]
	if c.null || !r.task.FetchedAt.IsZero() {
		return r.entry.FetchedAt, ""
	}
	m := r.utc.read(c.text)
	if !m.found {
		return r.entry.FetchedAt, string(c.text) + " (no known form of a time)"
	}
	at := m.wall.UTC()
	return at, at.Format(fetchedForm)
}

const fetchedForm = "2006-01-02T15:04:05.000000Z"

// maxBad bounds what a document repeats of a row that cannot be read.
const maxBad = 16 << 10

// time reads the time of a row: the text of its document, and the Ts if it is known. The
// text of a time that cannot be read is such that no one else can either: it would be
// taken for one of another zone.
func (r *run) time(one *row, o *origin) (text string, ts time.Time, known bool) {
	if one.bad != "" {
		return string(one.text[:min(len(one.text), maxBad)]) + " (" + one.bad + ")", ts, false
	}
	c := one.cells[fieldTs]
	if c.null {
		return "(no time)", ts, false
	}
	written := bytes.TrimSpace(c.text)
	if clock := one.cells[fieldTime]; !clock.null {
		written = bytes.Join([][]byte{written, clockOf(clock.text)}, []byte(" "))
	}
	no := func(why string) (string, time.Time, bool) {
		return string(written[:min(len(written), maxBad)]) + " (" + why + ")", time.Time{}, false
	}
	times := r.times
	if !one.cells[fieldFetchID].null {
		times = r.utc // of tickerlake export
	}
	m := times.read(written)
	if !m.found {
		return no("no known form of a time")
	}
	if times.interval.Daily() {
		ts = m.wall
		switch {
		case m.kind == momentInstant:
			ts = times.date(m.wall)
		case m.kind == momentOffset && (ts.Hour() != 0 || ts.Minute() != 0 || ts.Second() != 0):
			ts = times.date(m.wall)
		}
		y, mo, d := ts.Date()
		ts = time.Date(y, mo, d, 0, 0, 0, 0, time.UTC)
		return ts.Format(time.DateOnly), ts, true
	}
	switch m.kind {
	case momentDate:
		return no("no time of day")
	case momentOffset, momentInstant:
		ts = m.wall.UTC()
	default:
		list, n := times.offsets(m.wall)
		switch n {
		case 0:
			return no("the clock of " + r.cfg.TimeZone + " skips it")
		case 2:
			r.report.Twice++
			list[0] = o.choose(m.wall.Unix(), list)
		}
		ts = m.wall.Add(-time.Duration(list[0]) * time.Second)
	}
	o.pass(ts.Unix())
	return string(ts.AppendFormat(make([]byte, 0, 32), time.RFC3339Nano)), ts, true
}

// clockOf writes a time of day that a number has robbed of its first zero (93000).
func clockOf(text []byte) []byte {
	text = bytes.TrimSpace(text)
	if (len(text) == 5 || len(text) == 3) && isNumber(text) || len(text) > 1 && text[1] == ':' {
		return append([]byte("0"), text...)
	}
	return text
}

// pass notes the instant of a row.
func (o *origin) pass(at int64) {
	switch {
	case o.last == 0:
	case at > o.last:
		o.way = 1
	case at < o.last:
		o.way = -1
	}
	o.last = at
}

// choose tells apart the two instants of a wall-clock time that the zone shows twice:
// where rows go forward the first that is after the row before, where they go backward
// the last that is before it.
func (o *origin) choose(wall int64, list [2]int64) int64 {
	first, second := wall-list[0], wall-list[1]
	if o.way < 0 {
		if o.last == 0 || second < o.last {
			return list[1]
		}
		return list[0]
	}
	if o.last == 0 || first > o.last || second <= o.last {
		return list[0]
	}
	return list[1]
}

// A document is a row on its way.
type document struct {
	row    *row
	origin *origin
	symbol string
	ts     string
	final  bool
	at     string // fetched_at, empty if it is that of the file
}

// A writer packs documents into records and hands these on.
type writer struct {
	run       *run
	skip      int64 // documents that are durable already
	documents int64
	begun     bool
	b         []byte
	records   []tickerlake.Record
	waiting   int
	put0      int // bytes put since the ledger was told
	one       []byte
}

const (
	recordBytes = 900_000
	putBytes    = 4 << 20
	ledgerBytes = 32 << 20
)

var priceKeys = [...]struct {
	f   field
	key string
}{
	{fieldOpen, `,"open":`}, {fieldHigh, `,"high":`}, {fieldLow, `,"low":`}, {fieldClose, `,"close":`},
	{fieldAdjClose, `,"adj_close":`}, {fieldVolume, `,"volume":`},
}

func (w *writer) add(ctx context.Context, d document) error {
	w.documents++
	if w.documents <= w.skip {
		return nil
	}
	w.one = w.append(w.one[:0], d)
	if len(w.one) > collect.MaxRecord {
		size := len(w.one)
		short := *d.row
		short.clear(d.row.number)
		d.row, d.ts = &short, fmt.Sprintf("(a row of %d bytes)", size)
		w.one = w.append(w.one[:0], d)
	}
	if w.b == nil {
		w.b = make([]byte, 0, recordBytes+8<<10)
	}
	if len(w.b) > 0 && len(w.b)+len(w.one) > recordBytes {
		w.seal()
	}
	w.b = append(w.b, w.one...)
	if w.waiting < putBytes {
		return nil
	}
	if err := w.run.sound(); err != nil {
		return err
	}
	return w.put(ctx)
}

func (w *writer) append(b []byte, d document) []byte {
	r := w.run
	b = append(b, `{"symbol":`...)
	b = collect.AppendString(b, d.symbol)
	b = append(b, `,"ts":`...)
	b = collect.AppendString(b, d.ts)
	for _, p := range priceKeys {
		b = append(b, p.key...)
		b = appendCell(b, d.row.cells[p.f])
	}
	b = append(b, `,"currency":`...)
	b = appendText(b, textOr(d.row.cells[fieldCurrency], r.currency()))
	b = append(b, `,"basis":`...)
	b = collect.AppendString(b, textOr(d.row.cells[fieldBasis], string(r.cfg.Basis)))
	b = append(b, `,"source":`...)
	b = collect.AppendString(b, textOr(d.row.cells[fieldSource], r.task.Source))
	b = append(b, `,"table":`...)
	b = collect.AppendString(b, r.cfg.TableName())
	b = append(b, `,"interval":`...)
	b = collect.AppendString(b, string(r.cfg.Interval))
	b = append(b, `,"final":`...)
	b = strconv.AppendBool(b, d.final)
	b = append(b, `,"fetched_at":`...)
	if d.at == "" {
		b = append(b, '"')
		b = r.entry.FetchedAt.AppendFormat(b, fetchedForm)
		b = append(b, '"')
	} else {
		b = collect.AppendString(b, d.at)
	}
	id, number := d.origin.id, d.origin.rows-1
	if c := d.row.cells[fieldFetchID]; !c.null && r.task.FetchedAt.IsZero() {
		// Of an export: rows of the fetch may be elsewhere, so that it tells nothing of what
		// is not here.
		if id, number = string(c.text), w.documents-1; !tickerlake.FromFile(id) {
			id = tickerlake.CopiedFetch + id
		}
	}
	b = append(b, `,"fetch_id":`...)
	b = collect.AppendString(b, id)
	b = append(b, `,"row":`...)
	b = strconv.AppendInt(b, number, 10)
	return append(b, "}\n"...)
}

func appendText(b []byte, s string) []byte {
	if s == "" {
		return append(b, "null"...)
	}
	return collect.AppendString(b, s)
}

func appendCell(b []byte, c cell) []byte {
	switch {
	case c.null:
		return append(b, "null"...)
	case c.literal:
		return append(b, c.text...)
	}
	return collect.AppendString(b, string(c.text))
}

// seal ends a record.
func (w *writer) seal() {
	if len(w.b) == 0 {
		return
	}
	r := w.run
	w.records = append(w.records, tickerlake.Record{Data: w.b, Keys: map[string]string{
		"source": r.task.Source, "table": r.cfg.TableName(), "interval": string(r.cfg.Interval),
	}})
	w.waiting += len(w.b)
	w.b = nil
}

// put hands on what was packed and tells the ledger from time to time.
func (w *writer) put(ctx context.Context) error {
	w.seal()
	r := w.run
	if len(w.records) == 0 {
		return nil
	}
	if !w.begun {
		// From here on the file's time is what it is now.
		if err := r.o.Ledger.KeepImport(ctx, r.entry); err != nil {
			return err
		}
		w.begun = true
	}
	if err := r.o.Sink.Put(ctx, w.records...); err != nil {
		return fmt.Errorf("%s: handing on its rows: %w", r.task.Name, err)
	}
	fault.Point("file.record")
	w.put0 += w.waiting
	w.records, w.waiting = nil, 0
	if w.put0 < ledgerBytes {
		return nil
	}
	w.put0 = 0
	r.entry.Documents = w.documents
	return r.o.Ledger.KeepImport(ctx, r.entry)
}
