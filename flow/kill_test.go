package flow_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tickerlake/tickerlake/flow"
	"github.com/tickerlake/tickerlake/internal/fault"
)

// childEnv makes the test program run the workflow of TestKill over the folder that
// it names.
const childEnv = "TICKERLAKE_FLOW_TEST_DIR"

// TestKill kills the program at each fault point of the engine, in each job, and
// proves that the next program ends the same run, each job once more at most.
func TestKill(t *testing.T) {
	if dir := os.Getenv(childEnv); dir != "" {
		if err := runTraced(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, c := range []struct {
		point string
		want  string // the attempts of the jobs a, b and c, over both programs
	}{
		{"flow.run_started", "a1 b1 c1"},
		{"flow.job_started:1", "a2 b1 c1"},
		{"flow.job_started:2", "a1 b2 c1"},
		{"flow.job_started:3", "a1 b1 c2"},
		{"test.job:1", "a1 a2 b1 c1"},
		{"test.job:2", "a1 b1 b2 c1"},
		{"test.job:3", "a1 b1 c1 c2"},
		{"flow.job_ended:1", "a1 b1 c1"},
		{"flow.job_ended:2", "a1 b1 c1"},
		{"flow.job_ended:3", "a1 b1 c1"},
		{"flow.run_ended", "a1 b1 c1"},
	} {
		t.Run(c.point, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			killed := exec.Command(os.Args[0], "-test.run=^TestKill$")
			killed.Env = append(os.Environ(), childEnv+"="+dir, fault.Env+"="+c.point)
			if out, err := killed.CombinedOutput(); err == nil || !strings.Contains(err.Error(), "killed") {
				t.Fatalf("the program was not killed at %s: %v\n%s", c.point, err, out)
			}
			if err := runTraced(t.Context(), dir); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(filepath.Join(dir, "trace"))
			if err != nil {
				t.Fatal(err)
			}
			got := strings.TrimSpace(string(text))
			runs := map[string]bool{}
			var attempts []string
			for _, f := range strings.Fields(got) {
				attempt, run, _ := strings.Cut(f, "@")
				runs[run] = true
				attempts = append(attempts, attempt)
			}
			want := c.want
			if c.point == "flow.run_ended" {
				// That run was over: the second program began another.
				want += " a1 b1 c1"
			}
			if strings.Join(attempts, " ") != want || len(runs) != strings.Count(want, "c1") && c.point == "flow.run_ended" {
				t.Errorf("jobs began %s, want %s", got, want)
			}
			if c.point != "flow.run_ended" && len(runs) != 1 {
				t.Errorf("%d runs in %s, want the one that was cut off", len(runs), got)
			}
			events, err := os.ReadFile(filepath.Join(dir, "events"))
			if err != nil {
				t.Fatal(err)
			}
			for run := range runs {
				for _, e := range []string{"run " + run + " COMPLETED", "job " + run + "/c/"} {
					if !strings.Contains(string(events), e) {
						t.Errorf("events lack %q:\n%s", e, events)
					}
				}
			}
		})
	}
}

// runTraced runs a workflow of three jobs that write into the file trace when they
// begin: job, attempt, run.
func runTraced(ctx context.Context, dir string) error {
	db, err := openDB(filepath.Join(dir, "state.db"))
	if err != nil {
		return err
	}
	defer db.Close()
	store, err := flow.NewStore(ctx, db)
	if err != nil {
		return err
	}
	e, err := flow.New(flow.Defaults(), flow.Options{Store: store, LogDir: filepath.Join(dir, "logs"), Events: events{dir}})
	if err != nil {
		return err
	}
	w := flow.Workflow{Name: "main"}
	for _, name := range []string{"a", "b", "c"} {
		w.Jobs = append(w.Jobs, flow.NewJob(name, func(_ context.Context, r *flow.Run) error {
			err := appendLine(dir, "trace", fmt.Sprintf("%s%d@%s", name, r.Attempt(), r.ID()))
			fault.Point("test.job")
			return err
		}))
	}
	r, err := e.Run(ctx, w)
	if err == nil && r.State != flow.RunCompleted {
		err = fmt.Errorf("run ended %s", r.State)
	}
	return err
}

func appendLine(dir, name, line string) error {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = fmt.Fprintln(f, line)
	return err
}
