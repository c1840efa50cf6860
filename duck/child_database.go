package duck

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	bindings "github.com/duckdb/duckdb-go-bindings"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/lake"
	"github.com/tickerlake/tickerlake/query"
)

// maxSQL is the longest statement in bytes, as Athena has it.
const maxSQL = 262_144

// A database is the child's DuckDB, in memory, with one connection. It uses the
// C interface, because database/sql's driver holds whole results in memory.
type database struct {
	db   bindings.Database
	conn bindings.Connection
}

// openChild opens the database before there is a request.
func openChild() (*database, error) {
	d := &database{}
	if bindings.Open(":memory:", &d.db) == bindings.StateError || bindings.Connect(d.db, &d.conn) == bindings.StateError {
		return nil, tickerlake.Errorf(tickerlake.Internal, "duck.Child", "", "DuckDB does not open")
	}
	return d, d.exec(
		"SET autoinstall_known_extensions=false", "SET autoload_known_extensions=false",
		"SET TimeZone='UTC'", "SET default_null_order='nulls_last'",
		"SET enable_progress_bar=false", "SET parquet_metadata_cache=true",
		"SELECT json_serialize_sql('SELECT 1')", // what is slow the first time is done ahead
	)
}

// close is for tests: a child ends with its process.
func (d *database) close() {
	bindings.Disconnect(&d.conn)
	bindings.Close(&d.db)
}

// exec runs statements of our own, each without a result that matters.
func (d *database) exec(statements ...string) error {
	for _, sql := range statements {
		var res bindings.Result
		state := bindings.Query(d.conn, sql, &res)
		err := resultError(state, &res)
		bindings.DestroyResult(&res)
		if err != nil {
			return err
		}
	}
	return nil
}

func resultError(state bindings.State, res *bindings.Result) error {
	if state != bindings.StateError {
		return nil
	}
	return errors.New(bindings.ResultError(res))
}

// checkText refuses what the C interface cannot take.
func checkText(sql string) error {
	switch {
	case len(sql) > maxSQL:
		return tickerlake.Errorf(tickerlake.Invalid, "duck.Query", "", "the statement has %d bytes; at most %d are allowed", len(sql), maxSQL)
	case strings.IndexByte(sql, 0) >= 0 || !utf8.ValidString(sql):
		return tickerlake.Errorf(tickerlake.Invalid, "duck.Query", "", "the statement is not UTF-8 text")
	}
	return nil
}

// serialize has DuckDB parse the statement and tell what it read.
func (d *database) serialize(sql string) ([]byte, error) {
	tree, err := d.text("SELECT CAST(json_serialize_sql(" + literal(sql) + ") AS VARCHAR)")
	if err != nil {
		// the hint after it, to change a setting, is not for users
		message, _, _ := strings.Cut(err.Error(), ` Use "SET `)
		return nil, tickerlake.Errorf(tickerlake.Invalid, "duck.Query", "", "the statement cannot be read: %s", message)
	}
	return []byte(tree), nil
}

// text is the one value of a statement of our own.
func (d *database) text(sql string) (string, error) {
	var res bindings.Result
	state := bindings.Query(d.conn, sql, &res)
	defer bindings.DestroyResult(&res)
	if err := resultError(state, &res); err != nil {
		return "", err
	}
	chunk := bindings.FetchChunk(res)
	if chunk.Ptr == nil {
		return "", errors.New("no value")
	}
	defer bindings.DestroyDataChunk(&chunk)
	data := bindings.VectorGetData(bindings.DataChunkGetVector(chunk, 0))
	if bindings.DataChunkGetSize(chunk) != 1 || data == nil {
		return "", errors.New("no value")
	}
	return bindings.StringTData((*bindings.StringT)(data)), nil
}

// prepare makes the views of the tables that the statement names, and locks the
// database: from here on it can open the files of these tables and the scratch
// folder, and nothing can change that.
func (d *database) prepare(r wireRequest, tables []query.Table) error {
	var paths []string
	for _, t := range tables {
		for _, f := range slices.Concat(t.Files, t.Revisions) {
			paths = append(paths, literal(f))
		}
	}
	scratch := literal(r.Scratch)
	err := d.exec(
		fmt.Sprintf("SET memory_limit='%dMB'", r.MemoryMB),
		fmt.Sprintf("SET threads=%d", r.Threads),
		"SET temp_directory="+scratch,
		"SET max_temp_directory_size='10GB'",
		"SET allowed_paths=["+strings.Join(paths, ", ")+"]",
		"SET allowed_directories=["+scratch+"]",
		"SET enable_external_access=false",
	)
	if err != nil {
		return tickerlake.Errorf(tickerlake.Internal, "duck.Child", "", "the query process cannot lock itself: %w", err)
	}
	var path []string
	for _, database := range r.Path {
		if err := d.exec("CREATE SCHEMA IF NOT EXISTS " + identifier(database)); err != nil {
			return failure(err, r)
		}
		path = append(path, identifier(database))
	}
	for _, t := range tables {
		if err := d.exec("CREATE SCHEMA IF NOT EXISTS "+identifier(t.Database), viewSQL(t)); err != nil {
			return failure(fmt.Errorf("%w (table %s)", err, t), r)
		}
	}
	err = d.exec("SET search_path="+literal(strings.Join(path, ",")), "SET lock_configuration=true")
	if err != nil {
		return tickerlake.Errorf(tickerlake.Internal, "duck.Child", "", "the query process cannot lock itself: %w", err)
	}
	return nil
}

// viewSQL is the view of a table over its files, with the types that the table
// says, whatever the files have.
func viewSQL(t query.Table) string {
	var empty, casts, types, known []string
	for _, c := range t.Columns {
		name := identifier(c.Name)
		empty = append(empty, fmt.Sprintf("CAST(NULL AS %s) AS %s", c.Type, name))
		casts = append(casts, fmt.Sprintf("CAST(%s AS %s) AS %s", name, c.Type, name))
		types = append(types, literal(c.Name)+": "+literal(c.Type))
		known = append(known, name+" IS NOT NULL")
	}
	view := "CREATE VIEW " + identifier(t.Database) + "." + identifier(t.Name) + " AS "
	if len(t.Files) == 0 && len(t.Revisions) == 0 {
		return view + "SELECT " + strings.Join(empty, ", ") + " WHERE false"
	}
	if t.Format == query.FormatNDJSON {
		return view + "SELECT * FROM read_json(" + literals(t.Files) + ", format='newline_delimited', compression='auto_detect', columns={" +
			strings.Join(types, ", ") + "}, hive_partitioning=false, records=true, ignore_errors=true)" +
			// A line that is no document is no row.
			" WHERE " + strings.Join(known, " OR ") + once(t)
	}
	var columns []lake.Column
	for _, c := range t.Columns {
		columns = append(columns, lake.Column{Name: c.Name, Type: c.Type})
	}
	rows := parquetRows(columns, t.Files)
	if !t.AsOf.IsZero() {
		revisions := ""
		if len(t.Revisions) > 0 {
			revisions = parquetRows(lake.RevisionColumns, t.Revisions)
		}
		rows = "(" + lake.AsOf(rows, revisions, t.AsOf) + ")"
	}
	return view + "SELECT " + strings.Join(casts, ", ") + " FROM " + rows + once(t)
}

// parquetRows is the relation of Parquet files with columns that not all may have.
func parquetRows(columns []lake.Column, files []string) string {
	if len(files) == 0 {
		return lake.Typed(columns, "")
	}
	return lake.Typed(columns, "read_parquet("+literals(files)+", hive_partitioning=false, union_by_name=true)")
}

func literals(files []string) string {
	out := make([]string, len(files))
	for i, f := range files {
		out[i] = literal(f)
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// once leaves of the rows with equal keys the latest.
func once(t query.Table) string {
	if t.Key == "" {
		return ""
	}
	return " QUALIFY row_number() OVER (PARTITION BY " + identifier(t.Key) + " ORDER BY " + identifier(t.Version) + " DESC) = 1"
}

func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func identifier(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// parquet writes the result to a file in the scratch folder, and sends that. The
// statement is written anew from the tree that was checked, without the semicolon
// and comments of the text, which COPY does not take.
func (d *database) parquet(r wireRequest, serialized []byte, out io.Writer) error {
	file := filepath.Join(r.Scratch, "result.parquet")
	limit := ""
	if r.MaxRows > 0 {
		limit = fmt.Sprintf(" LIMIT %d", r.MaxRows)
	}
	sql, err := d.text("SELECT json_deserialize_sql(" + literal(string(serialized)) + ")")
	if err == nil {
		err = d.exec("COPY (SELECT * FROM (" + sql + ")" + limit + ") TO " + literal(file) + " (FORMAT parquet, COMPRESSION zstd)")
	}
	if err != nil {
		return failure(err, r)
	}
	f, err := os.Open(file)
	if err != nil {
		return tickerlake.Errorf(tickerlake.Internal, "duck.Parquet", "", "the result cannot be read: %w", err)
	}
	defer f.Close()
	buf := make([]byte, 256<<10)
	for {
		n, err := f.Read(buf)
		if n > 0 {
			if err := writeFrame(out, frameBytes, buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return tickerlake.Errorf(tickerlake.Internal, "duck.Parquet", "", "the result cannot be read: %w", err)
		}
	}
}

// batchSize is where a batch is sent, in bytes.
const batchSize = 256 << 10

// stream runs the statement and sends its rows as they come.
func (d *database) stream(r wireRequest, out *bufio.Writer) (wireDone, error) {
	var stmt bindings.PreparedStatement
	state := bindings.Prepare(d.conn, r.SQL, &stmt)
	defer bindings.DestroyPrepare(&stmt)
	if state == bindings.StateError {
		return wireDone{}, failure(errors.New(bindings.PrepareError(stmt)), r)
	}
	var res bindings.Result
	//nolint:staticcheck // deprecated, yet the C interface has no other way to stream
	state = bindings.ExecutePreparedStreaming(stmt, &res)
	defer bindings.DestroyResult(&res)
	if err := resultError(state, &res); err != nil {
		return wireDone{}, failure(err, r)
	}
	n := int(bindings.ColumnCount(&res))
	columns := make([]query.Column, n)
	readers := make([]reader, n)
	for i := range n {
		t := bindings.ColumnLogicalType(&res, bindings.IdxT(i))
		columns[i].Name = bindings.ColumnName(&res, bindings.IdxT(i))
		var err error
		columns[i].Type, readers[i], err = readerOf(t)
		bindings.DestroyLogicalType(&t)
		if err != nil {
			return wireDone{}, tickerlake.Errorf(tickerlake.Invalid, "duck.Query", "", "column %q: %w", columns[i].Name, err)
		}
	}
	if err := errors.Join(writeJSONFrame(out, frameColumns, columns), out.Flush()); err != nil {
		return wireDone{}, err
	}
	s := sender{out: out, readers: readers, max: r.MaxRows}
	for {
		chunk := bindings.FetchChunk(res)
		if chunk.Ptr == nil {
			if message := bindings.ResultError(&res); message != "" {
				return wireDone{}, failure(errors.New(message), r)
			}
			return wireDone{}, s.flush()
		}
		truncated, err := s.send(chunk)
		bindings.DestroyDataChunk(&chunk)
		if err != nil || truncated {
			return wireDone{Truncated: truncated}, errors.Join(err, s.flush())
		}
	}
}

// A sender turns chunks into batches.
type sender struct {
	out     *bufio.Writer
	readers []reader
	max     int64 // 0 is no limit
	rows    int64
	batch   []byte
}

// send adds the rows of a chunk, and reports whether there are more than may be.
func (s *sender) send(chunk bindings.DataChunk) (truncated bool, err error) {
	size := int(bindings.DataChunkGetSize(chunk))
	columns := make([]column, len(s.readers))
	for i, r := range s.readers {
		columns[i] = newColumn(r, bindings.DataChunkGetVector(chunk, bindings.IdxT(i)))
	}
	for row := range size {
		if s.max > 0 && s.rows == s.max {
			return true, nil
		}
		for i := range columns {
			s.batch = appendValue(s.batch, columns[i].value(row))
		}
		s.rows++
		if len(s.batch) >= batchSize {
			if err := s.flush(); err != nil {
				return false, err
			}
		}
	}
	return false, s.flush()
}

func (s *sender) flush() error {
	if len(s.batch) == 0 {
		return nil
	}
	err := writeFrame(s.out, frameBatch, s.batch)
	s.batch = s.batch[:0]
	return errors.Join(err, s.out.Flush())
}
