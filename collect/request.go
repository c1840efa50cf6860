package collect

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tickerlake/tickerlake"
)

// A request is a compiled Request over the source's address.
type request struct {
	method  string
	base    *url.URL
	path    []*template // its segments
	query   []pair
	headers []pair
}

type pair struct {
	name  string
	value *template
}

func newRequest(key, base string, headers map[string]string, r Request) (*request, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, tickerlake.Errorf(tickerlake.Invalid, "collect.Request", "base_url", "not an address")
	}
	req := &request{method: r.Method, base: u}
	if req.method == "" {
		req.method = http.MethodGet
	}
	for segment := range strings.SplitSeq(strings.TrimPrefix(r.Path, "/"), "/") {
		t, err := newTemplate(key+".path", segment)
		if err != nil {
			return nil, err
		}
		req.path = append(req.path, t)
	}
	if req.query, err = newPairs(key+".query", r.Query); err != nil {
		return nil, err
	}
	all := maps.Clone(headers)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, r.Headers)
	if req.headers, err = newPairs(key+".headers", all); err != nil {
		return nil, err
	}
	for _, h := range req.headers {
		if !validHeader(h.name) {
			return nil, tickerlake.Errorf(tickerlake.Invalid, "collect.Request", key+".headers", "%q cannot name a header", h.name)
		}
	}
	return req, nil
}

func newPairs(key string, values map[string]string) ([]pair, error) {
	var pairs []pair
	for _, name := range slices.Sorted(maps.Keys(values)) {
		t, err := newTemplate(key+"."+name, values[name])
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, pair{name, t})
	}
	return pairs, nil
}

func validHeader(name string) bool {
	for _, c := range []byte(name) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return name != ""
}

// names reports whether the request has a place for the field.
func (r *request) names(field string) bool {
	for _, t := range r.path {
		if t.fields[field] {
			return true
		}
	}
	for _, p := range slices.Concat(r.query, r.headers) {
		if p.value.fields[field] {
			return true
		}
	}
	return false
}

// build makes the HTTP request. Every value is escaped for its place.
func (r *request) build(ctx context.Context, p params) (*http.Request, error) {
	u := *r.base
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	for _, t := range r.path {
		path += "/" + url.PathEscape(t.expand(p))
	}
	unescaped, err := url.PathUnescape(path)
	if err != nil {
		return nil, fmt.Errorf("path: %w", err)
	}
	u.Path, u.RawPath = unescaped, path
	query := u.Query()
	for _, q := range r.query {
		query.Set(q.name, q.value.expand(p))
	}
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "tickerlake")
	for _, h := range r.headers {
		if strings.EqualFold(h.name, "Host") {
			req.Host = h.value.expand(p)
			continue
		}
		req.Header.Set(h.name, h.value.expand(p))
	}
	return req, nil
}
