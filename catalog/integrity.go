package catalog

import (
	"context"
	"database/sql"
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

// InsaneCovers tells the covers that end before they begin, or died before they were born,
// and the series that have more than there may be.
func (c *Catalog) InsaneCovers(ctx context.Context) ([]string, error) {
	var out []string
	text := func(rows *sql.Rows) error {
		var tbl, symbol, what string
		err := rows.Scan(&tbl, &symbol, &what)
		out = append(out, symbol+" in "+tbl+": "+what)
		return err
	}
	err := c.query(ctx, "catalog.InsaneCovers", text, `SELECT tbl, symbol, 'a cover ends before it begins' FROM covers WHERE from_ts > to_ts
		UNION ALL SELECT tbl, symbol, 'a cover died before it was born' FROM covers WHERE died < born
		UNION ALL SELECT tbl, symbol, 'it has ' || count(*) || ' covers, more than there may be' FROM covers WHERE died IS NULL GROUP BY tbl, symbol HAVING count(*) > ?`, maxCovers)
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
