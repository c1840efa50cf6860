package tickerlake

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Duration is a length of time as the pipeline file writes it: a whole number
// and a unit, "30 minutes", "1 hour", "7 days"; a day is 24 hours.
type Duration time.Duration

var units = []struct {
	name string
	d    time.Duration
}{
	{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute},
	{"second", time.Second}, {"millisecond", time.Millisecond},
}

// ParseDuration reads a whole number and a unit in singular or plural.
func ParseDuration(s string) (Duration, error) {
	number, unit, _ := strings.Cut(strings.TrimSpace(s), " ")
	n, err := strconv.ParseInt(number, 10, 64)
	if err == nil && n >= 0 {
		for _, u := range units {
			if (unit == u.name || unit == u.name+"s") && n <= int64(1<<62)/int64(u.d) {
				return Duration(n * int64(u.d)), nil
			}
		}
	}
	return 0, fmt.Errorf("duration %q: want a whole number and a unit, such as 30 seconds, 5 minutes, 1 hour or 7 days", s)
}

// String writes d in the largest unit that divides it.
func (d Duration) String() string {
	for _, u := range units {
		if n := int64(d) / int64(u.d); d != 0 && int64(d)%int64(u.d) == 0 {
			if n == 1 {
				return "1 " + u.name
			}
			return strconv.FormatInt(n, 10) + " " + u.name + "s"
		}
	}
	return strconv.FormatInt(int64(d)/int64(time.Second), 10) + " seconds"
}

// UnmarshalText reads what ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) (err error) {
	*d, err = ParseDuration(string(text))
	return err
}

// MarshalText writes what String writes.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Earlier gives the earlier of two times, of which a zero one does not count.
func Earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Later gives the later of two times.
func Later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
