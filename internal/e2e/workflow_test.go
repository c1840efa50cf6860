package e2e

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/tickerlake/tickerlake/internal/fault"
)

// workflowKills has the fault points of workflows of the pipeline file, and of triggers.
var workflowKills = []kill{
	{"derive.staged", "run", []int{1, 2, 3}, true},
	{"derive.promoted", "run", []int{1, 2, 3}, true},
	{"flow.job_started", "run", []int{1, 2, 3}, true},
	{"flow.job_ended", "run", []int{1, 2, 3}, true},
	{"flow.run_ended", "run", []int{1}, true},
	{"flow.arrived", "up", []int{1}, true},
	{"flow.fired", "up", []int{1}, true},
}

const workflowFile = `
workflows:
  own:
    jobs:
      added: {sql: "SELECT symbol, count(*) AS bars FROM bars_1d GROUP BY symbol", table: added, mode: append}
      merged: {sql: "SELECT symbol, count(*) AS bars, (SELECT count(*) FROM added) AS rows FROM bars_1d GROUP BY symbol", table: merged, mode: merge, keys: [symbol]}
      replaced: {sql: "SELECT count(*) AS n FROM merged", table: replaced, mode: replace, rules: "Rules = [ RowCount = 1 ]"}
    triggers:
      - {type: CONDITIONAL, conditions: [{job: added, state: SUCCEEDED}], jobs: [merged]}
      - {type: CONDITIONAL, conditions: [{job: merged, state: SUCCEEDED}], jobs: [replaced]}
`

// TestKillWorkflows kills the program while jobs of one's own publish, and while a trigger
// fires. What a job adds is added once a run.
func TestKillWorkflows(t *testing.T) {
	truth := history("2024-03-01", 30, "AAA", "BBB")
	m := newMarket(t, truth)
	file := strings.Replace(seedFile(m.URL, "AAA, BBB"), "sources:", strings.TrimPrefix(workflowFile, "\n")+"sources:", 1)
	start := newPipeline(t, file)
	start.must("fetch")
	start.must("run")
	start.must("run", "own")
	for _, k := range workflowKills {
		for _, n := range k.times {
			t.Run(fmt.Sprintf("%s:%d in %s", k.point, n, k.command), func(t *testing.T) {
				t.Parallel()
				p := newPipeline(t, file)
				args, runs := []string{"run", "own"}, 2 // the first, and the one that is killed
				if k.command == "up" {
					args, runs = []string{"up", "--listen", "127.0.0.1:0"}, 0
					p.must("fetch") // a trigger begins a run on it
				} else if err := os.CopyFS(p.path("lake"), os.DirFS(start.path("lake"))); err != nil {
					t.Fatal(err)
				}
				o := p.with(fmt.Sprintf("%s=%s:%d", fault.Env, k.point, n)).run(args...)
				if o.signal != syscall.SIGKILL {
					t.Fatalf("%v\nwant it to be killed at %s", o, k.point)
				}
				p.must("run")
				if k.point != "flow.run_ended" {
					p.must("run", "own") // finishes the one that was killed, and is one more
					runs++
				}
				p.sameAs("bars_1d", truth)
				got := fmt.Sprint(p.rows("SELECT (SELECT count(*) FROM added), (SELECT sum(bars) FROM added), (SELECT count(*) FROM merged), (SELECT max(rows) FROM merged), (SELECT sum(n) FROM replaced)"))
				if want := fmt.Sprintf("[[%d %d 2 %d 2]]", 2*runs, 60*runs, 2*runs); got != want {
					t.Errorf("the tables have %s, want %s", got, want)
				}
				p.conserved()
				p.settled()
				p.must("doctor", "--deep")
			})
		}
	}
}
