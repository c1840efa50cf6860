package lake_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/iceberg-go/table"

	"github.com/tickerlake/tickerlake/lake"
)

// past gives the columns of a table of prod as it was known at a moment.
func (f *fixture) past(name string, t time.Time, columns string) []string {
	f.Helper()
	views, err := f.lake.ViewsAsOf(context.Background(), t)
	f.must(err)
	i := slices.IndexFunc(views, func(v lake.View) bool { return v.Database == "prod" && v.Name == name })
	_, rows, err := f.engine.Query(context.Background(), "SELECT "+columns+" FROM "+f.lake.Rows(views[i])+" ORDER BY symbol, ts")
	f.must(err)
	out := make([]string, len(rows))
	for i, r := range rows {
		for j, c := range r {
			if t, ok := c.(time.Time); ok {
				r[j] = t.UTC().Format(time.DateOnly)
			}
		}
		out[i] = strings.TrimSuffix(fmt.Sprintln(r...), "\n")
	}
	return out
}

func TestAsOf(t *testing.T) {
	f := newFixture(t)
	f.removing()
	f.answer("f1", at("21:00"), "2026-02-24 2", "2026-02-25 3", "2026-02-26 4")
	f.run()
	f.answer("f2", at("21:10"), "2026-02-24 2.5", "2026-02-26 4")
	f.run()
	f.answer("f3", at("21:20"), "2026-02-24 2.75", "2026-02-25 3.25", "2026-02-27 5")
	f.run()
	for _, c := range []struct {
		at   string
		want []string
	}{
		{"20:59", []string{}},
		{"21:00", []string{"2026-02-24 2", "2026-02-25 3", "2026-02-26 4"}},
		{"21:09", []string{"2026-02-24 2", "2026-02-25 3", "2026-02-26 4"}},
		{"21:10", []string{"2026-02-24 2.5", "2026-02-26 4"}},
		{"21:19", []string{"2026-02-24 2.5", "2026-02-26 4"}},
		{"21:20", []string{"2026-02-24 2.75", "2026-02-25 3.25", "2026-02-27 5"}},
		{"23:00", []string{"2026-02-24 2.75", "2026-02-25 3.25", "2026-02-27 5"}},
	} {
		moment, err := time.Parse(time.RFC3339, at(c.at))
		f.must(err)
		f.want(c.at, f.past("bars_1d", moment, "ts, close"), c.want)
	}
	f.want("without revisions", len(f.past("bars_1d", time.Date(2026, 3, 3, 0, 0, 0, 0, time.UTC), "ts")), 3)
}

// TestRevisionsBeforeBars: the process ends between the publication of revisions and
// that of their bars. The revision of the row that is still in the table says what is
// known: it is the later.
func TestRevisionsBeforeBars(t *testing.T) {
	f := newFixture(t)
	f.removing()
	f.answer("f1", at("21:00"), "2026-02-24 2", "2026-02-25 3", "2026-02-26 4")
	f.run()
	f.answer("f2", at("21:10"), "2026-02-24 2.5", "2026-02-26 4")
	f.cutOffBeforeBars()
	f.want("rows of the table", len(f.rows("prod.bars_1d", "ts")), 3)
	f.want("before it", f.past("bars_1d", time.Date(2026, 3, 2, 21, 9, 0, 0, time.UTC), "ts, close"), []string{"2026-02-24 2", "2026-02-25 3", "2026-02-26 4"})
	f.want("after it", f.past("bars_1d", time.Date(2026, 3, 2, 21, 10, 0, 0, time.UTC), "ts, close"), []string{"2026-02-24 2", "2026-02-26 4"})
}

// cutOffBeforeBars runs the jobs until the revisions are out, and takes the state of the
// bars back to what it was.
func (f *fixture) cutOffBeforeBars() {
	f.Helper()
	before, err := f.cat.LoadTable(context.Background(), "prod", "bars_1d")
	f.must(err)
	head := before.SnapshotByName("main").SnapshotID
	f.run()
	f.setMain("bars_1d", head)
}

func (f *fixture) setMain(name string, snapshot int64) {
	f.Helper()
	t, err := f.cat.LoadTable(context.Background(), "prod", name)
	f.must(err)
	f.must(f.cat.Commit(context.Background(), t, nil, []table.Update{table.NewSetSnapshotRefUpdate("main", snapshot, table.BranchRef, 0, 0, 0)}))
}

// A known is a row of a bar that the lake had at some time.
type known struct {
	closing   int
	fetched   int // minute
	withdrawn int // minute of the fetch that no longer had it; 0: none
}

// TestAsOfModel plays random fetches, some complete and some not, and compares every
// past moment with a model that knows each change.
func TestAsOfModel(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 4))
			f := newFixture(t)
			f.removing()
			const days = 8
			history := map[string][]known{} // by symbol and day
			minute := 0
			for range 7 {
				minute += 1 + r.IntN(3)
				symbol := []string{"AAPL", "MSFT"}[r.IntN(2)]
				from, to := r.IntN(days), r.IntN(days)
				if from > to {
					from, to = to, from
				}
				gap := r.IntN(3) == 0
				var rows []string
				var has []int
				for d := from; d <= to; d++ {
					// The first and the last bar are there: they are the span.
					switch {
					case d != from && d != to && r.IntN(4) == 0:
					case gap && d != from && d != to && r.IntN(3) == 0:
						rows = append(rows, "-"+symbol+"/"+day(d)+" 1")
					default:
						rows = append(rows, fmt.Sprintf("%s/%s %d", symbol, day(d), 1+r.IntN(2)))
						has = append(has, d)
					}
				}
				missing := slices.ContainsFunc(rows, func(s string) bool { return s[0] == '-' })
				f.answer(fmt.Sprintf("f%03d", minute), at(fmt.Sprintf("21:%02d", minute)), rows...)
				f.run()
				for d := from; d <= to; d++ {
					key := symbol + " " + day(d)
					past := history[key]
					last := len(past) - 1
					stored := last >= 0 && past[last].withdrawn == 0
					if !slices.Contains(has, d) {
						if stored && !missing {
							past[last].withdrawn = minute
						}
						continue
					}
					var closing int
					for _, row := range rows {
						if strings.HasPrefix(row, symbol+"/"+day(d)+" ") {
							_, err := fmt.Sscanf(row[len(symbol)+12:], "%d", &closing)
							f.must(err)
						}
					}
					if !stored || past[last].closing != closing {
						history[key] = append(past, known{closing: closing, fetched: minute})
					}
				}
			}
			for m := range minute + 2 {
				want := []string{}
				for key, past := range history {
					for i := len(past) - 1; i >= 0; i-- {
						if past[i].fetched > m {
							continue
						}
						if w := past[i].withdrawn; w == 0 || w > m {
							want = append(want, fmt.Sprint(key, " ", past[i].closing))
						}
						break
					}
				}
				slices.Sort(want)
				f.want(fmt.Sprint("minute ", m), f.past("bars_1d", time.Date(2026, 3, 2, 21, m, 0, 0, time.UTC), "symbol, ts, close"), want)
			}
		})
	}
}

// day is the n-th day of the model, over two partitions.
func day(n int) string { return time.Date(2025, 12, 28+n, 0, 0, 0, 0, time.UTC).Format(time.DateOnly) }

func TestParseMoment(t *testing.T) {
	for text, want := range map[string]string{
		"2026-03-02":                "2026-03-02T23:59:59.999999Z",
		"2026-03-02T21:30:00Z":      "2026-03-02T21:30:00Z",
		"2026-03-02T21:30:00+02:00": "2026-03-02T19:30:00Z",
		"2026-03-02 21:30":          "",
		"yesterday":                 "",
	} {
		got, err := lake.ParseMoment(text)
		if (err == nil) != (want != "") || err == nil && got.Format(time.RFC3339Nano) != want {
			t.Errorf("%q is %v, %v: want %q", text, got, err, want)
		}
	}
}
