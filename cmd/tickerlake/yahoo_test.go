package main

import (
	"fmt"
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

// TestToldActionWaits: the source tells of a dividend with bars that are too few to show
// a ratio. The series waits until all of its history has come, and comes in one commit;
// what is known makes nothing wait again.
func TestToldActionWaits(t *testing.T) {
	day := time.Date(2026, 2, 16, 14, 30, 0, 0, time.UTC) // a Monday
	const days = 10
	// answer tells of bars from a number on, and of what was paid on the last day.
	paid := 0.0
	answer := func(from, to int) string {
		var at, closes, adjusted []string
		for i := from; i < to; i++ {
			at = append(at, fmt.Sprint(day.AddDate(0, 0, i/5*7+i%5).Unix()))
			closes = append(closes, fmt.Sprint(100+i))
			a := float64(100 + i)
			if paid > 0 && i < days-1 {
				a -= 1 + float64(i) // each in its own way
			}
			adjusted = append(adjusted, fmt.Sprint(a))
		}
		events := ""
		if paid > 0 {
			events = fmt.Sprintf(`"events":{"dividends":{"1":{"amount":%g,"date":%s}}},`, paid, fmt.Sprint(day.AddDate(0, 0, (days-1)/5*7+(days-1)%5).Unix()))
		}
		return `{"chart":{"result":[{"meta":{"currency":"USD","symbol":"AAA","exchangeTimezoneName":"America/New_York"},"timestamp":[` + strings.Join(at, ",") + `],` + events +
			`"indicators":{"quote":[{"close":[` + strings.Join(closes, ",") + `]}],"adjclose":[{"adjclose":[` + strings.Join(adjusted, ",") + `]}]}}],"error":null}}`
	}
	until, whole := days-1, 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from := until - 2
		if r.URL.Query().Get("period1") == "-2208988800" {
			from, whole = 0, whole+1
		}
		_, _ = w.Write([]byte(answer(from, until)))
	}))
	defer server.Close()
	p := newProgram(t, "sources:\n  yahoo: {preset: yahoo, base_url: "+server.URL+", symbols: [AAA], requests_a_minute: 0}\n")
	p.now = time.Date(2026, 2, 26, 22, 0, 0, 0, time.UTC)
	step := func(says string) {
		t.Helper()
		p.now = p.now.Add(24 * time.Hour)
		p.do("fetch")
		if out := p.do("run"); !strings.Contains(out, says) {
			t.Errorf("run says\n%s\nwant %s", out, says)
		}
	}
	p.do("fetch")
	p.do("run")
	if got := p.ask("SELECT count(*) FROM bars_1d"); got != "9" || whole != 1 {
		t.Fatalf("%s bars after %d requests for all", got, whole)
	}
	until, paid = days, 0.5
	step("2 waiting")
	if got := p.ask("SELECT count(*), sum(adj_close) FROM bars_1d"); got != "9,936" {
		t.Errorf("the table has %s", got)
	}
	if out := p.do("status"); !strings.Contains(out, "its source tells of a dividend of 2026-02-27") {
		t.Errorf("status says\n%s", out)
	}
	if got := p.ask("SELECT ts, amount FROM actions"); got != "2026-02-27 00:00:00,0.5" {
		t.Errorf("actions are %s", got)
	}
	before := whole
	step("1 inserted, 9 replaced")
	if whole != before+1 {
		t.Errorf("%d requests for all", whole-before)
	}
	if got := p.ask("SELECT count(*), sum(adj_close) FROM bars_1d"); got != "10,1000" {
		t.Errorf("the table has %s", got)
	}
	before = whole
	step("unchanged")
	if whole != before {
		t.Errorf("%d requests for all though nothing is new", whole-before)
	}
	// Another amount is news too.
	paid = 0.75
	step("waiting")
	if out := p.do("doctor"); !strings.Contains(out, "nothing is wrong") {
		t.Error(out)
	}
}

// TestActionKnownFromAnother: a split that one source has told of makes the series of
// another wait as well, once that tells of it.
func TestActionKnownFromAnother(t *testing.T) {
	day := time.Date(2026, 2, 16, 14, 30, 0, 0, time.UTC) // a Monday
	until, whole := 9, 0                                  // bars that there are
	split := map[string]bool{}                            // the intervals of which it is told
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, interval := until-2, r.URL.Query().Get("interval")
		if period1, err := strconv.ParseInt(r.URL.Query().Get("period1"), 10, 64); err == nil && period1 < day.Unix() {
			from = 0
			if interval == "1h" {
				whole++
			}
		}
		var at, closes []string
		for i := from; i < until; i++ {
			at = append(at, fmt.Sprint(day.AddDate(0, 0, i/5*7+i%5).Unix()))
			price := 100 + float64(i)
			if split[interval] && i < 9 {
				price = 50 - float64(i) // no ratio is to be seen
			}
			closes = append(closes, fmt.Sprint(price))
		}
		events := ""
		if split[interval] {
			events = fmt.Sprintf(`"events":{"splits":{"1":{"date":%d,"numerator":2,"denominator":1}}},`, day.AddDate(0, 0, 11).Unix())
		}
		_, _ = w.Write([]byte(`{"chart":{"result":[{"meta":{"currency":"USD","symbol":"AAA","exchangeTimezoneName":"America/New_York"},"timestamp":[` + strings.Join(at, ",") + `],` + events +
			`"indicators":{"quote":[{"close":[` + strings.Join(closes, ",") + `]}]}}],"error":null}}`))
	}))
	defer server.Close()
	p := newProgram(t, "sources:\n  days: {preset: yahoo, base_url: "+server.URL+", symbols: [AAA], requests_a_minute: 0}\n"+
		"  hours: {preset: yahoo, base_url: "+server.URL+", interval: 1h, symbols: [AAA], requests_a_minute: 0}\n")
	p.now = time.Date(2026, 2, 26, 22, 0, 0, 0, time.UTC)
	step := func(source, says string) {
		t.Helper()
		p.now = p.now.Add(12 * time.Hour)
		p.do("fetch", source)
		if out := p.do("run"); !strings.Contains(out, says) {
			t.Errorf("run after %s says\n%s\nwant %s", source, out, says)
		}
	}
	p.do("fetch")
	p.do("run")
	until, split["1d"] = 10, true
	step("days", "waiting")
	split["1h"] = true
	step("hours", "2 waiting")
	if got := p.ask("SELECT count(*), max(close) FROM bars_1h"); got != "9,108" {
		t.Errorf("the table has %s", got)
	}
	if out := p.do("status"); strings.Count(out, "its source tells of a split of 2026-02-27") != 2 {
		t.Errorf("status says\n%s", out)
	}
	before := whole
	step("hours", "1 inserted, 9 replaced")
	if got := p.ask("SELECT count(*), max(close) FROM bars_1h"); got != "10,109" || whole != before+1 {
		t.Errorf("the table has %s after %d requests for all", got, whole-before)
	}
	step("hours", "unchanged")
	step("days", "1 inserted, 9 replaced")
	step("hours", "unchanged")
	if whole != before+1 {
		t.Errorf("%d requests for all", whole-before)
	}

	// A file of before the split has years that the source does not give.
	file := func(name string, at time.Time, close int, says string) {
		t.Helper()
		text := "Datetime,Close\n"
		for _, d := range []int{12, 13, 16} {
			text += fmt.Sprintf("2026-02-%d 09:30:00,%d\n", d, close+d)
		}
		p.do("import", p.file(name, text, at), "--source", "hours", "--symbol", "AAA")
		if out := p.do("run"); !strings.Contains(out, says) {
			t.Errorf("run after %s says\n%s\nwant %s", name, out, says)
		}
	}
	file("old.csv", time.Date(2026, 2, 26, 23, 0, 0, 0, time.UTC), 80, "3 rows in, 1 superseded, 2 quarantined")
	if out := p.do("quarantine", "list", "--json"); strings.Count(out, "before the split of 2026-02-27") != 2 {
		t.Errorf("quarantine list: %s", out)
	}
	ids := strings.Fields(p.ask("SELECT id FROM ops.quarantine WHERE reason LIKE '%two bases'"))
	if _, text, status := p.try("quarantine", "accept", ids[0]); status != 1 || !strings.Contains(text, "does not belong there") {
		t.Errorf("accept ends with %d: %s", status, text)
	}
	file("new.csv", time.Date(2026, 2, 28, 9, 0, 0, 0, time.UTC), 40, "3 rows in, 2 inserted, 1 superseded")
	if got := p.ask("SELECT count(*), min(ts), min(close) FROM bars_1h"); got != "12,2026-02-12 14:30:00,42" {
		t.Errorf("the table has %s", got)
	}
	p.do("doctor", "--deep")
}
