package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/tickerlake/tickerlake/internal/fault"
)

// A kill is a fault point, the command that reaches it and how often it is reached
// before the program dies.
type kill struct {
	point, command string
	times          []int
	// acknowledged says that by then all that the fetch brings is acknowledged, so
	// that it must be published without another fetch.
	acknowledged bool
}

// kills has every fault point of the program.
var kills = []kill{
	{"collect.answered", "fetch", []int{1, 2, 3}, false},
	{"collect.put", "fetch", []int{1, 2}, false},
	{"collect.put", "fetch", []int{3}, true},
	{"collect.flushed", "fetch", []int{1}, true},
	{"deliver.written", "fetch", []int{1, 2, 5}, false},
	{"deliver.synced", "fetch", []int{1, 2, 5}, false},
	{"deliver.batch_logged", "fetch", []int{1, 2}, false},
	{"deliver.object_put", "fetch", []int{1, 2}, true},
	{"deliver.notified", "fetch", []int{1}, true},
	{"deliver.marked", "fetch", []int{1, 2}, true},
	{"deliver.object_put", "run", []int{1, 4}, true},
	{"deliver.marked", "run", []int{1}, true},
	{"flow.run_started", "run", []int{1}, true},
	{"flow.job_started", "run", []int{1, 2, 3, 4, 5}, true},
	{"flow.job_ended", "run", []int{1, 2, 3, 4, 5}, true},
	{"flow.run_ended", "run", []int{1}, true},
	{"crawl.claimed", "run", []int{1}, true},
	{"clean.split", "run", []int{1}, true},
	{"clean.quarantined", "run", []int{1}, true},
	{"optimize.written", "run", []int{1, 2}, true},
	{"optimize.staged", "run", []int{1, 2}, true},
	{"quality.judged", "run", []int{1, 2}, true},
	{"publish.revisions", "run", []int{1}, true},
	{"publish.promoted", "run", []int{1}, true},
	{"publish.latest", "run", []int{1}, true},
	{"publish.recorded", "run", []int{1}, true},
}

// elsewhere are points that no short command reaches, and where they are tested.
var elsewhere = map[string]string{
	"deliver.segment_deleted": "deliver/failure_test.go: a segment of the log is deleted when it is full of what is delivered",
}

// TestKillsAreComplete finds the fault points in the source.
func TestKillsAreComplete(t *testing.T) {
	call := regexp.MustCompile(`fault\.Point\("([^"]+)"\)`)
	all := slices.Concat(kills, rollbackKills, importKills, tidyKills, quarantineKills, backupKills, redriveKills, workflowKills)
	var found []string
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2 {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range call.FindAllStringSubmatch(string(text), -1) {
			found = append(found, m[1])
			if elsewhere[m[1]] == "" && !slices.ContainsFunc(all, func(k kill) bool { return k.point == m[1] }) {
				t.Errorf("%s: no test kills the program at %q", path, m[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range all {
		if !slices.Contains(found, k.point) {
			t.Errorf("the program has no fault point %q", k.point)
		}
	}
}

// A crash is a lake with bars and a market that has more: new bars, a corrected one
// and a symbol that a rule sets aside.
type crash struct {
	start         *pipeline
	file          string
	want, revised prices
}

func newCrash(t *testing.T) *crash {
	t.Helper()
	first := history("2024-03-01", 30, "AAA", "BBB")
	later := history("2024-03-01", 33, "AAA", "BBB", "BAD")
	later["AAA"][28].close += 0.5
	for i := range later["BAD"] {
		later["BAD"][i].close, later["BAD"][i].high = 5000, 5001
	}
	m := newMarket(t, first)
	c := &crash{
		start: newPipeline(t, seedFile(m.URL, "AAA, BBB")),
		file:  seedFile(m.URL, "AAA, BBB, BAD", `quality: {rules: 'Rules = [ RowCount > 0, IsPrimaryKey "symbol" "ts", ColumnValues "close" < 1000 ]'}`),
		want:  later.clone(), revised: prices{"AAA": first["AAA"][28:29]},
	}
	delete(c.want, "BAD")
	c.start.must("fetch")
	c.start.must("run")
	c.start.sameAs("bars_1d", first)
	m.set(later)
	return c
}

// lake is a copy of the lake.
func (c *crash) lake(t *testing.T) *pipeline {
	t.Helper()
	p := newPipeline(t, c.file)
	if err := os.CopyFS(p.path("lake"), os.DirFS(c.start.path("lake"))); err != nil {
		t.Fatal(err)
	}
	return p
}

// whole demands that every bar and every revision is published once, and that
// nothing waits.
func (c *crash) whole(p *pipeline) {
	p.t.Helper()
	p.sameAs("bars_1d", c.want)
	p.sameAs("bars_1d_revisions", c.revised)
	p.conserved()
	p.settled()
	aside := p.value(`SELECT count(DISTINCT ts) FROM ops.quarantine WHERE symbol = 'BAD' AND reason LIKE 'rule ColumnValues%'`)
	if aside != "33" {
		p.t.Errorf("%s of the 33 bars that break the rule are in ops.quarantine", aside)
	}
	p.must("check")
	before := p.still()
	p.must("run")
	p.unchangedSince(before)
}

// TestKill kills the program after each of its durable steps.
func TestKill(t *testing.T) {
	c := newCrash(t)
	for _, k := range kills {
		for _, n := range k.times {
			t.Run(fmt.Sprintf("%s:%d in %s", k.point, n, k.command), func(t *testing.T) {
				t.Parallel()
				p := c.lake(t)
				if k.command == "run" {
					p.must("fetch")
				}
				o := p.with(fmt.Sprintf("%s=%s:%d", fault.Env, k.point, n)).run(k.command)
				if o.signal != syscall.SIGKILL {
					t.Fatalf("%v\nwant it to be killed at %s", o, k.point)
				}
				if !k.acknowledged {
					p.must("fetch")
				}
				p.must("run")
				c.whole(p)
			})
		}
	}
}

// TestKillAtSystemCalls kills the program anywhere: at a number of system calls that
// change what is on disk.
func TestKillAtSystemCalls(t *testing.T) {
	needStrace(t)
	c := newCrash(t)
	for _, command := range []string{"fetch", "run"} {
		for calls, times := range map[string][]int{
			"write,pwrite64":  {7, 30},
			"fsync,fdatasync": {3, 10},
			"openat":          {80},
			"mkdirat,linkat,renameat,renameat2,unlinkat": {2},
		} {
			for _, n := range times {
				t.Run(fmt.Sprintf("%s:%d in %s", calls, n, command), func(t *testing.T) {
					t.Parallel()
					p := c.lake(t)
					if command == "run" {
						p.must("fetch")
					}
					// Each thread counts its own calls: which one it is differs from run to run.
					strace := []string{"strace", "-f", "-o", os.DevNull, "-e", "trace=" + calls, "-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", calls, n)}
					if o := p.finish(p.command(strace, command), []string{command}); o.status != 0 && o.signal != syscall.SIGKILL {
						t.Fatalf("%v\nwant it to be killed, or to be done", o)
					}
					p.must("fetch")
					p.must("run")
					c.whole(p)
				})
			}
		}
	}
}

// settled demands that no raw object waits or is lost and that no candidate is left.
func (p *pipeline) settled() {
	p.t.Helper()
	var s struct {
		Ledger []struct {
			State   string `json:"state"`
			Objects int    `json:"objects"`
		} `json:"ledger"`
	}
	p.mustJSON(&s, "status")
	entered := 0
	for _, l := range s.Ledger {
		if l.State != "published" && l.Objects > 0 {
			p.t.Errorf("%d raw objects are %s", l.Objects, l.State)
		}
		entered += l.Objects
	}
	objects, err := filepath.Glob(p.path("lake", "buckets", "raw", "raw", "bars", "dt=*", "*.gz"))
	if err != nil {
		p.t.Fatal(err)
	}
	if entered != len(objects) {
		p.t.Errorf("the ledger has %d raw objects, the bucket has %d", entered, len(objects))
	}
	if left, _ := filepath.Glob(p.path("lake", "buckets", "staging", "*")); len(left) > 0 {
		p.t.Errorf("runs have left files in staging: %v", left)
	}
}
