package lake_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tickerlake/tickerlake"
)

// odd are values, as they stand in JSON, at and beyond the edge of what the judgement
// accepts, by field.
var odd = map[string][]string{
	"symbol":     {`"BRK.B"`, `"^GSPC"`, `"EURUSD=X"`, `"a"`, `""`, `".A"`, `"-A"`, `"A B"`, `"AÉ"`, `"A\u0042"`, `"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"`, `"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456"`, `"0"`, `"A/B"`},
	"ts":         {`"2026-02-28"`, `"2026-02-29"`, `"2024-02-29"`, `"1900-02-29"`, `"1899-12-31"`, `"2099-12-31"`, `"2026-03-03"`, `"2026-03-04"`, `"2026-3-02"`, `"2026-03-02T00:00:00Z"`, `"2026-03-02T23:59:59Z"`, `"2026-03-02T21:30:00Z"`, `"2026-03-02T21:30:01Z"`, `"2026-03-02T24:00:00Z"`, `"2026-03-02T12:60:00Z"`, `"2026-03-02T12:00:60Z"`, `"2026-03-02 12:00:00"`, `"2026-03-02T12:00:00.5Z"`, `"2026-03-02T12:00:00+01:00"`, `"2026-13-01"`, `"2026-00-10"`, `"2026-04-31"`, `"1969-12-31"`, `1772400000`, `"now"`},
	"open":       {`null`, `0`, `-0`, `-1`, `1e-7`, `1E2`, `100`, `99.999999`, `100.0001`, `100.00011`, `"100"`, `"x"`, `true`, `1e308`, `1e309`, `0.1234567890123456789`, `123456789012345.6`},
	"high":       {`null`, `100`, `99.99995`, `99.98`, `0`, `"101"`, `1e999`},
	"low":        {`null`, `100`, `100.00005`, `100.02`, `0`, `"99"`, `-5`},
	"close":      {`null`, `100.0`, `1.0e2`, `0`, `"100"`, `"NaN"`, `100.00000000000001`, `99.999999999999999999`},
	"adj_close":  {`null`, `0`, `-3`, `97.1234`, `1e-300`, `"97"`, `0.30000000000000004`, `12345678901234567`},
	"volume":     {`null`, `0`, `-0`, `-7`, `1e3`, `0.5`, `"12"`, `1e-400`, `123456789012345678901234567890`, `true`, `"Infinity"`, `9007199254740993`},
	"currency":   {`""`, `"EUR"`, `"US D"`, `null`, `"ABCDEFGHIJKLMNOPQ"`, `"€"`, `"U\"D"`},
	"basis":      {`"raw"`, `"total"`, `"Raw"`, `null`},
	"source":     {`"a b"`, `""`, `"\u0000"`, `"ü"`},
	"table":      {`"bars_1d"`, `"latest"`, `"bars_1d_revisions"`, `"_x"`, `"Bars"`, `"b-1"`},
	"interval":   {`"1h"`, `"1m"`, `"2d"`, `""`},
	"final":      {`false`, `true`, `"true"`, `"maybe"`, `null`, `1`},
	"fetched_at": {`"2026-03-02T21:30:00Z"`, `"2026-03-02T21:30:00.123Z"`, `"2026-03-02T21:30:00.1234567Z"`, `"2026-03-02T21:30:00.Z"`, `"2026-03-02T23:00:00Z"`, `"2026-03-02T23:00:01Z"`, `"2026-03-02"`, `"soon"`, `"2026-02-30T00:00:00Z"`, `"2026-03-02T21:30:00,5Z"`, `"2026-03-02T10:30:00+00:00"`},
	"fetch_id":   {`"x y"`, `""`, `"é"`, `"f2"`},
	"row":        {`0`, `-1`, `1.5`, `1e3`, `123456789012345678`, `1234567890123456789`, `00`},
}

// TestPlain gives the same rows, many of them odd, to a lake whose crawler takes plain
// ones itself and to one whose engine judges all: both must come to the same tables and
// the same quarantine.
func TestPlain(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 2))
	var plain, other []any
	for i := range 4000 {
		d := map[string]string{
			"symbol": fmt.Sprintf(`"S%d"`, i), "ts": `"2026-02-27"`, "open": "100", "high": "100.01", "low": "99.99", "close": "100", "adj_close": "97.5",
			"volume": "1000", "currency": `"USD"`, "basis": `"split"`, "source": `"test"`, "table": `"bars_1d"`, "interval": `"1d"`, "final": "true",
			"fetched_at": `"2026-03-02T21:30:00.000000Z"`, "fetch_id": `"f1"`, "row": fmt.Sprint(i),
		}
		if random.IntN(4) == 0 {
			d["table"], d["interval"], d["ts"] = `"bars_1m"`, `"1m"`, fmt.Sprintf(`"2026-02-%02dT14:%02d:00Z"`, 1+random.IntN(28), random.IntN(60))
		}
		for range random.IntN(3) {
			field := tickerlake.BarFields[random.IntN(len(tickerlake.BarFields))]
			if values := odd[field]; len(values) > 0 {
				d[field] = values[random.IntN(len(values))]
			}
		}
		var pairs []string
		for _, field := range tickerlake.BarFields {
			pairs = append(pairs, `"`+field+`":`+d[field])
		}
		plain = append(plain, "{"+strings.Join(pairs, ",")+"}")
		other = append(other, "{"+strings.Join(pairs, ", ")+"}") // spaces: not for the crawler
	}
	a, b := newFixture(t), newFixture(t)
	a.put(plain...)
	b.put(other...)
	took, none := a.taken(), b.taken()
	if took < 1500 || took > 3500 || none != 0 {
		t.Fatalf("the crawler took %d rows of %d, and %d that are not plain", took, len(plain), none)
	}
	a.want("counts", a.run(), b.run())
	for _, table := range []string{"prod.bars_1d", "prod.bars_1m", "prod.latest"} {
		got, want := a.rows(table, `* EXCLUDE (fetched_at), CAST(fetched_at AS VARCHAR)`), b.rows(table, `* EXCLUDE (fetched_at), CAST(fetched_at AS VARCHAR)`)
		if len(want) < 10 {
			t.Fatalf("%s has %d rows only", table, len(want))
		}
		compare(t, table, got, want)
	}
	var got, want []string
	for _, q := range a.events.quarantined() {
		got = append(got, fmt.Sprint(q.Line, q.Symbol, q.Ts, q.Table, q.Reason))
	}
	for _, q := range b.events.quarantined() {
		want = append(want, fmt.Sprint(q.Line, q.Symbol, q.Ts, q.Table, q.Reason))
	}
	compare(t, "quarantine", got, want)
}

func compare(t *testing.T, what string, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		g, w := "nothing", "nothing"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Errorf("%s, row %d of %d and %d:\n got %s\nwant %s", what, i, len(got), len(want), g, w)
			return
		}
	}
}

// taken crawls, without an end to the run, and tells how many rows the crawler took.
func (f *fixture) taken() (rows int64) {
	f.Helper()
	f.runs++
	f.must(f.lake.Crawl(context.Background(), newRun(f), false))
	notes, err := filepath.Glob(filepath.Join(f.dir, "buckets", "staging", "*", "columns", "*", "columns.json"))
	f.must(err)
	for _, path := range notes {
		var note struct{ Rows int64 }
		text, err := os.ReadFile(path)
		f.must(err)
		f.must(json.Unmarshal(text, &note))
		rows += note.Rows
	}
	f.runs-- // the run that is asked for next is this one
	return rows
}
