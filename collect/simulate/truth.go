package simulate

import (
	"fmt"
	"strconv"
	"time"

	"github.com/tickerlake/tickerlake"
)

// Truth gives the bars of a symbol that are over and begin from a time on, before another
// one, as an undisturbed answer at this instant has them: adjusted for the splits and
// dividends until today, corrections that are not due yet left out. A bar of a day counts as
// over from 16:00 in New York on, any other after its length. SettledAfter a bar's end
// nothing but a split or a dividend changes it any more.
func (m *Market) Truth(symbol tickerlake.Symbol, interval tickerlake.Interval, from, to time.Time) ([]tickerlake.Bar, error) {
	now := m.clock()
	sp := span{interval: interval, from: from, to: to}
	if interval.Daily() { // Ts are dates
		sp.from, sp.to = at(from, 0, m.zone), at(to, 0, m.zone)
	}
	lines, _, err := m.alive(string(symbol), sp, now)
	if err != nil {
		return nil, tickerlake.Errorf(tickerlake.NotFound, "simulate.Truth", string(symbol), "%w", err)
	}
	var out []tickerlake.Bar
	for _, l := range lines {
		over := l.ends
		if interval.Daily() {
			over = at(l.date, closes, m.zone)
		}
		if now.Before(over) || l.close == "null" {
			continue
		}
		b, err := l.bar()
		if err != nil {
			return nil, tickerlake.Errorf(tickerlake.Internal, "simulate.Truth", string(symbol), "%w", err)
		}
		b.Symbol, b.Ts, b.Currency, b.Basis, b.Final = symbol, l.start.UTC(), m.currency, tickerlake.BasisSplit, true
		if interval.Daily() {
			b.Ts = l.date
		}
		out = append(out, b)
	}
	return out, nil
}

func (l line) bar() (b tickerlake.Bar, err error) {
	number := func(name, text string) *float64 {
		if text == "null" || err != nil {
			return nil
		}
		v, perr := strconv.ParseFloat(text, 64)
		if perr != nil {
			err = fmt.Errorf("%s of %s: %w", name, l.start, perr)
		}
		return &v
	}
	b.Open, b.High, b.Low = number("open", l.open), number("high", l.high), number("low", l.low)
	if c := number("close", l.close); c != nil {
		b.Close = *c
	}
	b.AdjClose, b.Volume = number("adj_close", l.adj), number("volume", l.volume)
	return b, err
}

// An Action is a split or a dividend.
type Action struct {
	Symbol tickerlake.Symbol
	// Ts is the date from whose beginning on it holds, as 00:00 UTC.
	Ts time.Time
	// Split is how many shares there are for one; 0 if it is a dividend.
	Split float64
	// Dividend is the amount a share, adjusted for the splits since; 0 if it is a split.
	Dividend float64
}

// TrueActions gives the splits and dividends of a symbol of the dates of a span, the end
// exclusive, that are known today.
func (m *Market) TrueActions(symbol tickerlake.Symbol, from, to time.Time) ([]Action, error) {
	sp := span{interval: tickerlake.Day, from: at(from, 0, m.zone), to: at(to, 0, m.zone)}
	_, events, err := m.alive(string(symbol), sp, m.clock())
	if err != nil {
		return nil, tickerlake.Errorf(tickerlake.NotFound, "simulate.TrueActions", string(symbol), "%w", err)
	}
	out := make([]Action, len(events))
	for i, e := range events {
		out[i] = Action{Symbol: symbol, Ts: e.date}
		if e.num > 0 {
			out[i].Split = float64(e.num) / float64(e.den)
		} else if out[i].Dividend, err = strconv.ParseFloat(e.paid, 64); err != nil {
			return nil, tickerlake.Errorf(tickerlake.Internal, "simulate.TrueActions", string(symbol), "%w", err)
		}
	}
	return out, nil
}
