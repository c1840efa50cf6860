package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake/flow"
)

const ownFile = upFile + `
workflows:
  counted:
    jobs:
      all: {sql: "SELECT symbol, count(*) AS bars FROM bars_1d GROUP BY symbol", table: counted, mode: merge, keys: [symbol]}
      log: {sql: "SELECT sum(bars) AS bars FROM counted", table: log, mode: append}
    triggers:
      - {type: SCHEDULED, schedule: "cron(30 * * * ? *)"}
      - {type: CONDITIONAL, conditions: [{job: all, state: SUCCEEDED}], jobs: [log]}
  slow:
    max_concurrent_runs: 2
    jobs:
      first: {sql: "SELECT 1 AS n", table: first, mode: append}
      endless: {sql: "SELECT count(*) AS n FROM bars_1d a, bars_1d b, bars_1d c, bars_1d d, bars_1d e, bars_1d f WHERE a.high + b.high + c.high + d.high + e.high + f.high < 0", table: endless, mode: append}
      mourn: {sql: "SELECT 'endless was stopped' AS what", table: mourned, mode: append}
    triggers:
      - {type: CONDITIONAL, conditions: [{job: first, state: SUCCEEDED}], jobs: [endless]}
      - {type: CONDITIONAL, conditions: [{job: endless, state: STOPPED}], jobs: [mourn]}
`

// lastRun is the newest run of a workflow that status tells of.
func (p *program) lastRun(workflow string) (r flow.RunResult) {
	p.Helper()
	var s struct {
		Runs []flow.RunResult `json:"runs"`
	}
	if err := json.Unmarshal([]byte(p.do("--json", "status")), &s); err != nil {
		p.Fatal(err)
	}
	for _, r := range s.Runs {
		if r.Workflow == workflow {
			return r
		}
	}
	return r
}

// TestUpWorkflows has a workflow of the file run by its schedule, and stops another.
func TestUpWorkflows(t *testing.T) {
	p := newProgram(t, ownFile)
	u := p.up()
	u.await("78 inserted")
	u.sleep(31 * time.Minute)
	u.await("3 rows in, 3 inserted")
	if got := p.ask("SELECT symbol, bars FROM counted ORDER BY symbol"); got != "AMZN,39\nIBM,39" {
		t.Errorf("counted has %s", got)
	}
	if r := p.lastRun("counted"); r.State != flow.RunCompleted || r.Trigger != flow.Scheduled {
		t.Errorf("the run is %+v", r)
	}
	if out := p.do("run", "counted"); !strings.Contains(out, "3 rows in, 1 inserted, 2 replaced") {
		t.Errorf("run says %s", out)
	}

	// A job that has no end.
	endless := func() string {
		for range 600 {
			if r := p.lastRun("slow"); r.State == flow.RunRunning && len(r.Jobs) == 3 && r.Jobs[1].State == flow.JobRunning {
				return r.ID
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Fatalf("no run of slow is at its second job: %+v", p.lastRun("slow"))
		return ""
	}
	type ended struct {
		errs   string
		status int
	}
	done := make(chan ended, 1)
	start := func() {
		go func() {
			_, errs, status := p.try("run", "slow")
			done <- ended{errs, status}
		}()
	}
	start()
	id := endless()
	if out := p.do("cancel", id); out != "run "+id+" is stopped\n" {
		t.Errorf("cancel says %q", out)
	}
	if e := <-done; e.status != 1 || !strings.Contains(e.errs, "stopped") {
		t.Errorf("the run that was stopped: %+v", e)
	}
	if r := p.lastRun("slow"); r.State != flow.RunStopped || r.Jobs[2].State != flow.JobWaiting {
		t.Errorf("the run that was stopped is %+v", r)
	}
	if _, errs, status := p.try("cancel", id); status == 0 || !strings.Contains(errs, "it has ended as STOPPED") {
		t.Errorf("cancel again: %d %s", status, errs)
	}
	start()
	id = endless()
	if out := p.do("cancel", id, "endless"); out != "run "+id+": job endless is canceled\n" {
		t.Errorf("cancel says %q", out)
	}
	if e := <-done; e.status != 1 {
		t.Errorf("the run whose job was stopped: %+v", e)
	}
	if r := p.lastRun("slow"); r.State != flow.RunError || r.Jobs[1].State != flow.JobStopped || r.Jobs[2].State != flow.JobSucceeded {
		t.Errorf("the run whose job was stopped is %+v", r)
	}
	if got := p.ask("SELECT what FROM mourned"); got != "endless was stopped" {
		t.Errorf("mourned has %s", got)
	}
	if status := u.stop(); status != 0 {
		t.Errorf("exit status %d\n%s", status, &u.errs)
	}
	if left, _ := filepath.Glob(filepath.Join(p.dir, "lake", "tmp", jobRows)); len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
	if out := p.do("doctor", "--deep"); !strings.Contains(out, "nothing is wrong") {
		t.Error(out)
	}
}

// TestResumeRun runs again what failed in a run, and adds nothing twice.
func TestResumeRun(t *testing.T) {
	const file = "sources: {market: {preset: simulated, since: 2026-01-05, symbols: [IBM]}}\nworkflows: {own: {jobs: {" +
		`a: {sql: "SELECT 1 AS n", table: a, mode: append}, b: {sql: "SELECT %s AS n FROM a", table: b, mode: append}}, triggers: [{type: CONDITIONAL, conditions: [{job: a, state: SUCCEEDED}], jobs: [b]}]}}`
	p := newProgram(t, strings.ReplaceAll(file, "%s", "nothing"))
	p.do("fetch")
	p.do("run")
	_, errs, status := p.try("run", "own")
	if status != 2 || !strings.Contains(errs, "nothing") {
		t.Fatalf("a job whose SQL names no column: %d %s", status, errs)
	}
	failed := p.lastRun("own")
	if failed.State != flow.RunError {
		t.Fatalf("%+v", failed)
	}
	p.configure(strings.ReplaceAll(file, "%s", "n"))
	p.now = p.now.Add(time.Minute)
	out := p.do("run", "--resume", failed.ID)
	if !regexp.MustCompile(`(?m)^b +succeeded .* 1 row in, 1 inserted$`).MatchString(out) || strings.Contains(out, "a  ") {
		t.Errorf("it says\n%s", out)
	}
	if got := p.ask("SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b)"); got != "1,1" {
		t.Errorf("the tables have %s rows", got)
	}
	// Named, a job is run again; what it has added before is not added again.
	again := p.lastRun("own").ID
	p.now = p.now.Add(time.Minute)
	p.do("run", "--resume", again, "a")
	if got := p.ask("SELECT count(*) FROM a"); got != "1" {
		t.Errorf("a has %s rows", got)
	}
	for _, c := range []struct{ args, says string }{
		{"run --resume 20200101t000000-000", "there is no such run"},
		{"run --resume " + p.lastRun("main").ID, "have succeeded"},
		{"run --resume " + again + " x", `it has not run a job "x"`},
		{"run --resume " + again + " --release", "do not go together"},
		{"cancel " + again, "it has ended as COMPLETED"},
	} {
		if _, errs, status := p.try(strings.Fields(c.args)...); status == 0 || !strings.Contains(errs, c.says) {
			t.Errorf("%s: %d %s", c.args, status, errs)
		}
	}
	// A table that was a job's goes back, is tidied, and read as it was.
	p.now = p.now.Add(time.Minute)
	p.do("run", "own")
	var kept []struct {
		ID      int64 `json:"id"`
		Target  bool  `json:"target"`
		Current bool  `json:"current"`
	}
	if err := json.Unmarshal([]byte(p.do("--json", "snapshots", "a")), &kept); err != nil {
		t.Fatal(err)
	}
	if len(kept) != 2 || !kept[1].Target {
		t.Fatalf("snapshots of a: %+v", kept)
	}
	p.do("tidy")
	if got := p.ask("SELECT count(*) FROM a"); got != "2" {
		t.Errorf("tidied, a has %s rows", got)
	}
	if err := json.Unmarshal([]byte(p.do("--json", "snapshots", "a")), &kept); err != nil {
		t.Fatal(err)
	}
	if _, errs, status := p.try("query", "--as-of", "2000-01-01", "SELECT * FROM a"); status == 0 || !strings.Contains(errs, "no state of the table is kept from before") {
		t.Errorf("as it was before it was: %d %s", status, errs)
	}
	if out := p.do("query", "-f", "csv", "--as-of", time.Now().UTC().Add(24*time.Hour).Format(time.RFC3339), "SELECT count(*) AS n FROM a"); !strings.Contains(out, "2") {
		t.Errorf("as it is: %s", out)
	}
	p.do("rollback", "a", jsonNumber(kept[len(kept)-1].ID))
	if got := p.ask("SELECT count(*) FROM a"); got != "1" {
		t.Errorf("taken back, a has %s rows", got)
	}
	if out := p.do("doctor", "--deep"); !strings.Contains(out, "nothing is wrong") {
		t.Error(out)
	}
	copied := filepath.Join(t.TempDir(), "copy")
	p.do("backup", copied)
	if err := os.RemoveAll(filepath.Join(p.dir, "lake")); err != nil {
		t.Fatal(err)
	}
	p.do("restore", copied)
	if got := p.ask("SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b)"); got != "1,3" {
		t.Errorf("restored, the tables have %s rows", got)
	}
}

func jsonNumber(n int64) string {
	text, _ := json.Marshal(n)
	return string(text)
}
