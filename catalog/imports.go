package catalog

import (
	"context"
	"database/sql"
	"errors"

	"github.com/tickerlake/tickerlake"
)

// Import gives what is known of a file; tickerlake.NotFound if it was never begun, or if
// an object that may have held its rows is damaged.
func (c *Catalog) Import(ctx context.Context, id string) (tickerlake.Import, error) {
	i := tickerlake.Import{ID: id}
	var fetched, taken string
	err := c.state.QueryRowContext(ctx, "SELECT name, size, fetched_at, documents, taken_at FROM imports WHERE id = ?", id).
		Scan(&i.Name, &i.Size, &fetched, &i.Documents, &taken)
	if errors.Is(err, sql.ErrNoRows) {
		return i, &tickerlake.Error{Code: tickerlake.NotFound, Op: "catalog.Import", Name: id}
	}
	i.FetchedAt, i.TakenAt = unstamp(fetched), unstamp(taken)
	return i, sqliteError("catalog.Import", "state.db", err)
}

// KeepImport records how far a file has come.
func (c *Catalog) KeepImport(ctx context.Context, i tickerlake.Import) error {
	_, err := c.state.ExecContext(ctx, `INSERT INTO imports (id, name, size, fetched_at, documents, taken_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET name = excluded.name, size = excluded.size, fetched_at = excluded.fetched_at,
		documents = excluded.documents, taken_at = excluded.taken_at`,
		i.ID, i.Name, i.Size, stamp(i.FetchedAt), i.Documents, stamp(i.TakenAt))
	return sqliteError("catalog.KeepImport", "state.db", err)
}
