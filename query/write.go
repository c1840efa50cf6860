package query

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tickerlake/tickerlake"
)

// Formats are the names of the ways to write a result.
var Formats = []string{"table", "csv", "json", "ndjson", "parquet"}

// Output says how to write a result.
type Output struct {
	// Format is one of Formats.
	Format string
	// Width is the width of the terminal in columns; a table's lines are cut there.
	// 0 is no limit.
	Width int
}

// Run runs a statement and writes its result to w. An error may come after a part
// was written.
func Run(ctx context.Context, e Engine, r Request, o Output, w io.Writer) (err error) {
	if !slices.Contains(Formats, o.Format) {
		return tickerlake.Errorf(tickerlake.Invalid, "query.Run", "", "format %q: want one of %s", o.Format, strings.Join(Formats, ", "))
	}
	if o.Format == "parquet" {
		return e.Parquet(ctx, r, w)
	}
	rows, err := e.Query(ctx, r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	return Write(w, rows, o)
}

// Write writes the rows to w in any format but parquet, which only the engine
// writes.
func Write(w io.Writer, rows Rows, o Output) error {
	buffered := bufio.NewWriterSize(w, 64<<10)
	var err error
	switch o.Format {
	case "table":
		err = writeTable(buffered, rows, o.Width)
	case "csv":
		err = writeCSV(buffered, rows)
	case "json":
		err = writeJSON(buffered, rows, "[", ",\n ", "]\n")
	case "ndjson":
		err = writeJSON(buffered, rows, "", "\n", "")
	default:
		return tickerlake.Errorf(tickerlake.Invalid, "query.Write", "", "format %q: want table, csv, json or ndjson", o.Format)
	}
	if err != nil {
		return errors.Join(err, buffered.Flush())
	}
	return buffered.Flush()
}

// Each calls f with every row.
func Each(rows Rows, f func(row []any) error) error {
	for {
		batch, err := rows.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		for _, row := range batch {
			if err := f(row); err != nil {
				return err
			}
		}
	}
}

// writeCSV follows RFC 4180, with a header. NULL is an empty field, an empty
// text a quoted one.
func writeCSV(w *bufio.Writer, rows Rows) error {
	columns := rows.Columns()
	field := func(i int, text string, quoted bool) {
		if i > 0 {
			w.WriteByte(',')
		}
		if quoted || strings.ContainsAny(text, ",\"\r\n") || strings.HasPrefix(text, " ") {
			w.WriteByte('"')
			_, _ = strings.NewReplacer(`"`, `""`).WriteString(w, text)
			w.WriteByte('"')
			return
		}
		w.WriteString(text)
	}
	for i, c := range columns {
		field(i, c.Name, c.Name == "")
	}
	w.WriteString("\r\n")
	return Each(rows, func(row []any) error {
		for i, v := range row {
			text := Text(v, columns[i])
			field(i, text, text == "" && v != nil)
		}
		_, err := w.WriteString("\r\n")
		return err
	})
}

// writeJSON writes an object a row; its members stand in the order of the
// columns, and of columns with one name the later ones get _2, _3, ..
func writeJSON(w *bufio.Writer, rows Rows, begin, between, end string) error {
	columns := rows.Columns()
	keys := make([][]byte, len(columns))
	seen := map[string]bool{}
	for i, c := range columns {
		name := c.Name
		for n := 2; seen[name]; n++ {
			name = fmt.Sprintf("%s_%d", c.Name, n)
		}
		seen[name] = true
		keys[i] = append(AppendString(nil, name), ':')
	}
	w.WriteString(begin)
	first, line := true, []byte(nil)
	err := Each(rows, func(row []any) error {
		line = line[:0]
		if !first {
			line = append(line, between...)
		}
		first = false
		line = append(line, '{')
		for i, v := range row {
			if i > 0 {
				line = append(line, ',')
			}
			line = AppendJSON(append(line, keys[i]...), v, columns[i])
		}
		_, err := w.Write(append(line, '}'))
		return err
	})
	if err != nil {
		return err
	}
	if begin == "" && !first {
		w.WriteByte('\n')
	}
	_, err = w.WriteString(end)
	return err
}
