package e2e

import (
	"encoding/json"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// TestBackupBeside backs a lake up in a loop while it is fetched to, run, tidied and rolled
// back. Nothing is wrong with any generation, and each has, in its tables, raw objects or
// delivery log, all that had been acknowledged before it was taken: without a source to
// ask, one run brings it to prod, every bar once and none of them older.
func TestBackupBeside(t *testing.T) {
	t.Parallel()
	const first = 30
	truth := func(days int) prices {
		p := history("2024-03-01", days, "AAA", "BBB")
		p["AAA"][first-1].close = 100 + float64(min(days, first+5)) // corrected for as long as it is asked for again
		p["AAA"][first-1].high, p["AAA"][first-1].low = 1000, 1
		return p
	}
	m := newMarket(t, truth(first))
	p := newPipeline(t, "tidy: {snapshots: 3, daily_snapshots: 0 days, raw: 1 day}\n"+seedFile(m.URL, "AAA, BBB"))
	var acknowledged atomic.Int64 // days
	p.must("fetch")
	p.must("run")
	acknowledged.Store(first)
	dir := p.path("backup")
	done := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		defer close(done)
		for i := 1; i <= 12 && !t.Failed(); i++ {
			m.set(truth(first + i))
			if o := p.run("fetch"); o.status != 0 {
				t.Errorf("%v", o)
			}
			acknowledged.Store(int64(first + i))
			if i%3 != 0 { // what is delivered waits at times
				if o := p.run("run"); o.status != 0 {
					t.Errorf("%v", o)
				}
			}
			switch i {
			case 5, 11:
				if o := p.run("tidy"); o.status != 0 {
					t.Errorf("%v", o)
				}
			case 8:
				var list []struct{ ID int64 }
				if o := p.run("snapshots", "bars_1d", "--json"); o.status != 0 || json.Unmarshal([]byte(o.stdout), &list) != nil || len(list) < 2 {
					t.Errorf("%v", o)
				} else if o := p.run("rollback", "bars_1d", strconv.FormatInt(list[1].ID, 10)); o.status != 0 {
					t.Errorf("%v", o)
				} else if o := p.run("run", "--release"); o.status != 0 {
					t.Errorf("%v", o)
				}
			}
		}
	})
	t.Cleanup(writer.Wait)
	// known tells for each generation how many days it must have, and how many it may.
	type span struct{ least, most int }
	known := map[string]span{}
	var order []string
	for over := false; !over; {
		select {
		case <-done:
			over = true // once more, with all of it
		default:
		}
		least := int(acknowledged.Load())
		o := p.run("backup", dir, "--json")
		var made taken
		if o.status != 0 || json.Unmarshal([]byte(o.stdout), &made) != nil {
			t.Fatalf("%v", o)
		}
		known[made.Generation] = span{least, int(acknowledged.Load()) + 1}
		order = append(order, made.Generation)
	}
	writer.Wait()
	if len(order) < 4 {
		t.Errorf("only %d backups were taken meanwhile", len(order))
	}
	p.verified(dir, len(order))
	step := max(1, len(order)/12)
	for i := len(order) - 1; i >= 0; i -= step {
		id := order[i]
		q := p.kept(t, dir, "--generation", id)
		q.must("run", "--release")
		want := prices{}
		for symbol, bars := range q.published("bars_1d") {
			// Each symbol's, as a fetch acknowledges one before the other.
			if days := len(bars); days >= known[id].least && days <= known[id].most {
				want[symbol] = truth(days)[symbol]
			}
		}
		if len(want) != 2 {
			t.Errorf("generation %s has not %d to %d days of AAA and of BBB", id, known[id].least, known[id].most)
		}
		q.sameAs("bars_1d", want)
		q.conserved()
		q.settled()
		q.healthy()
	}
	t.Logf("%d generations while %d days came", len(order), acknowledged.Load()-first)
}
