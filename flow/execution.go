package flow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/internal/fault"
)

// An execution is one run while the engine works on it.
type execution struct {
	*Engine
	shared   *shared
	result   RunResult
	log      *slog.Logger
	progress func(Progress)
	cancel   context.CancelCauseFunc
	ended    chan struct{} // closed when the engine has done with it

	// Of what follows Engine.mu is the lock.
	ready   bool // cancel is set
	stopped bool // Stop came before that
	stops   map[string]context.CancelCauseFunc
}

// oneAtATime lets the jobs of a run tell of themselves one after the other.
func (x *execution) oneAtATime(progress func(Progress)) func(Progress) {
	if progress == nil {
		return nil
	}
	var mu sync.Mutex
	return func(p Progress) {
		mu.Lock()
		defer mu.Unlock()
		progress(p)
	}
}

// A doneJob is how the work on a job has come to an end.
type doneJob struct {
	name  string
	ended bool
	err   error
}

// run starts each job when it may start, and returns when none is left that may.
func (x *execution) run(ctx context.Context, w Workflow) error {
	x.log.Info("run started", "resumed", x.result.Resumed)
	x.report(context.WithoutCancel(ctx))
	ctx, interrupt := context.WithCancelCause(ctx)
	defer interrupt(nil)
	starts := w.starts()
	jobs := map[string]*JobResult{} // each is its worker's from the time it begins until it is done
	for i := range x.result.Jobs {
		jobs[x.result.Jobs[i].Job] = &x.result.Jobs[i]
	}
	ended := map[string]JobState{} // for good
	begun := map[string]bool{}
	failures := map[string]error{}
	var broken error // what keeps the run from going on
	var held bool    // a job would begin if the run went on
	done := make(chan doneJob)
	for working := 0; ; working-- {
		held = false
		for _, job := range w.Jobs {
			j := jobs[job.Name()]
			switch {
			case begun[job.Name()]:
				continue
			case j == nil:
				// The run was begun by a program whose workflow lacks the job.
				x.log.Warn("job is not part of the run", "job", job.Name())
				begun[job.Name()] = true
				continue
			case j.State == JobWaiting && !starts[job.Name()].holds(ended):
				continue // one that has begun goes on, whatever it once waited for
			case broken != nil || ctx.Err() != nil:
				held = true
				continue
			}
			begun[job.Name()] = true
			if !j.over() {
				x.result.Attempted = true
			}
			working++
			go func() {
				over, err := x.work(ctx, job, j)
				done <- doneJob{job.Name(), over, err}
			}()
		}
		if working == 0 {
			break
		}
		d := <-done
		switch {
		case d.ended:
			if ended[d.name] = jobs[d.name].State; d.err != nil {
				failures[d.name] = d.err
			}
		case broken == nil:
			broken = d.err
			interrupt(nil) // the others stop as well
		}
	}
	x.result.Properties, x.result.Counts = x.shared.get()
	var failed error
	for _, job := range w.Jobs { // the first by their order
		if failed = failures[job.Name()]; failed != nil {
			break
		}
	}
	state := RunCompleted
	cut := broken != nil || held
	switch {
	case context.Cause(ctx) == ErrStop && (cut || failed != nil):
		state, failed = RunStopped, errors.Join(broken, failed)
		if failed == nil {
			failed = &tickerlake.Error{Code: tickerlake.Canceled, Op: "flow.Engine.Run", Name: "run " + x.result.ID, Err: ErrStop}
		}
	case cut:
		if broken == nil {
			broken = &tickerlake.Error{Code: tickerlake.Canceled, Op: "flow.Engine.Run", Name: "run " + x.result.ID, Err: context.Cause(ctx)}
		}
		x.log.Info("run interrupted: the next one takes it up", "cause", broken)
		return broken
	case failed != nil:
		state = RunError
	}
	return errors.Join(failed, x.end(context.WithoutCancel(ctx), state, failed))
}

// work brings a job to its end, unless it is stopped.
func (x *execution) work(ctx context.Context, job Job, j *JobResult) (ended bool, err error) {
	alone, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	x.mu.Lock()
	x.stops[j.Job] = stop
	x.mu.Unlock()
	defer func() {
		x.mu.Lock()
		delete(x.stops, j.Job)
		x.mu.Unlock()
	}()
	ended, err = x.finish(alone, job, j)
	if ended || ctx.Err() != nil || context.Cause(alone) != ErrStop {
		return ended, err
	}
	// Stopped between two attempts.
	j.State, j.again, j.Ended = JobStopped, false, x.now()
	j.Code, j.Error = tickerlake.Canceled, ErrStop.Error()
	if err := x.o.Store.putJob(context.WithoutCancel(ctx), x.result.ID, *j, nil); err != nil {
		return false, err
	}
	return true, x.canceled(alone, j)
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

// job finds a job of a run, which may be nil.
func (r *RunResult) job(name string) (*JobResult, bool) {
	if r == nil {
		return nil, false
	}
	i := slices.IndexFunc(r.Jobs, func(j JobResult) bool { return j.Job == name })
	if i < 0 {
		return nil, false
	}
	return &r.Jobs[i], true
}

// over reports whether the job has ended for good.
func (j *JobResult) over() bool {
	return j.State == JobSucceeded || j.Attempt > 0 && !j.again && j.State != JobRunning && j.State != JobWaiting
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
	*j = JobResult{Job: j.Job, State: JobRunning, Attempt: j.Attempt + 1, Failures: j.Failures, CutOff: j.CutOff, Started: x.now()}
	if err := x.o.Store.putJob(durable, x.result.ID, *j, nil); err != nil {
		return err
	}
	fault.Point("flow.job_started")
	run := &Run{
		id: x.result.ID, workflow: x.result.Workflow, started: x.result.Started, job: j.Job, attempt: j.Attempt, began: j.Started,
		origin: x.result.Origin, clock: x.now, store: x.o.Store, progress: x.progress, log: x.log.With("job", j.Job, "attempt", j.Attempt), shared: x.shared,
	}
	run.log.Info("job started")
	run.tell(JobRunning, -1, run.Counts(), nil)

	timeout := time.Duration(x.config.Timeout)
	jobCtx, cancel := context.WithTimeoutCause(ctx, timeout, errTimeout)
	complain := time.AfterFunc(timeout+deaf, func() { run.log.Warn("job goes on after its timeout", "timeout", x.config.Timeout.String()) })
	err := protect(jobCtx, job, run)
	complain.Stop()
	cause := context.Cause(jobCtx)
	cancel()

	x.judge(j, err, cause)
	x.logEnd(run.log, j, err)
	fraction := 1.0
	if err != nil {
		fraction = -1
	}
	run.tell(j.State, fraction, run.part(), err)
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
