package collect

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strings"
	"sync"
	"time"

	"github.com/tickerlake/tickerlake"
)

// A session reads the times of a source's bars and says when a bar is final.
type session struct {
	interval tickerlake.Interval
	zone     *time.Location
	end      time.Duration // of the day's session, after midnight
	hasEnd   bool
	settle   time.Duration
}

func newSession(c Config) (session, error) {
	zone, err := loadZone(c.TimeZone)
	if err != nil {
		return session{}, err
	}
	end, hasEnd, err := parseSessionEnd(c.SessionEnd)
	return session{
		interval: c.Interval, zone: zone,
		end: end, hasEnd: hasEnd, settle: time.Duration(c.Settle),
	}, err
}

func loadZone(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return nil, fmt.Errorf("%q: want a zone such as America/New_York or UTC", name)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("%q is not a time zone: want one such as America/New_York or UTC", name)
	}
	return zone, nil
}

func parseSessionEnd(s string) (time.Duration, bool, error) {
	if s == "" {
		return 0, false, nil
	}
	t, err := time.Parse("15:04", s)
	if err != nil {
		return 0, false, fmt.Errorf(`%q: want a time of day such as "16:00"`, s)
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, true, nil
}

// in is the session at an exchange in another zone. When its day ends is not known
// there: with the next midnight it certainly has.
func (s session) in(zone *time.Location) session {
	if zone == nil {
		return s
	}
	s.zone, s.end, s.hasEnd = zone, 0, false
	return s
}

// over reports whether the bar of a row was over at the instant at.
func (s session) over(r *row, at time.Time) bool { return s.in(r.zone).final(r.at, at) }

// zones are time zones that rows name, loaded once each.
type zones struct{ loaded sync.Map }

// find gives the zone of that name, nil if it is the source's own.
func (z *zones) find(name string, own *time.Location) (*time.Location, error) {
	if name == own.String() {
		return nil, nil
	}
	if zone, ok := z.loaded.Load(name); ok {
		return zone.(*time.Location), nil
	}
	zone, err := loadZone(name)
	if err != nil {
		return nil, err
	}
	z.loaded.Store(name, zone)
	return zone, nil
}

// zoneless are the forms of a date and time that name no zone.
var zoneless = []string{"2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02T15:04"}

// read understands a bar's time as the source said it: a date, a time with or
// without a zone (then it is the exchange's), or a number of seconds or milliseconds
// since 1970. It gives the text of the raw document, which for a daily bar is a
// date, and the bar's Ts. What it does not understand it leaves as it is.
func (s session) read(v any) (text string, ts time.Time, ok bool) {
	switch v := v.(type) {
	case string:
		return s.readText(v)
	case json.Number, int, float64, *big.Int:
		f := number(v)
		if a := math.Abs(f); a >= 1e11 && a < 1e15 {
			return s.write(time.UnixMilli(int64(f)))
		} else if a < 1e11 {
			return s.write(time.UnixMilli(int64(f * 1000)))
		}
	}
	return "", time.Time{}, false
}

// said gives the text of a raw document for a time, nil for none, and the Ts if it is
// understood.
func (s session) said(v any) (text any, ts time.Time, known bool) {
	switch v := v.(type) {
	case nil:
		return nil, ts, false
	case bool:
		return fmt.Sprint(v), ts, false
	}
	read, ts, known := s.read(v)
	if read == "" {
		read = scalar(v)
	}
	return read, ts, known
}

func (s session) readText(v string) (string, time.Time, bool) {
	if t, err := time.Parse(time.DateOnly, v); err == nil {
		if s.interval.Daily() {
			return v, t, true
		}
		return v, time.Time{}, false // a date does not say which bar of the day
	}
	if t, err := time.Parse(time.RFC3339, v); err == nil {
		if s.interval.Daily() && t.Equal(t.UTC().Truncate(24*time.Hour)) && strings.HasSuffix(v, "Z") {
			t = t.UTC() // a date with an empty time, not midnight at Greenwich
			return t.Format(time.DateOnly), t, true
		}
		return s.write(t)
	}
	for _, layout := range zoneless {
		if t, err := time.ParseInLocation(layout, v, s.zone); err == nil {
			return s.write(t)
		}
	}
	return v, time.Time{}, false
}

// write gives the text and the Ts of the bar that holds the instant t.
func (s session) write(t time.Time) (string, time.Time, bool) {
	if !s.interval.Daily() {
		t = t.UTC()
		return t.Format(time.RFC3339Nano), t, true
	}
	t = s.date(t)
	return t.Format(time.DateOnly), t, true
}

// date is the date at the exchange at the instant t, as 00:00 UTC.
func (s session) date(t time.Time) time.Time {
	y, m, d := t.In(s.zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// instant is the beginning of the bar with this Ts: for a daily bar midnight at the
// exchange.
func (s session) instant(ts time.Time) time.Time {
	if !s.interval.Daily() {
		return ts
	}
	y, m, d := ts.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, s.zone)
}

// final reports whether the bar with this Ts was over at the instant at.
func (s session) final(ts, at time.Time) bool {
	if !s.interval.Daily() {
		return !at.Before(ts.Add(s.interval.Duration()))
	}
	y, m, d := ts.Date()
	over := time.Date(y, m, d+1, 0, 0, 0, 0, s.zone)
	if s.hasEnd {
		hour, minute := int(s.end/time.Hour), int(s.end%time.Hour/time.Minute)
		over = time.Date(y, m, d, hour, minute, 0, 0, s.zone).Add(s.settle)
	}
	return !at.Before(over)
}

// next is the first Ts after all bars that have begun at the instant t.
func (s session) next(t time.Time) time.Time {
	if s.interval.Daily() {
		return s.date(t).AddDate(0, 0, 1)
	}
	step := s.interval.Duration()
	return t.UTC().Truncate(step).Add(step)
}

// last is the Ts of the last bar before to: what an API that includes its end wants.
func (s session) last(to time.Time) time.Time {
	if s.interval.Daily() {
		return to.AddDate(0, 0, -1)
	}
	return to.Add(-s.interval.Duration())
}
