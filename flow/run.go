package flow

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/tickerlake/tickerlake"
)

// A Run is what a job is told of the run it is part of. It may be used by several
// goroutines of the job at once, until the job returns.
type Run struct {
	id       string
	origin   string
	workflow string
	started  time.Time
	job      string
	attempt  int
	began    time.Time // this attempt
	clock    tickerlake.Clock
	store    *Store
	log      *slog.Logger
	progress func(Progress)

	*shared
}

// shared is what the jobs of a run have in common.
type shared struct {
	mu         sync.Mutex
	properties map[string]string
	counts     tickerlake.Counts
}

func (s *shared) get() (map[string]string, tickerlake.Counts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.properties, s.counts
}

// ID names the run. Ids of one store sort by start and are made of a-z, 0-9 and -.
func (r *Run) ID() string { return r.id }

// Origin is the run whose work this one does: its own id, or, if it resumes another, the
// first of those that it goes back to.
func (r *Run) Origin() string { return r.origin }

// Workflow is the name of the workflow.
func (r *Run) Workflow() string { return r.workflow }

// Started is when the run began, before any interruption.
func (r *Run) Started() time.Time { return r.started }

// Attempt counts the attempts of the job in this run, from 1.
func (r *Run) Attempt() int { return r.attempt }

// Log writes to the log of the run and to the main log.
func (r *Run) Log() *slog.Logger { return r.log }

// Property gives a value that this or an earlier job of the run has set.
func (r *Run) Property(name string) (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	value, ok := r.properties[name]
	return value, ok
}

// SetProperty sets a value for the jobs of the run, and returns when it is durable.
func (r *Run) SetProperty(ctx context.Context, name, value string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	changed := maps.Clone(r.properties)
	if changed == nil {
		changed = map[string]string{}
	}
	changed[name] = value
	if err := r.store.setProperties(ctx, r.id, changed); err != nil {
		return err
	}
	r.properties = changed
	return nil
}

// Counts is what became of the rows of the run so far.
func (r *Run) Counts() tickerlake.Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts
}

// UpdateCounts changes the counts of the run, and returns when they are durable. A
// job sets the counts it is in charge of; it does not add to them, since it may have
// begun before.
func (r *Run) UpdateCounts(ctx context.Context, change func(c *tickerlake.Counts)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	changed := r.counts
	change(&changed)
	if changed == r.counts {
		return nil
	}
	if err := r.store.setCounts(ctx, r.id, changed); err != nil {
		return err
	}
	r.counts = changed
	return nil
}

// countsProperty is the property that keeps what a job has contributed.
const countsProperty = "counts."

// Contribute makes c this job's part of the counts of the run, beside the parts of other
// jobs, and returns when that is durable. Whatever it contributed before counts no more.
func (r *Run) Contribute(ctx context.Context, c tickerlake.Counts) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var before tickerlake.Counts
	if text, ok := r.properties[countsProperty+r.job]; ok {
		if err := json.Unmarshal([]byte(text), &before); err != nil {
			return stateError("flow.Run.Contribute", err)
		}
	}
	text, err := json.Marshal(c)
	if err != nil {
		return stateError("flow.Run.Contribute", err)
	}
	counts := sum(r.counts, before, -1)
	counts = sum(counts, c, 1)
	properties := maps.Clone(r.properties)
	if properties == nil {
		properties = map[string]string{}
	}
	properties[countsProperty+r.job] = string(text)
	if err := r.store.contribute(ctx, r.id, counts, properties); err != nil {
		return err
	}
	r.counts, r.properties = counts, properties
	return nil
}

func sum(a, b tickerlake.Counts, sign int64) tickerlake.Counts {
	a.Read += sign * b.Read
	a.Inserted += sign * b.Inserted
	a.Replaced += sign * b.Replaced
	a.Unchanged += sign * b.Unchanged
	a.Superseded += sign * b.Superseded
	a.Quarantined += sign * b.Quarantined
	a.NotFinal += sign * b.NotFinal
	a.Waiting += sign * b.Waiting
	a.Withdrawn += sign * b.Withdrawn
	a.Removed += sign * b.Removed
	return a
}

// part is what the job has contributed to the counts of the run; those of the run, if it
// does not contribute.
func (r *Run) part() (c tickerlake.Counts) {
	r.mu.Lock()
	defer r.mu.Unlock()
	text, ok := r.properties[countsProperty+r.job]
	if !ok || json.Unmarshal([]byte(text), &c) != nil {
		return r.counts
	}
	return c
}

// Report tells whoever watches how far the job is: fraction is 0 to 1, negative if it
// is unknown; counts is what the live line shows until the next report.
func (r *Run) Report(fraction float64, counts tickerlake.Counts) {
	r.tell(JobRunning, fraction, counts, nil)
}

func (r *Run) tell(state JobState, fraction float64, counts tickerlake.Counts, err error) {
	if r.progress == nil {
		return
	}
	p := Progress{Run: r.id, Job: r.job, Attempt: r.attempt, State: state, Fraction: fraction, Counts: counts, Elapsed: r.clock().Sub(r.began)}
	if err != nil {
		p.Error = err.Error()
	}
	r.progress(p)
}
