package tickerlake

import (
	"context"
	"time"
)

// The shortest and longest that a wait goes on before the clock is read again. A machine
// that was asleep, or whose clock was set, has another time than its timers think; and a
// clock that is behind its timers must not keep a processor busy.
const (
	paceLeast = time.Millisecond
	paceMost  = time.Second
)

// A Pace is a clock, how fast it runs, and how to wait by it. The zero Pace is real time.
type Pace struct {
	// Clock is time.Now if nil.
	Clock Clock
	// Speed is how many seconds of the clock go by in a real one; 0 stands for 1.
	Speed float64
}

// Faster is the pace of a clock that showed start when it really was begun, and has run
// speed times as fast as real ever since.
func Faster(real Clock, begun, start time.Time, speed float64) Pace {
	return Pace{Speed: speed, Clock: func() time.Time {
		return start.Add(time.Duration(speed * float64(real().Sub(begun))))
	}}
}

// Now is what the clock shows. The method is a Clock.
func (p Pace) Now() time.Time {
	if p.Clock == nil {
		return time.Now()
	}
	return p.Clock()
}

// Real is how long a time of the clock really takes.
func (p Pace) Real(d time.Duration) time.Duration {
	if p.Speed == 0 || p.Speed == 1 {
		return d
	}
	return time.Duration(float64(d) / p.Speed)
}

// Sleep waits for a time of the clock. It ends early with ctx and gives its error.
func (p Pace) Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(p.Real(d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Until waits until the clock shows a time. It ends early with ctx and gives its error.
func (p Pace) Until(ctx context.Context, at time.Time) error {
	for ctx.Err() == nil {
		left := at.Sub(p.Now())
		if left <= 0 {
			return nil
		}
		timer := time.NewTimer(min(max(p.Real(left), paceLeast), paceMost))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
	return ctx.Err()
}
