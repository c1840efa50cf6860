package flow

import (
	"context"
	"database/sql"

	"github.com/tickerlake/tickerlake"
)

// schemaVersion is the version of the tables, kept in flow_version.
const schemaVersion = 2

// schema1 makes the tables of version 1. The steps make of them those of schemaVersion.
const schema1 = `
CREATE TABLE runs (
	id TEXT PRIMARY KEY, workflow TEXT NOT NULL, trigger TEXT NOT NULL, state TEXT NOT NULL,
	started TEXT NOT NULL, ended TEXT NOT NULL DEFAULT '', error TEXT NOT NULL DEFAULT '',
	counts TEXT NOT NULL DEFAULT '{}', properties TEXT NOT NULL DEFAULT '{}'
) STRICT;
CREATE INDEX runs_running ON runs (workflow, id) WHERE state = 'RUNNING';
CREATE TABLE jobs (
	run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, position INTEGER NOT NULL, job TEXT NOT NULL,
	state TEXT NOT NULL, attempt INTEGER NOT NULL DEFAULT 0,
	failures INTEGER NOT NULL DEFAULT 0, cut_off INTEGER NOT NULL DEFAULT 0,
	again INTEGER NOT NULL DEFAULT 0,     -- 1 if another attempt follows
	started TEXT NOT NULL DEFAULT '', ended TEXT NOT NULL DEFAULT '',
	code TEXT NOT NULL DEFAULT '', error TEXT NOT NULL DEFAULT '',
	PRIMARY KEY (run, position)
) STRICT;
CREATE TABLE outbox (                     -- events on their way, written with what they tell of
	seq INTEGER PRIMARY KEY AUTOINCREMENT, tbl TEXT NOT NULL, event TEXT NOT NULL
) STRICT;
`

// steps lead from version i+1 to i+2.
var steps = []string{
	// Workflows of one's own, with triggers.
	`ALTER TABLE runs ADD COLUMN resumed_from TEXT NOT NULL DEFAULT ''; -- the run whose failed jobs it runs again
	ALTER TABLE runs ADD COLUMN origin TEXT NOT NULL DEFAULT '';       -- the first of such runs, or the run itself
	UPDATE runs SET origin = id;
	CREATE TABLE triggers (               -- those that start workflows
		workflow TEXT PRIMARY KEY,
		schedule TEXT NOT NULL DEFAULT '',    -- the expression that fired_at is of
		fired_at TEXT NOT NULL DEFAULT '',    -- the last firing that has been carried out, refused or missed
		events INTEGER NOT NULL DEFAULT 0,    -- deliveries that no run was started for yet
		since TEXT NOT NULL DEFAULT ''        -- the first of them
	) STRICT, WITHOUT ROWID;`,
}

// A Store keeps runs and their jobs in a SQLite database, in the tables runs, jobs,
// triggers and outbox. The database may hold other tables too. Its durability is that
// of the connection: synchronous=FULL for a lake.
type Store struct{ db *sql.DB }

// NewStore makes the tables if they are not there, or brings those of an older program
// to this version. It fails with Invalid if a newer program made them.
func NewStore(ctx context.Context, db *sql.DB) (*Store, error) {
	s := &Store{db}
	if version, err := s.version(ctx, db); err == nil && version == schemaVersion {
		return s, nil
	}
	err := s.update(ctx, "flow.NewStore", func(tx *sql.Tx) error {
		const versions = `CREATE TABLE IF NOT EXISTS flow_version (version INTEGER NOT NULL) STRICT`
		if _, err := tx.ExecContext(ctx, versions); err != nil {
			return err
		}
		version, err := s.version(ctx, tx)
		switch {
		case err != nil:
			return err
		case version == schemaVersion:
			return nil
		case version > schemaVersion:
			return tickerlake.Errorf(tickerlake.Invalid, "flow.NewStore", "state database",
				"its runs have version %d, this program knows up to %d: use a newer tickerlake", version, schemaVersion)
		case version == 0:
			if _, err := tx.ExecContext(ctx, schema1+`INSERT INTO flow_version VALUES (1);`); err != nil {
				return err
			}
			version = 1
		}
		for _, step := range steps[version-1:] {
			if _, err := tx.ExecContext(ctx, step); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, `UPDATE flow_version SET version = ?`, schemaVersion)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Store) version(ctx context.Context, db interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}) (version int, err error) {
	err = db.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM flow_version`).Scan(&version)
	return version, err
}
