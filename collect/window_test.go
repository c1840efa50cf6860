package collect

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake"
)

// A desk is a server that knows a bar for each weekday, and notes what it is asked.
type desk struct {
	mu    sync.Mutex
	asked []string
	fail  map[string]bool
}

func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	symbol, start, end := r.FormValue("symbol"), r.FormValue("start_date"), r.FormValue("end_date")
	d.asked = append(d.asked, fmt.Sprintf("%s %s..%s", symbol, start, end))
	if d.fail[symbol] {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	from, to := time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if start != "" && end != "" {
		from, _ = time.Parse("January 02 2006", start)
		to, _ = time.Parse("January 02 2006", end)
	}
	var rows []string
	for t := from; t.Before(to) && t.Year() < 2026; t = t.AddDate(0, 0, 1) {
		if t.Weekday() != time.Saturday && t.Weekday() != time.Sunday {
			rows = append(rows, `{"Close":1.5,"Date":"`+t.Format(time.DateOnly)+`"}`)
		}
	}
	_, _ = io.WriteString(w, `{"data":[`+strings.Join(rows, ",")+`]}`)
}

func (d *desk) take() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	asked := d.asked
	d.asked = nil
	slices.Sort(asked)
	return asked
}

// TestCatchUp goes through the days of a source: what is asked for is exactly what
// is missing, less the lookback.
func TestCatchUp(t *testing.T) {
	d := &desk{fail: map[string]bool{}}
	base := serve(t, d.ServeHTTP)
	l := &lake{}
	fetch := func(symbols, at string, w Window, wantErr bool, want ...string) {
		t.Helper()
		_, err := l.source(t, seed(t, base, symbols, "reconcile: 0 days"), at).Fetch(t.Context(), w)
		if (err != nil) != wantErr {
			t.Errorf("at %s: %v", at, err)
		}
		if got := d.take(); !slices.Equal(got, want) {
			t.Errorf("at %s asked for %q, want %q", at, got, want)
		}
	}
	// Nothing known: all history.
	fetch("A, B", "2025-01-02 12:00", Window{}, false, "A ..", "B ..")
	// What the desk gives of the future is not final, and no watermark.
	if w := l.series["A"].Watermark.Format(time.DateOnly); w != "2025-01-01" {
		t.Errorf("watermark %s, want the last final bar", w)
	}
	// In the evening that day's bar is final, in the afternoon it was not.
	fetch("A, B", "2025-01-02 16:29", Window{}, false, "A December 25 2024..January 03 2025", "B December 25 2024..January 03 2025")
	fetch("A, B", "2025-01-02 16:30", Window{}, false, "A December 25 2024..January 03 2025", "B December 25 2024..January 03 2025")
	if w := l.series["A"].Watermark.Format(time.DateOnly); w != "2025-01-02" {
		t.Errorf("watermark %s, want the day's bar after session end and settling", w)
	}
	// B fails for ten days; then it is asked from where it was.
	d.fail["B"] = true
	for day := 3; day <= 12; day++ {
		if _, err := l.source(t, seed(t, base, "A, B"), fmt.Sprintf("2025-01-%02d 18:00", day)).Fetch(t.Context(), Window{}); !errors.Is(err, tickerlake.SourceFailed) {
			t.Fatalf("day %d: %v", day, err)
		}
	}
	d.take()
	d.fail["B"] = false
	// One is added, too.
	fetch("A, B, C", "2025-01-13 18:00", Window{}, false,
		"A January 03 2025..January 14 2025", "B December 26 2024..January 14 2025", "C ..")
	// Off for forty days.
	fetch("A, B, C", "2025-02-22 10:00", Window{}, false,
		"A January 06 2025..February 23 2025", "B January 06 2025..February 23 2025", "C January 06 2025..February 23 2025")
	// Late in the evening in New York it is tomorrow at Greenwich, but not there.
	fetch("A", "2025-02-24 23:00", Window{}, false, "A February 14 2025..February 25 2025")
	// A window that is asked for.
	date := func(s string) time.Time { v, _ := time.Parse(time.DateOnly, s); return v }
	fetch("A, B", "2025-02-24 23:00", Window{From: date("2024-02-01"), To: date("2024-03-01")}, false,
		"A February 01 2024..March 01 2024", "B February 01 2024..March 01 2024")
	fetch("A, B", "2025-02-24 23:00", Window{From: date("2025-02-01"), Symbols: []tickerlake.Symbol{"B"}}, false, "B February 01 2025..February 25 2025")
	l.docs = nil
	fetch("A", "2025-02-24 23:00", Window{To: date("2021-01-06")}, false, "A ..")
	if len(l.docs) != 3 {
		t.Errorf("%d documents before 2021-01-06, want 3", len(l.docs))
	}
	for _, w := range []Window{{From: date("2025-01-02"), To: date("2025-01-02")}, {Symbols: []tickerlake.Symbol{"Z"}}} {
		if _, err := l.source(t, seed(t, base, "A"), "2025-02-24 23:00").Fetch(t.Context(), w); tickerlake.CodeOf(err) != tickerlake.Invalid || len(d.take()) > 0 {
			t.Errorf("%+v: %v", w, err)
		}
	}
}

func TestSinceAndLookback(t *testing.T) {
	d := &desk{}
	base := serve(t, d.ServeHTTP)
	l := &lake{}
	fetch := func(at, want string, more ...string) {
		t.Helper()
		if _, err := l.source(t, seed(t, base, "A", more...), at).Fetch(t.Context(), Window{}); err != nil {
			t.Fatal(err)
		}
		if got := d.take(); len(got) != 1 || got[0] != want {
			t.Errorf("asked for %q, want %q", got, want)
		}
	}
	fetch("2025-01-06 18:00", "A January 01 2025..January 07 2025", "since: 2025-01-01")
	fetch("2025-01-07 18:00", "A January 01 2025..January 08 2025", "since: 2025-01-01")
	fetch("2025-01-08 18:00", "A January 05 2025..January 09 2025", "lookback: 2 days")
	fetch("2025-01-09 18:00", "A January 08 2025..January 10 2025", "lookback: 0 days")
}

// TestReconcile: all of each symbol's history is asked for once in the time, on a day of
// its own, also after days without a fetch and for series of which it is not known.
func TestReconcile(t *testing.T) {
	d := &desk{}
	base := serve(t, d.ServeHTTP)
	l := &lake{series: map[tickerlake.Symbol]tickerlake.Series{}}
	var symbols []string
	for i := range 60 {
		symbol := fmt.Sprintf("S%d", i)
		symbols = append(symbols, symbol)
		l.series[tickerlake.Symbol(symbol)] = tickerlake.Series{Symbol: tickerlake.Symbol(symbol), Watermark: time.Date(2025, 1, 3, 0, 0, 0, 0, time.UTC)}
	}
	at := time.Date(2025, 1, 6, 18, 0, 0, 0, time.UTC)
	day := func() (whole []string) {
		t.Helper()
		cfg := seed(t, base, strings.Join(symbols, ", "), "reconcile: 30 days", "lookback: 1 days")
		if _, err := l.source(t, cfg, at.Format("2006-01-02 15:04")).Fetch(t.Context(), Window{}); err != nil {
			t.Fatal(err)
		}
		for _, asked := range d.take() {
			if symbol, ok := strings.CutSuffix(asked, " .."); ok {
				whole = append(whole, symbol)
			}
		}
		at = at.AddDate(0, 0, 1)
		return whole
	}
	if whole := day(); len(whole) != 0 {
		t.Fatalf("the first fetch asks for all of %v", whole)
	}
	times, most := map[string]int{}, 0
	for range 30 {
		whole := day()
		most = max(most, len(whole))
		for _, symbol := range whole {
			times[symbol]++
		}
	}
	for _, symbol := range symbols {
		if times[symbol] != 1 {
			t.Errorf("%s was asked for %d times in 30 days, want once", symbol, times[symbol])
		}
	}
	if most > 8 {
		t.Errorf("%d of 60 symbols on one day", most)
	}
	at = at.AddDate(0, 0, 45)
	if whole := day(); len(whole) != 60 {
		t.Errorf("after 45 days off %d symbols are asked for, want all", len(whole))
	}
	if whole := day(); len(whole) > 8 {
		t.Errorf("and the day after %d", len(whole))
	}
}

// TestWaiting: a series that waits is asked for all of its history, whatever the window,
// and for all that the table has.
func TestWaiting(t *testing.T) {
	day := func(s string) time.Time { v, _ := time.Parse(time.DateOnly, s); return v }
	d := &desk{}
	base := serve(t, d.ServeHTTP)
	l := &lake{series: map[tickerlake.Symbol]tickerlake.Series{
		"A": {Symbol: "A", Watermark: day("2025-01-03"), Waiting: "prices are another"},
		"B": {Symbol: "B", Watermark: day("2025-01-03")},
	}}
	fetch := func(w Window, since string, want ...string) {
		t.Helper()
		if _, err := l.source(t, seed(t, base, "A, B", since), "2025-01-06 18:00").Fetch(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		if got := d.take(); !slices.Equal(got, want) {
			t.Errorf("asked for %q, want %q", got, want)
		}
	}
	fetch(Window{}, "", "A ..", "B December 27 2024..January 07 2025")
	l.docs = nil
	fetch(Window{From: day("2024-02-01"), To: day("2024-03-01")}, "", "A ..", "B February 01 2024..March 01 2024")
	if n := strings.Count(strings.Join(l.docs, "\n"), `"symbol":"A"`); n < 1000 {
		t.Errorf("%d rows of A, want all", n)
	}
	fetch(Window{}, "since: 2024-12-01", "A December 01 2024..January 07 2025", "B December 30 2024..January 07 2025")
	a := l.series["A"]
	a.First = day("2024-06-03")
	l.series["A"] = a
	fetch(Window{}, "since: 2024-12-01", "A June 03 2024..January 07 2025", "B December 30 2024..January 07 2025")
}

// TestWhole: all history is asked for, and taken instead of what another source gave.
func TestWhole(t *testing.T) {
	d := &desk{}
	base := serve(t, d.ServeHTTP)
	l := &lake{series: map[tickerlake.Symbol]tickerlake.Series{
		"A": {Symbol: "A", Table: "bars_1d", Source: "other", Basis: "raw", Currency: "EUR", Interval: "1d", Watermark: time.Date(2025, 1, 3, 0, 0, 0, 0, time.UTC)},
	}}
	w := Window{Symbols: []tickerlake.Symbol{"A"}, Whole: true}
	_, err := l.source(t, seed(t, base, "A, B"), "2025-01-06 18:00").Fetch(t.Context(), w)
	if !errors.Is(err, tickerlake.Conflict) || !strings.Contains(err.Error(), "tickerlake refetch A --source market --replace") || len(d.take()) != 0 {
		t.Errorf("says %v", err)
	}
	w.Replace = true
	report, err := l.source(t, seed(t, base, "A, B"), "2025-01-06 18:00").Fetch(t.Context(), w)
	if err != nil || !slices.Equal(d.take(), []string{"A .."}) {
		t.Fatal(err)
	}
	if id := report.Symbols[0].FetchID; !strings.HasPrefix(id, tickerlake.ReplaceFetch) || !strings.Contains(l.docs[0], `"fetch_id":"`+id+`"`) {
		t.Errorf("fetch id %s, document %s", id, l.docs[0])
	}
}

func TestConflict(t *testing.T) {
	for _, c := range []struct {
		name   string
		stored tickerlake.Series
		more   string
		says   string
		before bool
	}{
		{"basis", tickerlake.Series{Source: "market", Basis: "total", Currency: "USD"}, "", `basis "total" where this source says "split"`, true},
		{"source", tickerlake.Series{Source: "other", Basis: "split", Currency: "USD"}, "", `source "other" where this source says "market"`, true},
		{"currency", tickerlake.Series{Source: "market", Basis: "split", Currency: "EUR"}, "", `currency "EUR" where this source says "USD"`, true},
		{"currency of the answer", tickerlake.Series{Source: "market", Basis: "split", Currency: "EUR"},
			"currency: answer\nhttp: {rows: '.data[] | {ts: .Date, close: .Close, currency: \"GBP\"}'}", `currency "EUR" where this source says "GBP"`, false},
		{"made up", tickerlake.Series{Source: "simulated:market", Basis: "split", Currency: "USD"}, "", `source "simulated:market" where this source says "market"`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &desk{}
			c.stored.Table, c.stored.Symbol = "bars_1d", "A"
			c.stored.Watermark = time.Date(2024, 12, 2, 0, 0, 0, 0, time.UTC)
			l := &lake{series: map[tickerlake.Symbol]tickerlake.Series{"A": c.stored}}
			report, err := l.source(t, seed(t, serve(t, d.ServeHTTP), "A, B", c.more), "2025-01-06 18:00").Fetch(t.Context(), Window{})
			if report.Symbols[0].Class != tickerlake.ClassConflict || !errors.Is(err, tickerlake.Conflict) || !errors.Is(err, tickerlake.SourceFailed) {
				t.Fatalf("%+v, %v", report.Symbols[0], err)
			}
			if !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "table:") || !strings.Contains(err.Error(), "bars_1d") {
				t.Errorf("says %v", err)
			}
			if asked := d.take(); (len(asked) == 1) != c.before {
				t.Errorf("asked for %v", asked)
			}
			for _, doc := range l.docs {
				if strings.Contains(doc, `"symbol":"A"`) {
					t.Fatal("a row of the symbol in conflict was delivered")
				}
			}
			now := l.series["A"]
			if now.Reconciled = c.stored.Reconciled; now != c.stored || len(l.docs) == 0 || len(l.fetches) != 2 {
				t.Errorf("series %+v, %d documents, %d fetch records", l.series["A"], len(l.docs), len(l.fetches))
			}
		})
	}
}

func TestFinal(t *testing.T) {
	day := func(s string) time.Time { v, _ := time.Parse(time.DateOnly, s); return v }
	for _, c := range []struct {
		config string
		ts     time.Time
		at     string // UTC
		want   bool
	}{
		{"session_end: '16:00'\ntime_zone: America/New_York", day("2024-07-01"), "2024-07-01T20:29:59Z", false},
		{"session_end: '16:00'\ntime_zone: America/New_York", day("2024-07-01"), "2024-07-01T20:30:00Z", true},
		{"session_end: '16:00'\ntime_zone: America/New_York", day("2024-01-02"), "2024-01-02T21:29:59Z", false},
		{"session_end: '16:00'\ntime_zone: America/New_York\nsettle: 0 seconds", day("2024-01-02"), "2024-01-02T21:00:00Z", true},
		{"time_zone: America/New_York", day("2024-01-02"), "2024-01-03T04:59:59Z", false},
		{"time_zone: America/New_York", day("2024-01-02"), "2024-01-03T05:00:00Z", true},
		{"time_zone: Asia/Tokyo\nsession_end: '15:30'", day("2024-01-04"), "2024-01-04T07:00:00Z", true},
		{"time_zone: America/New_York", day("2024-03-10"), "2024-03-11T03:59:59Z", false}, // 23 hours long
		{"time_zone: America/New_York", day("2024-03-10"), "2024-03-11T04:00:00Z", true},
		{"interval: 1m", time.Date(2024, 1, 2, 14, 30, 0, 0, time.UTC), "2024-01-02T14:30:59Z", false},
		{"interval: 1m", time.Date(2024, 1, 2, 14, 30, 0, 0, time.UTC), "2024-01-02T14:31:00Z", true},
		{"interval: 1h", time.Date(2024, 1, 2, 14, 30, 0, 0, time.UTC), "2024-01-02T15:29:00Z", false},
	} {
		s, err := newSession(decodeConfig(t, c.config))
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.final(c.ts, at); got != c.want {
			t.Errorf("%q: bar of %s final at %s: %v", c.config, c.ts, c.at, got)
		}
	}
}

func TestReadTime(t *testing.T) {
	daily, _ := newSession(decodeConfig(t, "time_zone: America/New_York"))
	minute, _ := newSession(decodeConfig(t, "interval: 1m\ntime_zone: America/New_York"))
	for _, c := range []struct {
		said          any
		daily, minute string
		knownD, knowM bool
	}{
		{"2021-10-01", "2021-10-01", "2021-10-01", true, false},
		{"2024-01-02T00:00:00.000Z", "2024-01-02", "2024-01-02T00:00:00Z", true, true},
		{"2024-01-02T05:00:00Z", "2024-01-02", "2024-01-02T05:00:00Z", true, true},
		{"2024-01-02T09:30:00-05:00", "2024-01-02", "2024-01-02T14:30:00Z", true, true},
		{"2024-07-02 09:30:00", "2024-07-02", "2024-07-02T13:30:00Z", true, true},
		{1790947800, "2026-10-02", "2026-10-02T13:30:00Z", true, true},
		{1790947800000, "2026-10-02", "2026-10-02T13:30:00Z", true, true},
		{1790947800.5, "2026-10-02", "2026-10-02T13:30:00.5Z", true, true},
		{"yesterday", "yesterday", "yesterday", false, false},
		{1e300, "", "", false, false},
	} {
		if text, _, ok := daily.read(c.said); text != c.daily || ok != c.knownD {
			t.Errorf("daily %v: %q, %v", c.said, text, ok)
		}
		if text, _, ok := minute.read(c.said); text != c.minute || ok != c.knowM {
			t.Errorf("minute %v: %q, %v", c.said, text, ok)
		}
	}
}
