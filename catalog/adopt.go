package catalog

import (
	"context"
	"database/sql"
	"errors"

	icecatalog "github.com/apache/iceberg-go/catalog"
	icebergio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"

	"github.com/tickerlake/tickerlake"
)

// Pointer is the metadata file that catalog.db names of a table; NotFound if there is no
// such table.
func (c *Catalog) Pointer(ctx context.Context, database, name string) (location string, err error) {
	err = c.tables.QueryRowContext(ctx, "SELECT coalesce(metadata_location, '') FROM iceberg_tables WHERE catalog_name = ? AND table_namespace = ? AND table_name = ?",
		Name, database, name).Scan(&location)
	if errors.Is(err, sql.ErrNoRows) {
		return "", &tickerlake.Error{Code: tickerlake.NotFound, Op: "catalog.Pointer", Name: database + "." + name}
	}
	return location, sqliteError("catalog.Pointer", "catalog.db", err)
}

// TableAt gives a table as a metadata file has it.
func (c *Catalog) TableAt(ctx context.Context, files Files, database, name, location string) (*table.Table, error) {
	t, err := table.NewFromLocation(ctx, table.Identifier{database, name}, location,
		func(context.Context) (icebergio.IO, error) { return files, nil }, c.iceberg)
	if err != nil {
		return nil, tableError("catalog.TableAt", database, name, err)
	}
	return t, nil
}

// Adopt makes a metadata file what catalog.db names of a table, which it need not have. It
// is for a catalog.db that is older than the table: nothing is compared.
func (c *Catalog) Adopt(ctx context.Context, database, name, location string) error {
	err := c.iceberg.CreateNamespace(ctx, table.Identifier{database}, nil)
	if err != nil && !errors.Is(err, icecatalog.ErrNamespaceAlreadyExists) {
		return tableError("catalog.Adopt", database, name, err)
	}
	_, err = c.tables.ExecContext(ctx, `INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, metadata_location, iceberg_type) VALUES (?, ?, ?, ?, 'TABLE')
		ON CONFLICT DO UPDATE SET previous_metadata_location = metadata_location, metadata_location = excluded.metadata_location`, Name, database, name, location)
	return sqliteError("catalog.Adopt", "catalog.db", err)
}
