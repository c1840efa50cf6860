package simulate

import (
	"math"
	"sync"
	"time"
)

// firstYear is when the history of every made-up symbol begins.
const firstYear = 1990

// A stock is what a made-up symbol's prices are drawn from, and what is known of its
// walk. Prices and volumes are as traded, in cents and shares.
type stock struct {
	symbol string
	price  float64 // the first, in dollars
	drift  float64 // a day
	spread float64 // of a day's return, uniform
	volume float64 // of a day
	thin   bool    // not traded in every minute
	// A payer pays dividends of about yield in every third month, from a day of it on.
	payer    bool
	payMonth int
	payDay   int
	yield    float64

	days, minutes, events noise
	faults                *faults

	mu      sync.Mutex
	marks   []state // before the first day of each year from firstYear on
	walked  state   // after the day until
	until   time.Time
	actions []action // until then
}

// A state is what a day goes on from.
type state struct {
	price float64 // in dollars
	close int64   // of the day before, 0 if there is none
}

// A day is the bar of a trading day.
type day struct {
	date                   time.Time // 00:00 UTC
	open, high, low, close int64
	volume                 int64
}

// An action is a split or a dividend, known from the beginning of its date on.
type action struct {
	date time.Time
	// num shares for den old ones, both 0 if it is a dividend.
	num, den int64
	amount   int64 // of a dividend, in cents as traded on date
	// factor is what an adjusted close before date is multiplied with for a dividend.
	factor float64
}

func newStock(seed uint64, symbol string, f *faults) *stock {
	n := named(seed, symbol)
	s := &stock{
		symbol: symbol, faults: f,
		price:    n.between(5, 100),
		drift:    n.between(0.02, 0.12) / 252,
		spread:   n.between(0.15, 0.35) / math.Sqrt(252) * math.Sqrt(6),
		volume:   n.between(1e6, 41e6),
		thin:     n.unit() < 0.125,
		payer:    n.unit() < 0.6,
		payMonth: n.below(3),
		payDay:   3 + n.below(20),
		yield:    n.between(0.002, 0.01),
		days:     noise(n.next()), minutes: noise(n.next()), events: noise(n.next()),
		until: time.Date(firstYear, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, -1),
	}
	s.walked = state{price: s.price}
	return s
}

// walk calls each with the trading days of a span, both ends included.
func (s *stock) walk(from, to time.Time, each func(day)) {
	s.know(to)
	year := max(from.Year(), firstYear)
	if year > to.Year() || to.Before(from) {
		return
	}
	s.mu.Lock()
	now := s.marks[year-firstYear]
	s.mu.Unlock()
	for date := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC); !date.After(to); date = date.AddDate(0, 0, 1) {
		if !TradingDay(date) {
			continue
		}
		a, acts := s.action(now, date)
		if acts {
			now = now.after(a)
		}
		var bar day
		bar, now = s.day(now, date)
		if !date.Before(from) {
			each(bar)
		}
	}
}

// know walks on until a date, so that its actions and the beginnings of its years are
// known, and gives the actions.
func (s *stock) know(to time.Time) []action {
	s.mu.Lock()
	defer s.mu.Unlock()
	for date := s.until.AddDate(0, 0, 1); !date.After(to); date = date.AddDate(0, 0, 1) {
		if date.YearDay() == 1 {
			s.marks = append(s.marks, s.walked)
		}
		s.until = date
		if !TradingDay(date) {
			continue
		}
		if a, acts := s.action(s.walked, date); acts {
			s.actions = append(s.actions, a)
			s.walked = s.walked.after(a)
		}
		_, s.walked = s.day(s.walked, date)
	}
	known := len(s.actions)
	for known > 0 && s.actions[known-1].date.After(to) {
		known--
	}
	return s.actions[:known:known]
}

// day draws a day. Each has a stream of its own, so that a bar depends on its past only.
func (s *stock) day(before state, date time.Time) (day, state) {
	n := s.days.of(date)
	// What happened while it was closed, and then during the day.
	price := before.price * (1 + float64(s.spread/4*(2*n.unit()-1)))
	bar := day{date: date, open: cents(price)}
	price *= 1 + float64(s.drift+float64(s.spread*(n.unit()+n.unit()-1)))
	bar.close = cents(price)
	beyond := price * s.spread / 3
	bar.high = max(bar.open, bar.close) + int64(beyond*100*n.unit())
	bar.low = max(1, min(bar.open, bar.close)-int64(beyond*100*n.unit()))
	bar.volume = int64(s.volume * n.between(0.3, 1.7))
	if halfDay(date) {
		bar.volume /= 2
	}
	return bar, state{price: max(price, 0.02), close: bar.close}
}

// What a company does about its price: it splits the shares above the one, joins them
// below the other, on few of the days.
const (
	dear, dearShare   = 180.0, 1.0 / 120
	cheap, cheapShare = 2.0, 1.0 / 60
)

// action gives what happens on a trading day before it begins.
func (s *stock) action(before state, date time.Time) (action, bool) {
	if before.close == 0 {
		return action{}, false
	}
	n := s.events.of(date)
	u := n.unit()
	splits := before.price > dear && u < dearShare || before.price < cheap && u < cheapShare
	if splits || s.faults.hitsDay(faultSplit, s.symbol, date) {
		forward := [][2]int64{{2, 1}, {2, 1}, {3, 1}, {3, 2}, {4, 1}}
		backward := [][2]int64{{1, 2}, {1, 4}, {1, 5}}
		ratio := forward[n.below(len(forward))]
		if before.price < 20 {
			ratio = backward[n.below(len(backward))]
		}
		return action{date: date, num: ratio[0], den: ratio[1], factor: 1}, true
	}
	if s.payer && s.pays(date) || s.faults.hitsDay(faultDividend, s.symbol, date) {
		amount := int64(float64(float64(before.close)*s.yield*n.between(0.8, 1.2)) + 0.5)
		if amount > 0 && amount < before.close/4 {
			return action{date: date, amount: amount, factor: 1 - float64(amount)/float64(before.close)}, true
		}
	}
	return action{}, false
}

// pays reports whether a dividend goes off on a trading day: the first one from payDay
// of a month on.
func (s *stock) pays(date time.Time) bool {
	if int(date.Month())%3 != s.payMonth || date.Day() < s.payDay {
		return false
	}
	for before := date.AddDate(0, 0, -1); before.Month() == date.Month() && before.Day() >= s.payDay; before = before.AddDate(0, 0, -1) {
		if TradingDay(before) {
			return false
		}
	}
	return true
}

// after is the state once an action is done.
func (b state) after(a action) state {
	if a.num > 0 {
		b.price = b.price * float64(a.den) / float64(a.num)
	} else {
		b.price -= float64(a.amount) / 100
	}
	return b
}

// cents rounds to what a price is quoted in, one cent at least.
func cents(price float64) int64 { return max(1, int64(float64(price*100)+0.5)) }
