package catalog_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
)

var now = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func open(t *testing.T, dir string) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Open(context.Background(), dir, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestLedger(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	c := open(t, dir)
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	a := tickerlake.Object{Key: "raw/bars/dt=2026-03-01/a.gz", Size: 10, ETag: "x", At: now}
	b := tickerlake.Object{Key: "raw/bars/dt=2026-03-02/b.gz", Size: 20, ETag: "y", At: now}
	check(c.Enter(ctx, a, b))
	check(c.Enter(ctx, a)) // seen twice
	claimed, err := c.Claim(ctx, "r1")
	check(err)
	if len(claimed) != 2 || claimed[0].Key != a.Key || !claimed[0].At.Equal(now) {
		t.Fatalf("claimed %+v", claimed)
	}
	check(c.Enter(ctx, tickerlake.Object{Key: "raw/bars/dt=2026-03-02/c.gz", At: now}))
	if claimed, err = c.Claim(ctx, "r1"); err != nil || len(claimed) != 2 {
		t.Fatalf("a resumed run claims %d objects, %v; want the two it had", len(claimed), err)
	}
	check(c.Publish(ctx, catalog.Publication{Run: "r1", Claimed: now}))
	check(c.Enter(ctx, a)) // a published object does not come back
	if claimed, err = c.Claim(ctx, "r2"); err != nil || len(claimed) != 1 || !strings.HasSuffix(claimed[0].Key, "c.gz") {
		t.Fatalf("the next run claims %+v, %v", claimed, err)
	}
	if held, err := c.Fail(ctx, "r2", "gate", true); err != nil || len(held) > 0 {
		t.Fatalf("held at once: %v, %v", held, err)
	}
	e, err := c.Object(ctx, claimed[0].Key)
	if err != nil || e.State != catalog.Waiting || e.Failures != 1 || e.GateFailures != 1 || e.Error != "gate" {
		t.Fatalf("after a failed run: %+v, %v", e, err)
	}
	if _, err := c.Object(ctx, "nope"); !errors.Is(err, tickerlake.NotFound) {
		t.Errorf("an unknown object: %v", err)
	}
}

func TestWatermarks(t *testing.T) {
	ctx, c := context.Background(), open(t, t.TempDir())
	day := func(n int) time.Time { return time.Date(2026, 2, n, 0, 0, 0, 0, time.UTC) }
	watermark := func(symbol tickerlake.Symbol) time.Time {
		t.Helper()
		series, err := c.Series(ctx, "bars_1d")
		if err != nil {
			t.Fatal(err)
		}
		return series[symbol].Watermark
	}
	pending := func(fetch string, symbol tickerlake.Symbol, ts time.Time) {
		t.Helper()
		if err := c.Pending(ctx, fetch, tickerlake.Series{Table: "bars_1d", Symbol: symbol, Watermark: ts}); err != nil {
			t.Fatal(err)
		}
	}
	pending("f1", "AAPL", day(3))
	pending("f2", "AAPL", day(1))
	pending("f3", "MSFT", time.Time{})
	if got := watermark("AAPL"); !got.Equal(day(3)) {
		t.Errorf("pending watermark %v, want the 3rd", got)
	}
	if got := watermark("MSFT"); !got.IsZero() {
		t.Errorf("a fetch without final bars moves the watermark to %v", got)
	}
	err := c.Publish(ctx, catalog.Publication{Run: "r1", Claimed: now, Confirmations: []catalog.Confirmation{{
		Series: tickerlake.Series{Table: "bars_1d", Symbol: "AAPL", Source: "s", Basis: "split", Currency: "USD", Interval: "1d", Last: day(2)},
		Cover:  catalog.Cover{From: day(1), To: day(2), FetchedAt: now, FetchID: "f1"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	// The 3rd was on its way and did not arrive (it was quarantined, say): ask again.
	if got := watermark("AAPL"); !got.Equal(day(2)) {
		t.Errorf("watermark %v after publishing, want the 2nd", got)
	}
	// A fetch that did not tell of itself, of some window, moves nothing.
	err = c.Publish(ctx, catalog.Publication{Run: "r2", Claimed: now, Confirmations: []catalog.Confirmation{{
		Series: tickerlake.Series{Table: "bars_1d", Symbol: "AAPL", Source: "s", Basis: "split", Currency: "USD", Interval: "1d", Last: day(7)},
		Cover:  catalog.Cover{From: day(6), To: day(7), FetchedAt: now, FetchID: "window"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := watermark("AAPL"); !got.Equal(day(2)) {
		t.Errorf("watermark %v after a window with a gap before it, want the 2nd", got)
	}
	pending("f4", "AAPL", day(9))
	if got := watermark("AAPL"); !got.Equal(day(9)) {
		t.Errorf("watermark %v, want the 9th, which is on its way", got)
	}
}

// TestCovers lays random covers and compares with a plain array of the latest fetch
// for each day.
func TestCovers(t *testing.T) {
	ctx, c := context.Background(), open(t, t.TempDir())
	random := rand.New(rand.NewPCG(1, 2))
	day := func(n int) time.Time { return time.Date(2026, 1, 1+n, 0, 0, 0, 0, time.UTC) }
	var truth [60]time.Time
	for i := range 40 {
		from := random.IntN(60)
		to := from + random.IntN(60-from)
		at := now.Add(time.Duration(random.IntN(1000)) * time.Minute)
		for d := from; d <= to; d++ {
			if at.After(truth[d]) {
				truth[d] = at
			}
		}
		err := c.Publish(ctx, catalog.Publication{Run: fmt.Sprint("r", i), Confirmations: []catalog.Confirmation{{
			Series: tickerlake.Series{Table: "t", Symbol: "A", Interval: "1d"},
			Cover:  catalog.Cover{From: day(from), To: day(to), FetchedAt: at, FetchID: fmt.Sprint(i)},
		}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	covers, err := c.Covers(ctx, "t", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	for d, want := range truth {
		var got time.Time
		for _, x := range covers["A"] {
			if !day(d).Before(x.From) && !day(d).After(x.To) && x.FetchedAt.After(got) {
				got = x.FetchedAt
			}
		}
		if !got.Equal(want) {
			t.Errorf("day %d is confirmed at %v, want %v", d, got, want)
		}
	}
}

// TestCoversOfASeriesThatComesAnew: what older fetches have covered is kept, unless a user
// has had the series replaced.
func TestCoversOfASeriesThatComesAnew(t *testing.T) {
	ctx, c := context.Background(), open(t, t.TempDir())
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	confirm := func(at time.Time, fetch string, anew bool, from, to int, want ...string) {
		t.Helper()
		err := c.Publish(ctx, catalog.Publication{Run: fetch, Confirmations: []catalog.Confirmation{{
			Series: tickerlake.Series{Table: "t", Symbol: "A", Interval: "1d"}, Anew: anew,
			Cover: catalog.Cover{From: day(from), To: day(to), FetchedAt: at, FetchID: fetch},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		covers, err := c.Covers(ctx, "t", time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, x := range covers["A"] {
			got = append(got, x.FetchID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("covered by %q after %s, want %q", got, fetch, want)
		}
	}
	confirm(now, "first", false, 1, 9, "first")
	confirm(now.Add(time.Hour), "anew", true, 3, 9, "first", "anew")
	confirm(now.Add(2*time.Hour), tickerlake.ReplaceFetch+"x", true, 5, 9, tickerlake.ReplaceFetch+"x")
}

func TestNewerStateIsRefused(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	if _, err := c.DB().Exec("PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	_, err := catalog.Open(context.Background(), dir, func() time.Time { return now })
	if !errors.Is(err, tickerlake.Invalid) || !strings.Contains(err.Error(), "newer tickerlake") {
		t.Errorf("opened with %v", err)
	}
}

func TestNotADatabase(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "state.db"), bytes.Repeat([]byte("garbage "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := catalog.Open(context.Background(), dir, func() time.Time { return now })
	if !errors.Is(err, tickerlake.Damaged) || !strings.Contains(err.Error(), "state.db") {
		t.Errorf("opened with %v", err)
	}
}

func TestFilesStayBelowTheRoot(t *testing.T) {
	f := catalog.Files{Root: "/lake/buckets"}
	for _, bad := range []string{"s3://../x", "s3://prod/../../x", "file:///etc/passwd", "/etc/passwd", "s3://", "s3:///x"} {
		if path, err := f.Path(bad); err == nil {
			t.Errorf("%s is %s", bad, path)
		}
	}
	if path, err := f.Path("s3://prod/bars_1d/data/x.parquet"); err != nil || path != "/lake/buckets/prod/bars_1d/data/x.parquet" {
		t.Errorf("%s, %v", path, err)
	}
}

const identity = `"symbol":"A","ts":"t","source":"s","table":"b","interval":"1d","fetched_at":"f","fetch_id":"i","row":1`

func TestScan(t *testing.T) {
	for _, c := range []struct{ line, problem string }{
		{`{` + identity + `}`, ""},
		{`{` + identity + `,"volume":null,"open":-1.5e+10,"final":true,"ok":false}`, ""},
		{` { "x" : "é" , ` + identity + ` } `, ""},
		{`{"x":{"nested":[1]},` + identity + `}`, ""},
		{`{"a":"\u0041",` + identity + `}`, ""},
		{`{}`, "no symbol"},
		{`{` + identity + `,}`, "not JSON"},
		{`{` + identity + `,"x":01}`, "not JSON"},
		{`{` + identity + `,"x":+1}`, "not JSON"},
		{`{` + identity + `,"x":NaN}`, "not JSON"},
		{`{` + identity + `} {}`, "more than one JSON document"},
		{`{` + identity + `,"symbol":"B"}`, "the key symbol stands twice"},
		{`{` + identity + `,"s\u0079mbol":"B"}`, "the key symbol stands twice"},
		{`{` + identity + `,"x":"\ud83d\ude00 \\\ud83d\ude00"}`, ""},
		{`{` + identity + `,"x":"\ud800"}`, "a text has half a surrogate pair"},
		{`{` + identity + `,"x":"\ude00\ud83d"}`, "a text has half a surrogate pair"},
		{`{` + strings.Replace(identity, `"row":1`, `"row":"1"`, 1) + `}`, "row is not a number"},
		{`{` + strings.Replace(identity, `"symbol":"A"`, `"symbol":null`, 1) + `}`, "symbol is not a text"},
		{`[]`, "not a JSON object"},
		{`{"a"`, "not JSON"},
		{"{\"a\":\"\x01\"}", "not JSON"},
		{"\xff", "not UTF-8"},
	} {
		var got string
		facts, err := catalog.Scan(zipped(t, c.line+"\n"), func(l catalog.Line) error { got = l.Problem; return nil })
		if err != nil || facts.Damage != "" || facts.Lines != 1 {
			t.Errorf("%s: %+v, %v", c.line, facts, err)
		}
		if c.problem == "" && got != "" || !strings.HasPrefix(got, c.problem) {
			t.Errorf("%s: problem %q, want %q", c.line, got, c.problem)
		}
	}
}

// TestScanDamage cuts and flips an object at every place: it is damaged, or what it
// was; never something else.
func TestScanDamage(t *testing.T) {
	text := strings.Repeat("{"+identity+"}\n", 5)
	body := zipped(t, text).Bytes()
	for i := range body {
		if facts, err := catalog.Scan(bytes.NewReader(body[:i]), nil); err != nil || facts.Damage == "" {
			t.Errorf("cut at %d of %d: %+v, %v", i, len(body), facts, err)
		}
		flipped := bytes.Clone(body)
		flipped[i] ^= 0x10
		var read strings.Builder
		facts, err := catalog.Scan(bytes.NewReader(flipped), func(l catalog.Line) error { read.Write(l.Text); read.WriteByte('\n'); return nil })
		if err != nil || facts.Damage == "" && read.String() != text {
			t.Errorf("flipped at %d: %+v, %v", i, facts, err)
		}
	}
}

func zipped(t testing.TB, text string) *bytes.Buffer {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return &out
}

// TestImportsHaveAnOrder: each file is begun later than those before, also when the clock
// stands, and one that is gone on with is as old as it was.
func TestImportsHaveAnOrder(t *testing.T) {
	ctx, c := context.Background(), open(t, t.TempDir())
	var begun []time.Time
	for _, id := range []string{"a", "b", "a"} {
		next, err := c.NextImport(ctx)
		if err != nil {
			t.Fatal(err)
		}
		begun = append(begun, next)
		for documents := range int64(2) {
			want := tickerlake.Import{ID: id, Name: id + ".csv", FetchedAt: now, Documents: documents, Begun: next}
			if err := c.KeepImport(ctx, want); err != nil {
				t.Fatal(err)
			}
			if got, err := c.Import(ctx, id); err != nil || got != want {
				t.Errorf("the import is %+v, %v, want %+v", got, err, want)
			}
		}
	}
	if !begun[0].Equal(now) || !begun[1].After(begun[0]) || !begun[2].After(begun[1]) {
		t.Errorf("the files were begun at %v", begun)
	}
	if b, err := c.Import(ctx, "b"); err != nil || !b.Begun.Equal(begun[1]) {
		t.Errorf("b was begun at %v, %v, want %v", b.Begun, err, begun[1])
	}
}

// TestDamageAsksAgain: what a damaged object held is not known, so everything is asked
// for again.
func TestDamageAsksAgain(t *testing.T) {
	ctx, c := context.Background(), open(t, t.TempDir())
	published := catalog.Publication{Run: "r", Claimed: now, Confirmations: []catalog.Confirmation{{
		Series: tickerlake.Series{Table: "t", Symbol: "A", Interval: "1d", Last: now},
		Cover:  catalog.Cover{From: now, To: now, FetchedAt: now, FetchID: "f"},
	}}}
	for _, err := range []error{
		c.Pending(ctx, "f", tickerlake.Series{Table: "t", Symbol: "A", Watermark: now}), c.Publish(ctx, published),
		c.Pending(ctx, "g", tickerlake.Series{Table: "t", Symbol: "A", Watermark: now}),
		c.KeepImport(ctx, tickerlake.Import{ID: "i", Name: "a.csv", Size: 5, FetchedAt: now, Documents: 3, TakenAt: now}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if series, err := c.Series(ctx, "t"); err != nil || !series["A"].Watermark.Equal(now) {
		t.Fatalf("before the damage: %+v, %v", series, err)
	}
	want := tickerlake.Import{ID: "i", Name: "a.csv", Size: 5, FetchedAt: now, Documents: 3, TakenAt: now}
	if i, err := c.Import(ctx, "i"); err != nil || i != want {
		t.Fatalf("the import is %+v, %v, want %+v", i, err, want)
	}
	if err := c.Enter(ctx, tickerlake.Object{Key: "raw/bars/dt=2026-03-02/a.gz", At: now}); err != nil {
		t.Fatal(err)
	}
	if err := c.Damage(ctx, "raw/bars/dt=2026-03-02/a.gz", "cut short"); err != nil {
		t.Fatal(err)
	}
	series, err := c.Series(ctx, "t")
	if err != nil || !series["A"].Watermark.IsZero() {
		t.Errorf("the watermark is %v, %v", series["A"].Watermark, err)
	}
	if i, err := c.Import(ctx, "i"); !errors.Is(err, tickerlake.NotFound) {
		t.Errorf("the import is %+v, %v: want it forgotten", i, err)
	}
}
