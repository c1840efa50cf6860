package lake_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
	"github.com/tickerlake/tickerlake/lake"
)

// TestDamagedDatabases flips bytes of state.db and catalog.db and cuts them. They have no
// checksums: what holds is that a table of prod is then as it was, or cannot be
// read, and that an error names a database.
func TestDamagedDatabases(t *testing.T) {
	f := damagedLake(t)
	truth, failures := f.served()
	if len(failures) > 0 {
		t.Fatal(failures)
	}
	f.must(f.cat.Close())
	ctx := context.Background()
	r := rand.New(rand.NewPCG(3, 4))
	refused, served, found := 0, 0, 0
	for _, name := range []string{"state.db", "catalog.db"} {
		path := filepath.Join(f.dir, name)
		whole, err := os.ReadFile(path)
		f.must(err)
		where := []int{0, 5, 15, 16, 18, 19, 20, 21, 28, 31, 40, 44, 56, 59, 60, 62, 63, 96, 100, 101, 103, 104, 105, 108}
		for page := 4096; page < len(whole); page += 4096 {
			if len(where) < 60 {
				where = append(where, page, page+3, page+8, page+r.IntN(4096))
			}
		}
		for i, at := range where {
			text := slices.Clone(whole)
			text[at] ^= byte(1 + r.IntN(255))
			what := fmt.Sprintf("%s: byte %d of %d", name, at, len(whole))
			if i%6 == 5 {
				text, what = text[:at], fmt.Sprintf("%s: cut to %d of %d bytes", name, at, len(whole))
			}
			f.must(os.WriteFile(path, text, 0o644))
			f.cat, err = catalog.Open(ctx, f.dir, f.clock)
			if err != nil {
				refused++
				if code := tickerlake.CodeOf(err); !strings.Contains(err.Error(), ".db") || code == tickerlake.Internal {
					t.Errorf("%s: refused with %s: %v", what, code, err)
				}
			} else {
				f.lake.Catalog = f.cat
				rows, failures := f.served()
				for of, want := range truth {
					if got, ok := rows[of]; ok && got != want {
						t.Errorf("%s: %s serves %q, not %q", what, of, got, want)
					}
				}
				if len(failures) == 0 && len(rows) == len(truth) {
					served++
				}
				findings, err := f.lake.Examine(ctx, lake.Examination{Quiet: true})
				if err != nil || len(findings) > 0 {
					found++
				}
				if err == nil && len(findings) == 0 && len(rows) != len(truth) {
					t.Errorf("%s: tables are missing, and doctor finds nothing", what)
				}
				_ = f.cat.Close()
			}
			for _, suffix := range []string{"-wal", "-shm", "-journal"} {
				if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Fatal(err)
				}
			}
			f.must(os.WriteFile(path, whole, 0o644))
		}
	}
	t.Logf("%d refused, %d served as before, %d with findings", refused, served, found)
	if refused == 0 || served == 0 || found == 0 {
		t.Error("the damage does not reach all of these")
	}
	reopened, err := catalog.Open(ctx, f.dir, f.clock)
	f.must(err)
	f.cat, f.lake.Catalog = reopened, reopened
}

// TestDamagedObjects flips bytes of raw objects and of events, one place at a time, and
// cuts them: gzip has a checksum, and nobody is served what does not agree with it.
func TestDamagedObjects(t *testing.T) {
	f := damagedLake(t)
	ctx := context.Background()
	f.putBody("ops/runs/dt=2026-03-02/ops-1.gz", zip(t, []byte(`{"id":"r1","recorded_at":"2026-03-02T21:30:00Z"}`+"\n")))
	r := rand.New(rand.NewPCG(5, 6))
	for _, pattern := range []string{"raw/bars/*/*.gz", "ops/*/*/*.gz"} {
		files, err := filepath.Glob(filepath.Join(f.dir, "buckets", "raw", filepath.FromSlash(pattern)))
		if err != nil || len(files) == 0 {
			t.Fatal("no files", err)
		}
		path := files[0]
		whole, err := os.ReadFile(path)
		f.must(err)
		info, err := os.Stat(path)
		f.must(err)
		for i, at := range places(len(whole), r) {
			if 3 < at && at < 10 {
				continue // time, level and system, of which nothing follows
			}
			text := slices.Clone(whole)
			text[at] ^= byte(1 + r.IntN(255))
			if i%3 == 0 {
				text = text[:at]
			}
			f.must(os.WriteFile(path, text, 0o644))
			views, err := f.lake.Views(ctx)
			f.must(err)
			refused := 0
			for _, v := range views {
				err := f.lake.Readable(ctx, v)
				of := strings.HasPrefix(pattern, "raw") && v.Name == "bars" || strings.HasPrefix(pattern, "ops") && v.Name == "runs"
				if err != nil && (!of || !errors.Is(err, tickerlake.Damaged) || !strings.Contains(err.Error(), filepath.Base(path))) {
					t.Errorf("%s, byte %d: %s: %v", pattern, at, v.Name, err)
				}
				if err != nil {
					refused++
				}
			}
			if refused != 1 {
				t.Errorf("%s, byte %d of %d (%d bytes now): %d tables are refused", pattern, at, len(whole), len(text), refused)
			}
			if found := f.examined(false); len(found) != 1 || !strings.HasSuffix(found[0].Where, filepath.Base(path)) {
				t.Errorf("%s, byte %d: doctor finds %+v", pattern, at, found)
			}
			f.must(os.WriteFile(path, whole, 0o644))
			f.must(os.Chtimes(path, info.ModTime(), info.ModTime()))
		}
	}
}

// repaired examines, repairs all, and demands that nothing is wrong then.
func (f *fixture) repaired() []lake.Finding {
	f.Helper()
	ctx := context.Background()
	found, err := f.lake.Examine(ctx, lake.Examination{Quiet: true})
	f.must(err)
	for i := range found {
		f.must(found[i].Repair(ctx))
	}
	if left := f.examined(true); len(left) > 0 {
		f.Errorf("after the repair of %+v: %+v", found, left)
	}
	return found
}

// TestRepair: what is safe is done, and what cannot be read any more is asked again.
func TestRepair(t *testing.T) {
	t.Run("data", func(t *testing.T) {
		f := damagedLake(t)
		truth, _ := f.served()
		v := f.view("prod.bars_1d")
		f.must(os.WriteFile(v.Files[len(v.Files)-1], []byte("no Parquet"), 0o644))
		found := f.repaired()
		if !slices.ContainsFunc(found, func(x lake.Finding) bool { return strings.Contains(x.Repaired, "prod.bars_1d is back at snapshot") }) {
			t.Fatalf("findings %+v", found)
		}
		rows, failures := f.served()
		if len(failures) > 0 || rows["prod.own_1d"] != truth["prod.own_1d"] {
			t.Errorf("after the repair: %v, %v", failures, rows)
		}
		// What came since is held, and the raw objects bring it back.
		_, _, err := f.lake.Release(context.Background())
		f.must(err)
		f.run()
		rows, failures = f.served()
		if len(failures) > 0 || rows["prod.bars_1d"] != truth["prod.bars_1d"] {
			t.Errorf("after the release: %v\n%s\nwant\n%s", failures, rows["prod.bars_1d"], truth["prod.bars_1d"])
		}
	})
	t.Run("latest", func(t *testing.T) {
		f := damagedLake(t)
		f.must(os.Truncate(f.view("prod.latest").Files[0], 100))
		f.repaired()
		f.want("latest", f.rows("prod.latest", "symbol"), []string{})
		f.put(good("MSFT", "2026-03-03", 34).with("final", false, "fetched_at", "2026-03-02T21:40:00.000000Z", "fetch_id", "f9"))
		f.run()
		f.want("latest", f.rows("prod.latest", "symbol, close"), []string{"MSFT 34"})
	})
	t.Run("latest, by a run", func(t *testing.T) {
		f := damagedLake(t)
		path := f.view("prod.latest").Files[0]
		text, err := os.ReadFile(path)
		f.must(err)
		text[len(text)/2] ^= 1
		f.must(os.WriteFile(path, text, 0o644))
		f.put(good("AAPL", "2026-02-16", 12).with("fetched_at", "2026-03-02T21:40:00.000000Z", "fetch_id", "f8"))
		f.run() // nothing unfinished came: it stays refused
		if err := f.lake.Readable(context.Background(), f.view("prod.latest")); !errors.Is(err, tickerlake.Damaged) {
			t.Error(err)
		}
		f.put(good("TSLA", "2026-03-03", 34).with("final", false, "fetched_at", "2026-03-02T21:40:00.000000Z", "fetch_id", "f9"))
		f.run()
		f.must(f.lake.Readable(context.Background(), f.view("prod.latest")))
		f.want("latest", f.rows("prod.latest", "symbol, close"), []string{"TSLA 34"})
	})
	t.Run("objects", func(t *testing.T) {
		f := damagedLake(t)
		entries, err := f.cat.Objects(context.Background(), "")
		f.must(err)
		path, err := f.raw.Path(entries[0].Key)
		f.must(err)
		f.must(os.Truncate(path, 50))
		lost, err := f.raw.Path(entries[1].Key)
		f.must(err)
		f.must(os.Remove(lost))
		key := "ops/runs/dt=2026-03-02/ops-1.gz"
		f.putBody(key, []byte("no gzip"))
		f.repaired()
		for _, e := range entries[:2] {
			now, err := f.cat.Object(context.Background(), e.Key)
			f.must(err)
			f.want("state", now.State, catalog.Damaged)
		}
		series, err := f.cat.AllSeries(context.Background())
		f.must(err)
		for _, s := range series {
			if !s.Watermark.IsZero() {
				t.Errorf("%s is not asked for again: its watermark is %s", s.Symbol, s.Watermark)
			}
		}
		if _, err := os.Stat(filepath.Join(f.dir, "buckets", "raw", "damaged", filepath.FromSlash(key))); err != nil {
			t.Error(err)
		}
		views, err := f.lake.Views(context.Background())
		f.must(err)
		f.must(f.lake.Readable(context.Background(), views...))
	})
}

// TestDoctorComparesRows: what the state says of series and revisions is held to the rows.
func TestDoctorComparesRows(t *testing.T) {
	for statement, want := range map[string]string{
		"UPDATE series SET last = '2026-02-11T00:00:00.000000Z' WHERE tbl = 'bars_1d' AND symbol = 'AAPL'": "the last bar of AAPL is of 2026-02-15",
		"DELETE FROM series WHERE symbol = 'TSLA' AND tbl = 'own_1d'":                                      "state.db does not have the series",
		"UPDATE series SET source = 'other' WHERE symbol = 'MSFT'":                                         "are of the source test, state.db says other",
		"UPDATE series SET symbol = 'GONE' WHERE symbol = 'MSFT' AND tbl = 'own_1d'":                       "GONE is published until 2026-02-15 00:00:00, and it has no rows",
		"UPDATE series SET covers = x'00010000' WHERE symbol = 'MSFT' AND tbl = 'own_1d'":                  "ends before it begins",
		"UPDATE objects SET lines = lines + 1 WHERE rowid = 1":                                             "the ledger says",
		"UPDATE objects SET size = size + 1 WHERE rowid = 1":                                               "the ledger says",
	} {
		f := damagedLake(t)
		if _, err := f.cat.DB().Exec(statement); err != nil {
			t.Fatal(err)
		}
		if found := f.examined(false); !slices.ContainsFunc(found, func(x lake.Finding) bool { return strings.Contains(x.Problem, want) }) {
			t.Errorf("%s: doctor finds %+v", statement, found)
		}
	}
}
