package schedule

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A cron fires at every minute on the wall that all its fields hold.
type cron struct {
	minutes, hours, months, years []int // ascending
	days
}

// A field is one of the six.
type field struct {
	name     string
	min, max int
	names    string // of its values, three letters each
}

var (
	minuteField = field{name: "minutes", max: 59}
	hourField   = field{name: "hours", max: 23}
	dayField    = field{name: "day-of-month", min: 1, max: 31}
	monthField  = field{name: "month", min: 1, max: 12, names: "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"}
	weekField   = field{name: "day-of-week", min: 1, max: 7, names: "SUNMONTUEWEDTHUFRISAT"}
	yearField   = field{name: "year", min: 1970, max: 2199}
)

// gluePace is how many minutes Glue wants between two firings.
const gluePace = 5

func readCron(text string, glue bool) (_ firing, why string) {
	fields := strings.FieldsFunc(text, func(c rune) bool { return c == ' ' })
	if len(fields) != 6 {
		return nil, fmt.Sprintf("it has %d fields: want 6, minutes hours day-of-month month day-of-week year, as in cron(0 18 ? * MON-FRI *)", len(fields))
	}
	var c cron
	for _, f := range []struct {
		field
		text string
		to   *[]int
	}{
		{minuteField, fields[0], &c.minutes}, {hourField, fields[1], &c.hours},
		{monthField, fields[3], &c.months}, {yearField, fields[5], &c.years},
	} {
		if *f.to, why = f.read(f.text); why != "" {
			return nil, f.name + ": " + why
		}
	}
	if c.days, why = readDays(fields[2], fields[4], glue); why != "" {
		return nil, why
	}
	if glue {
		for i := 1; i < len(c.minutes); i++ {
			if apart := c.minutes[i] - c.minutes[i-1]; apart < gluePace {
				return nil, fmt.Sprintf("minutes: %d and %d are %d minutes apart: a trigger of a workflow fires every %d minutes at most", c.minutes[i-1], c.minutes[i], apart, gluePace)
			}
		}
	}
	return c, ""
}

// read reads a list of values, ranges and steps.
func (f field) read(text string) (values []int, why string) {
	for item := range strings.SplitSeq(text, ",") {
		part, why := f.item(item)
		if why != "" {
			return nil, why
		}
		values = append(values, part...)
	}
	slices.Sort(values)
	return slices.Compact(values), ""
}

func (f field) item(text string) (values []int, why string) {
	span, stepText, stepped := strings.Cut(text, "/")
	step := 1
	if stepped {
		var ok bool
		if step, ok = digits(stepText); !ok || step < 1 || step > f.max {
			return nil, fmt.Sprintf("%q: want a step from 1 to %d after /, as in %d/5", text, f.max, f.min)
		}
	}
	var from, to int
	low, high, ranged := strings.Cut(span, "-")
	switch {
	case span == "*":
		from, to = f.min, f.max
	case ranged:
		if from, why = f.value(low); why != "" {
			return nil, why
		}
		if to, why = f.value(high); why != "" {
			return nil, why
		}
	default:
		if from, why = f.value(span); why != "" {
			return nil, why
		}
		if to = from; stepped {
			to = f.max
		}
	}
	if to < from {
		if f.name != hourField.name {
			return nil, fmt.Sprintf("%q runs backwards: write it as a list", text)
		}
		to += f.max + 1
	}
	for v := from; v <= to; v += step {
		values = append(values, (v-f.min)%(f.max-f.min+1)+f.min)
	}
	return values, ""
}

// value reads a number or a name.
func (f field) value(text string) (int, string) {
	if i := strings.Index(f.names, upper(text)); len(text) == 3 && i >= 0 && i%3 == 0 {
		return f.min + i/3, ""
	}
	n, ok := digits(text)
	switch {
	case text == "":
		return 0, "a value is missing: want " + f.bounds()
	case !ok:
		return 0, fmt.Sprintf("%q: want %s", text, f.bounds())
	case n < f.min || n > f.max:
		return 0, fmt.Sprintf("%d is out of range: want %s", n, f.bounds())
	}
	return n, ""
}

// upper makes a to z large, and leaves letters alone that only look like one of them when
// they are large, as the long s.
func upper(s string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' {
			return c - 'a' + 'A'
		}
		return c
	}, s)
}

func (f field) bounds() string {
	s := fmt.Sprintf("%d to %d", f.min, f.max)
	if f.names != "" {
		s += fmt.Sprintf(" or %s to %s", f.names[:3], f.names[len(f.names)-3:])
	}
	return s
}

// next walks the days that may fire, and the minutes of each.
func (c cron) next(s *Schedule, after time.Time) (time.Time, bool) {
	local := after.In(s.zone)
	year, month, day := local.Date()
	for _, y := range from(c.years, year) {
		for _, m := range from(c.months, first(y == year, int(month), 1)) {
			for _, d := range from(c.in(y, time.Month(m)), first(y == year && m == int(month), day, 1)) {
				if at, ok := c.within(time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC), s.zone, after); ok {
					return at, true
				}
			}
		}
	}
	return time.Time{}, false
}

// within gives the first firing of a day after an instant.
func (c cron) within(day time.Time, zone *time.Location, after time.Time) (time.Time, bool) {
	for _, h := range c.hours {
		// Each minute of an hour comes first before its last one does.
		if last, ok := onWall(day.Add(time.Duration(h)*time.Hour+59*time.Minute), zone); ok && last.Before(after) {
			continue
		}
		for _, m := range c.minutes {
			at, exists := onWall(day.Add(time.Duration(h)*time.Hour+time.Duration(m)*time.Minute), zone)
			if exists && at.After(after) {
				return at, true
			}
		}
	}
	return time.Time{}, false
}

// from gives the values from least on.
func from(values []int, least int) []int {
	i, _ := slices.BinarySearch(values, least)
	return values[i:]
}

func first(is bool, then, otherwise int) int {
	if is {
		return then
	}
	return otherwise
}
