package flow

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/internal/fault"
)

const (
	// firstBackoff is the longest wait before the first retry; it doubles with each.
	firstBackoff = time.Second
	maxBackoff   = time.Minute
	// maxCutOff is how often the program may end during one job before the job is
	// taken to be what ends it.
	maxCutOff = 5
	// keepRuns is how many runs the store and the folder of logs keep; ops.runs and
	// ops.jobs keep them longer.
	keepRuns = 1000
	// deaf is how long after its timeout a job that goes on is complained about.
	deaf = time.Minute
)

// Options are what an Engine is given.
type Options struct {
	Store *Store
	Clock tickerlake.Clock // default time.Now
	Log   *slog.Logger     // default: discarded
	// LogDir is the folder of the logs of single runs, <run>.jsonl; empty: none.
	LogDir string
	// LogHandler makes the handler that writes such a log. Default: JSON, all levels.
	LogHandler func(w io.Writer) slog.Handler
	Events     Events           // default: none
	Progress   func(p Progress) // called at each change of a job of a run that has no Start.Progress; default: none
	Random     func() float64   // 0 to 1, for the jitter of retries; default math/rand
}

// An Engine runs workflows, each as often at once as it may be.
type Engine struct {
	config Config
	o      Options

	mu      sync.Mutex
	running map[string]int        // by workflow
	active  map[string]*execution // by run

	choosing  sync.Mutex // of the run that is begun or taken up
	reporting sync.Mutex
}

// New makes an engine. It fails with Invalid if the configuration is.
func New(c Config, o Options) (*Engine, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if o.Store == nil {
		return nil, tickerlake.Errorf(tickerlake.Invalid, "flow.New", "", "an engine needs a store")
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.LogHandler == nil {
		o.LogHandler = func(w io.Writer) slog.Handler {
			return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})
		}
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	return &Engine{config: c, o: o, running: map[string]int{}, active: map[string]*execution{}}, nil
}

// A Start says how a run begins.
type Start struct {
	// Trigger is the type of what starts it; OnDemand if empty.
	Trigger TriggerType
	// Progress is called at each change of a job, by one goroutine at a time.
	Progress func(p Progress)
	// Finish takes up a run that was cut off and begins none.
	Finish bool

	firing *firing
	resume *RunResult
	again  map[string]bool
}

// Run is Start on demand.
func (e *Engine) Run(ctx context.Context, w Workflow) (RunResult, error) {
	return e.Start(ctx, w, Start{})
}

// Start takes up the run of the workflow that was cut off, at the jobs that were cut
// off; without one it starts a new run. It returns when the run has ended, with the
// error of the job that failed.
//
// If ctx is canceled, the run stays RUNNING and the error has the code Canceled; if
// ctx is canceled with the cause ErrStop, the run ends as STOPPED. It fails with Locked
// if this engine runs the workflow as often as it may be.
//
// With how.Finish it begins no run: without one that was cut off the result has no id.
func (e *Engine) Start(ctx context.Context, w Workflow, how Start) (RunResult, error) {
	const op = "flow.Engine.Start"
	if err := w.validate(); err != nil {
		return RunResult{}, err
	}
	if !e.claim(w) {
		return RunResult{}, tickerlake.Errorf(tickerlake.Locked, op, "workflow "+w.Name, "%s: wait until one has ended", underway(max(w.MaxConcurrentRuns, 1)))
	}
	defer e.release(w.Name)
	if err := ctx.Err(); err != nil {
		return RunResult{}, &tickerlake.Error{Code: tickerlake.Canceled, Op: op, Name: "workflow " + w.Name, Err: context.Cause(ctx)}
	}
	x, err := e.choose(ctx, w, how)
	if err != nil || x == nil {
		return RunResult{}, err
	}
	defer e.forget(x)
	if !x.result.Resumed && how.firing != nil {
		how.firing.note()
	}
	log, err := openRunLog(e.o, x.result.ID)
	if err != nil {
		return x.result, err
	}
	x.log = log.With("run", x.result.ID, "workflow", w.Name)
	ctx, x.cancel = context.WithCancelCause(ctx)
	e.mu.Lock()
	x.ready = true
	if x.stopped {
		x.cancel(ErrStop)
	}
	e.mu.Unlock()
	err = x.run(ctx, w)
	x.cancel(nil)
	return x.result, errors.Join(err, log.Close())
}

// Resume runs the jobs of a run that has ended without success again, or those named,
// and all that follow on them, as Glue's ResumeWorkflowRun: in a new run, which takes
// over the other jobs as they ended and the properties of the run. It fails with Invalid
// if the run has not ended, or if there is nothing to run again.
func (e *Engine) Resume(ctx context.Context, w Workflow, run string, jobs []string, how Start) (RunResult, error) {
	const op = "flow.Engine.Resume"
	name := "run " + run
	old, err := e.o.Store.Run(ctx, run)
	switch {
	case err != nil:
		return RunResult{}, err
	case old.Workflow != w.Name:
		return RunResult{}, tickerlake.Errorf(tickerlake.Invalid, op, name, "it is of the workflow %s", old.Workflow)
	case old.State == RunRunning:
		return RunResult{}, tickerlake.Errorf(tickerlake.Invalid, op, name, "it has not ended: tickerlake run %s takes it up where it was cut off", w.Name)
	}
	if len(jobs) == 0 {
		for _, j := range old.Jobs {
			if _, known := w.starts()[j.Job]; known && (j.State == JobFailed || j.State == JobTimeout || j.State == JobStopped || j.State == JobRunning) {
				jobs = append(jobs, j.Job)
			}
		}
	}
	for _, job := range jobs {
		if j, ok := old.job(job); !ok || j.State == JobWaiting {
			return RunResult{}, tickerlake.Errorf(tickerlake.Invalid, op, name, "it has not run a job %q", job)
		}
	}
	if len(jobs) == 0 && old.State != RunStopped {
		return RunResult{}, tickerlake.Errorf(tickerlake.Invalid, op, name, "all of its jobs have succeeded: there is nothing to run again; name a job to run it again all the same")
	}
	again := downstream(w.starts(), jobs)
	for _, j := range w.Jobs {
		if was, ok := old.job(j.Name()); w.Whole || !ok || was.State != JobSucceeded && was.State != JobFailed && was.State != JobTimeout && was.State != JobStopped {
			again[j.Name()] = true
		}
	}
	// What is run again counts anew.
	kept := map[string]string{}
	var counts tickerlake.Counts
	for key, value := range old.Properties {
		job, counted := strings.CutPrefix(key, countsProperty)
		if w.Whole || counted && again[job] {
			continue
		}
		if kept[key] = value; counted {
			var c tickerlake.Counts
			if err := json.Unmarshal([]byte(value), &c); err != nil {
				return RunResult{}, stateError(op, err)
			}
			counts = sum(counts, c, 1)
		}
	}
	old.Properties, old.Counts = kept, counts
	how.resume, how.again = &old, again
	return e.Start(ctx, w, how)
}

func underway(n int) string {
	if n == 1 {
		return "a run is under way"
	}
	return "as many runs are under way as there may be (max_concurrent_runs)"
}

// choose gives the run that is taken up or begun; nil if there is none of the former and
// the latter is not wanted.
func (e *Engine) choose(ctx context.Context, w Workflow, how Start) (*execution, error) {
	e.choosing.Lock()
	defer e.choosing.Unlock()
	left, err := e.idle(ctx, w.Name)
	if err != nil {
		return nil, err
	}
	var r RunResult
	switch {
	case len(left) > 0 && how.resume == nil:
		r = left[0]
		r.Resumed = true
	case how.Finish:
		return nil, nil
	default:
		if r, err = e.o.Store.begin(ctx, w, how, e.now(), e.o.Events != nil); err != nil {
			return nil, err
		}
		fault.Point("flow.run_started")
	}
	progress := how.Progress
	if progress == nil {
		progress = e.o.Progress
	}
	x := &execution{Engine: e, result: r, shared: &shared{properties: r.Properties, counts: r.Counts}, ended: make(chan struct{}), stops: map[string]context.CancelCauseFunc{}}
	x.progress = x.oneAtATime(progress)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.active[r.ID] = x
	return x, nil
}

// idle lists the runs of a workflow that have not ended and that nothing works on.
func (e *Engine) idle(ctx context.Context, workflow string) ([]RunResult, error) {
	left, err := e.o.Store.Unended(ctx, workflow)
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.DeleteFunc(left, func(r RunResult) bool { return e.active[r.ID] != nil }), err
}

// End ends the run of a workflow that was cut off, as STOPPED and with why as its error,
// without taking it up; false if there is none.
func (e *Engine) End(ctx context.Context, workflow string, why error) (RunResult, bool, error) {
	e.choosing.Lock()
	defer e.choosing.Unlock()
	left, err := e.idle(ctx, workflow)
	if err != nil || len(left) == 0 {
		return RunResult{}, false, err
	}
	r, err := e.endIdle(ctx, left[0], why)
	return r, true, err
}

func (e *Engine) endIdle(ctx context.Context, r RunResult, why error) (RunResult, error) {
	log, err := openRunLog(e.o, r.ID)
	if err != nil {
		return r, err
	}
	x := &execution{Engine: e, result: r, shared: &shared{properties: r.Properties, counts: r.Counts}, log: log.With("run", r.ID, "workflow", r.Workflow)}
	for i := range x.result.Jobs {
		if j := &x.result.Jobs[i]; err == nil && j.State == JobRunning {
			err = x.cutOff(ctx, j)
		}
	}
	if err == nil {
		err = x.end(ctx, RunStopped, why)
	}
	return x.result, errors.Join(err, log.Close())
}

// Stop ends a run for good, as STOPPED, as Glue's StopWorkflowRun: its jobs are canceled,
// no other begins. It returns when the run has ended; ended before is true if the run was
// not under way but cut off. With a job it cancels that job alone, as Glue's
// BatchStopJobRun, and returns at once: what waits for it to be STOPPED follows.
//
// It fails with NotFound if there is no such run or job under way, and with Invalid if
// the run has ended.
func (e *Engine) Stop(ctx context.Context, run, job string) (r RunResult, idle bool, err error) {
	const op = "flow.Engine.Stop"
	x, err := e.executionOf(ctx, run, job)
	if err != nil {
		return RunResult{}, false, err
	}
	if x == nil {
		r, err := e.stopIdle(ctx, run, job)
		return r, err == nil, err
	}
	if job != "" {
		r, err := e.o.Store.Run(ctx, run)
		return r, false, err
	}
	select {
	case <-x.ended:
	case <-ctx.Done():
		return RunResult{}, false, &tickerlake.Error{Code: tickerlake.Canceled, Op: op, Name: "run " + run, Err: context.Cause(ctx)}
	}
	r, err = e.o.Store.Run(ctx, run)
	return r, false, err
}

// executionOf finds a run that is under way and cancels it or a job of it.
func (e *Engine) executionOf(_ context.Context, run, job string) (*execution, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	x := e.active[run]
	switch {
	case x == nil:
		return nil, nil
	case job != "":
		stop := x.stops[job]
		if stop == nil {
			return nil, tickerlake.Errorf(tickerlake.NotFound, "flow.Engine.Stop", "run "+run, "no job %q of it is running", job)
		}
		stop(ErrStop)
	default:
		if x.stopped = true; x.ready {
			x.cancel(ErrStop)
		}
	}
	return x, nil
}

func (e *Engine) stopIdle(ctx context.Context, run, job string) (RunResult, error) {
	const op = "flow.Engine.Stop"
	e.choosing.Lock()
	defer e.choosing.Unlock()
	r, err := e.o.Store.Run(ctx, run)
	switch {
	case err != nil:
		return r, err
	case r.State != RunRunning:
		return r, tickerlake.Errorf(tickerlake.Invalid, op, "run "+run, "it has ended as %s", r.State)
	case job != "":
		return r, tickerlake.Errorf(tickerlake.NotFound, op, "run "+run, "no job %q of it is running: it was cut off", job)
	}
	return e.endIdle(ctx, r, ErrStop)
}

func (e *Engine) claim(w Workflow) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running[w.Name] >= max(w.MaxConcurrentRuns, 1) {
		return false
	}
	e.running[w.Name]++
	return true
}

func (e *Engine) release(workflow string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running[workflow]--
}

func (e *Engine) forget(x *execution) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.active, x.result.ID)
	close(x.ended)
}

func (w Workflow) validate() error {
	seen := map[string]bool{}
	for _, j := range w.Jobs {
		if seen[j.Name()] {
			return tickerlake.Errorf(tickerlake.Invalid, "flow.Engine.Run", "workflow "+w.Name, "two jobs are named %q", j.Name())
		}
		seen[j.Name()] = true
	}
	if w.Name == "" || len(w.Jobs) == 0 {
		return tickerlake.Errorf(tickerlake.Invalid, "flow.Engine.Run", "workflow "+w.Name, "a workflow needs a name and a job")
	}
	return nil
}

// now is the time as the store keeps it.
func (e *Engine) now() time.Time { return e.o.Clock().UTC().Truncate(time.Microsecond) }
