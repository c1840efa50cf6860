package flow

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Predicate says when a job starts: when conditions on the jobs before it hold. One
// without conditions holds from the start of the run.
type Predicate struct {
	Logical    Logical
	Conditions []Condition
}

// holds reports whether the predicate holds, of the states that jobs have ended in.
func (p Predicate) holds(ended map[string]JobState) bool {
	met := func(c Condition) bool { return ended[c.Job] == c.State }
	if p.Logical == Any {
		return slices.ContainsFunc(p.Conditions, met)
	}
	return !slices.ContainsFunc(p.Conditions, func(c Condition) bool { return !met(c) })
}

// Starts gives for each job of the workflow when it starts.
func (d Definition) Starts() map[string]Predicate {
	out := map[string]Predicate{}
	for name := range d.Jobs {
		out[name] = Predicate{}
	}
	for _, t := range d.Triggers {
		if t.Type != Conditional {
			continue
		}
		for _, job := range t.Jobs {
			out[job] = Predicate{Logical: t.Logical, Conditions: t.Conditions}
		}
	}
	return out
}

// Order lists the jobs so that each stands behind those that it waits for, and by name
// otherwise.
func (d Definition) Order() []string {
	starts := d.Starts()
	var out []string
	placed := map[string]bool{}
	for len(out) < len(starts) {
		before := len(out)
		for _, job := range slices.Sorted(maps.Keys(starts)) {
			if placed[job] || slices.ContainsFunc(starts[job].Conditions, func(c Condition) bool { return !placed[c.Job] }) {
				continue
			}
			placed[job] = true
			out = append(out, job)
		}
		if len(out) == before {
			break // a cycle, which Validate refuses
		}
	}
	return out
}

// Workflow makes a workflow of a definition; job makes each of its jobs.
func (ds Definitions) Workflow(name string, job func(name string, c JobConfig) Job) Workflow {
	d := ds[name]
	w := Workflow{Name: name, Starts: d.Starts(), MaxConcurrentRuns: ds.MaxRuns(name)}
	for _, j := range d.Order() {
		w.Jobs = append(w.Jobs, job(j, d.Jobs[j]))
	}
	return w
}

// validateGraph reports jobs that nothing or more than one trigger starts, and cycles.
func (d Definition) validateGraph(c *checker, name string) {
	by := map[string]int{}
	before := len(c.errs)
	limited := false // the trigger that starts the workflow names its jobs
	for i, t := range d.Triggers {
		limited = limited || t.Starting() && len(t.Jobs) > 0
		for n, job := range t.Jobs {
			if first, twice := by[job]; twice {
				c.bad(fmt.Sprintf("%s.triggers[%d].jobs[%d]", name, i, n), "the job %q is started by triggers[%d] already: a job has one trigger", job, first)
				continue
			}
			by[job] = i
		}
	}
	if limited {
		for _, job := range slices.Sorted(maps.Keys(d.Jobs)) {
			if _, ok := by[job]; !ok {
				c.bad(name+".jobs."+job, "no trigger starts it: name it in the jobs of one")
			}
		}
	}
	if len(c.errs) > before {
		return // what waits for what is not clear
	}
	for _, cycle := range cycles(d.Starts()) {
		first, rest := cycle[0], append(cycle[1:], cycle[0])
		c.bad(fmt.Sprintf("%s.triggers[%d]", name, by[first]), "closes a cycle: %s waits for %s", first, strings.Join(rest, ", which waits for "))
	}
}

// cycles finds the jobs that wait for themselves: each cycle once, from its first job
// by name.
func cycles(starts map[string]Predicate) [][]string {
	var out [][]string
	done, at := map[string]bool{}, map[string]int{}
	var path []string
	var visit func(job string)
	visit = func(job string) {
		if i, on := at[job]; on {
			cycle := slices.Clone(path[i:])
			first := slices.Index(cycle, slices.Min(cycle))
			out = append(out, append(cycle[first:], cycle[:first]...))
			return
		}
		if done[job] {
			return
		}
		done[job], at[job] = true, len(path)
		path = append(path, job)
		for _, c := range starts[job].Conditions {
			visit(c.Job)
		}
		path = path[:len(path)-1]
		delete(at, job)
	}
	for _, job := range slices.Sorted(maps.Keys(starts)) {
		visit(job)
	}
	return out
}

// downstream gives the jobs and all that follow on them, in whatever state they end.
func downstream(starts map[string]Predicate, jobs []string) map[string]bool {
	out := map[string]bool{}
	for _, job := range jobs {
		out[job] = true
	}
	for more := true; more; {
		more = false
		for job, p := range starts {
			if !out[job] && slices.ContainsFunc(p.Conditions, func(c Condition) bool { return out[c.Job] }) {
				out[job], more = true, true
			}
		}
	}
	return out
}

// starts gives when each job of a workflow starts. Without Starts it is a chain.
func (w Workflow) starts() map[string]Predicate {
	if w.Starts != nil {
		return w.Starts
	}
	out := map[string]Predicate{}
	for i, j := range w.Jobs {
		p := Predicate{}
		if i > 0 {
			p.Conditions = []Condition{{Job: w.Jobs[i-1].Name(), State: JobSucceeded}}
		}
		out[j.Name()] = p
	}
	return out
}
