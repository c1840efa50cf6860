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
	f := strings.Fields(strings.TrimSuffix(strings.TrimPrefix(expr, "cron("), ")"))
	local := t.In(zone)
	shown := local.Format("2006-01-02 15:04")
	for back := time.Minute; back <= 3*time.Hour; back += time.Minute {
		if t.Add(-back).In(zone).Format("2006-01-02 15:04") == shown {
			return false
		}
	}
	const monthNames, dayNames = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC", "SUN MON TUE WED THU FRI SAT"
	return local.Second() == 0 && among(f[0], local.Minute(), 0, 59, "") && among(f[1], local.Hour(), 0, 23, "") &&
		onDay(f[2], local) && among(f[3], int(local.Month()), 1, 12, monthNames) &&
		onWeekday(f[4], local, dayNames) && among(f[5], local.Year(), 1970, 2199, "")
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
	switch {
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

// zones have clock changes of one hour, of half an hour, at midnight and of a whole day.
var zones = []string{"UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "America/Havana", "Asia/Beirut", "Africa/Cairo", "America/Santiago", "Asia/Kathmandu"}

// agree compares a stretch of minutes with the tables.
func agree(t *testing.T, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 5))
	expr, zone := expression(r), zone(t, zones[r.IntN(len(zones))])
	s, err := schedule.Parse(expr, zone)
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(r.IntN(365*24*60)) * time.Minute)
	if r.IntN(2) == 0 { // where clocks change
		if _, end := begin.In(zone).ZoneBounds(); !end.IsZero() && end.Year() < 2028 {
			begin = end.UTC().Add(-time.Duration(r.IntN(26*60)) * time.Minute)
		}
	}
	next, ok := s.Next(begin)
	for at := begin.Add(time.Minute); at.Before(begin.Add(50 * time.Hour)); at = at.Add(time.Minute) {
		if want := fires(expr, zone, at); want != (ok && next.Equal(at)) {
			t.Fatalf("seed %d: %s in %s after %v: next is %v (%t), fires at %v: %t", seed, expr, zone, begin, next, ok, at, want)
		} else if want {
			next, ok = s.Next(at)
		}
	}
	if ok && !fires(expr, zone, next) {
		t.Fatalf("seed %d: %s in %s: does not fire at %v", seed, expr, zone, next)
	}
}

func TestTables(t *testing.T) {
	n := uint64(60)
	if testing.Short() {
		n = 20
	}
	for seed := range n {
		agree(t, seed)
	}
}

func FuzzTables(f *testing.F) {
	f.Add(uint64(1000))
	f.Fuzz(agree)
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
