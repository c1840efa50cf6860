package collect

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/schedule"
)

var accountName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

var tableName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// Validate reports every mistake of a whole configuration at once, as joined
// tickerlake.Error of code Invalid whose name is the path of the key.
func (c Config) Validate() error {
	v := &validator{}
	v.source(c)
	v.limits(c)
	v.http(c)
	return errors.Join(v.errs...)
}

type validator struct{ errs []error }

func (v *validator) add(key, format string, args ...any) {
	v.errs = append(v.errs, tickerlake.Errorf(tickerlake.Invalid, "collect.Validate", key, format, args...))
}

// check adds an error that a compiling function gave, under its own name if it has one.
func (v *validator) check(err error) {
	if err != nil {
		v.errs = append(v.errs, err)
	}
}

func (v *validator) source(c Config) {
	if c.Preset != "" && !slices.Contains(Presets(), c.Preset) {
		v.add("preset", "no preset %q: there are %s; or describe the source under http", c.Preset, strings.Join(Presets(), ", "))
	}
	if u, err := url.Parse(c.BaseURL); c.BaseURL == "" {
		v.add("base_url", "missing: want the address of the API, such as https://api.example.com")
	} else if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Fragment != "" {
		v.add("base_url", "not an address: want http:// or https:// and a host")
	}
	v.check(c.Symbols.validate())
	if c.Account != "" && !accountName.MatchString(c.Account) {
		v.add("account", "%q cannot name an account: want a name of your own for it, not its key: up to 64 of a-z, 0-9 and . _ -, a letter or digit first", c.Account)
	}
	if c.Table != "" && !tableName.MatchString(c.Table) {
		v.add("table", "%q cannot name a table: want lower-case letters, digits and _, a letter first", c.Table)
	}
	if c.Table == tickerlake.ActionsTable {
		v.add("table", "%s is the table of splits and dividends: want another name", c.Table)
	}
	if _, err := tickerlake.ParseInterval(string(c.Interval)); err != nil {
		v.add("interval", "%w", err)
	}
	if _, err := loadZone(c.TimeZone); err != nil {
		v.add("time_zone", "%w", err)
	}
	if _, err := schedule.Parse(c.Schedule, nil); c.Schedule != "" && err != nil {
		v.add("schedule", "%w", err)
	}
	if w := c.FlexibleWindow; w != 0 && (w < tickerlake.Duration(time.Minute) || w > tickerlake.Duration(24*time.Hour)) {
		v.add("flexible_window", "%s: want 1 minute to 1440 minutes, or 0 seconds for none", w)
	}
	if _, _, err := parseSessionEnd(c.SessionEnd); err != nil {
		v.add("session_end", "%w", err)
	}
	switch c.Basis {
	case tickerlake.BasisRaw, tickerlake.BasisSplit, tickerlake.BasisTotal:
	case "":
		v.add("basis", "missing: want raw (as traded), split (adjusted for splits) or total (for splits and dividends)")
	default:
		v.add("basis", "%q: want raw, split or total", c.Basis)
	}
	if c.Currency != CurrencyOfAnswer && !validCurrency(c.Currency) {
		v.add("currency", "%q: want three letters such as USD, or answer if each answer says its own", c.Currency)
	}
	if c.Withdrawn != WithdrawnReport && c.Withdrawn != WithdrawnRemove {
		v.add("withdrawn", "%q: want report, or remove to take bars out that the source no longer has", c.Withdrawn)
	}
	if c.Since != "" {
		if _, err := time.Parse(time.DateOnly, c.Since); err != nil {
			v.add("since", "%q: want a date such as 1990-01-01", c.Since)
		}
	}
}

func validCurrency(s string) bool {
	if len(s) != 3 {
		return false
	}
	for _, c := range []byte(s) {
		if c < 'A' || c > 'Z' && c < 'a' || c > 'z' {
			return false
		}
	}
	return true
}

func (v *validator) limits(c Config) {
	for _, n := range []struct {
		key             string
		value, from, to int64
	}{
		{"concurrency", int64(c.Concurrency), 1, 256},
		{"retries", int64(c.Retries), 0, 20},
		{"requests_a_minute", int64(c.RequestsAMinute), 0, 100_000},
		{"max_bytes", c.MaxBytes, 1 << 10, 1 << 30},
		{"http.batch", int64(c.HTTP.Batch), 1, 10_000},
	} {
		if n.value < n.from || n.value > n.to {
			v.add(n.key, "%d: want %d to %d", n.value, n.from, n.to)
		}
	}
	day := 24 * time.Hour
	for _, d := range []struct {
		key             string
		value, from, to time.Duration
	}{
		{"settle", time.Duration(c.Settle), 0, day},
		{"timeout", time.Duration(c.Timeout), time.Millisecond, time.Hour},
		{"lookback", c.lookback(), 0, 36500 * day},
		{"reconcile", c.reconcile(), 0, 36500 * day},
	} {
		if d.value < d.from || d.value > d.to {
			v.add(d.key, "%s: want %s to %s", tickerlake.Duration(d.value), tickerlake.Duration(d.from), tickerlake.Duration(d.to))
		}
	}
}

func (v *validator) http(c Config) {
	h := c.HTTP
	if h.Rows == "" && h.Request.Path == "" && c.Preset == "" {
		v.add("http", "missing: name a preset (%s) or describe the requests and their rows here", strings.Join(Presets(), ", "))
		return
	}
	v.request("http.request", c, h.Request)
	if h.History != nil {
		v.request("http.history", c, *h.History)
	}
	if _, err := newSpeller(h); err != nil {
		v.check(err)
	}
	for _, s := range slices.Sorted(maps.Keys(h.Spelling)) {
		if !tickerlake.Symbol(s).Valid() || h.Spelling[s] == "" {
			v.add("http.spelling."+s, "want a canonical symbol such as BRK.B and how the provider spells it")
		}
	}
	if h.Rows == "" {
		v.add("http.rows", "missing: want a jq expression that yields an object a bar with %s", strings.Join(RowFields, ", "))
	} else if _, err := compile("http.rows", h.Rows); err != nil {
		v.check(err)
	}
	v.spans("http.max_window", h.MaxWindow)
	v.spans("http.max_age", h.MaxAge)
	if _, err := compile("http.actions", h.Actions); h.Actions != "" && err != nil {
		v.check(err)
	}
	for i, src := range h.Classify {
		if _, err := compile(fmt.Sprintf("http.classify[%d]", i), src); err != nil {
			v.check(err)
		}
	}
}

// spans checks spans of time by interval.
func (v *validator) spans(key string, spans map[string]tickerlake.Duration) {
	for _, name := range slices.Sorted(maps.Keys(spans)) {
		interval, err := tickerlake.ParseInterval(name)
		if err != nil {
			v.add(key+"."+name, "%w", err)
			continue
		}
		switch d, day := time.Duration(spans[name]), 24*time.Hour; {
		case d < interval.Duration() || d > 36500*day:
			v.add(key+"."+name, "%s: want %s to %s", spans[name], tickerlake.Duration(interval.Duration()), tickerlake.Duration(36500*day))
		case d%interval.Duration() != 0:
			v.add(key+"."+name, "%s: want a whole number of bars of %s", spans[name], interval)
		}
	}
}

func (v *validator) request(key string, c Config, r Request) {
	switch r.Method {
	case "", http.MethodGet, http.MethodPost:
	default:
		v.add(key+".method", "%q: want GET or POST", r.Method)
	}
	if !strings.HasPrefix(r.Path, "/") {
		v.add(key+".path", "%q: want a path that begins with /", r.Path)
	}
	req, err := newRequest(key, c.BaseURL, c.HTTP.Headers, r)
	if err != nil {
		v.check(err)
		return
	}
	if !req.names("symbol") && !req.names("symbols") {
		v.add(key, "does not say which symbol it asks for: want {symbol} in the path or the query")
	}
	if c.HTTP.Batch > 1 && !req.names("symbols") {
		v.add(key, "asks for %d symbols at once: want {symbols} in the path or the query", c.HTTP.Batch)
	}
}
