package simulate

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake"
)

// A line is one bar, its values as JSON writes them.
type line struct {
	// date is that of the session at the exchange, as 00:00 UTC; start is when the bar
	// begins, of a day when the session does.
	date, start time.Time
	// ends is when the bar is over.
	ends                                time.Time
	open, high, low, close, adj, volume string
}

// A span asks for the lines that begin from a time on, before another one.
type span struct {
	interval tickerlake.Interval
	from, to time.Time
}

// everything is the span of all lines.
func everything(i tickerlake.Interval) span {
	return span{interval: i, to: time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)}
}

// What can be wrong with a symbol.
var (
	errSymbol  = errors.New("invalid symbol")
	errUnknown = errors.New("No data found, symbol may be delisted") //nolint:staticcheck // as the provider says it
)

// lines gives the bars of a symbol that have begun, oldest first, the last of them as far
// as it has come, and the splits and dividends of the same span. A file that is replayed
// shows only bars that are over.
func (m *Market) lines(symbol string, sp span, now time.Time) ([]line, []event, error) {
	if !tickerlake.Symbol(symbol).Valid() {
		return nil, nil, errSymbol
	}
	if m.replay != nil {
		f, ok := m.replay[symbol]
		if !ok || f.interval != sp.interval {
			return nil, nil, errUnknown
		}
		return f.within(sp, now), nil, nil
	}
	if len(m.symbols) > 0 && !slices.Contains(m.symbols, symbol) {
		return nil, nil, errUnknown
	}
	lines, events := m.made(m.stock(symbol), sp, now)
	return lines, events, nil
}

// An event is a split or dividend as it is known later: a dividend is adjusted for the
// splits after it.
type event struct {
	action
	at   time.Time // the opening of its date
	paid string    // the amount of a dividend
}

// made gives the lines of a made-up symbol as they are told at the time now, adjusted for
// the splits that are known then.
func (m *Market) made(s *stock, sp span, now time.Time) ([]line, []event) {
	today := dateOf(now.In(m.zone))
	actions := s.know(today)
	// What the bars before each action are divided by, and their closes multiplied with.
	split, paid := make([]float64, len(actions)+1), make([]float64, len(actions)+1)
	split[len(actions)], paid[len(actions)] = 1, 1
	for i := len(actions) - 1; i >= 0; i-- {
		a := actions[i]
		split[i], paid[i] = split[i+1], paid[i+1]*a.factor
		if a.num > 0 {
			split[i] *= float64(a.num) / float64(a.den)
		}
	}
	first, last := dateOf(sp.from.In(m.zone)), dateOf(sp.to.In(m.zone))
	if last.After(today) {
		last = today
	}
	var lines []line
	next := 0 // the first action after the day
	s.walk(first, last, func(d day) {
		for next < len(actions) && !actions[next].date.After(d.date) {
			next++
		}
		open := at(d.date, opens, m.zone)
		if now.Before(open) {
			return
		}
		b := bars{interval: sp.interval, day: d, open: open, close: at(d.date, closing(d.date), m.zone), split: split[next], paid: paid[next]}
		for _, l := range b.lines(s, now) {
			if !l.start.Before(sp.from) && l.start.Before(sp.to) {
				lines = append(lines, l)
			}
		}
	})
	var events []event
	for i, a := range actions {
		e := event{action: a, at: at(a.date, opens, m.zone)}
		if e.at.Before(sp.from) || !e.at.Before(sp.to) {
			continue
		}
		if a.num == 0 {
			e.paid = decimal(float64(a.amount) / 100 / split[i])
		}
		events = append(events, e)
	}
	return lines, events
}

// bars are those of one length of a day.
type bars struct {
	interval    tickerlake.Interval
	day         day
	open, close time.Time
	split, paid float64
}

func (b bars) lines(s *stock, now time.Time) []line {
	if b.interval.Daily() {
		whole := tick{open: b.day.open, high: b.day.high, low: b.day.low, close: b.day.close, volume: b.day.volume}
		if now.Before(b.close) {
			whole = join(until(s.minutesOf(b.day), now.Sub(b.open)), 24*60)[0]
		}
		l := b.line(whole, 0)
		l.ends = b.close
		l.adj = decimal(float64(whole.close) / 100 / b.split * b.paid)
		return []line{l}
	}
	ticks := s.minutesOf(b.day)
	if now.Before(b.close) {
		ticks = until(ticks, now.Sub(b.open))
	}
	length := int(b.interval.Duration() / time.Minute)
	ticks = join(ticks, length)
	lines := make([]line, len(ticks))
	var before int64
	for i, t := range ticks {
		l := b.line(t, before)
		l.start = b.open.Add(time.Duration(t.start) * time.Minute)
		l.ends = l.start.Add(b.interval.Duration())
		lines[i] = l
		before += t.volume
	}
	return lines
}

// line adjusts a tick. before is the day's volume before it: parts of shares are carried
// on, so that the volumes of the parts of a day add up.
func (b bars) line(t tick, before int64) line {
	price := func(c int64) string { return decimal(float64(c) / 100 / b.split) }
	shares := func(v int64) int64 { return int64(float64(v) * b.split) }
	return line{
		date: b.day.date, start: b.open,
		open: price(t.open), high: price(t.high), low: price(t.low), close: price(t.close), adj: "null",
		volume: strconv.FormatInt(shares(before+t.volume)-shares(before), 10),
	}
}

// decimal is the shortest number that stands for the nearest float32, which is all that
// Yahoo keeps of a price. It always has a point, as in Python.
func decimal(v float64) string {
	text := strconv.FormatFloat(float64(float32(v)), 'f', -1, 32)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}
