package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"time"

	"github.com/tickerlake/tickerlake"
)

// A Cover is a span of a series that a published fetch has confirmed: a row from
// an older fetch does not belong there any more.
type Cover struct {
	From      time.Time `json:"from"` // both ends inclusive
	To        time.Time `json:"to"`
	FetchedAt time.Time `json:"at"`
	FetchID   string    `json:"id"`
}

// maxCovers bounds the covers kept a series. Beyond it the oldest two become one
// with the older time, or the oldest goes if there is a gap between them: that
// protects less, never wrongly.
const maxCovers = 64

// Series lists what is known of the symbols of a table. The watermark counts bars
// that are delivered but not yet published.
func (c *Catalog) Series(ctx context.Context, table string) (map[tickerlake.Symbol]tickerlake.Series, error) {
	out := map[tickerlake.Symbol]tickerlake.Series{}
	err := c.query(ctx, "catalog.Series", func(rows *sql.Rows) error {
		s := tickerlake.Series{Table: table}
		var watermark string
		if err := rows.Scan(&s.Symbol, &s.Source, &s.Basis, &s.Currency, &s.Interval, &watermark); err != nil {
			return err
		}
		s.Watermark = unstamp(watermark)
		out[s.Symbol] = s
		return nil
	}, `SELECT symbol, source, basis, currency, interval, max(watermark, coalesce((SELECT max(ts) FROM delivered d
			WHERE d.tbl = s.tbl AND d.symbol = s.symbol), '')) FROM series s WHERE tbl = ?`, table)
	if err != nil {
		return nil, err
	}
	err = c.query(ctx, "catalog.Series", func(rows *sql.Rows) error {
		var symbol tickerlake.Symbol
		var ts string
		if err := rows.Scan(&symbol, &ts); err != nil {
			return err
		}
		if _, ok := out[symbol]; !ok {
			out[symbol] = tickerlake.Series{Table: table, Symbol: symbol, Watermark: unstamp(ts)}
		}
		return nil
	}, "SELECT symbol, max(ts) FROM delivered WHERE tbl = ? GROUP BY symbol", table)
	return out, err
}

// askAgain forgets how far the series have come: something that was on its way is
// lost, and what it held only the source knows. The next fetches ask for all of it.
func askAgain(ctx context.Context, tx *sql.Tx) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM delivered"); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "UPDATE series SET watermark = ''")
	return err
}

// Published lists the published series of a table; their watermark is that of the
// table itself.
func (c *Catalog) Published(ctx context.Context, table string) (map[tickerlake.Symbol]tickerlake.Series, error) {
	all, err := c.AllSeries(ctx)
	out := map[tickerlake.Symbol]tickerlake.Series{}
	for _, s := range all {
		if s.Table == table {
			out[s.Symbol] = s
		}
	}
	return out, err
}

// AllSeries lists every published series by table and symbol.
func (c *Catalog) AllSeries(ctx context.Context) ([]tickerlake.Series, error) {
	var out []tickerlake.Series
	err := c.query(ctx, "catalog.AllSeries", func(rows *sql.Rows) error {
		var s tickerlake.Series
		var watermark, last string
		err := rows.Scan(&s.Table, &s.Symbol, &s.Source, &s.Basis, &s.Currency, &s.Interval, &watermark, &last)
		s.Watermark, s.Last = unstamp(watermark), unstamp(last)
		out = append(out, s)
		return err
	}, "SELECT tbl, symbol, source, basis, currency, interval, watermark, last FROM series ORDER BY tbl, symbol")
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
		ON CONFLICT DO UPDATE SET ts = max(ts, excluded.ts), recorded_at = excluded.recorded_at`,
		s.Table, s.Symbol, fetchID, stamp(c.clock()), stamp(s.Watermark))
	return sqliteError("catalog.Pending", "state.db", err)
}

// A Confirmation is what one run learned of one series from one fetch.
type Confirmation struct {
	tickerlake.Series
	Cover Cover
}

// A Publication is what a run makes true at once when its tables are published.
type Publication struct {
	Run string
	// Confirmations has the series of the rows that were published or confirmed, with
	// their Last. The watermark moves there if the fetch had told of it (Pending):
	// others may have left a gap before.
	Confirmations []Confirmation
	// Claimed is when the run claimed its objects: what was pending then is on its
	// way no longer.
	Claimed time.Time
}

// Publish marks the run's objects as published and moves the watermarks, in one
// transaction. Called again for the same run it changes nothing.
func (c *Catalog) Publish(ctx context.Context, p Publication) error {
	return c.update(ctx, "catalog.Publish", func(tx *sql.Tx) error {
		for _, n := range p.Confirmations {
			if err := confirm(ctx, tx, n); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM delivered WHERE recorded_at <= ?", stamp(p.Claimed)); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE objects SET state = 'published', error = '', updated_at = ?
			WHERE run = ? AND state = 'pending'`, stamp(c.clock()), p.Run)
		return err
	})
}

func confirm(ctx context.Context, tx *sql.Tx, n Confirmation) error {
	var text string
	err := tx.QueryRowContext(ctx, "SELECT covers FROM series WHERE tbl = ? AND symbol = ?", n.Table, n.Symbol).Scan(&text)
	switch err {
	case sql.ErrNoRows:
		text = "[]"
	case nil:
	default:
		return err
	}
	var covers []Cover
	if err := json.Unmarshal([]byte(text), &covers); err != nil {
		return err
	}
	if !n.Cover.From.IsZero() {
		covers = addCover(covers, n.Cover)
	}
	merged, err := json.Marshal(covers)
	if err != nil {
		return err
	}
	var told int
	err = tx.QueryRowContext(ctx, "SELECT count(*) FROM delivered WHERE tbl = ? AND symbol = ? AND fetch_id = ?", n.Table, n.Symbol, n.Cover.FetchID).Scan(&told)
	if err != nil {
		return err
	}
	watermark := ""
	if told > 0 {
		watermark = stamp(n.Last)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO series (tbl, symbol, source, basis, currency, interval, watermark, last, covers)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
		watermark = max(watermark, excluded.watermark), last = max(last, excluded.last), covers = excluded.covers`,
		n.Table, n.Symbol, n.Source, n.Basis, n.Currency, n.Interval, watermark, stamp(n.Last), string(merged))
	return err
}

// addCover lays a cover over the older ones: they keep what it leaves bare. Covers
// that are newer keep theirs.
func addCover(covers []Cover, add Cover) []Cover {
	pieces := []Cover{add}
	var out []Cover
	for _, old := range covers {
		if later(old, add) {
			pieces = subtractAll(pieces, old)
			out = append(out, old)
			continue
		}
		out = append(out, subtract(old, add)...)
	}
	out = append(out, pieces...)
	slices.SortFunc(out, func(a, b Cover) int { return a.From.Compare(b.From) })
	for len(out) > maxCovers {
		a, b := out[0], out[1]
		if b.From.Sub(a.To) > time.Microsecond {
			out = out[1:]
			continue
		}
		if later(a, b) {
			a.FetchedAt, a.FetchID = b.FetchedAt, b.FetchID
		}
		a.To = b.To
		out = append([]Cover{a}, out[2:]...)
	}
	return out
}

func later(a, b Cover) bool {
	if c := a.FetchedAt.Compare(b.FetchedAt); c != 0 {
		return c > 0
	}
	return a.FetchID > b.FetchID
}

func subtractAll(pieces []Cover, hole Cover) []Cover {
	var out []Cover
	for _, p := range pieces {
		out = append(out, subtract(p, hole)...)
	}
	return out
}

// subtract gives what is left of c outside hole; times have microseconds.
func subtract(c, hole Cover) []Cover {
	if hole.To.Before(c.From) || hole.From.After(c.To) {
		return []Cover{c}
	}
	var out []Cover
	if c.From.Before(hole.From) {
		left := c
		left.To = hole.From.Add(-time.Microsecond)
		out = append(out, left)
	}
	if c.To.After(hole.To) {
		right := c
		right.From = hole.To.Add(time.Microsecond)
		out = append(out, right)
	}
	return out
}

// Covers gives the covers of the series of a table, by symbol.
func (c *Catalog) Covers(ctx context.Context, table string) (map[string][]Cover, error) {
	out := map[string][]Cover{}
	err := c.query(ctx, "catalog.Covers", func(rows *sql.Rows) error {
		var symbol, text string
		if err := rows.Scan(&symbol, &text); err != nil {
			return err
		}
		var covers []Cover
		err := json.Unmarshal([]byte(text), &covers)
		out[symbol] = covers
		return err
	}, "SELECT symbol, covers FROM series WHERE tbl = ?", table)
	return out, err
}
