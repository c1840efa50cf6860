package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// An exchange serves daily bars of each symbol in the seed's form until the program's
// day. Its splits change all that was before them.
type exchange struct {
	*httptest.Server
	now func() time.Time

	mu     sync.Mutex
	first  time.Time
	factor float64 // of all bars but those of days since
	since  time.Time
	whole  int // answers without a window
}

func newExchange(t *testing.T, now func() time.Time) *exchange {
	t.Helper()
	e := &exchange{now: now, first: time.Date(2025, 11, 3, 0, 0, 0, 0, time.UTC), factor: 1}
	e.Server = httptest.NewServer(http.HandlerFunc(e.serve))
	t.Cleanup(e.Close)
	return e
}

// split halves every price from before a day, once more.
func (e *exchange) split() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.factor, e.since = e.factor/2, e.now().UTC().Truncate(24*time.Hour)
}

// shorten makes the exchange forget what was before a day.
func (e *exchange) shorten(first time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.first = first
}

func (e *exchange) serve(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	from, to := e.first, e.now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 1)
	if text := r.FormValue("start_date"); text != "" {
		if at, _ := time.Parse("January 02 2006", text); at.After(from) {
			from = at
		}
	} else {
		e.whole++
	}
	if at, err := time.Parse("January 02 2006", r.FormValue("end_date")); err == nil && at.Before(to) {
		to = at
	}
	var rows []string
	for day := from; day.Before(to); day = day.AddDate(0, 0, 1) {
		// Every bar is 1% above the one before; after the split in new shares.
		n := int(day.Sub(time.Date(2025, 11, 3, 0, 0, 0, 0, time.UTC)).Hours() / 24)
		price := e.factor * 1000 * (1 + 0.001*float64(n))
		rows = append(rows, fmt.Sprintf(`{"Date":%q,"Open":%[2]v,"High":%[2]v,"Low":%[2]v,"Close":%[2]v,"Adjusted Close":%[2]v,"Volume":1000}`, day.Format(time.DateOnly), price))
	}
	fmt.Fprintf(w, `{"data":[%s]}`, strings.Join(rows, ","))
}

func (e *exchange) source(name, symbols, more string) string {
	return fmt.Sprintf("  %s: {preset: seed, base_url: %s, symbols: [%s], retries: 0, reconcile: 0 days%s}\n", name, e.URL, symbols, more)
}

// A reader looks all the time for neighbours of which one is on another basis.
func (p *program) watchBases(stop *atomic.Bool) (looks, jumps int) {
	for !stop.Load() {
		out, errs, status := p.try("query", "-f", "csv", `SELECT count(*) FROM (SELECT close / lag(close) OVER (PARTITION BY symbol ORDER BY ts) AS r FROM bars_1d) WHERE r NOT BETWEEN 0.9 AND 1.1`)
		if status != 0 {
			p.Errorf("a reader fails: %s", errs)
			return looks, jumps
		}
		looks++
		if !strings.HasSuffix(strings.TrimSpace(out), "\n0") && !strings.HasSuffix(strings.TrimSpace(out), "0") {
			p.Errorf("a reader sees two bases: %s", out)
			jumps++
		}
	}
	return looks, jumps
}

// TestOneBasis: splits come, and no reader ever sees prices before and after in one series.
func TestOneBasis(t *testing.T) {
	p := newProgram(t, "")
	var now atomic.Pointer[time.Time]
	set := func(at time.Time) { p.now = at; now.Store(&at) }
	set(p.now)
	e := newExchange(t, func() time.Time { return *now.Load() })
	p.configure("sources:\n" + e.source("market", "AAA, BBB", ""))
	p.do("fetch")
	p.do("run")
	reader := &program{T: t, dir: p.dir, now: p.now.AddDate(0, 0, 20)}
	var stop atomic.Bool
	var readers sync.WaitGroup
	var looks int
	readers.Go(func() { looks, _ = reader.watchBases(&stop) })
	defer func() { stop.Store(true); readers.Wait() }()
	for range 3 {
		set(p.now.AddDate(0, 0, 1))
		e.split()
		p.do("fetch")
		if out := p.do("run"); !contains(out, "waiting") {
			t.Errorf("the rows of a split do not wait: %s", out)
		}
		if out := p.do("status"); !contains(out, "WAITING", "AAA", "BBB", "prices of", "0.5 times what they were; all of its history is needed") {
			t.Errorf("status does not tell of it:\n%s", out)
		}
		before := e.whole
		p.do("fetch")
		if e.whole != before+2 {
			t.Errorf("%d requests for all history, want 2", e.whole-before)
		}
		p.do("run")
		if out := p.do("status"); contains(out, "WAITING") {
			t.Errorf("they wait still:\n%s", out)
		}
		if got, want := p.ask("SELECT max(ts) FROM bars_1d"), p.now.Format("2006-01-02")+" 00:00:00"; got != want {
			t.Errorf("the last bar is of %s, want %s", got, want)
		}
		if got := p.ask("SELECT count(*) FROM bars_1d b JOIN bars_1d_revisions r USING (symbol, ts) WHERE abs(b.close / r.close - 0.5) > 1e-9 AND r.replaced_at = (SELECT max(replaced_at) FROM bars_1d_revisions)"); got != "0" {
			t.Errorf("%s revisions of the last split are not twice the price", got)
		}
	}
	stop.Store(true)
	readers.Wait()
	if looks < 3 {
		t.Errorf("the reader looked %d times", looks)
	}
	if out := p.do("doctor"); !contains(out, "nothing wrong") && !contains(out, "nothing is wrong") {
		t.Errorf("doctor says %s", out)
	}
}

// TestSourceWithLess: a source that gives less history than is stored leaves the series
// waiting and says what to do; refetch --replace does it.
func TestSourceWithLess(t *testing.T) {
	p := newProgram(t, "")
	e := newExchange(t, func() time.Time { return p.now })
	p.configure("sources:\n" + e.source("market", "AAA, BBB", ""))
	p.do("fetch")
	p.do("run")
	bars := p.ask("SELECT count(*), max(close) FROM bars_1d WHERE symbol = 'AAA'")
	e.split()
	e.shorten(time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC))
	p.now = p.now.AddDate(0, 0, 1)
	p.do("fetch")
	p.do("run")
	p.now = p.now.Add(time.Hour)
	_, errs, status := p.try("refetch", "AAA")
	const says = "its source gives bars from 2026-01-05 to 2026-03-03, the table has some from 2025-11-03 to 2026-03-02: tickerlake refetch AAA --replace takes what the source gives"
	if status != 4 || !contains(errs, says) {
		t.Errorf("exit status %d: %s", status, errs)
	}
	if out := p.do("status"); !contains(out, says) {
		t.Errorf("status does not say what to do:\n%s", out)
	}
	if got := p.ask("SELECT count(*), max(close) FROM bars_1d WHERE symbol = 'AAA'"); got != bars {
		t.Errorf("bars are %s, want %s", got, bars)
	}
	if out := p.do("refetch", "AAA", "--replace"); !contains(out, "58 rows of 1 symbol delivered", "removed") {
		t.Errorf("refetch says %s", out)
	}
	if got := p.ask("SELECT count(*), min(ts), max(ts) FROM bars_1d WHERE symbol = 'AAA'"); got != "58,2026-01-05 00:00:00,2026-03-03 00:00:00" {
		t.Errorf("bars are %s", got)
	}
	if got := p.ask("SELECT count(*) FROM bars_1d_revisions WHERE symbol = 'AAA' AND withdrawn_at IS NOT NULL"); got != "63" {
		t.Errorf("%s withdrawn bars", got)
	}
	if out := p.do("status"); contains(out, "bars_1d  AAA     market  now") || !contains(out, "WAITING", "BBB") {
		t.Errorf("who waits:\n%s", out)
	}
	p.now = p.now.AddDate(0, 0, 1)
	p.do("fetch")
	if out := p.do("run"); !contains(out, "1 inserted") {
		t.Errorf("the next day: %s", out)
	}
}

// TestAnotherSource: a source takes the place of another for good.
func TestAnotherSource(t *testing.T) {
	p := newProgram(t, "")
	e := newExchange(t, func() time.Time { return p.now })
	p.configure("sources:\n" + e.source("market", "AAA, BBB", ""))
	p.do("fetch")
	p.do("run")
	p.configure("sources:\n" + e.source("market", "BBB", "") + e.source("backup", "AAA", ", basis: total, currency: EUR"))
	_, errs, status := p.try("fetch", "backup")
	if status != 4 || !contains(errs, "tickerlake refetch AAA --source backup --replace") {
		t.Errorf("exit status %d: %s", status, errs)
	}
	for _, bad := range []struct {
		says string
		args []string
	}{
		{"no source has it among its symbols", []string{"CCC"}},
		{"it is not among the symbols of market: add it there", []string{"AAA", "--source", "market"}},
		{"has no such source", []string{"AAA", "--source", "other"}},
		{"requires at least 1 arg", nil},
	} {
		if _, errs, status := p.try(append([]string{"refetch"}, bad.args...)...); status != 2 || !contains(errs, bad.says) {
			t.Errorf("refetch %v: exit status %d, %s", bad.args, status, errs)
		}
	}
	p.now = p.now.AddDate(0, 0, 1)
	out := p.do("refetch", "AAA", "--replace")
	if !contains(out, "replaced") || contains(out, "quarantined") {
		t.Errorf("refetch says %s", out)
	}
	if got := p.ask("SELECT DISTINCT source, basis, currency FROM bars_1d WHERE symbol = 'AAA'"); got != "backup,total,EUR" {
		t.Errorf("the bars are of %s", got)
	}
	if got := p.ask("SELECT DISTINCT source, basis, currency FROM bars_1d_revisions WHERE symbol = 'AAA'"); got != "market,split,USD" {
		t.Errorf("the revisions are of %s", got)
	}
	p.now = p.now.AddDate(0, 0, 1)
	p.do("fetch")
	if out := p.do("run"); !contains(out, "inserted") || contains(out, "quarantined") {
		t.Errorf("the next day: %s", out)
	}
	// Back and forth, by the history of publications.
	if got := p.ask("SELECT DISTINCT source FROM bars_1d WHERE symbol = 'AAA'"); got != "backup" {
		t.Errorf("then the bars are of %s", got)
	}
	if out := p.do("doctor"); !contains(out, "nothing wrong") && !contains(out, "nothing is wrong") {
		t.Errorf("doctor says %s", out)
	}
	p.configure("sources:\n" + e.source("market", "AAA, BBB", "") + e.source("backup", "AAA", ", basis: total, currency: EUR"))
	if _, errs, status := p.try("refetch", "AAA", "--replace"); status != 2 || !contains(errs, "several sources have it: say which is to replace what is stored, --source backup or --source market") {
		t.Errorf("exit status %d: %s", status, errs)
	}
	p.now = p.now.Add(time.Hour)
	p.do("refetch", "AAA", "--replace", "--source", "market")
	if got := p.ask("SELECT DISTINCT source FROM bars_1d WHERE symbol = 'AAA'"); got != "market" {
		t.Errorf("at last the bars are of %s", got)
	}
}
