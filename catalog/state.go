package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/tickerlake/tickerlake"
)

// stateVersion is the version of the tables below, kept in user_version.
const stateVersion = 1

const stateSchema = `
CREATE TABLE objects (              -- the ledger of raw objects
	key TEXT PRIMARY KEY, dt TEXT NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
	delivered_at TEXT NOT NULL,
	state TEXT NOT NULL,            -- pending, published, held, damaged
	run TEXT NOT NULL DEFAULT '',   -- the run that works on it or published it
	scanned INTEGER NOT NULL DEFAULT 0, lines INTEGER NOT NULL DEFAULT 0, bad_lines INTEGER NOT NULL DEFAULT 0,
	failures INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '', updated_at TEXT NOT NULL
) STRICT;
CREATE INDEX objects_by_state ON objects (state, run);
CREATE TABLE series (
	tbl TEXT NOT NULL, symbol TEXT NOT NULL, source TEXT NOT NULL, basis TEXT NOT NULL,
	currency TEXT NOT NULL, interval TEXT NOT NULL,
	watermark TEXT NOT NULL,        -- up to here nothing is missing
	last TEXT NOT NULL,             -- last bar published
	covers TEXT NOT NULL DEFAULT '[]',
	PRIMARY KEY (tbl, symbol)
) STRICT;
CREATE TABLE delivered (            -- last final bars on their way, by fetch
	tbl TEXT NOT NULL, symbol TEXT NOT NULL, fetch_id TEXT NOT NULL, recorded_at TEXT NOT NULL, ts TEXT NOT NULL,
	PRIMARY KEY (tbl, symbol, fetch_id)
) STRICT;
CREATE TABLE raw_columns (          -- what the crawler saw in a stream
	stream TEXT NOT NULL, name TEXT NOT NULL, kinds TEXT NOT NULL, added_at TEXT NOT NULL, seen_at TEXT NOT NULL,
	gone INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (stream, name)
) STRICT;
CREATE TABLE raw_partitions (
	stream TEXT NOT NULL, dt TEXT NOT NULL, objects INTEGER NOT NULL, bytes INTEGER NOT NULL, records INTEGER NOT NULL,
	PRIMARY KEY (stream, dt)
) STRICT;
`

func (c *Catalog) migrate(ctx context.Context) error {
	var version int
	err := c.state.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version)
	if err != nil || version == stateVersion {
		return sqliteError("catalog.Open", "state.db", err)
	}
	return c.update(ctx, "catalog.Open", func(tx *sql.Tx) error {
		var version int
		if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
			return err
		}
		switch {
		case version == stateVersion:
			return nil
		case version > stateVersion:
			return tickerlake.Errorf(tickerlake.Invalid, "catalog.Open", "state.db",
				"the lake has state version %d, this program knows up to %d: use a newer tickerlake", version, stateVersion)
		}
		if _, err := tx.ExecContext(ctx, stateSchema); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", stateVersion))
		return err
	})
}

// update runs f in one transaction of the state database.
func (c *Catalog) update(ctx context.Context, op string, f func(tx *sql.Tx) error) error {
	tx, err := c.state.BeginTx(ctx, nil)
	if err != nil {
		return sqliteError(op, "state.db", err)
	}
	if err := f(tx); err != nil {
		return sqliteError(op, "state.db", errors.Join(err, tx.Rollback()))
	}
	return sqliteError(op, "state.db", tx.Commit())
}

// query calls scan for each row of a statement on the state database.
func (c *Catalog) query(ctx context.Context, op string, scan func(*sql.Rows) error, statement string, args ...any) error {
	rows, err := c.state.QueryContext(ctx, statement, args...)
	if err != nil {
		return sqliteError(op, "state.db", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return sqliteError(op, "state.db", err)
		}
	}
	return sqliteError(op, "state.db", rows.Err())
}

// stampLayout is how times stand in state.db: UTC, of one width, so that they sort
// as text.
const stampLayout = "2006-01-02T15:04:05.000000Z"

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(stampLayout)
}

func unstamp(s string) time.Time {
	t, err := time.Parse(stampLayout, s)
	if err != nil {
		return time.Time{}
	}
	return t
}
