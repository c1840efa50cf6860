package quality_test

import (
	"context"
	"database/sql"
	"encoding/csv"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/duckdb/duckdb-go/v2"

	"github.com/tickerlake/tickerlake/quality"
)

// database is a Querier over DuckDB in memory that counts its statements.
type database struct {
	db         *sql.DB
	statements []string
}

func openDatabase(t *testing.T) *database {
	t.Helper()
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	d := &database{db: db}
	d.exec(t, "SET TimeZone = 'UTC'")
	return d
}

func (d *database) exec(t *testing.T, statement string) {
	t.Helper()
	if _, err := d.db.Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// Query implements quality.Querier.
func (d *database) Query(ctx context.Context, statement string) ([]string, [][]any, error) {
	d.statements = append(d.statements, statement)
	rows, err := d.db.QueryContext(ctx, statement)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, nil, err
	}
	var all [][]any
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, nil, err
		}
		for i, v := range values {
			switch v := v.(type) {
			case duckdb.Decimal:
				values[i] = v.Float64()
			case *big.Int:
				values[i] = v.String()
			case int32:
				values[i] = int64(v)
			}
		}
		all = append(all, values)
	}
	return columns, all, rows.Err()
}

// load fills a new table from rows of texts; nil is NULL.
func (d *database) load(t *testing.T, name string, columns []quality.Column, rows [][]any) quality.Target {
	t.Helper()
	types := make([]string, len(columns))
	for i, c := range columns {
		types[i] = quality.Ident(c.Name) + " " + duckType(c.Type)
	}
	d.exec(t, "CREATE TABLE "+quality.Ident(name)+" ("+strings.Join(types, ", ")+")")
	marks := strings.TrimSuffix(strings.Repeat("?, ", len(columns)), ", ")
	tx, err := d.db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	insert, err := tx.Prepare("INSERT INTO " + quality.Ident(name) + " VALUES (" + marks + ")")
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range rows {
		if _, err := insert.Exec(row...); err != nil {
			t.Fatalf("%s, row %d: %v", name, i+1, err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	return quality.Target{Name: name, From: quality.Ident(name), Columns: columns}
}

func duckType(t quality.Type) string {
	if t == "string" {
		return "VARCHAR"
	}
	return string(t)
}

// columnsOf reads "id bigint, Adj Close double".
func columnsOf(list string) []quality.Column {
	var all []quality.Column
	for _, c := range strings.Split(list, "; ") {
		i := strings.LastIndexByte(c, ' ')
		all = append(all, quality.Column{Name: c[:i], Type: quality.Type(c[i+1:])})
	}
	return all
}

// readCSV reads a file in which \N is NULL. A quoted \N does not occur.
func readCSV(t *testing.T, path string) [][]any {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.LazyQuotes = false
	if _, err := r.Read(); err != nil {
		t.Fatal(err)
	}
	var all [][]any
	for {
		record, err := r.Read()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		row := make([]any, len(record))
		for i, v := range record {
			if v != `\N` {
				row[i] = v
			}
		}
		all = append(all, row)
	}
}

// tables loads the tables of the evaluation cases.
func tables(t *testing.T, d *database) map[string]quality.Target {
	t.Helper()
	bars := columnsOf("symbol string; ts timestamp; open double; high double; low double; close double; adj_close double; volume bigint")
	dirty := columnsOf("id bigint; key string; symbol string; ts timestamp; day date; open double; close double; adj double; " +
		"volume bigint; qty int; flag boolean; code string; dtext string; note string; kind string; nothing double; uniq string; " +
		"amount decimal(12,2); Adj Close double")
	root := os.Getenv("TICKERLAKE_TESTDATA")
	var rows [][]any
	for _, symbol := range []string{"AAPL", "GOOG", "SPY"} {
		for _, r := range readCSV(t, filepath.Join(root, "daily", symbol+".csv")) {
			date := r[0].(string)
			if date >= "2016" && date < "2018" {
				rows = append(rows, append([]any{symbol}, r...))
			}
		}
	}
	all := map[string]quality.Target{
		"bars":      d.load(t, "bars", bars, rows),
		"dirty":     d.load(t, "dirty", dirty, readCSV(t, dataFile(t, "dirty.csv"))),
		"empty":     d.load(t, "empty", dirty, nil),
		"reference": d.load(t, "reference", bars, readCSV(t, dataFile(t, "reference.csv"))),
	}
	sources := map[string]quality.Source{}
	for name, x := range all {
		sources[name] = quality.Source{From: x.From, Columns: x.Columns}
	}
	for name, x := range all {
		x.Sources = sources
		all[name] = x
	}
	return all
}

func fixedClock() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) }

func engine(d quality.Querier) quality.Engine {
	return quality.Engine{Querier: d, Dialect: quality.DuckDB, Clock: fixedClock}
}

func mustParse(t *testing.T, rules string) *quality.Ruleset {
	t.Helper()
	rs, err := quality.Parse("Rules = [ " + rules + " ]")
	if err != nil {
		t.Fatal(fmt.Errorf("%s: %w", rules, err))
	}
	return rs
}
