package schedule_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/schedule"
)

// A known is a line of the reference data: an expression and when it fires.
type known struct {
	ID, Expr, Zone string
	Valid          *bool
	Start          time.Time
	After          time.Time
	Next           []time.Time
	Never          bool
}

func reference(t *testing.T, name string) (out []known) {
	t.Helper()
	data := os.Getenv("TICKERLAKE_TESTDATA")
	if data == "" {
		t.Skip("TICKERLAKE_TESTDATA is not set: the reference data are not compared")
	}
	f, err := os.Open(filepath.Join(data, "schedule", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var k known
		if err := json.Unmarshal(lines.Bytes(), &k); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		out = append(out, k)
	}
	if err := lines.Err(); err != nil || len(out) == 0 {
		t.Fatalf("%s: %d lines, %v", name, len(out), err)
	}
	return out
}

// disagrees says how a schedule differs from the reference.
func (k known) disagrees(s *schedule.Schedule) string {
	if !k.Start.IsZero() {
		s = s.From(k.Start)
	}
	const asked = 8
	var got []time.Time
	at, ok := k.After, true
	for len(got) < asked {
		if at, ok = s.Next(at); !ok {
			break
		}
		got = append(got, at)
	}
	if !slices.EqualFunc(got, k.Next, time.Time.Equal) {
		return fmt.Sprintf("after %s fires %v, want %v", k.After, got, k.Next)
	}
	return ""
}

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestAgreement(t *testing.T) {
	for _, c := range []struct {
		name  string
		parse func(text string, zone *time.Location) (*schedule.Schedule, error)
	}{
		{"cron", schedule.Parse}, {"rate-at", schedule.Parse}, {"invalid", schedule.Parse},
		{"glue", func(text string, _ *time.Location) (*schedule.Schedule, error) { return schedule.ParseGlue(text) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := reference(t, c.name+".jsonl")
			agree := 0
			for _, k := range all {
				s, err := c.parse(k.Expr, zone(t, k.Zone))
				valid := c.name == "cron"
				if k.Valid != nil {
					valid = *k.Valid
				}
				switch {
				case valid != (err == nil):
					t.Errorf("%s: %s: valid is to be %t: %v", k.ID, k.Expr, valid, err)
				case err != nil:
					if tickerlake.CodeOf(err) != tickerlake.Invalid || !strings.Contains(err.Error(), "Invalid Schedule Expression "+k.Expr+". ") {
						t.Errorf("%s: %s: %v", k.ID, k.Expr, err)
						continue
					}
					agree++
				default:
					if why := k.disagrees(s); why != "" {
						t.Errorf("%s: %s in %s: %s", k.ID, k.Expr, k.Zone, why)
						continue
					}
					agree++
				}
			}
			fmt.Printf("schedule %s: %d of %d agree\n", c.name, agree, len(all))
		})
	}
}

// TestMessages has the exact words of a mistake of each kind.
func TestMessages(t *testing.T) {
	for text, want := range map[string]string{
		"rate(0 minutes)":          "want a whole number above zero and minutes, hours or days: rate(5 minutes)",
		"every 5 minutes":          "want rate(5 minutes), cron(0 18 ? * MON-FRI *) or at(2026-11-20T13:00:00)",
		"at(2026-02-30T10:00:00)":  "want a date and a time that exist, without a zone: at(2026-11-20T13:00:00)",
		"cron(0 18 * * *)":         "it has 5 fields: want 6, minutes hours day-of-month month day-of-week year, as in cron(0 18 ? * MON-FRI *)",
		"cron(0 18 * * MON *)":     "day-of-month is * and day-of-week MON: one of them, and only one, has to be ?, as in cron(0 18 ? * MON-FRI *)",
		"cron(60 18 * * ? *)":      "minutes: 60 is out of range: want 0 to 59",
		"cron(0 18 ? * MON-XYZ *)": `day-of-week: "XYZ": want 1 to 7 or SUN to SAT, or alone L, 6L or 6#2`,
		"cron(0 18 ? * ſun *)":     `day-of-week: "ſun": want 1 to 7 or SUN to SAT, or alone L, 6L or 6#2`, // a long s is not s
		"cron(0 18 ? * FRI-MON *)": `day-of-week: "FRI-MON" runs backwards: write it as a list`,
		"cron(0/0 18 * * ? *)":     `minutes: "0/0": want a step from 1 to 59 after /, as in 0/5`,
		"cron(0 18 W * ? *)":       `day-of-month: "W": want a day from 1 to 31 before W, as in 15W, or LW`,
		"cron(0 18 ? * 6#9 *)":     `day-of-week: "6#9": want a number from 1 to 5 after #, and it alone, as in 6#2 for the second Friday`,
		"cron(, 18 ? * 6 *)":       "minutes: a value is missing: want 0 to 59",
	} {
		_, err := schedule.Parse(text, nil)
		if want := "Invalid Schedule Expression " + text + ". " + want; err == nil || err.Error() != want {
			t.Errorf("%s gives\n%v, want\n%s", text, err, want)
		}
	}
}

func TestDue(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	parse := func(text string) *schedule.Schedule {
		s, err := schedule.Parse(text, nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for _, c := range []struct {
		text       string
		last, want time.Time
	}{
		{"rate(5 minutes)", time.Time{}, now},                            // a new one at once
		{"cron(0 18 * * ? *)", time.Time{}, now},                         //
		{"at(2026-11-25T18:00:00)", time.Time{}, now.Add(6 * time.Hour)}, // but for an at
		{"at(2026-11-25T06:00:00)", time.Time{}, now},                    // which may have been missed
		{"rate(5 minutes)", now.Add(-time.Minute), now.Add(4 * time.Minute)},
		{"rate(5 minutes)", now.Add(-time.Hour), now}, // many were missed: one is made up for
		{"cron(0 18 * * ? *)", now.Add(-72 * time.Hour), now},
		{"cron(0 18 * * ? *)", now.Add(-time.Hour), now.Add(6 * time.Hour)},
		{"at(2026-11-25T06:00:00)", now.Add(-time.Hour), time.Time{}},
		{"rate(5 minutes)", now.AddDate(1, 0, 0), now.Add(5 * time.Minute)}, // the clock was set back
		{"cron(0 18 * * ? *)", now.AddDate(1, 0, 0), now.Add(6 * time.Hour)},
	} {
		at, ok := parse(c.text).Due(c.last, now)
		if ok == c.want.IsZero() || ok && !at.Equal(c.want) {
			t.Errorf("%s, last fired %v: due %v %t, want %v", c.text, c.last, at, ok, c.want)
		}
	}
}

func TestSpread(t *testing.T) {
	firing := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	seen := map[time.Time]bool{}
	for _, name := range []string{"a", "b", "c", "d"} {
		for day := range 50 {
			f := firing.AddDate(0, 0, day)
			at := schedule.Spread(f, 15*time.Minute, name)
			if at.Before(f) || !at.Before(f.Add(15*time.Minute)) || !at.Equal(schedule.Spread(f.In(time.FixedZone("", 3600)), 15*time.Minute, name)) {
				t.Fatalf("%s %v is moved to %v", name, f, at)
			}
			if at.Nanosecond() != 0 {
				t.Fatalf("%s %v is moved to %v: want whole seconds", name, f, at)
			}
			seen[at.AddDate(0, 0, -day)] = true
		}
	}
	if len(seen) < 100 {
		t.Errorf("200 firings are spread over %d seconds", len(seen))
	}
	if at := schedule.Spread(firing, 0, "a"); !at.Equal(firing) {
		t.Error("without a window a firing is moved to", at)
	}
}

func TestDoubledAndSkippedAt(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	for text, want := range map[string]string{
		"at(2026-03-29T02:30:00)": "2026-03-29T01:30:00Z", // skipped: 03:30 there
		"at(2026-10-25T02:30:00)": "2026-10-25T00:30:00Z", // twice: the first
	} {
		s, err := schedule.Parse(text, berlin)
		if err != nil {
			t.Fatal(err)
		}
		if at, ok := s.Next(time.Unix(0, 0)); !ok || at.Format(time.RFC3339) != want {
			t.Errorf("%s is %v, want %s", text, at, want)
		}
	}
}

// TestGlueMessages has the words of what EventBridge takes and a trigger does not.
func TestGlueMessages(t *testing.T) {
	for text, want := range map[string]string{
		"rate(5 minutes)":         "a trigger of a workflow takes cron alone: want cron(0 18 ? * MON-FRI *), in UTC",
		"cron(0/2 8 * * ? *)":     "minutes: 0 and 2 are 2 minutes apart: a trigger of a workflow fires every 5 minutes at most",
		"cron(0 18 ? * 6#2 *)":    `day-of-week: "6#2": # is not known to a trigger of a workflow`,
		"cron(0 18 ? * MON-FRI *": "a trigger of a workflow takes cron alone: want cron(0 18 ? * MON-FRI *), in UTC",
	} {
		_, err := schedule.ParseGlue(text)
		if want := "Invalid Schedule Expression " + text + ". " + want; err == nil || err.Error() != want {
			t.Errorf("%s gives\n%v, want\n%s", text, err, want)
		}
	}
}

// TestFarStart has more years between start and firing than a time.Duration holds.
func TestFarStart(t *testing.T) {
	s, err := schedule.Parse("rate(1 day)", nil)
	if err != nil {
		t.Fatal(err)
	}
	s = s.From(time.Date(1600, 1, 1, 6, 0, 0, 5, time.UTC))
	after := time.Date(2026, 11, 25, 6, 0, 0, 5, time.UTC)
	if at, ok := s.Next(after.In(time.FixedZone("", 3600))); !ok || at != after.AddDate(0, 0, 1) {
		t.Errorf("fires %v", at)
	}
	if at, ok := s.Next(time.Date(2199, 12, 31, 12, 0, 0, 0, time.UTC)); ok {
		t.Errorf("fires %v, after 2199", at)
	}
}
