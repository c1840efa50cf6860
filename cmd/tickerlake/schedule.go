package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/schedule"
)

func (a *app) scheduleCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "schedule", Short: "Read schedule expressions",
		Example: "  tickerlake schedule next 'rate(5 minutes)'\n  tickerlake schedule next 'cron(0 18 ? * MON-FRI *)' --tz America/New_York", Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(a.scheduleNextCommand())
	return cmd
}

// A firings wish is what schedule next is asked.
type firingsWish struct {
	zone, after, start string
	n                  int
	glue               bool
}

// maxFirings bounds what schedule next prints.
const maxFirings = 10_000

func (a *app) scheduleNextCommand() *cobra.Command {
	var w firingsWish
	cmd := &cobra.Command{
		Use:   "next EXPR",
		Short: "Print when an expression fires next",
		Long: `Prints the next firings of a schedule expression of Amazon EventBridge Scheduler, as
the key schedule of a source has it, in its time zone and in UTC:

  rate(5 minutes)                  minutes, hours or days; counted from --start
  cron(0/15 9-16 ? * MON-FRI *)    minutes hours day-of-month month day-of-week year
  at(2026-11-20T13:00:00)          once

One of the two fields of days has to be ?. SUN is 1; L is the last day, 6L the last
Friday, 6#2 the second, 15W the day from Monday to Friday nearest to the 15th. A time
that clocks skip does not fire, one that comes twice fires the first time.`,
		Example: `  tickerlake schedule next "cron(0 18 ? * MON-FRI *)" --tz America/New_York
  tickerlake schedule next "cron(30 2 * * ? *)" --tz Europe/Berlin --after 2026-03-27 -n 4
  tickerlake schedule next "cron(0/10 * * * ? *)" --glue    # as a trigger of a workflow has it`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error { return a.firings(args[0], w) },
	}
	cmd.Flags().StringVar(&w.zone, "tz", "UTC", "time zone of the expression, a name of the IANA database")
	cmd.Flags().StringVar(&w.after, "after", "", "after this time (2026-03-27 or 2026-03-27T18:00:00Z, in UTC if it has no zone); default now")
	cmd.Flags().StringVar(&w.start, "start", "", "the start that a rate counts from, in the same forms; default that of --after")
	cmd.Flags().IntVarP(&w.n, "number", "n", 10, "how many firings")
	cmd.Flags().BoolVar(&w.glue, "glue", false, "read it as a trigger of a workflow does: AWS Glue's dialect, in UTC")
	return cmd
}

// A firingTime is a line of schedule next.
type firingTime struct {
	UTC   time.Time `json:"utc"`
	Local string    `json:"local"` // in the zone, with its offset
}

func (a *app) firings(text string, w firingsWish) error {
	if w.n < 1 || w.n > maxFirings {
		return tickerlake.Errorf(tickerlake.Invalid, "schedule next", "--number", "%d: want 1 to %d", w.n, maxFirings)
	}
	zone, err := time.LoadLocation(w.zone)
	if err != nil || w.zone == "Local" || w.zone == "" {
		return tickerlake.Errorf(tickerlake.Invalid, "schedule next", "--tz", "%q: want a name of the IANA database, such as America/New_York", w.zone)
	}
	var s *schedule.Schedule
	if w.glue {
		if zone != time.UTC && w.zone != "UTC" {
			return tickerlake.Errorf(tickerlake.Invalid, "schedule next", "--tz", "a trigger of a workflow is in UTC: leave --tz out")
		}
		s, err = schedule.ParseGlue(text)
	} else {
		s, err = schedule.Parse(text, zone)
	}
	if err != nil {
		return err
	}
	after := a.Clock()
	if w.after != "" {
		if after, err = parseMoment("--after", w.after); err != nil {
			return err
		}
	}
	if w.start != "" {
		start, err := parseMoment("--start", w.start)
		if err != nil {
			return err
		}
		s = s.From(start)
	}
	out := []firingTime{}
	for at := after; len(out) < w.n; {
		var more bool
		if at, more = s.Next(at); !more {
			break
		}
		out = append(out, firingTime{at, at.In(zone).Format("Mon 2006-01-02 15:04:05 -07:00")})
	}
	if a.json {
		return a.printJSON(out)
	}
	if len(out) == 0 {
		_, err := fmt.Fprintf(a.Stdout, "%s does not fire after %s\n", s, after.UTC().Format(time.DateTime+" UTC"))
		return err
	}
	rows := [][]string{{w.zone, "UTC"}}
	if w.zone == "UTC" {
		rows = [][]string{{"UTC"}}
	}
	for _, f := range out {
		row := []string{f.Local, f.UTC.Format(time.DateTime)}
		if w.zone == "UTC" {
			row = []string{f.UTC.Format("Mon " + time.DateTime)}
		}
		rows = append(rows, row)
	}
	return a.columns(rows)
}

// parseMoment reads a date or a time, in UTC if it says no zone.
func parseMoment(flag, text string) (time.Time, error) {
	for _, form := range []string{time.RFC3339, "2006-01-02T15:04:05", time.DateTime, time.DateOnly} {
		if t, err := time.Parse(form, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, tickerlake.Errorf(tickerlake.Invalid, "schedule next", flag, "%q: want a time such as 2026-03-27T18:00:00Z, or a date", text)
}
