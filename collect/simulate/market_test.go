package simulate_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/collect"
	"github.com/tickerlake/tickerlake/collect/simulate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var newYork = func() *time.Location {
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		panic(err)
	}
	return zone
}()

// at is a clock that stands still.
func at(s string) tickerlake.Clock {
	t, err := time.ParseInLocation("2006-01-02 15:04", s, newYork)
	if err != nil {
		panic(err)
	}
	return func() time.Time { return t }
}

func market(t testing.TB, o simulate.Options) *simulate.Market {
	t.Helper()
	m, err := simulate.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func ask(t testing.TB, m *simulate.Market, path string, query ...string) string {
	t.Helper()
	values := url.Values{}
	for i := 0; i < len(query); i += 2 {
		values.Set(query[i], query[i+1])
	}
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path+"?"+values.Encode(), nil))
	if w.Code != http.StatusOK || w.Header().Get(collect.SimulatedHeader) == "" {
		t.Fatalf("status %d, header %v", w.Code, w.Header())
	}
	return w.Body.String()
}

const (
	details = "/getSingleStockDetails"
	depth   = "/getSingleStockDetailsInDepth"
)

type bar struct {
	Date                   string
	Open, High, Low, Close float64
	Adj                    float64 `json:"Adjusted Close"`
	Volume                 int64
}

func bars(t testing.TB, text string) []bar {
	t.Helper()
	var answer struct{ Data []bar }
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatalf("%v: %.200s", err, text)
	}
	return answer.Data
}

// TestShapes holds the answers to the form of the seed's API, byte for byte.
func TestShapes(t *testing.T) {
	m := market(t, simulate.Options{Seed: 1, Symbols: []string{"AAPL"}, Clock: at("2022-03-09 18:00")})
	last := bars(t, ask(t, m, depth, "symbol", "AAPL", "start_date", "March 09 2022", "end_date", "March 10 2022"))
	if len(last) != 1 {
		t.Fatalf("%d bars, want 1", len(last))
	}
	text := ask(t, m, depth, "symbol", "AAPL", "start_date", "March 9 2022", "end_date", "March 10 2022")
	if !strings.HasPrefix(text, `{"data":[{"Adjusted Close":`) || !strings.Contains(text, `"Date":"2022-03-09","High":`) || !strings.HasSuffix(text, `}]}`) {
		t.Errorf("in depth: %s", text)
	}
	day := ask(t, m, details, "symbol", "AAPL", "whole_day", "true")
	if want := `"symbol":"AAPL"}`; !strings.HasPrefix(day, `{"data":[{"Close":`) || !strings.HasSuffix(day, want) || bars(t, day)[0].Close != last[0].Close {
		t.Errorf("whole day: %s", day)
	}
	if quote := ask(t, m, details, "symbol", "AAPL"); !strings.HasPrefix(quote, `{"price":"`) || !strings.HasSuffix(quote, ` USD","symbol":"AAPL"}`) {
		t.Errorf("quote: %s", quote)
	}
	for _, c := range []struct{ name, text, want string }{
		{"unknown", ask(t, m, depth, "symbol", "MSFT"), `{"error":"MSFT: No data found, symbol may be delisted","code":"500"}`},
		{"none", ask(t, m, depth), `{"error":"\"\": invalid symbol","code":"500"}`},
		{"date", ask(t, m, depth, "symbol", "AAPL", "start_date", "2022-03-08", "end_date", "March 10 2022"), `{"error":"time data \"2022-03-08\" does not match format '%B %d %Y'","code":"500"}`},
		{"weekend", ask(t, m, depth, "symbol", "AAPL", "start_date", "March 05 2022", "end_date", "March 07 2022"), `{"data":[]}`},
	} {
		if c.text != c.want {
			t.Errorf("%s: %s, want %s", c.name, c.text, c.want)
		}
	}
}

func TestWindow(t *testing.T) {
	m := market(t, simulate.Options{Seed: 1, Clock: at("2022-03-09 18:00")})
	all := bars(t, ask(t, m, depth, "symbol", "X"))
	if all[0].Date != "1990-01-02" || all[len(all)-1].Date != "2022-03-09" {
		t.Errorf("history from %s to %s", all[0].Date, all[len(all)-1].Date)
	}
	if half := bars(t, ask(t, m, depth, "symbol", "X", "start_date", "March 08 2022")); len(half) != len(all) {
		t.Errorf("without an end %d bars, want all %d", len(half), len(all))
	}
	week := bars(t, ask(t, m, depth, "symbol", "X", "start_date", "March 01 2022", "end_date", "March 08 2022"))
	if len(week) != 5 || week[0].Date != "2022-03-01" || week[4].Date != "2022-03-07" {
		t.Errorf("the end is not exclusive: %v", week)
	}
}

func TestPricesAreSound(t *testing.T) {
	m := market(t, simulate.Options{Seed: 7, Clock: at("2026-11-24 18:00")})
	for _, symbol := range []string{"A", "AAPL", "BRK-B", "^GSPC", "7203.T"} {
		list := bars(t, ask(t, m, depth, "symbol", symbol))
		before := ""
		for _, b := range list {
			if b.Date <= before || b.Low <= 0 || b.High < max(b.Open, b.Close, b.Low) || b.Low > min(b.Open, b.Close) || b.Volume <= 0 || b.Adj <= 0 || b.Adj > b.Close {
				t.Fatalf("%s: %+v after %s", symbol, b, before)
			}
			before = b.Date
		}
		if len(list) < 9200 {
			t.Errorf("%s: %d bars", symbol, len(list))
		}
	}
}

func TestDeterminism(t *testing.T) {
	early := ask(t, market(t, simulate.Options{Seed: 3, Clock: at("2020-06-01 12:00")}), depth, "symbol", "AAPL")
	late := ask(t, market(t, simulate.Options{Seed: 3, Clock: at("2026-11-24 18:00")}), depth, "symbol", "AAPL")
	past := bars(t, early)
	for i, b := range bars(t, late)[:len(past)-1] {
		if b != past[i] {
			t.Fatalf("a past bar changed: %+v, was %+v", b, past[i])
		}
	}
	if other := ask(t, market(t, simulate.Options{Seed: 4, Clock: at("2020-06-01 12:00")}), depth, "symbol", "AAPL"); other == early {
		t.Error("another seed gives the same prices")
	}
	if other := ask(t, market(t, simulate.Options{Seed: 3, Clock: at("2020-06-01 12:00")}), depth, "symbol", "MSFT"); other == early {
		t.Error("another symbol has the same prices")
	}
}

// TestToday follows a day: no bar before the open, then one that changes, then one
// that stays.
func TestToday(t *testing.T) {
	last := func(when string) bar {
		list := bars(t, ask(t, market(t, simulate.Options{Seed: 1, Clock: at(when)}), depth, "symbol", "AAPL"))
		return list[len(list)-1]
	}
	if b := last("2026-11-24 09:29"); b.Date != "2026-11-23" {
		t.Errorf("before the open there is a bar of %s", b.Date)
	}
	open, noon, end, evening := last("2026-11-24 09:30"), last("2026-11-24 12:00"), last("2026-11-24 16:00"), last("2026-11-24 23:59")
	if open.Date != "2026-11-24" || open == noon || noon == end || end != evening {
		t.Errorf("the day goes %+v, %+v, %+v, %+v", open, noon, end, evening)
	}
	if noon.Open != open.Open || noon.High < open.High || noon.Low > open.Low || end.Volume <= noon.Volume {
		t.Error("a later bar of the day takes back what was traded")
	}
	if b := last("2026-11-26 12:00"); b.Date != "2026-11-25" {
		t.Errorf("a bar of Thanksgiving: %s", b.Date)
	}
}

func TestServeAndRoundTrip(t *testing.T) {
	m := market(t, simulate.Options{Seed: 1, Clock: at("2022-03-09 18:00")})
	ctx, stop := context.WithCancel(t.Context())
	addr := make(chan net.Addr, 1)
	done := make(chan error, 1)
	go func() { done <- m.Serve(ctx, "127.0.0.1:0", func(a net.Addr) { addr <- a }) }()
	own := &http.Transport{}
	read := func(transport http.RoundTripper, base string) string {
		res, err := (&http.Client{Transport: transport}).Get(base + depth + "?symbol=AAPL")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil || res.Header.Get(collect.SimulatedHeader) != "seed=1" {
			t.Fatalf("%v, header %v", err, res.Header)
		}
		return string(body)
	}
	if read(own, "http://"+(<-addr).String()) != read(m, "http://simulated.invalid") {
		t.Error("the answers differ")
	}
	own.CloseIdleConnections()
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := m.Serve(t.Context(), "256.0.0.1:0", nil); err == nil {
		t.Error("listens at an address that does not exist")
	}
}

func TestReplay(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const header = "Date,Open,High,Low,Close,Adj Close,Volume\n"
	write("AAPL.csv", header+"2004-08-20,2.193571,2.213571,2.177857,2.200000,1.972154,79195200\n2004-08-19,2.250714,2.275714,2.168571,2.193571,1.966391,null\n")
	write("notes.txt", "not prices")
	m := market(t, simulate.Options{Replay: dir, Clock: at("2004-08-20 16:00")})
	want := `{"data":[{"Adjusted Close":1.966391,"Close":2.193571,"Date":"2004-08-19","High":2.275714,"Low":2.168571,"Open":2.250714,"Volume":null},` +
		`{"Adjusted Close":1.972154,"Close":2.200000,"Date":"2004-08-20","High":2.213571,"Low":2.177857,"Open":2.193571,"Volume":79195200}]}`
	if got := ask(t, m, depth, "symbol", "AAPL"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := ask(t, m, depth, "symbol", "GOOG"); !strings.Contains(got, `"code":"500"`) {
		t.Errorf("a symbol without a file: %s", got)
	}
	m = market(t, simulate.Options{Replay: dir, Clock: at("2004-08-20 15:59")})
	if got := bars(t, ask(t, m, depth, "symbol", "AAPL")); len(got) != 1 {
		t.Errorf("%d bars before the close of the second day", len(got))
	}
	for text, want := range map[string]string{
		"":                                  "BAD.csv:1: the file is empty",
		"Date,Open\n":                       "BAD.csv:1: the header is",
		header + "2004-08-19,1,1,1,1,1\n":   "BAD.csv:2: 6 fields: want 7",
		header + "19.8.2004,1,1,1,1,1,1\n":  `BAD.csv:2: date "19.8.2004"`,
		header + "2004-08-19,1,x,1,1,1,1\n": `BAD.csv:2: High "x": want a number`,
		header + "2004-08-19,1,1,1,1,1,1\n2004-08-19,1,1,1,1,1,1\n":   "BAD.csv:3: 2004-08-19 is there already, on line 2",
		header + "2004-08-19,1,1,1,1,1,1\n2004-08-20,1,1,1,NaN,1,1\n": `BAD.csv:3: Close "NaN"`,
	} {
		write("BAD.csv", text)
		if _, err := simulate.New(simulate.Options{Replay: dir}); err == nil || !strings.Contains(err.Error(), want) || tickerlake.CodeOf(err) != tickerlake.Invalid {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if _, err := simulate.New(simulate.Options{Replay: filepath.Join(dir, "none")}); tickerlake.CodeOf(err) != tickerlake.NotFound {
		t.Errorf("no folder: %v", err)
	}
}

// TestCalendar compares the rule with the days on which real prices were made.
func TestCalendar(t *testing.T) {
	root := os.Getenv("TICKERLAKE_TESTDATA")
	if root == "" {
		t.Skip("SKIPPED: TICKERLAKE_TESTDATA is not set, so the calendar is not compared with real trading days")
	}
	closed := map[string]bool{ // for events
		"2004-06-11": true, "2007-01-02": true, "2012-10-29": true, "2012-10-30": true,
		"2001-09-11": true, "2001-09-12": true, "2001-09-13": true, "2001-09-14": true,
	}
	for _, name := range []string{"AAPL", "GOOG", "INTC", "SPY"} {
		text, err := os.ReadFile(filepath.Join(root, "daily", name+".csv"))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")[1:]
		traded := map[string]bool{}
		for _, l := range lines {
			traded[l[:10]] = true
		}
		date, err := time.Parse(time.DateOnly, lines[0][:10])
		if err != nil {
			t.Fatal(err)
		}
		for day := ""; day < lines[len(lines)-1][:10]; date = date.AddDate(0, 0, 1) {
			day = date.Format(time.DateOnly)
			if simulate.TradingDay(date) != traded[day] && !closed[day] {
				t.Errorf("%s: %s traded: %v, by the rule %v", name, day, traded[day], simulate.TradingDay(date))
			}
		}
	}
}

func BenchmarkHistory(b *testing.B) {
	m := market(b, simulate.Options{Seed: 1, Clock: at("2026-11-24 18:00")})
	for b.Loop() {
		ask(b, m, depth, "symbol", "AAPL")
	}
}
