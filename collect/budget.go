package collect

import (
	"context"
	"sync"
	"time"
)

// A budget spaces the requests of a source: at most n begin in any minute, and
// none while the provider has asked to wait. It follows real time.
type budget struct {
	mu    sync.Mutex
	begun []time.Time // the last n, a ring
	next  int
	until time.Time
}

func newBudget(perMinute int) *budget { return &budget{begun: make([]time.Time, perMinute)} }

// wait returns when a request may begin.
func (b *budget) wait(ctx context.Context) error {
	for {
		d := b.take(time.Now())
		if d <= 0 {
			return ctx.Err()
		}
		if err := sleep(ctx, d); err != nil {
			return err
		}
	}
}

// take begins a request and gives zero, or says how long to wait.
func (b *budget) take(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	wait := b.until.Sub(now)
	if len(b.begun) > 0 {
		if first := b.begun[b.next]; !first.IsZero() {
			wait = max(wait, first.Add(time.Minute).Sub(now))
		}
	}
	if wait > 0 {
		return wait
	}
	if len(b.begun) > 0 {
		b.begun[b.next] = now
		b.next = (b.next + 1) % len(b.begun)
	}
	return 0
}

// pause lets no request begin for d.
func (b *budget) pause(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if until := time.Now().Add(d); until.After(b.until) {
		b.until = until
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// A backoff is how long to wait before a request is repeated.
type backoff struct{ first, most time.Duration }

var defaultBackoff = backoff{first: 500 * time.Millisecond, most: 30 * time.Second}

// after gives the wait before repeat n, from 1: half of a doubling span, and a
// random part (0 to 1) of the other half.
func (b backoff) after(n int, random float64) time.Duration {
	span := b.first << min(n-1, 20)
	if span > b.most || span <= 0 {
		span = b.most
	}
	return span/2 + time.Duration(float64(span/2)*random)
}
