package collect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.yaml.in/yaml/v3"

	"github.com/tickerlake/tickerlake"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// decodeConfig makes the whole configuration of a source as the pipeline file's reader
// does: defaults, preset, keys.
func decodeConfig(t testing.TB, text string) Config {
	t.Helper()
	var named struct {
		Preset string `yaml:"preset"`
	}
	if err := yaml.Unmarshal([]byte(text), &named); err != nil {
		t.Fatal(err)
	}
	cfg := Defaults()
	preset, _ := Preset(named.Preset)
	for _, source := range [][]byte{preset, []byte(text)} {
		d := yaml.NewDecoder(bytes.NewReader(source))
		d.KnownFields(true)
		if err := d.Decode(&cfg); err != nil && !errors.Is(err, io.EOF) {
			t.Fatalf("%v in\n%s", err, source)
		}
	}
	return cfg
}

// A lake is a Sink and Watermarks in memory.
type lake struct {
	mu      sync.Mutex
	docs    []string
	records []tickerlake.Record
	fetches []tickerlake.Fetch
	series  map[tickerlake.Symbol]tickerlake.Series
	flushed int
	putErr  error
	log     bytes.Buffer
}

func (l *lake) Put(_ context.Context, records ...tickerlake.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.putErr != nil {
		return l.putErr
	}
	for _, r := range records {
		l.records = append(l.records, r)
		for line := range strings.Lines(string(r.Data)) {
			l.docs = append(l.docs, strings.TrimSuffix(line, "\n"))
		}
	}
	return nil
}

func (l *lake) Flush(context.Context) error {
	l.flushed++
	return nil
}

func (l *lake) Series(context.Context, string) (map[tickerlake.Symbol]tickerlake.Series, error) {
	return maps.Clone(l.series), nil
}

func (l *lake) Pending(_ context.Context, _ string, s tickerlake.Series) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.series == nil {
		l.series = map[tickerlake.Symbol]tickerlake.Series{}
	}
	old := l.series[s.Symbol]
	if old.Watermark.After(s.Watermark) {
		s.Watermark = old.Watermark
	}
	s.Reconciled, s.Waiting, s.First = old.Reconciled, old.Waiting, old.First
	l.series[s.Symbol] = s
	return nil
}

func (l *lake) Reconciled(_ context.Context, _ string, at time.Time, symbols ...tickerlake.Symbol) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, symbol := range symbols {
		s := l.series[symbol]
		s.Reconciled = tickerlake.Later(s.Reconciled, at)
		l.series[symbol] = s
	}
	return nil
}

// source makes a source over the lake, with quick repeats.
func (l *lake) source(t testing.TB, cfg Config, at string, change ...func(*Options)) *Source {
	t.Helper()
	o := Options{
		Name: "market", Sink: l, Watermarks: l, Clock: clockAt(at),
		Log: slog.New(slog.NewTextHandler(&l.log, nil)),
		OnFetch: func(_ context.Context, f tickerlake.Fetch) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.fetches = append(l.fetches, f)
			return nil
		},
	}
	for _, c := range change {
		c(&o)
	}
	s, err := New(cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	s.backoff = backoff{first: time.Millisecond, most: time.Millisecond}
	return s
}

// clockAt stands still at a time in New York.
func clockAt(s string) tickerlake.Clock {
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		panic(err)
	}
	t, err := time.ParseInLocation("2006-01-02 15:04", s, zone)
	if err != nil {
		panic(err)
	}
	return func() time.Time { return t }
}

// seed is a configuration of the preset over a server.
func seed(t testing.TB, base, symbols string, more ...string) Config {
	t.Helper()
	keys := strings.Join(more, "\n")
	if !strings.Contains(keys, "retries") {
		keys += "\nretries: 0"
	}
	return decodeConfig(t, "preset: seed\nbase_url: "+base+"\nsymbols: ["+symbols+"]\n"+keys)
}

func serve(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

const goodBody = `{"data":[{"Adjusted Close":1.5,"Close":2.0,"Date":"2021-10-01","High":3.0,"Low":1.0,"Open":1.25,"Volume":100}]}`

func one(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
}

func TestDocument(t *testing.T) {
	l := &lake{}
	s := l.source(t, seed(t, serve(t, one(goodBody)), "AAPL"), "2021-10-04 09:00")
	report, err := s.Fetch(t.Context(), Window{})
	if err != nil {
		t.Fatal(err)
	}
	if report.Rows != 1 || len(report.Symbols) != 1 || report.Symbols[0].Class != tickerlake.ClassOK || l.flushed != 1 {
		t.Errorf("report %+v, flushed %d times", report, l.flushed)
	}
	want := `{"symbol":"AAPL","ts":"2021-10-01","open":1.25,"high":3.0,"low":1.0,"close":2.0,"adj_close":1.5,"volume":100,` +
		`"currency":"USD","basis":"split","source":"market","table":"bars_1d","interval":"1d","final":true,` +
		`"fetched_at":"2021-10-04T13:00:00.000000Z","fetch_id":"` + report.Symbols[0].FetchID + `","row":0}`
	if len(l.docs) != 1 || l.docs[0] != want {
		t.Errorf("got  %s\nwant %s", l.docs, want)
	}
	d := json.NewDecoder(strings.NewReader(l.docs[0]))
	var keys []string
	for depth := true; ; depth = !depth {
		token, err := d.Token()
		if err != nil {
			break
		}
		if key, ok := token.(string); ok && slices.Contains(tickerlake.RawFields, key) {
			keys = append(keys, key)
		}
	}
	if !slices.Equal(keys, tickerlake.BarFields) {
		t.Errorf("keys %v", keys)
	}
	f := l.fetches[0]
	if len(l.fetches) != 1 || f.ID != report.Symbols[0].FetchID || f.Class != tickerlake.ClassOK || f.Rows != 1 || f.Attempts != 1 ||
		!f.From.IsZero() || f.To.Format(time.DateOnly) != "2021-10-05" || f.Symbol != "AAPL" || f.Table != "bars_1d" || f.Error != "" {
		t.Errorf("fetch %+v", f)
	}
	if w := l.series["AAPL"]; w.Watermark.Format(time.DateOnly) != "2021-10-01" || w.Source != "market" || w.Basis != "split" || w.Currency != "USD" {
		t.Errorf("series %+v", w)
	}
	if k := l.records[0].Keys; k["table"] != "bars_1d" || k["source"] != "market" || k["interval"] != "1d" {
		t.Errorf("keys %v", k)
	}
}

// TestValuesAreKept holds values to what the source said.
func TestValuesAreKept(t *testing.T) {
	for said, want := range map[string]string{
		"100": "100", "100.0": "100.0", "2.200000": "2.200000", "1e3": "1e3", "-0": "-0",
		"12345678901234567890123": "12345678901234567890123", "182.0099945068359375": "182.0099945068359375",
		"null": "null", `"150.5"`: `"150.5"`, `""`: `""`, "NaN": `"NaN"`, "Infinity": `"Infinity"`, "-Infinity": `"-Infinity"`,
		`"NaN"`: `"NaN"`, `"a\"b\\c\u0001\n"`: `"a\"b\\c\u0001\n"`, "true": `"true"`, `"\ud800"`: "\"\ufffd\"",
	} {
		body := strings.Replace(goodBody, `"Volume":100`, `"Volume":`+said, 1)
		l := &lake{}
		_, err := l.source(t, seed(t, serve(t, one(body)), "AAPL"), "2021-10-04 09:00").Fetch(t.Context(), Window{})
		if err != nil || len(l.docs) != 1 || !strings.Contains(l.docs[0], `"volume":`+want+`,"currency"`) || !json.Valid([]byte(l.docs[0])) {
			t.Errorf("%s: %v, %v", said, err, l.docs)
		}
	}
}

func TestAnswers(t *testing.T) {
	page := "<!DOCTYPE html><html><head><title>Just a moment</title></head></html>"
	for _, c := range []struct {
		name   string
		status int
		body   string
		class  tickerlake.Class
		says   string
	}{
		{"error, code as text", 200, `{"error":"'NoneType' object is not subscriptable","code":"500"}`, tickerlake.ClassUnavailable, "NoneType"},
		{"error, other key", 200, `{"error":"oops","Code":"500"}`, tickerlake.ClassUnavailable, "oops"},
		{"not found, 200", 200, `{"error":"XYZ: No data found, symbol may be delisted","code":"500"}`, tickerlake.ClassNotFound, "delisted"},
		{"not found by code", 200, `{"error":"what","code":"404"}`, tickerlake.ClassNotFound, "what"},
		{"404", 404, `{"error":"what","code":"500"}`, tickerlake.ClassNotFound, "what"},
		{"404 without a word", 404, `{}`, tickerlake.ClassNotFound, ""},
		{"404 page", 404, page, tickerlake.ClassNotFound, "404"},
		{"page, 200", 200, page, tickerlake.ClassBlocked, "Just a moment"},
		{"page, 403", 403, "\n " + page, tickerlake.ClassBlocked, "403"},
		{"page, 502", 502, page, tickerlake.ClassUnavailable, "502"},
		{"429 text", 429, "Too Many Requests", tickerlake.ClassQuota, "Too Many"},
		{"429 JSON", 429, `{"detail":"Error: You have run over your hourly request allocation."}`, tickerlake.ClassQuota, "allocation"},
		{"quota in 200", 200, `{"code":429,"message":"You have run out of API credits","status":"error"}`, tickerlake.ClassQuota, "credits"},
		{"text, 200", 200, "Exceeded the daily hits limit", tickerlake.ClassQuota, "Exceeded"},
		{"403", 403, `{"error":"You don't have access to this resource."}`, tickerlake.ClassNotEntitled, "access"},
		{"401", 401, `{}`, tickerlake.ClassBadCredentials, ""},
		{"bad key", 200, `{"error":"Invalid API key"}`, tickerlake.ClassBadCredentials, "API key"},
		{"500", 500, `{"whatever":1}`, tickerlake.ClassUnavailable, ""},
		{"500 text", 500, "boom", tickerlake.ClassUnavailable, "boom"},
		{"empty body", 200, "", tickerlake.ClassMalformed, "empty"},
		{"cut JSON", 200, goodBody[:50], tickerlake.ClassMalformed, "cut"},
		{"no JSON", 200, "hello", tickerlake.ClassMalformed, "not JSON"},
		{"two documents", 200, goodBody + goodBody, tickerlake.ClassMalformed, "more after"},
		{"no data", 200, `{"other":[]}`, tickerlake.ClassMalformed, "rows cannot be read"},
		{"data is null", 200, `{"data":null}`, tickerlake.ClassMalformed, "rows cannot be read"},
		{"data is numbers", 200, `{"data":[1,2]}`, tickerlake.ClassMalformed, "rows cannot be read"},
		{"value is an object", 200, `{"data":[{"Close":{"a":1}}]}`, tickerlake.ClassMalformed, "close is neither"},
		{"data and an error", 200, strings.Replace(goodBody, "{", `{"error":"partial",`, 1), tickerlake.ClassMalformed, "partial"},
		{"array", 200, `[1]`, tickerlake.ClassMalformed, "rows cannot be read"},
		{"string", 200, `"No such symbol"`, tickerlake.ClassNotFound, "No such"},
		{"empty", 200, `{"data":[]}`, tickerlake.ClassEmpty, ""},
		{"204", 204, "", tickerlake.ClassEmpty, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			base := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.FormValue("symbol") != "BAD" {
					_, _ = io.WriteString(w, goodBody)
					return
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			})
			l := &lake{}
			report, err := l.source(t, seed(t, base, "AAPL, BAD, MSFT"), "2021-10-04 09:00").Fetch(t.Context(), Window{})
			bad := report.Symbols[1]
			if bad.Class != c.class {
				t.Errorf("class %s, want %s (%v)", bad.Class, c.class, bad.Err)
			}
			if got := errors.Is(err, tickerlake.SourceFailed); got == c.class.OK() {
				t.Errorf("the fetch says %v", err)
			}
			if err != nil && (!strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "BAD: "+string(c.class))) {
				t.Errorf("the error does not say why: %v", err)
			}
			if len(l.docs) != 2 || strings.Contains(strings.Join(l.docs, ""), "BAD") || len(l.fetches) != 3 {
				t.Errorf("delivered %v, %d fetch records", l.docs, len(l.fetches))
			}
		})
	}
}

// TestBrokenExchanges has answers that end too early, too late or never.
func TestBrokenExchanges(t *testing.T) {
	release := make(chan struct{})
	cut := func(w http.ResponseWriter, length string, body string) {
		conn, buffer, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = buffer.WriteString("HTTP/1.1 200 OK\r\n" + length + "\r\n" + body)
		_ = buffer.Flush()
	}
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.FormValue("symbol") {
		case "CUT":
			cut(w, "Content-Length: 200\r\n", goodBody)
		case "CHUNK":
			cut(w, "Transfer-Encoding: chunked\r\n", "20\r\n{\"data\":[")
		case "NONE":
			cut(w, "", "")
		case "SLOW":
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, goodBody[:20])
			w.(http.Flusher).Flush()
			<-release
		case "SILENT":
			<-release
		case "LARGE":
			_, _ = io.WriteString(w, strings.Replace(goodBody, "100}", strings.Repeat("1", 5000)+"}", 1))
		default:
			_, _ = io.WriteString(w, goodBody)
		}
	})
	defer close(release)
	l := &lake{}
	var symbols []Result
	for _, keys := range [][]string{{"AAPL, CUT, CHUNK, NONE, LARGE"}, {"SLOW, SILENT", "timeout: 200 milliseconds"}} {
		s := l.source(t, seed(t, base, keys[0], append(keys[1:], "max_bytes: 4096")...), "2021-10-04 09:00")
		report, err := s.Fetch(t.Context(), Window{})
		if !errors.Is(err, tickerlake.SourceFailed) || tickerlake.ExitStatus(err) != 4 {
			t.Errorf("error %v", err)
		}
		symbols = append(symbols, report.Symbols...)
	}
	want := map[tickerlake.Symbol]tickerlake.Class{
		"AAPL": tickerlake.ClassOK, "CUT": tickerlake.ClassMalformed, "CHUNK": tickerlake.ClassMalformed, "NONE": tickerlake.ClassMalformed,
		"SLOW": tickerlake.ClassTimeout, "SILENT": tickerlake.ClassTimeout, "LARGE": tickerlake.ClassMalformed,
	}
	if len(symbols) != len(want) {
		t.Errorf("%d symbols were asked for, want %d", len(symbols), len(want))
	}
	for _, r := range symbols {
		if r.Class != want[r.Symbol] {
			t.Errorf("%s: %s, want %s: %v", r.Symbol, r.Class, want[r.Symbol], r.Err)
		}
	}
	if len(l.docs) != 1 {
		t.Errorf("delivered %v", l.docs)
	}
}

func TestNobodyListens(t *testing.T) {
	server := httptest.NewServer(nil)
	base := server.URL
	server.Close()
	l := &lake{}
	report, err := l.source(t, seed(t, base, "AAPL"), "2021-10-04 09:00").Fetch(t.Context(), Window{})
	if report.Symbols[0].Class != tickerlake.ClassUnavailable || !errors.Is(err, tickerlake.Unavailable) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("%+v, %v", report, err)
	}
}
