package collect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake"
)

// batched is an own API with two symbols a request.
const batched = `
base_url: %s
symbols: [AAPL, BRK.B, MSFT, BAD, X]
basis: raw
currency: answer
time_zone: America/New_York
concurrency: 1
retries: 0
http:
  batch: 3
  spell: gsub("[.]"; "-")
  spelling: {X: xx.us}
  request: {path: /bars, query: {symbols: "{symbols}", start: "{from:epoch}"}}
  classify:
    - |
      if .failed then .failed | to_entries[] | {symbol: .key, class: "not_entitled", message: .value} else null end
  rows: |
    .bars | to_entries[] | .key as $s | .value[] |
    {symbol: $s, ts: .t, close: .c, currency: "USD"}
`

func TestBatch(t *testing.T) {
	var asked []string
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		symbols := r.FormValue("symbols")
		asked = append(asked, symbols+" "+r.FormValue("start"))
		if strings.Contains(symbols, "BAD") {
			w.WriteHeader(404)
			_, _ = io.WriteString(w, `{"error":"unknown symbol"}`)
			return
		}
		var bars []string
		for s := range strings.SplitSeq(symbols, ",") {
			if s != "MSFT" && s != "xx.us" {
				bars = append(bars, fmt.Sprintf(`%q:[{"t":"2024-01-02T05:00:00Z","c":"1.50"},{"t":"2024-01-03T05:00:00Z","c":2}]`, s))
			}
		}
		failed := ""
		if strings.Contains(symbols, "xx.us") {
			failed = `"failed":{"XX.US":"pay first"},`
		}
		_, _ = io.WriteString(w, `{`+failed+`"bars":{`+strings.Join(bars, ",")+`}}`)
	})
	l := &lake{}
	report, err := l.source(t, decodeConfig(t, fmt.Sprintf(batched, base)), "2024-02-01 12:00").Fetch(t.Context(), Window{})
	if want := []string{"AAPL,BRK-B,MSFT 104400", "BAD,xx.us 104400", "BAD 104400", "xx.us 104400"}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
	want := []tickerlake.Class{tickerlake.ClassOK, tickerlake.ClassOK, tickerlake.ClassEmpty, tickerlake.ClassNotFound, tickerlake.ClassNotEntitled}
	ids := map[string]bool{}
	for i, r := range report.Symbols {
		if r.Class != want[i] {
			t.Errorf("%s: %s, want %s", r.Symbol, r.Class, want[i])
		}
		ids[r.FetchID] = true
	}
	if len(ids) != 5 || !errors.Is(err, tickerlake.SourceFailed) || !strings.Contains(err.Error(), "X: not_entitled: pay first") {
		t.Errorf("%d fetch ids, %v", len(ids), err)
	}
	if len(l.docs) != 4 || len(l.records) != 1 || !strings.HasPrefix(l.docs[2], `{"symbol":"BRK.B","ts":"2024-01-02","open":null,"high":null,"low":null,"close":"1.50"`) || !strings.HasSuffix(l.docs[2], `"row":0}`) {
		t.Errorf("%d records: %v", len(l.records), l.docs)
	}
}

func TestRowsOfOthers(t *testing.T) {
	for body, want := range map[string]string{
		`{"bars":{"TSLA":[{"t":"2024-01-02","c":1}]}}`: `symbol "TSLA" was not asked for`,
		`{"bars":{"AAPL":[{"t":["x"],"c":1}]}}`:        "ts is neither a number nor text",
	} {
		l := &lake{}
		_, err := l.source(t, decodeConfig(t, fmt.Sprintf(batched, serve(t, one(body)))), "2024-02-01 12:00").Fetch(t.Context(), Window{})
		if err == nil || !strings.Contains(err.Error(), want) || len(l.docs) > 0 {
			t.Errorf("%s: %v, %v", body, err, l.docs)
		}
	}
}

// TestPacking has more documents than a record holds.
func TestPacking(t *testing.T) {
	rows := bars(9000)
	s, _ := newSession(decodeConfig(t, ""))
	p := &packer{documents: newDocumenter("market", "bars_1d", decodeConfig(t, "basis: split"))}
	at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := p.add(rows, s, at, newOrigin("F1", at)); err != nil {
		t.Fatal(err)
	}
	if err := p.add(rows[:5], s, at, newOrigin("F2", at)); err != nil {
		t.Fatal(err)
	}
	records := p.records()
	n := 0
	for i, r := range records {
		if len(r.Data) > maxRecord || i < len(records)-1 && len(r.Data) < maxRecord-1000 || r.Data[len(r.Data)-1] != '\n' {
			t.Errorf("record %d of %d has %d bytes", i, len(records), len(r.Data))
		}
		for line := range bytes.Lines(r.Data) {
			if !json.Valid(line) {
				t.Fatalf("line %d: %s", n, line)
			}
			n++
		}
	}
	if n != 9005 || len(records) < 2 {
		t.Errorf("%d documents in %d records", n, len(records))
	}
	rows[0].values[0] = strings.Repeat("x", maxRecord)
	if err := p.add(rows[:1], s, at, newOrigin("F", at)); err == nil {
		t.Error("a document larger than a record is taken")
	}
}

func TestIDs(t *testing.T) {
	g := &ids{random: rand.NewChaCha8([32]byte{})}
	at := time.UnixMilli(1469918176385)
	last := ""
	for i := range 1000 {
		id, err := g.next(at.Add(time.Duration(i/10) * time.Millisecond))
		if err != nil || len(id) != 26 || id <= last {
			t.Fatalf("%s after %s: %v", id, last, err)
		}
		last = id
	}
	// The example of the ULID specification for its first ten characters.
	if id, _ := g.next(at); id[:10] != "01ARYZ6S41" {
		t.Errorf("the time is written %s", id[:10])
	}
	if _, err := (&ids{random: strings.NewReader("")}).next(at); err == nil {
		t.Error("an id without randomness")
	}
}

// FuzzMapping hands hostile bodies to the preset: no panic, nothing of an answer
// that is not ok, and only whole JSON documents of one that is.
func FuzzMapping(f *testing.F) {
	for _, body := range []string{
		goodBody, goodBody[:30], "", "null", "[]", "{}", `{"data":null}`, `{"data":[null]}`, `{"data":[[]]}`, `{"data":{"a":{"Close":1}}}`,
		`{"data":[{"Date":1e400,"Close":NaN,"Open":-Infinity,"Volume":1e999}]}`, `{"error":{"a":[1]},"code":"500"}`, `{"error":"x","code":1e9}`,
		"<html>", "Too Many Requests", `{"data":[{"Date":"2021-10-01","Close":"` + "\xff\xfe" + `"}]}`, strings.Repeat("[", 20000), `{"a":"` + strings.Repeat(`\`, 99),
		`{"code":null,"Code":{},"message":[[[]]]}`, "\ufeff{}", `{"data":[{"Date":true,"Close":{}}]}`, `NaN`, `-`, `{"data":[{"Date":99999999999999999999}]}`,
	} {
		f.Add(200, []byte(body))
		f.Add(500, []byte(body))
	}
	cfg := decodeConfig(f, "preset: seed\nsymbols: [A]")
	l := &lake{}
	s := l.source(f, cfg, "2021-10-04 09:00")
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		var a answer
		s.read(t.Context(), &a, &http.Response{StatusCode: status}, body, params{symbols: []string{"A"}}, map[string]tickerlake.Symbol{"A": "A"})
		if !classes[a.verdict.class] {
			t.Fatalf("class %q", a.verdict.class)
		}
		if a.verdict.class != tickerlake.ClassOK && len(a.rows) > 0 {
			t.Fatalf("rows of an answer that is %s", a.verdict.class)
		}
		if !a.verdict.class.OK() && len(a.verdict.message) > 1200 || strings.ContainsAny(a.verdict.message, "\n\x00\x1b") {
			t.Fatalf("message %q", a.verdict.message)
		}
		p := &packer{documents: s.documents(false)}
		if err := p.add(a.rows, s.session, a.at, newOrigin("F", a.at)); err != nil {
			return
		}
		for _, r := range p.records() {
			for line := range bytes.Lines(r.Data) {
				if !json.Valid(line) {
					t.Fatalf("no JSON: %s", line)
				}
			}
		}
	})
}

func bars(n int) []row {
	rows := make([]row, n)
	for i := range rows {
		at := time.Date(1990, 1, 1+i, 0, 0, 0, 0, time.UTC)
		rows[i] = row{
			symbol: "AAPL", ts: at.Format(time.DateOnly), at: at, known: true, currency: "USD", place: i,
			values: [6]any{json.Number("182.01"), json.Number("183.5"), json.Number("181.25"), json.Number("182.75"), json.Number("180.125"), json.Number("79195200")},
		}
	}
	return rows
}

func BenchmarkDocuments(b *testing.B) {
	rows := bars(10000)
	cfg := decodeConfig(b, "preset: seed\nsymbols: [A]")
	s, err := newSession(cfg)
	if err != nil {
		b.Fatal(err)
	}
	d := newDocumenter("market", "bars_1d", cfg)
	at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	b.ReportAllocs()
	for b.Loop() {
		p := &packer{documents: d}
		if err := p.add(rows, s, at, newOrigin("01ARYZ6S41TSV4RRFFQ69G5FAV", at)); err != nil {
			b.Fatal(err)
		}
		size := 0
		for _, r := range p.records() {
			size += len(r.Data)
		}
		b.SetBytes(int64(size))
	}
	b.ReportMetric(float64(b.N)*float64(len(rows))/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkAnswer is the whole way of a long answer from its bytes to records.
func BenchmarkAnswer(b *testing.B) {
	var body bytes.Buffer
	body.WriteString(`{"data":[`)
	for i := range 9000 {
		if i > 0 {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"Adjusted Close":180.125,"Close":182.75,"Date":"%s","High":183.5,"Low":181.25,"Open":182.01,"Volume":79195200}`,
			time.Date(1990, 1, 1+i, 0, 0, 0, 0, time.UTC).Format(time.DateOnly))
	}
	body.WriteString("]}")
	l := &lake{}
	s := l.source(b, decodeConfig(b, "preset: seed\nsymbols: [A]"), "2021-10-04 09:00")
	b.SetBytes(int64(body.Len()))
	for b.Loop() {
		var a answer
		s.read(b.Context(), &a, &http.Response{StatusCode: 200}, body.Bytes(), params{symbols: []string{"A"}}, map[string]tickerlake.Symbol{"A": "A"})
		p := &packer{documents: s.documents(false)}
		if err := p.add(a.rows, s.session, a.at, newOrigin("F", a.at)); err != nil || len(p.records()) == 0 {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*9000/b.Elapsed().Seconds(), "rows/s")
}
