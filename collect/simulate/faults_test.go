package simulate_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/collect"
	"github.com/tickerlake/tickerlake/collect/simulate"
)

// seen is what a client sees of an answer.
type seen struct {
	status int
	header http.Header
	body   string
	err    error
}

func get(ctx context.Context, client *http.Client, address string) (s seen) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return seen{err: err}
	}
	res, err := client.Do(req)
	if err != nil {
		return seen{err: err}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return seen{res.StatusCode, res.Header, string(body), err}
}

// TestRequestFaults has each fault of requests come in every answer, to a client over the
// network and to one within the program, in both APIs.
func TestRequestFaults(t *testing.T) {
	paths := map[string]string{
		"seed":  depth + "?symbol=AAPL&start_date=November+02+2026&end_date=November+25+2026",
		"chart": "/v8/finance/chart/AAPL?interval=1d&range=1mo",
	}
	plain := map[string]string{}
	for _, c := range []struct {
		fault string
		sound func(api string, s seen) bool
	}{
		{"", func(api string, s seen) bool {
			plain[api] = s.body
			return s.status == 200 && s.err == nil && strings.Contains(s.header.Get("Content-Type"), "json")
		}},
		{"http500", func(_ string, s seen) bool { return s.status == 500 && s.err == nil }},
		{"http429", func(_ string, s seen) bool {
			return s.status == 429 && s.header.Get("Retry-After") == "1" && s.body == "Too Many Requests\r\n"
		}},
		{"html", func(_ string, s seen) bool {
			return s.status == 200 && strings.HasPrefix(s.body, "<!DOCTYPE html>") && strings.HasPrefix(s.header.Get("Content-Type"), "text/html")
		}},
		{"error200", func(api string, s seen) bool {
			want := map[string]string{"seed": `{"error":"Internal server error","code":"500"}`, "chart": `{"chart":{"result":null,"error":{"code":"Internal Server Error"`}
			return s.status == 200 && strings.HasPrefix(s.body, want[api])
		}},
		{"timeout", func(_ string, s seen) bool { return errors.Is(s.err, context.DeadlineExceeded) }},
		{"slow", func(api string, s seen) bool { return s.status == 200 && s.err == nil && s.body == plain[api] }},
		{"cut", func(api string, s seen) bool {
			return s.status == 200 && errors.Is(s.err, io.ErrUnexpectedEOF) && s.body == plain[api][:len(plain[api])/2]
		}},
		{"nulls", func(api string, s seen) bool {
			return s.err == nil && strings.Contains(s.body, "null,") && !strings.Contains(plain[api], "null,")
		}},
		{"strings", func(api string, s seen) bool {
			return s.err == nil && len(s.body) > len(plain[api]) && s.body != plain[api] && !strings.Contains(s.body, `"High":1`)
		}},
		{"duplicates", func(api string, s seen) bool { return s.err == nil && len(s.body) > len(plain[api]) }},
	} {
		o := simulate.Options{Seed: 1, Clock: at("2026-11-24 18:00"), Slow: 20 * time.Millisecond}
		if c.fault != "" {
			o.Faults = c.fault + "=1"
		}
		m := market(t, o)
		server := httptest.NewServer(m)
		own := &http.Transport{}
		for where, client := range map[string]*http.Client{"network": {Transport: own}, "within": {Transport: m}} {
			for api, path := range paths {
				limit := time.Minute
				if c.fault == "timeout" {
					limit = 50 * time.Millisecond
				}
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				begun := time.Now()
				s := get(ctx, client, server.URL+path)
				if !c.sound(api, s) {
					t.Errorf("%s %s %s: %d %v %v %.200s", c.fault, where, api, s.status, s.err, s.header, s.body)
				}
				if c.fault == "slow" && time.Since(begun) < 20*time.Millisecond {
					t.Errorf("%s %s: slow took %s", where, api, time.Since(begun))
				}
				cancel()
			}
		}
		own.CloseIdleConnections()
		server.Close()
	}
}

// TestFaultsAreClassified has each fault judged by a source.
func TestFaultsAreClassified(t *testing.T) {
	for fault, want := range map[string]tickerlake.Class{
		"http500": tickerlake.ClassUnavailable, "http429": tickerlake.ClassQuota, "html": tickerlake.ClassBlocked,
		"error200": tickerlake.ClassUnavailable, "timeout": tickerlake.ClassTimeout, "cut": tickerlake.ClassMalformed,
		"slow": tickerlake.ClassOK, "nulls": tickerlake.ClassOK, "strings": tickerlake.ClassOK, "duplicates": tickerlake.ClassOK,
		"dead": tickerlake.ClassNotFound, "split": tickerlake.ClassOK, "dividend": tickerlake.ClassOK, "correction": tickerlake.ClassOK, "withdrawn": tickerlake.ClassOK,
	} {
		now := at("2026-11-24 18:00")
		m := market(t, simulate.Options{Seed: 1, Clock: now, Faults: fault + "=1", Slow: 5 * time.Millisecond})
		cfg := collect.Defaults()
		keys := "preset: simulated\nsymbols: [AAPL]\nsince: 2026-11-02\nretries: 0\ntimeout: 200 milliseconds"
		if fault != "timeout" {
			keys = strings.Replace(keys, "200 milliseconds", "1 minute", 1)
		}
		for _, layer := range [][]byte{preset(t, keys), []byte(keys)} {
			if err := yaml.Unmarshal(layer, &cfg); err != nil {
				t.Fatal(err)
			}
		}
		s, err := collect.New(cfg, collect.Options{Name: "market", Sink: &sink{}, Transport: m, Clock: now})
		if err != nil {
			t.Fatal(err)
		}
		report, err := s.Fetch(t.Context(), collect.Window{})
		if len(report.Symbols) != 1 || report.Symbols[0].Class != want || (err == nil) != want.OK() {
			t.Errorf("%s: %+v, want %s", fault, report, want)
		}
	}
}

func TestFaultLists(t *testing.T) {
	for list, want := range map[string]string{
		"http501":                "faults: \"http501\": no such fault: there are http500, http429, html, error200, timeout, slow, cut, nulls, strings, duplicates, split, dividend, correction, withdrawn, dead, and all",
		"cut=1.5":                `faults: "cut=1.5": rate "1.5": want 0 to 1, a share of requests`,
		"cut=NaN":                `rate "NaN": want 0 to 1`,
		"split(amzn)":            `want a symbol between the brackets, such as split(AMZN)`,
		"split(AMZN":             `want a symbol between the brackets`,
		"dead@tomorrow":          `"tomorrow": want a date such as 2026-01-07`,
		"dead@2026-01-07/":       `"2026-01-07/": want a date`,
		"dead@2026-01-07T15:00Z": `want a date`,
		"cut@2026-01-07T15:00:00Z/2026-01-07T14:00:00Z": `want a date`,
	} {
		if _, err := simulate.New(simulate.Options{Faults: list}); !errors.Is(err, tickerlake.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", list, err, want)
		}
	}
	for _, list := range []string{"", " ", "all", "all, cut=0", "http500, cut=0.5,,split(AMZN)=0.1@2026-01-07/2026-01-09", "http500@2026-01-07T15:00:00Z/2026-01-07T15:30:00Z"} {
		if _, err := simulate.New(simulate.Options{Faults: list}); err != nil {
			t.Errorf("%q: %v", list, err)
		}
	}
}

// TestFaultRates: so large a share of requests is struck as was said, the same ones for
// the same seed, each symbol's by themselves, and never the next ones surely.
func TestFaultRates(t *testing.T) {
	strikes := func(seed uint64, symbols ...string) map[string]string {
		m := market(t, simulate.Options{Seed: seed, Clock: at("2026-11-24 18:00"), Faults: "http500=0.2, http429=0.1, html(B)=0.5"})
		out := map[string]string{}
		for range 500 {
			for _, s := range symbols {
				switch status, body := askChart(t, m, s, "range", "1d", "interval", "1d"); {
				case status == 500:
					out[s] += "5"
				case status == 429:
					out[s] += "4"
				case strings.HasPrefix(body, "<"):
					out[s] += "h"
				default:
					out[s] += "."
				}
			}
		}
		return out
	}
	both := strikes(1, "A", "B")
	for mark, want := range map[string][2]int{"5": {70, 130}, "4": {20, 65}, ".": {310, 420}, "h": {0, 0}} {
		if n := strings.Count(both["A"], mark); n < want[0] || n > want[1] {
			t.Errorf("%q strikes A %d times of 500", mark, n)
		}
	}
	if n := strings.Count(both["B"], "h"); n < 100 {
		t.Errorf("B gets %d pages", n)
	}
	if alone := strikes(1, "A"); alone["A"] != both["A"] {
		t.Error("the strikes of A depend on what else is asked for")
	}
	if other := strikes(2, "A"); other["A"] == both["A"] {
		t.Error("another seed strikes alike")
	}
}

// TestFaultSchedule has an outage, and a day on which a symbol is dead.
func TestFaultSchedule(t *testing.T) {
	now := time.Date(2026, 1, 7, 14, 59, 59, 0, time.UTC)
	m := market(t, simulate.Options{Seed: 1, Clock: func() time.Time { return now }, Faults: "http500@2026-01-07T15:00:00Z/2026-01-07T15:30:00Z, dead(AMZN)@2026-01-08/2026-01-09"})
	for _, c := range []struct {
		at, symbol string
		status     int
	}{
		{"2026-01-07T14:59:59Z", "AMZN", 200}, {"2026-01-07T15:00:00Z", "AMZN", 500}, {"2026-01-07T15:29:59Z", "IBM", 500}, {"2026-01-07T15:30:00Z", "AMZN", 200},
		{"2026-01-08T04:59:59Z", "AMZN", 200}, {"2026-01-08T05:00:00Z", "AMZN", 404}, {"2026-01-08T20:00:00Z", "IBM", 200}, {"2026-01-10T04:59:59Z", "AMZN", 404}, {"2026-01-10T05:00:00Z", "AMZN", 200},
	} {
		var err error
		if now, err = time.Parse(time.RFC3339, c.at); err != nil {
			t.Fatal(err)
		}
		if status, body := askChart(t, m, c.symbol, "interval", "1d", "range", "5d"); status != c.status {
			t.Errorf("%s at %s: %d %.100s, want %d", c.symbol, c.at, status, body, c.status)
		}
		if truth, err := m.Truth(tickerlake.Symbol(c.symbol), tickerlake.Day, now.AddDate(0, 0, -5), now); err != nil || len(truth) == 0 {
			t.Errorf("the truth of %s at %s: %d bars, %v", c.symbol, c.at, len(truth), err)
		}
	}
}

// answered gives the bars of an answer of the chart API that are over, as Truth does.
func answered(t *testing.T, m *simulate.Market, symbol string, interval tickerlake.Interval, from, to time.Time, now time.Time) []tickerlake.Bar {
	t.Helper()
	short := func(v float64) *float64 {
		s, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', -1, 32), 64)
		if err != nil {
			t.Fatal(err)
		}
		return &s
	}
	var out []tickerlake.Bar
	for _, r := range charted(t, m, symbol, string(interval), from.Format(time.DateOnly), to.Format(time.DateOnly)).rows(t) {
		volume := float64(r.volume)
		b := tickerlake.Bar{Symbol: tickerlake.Symbol(symbol), Ts: r.at.UTC(), Open: short(r.open), High: short(r.high), Low: short(r.low), Close: *short(r.close), Volume: &volume,
			Currency: "USD", Basis: tickerlake.BasisSplit, Final: true}
		over := b.Ts.Add(interval.Duration())
		if interval.Daily() {
			y, month, d := r.at.Date()
			b.Ts, b.AdjClose = time.Date(y, month, d, 0, 0, 0, 0, time.UTC), short(r.adj)
			over = time.Date(y, month, d, 16, 0, 0, 0, newYork)
		}
		if !now.Before(over) && (len(out) == 0 || !out[len(out)-1].Ts.Equal(b.Ts)) {
			out = append(out, b)
		}
	}
	return out
}

// TestTruth: what the market says is true is what it answers, at every time, with all
// that can happen to a history.
func TestTruth(t *testing.T) {
	const history = "split=0.05, dividend=0.05, correction=0.2, withdrawn=0.5"
	from, to := time.Date(2026, 11, 16, 0, 0, 0, 0, time.UTC), time.Date(2026, 12, 5, 0, 0, 0, 0, time.UTC)
	for _, faults := range []string{"", history} {
		now := time.Date(2026, 11, 20, 9, 0, 0, 0, newYork)
		m := market(t, simulate.Options{Seed: 4, Clock: func() time.Time { return now }, Faults: faults})
		for range 12 {
			for _, symbol := range []string{"AAA", "BBB", "S4"} {
				for _, i := range tickerlake.Intervals {
					want := answered(t, m, symbol, i, from, to, now)
					got, err := m.Truth(tickerlake.Symbol(symbol), i, from, to)
					if err != nil || !reflect.DeepEqual(got, want) {
						t.Fatalf("%q: %s %s at %s: %d bars, answered %d, %v", faults, symbol, i, now, len(got), len(want), err)
					}
				}
			}
			now = now.Add(19*time.Hour + 7*time.Minute)
		}
	}
	m := market(t, simulate.Options{Seed: 4, Symbols: []string{"AAA"}, Clock: at("2026-11-24 18:00")})
	if _, err := m.Truth("BBB", tickerlake.Day, from, to); !errors.Is(err, tickerlake.NotFound) {
		t.Errorf("a symbol that there is not: %v", err)
	}
}

// TestTrueActions: the actions that are true are the events that are told.
func TestTrueActions(t *testing.T) {
	m := market(t, simulate.Options{Seed: 4, Clock: at("2026-11-24 18:00"), Faults: "split=0.01, dividend=0.02"})
	from, to := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	told := charted(t, m, "AAA", "1d", "2020-01-01", "2026-11-25").Events
	actions, err := m.TrueActions("AAA", from, to)
	if err != nil || len(actions) != len(told.Splits)+len(told.Dividends) || len(told.Splits) < 8 || len(told.Dividends) < 15 {
		t.Fatalf("%d actions, told %d splits and %d dividends, %v", len(actions), len(told.Splits), len(told.Dividends), err)
	}
	for _, a := range actions {
		y, month, d := a.Ts.Date()
		key := strconv.FormatInt(time.Date(y, month, d, 9, 30, 0, 0, newYork).Unix(), 10)
		if s := told.Splits[key]; a.Split > 0 && a.Split != s.Numerator/s.Denominator {
			t.Errorf("%+v is told as %+v", a, s)
		}
		if d := told.Dividends[key]; a.Dividend > 0 && float32(a.Dividend) != float32(d.Amount) {
			t.Errorf("%+v is told as %+v", a, d)
		}
		if (a.Split > 0) == (a.Dividend > 0) {
			t.Errorf("%+v", a)
		}
	}
}

// TestCorrections: a bar is wrong at first, then right for ever, and the market without
// the fault has what is right.
func TestCorrections(t *testing.T) {
	now := time.Date(2026, 11, 16, 9, 0, 0, 0, newYork)
	clock := func() time.Time { return now }
	m := market(t, simulate.Options{Seed: 6, Clock: clock, Faults: "correction=0.3"})
	pure := market(t, simulate.Options{Seed: 6, Clock: clock})
	from, to := time.Date(2026, 11, 16, 0, 0, 0, 0, time.UTC), time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	for _, i := range []tickerlake.Interval{tickerlake.Day, tickerlake.Minutes15} {
		wrong, right := map[time.Time]time.Time{}, map[time.Time]bool{}
		for now = time.Date(2026, 11, 16, 9, 0, 0, 0, newYork); now.Before(to.Add(SettledAndMore)); now = now.Add(29 * time.Minute) {
			told, err := m.Truth("AAA", i, from, to)
			if err != nil {
				t.Fatal(err)
			}
			true_, err := pure.Truth("AAA", i, from, to)
			if err != nil || len(told) != len(true_) {
				t.Fatalf("%d bars, without the fault %d, %v", len(told), len(true_), err)
			}
			for j, b := range told {
				same := reflect.DeepEqual(b, true_[j])
				if !same && right[b.Ts] {
					t.Fatalf("%s was right and is wrong", b.Ts)
				}
				if !same {
					wrong[b.Ts] = now
					if b.Close != *b.Open || *b.High < b.Close || *b.Low > b.Close {
						t.Fatalf("no sound bar: %+v", b)
					}
				} else {
					right[b.Ts] = true
				}
			}
		}
		most := time.Hour + i.Duration()
		if i.Daily() {
			most = simulate.SettledAfter
		}
		for ts, last := range wrong {
			if i.Daily() {
				ts = ts.Add(21 * time.Hour) // 16:00 in New York
			}
			if last.Sub(ts) > most {
				t.Errorf("%s of %s is wrong until %s", i, ts, last)
			}
		}
		if share := float64(len(wrong)) / float64(len(right)); share < 0.1 || share > 0.7 {
			t.Errorf("%s: %d of %d bars were wrong", i, len(wrong), len(right))
		}
	}
}

// SettledAndMore is longer than anything stays unsettled.
const SettledAndMore = simulate.SettledAfter + 24*time.Hour

// TestWithdrawals: bars that are none come and go; the others stay.
func TestWithdrawals(t *testing.T) {
	now := time.Date(2026, 11, 16, 9, 0, 0, 0, newYork)
	clock := func() time.Time { return now }
	m := market(t, simulate.Options{Seed: 6, Clock: clock, Faults: "withdrawn=0.9"})
	pure := market(t, simulate.Options{Seed: 6, Clock: clock})
	from, to := time.Date(2026, 11, 14, 0, 0, 0, 0, time.UTC), time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	for _, i := range tickerlake.Intervals {
		extra, gone := map[time.Time]bool{}, map[time.Time]bool{}
		for now = time.Date(2026, 11, 16, 9, 0, 0, 0, newYork); now.Before(to.Add(SettledAndMore)); now = now.Add(173 * time.Minute) {
			told, err := m.Truth("AAA", i, from, to)
			if err != nil {
				t.Fatal(err)
			}
			true_, err := pure.Truth("AAA", i, from, to)
			if err != nil {
				t.Fatal(err)
			}
			there, real := map[time.Time]bool{}, map[time.Time]tickerlake.Bar{}
			for _, b := range true_ {
				real[b.Ts] = b
			}
			for _, b := range told {
				if o, ok := real[b.Ts]; !ok {
					there[b.Ts], extra[b.Ts] = true, true
					if gone[b.Ts] {
						t.Fatalf("%s of %s has come back", i, b.Ts)
					}
				} else if o.Close != b.Close || *o.Volume != *b.Volume {
					t.Fatalf("%s of %s: %+v, without the fault %+v", i, b.Ts, b, o)
				}
			}
			if len(told) != len(true_)+len(there) {
				t.Fatalf("%s: %d bars and %d that are none, told %d", i, len(true_), len(there), len(told))
			}
			for ts := range extra {
				gone[ts] = !there[ts]
			}
		}
		for ts := range extra {
			if !gone[ts] {
				t.Errorf("%s of %s has stayed", i, ts)
			}
			if open := simulate.TradingDay(ts.Truncate(24 * time.Hour)); open == i.Daily() {
				t.Errorf("%s of %s: a session %v", i, ts, open)
			}
		}
		if len(extra) < 2 {
			t.Errorf("%s: %d bars that are none", i, len(extra))
		}
	}
}

// TestWindowsAgree: whatever span a bar is asked for in, it is the same, also one that is
// none and begins the span.
func TestWindowsAgree(t *testing.T) {
	m := market(t, simulate.Options{Seed: 6, Clock: at("2026-11-22 17:00"), Faults: "withdrawn=1, correction=0.3, split=0.05"}) // a Sunday
	for _, i := range tickerlake.Intervals {
		from, to := time.Date(2026, 11, 9, 0, 0, 0, 0, time.UTC), time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
		whole, err := m.Truth("AAA", i, from, to)
		if err != nil || i.Daily() && whole[len(whole)-1].Ts.Weekday() != time.Sunday {
			t.Fatalf("%s: %v %v", i, whole, err)
		}
		for ; from.Before(to); from = from.AddDate(0, 0, 1) {
			part, err := m.Truth("AAA", i, from, to)
			for len(whole) > 0 && whole[0].Ts.Before(from) {
				whole = whole[1:]
			}
			if err != nil || len(part) != len(whole) || len(part) > 0 && !reflect.DeepEqual(part, whole) {
				t.Fatalf("%s from %s: %d bars, as part of more %d, %v", i, from.Format(time.DateOnly), len(part), len(whole), err)
			}
		}
	}
}

// TestSplitOnADate: a split that was asked for comes on that date, of that symbol.
func TestSplitOnADate(t *testing.T) {
	m := market(t, simulate.Options{Seed: 6, Clock: at("2026-01-09 18:00"), Faults: "split(AMZN)@2026-01-07, dividend(AMZN)@2026-01-08"})
	for symbol, want := range map[string]string{"AMZN": "[2026-01-07 true 2026-01-08 false]", "IBM": "[]"} {
		actions, err := m.TrueActions(tickerlake.Symbol(symbol), time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 10, 0, 0, 0, 0, time.UTC))
		var got []any
		for _, a := range actions {
			got = append(got, a.Ts.Format(time.DateOnly), a.Split > 0)
		}
		if err != nil || fmt.Sprint(got) != want {
			t.Errorf("%s: %v %v, want %s", symbol, got, err, want)
		}
	}
}

// TestFaultsOfReplays: the history of files is what it is.
func TestFaultsOfReplays(t *testing.T) {
	for _, list := range []string{"all", "split=0.1", "correction"} {
		if _, err := simulate.New(simulate.Options{Replay: t.TempDir(), Faults: list}); !errors.Is(err, tickerlake.Invalid) || !strings.Contains(err.Error(), "the history of files is what they say") {
			t.Errorf("%s: %v", list, err)
		}
	}
}

// TestStopWhileWaiting: a server that makes a client wait ends when it is told to.
func TestStopWhileWaiting(t *testing.T) {
	arrived := make(chan struct{})
	m := market(t, simulate.Options{Seed: 1, Faults: "timeout=1", Clock: sync.OnceValue(func() time.Time {
		close(arrived) // a request is looked at
		return at("2026-11-24 18:00")()
	})})
	ctx, stop := context.WithCancel(t.Context())
	addr := make(chan net.Addr, 1)
	done, asked := make(chan error, 1), make(chan seen, 1)
	go func() { done <- m.Serve(ctx, "127.0.0.1:0", func(a net.Addr) { addr <- a }) }()
	own := &http.Transport{}
	defer own.CloseIdleConnections()
	address := "http://" + (<-addr).String() + details + "?symbol=AAPL"
	go func() { asked <- get(t.Context(), &http.Client{Transport: own}, address) }()
	<-arrived
	stop()
	if s := <-asked; s.err == nil {
		t.Errorf("an answer: %+v", s)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestFaultsAreDocumented: docs/sources.md has a line for each fault, with its rate.
func TestFaultsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/sources.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range simulate.Faults() {
		line := ""
		for l := range strings.Lines(string(text)) {
			if strings.HasPrefix(l, "| `"+f.Name+"` |") {
				line = l
			}
		}
		if want := fmt.Sprintf("| %g of %s |", f.Rate, f.Of); !strings.HasSuffix(strings.TrimSpace(line), want) {
			t.Errorf("%s: %q, want %q at its end", f.Name, line, want)
		}
	}
}
