package catalog_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/tickerlake/tickerlake/catalog"
)

// older makes the state database of a version before, as its program left it.
func older(t *testing.T, dir, file string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(string(text)); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// rowsOf reads all rows of a statement as texts.
func rowsOf(t *testing.T, c *catalog.Catalog, statement string) (out [][]string) {
	t.Helper()
	rows, err := c.DB().Query(statement)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		row := make([]sql.NullString, len(columns))
		into := make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		texts := make([]string, len(columns))
		for i, v := range row {
			if texts[i] = v.String; !v.Valid {
				texts[i] = "NULL"
			}
		}
		out = append(out, texts)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestMigration(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	older(t, dir, "state_1.sql")
	migrated, fresh := open(t, dir), open(t, t.TempDir())

	const schema = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
	have, want := rowsOf(t, migrated, schema), rowsOf(t, fresh, schema)
	if !reflect.DeepEqual(have, want) {
		t.Errorf("the schema of a migrated lake is\n%v\nthat of a fresh one\n%v", have, want)
	}
	for _, c := range []*catalog.Catalog{migrated, fresh} {
		if got := rowsOf(t, c, "PRAGMA user_version"); got[0][0] != strconv.Itoa(catalog.StateVersion) {
			t.Errorf("user_version is %s", got[0][0])
		}
	}

	for _, c := range []struct {
		statement string
		want      [][]string
	}{
		{"SELECT key, size, state, run, lines, bad_lines, failures, gate_failures, replay, error, updated_at FROM objects ORDER BY key", [][]string{
			{"raw/bars/dt=2026-03-01/a.gz", "10", "published", "r1", "7", "1", "0", "0", "NULL", "", "2026-03-01T10:01:00.000000Z"},
			{"raw/bars/dt=2026-03-01/b.gz", "20", "pending", "", "5", "0", "2", "0", "NULL", "a rule fails", "2026-03-01T11:01:00.000000Z"},
			{"raw/bars/dt=2026-03-01/c.gz", "30", "damaged", "r1", "0", "0", "0", "0", "NULL", "cut short", "2026-03-01T12:01:00.000000Z"},
		}},
		{"SELECT tbl, symbol, source, basis, currency, interval, watermark, last FROM series ORDER BY tbl, symbol", [][]string{
			{"bars_1d", "AAPL", "market", "split", "USD", "1d", "2026-02-27T00:00:00.000000Z", "2026-02-28T00:00:00.000000Z"},
			{"bars_1d", "OLD", "market", "split", "USD", "1d", "", "1969-12-31T00:00:00.000000Z"},
			{"bars_1m", "MSFT", "market", "split", "USD", "1m", "", "2026-02-28T20:59:00.000000Z"},
		}},
		{"SELECT tbl, symbol, fetch_id, recorded_at, ts, held FROM delivered", [][]string{
			{"bars_1d", "AAPL", "f9", "2026-03-01T11:00:00.000000Z", "2026-03-01T00:00:00.000000Z", "0"}}},
		{"SELECT * FROM raw_columns", [][]string{{"bars", "symbol", "string", "2026-03-01T10:00:00.000000Z", "2026-03-01T10:00:00.000000Z", "0"}}},
		{"SELECT * FROM raw_partitions", [][]string{{"bars", "2026-03-01", "3", "60", "12"}}},
		{"SELECT tbl, seq, watermarks FROM undo ORDER BY tbl", [][]string{{"bars_1d", "1", "1"}, {"bars_1m", "1", "1"}}},
	} {
		if got := rowsOf(t, migrated, c.statement); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s\ngives %v\nwant  %v", c.statement, got, c.want)
		}
	}
	covers, err := migrated.Covers(ctx, "bars_1d", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	date := func(s string) time.Time {
		at, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	wanted := map[string][]catalog.Cover{
		"AAPL": {
			{From: date("2020-01-02T00:00:00Z"), To: date("2026-02-19T23:59:59.999999Z"), FetchedAt: date("2026-02-20T21:00:00.000001Z"), FetchID: "f1"},
			{From: date("2026-02-20T00:00:00Z"), To: date("2026-02-28T00:00:00Z"), FetchedAt: date("2026-03-01T09:00:00Z"), FetchID: "f2"},
		},
		"OLD": {{From: date("1962-01-02T00:00:00Z"), To: date("1969-12-31T00:00:00Z"), FetchedAt: date("2026-02-20T21:00:00Z"), FetchID: "f3"}},
	}
	if !reflect.DeepEqual(covers, wanted) {
		t.Errorf("covers %v\nwant   %v", covers, wanted)
	}
	if late, err := migrated.Covers(ctx, "bars_1d", date("2026-03-01T09:00:00Z")); err != nil || len(late) != 1 || len(late["AAPL"]) != 1 {
		t.Errorf("covers of late fetches: %v, %v", late, err)
	}
	// The next publication comes after what was there, although no table has a head.
	if err := migrated.Publish(ctx, catalog.Publication{Run: "r2"}); err != nil {
		t.Fatal(err)
	}
	if got := rowsOf(t, migrated, "SELECT run, seq FROM publications"); !reflect.DeepEqual(got, [][]string{{"r2", "2"}}) {
		t.Errorf("publications %v", got)
	}
}

// TestMigrationOfHeads: the runs that made the heads are publication 1, but for one that
// was cut off before it had recorded so.
func TestMigrationOfHeads(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	c := open(t, dir)
	for i, name := range []string{"bars_1d", "bars_1m"} {
		schema := iceberg.NewSchema(0, iceberg.NestedField{ID: 1, Name: "symbol", Type: iceberg.PrimitiveTypes.String})
		made, err := c.CreateTable(ctx, "acme_prod", name, "s3://prod/"+name, schema, iceberg.UnpartitionedSpec, table.UnsortedSortOrder, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, run := range []string{"before", []string{"r1", "r2"}[i]} {
			id := time.Now().UnixNano()
			err := c.Commit(ctx, made, nil, []table.Update{
				table.NewAddSnapshotUpdate(&table.Snapshot{SnapshotID: id, SequenceNumber: made.Metadata().LastSequenceNumber() + 1, TimestampMs: time.Now().UnixMilli(),
					ManifestList: "s3://prod/none", Summary: &table.Summary{Operation: table.OpAppend, Properties: iceberg.Properties{catalog.RunProperty: run}}}),
				table.NewSetSnapshotRefUpdate(table.MainBranch, id, table.BranchRef, 0, 0, 0),
			})
			if err != nil {
				t.Fatal(err)
			}
			if made, err = c.LoadTable(ctx, "acme_prod", name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "state.db")); err != nil {
		t.Fatal(err)
	}
	older(t, dir, "state_1.sql")
	db, err := sql.Open("sqlite", filepath.Join(dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("UPDATE objects SET run = 'r2' WHERE state = 'pending'"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	c = open(t, dir)
	if got := rowsOf(t, c, "SELECT run, seq FROM publications"); !reflect.DeepEqual(got, [][]string{{"r1", "1"}}) {
		t.Errorf("publications %v", got)
	}
}
