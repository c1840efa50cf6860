package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/tickerlake/tickerlake"
)

// The decisions that a user can make about a quarantined row.
const (
	Accepted = "accepted" // it is published knowingly
	Rejected = "rejected" // it is wrong, and done with
)

// A Decision is what a user decided about a quarantined row.
type Decision struct {
	ID       string // of the row
	Decision string // Accepted or Rejected
	At       time.Time
	Table    string
	Symbol   string
	// Ts is the bar's; zero if the row's cannot be read.
	Ts      time.Time
	FetchID string
}

// Decide records a decision; a row that was rejected may still be accepted. It fails
// with tickerlake.Conflict if an accepted row is to be rejected.
func (c *Catalog) Decide(ctx context.Context, d Decision) error {
	return c.update(ctx, "catalog.Decide", func(tx *sql.Tx) error {
		var was string
		err := tx.QueryRowContext(ctx, "SELECT decision FROM decisions WHERE id = ?", d.ID).Scan(&was)
		switch {
		case err != nil && err != sql.ErrNoRows:
			return err
		case was == d.Decision:
			return nil
		case was == Accepted:
			return tickerlake.Errorf(tickerlake.Conflict, "catalog.Decide", d.ID, "the row has been accepted, and is published or on its way: a rollback takes it back")
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO decisions (id, decision, decided_at, tbl, symbol, ts, fetch_id) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET decision = excluded.decision, decided_at = excluded.decided_at, tbl = excluded.tbl, symbol = excluded.symbol,
			ts = excluded.ts, fetch_id = excluded.fetch_id`, d.ID, d.Decision, stamp(d.At), d.Table, d.Symbol, stamp(d.Ts), d.FetchID)
		return err
	})
}

// Decisions gives what was decided, by id. They are made by hand, so they are few.
func (c *Catalog) Decisions(ctx context.Context) (map[string]Decision, error) {
	out := map[string]Decision{}
	err := c.decisions(ctx, func(d Decision) { out[d.ID] = d }, "true")
	return out, err
}

// Decided gives the decisions about some rows, by id.
func (c *Catalog) Decided(ctx context.Context, ids ...string) (map[string]Decision, error) {
	list, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	out := map[string]Decision{}
	err = c.decisions(ctx, func(d Decision) { out[d.ID] = d }, "id IN (SELECT value FROM json_each(?))", string(list))
	return out, err
}

// AcceptedOf lists the rows of a table that users have accepted.
func (c *Catalog) AcceptedOf(ctx context.Context, table string) ([]Decision, error) {
	var out []Decision
	err := c.decisions(ctx, func(d Decision) { out = append(out, d) }, "decision = 'accepted' AND tbl = ?", table)
	return out, err
}

func (c *Catalog) decisions(ctx context.Context, each func(Decision), where string, args ...any) error {
	return c.query(ctx, "catalog.Decisions", func(rows *sql.Rows) error {
		var d Decision
		var at, ts string
		err := rows.Scan(&d.ID, &d.Decision, &at, &d.Table, &d.Symbol, &ts, &d.FetchID)
		d.At, d.Ts = unstamp(at), unstamp(ts)
		each(d)
		return err
	}, "SELECT id, decision, decided_at, tbl, symbol, ts, fetch_id FROM decisions WHERE "+where+" ORDER BY id", args...)
}
