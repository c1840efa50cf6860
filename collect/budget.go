package collect

import (
	"cmp"
	"context"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Budgets are what the accounts at providers may ask for, whichever sources ask. A
// program has one of them.
type Budgets struct {
	mu       sync.Mutex
	accounts map[string]*budget
}

// NewBudgets makes the budgets of the sources of a file: of those with one account the
// least requests_a_minute counts.
func NewBudgets(sources map[string]Config) *Budgets {
	b := &Budgets{accounts: map[string]*budget{}}
	for _, c := range sources {
		b.of(c)
	}
	return b
}

// of gives the budget of a source's account.
func (b *Budgets) of(c Config) *budget {
	if b == nil {
		return newBudget(c.RequestsAMinute)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	name := c.AccountName()
	one := b.accounts[name]
	if one == nil {
		one = newBudget(c.RequestsAMinute)
		b.accounts[name] = one
	}
	one.limit(c.RequestsAMinute)
	return one
}

// AccountName is the account at the provider whose budget the source uses: the host of
// its address if it names none.
func (c Config) AccountName() string {
	u, err := url.Parse(c.BaseURL)
	if err != nil {
		return c.Account
	}
	return cmp.Or(c.Account, strings.ToLower(u.Host))
}

// A budget spaces the requests of an account: at most so many begin in any minute, and
// none while the provider has asked to wait. It follows real time.
type budget struct {
	mu    sync.Mutex
	most  int         // a minute; 0 is no limit
	begun []time.Time // within the last minute, the oldest first
	until time.Time
}

func newBudget(perMinute int) *budget { return &budget{most: perMinute} }

// limit makes the budget no larger than so many requests a minute.
func (b *budget) limit(perMinute int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if perMinute > 0 && (b.most == 0 || perMinute < b.most) {
		b.most = perMinute
	}
}

// wait returns when a request may begin. If the provider has asked to wait longer than
// maxWait from now, it returns at once with the time until then.
func (b *budget) wait(ctx context.Context) (until time.Time, err error) {
	for {
		now := time.Now()
		d := b.take(now)
		if d <= 0 {
			return time.Time{}, ctx.Err()
		}
		if until := b.paused(); until.Sub(now) > maxWait {
			return until, ctx.Err()
		}
		if err := sleep(ctx, d); err != nil {
			return time.Time{}, err
		}
	}
}

// take begins a request and gives zero, or says how long to wait.
func (b *budget) take(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	wait := b.until.Sub(now)
	if b.most > 0 {
		for len(b.begun) > 0 && !b.begun[0].Add(time.Minute).After(now) {
			b.begun = b.begun[1:]
		}
		if n := len(b.begun); n >= b.most {
			wait = max(wait, b.begun[n-b.most].Add(time.Minute).Sub(now))
		}
	}
	if wait > 0 {
		return wait
	}
	if b.most > 0 {
		b.begun = append(b.begun, now)
	}
	return 0
}

// paused is until when the provider has asked to wait.
func (b *budget) paused() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.until
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
