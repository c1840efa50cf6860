package catalog

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/tickerlake/tickerlake"
)

// An Import is what is known of a file that was brought in, or is on its way.
type Import struct {
	// ID stands for the content of the file and how it was read.
	ID   string
	Name string
	Size int64
	// FetchedAt is when the rows were learned, decided when the file was begun.
	FetchedAt time.Time
	// Documents are so many of the file, from its beginning, that are durable.
	Documents int64
	// TakenAt is when the whole file was durable; zero before that.
	TakenAt time.Time
}

// Import gives what is known of a file; tickerlake.NotFound if it was never begun, or if
// an object that may have held its rows is damaged.
func (c *Catalog) Import(ctx context.Context, id string) (Import, error) {
	i := Import{ID: id}
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
func (c *Catalog) KeepImport(ctx context.Context, i Import) error {
	_, err := c.state.ExecContext(ctx, `INSERT INTO imports (id, name, size, fetched_at, documents, taken_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET name = excluded.name, size = excluded.size, fetched_at = excluded.fetched_at,
		documents = excluded.documents, taken_at = excluded.taken_at`,
		i.ID, i.Name, i.Size, stamp(i.FetchedAt), i.Documents, stamp(i.TakenAt))
	return sqliteError("catalog.KeepImport", "state.db", err)
}
