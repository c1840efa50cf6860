// Package query answers a user's SQL. It is given one statement and the tables
// that it may see, each a pinned list of local files; it decides whether the
// statement may run (Check), leaves running it to an Engine, and writes the
// rows as a table, CSV, JSON, NDJSON or Parquet.
//
// The statement is DuckDB's SQL: one SELECT, with WITH, VALUES and set
// operations, or SHOW TABLES, SHOW SCHEMAS, DESCRIBE and SUMMARIZE. Nothing that
// writes, reads files by name, changes a setting or tells about the machine is
// allowed. A table without a database is looked for in prod, ops and raw.
package query

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"
)

// The formats of a table's files.
const (
	FormatParquet = "parquet"
	FormatNDJSON  = "ndjson" // one JSON document a line, plain or gzip (.gz)
)

// DefaultPath is where a table without a database is looked for.
var DefaultPath = []string{"prod", "ops", "raw"}

// A Table is what a statement can name, pinned to the files of one moment.
type Table struct {
	Database string   `json:"database"`
	Name     string   `json:"name"`
	Columns  []Column `json:"columns"`
	// Format is FormatParquet or FormatNDJSON.
	Format string `json:"format"`
	// Files are absolute local paths. Only these are read; without any the table
	// has its columns and no rows.
	Files []string `json:"files"`
	// Key and Version are columns of a table whose rows may stand more than once:
	// of equal keys the row with the greatest version counts. Empty: every row does.
	Key     string `json:"key,omitempty"`
	Version string `json:"version,omitempty"`
	// AsOf is set for a table as it was known at a past moment; Revisions are then the
	// files with the rows that came out of it.
	AsOf      time.Time `json:"as_of,omitzero"`
	Revisions []string  `json:"revisions,omitempty"`
	// Refused says why the table cannot be asked for; empty: it can.
	Refused string `json:"refused,omitempty"`
}

// String is the table's full name, database.table.
func (t Table) String() string { return t.Database + "." + t.Name }

// A Column is a column of a table or of a result. Type is in DuckDB's words:
// VARCHAR, DOUBLE, BIGINT, TIMESTAMP, DECIMAL(10,2), STRUCT(a INTEGER), ...
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// Numeric reports whether the column holds numbers.
func (c Column) Numeric() bool {
	switch base, _, _ := strings.Cut(c.Type, "("); base {
	case "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT",
		"UINTEGER", "UBIGINT", "UHUGEINT", "FLOAT", "DOUBLE", "DECIMAL":
		return !strings.HasSuffix(c.Type, "]")
	}
	return false
}

// A Request is one statement and its bounds.
type Request struct {
	SQL    string  `json:"sql"`
	Tables []Table `json:"tables"`
	// Path lists the databases of bare names, first match wins; nil is DefaultPath.
	Path []string `json:"path,omitempty"`
	// MaxRows ends the result early, which Rows.Truncated tells; 0 is no limit.
	MaxRows int64 `json:"max_rows,omitempty"`
	// Timeout is how long the statement may take, reading its rows included; 0 is
	// no limit but the context's.
	Timeout time.Duration `json:"timeout,omitempty"`
	// MemoryMB and Threads bound the process that runs the statement; 0 is the
	// engine's default.
	MemoryMB int `json:"memory_mb,omitempty"`
	Threads  int `json:"threads,omitempty"`
}

func (r Request) path() []string {
	if r.Path == nil {
		return DefaultPath
	}
	return r.Path
}

// Rows are the rows of a result as they arrive. A value is nil, bool, int64,
// float32, float64, string, Number, JSON or time.Time (a DATE, or a TIMESTAMP in
// UTC, as the column's type says).
type Rows interface {
	// Columns are known before the first row.
	Columns() []Column
	// Next gives some rows, at least one, and io.EOF after the last. They are
	// valid for ever.
	Next() ([][]any, error)
	// Truncated reports, after io.EOF, whether MaxRows cut the result short.
	Truncated() bool
	// Close ends the statement, if it still runs, and waits until nothing is left
	// of it. It may be called twice.
	Close() error
}

// A Number is an exact number in decimal digits: a DECIMAL, or an integer too
// long for an int64.
type Number string

// JSON is a list, struct, map or JSON value as a JSON text.
type JSON string

// An Engine runs statements that Check allowed; it calls Check itself.
//
// Errors: Invalid (not SQL, or no such column), NotFound (no such table), Denied
// (not allowed), Timeout, Canceled, Full (out of memory or scratch space),
// Damaged (a file of a table is not what it should be).
type Engine interface {
	// Query runs the statement; the context bounds the reading of its rows too.
	Query(ctx context.Context, r Request) (Rows, error)
	// Parquet writes the result as one Parquet file to w.
	Parquet(ctx context.Context, r Request, w io.Writer) error
}

// find looks a name up as the engine does: case matters not, and a bare name is
// looked for along the path.
func find(tables []Table, path []string, database, name string) *Table {
	if database != "" {
		i := slices.IndexFunc(tables, func(t Table) bool {
			return strings.EqualFold(t.Database, database) && strings.EqualFold(t.Name, name)
		})
		if i < 0 {
			return nil
		}
		return &tables[i]
	}
	for _, database := range path {
		if t := find(tables, path, database, name); t != nil {
			return t
		}
	}
	return nil
}
