package schedule

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A days says which days of a month fire.
type days struct {
	ofMonth []int // ascending; none if it says nothing
	ofWeek  []int // 1 is Sunday
	last    bool  // the last of the month: a day, with nearest one from Monday to Friday, with weekday that
	nearest int   // the day from Monday to Friday that is nearest to this one; with last any value
	weekday int   // with last or nth
	nth     int   // that weekday of the month
}

func readDays(month, week string, glue bool) (d days, why string) {
	if (month == "?") == (week == "?") {
		return d, fmt.Sprintf("day-of-month is %s and day-of-week %s: one of them, and only one, has to be ?, as in cron(0 18 ? * MON-FRI *)", month, week)
	}
	if week == "?" {
		d, why = readMonthDays(month)
		return d, prefixed(dayField.name, why)
	}
	d, why = readWeekDays(week, glue)
	return d, prefixed(weekField.name, why)
}

func prefixed(field, why string) string {
	if why == "" {
		return ""
	}
	return field + ": " + why
}

// hinted adds what may stand alone to what a value may be.
func hinted(why, alone string) string {
	if strings.Contains(why, ": want ") {
		why += ", or alone " + alone
	}
	return why
}

func readMonthDays(text string) (d days, why string) {
	switch near, is := strings.CutSuffix(upper(text), "W"); {
	case upper(text) == "L":
		return days{last: true}, ""
	case upper(text) == "LW":
		return days{last: true, nearest: 1}, ""
	case is:
		if n, ok := digits(near); ok && n >= dayField.min && n <= dayField.max {
			return days{nearest: n}, ""
		}
		return d, fmt.Sprintf("%q: want a day from 1 to 31 before W, as in 15W, or LW", text)
	}
	d.ofMonth, why = dayField.read(text)
	return d, hinted(why, "L, LW or 15W")
}

func readWeekDays(text string, glue bool) (d days, why string) {
	if strings.Contains(text, "#") {
		if glue {
			return d, fmt.Sprintf("%q: # is not known to a trigger of a workflow", text)
		}
		day, n, _ := strings.Cut(text, "#")
		if d.weekday, why = weekField.value(day); why != "" {
			return d, why
		}
		if nth, ok := digits(n); ok && len(n) == 1 && nth >= 1 && nth <= 5 {
			d.nth = nth
			return d, ""
		}
		return d, fmt.Sprintf("%q: want a number from 1 to 5 after #, and it alone, as in 6#2 for the second Friday", text)
	}
	if upper(text) == "L" {
		return days{ofWeek: []int{7}}, ""
	}
	if day, is := strings.CutSuffix(upper(text), "L"); is {
		if n, ok := digits(day); ok && n >= weekField.min && n <= weekField.max {
			return days{last: true, weekday: n}, ""
		}
		return d, fmt.Sprintf("%q: want a day from 1 to 7 before L, as in 6L for the last Friday", text)
	}
	d.ofWeek, why = weekField.read(text)
	return d, hinted(why, "L, 6L or 6#2")
}

// in gives the days of a month that fire, ascending.
func (d days) in(year int, month time.Month) []int {
	length := time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
	weekday := func(day int) int { return int(time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Weekday()) + 1 }
	switch {
	case d.last && d.weekday != 0:
		return []int{length - (weekday(length)-d.weekday+7)%7}
	case d.last && d.nearest != 0:
		return []int{nearest(length, length, weekday)}
	case d.last:
		return []int{length}
	case d.nearest > length:
		return nil
	case d.nearest != 0:
		return []int{nearest(d.nearest, length, weekday)}
	case d.nth != 0:
		day := 1 + (d.weekday-weekday(1)+7)%7 + 7*(d.nth-1)
		if day > length {
			return nil
		}
		return []int{day}
	}
	var out []int
	for day := 1; day <= length; day++ {
		if slices.Contains(d.ofMonth, day) || slices.Contains(d.ofWeek, weekday(day)) {
			out = append(out, day)
		}
	}
	return out
}

// nearest gives the day from Monday to Friday that is nearest to a day of the month, and
// in it.
func nearest(day, length int, weekday func(int) int) int {
	switch weekday(day) {
	case 1: // Sunday
		if day == length {
			return day - 2
		}
		return day + 1
	case 7: // Saturday
		if day == 1 {
			return day + 2
		}
		return day - 1
	}
	return day
}
