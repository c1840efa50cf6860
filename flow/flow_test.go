package flow_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/flow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openDB opens a state database with the durability of a lake.
func openDB(path string) (*sql.DB, error) {
	return sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(60000)&_txlock=immediate")
}

func newStore(t *testing.T) (*flow.Store, *sql.DB) {
	t.Helper()
	db, err := openDB(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	s, err := flow.NewStore(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	return s, db
}

// seen is Events that remembers, and refuses while full is set.
type seen struct {
	mu   sync.Mutex
	full bool
	rows []string
}

func (s *seen) add(row string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full {
		return tickerlake.Errorf(tickerlake.Full, "seen.add", "ops", "no room")
	}
	s.rows = append(s.rows, row)
	return nil
}

func (s *seen) Run(_ context.Context, e tickerlake.RunEvent) error {
	return s.add(fmt.Sprintf("run %s %s", e.State, e.Error))
}

func (s *seen) Job(_ context.Context, e tickerlake.JobEvent) error {
	_, id, _ := strings.Cut(e.ID, "/")
	return s.add(fmt.Sprintf("job %s %s", id, e.State))
}

// script makes a job that ends as the errors say, one an attempt.
func script(name string, errs ...error) flow.Job {
	n := 0
	return flow.NewJob(name, func(context.Context, *flow.Run) error {
		n++
		if n > len(errs) {
			return nil
		}
		return errs[n-1]
	})
}

func code(c tickerlake.Code) error { return tickerlake.Errorf(c, "test", "thing", "it failed") }

func TestRun(t *testing.T) {
	boom := flow.NewJob("b", func(context.Context, *flow.Run) error { panic("boom") })
	deaf := flow.NewJob("b", func(ctx context.Context, _ *flow.Run) error {
		<-ctx.Done()
		return ctx.Err()
	})
	for _, c := range []struct {
		name string
		job  flow.Job
		want flow.RunState
		code tickerlake.Code
		job2 flow.JobState
		rows []string
	}{
		{"succeeds", script("b"), flow.RunCompleted, "", flow.JobSucceeded,
			[]string{"run RUNNING ", "job a/1 SUCCEEDED", "job b/1 SUCCEEDED", "job c/1 SUCCEEDED", "run COMPLETED "}},
		{"succeeds at last", script("b", code(tickerlake.Unavailable), errors.New("plain")), flow.RunCompleted, "", flow.JobSucceeded,
			[]string{"run RUNNING ", "job a/1 SUCCEEDED", "job b/1 FAILED", "job b/2 FAILED", "job b/3 SUCCEEDED", "job c/1 SUCCEEDED", "run COMPLETED "}},
		{"retries are used up", script("b", code(tickerlake.Unavailable), code(tickerlake.Unavailable), code(tickerlake.Unavailable)),
			flow.RunError, tickerlake.Unavailable, flow.JobFailed,
			[]string{"run RUNNING ", "job a/1 SUCCEEDED", "job b/1 FAILED", "job b/2 FAILED", "job b/3 FAILED", "run ERROR run 20000101t000000-000, job b: thing: it failed"}},
		{"gate", script("b", code(tickerlake.GateFailed)), flow.RunError, tickerlake.GateFailed, flow.JobFailed, nil},
		{"invalid", script("b", code(tickerlake.Invalid)), flow.RunError, tickerlake.Invalid, flow.JobFailed, nil},
		{"conflict", script("b", code(tickerlake.Conflict)), flow.RunError, tickerlake.Conflict, flow.JobFailed, nil},
		{"denied", script("b", code(tickerlake.Denied)), flow.RunError, tickerlake.Denied, flow.JobFailed, nil},
		{"full", script("b", code(tickerlake.Full)), flow.RunError, tickerlake.Full, flow.JobFailed, nil},
		{"panics", boom, flow.RunError, tickerlake.Internal, flow.JobFailed,
			[]string{"run RUNNING ", "job a/1 SUCCEEDED", "job b/1 FAILED", "run ERROR run 20000101t000000-000, job b: panic: boom (the stack is in the log of the run)"}},
		{"takes too long", deaf, flow.RunError, tickerlake.Timeout, flow.JobTimeout,
			[]string{"run RUNNING ", "job a/1 SUCCEEDED", "job b/1 TIMEOUT",
				"run ERROR run 20000101t000000-000, job b: took longer than workflow.timeout, 30 minutes: context deadline exceeded"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, _ := newStore(t)
				events := &seen{}
				e, err := flow.New(flow.Defaults(), flow.Options{Store: store, Events: events})
				if err != nil {
					t.Fatal(err)
				}
				got, err := e.Run(t.Context(), flow.Workflow{Name: "main", Jobs: []flow.Job{script("a"), c.job, script("c")}})
				if got.State != c.want || (err == nil) != (c.code == "") || (err != nil && tickerlake.CodeOf(err) != c.code) {
					t.Fatalf("run ended %s with %v (%s), want %s with code %q", got.State, err, tickerlake.CodeOf(err), c.want, c.code)
				}
				if got.Jobs[1].State != c.job2 {
					t.Errorf("job b ended %s, want %s", got.Jobs[1].State, c.job2)
				}
				if c.want == flow.RunError && got.Jobs[2].State != flow.JobWaiting {
					t.Errorf("job c is %s behind a failed job, want %s", got.Jobs[2].State, flow.JobWaiting)
				}
				if c.rows != nil && !slices.Equal(events.rows, c.rows) {
					t.Errorf("events\n%s\nwant\n%s", strings.Join(events.rows, "\n"), strings.Join(c.rows, "\n"))
				}
				stored, err := store.Run(t.Context(), got.ID)
				if err != nil || stored.State != got.State || stored.Error != got.Error || !stored.Ended.Equal(got.Ended) {
					t.Errorf("stored %+v (%v), returned %+v", stored, err, got)
				}
			})
		})
	}
}

func TestBackoffGrowsWithJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, _ := newStore(t)
		var at []time.Time
		job := flow.NewJob("a", func(context.Context, *flow.Run) error {
			at = append(at, time.Now())
			return code(tickerlake.Unavailable)
		})
		c := flow.Defaults()
		c.Retries = 8
		e, err := flow.New(c, flow.Options{Store: store, Random: func() float64 { return 0.5 }})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Run(t.Context(), flow.Workflow{Name: "main", Jobs: []flow.Job{job}}); err == nil {
			t.Fatal("no error")
		}
		var waits []time.Duration
		for i := range len(at) - 1 {
			waits = append(waits, at[i+1].Sub(at[i]))
		}
		want := []time.Duration{750 * time.Millisecond, 1500 * time.Millisecond, 3 * time.Second, 6 * time.Second, 12 * time.Second, 24 * time.Second, 45 * time.Second, 45 * time.Second}
		if !slices.Equal(waits, want) {
			t.Errorf("waited %v, want %v", waits, want)
		}
	})
}

func TestCancelAndStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, _ := newStore(t)
		events := &seen{}
		e, err := flow.New(flow.Defaults(), flow.Options{Store: store, Events: events})
		if err != nil {
			t.Fatal(err)
		}
		begun := 0
		cancel := func(error) {}
		var cause error
		work := flow.NewJob("b", func(ctx context.Context, r *flow.Run) error {
			begun++
			if cause != nil {
				cancel(cause)
			}
			return ctx.Err()
		})
		once := script("a", nil, errors.New("a succeeded before and must not begin again"))
		w := flow.Workflow{Name: "main", Jobs: []flow.Job{once, work}}

		ctx, c := context.WithCancelCause(t.Context())
		defer c(nil)
		cancel, cause = c, errors.New("SIGTERM")
		r, err := e.Run(ctx, w)
		if !errors.Is(err, tickerlake.Canceled) || r.State != flow.RunRunning || r.Jobs[1].State != flow.JobStopped {
			t.Fatalf("canceled: %+v, %v", r, err)
		}
		cause = nil
		again, err := e.Run(t.Context(), w)
		if err != nil || again.ID != r.ID || !again.Resumed || again.State != flow.RunCompleted || again.Jobs[1].Attempt != 2 {
			t.Fatalf("resumed: %+v, %v", again, err)
		}
		ctx, c = context.WithCancelCause(t.Context())
		defer c(nil)
		cancel, cause = c, flow.ErrStop
		w.Jobs[0] = script("a")
		stopped, err := e.Run(ctx, w)
		if !errors.Is(err, tickerlake.Canceled) || stopped.State != flow.RunStopped || stopped.ID <= r.ID {
			t.Fatalf("stopped: %+v, %v", stopped, err)
		}
		cause = nil
		if next, err := e.Run(t.Context(), w); err != nil || next.Resumed || next.ID <= stopped.ID {
			t.Fatalf("after a stop: %+v, %v", next, err)
		}
		if begun != 4 {
			t.Errorf("job b began %d times, want 4", begun)
		}
		want := "job b/1 STOPPED"
		if !slices.Contains(events.rows, want) {
			t.Errorf("events %q lack %q", events.rows, want)
		}
	})
}

func TestOneRunAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, _ := newStore(t)
		e, err := flow.New(flow.Defaults(), flow.Options{Store: store})
		if err != nil {
			t.Fatal(err)
		}
		var inner error
		var w flow.Workflow
		w = flow.Workflow{Name: "main", Jobs: []flow.Job{flow.NewJob("a", func(ctx context.Context, _ *flow.Run) error {
			_, inner = e.Run(ctx, w)
			return nil
		})}}
		if _, err := e.Run(t.Context(), w); err != nil || !errors.Is(inner, tickerlake.Locked) {
			t.Errorf("outer %v, inner %v", err, inner)
		}
	})
}

func TestPropertiesCountsAndProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, _ := newStore(t)
		var lines []string
		e, err := flow.New(flow.Defaults(), flow.Options{Store: store, Progress: func(p flow.Progress) {
			lines = append(lines, fmt.Sprintf("%s/%d %s %v read=%d %s", p.Job, p.Attempt, p.State, p.Fraction, p.Counts.Read, p.Elapsed))
		}})
		if err != nil {
			t.Fatal(err)
		}
		set := flow.NewJob("set", func(ctx context.Context, r *flow.Run) error {
			time.Sleep(2 * time.Second)
			r.Report(0.5, tickerlake.Counts{Read: 5})
			return errors.Join(r.SetProperty(ctx, "x", "1"), r.SetProperty(ctx, "y", "2"),
				r.UpdateCounts(ctx, func(c *tickerlake.Counts) { c.Read, c.Inserted = 9, 9 }))
		})
		failed := false
		get := flow.NewJob("get", func(ctx context.Context, r *flow.Run) error {
			if x, ok := r.Property("x"); !ok || x != "1" {
				return tickerlake.Errorf(tickerlake.Invalid, "test", "x", "is %q, %v", x, ok)
			}
			if _, ok := r.Property("z"); ok || r.Counts().Read != 9 {
				return tickerlake.Errorf(tickerlake.Invalid, "test", "z", "%v, counts %+v", ok, r.Counts())
			}
			if !failed {
				failed = true
				return errors.New("once")
			}
			return nil
		})
		r, err := e.Run(t.Context(), flow.Workflow{Name: "main", Jobs: []flow.Job{set, get}})
		if err != nil || !r.Counts.Conserved() || r.Counts.Inserted != 9 || r.Properties["y"] != "2" {
			t.Fatalf("%+v, %v", r, err)
		}
		want := []string{"set/1 RUNNING -1 read=0 0s", "set/1 RUNNING 0.5 read=5 2s", "set/1 SUCCEEDED 1 read=9 2s",
			"get/1 RUNNING -1 read=9 0s", "get/1 FAILED -1 read=9 0s", "get/2 RUNNING -1 read=9 0s", "get/2 SUCCEEDED 1 read=9 0s"}
		if !slices.Equal(lines, want) {
			t.Errorf("progress\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
		}
	})
}

func TestRefusedEventsComeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, _ := newStore(t)
		events := &seen{full: true}
		e, err := flow.New(flow.Defaults(), flow.Options{Store: store, Events: events})
		if err != nil {
			t.Fatal(err)
		}
		w := flow.Workflow{Name: "main", Jobs: []flow.Job{script("a", code(tickerlake.Unavailable))}}
		if r, err := e.Run(t.Context(), w); err != nil || r.State != flow.RunCompleted {
			t.Fatalf("%+v, %v", r, err)
		}
		events.full = false
		if _, err := e.Run(t.Context(), w); err != nil {
			t.Fatal(err)
		}
		want := []string{"run RUNNING ", "job a/1 FAILED", "job a/2 SUCCEEDED", "run COMPLETED ", "run RUNNING ", "job a/1 SUCCEEDED", "run COMPLETED "}
		if !slices.Equal(events.rows, want) {
			t.Errorf("events %q, want %q", events.rows, want)
		}
	})
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		config flow.Config
		want   string
	}{
		{flow.Defaults(), ""},
		{flow.Config{Retries: -1, Timeout: tickerlake.Duration(time.Minute)}, "retries: -1: want 0 to 10"},
		{flow.Config{Retries: 11, Timeout: tickerlake.Duration(8 * 24 * time.Hour)}, "retries: 11: want 0 to 10\ntimeout: 8 days: want 1 second to 7 days"},
		{flow.Config{}, "timeout: 0 seconds: want 1 second to 7 days"},
	} {
		got := ""
		if err := c.config.Validate(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%+v: %q, want %q", c.config, got, c.want)
		}
	}
}

func TestWorkflowsThatCannotRun(t *testing.T) {
	store, _ := newStore(t)
	e, err := flow.New(flow.Defaults(), flow.Options{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []flow.Workflow{{Name: "main"}, {Jobs: []flow.Job{script("a")}}, {Name: "main", Jobs: []flow.Job{script("a"), script("a")}}} {
		if _, err := e.Run(t.Context(), w); !errors.Is(err, tickerlake.Invalid) {
			t.Errorf("%+v: %v", w, err)
		}
	}
	if _, err := flow.New(flow.Config{}, flow.Options{Store: store}); !errors.Is(err, tickerlake.Invalid) {
		t.Error(err)
	}
	if _, err := flow.New(flow.Defaults(), flow.Options{}); !errors.Is(err, tickerlake.Invalid) {
		t.Error(err)
	}
}
