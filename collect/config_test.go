package collect

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tickerlake/tickerlake"
)

func TestPresets(t *testing.T) {
	if got := Presets(); !slices.Equal(got, []string{"seed", "simulated", "yahoo"}) {
		t.Fatalf("presets %v", got)
	}
	for _, name := range Presets() {
		if err := decodeConfig(t, "preset: "+name+"\nsymbols: [AAPL]").Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, ok := Preset("../config"); ok {
		t.Error("a preset outside of the folder")
	}
}

// TestValidate has files with one mistake each, and the message it gets.
func TestValidate(t *testing.T) {
	const own = "base_url: http://a.invalid\nsymbols: [A]\nbasis: raw\n"
	for _, c := range []struct{ config, want string }{
		{"preset: sead\nsymbols: [A]\nbase_url: http://a.invalid\nbasis: raw\nhttp: {rows: ., request: {path: '/{symbol}'}}", `preset: no preset "sead": there are seed, simulated, yahoo`},
		{own, "http: missing: name a preset"},
		{"preset: seed", "symbols: missing"},
		{"preset: seed\nsymbols: [A, B, A]", "symbols[2]: A is there already, at symbols[0]"},
		{"preset: seed\nsymbols: [aapl]", `symbols[0]: symbol "aapl": want "AAPL"`},
		{"preset: seed\nsymbols: ['A B']", `symbols[0]: symbol "A B": want up to 32`},
		{"preset: seed\nsymbols: [A]\nbase_url: ftp://x", "base_url: not an address"},
		{"preset: seed\nsymbols: [A]\ninterval: 2d", `interval: interval "2d": want one of`},
		{"preset: seed\nsymbols: [A]\ntime_zone: Mars", `time_zone: "Mars" is not a time zone`},
		{"preset: seed\nsymbols: [A]\nsession_end: 4pm", `session_end: "4pm": want a time of day`},
		{"preset: seed\nsymbols: [A]\nbasis: adjusted", `basis: "adjusted": want raw, split or total`},
		{"preset: seed\nsymbols: [A]\ncurrency: Dollar", `currency: "Dollar": want three letters`},
		{"preset: seed\nsymbols: [A]\nsince: 1.1.1990", `since: "1.1.1990": want a date`},
		{"preset: seed\nsymbols: [A]\ntable: Bars-1", `table: "Bars-1" cannot name a table`},
		{"preset: seed\nsymbols: [A]\nconcurrency: 0", "concurrency: 0: want 1 to 256"},
		{"preset: seed\nsymbols: [A]\nmax_bytes: 1", "max_bytes: 1: want 1024 to"},
		{"preset: seed\nsymbols: [A]\nretries: 21", "retries: 21: want 0 to 20"},
		{"preset: seed\nsymbols: [A]\ntimeout: 2 days", "timeout: 2 days: want 1 millisecond to 1 hour"},
		{"preset: seed\nsymbols: [A]\nsettle: 2 days", "settle: 2 days: want 0 seconds to 1 day"},
		{"preset: seed\nsymbols: [A]\nhttp: {batch: 5}", "http.request: asks for 5 symbols at once: want {symbols}"},
		{"preset: seed\nsymbols: [A]\nhttp: {rows: '.data['}", "http.rows: jq: unexpected EOF"},
		{"preset: seed\nsymbols: [A]\nhttp: {rows: 'input'}", "http.rows: jq: "},
		{"preset: seed\nsymbols: [A]\nhttp: {rows: '$foo'}", "http.rows: jq: variable not defined: $foo"},
		{"preset: seed\nsymbols: [A]\nhttp: {classify: ['nope']}", "http.classify[0]: jq: function not defined: nope"},
		{"preset: seed\nsymbols: [A]\nhttp: {spell: '('}", "http.spell: jq: "},
		{"preset: seed\nsymbols: [A]\nhttp: {spelling: {brk: X}}", "http.spelling.brk: want a canonical symbol"},
		{"preset: seed\nsymbols: [A]\nhttp: {headers: {'a b': x}}", `http.request.headers: "a b" cannot name a header`},
		{own + "http: {rows: ., request: {path: a}}", `http.request.path: "a": want a path that begins with /`},
		{own + "http: {rows: ., request: {path: /a}}", "http.request: does not say which symbol"},
		{own + "http: {rows: ., request: {path: '/{symbl}'}}", "http.request.path: \"{symbl}\": no field {symbl}"},
		{own + "http: {rows: ., request: {path: '/{symbol'}}", "http.request.path: \"{symbol\": { without }"},
		{own + "http: {rows: ., request: {path: '/{symbol}', query: {d: '{from:yyyy-qq}'}}}", "http.request.query.d: \"{from:yyyy-qq}\": time format"},
		{own + "http: {rows: ., request: {path: '/{symbol}', method: PUT}}", `http.request.method: "PUT": want GET or POST`},
		{own + "http: {request: {path: '/{symbol}'}}", "http.rows: missing"},
		{"preset: seed\nsymbols: [A]\naccount: My key", `account: "My key" cannot name an account`},
		{"preset: seed\nsymbols: [A]\nhttp: {max_age: {2m: 1 day}}", `http.max_age.2m: interval "2m": want one of`},
		{"preset: seed\nsymbols: [A]\nhttp: {max_age: {1d: 1 hour}}", "http.max_age.1d: 1 hour: want 1 day to 36500 days"},
		{"preset: seed\nsymbols: [A]\nhttp: {max_age: {1d: 9 days}, max_window: {1d: 36 hours}}", "http.max_window.1d: 36 hours: want a whole number of bars of 1d"},
		{"symbols: [A]\nhttp: {rows: ., request: {path: '/{symbol}'}}", "base_url: missing"},
		{"symbols: [A]\nhttp: {rows: ., request: {path: '/{symbol}'}}", "basis: missing"},
	} {
		err := decodeConfig(t, c.config).Validate()
		if err == nil || !strings.Contains(err.Error(), c.want) || tickerlake.CodeOf(err) != tickerlake.Invalid {
			t.Errorf("%s\n  says %v\n  want %s", c.config, err, c.want)
		}
	}
	err := decodeConfig(t, "interval: 2d\nbasis: x\ncurrency: x").Validate()
	if n := strings.Count(err.Error(), "\n") + 1; n != 6 {
		t.Errorf("%d mistakes are reported, want 6:\n%v", n, err)
	}
	if _, err := New(decodeConfig(t, "interval: 2d"), Options{}); tickerlake.CodeOf(err) != tickerlake.Invalid {
		t.Errorf("New takes it: %v", err)
	}
}

func TestSymbols(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "universe.txt"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(text string) (s Symbols, err error) { return s, yaml.Unmarshal([]byte(text), &s) }
	// ON and TRUE are tickers, whatever YAML thinks.
	for text, want := range map[string][]tickerlake.Symbol{
		"[AAPL, BRK.B, ON, TRUE, NO, 7203.T]": {"AAPL", "BRK.B", "ON", "TRUE", "NO", "7203.T"},
		"{file: universe.txt}":                {"A", "B.C", "D"},
	} {
		write("\ufeffA\r\n# a comment\n\n  B.C # another\nD")
		s, err := read(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.Resolve(dir); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"AAPL", "{fill: x}", "{}", "[[A]]"} {
		if s, err := read(text); err == nil {
			t.Errorf("%s is read as %+v", text, s)
		}
	}
	for text, want := range map[string]string{
		"A\nb\nA\n\u00e9": `universe.txt:2: symbol "b": want "B"` + "\n" + `universe.txt:3: A is there already, at universe.txt:1` + "\n" + `universe.txt:4: symbol "é": want up to 32`,
		"# none":          "universe.txt: holds no symbol",
	} {
		write(text)
		if _, err := (Symbols{File: "universe.txt"}).Resolve(dir); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if _, err := (Symbols{File: "none.txt"}).Resolve(dir); tickerlake.CodeOf(err) != tickerlake.NotFound {
		t.Errorf("no file: %v", err)
	}
}

func TestTemplate(t *testing.T) {
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	p := params{
		symbols: []string{"BRK-B", "A"}, zone: zone,
		from: time.Date(2022, 3, 8, 0, 0, 0, 0, zone), to: time.Date(2022, 3, 10, 0, 0, 0, 0, zone), last: time.Date(2022, 3, 9, 0, 0, 0, 0, zone),
	}
	for text, want := range map[string]string{
		"{from:MMMM dd yyyy}":                  "March 08 2022",
		"{from}":                               "2022-03-08",
		"{to:yyyyMMdd}-{last:d.M.yy}":          "20220310-9.3.22",
		"{from:epoch}":                         "1646715600",
		"{from:epoch_ms}":                      "1646715600000",
		"{from:rfc3339}":                       "2022-03-08T05:00:00Z",
		"{from:yyyy-MM-dd'T'HH:mm:ssXXX}":      "2022-03-08T00:00:00-05:00",
		"{from:MMM d, yyyy '2006 is literal'}": "Mar 8, 2022 2006 is literal",
		"x{symbol}y":                           "xBRK-By",
		"{symbols}":                            "BRK-B,A",
		"{symbols:|}":                          "BRK-B|A",
		"{{symbol}":                            "{symbol}",
		"":                                     "",
	} {
		tmpl, err := newTemplate("x", text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got := tmpl.expand(p); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// TestRequest has values that must not leave their place in the address.
func TestRequest(t *testing.T) {
	r, err := newRequest("x", "https://api.invalid/v1/?k=1", map[string]string{"X-A": "a", "X-B": "b"}, Request{
		Path: "/bars/{symbol}/day", Query: map[string]string{"s": "{symbols}", "d": "{from:MMMM dd yyyy}"}, Headers: map[string]string{"X-B": "c"},
	})
	if err != nil {
		t.Fatal(err)
	}
	req, err := r.build(t.Context(), params{symbols: []string{"^A/B?=&#", "C"}, zone: time.UTC, from: time.Date(2022, 3, 8, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := req.URL.String(), "https://api.invalid/v1/bars/%5EA%2FB%3F=&%23/day?d=March+08+2022&k=1&s=%5EA%2FB%3F%3D%26%23%2CC"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if req.Header.Get("X-A") != "a" || req.Header.Get("X-B") != "c" || req.Method != "GET" {
		t.Errorf("%s %v", req.Method, req.Header)
	}
}
