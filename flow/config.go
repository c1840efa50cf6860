package flow

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/schedule"
)

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

// A Definition is a workflow of the pipeline file: a value of the key workflows.
type Definition struct {
	// MaxConcurrentRuns is how many runs of the workflow there may be at once: as
	// Glue's, but 1 if nothing is said.
	MaxConcurrentRuns *int `yaml:"max_concurrent_runs"`
	// Jobs are the jobs of the workflow, by name.
	Jobs map[string]JobConfig `yaml:"jobs"`
	// Triggers start the workflow and its jobs: Glue's.
	Triggers []Trigger `yaml:"triggers"`
}

// A JobConfig is a job of one's own: a SELECT whose rows go to a table of prod.
type JobConfig struct {
	// SQL is one SELECT, as tickerlake query takes it.
	SQL string `yaml:"sql"`
	// Table is the table of prod that the rows go to, made if there is none.
	Table string `yaml:"table"`
	// Mode says how: append adds the rows, merge puts them in the place of those with
	// the same keys, replace in the place of all.
	Mode Mode `yaml:"mode"`
	// Keys are the columns that identify a row: no two rows of a result may have the same.
	// Mode merge needs them.
	Keys []string `yaml:"keys"`
	// Rules must hold of the table before it is published, in DQDL; primary is the
	// table as it would be.
	Rules string `yaml:"rules"`
}

// A Mode says what becomes of the rows of a table when those of a job come in.
type Mode string

// The modes.
const (
	Append  Mode = "append"
	Merge   Mode = "merge"
	Replace Mode = "replace"
)

// A TriggerType is what starts a run or a job, as Glue names it.
type TriggerType string

// The types of triggers. A run has that of the trigger that started it.
const (
	Scheduled   TriggerType = "SCHEDULED"
	OnDemand    TriggerType = "ON_DEMAND"
	Event       TriggerType = "EVENT"
	Conditional TriggerType = "CONDITIONAL"
)

// A Trigger starts jobs: one of type SCHEDULED, ON_DEMAND or EVENT those with which
// the workflow begins, one of type CONDITIONAL those that follow on others.
type Trigger struct {
	// Name names the trigger in logs.
	Name string `yaml:"name"`
	// Type is SCHEDULED, ON_DEMAND, EVENT or CONDITIONAL.
	Type TriggerType `yaml:"type"`
	// Schedule is when a SCHEDULED trigger fires: Glue's cron, in UTC.
	Schedule string `yaml:"schedule"`
	// BatchSize is how many deliveries it takes for an EVENT trigger to fire.
	BatchSize *int `yaml:"batch_size"`
	// BatchWindow is how long after the first of them it fires in any case.
	BatchWindow *tickerlake.Duration `yaml:"batch_window"`
	// Logical says whether ALL conditions of a CONDITIONAL trigger must hold, or ANY.
	Logical Logical `yaml:"logical"`
	// Conditions are those of a CONDITIONAL trigger.
	Conditions []Condition `yaml:"conditions"`
	// Jobs are the jobs that it starts. A trigger that starts the workflow and says
	// nothing starts all those that no CONDITIONAL trigger names.
	Jobs []string `yaml:"jobs"`
}

// Starting reports whether the trigger starts the workflow.
func (t Trigger) Starting() bool { return t.Type != Conditional }

// Logical joins conditions.
type Logical string

// How conditions are joined.
const (
	All Logical = "ALL"
	Any Logical = "ANY"
)

// A Condition holds when a job of the run has ended in a state.
type Condition struct {
	// Job is a job of the workflow.
	Job string `yaml:"job"`
	// State is the state it has ended in: SUCCEEDED, FAILED, TIMEOUT or STOPPED.
	State JobState `yaml:"state"`
}

// The limits of Glue's EventBatchingCondition, and its window where none is given.
const (
	maxBatchSize   = 100
	minBatchWindow = tickerlake.Duration(time.Second)
	maxBatchWindow = tickerlake.Duration(900 * time.Second)
	// maxConcurrentRuns is more than one machine can make use of.
	maxConcurrentRuns = 100
)

// Main and Tidy name the workflows that are built in.
const (
	Main = "main"
	Tidy = "tidy"
)

// MainTrigger starts the main workflow if the file says nothing: when something was
// delivered, with what else comes within a second.
var MainTrigger = Trigger{Name: "delivered", Type: Event, BatchSize: new(maxBatchSize), BatchWindow: new(minBatchWindow)}

var (
	wordName  = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,63}$`)
	tableName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
)

const wordWant = "want up to 64 of a-z, 0-9, - and _, a letter first"

// Definitions are the workflows of the pipeline file, by name.
type Definitions map[string]Definition

// Names lists them in order, Main among them whether or not the file has it.
func (ds Definitions) Names() []string {
	out := slices.Sorted(maps.Keys(ds))
	if _, ok := ds[Main]; !ok {
		out = append(out, Main)
		slices.Sort(out)
	}
	return out
}

// Starter gives the trigger that starts a workflow: that of type ON_DEMAND if there is
// none, MainTrigger for Main.
func (ds Definitions) Starter(name string) Trigger {
	d := ds[name]
	for _, t := range d.Triggers {
		if t.Starting() {
			return t.batched()
		}
	}
	if name == Main {
		return MainTrigger
	}
	return Trigger{Type: OnDemand}
}

// batched gives an EVENT trigger what it leaves out: each event fires it, as in Glue.
func (t Trigger) batched() Trigger {
	if t.Type == Event && t.BatchSize == nil {
		t.BatchSize = new(1)
	}
	if t.Type == Event && t.BatchWindow == nil {
		t.BatchWindow = new(maxBatchWindow)
	}
	return t
}

// MaxRuns is how many runs of a workflow there may be at once.
func (ds Definitions) MaxRuns(name string) int {
	if n := ds[name].MaxConcurrentRuns; n != nil {
		return *n
	}
	return 1
}

// A checker gathers the mistakes of a file, each under the path of its key.
type checker struct {
	op   string
	errs []error
}

func (c *checker) bad(path, format string, args ...any) {
	c.errs = append(c.errs, tickerlake.Errorf(tickerlake.Invalid, c.op, path, format, args...))
}

// Validate reports every mistake, each under the path of its key: names that are not
// known, jobs that nothing starts, cycles. taken says of a table of prod whose it is,
// empty if it may be a job's.
func (ds Definitions) Validate(taken func(table string) string) error {
	c := &checker{op: "flow.Definitions.Validate"}
	writers := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(ds)) {
		d := ds[name]
		switch {
		case name == Tidy:
			c.bad(name, "is built in and runs when it is due: it takes no keys")
			continue
		case !wordName.MatchString(name):
			c.bad(name, "cannot name a workflow: %s", wordWant)
		}
		if n := d.MaxConcurrentRuns; n != nil && (*n < 1 || *n > maxConcurrentRuns) {
			c.bad(name+".max_concurrent_runs", "%d: want 1 to %d", *n, maxConcurrentRuns)
		}
		if name == Main {
			d.validateMain(c, name)
			continue
		}
		if len(d.Jobs) == 0 {
			c.bad(name+".jobs", "missing: want at least one job, such as movers: {sql: SELECT .., table: movers, mode: replace}")
		}
		for _, job := range slices.Sorted(maps.Keys(d.Jobs)) {
			path := name + ".jobs." + job
			j := d.Jobs[job]
			if !wordName.MatchString(job) {
				c.bad(path, "cannot name a job: %s", wordWant)
			}
			j.validate(c, path)
			switch whose, twice := writers[j.Table]; {
			case j.Table == "":
			case taken(j.Table) != "":
				c.bad(path+".table", "%q: %s: want another name", j.Table, taken(j.Table))
			case twice:
				c.bad(path+".table", "%q: the job %s writes to it: want another name, a table has one job", j.Table, whose)
			default:
				writers[j.Table] = name + "." + job
			}
		}
		d.validateTriggers(c, name)
		if !slices.ContainsFunc(c.errs, func(err error) bool { return strings.HasPrefix(err.Error(), name+".") }) {
			d.validateGraph(c, name)
		}
	}
	return errors.Join(c.errs...)
}

func (d Definition) validateMain(c *checker, name string) {
	if len(d.Jobs) > 0 {
		c.bad(name+".jobs", "are built in (crawl, clean, optimize, quality, publish): put own jobs into a workflow of their own")
	}
	if n := d.MaxConcurrentRuns; n != nil && *n > 1 {
		c.bad(name+".max_concurrent_runs", "%d: want 1, a run goes on with what the one before has published", *n)
	}
	d.validateTriggers(c, name)
}

func (j JobConfig) validate(c *checker, path string) {
	if strings.TrimSpace(j.SQL) == "" {
		c.bad(path+".sql", "missing: want one SELECT")
	}
	switch {
	case j.Table == "":
		c.bad(path+".table", "missing: want the name of a table of prod")
	case !tableName.MatchString(j.Table):
		c.bad(path+".table", "%q: want up to 64 of a-z, 0-9 and _, a letter first", j.Table)
	}
	switch j.Mode {
	case Append, Replace:
	case Merge:
		if len(j.Keys) == 0 {
			c.bad(path+".keys", "missing: mode merge needs the columns that identify a row")
		}
	case "":
		c.bad(path+".mode", "missing: want append, merge or replace")
	default:
		c.bad(path+".mode", "%q: want append, merge or replace", j.Mode)
	}
	for i, k := range j.Keys {
		if k == "" || slices.Contains(j.Keys[:i], k) {
			c.bad(fmt.Sprintf("%s.keys[%d]", path, i), "%q: want a column, each once", k)
		}
	}
}

func (d Definition) validateTriggers(c *checker, name string) {
	starters := 0
	names := map[string]bool{}
	for i, t := range d.Triggers {
		path := fmt.Sprintf("%s.triggers[%d]", name, i)
		if t.Name != "" {
			if !wordName.MatchString(t.Name) {
				c.bad(path+".name", "%q: %s", t.Name, wordWant)
			} else if names[t.Name] {
				c.bad(path+".name", "%q: another trigger has it", t.Name)
			}
			names[t.Name] = true
		}
		switch t.Type {
		case Scheduled, OnDemand, Event:
			if starters++; starters > 1 {
				c.bad(path+".type", "%s: a workflow has one trigger that starts it, as in Glue: keep one of SCHEDULED, ON_DEMAND and EVENT", t.Type)
			}
		case Conditional:
			if name == Main {
				c.bad(path+".type", "%s: the jobs of main follow each other as they do: want SCHEDULED, ON_DEMAND or EVENT", t.Type)
				continue
			}
		case "":
			c.bad(path+".type", "missing: want SCHEDULED, ON_DEMAND, EVENT or CONDITIONAL")
			continue
		default:
			c.bad(path+".type", "%q: want SCHEDULED, ON_DEMAND, EVENT or CONDITIONAL", t.Type)
			continue
		}
		t.validateKeys(c, path)
		if name == Main && len(t.Jobs) > 0 {
			c.bad(path+".jobs", "those of main follow each other as they do: leave the key out")
			continue
		}
		for n, job := range t.Jobs {
			d.known(c, fmt.Sprintf("%s.jobs[%d]", path, n), job)
		}
		if t.Type == Conditional && len(t.Jobs) == 0 {
			c.bad(path+".jobs", "missing: want the jobs that it starts")
		}
		for n, cond := range t.Conditions {
			at := fmt.Sprintf("%s.conditions[%d]", path, n)
			d.known(c, at+".job", cond.Job)
			switch cond.State {
			case JobSucceeded, JobFailed, JobTimeout, JobStopped:
			default:
				c.bad(at+".state", "%q: want SUCCEEDED, FAILED, TIMEOUT or STOPPED", cond.State)
			}
		}
	}
}

// validateKeys reports keys that are missing, and those of other types.
func (t Trigger) validateKeys(c *checker, path string) {
	only := func(set bool, key string, of TriggerType) {
		if set && t.Type != of {
			c.bad(path+"."+key, "is for triggers of type %s: leave it out", of)
		}
	}
	only(t.Schedule != "", "schedule", Scheduled)
	only(t.BatchSize != nil, "batch_size", Event)
	only(t.BatchWindow != nil, "batch_window", Event)
	only(t.Logical != "", "logical", Conditional)
	only(len(t.Conditions) > 0, "conditions", Conditional)
	switch t.Type {
	case Scheduled:
		if t.Schedule == "" {
			c.bad(path+".schedule", "missing: want such as cron(0 18 ? * MON-FRI *), in UTC")
		} else if _, err := schedule.ParseGlue(t.Schedule); err != nil {
			c.bad(path+".schedule", "%w", err)
		}
	case Event:
		if n := t.BatchSize; n != nil && (*n < 1 || *n > maxBatchSize) {
			c.bad(path+".batch_size", "%d: want 1 to %d", *n, maxBatchSize)
		}
		if d := t.BatchWindow; d != nil && (*d < minBatchWindow || *d > maxBatchWindow) {
			c.bad(path+".batch_window", "%s: want %s to %s", *d, minBatchWindow, maxBatchWindow)
		}
	case Conditional:
		switch t.Logical {
		case All, Any:
		case "":
			if len(t.Conditions) > 1 {
				c.bad(path+".logical", "missing: want ALL or ANY")
			}
		default:
			c.bad(path+".logical", "%q: want ALL or ANY", t.Logical)
		}
		if len(t.Conditions) == 0 {
			c.bad(path+".conditions", "missing: want at least one, such as {job: movers, state: SUCCEEDED}")
		}
	}
}

func (d Definition) known(c *checker, path, job string) {
	if _, ok := d.Jobs[job]; !ok {
		c.bad(path, "there is no job %q in this workflow: want one of %s", job, strings.Join(slices.Sorted(maps.Keys(d.Jobs)), ", "))
	}
}
