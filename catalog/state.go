package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// StateVersion is the version of the tables below, kept in user_version. It is the
// version of the lake's format.
const StateVersion = 4

// schema2 makes the tables of version 2. The steps make of them those of StateVersion.
//
// A publication is what one run made true, numbered by seq.
const schema2 = `
CREATE TABLE objects (              -- the ledger of raw objects
	key TEXT PRIMARY KEY, dt TEXT NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
	delivered_at TEXT NOT NULL,
	state TEXT NOT NULL,            -- pending, published, held, damaged
	run TEXT NOT NULL DEFAULT '',   -- the run that works on it or published it
	scanned INTEGER NOT NULL DEFAULT 0, lines INTEGER NOT NULL DEFAULT 0, bad_lines INTEGER NOT NULL DEFAULT 0,
	failures INTEGER NOT NULL DEFAULT 0, gate_failures INTEGER NOT NULL DEFAULT 0,
	replay INTEGER,                 -- after a rollback: the seq it had, its turn when it is released
	error TEXT NOT NULL DEFAULT '', updated_at TEXT NOT NULL
) STRICT;
CREATE INDEX objects_by_state ON objects (state, run);
CREATE TABLE publications (         -- the runs that have published
	run TEXT PRIMARY KEY, seq INTEGER NOT NULL, published_at TEXT NOT NULL
) STRICT;
CREATE INDEX publications_by_seq ON publications (seq);
CREATE TABLE series (
	tbl TEXT NOT NULL, symbol TEXT NOT NULL, source TEXT NOT NULL, basis TEXT NOT NULL,
	currency TEXT NOT NULL, interval TEXT NOT NULL,
	watermark TEXT NOT NULL,        -- up to here nothing is missing
	last TEXT NOT NULL,             -- last bar published
	born INTEGER NOT NULL, died INTEGER,
	PRIMARY KEY (tbl, symbol, born)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX series_current ON series (tbl, symbol) WHERE died IS NULL;
CREATE TABLE covers (               -- spans that a fetch has confirmed; times are microseconds since 1970
	tbl TEXT NOT NULL, symbol TEXT NOT NULL, from_ts INTEGER NOT NULL, to_ts INTEGER NOT NULL,
	fetched_at INTEGER NOT NULL, fetch_id TEXT NOT NULL, born INTEGER NOT NULL, died INTEGER
) STRICT;
CREATE INDEX covers_current ON covers (tbl, symbol) WHERE died IS NULL;
CREATE TABLE delivered (            -- last final bars on their way, by fetch
	tbl TEXT NOT NULL, symbol TEXT NOT NULL, fetch_id TEXT NOT NULL, recorded_at TEXT NOT NULL, ts TEXT NOT NULL,
	held INTEGER NOT NULL DEFAULT 0, -- 1: their objects are held, so that they are not on their way
	PRIMARY KEY (tbl, symbol, fetch_id)
) STRICT;
CREATE TABLE feeds (                -- what a published object fed
	key TEXT NOT NULL, tbl TEXT NOT NULL, source TEXT NOT NULL,
	born INTEGER,                   -- the seq since when its rows are in the table; NULL: taken back
	fetched_at INTEGER NOT NULL,    -- of its oldest row, in microseconds since 1970
	PRIMARY KEY (key, tbl, source)
) STRICT, WITHOUT ROWID;
CREATE INDEX feeds_by_seq ON feeds (tbl, born);
CREATE TABLE paused (               -- sources that are not asked
	source TEXT PRIMARY KEY, since TEXT NOT NULL, reason TEXT NOT NULL
) STRICT;
CREATE TABLE rollbacks (            -- that are decided and not done yet
	tbl TEXT PRIMARY KEY, run TEXT NOT NULL, snapshot INTEGER NOT NULL, seq INTEGER NOT NULL,
	plan TEXT NOT NULL, started_at TEXT NOT NULL
) STRICT;
CREATE TABLE rewound (              -- watermarks that hold again when all that is held is published
	tbl TEXT NOT NULL, symbol TEXT NOT NULL, watermark TEXT NOT NULL,
	PRIMARY KEY (tbl, symbol)
) STRICT, WITHOUT ROWID;
CREATE TABLE raw_columns (          -- what the crawler saw in a stream
	stream TEXT NOT NULL, name TEXT NOT NULL, kinds TEXT NOT NULL, added_at TEXT NOT NULL, seen_at TEXT NOT NULL,
	gone INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (stream, name)
) STRICT;
CREATE TABLE raw_partitions (
	stream TEXT NOT NULL, dt TEXT NOT NULL, objects INTEGER NOT NULL, bytes INTEGER NOT NULL, records INTEGER NOT NULL,
	PRIMARY KEY (stream, dt)
) STRICT;
CREATE TABLE decisions (            -- of users about quarantined rows
	id TEXT PRIMARY KEY,            -- of the quarantined row
	decision TEXT NOT NULL,         -- accepted, rejected
	decided_at TEXT NOT NULL, tbl TEXT NOT NULL, symbol TEXT NOT NULL, ts TEXT NOT NULL, fetch_id TEXT NOT NULL
) STRICT;
CREATE INDEX decisions_by_key ON decisions (tbl, symbol, ts);
CREATE TABLE garbage (              -- files that no snapshot needs, while readers may
	location TEXT PRIMARY KEY, since TEXT NOT NULL
) STRICT;
CREATE TABLE tidied (               -- when what was tidied last
	what TEXT PRIMARY KEY, at TEXT NOT NULL, seq INTEGER NOT NULL
) STRICT;
CREATE TABLE measured (             -- earlier results of quality metrics
	tbl TEXT NOT NULL, metric TEXT NOT NULL, run TEXT NOT NULL, at TEXT NOT NULL, value REAL NOT NULL,
	PRIMARY KEY (tbl, metric, run)
) STRICT;
CREATE TABLE partition_measures (   -- aggregates of one partition, whose files never change
	tbl TEXT NOT NULL, files TEXT NOT NULL, aggregate TEXT NOT NULL, value ANY,
	PRIMARY KEY (tbl, files, aggregate)
) STRICT;
CREATE TABLE imports (              -- files that were brought in, or are on their way
	id TEXT PRIMARY KEY,            -- of the file's content and how it was read
	name TEXT NOT NULL, size INTEGER NOT NULL, fetched_at TEXT NOT NULL,
	documents INTEGER NOT NULL,     -- that are durable in the delivery log
	taken_at TEXT NOT NULL          -- when all of them were; empty before that
) STRICT;
`

// schema3 makes the tables of a lake that is up.
const schema3 = `
CREATE TABLE firings (              -- of schedules
	source TEXT PRIMARY KEY,
	fired_at TEXT NOT NULL          -- the last firing that has been carried out or missed
) STRICT, WITHOUT ROWID;
CREATE TABLE waiting (              -- series whose new rows wait until all of their history is fetched again
	tbl TEXT NOT NULL, symbol TEXT NOT NULL, source TEXT NOT NULL, reason TEXT NOT NULL, since TEXT NOT NULL,
	PRIMARY KEY (tbl, symbol)
) STRICT, WITHOUT ROWID;
CREATE TABLE reconciled (           -- when all of a series was last fetched again
	tbl TEXT NOT NULL, symbol TEXT NOT NULL, at TEXT NOT NULL,
	PRIMARY KEY (tbl, symbol)
) STRICT, WITHOUT ROWID;
CREATE TABLE alarms (
	name TEXT PRIMARY KEY,
	state TEXT NOT NULL,            -- OK, ALARM, INSUFFICIENT_DATA
	since TEXT NOT NULL, reason TEXT NOT NULL, value REAL
) STRICT, WITHOUT ROWID;
`

// schema4 keeps what a rollback must bring back once a publication, and not in every row.
const schema4 = `
CREATE TABLE series (
	tbl TEXT NOT NULL, symbol TEXT NOT NULL, source TEXT NOT NULL, basis TEXT NOT NULL,
	currency TEXT NOT NULL, interval TEXT NOT NULL,
	watermark TEXT NOT NULL,        -- up to here nothing is missing
	last TEXT NOT NULL,             -- last bar published
	covers BLOB NOT NULL,           -- spans that a fetch has confirmed
	covered_at INTEGER NOT NULL,    -- the latest of those fetches, in microseconds since 1970
	PRIMARY KEY (tbl, symbol)
) STRICT, WITHOUT ROWID;
CREATE TABLE undo (                 -- what the series of a table were before a publication
	tbl TEXT NOT NULL, seq INTEGER NOT NULL,
	watermarks INTEGER NOT NULL DEFAULT 1, -- 0: they do not hold any more
	series BLOB NOT NULL,
	PRIMARY KEY (tbl, seq)
) STRICT;
`

// A step takes state.db from one version to the next, within a transaction.
type step func(ctx context.Context, c *Catalog, tx *sql.Tx) error

// steps lead from version i+1 to i+2.
var steps = []step{versionsOfRows, alwaysOn, undoOfVersions}

// version reads the version of state.db, and refuses that of a newer program.
func (c *Catalog) version(ctx context.Context, db interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}) (version int, err error) {
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return 0, sqliteError("catalog.Open", "state.db", err)
	}
	if version > StateVersion {
		return 0, newer(version)
	}
	return version, nil
}

// migrate makes the tables, or brings those of an older program to this version.
func (c *Catalog) migrate(ctx context.Context) error {
	if version, err := c.version(ctx, c.state); err != nil || version == StateVersion {
		return err
	}
	return c.update(ctx, "catalog.Open", func(tx *sql.Tx) error {
		version, err := c.version(ctx, tx)
		if err != nil || version == StateVersion {
			return err
		}
		if version == 0 {
			if _, err := tx.ExecContext(ctx, schema2); err != nil {
				return err
			}
			version = 2
		}
		for _, s := range steps[version-1:] {
			if err := s(ctx, c, tx); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", StateVersion))
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
