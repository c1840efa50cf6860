package catalog

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/tickerlake/tickerlake"
)

// Import gives what is known of a file; tickerlake.NotFound if it was never begun, or if
// an object that may have held its rows is damaged.
func (c *Catalog) Import(ctx context.Context, id string) (tickerlake.Import, error) {
	i := tickerlake.Import{ID: id}
	var fetched, taken string
	var begun int64
	err := c.state.QueryRowContext(ctx, "SELECT rowid, name, size, fetched_at, documents, taken_at FROM imports WHERE id = ?", id).
		Scan(&begun, &i.Name, &i.Size, &fetched, &i.Documents, &taken)
	if errors.Is(err, sql.ErrNoRows) {
		return i, &tickerlake.Error{Code: tickerlake.NotFound, Op: "catalog.Import", Name: id}
	}
	i.FetchedAt, i.TakenAt, i.Begun = unstamp(fetched), unstamp(taken), time.UnixMilli(begun).UTC()
	return i, sqliteError("catalog.Import", "state.db", err)
}

// NextImport is when a file is begun now: later than all of which is known.
func (c *Catalog) NextImport(ctx context.Context) (time.Time, error) {
	var last int64
	err := c.state.QueryRowContext(ctx, "SELECT coalesce(max(rowid), 0) FROM imports").Scan(&last)
	return time.UnixMilli(max(last+1, c.clock().UnixMilli())).UTC(), sqliteError("catalog.NextImport", "state.db", err)
}

// KeepImport records how far a file has come.
func (c *Catalog) KeepImport(ctx context.Context, i tickerlake.Import) error {
	_, err := c.state.ExecContext(ctx, `INSERT INTO imports (rowid, id, name, size, fetched_at, documents, taken_at) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET rowid = excluded.rowid, name = excluded.name, size = excluded.size, fetched_at = excluded.fetched_at,
		documents = excluded.documents, taken_at = excluded.taken_at`,
		i.Begun.UnixMilli(), i.ID, i.Name, i.Size, stamp(i.FetchedAt), i.Documents, stamp(i.TakenAt))
	return sqliteError("catalog.KeepImport", "state.db", err)
}
