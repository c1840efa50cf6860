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
	errSymbol = errors.New("invalid symbol")
	//lint:ignore ST1005 the provider says it so
	errUnknown = errors.New("No data found, symbol may be delisted")
)

// lines gives the bars of a symbol that have begun, oldest first, the last of them as far
// as it has come, and the splits and dividends of the same span. A file that is replayed
// shows only bars that are over.
func (m *Market) lines(symbol string, sp span, now time.Time) ([]line, []event, error) {
	if !tickerlake.Symbol(symbol).Valid() {
		return nil, nil, errSymbol
	}
	if m.faults.hitsDay(faultDead, symbol, dateOf(now.In(m.zone))) {
		return nil, nil, errUnknown
	}
	return m.alive(symbol, sp, now)
}

// alive is lines whether the symbol is dead today or not.
func (m *Market) alive(symbol string, sp span, now time.Time) ([]line, []event, error) {
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
	add := func(made ...line) {
		for _, l := range made {
			if !l.start.Before(sp.from) && l.start.Before(sp.to) {
				lines = append(lines, l)
			}
		}
	}
	next := 0 // the first action after the day
	// A bar of a date without a session comes with the session before.
	s.walk(first.AddDate(0, 0, -7), last, func(d day) {
		for next < len(actions) && !actions[next].date.After(d.date) {
			next++
		}
		b := bars{stock: s, interval: sp.interval, day: d, split: split[next], paid: paid[next],
			open: at(d.date, opens, m.zone), close: at(d.date, closing(d.date), m.zone)}
		if now.Before(b.open) {
			return
		}
		if sp.interval.Daily() {
			add(b.whole(now))
			for date := d.date.AddDate(0, 0, 1); !date.After(last) && !TradingDay(date); date = date.AddDate(0, 0, 1) {
				add(b.none(date, at(date, opens, m.zone), at(date, closes, m.zone), now)...)
			}
			return
		}
		add(b.parts(now)...)
		start := b.open.Add((b.close.Sub(b.open) + sp.interval.Duration() - 1).Truncate(sp.interval.Duration()))
		add(b.none(d.date, start, start.Add(sp.interval.Duration()), now)...)
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
	stock       *stock
	interval    tickerlake.Interval
	day         day
	open, close time.Time
	split, paid float64
}

// whole is the bar of the day, as far as it has come.
func (b bars) whole(now time.Time) line {
	t := tick{open: b.day.open, high: b.day.high, low: b.day.low, close: b.day.close, volume: b.day.volume}
	if now.Before(b.close) {
		t = join(until(b.stock.minutesOf(b.day), now.Sub(b.open)), 24*60)[0]
	}
	t = b.told(t, b.open, b.close, now)
	l := b.line(t, 0)
	l.ends, l.adj = b.close, b.adjusted(t.close)
	return l
}

func (b bars) adjusted(c int64) string { return decimal(float64(c) / 100 / b.split * b.paid) }

// parts are the bars of the day that have begun. Those in which nobody trades are null.
func (b bars) parts(now time.Time) []line {
	ticks, minutes := b.stock.minutesOf(b.day), int(b.close.Sub(b.open)/time.Minute)
	if since := now.Sub(b.open); now.Before(b.close) {
		ticks, minutes = until(ticks, since), int(since/time.Minute)+1
	}
	length := int(b.interval.Duration() / time.Minute)
	ticks = join(ticks, length)
	var lines []line
	var before int64
	for minute := 0; minute < minutes; minute += length {
		start := b.open.Add(time.Duration(minute) * time.Minute)
		ends := start.Add(b.interval.Duration())
		if len(ticks) == 0 || ticks[0].start > minute {
			lines = append(lines, line{date: b.day.date, start: start, ends: ends, open: "null", high: "null", low: "null", close: "null", adj: "null", volume: "null"})
			continue
		}
		l := b.line(b.told(ticks[0], start, ends, now), before)
		l.start, l.ends = start, ends
		lines = append(lines, l)
		before += ticks[0].volume
		ticks = ticks[1:]
	}
	return lines
}

// told is a tick as it is told at a time: with a fault it is wrong until it is corrected.
func (b bars) told(t tick, start, ends, now time.Time) tick {
	f := b.stock.faults
	if now.Before(ends) || !f.hits(faultCorrection, b.stock.symbol, string(b.interval), start) {
		return t
	}
	least, most := 2*time.Minute, time.Hour
	if b.interval.Daily() {
		least, most = 20*time.Hour, 68*time.Hour
	}
	if now.Before(f.later(faultCorrection, b.stock.symbol, string(b.interval), ends, least, most)) {
		t.close, t.volume = t.open, t.volume*4/5
	}
	return t
}

// none is a bar that is none, if there is one: told from its end on, until it is withdrawn.
func (b bars) none(date, start, ends, now time.Time) []line {
	f := b.stock.faults
	thing := string(b.interval)
	if now.Before(ends) || !f.hits(faultWithdrawn, b.stock.symbol, thing, noon(date)) ||
		!now.Before(f.later(faultWithdrawn, b.stock.symbol, thing, ends, 20*time.Hour, 68*time.Hour)) {
		return nil
	}
	c := b.day.close
	l := b.line(tick{open: c, high: c, low: c, close: c, volume: 100}, 0)
	l.date, l.start, l.ends = date, start, ends
	if b.interval.Daily() {
		l.adj = b.adjusted(c)
	}
	return []line{l}
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
