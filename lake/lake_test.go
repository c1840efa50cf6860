package lake_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/blob"
	"github.com/tickerlake/tickerlake/catalog"
	"github.com/tickerlake/tickerlake/duck"
	"github.com/tickerlake/tickerlake/lake"
	"github.com/tickerlake/tickerlake/quality"
)

// A recorder keeps events by table and id, as a reader of ops sees them.
type recorder struct {
	mu     sync.Mutex
	events map[string]map[string]any
}

func (r *recorder) Emit(_ context.Context, table string, events ...any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range events {
		text, err := json.Marshal(e)
		if err != nil {
			return err
		}
		var id struct{ ID string }
		if err := json.Unmarshal(text, &id); err != nil {
			return err
		}
		if r.events[table] == nil {
			r.events[table] = map[string]any{}
		}
		r.events[table][id.ID] = e
	}
	return nil
}

func (r *recorder) quarantined() []tickerlake.Quarantined {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []tickerlake.Quarantined
	for _, e := range r.events["quarantine"] {
		out = append(out, e.(tickerlake.Quarantined))
	}
	slices.SortFunc(out, func(a, b tickerlake.Quarantined) int {
		return strings.Compare(fmt.Sprint(a.Object, a.Line+1000), fmt.Sprint(b.Object, b.Line+1000))
	})
	return out
}

// A run is what flow hands to a job.
type run struct {
	id     string
	counts tickerlake.Counts
	log    *slog.Logger
}

func (r *run) ID() string                { return r.id }
func (r *run) Log() *slog.Logger         { return r.log }
func (r *run) Counts() tickerlake.Counts { return r.counts }
func (r *run) UpdateCounts(_ context.Context, f func(*tickerlake.Counts)) error {
	f(&r.counts)
	return nil
}
func (r *run) Report(float64, tickerlake.Counts) {}

func newRun(f *fixture) *run {
	return &run{id: fmt.Sprintf("r%03d", f.runs), log: slog.New(slog.NewTextHandler(f.log, nil))}
}

// A fixture is a lake in a folder of the test, on a clock that stands.
type fixture struct {
	*testing.T
	dir    string
	lake   *lake.Lake
	cat    *catalog.Catalog
	raw    *blob.Dir
	engine *duck.Engine
	events *recorder
	log    *bytes.Buffer
	now    time.Time
	runs   int
	puts   int
	sorted bool // put writes the keys of documents sorted
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	return newFixtureIn(t, t.TempDir())
}

func newFixtureIn(t *testing.T, dir string) *fixture {
	t.Helper()
	f := &fixture{T: t, dir: dir, events: &recorder{events: map[string]map[string]any{}}, log: &bytes.Buffer{},
		now: time.Date(2026, 3, 2, 22, 0, 0, 0, time.UTC)}
	f.open()
	t.Cleanup(f.close)
	return f
}

func (f *fixture) clock() time.Time { return f.now }

func (f *fixture) open() {
	f.Helper()
	ctx := context.Background()
	dir, err := blob.OpenDir(filepath.Join(f.dir, "buckets", "raw"))
	f.must(err)
	f.raw = dir
	f.cat, err = catalog.Open(ctx, f.dir, f.clock)
	f.must(err)
	f.engine = duck.NewEngine(duck.EngineOptions{Spill: filepath.Join(f.dir, "tmp"), MemoryMB: 256, Threads: 2})
	f.lake = lake.New(lake.Options{
		Dir: f.dir, Catalog: f.cat, Raw: f.raw, Stream: "bars", Prefix: "raw/bars/", Engine: f.engine,
		Dialect: quality.DuckDB, Events: f.events, Clock: f.clock,
	})
}

func (f *fixture) close() {
	f.must(f.engine.Close())
	f.must(f.cat.Close())
	f.must(f.raw.Close())
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// A doc is a raw document; good gives one that nothing is wrong with.
type doc map[string]any

func good(symbol, ts string, closing any) doc {
	return doc{"symbol": symbol, "ts": ts, "open": closing, "high": closing, "low": closing, "close": closing,
		"adj_close": closing, "volume": 1000, "currency": "USD", "basis": "split", "source": "test",
		"table": "bars_1d", "interval": "1d", "final": true, "fetched_at": "2026-03-02T21:30:00.000000Z", "fetch_id": "f1", "row": 0}
}

func (d doc) with(kv ...any) doc {
	d = maps.Clone(d)
	for i := 0; i < len(kv); i += 2 {
		d[kv[i].(string)] = kv[i+1]
	}
	return d
}

// put stores an object with a line for each document; row numbers are the lines'.
func (f *fixture) put(docs ...any) string {
	f.Helper()
	for i, d := range docs {
		if d, ok := d.(doc); ok {
			docs[i] = d.with("row", i)
		}
	}
	return f.putNumbered(docs...)
}

// putNumbered stores documents with the row numbers that they have.
func (f *fixture) putNumbered(docs ...any) string {
	f.Helper()
	var text bytes.Buffer
	for _, d := range docs {
		switch d := d.(type) {
		case string:
			text.WriteString(d)
		case doc:
			text.Write(f.document(d))
		}
		text.WriteByte('\n')
	}
	f.puts++
	return f.putBody(fmt.Sprintf("raw/bars/dt=%s/bars-1-%04d.gz", f.now.Format(time.DateOnly), f.puts), zip(f.T, text.Bytes()))
}

// document writes a document as collect does, its keys in the order of RawFields, or
// sorted, which the crawler does not take for plain.
func (f *fixture) document(d doc) []byte {
	f.Helper()
	if f.sorted {
		line, err := json.Marshal(d)
		f.must(err)
		return line
	}
	line := []byte{'{'}
	add := func(key string) {
		value, ok := d[key]
		if !ok {
			return
		}
		text, err := json.Marshal(value)
		f.must(err)
		if len(line) > 1 {
			line = append(line, ',')
		}
		line = append(append(append(line, '"'), key...), `":`...)
		line = append(line, text...)
	}
	for _, key := range tickerlake.RawFields {
		add(key)
	}
	for _, key := range slices.Sorted(maps.Keys(d)) {
		if !slices.Contains(tickerlake.RawFields, key) {
			add(key)
		}
	}
	return append(line, '}')
}

func (f *fixture) putBody(key string, body []byte) string {
	f.Helper()
	_, err := f.raw.Put(context.Background(), key, bytes.NewReader(body), blob.Condition{})
	f.must(err)
	return key
}

func zip(t *testing.T, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// run runs the jobs without a gate and returns the counts.
func (f *fixture) run() tickerlake.Counts {
	f.Helper()
	f.runs++
	r := newRun(f)
	ctx := context.Background()
	f.must(f.lake.Crawl(ctx, r, false))
	f.must(f.lake.Clean(ctx, r))
	f.must(f.lake.Optimize(ctx, r))
	f.must(f.lake.Publish(ctx, r))
	f.must(f.lake.Finish(r.id))
	if !r.counts.Conserved() {
		f.Fatalf("rows are not conserved: %+v", r.counts)
	}
	return r.counts
}

func (f *fixture) view(name string) lake.View {
	f.Helper()
	views, err := f.lake.Views(context.Background())
	f.must(err)
	for _, v := range views {
		if v.Database+"."+v.Name == name {
			return v
		}
	}
	f.Fatalf("no table %s", name)
	return lake.View{}
}

// rows gives the columns of a table, sorted by symbol and ts, one text a row.
func (f *fixture) rows(name, columns string) []string {
	f.Helper()
	v := f.view(name)
	if len(v.Files) == 0 {
		return nil
	}
	_, rows, err := f.engine.Query(context.Background(), "SELECT "+columns+" FROM "+f.engine.Relation(v.Files)+" ORDER BY symbol, ts")
	f.must(err)
	out := make([]string, len(rows))
	for i, r := range rows {
		for j, c := range r {
			if t, ok := c.(time.Time); ok {
				r[j] = t.UTC().Format("2006-01-02 15:04:05")
			}
		}
		out[i] = strings.TrimSuffix(fmt.Sprintln(r...), "\n")
	}
	return out
}

func (f *fixture) want(what string, got, want any) {
	f.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		f.Errorf("%s:\n got %s\nwant %s", what, g, w)
	}
}

func TestPublish(t *testing.T) {
	f := newFixture(t)
	f.put(good("AAPL", "2026-02-27", 10), good("MSFT", "2026-02-27", 20.5), good("AAPL", "2025-12-31", 9))
	f.want("counts", f.run(), tickerlake.Counts{Read: 3, Inserted: 3})
	f.want("rows", f.rows("prod.bars_1d", "symbol, ts, close, volume"),
		[]string{"AAPL 2025-12-31 00:00:00 9 1000", "AAPL 2026-02-27 00:00:00 10 1000", "MSFT 2026-02-27 00:00:00 20.5 1000"})
	v := f.view("prod.bars_1d")
	f.want("files, one a year", len(v.Files), 2)
	f.want("rows of the view", v.Rows, 3)

	before := f.view("prod.bars_1d")
	f.want("a run with nothing new", f.run(), tickerlake.Counts{})
	f.want("snapshot", f.view("prod.bars_1d").Snapshot, before.Snapshot)
}

func TestSameWindowAgain(t *testing.T) {
	f := newFixture(t)
	f.put(good("AAPL", "2026-02-26", 10), good("AAPL", "2026-02-27", 11))
	f.run()
	before := f.view("prod.bars_1d")
	for i := range 30 {
		f.now = f.now.Add(time.Hour)
		id, at := fmt.Sprintf("f%d", i+2), f.now.Format("2006-01-02T15:04:05.000000Z")
		f.put(good("AAPL", "2026-02-26", 10).with("fetch_id", id, "fetched_at", at), good("AAPL", "2026-02-27", 11).with("fetch_id", id, "fetched_at", at))
		if i%3 == 0 {
			f.want("counts", f.run().Inserted, 0)
		}
	}
	f.run()
	after := f.view("prod.bars_1d")
	f.want("snapshot", after.Snapshot, before.Snapshot)
	f.want("files", after.Files, before.Files)
}

func TestRawObjectTwice(t *testing.T) {
	f := newFixture(t)
	f.put(good("AAPL", "2026-02-27", 10))
	f.run()
	f.put(good("AAPL", "2026-02-27", 10))
	f.want("the same rows under another key", f.run(), tickerlake.Counts{Read: 1, Superseded: 1})
	f.want("rows", len(f.rows("prod.bars_1d", "symbol")), 1)
}

func TestLaterFetchWins(t *testing.T) {
	f := newFixture(t)
	f.put(good("AAPL", "2026-02-26", 10), good("AAPL", "2026-02-27", 11), good("MSFT", "2026-02-27", 5))
	f.run()
	f.put(good("AAPL", "2026-02-27", 12).with("fetched_at", "2026-03-02T21:45:00.000000Z", "fetch_id", "f2"),
		good("GOOG", "2026-02-27", 7).with("fetched_at", "2026-03-02T21:45:00.000000Z", "fetch_id", "f3"))
	f.want("counts", f.run(), tickerlake.Counts{Read: 2, Inserted: 1, Replaced: 1})
	f.want("rows", f.rows("prod.bars_1d", "symbol, ts, close, fetch_id"), []string{
		"AAPL 2026-02-26 00:00:00 10 f1", "AAPL 2026-02-27 00:00:00 12 f2", "GOOG 2026-02-27 00:00:00 7 f3", "MSFT 2026-02-27 00:00:00 5 f1"})
	f.want("revisions", f.rows("prod.bars_1d_revisions", "symbol, close, fetch_id, replaced_at"),
		[]string{"AAPL 11 f1 2026-03-02 22:00:00"})

	// An older fetch that arrives late changes nothing, nor does one between two.
	f.put(good("AAPL", "2026-02-27", 99).with("fetched_at", "2026-03-02T21:40:00.000000Z", "fetch_id", "f0"))
	f.want("an old fetch", f.run(), tickerlake.Counts{Read: 1, Superseded: 1})
}

func TestConfirmedStays(t *testing.T) {
	f := newFixture(t)
	f.put(good("AAPL", "2026-02-26", 10), good("AAPL", "2026-02-27", 11))
	f.run()
	f.put(good("AAPL", "2026-02-26", 10).with("fetched_at", "2026-03-02T21:50:00.000000Z", "fetch_id", "f3"),
		good("AAPL", "2026-02-27", 11).with("fetched_at", "2026-03-02T21:50:00.000000Z", "fetch_id", "f3"))
	f.want("a newer fetch confirms", f.run(), tickerlake.Counts{Read: 2, Unchanged: 2})
	f.put(good("AAPL", "2026-02-26", 8).with("fetched_at", "2026-03-02T21:40:00.000000Z", "fetch_id", "f2"))
	f.want("one from before that", f.run(), tickerlake.Counts{Read: 1, Superseded: 1})
	f.want("rows", f.rows("prod.bars_1d", "close"), []string{"10", "11"})
}

func TestDividendChangesAdjCloseAlone(t *testing.T) {
	f := newFixture(t)
	f.put(good("AAPL", "2026-02-26", 10), good("AAPL", "2026-02-27", 11))
	f.run()
	f.put(good("AAPL", "2026-02-26", 10).with("adj_close", 9.5, "fetched_at", "2026-03-02T21:50:00.000000Z", "fetch_id", "f2"))
	f.want("counts", f.run(), tickerlake.Counts{Read: 1, Replaced: 1})
	f.want("rows", f.rows("prod.bars_1d", "close, adj_close, fetch_id"), []string{"10 9.5 f1", "11 11 f1"})
	f.want("revisions", f.rows("prod.bars_1d_revisions", "symbol"), []string(nil))
}

func TestUnfinishedBar(t *testing.T) {
	f := newFixture(t)
	f.put(good("AAPL", "2026-02-27", 10), good("AAPL", "2026-03-02", 11).with("final", false))
	f.want("counts", f.run(), tickerlake.Counts{Read: 2, Inserted: 1, NotFinal: 1})
	f.want("latest", f.rows("prod.latest", `symbol, ts, close, final, "table"`), []string{"AAPL 2026-03-02 00:00:00 11 false bars_1d"})
	f.want("rows", f.rows("prod.bars_1d", "ts"), []string{"2026-02-27 00:00:00"})
	f.put(good("AAPL", "2026-03-02", 12).with("fetched_at", "2026-03-02T21:55:00.000000Z", "fetch_id", "f2"))
	f.run()
	f.want("latest", f.rows("prod.latest", "symbol"), []string{})
	f.want("rows", f.rows("prod.bars_1d", "ts, close"), []string{"2026-02-27 00:00:00 10", "2026-03-02 00:00:00 12"})
}

func TestDamagedObject(t *testing.T) {
	f := newFixture(t)
	whole := zip(t, []byte(strings.Repeat("x", 4000)))
	cut := f.putBody("raw/bars/dt=2026-03-02/a-cut.gz", whole[:len(whole)-9])
	text := f.putBody("raw/bars/dt=2026-03-02/a-text.gz", []byte("<html>"))
	empty := f.putBody("raw/bars/dt=2026-03-02/a-empty.gz", nil)
	f.put(good("AAPL", "2026-02-27", 10))
	f.want("counts", f.run(), tickerlake.Counts{Read: 1, Inserted: 1})
	for _, key := range []string{cut, text, empty} {
		e, err := f.cat.Object(context.Background(), key)
		f.must(err)
		if e.State != catalog.Damaged || e.Error == "" {
			t.Errorf("%s is %s (%s), want damaged", key, e.State, e.Error)
		}
	}
}

// TestObjectsThatTheEngineCannotRead: gzip with a comment, wildcards in a key, an object
// cut after it was crawled.
func TestObjectsThatTheEngineCannotRead(t *testing.T) {
	f := newFixture(t)
	line := func(d doc) []byte {
		text, err := json.Marshal(d)
		f.must(err)
		return append(text, '\n')
	}
	var commented bytes.Buffer
	z := gzip.NewWriter(&commented)
	z.Comment = "hello"
	_, err := z.Write(line(good("AAPL", "2026-02-26", 10)))
	f.must(err)
	f.must(z.Close())
	f.putBody("raw/bars/dt=2026-03-02/commented.gz", commented.Bytes())
	f.putBody("raw/bars/dt=2026-03-02/a*.gz", zip(t, line(good("MSFT", "2026-02-26", 20))))
	f.putBody("raw/bars/dt=2026-03-02/ab.gz", zip(t, line(good("GOOG", "2026-02-26", 30))))
	f.want("counts", f.run(), tickerlake.Counts{Read: 3, Inserted: 3})

	whole := zip(t, line(good("IBM", "2026-02-26", 40)))
	cut := f.putBody("raw/bars/dt=2026-03-02/cut.gz", whole)
	f.put(good("AAPL", "2026-02-27", 11))
	_, err = f.gated(`Rules = [ RowCount > 1000 ]`)
	if !errors.Is(err, tickerlake.GateFailed) {
		t.Fatal(err)
	}
	f.putBody(cut, whole[:len(whole)-4])
	f.want("counts after the object was cut", f.run(), tickerlake.Counts{Read: 1, Inserted: 1})
	e, err := f.cat.Object(context.Background(), cut)
	f.must(err)
	f.want("state", e.State, catalog.Damaged)
}

// TestRevisionsOfFailedPublishing: revisions that are out before their bars are taken
// back with a run that fails in between.
func TestRevisionsOfFailedPublishing(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	f.put(good("AAPL", "2026-02-26", 10))
	f.run()
	f.put(good("AAPL", "2026-02-26", 12).with("fetched_at", "2026-03-02T21:45:00.000000Z", "fetch_id", "f2"))
	f.runs++
	r := newRun(f)
	f.must(f.lake.Crawl(ctx, r, false))
	f.must(f.lake.Clean(ctx, r))
	f.must(f.lake.Optimize(ctx, r))
	metadata, err := filepath.Glob(filepath.Join(f.dir, "buckets", "prod", "bars_1d", "metadata"))
	f.must(err)
	f.must(os.Rename(metadata[0], metadata[0]+".away"))
	if err := f.lake.Publish(ctx, r); err == nil {
		t.Fatal("published without metadata")
	}
	f.must(os.Rename(metadata[0]+".away", metadata[0]))
	f.want("revisions that are out", len(f.view("prod.bars_1d_revisions").Files), 1)
	f.must(f.lake.Abandon(ctx, r.id, errors.New("no metadata")))
	f.want("revisions that were taken back", len(f.view("prod.bars_1d_revisions").Files), 0)
	f.want("counts", f.run(), tickerlake.Counts{Read: 1, Replaced: 1})
	f.want("revisions", f.rows("prod.bars_1d_revisions", "symbol, close"), []string{"AAPL 10"})
}

func TestColumnsThatChange(t *testing.T) {
	f := newFixture(t)
	f.put(good("AAPL", "2026-02-26", 10))
	f.run()
	d := good("AAPL", "2026-02-27", 10).with("vwap", 10.1, "volume", "2000")
	delete(d, "adj_close")
	f.put(d)
	f.want("counts", f.run(), tickerlake.Counts{Read: 1, Inserted: 1})
	for _, want := range []string{"column vwap appeared", "column adj_close vanished", "column volume changed type from number to number|string"} {
		if !strings.Contains(f.log.String(), strings.ReplaceAll(want, "number|string", "string")) && !strings.Contains(f.log.String(), want) {
			t.Errorf("the crawl does not say %q:\n%s", want, f.log)
		}
	}
	f.want("rows", f.rows("prod.bars_1d", "ts, volume"), []string{"2026-02-26 00:00:00 1000", "2026-02-27 00:00:00 2000"})
}

func TestAnotherBasis(t *testing.T) {
	f := newFixture(t)
	f.put(good("AAPL", "2026-02-26", 10))
	f.run()
	before := f.view("prod.bars_1d").Snapshot
	f.put(good("AAPL", "2026-02-27", 10).with("basis", "total"), good("AAPL", "2026-02-27", 10).with("currency", "EUR"),
		good("AAPL", "2026-02-27", 10).with("source", "other"))
	f.want("counts", f.run(), tickerlake.Counts{Read: 3, Quarantined: 3})
	f.want("snapshot", f.view("prod.bars_1d").Snapshot, before)
	for _, q := range f.events.quarantined() {
		if !strings.Contains(q.Reason, "where the table has") || !strings.Contains(q.Reason, "table:") {
			t.Errorf("reason %q names neither the conflict nor the way out", q.Reason)
		}
	}
	f.want("quarantined", len(f.events.quarantined()), 3)
}

func TestIntraday(t *testing.T) {
	f := newFixture(t)
	m := good("AAPL", "2026-02-27T14:30:00Z", 10).with("interval", "1m", "table", "bars_1m")
	f.put(m, m.with("ts", "2026-03-02T14:31:00Z"), good("AAPL", "2026-02-27", 10))
	f.want("counts", f.run(), tickerlake.Counts{Read: 3, Inserted: 3})
	f.want("rows", f.rows("prod.bars_1m", "ts, close"), []string{"2026-02-27 14:30:00 10", "2026-03-02 14:31:00 10"})
	f.want("files, one a month", len(f.view("prod.bars_1m").Files), 2)
}

// TestRowsThatShareAPlace: of lines of one fetch with the same row number those are
// quarantined that are meant, with their own reasons.
func TestRowsThatShareAPlace(t *testing.T) {
	for _, sorted := range []bool{false, true} {
		f := newFixture(t)
		f.sorted = sorted
		line := func(d doc) string { return string(f.document(d)) }
		f.put(line(good("AAPL", "2026-02-25", 10)), line(good("AAPL", "2026-02-26", 10).with("high", 5)), line(good("AAPL", "2026-02-27", 0)),
			line(good("MSFT", "2026-02-27", 7).with("row", 1.5)), line(good("MSFT", "2026-02-26", 7).with("row", 2.5)), line(good("IBM", "2026-02-26", -1).with("row", 7)))
		f.want("counts", f.run(), tickerlake.Counts{Read: 6, Inserted: 1, Quarantined: 5})
		var got []string
		for _, q := range f.events.quarantined() {
			got = append(got, fmt.Sprint(q.Line, " ", q.Symbol, " ", q.Table, " ", q.Reason))
		}
		f.want("quarantine", got, []string{"2 AAPL bars_1d high is below open", "3 AAPL bars_1d open is not above zero", "4 MSFT bars_1d row cannot be read: 1.5",
			"5 MSFT bars_1d row cannot be read: 2.5", "6 IBM bars_1d open is not above zero"})
	}
}

// TestUnfinishedBarInConflict: it is quarantined, as a final one would be.
func TestUnfinishedBarInConflict(t *testing.T) {
	f := newFixture(t)
	f.put(good("AAPL", "2026-02-26", 10))
	f.run()
	f.put(good("AAPL", "2026-03-02", 11).with("final", false, "basis", "raw"), good("AAPL", "2026-03-02", 12).with("final", false))
	f.want("counts", f.run(), tickerlake.Counts{Read: 2, Quarantined: 1, NotFinal: 1})
	f.want("latest", f.rows("prod.latest", "symbol, close"), []string{"AAPL 12"})
	q := f.events.quarantined()
	if len(q) != 1 || q[0].Line != 1 || !strings.Contains(q[0].Reason, "basis raw where the table has split") {
		t.Errorf("quarantined %+v", q)
	}
}

// A run commits several times; the metadata files that its commits supersede go.
func TestMetadataFilesAreBounded(t *testing.T) {
	f := newFixture(t)
	for i := range 12 {
		f.put(good("AAPL", fmt.Sprintf("2026-01-%02d", i+5), 10).with("fetch_id", fmt.Sprint("f", i)))
		f.run()
	}
	files, err := filepath.Glob(filepath.Join(f.dir, "buckets", "prod", "bars_1d", "metadata", "*.metadata.json"))
	f.must(err)
	if len(files) < 2 || len(files) > 6 {
		t.Errorf("%d metadata files after 12 runs, want the current one and up to 5 before it", len(files))
	}
}
