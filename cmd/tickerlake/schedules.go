package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/collect"
)

// collect fetches a source by its schedule until ctx is done or the schedule has no
// firing any more. One fetch follows the other: what is due while one goes on is one
// firing after it.
func (d *daemon) collect(ctx context.Context, name string) error {
	s, err := parseSchedule(d.lake.file.Sources[name].Schedule)
	if err != nil {
		return tickerlake.Errorf(tickerlake.Invalid, "up", "schedule", "%w", err)
	}
	for {
		last, err := d.lake.catalog.Fired(ctx, name)
		if err != nil {
			return err
		}
		at := d.lake.clock() // a new source is due at once
		if !last.IsZero() {
			var more bool
			if at, more = s.Next(last); !more {
				d.tell.event(ctx, "waiting", name, "its schedule has no firing any more", "source", name)
				return nil
			}
		}
		if err := waitUntil(ctx, d.lake.clock, at); err != nil {
			return nil // stopped
		}
		started := d.lake.clock()
		if err := d.fetchOnce(ctx, name); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil // cut off: due again at the next start
		}
		if err := d.lake.catalog.Fire(ctx, name, started); err != nil {
			return err
		}
	}
}

// fetchOnce fetches a source and tells of it. Its error is that of the lake: a source
// that fails is asked again at its next firing.
func (d *daemon) fetchOnce(ctx context.Context, name string) error {
	started := d.lake.clock()
	reports, err := d.lake.fetchSources(ctx, []string{name}, collect.Window{}, func(string, collect.Progress) {})
	if ctx.Err() != nil {
		return nil
	}
	for _, r := range reports {
		var good int64
		for _, s := range r.Symbols {
			if s.Err == nil {
				good++
			}
		}
		d.tell.event(ctx, "fetched", name, plural(r.Rows, "row")+" of "+plural(good, "symbol"),
			"source", name, "table", r.Table, "rows", r.Rows, "symbols", good, "failed", int64(len(r.Symbols))-good, "duration_ms", d.lake.clock().Sub(started).Milliseconds())
	}
	if err != nil {
		d.tell.problem(ctx, "failed", name, err, "source", name)
	}
	return nil
}

// clockStep is how long a wait may be before the clock is read again.
const clockStep = time.Second

// waitUntil waits until the clock shows a time.
func waitUntil(ctx context.Context, clock tickerlake.Clock, at time.Time) error {
	for {
		left := at.Sub(clock())
		if left <= 0 {
			return ctx.Err()
		}
		timer := time.NewTimer(min(left, clockStep))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// A rate is the schedule rate(N units).
type rate time.Duration

// Next is the first firing after a time.
func (r rate) Next(after time.Time) (time.Time, bool) { return after.Add(time.Duration(r)), true }

func parseSchedule(text string) (rate, error) {
	inner, ok := strings.CutPrefix(strings.TrimSuffix(text, ")"), "rate(")
	d, err := tickerlake.ParseDuration(inner)
	if !ok || err != nil || d <= 0 {
		return 0, fmt.Errorf("%q: up knows rate(..) alone", text)
	}
	return rate(d), nil
}
