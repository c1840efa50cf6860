package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake"
)

// A State is where a raw object stands on its way to prod.
type State string

// The states of a raw object. A pending object is worked on by the next run; a
// published one is in every table it feeds; a held one waits for a decision; a
// damaged one cannot be read and stays where it is.
const (
	Waiting   State = "pending"
	Published State = "published"
	Held      State = "held"
	Damaged   State = "damaged"
)

// An Entry is the ledger's line of one raw object.
type Entry struct {
	tickerlake.Object
	State    State
	Run      string
	Scanned  bool
	Lines    int64
	BadLines int64
	Failures int
	// GateFailures counts the runs of it that a quality gate stopped.
	GateFailures int
	Error        string
	// Updated is when it came to its state.
	Updated time.Time
}

// Enter adds objects that the ledger does not have, as pending. An object that it
// has is left as it is: the same key never feeds prod twice.
func (c *Catalog) Enter(ctx context.Context, objects ...tickerlake.Object) error {
	if len(objects) == 0 {
		return nil
	}
	return c.update(ctx, "catalog.Enter", func(tx *sql.Tx) error {
		for _, o := range objects {
			_, err := tx.ExecContext(ctx, `INSERT INTO objects (key, dt, size, etag, delivered_at, state, updated_at)
				VALUES (?, ?, ?, ?, ?, 'pending', ?) ON CONFLICT (key) DO NOTHING`,
				o.Key, dtOf(o.Key), o.Size, o.ETag, stamp(o.At), stamp(c.clock()))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// dtOf is the value of the dt= folder of a key.
func dtOf(key string) string {
	for _, segment := range strings.Split(key, "/") {
		if dt, ok := strings.CutPrefix(segment, "dt="); ok {
			return dt
		}
	}
	return ""
}

const entryColumns = "key, size, etag, delivered_at, state, run, scanned, lines, bad_lines, failures, gate_failures, error, updated_at"

func scanEntry(rows interface{ Scan(...any) error }) (Entry, error) {
	var e Entry
	var at, updated string
	err := rows.Scan(&e.Key, &e.Size, &e.ETag, &at, &e.State, &e.Run, &e.Scanned, &e.Lines, &e.BadLines, &e.Failures, &e.GateFailures, &e.Error, &updated)
	e.At, e.Updated = unstamp(at), unstamp(updated)
	e.Records = e.Lines
	return e, err
}

func (c *Catalog) entries(ctx context.Context, op, where string, args ...any) ([]Entry, error) {
	var out []Entry
	err := c.query(ctx, op, func(rows *sql.Rows) error {
		e, err := scanEntry(rows)
		out = append(out, e)
		return err
	}, "SELECT "+entryColumns+" FROM objects WHERE "+where+" ORDER BY key", args...)
	return out, err
}

// Claim gives every pending object to a run and returns them; if some were held by a
// rollback and released, those of the publication whose turn it is. Called again for the
// same run it returns the objects given before, so that a resumed run works on what
// it began with.
func (c *Catalog) Claim(ctx context.Context, run string) ([]Entry, error) {
	mine, err := c.Claimed(ctx, run)
	if err != nil || len(mine) > 0 {
		return mine, err
	}
	err = c.update(ctx, "catalog.Claim", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE objects SET run = ?, updated_at = ? WHERE state = 'pending'
			AND replay IS (SELECT min(replay) FROM objects WHERE state = 'pending')`, run, stamp(c.clock()))
		return err
	})
	if err != nil {
		return nil, err
	}
	return c.Claimed(ctx, run)
}

// Claimed lists the pending objects of a run.
func (c *Catalog) Claimed(ctx context.Context, run string) ([]Entry, error) {
	return c.entries(ctx, "catalog.Claimed", "state = 'pending' AND run = ?", run)
}

// OfRun lists the objects that a run works on or has published.
func (c *Catalog) OfRun(ctx context.Context, run string) ([]Entry, error) {
	return c.entries(ctx, "catalog.OfRun", "run = ?", run)
}

// Objects lists the ledger's entries of one state, or all with "".
func (c *Catalog) Objects(ctx context.Context, state State) ([]Entry, error) {
	if state == "" {
		return c.entries(ctx, "catalog.Objects", "true")
	}
	return c.entries(ctx, "catalog.Objects", "state = ?", state)
}

// Object gives one entry; tickerlake.NotFound if the ledger has none.
func (c *Catalog) Object(ctx context.Context, key string) (Entry, error) {
	e, err := scanEntry(c.state.QueryRowContext(ctx, "SELECT "+entryColumns+" FROM objects WHERE key = ?", key))
	if errors.Is(err, sql.ErrNoRows) {
		return e, &tickerlake.Error{Code: tickerlake.NotFound, Op: "catalog.Object", Name: key}
	}
	return e, sqliteError("catalog.Object", "state.db", err)
}

// A StateCount is how many objects of a stream are in a state.
type StateCount struct {
	State   State     `json:"state"`
	Objects int64     `json:"objects"`
	Lines   int64     `json:"lines"`
	Bytes   int64     `json:"bytes"`
	Oldest  time.Time `json:"oldest"`
}

// Counts summarizes the ledger by state.
func (c *Catalog) Counts(ctx context.Context) ([]StateCount, error) {
	var out []StateCount
	err := c.query(ctx, "catalog.Counts", func(rows *sql.Rows) error {
		var s StateCount
		var oldest string
		err := rows.Scan(&s.State, &s.Objects, &s.Lines, &s.Bytes, &oldest)
		s.Oldest = unstamp(oldest)
		out = append(out, s)
		return err
	}, "SELECT state, count(*), sum(lines), sum(size), min(delivered_at) FROM objects GROUP BY state ORDER BY state")
	return out, err
}

// scanned records what a scan found in an object.
func (c *Catalog) scanned(ctx context.Context, tx *sql.Tx, key string, f Facts) error {
	state := Waiting
	if f.Damage != "" {
		state = Damaged
	}
	_, err := tx.ExecContext(ctx, `UPDATE objects SET scanned = 1, lines = ?, bad_lines = ?, state = ?, error = ?, updated_at = ?
		WHERE key = ? AND state IN ('pending', 'damaged')`,
		f.Lines, f.BadLines, state, f.Damage, stamp(c.clock()), key)
	return err
}

// Damage marks a pending object as one that cannot be read.
func (c *Catalog) Damage(ctx context.Context, key, why string) error {
	return c.update(ctx, "catalog.Damage", func(tx *sql.Tx) error {
		if err := askAgain(ctx, tx); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "UPDATE objects SET state = 'damaged', error = ?, updated_at = ? WHERE key = ? AND state = 'pending'",
			why, stamp(c.clock()), key)
		return err
	})
}

// maxGateFailures is how often a quality gate may stop an object before it is held.
const maxGateFailures = 3

// Fail counts a failed run for each of its objects. They stay pending, but for those that
// a quality gate has stopped too often: they are held, and returned.
func (c *Catalog) Fail(ctx context.Context, run, why string, gate bool) (held []Entry, err error) {
	const op = "catalog.Fail"
	err = c.update(ctx, op, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE objects SET failures = failures + 1, gate_failures = gate_failures + ?, error = ?, updated_at = ?
			WHERE state = 'pending' AND run = ?`, gate, why, stamp(c.clock()), run)
		if err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, `UPDATE objects SET state = 'held', error = ?
			WHERE state = 'pending' AND run = ? AND gate_failures >= ? RETURNING `+entryColumns,
			fmt.Sprintf("stopped %d times by the quality gate, at last: %s", maxGateFailures, why), run, maxGateFailures)
		if err != nil {
			return err
		}
		for rows.Next() {
			e, err := scanEntry(rows)
			if err != nil {
				return errors.Join(err, rows.Close())
			}
			held = append(held, e)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return err
		}
		if len(held) > 0 {
			// It is not on its way any more, and what was fetched since leaves a gap before it.
			if _, err := tx.ExecContext(ctx, "UPDATE delivered SET held = 1"); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, "UPDATE objects SET run = '' WHERE state IN ('pending', 'held') AND run = ?", run)
		return err
	})
	return held, err
}
