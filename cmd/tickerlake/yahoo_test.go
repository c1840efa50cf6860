package main

import (
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
