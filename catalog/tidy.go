package catalog

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// A Numbered is the publication of one run.
type Numbered struct {
	Seq int64
	At  time.Time
}

// Publications lists the publications by run.
func (c *Catalog) Publications(ctx context.Context) (map[string]Numbered, error) {
	out := map[string]Numbered{}
	err := c.query(ctx, "catalog.Publications", func(rows *sql.Rows) error {
		var run, at string
		var n Numbered
		err := rows.Scan(&run, &n.Seq, &at)
		n.At = unstamp(at)
		out[run] = n
		return err
	}, "SELECT run, seq, published_at FROM publications")
	return out, err
}

// Fed gives, of each table, the last publication whose rows are in it. standing reports
// whether those of publication seq are in a table, and nothing that a rollback has taken
// back is still to be published again.
func (c *Catalog) Fed(ctx context.Context, seq int64) (fed map[string]int64, standing bool, err error) {
	fed = map[string]int64{}
	err = c.query(ctx, "catalog.Fed", func(rows *sql.Rows) error {
		var table string
		var last int64
		var its bool
		err := rows.Scan(&table, &last, &its)
		fed[table], standing = last, standing || its
		return err
	}, "SELECT tbl, max(born), max(born = ? AND NOT EXISTS (SELECT 1 FROM objects WHERE replay IS NOT NULL)) FROM feeds WHERE born IS NOT NULL GROUP BY tbl", seq)
	return fed, standing, err
}

// Garbage lists the files that nothing needs, and since when.
func (c *Catalog) Garbage(ctx context.Context) (map[string]time.Time, error) {
	out := map[string]time.Time{}
	err := c.query(ctx, "catalog.Garbage", func(rows *sql.Rows) error {
		var location, since string
		err := rows.Scan(&location, &since)
		out[location] = unstamp(since)
		return err
	}, "SELECT location, since FROM garbage")
	return out, err
}

// Discard records that nothing needs files any more. Those that are recorded keep
// their time.
func (c *Catalog) Discard(ctx context.Context, locations ...string) error {
	return c.eachOf(ctx, "catalog.Discard", "INSERT INTO garbage (location, since) VALUES (?1, ?2) ON CONFLICT DO NOTHING", locations)
}

// Reclaimed forgets garbage that is deleted, or is none.
func (c *Catalog) Reclaimed(ctx context.Context, locations ...string) error {
	return c.eachOf(ctx, "catalog.Reclaimed", "DELETE FROM garbage WHERE location = ?1", locations)
}

func (c *Catalog) eachOf(ctx context.Context, op, statement string, values []string) error {
	if len(values) == 0 {
		return nil
	}
	return c.update(ctx, op, func(tx *sql.Tx) error {
		now := stamp(c.clock())
		prepared, err := tx.PrepareContext(ctx, statement)
		if err != nil {
			return err
		}
		for _, v := range values {
			if _, err := prepared.ExecContext(ctx, v, now); err != nil {
				return errors.Join(err, prepared.Close())
			}
		}
		return prepared.Close()
	})
}

// Outlived lists the published objects of days before dt (YYYY-MM-DD) that no rollback
// to a kept snapshot would have to bring back.
func (c *Catalog) Outlived(ctx context.Context, dt string) ([]Entry, error) {
	return c.entries(ctx, "catalog.Outlived", `state = 'published' AND dt <> '' AND dt < ?
		AND NOT EXISTS (SELECT 1 FROM feeds f WHERE f.key = objects.key AND f.born IS NOT NULL)`, dt)
}

// Drop forgets a published object that has been deleted at location.
func (c *Catalog) Drop(ctx context.Context, stream, key, location string) error {
	return c.update(ctx, "catalog.Drop", func(tx *sql.Tx) error {
		for _, s := range []struct {
			statement string
			args      []any
		}{
			{`UPDATE raw_partitions SET objects = objects - 1, bytes = bytes - o.size, records = records - o.lines
				FROM objects o WHERE o.key = ? AND o.scanned = 1 AND stream = ? AND raw_partitions.dt = o.dt`, []any{key, stream}},
			{"DELETE FROM raw_partitions WHERE objects <= 0", nil},
			{"DELETE FROM feeds WHERE key = ?", []any{key}},
			{"DELETE FROM objects WHERE key = ? AND state = 'published'", []any{key}},
			{"DELETE FROM garbage WHERE location = ?", []any{location}},
		} {
			if _, err := tx.ExecContext(ctx, s.statement, s.args...); err != nil {
				return err
			}
		}
		return nil
	})
}

// Bound drops all but the newest keep results of each metric, and publications before
// seq, which no kept snapshot is of.
func (c *Catalog) Bound(ctx context.Context, keep int, seq int64) error {
	return c.update(ctx, "catalog.Bound", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM measured WHERE rowid IN (SELECT rowid FROM
			(SELECT rowid, row_number() OVER (PARTITION BY tbl, metric ORDER BY at DESC, run DESC) AS n FROM measured) WHERE n > ?)`, keep)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM publications WHERE seq < ? AND seq < (SELECT max(seq) FROM publications)", seq)
		return err
	})
}

// Tidied records that the lake was tidied.
func (c *Catalog) Tidied(ctx context.Context) error {
	_, err := c.state.ExecContext(ctx, `INSERT INTO tidied (what, at, seq) VALUES ('lake', ?, (SELECT coalesce(max(seq), 0) FROM publications))
		ON CONFLICT DO UPDATE SET at = excluded.at, seq = excluded.seq`, stamp(c.clock()))
	return sqliteError("catalog.Tidied", "state.db", err)
}

// SinceTidied tells how many publications there were since the lake was tidied last, and
// when that was: for one that never was, when the first was.
func (c *Catalog) SinceTidied(ctx context.Context) (publications int64, at time.Time, err error) {
	var text string
	err = c.state.QueryRowContext(ctx, `SELECT count(*), coalesce((SELECT at FROM tidied WHERE what = 'lake'), min(published_at), '')
		FROM publications WHERE seq > coalesce((SELECT seq FROM tidied WHERE what = 'lake'), 0)`).Scan(&publications, &text)
	return publications, unstamp(text), sqliteError("catalog.SinceTidied", "state.db", err)
}
