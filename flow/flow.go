// Package flow runs workflows: jobs that follow on each other, with retries, timeouts
// and a history that survives a crash. It is the embedded counterpart of AWS Glue
// workflows and uses their words, states and triggers.
//
// An Engine is given a Workflow, which names its jobs and what they wait for, and a
// Store, which keeps runs and jobs in SQLite. It hands each Job the Run it is part of:
// its id, the properties that the jobs of a run share, the counts of its rows and its
// log. What happened goes to Events as rows of ops.runs and ops.jobs.
//
// A Scheduler starts workflows: by the clock, by deliveries, and again those that were
// cut off.
//
// A run that was cut off, by a crash or by a canceled context, is taken up again
// at the job that was cut off. A job may thus begin more than once in a run and
// must be idempotent.
package flow

import (
	"context"
	"errors"
	"time"

	"github.com/tickerlake/tickerlake"
)

// A Job is one step of a workflow. Run does the whole work again when it is called
// again for the same run, and leaves the same result.
type Job interface {
	Name() string
	Run(ctx context.Context, run *Run) error
}

// NewJob makes a job of a function.
func NewJob(name string, run func(ctx context.Context, run *Run) error) Job {
	return job{name, run}
}

type job struct {
	name string
	run  func(context.Context, *Run) error
}

func (j job) Name() string                            { return j.name }
func (j job) Run(ctx context.Context, run *Run) error { return j.run(ctx, run) }

// A Workflow is jobs that follow on each other.
type Workflow struct {
	Name string
	Jobs []Job
	// Starts says of each job when it starts. Without it the jobs are a chain: each
	// starts when the one before has succeeded.
	Starts map[string]Predicate
	// MaxConcurrentRuns is how many runs there may be at once; 0: one.
	MaxConcurrentRuns int
	// Whole is true if the jobs hand files on that are bound to the id of the run, so
	// that a run that is resumed begins with its first job.
	Whole bool
}

// A RunState is the state of a run, as Glue names it.
type RunState string

// The states of a run. In Glue a run with a failed job is COMPLETED; here it ends
// as ERROR, so that COMPLETED means that every job succeeded.
const (
	RunRunning   RunState = "RUNNING"
	RunCompleted RunState = "COMPLETED"
	RunStopped   RunState = "STOPPED"
	RunError     RunState = "ERROR"
)

// A JobState is the state of a job in a run, as Glue names it.
type JobState string

// The states of a job.
const (
	JobWaiting   JobState = "WAITING" // what it waits for has not come about
	JobRunning   JobState = "RUNNING"
	JobSucceeded JobState = "SUCCEEDED"
	JobFailed    JobState = "FAILED"
	JobTimeout   JobState = "TIMEOUT"
	JobStopped   JobState = "STOPPED"
)

// ErrStop is the cause with which a context is canceled to end a run for good, as
// STOPPED. Any other cancellation leaves the run RUNNING, and the next call of
// Engine.Run takes it up again.
var ErrStop = errors.New("stopped on request")

// A RunResult is what is known of a run.
type RunResult struct {
	ID       string            `json:"id"`
	Workflow string            `json:"workflow"`
	Trigger  TriggerType       `json:"trigger"`
	State    RunState          `json:"state"`
	Started  time.Time         `json:"started_at"`
	Ended    time.Time         `json:"ended_at,omitzero"` // zero while it runs
	Error    string            `json:"error"`
	Counts   tickerlake.Counts `json:"counts"`
	// Properties are the values that the jobs of the run share.
	Properties map[string]string `json:"properties"`
	Jobs       []JobResult       `json:"jobs"`
	// ResumedFrom is the run whose failed jobs it runs again, Origin the first of such
	// runs; its own id if it is no such run.
	ResumedFrom string `json:"resumed_from,omitempty"`
	Origin      string `json:"-"`
	// Resumed is true if Engine.Run took up a run that had been cut off. What has
	// arrived since that run began waits for the next one.
	Resumed bool `json:"resumed"`
	// Attempted is true if Engine.Run worked on a job of it. A run that was taken up
	// without an attempt had failed before, and only its end was still to be stored.
	Attempted bool `json:"-"`
}

// A JobResult is what is known of a job in a run: of its latest attempt.
type JobResult struct {
	Job      string          `json:"job"`
	State    JobState        `json:"state"`
	Attempt  int             `json:"attempt"`           // from 1; 0 before the first
	Failures int             `json:"failures"`          // attempts that failed
	CutOff   int             `json:"cut_off"`           // attempts during which the program ended
	Started  time.Time       `json:"started_at"`        // zero before the first attempt
	Ended    time.Time       `json:"ended_at,omitzero"` // zero while it runs
	Code     tickerlake.Code `json:"code,omitempty"`    // of Error
	Error    string          `json:"error"`

	// again is true if the attempt is to be followed by another.
	again bool
}

// Progress tells how far a job of a run is. Fraction is 0 to 1, negative while
// it is unknown.
type Progress struct {
	Run      string
	Job      string
	Attempt  int
	State    JobState
	Fraction float64
	Counts   tickerlake.Counts
	Elapsed  time.Duration // of this attempt
	Error    string
}

// Events takes the rows of ops.runs and ops.jobs, in the order in which they came to
// be. They are stored with what they tell of: one that is refused, and those after
// it, come again with the next, however much later. One may come twice.
type Events interface {
	Run(ctx context.Context, e tickerlake.RunEvent) error
	Job(ctx context.Context, e tickerlake.JobEvent) error
}

// retryable reports whether trying again may help.
func retryable(err error) bool {
	switch tickerlake.CodeOf(err) {
	case tickerlake.GateFailed, tickerlake.Invalid, tickerlake.Conflict, tickerlake.Denied, tickerlake.Full:
		return false
	}
	_, panicked := errors.AsType[*panicError](err)
	return !panicked
}
