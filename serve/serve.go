// Package serve is how a lake that is up is reached: over HTTP, where it tells how it is,
// and over a socket, where other commands have it work for them.
//
// It is given what it tells (Options) and who carries commands out (Socket.Run), and knows
// nothing of the stages behind them.
package serve

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake"
)

// Options are what the endpoint is given.
type Options struct {
	// Ready gives the reasons why the lake is not ready to work, none if it is.
	Ready func() []string
	// Metrics answers /metrics.
	Metrics http.Handler
}

// Listen opens the address of the endpoint, host:port; port 0 takes a free one. Only
// loopback is allowed: there are no credentials yet, and without them nothing is to be
// reached from elsewhere.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	const op = "serve.Listen"
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, &tickerlake.Error{Code: tickerlake.Invalid, Op: op, Name: "listen", Err: err}
	}
	if !loopback(host) {
		return nil, tickerlake.Errorf(tickerlake.Invalid, op, "listen",
			"%s can be reached from other machines, and the endpoint asks for no credentials: use 127.0.0.1, and a proxy that asks for some", addr)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, tickerlake.Errorf(tickerlake.Unavailable, op, "listen", "%w: name another address with listen: or --listen", unwrapOp(err))
	}
	return l, nil
}

// unwrapOp takes away what net puts around an error twice.
func unwrapOp(err error) error {
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Addr != nil {
		return errors.New(e.Addr.String() + ": " + e.Err.Error())
	}
	return err
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// shutdown is how long answers under way may take when the endpoint closes.
var shutdown = 2 * time.Second

// Run answers until ctx is done.
func Run(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdown)
	defer cancel()
	if err := s.Shutdown(limit); err != nil {
		_ = s.Close() // a client that does not read keeps nothing up
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Handler answers what the endpoint knows.
func Handler(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "alive") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if why := o.Ready(); len(why) > 0 {
			plain(w, http.StatusServiceUnavailable, "not ready", why...)
			return
		}
		plain(w, http.StatusOK, "ready")
	})
	if o.Metrics != nil {
		mux.Handle("GET /metrics", o.Metrics)
	}
	return local(mux)
}

// local refuses requests that a page of the web has a browser make: their Host is not
// that of this machine (DNS rebinding).
func local(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = strings.Trim(r.Host, "[]")
		}
		if !loopback(host) {
			plain(w, http.StatusForbidden, "this endpoint answers to 127.0.0.1 and localhost, not to "+strings.Map(printable, r.Host))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func printable(r rune) rune {
	if r < ' ' || r > '~' {
		return '?'
	}
	return r
}

// plain answers with lines of text.
func plain(w http.ResponseWriter, status int, first string, more ...string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, strings.Join(append([]string{first}, more...), "\n")+"\n")
}
