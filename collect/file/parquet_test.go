package file_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/tickerlake/tickerlake/collect/file"
)

// parquetOf makes a Parquet file of columns, whose values are JSON.
func parquetOf(t testing.TB, fields []arrow.Field, values ...string) string {
	t.Helper()
	schema := arrow.NewSchema(fields, nil)
	record, _, err := array.RecordFromJSON(memory.DefaultAllocator, schema, strings.NewReader("["+strings.Join(values, ",")+"]"))
	if err != nil {
		t.Fatal(err)
	}
	defer record.Release()
	var b bytes.Buffer
	w, err := pqarrow.NewFileWriter(schema, &b, parquet.NewWriterProperties(parquet.WithMaxRowGroupLength(2)), pqarrow.DefaultWriterProps())
	if err == nil {
		err = w.Write(record)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func column(name string, kind arrow.DataType) arrow.Field {
	return arrow.Field{Name: name, Type: kind, Nullable: true}
}

// TestParquet: the types that bars come in, nulls, columns that mean nothing.
func TestParquet(t *testing.T) {
	micros, zoned := &arrow.TimestampType{Unit: arrow.Microsecond}, &arrow.TimestampType{Unit: arrow.Nanosecond, TimeZone: "UTC"}
	for _, c := range []struct {
		name, text, want string
		task             func(*file.Task)
	}{
		{"dates and doubles", parquetOf(t, []arrow.Field{column("Date", arrow.FixedWidthTypes.Date32), column("junk", arrow.BinaryTypes.String), column("Close", arrow.PrimitiveTypes.Float64), column("Volume", arrow.PrimitiveTypes.Int64)},
			`{"Date":"2024-01-02","junk":"x","Close":2.25,"Volume":100}`, `{"Date":"2024-01-03","Close":1e7,"Volume":null}`, `{"Date":null,"Close":null,"Volume":-1}`),
			"AAPL 2024-01-02 - - - 2.25 - 100 USD\nAAPL 2024-01-03 - - - 10000000 - - USD\nAAPL (no time) - - - - - -1 USD\n", nil},
		{"timestamps and floats", parquetOf(t, []arrow.Field{column("symbol", arrow.BinaryTypes.String), column("ts", micros), column("close", arrow.PrimitiveTypes.Float32)},
			`{"symbol":"x","ts":"2024-01-02 00:00:00","close":182.01}`), "X 2024-01-02 - - - 182.01 - - USD\n", nil},
		{"zoned", parquetOf(t, []arrow.Field{column("ts", zoned), column("close", arrow.PrimitiveTypes.Int32)}, `{"ts":"2024-01-03T02:00:00Z","close":7}`),
			"AAPL 2024-01-02 - - - 7 - - USD\n", func(t *file.Task) { t.Config.TimeZone = "America/New_York" }},
		{"numbers since 1970", parquetOf(t, []arrow.Field{column("t", arrow.PrimitiveTypes.Int64), column("c", &arrow.Decimal128Type{Precision: 10, Scale: 2})}, `{"t":1704153600000,"c":"12.50"}`),
			"AAPL 2024-01-02 - - - 12.5 - - USD\n", nil},
		{"a dictionary", parquetOf(t, []arrow.Field{column("ticker", &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}), column("date", arrow.BinaryTypes.LargeString), column("close", arrow.PrimitiveTypes.Float64)},
			`{"ticker":"a","date":"2024-01-02","close":1}`, `{"ticker":"b","date":"2024-01-02","close":2}`, `{"ticker":"a","date":"2024-01-03","close":3}`),
			"A 2024-01-02 - - - 1 - - USD\nB 2024-01-02 - - - 2 - - USD\nA 2024-01-03 - - - 3 - - USD\n", nil},
		{"a map", parquetOf(t, []arrow.Field{column("d", arrow.FixedWidthTypes.Date32), column("p", arrow.PrimitiveTypes.Float64), column("ok", arrow.FixedWidthTypes.Boolean)},
			`{"d":"2024-01-02","p":2,"ok":true}`, `{"d":"2024-01-03","p":3,"ok":false}`), "AAPL 2024-01-02 - - - 4 - - USD\n", func(t *file.Task) {
			t.Map = `select(.ok) | {ts: .d, close: (.p * 2)}`
		}},
		{"texts that are not marked as such", parquetOf(t, []arrow.Field{column("symbol", arrow.BinaryTypes.Binary), column("date", &arrow.FixedSizeBinaryType{ByteWidth: 12}), column("close", arrow.PrimitiveTypes.Float64)},
			`{"symbol":"QUFQTA==","date":"MjAyNC0wMS0wMgAA","close":1}`), "AAPL 2024-01-02 - - - 1 - - USD\n", nil},
		{"a map of texts that are not marked as such", parquetOf(t, []arrow.Field{column("name", arrow.BinaryTypes.Binary), column("date", arrow.BinaryTypes.Binary), column("close", arrow.PrimitiveTypes.Float64)},
			`{"name":"QUFQTA==","date":"MjAyNC0wMS0wMg==","close":1}`), "AAPL 2024-01-02 - - - 1 - - USD\n", func(t *file.Task) {
			t.Map = `{symbol: .name, ts: .date, close: .close}`
		}},
		{"a date and a time", parquetOf(t, []arrow.Field{column("date", arrow.FixedWidthTypes.Date32), column("time", arrow.FixedWidthTypes.Time64us), column("close", arrow.PrimitiveTypes.Uint16)},
			`{"date":"2024-01-02","time":"09:30:00","close":7}`), "AAPL 2024-01-02T09:30:00Z - - - 7 - - USD\n", func(t *file.Task) {
			t.Config.Interval = "1m"
		}},
		{"no close", parquetOf(t, []arrow.Field{column("d", arrow.FixedWidthTypes.Date32)}, `{"d":"2024-01-02"}`), "no column of the time", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var packed bytes.Buffer
			z := gzip.NewWriter(&packed)
			_, _ = z.Write([]byte(c.text))
			_ = z.Close()
			for form, text := range map[string]string{"parquet": c.text, "parquet, gzip": packed.String()} {
				task := daily(write(t, "AAPL.pq", text, 0))
				if c.task != nil {
					c.task(&task)
				}
				s, report := bring(t, task)
				if report.Err != nil {
					if !strings.Contains(report.Err.Error(), c.want) {
						t.Errorf("%s: the error is %v, want %q", form, report.Err, c.want)
					}
					continue
				}
				if got := summary(s.documents(t)); got != c.want || report.Format != form {
					t.Errorf("%s: got %s\n%swant\n%s", form, report.Format, got, c.want)
				}
			}
		})
	}
}

// TestParquetDamaged: a Parquet file with any byte wrong fails or reads, and never ends
// the program.
func TestParquetDamaged(t *testing.T) {
	whole := parquetOf(t, []arrow.Field{column("ts", &arrow.TimestampType{Unit: arrow.Microsecond}), column("close", arrow.PrimitiveTypes.Float64), column("symbol", arrow.BinaryTypes.String)},
		`{"ts":"2024-01-02 00:00:00","close":2.25,"symbol":"A"}`, `{"ts":"2024-01-03 00:00:00","close":3,"symbol":"B"}`, `{"ts":"2024-01-04 00:00:00","close":3,"symbol":"A"}`)
	failed := 0
	for i := 4; i < len(whole); i += 3 {
		b := []byte(whole)
		b[i] ^= 0x55
		if _, report := bring(t, daily(write(t, "A.parquet", string(b), 0))); report.Err != nil {
			failed++
		}
	}
	for i := 4; i < len(whole); i += 97 {
		if _, report := bring(t, daily(write(t, "A.parquet", whole[:i], 0))); report.Err == nil {
			t.Errorf("cut at byte %d it is not refused", i)
		}
	}
	if failed == 0 {
		t.Error("no damage is noticed")
	}
}

// TestParquetValues: every double comes through as it is.
func TestParquetValues(t *testing.T) {
	values := []float64{0.1, 1.0 / 3, 1e-7, 5e-324, math.MaxFloat64, 2.250714, 97230000, 1e21, 123456789.123456789}
	var rows []string
	for i, v := range values {
		rows = append(rows, fmt.Sprintf(`{"ts":"2024-01-%02d 00:00:00","close":%v}`, i+1, v))
	}
	s, report := bring(t, daily(write(t, "A.parquet", parquetOf(t, []arrow.Field{column("ts", &arrow.TimestampType{Unit: arrow.Millisecond}), column("close", arrow.PrimitiveTypes.Float64)}, rows...), 0)))
	if report.Err != nil {
		t.Fatal(report.Err)
	}
	for i, d := range s.documents(t) {
		got, err := d["close"].(interface{ Float64() (float64, error) }).Float64()
		if err != nil || got != values[i] {
			t.Errorf("%v came through as %v, %v", values[i], d["close"], err)
		}
		if want := time.Date(2024, 1, i+1, 0, 0, 0, 0, time.UTC).Format(time.DateOnly); d["ts"] != want {
			t.Errorf("ts is %v, want %s", d["ts"], want)
		}
	}
}
