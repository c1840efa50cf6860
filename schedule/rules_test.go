package schedule_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake/schedule"
)

// TestRules has a case of each rule of the guide, worked out with a calendar.
func TestRules(t *testing.T) {
	for _, c := range []struct {
		rule, text, zone, after, want string
	}{
		{"1W on a Saturday is the Monday after", "cron(0 0 1W * ? *)", "UTC", "2026-07-31T00:00:00Z", "2026-08-03T00:00:00Z 2026-09-01T00:00:00Z"},
		{"a last day on a Sunday has its W the Friday before", "cron(0 0 31W * ? *)", "UTC", "2026-05-01T00:00:00Z", "2026-05-29T00:00:00Z 2026-07-31T00:00:00Z"},
		{"also in a month of 30 days", "cron(0 0 30W * ? 2030)", "UTC", "2030-06-01T00:00:00Z", "2030-06-28T00:00:00Z 2030-07-30T00:00:00Z"},
		{"LW", "cron(0 0 lw * ? *)", "UTC", "2026-01-01T00:00:00Z", "2026-01-30T00:00:00Z 2026-02-27T00:00:00Z 2026-03-31T00:00:00Z"},
		{"L in a leap year", "cron(0 0 L 2 ? *)", "UTC", "2027-03-01T00:00:00Z", "2028-02-29T00:00:00Z 2029-02-28T00:00:00Z"},
		{"a month without a 31st has no firing", "cron(0 0 31 * ? *)", "UTC", "2026-01-31T00:00:00Z", "2026-03-31T00:00:00Z 2026-05-31T00:00:00Z"},
		{"nor one without a fifth Friday", "cron(0 0 ? * fri#5 *)", "UTC", "2026-01-30T00:00:00Z", "2026-05-29T00:00:00Z 2026-07-31T00:00:00Z"},
		{"the last Friday", "cron(0 0 ? * 6L *)", "UTC", "2026-01-01T00:00:00Z", "2026-01-30T00:00:00Z 2026-02-27T00:00:00Z"},
		{"L of the week is Saturday", "cron(0 0 ? * l *)", "UTC", "2026-11-25T00:00:00Z", "2026-11-28T00:00:00Z 2026-12-05T00:00:00Z"},
		{"names have any case", "cron(0 0 ? jan,APR sat 2026)", "UTC", "2026-01-25T00:00:00Z", "2026-01-31T00:00:00Z 2026-04-04T00:00:00Z"},
		{"2/2 of the week", "cron(0 0 ? * 2/2 *)", "UTC", "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z 2026-11-25T00:00:00Z 2026-11-27T00:00:00Z 2026-11-30T00:00:00Z"},
		{"hours go over midnight on the days named", "cron(0 22-1 ? * MON *)", "UTC", "2026-11-23T00:30:00Z", "2026-11-23T01:00:00Z 2026-11-23T22:00:00Z 2026-11-23T23:00:00Z 2026-11-30T00:00:00Z"},
		{"a step begins at its value", "cron(10-40/15,59 8 * * ? *)", "UTC", "2026-11-25T08:10:00Z", "2026-11-25T08:25:00Z 2026-11-25T08:40:00Z 2026-11-25T08:59:00Z 2026-11-26T08:10:00Z"},
		{"years end", "cron(59 23 31 12 ? 2198/1)", "UTC", "2198-01-01T00:00:00Z", "2198-12-31T23:59:00Z 2199-12-31T23:59:00Z never"},
		{"and begin", "cron(0 0 1 1 ? *)", "UTC", "1800-01-01T00:00:00Z", "1970-01-01T00:00:00Z 1971-01-01T00:00:00Z"},
		{"what no calendar has never fires", "cron(0 0 30 2 ? *)", "UTC", "1970-01-01T00:00:00Z", "never"},
		{"eight years around 2100", "cron(0 0 29 2 ? *)", "UTC", "2096-01-01T00:00:00Z", "2096-02-29T00:00:00Z 2104-02-29T00:00:00Z"},

		{"a skipped time does not fire", "cron(30 2 * * ? *)", "America/New_York", "2026-03-07T00:00:00Z", "2026-03-07T07:30:00Z 2026-03-09T06:30:00Z"},
		{"a doubled time fires first", "cron(30 1 * * ? *)", "America/New_York", "2026-11-01T00:00:00Z", "2026-11-01T05:30:00Z 2026-11-02T06:30:00Z"},
		{"also east of Greenwich, by half an hour", "cron(45 1 * * ? *)", "Australia/Lord_Howe", "2026-04-04T00:00:00Z", "2026-04-04T14:45:00Z 2026-04-05T15:15:00Z"},
		{"every hour but the repeated one", "cron(0 * * * ? *)", "Europe/Berlin", "2026-10-24T23:30:00Z", "2026-10-25T00:00:00Z 2026-10-25T02:00:00Z"},
		{"a day that an island skipped", "cron(0 12 ? * FRI *)", "Pacific/Apia", "2011-12-28T00:00:00Z", "2012-01-05T22:00:00Z"},

		{"a rate fires at its start", "rate(1 hour)", "UTC", "2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z 2026-01-01T01:00:00Z"},
		{"and not at the instant asked for", "rate(1 hour)", "UTC", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z 2026-01-01T02:00:00Z"},
		{"a day of a rate has 24 hours", "rate(1 day)", "America/New_York", "2026-03-07T12:00:00Z", "2026-03-08T00:00:00Z 2026-03-09T00:00:00Z"},
		{"an at fires once", "at(2026-11-20T13:00:30)", "UTC", "2026-11-20T13:00:29Z", "2026-11-20T13:00:30Z never"},
	} {
		zone := zone(t, c.zone)
		s, err := schedule.Parse(c.text, zone)
		if err != nil {
			t.Errorf("%s: %v", c.rule, err)
			continue
		}
		at, err := time.Parse(time.RFC3339, c.after)
		if err != nil {
			t.Fatal(err)
		}
		s = s.From(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
		want := strings.Fields(c.want)
		var got []string
		for ok := true; len(got) < len(want) && ok; {
			if at, ok = s.Next(at); ok {
				got = append(got, at.Format(time.RFC3339))
			} else {
				got = append(got, "never")
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %s after %s fires %v, want %v", c.rule, c.text, c.after, got, want)
		}
	}
}

// TestRefused has what is refused, for a reason of the guide or because the service may
// read it otherwise.
func TestRefused(t *testing.T) {
	for _, text := range []string{
		"", "cron", "cron()", "CRON(0 18 * * ? *)", "cron(0 18 * * ? *", " cron(0 18 * * ? *)", "cron(0 18 * * ? *) UTC", "cron(0\t18 * * ? *)",
		"cron(0 0 18 * * ? *)", "cron(*/5 18 * ? *)", "cron(0 18 * * * *)", "cron(0 18 ? * ? *)", "cron(? 18 * * ? *)", "cron(0 18 ?,1 * ? *)",
		"cron(/15 18 * * ? *)", "cron(0/60 18 * * ? *)", "cron(0/-1 18 * * ? *)", "cron(0/5/5 18 * * ? *)", "cron(40-10 18 * * ? *)", "cron(*-5 18 * * ? *)",
		"cron(+1 18 * * ? *)", "cron(1,,2 18 * * ? *)", "cron(99999999999999999999 18 * * ? *)", "cron(\u0663 18 * * ? *)",
		"cron(0 18 0 * ? *)", "cron(0 18 L-3 * ? *)", "cron(0 18 1,L * ? *)", "cron(0 18 L15 * ? *)", "cron(0 18 0W * ? *)", "cron(0 18 WL * ? *)",
		"cron(0 18 1 JANUARY ? *)", "cron(0 18 1 ANF ? *)", "cron(0 18 ? * 8L *)", "cron(0 18 ? * FRIL *)", "cron(0 18 ? * MON-FRI#1 *)", "cron(0 18 ? * 6#02 *)",
		"cron(0 18 * * ? 1969)", "cron(0 18 * * ? 26)",
		"rate(0 minutes)", "rate(5)", "rate(5 minutes )", "rate( 5 minutes)", "rate(5  minutes)", "rate(5 Minutes)", "rate(1.5 hours)", "rate(+5 minutes)", "rate(9999999999 days)",
		"at(2026-11-20)", "at(2026-11-20 13:00:00)", "at(2026-11-20T13:00)", "at(2026-11-20T13:00:00Z)", "at(2026-11-20T13:00:00.5)", "at(2026-11-20T24:00:00)", "at(2027-02-29T10:00:00)",
	} {
		if _, err := schedule.Parse(text, nil); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	for _, text := range []string{"cron(1/4 6 * * ? *)", "cron(0,30,34 6 * * ? *)", "cron(* 6 * * ? *)", "cron(0 6 ? * 2#1 *)", "at(2026-11-20T13:00:00)"} {
		if _, err := schedule.ParseGlue(text); err == nil {
			t.Errorf("%q is taken for a trigger", text)
		}
	}
	for _, text := range []string{"cron(0/5 6 * * ? *)", "cron(0/7 * * * ? *)", "cron(0 6 15W * ? *)", "cron(0 6 ? * 2/2 *)"} {
		if _, err := schedule.ParseGlue(text); err != nil {
			t.Errorf("a trigger: %v", err)
		}
	}
}
