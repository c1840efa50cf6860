package lake_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/lake"
)

// at is a moment of the day on which the tests fetch.
func at(clock string) string { return "2026-03-02T" + clock + ":00.000000Z" }

// answer is an object with one fetch: rows of AAPL, each "date close", in this order.
// A row that begins with ! is rejected, one with ? has no readable ts, one with - is
// not delivered: it leaves a gap.
func (f *fixture) answer(id, fetched string, rows ...string) {
	f.Helper()
	f.answerFrom(0, id, fetched, rows...)
}

func (f *fixture) answerFrom(row int, id, fetched string, rows ...string) {
	f.Helper()
	var lines []any
	for i, r := range rows {
		date, closing, _ := strings.Cut(strings.TrimLeft(r, "!?-"), " ")
		symbol, day, ok := strings.Cut(date, "/")
		if !ok {
			symbol, day = "AAPL", date
		}
		d := good(symbol, day, json.Number(closing)).with("fetch_id", id, "fetched_at", fetched, "row", row+i)
		switch r[0] {
		case '!':
			d["high"] = 0.5
		case '?':
			d["ts"] = "someday"
		case '-':
			continue
		}
		lines = append(lines, string(f.document(d)))
	}
	f.put(lines...)
}

// removing makes the lake remove what its source withdraws.
func (f *fixture) removing() { f.lake.Remove = map[string]bool{"test": true} }

const both = "symbol, ts, close, fetch_id"

func TestWithdrawn(t *testing.T) {
	f := newFixture(t)
	f.removing()
	f.answer("f1", at("21:00"), "2026-02-23 1", "2026-02-24 2", "2026-02-25 3", "2026-02-26 4", "MSFT/2026-02-25 50")
	f.run()
	f.answer("f2", at("21:10"), "2026-02-24 2", "2026-02-26 4.5", "2026-02-27 5")
	f.want("counts", f.run(), tickerlake.Counts{Read: 3, Inserted: 1, Replaced: 1, Unchanged: 1, Withdrawn: 1, Removed: 1})
	f.want("rows", f.rows("prod.bars_1d", both), []string{
		"AAPL 2026-02-23 00:00:00 1 f1", "AAPL 2026-02-24 00:00:00 2 f1", "AAPL 2026-02-26 00:00:00 4.5 f2", "AAPL 2026-02-27 00:00:00 5 f2", "MSFT 2026-02-25 00:00:00 50 f1"})
	f.want("revisions", f.rows("prod.bars_1d_revisions", both+", replaced_at, withdrawn_at"), []string{
		"AAPL 2026-02-25 00:00:00 3 f1 2026-03-02 22:00:00 2026-03-02 21:10:00", "AAPL 2026-02-26 00:00:00 4 f1 2026-03-02 22:00:00 <nil>"})
	if log := f.log.String(); !strings.Contains(log, "they are removed") || !strings.Contains(log, "symbol=AAPL") || !strings.Contains(log, "fetch_id=f2") {
		t.Errorf("the log does not tell of it:\n%s", log)
	}

	f.answer("f0", at("21:05"), "2026-02-25 9")
	f.want("an older fetch does not bring it back", f.run(), tickerlake.Counts{Read: 1, Superseded: 1})
	f.answer("f3", at("21:20"), "2026-02-25 3")
	f.want("a later one does", f.run(), tickerlake.Counts{Read: 1, Inserted: 1})
}

func TestWithdrawnIsReported(t *testing.T) {
	f := newFixture(t)
	f.answer("f1", at("21:00"), "2026-02-24 2", "2026-02-25 3", "2026-02-26 4")
	f.run()
	before := f.view("prod.bars_1d").Snapshot
	f.answer("f2", at("21:10"), "2026-02-24 2", "2026-02-26 4")
	f.want("counts", f.run(), tickerlake.Counts{Read: 2, Unchanged: 2, Withdrawn: 1})
	f.want("snapshot", f.view("prod.bars_1d").Snapshot, before)
	if log := f.log.String(); !strings.Contains(log, "they stay") {
		t.Errorf("the log does not tell of it:\n%s", log)
	}
}

// TestCompleteness: which answers show that 2026-02-25 is withdrawn. The first answer
// is "2026-02-23 1 .. 2026-02-27 5".
func TestCompleteness(t *testing.T) {
	for _, c := range []struct {
		what    string
		answers func(f *fixture)
		gone    bool
	}{
		{"ascending", func(f *fixture) { f.answer("f2", at("21:10"), "2026-02-24 2", "2026-02-26 4") }, true},
		{"descending", func(f *fixture) { f.answer("f2", at("21:10"), "2026-02-26 4", "2026-02-24 2") }, true},
		{"neither", func(f *fixture) { f.answer("f2", at("21:10"), "2026-02-24 2", "2026-02-27 5", "2026-02-26 4") }, false},
		{"a day twice", func(f *fixture) { f.answer("f2", at("21:10"), "2026-02-24 2", "2026-02-26 4", "2026-02-26 4") }, true},
		{"a gap", func(f *fixture) { f.answer("f2", at("21:10"), "2026-02-24 2", "-2026-02-25 3", "2026-02-26 4") }, false},
		{"a gap elsewhere", func(f *fixture) {
			f.answer("f2", at("21:10"), "2026-02-23 1", "-2026-02-23 1", "2026-02-24 2", "2026-02-26 4")
		}, false},
		{"cut at the end", func(f *fixture) { f.answer("f2", at("21:10"), "2026-02-24 2", "2026-02-26 4", "-2026-02-27 5") }, true},
		{"cut before it", func(f *fixture) { f.answer("f2", at("21:10"), "2026-02-23 1", "2026-02-24 2", "-2026-02-26 5") }, false},
		{"unreadable ts", func(f *fixture) { f.answer("f2", at("21:10"), "2026-02-24 2", "?2026-02-25 3", "2026-02-26 4") }, false},
		{"unreadable ts at the end", func(f *fixture) { f.answer("f2", at("21:10"), "2026-02-24 2", "2026-02-26 4", "?2026-02-27 5") }, false},
		{"rejected, but there", func(f *fixture) { f.answer("f2", at("21:10"), "2026-02-24 2", "!2026-02-25 3", "2026-02-26 4") }, false},
		{"another rejected", func(f *fixture) {
			f.answer("f2", at("21:10"), "2026-02-23 1", "!2026-02-24 2", "2026-02-26 4")
		}, true},
		{"a rejected row opens no span", func(f *fixture) { f.answer("f2", at("21:10"), "!2026-02-24 2", "2026-02-26 4") }, false},
		{"an older answer", func(f *fixture) { f.answer("f0", at("20:10"), "2026-02-24 2", "2026-02-26 4") }, false},
		{"two objects", func(f *fixture) {
			f.answer("f2", at("21:10"), "2026-02-23 1", "2026-02-24 2")
			f.answerFrom(2, "f2", at("21:10"), "2026-02-26 4", "2026-02-27 5")
		}, true},
		{"two objects, one missing between", func(f *fixture) {
			f.answer("f2", at("21:10"), "2026-02-23 1", "2026-02-24 2")
			f.answerFrom(3, "f2", at("21:10"), "2026-02-26 4", "2026-02-27 5")
		}, false},
		{"an object twice", func(f *fixture) {
			f.answer("f2", at("21:10"), "2026-02-24 2", "2026-02-26 4")
			f.answer("f2", at("21:10"), "2026-02-24 2", "2026-02-26 4")
		}, true},
		{"a later fetch brings it back", func(f *fixture) {
			f.answer("f2", at("21:10"), "2026-02-24 2", "2026-02-26 4")
			f.answer("f3", at("21:20"), "2026-02-25 3")
		}, false},
		{"a fetch between brings it", func(f *fixture) {
			f.answer("f2", at("21:20"), "2026-02-24 2", "2026-02-26 4")
			f.answer("f3", at("21:10"), "2026-02-25 3.5")
		}, true},
		{"an unfinished bar in its place", func(f *fixture) {
			f.put(good("AAPL", "2026-02-24", 2).with("fetch_id", "f2", "fetched_at", at("21:10")),
				good("AAPL", "2026-02-25", 3).with("fetch_id", "f2", "fetched_at", at("21:10"), "final", false),
				good("AAPL", "2026-02-26", 4).with("fetch_id", "f2", "fetched_at", at("21:10")))
		}, false},
		{"another source", func(f *fixture) {
			f.put(good("AAPL", "2026-02-24", 2).with("fetch_id", "f2", "fetched_at", at("21:10"), "source", "other"),
				good("AAPL", "2026-02-26", 4).with("fetch_id", "f2", "fetched_at", at("21:10"), "source", "other"))
		}, false},
		{"another symbol's rows between", func(f *fixture) {
			f.answer("f2", at("21:10"), "2026-02-24 2", "MSFT/2026-02-24 1", "2026-02-26 4", "MSFT/2026-02-23 1")
		}, true},
		{"two rows with one number", func(f *fixture) {
			f.answer("f2", at("21:10"), "2026-02-24 2", "2026-02-26 4")
			f.answerFrom(1, "f2", at("21:10"), "2026-02-27 5")
		}, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			f := newFixture(t)
			f.removing()
			f.answer("f1", at("21:00"), "2026-02-23 1", "2026-02-24 2", "2026-02-25 3", "2026-02-26 4", "2026-02-27 5")
			f.run()
			c.answers(f)
			counts := f.run()
			f.want("withdrawn", counts.Removed == 1 && counts.Withdrawn == 1, c.gone)
			f.want("it is gone", strings.Contains(fmt.Sprint(f.rows("prod.bars_1d", both)), "AAPL 2026-02-25 00:00:00 3"), !c.gone)
			gone := 0
			for _, r := range f.rows("prod.bars_1d_revisions", "symbol, ts, withdrawn_at") {
				if strings.HasPrefix(r, "AAPL 2026-02-25 00:00:00 2026") {
					gone++
				}
			}
			f.want("its revision", gone == 1, c.gone)
		})
	}
}

// TestConfirmedIsNotWithdrawn: a late answer without the bar does not take away what a
// later one, published before, had unchanged.
func TestConfirmedIsNotWithdrawn(t *testing.T) {
	f := newFixture(t)
	f.removing()
	f.answer("f1", at("21:00"), "2026-02-24 2", "2026-02-25 3", "2026-02-26 4")
	f.run()
	f.answer("f3", at("21:20"), "2026-02-24 2", "2026-02-25 3", "2026-02-26 4")
	f.want("confirmed", f.run(), tickerlake.Counts{Read: 3, Unchanged: 3})
	f.answer("f2", at("21:10"), "2026-02-24 2", "2026-02-26 4")
	f.want("an answer from between", f.run(), tickerlake.Counts{Read: 2, Superseded: 2})
	f.want("rows", len(f.rows("prod.bars_1d", "ts")), 3)
}

// TestWithdrawnAcrossPartitions: a span reaches partitions in which its fetch has no
// row, and a file of which nothing is left goes.
func TestWithdrawnAcrossPartitions(t *testing.T) {
	f := newFixture(t)
	f.removing()
	f.answer("f1", at("21:00"), "2023-05-02 1", "2024-05-02 2", "2025-05-02 3", "2026-02-26 4")
	f.answer("f1b", at("21:00"), "MSFT/2024-05-03 7")
	f.run()
	f.want("files", len(f.view("prod.bars_1d").Files), 4)
	f.answer("f2", at("21:10"), "2023-05-02 1", "2026-02-26 4")
	f.want("counts", f.run(), tickerlake.Counts{Read: 2, Unchanged: 2, Withdrawn: 2, Removed: 2})
	f.want("rows", f.rows("prod.bars_1d", both), []string{"AAPL 2023-05-02 00:00:00 1 f1", "AAPL 2026-02-26 00:00:00 4 f1", "MSFT 2024-05-03 00:00:00 7 f1b"})
	v := f.view("prod.bars_1d")
	f.want("files, none of 2025", len(v.Files), 3)
	f.want("rows of the view", v.Rows, 3)
	f.want("revisions", f.rows("prod.bars_1d_revisions", "ts, close, withdrawn_at"), []string{
		"2024-05-02 00:00:00 2 2026-03-02 21:10:00", "2025-05-02 00:00:00 3 2026-03-02 21:10:00"})
	left, err := filepath.Glob(filepath.Join(f.dir, "buckets", "prod", "bars_1d", "data", "2025", "*rewrite*"))
	f.must(err)
	f.want("no empty file is left", left, []string{})
	f.answer("f3", at("21:20"), "2023-05-02 1", "2026-02-26 4")
	f.want("the next run", f.run(), tickerlake.Counts{Read: 2, Unchanged: 2})
}

// TestTwoFetchesInOneRun: what the run itself brings is withdrawn by a later fetch of
// the run as well.
func TestTwoFetchesInOneRun(t *testing.T) {
	f := newFixture(t)
	f.removing()
	f.answer("f1", at("21:00"), "2026-02-24 2", "2026-02-25 3", "2026-02-26 4")
	f.answer("f2", at("21:10"), "2026-02-24 2", "2026-02-26 4")
	f.want("counts", f.run(), tickerlake.Counts{Read: 5, Inserted: 2, Superseded: 3})
	f.want("rows", f.rows("prod.bars_1d", "ts, fetch_id"), []string{"2026-02-24 00:00:00 f2", "2026-02-26 00:00:00 f2"})
	f.want("revisions", len(f.rows("prod.bars_1d_revisions", "ts")), 0)

	f = newFixture(t)
	f.answer("f1", at("21:00"), "2026-02-24 2", "2026-02-25 3", "2026-02-26 4")
	f.answer("f2", at("21:10"), "2026-02-24 2", "2026-02-26 4")
	f.want("reported", f.run(), tickerlake.Counts{Read: 5, Inserted: 3, Superseded: 2, Withdrawn: 1})
}

// TestWithdrawnBarThatIsNotJudged: the gate judges the candidate without what is gone.
func TestWithdrawnBarThatIsNotJudged(t *testing.T) {
	f := newFixture(t)
	f.removing()
	f.answer("f1", at("21:00"), "2026-02-24 2", "2026-02-25 1e9", "2026-02-26 4")
	f.run()
	f.answer("f2", at("21:10"), "2026-02-24 2", "2026-02-26 4")
	r, err := f.gated(`Rules = [ ColumnValues "close" < 100 ]`)
	f.must(err)
	f.want("removed", r.counts.Removed, 1)
}

// TestRevisionsOfAnOlderLake: a table of revisions without withdrawn_at gets it; its
// rows have none.
func TestRevisionsOfAnOlderLake(t *testing.T) {
	f := newFixture(t)
	f.removing()
	f.answer("f1", at("21:00"), "2026-02-24 2", "2026-02-25 3", "2026-02-26 4")
	f.run()
	f.answer("f2", at("21:10"), "2026-02-24 2.5")
	f.run()
	f.olderRevisions()
	f.want("columns before", f.icebergColumns("bars_1d_revisions"), 15)
	v := f.view("prod.bars_1d_revisions")
	_, rows, err := f.engine.Query(context.Background(), "SELECT close, withdrawn_at FROM "+f.lake.Rows(v))
	f.must(err)
	f.want("rows before", rows, [][]any{{2.0, nil}})

	f.answer("f3", at("21:20"), "2026-02-24 2.5", "2026-02-26 4")
	f.want("removed", f.run().Removed, 1)
	f.want("columns", f.icebergColumns("bars_1d_revisions"), 16)
	f.want("revisions", f.rows("prod.bars_1d_revisions", "ts, close, withdrawn_at"), []string{
		"2026-02-24 00:00:00 2 <nil>", "2026-02-25 00:00:00 3 2026-03-02 21:20:00"})
	f.answer("f4", at("21:30"), "2026-02-24 2.5", "2026-02-26 4.5")
	f.want("once more", f.run().Replaced, 1)
	f.want("columns", f.icebergColumns("bars_1d_revisions"), 16)
}

// olderRevisions makes the table of revisions one of a version without withdrawn_at: its
// schema and its files.
func (f *fixture) olderRevisions() {
	f.Helper()
	ctx := context.Background()
	t, err := f.cat.LoadTable(ctx, "prod", "bars_1d_revisions")
	f.must(err)
	fields := t.Schema().Fields()[:15]
	older := iceberg.NewSchema(0, fields...)
	f.must(f.cat.Commit(ctx, t, nil, []table.Update{table.NewAddSchemaUpdate(older), table.NewSetCurrentSchemaUpdate(-1)}))
	var names, ids []string
	for _, c := range lake.RevisionColumns[:15] {
		names, ids = append(names, c.Name), append(ids, fmt.Sprintf("%s: %d", c.Name, c.ID))
	}
	for _, file := range f.view("prod.bars_1d_revisions").Files {
		_, _, err := f.engine.Query(ctx, "COPY (SELECT "+strings.Join(names, ", ")+" FROM read_parquet('"+file+"')) TO '"+file+".new' (FORMAT parquet, FIELD_IDS {"+strings.Join(ids, ", ")+"})")
		f.must(err)
		f.must(os.Rename(file+".new", file))
	}
}

func (f *fixture) icebergColumns(name string) int {
	f.Helper()
	t, err := f.cat.LoadTable(context.Background(), "prod", name)
	f.must(err)
	return len(t.Schema().Fields())
}

// TestCopiesClaimNothing: rows that came out of a lake as a file are a part of what their
// fetch said. They withdraw nothing, and keep no older row out.
func TestCopiesClaimNothing(t *testing.T) {
	f := newFixture(t)
	f.removing()
	f.answer("f1", at("21:00"), "2026-02-23 1", "2026-02-24 2")
	f.run()
	f.answer(tickerlake.CopiedFetch+"f2", at("21:10"), "2026-02-23 1", "2026-02-25 3", "2026-02-27 5")
	f.want("counts", f.run(), tickerlake.Counts{Read: 3, Inserted: 2, Unchanged: 1})
	f.answer(tickerlake.FileFetch+"f0", at("21:05"), "2026-02-26 4")
	f.want("counts", f.run(), tickerlake.Counts{Read: 1, Inserted: 1})
	// The copy itself is never later than what it is of.
	f.answer("f3", at("21:20"), "2026-02-27 5.5")
	f.run()
	f.answer(tickerlake.CopiedFetch+"f3", at("21:20"), "2026-02-27 6")
	f.want("counts", f.run(), tickerlake.Counts{Read: 1, Superseded: 1})
}
