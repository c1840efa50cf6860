package schedule_test

import (
	"fmt"
	"time"

	"github.com/tickerlake/tickerlake/schedule"
)

func ExampleParse() {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := schedule.Parse("cron(30 2 ? * SAT,SUN *)", berlin)
	if err != nil {
		fmt.Println(err)
		return
	}
	at := time.Date(2026, 3, 27, 0, 0, 0, 0, time.UTC)
	for range 3 {
		at, _ = s.Next(at)
		fmt.Println(at.In(berlin)) // half past two is skipped on the 29th
	}
	// Output:
	// 2026-03-28 02:30:00 +0100 CET
	// 2026-04-04 02:30:00 +0200 CEST
	// 2026-04-05 02:30:00 +0200 CEST
}

// A program that was down over the firings of three days makes up for one.
func ExampleSchedule_Due() {
	s, err := schedule.Parse("cron(0 18 * * ? *)", time.UTC)
	if err != nil {
		fmt.Println(err)
		return
	}
	last := time.Date(2026, 11, 20, 18, 0, 0, 0, time.UTC) // what Due gave then, kept on disk
	now := time.Date(2026, 11, 24, 7, 0, 0, 0, time.UTC)
	for range 3 {
		due, ok := s.Due(last, now)
		if !ok {
			break
		}
		begin := due
		if due.After(now) { // what was missed has waited already
			begin = schedule.Spread(due, 15*time.Minute, "a source")
		}
		fmt.Println(due.Format(time.DateTime), begin.Sub(due) < 15*time.Minute)
		last, now = due, begin.Add(time.Minute) // carried out
	}
	// Output:
	// 2026-11-24 07:00:00 true
	// 2026-11-24 18:00:00 true
	// 2026-11-25 18:00:00 true
}
