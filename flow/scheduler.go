package flow

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/internal/fault"
	"github.com/tickerlake/tickerlake/schedule"
)

// SchedulerOptions are what a Scheduler is given.
type SchedulerOptions struct {
	Engine *Engine
	// Workflows are those of the pipeline file; Main is always among them.
	Workflows Definitions
	// Run carries a workflow out by Engine.Start with how, and tells of it. A run that was
	// taken up there is followed by the one that how begins. Its error is logged.
	Run func(ctx context.Context, workflow string, how Start) error
	// Pending counts the deliveries that the main workflow has not worked on.
	Pending func(ctx context.Context) (int, error)
	// Pace is how fast the clock of the engine runs; the zero Pace: as time does.
	Pace tickerlake.Pace
}

// A Scheduler starts workflows when their triggers fire.
//
// A trigger of type SCHEDULED that has fired while nothing served it fires once when it
// is served again. One of type EVENT fires when BatchSize deliveries have come or when
// BatchWindow has passed since the first of them, on all that have come by then. Both
// are kept in the store, together with the run that they begin: a firing begins one run,
// whenever the program ends.
//
// While there are as many runs as there may be, a SCHEDULED trigger that fires is
// refused, as Glue's ConcurrentRunsExceededException; an EVENT trigger waits.
type Scheduler struct {
	o     SchedulerOptions
	wakes map[string]chan struct{}
}

// NewScheduler makes a scheduler of valid definitions.
func NewScheduler(o SchedulerOptions) *Scheduler {
	s := &Scheduler{o: o, wakes: map[string]chan struct{}{}}
	for _, name := range o.Workflows.Names() {
		s.wakes[name] = make(chan struct{}, 1)
	}
	return s
}

// Delivered tells of n deliveries, and returns when that is durable.
func (s *Scheduler) Delivered(ctx context.Context, n int) error {
	return s.arrived(ctx, s.onEvents(), n, false)
}

// onEvents are the workflows with an EVENT trigger.
func (s *Scheduler) onEvents() (out []string) {
	for _, name := range s.o.Workflows.Names() {
		if s.o.Workflows.Starter(name).Type == Event {
			out = append(out, name)
		}
	}
	return out
}

func (s *Scheduler) arrived(ctx context.Context, workflows []string, n int, atLeast bool) error {
	if n <= 0 || len(workflows) == 0 {
		return nil
	}
	if err := s.o.Engine.o.Store.arrived(ctx, workflows, n, atLeast, s.o.Engine.now()); err != nil {
		return err
	}
	fault.Point("flow.arrived")
	for _, name := range workflows {
		select {
		case s.wakes[name] <- struct{}{}:
		default:
		}
	}
	return nil
}

// Serve starts workflows until ctx is done, and returns when their runs have ended or
// are parked: these are taken up when it is called again. Its error is that of the store.
func (s *Scheduler) Serve(ctx context.Context) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for name := range s.wakes {
		wg.Go(func() {
			if err := s.serve(ctx, name); err != nil && ctx.Err() == nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
				cancel()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// begin makes the triggers ready.
func (s *Scheduler) begin(ctx context.Context) error {
	e := s.o.Engine
	left, err := e.o.Store.Unended(ctx, "")
	if err != nil {
		return err
	}
	for _, r := range left {
		if _, ok := s.wakes[r.Workflow]; ok || r.Workflow == Tidy {
			continue
		}
		if _, _, err := e.End(ctx, r.Workflow, errors.New("the workflow is no longer in the pipeline file")); err != nil {
			return err
		}
	}
	for name := range s.wakes {
		if t := s.o.Workflows.Starter(name); t.Type == Scheduled {
			if err := e.o.Store.arm(ctx, name, t.Schedule, e.now()); err != nil {
				return err
			}
		}
	}
	if s.o.Pending == nil {
		return nil
	}
	n, err := s.o.Pending(ctx)
	if err != nil {
		return err
	}
	return s.arrived(ctx, s.onEvents(), n, true)
}

// A server serves the trigger of one workflow.
type server struct {
	*Scheduler
	name     string
	trigger  Trigger
	schedule *schedule.Schedule
	running  int
	done     chan finished
	firing   *firing   // that no run has begun with yet
	refused  *firing   // to be noted without a run
	rest     time.Time // no start before this time of the machine's clock
	backoff  time.Duration
	// window is the begin of a batch window, by the engine's clock, closes its end by the
	// machine's: who sets a clock does not hold a window open.
	window, closes time.Time
}

type finished struct {
	firing *firing
	err    error
}

func (s *Scheduler) serve(ctx context.Context, name string) error {
	v := &server{Scheduler: s, name: name, trigger: s.o.Workflows.Starter(name), done: make(chan finished)}
	if v.trigger.Type == Scheduled {
		var err error
		if v.schedule, err = schedule.ParseGlue(v.trigger.Schedule); err != nil {
			return err
		}
	}
	defer func() {
		for ; v.running > 0; v.running-- {
			<-v.done
		}
	}()
	cut, err := s.o.Engine.idle(ctx, name)
	if err != nil {
		return err
	}
	for range cut {
		for v.running >= s.o.Workflows.MaxRuns(name) {
			v.ended(<-v.done)
		}
		v.start(ctx, Start{Finish: true})
	}
	for ctx.Err() == nil {
		if err := v.next(ctx); err != nil {
			return err
		}
	}
	return nil
}

// next starts a run if the trigger has fired, or waits until something has changed.
func (v *server) next(ctx context.Context) error {
	store, now := v.o.Engine.o.Store, v.o.Engine.now()
	if v.refused != nil {
		f := v.refused
		v.refused = nil
		return v.refuse(ctx, f)
	}
	state, err := store.trigger(ctx, v.name)
	if err != nil {
		return err
	}
	due, ok := v.due(state, now)
	free := v.running < v.o.Workflows.MaxRuns(v.name)
	switch {
	case v.firing != nil && v.firing.isNoted():
		v.firing = nil
		return nil
	case v.firing != nil || !ok:
		v.wait(ctx, time.Time{})
	case due.After(now):
		v.wait(ctx, due)
	case time.Now().Before(v.rest):
		v.rests(ctx)
	case free:
		v.firing = newFiring(now, state.events)
		fault.Point("flow.fired")
		v.start(ctx, Start{Trigger: v.trigger.Type, firing: v.firing})
	case v.trigger.Type == Scheduled:
		return v.refuse(ctx, newFiring(now, 0))
	default:
		v.wait(ctx, time.Time{})
	}
	return nil
}

// due gives when the trigger fires, false if nothing tells yet.
func (v *server) due(s triggerState, now time.Time) (time.Time, bool) {
	switch v.trigger.Type {
	case Scheduled:
		return v.schedule.Next(s.fired)
	case Event:
		switch {
		case s.events == 0:
			return time.Time{}, false
		case s.events >= *v.trigger.BatchSize || s.since.After(now): // or the clock was set back
			return now, true
		}
		end := s.since.Add(time.Duration(*v.trigger.BatchWindow))
		if !v.window.Equal(s.since) {
			v.window, v.closes = s.since, time.Now().Add(v.o.Pace.Real(end.Sub(now)))
		}
		if !time.Now().Before(v.closes) {
			return now, true
		}
		return end, true
	}
	return time.Time{}, false
}

func (v *server) start(ctx context.Context, how Start) {
	v.running++
	go func() { v.done <- finished{how.firing, v.o.Run(ctx, v.name, how)} }()
}

// refuse takes note of a firing of a schedule that begins no run.
func (v *server) refuse(ctx context.Context, f *firing) error {
	v.o.Engine.o.Log.Warn("a scheduled run is refused: as many runs are under way as there may be", "workflow", v.name, "max_concurrent_runs", v.o.Workflows.MaxRuns(v.name))
	return v.o.Engine.o.Store.note(ctx, v.name, f)
}

// ended takes note of a run that has ended. One that could not begin is tried again, not
// at once.
func (v *server) ended(f finished) {
	v.running--
	if f.firing == nil || f.firing != v.firing {
		return
	}
	v.firing = nil
	switch {
	case f.firing.isNoted():
		v.backoff = 0
		return
	case v.trigger.Type == Scheduled && errors.Is(f.err, tickerlake.Locked):
		v.refused = f.firing
		return
	}
	v.backoff = min(max(2*v.backoff, firstBackoff), maxBackoff)
	v.rest = time.Now().Add(v.backoff)
	v.o.Engine.o.Log.Warn("a run that was due could not begin: it is tried again", "workflow", v.name, "error", f.err, "in_ms", v.backoff.Milliseconds())
}

// rests waits until starts are tried again.
func (v *server) rests(ctx context.Context) {
	timer := time.NewTimer(time.Until(v.rest))
	defer timer.Stop()
	select {
	case <-timer.C:
	case f := <-v.done:
		v.ended(f)
	case <-ctx.Done():
	}
}

// wait waits until a time, the zero time being none, or until a delivery or the begin or
// end of a run.
func (v *server) wait(ctx context.Context, until time.Time) {
	var noted <-chan struct{}
	if v.firing != nil {
		noted = v.firing.noted
	}
	for {
		var step <-chan time.Time
		if !until.IsZero() {
			left := until.Sub(v.o.Engine.o.Clock())
			if left <= 0 || v.trigger.Type == Event && !time.Now().Before(v.closes) {
				return
			}
			step = time.After(min(max(v.o.Pace.Real(left), time.Millisecond), time.Second))
		}
		select {
		case <-step:
			continue
		case <-v.wakes[v.name]:
		case <-noted:
		case f := <-v.done:
			v.ended(f)
		case <-ctx.Done():
		}
		return
	}
}
