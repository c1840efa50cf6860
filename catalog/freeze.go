package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
)

// A Frozen is both databases as they were at one moment, to be copied while others go on
// writing to them.
type Frozen struct {
	state, tables *sql.Conn
}

// Freeze holds back every commit to both databases for as long as while takes, and
// begins to read both as they are then: what the lake would be if the power had failed
// at that moment. It fails with Locked if another writes for longer than ten seconds.
func (c *Catalog) Freeze(ctx context.Context, while func(context.Context) error) (_ *Frozen, err error) {
	f := &Frozen{}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	// state.db first, as everywhere: nobody waits for it who holds catalog.db.
	for _, x := range []struct {
		name   string
		db     *sql.DB
		frozen **sql.Conn
	}{{"state.db", c.state, &f.state}, {"catalog.db", c.tables, &f.tables}} {
		writer, err := begin(ctx, x.name, x.db, "BEGIN IMMEDIATE")
		if err != nil {
			return nil, err
		}
		defer func() { _ = end(writer) }()
		if *x.frozen, err = begin(ctx, x.name, x.db, "BEGIN DEFERRED"); err != nil {
			return nil, err
		}
		// A transaction that only reads begins with its first look.
		var n int
		if err := (*x.frozen).QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master").Scan(&n); err != nil {
			return nil, sqliteError("catalog.Freeze", x.name, err)
		}
	}
	return f, while(ctx)
}

// begin begins a transaction on a connection of its own.
func begin(ctx context.Context, name string, db *sql.DB, statement string) (*sql.Conn, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, sqliteError("catalog.Freeze", name, err)
	}
	if _, err := conn.ExecContext(ctx, statement); err != nil {
		return nil, errors.Join(sqliteError("catalog.Freeze", name, err), conn.Close())
	}
	return conn, nil
}

// end ends a transaction that has changed nothing.
func end(conn *sql.Conn) error {
	if conn == nil {
		return nil
	}
	_, err := conn.ExecContext(context.Background(), "ROLLBACK")
	return errors.Join(err, conn.Close())
}

// Close lets the databases go.
func (f *Frozen) Close() error {
	err := errors.Join(end(f.state), end(f.tables))
	f.state, f.tables = nil, nil
	return err
}

// pagesAtATime bounds how long a copy goes on after its context has ended.
const pagesAtATime = 1000

// CopyTo writes state.db and catalog.db to a folder, looks whether they are sound, and
// brings them to disk. What is there under these names is replaced.
func (f *Frozen) CopyTo(ctx context.Context, dir string) error {
	for _, x := range []struct {
		name string
		conn *sql.Conn
	}{{"state.db", f.state}, {"catalog.db", f.tables}} {
		path := filepath.Join(dir, x.name)
		for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
			if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
				return sqliteError("catalog.CopyTo", path, err)
			}
		}
		err := x.conn.Raw(func(driver any) error { return copyPages(ctx, driver, path) })
		if err == nil {
			err = sound(ctx, path)
		}
		if err != nil {
			return sqliteError("catalog.CopyTo", path, err)
		}
	}
	return syncDir(dir)
}

// copyPages copies a database by SQLite's online backup, from the transaction that the
// connection is in.
func copyPages(ctx context.Context, driver any, path string) error {
	source, ok := driver.(interface {
		NewBackup(string) (*sqlite.Backup, error)
	})
	if !ok {
		return fmt.Errorf("the driver %T has no online backup", driver)
	}
	b, err := source.NewBackup("file:" + (&url.URL{Path: path}).EscapedPath())
	if err != nil {
		return err
	}
	for more := true; more && err == nil; {
		if more, err = b.Step(pagesAtATime); err == nil {
			err = ctx.Err()
		}
	}
	return errors.Join(err, b.Finish())
}

// sound has SQLite read a database to its end and leaves it in one file, on disk.
func sound(ctx context.Context, path string) (err error) {
	db, err := openSQLite(ctx, path)
	if err != nil {
		return err
	}
	var verdict string
	err = db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&verdict)
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	if verdict != "ok" {
		return fmt.Errorf("database disk image is malformed: %s", strings.TrimSpace(verdict))
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}
