package e2e

import (
	"testing"
	"time"
)

// TestFetchedThirtyTimes fetches the same window again and again. Nothing changes.
func TestFetchedThirtyTimes(t *testing.T) {
	t.Parallel()
	truth := history("2024-03-01", 30, "AAA", "BBB")
	m := newMarket(t, truth)
	p := newPipeline(t, seedFile(m.URL, "AAA, BBB"))
	window := []string{"fetch", "--from", "2024-03-01", "--to", "2024-04-01"}
	p.must(window...)
	p.must("run")
	p.sameAs("bars_1d", truth)
	before := p.still()
	for i := range 29 {
		p.must(window...)
		if i < 3 {
			p.must("run")
		}
	}
	p.must("run")
	p.unchangedSince(before)
	p.sameAs("bars_1d", truth)
	p.conserved()
	p.settled()
	if n := p.value("SELECT sum(rows_read) - sum(unchanged) - sum(superseded) FROM ops.runs WHERE state = 'COMPLETED'"); n != "60" {
		t.Errorf("%s rows made a difference, want the 60 of the first fetch", n)
	}
}

// TestCorrected changes a close that is stored. The later one is in prod, the
// earlier one in the revisions.
func TestCorrected(t *testing.T) {
	t.Parallel()
	first := history("2024-03-01", 30, "AAA", "BBB")
	m := newMarket(t, first)
	p := newPipeline(t, seedFile(m.URL, "AAA, BBB"))
	p.must("fetch")
	p.must("run")

	later := first.clone()
	later["AAA"][27].close++
	later["AAA"][27].high++
	m.set(later)
	p.must("fetch")
	p.must("run")
	p.sameAs("bars_1d", later)
	p.sameAs("bars_1d_revisions", prices{"AAA": first["AAA"][27:28]})
	if n := p.value(`SELECT count(*) FROM bars_1d_revisions r JOIN bars_1d b USING (symbol, ts) WHERE r.fetched_at < b.fetched_at AND r.replaced_at >= b.fetched_at`); n != "1" {
		t.Errorf("the revision does not lie between the two fetches: %v", p.rows("SELECT * FROM bars_1d_revisions"))
	}

	// A dividend changes the adjusted close of all that was before: no revision.
	adjusted := later.clone()
	for i := range adjusted["BBB"] {
		adjusted["BBB"][i].adj = adjusted["BBB"][i].close * 0.5
	}
	m.set(adjusted)
	p.must("fetch", "--from", "2024-03-01", "--to", "2024-04-01")
	p.must("run")
	p.sameAs("bars_1d", adjusted)
	p.sameAs("bars_1d_revisions", prices{"AAA": first["AAA"][27:28]})
	p.conserved()
	p.settled()
}

// TestCaughtUp leaves the lake alone for 40 days and adds a symbol. One fetch later
// nothing is missing.
func TestCaughtUp(t *testing.T) {
	t.Parallel()
	today := time.Now().UTC()
	all := history(today.AddDate(0, 0, -80).Format(time.DateOnly), 70, "AAA", "BBB")
	then := prices{"AAA": all["AAA"][:30]}
	m := newMarket(t, then)
	p := newPipeline(t, seedFile(m.URL, "AAA"))
	p.must("fetch")
	p.must("run")
	p.sameAs("bars_1d", then)

	m.set(all)
	p.write("tickerlake.yaml", seedFile(m.URL, "AAA, BBB"))
	p.must("fetch")
	p.must("run")
	p.sameAs("bars_1d", all)
	p.conserved()
}
