package query_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/query"
)

var update = flag.Bool("update", false, "write the golden files")

// result is a query.Rows of given batches.
type result struct {
	columns   []query.Column
	batches   [][][]any
	truncated bool
	err       error
}

func (r *result) Columns() []query.Column { return r.columns }
func (r *result) Truncated() bool         { return r.truncated }
func (r *result) Close() error            { return nil }
func (r *result) Next() ([][]any, error) {
	if len(r.batches) == 0 {
		if r.err != nil {
			return nil, r.err
		}
		return nil, io.EOF
	}
	batch := r.batches[0]
	r.batches = r.batches[1:]
	return batch, nil
}

func bars() *result {
	day := time.Date(2016, 1, 4, 0, 0, 0, 0, time.UTC)
	return &result{
		columns: []query.Column{{"symbol", "VARCHAR"}, {"ts", "TIMESTAMP"}, {"d", "DATE"}, {"close", "DOUBLE"}, {"volume", "BIGINT"},
			{"price", "DECIMAL(10,2)"}, {"final", "BOOLEAN"}, {"tags", "VARCHAR[]"}, {"z", "TIMESTAMP WITH TIME ZONE"}, {"note, \"x\"", "VARCHAR"}},
		batches: [][][]any{
			{{"AAPL", day, day, 105.35, int64(67649400), query.Number("105.30"), true, query.JSON(`["a","b"]`), day, "plain"},
				{"BRK.B", day.Add(1500 * time.Millisecond), day, 0.1 + 0.2, int64(-1), query.Number("-0.01"), false, query.JSON(`[]`), day, "comma, \"quote\"\nand line"}},
			{{"NAN", nil, nil, math.NaN(), nil, query.Number("170141183460469231731687303715884105727"), nil, nil, nil, ""},
				{"BIG", day, day, 1e300, int64(math.MaxInt64), query.Number("0.00"), true, query.JSON(`{"k":1}`), day, "tab\tand \x1b[31m escape, é…"}},
		},
	}
}

func TestFormats(t *testing.T) {
	for _, format := range []string{"table", "csv", "json", "ndjson"} {
		var b bytes.Buffer
		if err := query.Write(&b, bars(), query.Output{Format: format}); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", "bars."+format)
		if *update {
			if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b.Bytes(), want) {
			t.Errorf("%s:\n got %s\nwant %s", format, b.Bytes(), want)
		}
	}
}

func TestCSVIsReadBack(t *testing.T) {
	var b bytes.Buffer
	if err := query.Write(&b, bars(), query.Output{Format: "csv"}); err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(records) != 5 || records[2][9] != "comma, \"quote\"\nand line" {
		t.Errorf("%v %q", err, records)
	}
}

func TestJSONIsReadBack(t *testing.T) {
	var b bytes.Buffer
	if err := query.Write(&b, bars(), query.Output{Format: "json"}); err != nil {
		t.Fatal(err)
	}
	var list []map[string]any
	d := json.NewDecoder(&b)
	d.UseNumber()
	if err := d.Decode(&list); err != nil || len(list) != 4 {
		t.Fatal(err, len(list))
	}
	for key, want := range map[string]any{"close": "NaN", "price": json.Number("170141183460469231731687303715884105727"), "ts": nil} {
		if got := list[2][key]; got != want {
			t.Errorf("%s: %v, want %v", key, got, want)
		}
	}
}

func TestEmptyResults(t *testing.T) {
	for format, want := range map[string]string{"table": "a\n-\n(0 rows)\n", "csv": "a\r\n", "json": "[]\n", "ndjson": ""} {
		var b bytes.Buffer
		err := query.Write(&b, &result{columns: []query.Column{{"a", "BIGINT"}}}, query.Output{Format: format})
		if err != nil || b.String() != want {
			t.Errorf("%s: %v %q, want %q", format, err, b.String(), want)
		}
	}
}

func TestTableFitsTheTerminal(t *testing.T) {
	var b bytes.Buffer
	if err := query.Write(&b, bars(), query.Output{Format: "table", Width: 40}); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 40 {
			t.Errorf("%d characters: %s", n, line)
		}
	}
}

func TestErrorsPass(t *testing.T) {
	r := bars()
	r.err = tickerlake.Errorf(tickerlake.Timeout, "x", "", "too long")
	var b bytes.Buffer
	if err := query.Write(&b, r, query.Output{Format: "csv"}); !errors.Is(err, tickerlake.Timeout) || !strings.Contains(b.String(), "AAPL") {
		t.Errorf("%v %s", err, b.String())
	}
	err := query.Run(t.Context(), nil, query.Request{}, query.Output{Format: "xml"}, &b)
	if !errors.Is(err, tickerlake.Invalid) || !strings.Contains(err.Error(), "table, csv, json, ndjson, parquet") {
		t.Error(err)
	}
}
