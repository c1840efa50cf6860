package flow

import (
	"context"
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
	workflow string
	started  time.Time
	job      string
	attempt  int
	began    time.Time // this attempt
	clock    tickerlake.Clock
	store    *Store
	log      *slog.Logger
	progress func(Progress)

	mu         sync.Mutex
	properties map[string]string
	counts     tickerlake.Counts
}

// ID names the run. Ids of one store sort by start and are made of a-z, 0-9 and -.
func (r *Run) ID() string { return r.id }

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

// shared gives what the next job of the run begins with.
func (r *Run) shared() (map[string]string, tickerlake.Counts) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.properties, r.counts
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
