package simulate

import (
	"hash/fnv"
	"math"
	"strconv"
	"time"
)

// A session is from 9:30 to 16:00 in New York, in steps of five minutes.
const (
	opens  = 9*time.Hour + 30*time.Minute
	closes = 16 * time.Hour
	step   = 5 * time.Minute
	steps  = int((closes - opens) / step)
)

// A noise is a stream of random numbers (splitmix64).
type noise uint64

func (n *noise) next() uint64 {
	*n += 0x9e3779b97f4a7c15
	z := uint64(*n)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// unit is from 0 to 1.
func (n *noise) unit() float64 { return float64(n.next()>>11) / (1 << 53) }

// A stock is what a symbol's prices are drawn from.
type stock struct {
	price  float64 // the first
	home   float64 // where it is drawn to when far away
	drift  float64 // a step
	spread float64 // of a step, uniform
	volume float64 // of a step
}

func newStock(n *noise) stock {
	price := 5 + 95*n.unit()
	yearly := 0.15 + 0.2*n.unit()
	perStep := yearly / math.Sqrt(252*float64(steps))
	return stock{
		price: price, home: price * (2 + 8*n.unit()),
		drift:  (0.02 + 0.1*n.unit()) / float64(252*steps),
		spread: perStep * math.Sqrt(3),
		volume: (1e6 + 40e6*n.unit()) / float64(steps),
	}
}

// walk gives the bars of a symbol from 1990 until now, today's as far as it has
// come. Each day draws from a stream of its own, so that a bar depends on its past
// only. Conversions to float64 keep a compiler from fusing products and sums, which
// would make prices differ between processors.
func walk(seed uint64, symbol string, now time.Time) []line {
	h := fnv.New64a()
	_, _ = h.Write([]byte(symbol)) // never fails
	root := noise(h.Sum64() ^ seed*0x2545f4914f6cdd1d)
	s := newStock(&root)
	days := root.next()
	today := dateOf(now)
	bars := make([]line, 0, 253*(today.Year()-1989))
	price := s.price
	for date := time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC); !date.After(today); date = date.AddDate(0, 0, 1) {
		if !TradingDay(date) {
			continue
		}
		count := steps
		if date.Equal(today) {
			if since := now.Sub(at(now, opens)); since < 0 {
				break
			} else if since < closes-opens {
				count = int(since/step) + 1
			}
		}
		n := noise(days ^ uint64(date.Unix())*0xd6e8feb86659fd93)
		var bar line
		bar, price = s.day(&n, price, count)
		bar.date = date
		bars = append(bars, bar)
	}
	return bars
}

// day draws so many steps of a day that follows the close before.
func (s stock) day(n *noise, price float64, count int) (line, float64) {
	drift := s.drift
	switch {
	case price < s.home/20:
		drift += s.spread / 20
	case price > s.home*20:
		drift -= s.spread / 20
	}
	// What happened while it was closed is worth some steps.
	price *= 1 + float64(4*s.spread*(2*n.unit()-1))
	open := cents(price)
	high, low := open, open
	var volume float64
	for range count {
		price *= 1 + float64(drift+float64(s.spread*(2*n.unit()-1)))
		c := cents(price)
		high, low = max(high, c), min(low, c)
		volume += s.volume * float64(0.3+float64(1.4*n.unit()))
	}
	end := text(cents(price))
	return line{
		open: text(open), high: text(high), low: text(low), close: end, adj: end,
		volume: strconv.FormatInt(int64(volume), 10),
	}, price
}

// cents rounds to what a price is quoted in, one cent at least.
func cents(price float64) int64 { return max(1, int64(price*100+0.5)) }

// text writes cents as a number that always has a point, as Python does.
func text(c int64) string {
	b := strconv.AppendInt(make([]byte, 0, 12), c/100, 10)
	b = append(b, '.', byte('0'+c/10%10))
	if c%10 != 0 {
		b = append(b, byte('0'+c%10))
	}
	return string(b)
}

// dateOf is the date of a time, as 00:00 UTC.
func dateOf(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// at is the time of day on t's date in t's zone.
func at(t time.Time, clock time.Duration) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, int(clock/time.Hour), int(clock%time.Hour/time.Minute), 0, 0, t.Location())
}
