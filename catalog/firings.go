package catalog

import (
	"context"
	"database/sql"
	"time"
)

// Fired gives the last firing of a source's schedule that has been carried out or
// missed, the zero time if there was none.
func (c *Catalog) Fired(ctx context.Context, source string) (at time.Time, err error) {
	err = c.query(ctx, "catalog.Fired", func(rows *sql.Rows) error {
		var text string
		err := rows.Scan(&text)
		at = unstamp(text)
		return err
	}, "SELECT fired_at FROM firings WHERE source = ?", source)
	return at, err
}

// Fire keeps that a firing of a source's schedule has been carried out. An earlier one
// than is known changes nothing.
func (c *Catalog) Fire(ctx context.Context, source string, at time.Time) error {
	return c.update(ctx, "catalog.Fire", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO firings (source, fired_at) VALUES (?, ?)
			ON CONFLICT (source) DO UPDATE SET fired_at = max(fired_at, excluded.fired_at)`, source, stamp(at))
		return err
	})
}
