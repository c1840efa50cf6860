package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/apache/iceberg-go/table"
)

// versionsOfRows leads from version 1 to 2: series and covers become rows with versions,
// all born with publication 1. That is the publication of the runs that made the heads of
// the tables, so that these can be returned to, and nothing older.
func versionsOfRows(ctx context.Context, c *Catalog, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, `
		DROP INDEX objects_by_state;
		ALTER TABLE objects RENAME TO objects_1;
		ALTER TABLE series RENAME TO series_1;
		ALTER TABLE delivered RENAME TO delivered_1;
		ALTER TABLE raw_columns RENAME TO raw_columns_1;
		ALTER TABLE raw_partitions RENAME TO raw_partitions_1;`+schema2+`
		INSERT INTO objects (key, dt, size, etag, delivered_at, state, run, scanned, lines, bad_lines, failures, error, updated_at)
			SELECT key, dt, size, etag, delivered_at, state, run, scanned, lines, bad_lines, failures, error, updated_at FROM objects_1;
		INSERT INTO series (tbl, symbol, source, basis, currency, interval, watermark, last, born)
			SELECT tbl, symbol, source, basis, currency, interval, watermark, last, 1 FROM series_1;
		INSERT INTO delivered (tbl, symbol, fetch_id, recorded_at, ts) SELECT tbl, symbol, fetch_id, recorded_at, ts FROM delivered_1;
		INSERT INTO raw_columns SELECT * FROM raw_columns_1;
		INSERT INTO raw_partitions SELECT * FROM raw_partitions_1;`)
	if err != nil {
		return err
	}
	if err := coversOfTexts(ctx, tx); err != nil {
		return err
	}
	if err := c.publishedHeads(ctx, tx); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `DROP TABLE objects_1; DROP TABLE series_1; DROP TABLE delivered_1; DROP TABLE raw_columns_1; DROP TABLE raw_partitions_1;`)
	return err
}

// alwaysOn leads from version 2 to 3.
func alwaysOn(ctx context.Context, _ *Catalog, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, schema3)
	return err
}

// coversOfTexts moves the covers of version 1, a JSON list a series, to their table.
func coversOfTexts(ctx context.Context, tx *sql.Tx) (err error) {
	rows, err := tx.QueryContext(ctx, "SELECT tbl, symbol, covers FROM series_1 WHERE covers <> '[]'")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	insert, err := tx.PrepareContext(ctx, "INSERT INTO covers (tbl, symbol, from_ts, to_ts, fetched_at, fetch_id, born) VALUES (?, ?, ?, ?, ?, ?, 1)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, insert.Close()) }()
	for rows.Next() {
		var tbl, symbol, text string
		if err := rows.Scan(&tbl, &symbol, &text); err != nil {
			return err
		}
		var covers []struct {
			From      time.Time `json:"from"`
			To        time.Time `json:"to"`
			FetchedAt time.Time `json:"at"`
			FetchID   string    `json:"id"`
		}
		if err := json.Unmarshal([]byte(text), &covers); err != nil {
			return err
		}
		for _, c := range covers {
			_, err := insert.ExecContext(ctx, tbl, symbol, c.From.UnixMicro(), c.To.UnixMicro(), c.FetchedAt.UnixMicro(), c.FetchID)
			if err != nil {
				return err
			}
		}
	}
	return rows.Err()
}

// RunProperty is the property of a table's snapshot that names the run it came from.
const RunProperty = "tickerlake.run"

// publishedHeads enters the runs that made the heads of the tables as publication 1. A
// run that has not ended its publishing is left out: it is entered when it does.
func (c *Catalog) publishedHeads(ctx context.Context, tx *sql.Tx) error {
	databases, err := c.iceberg.ListNamespaces(ctx, nil)
	if err != nil {
		return tableError("catalog.Open", "", "", err)
	}
	for _, database := range databases {
		for id, err := range c.iceberg.ListTables(ctx, database) {
			if err != nil {
				return tableError("catalog.Open", database[0], "", err)
			}
			t, err := c.iceberg.LoadTable(ctx, id)
			if err != nil {
				continue // a damaged table is told of when it is read
			}
			head := t.SnapshotByName(table.MainBranch)
			if head == nil || head.Summary == nil || head.Summary.Properties[RunProperty] == "" {
				continue
			}
			_, err = tx.ExecContext(ctx, `INSERT INTO publications (run, seq, published_at) SELECT ?1, 1, ?2
				WHERE NOT EXISTS (SELECT 1 FROM objects WHERE run = ?1 AND state = 'pending') ON CONFLICT DO NOTHING`,
				head.Summary.Properties[RunProperty], stamp(time.UnixMilli(head.TimestampMs)))
			if err != nil {
				return err
			}
		}
	}
	return nil
}
