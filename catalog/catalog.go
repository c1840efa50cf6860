// Package catalog knows what a lake holds: the Iceberg tables by name, the schema
// and partitions of the raw streams that its crawler discovers, the ledger of raw
// objects, and the series (one symbol in one table) with their watermarks.
//
// It is the embedded counterpart of the AWS Glue Data Catalog and its crawler. The
// tables stand in catalog.db, an Iceberg SQL catalog that other readers can open;
// everything else, which is live state and no history, in state.db. Both are SQLite
// with a write-ahead log, synchronous=FULL: what a method has written when it
// returns survives a power cut.
package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/apache/iceberg-go"
	icecatalog "github.com/apache/iceberg-go/catalog"
	icesql "github.com/apache/iceberg-go/catalog/sql"
	"github.com/apache/iceberg-go/table"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/tickerlake/tickerlake"
)

// Name is the catalog's name inside catalog.db; a reader such as pyiceberg must
// use the same.
const Name = "tickerlake"

// A Catalog is open on one lake. Its methods may be called from several goroutines.
type Catalog struct {
	state   *sql.DB
	tables  *sql.DB
	iceberg *icesql.Catalog
	clock   tickerlake.Clock
}

// Open opens or creates the catalog of the lake in dir. Objects of the buckets are
// under dir/buckets.
func Open(ctx context.Context, dir string, clock tickerlake.Clock) (*Catalog, error) {
	c := &Catalog{clock: clock}
	var err error
	if c.state, err = openSQLite(ctx, filepath.Join(dir, "state.db")); err != nil {
		return nil, err
	}
	if _, err := c.version(ctx, c.state); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if c.tables, err = openSQLite(ctx, filepath.Join(dir, "catalog.db")); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	registerIO()
	// A reader must not wait for a writer's lock to make tables that are there.
	var made int
	err = c.tables.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master WHERE name = 'iceberg_namespace_properties'").Scan(&made)
	if err != nil {
		return nil, errors.Join(sqliteError("catalog.Open", filepath.Join(dir, "catalog.db"), err), c.Close())
	}
	c.iceberg, err = icesql.NewCatalog(Name, c.tables, icesql.SQLite, iceberg.Properties{
		"warehouse": "s3://prod",
		rootKey:     filepath.Join(dir, "buckets"),

		"init_catalog_tables": strconv.FormatBool(made == 0),
	})
	if err != nil {
		return nil, errors.Join(sqliteError("catalog.Open", filepath.Join(dir, "catalog.db"), err), c.Close())
	}
	if err := c.migrate(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if err := syncDir(dir); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Close closes both databases.
func (c *Catalog) Close() error {
	var errs []error
	if c.iceberg != nil {
		errs = append(errs, c.iceberg.Close())
	}
	for _, db := range []*sql.DB{c.state, c.tables} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// DB is the database of live state, for the run history that flow keeps there.
func (c *Catalog) DB() *sql.DB { return c.state }

// Databases lists those of the Iceberg tables, in order.
func (c *Catalog) Databases(ctx context.Context) ([]string, error) {
	found, err := c.iceberg.ListNamespaces(ctx, nil)
	if err != nil {
		return nil, tableError("catalog.Databases", "", "", err)
	}
	var out []string
	for _, f := range found {
		out = append(out, strings.Join(f, "."))
	}
	slices.Sort(out)
	return out, nil
}

// LoadTable gives an Iceberg table; tickerlake.NotFound if there is none.
func (c *Catalog) LoadTable(ctx context.Context, database, name string) (*table.Table, error) {
	t, err := c.iceberg.LoadTable(ctx, table.Identifier{database, name})
	if errors.Is(err, icecatalog.ErrNoSuchTable) || errors.Is(err, icecatalog.ErrNoSuchNamespace) {
		return nil, &tickerlake.Error{Code: tickerlake.NotFound, Op: "catalog.LoadTable", Name: database + "." + name, Err: err}
	}
	if err != nil {
		return nil, tableError("catalog.LoadTable", database, name, err)
	}
	return t, nil
}

// CreateTable makes an empty Iceberg table at a location, and its database if need be.
func (c *Catalog) CreateTable(ctx context.Context, database, name, location string, schema *iceberg.Schema,
	spec *iceberg.PartitionSpec, order table.SortOrder, props iceberg.Properties) (*table.Table, error) {
	err := c.iceberg.CreateNamespace(ctx, table.Identifier{database}, nil)
	if err != nil && !errors.Is(err, icecatalog.ErrNamespaceAlreadyExists) {
		return nil, tableError("catalog.CreateTable", database, name, err)
	}
	t, err := c.iceberg.CreateTable(ctx, table.Identifier{database, name}, schema,
		icecatalog.WithLocation(location),
		icecatalog.WithPartitionSpec(spec), icecatalog.WithSortOrder(order), icecatalog.WithProperties(props))
	if errors.Is(err, icecatalog.ErrTableAlreadyExists) {
		return c.LoadTable(ctx, database, name)
	}
	if err != nil {
		return nil, tableError("catalog.CreateTable", database, name, err)
	}
	return t, nil
}

// Commit applies updates to an Iceberg table if its state meets the requirements;
// tickerlake.Conflict if it does not.
func (c *Catalog) Commit(ctx context.Context, t *table.Table, reqs []table.Requirement, updates []table.Update) error {
	made, _, err := c.iceberg.CommitTable(ctx, t.Identifier(), reqs, updates)
	if err != nil {
		id := t.Identifier()
		return tableError("catalog.Commit", id[0], id[1], err)
	}
	return c.dropMetadata(ctx, t, made)
}

// dropMetadata removes the metadata files that a commit has put out of the log of
// previous ones, which the library does after its own commits only. One that cannot be
// removed stays for tidy.
func (c *Catalog) dropMetadata(ctx context.Context, t *table.Table, made table.Metadata) error {
	files, err := t.FS(ctx)
	if err != nil {
		return err
	}
	kept := map[string]bool{}
	for entry := range made.PreviousFiles() {
		kept[entry.MetadataFile] = true
	}
	for entry := range t.Metadata().PreviousFiles() {
		if !kept[entry.MetadataFile] {
			_ = files.Remove(entry.MetadataFile)
		}
	}
	return nil
}

// ListTables names the Iceberg tables of a database.
func (c *Catalog) ListTables(ctx context.Context, database string) ([]string, error) {
	var names []string
	for id, err := range c.iceberg.ListTables(ctx, table.Identifier{database}) {
		if errors.Is(err, icecatalog.ErrNoSuchNamespace) {
			return nil, nil
		}
		if err != nil {
			return nil, tableError("catalog.ListTables", database, "", err)
		}
		names = append(names, id[len(id)-1])
	}
	return names, nil
}

// tableError gives an error of the Iceberg library its code.
func tableError(op, database, name string, err error) error {
	code := tickerlake.CodeOf(err)
	switch {
	case code != tickerlake.Internal:
	case errors.Is(err, table.ErrCommitFailed):
		code = tickerlake.Conflict
	case errors.Is(err, context.Canceled):
		code = tickerlake.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		code = tickerlake.Timeout
	case errors.Is(err, fs.ErrNotExist), unreadable(err):
		code = tickerlake.Damaged
	case diskCode(err) != tickerlake.Internal:
		code = diskCode(err)
	default:
		code, err = sqliteCode("catalog.db", err)
	}
	return &tickerlake.Error{Code: code, Op: op, Name: strings.TrimSuffix(database+"."+name, "."), Err: err}
}

// unreadable reports whether metadata is no text that Iceberg understands.
func unreadable(err error) bool {
	_, syntax := errors.AsType[*json.SyntaxError](err)
	_, kind := errors.AsType[*json.UnmarshalTypeError](err)
	return syntax || kind || errors.Is(err, table.ErrInvalidMetadata) || errors.Is(err, io.ErrUnexpectedEOF)
}

// diskCode tells a full or forbidden disk from other failures.
func diskCode(err error) tickerlake.Code {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EFBIG), errors.Is(err, syscall.EDQUOT):
		return tickerlake.Full
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return tickerlake.Denied
	case errors.Is(err, fs.ErrNotExist):
		return tickerlake.NotFound
	}
	return tickerlake.Internal
}

func openSQLite(ctx context.Context, path string) (*sql.DB, error) {
	query := url.Values{
		"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)"},
		"_txlock": {"immediate"},
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+query.Encode())
	if err != nil {
		return nil, sqliteError("catalog.Open", path, err)
	}
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(sqliteError("catalog.Open", path, err), db.Close())
	}
	return db, nil
}

// sqliteError gives a failure of SQLite its code and the path it happened at.
func sqliteError(op, path string, err error) error {
	var coded *tickerlake.Error
	if err == nil || errors.As(err, &coded) {
		return err
	}
	code, why := sqliteCode(path, err)
	return &tickerlake.Error{Code: code, Op: op, Name: path, Err: why}
}

// sqliteCode reads the text of SQLite's errors, and adds a remedy.
func sqliteCode(path string, err error) (tickerlake.Code, error) {
	code := diskCode(err)
	switch text := err.Error(); {
	case code != tickerlake.Internal:
	case errors.Is(err, context.Canceled):
		code = tickerlake.Canceled
	case strings.Contains(text, "database or disk is full"), strings.Contains(text, "disk I/O error"):
		return tickerlake.Full, fmt.Errorf("%w (is the disk full? make room and run the command again)", err)
	case strings.Contains(text, "unable to open database file"), strings.Contains(text, "readonly database"):
		return tickerlake.Denied, fmt.Errorf("%w (may this user write to %s?)", err, filepath.Dir(path))
	case strings.Contains(text, "malformed"), strings.Contains(text, "not a database"):
		code = tickerlake.Damaged
	case strings.Contains(text, "locked"):
		code = tickerlake.Locked
	}
	return code, err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
