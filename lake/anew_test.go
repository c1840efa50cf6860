package lake_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/tickerlake/tickerlake"
)

// TestAcceptOfReplacing: a row of an answer that was to take the place of its series and
// has not is no such answer; one of an answer that has is taken as it is.
func TestAcceptOfReplacing(t *testing.T) {
	f := newFixture(t)
	f.answer("f1", at("21:00"), append([]string{"2025-05-02 300"}, week(1)...)...)
	f.run()
	f.answer("replace-1", at("21:10"), append([]string{"2025-05-02 150", "2025-05-05 150"}, week(1000)...)...)
	_, err := f.gated(`Rules = [ ColumnValues "close" < 50000 ]`)
	f.must(err)
	for _, q := range f.quarantined("rule ") {
		if _, err := f.accept(q); !errors.Is(err, tickerlake.Conflict) || !strings.Contains(err.Error(), "refetch AAPL --replace again") {
			t.Errorf("accepted by itself: %v", err)
		}
	}
	f.want("rows left", len(f.rows("prod.bars_1d", both)), 6)

	f.answer("replace-2", at("21:20"), append([]string{"!2026-02-20 49"}, week(0.5)...)...)
	f.want("replaced", f.run(), tickerlake.Counts{Read: 6, Replaced: 5, Quarantined: 1, Withdrawn: 1, Removed: 1})
	_, err = f.accept(f.quarantinedFor("high is below"))
	f.must(err)
	f.want("accepted", f.run(), tickerlake.Counts{Read: 1, Inserted: 1})
	f.want("waits", f.waits(), []string(nil))
}

// TestReplacingTwice: an answer that has taken the place of its series is an ordinary one
// when it is read again.
func TestReplacingTwice(t *testing.T) {
	f := newFixture(t)
	f.answer("f1", at("21:00"), append([]string{"2025-05-02 300"}, week(1)...)...)
	f.run()
	f.answer("replace-1", at("21:10"), week(0.5)...)
	f.run()
	f.answer("f2", at("21:15"), append(week(0.5), "2026-03-02 53")...)
	f.run()
	f.answer("replace-1", at("21:10"), week(0.5)...)
	f.answer("f3", at("21:20"), append(week(0.5), "2026-03-02 53.5")...)
	f.want("the object again", f.run(), tickerlake.Counts{Read: 11, Replaced: 1, Unchanged: 5, Superseded: 5})
	f.want("waits", f.waits(), []string(nil))
}

// TestReplacingInTwoRuns: its records may lie in two objects of two runs.
func TestReplacingInTwoRuns(t *testing.T) {
	f := newFixture(t)
	f.answer("f1", at("21:00"), append([]string{"2025-05-02 300"}, week(1)...)...)
	f.run()
	all := append([]string{"2025-05-02 150", "2025-05-05 151"}, week(0.5)...)
	f.answer("replace-1", at("21:10"), all[:4]...)
	f.run()
	f.answerFrom(4, "replace-1", at("21:10"), all[4:]...)
	f.want("the rest", f.run(), tickerlake.Counts{Read: 3, Inserted: 3})
	f.want("waits", f.waits(), []string(nil))
}

// TestReplacingReleased: another table with rows in its object is taken back and released.
func TestReplacingReleased(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	f.answer("f1", at("21:00"), append([]string{"2025-05-02 300"}, week(1)...)...)
	f.put(good("MSFT", "2026-02-24", 7).with("table", "bars_b", "fetch_id", "b1", "fetched_at", at("21:00")))
	f.run()
	var docs []any
	for i := range 5 {
		docs = append(docs, good("AAPL", fmt.Sprintf("2026-02-2%d", 3+i), 50).with("fetch_id", "replace-1", "fetched_at", at("21:10"), "row", i))
	}
	f.put(append(docs, good("MSFT", "2026-02-25", 8).with("table", "bars_b", "fetch_id", "b2", "fetched_at", at("21:10")))...)
	f.run()
	before := f.rows("prod.bars_1d", both)
	chain, err := f.lake.Snapshots(ctx, "bars_b")
	f.must(err)
	_, err = f.lake.Rollback(ctx, "bars_b", chain[1].ID)
	f.must(err)
	_, _, err = f.lake.Release(ctx)
	f.must(err)
	f.want("counts", f.run(), tickerlake.Counts{Read: 6, Inserted: 1, Superseded: 5})
	f.want("rows", f.rows("prod.bars_1d", both), before)
	f.want("waits", f.waits(), []string(nil))
}

// TestAnewCutOff: the bars of a series that comes anew are out, and the run fails before
// that is recorded. The next run records it.
func TestAnewCutOff(t *testing.T) {
	for _, id := range []string{"replace-1", "f3"} {
		t.Run(id, func(t *testing.T) {
			f := newFixture(t)
			ctx := context.Background()
			f.answer("f1", at("21:00"), append([]string{"2025-05-02 300"}, week(1)...)...)
			f.run()
			rows := week(0.5)
			if !tickerlake.Replaces(id) {
				f.answer("f2", at("21:05"), week(0.5)...)
				f.run()
				rows = append([]string{"2025-05-02 150"}, rows...)
			}
			f.answer(id, at("21:10"), rows...)
			f.put(good("MSFT", "2026-03-02", 11).with("final", false))
			f.runs++
			r := newRun(f)
			f.must(f.lake.Crawl(ctx, r, false))
			f.must(f.lake.Clean(ctx, r))
			f.must(f.lake.Optimize(ctx, r))
			latest := f.dir + "/buckets/prod/latest/latest.parquet.new"
			f.must(os.MkdirAll(latest+"/x", 0o755))
			err := f.lake.Publish(ctx, r)
			if err == nil {
				t.Fatal("published")
			}
			f.must(os.RemoveAll(latest))
			f.must(f.lake.Abandon(ctx, r.id, err))
			before := f.rows("prod.bars_1d", both)
			f.want("rows", len(before), len(rows))
			f.run()
			f.want("rows", f.rows("prod.bars_1d", both), before)
			f.want("waits", f.waits(), []string(nil))
			f.answer("f1b", at("21:05"), "2026-02-24 301")
			f.want("a late one", f.run(), tickerlake.Counts{Read: 1, Superseded: 1})
		})
	}
}

// TestFileBeforeAnew: rows of a file that is older than the answer with which a series
// comes anew are on another basis, wherever between its ends they lie.
func TestFileBeforeAnew(t *testing.T) {
	for _, c := range []struct {
		what   string
		before []string // published before
		file   []string
		id     string
		anew   []string
		want   tickerlake.Counts
	}{
		{"a new table", nil, append([]string{"2026-02-19 98", "2026-02-20 99"}, week(1)...), "f1", append([]string{"2026-02-18 49"}, week(0.5)...),
			tickerlake.Counts{Read: 13, Inserted: 6, Superseded: 7}},
		{"a year between", append([]string{"2023-05-02 300"}, week(1)...), []string{"2024-05-02 200", "2024-05-03 200"}, "f2", append([]string{"2023-05-02 150"}, week(0.5)...),
			tickerlake.Counts{Read: 8, Replaced: 6, Superseded: 2}},
		{"a year before what replaces", week(1), []string{"2024-05-02 200", "2024-05-03 200"}, "replace-1", week(0.5),
			tickerlake.Counts{Read: 7, Replaced: 5, Superseded: 2}},
	} {
		t.Run(c.what, func(t *testing.T) {
			f := newFixture(t)
			if len(c.before) > 0 {
				f.answer("f0", at("19:00"), c.before...)
				f.run()
			}
			f.answer("file-1", at("20:00"), c.file...)
			f.answer(c.id, at("21:00"), c.anew...)
			f.want("counts", f.run(), c.want)
			f.want("rows", len(f.rows("prod.bars_1d", both)), len(c.anew))
		})
	}
}

// TestAcceptEndsWaiting: an answer with all of the history that a rule set aside ends the
// waiting when all of it is accepted.
func TestAcceptEndsWaiting(t *testing.T) {
	f := newFixture(t)
	const rules = `Rules = [ ColumnValues "close" < 50000 ]`
	f.answer("f1", at("21:00"), append([]string{"2025-05-02 300"}, week(1)...)...)
	f.run()
	f.answer("f2", at("21:10"), week(1000)...)
	_, err := f.gated(rules)
	f.must(err)
	f.want("waits", len(f.waits()), 1)
	f.answer("f3", at("21:20"), append([]string{"2025-05-02 300000"}, week(1000)...)...)
	_, err = f.gated(rules)
	f.must(err)
	for _, q := range f.quarantined("rule ") {
		_, err := f.accept(q)
		f.must(err)
	}
	r, err := f.gated(rules)
	f.must(err)
	f.want("counts", r.counts, tickerlake.Counts{Read: 6, Replaced: 6})
	f.want("waits", f.waits(), []string(nil))
}

// TestSetAsideOnce: a row of a file that is set aside since its series waits is the same
// row in each run, whatever is found of the series.
func TestSetAsideOnce(t *testing.T) {
	f := newFixture(t)
	f.answer("f1", at("21:00"), append([]string{"2025-05-02 300", "2026-02-20 99"}, week(1)...)...)
	f.run()
	f.answer("f2", at("21:10"), week(0.5)...)
	f.answer("file-1", at("21:11"), "2024-05-02 100")
	f.answer("m1", at("21:11"), "MSFT/2024-05-02 100")
	if _, err := f.gated("Rules = [ RowCount > 1000 ]"); err == nil {
		t.Error("the gate let it pass")
	}
	f.answer("f3", at("21:20"), append([]string{"2026-02-20 49.5"}, week(0.5)...)...)
	_, err := f.gated("Rules = [ RowCount > 1 ]")
	f.must(err)
	f.want("ids", len(f.events.quarantined()), 1)
}

// split is a document that tells of a split, of a fetch.
func (f *fixture) split(date string, ratio float64, fetch, fetched string, row int) doc {
	return doc{"symbol": "AAPL", "ts": date, "kind": "split", "ratio": ratio, "currency": "USD", "basis": "split", "source": "test", "table": "actions",
		"interval": "1d", "final": true, "fetched_at": fetched, "fetch_id": fetch, "row": row}
}

// TestBeginsWithSplit: a series begins with rows of before a split and an answer that tells
// of it.
func TestBeginsWithSplit(t *testing.T) {
	f := newFixture(t)
	f.answer("file-1", "2026-02-01T10:00:00.000000Z", "2024-05-02 200", "2024-05-03 201")
	f.answer("f2", at("21:00"), week(0.5)...)
	f.putNumbered(f.split("2026-02-20", 2, "f2", at("21:00"), 5))
	f.want("an older file", f.run(), tickerlake.Counts{Read: 8, Inserted: 1, Waiting: 5, Quarantined: 2})
	f.answer("f3", at("21:10"), week(0.5)...)
	f.want("all of its history", f.run(), tickerlake.Counts{Read: 5, Inserted: 5})
	f.want("waits", f.waits(), []string(nil))
	for _, q := range f.quarantined("its series waits") {
		if _, err := f.accept(q); !errors.Is(err, tickerlake.Conflict) || !strings.Contains(err.Error(), "on two bases") {
			t.Errorf("accepted: %v", err)
		}
	}

	f = newFixture(t)
	f.answer("f1", at("20:00"), week(1)...)
	f.answer("f2", at("21:00"), "2026-02-27 52", "2026-03-02 53")
	f.putNumbered(f.split("2026-03-02", 2, "f2", at("21:00"), 2))
	f.want("two fetches", f.run(), tickerlake.Counts{Read: 8, Inserted: 1, Waiting: 7})

	f = newFixture(t)
	f.answer("f1", at("20:00"), week(0.5)...)
	f.putNumbered(f.split("2026-02-20", 2, "f1", at("20:00"), 5))
	f.answer("f2", at("21:00"), "2026-02-27 52", "2026-03-02 53")
	f.want("known to the first", f.run(), tickerlake.Counts{Read: 8, Inserted: 7, Superseded: 1})
}

// TestConflictTells: what a source that is in conflict tells of is nothing to the series.
func TestConflictTells(t *testing.T) {
	f := newFixture(t)
	f.answer("f1", at("21:00"), append([]string{"2025-05-02 300"}, week(1)...)...)
	f.run()
	var docs []any
	for i := range 2 {
		docs = append(docs, good("AAPL", fmt.Sprintf("2026-02-2%d", 6+i), 50).with("source", "other", "fetch_id", "b1", "fetched_at", at("21:10"), "row", i))
	}
	f.putNumbered(append(docs, f.split("2026-03-02", 2, "b1", at("21:10"), 2).with("source", "other"))...)
	f.answer("f2", at("21:12"), append(week(1), "2026-03-02 110")...)
	f.want("counts", f.run(), tickerlake.Counts{Read: 9, Inserted: 2, Unchanged: 5, Quarantined: 2})
	f.want("waits", f.waits(), []string(nil))
}
