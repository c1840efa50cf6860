package catalog

import (
	"context"
	"database/sql"

	"github.com/tickerlake/tickerlake"
)

// Series lists what is known of the symbols of a table. The watermark counts bars
// that are delivered but not yet published.
func (c *Catalog) Series(ctx context.Context, table string) (map[tickerlake.Symbol]tickerlake.Series, error) {
	out := map[tickerlake.Symbol]tickerlake.Series{}
	err := c.query(ctx, "catalog.Series", func(rows *sql.Rows) error {
		s := tickerlake.Series{Table: table}
		var watermark, reconciled string
		var covers []byte
		if err := rows.Scan(&s.Symbol, &s.Source, &s.Basis, &s.Currency, &s.Interval, &watermark, &covers, &s.Waiting, &reconciled); err != nil {
			return err
		}
		s.Watermark, s.Reconciled = unstamp(watermark), unstamp(reconciled)
		if s.Waiting != "" {
			told, err := readCovers(covers)
			if err != nil {
				return damagedSeries(table, string(s.Symbol), err)
			}
			for _, cover := range told {
				s.First = tickerlake.Earlier(s.First, cover.From)
			}
		}
		out[s.Symbol] = s
		return nil
	}, `SELECT symbol, s.source, basis, currency, interval, max(watermark, coalesce((SELECT max(ts) FROM delivered d
			WHERE d.tbl = s.tbl AND d.symbol = s.symbol AND d.held = 0), '')), covers, coalesce(reason, ''), coalesce(at, '')
			FROM series s LEFT JOIN waiting USING (tbl, symbol) LEFT JOIN reconciled USING (tbl, symbol) WHERE tbl = ?`, table)
	if err != nil {
		return nil, err
	}
	err = c.query(ctx, "catalog.Series", func(rows *sql.Rows) error {
		s := tickerlake.Series{Table: table}
		var ts, reconciled string
		if err := rows.Scan(&s.Symbol, &ts, &s.Waiting, &reconciled); err != nil {
			return err
		}
		if _, ok := out[s.Symbol]; !ok {
			s.Watermark, s.Reconciled = unstamp(ts), unstamp(reconciled)
			out[s.Symbol] = s
		}
		return nil
	}, `SELECT symbol, max(ts), max(reason), coalesce((SELECT at FROM reconciled r WHERE r.tbl = ?1 AND r.symbol = k.symbol), '')
		FROM (SELECT symbol, ts, '' AS reason FROM delivered WHERE tbl = ?1 AND held = 0 UNION ALL SELECT symbol, '', reason FROM waiting WHERE tbl = ?1) k GROUP BY symbol`, table)
	return out, err
}

// askAgain forgets how far the series have come: something that was on its way is
// lost, and what it held only the source knows. The next fetches ask for all of it, and
// files that were brought in may be brought in again.
func askAgain(ctx context.Context, tx *sql.Tx) error {
	// Also those that a rollback may bring back.
	_, err := tx.ExecContext(ctx, "DELETE FROM delivered; DELETE FROM rewound; DELETE FROM imports; UPDATE series SET watermark = '' WHERE watermark <> ''; UPDATE undo SET watermarks = 0")
	return err
}

// Published lists the published series of a table; their watermark is that of the
// table itself.
func (c *Catalog) Published(ctx context.Context, table string) (map[tickerlake.Symbol]tickerlake.Series, error) {
	all, err := c.allSeries(ctx, "catalog.Published", " WHERE tbl = ?", table)
	out := make(map[tickerlake.Symbol]tickerlake.Series, len(all))
	for _, s := range all {
		out[s.Symbol] = s
	}
	return out, err
}

// HasSeries reports whether anything of a table is published.
func (c *Catalog) HasSeries(ctx context.Context, tbl string) (has bool, err error) {
	err = c.state.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM series WHERE tbl = ?)", tbl).Scan(&has)
	return has, sqliteError("catalog.HasSeries", "state.db", err)
}

// AllSeries lists every published series by table and symbol.
func (c *Catalog) AllSeries(ctx context.Context) ([]tickerlake.Series, error) {
	return c.allSeries(ctx, "catalog.AllSeries", "")
}

func (c *Catalog) allSeries(ctx context.Context, op, where string, args ...any) ([]tickerlake.Series, error) {
	var out []tickerlake.Series
	err := c.query(ctx, op, func(rows *sql.Rows) error {
		var s tickerlake.Series
		var watermark, last string
		err := rows.Scan(&s.Table, &s.Symbol, &s.Source, &s.Basis, &s.Currency, &s.Interval, &watermark, &last)
		s.Watermark, s.Last = unstamp(watermark), unstamp(last)
		out = append(out, s)
		return err
	}, "SELECT tbl, symbol, source, basis, currency, interval, watermark, last FROM series"+where+" ORDER BY tbl, symbol", args...)
	return out, err
}

// Pending records that a fetch has delivered final bars up to the series'
// Watermark, so that the next fetch need not ask for them again. The zero watermark
// records nothing.
func (c *Catalog) Pending(ctx context.Context, fetchID string, s tickerlake.Series) error {
	if s.Watermark.IsZero() {
		return nil
	}
	_, err := c.state.ExecContext(ctx, `INSERT INTO delivered (tbl, symbol, fetch_id, recorded_at, ts) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET ts = max(ts, excluded.ts), recorded_at = excluded.recorded_at, held = 0`,
		s.Table, s.Symbol, fetchID, stamp(c.clock()), stamp(s.Watermark))
	return sqliteError("catalog.Pending", "state.db", err)
}
