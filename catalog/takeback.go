package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake"
)

// Seq gives the number of a run's publication, and when it was; false if the run has not
// published.
func (c *Catalog) Seq(ctx context.Context, run string) (seq int64, at time.Time, ok bool, err error) {
	var text string
	err = c.state.QueryRowContext(ctx, "SELECT seq, published_at FROM publications WHERE run = ?", run).Scan(&seq, &text)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, time.Time{}, false, nil
	}
	return seq, unstamp(text), err == nil, sqliteError("catalog.Seq", "state.db", err)
}

// A Rollback takes a table back to what it was after publication Seq. It is decided by
// TakeBack and done when Settled says so; between, Unsettled has it.
type Rollback struct {
	Table    string
	Run      string // its id in ops.runs
	Snapshot int64
	Seq      int64
	Reason   string // why objects are held and sources paused
	Started  time.Time
	// Plan is the caller's.
	Plan json.RawMessage
	// Held and Taken come from TakeBack: the keys of the objects that it held, and what of
	// the table it took back.
	Held  []string
	Taken []Feed
}

// Sources are the sources that the rollback paused.
func (r Rollback) Sources() []string {
	var out []string
	for _, f := range r.Taken {
		if !slices.Contains(out, f.Source) {
			out = append(out, f.Source)
		}
	}
	slices.Sort(out)
	return out
}

// decided is what rollbacks.plan holds.
type decided struct {
	Plan   json.RawMessage `json:"plan"`
	Reason string          `json:"reason"`
	Held   []string        `json:"held"`
	Taken  []Feed          `json:"taken"`
}

// TakeBack decides a rollback, in one transaction: the series of the table are again what
// they were after publication r.Seq, the objects that have fed the table since, and those
// that are pending, are held, and the sources of the former are paused.
func (c *Catalog) TakeBack(ctx context.Context, r Rollback) (Rollback, error) {
	const op = "catalog.TakeBack"
	err := c.update(ctx, op, func(tx *sql.Tx) error {
		var err error
		if r.Taken, err = taken(ctx, tx, r); err != nil {
			return err
		}
		if r.Held, err = c.hold(ctx, tx, r); err != nil {
			return err
		}
		for _, source := range r.Sources() {
			_, err := tx.ExecContext(ctx, "INSERT INTO paused (source, since, reason) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", source, stamp(r.Started), r.Reason)
			if err != nil {
				return err
			}
		}
		if err := takeBack(ctx, tx, r.Table, r.Seq); err != nil {
			return err
		}
		plan, err := json.Marshal(decided{r.Plan, r.Reason, r.Held, r.Taken})
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO rollbacks (tbl, run, snapshot, seq, plan, started_at) VALUES (?, ?, ?, ?, ?, ?)",
			r.Table, r.Run, r.Snapshot, r.Seq, string(plan), stamp(r.Started))
		return err
	})
	return r, err
}

// taken lists what has fed the table since, one line a source: its Key is empty.
func taken(ctx context.Context, tx *sql.Tx, r Rollback) (out []Feed, err error) {
	rows, err := tx.QueryContext(ctx, "SELECT source, min(fetched_at) FROM feeds WHERE tbl = ? AND born > ? GROUP BY source ORDER BY source", r.Table, r.Seq)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		f := Feed{Table: r.Table}
		var at int64
		if err := rows.Scan(&f.Source, &at); err != nil {
			return nil, err
		}
		f.FetchedAt = time.UnixMicro(at).UTC()
		out = append(out, f)
	}
	return out, rows.Err()
}

// hold holds what the rollback takes back and what is pending. Their turn, if they are
// released, is the order in which they were published; what was pending comes last.
func (c *Catalog) hold(ctx context.Context, tx *sql.Tx, r Rollback) (keys []string, err error) {
	const since = "(SELECT min(born) FROM feeds f WHERE f.key = objects.key AND f.tbl = ?1 AND f.born > ?2)"
	rows, err := tx.QueryContext(ctx, `UPDATE objects SET
			replay = min(coalesce(replay, `+afterAll+`), coalesce(`+since+`, `+afterAll+`)),
			error = iif(state = 'held', error, ?3), state = 'held', run = '', updated_at = iif(state = 'held', updated_at, ?4)
		WHERE state = 'pending' OR state IN ('published', 'held') AND key IN (SELECT key FROM feeds WHERE tbl = ?1 AND born > ?2)
		RETURNING key`, r.Table, r.Seq, r.Reason, stamp(c.clock()))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var key string
		if err := rows.Scan(&key); err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys, rows.Err()
}

// afterAll is the turn after that of every publication.
const afterAll = "(SELECT coalesce(max(seq), 0) + 1 FROM publications)"

// takeBack takes the rows of a table back to what they were after publication seq. The
// watermarks are kept for when all that is taken back is published again, and what is on
// its way is so no longer.
func takeBack(ctx context.Context, tx *sql.Tx, table string, seq int64) error {
	if err := undoSeries(ctx, tx, table, seq); err != nil {
		return err
	}
	for _, statement := range []string{
		"UPDATE feeds SET born = NULL WHERE tbl = ? AND born > ?",
		"DELETE FROM measured WHERE tbl = ? AND run IN (SELECT run FROM publications WHERE seq > ?)",
	} {
		if _, err := tx.ExecContext(ctx, statement, table, seq); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, "UPDATE delivered SET held = 1")
	return err
}

// Unsettled lists the rollbacks that are decided and not done.
func (c *Catalog) Unsettled(ctx context.Context) ([]Rollback, error) {
	var out []Rollback
	err := c.query(ctx, "catalog.Unsettled", func(rows *sql.Rows) error {
		var r Rollback
		var started, plan string
		if err := rows.Scan(&r.Table, &r.Run, &r.Snapshot, &r.Seq, &plan, &started); err != nil {
			return err
		}
		var d decided
		if err := json.Unmarshal([]byte(plan), &d); err != nil {
			return err
		}
		r.Started, r.Plan, r.Reason, r.Held, r.Taken = unstamp(started), d.Plan, d.Reason, d.Held, d.Taken
		out = append(out, r)
		return nil
	}, "SELECT tbl, run, snapshot, seq, plan, started_at FROM rollbacks ORDER BY tbl")
	return out, err
}

// Settled ends the rollback of a table.
func (c *Catalog) Settled(ctx context.Context, table string) error {
	_, err := c.state.ExecContext(ctx, "DELETE FROM rollbacks WHERE tbl = ?", table)
	return sqliteError("catalog.Settled", "state.db", err)
}

// A Pause is a source that is not asked.
type Pause struct {
	Source string    `json:"source"` // as its rows name it
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"`
}

// Paused lists the paused sources.
func (c *Catalog) Paused(ctx context.Context) ([]Pause, error) {
	out := []Pause{}
	err := c.query(ctx, "catalog.Paused", func(rows *sql.Rows) error {
		var p Pause
		var since string
		err := rows.Scan(&p.Source, &since, &p.Reason)
		p.Since = unstamp(since)
		out = append(out, p)
		return err
	}, "SELECT source, since, reason FROM paused ORDER BY source")
	return out, err
}

// Release makes held objects pending, all or those named by key or by the last part of
// their key, and lets the sources go on that have no held object left. It fails with
// tickerlake.NotFound, and changes nothing, if a name is not that of a held object.
func (c *Catalog) Release(ctx context.Context, names ...string) (released []Entry, sources []string, err error) {
	const op = "catalog.Release"
	held, err := c.Objects(ctx, Held)
	if err != nil {
		return nil, nil, err
	}
	if released = held; len(names) > 0 {
		if released, err = named(held, names); err != nil {
			return nil, nil, err
		}
	}
	err = c.update(ctx, op, func(tx *sql.Tx) error {
		for _, e := range released {
			_, err := tx.ExecContext(ctx, "UPDATE objects SET state = 'pending', run = '', gate_failures = 0, error = '', updated_at = ? WHERE key = ? AND state = 'held'",
				stamp(c.clock()), e.Key)
			if err != nil {
				return err
			}
		}
		rows, err := tx.QueryContext(ctx, `DELETE FROM paused WHERE NOT EXISTS (SELECT 1 FROM feeds f JOIN objects o USING (key)
			WHERE f.source = paused.source AND o.state = 'held') RETURNING source`)
		if err != nil {
			return err
		}
		for rows.Next() {
			var source string
			if err := rows.Scan(&source); err != nil {
				return errors.Join(err, rows.Close())
			}
			sources = append(sources, source)
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	for i := range released {
		released[i].State, released[i].Error = Waiting, ""
	}
	slices.Sort(sources)
	return released, sources, err
}

func named(held []Entry, names []string) ([]Entry, error) {
	var out []Entry
	for _, name := range names {
		i := slices.IndexFunc(held, func(e Entry) bool { return e.Key == name || path.Base(e.Key) == name })
		if i < 0 {
			const shown = 10
			var there []string
			for _, e := range held[:min(len(held), shown)] {
				there = append(there, e.Key)
			}
			list := "no object is held"
			if len(held) > 0 {
				list = "held are " + strings.Join(there, ", ")
			}
			if len(held) > shown {
				list += fmt.Sprintf(", and %d more", len(held)-shown)
			}
			return nil, tickerlake.Errorf(tickerlake.NotFound, "catalog.Release", name, "no object of that name is held; %s", list)
		}
		if !slices.ContainsFunc(out, func(e Entry) bool { return e.Key == held[i].Key }) {
			out = append(out, held[i])
		}
	}
	return out, nil
}

// Replaying reports whether objects wait for their turn, so that another run is to follow.
func (c *Catalog) Replaying(ctx context.Context) (waiting bool, err error) {
	err = c.state.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM objects WHERE state = 'pending' AND replay IS NOT NULL)").Scan(&waiting)
	return waiting, sqliteError("catalog.Replaying", "state.db", err)
}
