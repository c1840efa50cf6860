package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake/collect/simulate"
)

const everyBar = "SELECT symbol, ts, open, high, low, close, volume FROM bars_1d ORDER BY symbol, ts"

// TestCatchingUp: off for 40 days, then one symbol that fails for 10, then a new one;
// one fetch later the lake holds what a lake holds that has never missed a day.
func TestCatchingUp(t *testing.T) {
	p := newProgram(t, "")
	market, err := simulate.New(simulate.Options{Seed: 7, Clock: func() time.Time { return p.now }})
	if err != nil {
		t.Fatal(err)
	}
	var dead atomic.Value
	dead.Store("")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path.Base(r.URL.Path) == dead.Load() {
			http.Error(w, "no", http.StatusNotFound)
			return
		}
		market.ServeHTTP(w, r)
	}))
	defer server.Close()
	yaml := func(symbols string) string {
		return "sources: {market: {preset: simulated, base_url: " + server.URL + ", since: 2025-11-03, symbols: [" + symbols + "]}}\n"
	}
	p.configure(yaml("AAA, BBB"))
	p.do("fetch")
	p.do("run")
	if out, errs, status := p.try("fetch", "--from", "2026-03-01", "--to", "2026-02-01"); status != 2 {
		t.Errorf("an empty window: exit status %d\n%s%s", status, out, errs)
	}

	p.now = p.now.AddDate(0, 0, 40)
	p.do("fetch")
	p.do("run")
	if got := p.ask("SELECT max(ts) FROM bars_1d"); got != "2026-04-10 00:00:00" {
		t.Errorf("after 40 days off the last bar is of %s", got)
	}

	dead.Store("BBB")
	for range 10 {
		p.now = p.now.AddDate(0, 0, 1)
		if _, errs, status := p.try("fetch"); status != 4 {
			t.Errorf("with a symbol that fails: exit status %d\n%s", status, errs)
		}
		p.do("run")
	}
	dead.Store("")
	p.configure(yaml("AAA, BBB, CCC"))
	p.do("fetch")
	p.do("run")

	fresh := newProgram(t, yaml("AAA, BBB, CCC"))
	fresh.now = p.now
	fresh.do("fetch")
	fresh.do("run")
	if got, want := p.ask(everyBar), fresh.ask(everyBar); got != want {
		t.Errorf("bars are missing or differ:\n%s", got)
	}
	if got := p.ask("SELECT count(*) FROM ops.runs WHERE rows_read <> inserted + replaced + unchanged + superseded + quarantined + not_final + waiting"); got != "0" {
		t.Errorf("%s runs are not conserved", got)
	}
}

// TestUnfinishedBar: while the session is open, today's bar is in raw and latest; it
// is in the table once it is final.
func TestUnfinishedBar(t *testing.T) {
	p := newProgram(t, "sources: {market: {preset: simulated, since: 2026-02-23, symbols: [AAA]}}\n")
	p.now = time.Date(2026, 3, 2, 18, 0, 0, 0, time.UTC) // 13:00 in New York
	p.do("fetch")
	p.do("run")
	if got := p.ask("SELECT max(ts) FROM bars_1d"); got != "2026-02-27 00:00:00" {
		t.Errorf("the last bar of the table is of %s", got)
	}
	if got := p.ask("SELECT symbol, ts, final FROM latest"); got != "AAA,2026-03-02 00:00:00,false" {
		t.Errorf("latest has %s", got)
	}
	if got := p.ask("SELECT count(*) FROM raw.bars WHERE ts = '2026-03-02'"); got != "1" {
		t.Errorf("raw has %s rows of today", got)
	}
	p.now = p.now.Add(6 * time.Hour)
	p.do("fetch")
	p.do("run")
	if got := p.ask("SELECT max(ts) FROM bars_1d"); got != "2026-03-02 00:00:00" {
		t.Errorf("after the session the last bar is of %s", got)
	}
	if got := p.ask("SELECT count(*) FROM latest"); got != "0" {
		t.Errorf("latest still has %s rows", got)
	}
}

// TestAnotherBasis: a source whose prices are adjusted in another way is refused
// before anything is fetched.
func TestAnotherBasis(t *testing.T) {
	p := newProgram(t, "sources: {market: {preset: simulated, since: 2026-02-23, symbols: [AAA]}}\n")
	p.do("fetch")
	p.do("run")
	before := p.ask(everyBar)
	p.configure("sources: {market: {preset: simulated, since: 2026-02-23, symbols: [AAA], basis: total}}\n")
	_, errs, status := p.try("fetch")
	if status != 4 || !contains(errs, "split", "total", "table:") {
		t.Errorf("exit status %d, %s", status, errs)
	}
	p.do("run")
	if got := p.ask(everyBar); got != before {
		t.Errorf("prod has changed:\n%s", got)
	}
	p.configure("sources: {market: {preset: simulated, since: 2026-02-23, symbols: [AAA], basis: total, table: adjusted_1d}}\n")
	p.do("fetch")
	p.do("run")
	if got := p.ask("SELECT count(DISTINCT basis) FROM adjusted_1d"); got != "1" {
		t.Errorf("a table of its own: %s", got)
	}
}

const quarter = "sources: {market: {preset: simulated, since: 2025-11-03, symbols: [AAA, BBB]}}\n"

// complete compares the lake with one that has fetched everything at once.
func (p *program) complete() {
	p.Helper()
	fresh := newProgram(p.T, quarter)
	fresh.now = p.now
	fresh.do("fetch")
	fresh.do("run")
	if got, want := p.ask(everyBar), fresh.ask(everyBar); got != want {
		p.Errorf("bars are missing or differ:\n%s", got)
	}
}

// TestWindowsLeaveNoHole: what a given window left out, the next plain fetch brings.
func TestWindowsLeaveNoHole(t *testing.T) {
	p := newProgram(t, quarter)
	p.do("fetch", "--from", "2025-12-01", "--to", "2025-12-20")
	p.do("fetch", "--from", "2026-02-20")
	p.do("run")
	p.do("fetch")
	p.do("run")
	p.complete()
}

// TestDamageIsAskedAgain: what an object held that cannot be read, the next fetch brings.
func TestDamageIsAskedAgain(t *testing.T) {
	p := newProgram(t, quarter)
	p.do("fetch")
	p.do("run")
	p.now = p.now.AddDate(0, 0, 30)
	p.do("fetch")
	objects, err := filepath.Glob(filepath.Join(p.dir, "lake/buckets/raw/raw/bars/dt=*/*.gz"))
	if err != nil || len(objects) < 2 {
		t.Fatal(objects, err)
	}
	if err := os.Truncate(objects[len(objects)-1], 100); err != nil {
		t.Fatal(err)
	}
	p.now = p.now.AddDate(0, 0, 10)
	p.do("fetch")
	p.do("run")
	p.do("fetch")
	p.do("run")
	p.complete()
}

// TestLakeBelowAnyFolder: a folder named like a partition says nothing of the rows.
func TestLakeBelowAnyFolder(t *testing.T) {
	p := newProgram(t, "lake: ./symbol=ZZZ/lake\n"+quarter)
	p.do("fetch")
	p.do("run")
	p.complete()
}
