package catalog

import (
	"context"
	"database/sql"
	"fmt"
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

// InsaneCovers tells what cannot be in the covers of the series and in what a rollback
// would bring back: texts that cannot be read, covers that end before they begin, and
// more of them than there may be.
func (c *Catalog) InsaneCovers(ctx context.Context) ([]string, error) {
	var out []string
	err := c.query(ctx, "catalog.InsaneCovers", func(rows *sql.Rows) error {
		var table, symbol string
		var text []byte
		var at int64
		if err := rows.Scan(&table, &symbol, &text, &at); err != nil {
			return err
		}
		if why := insane(text, at); why != "" {
			out = append(out, symbol+" in "+table+": "+why)
		}
		return nil
	}, "SELECT tbl, symbol, covers, covered_at FROM series ORDER BY tbl, symbol")
	if err != nil {
		return out, err
	}
	err = c.query(ctx, "catalog.InsaneCovers", func(rows *sql.Rows) error {
		var table string
		var u undo
		if err := rows.Scan(&table, &u.seq, &u.watermarks, &u.text); err != nil {
			return err
		}
		if _, err := u.series(); err != nil {
			out = append(out, fmt.Sprintf("%s, publication %d: %v", table, u.seq, err))
		}
		return nil
	}, "SELECT tbl, seq, watermarks, series FROM undo ORDER BY tbl, seq")
	return out, err
}

func insane(text []byte, at int64) string {
	covers, err := readCovers(text)
	switch {
	case err != nil:
		return err.Error()
	case len(covers) > maxCovers:
		return fmt.Sprintf("it has %d covers, more than there may be", len(covers))
	}
	for _, c := range covers {
		if c.To.Before(c.From) {
			return "a cover ends before it begins"
		}
	}
	if at != coveredAt(covers) {
		return "the latest of its covers is another than is said beside them"
	}
	return ""
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
