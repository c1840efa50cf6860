package flow_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/flow"
)

// A house is a scheduler with what it starts. Its runs take takes, and are noted with the
// minute and second at which they begin.
type house struct {
	*testing.T
	engine *flow.Engine
	store  *flow.Store
	takes  time.Duration
	fail   error // of the next start, once
	hold   int   // deliveries that Pending tells of

	mu  sync.Mutex
	ran []string
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{T: t}
	h.store, _ = newStore(t)
	var err error
	if h.engine, err = flow.New(flow.Defaults(), flow.Options{Store: h.store}); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) note(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ran = append(h.ran, time.Now().UTC().Format("15:04:05 ")+fmt.Sprintf(format, args...))
}

// serve serves the workflows until stop is called.
func (h *house) serve(ds flow.Definitions) (s *flow.Scheduler, stop func()) {
	h.Helper()
	if err := ds.Validate(func(string) string { return "" }); err != nil {
		h.Fatal(err)
	}
	s = flow.NewScheduler(flow.SchedulerOptions{
		Engine: h.engine, Workflows: ds,
		Pending: func(context.Context) (int, error) { return h.hold, nil },
		Run: func(ctx context.Context, name string, how flow.Start) error {
			if err := h.fail; err != nil {
				h.fail = nil
				return err
			}
			w := ds.Workflow(name, func(job string, _ flow.JobConfig) flow.Job { return flow.NewJob(job, h.job) })
			if name == flow.Main {
				w.Jobs, w.Starts = []flow.Job{flow.NewJob("publish", h.job)}, nil
			}
			r, err := h.engine.Start(ctx, w, how)
			if r.ID != "" {
				h.note("%s %s %s resumed=%v", name, r.Trigger, r.State, r.Resumed)
			}
			return err
		},
	})
	ctx, cancel := context.WithCancel(h.Context())
	ended := make(chan error)
	go func() { ended <- s.Serve(ctx) }()
	synctest.Wait()
	return s, func() {
		cancel()
		if err := <-ended; err != nil {
			h.Errorf("Serve: %v", err)
		}
	}
}

func (h *house) job(ctx context.Context, r *flow.Run) error {
	h.note("%s begins", r.Workflow())
	select {
	case <-time.After(h.takes):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *house) want(rows ...string) {
	h.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Equal(h.ran, rows) {
		h.Errorf("ran\n%q\nwant\n%q", h.ran, rows)
	}
	h.ran = nil
}

func (h *house) deliver(s *flow.Scheduler, n int) {
	h.Helper()
	if err := s.Delivered(h.Context(), n); err != nil {
		h.Fatal(err)
	}
	synctest.Wait()
}

func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// own is a workflow with one job and a trigger.
func own(t flow.Trigger) flow.Definition {
	return flow.Definition{Jobs: map[string]flow.JobConfig{"j": {SQL: "SELECT 1 AS n", Table: "own", Mode: flow.Replace}}, Triggers: []flow.Trigger{t}}
}

// TestScheduled has a trigger fire by the clock, once for what a stop has missed.
func TestScheduled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t) // it is midnight
		h.takes = time.Second
		ds := flow.Definitions{"own": own(flow.Trigger{Type: flow.Scheduled, Schedule: "cron(0/5 * * * ? *)"})}
		_, stop := h.serve(ds)
		pass(11 * time.Minute)
		h.want("00:05:00 own begins", "00:05:01 own SCHEDULED COMPLETED resumed=false", "00:10:00 own begins", "00:10:01 own SCHEDULED COMPLETED resumed=false")
		stop()
		pass(time.Hour)
		_, stop = h.serve(ds)
		pass(5 * time.Minute)
		h.want("01:11:00 own begins", "01:11:01 own SCHEDULED COMPLETED resumed=false", "01:15:00 own begins", "01:15:01 own SCHEDULED COMPLETED resumed=false")
		stop()
		// Another expression counts from now on.
		_, stop = h.serve(flow.Definitions{"own": own(flow.Trigger{Type: flow.Scheduled, Schedule: "cron(0 2 * * ? *)"})})
		pass(time.Hour)
		h.want("02:00:00 own begins", "02:00:01 own SCHEDULED COMPLETED resumed=false")
		stop()
	})
}

// TestScheduledWhileRunning refuses a firing while as many runs are under way as there
// may be.
func TestScheduledWhileRunning(t *testing.T) {
	for runs, want := range map[int][]string{
		1: {"00:05:00 own begins", "00:11:00 own SCHEDULED COMPLETED resumed=false", "00:15:00 own begins"},
		2: {"00:05:00 own begins", "00:10:00 own begins", "00:11:00 own SCHEDULED COMPLETED resumed=false", "00:15:00 own begins", "00:16:00 own SCHEDULED COMPLETED resumed=false"},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			h.takes = 6 * time.Minute
			d := own(flow.Trigger{Type: flow.Scheduled, Schedule: "cron(0/5 * * * ? *)"})
			d.MaxConcurrentRuns = &runs
			_, stop := h.serve(flow.Definitions{"own": d})
			pass(17 * time.Minute)
			h.want(want...)
			stop()
		})
	}
}

// TestEvent has deliveries fire a trigger: by their number, or when a window has passed.
func TestEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.takes = 10 * time.Second
		three, window := 3, tickerlake.Duration(time.Minute)
		s, stop := h.serve(flow.Definitions{"own": own(flow.Trigger{Type: flow.Event, BatchSize: &three, BatchWindow: &window}),
			flow.Main: {Triggers: []flow.Trigger{{Type: flow.OnDemand}}}})
		h.deliver(s, 2)
		pass(59 * time.Second)
		h.want()
		pass(time.Second)
		h.want("00:01:00 own begins")
		h.deliver(s, 1) // while it runs: they wait for the next
		h.deliver(s, 1)
		h.deliver(s, 1)
		pass(25 * time.Second)
		h.want("00:01:10 own EVENT COMPLETED resumed=false", "00:01:10 own begins", "00:01:20 own EVENT COMPLETED resumed=false")
		pass(time.Hour)
		h.want()
		h.deliver(s, 1)
		stop() // the window goes on while nothing serves it
		pass(2 * time.Minute)
		_, stop = h.serve(flow.Definitions{"own": own(flow.Trigger{Type: flow.Event, BatchSize: &three, BatchWindow: &window}),
			flow.Main: {Triggers: []flow.Trigger{{Type: flow.OnDemand}}}})
		pass(11 * time.Second)
		h.want("01:03:25 own begins", "01:03:35 own EVENT COMPLETED resumed=false")
		stop()
	})
}

// TestMainByDefault starts main on deliveries and on what an earlier process has left.
func TestMainByDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.takes, h.hold = 3*time.Second, 2
		s, stop := h.serve(nil)
		pass(time.Minute)
		h.want("00:00:01 main begins", "00:00:04 main EVENT COMPLETED resumed=false")
		h.deliver(s, 1)
		h.deliver(s, 1)
		pass(2 * time.Second)
		h.want("00:01:01 main begins")
		stop() // parked
		h.want("00:01:02 main EVENT RUNNING resumed=false")
		h.hold = 0
		_, stop = h.serve(nil)
		pass(time.Minute)
		h.want("00:01:02 main begins", "00:01:05 main EVENT COMPLETED resumed=true")
		stop()
	})
}

// TestBeginsAgain has a run that could not begin begin later.
func TestBeginsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.fail = errors.New("the disk is full")
		s, stop := h.serve(nil)
		h.deliver(s, 1)
		pass(time.Minute)
		h.want("00:00:02 main begins", "00:00:02 main EVENT COMPLETED resumed=false")
		stop()
	})
}

// TestGone ends runs of workflows that the file has no more.
func TestGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.takes = time.Hour
		_, stop := h.serve(flow.Definitions{"own": own(flow.Trigger{Type: flow.Scheduled, Schedule: "cron(0/5 * * * ? *)"})})
		pass(6 * time.Minute)
		stop()
		_, stop = h.serve(nil)
		stop()
		runs, err := h.store.Runs(t.Context(), "own", 10)
		if err != nil || len(runs) != 1 || runs[0].State != flow.RunStopped || runs[0].Error == "" {
			t.Errorf("the run is %+v (%v), want it STOPPED with a reason", runs, err)
		}
	})
}
