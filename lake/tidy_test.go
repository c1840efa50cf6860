package lake_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/iceberg-go/table"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
	"github.com/tickerlake/tickerlake/lake"
)

// tidy runs the jobs of the workflow.
func (f *fixture) tidy(o lake.TidyOptions) lake.TidyReport {
	f.Helper()
	r, err := f.tryTidy(o)
	f.must(err)
	return r
}

func (f *fixture) tryTidy(o lake.TidyOptions) (lake.TidyReport, error) {
	f.Helper()
	f.runs++
	r := newRun(f)
	t := f.lake.NewTidy(o)
	for _, job := range []func(context.Context, lake.Run) error{t.Compact, t.Expire, t.Retain, t.Ops, t.Collect} {
		if err := job(f.Context(), r); err != nil {
			return t.Report(), err
		}
	}
	return t.Report(), nil
}

func lineOf(r lake.TidyReport, name string) lake.TidyTable {
	for _, t := range r.Tables {
		if t.Table == name {
			return *t
		}
	}
	return lake.TidyTable{}
}

// commits publishes n fetches of one bar each, a minute apart.
func (f *fixture) commits(n int) {
	f.Helper()
	for range n {
		f.now = f.now.Add(time.Minute)
		i := f.runs
		f.put(good(fmt.Sprintf("S%03d", i%7), fmt.Sprintf("2025-%02d-%02d", i/28%12+1, i%28+1), i+1).
			with("fetch_id", fmt.Sprintf("c%d", i), "fetched_at", f.now.Add(-time.Minute).Format("2006-01-02T15:04:05.000000Z")))
		f.run()
	}
}

// files lists the files below a folder of the lake.
func (f *fixture) files(folder string) (names []string, bytes int64) {
	f.Helper()
	err := filepath.WalkDir(filepath.Join(f.dir, folder), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		names, bytes = append(names, path), bytes+info.Size()
		return nil
	})
	f.must(err)
	return names, bytes
}

func (f *fixture) table(name string) *table.Table {
	f.Helper()
	t, err := f.cat.LoadTable(f.Context(), "prod", name)
	f.must(err)
	return t
}

const everything = "symbol, ts, open, high, low, close, adj_close, volume, currency, basis, source, final, fetched_at, fetch_id"

func TestTidyMergesFiles(t *testing.T) {
	f := newFixture(t)
	f.commits(40)
	before, files := f.rows("prod.bars_1d", everything), len(f.view("prod.bars_1d").Files)
	snapshot := f.view("prod.bars_1d").Snapshot

	dry := lineOf(f.tidy(lake.TidyOptions{Dry: true}), "prod.bars_1d")
	f.want("snapshot after a dry run", f.view("prod.bars_1d").Snapshot, snapshot)

	line := lineOf(f.tidy(lake.TidyOptions{}), "prod.bars_1d")
	f.want("rows", f.rows("prod.bars_1d", everything), before)
	f.want("files before, told", line.FilesBefore, files)
	f.want("files after", len(f.view("prod.bars_1d").Files), 1)
	f.want("files after, told", line.FilesAfter, 1)
	f.want("a dry run tells the same", []int64{dry.FilesBefore, dry.FilesAfter, dry.FilesRewritten, dry.BytesRewritten}, []int64{line.FilesBefore, line.FilesAfter, line.FilesRewritten, line.BytesRewritten})

	s := f.table("bars_1d").CurrentSnapshot()
	f.want("properties", []string{s.Summary.Properties["tickerlake.run"], s.Summary.Properties["tickerlake.made_by"], s.Summary.Properties["tickerlake.tidy"]}, []string{"r040", "tidy", "r042"})
	_, rows, err := f.engine.Query(f.Context(), "SELECT count(*) FROM (SELECT symbol, ts, lag((symbol, ts)) OVER (ORDER BY file_row_number) AS previous FROM read_parquet('"+f.view("prod.bars_1d").Files[0]+"', file_row_number = true)) WHERE (symbol, ts) <= previous")
	f.must(err)
	f.want("rows out of order", rows[0][0], 0)

	again := lineOf(f.tidy(lake.TidyOptions{}), "prod.bars_1d")
	f.want("rewritten by a second one", again.FilesRewritten, 0)
	f.want("its snapshot", f.view("prod.bars_1d").Snapshot, s.SnapshotID)

	// What was merged can be changed as before.
	f.now = f.now.Add(time.Hour)
	f.put(good("S001", "2025-01-02", 999).with("fetch_id", "late", "fetched_at", f.now.Format("2006-01-02T15:04:05.000000Z")))
	f.want("a correction", f.run(), tickerlake.Counts{Read: 1, Replaced: 1})
	f.want("revisions", len(f.rows("prod.bars_1d_revisions", everything)), 1)
}

func TestTidySplitsWhatIsTooLarge(t *testing.T) {
	f := newFixture(t)
	path := filepath.Join(f.dir, "buckets", "raw", "raw", "bars", "dt=2026-03-02")
	f.must(os.MkdirAll(path, 0o755))
	_, _, err := f.engine.Query(f.Context(), `COPY (SELECT 'S' || lpad((i % 300)::VARCHAR, 3, '0') AS symbol, strftime(TIMESTAMP '2025-01-01' + INTERVAL (i // 300) DAY, '%Y-%m-%d') AS ts,
		100 + x AS open, 102 + x AS high, 98 + x AS low, 101 + x AS close, 101 + x / 3 AS adj_close, x * 1000 AS volume,
		'USD' AS currency, 'split' AS basis, 'test' AS source, 'bars_1d' AS "table", '1d' AS "interval", true AS final, '2026-03-02T21:30:00.000000Z' AS fetched_at, 'f' || (i % 300) AS fetch_id, i // 300 AS row
		FROM (SELECT i, hash(i) / 18446744073709551616.0 AS x FROM range(300 * 300) r(i))) TO '`+filepath.Join(path, "bars-1-big.gz")+`' (FORMAT json, COMPRESSION gzip)`)
	f.must(err)
	f.want("counts", f.run(), tickerlake.Counts{Read: 90000, Inserted: 90000})
	big := f.view("prod.bars_1d")
	if len(big.Files) != 1 || big.Bytes < 2<<20 {
		t.Fatalf("%d files of %d bytes: want one beyond 180%% of a MiB", len(big.Files), big.Bytes)
	}
	before := f.rows("prod.bars_1d", everything)
	f.lake.Tidy = lake.Defaults()
	f.lake.Tidy.FileMB = 1
	line := lineOf(f.tidy(lake.TidyOptions{}), "prod.bars_1d")
	f.want("files", line.FilesAfter, (big.Bytes+1<<20-1)>>20)
	f.want("rows are the same", slices.Equal(f.rows("prod.bars_1d", everything), before), true)
	for _, file := range f.view("prod.bars_1d").Files {
		info, err := os.Stat(file)
		f.must(err)
		if info.Size() <= 1<<19 || info.Size() > 1<<20/5*9 {
			t.Errorf("a part has %d bytes: it would be rewritten again", info.Size())
		}
	}
	f.want("rewritten by a second one", lineOf(f.tidy(lake.TidyOptions{}), "prod.bars_1d").FilesRewritten, 0)
}

func TestTidyExpires(t *testing.T) {
	f := newFixture(t)
	f.lake.Tidy = lake.Defaults()
	f.lake.Tidy.Snapshots, f.lake.Tidy.DailySnapshots = 5, tickerlake.Duration(3*24*time.Hour)
	last := map[string]int64{}
	for range 6 {
		f.commits(4)
		last["day-"+f.now.Format(time.DateOnly)] = f.view("prod.bars_1d").Snapshot
		f.now = f.now.AddDate(0, 0, 1)
	}
	today := f.now.AddDate(0, 0, -1).Format(time.DateOnly)
	f.now = f.now.AddDate(0, 0, -1) // the day of the last four
	before := f.rows("prod.bars_1d", everything)
	f.tidy(lake.TidyOptions{})
	f.want("rows", f.rows("prod.bars_1d", everything), before)
	var tags []string
	ice := f.table("bars_1d")
	for ref, at := range ice.Metadata().Refs() {
		if ref == "main" {
			continue
		}
		tags = append(tags, ref)
		f.want(ref, at.SnapshotID, last[ref])
	}
	slices.Sort(tags)
	var want []string
	for d := 3; d >= 1; d-- {
		want = append(want, "day-"+f.now.AddDate(0, 0, -d).Format(time.DateOnly))
	}
	f.want("tags, none of today "+today, tags, want)
	f.want("snapshots: five and the tagged ones, of which one is among the newest", len(ice.Metadata().Snapshots()), 8)

	// The tag of a day stays when its snapshot is no longer among the newest.
	f.commits(10)
	f.tidy(lake.TidyOptions{})
	ice = f.table("bars_1d")
	f.want("snapshots later", len(ice.Metadata().Snapshots()), 8)
	for _, d := range want {
		if s := ice.SnapshotByName(d); s == nil || s.SnapshotID != last[d] {
			t.Errorf("%s has moved", d)
		}
	}
	// Each can be read in full, whatever was deleted.
	for _, ref := range append(want, "main") {
		scan, err := ice.Scan().UseRef(ref)
		f.must(err)
		tasks, err := scan.PlanFiles(f.Context())
		f.must(err)
		for _, task := range tasks {
			if _, err := os.Stat(filepath.Join(f.dir, "buckets", strings.TrimPrefix(task.File.FilePath(), "s3://"))); err != nil {
				t.Errorf("%s: %v", ref, err)
			}
		}
	}
	f.now = f.now.AddDate(0, 0, 10)
	f.tidy(lake.TidyOptions{})
	for ref := range f.table("bars_1d").Metadata().Refs() {
		if ref != "main" && ref != "day-"+today {
			day, _ := time.Parse("day-2006-01-02", ref)
			t.Errorf("%s is kept on %v after its time (%v)", ref, f.now, f.now.Sub(day))
		}
	}
}

// TestTidyKeepsWhatReadersHave: what a reader has pinned stays until the reader ends.
func TestTidyKeepsWhatReadersHave(t *testing.T) {
	f := newFixture(t)
	f.lake.Tidy = lake.Defaults()
	f.lake.Tidy.Snapshots = 2
	f.commits(12)
	lease, err := lake.TakeLease(f.dir, "query", f.now)
	f.must(err)
	pinned := f.view("prod.bars_1d").Files
	for range 3 {
		f.commits(3)
		f.tidy(lake.TidyOptions{})
	}
	count := func() (int, error) {
		_, rows, err := f.engine.Query(f.Context(), "SELECT count(*) FROM "+f.engine.Relation(pinned))
		if err != nil {
			return 0, err
		}
		return int(rows[0][0].(int64)), nil
	}
	n, err := count()
	f.must(err)
	f.want("rows that the reader sees", n, 12)
	waiting := lineOf(f.tidy(lake.TidyOptions{}), "prod.bars_1d")
	if waiting.FilesWaiting == 0 {
		t.Error("no file waits for the reader")
	}

	// A reader that began later holds nothing that was garbage before.
	f.now = f.now.Add(time.Hour)
	later, err := lake.TakeLease(f.dir, "query", f.now)
	f.must(err)
	f.must(lease.Release())
	line := lineOf(f.tidy(lake.TidyOptions{}), "prod.bars_1d")
	f.want("files deleted once the reader has ended", line.FilesDeleted, waiting.FilesWaiting)
	if _, err := count(); err == nil {
		t.Error("the files that the reader had are still there")
	}
	f.must(later.Release())
	f.want("rows", len(f.rows("prod.bars_1d", everything)), 21)
}

// TestTidyLeavesWhatItDoesNotKnow: files with strange names, and all of them if a
// reference cannot be read.
func TestTidyLeavesWhatItDoesNotKnow(t *testing.T) {
	f := newFixture(t)
	f.commits(3)
	prod := filepath.Join(f.dir, "buckets", "prod")
	strange := []string{"bars_1d/data/2025/notes.parquet", "bars_1d/readme.txt", "other/data/2025/r001-0-00000-new.parquet", "stray"}
	leftovers := []string{"bars_1d/data/2025/r999-0-00000-new.parquet", "bars_1d/data/2025/tmp_r999-0-00000-rewrite-3.parquet",
		"bars_1d/metadata/00007-6a7f097e-fdf4-4d65-988f-1fa4d68180e8.metadata.json", "bars_1d/metadata/5853b9c0-90d7-482e-b3d1-48ac0345cde6-m1.avro",
		"bars_1d/metadata/snap-6103065859472057229-0-5853b9c0-90d7-482e-b3d1-48ac0345cde6.avro", "bars_1d/data/2025/r999-0a1b2c3d-00000-tidy.parquet"}
	unfinished := "bars_1d/data/2025/r998-0-00000-new.parquet"
	for _, name := range append(append(strange, leftovers...), unfinished) {
		f.must(os.MkdirAll(filepath.Dir(filepath.Join(prod, name)), 0o755))
		f.must(os.WriteFile(filepath.Join(prod, name), []byte("x"), 0o644))
	}
	f.must(os.MkdirAll(filepath.Join(f.dir, "buckets", "staging", "r998"), 0o755))
	there := func(name string) bool {
		_, err := os.Stat(filepath.Join(prod, name))
		return err == nil
	}

	// A manifest list that cannot be read: nothing is deleted.
	s := f.table("bars_1d").CurrentSnapshot()
	list := filepath.Join(f.dir, "buckets", strings.TrimPrefix(s.ManifestList, "s3://"))
	text, err := os.ReadFile(list)
	f.must(err)
	f.must(os.WriteFile(list, text[:len(text)/2], 0o644))
	if _, err := f.tryTidy(lake.TidyOptions{Unfinished: []string{"r998"}}); !errors.Is(err, tickerlake.Damaged) {
		t.Errorf("a damaged manifest list: %v", err)
	}
	for _, name := range append(leftovers, unfinished) {
		f.want(name+" is there while references cannot be read", there(name), true)
	}
	f.must(os.WriteFile(list, text, 0o644))

	f.must(os.MkdirAll(filepath.Join(f.dir, "buckets", "staging", "r999"), 0o755))
	report := f.tidy(lake.TidyOptions{Unfinished: []string{"r998"}})
	for _, name := range leftovers {
		f.want(name+" is there", there(name), false)
	}
	f.want(unfinished+" is there while its run is unfinished", there(unfinished), true)
	for _, name := range strange {
		f.want(name+" is there", there(name), true)
		f.want(name+" is named", slices.Contains(report.Unknown, "s3://prod/"+name), true)
	}
	f.want("staging folders removed", report.Staging, 0)
	f.want("told that a run is unfinished", len(report.Waiting), 1)
	f.want("staging folders removed when it has ended", f.tidy(lake.TidyOptions{}).Staging, 2)
	f.want(unfinished+" is there when its run has ended", there(unfinished), false)
	f.want("rows", len(f.rows("prod.bars_1d", everything)), 3)
}

// TestTidyOfAnUnfinishedRun: a run that was cut off before it has published finds the
// tables as it left them.
func TestTidyOfAnUnfinishedRun(t *testing.T) {
	f := newFixture(t)
	f.commits(10)
	f.put(good("S001", "2026-01-05", 5))
	f.runs++
	r := newRun(f)
	f.must(f.lake.Crawl(f.Context(), r, false))
	f.must(f.lake.Clean(f.Context(), r))
	f.must(f.lake.Optimize(f.Context(), r))
	report := f.tidy(lake.TidyOptions{Unfinished: []string{r.id}})
	f.want("rewritten", lineOf(report, "prod.bars_1d").FilesRewritten, 0)
	f.must(f.lake.Publish(f.Context(), r))
	f.want("rows", len(f.rows("prod.bars_1d", everything)), 11)

	// The candidate of a run that failed without clearing up goes with its files.
	f.put(good("S001", "2026-01-06", 5))
	f.runs++
	r = newRun(f)
	f.must(f.lake.Crawl(f.Context(), r, false))
	f.must(f.lake.Clean(f.Context(), r))
	f.must(f.lake.Optimize(f.Context(), r))
	line := lineOf(f.tidy(lake.TidyOptions{}), "prod.bars_1d")
	f.want("candidates", line.Candidates, 1)
	names, _ := f.files("buckets/prod/bars_1d/data")
	for _, name := range names {
		if strings.Contains(name, r.id+"-0-") {
			t.Errorf("%s of the failed run is left", name)
		}
	}
	f.want("rows", len(f.rows("prod.bars_1d", everything)), 11)
}

// TestTidyOfARenamedLake: with another name in the file the tables are in another
// database of the catalog, and their files are not garbage.
func TestTidyOfARenamedLake(t *testing.T) {
	f := newFixture(t)
	f.commits(3)
	before := f.rows("prod.bars_1d", everything)
	f.lake.Name = "acme"
	f.tidy(lake.TidyOptions{})
	f.lake.Name = ""
	f.want("rows", f.rows("prod.bars_1d", everything), before)
	f.commits(1)
}

func TestTidyRetainsRaw(t *testing.T) {
	f := newFixture(t)
	f.lake.Tidy = lake.Defaults()
	f.lake.Tidy.Raw, f.lake.Tidy.Snapshots, f.lake.Tidy.DailySnapshots = tickerlake.Duration(10*24*time.Hour), 2, 0
	f.commits(4)
	old, err := f.cat.Objects(f.Context(), "published")
	f.must(err)
	f.now = f.now.AddDate(0, 0, 5)
	f.commits(4)
	f.now = f.now.AddDate(0, 0, 8)
	damaged := f.putBody("raw/bars/dt=2026-01-01/bars-1-damaged.gz", []byte("not gzip"))
	f.run()
	before := f.rows("prod.bars_1d", everything)

	lease, err := lake.TakeLease(f.dir, "query", f.now)
	f.must(err)
	seen := f.view("raw.bars").Files
	report := f.tidy(lake.TidyOptions{})
	f.want("expired", lineOf(report, "raw.bars").ObjectsExpired, 4)
	f.want("objects of the view", len(f.view("raw.bars").Files), len(seen)-4)
	for _, path := range seen {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("a reader has it open: %v", err)
		}
	}
	// A tidy that is cut off between the file and the ledger leaves nothing that is wrong.
	cutOff, err := f.raw.Path(old[0].Key)
	f.must(err)
	f.must(os.Remove(cutOff))
	for _, x := range f.examined(false) {
		if x.What == "raw object" && strings.HasSuffix(x.Where, old[0].Key) {
			t.Errorf("the doctor finds %+v", x)
		}
	}
	f.must(lease.Release())
	f.want("deleted", lineOf(f.tidy(lake.TidyOptions{}), "raw.bars").FilesDeleted, 4)
	for _, e := range old {
		if _, err := f.cat.Object(f.Context(), e.Key); !errors.Is(err, tickerlake.NotFound) {
			t.Errorf("%s is still in the ledger (%v)", e.Key, err)
		}
		path, err := f.raw.Path(e.Key)
		f.must(err)
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is still there", e.Key)
		}
	}
	if _, err := f.raw.Head(f.Context(), damaged); err != nil {
		t.Errorf("a damaged object is gone: %v", err)
	}
	f.runs++
	r := newRun(f)
	f.must(f.lake.Crawl(f.Context(), r, true))
	waiting, err := f.cat.Objects(f.Context(), "pending")
	f.must(err)
	f.want("pending after a full crawl", len(waiting), 0)
	f.want("rows", f.rows("prod.bars_1d", everything), before)
}

// TestTidyKeepsRawThatARollbackNeeds: what was published since the oldest snapshot that
// is kept stays, however old it is.
func TestTidyKeepsRawThatARollbackNeeds(t *testing.T) {
	f := newFixture(t)
	f.lake.Tidy = lake.Defaults()
	f.lake.Tidy.Raw = tickerlake.Duration(24 * time.Hour)
	f.commits(4)
	f.now = f.now.AddDate(0, 0, 20)
	f.want("expired", lineOf(f.tidy(lake.TidyOptions{}), "raw.bars").ObjectsExpired, 1)
}

func (f *fixture) event(table, dt, name string, lines ...string) {
	f.Helper()
	f.putBody("ops/"+table+"/dt="+dt+"/"+name+".gz", zip(f.T, []byte(strings.Join(lines, "\n"))))
}

func TestTidyMergesEvents(t *testing.T) {
	f := newFixture(t)
	for i := range 30 {
		f.event("fetches", "2026-03-01", fmt.Sprintf("ops-%02d", i), fmt.Sprintf(`{"id":"%d","recorded_at":"2026-03-01 00:00:00"}`, i))
	}
	f.putBody("ops/fetches/dt=2026-03-01/ops-cut.gz", zip(t, []byte(strings.Repeat(`{"id":"cut"}`+"\n", 100)))[:60])
	f.event("fetches", "2026-03-02", "ops-a", `{"id":"a"}`) // today
	f.event("fetches", "2026-03-02", "ops-b", `{"id":"b"}`)
	f.event("fetches", "2024-03-02", "ops-old", `{"id":"old"}`)
	f.event("queries", "2026-01-01", "ops-old", `{"id":"old"}`)
	f.event("runs", "2026-01-01", "ops-young", `{"id":"young"}`)
	f.putBody("ops/runs/notes.txt", []byte("x"))

	report := f.tidy(lake.TidyOptions{})
	line := lineOf(report, "ops.fetches")
	f.want("merged", line.ObjectsMerged, 30)
	f.want("expired", []int64{line.ObjectsExpired, lineOf(report, "ops.queries").ObjectsExpired, lineOf(report, "ops.runs").ObjectsExpired}, []int64{1, 1, 0})
	f.want("unknown", report.Unknown, []string{"s3://raw/ops/runs/notes.txt"})
	f.want("told of the damaged one", len(report.Waiting), 1)
	v := f.view("ops.fetches")
	f.want("objects: one of the day, the damaged one, today's two", len(v.Files), 4)
	f.want("objects, told", line.FilesAfter, 4)
	whole := slices.DeleteFunc(slices.Clone(v.Files), func(p string) bool { return strings.Contains(p, "cut") })
	_, rows, err := f.engine.Query(f.Context(), "SELECT count(*), count(DISTINCT id) FROM read_ndjson_auto(['"+strings.Join(whole, "', '")+"'])")
	f.must(err)
	f.want("events", rows[0], []any{32, 32})
	f.want("merged again", lineOf(f.tidy(lake.TidyOptions{}), "ops.fetches").ObjectsMerged, 0)
}

func TestTidyDue(t *testing.T) {
	f := newFixture(t)
	due := func() bool {
		due, err := f.lake.TidyDue(f.Context())
		f.must(err)
		return due
	}
	f.want("an empty lake", due(), false)
	f.commits(1)
	f.want("one publication", due(), false)
	f.now = f.now.Add(25 * time.Hour)
	f.want("a day after it", due(), true)
	f.tidy(lake.TidyOptions{})
	f.now = f.now.AddDate(0, 0, 3)
	f.want("nothing published since", due(), false)
	f.tidy(lake.TidyOptions{})
	publish := func(n int) {
		for range n {
			f.runs++
			f.must(f.cat.Publish(f.Context(), catalog.Publication{Run: fmt.Sprint("empty", f.runs)}))
		}
	}
	publish(59)
	f.want("59 publications", due(), false)
	publish(1)
	f.want("60 publications", due(), true)
	f.tidy(lake.TidyOptions{})
	publish(59)
	f.want("59 publications after the next", due(), false)
}

// TestRollbackToADay: the last snapshot of a day can be gone back to when those before
// and after it have expired, and the revisions of then with it. What is undone leaves no
// tag.
func TestRollbackToADay(t *testing.T) {
	f := newFixture(t)
	f.lake.Tidy = lake.Defaults()
	f.lake.Tidy.Snapshots = 2
	type state struct{ bars, revisions []string }
	now := func() state {
		revisions := f.rows("prod.bars_1d_revisions", everything+", replaced_at")
		slices.Sort(revisions) // several of one key
		return state{f.rows("prod.bars_1d", everything), revisions}
	}
	states := map[string]state{}
	n := 0
	fetch := func(symbol string) {
		n++
		f.now = f.now.Add(time.Minute)
		f.put(good(symbol, "2026-02-27", 100+n).with("fetch_id", fmt.Sprintf("d%03d", n), "fetched_at", f.now.Format("2006-01-02T15:04:05.000000Z")))
		f.run()
	}
	// No revisions on the first day, some on the second, none on the third, then many.
	for _, day := range [][]string{{"A", "B", "C"}, {"A", "A", "B"}, {"D", "E"}, {"A", "B", "C", "A", "B", "C"}} {
		for _, symbol := range day {
			fetch(symbol)
		}
		states["day-"+f.now.Format(time.DateOnly)] = now()
		f.now = f.now.AddDate(0, 0, 1)
		f.tidy(lake.TidyOptions{})
	}
	fetch("A")
	fetch("B")
	fetch("C")
	f.tidy(lake.TidyOptions{})
	chain, err := f.lake.Snapshots(f.Context(), "bars_1d")
	f.must(err)
	var days []lake.Snapshot
	for _, s := range chain {
		if len(s.Tags) > 0 {
			days = append(days, s)
		}
	}
	f.want("days", len(days), len(states))
	for _, s := range days {
		f.want(s.Tags[0]+" can be gone back to: "+s.WhyNot, s.Target, true)
		_, err := f.lake.Rollback(f.Context(), "bars_1d", s.ID)
		f.must(err)
		f.want(s.Tags[0], now(), states[s.Tags[0]])
		left, err := f.lake.Snapshots(f.Context(), "bars_1d")
		f.must(err)
		f.want("head", left[0].ID, s.ID)
		for ref := range f.table("bars_1d").Metadata().Refs() {
			if ref != "main" && ref > s.Tags[0] {
				t.Errorf("%s is left after a rollback to %s", ref, s.Tags[0])
			}
		}
		f.tidy(lake.TidyOptions{})
		f.want(s.Tags[0]+" after tidy", now(), states[s.Tags[0]])
	}
}

// TestTidyManyCommits makes a commit of one small file again and again, tidies, and tells
// how much less there is, as ratios. TICKERLAKE_COMMITS sets how many commits (50).
func TestTidyManyCommits(t *testing.T) {
	n := 50
	if s := os.Getenv("TICKERLAKE_COMMITS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	f := newFixture(t)
	f.lake.Tidy = lake.Defaults()
	f.lake.Tidy.Snapshots = n / 3
	f.commits(n)
	before := f.rows("prod.bars_1d", everything)
	type measure struct{ scanned, files, data, metadata, plan float64 }
	take := func() measure {
		names, all := f.files("buckets/prod/bars_1d")
		_, metadata := f.files("buckets/prod/bars_1d/metadata")
		var times []time.Duration
		for range 9 {
			start := time.Now()
			f.view("prod.bars_1d")
			times = append(times, time.Since(start))
		}
		slices.Sort(times)
		return measure{float64(len(f.view("prod.bars_1d").Files)), float64(len(names)), float64(all - metadata), float64(metadata), float64(times[4])}
	}
	a := take()
	f.tidy(lake.TidyOptions{})
	b := take()
	t.Logf("%d commits, then tidy: a query reads %.0f files, %.0f before (%.0fx); on disk %.1fx fewer files, %.1fx fewer bytes of data, %.1fx of metadata; plan %.1fx faster",
		n, b.scanned, a.scanned, a.scanned/b.scanned, a.files/b.files, a.data/b.data, a.metadata/b.metadata, a.plan/b.plan)
	f.want("rows", f.rows("prod.bars_1d", everything), before)
	f.want("files that a query reads", b.scanned, 1)
	tags := 0 // of days that have passed meanwhile
	for ref := range f.table("bars_1d").Metadata().Refs() {
		if ref != "main" {
			tags++
		}
	}
	f.want("snapshots", len(f.table("bars_1d").Metadata().Snapshots()), n/3+tags)
	if b.metadata > a.metadata {
		t.Errorf("%.0f bytes of metadata have become %.0f", a.metadata, b.metadata)
	}
}
