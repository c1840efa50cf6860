package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake/collect/simulate"
)

// TestMinutesThroughYahoo: real minutes, replayed in Yahoo's shape through preset yahoo,
// end in prod.bars_1m with every value as it is in the file.
func TestMinutesThroughYahoo(t *testing.T) {
	root := os.Getenv("TICKERLAKE_TESTDATA")
	if root == "" {
		t.Skip("SKIPPED: TICKERLAKE_TESTDATA is not set, so no real minutes are replayed")
	}
	dir := filepath.Join(root, "minute")
	text, err := os.ReadFile(filepath.Join(dir, "SX5E.csv"))
	if err != nil {
		t.Fatal(err)
	}
	p := newProgram(t, "")
	market, err := simulate.New(simulate.Options{Replay: dir, Currency: "EUR", Clock: func() time.Time { return p.now }})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(market)
	defer server.Close()
	p.configure("sources: {yahoo: {preset: yahoo, base_url: " + server.URL + ", interval: 1m, symbols: [SX5E], requests_a_minute: 0}}\n")
	// No further back than 29 days at once, so there are two fetches.
	for _, now := range []time.Time{time.Date(2006, 1, 30, 12, 0, 30, 0, time.UTC), time.Date(2006, 2, 27, 22, 0, 0, 0, time.UTC)} {
		p.now = now
		p.do("fetch")
		p.do("run")
	}
	got := strings.Split(p.ask("SELECT ts, open, high, low, close, volume FROM bars_1m ORDER BY ts"), "\n")
	want := strings.Split(strings.TrimSpace(string(text)), "\n")[1:]
	if len(got) != len(want) {
		t.Fatalf("%d bars of %d", len(got), len(want))
	}
	for i, line := range want {
		g, w := strings.Split(got[i], ","), strings.Split(strings.TrimSpace(line), ",")
		at, err := time.Parse(time.RFC3339, w[0])
		if err != nil || g[0] != at.Format(time.DateTime) {
			t.Fatalf("bar %d is of %s, want %s", i, g[0], w[0])
		}
		for j := 1; j < len(w); j++ {
			have, err := strconv.ParseFloat(g[j], 64)
			if said, serr := strconv.ParseFloat(w[j], 64); err != nil || serr != nil || have != said {
				t.Fatalf("bar of %s: %s, want %s", w[0], got[i], line)
			}
		}
	}
	if got := p.ask("SELECT DISTINCT symbol, currency, basis, source, final FROM bars_1m"); got != "SX5E,EUR,split,yahoo,true" {
		t.Errorf("they say %s", got)
	}
	if got := p.ask("SELECT count(*) FROM ops.quarantine"); got != "0" {
		t.Errorf("%s rows are quarantined", got)
	}
}

// TestSameMarketThroughYahoo: what the market says in Yahoo's shape and in the seed's is
// the same, today's bar, which is stamped with the last trade and may stand there twice,
// and adjusted closes included.
func TestSameMarketThroughYahoo(t *testing.T) {
	now := time.Date(2026, 3, 2, 18, 0, 0, 0, time.UTC) // 13:00 in New York
	market, err := simulate.New(simulate.Options{Seed: 7, Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(market)
	defer server.Close()
	lake := func(preset string) *program {
		return newProgram(t, "sources: {market: {preset: "+preset+", base_url: "+server.URL+", since: 2025-06-02, symbols: [AAA, S1, S2]}}\n")
	}
	lakes := []*program{lake("yahoo"), lake("simulated")}
	const columns = "SELECT symbol, ts, open, high, low, close, adj_close, volume, currency, basis, source, final FROM "
	same := func(table string, most string) {
		t.Helper()
		var said []string
		for _, p := range lakes {
			p.now = now
			p.do("fetch")
			p.do("run")
			said = append(said, p.ask(columns+table+" ORDER BY symbol, ts"))
		}
		if said[0] != said[1] || !strings.Contains(said[0], most) || !strings.Contains(said[0], "simulated:market") {
			t.Errorf("%s: in Yahoo's shape\n%.600s\nin the seed's\n%.600s", table, said[0], said[1])
		}
	}
	same("latest", "AAA,2026-03-02 00:00:00")
	now = now.Add(7 * time.Hour)
	same("bars_1d", "AAA,2026-03-02 00:00:00")
	now = now.AddDate(0, 0, 1)
	same("bars_1d", "AAA,2026-03-03 00:00:00")
}

// TestActions: splits and dividends that come with the bars are in prod.actions, each
// once, whatever comes twice, and are what the market says.
func TestActions(t *testing.T) {
	now := time.Date(2026, 3, 2, 22, 0, 0, 0, time.UTC)
	answers := func(splits, dividends string) string {
		return `{"chart":{"result":[{"meta":{"currency":"USD","symbol":"AAA","exchangeTimezoneName":"America/New_York"},"timestamp":[1772202600,1772461800],` +
			`"events":{"splits":{` + splits + `},"dividends":{` + dividends + `}},"indicators":{"quote":[{"close":[10,11]}]}}],"error":null}}`
	}
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }))
	defer server.Close()
	yaml := "sources:\n  yahoo: {preset: yahoo, base_url: " + server.URL + ", symbols: [AAA], requests_a_minute: 0}\n"
	p := newProgram(t, yaml)
	step := func(want string, splits, dividends string) {
		t.Helper()
		now = now.Add(time.Minute)
		p.now, body = now, answers(splits, dividends)
		p.do("fetch")
		p.do("run")
		if got := p.ask("SELECT ts, kind, ratio, amount, currency, basis, source FROM actions ORDER BY ts, kind"); got != want {
			t.Errorf("actions are\n%s\nwant\n%s", got, want)
		}
		if got := p.ask("SELECT count(*) FROM ops.runs WHERE rows_read <> inserted + replaced + unchanged + superseded + quarantined + not_final"); got != "0" {
			t.Errorf("%s runs are not conserved", got)
		}
	}
	const split = `"1725283800":{"date":1725283800,"numerator":4,"denominator":1,"splitRatio":"4:1"}`
	const paid = `"1725283800":{"amount":0.23999999463558197,"date":1725283800}`
	first := "2024-09-02 00:00:00,dividend,,0.24,USD,split,yahoo\n2024-09-02 00:00:00,split,4,,USD,split,yahoo"
	step(first, split, paid)
	before := p.ask("SELECT max(fetched_at) FROM actions")
	step(first, split, paid)
	if got := p.ask("SELECT max(fetched_at) FROM actions"); got != before {
		t.Errorf("the same actions again changed them")
	}
	// One is new, one is corrected, one is not told of any more, which says nothing.
	step("2024-09-02 00:00:00,dividend,,0.25,USD,split,yahoo\n2024-09-02 00:00:00,split,4,,USD,split,yahoo\n2026-03-02 00:00:00,dividend,,0.5,USD,split,yahoo",
		"", `"1725283800":{"amount":0.25,"date":1725283800},"1772461800":{"amount":0.5,"date":1772461800}`)
	// What is none is quarantined, and the rest goes on.
	step("2024-09-02 00:00:00,dividend,,0.25,USD,split,yahoo\n2024-09-02 00:00:00,split,4,,USD,split,yahoo\n2026-03-02 00:00:00,dividend,,0.5,USD,split,yahoo",
		`"1725283800":{"date":1725283800,"numerator":4,"denominator":0}`, `"1772461800":{"amount":0.5,"date":1772461800}`)
	if got := p.ask("SELECT reason FROM ops.quarantine"); got != "ratio cannot be read: missing" {
		t.Errorf("quarantined: %s", got)
	}
	// A second source with bars of its own tells of the same: nothing is in conflict.
	p.configure(yaml + "  other: {preset: yahoo, base_url: " + server.URL + ", symbols: [AAA], requests_a_minute: 0, table: other_1d}\n")
	step("2024-09-02 00:00:00,dividend,,0.25,USD,split,yahoo\n2024-09-02 00:00:00,split,4,,USD,split,yahoo\n2026-03-02 00:00:00,dividend,,0.5,USD,split,yahoo",
		split, `"1772461800":{"amount":0.5,"date":1772461800}`)
	if got := p.ask("SELECT count(*) FROM ops.quarantine"); got != "1" {
		t.Errorf("%s rows are quarantined", got)
	}

	if out := p.do("tables"); !strings.Contains(out, "actions") {
		t.Errorf("tables: %s", out)
	}
	if out := p.do("describe", "actions"); !contains(out, "kind", "ratio", "amount") {
		t.Errorf("describe: %s", out)
	}
	if out := p.do("export", "actions", "-f", "ndjson"); strings.Count(out, "\n") != 3 || !strings.Contains(out, `"kind":"split"`) {
		t.Errorf("export: %s", out)
	}
	// As it was before the correction.
	if got := p.do("query", "-f", "csv", "--as-of", "2026-03-02T22:02:30Z", "SELECT amount FROM actions WHERE kind = 'dividend'"); !strings.Contains(got, "0.24\n") && !strings.Contains(got, "0.24\r\n") {
		t.Errorf("--as-of: %q", got)
	}
	p.do("check")
	p.do("tidy")
	p.do("doctor", "--deep")
}
