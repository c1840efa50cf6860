package lake_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
)

// fetched gives a document the identity of a fetch at a minute.
func fetched(d doc, minute int, id string) doc {
	return d.with("fetched_at", fmt.Sprintf("2026-03-02T20:%02d:00.000000Z", minute), "fetch_id", id)
}

// told records that a fetch has told of the last final bar that it brought.
func (f *fixture) told(id, symbol, ts string) {
	f.Helper()
	at, err := time.Parse(time.DateOnly, ts)
	f.must(err)
	f.must(f.cat.Pending(context.Background(), id, tickerlake.Series{Table: "bars_1d", Symbol: tickerlake.Symbol(symbol), Watermark: at}))
}

// whole is all that a lake says: rows, revisions, unfinished bars, series and covers.
func (f *fixture) whole() string {
	f.Helper()
	ctx := context.Background()
	const bar = `symbol, ts, open, high, low, close, adj_close, volume, currency, basis, source, final, fetched_at, fetch_id`
	var out []string
	for _, part := range []struct{ name, columns string }{
		{"prod.bars_1d", bar}, {"prod.bars_1d_revisions", bar}, {"prod.latest", bar + `, "table"`},
	} {
		rows := f.rows(part.name, part.columns)
		slices.Sort(rows) // a key may have several revisions
		out = append(append(out, part.name), rows...)
	}
	series, err := f.cat.AllSeries(ctx)
	f.must(err)
	for _, s := range series {
		out = append(out, fmt.Sprint("series ", s))
	}
	covers, err := f.cat.Covers(ctx, "bars_1d", time.Time{})
	f.must(err)
	out = append(out, fmt.Sprint("covers ", covers))
	return strings.Join(out, "\n")
}

// history makes four publications with corrections, a new symbol and unfinished bars.
// It returns what the lake says after each, and the snapshots, oldest first.
func (f *fixture) history() (states []string, ids []int64) {
	f.Helper()
	for i, docs := range [][]any{
		{fetched(good("AAPL", "2026-02-24", 10), 1, "f1"), fetched(good("AAPL", "2026-02-25", 11), 1, "f1"), fetched(good("AAPL", "2026-02-26", 12), 1, "f1").with("final", false)},
		{fetched(good("AAPL", "2026-02-25", 11.5), 2, "f2"), fetched(good("AAPL", "2026-02-26", 12.5), 2, "f2"), fetched(good("MSFT", "2026-02-26", 30), 2, "f3")},
		{fetched(good("AAPL", "2026-02-25", 11.7), 3, "f4"), fetched(good("AAPL", "2026-02-27", 13), 3, "f4"), fetched(good("AAPL", "2026-03-02", 14), 3, "f4").with("final", false)},
		{fetched(good("MSFT", "2026-02-27", 31), 4, "f5"), fetched(good("MSFT", "2026-03-02", 32), 4, "f5").with("final", false), "{no document"},
	} {
		f.put(docs...)
		for _, told := range [][]string{{"f1", "AAPL", "2026-02-25"}, {"f2", "AAPL", "2026-02-26"}, {"f4", "AAPL", "2026-02-27"}, {"f5", "MSFT", "2026-02-27"}}[i : i+1] {
			f.told(told[0], told[1], told[2])
		}
		f.run()
		states = append(states, f.whole())
		ids = append(ids, f.view("prod.bars_1d").Snapshot)
	}
	return states, ids
}

// cut is a state without the unfinished bars.
func cut(state string) string {
	before, rest, _ := strings.Cut(state, "prod.latest\n")
	i := strings.Index(rest, "series ")
	return before + rest[i:]
}

func (f *fixture) held() (keys []string) {
	f.Helper()
	entries, err := f.cat.Objects(context.Background(), catalog.Held)
	f.must(err)
	for _, e := range entries {
		keys = append(keys, e.Key)
	}
	return keys
}

func TestRollback(t *testing.T) {
	ctx := context.Background()
	for to := range 3 {
		t.Run(fmt.Sprint("to ", to), func(t *testing.T) {
			f := newFixture(t)
			states, ids := f.history()
			waiting := f.put(fetched(good("IBM", "2026-02-27", 99), 9, "f9")) // delivered, not even entered
			done, err := f.lake.Rollback(ctx, "bars_1d", ids[to])
			f.must(err)
			f.want("rows, revisions, series and covers", cut(f.whole()), cut(states[to]))
			f.want("held", len(f.held()), 3-to+1)
			f.want("held, as it says", done.Held, f.held())
			f.want("paused", done.Paused, []string{"test"})
			f.want("the head", f.view("prod.bars_1d").Snapshot, ids[to])
			f.want("an event", f.events.events["objects"][waiting+"@held"].(tickerlake.ObjectEvent).Error, fmt.Sprint("rollback of prod.bars_1d to snapshot ", ids[to]))
			f.want("events of runs", len(f.events.events["runs"]), 1)

			// Nothing comes back by itself.
			f.want("the next run", f.run(), tickerlake.Counts{})
			f.want("rows after it", cut(f.whole()), cut(states[to]))

			// Again, it is done already.
			again, err := f.lake.Rollback(ctx, "bars_1d", ids[to])
			f.must(err)
			f.want("again", again.From.ID == again.To.ID && len(again.Held) == 0, true)

			// All released and run in turn, the lake says what it said, and what waited.
			_, sources, err := f.cat.Release(ctx)
			f.must(err)
			f.want("sources that go on", sources, []string{"test"})
			for more := true; more; {
				f.run()
				more, err = f.cat.Replaying(ctx)
				f.must(err)
				if e, err := f.cat.Object(ctx, waiting); err != nil || e.State == catalog.Published != !more {
					t.Errorf("what waited is %s before its turn, %v", e.State, err)
				}
			}
			plain := newFixture(t)
			plain.history()
			plain.put(fetched(good("IBM", "2026-02-27", 99), 9, "f9"))
			plain.run()
			f.want("all released", f.whole(), plain.whole())
			f.want("held", f.held(), []string(nil))
		})
	}
}

// TestRollbackTwice goes back, forward on another way, and back before that.
func TestRollbackTwice(t *testing.T) {
	ctx := context.Background()
	f := newFixture(t)
	states, ids := f.history()
	_, err := f.lake.Rollback(ctx, "bars_1d", ids[1])
	f.must(err)
	f.put(fetched(good("IBM", "2026-02-27", 50), 30, "f30").with("source", "other"))
	f.want("another source goes on", f.run().Inserted, 1)
	_, err = f.lake.Rollback(ctx, "bars_1d", ids[2])
	f.want("a snapshot that is not in its past", errors.Is(err, tickerlake.NotFound), true)
	_, err = f.lake.Rollback(ctx, "bars_1d", ids[0])
	f.must(err)
	f.want("the first state", cut(f.whole()), cut(states[0]))
	paused, err := f.cat.Paused(ctx)
	f.must(err)
	f.want("paused", len(paused), 2)
	_, _, err = f.cat.Release(ctx)
	f.must(err)
	for more := true; more; {
		f.run()
		more, err = f.cat.Replaying(ctx)
		f.must(err)
	}
	f.want("rows", len(f.rows("prod.bars_1d", "ts")), 7)
}

// TestRollbackOfOneTable: an object that fed two tables is held for the sake of one; the
// other keeps its rows, and takes nothing twice when it is released.
func TestRollbackOfOneTable(t *testing.T) {
	ctx := context.Background()
	f := newFixture(t)
	minute := good("AAPL", "2026-02-27T14:30:00Z", 10).with("interval", "1m", "table", "bars_1m", "source", "minutes")
	f.put(fetched(good("AAPL", "2026-02-25", 10), 1, "f1"))
	f.run()
	back := f.view("prod.bars_1d").Snapshot
	f.put(fetched(good("AAPL", "2026-02-26", 11), 2, "f2"), fetched(minute, 2, "f3"))
	f.run()
	earlier := f.view("prod.bars_1m").Snapshot
	alone := f.put(fetched(minute.with("ts", "2026-02-27T14:31:00Z"), 3, "f4"))
	f.run()
	minutes := f.rows("prod.bars_1m", "ts, close, fetch_id")
	head := f.view("prod.bars_1m").Snapshot
	_, err := f.lake.Rollback(ctx, "bars_1d", back)
	f.must(err)
	f.want("rows", f.rows("prod.bars_1d", "ts"), []string{"2026-02-25 00:00:00"})
	f.want("minutes", f.rows("prod.bars_1m", "ts, close, fetch_id"), minutes)
	e, err := f.cat.Object(ctx, alone)
	f.must(err)
	f.want("what fed the other alone", e.State, catalog.Published)
	paused, err := f.cat.Paused(ctx)
	f.must(err)
	f.want("paused", fmt.Sprint(len(paused), paused[0].Source), "1test")
	_, _, err = f.cat.Release(ctx)
	f.must(err)
	f.want("counts", f.run(), tickerlake.Counts{Read: 2, Inserted: 1, Superseded: 1})
	f.want("minutes", f.view("prod.bars_1m").Snapshot, head)
	f.want("rows", f.rows("prod.bars_1d", "ts"), []string{"2026-02-25 00:00:00", "2026-02-26 00:00:00"})
	// Two tables that go back at one moment are two lines of ops.runs.
	_, err = f.lake.Rollback(ctx, "bars_1m", earlier)
	f.must(err)
	var rollbacks int
	for _, e := range f.events.events["runs"] {
		if e.(tickerlake.RunEvent).Workflow == "rollback" {
			rollbacks++
		}
	}
	f.want("rollbacks", rollbacks, 2)
}

// TestRollbackAndUnfinishedBars: those that came with what is taken back go, older ones
// and those of others stay.
func TestRollbackAndUnfinishedBars(t *testing.T) {
	ctx := context.Background()
	f := newFixture(t)
	open := func(symbol, ts string, minute int, id string) doc {
		return fetched(good(symbol, ts, 10), minute, id).with("final", false)
	}
	f.put(fetched(good("AAPL", "2026-02-26", 10), 1, "f1"), open("AAPL", "2026-02-27", 1, "f1"), open("OLD", "2026-02-27", 1, "f1"))
	f.run()
	back := f.view("prod.bars_1d").Snapshot
	f.put(fetched(good("AAPL", "2026-02-27", 11), 2, "f2"), open("AAPL", "2026-03-02", 2, "f2"), open("NEW", "2026-03-02", 2, "f2"),
		open("ELSE", "2026-03-02", 2, "f9").with("table", "bars_other", "source", "other"))
	f.run()
	latest := f.rows("prod.latest", "symbol, ts")
	f.want("latest", latest, []string{"AAPL 2026-03-02 00:00:00", "ELSE 2026-03-02 00:00:00", "NEW 2026-03-02 00:00:00", "OLD 2026-02-27 00:00:00"})
	_, err := f.lake.Rollback(ctx, "bars_1d", back)
	f.must(err)
	f.want("latest", f.rows("prod.latest", "symbol, ts"), []string{"ELSE 2026-03-02 00:00:00", "OLD 2026-02-27 00:00:00"})
	_, _, err = f.cat.Release(ctx)
	f.must(err)
	f.run()
	f.want("latest", f.rows("prod.latest", "symbol, ts"), latest)
}

func TestSnapshots(t *testing.T) {
	ctx := context.Background()
	f := newFixture(t)
	_, ids := f.history()
	snapshots, err := f.lake.Snapshots(ctx, "bars_1d")
	f.must(err)
	var got []string
	for _, s := range snapshots {
		got = append(got, fmt.Sprint(s.Run, " ", s.Made, " ", s.Seq, " ", s.Rows, " ", s.Added, " ", s.Current, " ", s.Target))
	}
	f.want("snapshots", got, []string{"r004 publish 4 6 1 true false", "r003 publish 3 5 1 false true", "r002 publish 2 4 2 false true", "r001 publish 1 2 2 false true"})
	revisions, err := f.lake.Snapshots(ctx, "bars_1d_revisions")
	f.must(err)
	f.want("snapshots of revisions", len(revisions), 2)
	f.want("one of them", revisions[1].Target, false)
	for _, c := range []struct {
		table string
		id    int64
		code  tickerlake.Code
		says  string
	}{
		{"bars_1d", 12, tickerlake.NotFound, "has no snapshot 12"},
		{"bars_1h", 12, tickerlake.NotFound, "bars_1h"},
		{"bars_1d_revisions", revisions[1].ID, tickerlake.Invalid, "revisions follow their table"},
	} {
		_, err := f.lake.Rollback(ctx, c.table, c.id)
		if !errors.Is(err, c.code) || !strings.Contains(fmt.Sprint(err), c.says) {
			t.Errorf("rollback of %s to %d: %v", c.table, c.id, err)
		}
	}
	// What was published before the lake kept numbers is refused.
	if _, err := f.cat.DB().Exec("DELETE FROM publications WHERE run = 'r002'"); err != nil {
		t.Fatal(err)
	}
	_, err = f.lake.Rollback(ctx, "bars_1d", ids[1])
	f.want("a snapshot without a number", errors.Is(err, tickerlake.Invalid), true)
	if _, err := f.cat.DB().Exec("UPDATE publications SET seq = 1"); err != nil {
		t.Fatal(err)
	}
	_, err = f.lake.Rollback(ctx, "bars_1d", ids[0])
	f.want("an older one of the publications that were migrated", errors.Is(err, tickerlake.Invalid), true)
	f.want("rows", f.view("prod.bars_1d").Rows, 6)
}

// TestRollbackAfterACutOffRun: what a run that ended half published goes back as well.
func TestRollbackAfterACutOffRun(t *testing.T) {
	ctx := context.Background()
	f := newFixture(t)
	states, ids := f.history()
	f.put(fetched(good("AAPL", "2026-02-25", 99), 20, "f20"))
	f.runs++
	r := newRun(f)
	f.must(f.lake.Crawl(ctx, r, false))
	f.must(f.lake.Clean(ctx, r))
	f.must(f.lake.Optimize(ctx, r))
	metadata := filepath.Join(f.dir, "buckets", "prod", "bars_1d", "metadata")
	f.must(os.Rename(metadata, metadata+".away"))
	if err := f.lake.Publish(ctx, r); err == nil {
		t.Fatal("published without metadata")
	}
	f.must(os.Rename(metadata+".away", metadata))
	f.want("revisions that are out", len(f.rows("prod.bars_1d_revisions", "symbol")), 3)
	done, err := f.lake.Rollback(ctx, "bars_1d", ids[2])
	f.must(err)
	f.want("the lake", cut(f.whole()), cut(states[2]))
	f.want("held", len(done.Held), 2)
	left, err := filepath.Glob(filepath.Join(f.dir, "buckets", "staging", "*"))
	f.must(err)
	f.want("left of the run", left, []string{})
	bars, err := f.cat.LoadTable(ctx, "prod", "bars_1d")
	f.must(err)
	f.want("its candidate", bars.SnapshotByName("run-"+r.id) == nil, true)
}

// TestRollbackOfWhatAReplayBrought: rows of a released object that were set aside when it
// was published first, and come in when it is published again, are brought back by a
// rollback like any others.
func TestRollbackOfWhatAReplayBrought(t *testing.T) {
	ctx := context.Background()
	f := newFixture(t)
	minute := func(symbol, clock string, closing any) doc {
		return good(symbol, "2026-02-27T"+clock+":00Z", closing).with("interval", "1m", "table", "bars_1m", "source", "minutes")
	}
	f.put(fetched(good("AAPL", "2026-02-25", 10), 1, "f1"))
	f.run()
	back := f.view("prod.bars_1d").Snapshot
	f.put(fetched(good("AAPL", "2026-02-26", 11), 2, "f2"), fetched(minute("AAPL", "14:30", 10), 2, "f3"), fetched(minute("MSFT", "14:30", 900), 2, "f5"))
	if _, err := f.gated(`Rules = [ColumnValues "close" < 800]`); err != nil {
		t.Fatal(err)
	}
	f.put(fetched(minute("AAPL", "14:31", 10), 3, "f4"))
	f.run()
	earlier := f.view("prod.bars_1m").Snapshot
	f.want("minutes", f.rows("prod.bars_1m", "symbol"), []string{"AAPL", "AAPL"})
	_, err := f.lake.Rollback(ctx, "bars_1d", back)
	f.must(err)
	_, _, err = f.cat.Release(ctx)
	f.must(err)
	f.lake.Rules = nil // the rule was wrong
	f.run()
	f.want("minutes", f.rows("prod.bars_1m", "symbol"), []string{"AAPL", "AAPL", "MSFT"})
	_, err = f.lake.Rollback(ctx, "bars_1m", earlier)
	f.must(err)
	_, _, err = f.cat.Release(ctx)
	f.must(err)
	f.run()
	f.want("minutes", f.rows("prod.bars_1m", "symbol"), []string{"AAPL", "AAPL", "MSFT"})
}
