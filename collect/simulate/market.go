// Package simulate is a market over HTTP: made-up prices, or real ones from CSV
// files, in the form of the seed's API.
//
// A Market is given a seed and a clock, or a folder to replay, and answers
// GET /getSingleStockDetails and GET /getSingleStockDetailsInDepth. Made-up prices
// are the same for the same seed, whenever they are asked for; bars of a past date
// never change. Every answer says in a header that it is simulated.
package simulate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/tickerlake/tickerlake"
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
	// Faults is a list of what goes wrong: NAME[(SYMBOL)][=RATE][@WHEN] with commas
	// between; see Faults. WHEN is a date, two dates or two times with / between.
	Faults string
	// Slow is how long a slow body takes, Hang how long an answer that does not come is
	// waited for; 3 seconds and 2 minutes if zero.
	Slow, Hang time.Duration
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
	slow     time.Duration
	hang     time.Duration

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
	m.currency = cmp.Or(o.Currency, "USD")
	if m.clock == nil {
		m.clock = time.Now
	}
	m.slow, m.hang = cmp.Or(o.Slow, 3*time.Second), cmp.Or(o.Hang, 2*time.Minute)
	if m.faults, err = newFaults(o.Seed, o.Faults, zone); err != nil {
		return nil, err
	}
	if o.Replay != "" {
		if name := m.faults.touches(); name != "" {
			return nil, tickerlake.Errorf(tickerlake.Invalid, "simulate.New", "faults", "%s: the history of files is what they say: leave it out", name)
		}
		if m.replay, err = readFolder(o.Replay, m.zone); err != nil {
			return nil, err
		}
		m.says = "replay"
	}
	m.mux.HandleFunc("GET /getSingleStockDetails", m.details)
	m.mux.HandleFunc("GET /getSingleStockDetailsInDepth", m.depth)
	m.mux.HandleFunc("GET "+chartPath+"{symbol}", m.chart)
	return m, nil
}

// Serve answers requests at a loopback address until ctx is done, then lets those
// under way end. ready is told the address, with the port that was chosen for :0.
func (m *Market) Serve(ctx context.Context, addr string, ready func(net.Addr)) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return tickerlake.Errorf(tickerlake.Unavailable, "simulate.Serve", addr, "cannot listen there: %w", err)
	}
	server := &http.Server{Handler: m, ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx }} // who is made to wait is let go at the end
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
