// Package simulate is a market over HTTP: made-up prices, or real ones from CSV
// files, in the form of the seed's API.
//
// A Market is given a seed and a clock, or a folder to replay, and answers
// GET /getSingleStockDetails and GET /getSingleStockDetailsInDepth. Made-up prices
// are the same for the same seed, whenever they are asked for; bars of a past date
// never change. Every answer says in a header that it is simulated.
package simulate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/collect"
)

// zoneName is that of the exchange of made-up symbols and of files of days.
const zoneName = "America/New_York"

// Options say which market it is.
type Options struct {
	// Seed chooses the prices.
	Seed uint64
	// Symbols are those that exist; without any, every symbol that can be one does.
	Symbols []string
	// Replay is a folder of CSV files, one a symbol, to serve instead.
	Replay string
	// Currency is that of the prices; USD if empty.
	Currency string
	// Clock tells what today is; time.Now if nil.
	Clock tickerlake.Clock
}

// A Market answers requests for prices. It is an http.Handler, and an
// http.RoundTripper for a program that asks a market within itself.
type Market struct {
	seed     uint64
	symbols  []string
	replay   map[string]file
	clock    tickerlake.Clock
	zone     *time.Location
	says     string
	currency string
	mux      *http.ServeMux
	faults   *faults

	mu     sync.Mutex
	stocks map[string]*stock
}

// maxStocks bounds how many symbols are remembered; more are drawn anew.
const maxStocks = 20_000

// stock gives the made-up stock of a symbol.
func (m *Market) stock(symbol string) *stock {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.stocks[symbol]
	if !ok {
		if len(m.stocks) >= maxStocks {
			clear(m.stocks)
		}
		s = newStock(m.seed, symbol, m.faults)
		m.stocks[symbol] = s
	}
	return s
}

// New makes a market. With Replay it reads every file first, and fails with
// tickerlake.Invalid naming file and line if one cannot be read as prices.
func New(o Options) (*Market, error) {
	zone, err := time.LoadLocation(zoneName)
	if err != nil {
		return nil, tickerlake.Errorf(tickerlake.Unavailable, "simulate.New", zoneName, "the time zone is needed: %w", err)
	}
	m := &Market{
		seed: o.Seed, symbols: slices.Clone(o.Symbols), clock: o.Clock, zone: zone,
		says: "seed=" + strconv.FormatUint(o.Seed, 10), mux: http.NewServeMux(),
		stocks: map[string]*stock{},
	}
	if m.currency = o.Currency; m.currency == "" {
		m.currency = "USD"
	}
	if m.clock == nil {
		m.clock = time.Now
	}
	if o.Replay != "" {
		if m.replay, err = readFolder(o.Replay, m.zone); err != nil {
			return nil, err
		}
		m.says = "replay"
	}
	m.mux.HandleFunc("GET /getSingleStockDetails", m.details)
	m.mux.HandleFunc("GET /getSingleStockDetailsInDepth", m.depth)
	m.mux.HandleFunc("GET /v8/finance/chart/{symbol}", m.chart)
	return m, nil
}

// ServeHTTP answers a request.
func (m *Market) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(collect.SimulatedHeader, m.says)
	m.mux.ServeHTTP(w, r)
}

// RoundTrip answers a request without a network.
func (m *Market) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if r.Body != nil {
		defer r.Body.Close()
	}
	w := &recorder{header: http.Header{}, status: http.StatusOK}
	m.ServeHTTP(w, r)
	return &http.Response{
		Status: strconv.Itoa(w.status) + " " + http.StatusText(w.status), StatusCode: w.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, Header: w.header,
		Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()),
	}, nil
}

// A recorder keeps an answer in memory.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header         { return w.header }
func (w *recorder) WriteHeader(status int)      { w.status = status }
func (w *recorder) Write(b []byte) (int, error) { return w.body.Write(b) }

// Serve answers requests at a loopback address until ctx is done, then lets those
// under way end. ready is told the address, with the port that was chosen for :0.
func (m *Market) Serve(ctx context.Context, addr string, ready func(net.Addr)) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return tickerlake.Errorf(tickerlake.Unavailable, "simulate.Serve", addr, "cannot listen there: %w", err)
	}
	server := &http.Server{Handler: m, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	if ready != nil {
		ready(listener.Addr())
	}
	select {
	case err := <-done:
		return fmt.Errorf("serving the market at %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err = server.Shutdown(drain)
	if err != nil {
		err = server.Close()
	}
	if e := <-done; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}
