package file_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/collect"
	"github.com/tickerlake/tickerlake/collect/file"
)

var now = time.Date(2026, 3, 2, 22, 0, 0, 0, time.UTC)

// A sink keeps what it is given, and may fail after some records.
type sink struct {
	lines []string
	puts  int
	fail  int // the put that fails, from 1
}

func (s *sink) Put(_ context.Context, records ...tickerlake.Record) error {
	if s.puts++; s.puts == s.fail {
		return errors.New("the disk is full")
	}
	for _, r := range records {
		for line := range strings.Lines(string(r.Data)) {
			s.lines = append(s.lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return nil
}

func (s *sink) Flush(context.Context) error { return nil }

// documents are the lines, decoded; each must have the keys of a raw document.
func (s *sink) documents(t testing.TB) []map[string]any {
	t.Helper()
	var out []map[string]any
	for _, line := range s.lines {
		d := json.NewDecoder(strings.NewReader(line))
		d.UseNumber()
		var doc map[string]any
		if err := d.Decode(&doc); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		want := slices.Clone(tickerlake.BarFields)
		if got := slices.Sorted(maps.Keys(doc)); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Fatalf("the document has the keys %v, want %v", got, want)
		}
		out = append(out, doc)
	}
	return out
}

type ledger map[string]tickerlake.Import

func (l ledger) Import(_ context.Context, id string) (tickerlake.Import, error) {
	if e, ok := l[id]; ok {
		return e, nil
	}
	return tickerlake.Import{}, &tickerlake.Error{Code: tickerlake.NotFound}
}

func (l ledger) KeepImport(_ context.Context, e tickerlake.Import) error { l[e.ID] = e; return nil }

func (l ledger) NextImport(context.Context) (time.Time, error) {
	next := now
	for _, e := range l {
		next = tickerlake.Later(next, e.Begun.Add(time.Millisecond))
	}
	return next, nil
}

// write writes a file as old as the test wants it.
func write(t testing.TB, name, text string, age time.Duration) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	touch(t, path, now.Add(-age))
	return path
}

func touch(t testing.TB, path string, at time.Time) {
	t.Helper()
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

func daily(path string) file.Task {
	return file.Task{Path: path, Name: filepath.Base(path), Source: "file", Config: collect.Config{Interval: tickerlake.Day}}
}

func minutes(path, zone string) file.Task {
	return file.Task{Path: path, Name: filepath.Base(path), Source: "file", Config: collect.Config{Interval: tickerlake.Minute, TimeZone: zone}}
}

// bring imports with a sink of its own.
func bring(t testing.TB, task file.Task) (*sink, file.Report) {
	t.Helper()
	s := &sink{}
	report, err := file.New(file.Options{Sink: s, Ledger: ledger{}, Clock: func() time.Time { return now }, TempDir: t.TempDir()}).Import(t.Context(), task)
	if err != nil {
		t.Fatal(err)
	}
	return s, report
}

// summary writes documents as "symbol ts open high low close adj volume currency", null
// as -, those not final with a star.
func summary(docs []map[string]any) string {
	var b strings.Builder
	for _, d := range docs {
		for i, key := range []string{"symbol", "ts", "open", "high", "low", "close", "adj_close", "volume", "currency"} {
			if i > 0 {
				b.WriteByte(' ')
			}
			switch v := d[key].(type) {
			case nil:
				b.WriteByte('-')
			case string:
				if i > 1 && i < 8 {
					fmt.Fprintf(&b, "%q", v)
				} else {
					b.WriteString(v)
				}
			default:
				fmt.Fprint(&b, v)
			}
		}
		if d["final"] == false {
			b.WriteByte('*')
		}
		b.WriteByte('\n')
	}
	return b.String()
}

const bars = "2024-01-02,1,3,0.5,2,100\n2024-01-03,2,4,2,3.50,\n"

// TestForms: what one file says, by its form. The name is AAPL.csv whatever it holds.
func TestForms(t *testing.T) {
	const two = "AAPL 2024-01-02 1 3 0.5 2 - 100 USD\nAAPL 2024-01-03 2 4 2 3.50 - - USD\n"
	utf16 := func(s string) string {
		out := []byte{0xff, 0xfe}
		for _, b := range []byte(s) {
			out = append(out, b, 0)
		}
		return string(out)
	}
	for _, c := range []struct {
		name, text, want string
		task             func(*file.Task)
	}{
		{"plain", "Date,Open,High,Low,Close,Volume\n" + bars, two, nil},
		{"lower case, blanks, marks", "date, OPEN ,high,LOW,close,<VOL>\n" + bars, two, nil},
		{"mark of byte order, CRLF", "\ufeffDate,Open,High,Low,Close,Volume\r\n" + strings.ReplaceAll(bars, "\n", "\r\n"), two, nil},
		{"no line end at the end", "Date,Open,High,Low,Close,Volume\n" + strings.TrimSuffix(bars, "\n"), two, nil},
		{"semicolons", strings.ReplaceAll("Date,Open,High,Low,Close,Volume\n"+bars, ",", ";"), two, nil},
		{"tabs", strings.ReplaceAll("Date,Open,High,Low,Close,Volume\n"+bars, ",", "\t"), two, nil},
		{"bars", strings.ReplaceAll("Date,Open,High,Low,Close,Volume\n"+bars, ",", "|"), two, nil},
		{"empty lines and a comment", "# from somewhere\n\nDate,Open,High,Low,Close,Volume\n\n" + bars + "\n\n", two, nil},
		{"separators at the end", "Date,Open,High,Low,Close,Volume,\n2024-01-02,1,3,0.5,2,100,\n", "AAPL 2024-01-02 1 3 0.5 2 - 100 USD\n", nil},
		{"quoted", "\"Date\",\"Close\",\"a \"\"note\"\"\"\n\"2024-01-02\",\"2\",\"one, two\nthree\"\n2024-01-03, \"3\" ,x\n",
			"AAPL 2024-01-02 - - - 2 - - USD\nAAPL 2024-01-03 - - - 3 - - USD\n", nil},
		{"quotes that do not close", "Date,Close\n2024-01-02,\"2\n2024-01-03,3\n",
			"AAPL 2024-01-02,\"2 (the quotes do not close) - - - - - - USD\nAAPL 2024-01-03 - - - 3 - - USD\n", nil},
		{"fields too few, too many", "Date,Open,Close\n2024-01-02,1\n2024-01-03,1,2,3\n2024-01-04,1,2\n",
			"AAPL 2024-01-02,1 (2 fields where the header has 3) - - - - - - USD\nAAPL 2024-01-03,1,2,3 (4 fields where the header has 3) - - - - - - USD\nAAPL 2024-01-04 1 - - 2 - - USD\n", nil},
		{"null, NaN, text, signs", "Date,Open,High,Low,Close\n2024-01-02,null,NaN,n/a,-1\n2024-01-03,1e3,+1,.5,01\n",
			"AAPL 2024-01-02 - \"NaN\" \"n/a\" -1 - - USD\nAAPL 2024-01-03 1e3 \"+1\" \".5\" \"01\" - - USD\n", nil},
		{"adjusted", "Date,Close,Adj Close\n2024-01-02,2,1.5\n", "AAPL 2024-01-02 - - - 2 1.5 - USD\n", nil},
		{"symbols and currencies", "Ticker,Date,Close,Currency\nmsft,2024-01-02,2,EUR\n brk.b ,2024-01-02,3,\n,2024-01-03,4,\n",
			"MSFT 2024-01-02 - - - 2 - - EUR\nBRK.B 2024-01-02 - - - 3 - - USD\n 2024-01-03 - - - 4 - - USD\n", nil},
		{"date and time apart", "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<CLOSE>,<VOL>\nX.US,D,20240102,000000,1,2,3\n", "X.US 2024-01-02 1 - - 2 - 3 USD\n", nil},
		{"not final", "Date,Close\n2026-03-01,2\n2026-03-02,2\n", "AAPL 2026-03-01 - - - 2 - - USD\nAAPL 2026-03-02 - - - 2 - - USD*\n", nil},
		{"two header lines more", "Price,Close,High\nTicker,MSFT,MSFT\nDate,,\n2024-01-02,2,3\n", "MSFT 2024-01-02 - 3 - 2 - - USD\n", nil},
		{"without a header", bars, two, func(t *file.Task) { t.Header = []string{"Date", "Open", "High", "Low", "Close", "Volume"} }},
		{"a time format", "Date,Close\n01/02/2024,2\n", "AAPL 2024-01-02 - - - 2 - - USD\n", func(t *file.Task) { t.TimeFormat = "MM/dd/yyyy" }},
		{"a map", "d,px,junk\n2024-01-02,2,x\n2024-01-03,0,y\n2024-01-04,4,z\n", "X 2024-01-02 - - - 2 - - GBP\nX 2024-01-04 - - - 4 - - GBP\n", func(t *file.Task) {
			t.Map = `select(.px != "0") | {symbol: "X", ts: .d, close: .px, currency: "GBP"}`
		}},
		{"a map that fails", "d,px\n2024-01-02,2\n2024-01-03,x\n",
			"AAPL 2024-01-02 - - - 2 - - USD\nAAPL {\"d\":\"2024-01-03\",\"px\":\"x\"} (jq: tonumber cannot be applied to \"x\": invalid number) - - - - - - USD\n",
			func(t *file.Task) { t.Map = `{ts: .d, close: (.px | tonumber)}` }},
		{"NDJSON", `{"t":1704153600,"o":1,"h":"3","l":0.5,"c":2,"v":1e2}` + "\n\n" + `{"t":1704240000000,"c":NaN,"v":null,"x":{}}`,
			"AAPL 2024-01-02 1 \"3\" 0.5 2 - 1e2 USD\nAAPL 2024-01-03 - - - \"NaN\" - - USD\n", nil},
		{"NDJSON with bad lines", `{"date":"2024-01-02","close":2}` + "\n{'date': 1}\n[1]\n" + `{"date":"2024-01-03","close":[3]}`,
			"AAPL 2024-01-02 - - - 2 - - USD\nAAPL {'date': 1} (it is no JSON document: invalid character '\\'' looking for beginning of object key string) - - - - - - USD\n" +
				"AAPL [1] (it is no object) - - - - - - USD\nAAPL 2024-01-03 - - - \"[3]\" - - USD\n", nil},
		{"an array", `[{"Date":"2024-01-02","Close":2}, {"Date":"2024-01-03","Close":3}]`, "AAPL 2024-01-02 - - - 2 - - USD\nAAPL 2024-01-03 - - - 3 - - USD\n", nil},
		{"one document and a map", "{\n \"rows\": [\n  [\"2024-01-02\", 2]\n ]\n}\n", "AAPL 2024-01-02 - - - 2 - - USD\n", func(t *file.Task) { t.Map = `.rows[] | {ts: .[0], close: .[1]}` }},
		{"raw lines of the original", `{"data":[{"Adjusted Close":1.5,"Close":2,"Date":"2024-06-20","High":3,"Low":1,"Open":2,"Volume":null},{"Close":NaN,"Date":"2024-06-21"}],"row_ts":"2024-06-21T15:52:52.123456","company":"brk-b"}` +
			`{"data":[{"Close":5,"Date":"2024-06-21"}],"row_ts":"2024-06-22T01:00:00","company":"AMZN"}` + "\n" + `{"data":{"error":"x"},"row_ts":"2024-06-22T01:00:00","company":"TSLA"}`,
			"BRK.B 2024-06-20 2 3 1 2 1.5 - USD\nBRK.B 2024-06-21 - - - \"NaN\" - - USD*\nAMZN 2024-06-21 - - - 5 - - USD\n" +
				"TSLA \"data is no list of bars: {\\\"data\\\":{\\\"error\\\":\\\"x\\\"},\\\"row_ts\\\":\\\"2024-06-22T01:00:00\\\",\\\"company\\\":\\\"TSLA\\\"}\" (it is no object) - - - - - - USD\n",
			func(t *file.Task) { t.Config = collect.Config{} }},

		{"empty", "", "is empty", nil},
		{"blank", " \n\n", "is empty", nil},
		{"a header alone", "Date,Close\n", "", nil},
		{"UTF-16", utf16("Date,Close\n2024-01-02,2\n"), "is UTF-16 text: save it as UTF-8", nil},
		{"UTF-16 without a mark", utf16("Date,Close\n2024-01-02,2\n")[2:], "is UTF-16 text", nil},
		{"bytes", "\x01\x02\x03\x00\x05\x06\x07", "is neither text nor Parquet", nil},
		{"a web page", "<!DOCTYPE html><html>", "is a web page", nil},
		{"a zip", "PK\x03\x04abcdefgh", "is packed with zip, which is not read: unpack it first", nil},
		{"no close", "Date,Value\n2024-01-02,2\n", "no column of the close among Date, Value", nil},
		{"no time", "Open,Close\n1,2\n", "no column of the time (Date, Datetime, Timestamp or Time) among Open, Close", nil},
		{"one name twice", "Date,Close,close\n2024-01-02,2,3\n", "two columns are named Close: choose one with --map", nil},
		{"no header", bars, "has no header, its first line is 2024-01-02,1,3,0.5,2,100: say with --header", nil},
		{"times of another form", "Date,Close\n01/02/2024,2\n01/03/2024,2\n", "none of its first 2 rows has a time that can be read; the first: 01/02/2024 (no known form of a time)", nil},
		{"a name that may be the symbol", "date,close,Name\n2024-01-02,2,AAL\n", "it is not clear whose prices it has: there is a column Name", nil},
		{"and is not", "date,close,Name\n2024-01-02,2,Apple\n", "AAPL 2024-01-02 - - - 2 - - USD\n", func(t *file.Task) { t.Symbol = "AAPL" }},
		{"a symbol where there is one", "symbol,date,close\nX,2024-01-02,2\n", `its rows say their symbol (the first "X"): leave --symbol out`, func(t *file.Task) { t.Symbol = "AAPL" }},
		{"an array that breaks off", `[{"Date":"2024-01-02","Close":2},`, "is no whole JSON array, after element 1: it is cut short", nil},
		{"several tickers", "Price,Close,Close\nTicker,MSFT,AAPL\nDate,,\n2024-01-02,2,3\n", "has several tickers side by side", nil},
		{"a map without rows", "d\n1\n", "", func(t *file.Task) { t.Map = "empty" }},
		{"a map to other fields", "d\n1\n", `--map gave a field "price": there are symbol, ts`, func(t *file.Task) { t.Map = "{price: 1}" }},
		{"no interval", "Date,Close\n2024-01-02,2\n", "the length of its bars is not known: say --interval", func(t *file.Task) { t.Config = collect.Config{} }},
		{"a bad Parquet file", "PAR1 and nothing else", "is no whole Parquet file", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			task := daily(write(t, "AAPL.csv", c.text, 0))
			if c.task != nil {
				c.task(&task)
			}
			s, report := bring(t, task)
			if report.Err != nil {
				if len(s.lines) > 0 {
					t.Errorf("of a file that failed %d documents were handed on", len(s.lines))
				}
				if c.want == "" || !strings.Contains(report.Err.Error(), c.want) {
					t.Errorf("the error is %v\nwant %q", report.Err, c.want)
				}
				return
			}
			if got := summary(s.documents(t)); got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
			if report.Rows != int64(len(s.lines)) {
				t.Errorf("%d rows are reported, %d were handed on", report.Rows, len(s.lines))
			}
		})
	}
}

// TestPacked: a form is told by what a file holds, whatever it is called.
func TestPacked(t *testing.T) {
	plain := "Date,Close\n2024-01-02,2\n2024-01-03,3\n"
	var zipped, zstded bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write([]byte(plain))
	_ = z.Close()
	s, _ := zstd.NewWriter(&zstded)
	_, _ = s.Write([]byte(plain))
	_ = s.Close()
	for name, c := range map[string]struct{ text, format, fails string }{
		"gzip":           {zipped.String(), "csv, gzip", ""},
		"zstd":           {zstded.String(), "csv, zstd", ""},
		"bzip2":          {string(unbased(t, bzipped)), "csv, bzip2", ""},
		"gzip cut short": {zipped.String()[:zipped.Len()-6], "", "cannot be unpacked (gzip): "},
		"zstd cut short": {zstded.String()[:zstded.Len()-6], "", "cannot be unpacked (zstd): "},
		"gzip alone":     {"\x1f\x8b\x08\x00", "", "cannot be unpacked (gzip): "},
	} {
		t.Run(name, func(t *testing.T) {
			s, report := bring(t, daily(write(t, "AAPL.parquet", c.text, 0)))
			if c.fails != "" {
				if report.Err == nil || !strings.Contains(report.Err.Error(), c.fails) || len(s.lines) > 0 {
					t.Errorf("the error is %v, %d documents; want %q and none", report.Err, len(s.lines), c.fails)
				}
				return
			}
			if report.Err != nil || report.Format != c.format {
				t.Fatalf("it is %s, %v, want %s", report.Format, report.Err, c.format)
			}
			if got, want := summary(s.documents(t)), "AAPL 2024-01-02 - - - 2 - - USD\nAAPL 2024-01-03 - - - 3 - - USD\n"; got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

func unbased(t *testing.T, text string) []byte {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// bzipped is the file of TestPacked as the program bzip2 packs it, in base64.
const bzipped = "QlpoOTFBWSZTWfAQuZIAAA7dgAAQAAZ8AAwAIgSMACAAIanpBtQ0yFMABNO6clkEHtkFBFAhjgNfk1E1XxdyRThQkPAQuZI="

// TestWhole: every key of a document, and what the report and the records of fetches say.
func TestWhole(t *testing.T) {
	path := write(t, "aapl_daily.csv", "Date,Close\n2024-01-03,3\n2024-01-02,2\nlater,1\n", 24*time.Hour)
	task := daily(path)
	task.Config.Basis, task.Config.Currency, task.Config.Table, task.Source = tickerlake.BasisSplit, "EUR", "mine", "attic"
	s := &sink{}
	var fetches []tickerlake.Fetch
	report, err := file.New(file.Options{Sink: s, Ledger: ledger{}, Clock: func() time.Time { return now }, OnFetch: func(_ context.Context, f ...tickerlake.Fetch) error {
		fetches = append(fetches, f...)
		return nil
	}}).Import(t.Context(), task)
	if err != nil || report.Err != nil {
		t.Fatal(err, report.Err)
	}
	id := report.Symbols[0].FetchID
	want := `{"symbol":"AAPL","ts":"2024-01-03","open":null,"high":null,"low":null,"close":3,"adj_close":null,"volume":null,"currency":"EUR","basis":"split","source":"attic",` +
		`"table":"mine","interval":"1d","final":true,"fetched_at":"2026-03-01T22:00:00.000000Z","fetch_id":"` + id + `","row":0}`
	if s.lines[0] != want {
		t.Errorf("the first document is\n%s\nwant\n%s", s.lines[0], want)
	}
	if !strings.HasSuffix(s.lines[2], `"row":2}`) || len(id) != len(tickerlake.FileFetch)+26 {
		t.Errorf("the last document is %s", s.lines[2])
	}
	day := func(d int) time.Time { return time.Date(2024, 1, d, 0, 0, 0, 0, time.UTC) }
	if got := report.Symbols; len(got) != 1 || got[0] != (file.Rows{Symbol: "AAPL", FetchID: id, Rows: 3, From: day(2), To: day(3)}) {
		t.Errorf("the report has %+v", got)
	}
	if report.Rows != 3 || report.Unreadable != 1 || !report.FetchedAt.Equal(now.Add(-24*time.Hour)) {
		t.Errorf("the report is %+v", report)
	}
	wantFetch := tickerlake.Fetch{ID: id, Source: "attic", Symbol: "AAPL", Table: "mine", Interval: "1d", From: day(2), To: day(4), FetchedAt: now.Add(-24 * time.Hour),
		Class: tickerlake.ClassOK, Rows: 3, Attempts: 1, File: "aapl_daily.csv", At: now}
	if len(fetches) != 1 || fetches[0] != wantFetch {
		t.Errorf("the fetch is %+v\nwant %+v", fetches, wantFetch)
	}
}

// TestOnce: a file is known by its content and by how it is read.
func TestOnce(t *testing.T) {
	s, l := &sink{}, ledger{}
	clock := now
	importer := file.New(file.Options{Sink: s, Ledger: l, Clock: func() time.Time { return clock }})
	bring := func(task file.Task) file.Report {
		t.Helper()
		report, err := importer.Import(t.Context(), task)
		if err != nil || report.Err != nil {
			t.Fatal(err, report.Err)
		}
		return report
	}
	path := write(t, "AAPL.csv", "Date,Close\n2024-01-02,2\n", time.Hour)
	bring(daily(path))
	first := slices.Clone(s.lines)
	clock = clock.Add(time.Hour)
	touch(t, path, now)
	if r := bring(daily(path)); !r.TakenAt.Equal(now) || len(s.lines) != 1 {
		t.Errorf("the second time %d documents are there, taken at %v", len(s.lines), r.TakenAt)
	}
	again := daily(path)
	again.Again = true
	if bring(again); len(s.lines) != 2 || fetchID.ReplaceAllString(s.lines[1], "") != fetchID.ReplaceAllString(first[0], "") {
		t.Errorf("taken again it gives %q, want what it gave: %q", s.lines[1:], first)
	}
	other := daily(path)
	other.Config.Basis = tickerlake.BasisTotal
	if r := bring(other); !r.TakenAt.IsZero() || len(s.lines) != 3 {
		t.Error("read in another way it is not another file")
	}
	later := daily(path)
	later.FetchedAt = now.Add(time.Minute)
	if r := bring(later); !r.TakenAt.IsZero() || !r.FetchedAt.Equal(now.Add(time.Minute)) {
		t.Error("with another time it is not another file")
	}
	namesake := write(t, "MSFT.csv", "Date,Close\n2024-01-02,2\n", time.Hour)
	if r := bring(daily(namesake)); !r.TakenAt.IsZero() || r.Symbols[0].Symbol != "MSFT" {
		t.Error("the same prices under another symbol are not another file")
	}
	many := "Symbol,Date,Close\nX,2024-01-02,2\n"
	bring(daily(write(t, "one.csv", many, 0)))
	if r := bring(daily(write(t, "two.csv", many, 0))); r.TakenAt.IsZero() {
		t.Error("a file whose rows say their symbol is another one under another name")
	}
}

var fetchID = regexp.MustCompile(`"fetch_id":"([^"]*)"`)

// TestReadInAnotherWay: of one file that is brought in twice, the second time read in
// another way, the second wins, for every symbol: its fetch ids are later.
func TestReadInAnotherWay(t *testing.T) {
	s, l := &sink{}, ledger{}
	importer := file.New(file.Options{Sink: s, Ledger: l, Clock: func() time.Time { return now }})
	var text strings.Builder
	text.WriteString("Symbol,Date,Open,Price\n")
	const symbols = 20
	for i := range symbols {
		fmt.Fprintf(&text, "S%d,2024-01-02,1,2\n", i)
	}
	task := daily(write(t, "all.csv", text.String(), time.Hour))
	for i, way := range []string{"{symbol: .Symbol, ts: .Date, close: .Open}", "{symbol: .Symbol, ts: .Date, close: .Price}", "{symbol: .Symbol, ts: .Date, close: .Open}"} {
		task.Map, task.Again = way, i == 2
		if r, err := importer.Import(t.Context(), task); err != nil || r.Err != nil {
			t.Fatal(err, r.Err)
		}
	}
	for i := range symbols {
		var ids []string
		for _, j := range []int{i, symbols + i, 2*symbols + i} {
			ids = append(ids, fetchID.FindStringSubmatch(s.lines[j])[1])
		}
		if !slices.IsSorted(ids) || len(slices.Compact(ids)) != 3 {
			t.Errorf("the ids of S%d, in the order of their imports, are %q", i, ids)
		}
	}
}

// TestCutOff: an import that fails in its middle goes on where it was, with the time that
// the file had then.
func TestCutOff(t *testing.T) {
	var b strings.Builder
	b.WriteString("Symbol,Datetime,Close\n")
	const rows = 170_000
	for i := range rows {
		fmt.Fprintf(&b, "S%d,%s,%d\n", i%7, now.Add(time.Duration(i-rows)*time.Minute).Format(time.RFC3339), 1+i)
	}
	path := write(t, "many.csv", b.String(), 0)
	whole, _ := bring(t, minutes(path, ""))
	if len(whole.lines) != rows {
		t.Fatalf("%d rows gave %d documents", rows, len(whole.lines))
	}
	s, l := &sink{fail: 10}, ledger{}
	importer := file.New(file.Options{Sink: s, Ledger: l, Clock: func() time.Time { return now }})
	if _, err := importer.Import(t.Context(), minutes(path, "")); err == nil || !strings.Contains(err.Error(), "the disk is full") {
		t.Fatalf("the error is %v", err)
	}
	if len(s.lines) == 0 || len(s.lines) == rows {
		t.Fatalf("%d documents came through", len(s.lines))
	}
	touch(t, path, now.Add(-time.Hour))
	r, err := importer.Import(t.Context(), minutes(path, ""))
	if err != nil || r.Err != nil || r.Rows != rows || r.Resumed == 0 {
		t.Fatalf("%v %v: %d rows, %d of them before", err, r.Err, r.Rows, r.Resumed)
	}
	// What had come through after the ledger was told stands twice, with the same ids.
	doubles := len(s.lines) - rows
	if doubles < 0 || doubles > 40<<20/250 {
		t.Errorf("%d documents stand twice", doubles)
	}
	got, want := slices.Sorted(slices.Values(s.lines)), slices.Sorted(slices.Values(whole.lines))
	if !slices.Equal(slices.Compact(got), want) {
		t.Error("the documents are not those of an import that was not cut off")
	}
}

// TestConflict: rows that contradict what the table has are refused before they are
// handed on; other symbols of the file are not.
func TestConflict(t *testing.T) {
	s, l := &sink{}, ledger{}
	known := map[tickerlake.Symbol]tickerlake.Series{
		"A": {Table: "bars_1d", Symbol: "A", Source: "market", Basis: "split", Currency: "USD", Interval: "1d"},
		"B": {Table: "bars_1d", Symbol: "B", Source: "file", Basis: "raw", Currency: "USD", Interval: "1d"},
		"C": {Table: "bars_1d", Symbol: "C", Watermark: now}, // on its way
	}
	importer := file.New(file.Options{Sink: s, Ledger: l, Clock: func() time.Time { return now }, Series: func(context.Context, string) (map[tickerlake.Symbol]tickerlake.Series, error) {
		return known, nil
	}})
	path := write(t, "x.csv", "Symbol,Date,Close\nA,2024-01-02,1\nB,2024-01-02,2\nC,2024-01-02,3\nD,2024-01-02,4\n", 0)
	r, err := importer.Import(t.Context(), daily(path))
	want := `x.csv: A: table bars_1d holds rows of it with source "market" where the file has "file", and basis "split" where the file has "raw": ` +
		`import to a table of its own (--table), or, if the file is of the same prices, with --source market --basis split`
	if err != nil || r.Err == nil || r.Err.Error() != want || !errors.Is(r.Err, tickerlake.Conflict) {
		t.Errorf("the error is %v, %v\nwant %s", r.Err, err, want)
	}
	if got := summary(s.documents(t)); !strings.HasPrefix(got, "B 2024-01-02") || strings.Count(got, "\n") != 3 {
		t.Errorf("handed on were\n%s", got)
	}
	for id, e := range l {
		if !e.TakenAt.IsZero() {
			t.Errorf("the file %s counts as taken", id)
		}
	}
	intraday := minutes(write(t, "x.csv", "Symbol,Datetime,Close\nE,2024-01-02 10:00,1\n", 0), "")
	intraday.Config.Table = "bars_1d"
	if r, err = importer.Import(t.Context(), intraday); err != nil || r.Err == nil || !strings.Contains(r.Err.Error(), "table bars_1d holds bars of 1d: choose another with --table, or another --interval") {
		t.Errorf("the error is %v, %v", r.Err, err)
	}
}

// TestFuture: the file's time is not believed if it is in the future, and bars after it
// are counted.
func TestFuture(t *testing.T) {
	if _, r := bring(t, daily(write(t, "A.csv", "Date,Close\n2024-01-02,1\n", -2*time.Hour))); r.Err == nil || !strings.Contains(r.Err.Error(), "is in the future: say with --fetched-at") {
		t.Errorf("the error is %v", r.Err)
	}
	if _, r := bring(t, daily(write(t, "A.csv", "Date,Close\n2024-01-02,1\n2026-03-01,1\n", 100*24*time.Hour))); r.Err != nil || r.Later != 1 {
		t.Errorf("%d rows are later than the file, %v", r.Later, r.Err)
	}
}

// TestCopies: rows that export wrote say what fetch they are of, and claim nothing in its
// name; those that had come from a file say so as before.
func TestCopies(t *testing.T) {
	const text = "symbol,ts,close,basis,source,final,fetched_at,fetch_id\n" +
		"X,2024-01-02 00:00:00,1,raw,market,true,2024-01-03 00:00:00,01HK\n" +
		"X,2024-01-03 00:00:00,1,raw,market,true,2024-01-04 00:00:00,file-01HM\n" +
		"X,2024-01-04 00:00:00,1,raw,market,true,2024-01-05 00:00:00,-01HN\n"
	s, _ := bring(t, daily(write(t, "x.csv", text, 0)))
	var ids []string
	for _, line := range s.lines {
		ids = append(ids, fetchID.FindStringSubmatch(line)[1])
	}
	if want := []string{"-01HK", "file-01HM", "-01HN"}; !slices.Equal(ids, want) {
		t.Errorf("the fetch ids are %q, want %q", ids, want)
	}
	for _, id := range ids {
		if !tickerlake.FromFile(id) {
			t.Errorf("%q is not of a file", id)
		}
	}
}
