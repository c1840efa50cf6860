package simulate

import "time"

// A tick is a part of a day's trading: a minute, or more of them together.
type tick struct {
	start                  int // minute of the session
	open, high, low, close int64
	volume                 int64
}

// minutes draws the minutes of a day in which it is traded. Together they are exactly
// the day: the first opens and the last closes as it does, none goes beyond its high and
// low and one touches each, and the volumes add up.
func (s *stock) minutesOf(d day) []tick {
	n := s.minutes.of(d.date)
	count := int((closing(d.date) - opens) / time.Minute)
	ticks := make([]tick, 0, count)
	for i := range count {
		if i > 0 && s.thin && n.unit() < 0.02 {
			continue // nobody trades
		}
		ticks = append(ticks, tick{start: i})
	}
	// A walk that is bent so that it ends at the close.
	walk := make([]float64, len(ticks)+1)
	for i := range ticks {
		walk[i+1] = walk[i] + (2*n.unit() - 1)
	}
	end, span := walk[len(ticks)], float64(d.high-d.low)/20
	price := func(i int) int64 {
		along := float64(i) / float64(len(ticks))
		p := float64(d.open) + float64(float64(d.close-d.open)*along) + float64((walk[i]-float64(end*along))*span)
		return min(max(int64(p+0.5), d.low), d.high)
	}
	weights := 0.0
	for i := range ticks {
		t := &ticks[i]
		t.open, t.close = price(i), price(i+1)
		wick := int64(span*n.unit()) / 2
		t.high, t.low = min(max(t.open, t.close)+wick, d.high), max(min(t.open, t.close)-wick, d.low)
		walk[i] = 0.5 + n.unit() // of the volume, now that the price is known
		weights += walk[i]
	}
	highest, lowest, left := 0, 0, d.volume
	for i := range ticks {
		t := &ticks[i]
		if t.high > ticks[highest].high {
			highest = i
		}
		if t.low < ticks[lowest].low {
			lowest = i
		}
		t.volume = int64(float64(d.volume) * walk[i] / weights)
		left -= t.volume
	}
	ticks[highest].high, ticks[lowest].low = d.high, d.low
	ticks[len(ticks)-1].volume += left
	return ticks
}

// until gives the ticks of a session that has gone on for so long: those that are over,
// and the one under way as far as it has come. What that shows it never takes back.
func until(ticks []tick, since time.Duration) []tick {
	minute := int(since / time.Minute)
	for i, t := range ticks {
		if t.start < minute {
			continue
		}
		if t.start > minute {
			return ticks[:i]
		}
		part := float64(since%time.Minute) / float64(time.Minute)
		now := t
		now.close = t.open + int64(float64(t.close-t.open)*part)
		now.high, now.low = max(t.open, now.close), min(t.open, now.close)
		if part >= 2.0/3 {
			now.high = t.high
		}
		if part >= 1.0/3 {
			now.low = t.low
		}
		now.volume = int64(float64(t.volume) * part)
		return append(ticks[:i:i], now)
	}
	return ticks
}

// join makes longer ticks, counted from the opening.
func join(ticks []tick, length int) []tick {
	if length == 1 {
		return ticks
	}
	var out []tick
	for _, t := range ticks {
		start := t.start - t.start%length
		if n := len(out) - 1; n >= 0 && out[n].start == start {
			o := &out[n]
			o.high, o.low, o.close, o.volume = max(o.high, t.high), min(o.low, t.low), t.close, o.volume+t.volume
			continue
		}
		t.start = start
		out = append(out, t)
	}
	return out
}
