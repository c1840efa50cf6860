package catalog

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
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

// undoOfVersions leads from version 3 to 4. There, series and covers were versions, born
// with one publication and dead with another: what they were before each is undo now.
func undoOfVersions(ctx context.Context, _ *Catalog, tx *sql.Tx) error {
	all, err := versionsOfSeries(ctx, tx)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "DROP TABLE series; DROP TABLE covers;"+schema4); err != nil {
		return err
	}
	var series []*moved
	undos := map[string]map[int64][]undone{}
	for _, k := range slices.SortedFunc(maps.Keys(all), func(a, b seriesKey) int {
		return cmp.Or(strings.Compare(a.table, b.table), strings.Compare(a.symbol, b.symbol))
	}) {
		v := all[k]
		now := v.before(math.MaxInt64)
		if now == nil {
			continue
		}
		series = append(series, &moved{seriesKey: k, is: *now})
		if undos[k.table] == nil {
			undos[k.table] = map[int64][]undone{}
		}
		for _, seq := range v.changes() {
			was := v.before(seq)
			undos[k.table][seq] = append(undos[k.table][seq], undoing(&moved{seriesKey: k, was: was, is: *now}))
			if now = was; was == nil {
				break
			}
		}
	}
	if err := putSeries(ctx, tx, series); err != nil {
		return err
	}
	for table, bySeq := range undos {
		for seq, list := range bySeq {
			if err := putUndo(ctx, tx, table, seq, list); err != nil {
				return err
			}
		}
	}
	return nil
}

// A lifetime is that of a row of version 3.
type lifetime struct {
	born int64
	died sql.NullInt64
}

// before reports whether the row was there before a publication.
func (l lifetime) before(seq int64) bool {
	return l.born < seq && (!l.died.Valid || l.died.Int64 >= seq)
}

// versions are the rows of version 3 of one series.
type versions struct {
	stands []struct {
		lifetime
		stand
	}
	covers []struct {
		lifetime
		Cover
	}
}

// changes are the publications that have changed the series, the latest first.
func (v *versions) changes() []int64 {
	var out []int64
	for _, s := range v.stands {
		out = append(out, s.born)
	}
	for _, c := range v.covers {
		out = append(out, c.born)
		if c.died.Valid {
			out = append(out, c.died.Int64)
		}
	}
	slices.Sort(out)
	out = slices.Compact(out)
	slices.Reverse(out)
	return out
}

// before is what the series was before a publication, nil if it was not there. Versions
// that no rollback needed are gone; the one before stands for them.
func (v *versions) before(seq int64) *stand {
	var out *stand
	var born int64
	for _, s := range v.stands {
		if s.born < seq && (out == nil || s.born > born) {
			out, born = new(s.stand), s.born
		}
	}
	if out == nil {
		return nil
	}
	for _, c := range v.covers {
		if c.before(seq) {
			out.covers = append(out.covers, c.Cover)
		}
	}
	slices.SortFunc(out.covers, later)
	return out
}

func versionsOfSeries(ctx context.Context, tx *sql.Tx) (_ map[seriesKey]*versions, err error) {
	out := map[seriesKey]*versions{}
	read := func(statement string, scan func(*sql.Rows) error) error {
		rows, err := tx.QueryContext(ctx, statement)
		if err != nil {
			return err
		}
		for rows.Next() {
			if err := scan(rows); err != nil {
				return errors.Join(err, rows.Close())
			}
		}
		return errors.Join(rows.Err(), rows.Close())
	}
	err = read("SELECT tbl, symbol, source, basis, currency, interval, watermark, last, born, died FROM series", func(rows *sql.Rows) error {
		var k seriesKey
		var s struct {
			lifetime
			stand
		}
		err := rows.Scan(&k.table, &k.symbol, &s.source, &s.basis, &s.currency, &s.interval, &s.watermark, &s.last, &s.born, &s.died)
		if out[k] == nil {
			out[k] = &versions{}
		}
		out[k].stands = append(out[k].stands, s)
		return err
	})
	if err != nil {
		return nil, err
	}
	err = read("SELECT from_ts, to_ts, fetched_at, fetch_id, tbl, symbol, born, died FROM covers", func(rows *sql.Rows) error {
		var k seriesKey
		var c struct {
			lifetime
			Cover
		}
		var from, to, at int64
		err := rows.Scan(&from, &to, &at, &c.FetchID, &k.table, &k.symbol, &c.born, &c.died)
		c.From, c.To, c.FetchedAt = time.UnixMicro(from).UTC(), time.UnixMicro(to).UTC(), time.UnixMicro(at).UTC()
		if v := out[k]; v != nil {
			v.covers = append(v.covers, c)
		}
		return err
	})
	return out, err
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
