package catalog

import (
	"context"
	"database/sql"
	"time"

	"github.com/tickerlake/tickerlake"
)

// A Wait is a series whose new rows wait until all of its history has come anew: its
// source has restated it.
type Wait struct {
	Table  string            `json:"table"`
	Symbol tickerlake.Symbol `json:"symbol"`
	Source string            `json:"source"` // as its rows name it
	Reason string            `json:"reason"`
	Since  time.Time         `json:"since"`
}

// Waits lists the series that wait, by table and symbol.
func (c *Catalog) Waits(ctx context.Context) ([]Wait, error) {
	out := []Wait{}
	err := c.query(ctx, "catalog.Waits", func(rows *sql.Rows) error {
		var w Wait
		var since string
		err := rows.Scan(&w.Table, &w.Symbol, &w.Source, &w.Reason, &since)
		w.Since = unstamp(since)
		out = append(out, w)
		return err
	}, "SELECT tbl, symbol, source, reason, since FROM waiting ORDER BY tbl, symbol")
	return out, err
}

// wait keeps which series wait since this publication, or go on waiting, and which do no
// longer.
func wait(ctx context.Context, tx *sql.Tx, p Publication, now time.Time) error {
	for _, w := range p.Waits {
		_, err := tx.ExecContext(ctx, `INSERT INTO waiting (tbl, symbol, source, reason, since) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET source = excluded.source, reason = excluded.reason`, w.Table, string(w.Symbol), w.Source, w.Reason, stamp(now))
		if err != nil {
			return err
		}
	}
	for _, n := range p.Confirmations {
		if !n.Anew {
			continue
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM waiting WHERE tbl = ? AND symbol = ?", n.Table, string(n.Symbol)); err != nil {
			return err
		}
	}
	return nil
}

// Reconciled keeps that all of the history of symbols was fetched at a time, or is taken
// to have been. An earlier time than is known changes nothing.
func (c *Catalog) Reconciled(ctx context.Context, table string, at time.Time, symbols ...tickerlake.Symbol) error {
	return c.update(ctx, "catalog.Reconciled", func(tx *sql.Tx) error {
		for _, symbol := range symbols {
			_, err := tx.ExecContext(ctx, `INSERT INTO reconciled (tbl, symbol, at) VALUES (?, ?, ?)
				ON CONFLICT DO UPDATE SET at = max(at, excluded.at)`, table, string(symbol), stamp(at))
			if err != nil {
				return err
			}
		}
		return nil
	})
}
