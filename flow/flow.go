// Package flow runs workflows: jobs one after the other, with retries, timeouts and
// a history that survives a crash. It is the embedded counterpart of AWS Glue
// workflows and uses their words and states.
//
// An Engine is given a Workflow, which names its jobs, and a Store, which keeps
// runs and jobs in SQLite. It hands each Job the Run it is part of: its id, the
// properties that the jobs of a run share, the counts of its rows and its log.
// What happened goes to Events as rows of ops.runs and ops.jobs.
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

// A Workflow is a chain of jobs: each starts when the one before has succeeded.
type Workflow struct {
	Name string
	Jobs []Job
}

// A Trigger says what started a run.
type Trigger string

// OnDemand is the trigger of a run that somebody asked for.
const OnDemand Trigger = "ON_DEMAND"

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
	JobWaiting   JobState = "WAITING" // the jobs before it have not succeeded yet
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

// Config is the key workflow of the pipeline file.
type Config struct {
	// Retries is how often a failed job is tried again, 0 to 10.
	Retries int `yaml:"retries"`
	// Timeout is how long one attempt of a job may take, up to 7 days.
	Timeout tickerlake.Duration `yaml:"timeout"`
}

// Defaults are the values of keys that the file leaves out.
func Defaults() Config {
	return Config{Retries: 2, Timeout: tickerlake.Duration(30 * time.Minute)}
}

// The limits of Glue's jobs.
const (
	maxRetries = 10
	minTimeout = tickerlake.Duration(time.Second)
	maxTimeout = tickerlake.Duration(7 * 24 * time.Hour)
)

// Validate reports every value out of its range, each under the path of its key.
func (c Config) Validate() error {
	const op = "flow.Config.Validate"
	var errs []error
	if c.Retries < 0 || c.Retries > maxRetries {
		errs = append(errs, tickerlake.Errorf(tickerlake.Invalid, op, "retries", "%d: want 0 to %d", c.Retries, maxRetries))
	}
	if c.Timeout < minTimeout || c.Timeout > maxTimeout {
		errs = append(errs, tickerlake.Errorf(tickerlake.Invalid, op, "timeout", "%s: want %s to %s", c.Timeout, minTimeout, maxTimeout))
	}
	return errors.Join(errs...)
}

// A RunResult is what is known of a run.
type RunResult struct {
	ID       string            `json:"id"`
	Workflow string            `json:"workflow"`
	Trigger  Trigger           `json:"trigger"`
	State    RunState          `json:"state"`
	Started  time.Time         `json:"started_at"`
	Ended    time.Time         `json:"ended_at,omitzero"` // zero while it runs
	Error    string            `json:"error"`
	Counts   tickerlake.Counts `json:"counts"`
	// Properties are the values that the jobs of the run share.
	Properties map[string]string `json:"properties"`
	Jobs       []JobResult       `json:"jobs"`
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
