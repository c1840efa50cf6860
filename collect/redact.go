package collect

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Redacted stands where a secret was.
const Redacted = "[secret]"

// secretName matches the names of headers and query parameters that carry secrets.
var secretName = regexp.MustCompile(`(?i)key|token|secret|passw|auth|signature|credential|cookie|session`)

// A redactor takes a source's secrets out of text. It knows the values of headers
// and query parameters that are named like a key, and values from the environment
// that a request contains, each in the spellings that an answer or an error may
// repeat them in.
type redactor struct {
	replace *strings.Replacer
	long    []string
}

func newRedactor(c Config, fromEnv []string) *redactor {
	found := map[string]bool{}
	add := func(s string) {
		if len(s) < 3 { // shorter is no secret, and would tear every text apart
			return
		}
		quoted, _ := json.Marshal(s)
		for _, v := range []string{
			s, url.QueryEscape(s), url.PathEscape(s), string(quoted[1 : len(quoted)-1]),
			strings.ReplaceAll(s, "/", `\/`),
		} {
			found[v] = true
		}
	}
	place := func(name, value string) {
		if secretName.MatchString(name) {
			if t, err := newTemplate(name, value); err == nil && len(t.fields) == 0 {
				add(t.text)
				if scheme, rest, ok := strings.Cut(t.text, " "); ok && !strings.ContainsAny(scheme, "=,") {
					add(strings.TrimSpace(rest)) // Bearer ..
				}
			}
		}
		for _, s := range fromEnv {
			if s != "" && strings.Contains(value, s) {
				add(s)
			}
		}
	}
	requests := []Request{c.HTTP.Request}
	if c.HTTP.History != nil {
		requests = append(requests, *c.HTTP.History)
	}
	for _, r := range requests {
		place("", r.Path)
		for name, value := range r.Query {
			place(name, value)
		}
		for name, value := range r.Headers {
			place(name, value)
		}
	}
	for name, value := range c.HTTP.Headers {
		place(name, value)
	}
	if u, err := url.Parse(c.BaseURL); err == nil {
		if password, ok := u.User.Password(); ok {
			add(password)
		}
		place("", u.Path)
		for name, values := range u.Query() {
			for _, value := range values {
				place(name, value)
			}
		}
	}
	// Longer ones first, or a part of a secret would be taken and the rest shown.
	needles := slices.SortedFunc(maps.Keys(found), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
	var pairs []string
	for _, n := range needles {
		pairs = append(pairs, n, Redacted)
	}
	long := slices.DeleteFunc(needles, func(n string) bool { return len(n) < 8 })
	return &redactor{replace: strings.NewReplacer(pairs...), long: long}
}

func (r *redactor) text(s string) string { return r.replace.Replace(s) }

// value takes long secrets out of a value.
func (r *redactor) value(v any) any {
	if text, ok := v.(string); ok && slices.ContainsFunc(r.long, func(n string) bool { return strings.Contains(text, n) }) {
		return r.text(text)
	}
	return v
}

// actions takes secrets out of what actions say, as rows does.
func (r *redactor) actions(actions []action) {
	for i := range actions {
		a := &actions[i]
		a.ts, a.kind, a.ratio, a.amount = r.value(a.ts), r.value(a.kind), r.value(a.ratio), r.value(a.amount)
		a.currency = r.text(a.currency)
	}
}

// rows takes secrets out of what rows say. Only long ones: a short one may be a part
// of a date or a price by chance.
func (r *redactor) rows(rows []row) {
	if len(r.long) == 0 {
		return
	}
	for i := range rows {
		rows[i].ts = r.value(rows[i].ts)
		for j, v := range rows[i].values {
			rows[i].values[j] = r.value(v)
		}
		rows[i].currency = r.text(rows[i].currency)
	}
}
