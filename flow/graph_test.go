package flow_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/flow"
)

// graph is a workflow of jobs with CONDITIONAL triggers, each written "a=SUCCEEDED &
// b=FAILED > c d", with | for ANY. What a job does is by its name in does: it succeeds,
// fails with an error, or waits until it is canceled if that is errWaits.
func graph(t *testing.T, jobs string, triggers []string, does map[string]error) flow.Workflow {
	t.Helper()
	d := flow.Definition{Jobs: map[string]flow.JobConfig{}}
	for _, j := range strings.Fields(jobs) {
		d.Jobs[j] = flow.JobConfig{SQL: "SELECT 1 AS n", Table: "t" + j, Mode: flow.Replace}
	}
	for _, text := range triggers {
		conditions, then, _ := strings.Cut(text, ">")
		tr := flow.Trigger{Type: flow.Conditional, Logical: flow.All, Jobs: strings.Fields(then)}
		if strings.Contains(conditions, "|") {
			tr.Logical = flow.Any
		}
		for _, c := range strings.FieldsFunc(conditions, func(r rune) bool { return r == '&' || r == '|' || r == ' ' }) {
			job, state, _ := strings.Cut(c, "=")
			tr.Conditions = append(tr.Conditions, flow.Condition{Job: job, State: flow.JobState(state)})
		}
		d.Triggers = append(d.Triggers, tr)
	}
	ds := flow.Definitions{"own": d}
	if err := ds.Validate(func(string) string { return "" }); err != nil {
		t.Fatal(err)
	}
	return ds.Workflow("own", func(name string, _ flow.JobConfig) flow.Job {
		return flow.NewJob(name, func(ctx context.Context, r *flow.Run) error {
			if does[name] == errWaits {
				<-ctx.Done()
				return ctx.Err()
			}
			if err := r.Contribute(ctx, tickerlake.Counts{Read: 1, Inserted: 1}); err != nil {
				return err
			}
			return does[name]
		})
	})
}

var errWaits = errors.New("waits")

func states(r flow.RunResult) string {
	out := map[string]string{}
	for _, j := range r.Jobs {
		out[j.Job] = fmt.Sprintf("%s=%s", j.Job, j.State)
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(out)) {
		list = append(list, out[name])
	}
	return strings.Join(list, " ")
}

func TestConditions(t *testing.T) {
	bad := code(tickerlake.Invalid)
	for _, c := range []struct {
		name, jobs string
		triggers   []string
		fails      []string
		want       string
		state      flow.RunState
	}{
		{"side by side", "a b", nil, nil, "a=SUCCEEDED b=SUCCEEDED", flow.RunCompleted},
		{"one after the other", "a b c", []string{"a=SUCCEEDED > b", "b=SUCCEEDED > c"}, nil, "a=SUCCEEDED b=SUCCEEDED c=SUCCEEDED", flow.RunCompleted},
		{"behind a failure nothing", "a b", []string{"a=SUCCEEDED > b"}, []string{"a"}, "a=FAILED b=WAITING", flow.RunError},
		{"a failure trigger", "a b c", []string{"a=SUCCEEDED > b", "a=FAILED > c"}, []string{"a"}, "a=FAILED b=WAITING c=SUCCEEDED", flow.RunError},
		{"no failure", "a b c", []string{"a=SUCCEEDED > b", "a=FAILED > c"}, nil, "a=SUCCEEDED b=SUCCEEDED c=WAITING", flow.RunCompleted},
		{"all", "a b c", []string{"a=SUCCEEDED & b=SUCCEEDED > c"}, []string{"b"}, "a=SUCCEEDED b=FAILED c=WAITING", flow.RunError},
		{"any", "a b c", []string{"a=SUCCEEDED | b=SUCCEEDED > c"}, []string{"b"}, "a=SUCCEEDED b=FAILED c=SUCCEEDED", flow.RunError},
		{"a diamond", "a b c d", []string{"a=SUCCEEDED > b c", "b=SUCCEEDED & c=SUCCEEDED > d"}, nil, "a=SUCCEEDED b=SUCCEEDED c=SUCCEEDED d=SUCCEEDED", flow.RunCompleted},
		{"any of a mixed pair", "a b c", []string{"a=FAILED | b=SUCCEEDED > c"}, []string{"a"}, "a=FAILED b=SUCCEEDED c=SUCCEEDED", flow.RunError},
	} {
		t.Run(c.name, func(t *testing.T) {
			store, _ := newStore(t)
			e, err := flow.New(flow.Defaults(), flow.Options{Store: store})
			if err != nil {
				t.Fatal(err)
			}
			does := map[string]error{}
			for _, j := range c.fails {
				does[j] = bad
			}
			r, err := e.Run(t.Context(), graph(t, c.jobs, c.triggers, does))
			if got := states(r); got != c.want || r.State != c.state || (err != nil) != (c.state == flow.RunError) {
				t.Errorf("%s %s (%v), want %s %s", r.State, got, err, c.state, c.want)
			}
		})
	}
}

// TestResume runs what failed again, and what follows on it; the rest is taken over with
// its counts.
func TestResume(t *testing.T) {
	store, _ := newStore(t)
	e, err := flow.New(flow.Defaults(), flow.Options{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	does := map[string]error{"b": code(tickerlake.Invalid)}
	w := graph(t, "a b c d", []string{"a=SUCCEEDED > b c", "b=SUCCEEDED > d"}, does)
	failed, err := e.Run(t.Context(), w)
	if err == nil || states(failed) != "a=SUCCEEDED b=FAILED c=SUCCEEDED d=WAITING" {
		t.Fatalf("%s (%v)", states(failed), err)
	}
	delete(does, "b")
	r, err := e.Resume(t.Context(), w, failed.ID, nil, flow.Start{})
	if err != nil || states(r) != "a=SUCCEEDED b=SUCCEEDED c=SUCCEEDED d=SUCCEEDED" || r.ResumedFrom != failed.ID || r.ID == failed.ID {
		t.Fatalf("%+v (%v)", r, err)
	}
	if r.Counts.Read != 4 {
		t.Errorf("%d rows, want one of each job", r.Counts.Read)
	}
	for _, j := range r.Jobs {
		if again := j.Job == "b" || j.Job == "d"; again != j.Started.After(failed.Ended) {
			t.Errorf("job %s began at %s, the run that failed ended at %s", j.Job, j.Started, failed.Ended)
		}
	}
	if _, err := e.Resume(t.Context(), w, r.ID, nil, flow.Start{}); !errors.Is(err, tickerlake.Invalid) || !strings.Contains(err.Error(), "nothing to run again") {
		t.Errorf("of a run that succeeded: %v", err)
	}
	if again, err := e.Resume(t.Context(), w, r.ID, []string{"c"}, flow.Start{}); err != nil || again.State != flow.RunCompleted {
		t.Errorf("of a job that succeeded: %+v (%v)", again, err)
	}
	if _, err := e.Resume(t.Context(), w, "20000101t000000-999", nil, flow.Start{}); !errors.Is(err, tickerlake.NotFound) {
		t.Errorf("of no run: %v", err)
	}
	if _, err := e.Resume(t.Context(), w, r.ID, []string{"x"}, flow.Start{}); !errors.Is(err, tickerlake.Invalid) {
		t.Errorf("of no job: %v", err)
	}
}

// TestStop stops a run, and a job alone.
func TestStop(t *testing.T) {
	for _, c := range []struct{ name, job, want string }{
		{"run", "", "a=STOPPED b=WAITING c=WAITING"},
		{"job", "a", "a=STOPPED b=SUCCEEDED c=WAITING"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, _ := newStore(t)
				e, err := flow.New(flow.Defaults(), flow.Options{Store: store})
				if err != nil {
					t.Fatal(err)
				}
				w := graph(t, "a b c", []string{"a=STOPPED > b", "a=SUCCEEDED > c"}, map[string]error{"a": errWaits})
				done := make(chan flow.RunResult)
				go func() {
					r, _ := e.Run(t.Context(), w)
					done <- r
				}()
				synctest.Wait()
				runs, err := store.Runs(t.Context(), "own", 1)
				if err != nil || len(runs) != 1 {
					t.Fatal(runs, err)
				}
				stopped := make(chan error, 1)
				go func() { _, _, err := e.Stop(t.Context(), runs[0].ID, c.job); stopped <- err }()
				r := <-done
				if err := <-stopped; err != nil {
					t.Fatal(err)
				}
				state := flow.RunStopped
				if c.job != "" {
					state = flow.RunError
				}
				if got := states(r); got != c.want || r.State != state {
					t.Errorf("%s %s, want %s %s", r.State, got, state, c.want)
				}
				if _, _, err := e.Stop(t.Context(), r.ID, ""); !errors.Is(err, tickerlake.Invalid) {
					t.Errorf("of a run that has ended: %v", err)
				}
				if _, _, err := e.Stop(t.Context(), "20000101t000000-999", ""); !errors.Is(err, tickerlake.NotFound) {
					t.Errorf("of no run: %v", err)
				}
			})
		})
	}
}
