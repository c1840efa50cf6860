package simulate

import "time"

// TradingDay reports whether the New York Stock Exchange trades on a date: a weekday
// that is none of the holidays of its Rule 7.2. Days on which it was closed for an
// event (storms, mourning) are not known.
func TradingDay(date time.Time) bool {
	switch date.Weekday() {
	case time.Saturday, time.Sunday:
		return false
	default:
		return !holiday(date)
	}
}

// The New York Stock Exchange opens at 9:30 and closes at 16:00, on some days at 13:00.
const (
	opens       = 9*time.Hour + 30*time.Minute
	closes      = 16 * time.Hour
	closesEarly = 13 * time.Hour
)

// closing is the time of day at which the exchange closes on a trading day.
func closing(date time.Time) time.Duration {
	if halfDay(date) {
		return closesEarly
	}
	return closes
}

// halfDay reports whether a trading day ends early: the eves of Independence Day and
// Christmas, and the day after Thanksgiving.
func halfDay(date time.Time) bool {
	year, month, day := date.Date()
	switch {
	case year < 1993:
		return false
	case month == time.July:
		return day == 3
	case month == time.November:
		return nth(date.AddDate(0, 0, -1), time.Thursday, 4)
	case month == time.December:
		return day == 24
	}
	return false
}

// dateOf is the date of a time, as 00:00 UTC.
func dateOf(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// at is the time of day on a date in a zone.
func at(date time.Time, clock time.Duration, zone *time.Location) time.Time {
	y, m, d := date.Date()
	return time.Date(y, m, d, int(clock/time.Hour), int(clock%time.Hour/time.Minute), 0, 0, zone)
}

func holiday(date time.Time) bool {
	year, month, day := date.Date()
	switch month {
	case time.January:
		// On a Saturday it is not made up for: Friday ends the year's accounts.
		return day == 1 || day == 2 && date.Weekday() == time.Monday ||
			year >= 1998 && nth(date, time.Monday, 3)
	case time.February:
		return nth(date, time.Monday, 3)
	case time.March, time.April:
		return date.Equal(easter(year).AddDate(0, 0, -2))
	case time.May:
		return date.Weekday() == time.Monday && day > 24
	case time.June:
		return year >= 2022 && observed(date, 19)
	case time.July:
		return observed(date, 4)
	case time.September:
		return nth(date, time.Monday, 1)
	case time.November:
		return nth(date, time.Thursday, 4)
	case time.December:
		return observed(date, 25)
	}
	return false
}

// nth reports whether date is the nth such weekday of its month.
func nth(date time.Time, weekday time.Weekday, n int) bool {
	return date.Weekday() == weekday && (date.Day()-1)/7 == n-1
}

// observed reports whether a holiday on this day of the month is kept on date: on
// Friday if it is a Saturday, on Monday if it is a Sunday.
func observed(date time.Time, day int) bool {
	switch date.Day() - day {
	case 0:
		return true
	case -1:
		return date.Weekday() == time.Friday
	case 1:
		return date.Weekday() == time.Monday
	}
	return false
}

// easter is Easter Sunday of a Gregorian year (Meeus, Jones and Butcher).
func easter(year int) time.Time {
	a, b, c := year%19, year/100, year%100
	d, e := b/4, b%4
	g := (8*b + 13) / 25
	h := (19*a + b - d - g + 15) % 30
	i, k := c/4, c%4
	l := (32 + 2*e + 2*i - h - k) % 7
	m := (a + 11*h + 22*l) / 451
	n := h + l - 7*m + 114
	return time.Date(year, time.Month(n/31), n%31+1, 0, 0, 0, 0, time.UTC)
}
