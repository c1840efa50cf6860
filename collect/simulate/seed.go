package simulate

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/tickerlake/tickerlake"
)

// dateForm is how dates are asked for: March 08 2022.
const dateForm = "January 2 2006"

func (m *Market) details(w http.ResponseWriter, r *http.Request) {
	symbol := r.FormValue("symbol")
	recent := everything(tickerlake.Day)
	if m.replay == nil { // of made-up prices there is one in every month
		recent.from = m.clock().AddDate(0, -1, 0)
	}
	bars, err := m.daily(symbol, recent)
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
			b = spoilOf(r).bar(b, bars[len(bars)-1], false)
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
	asked := everything(tickerlake.Day)
	if start, end := r.FormValue("start_date"), r.FormValue("end_date"); start != "" && end != "" {
		var err error
		if asked.from, err = m.readDate(start); err == nil {
			asked.to, err = m.readDate(end)
		}
		if err != nil {
			fail(w, err)
			return
		}
	}
	bars, err := m.daily(r.FormValue("symbol"), asked)
	if err != nil {
		fail(w, err)
		return
	}
	spoil := spoilOf(r)
	bars = spoil.lines(bars)
	b := append(make([]byte, 0, 32+140*len(bars)), `{"data":[`...)
	for i, bar := range bars {
		if i > 0 {
			b = append(b, ',')
		}
		b = spoil.bar(b, bar, true)
	}
	write(w, append(b, ']', '}'))
}

// readDate reads the midnight that a date begins with.
func (m *Market) readDate(s string) (time.Time, error) {
	t, err := time.ParseInLocation(dateForm, s, m.zone)
	if err != nil {
		return t, fmt.Errorf("time data %q does not match format '%%B %%d %%Y'", s)
	}
	return t, nil
}

// daily gives the days of a symbol of a span; its errors are what the seed's API says.
func (m *Market) daily(symbol string, sp span) ([]line, error) {
	lines, _, err := m.lines(symbol, sp, m.clock())
	switch err {
	case nil:
	case errSymbol:
		err = fmt.Errorf("%q: %w", symbol, err)
	default:
		err = fmt.Errorf("%s: %w", symbol, err)
	}
	return lines, err
}

func (s spoil) bar(b []byte, l line, depth bool) []byte {
	b = append(b, '{')
	if depth {
		b = s.number(append(b, `"Adjusted Close":`...), l.adj)
		b = append(b, ',')
	}
	b = s.number(append(b, `"Close":`...), l.close)
	b = l.date.AppendFormat(append(b, `,"Date":"`...), time.DateOnly)
	b = s.number(append(b, `","High":`...), l.high)
	b = s.number(append(b, `,"Low":`...), l.low)
	b = s.number(append(b, `,"Open":`...), l.open)
	b = s.number(append(b, `,"Volume":`...), l.volume)
	return append(b, '}')
}

func write(w http.ResponseWriter, body []byte) { answer(w, http.StatusOK, body) }

func answer(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // into memory
}

// fail answers as the seed's API does: with status 200 and the code as text.
func fail(w http.ResponseWriter, err error) {
	message, _ := json.Marshal(err.Error()) // a string never fails
	write(w, fmt.Appendf(nil, `{"error":%s,"code":"500"}`, message))
}
