package collect

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake"
)

// yahoo is a configuration of the preset over a server.
func yahoo(t testing.TB, base, symbols string, more ...string) Config {
	t.Helper()
	return decodeConfig(t, "preset: yahoo\nbase_url: "+base+"\nsymbols: ["+symbols+"]\nretries: 0\n"+strings.Join(more, "\n"))
}

// chart is an answer of Yahoo's.
func chart(meta, timestamps, quote, more string) string {
	if timestamps != "" {
		timestamps = `"timestamp":[` + timestamps + `],`
	}
	return `{"chart":{"result":[{"meta":{` + meta + `},` + timestamps + `"indicators":{"quote":[{` + quote + `}]` + more + `}}],"error":null}}`
}

const dailyMeta = `"currency":"USD","symbol":"BRK-B","gmtoffset":-14400,"exchangeTimezoneName":"America/New_York","priceHint":2,"dataGranularity":"1d"`

// values takes the documents apart: ts, the six values and final, as they are written.
func values(t *testing.T, docs []string) (out []string) {
	t.Helper()
	for _, doc := range docs {
		var d map[string]json.RawMessage
		if err := json.Unmarshal([]byte(doc), &d); err != nil {
			t.Fatal(err)
		}
		line := strings.Trim(string(d["ts"]), `"`)
		for _, key := range append(slices.Clone(valueFields), "final") {
			line += " " + string(d[key])
		}
		out = append(out, line)
	}
	return out
}

func TestYahooDaily(t *testing.T) {
	var asked []*http.Request
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r)
		// The opens of 2026-09-30, 10-01, 10-02, 10-05 and, last, the last trade of 10-05.
		_, _ = w.Write([]byte(chart(dailyMeta, "1790775000,1790861400,1790947800,1791207000,1791227700",
			`"low":[180.5,null,1.25,null,181],"open":[182.00999450683594,null,2.250714,181,181],"volume":[82488704,null,null,7,9],`+
				`"close":[182.3000030517578,null,3599.00,null,181.4499969482422],"high":[183.00,null,16777217,182,182.5]`,
			`,"adjclose":[{"adjclose":[179.0123456789,null,3599,null,181.4499969482422]}]`)))
	})
	l := &lake{}
	for range 2 {
		if _, err := l.source(t, yahoo(t, base, "BRK.B"), "2026-10-05 15:55").Fetch(t.Context(), Window{}); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"2026-09-30 182.01 183.00 180.5 182.3 179.0123456789 82488704 true",
		// 10-01 is all null: no bar.
		"2026-10-02 2.250714 16777217 1.25 3599.00 3599 null true",
		"2026-10-05 181 182 null null null 7 false",      // a hole, which clean judges
		"2026-10-05 181 182.5 181 181.45 181.45 9 false", // the same session again: the later stands
	}
	if got := values(t, l.docs[:len(l.docs)/2]); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if !strings.HasPrefix(l.docs[0], `{"symbol":"BRK.B",`) || !strings.Contains(l.docs[0], `"currency":"USD","basis":"split","source":"market"`) {
		t.Errorf("document %s", l.docs[0])
	}
	if w := l.series["BRK.B"]; w.Watermark.Format(time.DateOnly) != "2026-10-02" || w.Currency != "USD" {
		t.Errorf("series %+v", w)
	}
	for i, want := range []string{
		"/v8/finance/chart/BRK-B?events=div%2Csplit&interval=1d&period1=-2208988800&period2=1791259200", // 2026-10-06 in New York
		"/v8/finance/chart/BRK-B?events=div%2Csplit&interval=1d&period1=1790308800&period2=1791259200",  // from 2026-09-25 on
	} {
		if got := asked[i].URL.String(); got != want || !strings.HasPrefix(asked[i].UserAgent(), "Mozilla/") {
			t.Errorf("asked %s as %s\nwant %s", got, asked[i].UserAgent(), want)
		}
	}
}

// TestYahooZones has exchanges whose day is another one than New York's.
func TestYahooZones(t *testing.T) {
	meta := func(zone, currency string) string {
		return strings.NewReplacer("America/New_York", zone, "USD", currency, "BRK-B", "X").Replace(dailyMeta)
	}
	for _, c := range []struct{ zone, at, now, want string }{
		// The open at 09:00 in Tokyo is the evening before in New York.
		{"Asia/Tokyo", "1790899200", "2026-10-02 10:59", "2026-10-02 false"},
		{"Asia/Tokyo", "1790899200", "2026-10-02 11:00", "2026-10-02 true"}, // midnight there
		// Midnight in London, in summer and in winter.
		{"Europe/London", "1783033200", "2026-10-02 11:00", "2026-07-03 true"},
		{"Europe/London", "1767657600", "2026-10-02 11:00", "2026-01-06 true"},
		{"America/New_York", "1790947800", "2026-10-02 16:29", "2026-10-02 false"},
		{"America/New_York", "1790947800", "2026-10-02 16:30", "2026-10-02 true"},
	} {
		l := &lake{}
		body := chart(meta(c.zone, "JPY"), c.at, `"close":[1]`, "")
		if _, err := l.source(t, yahoo(t, serve(t, one(body)), "X"), c.now).Fetch(t.Context(), Window{}); err != nil {
			t.Fatal(err)
		}
		got := strings.Fields(values(t, l.docs)[0])
		if got := got[0] + " " + got[len(got)-1]; got != c.want || !strings.Contains(l.docs[0], `"currency":"JPY"`) {
			t.Errorf("%s %s at %s: %s, want %s", c.zone, c.at, c.now, got, c.want)
		}
	}
}

func TestYahooAnswers(t *testing.T) {
	x := strings.ReplaceAll(dailyMeta, "BRK-B", "X")
	for _, c := range []struct {
		name   string
		status int
		body   string
		class  tickerlake.Class
		says   string
	}{
		{"not found", 404, `{"chart":{"result":null,"error":{"code":"Not Found","description":"No data found, symbol may be delisted"}}}`,
			tickerlake.ClassNotFound, "not_found: Not Found: No data found, symbol may be delisted"},
		{"quota", 429, "Too Many Requests\r\n", tickerlake.ClassQuota,
			"quota: Too Many Requests; the provider's quota is used up: fetch later, or less at once (requests_a_minute, concurrency)"},
		{"quota with status 200", 200, "Too Many Requests", tickerlake.ClassQuota, "used up"},
		{"empty", 200, chart(x, "", "", ""), tickerlake.ClassEmpty, ""},
		{"empty, adjclose too", 200, chart(x, "", "", `,"adjclose":[{}]`), tickerlake.ClassEmpty, ""},
		{"no result", 200, `{"chart":{"result":[],"error":null}}`, tickerlake.ClassEmpty, ""},
		{"no trade at all", 200, chart(x, "1790947800", `"close":[null],"volume":[0]`, ""), tickerlake.ClassEmpty, ""},
		{"empty window", 400, `{"chart":{"result":null,"error":{"code":"Bad Request","description":"Data doesn't exist for startDate = 1, endDate = 2"}}}`, tickerlake.ClassEmpty, ""},
		{"too old", 422, `{"chart":{"result":null,"error":{"code":"Unprocessable Entity","description":"1m data not available for startTime=1 and endTime=2. The requested range must be within the last 30 days."}}}`,
			tickerlake.ClassMalformed, "within the last 30 days"},
		{"unauthorized", 401, `{"finance":{"result":null,"error":{"code":"Unauthorized","description":"Invalid Crumb"}}}`, tickerlake.ClassBadCredentials, "Invalid Crumb"},
		{"down", 502, `{"chart":{"result":null,"error":{"code":"Bad Gateway","description":"nothing"}}}`, tickerlake.ClassUnavailable, "nothing"},
		{"coarser bars", 200, chart(strings.Replace(x, `"1d"`, `"3mo"`, 1), "1790947800", `"close":[1]`, ""), tickerlake.ClassMalformed, "bars of 3mo were given where 1d was asked for"},
		{"shorter array", 200, chart(x, "1790947800,1791207000", `"close":[1]`, ""), tickerlake.ClassMalformed, "close has 1 values for 2 times"},
		{"another symbol", 200, chart(dailyMeta, "1790947800", `"close":[1]`, ""), tickerlake.ClassMalformed, `symbol "BRK-B" was not asked for`},
		{"no currency", 200, chart(strings.Replace(x, `"USD"`, "null", 1), "1790947800", `"close":[1]`, ""), tickerlake.ClassMalformed, "no currency"},
		{"no such zone", 200, chart(strings.Replace(x, "New_York", "Nowhere", 1), "1790947800", `"close":[1]`, ""), tickerlake.ClassMalformed, "America/Nowhere"},
		{"something else", 200, `{"other":1}`, tickerlake.ClassMalformed, "no chart.result"},
		{"no meta", 200, `{"chart":{"result":[{}],"error":null}}`, tickerlake.ClassMalformed, "no meta"},
		{"page", 200, "<!DOCTYPE html><title>Yahoo</title>", tickerlake.ClassBlocked, "web page"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := &lake{}
			base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
			})
			report, err := l.source(t, yahoo(t, base, "X"), "2026-10-06 12:00").Fetch(t.Context(), Window{})
			if got := report.Symbols[0].Class; got != c.class || len(l.docs) > 0 {
				t.Errorf("class %s, want %s (%v), documents %v", got, c.class, err, l.docs)
			}
			if (err == nil) != c.class.OK() || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("says %v\nwant %s", err, c.says)
			}
		})
	}
}

// A tape answers with a bar every ten minutes of the window that it is asked for, and
// refuses what Yahoo does.
type tape struct {
	mu    sync.Mutex
	asked []string
	now   time.Time
	fail  func(from time.Time) bool
}

func (y *tape) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	y.mu.Lock()
	defer y.mu.Unlock()
	seconds := func(key string) time.Time {
		n, _ := strconv.ParseInt(r.FormValue(key), 10, 64)
		return time.Unix(n, 0).UTC()
	}
	from, to := seconds("period1"), seconds("period2")
	y.asked = append(y.asked, from.Format("01-02T15:04")+".."+to.Format("01-02T15:04"))
	if to.Sub(from) > 7*24*time.Hour || y.now.Sub(from) > 30*24*time.Hour || y.fail != nil && y.fail(from) {
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = w.Write([]byte(`{"chart":{"result":null,"error":{"code":"Unprocessable Entity","description":"1m data not available"}}}`))
		return
	}
	var at, prices []string
	for t := from.Truncate(10 * time.Minute); t.Before(to) && !t.After(y.now); t = t.Add(10 * time.Minute) {
		if !t.Before(from) {
			at, prices = append(at, strconv.FormatInt(t.Unix(), 10)), append(prices, "1.5")
		}
	}
	meta := strings.NewReplacer("BRK-B", url.PathEscape(strings.TrimPrefix(r.URL.Path, "/v8/finance/chart/")), `"1d"`, `"1m"`).Replace(dailyMeta)
	_, _ = w.Write([]byte(chart(meta, strings.Join(at, ","), `"close":[`+strings.Join(prices, ",")+`]`, "")))
}

// TestYahooMinutes goes back as far as the provider does, in parts, and leaves no hole
// where a part fails.
func TestYahooMinutes(t *testing.T) {
	now := time.Date(2026, 3, 2, 15, 0, 30, 0, time.UTC)
	y := &tape{now: now}
	base := serve(t, y.ServeHTTP)
	l := &lake{}
	fetch := func(w Window) (Report, error) {
		y.asked = nil
		return l.source(t, yahoo(t, base, "A", "interval: 1m"), "2026-03-02 10:00", func(o *Options) { o.Clock = func() time.Time { return y.now } }).Fetch(t.Context(), w)
	}
	want := func(asked ...string) {
		t.Helper()
		if !slices.Equal(y.asked, asked) {
			t.Errorf("asked for %q, want %q", y.asked, asked)
		}
	}
	mark := func(want string) {
		t.Helper()
		if got := l.series["A"].Watermark.Format("01-02T15:04"); got != want {
			t.Errorf("watermark %s, want %s", got, want)
		}
	}
	// The third part fails: what follows is not asked for.
	y.fail = func(from time.Time) bool { return from.Day() == 15 }
	report, err := fetch(Window{})
	if err == nil || report.Symbols[0].Class != tickerlake.ClassMalformed || report.Rows != 14*144 || report.Symbols[0].Rows != 14*144 {
		t.Errorf("%+v, %v", report, err)
	}
	want("02-01T15:01..02-08T15:01", "02-08T15:01..02-15T15:01", "02-15T15:01..02-22T15:01")
	mark("02-15T15:00")
	// From there on it goes on.
	y.fail = nil
	if report, err = fetch(Window{}); err != nil || report.Symbols[0].From.Day() != 15 || report.Symbols[0].To.Day() != 2 || len(l.fetches) != 3+3 {
		t.Errorf("%+v, %v, %d fetches", report, err, len(l.fetches))
	}
	want("02-15T14:55..02-22T14:55", "02-22T14:55..03-01T14:55", "03-01T14:55..03-02T15:01")
	mark("03-02T14:50") // 15:00 is not over
	// After a stop that was too long the rest is gone, and that is said.
	y.now = now.AddDate(0, 2, 0)
	if _, err = fetch(Window{}); err != nil || !strings.Contains(l.log.String(), "they are missing") {
		t.Errorf("%v, log %s", err, &l.log)
	}
	if y.asked[0] != "04-03T15:01..04-10T15:01" {
		t.Errorf("asked for %q", y.asked)
	}
	if _, err = fetch(Window{From: now.AddDate(0, -2, 0), To: now.AddDate(0, -1, 0)}); tickerlake.CodeOf(err) != tickerlake.Invalid || !strings.Contains(err.Error(), "last 29 days only") {
		t.Errorf("a window that is too old: %v", err)
	}
	seen := map[string]int{}
	for _, v := range values(t, l.docs) {
		seen[strings.Fields(v)[0]]++
	}
	for at := time.Date(2026, 2, 1, 15, 10, 0, 0, time.UTC); !at.After(now); at = at.Add(10 * time.Minute) {
		if seen[at.Format(time.RFC3339)] == 0 {
			t.Fatalf("no bar of %s", at)
		}
	}
}

// TestYahooAnew has a series that waits, so that the parts of its history are one answer.
func TestYahooAnew(t *testing.T) {
	now := time.Date(2026, 3, 2, 15, 0, 30, 0, time.UTC)
	y := &tape{now: now}
	base := serve(t, y.ServeHTTP)
	l := &lake{series: map[tickerlake.Symbol]tickerlake.Series{"A": {Symbol: "A", Watermark: now.Add(-time.Hour), Waiting: "prices are another"}}}
	fetch := func(w Window) error {
		y.asked = nil
		_, err := l.source(t, yahoo(t, base, "A", "interval: 1m"), "2026-03-02 10:00", func(o *Options) { o.Clock = func() time.Time { return now } }).Fetch(t.Context(), w)
		return err
	}
	y.fail = func(from time.Time) bool { return from.Day() == 22 }
	if err := fetch(Window{}); err == nil || len(l.docs) > 0 || len(l.fetches) != 1 || l.fetches[0].Class != tickerlake.ClassMalformed || len(y.asked) != 4 {
		t.Errorf("a part fails: %v, %d documents, fetches %+v, asked for %q", err, len(l.docs), l.fetches, y.asked)
	}
	y.fail, l.fetches = nil, nil
	if err := fetch(Window{}); err != nil || len(y.asked) != 5 || len(l.fetches) != 1 || l.fetches[0].From.Day() != 1 || l.fetches[0].To.Day() != 2 || l.fetches[0].Attempts != 5 {
		t.Errorf("%v, fetches %+v, asked for %q", err, l.fetches, y.asked)
	}
	for i, line := range l.docs {
		var doc struct {
			FetchID string `json:"fetch_id"`
			Row     int
		}
		if err := json.Unmarshal([]byte(line), &doc); err != nil || doc.FetchID != l.fetches[0].ID || doc.Row != i {
			t.Fatalf("document %d is %s (%v)", i, line, err)
		}
	}
	if len(l.docs) < 29*144 {
		t.Errorf("%d documents", len(l.docs))
	}
	l.fetches = nil
	if err := fetch(Window{Whole: true, Replace: true}); err != nil || len(l.fetches) != 1 || !strings.HasPrefix(l.fetches[0].ID, tickerlake.ReplaceFetch) {
		t.Errorf("%v, fetches %+v", err, l.fetches)
	}
}

// TestYahooLastTrade has a last row at the second of the last trade.
func TestYahooLastTrade(t *testing.T) {
	for _, c := range []struct {
		interval, at string
		want         []string
	}{
		{"1m", "1790947800,1790947860,1790947897", []string{"13:30:00", "13:31:00"}},
		{"1m", "1790947800,1790947860,1790947921", []string{"13:30:00", "13:31:00", "13:32:00"}},
		{"1h", "1790947800,1790951400,1790955017", []string{"13:30:00", "14:30:00", "15:30:00"}},
		{"1h", "1790947800,1790951400,1790951417", []string{"13:30:00", "14:30:00"}},
		{"1h", "1790947811", []string{"13:30:00"}},
		{"5m", "1790947811", []string{"13:30:00"}},
		{"5m", "null", []string{"null"}},
	} {
		meta := strings.NewReplacer(`"1d"`, `"`+c.interval+`"`, "BRK-B", "A").Replace(dailyMeta)
		n := strings.Count(c.at, ",") + 1
		closes := strings.TrimSuffix(strings.Repeat("1,", n), ",")
		l := &lake{}
		if _, err := l.source(t, yahoo(t, serve(t, one(chart(meta, c.at, `"close":[`+closes+`]`, ""))), "A", "interval: "+c.interval, "since: 2026-10-01"), "2026-10-02 12:00").Fetch(t.Context(), Window{}); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, v := range values(t, l.docs) {
			got = append(got, strings.Trim(strings.TrimPrefix(strings.Fields(v)[0], "2026-10-02T"), "Z"))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s of %s: %q, want %q", c.interval, c.at, got, c.want)
		}
	}
}

func TestYahooSpelling(t *testing.T) {
	s, err := newSpeller(yahoo(t, "http://x", "A").HTTP)
	if err != nil {
		t.Fatal(err)
	}
	for symbol, want := range map[tickerlake.Symbol]string{
		"BRK.B": "BRK-B", "BF.A": "BF-A", "AAPL": "AAPL", "VOD.L": "VOD.L", "7203.T": "7203.T", "SAP.DE": "SAP.DE", "^GSPC": "^GSPC", "BTC-USD": "BTC-USD", "EURUSD=X": "EURUSD=X",
	} {
		if got, err := s.spell(t.Context(), symbol, tickerlake.Day); err != nil || got != want {
			t.Errorf("%s: %s, %v", symbol, got, err)
		}
	}
}

func TestDecimalOfFloat32(t *testing.T) {
	for said, want := range map[any]string{
		json.Number("182.00999450683594"): "182.01", json.Number("182.0099945068359375"): "182.01", json.Number("2.250714"): "2.250714",
		json.Number("2.2507140636444092"): "2.250714", json.Number("182.0099945"): "182.0099945", json.Number("182.5"): "182.5",
		json.Number("3599.00"): "3599.00", json.Number("0.10000000149011612"): "0.1", json.Number("0.1"): "0.1", json.Number("0"): "0",
		json.Number("-0.30000001192092896"): "-0.3", json.Number("1634567936"): "1.634568e+09", json.Number("16777217"): "16777217",
		json.Number("1e400"): "1e400", "182.00999450683594": `"182.00999450683594"`, 182.00999450683594: "182.01", 7: "7", nil: "null",
	} {
		if got := string(appendValue(nil, decimalOfFloat32(said))); got != want {
			t.Errorf("%v: %s, want %s", said, got, want)
		}
	}
	// The shortest decimal of every float32 is that of the value it had before.
	for i := range 100_000 {
		cents := float64(i) / 100
		noisy := json.Number(strconv.FormatFloat(float64(float32(cents)), 'f', -1, 64))
		if got, _ := strconv.ParseFloat(fmt.Sprint(decimalOfFloat32(noisy)), 64); got != cents {
			t.Fatalf("%s: %v, want %v", noisy, got, cents)
		}
	}
}
