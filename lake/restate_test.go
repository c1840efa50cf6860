package lake_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tickerlake/tickerlake"
)

// week has rows of five days, their closes times a factor.
func week(factor float64, days ...string) (rows []string) {
	if len(days) == 0 {
		days = []string{"2026-02-23", "2026-02-24", "2026-02-25", "2026-02-26", "2026-02-27"}
	}
	for i, d := range days {
		rows = append(rows, fmt.Sprintf("%s %v", d, float64(100+i)*factor))
	}
	return rows
}

// waits are the series that wait, with their reasons.
func (f *fixture) waits() (out []string) {
	f.Helper()
	all, err := f.cat.Waits(context.Background())
	f.must(err)
	for _, w := range all {
		out = append(out, fmt.Sprintf("%s %s %s: %s", w.Table, w.Symbol, w.Source, w.Reason))
	}
	return out
}

// TestSplit: the rows of a split wait for the whole history, and change all in one commit.
func TestSplit(t *testing.T) {
	f := newFixture(t)
	f.answer("f1", at("21:00"), append([]string{"2024-05-02 200", "2025-05-02 300", "2026-02-20 99"}, week(1)...)...)
	f.run()
	before, old := f.rows("prod.bars_1d", both), f.view("prod.bars_1d")
	f.answer("f2", at("21:10"), append(week(0.25), "2026-03-02 26.5")...)
	f.want("incremental rows", f.run(), tickerlake.Counts{Read: 6, Waiting: 6})
	f.want("rows", f.rows("prod.bars_1d", both), before)
	f.want("snapshot", f.view("prod.bars_1d").Snapshot, old.Snapshot)
	f.want("waits", f.waits(), []string{"bars_1d AAPL test: prices of 5 bars are 0.25 times what they were; all of its history is needed: the next fetch asks for it"})
	f.want("quarantined", len(f.events.quarantined()), 0)

	f.answer("f3", at("21:20"), append(week(0.25), "2026-03-02 26.5")...)
	f.answer("f4", at("21:25"), "MSFT/2026-03-02 7")
	f.want("while it waits", f.run(), tickerlake.Counts{Read: 7, Waiting: 6, Inserted: 1})
	f.want("others go on", f.rows("prod.bars_1d", both), append(before, "MSFT 2026-03-02 00:00:00 7 f4"))

	whole := append([]string{"2024-05-02 50", "2025-05-02 75"}, week(0.25)...) // without 2026-02-20
	f.answer("f5", at("21:30"), append(whole, "2026-03-02 26.5")...)
	f.want("all of its history", f.run(), tickerlake.Counts{Read: 8, Replaced: 7, Inserted: 1, Withdrawn: 1, Removed: 1})
	f.want("rows", f.rows("prod.bars_1d", both), []string{"AAPL 2024-05-02 00:00:00 50 f5", "AAPL 2025-05-02 00:00:00 75 f5",
		"AAPL 2026-02-23 00:00:00 25 f5", "AAPL 2026-02-24 00:00:00 25.25 f5", "AAPL 2026-02-25 00:00:00 25.5 f5", "AAPL 2026-02-26 00:00:00 25.75 f5",
		"AAPL 2026-02-27 00:00:00 26 f5", "AAPL 2026-03-02 00:00:00 26.5 f5", "MSFT 2026-03-02 00:00:00 7 f4"})
	f.want("revisions", len(f.rows("prod.bars_1d_revisions", both)), 8)
	f.want("waits", f.waits(), []string(nil))

	// A late fetch of before does not come in any more.
	f.answer("f1b", at("21:05"), append(week(1), "2026-03-02 106")...)
	f.want("a late one", f.run(), tickerlake.Counts{Read: 6, Superseded: 6})
	f.want("waits", f.waits(), []string(nil))
	f.answer("f6", at("21:40"), week(0.25)...)
	f.want("the next", f.run(), tickerlake.Counts{Read: 5, Unchanged: 5})
}

// TestWholeAtOnce: a split in an answer that has all of the history needs no waiting.
func TestWholeAtOnce(t *testing.T) {
	f := newFixture(t)
	f.answer("f1", at("21:00"), append([]string{"2025-05-02 300", "2026-02-20 99"}, week(1)...)...)
	f.run()
	f.answer("f2", at("21:10"), append([]string{"2025-05-02 150", "2026-02-20 49.5"}, week(0.5)...)...)
	f.want("counts", f.run(), tickerlake.Counts{Read: 7, Replaced: 7})
	f.want("waits", f.waits(), []string(nil))

	// What it lacks is on the old basis, and goes; so does what it has in a row that is
	// rejected.
	f.answer("f3", at("21:20"), append([]string{"!2025-05-02 75"}, week(0.25)...)...)
	f.want("counts", f.run(), tickerlake.Counts{Read: 6, Replaced: 5, Quarantined: 1, Withdrawn: 2, Removed: 2})
	f.want("rows", len(f.rows("prod.bars_1d", both)), 5)
}

// TestDividend: another adj_close of the overlap.
func TestDividend(t *testing.T) {
	f := newFixture(t)
	put := func(id, fetched string, factor float64, days ...string) {
		var docs []any
		for i, d := range days {
			docs = append(docs, good("AAPL", d, 100.0+float64(i)).with("adj_close", (100.0+float64(i))*factor, "fetch_id", id, "fetched_at", fetched))
		}
		f.put(docs...)
	}
	put("f1", at("21:00"), 1, "2026-02-24", "2026-02-25", "2026-02-26", "2026-02-27")
	f.run()
	put("f2", at("21:10"), 0.9925, "2026-02-24", "2026-02-25", "2026-02-26", "2026-02-27")
	f.want("whole", f.run(), tickerlake.Counts{Read: 4, Replaced: 4})
	f.answer("f3", at("21:20"), "2025-05-02 300")
	f.run()
	put("f4", at("21:30"), 0.98, "2026-02-24", "2026-02-25", "2026-02-26", "2026-02-27")
	f.want("not whole", f.run(), tickerlake.Counts{Read: 4, Waiting: 4})
	if w := f.waits(); len(w) != 1 || !strings.Contains(w[0], "adj_close of 4 bars are 0.9874 times what they were") {
		t.Errorf("waits %q", w)
	}
}

// TestNotRestated: corrections are taken as they come.
func TestNotRestated(t *testing.T) {
	for _, c := range []struct {
		what string
		rows []string
	}{
		{"two bars", []string{"2026-02-23 50", "2026-02-24 50.5", "2026-02-25 102"}},
		{"three by different ratios", []string{"2026-02-23 50", "2026-02-24 60", "2026-02-25 70"}},
		{"three of six and others", []string{"2026-02-23 50", "2026-02-24 50.5", "2026-02-25 51", "2026-02-26 1", "2026-02-27 2", "2026-02-20 3"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			f := newFixture(t)
			f.answer("f1", at("21:00"), append([]string{"2026-02-19 97", "2026-02-20 98"}, week(1)...)...)
			f.run()
			f.answer("f2", at("21:10"), c.rows...)
			f.want("waiting", f.run().Waiting, 0)
		})
	}
}

// TestFileOfAWaitingSeries: the answer that ends the waiting need not have what a file
// has, so its rows are set aside, and can be accepted when the series has come anew.
func TestFileOfAWaitingSeries(t *testing.T) {
	f := newFixture(t)
	f.answer("f1", at("21:00"), append([]string{"2025-05-02 300"}, week(1)...)...)
	f.run()
	// In one run with what makes the series wait, and in a later one.
	f.answer("f2", at("21:10"), week(0.5)...)
	f.answer("file-1", at("21:11"), "2024-05-02 100")
	f.want("a file", f.run(), tickerlake.Counts{Read: 6, Waiting: 5, Quarantined: 1})
	f.answer("-f0", at("20:11"), "2024-05-03 101", "2024-05-06 102")
	f.want("a copy", f.run(), tickerlake.Counts{Read: 2, Quarantined: 2})
	if w := f.waits(); len(w) != 1 || !strings.Contains(w[0], "prices of 5 bars are 0.5 times") {
		t.Errorf("waits %q", w)
	}
	q := f.quarantined("its series waits for all of its history")
	f.want("set aside", len(q), 3)
	for _, row := range q {
		if _, err := f.accept(row); !errors.Is(err, tickerlake.Conflict) || !strings.Contains(err.Error(), "its series waits") {
			t.Errorf("accepted while the series waits: %v", err)
		}
	}
	f.answer("f3", at("21:20"), append([]string{"2025-05-02 150"}, week(0.5)...)...)
	f.want("all of its history", f.run(), tickerlake.Counts{Read: 6, Replaced: 6})
	for _, row := range q {
		_, err := f.accept(row)
		f.must(err)
	}
	f.want("accepted", f.run(), tickerlake.Counts{Read: 3, Inserted: 3})
	f.want("rows", f.rows("prod.bars_1d", both)[:4], []string{"AAPL 2024-05-02 00:00:00 100 file-1", "AAPL 2024-05-03 00:00:00 101 -f0",
		"AAPL 2024-05-06 00:00:00 102 -f0", "AAPL 2025-05-02 00:00:00 150 f3"})
}
