package main

import (
	"context"
	"fmt"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
	"github.com/tickerlake/tickerlake/collect"
	"github.com/tickerlake/tickerlake/flow"
)

// alarmPeriod is how often alarms are looked at, by the clock; leastPeriod, in real time,
// how often at most.
const (
	alarmPeriod = time.Minute
	leastPeriod = time.Second
)

// watchAlarms looks at the alarms until ctx is done. That of a disk goes on when nothing
// can be kept any more: it is told all the same.
func (d *daemon) watchAlarms(ctx context.Context) error {
	hook := newWebhook(d.lake, d.tell)
	defer hook.close()
	before := map[string]catalog.AlarmState{}
	kept, err := d.lake.catalog.Alarms(ctx)
	if err != nil {
		return err
	}
	for _, a := range kept {
		before[a.Name] = a.State
	}
	for ctx.Err() == nil {
		alarms, err := d.lake.alarms(ctx)
		if err != nil {
			return err
		}
		for _, a := range alarms {
			if was := before[a.Name]; was != a.State && (was == catalog.InAlarm || a.State == catalog.InAlarm) {
				d.tell.event(ctx, "alarm", a.Name, string(a.State)+": "+a.Reason, "alarm", a.Name, "state", a.State, "was", was)
			}
			before[a.Name] = a.State
		}
		if err := d.lake.catalog.SetAlarms(ctx, alarms...); err != nil {
			d.tell.problem(ctx, "failed", "alarms", err)
		}
		hook.wake()
		timer := time.NewTimer(max(d.lake.pace.Real(alarmPeriod), leastPeriod))
		select {
		case <-timer.C:
		case <-d.looked:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return nil
}

// look has the alarms looked at, since something has happened.
func (d *daemon) look() {
	select {
	case d.looked <- struct{}{}:
	default:
	}
}

// alarms measures what the pipeline file has watched.
func (p *pipeline) alarms(ctx context.Context) ([]catalog.Alarm, error) {
	w := &watchman{pipeline: p, now: p.clock()}
	for _, look := range []func(context.Context) error{w.sources, w.runs, w.held} {
		if err := look(ctx); err != nil {
			return nil, err
		}
	}
	w.backlog()
	w.disk()
	return w.alarms, nil
}

// A watchman gathers alarms.
type watchman struct {
	*pipeline
	now    time.Time
	alarms []catalog.Alarm
}

func (w *watchman) add(name string, state catalog.AlarmState, value float64, format string, args ...any) {
	w.alarms = append(w.alarms, catalog.Alarm{Name: name, State: state, Since: w.now, Reason: fmt.Sprintf(format, args...), Value: &value})
}

func (w *watchman) unknown(name, format string, args ...any) {
	w.alarms = append(w.alarms, catalog.Alarm{Name: name, State: catalog.InsufficientState, Since: w.now, Reason: fmt.Sprintf(format, args...)})
}

// over is the state of an alarm that begins if something is true.
func over(yes bool) catalog.AlarmState {
	if yes {
		return catalog.InAlarm
	}
	return catalog.AlarmOK
}

// sources watches when the latest answer came that is published.
func (w *watchman) sources(ctx context.Context) error {
	limit := time.Duration(w.file.Alarms.StaleSource)
	if limit == 0 {
		return nil
	}
	answered, err := w.catalog.Answered(ctx)
	if err != nil {
		return err
	}
	for _, source := range w.file.SourceNames() {
		c := w.file.Sources[source]
		if c.Schedule == "" {
			continue
		}
		name, as := "stale_source/"+source, source
		if c.Simulated {
			as = collect.SimulatedPrefix + source
		}
		at, ok := answered[as]
		if !ok {
			w.unknown(name, "nothing of it is published yet")
			continue
		}
		age := w.now.Sub(at)
		w.add(name, over(age > limit), age.Seconds(), "the latest answer that is published came %s ago, at %s; the limit is %s", age.Round(time.Second), timeText(at), w.file.Alarms.StaleSource)
	}
	return nil
}

// runs watches how the last run of each workflow has ended.
func (w *watchman) runs(ctx context.Context) error {
	if !w.file.Alarms.FailedRun && !w.file.Alarms.FailedGate {
		return nil
	}
	for _, workflow := range w.file.Workflows.Names() {
		last, ok, err := w.lastEnded(ctx, workflow)
		if err != nil {
			return err
		}
		gate := false
		for _, j := range last.Jobs {
			gate = gate || j.Code == tickerlake.GateFailed
		}
		for _, alarm := range []struct {
			on     bool
			name   string
			failed bool
		}{
			{w.file.Alarms.FailedRun, "failed_run/", last.State == flow.RunError && !gate},
			{w.file.Alarms.FailedGate, "failed_gate/", gate},
		} {
			switch {
			case !alarm.on:
			case !ok:
				w.unknown(alarm.name+workflow, "no run has ended yet")
			case alarm.failed:
				w.add(alarm.name+workflow, catalog.InAlarm, 1, "%s", last.Error)
			default:
				w.add(alarm.name+workflow, catalog.AlarmOK, 0, "the last run, %s, has not", last.ID)
			}
		}
	}
	return nil
}

// lastEnded is the last run of a workflow that has ended by itself.
func (w *watchman) lastEnded(ctx context.Context, workflow string) (flow.RunResult, bool, error) {
	const some = 20 // one or a few are under way or were stopped
	runs, err := w.pipeline.runs.Runs(ctx, workflow, some)
	for _, r := range runs {
		if r.State == flow.RunCompleted || r.State == flow.RunError {
			return r, true, err
		}
	}
	return flow.RunResult{}, false, err
}

// held counts the raw objects that wait for run --release.
func (w *watchman) held(ctx context.Context) error {
	limit := w.file.Alarms.HeldObjects
	if limit == 0 {
		return nil
	}
	held, err := w.catalog.Objects(ctx, catalog.Held)
	if err != nil {
		return err
	}
	n := len(held)
	w.add("held_objects", over(n >= limit), float64(n), "%s held (tickerlake run --release frees them); %d are too many", plural(int64(n), "raw object"), limit)
	return nil
}

// backlog watches the oldest record of each stream that is not delivered.
func (w *watchman) backlog() {
	limit := time.Duration(w.file.Alarms.Backlog)
	if limit == 0 {
		return
	}
	for _, s := range []struct {
		name   string
		stream *stream
	}{{streamName, w.bars}, {opsName, w.ops.stream}} {
		age := time.Duration(0)
		if oldest := s.stream.Status().Oldest; !oldest.IsZero() {
			age = w.now.Sub(oldest)
		}
		w.add("backlog/"+s.name, over(age > limit), age.Seconds(), "the oldest record that is not delivered is of %s ago; the limit is %s", age.Round(time.Second), w.file.Alarms.Backlog)
	}
}

// disk watches what is free.
func (w *watchman) disk() {
	limit := float64(w.file.Alarms.DiskFreeMB) * (1 << 20)
	if limit == 0 {
		return
	}
	free, ok := freeBytes(w.dir)
	if !ok {
		w.unknown("disk", "the file system of %s does not tell what is free", w.dir)
		return
	}
	w.add("disk", over(free < limit), free, "%s are free on the disk of %s; the limit is %s", sizeText(int64(free)), w.dir, sizeText(int64(limit)))
}
