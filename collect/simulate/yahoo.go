package simulate

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake"
)

// chartPath is that of the chart API; a symbol follows.
const chartPath = "/v8/finance/chart/"

// yahooIntervals are those of Yahoo's chart API that are ours too.
var yahooIntervals = map[string]tickerlake.Interval{
	"1m": tickerlake.Minute, "5m": tickerlake.Minutes5, "15m": tickerlake.Minutes15,
	"60m": tickerlake.Hour, "1h": tickerlake.Hour, "1d": tickerlake.Day,
}

// yahooRanges are how far a request goes back that has no period1; 0 is to the beginning.
var yahooRanges = map[string]int{"1d": 1, "5d": 7, "1mo": 31, "3mo": 92, "6mo": 183, "1y": 366, "2y": 731, "5y": 1827, "10y": 3653, "max": 0}

// A chartError is what the chart API says instead of an answer.
type chartError struct {
	status            int
	code, description string
}

func (e *chartError) Error() string { return e.code + ": " + e.description }

func badRequest(format string, args ...any) error {
	return &chartError{http.StatusBadRequest, "Bad Request", fmt.Sprintf(format, args...)}
}

// chart answers as Yahoo's chart API does (version 8).
func (m *Market) chart(w http.ResponseWriter, r *http.Request) {
	now := m.clock()
	sp, err := readSpan(r, now)
	var lines []line
	var events []event
	if err == nil {
		lines, events, err = m.lines(r.PathValue("symbol"), sp, now)
	}
	if err != nil {
		failChart(w, err)
		return
	}
	if wanted := r.FormValue("events"); !strings.Contains(wanted, "div") && !strings.Contains(wanted, "split") {
		events = nil
	}
	write(w, m.appendChart(r.PathValue("symbol"), sp, lines, events, now, spoilOf(r)))
}

// readSpan reads what a request asks for.
func readSpan(r *http.Request, now time.Time) (sp span, err error) {
	asked := r.FormValue("interval")
	if asked == "" {
		asked = "1d"
	}
	var ok bool
	if sp.interval, ok = yahooIntervals[asked]; !ok {
		return sp, &chartError{http.StatusUnprocessableEntity, "Unprocessable Entity",
			fmt.Sprintf("Invalid input - interval=%s is not supported. Valid intervals: [1m, 5m, 15m, 60m, 1h, 1d]", asked)}
	}
	sp.to = now.Add(time.Second)
	if r.FormValue("period1") == "" {
		back, ok := yahooRanges[r.FormValue("range")]
		switch {
		case r.FormValue("range") == "":
			back = 1
		case !ok:
			return sp, badRequest("Invalid input - range=%s", r.FormValue("range"))
		}
		if back > 0 {
			sp.from = now.AddDate(0, 0, -back)
		}
		return sp, nil
	}
	from, err := strconv.ParseInt(r.FormValue("period1"), 10, 64)
	if err != nil {
		return sp, badRequest("Invalid input - period1=%s", r.FormValue("period1"))
	}
	sp.from = time.Unix(from, 0)
	if text := r.FormValue("period2"); text != "" {
		to, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return sp, badRequest("Invalid input - period2=%s", text)
		}
		if to < from {
			return sp, badRequest("Invalid input - start date cannot be after end date. startDate = %d, endDate = %d", from, to)
		}
		sp.to = time.Unix(to, 0)
	}
	return sp, nil
}

// failChart says what is wrong as the chart API does.
func failChart(w http.ResponseWriter, err error) {
	e := &chartError{http.StatusNotFound, "Not Found", "No data found, symbol may be delisted"}
	_ = errors.As(err, &e) // else the symbol is not known
	body, _ := json.Marshal(map[string]any{"chart": map[string]any{
		"result": nil, "error": map[string]string{"code": e.code, "description": e.description}}}) // text never fails
	answer(w, e.status, body)
}

// appendChart writes the one result of an answer.
func (m *Market) appendChart(symbol string, sp span, lines []line, events []event, now time.Time, spoil spoil) []byte {
	daily := sp.interval.Daily()
	lines, stamps := m.stamp(spoil.lines(lines), daily, now)
	zone := m.zone
	if m.replay != nil && !daily {
		zone = time.UTC // the files do not say which exchange it is
	}
	b := append(make([]byte, 0, 1024+180*len(lines)), `{"chart":{"result":[{"meta":`...)
	b = m.appendMeta(b, symbol, sp.interval, zone, lines, stamps, now)
	if len(lines) > 0 {
		b = append(b, `,"timestamp":[`...)
		for i, at := range stamps {
			if i > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendInt(b, at.Unix(), 10)
		}
		b = append(b, ']')
	}
	b = appendEvents(b, events)
	b = append(b, `,"indicators":{"quote":[{`...)
	columns := []struct {
		name string
		of   func(*line) string
	}{
		{"low", func(l *line) string { return l.low }}, {"open", func(l *line) string { return l.open }},
		{"volume", func(l *line) string { return l.volume }}, {"close", func(l *line) string { return l.close }},
		{"high", func(l *line) string { return l.high }}, {"adjclose", func(l *line) string { return l.adj }},
	}
	for i, c := range columns {
		if c.name == "adjclose" {
			b = append(b, `}]`...)
			if !daily {
				break
			}
			b = append(b, `,"adjclose":[{`...)
		}
		if len(lines) > 0 {
			if i > 0 && c.name != "adjclose" {
				b = append(b, ',')
			}
			b = append(strconv.AppendQuote(b, c.name), ':', '[')
			for j := range lines {
				if j > 0 {
					b = append(b, ',')
				}
				if v := c.of(&lines[j]); c.name == "volume" {
					b = spoil.number(b, v)
				} else {
					b = spoil.number(b, noisy(v))
				}
			}
			b = append(b, ']')
		}
		if c.name == "adjclose" {
			b = append(b, `}]`...)
		}
	}
	return append(b, `}}],"error":null}}`...)
}

// stamp gives each line its time. A day is stamped with its opening, today's with the
// last trade; once the session is over it comes twice until the date ends.
func (m *Market) stamp(lines []line, daily bool, now time.Time) ([]line, []time.Time) {
	stamps := make([]time.Time, len(lines), len(lines)+1)
	for i, l := range lines {
		stamps[i] = l.start
	}
	if n := len(lines) - 1; daily && n >= 0 && lines[n].date.Equal(dateOf(now.In(m.zone))) {
		if now.Before(lines[n].ends) {
			stamps[n] = now.Truncate(time.Second)
		} else {
			lines, stamps = append(lines[:n+1:n+1], lines[n]), append(stamps, lines[n].ends)
		}
	}
	return lines, stamps
}

func (m *Market) appendMeta(b []byte, symbol string, interval tickerlake.Interval, zone *time.Location, lines []line, stamps []time.Time, now time.Time) []byte {
	short, offset := now.In(zone).Zone()
	meta := struct {
		Currency    string `json:"currency"`
		Symbol      string `json:"symbol"`
		Exchange    string `json:"exchangeName"`
		Instrument  string `json:"instrumentType"`
		MarketTime  int64  `json:"regularMarketTime,omitempty"`
		Offset      int    `json:"gmtoffset"`
		ZoneShort   string `json:"timezone"`
		Zone        string `json:"exchangeTimezoneName"`
		Price       any    `json:"regularMarketPrice,omitempty"`
		PriceHint   int    `json:"priceHint"`
		Granularity string `json:"dataGranularity"`
		Range       string `json:"range"`
	}{
		Currency: m.currency, Symbol: symbol, Exchange: "NYQ", Instrument: "EQUITY", Offset: offset, ZoneShort: short,
		Zone: zone.String(), PriceHint: 2, Granularity: string(interval),
	}
	if n := len(lines) - 1; n >= 0 && lines[n].close != "null" {
		meta.MarketTime, meta.Price = stamps[n].Unix(), json.RawMessage(lines[n].close)
	}
	text, _ := json.Marshal(meta) // numbers and text never fail
	return append(b, text...)
}

func appendEvents(b []byte, events []event) []byte {
	var paid, split []byte
	for _, e := range events {
		if e.num > 0 {
			split = fmt.Appendf(split, `,"%d":{"date":%[1]d,"numerator":%d.0,"denominator":%d.0,"splitRatio":"%[2]d:%[3]d"}`, e.at.Unix(), e.num, e.den)
		} else {
			paid = fmt.Appendf(paid, `,"%d":{"amount":%s,"date":%[1]d}`, e.at.Unix(), noisy(e.paid))
		}
	}
	if len(paid)+len(split) == 0 {
		return b
	}
	b = append(b, `,"events":{`...)
	if len(paid) > 0 {
		b = append(append(append(b, `"dividends":{`...), paid[1:]...), '}')
	}
	if len(split) > 0 {
		if len(paid) > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, `"splits":{`...), split[1:]...), '}')
	}
	return append(b, '}')
}

// noisy writes a number as Yahoo does, which keeps prices as float32 and writes all the
// digits of that. A number that a float32 is too short for is written as it is.
func noisy(text string) string {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return text // null
	}
	kept := float32(v)
	if back, _ := strconv.ParseFloat(strconv.FormatFloat(float64(kept), 'g', -1, 32), 64); back != v || math.IsInf(float64(kept), 0) {
		return text
	}
	text = strconv.FormatFloat(float64(kept), 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}
