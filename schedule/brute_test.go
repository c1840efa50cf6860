package schedule_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake/schedule"
)

// fires says whether an expression of cron fires at an instant, from the tables of the
// guide alone: what clocks in the zone show, field by field, and whether they have shown
// it before.
func fires(expr string, zone *time.Location, t time.Time) bool {
	f := fieldsOf(expr)
	local := t.In(zone)
	if local.Second() != 0 || !among(f[0], local.Minute(), 0, 59, "") || !among(f[1], local.Hour(), 0, 23, "") || !onDate(expr, local) {
		return false
	}
	shown := func(t time.Time) int64 {
		_, offset := t.In(zone).Zone()
		return t.Unix() + int64(offset)
	}
	for back := time.Minute; back <= 5*time.Hour; back += time.Minute {
		if shown(t.Add(-back)) == shown(t) {
			return false
		}
	}
	return true
}

// onDate says whether an expression may fire on the date that clocks show.
func onDate(expr string, local time.Time) bool {
	const monthNames, dayNames = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC", "SUN MON TUE WED THU FRI SAT"
	f := fieldsOf(expr)
	return onDay(f[2], local) && among(f[3], int(local.Month()), 1, 12, monthNames) &&
		onWeekday(f[4], local, dayNames) && among(f[5], local.Year(), 1970, 2199, "")
}

func fieldsOf(expr string) []string {
	return strings.Fields(strings.TrimSuffix(strings.TrimPrefix(expr, "cron("), ")"))
}

// bruteNext walks on from an instant, by minutes on dates that may fire and by hours
// elsewhere, and gives the first firing not after a limit.
func bruteNext(expr string, zone *time.Location, after, limit time.Time) (time.Time, bool) {
	t := after.Truncate(time.Minute).Add(time.Minute)
	for !t.After(limit) {
		if !onDate(expr, t.In(zone)) && !onDate(expr, t.Add(time.Hour).In(zone)) {
			t = t.Add(time.Hour)
			continue
		}
		if fires(expr, zone, t) {
			return t, true
		}
		t = t.Add(time.Minute)
	}
	return time.Time{}, false
}

func among(list string, value, low, high int, names string) bool {
	number := func(s string) int {
		if i := slices.Index(strings.Fields(names), strings.ToUpper(s)); i >= 0 {
			return low + i
		}
		n, err := strconv.Atoi(s)
		if err != nil {
			panic(s)
		}
		return n
	}
	for _, item := range strings.Split(list, ",") {
		span, step, stepped := strings.Cut(item, "/")
		a, b := low, high
		if l, h, ranged := strings.Cut(span, "-"); ranged {
			a, b = number(l), number(h)
		} else if span != "*" {
			if a = number(span); !stepped {
				b = a
			}
		}
		n := 1
		if stepped {
			n = number(step)
		}
		for v := a; ; v++ {
			if v > high {
				v = low // only hours wrap
			}
			distance := v - a
			if v < a {
				distance += high - low + 1
			}
			if v == value && distance%n == 0 {
				return true
			}
			if v == b {
				break
			}
		}
	}
	return false
}

func monthLength(t time.Time) int {
	return time.Date(t.Year(), t.Month()+1, 0, 12, 0, 0, 0, time.UTC).Day()
}

func onDay(field string, local time.Time) bool {
	length := monthLength(local)
	// The working day nearest to a day, looked for outwards, within the month.
	near := func(day int) int {
		for d := 0; ; d++ {
			for _, x := range []int{day - d, day + d} {
				if w := time.Date(local.Year(), local.Month(), x, 12, 0, 0, 0, time.UTC).Weekday(); x >= 1 && x <= length && w != time.Saturday && w != time.Sunday {
					return x
				}
			}
		}
	}
	switch field = strings.ToUpper(field); {
	case field == "?":
		return true
	case field == "L":
		return local.Day() == length
	case field == "LW":
		return local.Day() == near(length)
	case strings.HasSuffix(field, "W"):
		n, _ := strconv.Atoi(strings.TrimSuffix(field, "W"))
		return n <= length && local.Day() == near(n)
	}
	return among(field, local.Day(), 1, 31, "")
}

func onWeekday(field string, local time.Time, names string) bool {
	day := int(local.Weekday()) + 1
	field = strings.ToUpper(field)
	if name, nth, is := strings.Cut(field, "#"); is {
		return among(name, day, 1, 7, names) && strconv.Itoa((local.Day()-1)/7+1) == nth
	}
	if n, is := strings.CutSuffix(field, "L"); is && n != "" {
		return strconv.Itoa(day) == n && local.Day()+7 > monthLength(local)
	}
	switch field {
	case "?":
		return true
	case "L":
		return local.Weekday() == time.Saturday
	}
	return among(field, day, 1, 7, names)
}

// expression makes a cron of random fields.
func expression(r *rand.Rand) string {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	number := func(low, high int) string { return strconv.Itoa(low + r.IntN(high-low+1)) }
	field := func(low, high int) string {
		a := low + r.IntN(high-low+1)
		return pick("*", number(low, high), number(low, high), strconv.Itoa(a)+"-"+number(a, high),
			number(low, high)+","+number(low, high), "*/"+number(1, high), number(low, high)+"/"+number(1, high),
			strconv.Itoa(a)+"-"+number(a, high)+"/"+number(1, high)+","+number(low, high))
	}
	hours := field(0, 23)
	if r.IntN(5) == 0 {
		hours = number(0, 23) + "-" + number(0, 23)
	}
	month, week := pick(field(1, 31), "L", "LW", number(1, 31)+"W"), "?"
	if r.IntN(2) == 0 {
		month, week = "?", pick(field(1, 7), "MON-FRI", "sun,Wed", "L", number(1, 7)+"L", number(1, 7)+"#"+number(1, 5), "fri#2")
	}
	years := "*"
	if r.IntN(4) == 0 {
		years = pick("2026", "2025-2027", "2026/2", "2030,2026")
	}
	return fmt.Sprintf("cron(%s %s %s %s %s %s)", field(0, 59), hours, month, pick("*", "*", "*", field(1, 12), "MAR,OCT-NOV"), week, years)
}

// zones have clock changes of one hour, of half an hour, at midnight and a minute after
// it, twice a year more for Ramadan, and of a whole day.
var zones = []string{"UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "America/Havana", "America/St_Johns",
	"Asia/Beirut", "Africa/Cairo", "Africa/Casablanca", "America/Santiago", "Asia/Kathmandu", "Pacific/Apia", "Antarctica/Troll"}

// walk compares firings with those of the brute force: within two days of an instant all
// of them, then the next one, and that there is none before it within the days given.
func walk(t *testing.T, s *schedule.Schedule, zone *time.Location, begin time.Time, days int) {
	t.Helper()
	at, near, far := begin, begin.Add(48*time.Hour), begin.AddDate(0, 0, days)
	for !at.After(near) {
		limit := near
		if at.Equal(begin) {
			limit = far
		}
		want, known := bruteNext(s.String(), zone, at, limit)
		got, ok := s.Next(at)
		switch {
		case ok && !got.After(at):
			t.Fatalf("%s in %s: after %v fires %v", s, zone, at, got)
		case known && (!ok || !got.Equal(want)):
			t.Fatalf("%s in %s: after %v fires %v (%t), want %v", s, zone, at, got, ok, want)
		case !known && ok && (!got.After(limit) || !fires(s.String(), zone, got)):
			t.Fatalf("%s in %s: fires at %v, which it should not", s, zone, got)
		}
		if !ok {
			return
		}
		at = got
	}
}

// instant gives a random one, half of the time about where clocks change.
func instant(r *rand.Rand, zone *time.Location) time.Time {
	t := time.Date(1975+r.IntN(75), 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(r.IntN(365*24*60*60)) * time.Second)
	if r.IntN(2) == 0 {
		t = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(r.IntN(365*24*60)) * time.Minute)
	}
	if _, end := t.In(zone).ZoneBounds(); !end.IsZero() && r.IntN(2) == 0 {
		t = end.UTC().Add(-time.Duration(r.IntN(26*60)) * time.Minute)
	}
	return t
}

// TestTables compares random expressions with the tables.
func TestTables(t *testing.T) {
	n := uint64(400)
	if testing.Short() {
		n = 100
	}
	for seed := range n {
		r := rand.New(rand.NewPCG(seed, 5))
		expr, zone := expression(r), zone(t, zones[r.IntN(len(zones))])
		s, err := schedule.Parse(expr, zone)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		walk(t, s, zone, instant(r, zone), 100)
	}
}

// FuzzNext: whatever is taken fires after the instant asked for, a cron as the tables say.
func FuzzNext(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 5))
	for range 100 {
		z := r.IntN(len(zones))
		f.Add(expression(r), uint8(z), instant(r, zone(f, zones[z])).Unix())
	}
	f.Add("rate(7 minutes)", uint8(1), int64(1_800_000_000))
	f.Add("at(2026-03-29T02:30:00)", uint8(2), int64(1_770_000_000))
	f.Fuzz(func(t *testing.T, text string, z uint8, unix int64) {
		zone := zone(t, zones[int(z)%len(zones)])
		s, err := schedule.Parse(text, zone)
		if err != nil {
			return
		}
		// From 1973, when the last zone left odd seconds, to 2199.
		after := time.Unix(100_000_000+int64(uint64(unix)%7_100_000_000), 0).UTC()
		if strings.HasPrefix(text, "cron") {
			walk(t, s, zone, after, 20)
		}
		for _, s := range []*schedule.Schedule{s, s.From(time.Unix(unix%(1<<40), unix%1000))} {
			if at, ok := s.Next(after); ok && !at.After(after) {
				t.Fatalf("%s: after %v fires %v", s, after, at)
			}
		}
	})
}

// FuzzParse: whatever the text, an answer comes soon, and what is taken is stable.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"cron(0/15 9-16 ? * MON-FRI *)", "rate(5 minutes)", "at(2026-11-20T13:00:00)", "cron(0 0 29 2 ? 2027/4)", "cron(0 0 LW * ? *)", "cron(0 0 ? * 6#5 *)"} {
		f.Add(text, int64(1_800_000_000))
	}
	f.Fuzz(func(t *testing.T, text string, unix int64) {
		after := time.Unix(unix%(1<<33), 0)
		for _, parse := range []func(string) (*schedule.Schedule, error){
			schedule.ParseGlue, func(s string) (*schedule.Schedule, error) { return schedule.Parse(s, nil) },
		} {
			s, err := parse(text)
			if err != nil {
				continue
			}
			again, err := parse(s.String())
			if err != nil {
				t.Fatal(err)
			}
			a, ok := s.Next(after)
			b, same := again.Next(after)
			if ok != same || !a.Equal(b) || ok && !a.After(after) {
				t.Fatalf("%q after %v: %v %t, %v %t", text, after, a, ok, b, same)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for _, text := range []string{"rate(5 minutes)", "cron(0/15 9-16 ? * MON-FRI *)", "at(2026-11-20T13:00:00)", "cron(0 18 * * MON *)"} {
		b.Run(text, func(b *testing.B) {
			for b.Loop() {
				_, _ = schedule.Parse(text, time.UTC)
			}
		})
	}
}

func BenchmarkNext(b *testing.B) {
	for _, text := range []string{"rate(5 minutes)", "cron(* * * * ? *)", "cron(0/15 9-16 ? * MON-FRI *)", "cron(0 18 ? * 6#5 *)", "cron(0 12 29 2 ? *)", "cron(0 12 30 2 ? *)"} {
		b.Run(text, func(b *testing.B) {
			s, err := schedule.Parse(text, time.UTC)
			if err != nil {
				b.Fatal(err)
			}
			at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
			for b.Loop() {
				s.Next(at)
			}
		})
	}
}
