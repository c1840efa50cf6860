package schedule

import (
	"strconv"
	"strings"
	"time"
)

// A rate fires after each interval.
type rate time.Duration

var units = map[string]time.Duration{
	"minute": time.Minute, "minutes": time.Minute, "hour": time.Hour, "hours": time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour,
}

// maxRate is longer than any schedule lasts, and less than a time.Duration holds.
const maxRate = 230 * 365 * 24 * time.Hour

func readRate(text string) (firing, string) {
	const want = "want a whole number above zero and minutes, hours or days: rate(5 minutes)"
	number, unit, _ := strings.Cut(text, " ")
	length, ok := units[unit]
	n, digits := digits(number)
	if !ok || !digits || n == 0 {
		return nil, want
	}
	if int64(n) > int64(maxRate/length) {
		return nil, "the interval is longer than 230 years"
	}
	return rate(time.Duration(n) * length), ""
}

// digits reads a whole number that is written with digits alone.
func digits(s string) (int, bool) {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}

func (r rate) next(s *Schedule, after time.Time) (time.Time, bool) {
	length := time.Duration(r)
	at := after.Add(length)
	switch {
	case s.start.After(after):
		at = s.start
	case !s.start.IsZero():
		// In seconds: more than 292 years may have passed, which a time.Duration does not hold.
		seconds := int64(length / time.Second)
		gone := (after.Unix() - s.start.Unix()) / seconds * seconds
		if at = time.Unix(s.start.Unix()+gone, int64(s.start.Nanosecond())); !at.After(after) {
			at = at.Add(length)
		}
	}
	return at, at.UTC().Year() <= yearField.max
}

// An at fires once, at a time on the wall.
type at struct{ wall time.Time }

func readAt(text string) (firing, string) {
	const form = "2006-01-02T15:04:05"
	wall, err := time.Parse(form, text)
	if err != nil || wall.Format(form) != text {
		return nil, "want a date and a time that exist, without a zone: at(2026-11-20T13:00:00)"
	}
	return at{wall}, ""
}

func (a at) next(s *Schedule, after time.Time) (time.Time, bool) {
	t, exists := onWall(a.wall, s.zone)
	if !exists {
		// The offset before the clocks moved on moves it on by what they skip.
		_, offset := a.wall.Add(-26 * time.Hour).In(s.zone).Zone()
		t = a.wall.Add(-time.Duration(offset) * time.Second)
	}
	return t, t.After(after)
}

// onWall gives the first instant at which clocks in a zone show a time, which is given as
// if it were in UTC; false if they never do.
func onWall(wall time.Time, zone *time.Location) (time.Time, bool) {
	// Zones are at most 14 hours ahead of UTC, and 12 behind.
	for t := wall.Add(-26 * time.Hour).In(zone); ; {
		_, offset := t.Zone()
		at := wall.Add(-time.Duration(offset) * time.Second)
		begin, end := t.ZoneBounds()
		if (begin.IsZero() || !at.Before(begin)) && (end.IsZero() || at.Before(end)) {
			return at, true
		}
		if end.IsZero() || end.After(wall.Add(26*time.Hour)) {
			return time.Time{}, false
		}
		t = end.In(zone)
	}
}
