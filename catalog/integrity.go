package catalog

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// A Problem is what is wrong with a database.
type Problem struct{ File, Problem string }

// Integrity has SQLite look through both databases.
func (c *Catalog) Integrity(ctx context.Context) ([]Problem, error) {
	var out []Problem
	for _, db := range []struct {
		name string
		db   *sql.DB
	}{{"state.db", c.state}, {"catalog.db", c.tables}} {
		rows, err := db.db.QueryContext(ctx, "PRAGMA integrity_check(20)")
		if err != nil {
			out = append(out, Problem{db.name, err.Error()})
			continue
		}
		for rows.Next() {
			var text string
			if err := rows.Scan(&text); err != nil {
				break
			}
			if text != "ok" {
				out = append(out, Problem{db.name, text})
			}
		}
		if err := rows.Err(); err != nil && ctx.Err() == nil {
			out = append(out, Problem{db.name, err.Error()})
		}
		if err := rows.Close(); err != nil {
			return out, sqliteError("catalog.Integrity", db.name, err)
		}
	}
	return out, ctx.Err()
}

// InsaneCovers tells the current covers that end before they begin. They may overlap:
// where they do, the later one counts.
func (c *Catalog) InsaneCovers(ctx context.Context) ([]string, error) {
	var out []string
	err := c.query(ctx, "catalog.InsaneCovers", func(rows *sql.Rows) error {
		var tbl, symbol string
		var from, to int64
		if err := rows.Scan(&tbl, &symbol, &from, &to); err != nil {
			return err
		}
		out = append(out, fmt.Sprintf("the cover of %s in %s from %s to %s ends before it begins", symbol, tbl,
			time.UnixMicro(from).UTC().Format(time.DateTime), time.UnixMicro(to).UTC().Format(time.DateTime)))
		return nil
	}, `SELECT tbl, symbol, from_ts, to_ts FROM covers WHERE died IS NULL AND from_ts > to_ts`)
	return out, err
}

// MarkDamaged marks an object as one that cannot be read, whatever its state: nothing of
// it is used, and every source is asked for everything again.
func (c *Catalog) MarkDamaged(ctx context.Context, key, why string) error {
	return c.update(ctx, "catalog.MarkDamaged", func(tx *sql.Tx) error {
		if err := askAgain(ctx, tx); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "UPDATE objects SET state = 'damaged', error = ?, updated_at = ? WHERE key = ?", why, stamp(c.clock()), key)
		return err
	})
}
