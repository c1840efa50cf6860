package simulate_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake/collect/simulate"
)

// A chart is the one result of an answer of the chart API.
type chart struct {
	Meta struct {
		Currency, Symbol, ExchangeTimezoneName, DataGranularity string
		GMTOffset, PriceHint                                    int
		RegularMarketTime                                       int64
		RegularMarketPrice                                      float64
	}
	Timestamp  []int64
	Indicators struct {
		Quote []struct {
			Open, High, Low, Close []*float64
			Volume                 []*int64
		}
		AdjClose []struct{ AdjClose []*float64 }
	}
	Events struct {
		Splits map[string]struct {
			Date                   int64
			Numerator, Denominator float64
			SplitRatio             string
		}
		Dividends map[string]struct {
			Date   int64
			Amount float64
		}
	}
}

// A row is a bar of a chart.
type row struct {
	at                     time.Time
	open, high, low, close float64
	adj                    float64
	volume                 int64
}

func askChart(t testing.TB, m http.Handler, symbol string, query ...string) (status int, body string) {
	t.Helper()
	values := url.Values{}
	for i := 0; i < len(query); i += 2 {
		values.Set(query[i], query[i+1])
	}
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v8/finance/chart/"+url.PathEscape(symbol)+"?"+values.Encode(), nil))
	return w.Code, w.Body.String()
}

// charted asks for all bars of a span of dates, the end exclusive.
func charted(t testing.TB, m http.Handler, symbol, interval, from, to string) chart {
	t.Helper()
	stamp := func(date string) string {
		at, err := time.ParseInLocation(time.DateOnly, date, newYork)
		if err != nil {
			t.Fatal(err)
		}
		return strconv.FormatInt(at.Unix(), 10)
	}
	status, body := askChart(t, m, symbol, "period1", stamp(from), "period2", stamp(to), "interval", interval, "events", "div,split")
	var answer struct {
		Chart struct {
			Result []chart
			Error  any
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK || len(answer.Chart.Result) != 1 || answer.Chart.Error != nil {
		t.Fatalf("%d %v: %.300s", status, err, body)
	}
	return answer.Chart.Result[0]
}

func (c chart) rows(t testing.TB) []row {
	t.Helper()
	q := c.Indicators.Quote[0]
	var rows []row
	for i, at := range c.Timestamp {
		if q.Open[i] == nil && q.High[i] == nil && q.Low[i] == nil && q.Close[i] == nil && q.Volume[i] == nil {
			continue // nobody traded
		}
		if q.Open[i] == nil || q.High[i] == nil || q.Low[i] == nil || q.Close[i] == nil || q.Volume[i] == nil {
			t.Fatalf("row %d has a hole", i)
		}
		r := row{at: time.Unix(at, 0).In(newYork), open: *q.Open[i], high: *q.High[i], low: *q.Low[i], close: *q.Close[i], volume: *q.Volume[i]}
		if len(c.Indicators.AdjClose) > 0 {
			r.adj = *c.Indicators.AdjClose[0].AdjClose[i]
		}
		rows = append(rows, r)
	}
	return rows
}

// TestChartShapes holds what the reference says of the API.
func TestChartShapes(t *testing.T) {
	m := market(t, simulate.Options{Seed: 1, Symbols: []string{"AAPL"}, Clock: at("2022-03-09 18:00")})
	for _, c := range []struct {
		symbol string
		query  []string
		status int
		want   string
	}{
		{"MSFT", nil, 404, `{"chart":{"error":{"code":"Not Found","description":"No data found, symbol may be delisted"},"result":null}}`},
		{"aapl", nil, 404, `{"chart":{"error":{"code":"Not Found"`},
		{"AAPL", []string{"interval", "2m"}, 422, `"code":"Unprocessable Entity","description":"Invalid input - interval=2m is not supported`},
		{"AAPL", []string{"period1", "x"}, 400, `"code":"Bad Request"`},
		{"AAPL", []string{"period1", "2", "period2", "1"}, 400, `start date cannot be after end date. startDate = 2, endDate = 1`},
		{"AAPL", []string{"range", "7y"}, 400, `Invalid input - range=7y`},
		// A weekend is empty.
		{"AAPL", []string{"period1", "1646456400", "period2", "1646629200", "interval", "1d"}, 200, `"dataGranularity":"1d","range":""},"indicators":{"quote":[{}],"adjclose":[{}]}}],"error":null}}`},
		{"AAPL", []string{"period1", "1646456400", "period2", "1646629200", "interval", "1m"}, 200, `"dataGranularity":"1m","range":""},"indicators":{"quote":[{}]}}],"error":null}}`},
	} {
		if status, body := askChart(t, m, c.symbol, c.query...); status != c.status || !strings.Contains(body, c.want) || strings.Contains(body, `"timestamp"`) {
			t.Errorf("%s %v: %d %s, want %d %s", c.symbol, c.query, status, body, c.status, c.want)
		}
	}
	day := charted(t, m, "AAPL", "1d", "2022-03-08", "2022-03-09")
	if day.Meta.Currency != "USD" || day.Meta.Symbol != "AAPL" || day.Meta.GMTOffset != -18000 || day.Meta.ExchangeTimezoneName != "America/New_York" || day.Meta.DataGranularity != "1d" || day.Meta.PriceHint != 2 {
		t.Errorf("meta %+v", day.Meta)
	}
	if want := time.Date(2022, 3, 8, 9, 30, 0, 0, newYork).Unix(); len(day.Timestamp) != 1 || day.Timestamp[0] != want {
		t.Errorf("stamped %v, want the opening %d", day.Timestamp, want)
	}
	// Prices are float32 with all their digits.
	for _, p := range []float64{*day.Indicators.Quote[0].High[0], *day.Indicators.AdjClose[0].AdjClose[0]} {
		if p != float64(float32(p)) {
			t.Errorf("%v is no float32", p)
		}
	}
	// The prices are those of the seed's API, without the digits beyond.
	b := bars(t, ask(t, m, depth, "symbol", "AAPL", "start_date", "March 08 2022", "end_date", "March 09 2022"))[0]
	r := day.rows(t)[0]
	for i, pair := range [][2]float64{{b.Open, r.open}, {b.High, r.high}, {b.Low, r.low}, {b.Close, r.close}, {b.Adj, r.adj}} {
		if short, _ := strconv.ParseFloat(strconv.FormatFloat(pair[1], 'g', -1, 32), 64); short != pair[0] {
			t.Errorf("%d: %v, in the seed's API %v", i, pair[1], pair[0])
		}
	}
}

// TestLastSession: today's bar is stamped with the last trade, and comes twice once the
// session is over.
func TestLastSession(t *testing.T) {
	last := func(when string, back int) []row {
		rows := charted(t, market(t, simulate.Options{Seed: 1, Clock: at(when)}), "AAPL", "1d", "2026-11-20", "2026-11-30").rows(t)
		return rows[len(rows)-back:]
	}
	text := func(r row) string { return r.at.Format("2006-01-02 15:04:05") }
	if got := last("2026-11-24 12:00", 2); text(got[0]) != "2026-11-23 09:30:00" || text(got[1]) != "2026-11-24 12:00:00" {
		t.Errorf("during the session %v", got)
	}
	got := last("2026-11-24 20:00", 3)
	if text(got[0]) != "2026-11-23 09:30:00" || text(got[1]) != "2026-11-24 09:30:00" || text(got[2]) != "2026-11-24 16:00:00" {
		t.Errorf("after the session %v", got)
	}
	if got[1].at = got[2].at; got[1] != got[2] {
		t.Errorf("the last session comes as %v and %v", got[1], got[2])
	}
	if got := last("2026-11-25 08:00", 2); text(got[0]) != "2026-11-23 09:30:00" || text(got[1]) != "2026-11-24 09:30:00" {
		t.Errorf("the next morning %v", got)
	}
	// The day after Thanksgiving ends early.
	if got := last("2026-11-27 14:00", 1); text(got[0]) != "2026-11-27 13:00:00" {
		t.Errorf("after a half day %v", got)
	}
}

// add joins bars into a longer one.
func add(rows []row) row {
	all := rows[0]
	for _, r := range rows[1:] {
		all.high, all.low, all.close, all.volume = max(all.high, r.high), min(all.low, r.low), r.close, all.volume+r.volume
	}
	return all
}

// TestLengthsAgree: the bars of any length of a day are together exactly its daily bar,
// also where later splits have changed prices and parts of shares.
func TestLengthsAgree(t *testing.T) {
	m := market(t, simulate.Options{Seed: 5, Clock: at("2026-11-30 20:00")})
	symbols := []string{"AAA", "BBB"}
	for i := 0; len(symbols) < 6; i++ { // and some whose shares were split into parts
		symbol := fmt.Sprintf("S%d", i)
		for _, s := range charted(t, m, symbol, "1d", "2012-12-01", "2026-11-30").Events.Splits {
			if s.Denominator > 1 {
				symbols = append(symbols, symbol)
				break
			}
		}
	}
	for _, symbol := range symbols {
		days := charted(t, m, symbol, "1d", "2012-11-19", "2012-12-01").rows(t)
		for interval, full := range map[string]int{"1m": 390, "5m": 78, "15m": 26, "1h": 7} {
			byDate := map[string][]row{}
			for _, r := range charted(t, m, symbol, interval, "2012-11-19", "2012-12-01").rows(t) {
				date := r.at.Format(time.DateOnly)
				byDate[date] = append(byDate[date], r)
			}
			if len(byDate) != len(days) {
				t.Fatalf("%s %s: %d days, want %d", symbol, interval, len(byDate), len(days))
			}
			for _, d := range days {
				rows := byDate[d.at.Format(time.DateOnly)]
				got := add(rows)
				got.at, got.adj = d.at, d.adj
				if got != d {
					t.Errorf("%s: %s of %s together are %+v, the day is %+v", symbol, interval, d.at, got, d)
				}
				want := full
				if d.at.Format(time.DateOnly) == "2012-11-23" { // until 13:00
					want = map[string]int{"1m": 210, "5m": 42, "15m": 14, "1h": 4}[interval]
				}
				if len(rows) > want || len(rows) < want*9/10 {
					t.Errorf("%s: %d bars of %s on %s, want %d", symbol, len(rows), interval, d.at, want)
				}
				if first := rows[0].at.Format("15:04:05"); first != "09:30:00" {
					t.Errorf("%s: the first bar of %s is of %s", symbol, interval, first)
				}
			}
		}
	}
}

// TestBarsGrow follows bars through a day: one that is not over only grows, and once it
// is over it never differs, whenever it is asked for.
func TestBarsGrow(t *testing.T) {
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, newYork)
	m := market(t, simulate.Options{Seed: 3, Clock: func() time.Time { return now }})
	for _, c := range []struct {
		interval     string
		length, step time.Duration
	}{{"1m", time.Minute, 17 * time.Second}, {"5m", 5 * time.Minute, 41 * time.Second}, {"1h", time.Hour, 7 * time.Minute}, {"1d", 6*time.Hour + 30*time.Minute, 11 * time.Minute}} {
		t.Run(c.interval, func(t *testing.T) {
			seen := map[time.Time]row{}
			over := map[time.Time]bool{}
			now = time.Date(2026, 11, 24, 9, 0, 0, 0, newYork)
			end := now.Add(8 * time.Hour)
			if c.length < time.Hour {
				end = now.Add(90 * time.Minute)
			}
			unfinished := 0
			for ; now.Before(end); now = now.Add(c.step) {
				for _, r := range charted(t, m, "AAPL", c.interval, "2026-11-24", "2026-11-25").rows(t) {
					at := r.at
					if c.interval == "1d" {
						at = time.Date(2026, 11, 24, 9, 30, 0, 0, newYork)
						r.at = at
					}
					if before, ok := seen[at]; ok {
						if over[at] && before != r {
							t.Fatalf("%s was over as %+v and became %+v", at, before, r)
						}
						if r.open != before.open || r.high < before.high || r.low > before.low || r.volume < before.volume {
							t.Fatalf("%s takes back what was traded: %+v became %+v", at, before, r)
						}
					}
					if r.low <= 0 || r.high < max(r.open, r.close) || r.low > min(r.open, r.close) {
						t.Fatalf("no sound bar: %+v", r)
					}
					seen[at], over[at] = r, !now.Before(at.Add(c.length))
					if !over[at] {
						unfinished++
					}
				}
			}
			if len(seen) == 0 || unfinished == 0 {
				t.Errorf("%d bars, %d times unfinished", len(seen), unfinished)
			}
			later := at("2026-11-27 12:00")
			for _, r := range charted(t, market(t, simulate.Options{Seed: 3, Clock: later}), "AAPL", c.interval, "2026-11-24", "2026-11-25").rows(t) {
				if before, ok := seen[r.at]; ok && over[r.at] && before != r {
					t.Errorf("three days later %+v is %+v", before, r)
				}
			}
		})
	}
}

// TestSplitsAndDividends: history is on the old basis before the day of a split and on
// the new one from then on, and closes are adjusted for dividends.
func TestSplitsAndDividends(t *testing.T) {
	now := time.Date(2026, 11, 24, 18, 0, 0, 0, newYork)
	m := market(t, simulate.Options{Seed: 2, Clock: func() time.Time { return now }})
	splits, dividends := 0, 0
	for i := range 40 {
		now = time.Date(2026, 11, 24, 18, 0, 0, 0, newYork)
		symbol := fmt.Sprintf("S%d", i)
		events := charted(t, m, symbol, "1d", "1990-01-01", "2026-11-25").Events
		keys := slices.Sorted(func(yield func(string) bool) {
			for k := range events.Splits {
				if !yield(k) {
					return
				}
			}
		})
		dividends += len(events.Dividends)
		splits += len(keys)
		if len(keys) == 0 {
			continue
		}
		s := events.Splits[keys[0]]
		day := time.Unix(s.Date, 0).In(newYork)
		if keys[0] != strconv.FormatInt(s.Date, 10) || day.Format("15:04") != "09:30" || s.SplitRatio != fmt.Sprintf("%v:%v", s.Numerator, s.Denominator) {
			t.Errorf("%s: %+v", symbol, s)
		}
		from, date := day.AddDate(0, 0, -30).Format(time.DateOnly), day.Format(time.DateOnly)
		now = time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, newYork).Add(-time.Second)
		before := charted(t, m, symbol, "1d", from, date)
		now = now.Add(time.Second)
		after := charted(t, m, symbol, "1d", from, date)
		if len(before.Events.Splits) != 0 {
			t.Errorf("%s: told of a split the day before", symbol)
		}
		ratio := s.Numerator / s.Denominator
		a := after.rows(t)
		b := before.rows(t)[:len(a)] // the last session no longer comes twice
		for j := range a {
			for _, pair := range [][2]float64{{b[j].close, a[j].close}, {b[j].open, a[j].open}, {b[j].adj, a[j].adj}, {float64(a[j].volume), float64(b[j].volume)}} {
				if got := pair[0] / pair[1]; math.Abs(got/ratio-1) > 1e-4 {
					t.Fatalf("%s %s: %v became %v, the split is %v", symbol, a[j].at, pair[0], pair[1], ratio)
				}
			}
		}
	}
	if splits < 20 || dividends < 500 {
		t.Errorf("%d splits and %d dividends of 40 symbols in 36 years", splits, dividends)
	}
}

// TestDividendAdjusts: the day a dividend goes off, adjusted closes before it change by
// one ratio, and prices do not.
func TestDividendAdjusts(t *testing.T) {
	now := time.Date(2026, 11, 24, 18, 0, 0, 0, newYork)
	m := market(t, simulate.Options{Seed: 2, Clock: func() time.Time { return now }})
	n := 0
	for i := range 10 {
		symbol := fmt.Sprintf("S%d", i)
		now = time.Date(2026, 11, 24, 18, 0, 0, 0, newYork)
		for _, d := range charted(t, m, symbol, "1d", "2025-01-01", "2026-11-25").Events.Dividends {
			day := time.Unix(d.Date, 0).In(newYork)
			now = time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, newYork)
			from, date := day.AddDate(0, 0, -30).Format(time.DateOnly), day.Format(time.DateOnly)
			after := charted(t, m, symbol, "1d", from, date).rows(t)
			now = now.Add(-24 * time.Hour)
			before := charted(t, m, symbol, "1d", from, date).rows(t)
			want := 1 - d.Amount/after[len(after)-1].close
			for j := range min(len(after), len(before)) - 1 {
				if before[j].close != after[j].close {
					t.Fatalf("%s %s: close %v became %v", symbol, day, before[j].close, after[j].close)
				}
				if got := after[j].adj / before[j].adj; math.Abs(got/want-1) > 1e-5 {
					t.Fatalf("%s %s: adjusted by %v, want %v", symbol, day, got, want)
				}
			}
			n++
		}
	}
	if n < 20 {
		t.Errorf("%d dividends", n)
	}
}

// TestReplayMinutes serves a file of minutes in Yahoo's shape, every value as it is.
func TestReplayMinutes(t *testing.T) {
	root := os.Getenv("TICKERLAKE_TESTDATA")
	if root == "" {
		t.Skip("SKIPPED: TICKERLAKE_TESTDATA is not set, so no real minutes are replayed")
	}
	dir := filepath.Join(root, "minute")
	m := market(t, simulate.Options{Replay: dir, Currency: "EUR"})
	text, err := os.ReadFile(filepath.Join(dir, "SX5E.csv"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")[1:]
	c := charted(t, m, "SX5E", "1m", "1990-01-01", "2026-01-01")
	rows := c.rows(t)
	if len(rows) != len(lines) || c.Meta.Currency != "EUR" || c.Indicators.AdjClose != nil {
		t.Fatalf("%d rows of %d lines, %+v", len(rows), len(lines), c.Meta)
	}
	for i, l := range lines {
		r := rows[i]
		fields := strings.Split(strings.TrimSpace(l), ",")
		got := []float64{r.open, r.high, r.low, r.close, float64(r.volume)}
		for j, v := range got {
			if j < 4 && v == float64(float32(v)) {
				v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', -1, 32), 64)
			}
			if want, _ := strconv.ParseFloat(fields[j+1], 64); v != want {
				t.Fatalf("line %d: %v, want %s", i+2, v, fields[j+1])
			}
		}
		if r.at.UTC().Format(time.RFC3339) != fields[0] {
			t.Fatalf("line %d is at %s", i+2, r.at.UTC())
		}
	}
	if status, _ := askChart(t, m, "SX5E", "interval", "1d", "range", "max"); status != http.StatusNotFound {
		t.Errorf("days of a file of minutes: %d", status)
	}
	if got := ask(t, m, depth, "symbol", "SX5E"); !strings.Contains(got, `"code":"500"`) {
		t.Errorf("the seed's API of a file of minutes: %s", got)
	}
}
