// Package schedule reads the schedule expressions of Amazon EventBridge Scheduler and of
// AWS Glue's triggers, and says when they fire.
//
// It is given a text and a time zone and hands on a Schedule:
//
//	rate(5 minutes)                 every so many minutes, hours or days of 24 hours
//	cron(0/15 9-16 ? * MON-FRI *)   minutes hours day-of-month month day-of-week year
//	at(2026-11-20T13:00:00)         once
//
// Source: EventBridge Scheduler User Guide, "Schedule types"; Glue Developer Guide,
// "Time-based schedules for jobs and crawlers". Both are UTC if no zone is given.
//
// # Fields of cron
//
//	minutes       0-59             , - * /
//	hours         0-23             , - * /    20-2 goes over midnight, on the days named
//	day-of-month  1-31             , - * / ? L W
//	month         1-12 or JAN-DEC  , - * /
//	day-of-week   1-7 or SUN-SAT   , - * / ? L #
//	year          1970-2199        , - * /
//
// One of the two fields of days, and only one, is ?. L is the last day of the month, LW
// its last day from Monday to Friday, 15W that nearest to the 15th within the month. In
// day-of-week L is Saturday, 6L the last Friday of the month, 6#2 the second. Letters may
// be small. What a month does not have (the 31st, a fifth Friday) does not fire in it.
//
// # Clock changes
//
// Each minute that a clock on the wall shows fires once: one that is skipped in spring
// does not fire that day, one that comes twice in autumn fires the first time. A rate is
// elapsed time, whatever clocks do.
//
// # Where the guides are silent
//
// Where one meaning is plain, it is taken: several spaces between the fields of cron, or
// around them, are as good as one; rate(5 minute) is rate(5 minutes); 2/2 in day-of-week is
// Monday, Wednesday, Friday; an at in an hour that the clocks skip is moved on by what they
// skip, rather than never done; 31W does not fire in a month without a 31st, as 31 does not.
//
// Where the service may read something else or refuse it, it is refused, with the plain way
// to write it: cron of five fields, as the API asks for six; a
// step beyond its field (0/90 minutes) or without a beginning (/15); a range that runs
// backwards other than of hours, and *-5; L, W and # within lists, L-3 and FRIL (write 6L);
// an empty item of a list; CRON( in capitals; 24:00:00; a unit in capitals.
//
// Glue's five minutes are asked between the minutes of an hour. 0/7 passes though 56 and
// the next hour's 0 are four minutes apart, as it fires no oftener for that.
package schedule

import (
	"hash/fnv"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake"
)

// A Schedule says when something is to happen. It does not change.
type Schedule struct {
	text  string
	zone  *time.Location
	start time.Time
	firing
}

// A firing gives the first time after another.
type firing interface {
	next(s *Schedule, after time.Time) (time.Time, bool)
}

// Parse reads an expression of EventBridge Scheduler in a time zone, nil for UTC. It
// fails with tickerlake.Invalid and says what is wrong and what would be right.
func Parse(text string, zone *time.Location) (*Schedule, error) {
	if zone == nil {
		zone = time.UTC
	}
	s := &Schedule{text: text, zone: zone}
	kind, inner, ok := form(text)
	if !ok {
		return nil, invalid("schedule.Parse", text, "want rate(5 minutes), cron(0 18 ? * MON-FRI *) or at(2026-11-20T13:00:00)")
	}
	var why string
	switch kind {
	case "rate":
		s.firing, why = readRate(inner)
	case "cron":
		s.firing, why = readCron(inner, false)
	case "at":
		s.firing, why = readAt(inner)
	}
	if why != "" {
		return nil, invalid("schedule.Parse", text, why)
	}
	return s, nil
}

// ParseGlue reads an expression of a trigger of AWS Glue: cron alone, in UTC, without #,
// and at least five minutes apart within the hour.
func ParseGlue(text string) (*Schedule, error) {
	kind, inner, ok := form(text)
	if !ok || kind != "cron" {
		return nil, invalid("schedule.ParseGlue", text, "a trigger of a workflow takes cron alone: want cron(0 18 ? * MON-FRI *), in UTC")
	}
	f, why := readCron(inner, true)
	if why != "" {
		return nil, invalid("schedule.ParseGlue", text, why)
	}
	return &Schedule{text: text, zone: time.UTC, firing: f}, nil
}

// form takes an expression apart.
func form(text string) (kind, inner string, ok bool) {
	for _, kind := range []string{"rate", "cron", "at"} {
		if inner, ok := strings.CutPrefix(text, kind+"("); ok {
			inner, ok = strings.CutSuffix(inner, ")")
			return kind, inner, ok
		}
	}
	return "", "", false
}

func invalid(op, text, why string) error {
	return tickerlake.Errorf(tickerlake.Invalid, op, "", "Invalid Schedule Expression %s. %s", text, why)
}

// String is the expression as it was given.
func (s *Schedule) String() string { return s.text }

// Zone is the time zone of cron and at.
func (s *Schedule) Zone() *time.Location { return s.zone }

// From gives the same schedule with a start, of which a rate counts: it fires then and
// after each interval. cron and at take no notice of it.
func (s *Schedule) From(start time.Time) *Schedule {
	t := *s
	t.start = start
	return &t
}

// Next gives the first firing after a time, in UTC, false if there is none up to the end
// of 2199. That of a rate without a start is an interval later.
func (s *Schedule) Next(after time.Time) (time.Time, bool) {
	at, ok := s.next(s, after)
	if !ok {
		return time.Time{}, false
	}
	return at.UTC(), true
}

// Due gives when the next firing is, now or later, false if there is none: last is what Due
// gave when it was carried out last, zero if it never was. Of the firings that were missed
// since then one is made up for, at once. What has never fired does so at once too, unless
// it is an at that is to come. A last after now says that the clock was set back: firings
// go on as if it were now.
func (s *Schedule) Due(last, now time.Time) (time.Time, bool) {
	_, once := s.firing.(at)
	switch {
	case last.After(now):
		last = now
	case !last.IsZero():
	case once:
		last = time.Unix(0, 0).UTC()
	default:
		return now, true
	}
	next, ok := s.Next(last)
	if ok && next.Before(now) {
		next = now
	}
	return next, ok
}

// Spread moves a firing into its flexible window: by the same part of it whenever it is
// asked, and by another for each name and firing, so that what is due at once does not
// happen at once. It is for firings to come: one that was missed has waited already. The
// last of Due is the firing itself, not where it was moved, or a rate would drift.
func Spread(firing time.Time, window time.Duration, name string) time.Time {
	if window <= 0 {
		return firing
	}
	h := fnv.New64a()
	b, _ := firing.UTC().MarshalBinary() // fails for no time in UTC
	_, _ = h.Write(append(b, name...))
	return firing.Add(time.Duration(h.Sum64() % uint64(window)).Truncate(time.Second))
}
