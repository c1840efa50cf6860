package flow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"slices"
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
	Progress   func(p Progress) // called at each change of a job; default: none
	Random     func() float64   // 0 to 1, for the jitter of retries; default math/rand
}

// An Engine runs workflows, each at most once at a time.
type Engine struct {
	config Config
	o      Options

	mu      sync.Mutex
	running map[string]bool
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
	return &Engine{config: c, o: o, running: map[string]bool{}}, nil
}

// Run takes up the run of the workflow that was cut off, at the job that was cut
// off; without one it starts a new run. It returns when the run has ended, with the
// error of the job that failed.
//
// If ctx is canceled, the run stays RUNNING and the error has the code Canceled; if
// ctx is canceled with the cause ErrStop, the run ends as STOPPED. It fails with Locked
// if this engine runs the workflow already.
func (e *Engine) Run(ctx context.Context, w Workflow) (RunResult, error) {
	const op = "flow.Engine.Run"
	if err := w.validate(); err != nil {
		return RunResult{}, err
	}
	if !e.claim(w.Name) {
		return RunResult{}, tickerlake.Errorf(tickerlake.Locked, op, "workflow "+w.Name, "a run is under way: wait until it has ended")
	}
	defer e.release(w.Name)
	if err := ctx.Err(); err != nil {
		return RunResult{}, &tickerlake.Error{Code: tickerlake.Canceled, Op: op, Name: "workflow " + w.Name, Err: context.Cause(ctx)}
	}
	r, resumed, err := e.o.Store.interrupted(ctx, w.Name)
	if err != nil {
		return RunResult{}, err
	}
	if !resumed {
		if r, err = e.o.Store.begin(ctx, w, OnDemand, e.now(), e.o.Events != nil); err != nil {
			return RunResult{}, err
		}
		fault.Point("flow.run_started")
	}
	r.Resumed = resumed
	log, err := openRunLog(e.o, r.ID)
	if err != nil {
		return r, err
	}
	x := &execution{Engine: e, result: r, log: log.With("run", r.ID, "workflow", w.Name)}
	err = x.run(ctx, w)
	return x.result, errors.Join(err, log.Close())
}

// End ends the run of a workflow that was cut off, as STOPPED and with why as its error,
// without taking it up; false if there is none.
func (e *Engine) End(ctx context.Context, workflow string, why error) (RunResult, bool, error) {
	if !e.claim(workflow) {
		return RunResult{}, false, tickerlake.Errorf(tickerlake.Locked, "flow.Engine.End", "workflow "+workflow, "a run is under way: wait until it has ended")
	}
	defer e.release(workflow)
	r, found, err := e.o.Store.interrupted(ctx, workflow)
	if err != nil || !found {
		return r, false, err
	}
	log, err := openRunLog(e.o, r.ID)
	if err != nil {
		return r, true, err
	}
	x := &execution{Engine: e, result: r, log: log.With("run", r.ID, "workflow", workflow)}
	for i := range x.result.Jobs {
		if j := &x.result.Jobs[i]; err == nil && j.State == JobRunning {
			err = x.cutOff(ctx, j)
		}
	}
	if err == nil {
		err = x.end(ctx, RunStopped, why)
	}
	return x.result, true, errors.Join(err, log.Close())
}

func (e *Engine) claim(workflow string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running[workflow] {
		return false
	}
	e.running[workflow] = true
	return true
}

func (e *Engine) release(workflow string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.running, workflow)
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

// An execution is one run while the engine works on it.
type execution struct {
	*Engine
	result RunResult
	log    *slog.Logger
}

func (x *execution) run(ctx context.Context, w Workflow) error {
	x.log.Info("run started", "resumed", x.result.Resumed)
	x.report(context.WithoutCancel(ctx))
	state := RunCompleted
	var failed error
	for _, job := range w.Jobs {
		j, known := x.job(job.Name())
		if !known {
			// The run was begun by a program whose workflow lacks the job.
			x.log.Warn("job is not part of the run", "job", job.Name())
			continue
		}
		var ended bool
		if ended, failed = x.finish(ctx, job, j); failed == nil {
			continue
		}
		switch {
		case context.Cause(ctx) == ErrStop:
			state = RunStopped
		case ended:
			state = RunError
		default:
			x.log.Info("run interrupted: the next one takes it up", "cause", failed)
			return failed
		}
		break
	}
	return errors.Join(failed, x.end(context.WithoutCancel(ctx), state, failed))
}

// end stores how the run ended.
func (x *execution) end(ctx context.Context, state RunState, failed error) error {
	x.result.State, x.result.Ended = state, x.now()
	if failed != nil {
		x.result.Error = failed.Error()
	}
	if err := x.o.Store.endRun(ctx, x.result, x.runEvent()); err != nil {
		return err
	}
	fault.Point("flow.run_ended")
	x.log.Info("run ended", "state", state, "error", x.result.Error, "counts", x.result.Counts,
		"duration_ms", x.result.Ended.Sub(x.result.Started).Milliseconds())
	x.report(ctx)
	x.prune(ctx)
	return nil
}

// prune forgets old runs. The run has ended by now, whatever comes of that.
func (x *execution) prune(ctx context.Context) {
	gone, err := x.o.Store.prune(ctx, keepRuns)
	if err := errors.Join(err, removeRunLogs(x.o.LogDir, gone)); err != nil {
		x.log.Warn("old runs were not removed", "error", err)
	}
}

func (x *execution) job(name string) (*JobResult, bool) {
	i := slices.IndexFunc(x.result.Jobs, func(j JobResult) bool { return j.Job == name })
	if i < 0 {
		return nil, false
	}
	return &x.result.Jobs[i], true
}

// finish brings a job of the run to its end: none if it has succeeded before,
// another attempt if it was cut off or failed in a way that may pass. The job has
// not ended if the error is that of the store or of ctx.
func (x *execution) finish(ctx context.Context, job Job, j *JobResult) (ended bool, err error) {
	if j.State == JobRunning {
		if err := x.cutOff(context.WithoutCancel(ctx), j); err != nil {
			return false, err
		}
	}
	for {
		switch {
		case j.State == JobSucceeded:
			return true, nil
		case j.Attempt > 0 && !j.again:
			return true, &tickerlake.Error{Code: j.Code, Op: "flow.Engine.Run", Name: x.name(j), Err: errors.New(j.Error)}
		case j.State == JobFailed:
			x.wait(ctx, j)
		}
		if ctx.Err() != nil {
			return false, x.canceled(ctx, j)
		}
		if err := x.attempt(ctx, job, j); err != nil {
			return false, err
		}
	}
}

func (x *execution) canceled(ctx context.Context, j *JobResult) error {
	return &tickerlake.Error{Code: tickerlake.Canceled, Op: "flow.Engine.Run", Name: x.name(j), Err: context.Cause(ctx)}
}

func (x *execution) name(j *JobResult) string { return "run " + x.result.ID + ", job " + j.Job }

// cutOff ends the attempt during which the program ended.
func (x *execution) cutOff(ctx context.Context, j *JobResult) error {
	x.result.Attempted = true
	j.CutOff++
	j.State, j.Ended, j.again = JobStopped, x.now(), true
	j.Code, j.Error = tickerlake.Canceled, "the program ended during this attempt"
	if j.CutOff >= maxCutOff {
		j.State, j.again = JobFailed, false
		j.Code, j.Error = tickerlake.Internal, fmt.Sprintf("the program ended during this job %d times: it is not tried again in this run", j.CutOff)
	}
	x.log.Warn("job was cut off", "job", j.Job, "attempt", j.Attempt, "cut_off", j.CutOff)
	if err := x.o.Store.putJob(ctx, x.result.ID, *j, x.jobEvent(j)); err != nil {
		return err
	}
	x.report(ctx)
	return nil
}

// wait waits before the next attempt: longer each time, a random part of it so that
// many do not come back at once.
func (x *execution) wait(ctx context.Context, j *JobResult) {
	longest := min(firstBackoff<<min(j.Failures-1, 10), maxBackoff)
	d := longest/2 + time.Duration(x.o.Random()*float64(longest/2))
	x.log.Warn("job is tried again", "job", j.Job, "attempt", j.Attempt, "error", j.Error, "in_ms", d.Milliseconds())
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// attempt runs the job once and stores how that ended. Its error is that of the
// store.
func (x *execution) attempt(ctx context.Context, job Job, j *JobResult) error {
	durable := context.WithoutCancel(ctx)
	x.result.Attempted = true
	*j = JobResult{Job: j.Job, State: JobRunning, Attempt: j.Attempt + 1, Failures: j.Failures, CutOff: j.CutOff, Started: x.now()}
	if err := x.o.Store.putJob(durable, x.result.ID, *j, nil); err != nil {
		return err
	}
	fault.Point("flow.job_started")
	run := &Run{
		id: x.result.ID, workflow: x.result.Workflow, started: x.result.Started, job: j.Job, attempt: j.Attempt, began: j.Started,
		clock: x.now, store: x.o.Store, progress: x.o.Progress, log: x.log.With("job", j.Job, "attempt", j.Attempt),
		properties: x.result.Properties, counts: x.result.Counts,
	}
	run.log.Info("job started")
	run.tell(JobRunning, -1, run.counts, nil)

	timeout := time.Duration(x.config.Timeout)
	jobCtx, cancel := context.WithTimeoutCause(ctx, timeout, errTimeout)
	complain := time.AfterFunc(timeout+deaf, func() { run.log.Warn("job goes on after its timeout", "timeout", x.config.Timeout.String()) })
	err := protect(jobCtx, job, run)
	complain.Stop()
	cause := context.Cause(jobCtx)
	cancel()

	x.result.Properties, x.result.Counts = run.shared()
	x.judge(j, err, cause)
	x.logEnd(run.log, j, err)
	fraction := 1.0
	if err != nil {
		fraction = -1
	}
	run.tell(j.State, fraction, x.result.Counts, err)
	if err := x.o.Store.putJob(durable, x.result.ID, *j, x.jobEvent(j)); err != nil {
		return err
	}
	fault.Point("flow.job_ended")
	x.report(durable)
	return nil
}

var errTimeout = errors.New("the timeout of the job has passed")

// judge says how an attempt ended.
func (x *execution) judge(j *JobResult, err error, cause error) {
	j.Ended = x.now()
	if err == nil {
		j.State = JobSucceeded
		return
	}
	j.Code, j.Error = tickerlake.CodeOf(err), err.Error()
	switch {
	case cause == errTimeout:
		j.State, j.Code = JobTimeout, tickerlake.Timeout
		j.Error = fmt.Sprintf("took longer than workflow.timeout, %s: %s", x.config.Timeout, err)
	case cause != nil:
		j.State, j.Code, j.again = JobStopped, tickerlake.Canceled, cause != ErrStop
	default:
		j.State = JobFailed
		j.Failures++
		j.again = retryable(err) && j.Failures <= x.config.Retries
	}
}

func (x *execution) logEnd(log *slog.Logger, j *JobResult, err error) {
	attrs := []any{"state", j.State, "duration_ms", j.Ended.Sub(j.Started).Milliseconds()}
	if err != nil {
		attrs = append(attrs, "code", j.Code, "error", j.Error)
	}
	if p, ok := errors.AsType[*panicError](err); ok {
		log.Error("job panicked", append(attrs, "stack", string(p.stack))...)
		return
	}
	log.Info("job ended", attrs...)
}

// A panicError is a panic of a job.
type panicError struct {
	value any
	stack []byte
}

func (p *panicError) Error() string {
	return fmt.Sprintf("panic: %v (the stack is in the log of the run)", p.value)
}

// protect runs a job and turns its panic into an error.
func protect(ctx context.Context, job Job, run *Run) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &tickerlake.Error{Code: tickerlake.Internal, Op: "flow.Engine.Run", Err: &panicError{v, debug.Stack()}}
		}
	}()
	return job.Run(ctx, run)
}

// now is the time as the store keeps it.
func (e *Engine) now() time.Time { return e.o.Clock().UTC().Truncate(time.Microsecond) }
