package collect

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tickerlake/tickerlake"
)

// A provider answers requests in memory, so that time may be that of a test.
type provider func(*http.Request) *http.Response

func (p provider) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return p(r), nil
}

func say(status int, body string, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

func through(p provider) func(*Options) { return func(o *Options) { o.Transport = p } }

func TestRepeats(t *testing.T) {
	for _, c := range []struct {
		name     string
		answers  []*http.Response
		class    tickerlake.Class
		attempts int64
		least    time.Duration
	}{
		{"unavailable once", []*http.Response{say(503, ""), say(200, goodBody)}, tickerlake.ClassOK, 2, 250 * time.Millisecond},
		{"unavailable for ever", []*http.Response{say(503, ""), say(503, ""), say(503, ""), say(503, "")}, tickerlake.ClassUnavailable, 4, 1750 * time.Millisecond},
		{"quota, told when", []*http.Response{say(429, "", "Retry-After", "90"), say(200, goodBody)}, tickerlake.ClassOK, 2, 90 * time.Second},
		{"quota, told a date", []*http.Response{say(429, "", "Retry-After", "Sat, 01 Jan 2000 00:02:00 GMT"), say(200, goodBody)}, tickerlake.ClassOK, 2, 2 * time.Minute},
		{"quota, for a day", []*http.Response{say(429, "", "Retry-After", "86400")}, tickerlake.ClassQuota, 1, 0},
		{"cut", []*http.Response{say(200, goodBody[:40]), say(200, goodBody)}, tickerlake.ClassOK, 2, 250 * time.Millisecond},
		{"malformed", []*http.Response{say(200, "what")}, tickerlake.ClassMalformed, 1, 0},
		{"not found", []*http.Response{say(404, "")}, tickerlake.ClassNotFound, 1, 0},
		{"not entitled", []*http.Response{say(403, "")}, tickerlake.ClassNotEntitled, 1, 0},
		{"elsewhere", []*http.Response{say(302, "", "Location", "http://other.invalid/")}, tickerlake.ClassBlocked, 1, 0},
		{"unavailable, then not found", []*http.Response{say(500, ""), say(404, "")}, tickerlake.ClassNotFound, 2, 250 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := 0
				l := &lake{}
				s := l.source(t, seed(t, "http://seed.invalid", "A", "retries: 3"), "2021-10-04 09:00", through(func(*http.Request) *http.Response {
					n++
					return c.answers[n-1]
				}))
				s.backoff = defaultBackoff
				begun := time.Now()
				report, _ := s.Fetch(t.Context(), Window{})
				if report.Symbols[0].Class != c.class || l.fetches[0].Attempts != c.attempts || report.Requests != c.attempts {
					t.Errorf("%+v after %d attempts, want %s after %d", report.Symbols[0], l.fetches[0].Attempts, c.class, c.attempts)
				}
				if took := time.Since(begun); took < c.least || took > 2*c.least+time.Second {
					t.Errorf("took %s, want %s or somewhat more", took, c.least)
				}
			})
		})
	}
}

// TestBudget counts the requests of every minute.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var times []time.Time
		l := &lake{}
		s := l.source(t, seed(t, "http://seed.invalid", "A, B, C, D, E, F, G, H, I, J, K, L", "requests_a_minute: 5"), "2021-10-04 09:00", through(func(*http.Request) *http.Response {
			mu.Lock()
			defer mu.Unlock()
			times = append(times, time.Now())
			return say(200, goodBody)
		}))
		begun := time.Now()
		if _, err := s.Fetch(t.Context(), Window{}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took != 2*time.Minute || len(times) != 12 {
			t.Errorf("%d requests in %s", len(times), took)
		}
		for i := 5; i < len(times); i++ {
			if times[i].Sub(times[i-5]) < time.Minute {
				t.Errorf("requests %d to %d are within a minute", i-5, i)
			}
		}
	})
}

// TestAccount has two sources that share an account, and one that does not.
func TestAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		begun := time.Now()
		asked := map[string][]time.Duration{}
		answers := func(r *http.Request) *http.Response {
			mu.Lock()
			defer mu.Unlock()
			who := r.FormValue("symbol")
			asked[who] = append(asked[who], time.Since(begun))
			if who == "A1" && len(asked[who]) == 1 {
				return say(429, "Too Many Requests", "Retry-After", "100")
			}
			return say(200, goodBody)
		}
		configs := map[string]Config{
			"a": seed(t, "http://one.invalid", "A1, A2, A3", "retries: 1", "requests_a_minute: 60", "account: mine", "concurrency: 1"),
			"b": seed(t, "http://two.invalid", "B1, B2, B3", "requests_a_minute: 2", "account: mine", "concurrency: 3"),
			"c": seed(t, "http://ONE.invalid", "C1"),
		}
		budgets := NewBudgets(configs)
		source := func(name string) *Source {
			s := (&lake{}).source(t, configs[name], "2021-10-04 09:00", through(answers), func(o *Options) { o.Budgets = budgets })
			s.backoff = defaultBackoff
			return s
		}
		if _, err := source("a").Fetch(t.Context(), Window{}); err != nil {
			t.Fatal(err)
		}
		// Two a minute, b's limit, also for a: A1 twice (100 s apart), A2, then a minute
		// after the second of these A3.
		first := asked["A1"][1]
		if first < 100*time.Second || first > 101*time.Second || asked["A2"][0] != first || asked["A3"][0] != first+time.Minute {
			t.Errorf("asked at %v", asked)
		}
		var both sync.WaitGroup
		for _, name := range []string{"b", "c"} {
			both.Go(func() {
				if _, err := source(name).Fetch(t.Context(), Window{}); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		if asked["C1"][0] != asked["A3"][0] {
			t.Errorf("another account waited: %v", asked)
		}
		all := slices.Concat(asked["A1"], asked["A2"], asked["A3"], asked["B1"], asked["B2"], asked["B3"])
		slices.Sort(all)
		for i := 2; i < len(all); i++ {
			if all[i]-all[i-2] < time.Minute {
				t.Errorf("three requests within a minute: %v", all)
			}
		}
	})
}

// TestAskedToWaitLong has a provider that wants an hour: nothing is asked for before it
// is over, by no source of the account, and nobody waits for that.
func TestAskedToWaitLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, n := time.Now(), 0
		cfg := seed(t, "http://seed.invalid", "A, B", "retries: 3", "concurrency: 1")
		budgets := NewBudgets(map[string]Config{"market": cfg})
		l := &lake{}
		fetch := func() (Report, error) {
			s := l.source(t, cfg, "2021-10-04 09:00", func(o *Options) { o.Budgets = budgets }, through(func(*http.Request) *http.Response {
				if n++; n == 1 {
					return say(429, "", "Retry-After", begun.Add(time.Hour).UTC().Format(http.TimeFormat))
				}
				return say(200, goodBody)
			}))
			return s.Fetch(t.Context(), Window{})
		}
		report, err := fetch()
		if n != 1 || report.Requests != 1 || time.Since(begun) > time.Second {
			t.Errorf("%d requests in %s", n, time.Since(begun))
		}
		for _, want := range []string{"A: quota: ", "(it asks to wait 1h0m0s); the provider's quota is used up", "B: quota: not asked for: the provider has asked to wait until " + begun.Add(time.Hour).UTC().Format(time.DateTime) + " UTC"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("says %v\nwant %s", err, want)
			}
		}
		time.Sleep(30 * time.Minute)
		if _, err = fetch(); !errors.Is(err, tickerlake.Full) || n != 1 {
			t.Errorf("after half an hour: %v, %d requests", err, n)
		}
		time.Sleep(26 * time.Minute) // the rest is short enough to wait for
		if _, err = fetch(); err != nil || n != 3 || time.Since(begun) < time.Hour {
			t.Errorf("%s later: %v, %d requests", time.Since(begun), err, n)
		}
	})
}

// TestCalledOffWhileWaiting ends a fetch in each of its waits.
func TestCalledOffWhileWaiting(t *testing.T) {
	for name, answer := range map[string]*http.Response{
		"backoff": say(503, ""), "asked to wait": say(503, "", "Retry-After", "200"), "quota": say(429, "", "Retry-After", "200"), "budget": say(200, goodBody),
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			begun := time.Now()
			time.AfterFunc(100*time.Millisecond, cancel)
			l := &lake{}
			s := l.source(t, seed(t, "http://seed.invalid", "A, B", "retries: 3", "requests_a_minute: 1"), "2021-10-04 09:00", through(func(*http.Request) *http.Response { return answer }))
			s.backoff = defaultBackoff
			_, err := s.Fetch(ctx, Window{})
			if !errors.Is(err, tickerlake.Canceled) || time.Since(begun) != 100*time.Millisecond || l.flushed != 0 {
				t.Errorf("%s: %v after %s", name, err, time.Since(begun))
			}
		})
	}
}

// TestJitter has waits that lie in the upper half of a doubling span, and differ.
func TestJitter(t *testing.T) {
	b := backoff{first: time.Second, most: 30 * time.Second}
	for n, span := range []time.Duration{1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 6: 30 * time.Second, 50: 30 * time.Second} {
		if span > 0 && (b.after(n, 0) != span/2 || b.after(n, 1) != span || b.after(n, 0.5) != span*3/4) {
			t.Errorf("repeat %d: %s to %s, want half of %s to all of it", n, b.after(n, 0), b.after(n, 1), span)
		}
	}
	g := &ids{random: rand.Reader}
	seen := map[float64]bool{}
	for range 100 {
		seen[g.fraction()] = true
	}
	if len(seen) < 90 {
		t.Errorf("of 100 fractions %d differ", len(seen))
	}
}

// TestFinalWhenAskedFor has an answer that takes long: a bar that was not over when it
// was asked for may not be whole, though it is over when the answer is there.
func TestFinalWhenAskedFor(t *testing.T) {
	now := clockAt("2021-10-01 15:59")()
	l := &lake{}
	s := l.source(t, seed(t, "http://seed.invalid", "AAPL", "settle: 0 seconds"), "2021-10-01 15:59",
		func(o *Options) { o.Clock = func() time.Time { return now } },
		through(func(*http.Request) *http.Response {
			now = now.Add(2 * time.Minute)
			return say(200, goodBody)
		}))
	for i, want := range []string{`"final":false,"fetched_at":"2021-10-01T20:01:00.000000Z"`, `"final":true,"fetched_at":"2021-10-01T20:03:00.000000Z"`} {
		if _, err := s.Fetch(t.Context(), Window{}); err != nil {
			t.Fatal(err)
		}
		if len(l.docs) != i+1 || !strings.Contains(l.docs[i], want) {
			t.Errorf("%v, want %s", l.docs, want)
		}
		if known := !l.series["AAPL"].Watermark.IsZero(); known != (i == 1) {
			t.Errorf("watermark %v", l.series)
		}
	}
}

// TestSourceIsDown has a provider that fails for everything.
func TestSourceIsDown(t *testing.T) {
	var n atomic.Int64
	var symbols []string
	for i := range 50 {
		symbols = append(symbols, "S"+strconv.Itoa(i))
	}
	l := &lake{}
	report, err := l.source(t, seed(t, "http://seed.invalid", strings.Join(symbols, ", "), "concurrency: 1"), "2021-10-04 09:00", through(func(*http.Request) *http.Response {
		n.Add(1)
		return say(429, "")
	})).Fetch(t.Context(), Window{})
	if n.Load() != patience || len(report.Symbols) != 50 || report.Symbols[49].Class != tickerlake.ClassQuota || len(l.fetches) != 50 {
		t.Errorf("%d requests, %d results", n.Load(), len(report.Symbols))
	}
	if !strings.Contains(report.Symbols[49].Err.Error(), "not asked for") || !strings.Contains(err.Error(), "50 of 50") || !strings.Contains(err.Error(), "and 40 more") {
		t.Errorf("says %v", err)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	const key, token, env = "k3y/w+th=signs", "tok3n-value-1234", "from-the-environment"
	config := "base_url: http://api.invalid\nsymbols: [A, B, C, D]\nbasis: raw\nretries: 1\nhttp:\n" +
		"  headers: {Authorization: 'Bearer " + token + "', X-Other: " + env + "}\n" +
		"  request: {path: '/{symbol}', query: {apikey: '" + key + "'}}\n  rows: .[]\n"
	l := &lake{}
	var events bytes.Buffer
	s := l.source(t, decodeConfig(t, config), "2021-10-04 09:00", func(o *Options) {
		o.Secrets = []string{env, "unused"}
		o.OnFetch = func(_ context.Context, f tickerlake.Fetch) error {
			l.mu.Lock()
			defer l.mu.Unlock()
			events.WriteString(f.Error)
			return nil
		}
		o.Transport = provider(func(r *http.Request) *http.Response {
			if r.URL.Query().Get("apikey") != key || r.Header.Get("Authorization") != "Bearer "+token || r.Header.Get("X-Other") != env {
				t.Errorf("the request lacks its keys: %v %v", r.URL, r.Header)
			}
			echo := key + " " + token + " " + env + " " + r.URL.RawQuery
			switch r.URL.Path {
			case "/A":
				return say(200, `{"error":"We have detected your API key as `+echo+` and our rate limit is 25 requests per day"}`)
			case "/B":
				return say(500, "<html>"+echo+"</html>")
			case "/C":
				return say(200, `[{"ts":"2021-10-01","close":"`+strings.ReplaceAll(token, "k", `\u006b`)+`"}]`)
			}
			return say(200, "not JSON "+strings.ReplaceAll(key, "/", `\/`)+" "+echo)
		})
	})
	report, err := s.Fetch(t.Context(), Window{})
	if err == nil || report.Symbols[0].Class != tickerlake.ClassQuota || report.Symbols[2].Class != tickerlake.ClassOK {
		t.Fatalf("%v %+v", err, report)
	}
	all := err.Error() + events.String() + l.log.String() + strings.Join(l.docs, "")
	for _, r := range report.Symbols {
		if r.Err != nil {
			all += r.Err.Error()
		}
	}
	for _, secret := range []string{key, token, env, "k3y", "tok3n", "w%2Bth"} {
		if strings.Contains(all, secret) {
			t.Errorf("%s is shown in %s", secret, all)
		}
	}
	if !strings.Contains(all, Redacted) || !strings.Contains(l.log.String(), "request is repeated") {
		t.Errorf("nothing says that something was taken out: %s", all)
	}
}

// TestSinkFails has a disk that is full: the fetch ends, and is not called a
// failure of the source.
func TestSinkFails(t *testing.T) {
	l := &lake{putErr: tickerlake.Errorf(tickerlake.Full, "test", "log", "no room")}
	_, err := l.source(t, seed(t, serve(t, one(goodBody)), "A, B, C"), "2021-10-04 09:00").Fetch(t.Context(), Window{})
	if tickerlake.CodeOf(err) != tickerlake.Full || l.flushed != 0 || len(l.series) != 0 || len(l.fetches) != 0 {
		t.Errorf("%v, flushed %d, series %v", err, l.flushed, l.series)
	}
}

func TestCalledOff(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	l := &lake{}
	s := l.source(t, seed(t, serve(t, func(http.ResponseWriter, *http.Request) { cancel(); <-release }), "A, B, C"), "2021-10-04 09:00")
	if _, err := s.Fetch(ctx, Window{}); !errors.Is(err, tickerlake.Canceled) || !errors.Is(err, context.Canceled) || l.flushed != 0 {
		t.Errorf("%v", err)
	}
}
