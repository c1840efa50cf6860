package tickerlake_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tickerlake/tickerlake"
)

var begin = time.Date(2026, 1, 5, 14, 25, 0, 0, time.UTC)

func TestPaceOfRealTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p tickerlake.Pace
		begun := time.Now()
		if err := p.Sleep(t.Context(), 90*time.Second); err != nil || time.Since(begun) != 90*time.Second {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
		at := time.Now().Add(time.Hour)
		if err := p.Until(t.Context(), at); err != nil || time.Now().Before(at) || time.Since(at) > 2*time.Millisecond {
			t.Errorf("%v at %s, want %s", err, time.Now(), at)
		}
	})
}

func TestPaceOfFastClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		p := tickerlake.Faster(time.Now, begun, begin, 600)
		if !p.Now().Equal(begin) {
			t.Errorf("the clock begins at %s", p.Now())
		}
		if err := p.Sleep(t.Context(), 10*time.Minute); err != nil || time.Since(begun) != time.Second || !p.Now().Equal(begin.Add(10*time.Minute)) {
			t.Errorf("%v: ten minutes took %s, the clock shows %s", err, time.Since(begun), p.Now())
		}
		at := begin.Add(24*time.Hour + 7)
		err := p.Until(t.Context(), at)
		if took := time.Since(begun); err != nil || p.Now().Before(at) || took < 144*time.Second || took > 144*time.Second+2*time.Millisecond {
			t.Errorf("%v: a day took %s, the clock shows %s", err, took, p.Now())
		}
		if got := p.Real(time.Hour); got != 6*time.Second {
			t.Errorf("an hour is %s", got)
		}
	})
}

// TestPaceWaitsForTheClock: who waits until a time goes by the clock, not by the timers.
func TestPaceWaitsForTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		woken := begun.Add(10 * time.Second)
		p := tickerlake.Pace{Clock: func() time.Time {
			now := time.Now()
			if now.After(woken) {
				now = now.Add(time.Hour) // the machine was asleep
			}
			return now
		}}
		if err := p.Until(t.Context(), begun.Add(time.Hour)); err != nil || time.Since(begun) > 12*time.Second {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
	})
}

func TestPaceEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		p := tickerlake.Pace{Clock: func() time.Time { return begin }} // stands still
		if err := p.Until(ctx, begin.Add(1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if err := p.Sleep(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if err := p.Until(ctx, begin); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}
