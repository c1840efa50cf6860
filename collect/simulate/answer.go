package simulate

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/tickerlake/tickerlake"
)

// A line is one bar, its values as JSON writes them.
type line struct {
	date                                time.Time // 00:00 UTC
	open, high, low, close, adj, volume string
}

// dateForm is how dates are asked for: March 08 2022.
const dateForm = "January 2 2006"

func (m *Market) details(w http.ResponseWriter, r *http.Request) {
	symbol := r.FormValue("symbol")
	bars, err := m.bars(symbol)
	if err != nil {
		fail(w, err)
		return
	}
	name := strconv.AppendQuote(nil, symbol) // a symbol needs no escape
	var b []byte
	switch r.FormValue("whole_day") {
	case "true", "True", "1":
		b = append(b, `{"data":[`...)
		if len(bars) > 0 {
			b = appendBar(b, bars[len(bars)-1], false)
		}
		b = append(b, `],"symbol":`...)
	default:
		b = append(b, `{"price":"`...)
		if len(bars) == 0 {
			b = append(b, "Currently there is no price available for this stock"...)
		} else {
			b = append(b, bars[len(bars)-1].close...)
			b = append(b, " USD"...)
		}
		b = append(b, `","symbol":`...)
	}
	write(w, append(append(b, name...), '}'))
}

func (m *Market) depth(w http.ResponseWriter, r *http.Request) {
	bars, err := m.bars(r.FormValue("symbol"))
	if err != nil {
		fail(w, err)
		return
	}
	if start, end := r.FormValue("start_date"), r.FormValue("end_date"); start != "" && end != "" {
		from, err := readDate(start)
		if err != nil {
			fail(w, err)
			return
		}
		to, err := readDate(end)
		if err != nil {
			fail(w, err)
			return
		}
		first, _ := slices.BinarySearchFunc(bars, from, byDate)
		last, _ := slices.BinarySearchFunc(bars, to, byDate)
		bars = bars[first:max(first, last)]
	}
	b := append(make([]byte, 0, 32+140*len(bars)), `{"data":[`...)
	for i, bar := range bars {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendBar(b, bar, true)
	}
	write(w, append(b, ']', '}'))
}

func byDate(l line, t time.Time) int { return l.date.Compare(t) }

func readDate(s string) (time.Time, error) {
	t, err := time.Parse(dateForm, s)
	if err != nil {
		return t, fmt.Errorf("time data %q does not match format '%%B %%d %%Y'", s)
	}
	return t, nil
}

// bars gives all bars of a symbol until now, oldest first.
func (m *Market) bars(symbol string) ([]line, error) {
	if !tickerlake.Symbol(symbol).Valid() {
		return nil, fmt.Errorf("%q: invalid symbol", symbol)
	}
	unknown := fmt.Errorf("%s: No data found, symbol may be delisted", symbol)
	now := m.clock().In(m.zone)
	if m.replay == nil {
		if len(m.symbols) > 0 && !slices.Contains(m.symbols, symbol) {
			return nil, unknown
		}
		return walk(m.seed, symbol, now), nil
	}
	lines, ok := m.replay[symbol]
	if !ok {
		return nil, unknown
	}
	// What has not closed yet is not known yet.
	today := dateOf(now)
	if now.Before(at(now, closes)) {
		today = today.AddDate(0, 0, -1)
	}
	last, _ := slices.BinarySearchFunc(lines, today.AddDate(0, 0, 1), byDate)
	return lines[:last], nil
}

func appendBar(b []byte, l line, depth bool) []byte {
	b = append(b, '{')
	if depth {
		b = append(append(b, `"Adjusted Close":`...), l.adj...)
		b = append(b, ',')
	}
	b = append(append(b, `"Close":`...), l.close...)
	b = l.date.AppendFormat(append(b, `,"Date":"`...), time.DateOnly)
	b = append(append(b, `","High":`...), l.high...)
	b = append(append(b, `,"Low":`...), l.low...)
	b = append(append(b, `,"Open":`...), l.open...)
	b = append(append(b, `,"Volume":`...), l.volume...)
	return append(b, '}')
}

func write(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // a client that left is no concern of the market
}

// fail answers as the seed's API does: with status 200 and the code as text.
func fail(w http.ResponseWriter, err error) {
	message, _ := json.Marshal(err.Error()) // a string never fails
	write(w, fmt.Appendf(nil, `{"error":%s,"code":"500"}`, message))
}
