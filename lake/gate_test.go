package lake_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/quality"
)

// gated runs the jobs with a ruleset and returns what the gate says.
func (f *fixture) gated(rules string) (*run, error) {
	f.Helper()
	rs, err := quality.Parse(rules)
	f.must(err)
	f.lake.Rules = rs
	f.runs++
	r := newRun(f)
	ctx := context.Background()
	f.must(f.lake.Crawl(ctx, r, false))
	f.must(f.lake.Clean(ctx, r))
	f.must(f.lake.Optimize(ctx, r))
	if err := f.lake.Quality(ctx, r); err != nil {
		f.must(f.lake.Abandon(ctx, r.id, err))
		return r, err
	}
	f.must(f.lake.Publish(ctx, r))
	f.must(f.lake.Finish(r.id))
	return r, nil
}

const rules = `Rules = [ RowCount > 0, IsPrimaryKey "symbol" "ts", IsComplete "close", ColumnValues "close" < 1000 ]`

func TestGatePasses(t *testing.T) {
	f := newFixture(t)
	f.put(good("AAPL", "2026-02-27", 10), good("MSFT", "2026-02-27", 20))
	r, err := f.gated(rules)
	f.must(err)
	f.want("counts", r.counts, tickerlake.Counts{Read: 2, Inserted: 2})
	f.want("results", len(f.events.events["quality_results"]), 4)
	for _, e := range f.events.events["quality_results"] {
		if q := e.(tickerlake.QualityResult); q.Result != "PASS" || q.Score != 1 || q.Table != "bars_1d" {
			t.Errorf("%+v", q)
		}
	}
}

func TestOneSymbolBreaksARule(t *testing.T) {
	f := newFixture(t)
	f.put(good("AAPL", "2026-02-26", 10), good("MSFT", "2026-02-26", 20))
	_, err := f.gated(rules)
	f.must(err)
	f.put(good("AAPL", "2026-02-27", 11), good("MSFT", "2026-02-27", 2000), good("MSFT", "2026-02-25", 19), good("GOOG", "2026-02-27", 30))
	r, err := f.gated(rules)
	f.must(err)
	f.want("counts", r.counts, tickerlake.Counts{Read: 4, Inserted: 2, Quarantined: 2})
	f.want("rows", f.rows("prod.bars_1d", "symbol, ts, close"), []string{
		"AAPL 2026-02-26 00:00:00 10", "AAPL 2026-02-27 00:00:00 11", "GOOG 2026-02-27 00:00:00 30", "MSFT 2026-02-26 00:00:00 20"})
	quarantined := f.events.quarantined()
	f.want("quarantined", len(quarantined), 2)
	for _, q := range quarantined {
		if q.Symbol != "MSFT" || !strings.Contains(q.Reason, `ColumnValues "close" < 1000`) {
			t.Errorf("%+v", q)
		}
	}
}

func TestGateFails(t *testing.T) {
	f := newFixture(t)
	f.put(good("AAPL", "2026-02-26", 10))
	_, err := f.gated(rules)
	f.must(err)
	before := f.view("prod.bars_1d")
	f.put(good("AAPL", "2026-02-27", 11))
	_, err = f.gated(`Rules = [ RowCount > 100, IsComplete "close" ]`)
	if !errors.Is(err, tickerlake.GateFailed) || !strings.Contains(err.Error(), "RowCount > 100") {
		t.Fatalf("the gate says %v", err)
	}
	f.want("snapshot", f.view("prod.bars_1d").Snapshot, before.Snapshot)
	waiting, err := f.cat.Objects(context.Background(), "pending")
	f.must(err)
	f.want("objects waiting", len(waiting), 1)
	f.want("failures", waiting[0].Failures, 1)
	r, err := f.gated(rules)
	f.must(err)
	f.want("the next run takes them again", r.counts, tickerlake.Counts{Read: 1, Inserted: 1})
}
