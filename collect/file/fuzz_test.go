package file_test

import (
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/tickerlake/tickerlake"
)

// FuzzImport: whatever a file holds, it fails before anything of it is handed on, or every
// row of it becomes one raw document; the same file gives the same documents.
func FuzzImport(f *testing.F) {
	for _, text := range []string{
		"", "Date,Close\n2024-01-02,2\n", "date;close\n2024-01-02;\"2\"\"\n", "Symbol\tTime\tClose\nX\t1706711400\t1\n", "Date,Close\n\"2024-01-02,2\n\n2024-01-03,3",
		"Price,Close\nTicker,X\nDate,\n2024-01-02,2\n", "\ufeffDate,Close\r\n2024-01-02 09:30,\xff\r\n", `{"date":"2024-01-02","close":NaN}` + "\n{}\n{",
		`{"data":[{"Date":"2024-06-20","Close":1}],"row_ts":"x","company":"A"}{"data":1,"company":"B"}`, `[{"t":1e3,"c":1},2,null]`, "[", "{\n}\n", "<html>",
		"symbol,ts,close,fetched_at,fetch_id,final\nX,2024-01-02 00:00:00,1,2024-01-03 00:00:00,Z,maybe\n",
	} {
		f.Add([]byte(text), false)
		f.Add([]byte(text), true)
	}
	f.Add([]byte(parquetOf(f, []arrow.Field{column("ts", arrow.FixedWidthTypes.Date32), column("close", arrow.PrimitiveTypes.Float64)}, `{"ts":"2024-01-02","close":2}`)), false)
	f.Fuzz(func(t *testing.T, text []byte, intraday bool) {
		task := daily(write(t, "X.csv", string(text), 0))
		if intraday {
			task.Config.Interval, task.Config.TimeZone = tickerlake.Minute, "America/New_York"
		}
		s, report := bring(t, task)
		s.documents(t)
		if report.Err != nil {
			if len(s.lines) > 0 && report.Format != "parquet" && report.Format != "json" {
				t.Fatalf("%d documents of a file that failed: %v", len(s.lines), report.Err)
			}
			return
		}
		if report.Rows != int64(len(s.lines)) {
			t.Fatalf("%d rows, %d documents", report.Rows, len(s.lines))
		}
		if again, _ := bring(t, task); !slices.Equal(again.lines, s.lines) {
			t.Fatalf("the second time the documents are others:\n%q\n%q", s.lines, again.lines)
		}
	})
}
