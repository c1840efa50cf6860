package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestClock: a lake on a clock of its own goes by it in all that it does, from the start
// on, and its clock never goes back.
func TestClock(t *testing.T) {
	const sources = "sources: {market: {preset: simulated, since: 2026-01-02, symbols: [AAA]}}\n"
	p := newProgram(t, "clock: {start: 2026-01-05T14:25:00Z, speed: 600}\n"+sources)
	real := p.now
	learned := func(want string) {
		t.Helper()
		p.do("fetch")
		if got := p.ask("SELECT strftime(max(fetched_at), '%Y-%m-%d %H:%M:%S') FROM ops.fetches"); got != want {
			t.Errorf("fetched at %s, want %s", got, want)
		}
	}
	refused := func(want ...string) {
		t.Helper()
		if out, errs, status := p.try("fetch"); status != 2 || !contains(errs, want...) {
			t.Errorf("status %d: %s%s, want %v", status, out, errs, want)
		}
	}
	p.do("fetch")
	p.do("run")
	if got := p.ask("SELECT ts, final FROM bars_1d UNION ALL SELECT ts, final FROM latest ORDER BY ts"); got != "2026-01-02 00:00:00,true" {
		t.Errorf("before the session of January 5 there is %s", got)
	}
	p.now = real.Add(time.Minute) // ten hours, until past midnight UTC
	learned("2026-01-06 00:25:00")
	p.do("run")
	if got := p.ask("SELECT max(ts), max(fetched_at) < TIMESTAMP '2026-01-07' FROM bars_1d"); got != "2026-01-05 00:00:00,true" {
		t.Errorf("after the session: %s", got)
	}
	if got := p.ask("SELECT count(*) FROM ops.runs WHERE started_at >= TIMESTAMP '2026-01-07'"); got != "0" {
		t.Errorf("%s events of runs are on another clock", got)
	}

	// Another speed goes on from where the clock is.
	p.configure("clock: {start: 2026-01-05T14:25:00Z, speed: 3600}\n" + sources)
	learned("2026-01-06 00:25:00")
	p.now = p.now.Add(time.Second)
	learned("2026-01-06 01:25:00")
	// So does a later start; an earlier one would make it go back.
	p.configure("clock: {start: 2026-01-06T00:00:00Z, speed: 3600}\n" + sources)
	refused("clock.start is 2026-01-06 00:00:00", "shows 2026-01-06 01:25:00 already and cannot go back", "the former one (2026-01-05T14:25:00Z)")
	p.configure("clock: {start: 2026-01-07T00:00:00Z, speed: 1}\n" + sources)
	learned("2026-01-07 00:00:00")
	// The real time is later, so that it can be gone back to.
	p.configure(sources)
	learned("2026-03-02 22:01:01")

	p.configure("clock: {start: 2030-01-01T00:00:00Z}\n" + sources)
	learned("2030-01-01 00:00:00")
	p.configure(sources)
	refused("tickerlake.yaml: the lake is on a clock of its own, which shows 2030-01-01 00:00:00 and cannot go back to the real time")

	if err := os.WriteFile(filepath.Join(p.dir, "lake", "clock"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, status := p.try("fetch"); status != 1 || !contains(errs, "lake/clock: is not what tickerlake wrote there") {
		t.Errorf("a damaged clock: %d %s", status, errs)
	}
}

// TestClockIsKept: a lake that was restored goes on by its clock.
func TestClockIsKept(t *testing.T) {
	p := newProgram(t, "clock: {start: 2026-01-05T14:25:00Z, speed: 600}\nsources: {market: {preset: simulated, since: 2026-01-02, symbols: [AAA]}}\n")
	p.do("fetch")
	p.do("run")
	copies := filepath.Join(t.TempDir(), "copies")
	p.do("backup", copies)
	p.now = p.now.Add(time.Minute)
	p.do("restore", copies, "--force")
	p.do("fetch")
	if got := p.ask("SELECT strftime(max(fetched_at), '%Y-%m-%d %H:%M:%S') FROM ops.fetches"); got != "2026-01-06 00:25:00" {
		t.Errorf("after the restore it is %s", got)
	}
	p.do("backup", "--verify", copies)
}
