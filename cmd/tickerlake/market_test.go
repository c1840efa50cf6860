package main

import (
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/collect/simulate"
)

// TestLivingMarket follows sessions of the simulated market with fetches at odd times: in
// the end prod has what the market says is true, bar by bar.
func TestLivingMarket(t *testing.T) {
	p := newProgram(t, `clock: {start: 2026-03-02T15:10:20Z}
sources:
  days: {preset: simulated, since: 2026-02-23, symbols: [AAA, S4]}
  minutes: {preset: simulated, interval: 1m, since: 2026-03-02, symbols: [AAA, S4]}
  hours: {preset: simulated, interval: 1h, since: 2026-03-02, symbols: [AAA]}
`)
	start := time.Date(2026, 3, 2, 15, 10, 20, 0, time.UTC)
	real := p.now
	for _, after := range []time.Duration{0, 3*time.Minute + 41*time.Second, 3*time.Hour + time.Second, 8 * time.Hour, 24*time.Hour + 17*time.Second, 31 * time.Hour} {
		p.now = real.Add(after)
		p.do("fetch")
		p.do("run")
	}
	now := start.Add(31 * time.Hour)
	market, err := simulate.New(simulate.Options{Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		interval tickerlake.Interval
		symbol   tickerlake.Symbol
		from     time.Time
		least    int
	}{
		{tickerlake.Day, "AAA", time.Date(2026, 2, 23, 0, 0, 0, 0, time.UTC), 7}, {tickerlake.Day, "S4", time.Date(2026, 2, 23, 0, 0, 0, 0, time.UTC), 7},
		{tickerlake.Minute, "AAA", time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC), 700}, {tickerlake.Minute, "S4", time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC), 700},
		{tickerlake.Hour, "AAA", time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC), 14},
	} {
		truth, err := market.Truth(c.symbol, c.interval, c.from, now.Add(24*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		text := p.do("query", "-f", "csv", fmt.Sprintf("SELECT epoch_us(ts), open, high, low, close, adj_close, volume FROM %s WHERE symbol = '%s' ORDER BY ts", c.interval.Table(), c.symbol))
		rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		rows = rows[1:]
		if len(rows) != len(truth) || len(rows) < c.least {
			t.Errorf("%s %s: %d bars in prod, %d are true", c.symbol, c.interval, len(rows), len(truth))
			continue
		}
		for i, b := range truth {
			adj := ""
			if b.AdjClose != nil {
				adj = number(*b.AdjClose)
			}
			want := []string{strconv.FormatInt(b.Ts.UnixMicro(), 10), number(*b.Open), number(*b.High), number(*b.Low), number(b.Close), adj, number(*b.Volume)}
			for j, v := range rows[i] {
				if f, err := strconv.ParseFloat(v, 64); err == nil && j > 0 {
					v = number(f)
				}
				if v != want[j] {
					t.Fatalf("%s %s %s: %v in prod, %v is true", c.symbol, c.interval, b.Ts, rows[i], want)
				}
			}
		}
	}
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func TestSimulateFaultsAreRead(t *testing.T) {
	p := newProgram(t, quarter)
	_, errs, status := p.try("simulate", "--faults", "http500, cut=2")
	if status != 2 || !contains(errs, `faults: "cut=2": rate "2": want 0 to 1, a share of requests`) {
		t.Errorf("%d %s", status, errs)
	}
}
