package flow

import (
	"context"
	"database/sql"
	"time"
)

// A triggerState is what is kept of a trigger that starts a workflow.
type triggerState struct {
	schedule string
	fired    time.Time // the zero time if it never did
	events   int
	since    time.Time
}

// A firing is what a trigger fires on. It is noted with the run that it begins, once.
type firing struct {
	at     time.Time
	events int
	noted  chan struct{} // closed when it is
}

func newFiring(at time.Time, events int) *firing {
	return &firing{at, events, make(chan struct{})}
}

func (f *firing) isNoted() bool {
	select {
	case <-f.noted:
		return true
	default:
		return false
	}
}

func (f *firing) note() {
	if !f.isNoted() {
		close(f.noted)
	}
}

func (s *Store) trigger(ctx context.Context, workflow string) (out triggerState, err error) {
	err = s.each(ctx, "flow.Store.trigger", func(rows *sql.Rows) error {
		var fired, since string
		err := rows.Scan(&out.schedule, &fired, &out.events, &since)
		out.fired, out.since = unstamp(fired), unstamp(since)
		return err
	}, `SELECT schedule, fired_at, events, since FROM triggers WHERE workflow = ?`, workflow)
	return out, err
}

// arm takes note of the schedule of a trigger. One that is new or has changed counts
// from now on.
func (s *Store) arm(ctx context.Context, workflow, schedule string, now time.Time) error {
	return s.exec(ctx, "flow.Store.arm", `INSERT INTO triggers (workflow, schedule, fired_at) VALUES (?1, ?2, ?3)
		ON CONFLICT (workflow) DO UPDATE SET schedule = ?2, fired_at = ?3 WHERE schedule <> ?2`, workflow, schedule, stamp(now))
}

// arrived adds deliveries to what triggers wait for. atLeast sets their number to n
// where it is less.
func (s *Store) arrived(ctx context.Context, workflows []string, n int, atLeast bool, now time.Time) error {
	change := "events + excluded.events"
	if atLeast {
		change = "max(events, excluded.events)"
	}
	return s.update(ctx, "flow.Store.arrived", func(tx *sql.Tx) error {
		for _, w := range workflows {
			_, err := tx.ExecContext(ctx, `INSERT INTO triggers (workflow, events, since) VALUES (?, ?, ?)
				ON CONFLICT (workflow) DO UPDATE SET events = `+change+`, since = CASE WHEN events = 0 THEN excluded.since ELSE since END`, w, n, stamp(now))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// note takes note of a firing that has begun no run.
func (s *Store) note(ctx context.Context, workflow string, f *firing) error {
	return s.update(ctx, "flow.Store.note", func(tx *sql.Tx) error { return fired(ctx, tx, workflow, f) })
}

// fired takes note of a firing, unless that was done. What has arrived since waits for
// the next, from now on.
func fired(ctx context.Context, tx *sql.Tx, workflow string, f *firing) error {
	if f == nil || f.isNoted() {
		return nil
	}
	_, err := tx.ExecContext(ctx, `UPDATE triggers SET fired_at = max(fired_at, ?2),
		since = CASE WHEN events > ?3 THEN ?2 ELSE '' END, events = max(events - ?3, 0) WHERE workflow = ?1`, workflow, stamp(f.at), f.events)
	return err
}
