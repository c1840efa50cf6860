package collect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake"
)

// SimulatedHeader is the header by which a market says that its prices are made up
// ("seed=1") or replayed ("replay").
const SimulatedHeader = "Tickerlake-Simulated"

// maxWait is the longest that a fetch waits because the provider asks it to; if it
// asks for more, the symbol fails.
const maxWait = 5 * time.Minute

// An answer is what came of a request.
type answer struct {
	verdict verdict
	parts   map[string]verdict // by the upper case of the provider's spelling
	rows    []row
	actions []action
	at      time.Time // when it was complete
	// sent is when it was asked for. The provider has put it together at some time
	// between the two: a bar that was not over when it was asked for may not be whole.
	sent     time.Time
	wait     time.Duration
	madeUp   bool
	attempts int
	took     time.Duration
}

// and adds the answer to a later request for the same symbol.
func (a *answer) and(b answer) {
	for _, row := range b.rows {
		row.place = len(a.rows)
		a.rows = append(a.rows, row)
	}
	b.rows = a.rows
	b.actions = append(a.actions, b.actions...)
	b.attempts += a.attempts
	b.took += a.took
	*a = b
}

// whole reports whether nothing of it has failed.
func (a *answer) whole() bool {
	for _, v := range a.parts {
		if !v.class.OK() {
			return false
		}
	}
	return a.verdict.class.OK()
}

// ask makes a request, and repeats it as long as that may help.
func (s *Source) ask(ctx context.Context, client *http.Client, form *request, p params, asked map[string]tickerlake.Symbol) (answer, error) {
	begun := time.Now()
	for attempt := 1; ; attempt++ {
		until, err := s.budget.wait(ctx)
		if err != nil {
			return answer{}, canceled(s.o.Name, err)
		}
		if !until.IsZero() {
			return s.paused(until, attempt-1, time.Since(begun)), nil
		}
		a, err := s.attempt(ctx, client, form, p, asked)
		if err != nil {
			return answer{}, err
		}
		if ctx.Err() != nil {
			return answer{}, canceled(s.o.Name, ctx.Err())
		}
		a.attempts, a.took = attempt, time.Since(begun)
		a.verdict.message = s.redact.text(a.verdict.message)
		for symbol, v := range a.parts {
			v.message = s.redact.text(v.message)
			a.parts[symbol] = v
		}
		if a.verdict.class.OK() || !a.verdict.retryable() {
			return a, nil
		}
		s.budget.pause(a.wait) // what it asks for concerns every request of the account
		if a.wait > maxWait || attempt > s.cfg.Retries {
			a.verdict.message += remedy(a)
			return a, nil
		}
		wait := a.wait + s.backoff.after(attempt, s.ids.fraction())
		if a.verdict.class == tickerlake.ClassQuota {
			s.budget.pause(wait)
		}
		s.log.WarnContext(ctx, "request is repeated", "symbols", strings.Join(p.symbols, ","),
			"attempt", attempt, "class", a.verdict.class, "reason", a.verdict.message, "wait", wait.String())
		if err := sleep(ctx, wait); err != nil {
			return answer{}, canceled(s.o.Name, err)
		}
	}
}

// paused is the answer to a request that is not made, because the provider has asked to
// wait until later than it is worth.
func (s *Source) paused(until time.Time, attempts int, took time.Duration) answer {
	return answer{
		verdict: verdict{class: tickerlake.ClassQuota, message: fmt.Sprintf("not asked for: the provider has asked to wait until %s UTC; fetch again after that",
			until.UTC().Format(time.DateTime))},
		at: s.clock().UTC().Truncate(time.Microsecond), attempts: attempts, took: took,
	}
}

// remedy says what may be done about an answer that will not be asked for again.
func remedy(a answer) string {
	var b strings.Builder
	if a.wait > 0 {
		fmt.Fprintf(&b, " (it asks to wait %s)", a.wait.Round(time.Second))
	}
	if a.verdict.class == tickerlake.ClassQuota {
		b.WriteString("; the provider's quota is used up: fetch later, or less at once (requests_a_minute, concurrency)")
	}
	return b.String()
}

func canceled(name string, err error) error {
	return tickerlake.Errorf(tickerlake.Canceled, "collect.Fetch", name, "the fetch was called off: %w", err)
}

// attempt makes one request and judges what comes. Timeout bounds it as a whole.
func (s *Source) attempt(ctx context.Context, client *http.Client, form *request, p params, asked map[string]tickerlake.Symbol) (answer, error) {
	limited, cancel := context.WithTimeout(ctx, time.Duration(s.cfg.Timeout))
	defer cancel()
	req, err := form.build(limited, p)
	if err != nil {
		return answer{}, tickerlake.Errorf(tickerlake.Invalid, "collect.Fetch", s.o.Name, "the request cannot be made: %s", s.redact.text(err.Error()))
	}
	sent := s.clock().UTC()
	res, err := client.Do(req)
	if err != nil {
		return s.failed(limited, err, "no answer"), nil
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, s.cfg.MaxBytes+1))
	at := s.clock().UTC().Truncate(time.Microsecond)
	a := answer{at: at, sent: sent, wait: retryAfter(res.Header.Get("Retry-After"), time.Now()), madeUp: strings.HasPrefix(res.Header.Get(SimulatedHeader), "seed")}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		a.verdict = verdict{class: tickerlake.ClassMalformed, cut: true, message: fmt.Sprintf("%v: %d bytes came, with status %d", errCut, len(body), res.StatusCode)}
		return a, nil
	case err != nil:
		f := s.failed(limited, err, "no whole answer")
		f.wait = a.wait
		return f, nil
	case int64(len(body)) > s.cfg.MaxBytes:
		a.verdict = verdict{class: tickerlake.ClassMalformed, message: fmt.Sprintf("the answer is larger than max_bytes, %d: raise it, or ask for less", s.cfg.MaxBytes)}
		return a, nil
	}
	cancel() // the exchange is over; reading it has a time of its own
	limited, cancel = context.WithTimeout(ctx, max(time.Duration(s.cfg.Timeout), time.Minute))
	defer cancel()
	s.read(limited, &a, res, body, p, asked)
	return a, nil
}

// read judges and maps the body.
func (s *Source) read(ctx context.Context, a *answer, res *http.Response, body []byte, p params, asked map[string]tickerlake.Symbol) {
	if to, ok := elsewhere(res); ok {
		a.verdict = verdict{class: tickerlake.ClassBlocked, message: "it sends on to another host, " + to + ", which is not followed"}
		return
	}
	vars := s.mapping.variables(res.StatusCode, p.symbols)
	var doc any
	if a.verdict, a.parts, doc = s.mapping.judge(ctx, res.StatusCode, body, vars); a.verdict.class != tickerlake.ClassOK {
		return
	}
	rows, err := s.mapping.table(ctx, doc, vars, asked)
	if err == nil {
		a.actions, err = s.mapping.acts(ctx, doc, vars, asked)
	}
	s.redact.actions(a.actions)
	switch {
	case ctx.Err() != nil:
		a.verdict = verdict{class: tickerlake.ClassMalformed, message: "mapping the answer takes too long"}
	case err != nil:
		a.verdict = verdict{class: tickerlake.ClassMalformed, message: err.Error()}
	case len(rows) == 0:
		a.verdict.class = tickerlake.ClassEmpty
	default:
		s.redact.rows(rows)
		a.rows = rows
	}
}

// failed judges an exchange that ended without a whole answer.
func (s *Source) failed(ctx context.Context, err error, what string) answer {
	v := verdict{class: tickerlake.ClassUnavailable}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // without the address, which may hold a key
	}
	v.message = fmt.Sprintf("%s: %s", what, excerpt(err.Error()))
	if ctx.Err() != nil {
		v.class = tickerlake.ClassTimeout
		v.message = fmt.Sprintf("%s within %s", what, s.cfg.Timeout)
	} else if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		v.class = tickerlake.ClassTimeout
	}
	return answer{verdict: v, at: s.clock().UTC().Truncate(time.Microsecond)}
}

// client makes requests. It follows redirects on the same host only: another one
// must not be sent the headers of this one.
func (s *Source) client(transport http.RoundTripper) *http.Client {
	return &http.Client{Transport: transport, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if req.URL.Host != via[0].URL.Host || req.URL.Scheme != via[0].URL.Scheme || len(via) > 5 {
			return http.ErrUseLastResponse
		}
		return nil
	}}
}

func elsewhere(res *http.Response) (string, bool) {
	if res.StatusCode < 300 || res.StatusCode >= 400 {
		return "", false
	}
	to, err := res.Location()
	if err != nil {
		return "", false
	}
	return to.Host, true
}

// retryAfter reads the header: a number of seconds or a date.
func retryAfter(header string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseInt(header, 10, 64); err == nil {
		return time.Duration(min(max(seconds, 0), 1<<31)) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
