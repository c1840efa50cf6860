package main

import (
	"context"
	"time"

	"github.com/tickerlake/tickerlake/collect"
	"github.com/tickerlake/tickerlake/schedule"
)

// collect fetches a source by its schedule until ctx is done or the schedule has no
// firing any more. One fetch follows the other: what is due while one goes on is one
// firing after it.
func (d *daemon) collect(ctx context.Context, name string) error {
	source := d.lake.file.Sources[name]
	s, err := source.When()
	if err != nil {
		return err
	}
	for {
		last, err := d.lake.catalog.Fired(ctx, name)
		if err != nil {
			return err
		}
		now := d.lake.clock()
		firing, more := s.Due(last, now)
		if !more {
			d.tell.event(ctx, "waiting", name, "its schedule has no firing any more: it is fetched on command only", "source", name)
			return nil
		}
		at := firing
		if firing.After(now) { // what is late is not made later
			at = schedule.Spread(firing, time.Duration(source.FlexibleWindow), name)
		}
		if d.lake.pace.Until(ctx, at) != nil {
			return nil // stopped
		}
		// Firings that have gone by meanwhile, while the machine was asleep say, are this one.
		if next, more := s.Next(firing); more && !next.After(d.lake.clock()) {
			firing = d.lake.clock()
		}
		d.fetchOnce(ctx, name)
		if ctx.Err() != nil {
			return nil // cut off: due again at the next start
		}
		if err := d.lake.catalog.Fire(ctx, name, firing); err != nil {
			return err
		}
	}
}

// fetchOnce fetches a source and tells of it. One that fails is asked again at its next
// firing.
func (d *daemon) fetchOnce(ctx context.Context, name string) {
	started := d.lake.clock()
	reports, err := d.lake.fetchSources(ctx, []string{name}, collect.Window{}, func(string, collect.Progress) {})
	if ctx.Err() != nil {
		return
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
}
