package catalog

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"
)

// An AlarmState is the state of an alarm, as CloudWatch names it.
type AlarmState string

// The states of an alarm.
const (
	AlarmOK           AlarmState = "OK"
	InAlarm           AlarmState = "ALARM"
	InsufficientState AlarmState = "INSUFFICIENT_DATA"
)

// An Alarm is what is watched, and how it is.
type Alarm struct {
	Name   string     `json:"name"`
	State  AlarmState `json:"state"`
	Since  time.Time  `json:"since"`
	Reason string     `json:"reason"`
	// Value is what was measured when the state began, null if nothing was.
	Value *float64 `json:"value"`
}

// noticePrefix begins the name of a row that keeps what the webhook was last told of an
// alarm.
const noticePrefix = "webhook/"

// Alarms lists the alarms, by name.
func (c *Catalog) Alarms(ctx context.Context) ([]Alarm, error) {
	all, err := c.alarms(ctx)
	return slices.DeleteFunc(all, func(a Alarm) bool { return strings.HasPrefix(a.Name, noticePrefix) }), err
}

func (c *Catalog) alarms(ctx context.Context) ([]Alarm, error) {
	out := []Alarm{}
	err := c.query(ctx, "catalog.Alarms", func(rows *sql.Rows) error {
		var a Alarm
		var since string
		err := rows.Scan(&a.Name, &a.State, &since, &a.Reason, &a.Value)
		a.Since = unstamp(since)
		out = append(out, a)
		return err
	}, "SELECT name, state, since, reason, value FROM alarms ORDER BY name")
	return out, err
}

// SetAlarms keeps how alarms are, and forgets others. One whose state is what it was goes
// on as it began.
func (c *Catalog) SetAlarms(ctx context.Context, alarms ...Alarm) error {
	return c.update(ctx, "catalog.SetAlarms", func(tx *sql.Tx) error {
		kept := make([]any, 0, 2*len(alarms)+1)
		for _, a := range alarms {
			_, err := tx.ExecContext(ctx, `INSERT INTO alarms (name, state, since, reason, value) VALUES (?, ?, ?, ?, ?)
				ON CONFLICT DO UPDATE SET state = excluded.state, since = excluded.since, reason = excluded.reason, value = excluded.value
				WHERE state <> excluded.state`, a.Name, string(a.State), stamp(a.Since), a.Reason, a.Value)
			if err != nil {
				return err
			}
			kept = append(kept, a.Name, noticePrefix+a.Name)
		}
		_, err := tx.ExecContext(ctx, "DELETE FROM alarms WHERE name NOT IN (''"+strings.Repeat(", ?", len(kept))+")", kept...)
		return err
	})
}

// Untold lists the alarms of which the webhook does not know that they have begun or
// ended, by name, with the state that it knows.
func (c *Catalog) Untold(ctx context.Context) (out []Alarm, known map[string]AlarmState, err error) {
	all, err := c.alarms(ctx)
	if err != nil {
		return nil, nil, err
	}
	known = map[string]AlarmState{}
	for _, a := range all {
		if name, ok := strings.CutPrefix(a.Name, noticePrefix); ok {
			known[name] = a.State
		}
	}
	for _, a := range all {
		begun, told := a.State == InAlarm, known[a.Name] == InAlarm
		if !strings.HasPrefix(a.Name, noticePrefix) && begun != told {
			out = append(out, a)
		}
	}
	return out, known, nil
}

// Told keeps that the webhook knows of an alarm.
func (c *Catalog) Told(ctx context.Context, a Alarm) error {
	return c.update(ctx, "catalog.Told", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO alarms (name, state, since, reason) VALUES (?, ?, ?, '')
			ON CONFLICT DO UPDATE SET state = excluded.state, since = excluded.since`, noticePrefix+a.Name, string(a.State), stamp(a.Since))
		return err
	})
}

// Answered gives for each source when the latest of its answers came that is published.
func (c *Catalog) Answered(ctx context.Context) (map[string]time.Time, error) {
	out := map[string]time.Time{}
	err := c.query(ctx, "catalog.Answered", func(rows *sql.Rows) error {
		var source string
		var at int64
		err := rows.Scan(&source, &at)
		out[source] = time.UnixMicro(at).UTC()
		return err
	}, "SELECT source, max(covered_at) FROM series GROUP BY source")
	return out, err
}
