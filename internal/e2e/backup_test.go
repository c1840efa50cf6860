package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/tickerlake/tickerlake/internal/fault"
)

// backupKills are the fault points of backup and restore.
var backupKills = []kill{
	{"backup.frozen", "backup", []int{1}, true},
	{"backup.databases", "backup", []int{1}, true},
	{"backup.logs", "backup", []int{1}, true},
	{"backup.copied", "backup", []int{1, 9, 30}, true},
	{"backup.settled", "backup", []int{1}, true},
	{"backup.written", "backup", []int{1}, true},
	{"backup.pruned", "backup", []int{1, 2}, true},
	{"backup.swept", "backup", []int{1, 3}, true},
	{"restore.file", "restore", []int{1, 20}, true},
	{"restore.copied", "restore", []int{1}, true},
	{"restore.aside", "restore", []int{1}, true},
	{"restore.placed", "restore", []int{1}, true},
}

// A taken is what backup prints.
type taken struct {
	Generation string `json:"generation"`
	Files      int64  `json:"files"`
	NewFiles   int64  `json:"new_files"`
	Problems   []struct {
		Path, Problem string
	} `json:"problems"`
	Pruned []string `json:"pruned"`
}

// kept is a pipeline whose lake was made by restoring a backup.
func (p *pipeline) kept(t testing.TB, dir string, args ...string) *pipeline {
	t.Helper()
	text, err := os.ReadFile(p.path("tickerlake.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	q := newPipeline(t, string(text))
	q.must(append([]string{"restore", dir}, args...)...)
	q.healthy()
	return q
}

// verified demands that every generation of a backup is whole, and that nothing is left
// lying beside them.
func (p *pipeline) verified(dir string, generations int) {
	p.t.Helper()
	var v struct {
		Generations []struct{ Whole bool }
		Files       int64
	}
	p.mustJSON(&v, "backup", "--verify", dir)
	if len(v.Generations) != generations {
		p.t.Errorf("%d generations, want %d", len(v.Generations), generations)
	}
	contents, err := filepath.Glob(filepath.Join(dir, "files", "*", "*"))
	if err != nil || int64(len(contents)) != v.Files {
		p.t.Errorf("%d files are in the backup and %d are needed, %v", len(contents), v.Files, err)
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, n := range names {
		if !slices.Contains([]string{"backup.json", "files", "generations", "lock"}, n.Name()) {
			p.t.Errorf("%s is left in the backup", n.Name())
		}
	}
}

// TestKillBackup kills backup after each of its steps: of a lake that has more than the
// last backup, with records in the delivery log. The next backup goes on; what both have
// made can be restored, and no record is lost.
func TestKillBackup(t *testing.T) {
	c := newCrash(t)
	for _, k := range backupKills {
		if k.command != "backup" {
			continue
		}
		for _, n := range k.times {
			t.Run(fmt.Sprintf("%s:%d", k.point, n), func(t *testing.T) {
				t.Parallel()
				p := c.lake(t)
				dir := p.path("backup")
				p.must("backup", dir)
				p.must("backup", dir) // a second generation
				// Acknowledged, and not an object yet.
				o := p.with(fault.Env+"=deliver.batch_logged:1").run("fetch", "--log-level", "error")
				if o.signal != syscall.SIGKILL {
					t.Fatalf("%v\nwant it to be killed", o)
				}
				p.must("fetch")
				p.must("run")
				args := []string{"backup", dir, "--keep", "1"}
				if o := p.with(fmt.Sprintf("%s=%s:%d", fault.Env, k.point, n)).run(args...); o.signal != syscall.SIGKILL {
					t.Fatalf("%v\nwant it to be killed at %s", o, k.point)
				}
				if o := p.run("backup", "--verify", dir); o.status != 0 {
					t.Errorf("%v\nwant the generations of before to be whole", o)
				}
				var next taken
				p.mustJSON(&next, args...)
				if n := next.NewFiles; k.point == "backup.written" && n > 8 {
					t.Errorf("%d of %d files were copied again", n, next.Files)
				}
				p.verified(dir, 1)
				q := p.kept(t, dir)
				c.whole(q)
			})
		}
	}
}

// TestKillRestore kills restore after each of its steps. What was there is there, whole,
// under one of two names; the next restore goes on.
func TestKillRestore(t *testing.T) {
	c := newCrash(t)
	p := c.lake(t)
	p.must("fetch")
	p.must("run")
	dir := p.path("backup")
	p.must("backup", dir)
	for _, k := range backupKills {
		if k.command != "restore" {
			continue
		}
		for _, n := range k.times {
			t.Run(fmt.Sprintf("%s:%d", k.point, n), func(t *testing.T) {
				t.Parallel()
				q := c.lake(t) // with another lake in its place
				o := q.with(fmt.Sprintf("%s=%s:%d", fault.Env, k.point, n)).run("restore", dir, "--force")
				if o.signal != syscall.SIGKILL {
					t.Fatalf("%v\nwant it to be killed at %s", o, k.point)
				}
				if k.point == "restore.placed" {
					q.want(1, "restore", dir).says(t, "there is something here")
				} else {
					q.must("restore", dir, "--force")
				}
				q.healthy()
				c.whole(q)
				aside, err := filepath.Glob(q.path("lake.before-*"))
				if err != nil || len(aside) != 1 {
					t.Errorf("the lake of before is at %v, %v", aside, err)
				}
				if left, _ := filepath.Glob(q.path("lake.restoring-*")); len(left) > 0 {
					t.Errorf("%v are left", left)
				}
			})
		}
	}
}

// TestBackupOfARunCutOff backs a lake up whose run was killed: nothing is wrong with the
// restored lake, and it begins the run anew, while the lake itself takes it up. And one
// whose fetch was killed with records in the log.
func TestBackupOfARunCutOff(t *testing.T) {
	c := newCrash(t)
	for _, k := range []kill{
		{"collect.put", "fetch", []int{3}, true}, // acknowledged, and in the log alone
		{"deliver.batch_logged", "fetch", []int{2}, false},
		{"deliver.object_put", "fetch", []int{2}, true},
		{"deliver.notified", "fetch", []int{1}, true},
		{"crawl.claimed", "run", []int{1}, true},
		{"clean.split", "run", []int{1}, true},
		{"optimize.staged", "run", []int{2}, true},
		{"quality.judged", "run", []int{2}, true},
		{"publish.revisions", "run", []int{1}, true},
		{"publish.promoted", "run", []int{1}, true},
		{"publish.latest", "run", []int{1}, true},
		{"publish.recorded", "run", []int{1}, true},
		{"flow.run_ended", "run", []int{1}, true},
	} {
		t.Run(fmt.Sprintf("%s:%d in %s", k.point, k.times[0], k.command), func(t *testing.T) {
			t.Parallel()
			p := c.lake(t)
			if k.command == "run" {
				p.must("fetch")
			}
			if o := p.with(fmt.Sprintf("%s=%s:%d", fault.Env, k.point, k.times[0])).run(k.command); o.signal != syscall.SIGKILL {
				t.Fatalf("%v\nwant it to be killed at %s", o, k.point)
			}
			dir := p.path("backup")
			if o := p.want(0, "backup", dir); o.stderr != "" {
				t.Errorf("%v\nwant it not to wait, nor to complain", o)
			}
			q := p.kept(t, dir)
			for _, x := range []*pipeline{p, q} {
				x.t = t
				if !k.acknowledged {
					x.must("fetch")
				}
				x.must("run")
				c.whole(x)
			}
		})
	}
}

// TestBackupDiskFull lets the files of the backup grow to a limit only: it says what to
// do, the generations of before stay whole, and with room it goes on.
func TestBackupDiskFull(t *testing.T) {
	truth := history("2020-01-01", 1500, "AAA", "BBB", "CCC")
	m := newMarket(t, truth)
	p := newPipeline(t, seedFile(m.URL, "AAA, BBB, CCC"))
	p.must("fetch", "--to", "2021-01-01")
	p.must("run")
	dir := p.path("backup")
	p.must("backup", dir)
	p.must("fetch")
	p.must("run")
	for _, limit := range []int{0, 1, 8, 32, 64, 128, 256} { // blocks of 512 bytes
		args := []string{"backup", dir}
		// The lock of the lake and its lease are small, and written first.
		o := p.finish(p.command([]string{"sh", "-c", fmt.Sprintf(`ulimit -f %d && exec "$0" "$@"`, limit)}, args...), args)
		switch {
		case o.status == 0 && limit < 128:
			t.Fatalf("%v\nwant it to fail with files of at most %d blocks", o, limit)
		case o.status != 0 && o.status != 1:
			t.Fatalf("%v\nwant exit status 1", o)
		case o.status == 1 && !strings.Contains(o.stderr, "room"):
			t.Errorf("%v\nit does not say to make room", o)
		}
		p.must("backup", "--verify", dir)
	}
	p.must("backup", dir, "--keep", "1")
	p.verified(dir, 1)
	p.kept(t, dir).sameAs("bars_1d", truth)
	// A restore that has no room leaves the place as it was.
	text, err := os.ReadFile(p.path("tickerlake.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	q := newPipeline(t, string(text))
	args := []string{"restore", dir}
	o := q.finish(q.command([]string{"sh", "-c", `ulimit -f 32 && exec "$0" "$@"`}, args...), args)
	if o.status != 1 || !strings.Contains(o.stderr, "room") {
		t.Errorf("%v\nwant exit status 1, and to make room", o)
	}
	if _, err := os.Stat(q.path("lake")); err == nil {
		t.Error("there is a lake all the same")
	}
	q.must("restore", dir)
	q.sameAs("bars_1d", truth)
}
