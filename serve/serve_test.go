package serve_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/serve"
)

func TestListen(t *testing.T) {
	for addr, want := range map[string]string{
		"0.0.0.0:0":      "listen: 0.0.0.0:0 can be reached from other machines, and the endpoint asks for no credentials: use 127.0.0.1, and a proxy that asks for some",
		":7420":          "listen: :7420 can be reached from other machines, and the endpoint asks for no credentials: use 127.0.0.1, and a proxy that asks for some",
		"example.com:80": "listen: example.com:80 can be reached from other machines, and the endpoint asks for no credentials: use 127.0.0.1, and a proxy that asks for some",
		"7420":           "listen: address 7420: missing port in address",
	} {
		if _, err := serve.Listen(t.Context(), addr); !errors.Is(err, tickerlake.Invalid) || err.Error() != want {
			t.Errorf("%s: %v", addr, err)
		}
	}
	for _, addr := range []string{"127.0.0.1:0", "localhost:0"} {
		l, err := serve.Listen(t.Context(), addr)
		if err != nil {
			t.Fatal(err)
		}
		taken := l.Addr().String()
		_, err = serve.Listen(t.Context(), taken)
		if want := "listen: " + taken + ": bind: address already in use: name another address with listen: or --listen"; !errors.Is(err, tickerlake.Unavailable) || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
		_ = l.Close()
	}
}

func TestHandler(t *testing.T) {
	var why atomic.Pointer[[]string]
	why.Store(&[]string{})
	h := serve.Handler(serve.Options{
		Ready:   func() []string { return *why.Load() },
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "metrics\n") }),
	})
	ask := func(method, path, host string) (int, string) {
		r := httptest.NewRequest(method, path, nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	for _, c := range []struct {
		method, path, host string
		why                []string
		status             int
		body               string
	}{
		{"GET", "/healthz", "127.0.0.1:7420", []string{"starting"}, 200, "alive\n"},
		{"GET", "/readyz", "localhost:7420", nil, 200, "ready\n"},
		{"GET", "/readyz", "[::1]:7420", []string{"starting", "the log is read"}, 503, "not ready\nstarting\nthe log is read\n"},
		{"GET", "/metrics", "localhost", nil, 200, "metrics\n"},
		{"GET", "/", "localhost", nil, 404, "404 page not found\n"},
		{"POST", "/readyz", "localhost", nil, 405, "Method Not Allowed\n"},
		{"GET", "/healthz", "evil.example:7420", nil, 403, "this endpoint answers to 127.0.0.1 and localhost, not to evil.example:7420\n"},
	} {
		why.Store(&c.why)
		if status, body := ask(c.method, c.path, c.host); status != c.status || body != c.body {
			t.Errorf("%s %s at %s: %d %q, want %d %q", c.method, c.path, c.host, status, body, c.status, c.body)
		}
	}
}

// TestRun answers until it is told to stop, and again, with an answer under way.
func TestRun(t *testing.T) {
	serve.SetShutdown(t, time.Minute)
	l, err := serve.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	begun := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- serve.Run(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(begun)
			<-ctx.Done()
			_, _ = io.WriteString(w, "whole")
		}))
	}()
	go func() { <-begun; cancel() }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get("http://" + l.Addr().String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || string(body) != "whole" {
		t.Errorf("%q, %v", body, err)
	}
	_ = r.Body.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
