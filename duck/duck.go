// Package duck is the embedded SQL engine, and the only package that links DuckDB.
//
// An Engine does the lake's own work in this process: it reads raw objects, sorts,
// merges and writes Parquet, in bounded memory, with what does not fit spilled to a
// folder. Users' SQL never runs there: a Sandbox answers it from child processes
// that can read the given files and nothing else.
package duck

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"github.com/duckdb/duckdb-go/v2"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/lake"
)

// EngineOptions bound an Engine.
type EngineOptions struct {
	// Spill is the folder for what does not fit in memory; what is in it is removed.
	Spill string
	// MemoryMB is DuckDB's memory limit, 704 if 0. The process needs some more.
	MemoryMB int
	// Threads is the number of threads, all processors if 0.
	Threads int
}

// An Engine runs the program's own statements. It opens DuckDB at the first one,
// and runs one task at a time.
type Engine struct {
	o    EngineOptions
	mu   sync.Mutex
	db   *sql.DB
	conn *sql.Conn
}

// NewEngine makes an engine; nothing is opened yet.
func NewEngine(o EngineOptions) *Engine {
	if o.MemoryMB == 0 {
		o.MemoryMB = 704
	}
	if o.Threads == 0 {
		o.Threads = runtime.NumCPU()
	}
	return &Engine{o: o}
}

// Close ends the engine and empties its folder.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.db == nil {
		return nil
	}
	err := errors.Join(e.conn.Close(), e.db.Close(), os.RemoveAll(e.o.Spill))
	e.db, e.conn = nil, nil
	return err
}

// open gives the connection, under e.mu.
func (e *Engine) open(ctx context.Context) (*sql.Conn, error) {
	if e.conn != nil {
		return e.conn, nil
	}
	if err := errors.Join(os.RemoveAll(e.o.Spill), os.MkdirAll(e.o.Spill, 0o700)); err != nil {
		return nil, engineError("duck.open", err)
	}
	connector, err := duckdb.NewConnector("", nil)
	if err != nil {
		return nil, engineError("duck.open", err)
	}
	db := sql.OpenDB(connector)
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(engineError("duck.open", err), db.Close())
	}
	for _, s := range []string{
		"SET autoinstall_known_extensions = false", "SET autoload_known_extensions = false",
		"SET TimeZone = 'UTC'", "SET default_null_order = 'NULLS_LAST'", "SET preserve_insertion_order = false",
		"SET temp_directory = " + quote(e.o.Spill),
		fmt.Sprintf("SET memory_limit = '%dMiB'", e.o.MemoryMB), fmt.Sprintf("SET threads = %d", e.o.Threads),
		"SET enable_progress_bar = false",
		// It keeps an entry of each file that was ever read, for as long as it is open.
		"SET enable_external_file_cache = false",
	} {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return nil, errors.Join(engineError("duck.open", err), conn.Close(), db.Close())
		}
	}
	e.db, e.conn = db, conn
	return conn, nil
}

// Query runs a statement and gives its rows; the caller bounds them.
func (e *Engine) Query(ctx context.Context, statement string) ([]string, [][]any, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.query(ctx, statement)
}

func (e *Engine) query(ctx context.Context, statement string) ([]string, [][]any, error) {
	conn, err := e.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	rows, err := conn.QueryContext(ctx, statement)
	if err != nil {
		return nil, nil, engineError("duck.Query", err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, nil, engineError("duck.Query", err)
	}
	var out [][]any
	for rows.Next() {
		values, pointers := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			pointers[i] = &values[i]
		}
		if err := rows.Scan(pointers...); err != nil {
			return nil, nil, engineError("duck.Query", err)
		}
		for i, v := range values {
			values[i] = plain(v)
		}
		out = append(out, values)
	}
	return columns, out, engineError("duck.Query", rows.Err())
}

// run executes statements one after the other.
func (e *Engine) run(ctx context.Context, statements ...string) error {
	conn, err := e.open(ctx)
	if err != nil {
		return err
	}
	for _, s := range statements {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return engineError("duck.run", err)
		}
	}
	return nil
}

// number runs a statement whose answer is one number, such as COPY with its rows.
func (e *Engine) number(ctx context.Context, statement string) (int64, error) {
	_, rows, err := e.query(ctx, statement)
	if err != nil {
		return 0, err
	}
	if len(rows) != 1 {
		return 0, tickerlake.Errorf(tickerlake.Internal, "duck.number", "", "%d rows where one number was expected", len(rows))
	}
	n, _ := rows[0][0].(int64)
	return n, nil
}

// plain narrows a value to the types that callers are promised.
func plain(v any) any {
	switch v := v.(type) {
	case int8:
		return int64(v)
	case int16:
		return int64(v)
	case int32:
		return int64(v)
	case uint8:
		return int64(v)
	case uint16:
		return int64(v)
	case uint32:
		return int64(v)
	case float32:
		return float64(v)
	case *big.Int:
		if v.IsInt64() {
			return v.Int64()
		}
		f, _ := new(big.Float).SetInt(v).Float64()
		return f
	case duckdb.Decimal:
		return v.Float64()
	case []byte:
		return string(v)
	}
	return v
}

// Relation is the rows of Parquet files, or, with columns, the documents of NDJSON
// files; a line that is no document is no row.
func (e *Engine) Relation(files []string, columns ...lake.Column) string {
	if len(columns) > 0 {
		var types, known []string
		for _, c := range columns {
			types = append(types, quote(c.Name)+": "+quote(c.Type))
			known = append(known, identifier(c.Name)+" IS NOT NULL")
		}
		return "(SELECT * FROM read_json(" + list(files) + ", format = 'newline_delimited', compression = 'auto_detect', columns = {" +
			strings.Join(types, ", ") + "}, hive_partitioning = false, records = true, ignore_errors = true) WHERE " + strings.Join(known, " OR ") + ")"
	}
	return "read_parquet(" + list(files) + ", hive_partitioning = false, union_by_name = true)"
}

func list(files []string) string {
	quoted := make([]string, len(files))
	for i, f := range files {
		quoted[i] = quote(f)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// engineError gives a failure of DuckDB its code and a remedy.
func engineError(op string, err error) error {
	var coded *tickerlake.Error
	if err == nil || errors.As(err, &coded) {
		return err
	}
	code, why := tickerlake.Internal, err
	switch text := err.Error(); {
	case errors.Is(err, context.Canceled), strings.Contains(text, "INTERRUPT"):
		code = tickerlake.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		code = tickerlake.Timeout
	case errors.Is(err, syscall.ENOSPC), strings.Contains(text, "No space left"), strings.Contains(text, "File too large"):
		code, why = tickerlake.Full, fmt.Errorf("%w (make room on the disk and run the command again)", err)
	case strings.Contains(text, "Out of Memory"), strings.Contains(text, "Out of memory"):
		code, why = tickerlake.Full, fmt.Errorf("%w (give the engine more memory)", err)
	case errors.Is(err, os.ErrPermission), strings.Contains(text, "Permission denied"), strings.Contains(text, "Read-only file system"):
		code = tickerlake.Denied
	case strings.Contains(text, "Invalid Input Error: No magic bytes"), strings.Contains(text, "TProtocolException"):
		code = tickerlake.Damaged
	}
	return &tickerlake.Error{Code: code, Op: op, Err: why}
}

// empty makes an empty folder of dir.
func empty(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.MkdirAll(filepath.Clean(dir), 0o755)
}
