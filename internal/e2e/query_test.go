package e2e

import (
	"fmt"
	"testing"
)

// TestQueryWhilePublishing asks again and again while runs replace every row. Each
// answer is that of one state, the old or the new.
func TestQueryWhilePublishing(t *testing.T) {
	t.Parallel()
	const days, states = 200, 6
	m := newMarket(t, flat(days, 1))
	p := newPipeline(t, seedFile(m.URL, "AAA, BBB"))
	p.must("fetch")
	p.must("run")

	// In state n every close is n and 2n: whatever mixes two states shows.
	const sql = `SELECT count(*), min(price), max(price), sum(price), (SELECT count(*) FROM bars_1d_revisions) FROM (
		SELECT close AS price FROM bars_1d WHERE symbol = 'AAA' UNION ALL SELECT close / 2 FROM bars_1d WHERE symbol = 'BBB')`
	published := make(chan error, 1)
	go func() {
		defer close(published)
		for n := 2; n <= states; n++ {
			m.set(flat(days, n))
			for _, args := range [][]string{{"fetch", "--from", "2024-01-01", "--to", "2025-01-01"}, {"run"}} {
				if out, err := p.command(nil, args...).CombinedOutput(); err != nil {
					published <- fmt.Errorf("%v: %w\n%s", args, err, out)
					return
				}
			}
		}
	}()
	defer func() {
		for range published { // waits for its end
		}
	}()
	last, answers := 1, 0
	for running := true; running; answers++ {
		select {
		case err, more := <-published:
			if more {
				t.Fatal(err)
			}
			running = false
		default:
		}
		row := p.rows(sql)[0]
		n := last
		for ; n <= states; n++ {
			if fmt.Sprint(row[:4]) == fmt.Sprintf("[%d %d %d %d]", 2*days, n, n, 2*days*n) {
				break
			}
		}
		if n > states {
			t.Fatalf("the answer %v is that of no state from %d on", row, last)
		}
		last = n
		// Revisions are published first: who sees a new bar finds the old one there.
		if revisions := row[4]; revisions != fmt.Sprint(2*days*(n-1)) && revisions != fmt.Sprint(2*days*n) {
			t.Fatalf("state %d with %s revisions", n, revisions)
		}
	}
	if last != states {
		t.Errorf("the last answer is that of state %d, want %d", last, states)
	}
	if n := p.value("SELECT count(*) FROM bars_1d_revisions"); n != fmt.Sprint(2*days*(states-1)) {
		t.Errorf("%s revisions, want %d", n, 2*days*(states-1))
	}
	t.Logf("%d answers", answers)
}

// flat is a market that closes at n, or 2n, every day.
func flat(days, n int) prices {
	p := history("2024-01-01", days, "AAA", "BBB")
	for symbol, price := range map[string]float64{"AAA": float64(n), "BBB": float64(2 * n)} {
		for i := range p[symbol] {
			b := &p[symbol][i]
			b.open, b.high, b.low, b.close, b.adj = price, price, price, price, price
		}
	}
	return p
}
