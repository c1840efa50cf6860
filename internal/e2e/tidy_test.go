package e2e

import (
	"bufio"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/tickerlake/tickerlake/internal/fault"
)

// tidyKills are the fault points of tidy.
var tidyKills = []kill{
	{"tidy.written", "tidy", []int{1}, true},
	{"tidy.compacted", "tidy", []int{1, 2}, true},
	{"tidy.expired", "tidy", []int{1, 2}, true},
	{"tidy.merged", "tidy", []int{1, 3}, true},
	{"tidy.discarded", "tidy", []int{1}, true},
	{"tidy.deleted", "tidy", []int{1, 30}, true},
	{"tidy.raw_deleted", "tidy", []int{1, 4}, true},
	{"flow.job_started", "tidy", []int{3}, true},
	{"flow.job_ended", "tidy", []int{1, 5}, true},
	{"flow.run_ended", "tidy", []int{1}, true},
}

// A worn is a lake after many runs: bars and revisions in small files, events and raw
// objects of days past, and the settings under which tidy has something to do at each
// of its steps.
type worn struct {
	start *pipeline
	prod  [][]string // rows of both tables
	file  string
}

const settings = "tidy: {snapshots: 2, daily_snapshots: 0 days, raw: 1 day, ops: 400 days}\n"

func newWorn(t *testing.T) *worn {
	t.Helper()
	truth := history("2024-03-01", 30, "AAA", "BBB")
	m := newMarket(t, truth)
	w := &worn{start: newPipeline(t, seedFile(m.URL, "AAA, BBB"))}
	w.file = settings + seedFile(m.URL, "AAA, BBB")
	w.start.must("fetch")
	w.start.must("run")
	for i := range 8 {
		next := history("2024-03-01", 31+i, "AAA", "BBB")
		for j := range i + 1 {
			next["AAA"][29-j].close += 0.25
			next["BBB"][28-j].close += 0.5
		}
		m.set(next)
		w.start.must("fetch", "--from", "2024-03-01", "--to", "2024-06-01")
		w.start.must("run")
	}
	w.start.backdate(t)
	w.prod = w.rows(w.start)
	return w
}

// rows are all rows of prod, those of bars without replaced_at.
func (w *worn) rows(p *pipeline) [][]string {
	return p.rows("SELECT *, NULL AS replaced_at FROM bars_1d UNION ALL BY NAME SELECT * FROM bars_1d_revisions ORDER BY replaced_at, symbol, ts")
}

// backdate moves the objects of today to a day that is past, in the bucket and in the
// ledger, as if the lake had been left alone since.
func (p *pipeline) backdate(t *testing.T) {
	t.Helper()
	root := p.path("lake", "buckets", "raw")
	var folders []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), "dt=") {
			folders = append(folders, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	past := "dt=" + time.Now().UTC().AddDate(0, 0, -100).Format(time.DateOnly) // within ops, not within queries and raw
	for _, folder := range folders {
		if err := os.MkdirAll(filepath.Join(filepath.Dir(folder), past), 0o755); err != nil {
			t.Fatal(err)
		}
		names, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if err := os.Rename(filepath.Join(folder, name.Name()), filepath.Join(filepath.Dir(folder), past, name.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
	p.state(t, `UPDATE objects SET key = replace(key, 'dt=' || dt, ?1), dt = substr(?1, 4)`, past)
	for _, folder := range folders { // of a day, or two around midnight
		p.state(t, `UPDATE feeds SET key = replace(key, ?1, ?2)`, filepath.Base(folder), past)
	}
}

// TestKillTidy kills tidy after each of its durable steps. Prod is the same before and
// after, every file that is referenced is there, and a second tidy does the rest.
func TestKillTidy(t *testing.T) {
	w := newWorn(t)
	for _, k := range tidyKills {
		for _, n := range k.times {
			t.Run(fmt.Sprintf("%s:%d", k.point, n), func(t *testing.T) {
				t.Parallel()
				p := w.lake(t)
				if o := p.with(fmt.Sprintf("%s=%s:%d", fault.Env, k.point, n)).run(k.command); o.signal != syscall.SIGKILL {
					t.Fatalf("%v\nwant it to be killed at %s", o, k.point)
				}
				w.same(p)
				p.must("tidy")
				w.same(p)
				w.tidy(p)
			})
		}
	}
}

// lake is a copy of the lake, under the settings.
func (w *worn) lake(t *testing.T) *pipeline {
	t.Helper()
	p := newPipeline(t, w.file)
	if err := os.CopyFS(p.path("lake"), os.DirFS(w.start.path("lake"))); err != nil {
		t.Fatal(err)
	}
	return p
}

// same demands that prod has the rows it had, and that raw and ops can be read.
func (w *worn) same(p *pipeline) {
	p.t.Helper()
	if rows := w.rows(p); !slices.EqualFunc(rows, w.prod, slices.Equal) {
		p.t.Errorf("prod has %d rows, not the %d it had", len(rows), len(w.prod))
	}
	// Nine runs made the lake, the test may have added one. What is left of raw can be read.
	if n := p.value("SELECT count(*) FROM ops.runs WHERE workflow = 'main' AND (SELECT count(*) FROM raw.bars) >= 0"); n != "9" && n != "10" {
		p.t.Errorf("ops.runs has %s runs of main, want 9 or 10", n)
	}
}

// tidy demands that nothing is left to do: small tables, no file of the raw bucket that
// the ledger does not have, nothing pending after a full crawl, and nothing to delete.
func (w *worn) tidy(p *pipeline) {
	p.t.Helper()
	p.must("run", "--full")
	w.same(p)
	p.settled()
	var r struct {
		Tables []struct {
			Table            string `json:"table"`
			FilesRewritten   int64  `json:"files_rewritten"`
			SnapshotsExpired int64  `json:"snapshots_expired"`
			ObjectsExpired   int64  `json:"objects_expired"`
			ObjectsMerged    int64  `json:"objects_merged"`
		} `json:"tables"`
		Unknown []string `json:"unknown"`
	}
	p.mustJSON(&r, "tidy", "--dry-run")
	for _, x := range r.Tables {
		if x.FilesRewritten+x.SnapshotsExpired+x.ObjectsExpired+x.ObjectsMerged > 0 {
			p.t.Errorf("something is left to do: %+v", x)
		}
	}
	if len(r.Unknown) > 0 {
		p.t.Errorf("files that are not known: %v", r.Unknown)
	}
}

// TestTidyBesideAReader: a query that pinned its files before tidy reads them to the end.
func TestTidyBesideAReader(t *testing.T) {
	t.Parallel()
	w := newWorn(t)
	p := w.lake(t)
	reader := p.command(nil, "query", "-f", "csv", "SELECT a.symbol FROM bars_1d a, bars_1d b, bars_1d c")
	out, err := reader.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var failure strings.Builder
	reader.Stderr = &failure
	if err := reader.Start(); err != nil {
		t.Fatal(err)
	}
	// The reader has its files when it writes, and waits until its output is read.
	lines := bufio.NewScanner(out)
	lines.Scan()
	for range 3 {
		p.must("tidy")
	}
	rows := 0
	for lines.Scan() {
		rows++
	}
	if err := reader.Wait(); err != nil {
		t.Fatalf("%v: %s", err, failure.String())
	}
	if bars := 2 * 38; rows != bars*bars*bars {
		t.Errorf("the reader saw %d rows, want %d", rows, bars*bars*bars)
	}
	p.must("tidy")
	w.same(p)
	if left, _ := filepath.Glob(p.path("lake", "leases", "*")); len(left) > 0 {
		t.Errorf("leases are left: %v", left)
	}
}

// state changes state.db.
func (p *pipeline) state(t *testing.T, statement string, args ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", p.path("lake", "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement, args...); err != nil {
		t.Fatal(err)
	}
}

// TestTidyReadByPyiceberg reads a tidied lake, and the snapshot of each tag, with
// another implementation of Iceberg.
func TestTidyReadByPyiceberg(t *testing.T) {
	t.Parallel()
	python := os.Getenv("TICKERLAKE_PYTHON")
	if python == "" {
		skipAloud(t, "TICKERLAKE_PYTHON, a Python with pyiceberg (make test makes it), is not set")
	}
	w := newWorn(t)
	p := w.lake(t)
	p.must("tidy")
	table := p.path("bars.csv")
	if err := os.WriteFile(table, []byte(p.must("query", "-f", "csv", "SELECT * FROM bars_1d ORDER BY symbol, ts")), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(python, "-B", "testdata/compare_with_pyiceberg.py", p.path("lake"), "prod.bars_1d", table).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("%v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	t.Logf("pyiceberg reads %s", strings.TrimSpace(string(out)))
}
