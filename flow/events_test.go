package flow_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/flow"
	"github.com/tickerlake/tickerlake/internal/fault"
)

// events writes the events of a run into a file of dir.
type events struct{ dir string }

func (e events) Run(_ context.Context, r tickerlake.RunEvent) error {
	return appendLine(e.dir, "events", fmt.Sprintf("run %s %s", r.ID, r.State))
}

func (e events) Job(_ context.Context, j tickerlake.JobEvent) error {
	return appendLine(e.dir, "events", fmt.Sprintf("job %s %s", j.ID, j.State))
}

// TestJobThatEndsTheProgram cuts one job off again and again: in the end it fails
// instead of ending the program for ever.
func TestJobThatEndsTheProgram(t *testing.T) {
	dir := t.TempDir()
	for range 5 {
		killed := exec.Command(os.Args[0], "-test.run=^TestKill$")
		killed.Env = append(os.Environ(), childEnv+"="+dir, fault.Env+"=test.job")
		if out, err := killed.CombinedOutput(); err == nil {
			t.Fatalf("not killed: %s", out)
		}
	}
	err := runTraced(t.Context(), dir)
	if tickerlake.CodeOf(err) != tickerlake.Internal || !strings.Contains(err.Error(), "the program ended during this job 5 times") {
		t.Fatal(err)
	}
	if err := runTraced(t.Context(), dir); err != nil {
		t.Errorf("the next run: %v", err)
	}
	db, err := openDB(dir + "/state.db")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	store, err := flow.NewStore(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	runs, err := store.Runs(t.Context(), "main", 5)
	if err != nil || len(runs) != 2 || runs[0].State != flow.RunCompleted || runs[1].State != flow.RunError || runs[1].Jobs[0].CutOff != 5 {
		t.Errorf("%+v, %v", runs, err)
	}
}
