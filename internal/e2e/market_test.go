package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake/collect/simulate"
)

// A bar is a day of prices, in the words of the market.
type bar struct {
	date                                string
	open, high, low, close, adj, volume float64
}

// prices are the bars of each symbol.
type prices map[string][]bar

// history makes up bars of some symbols for a number of days from a date.
func history(first string, days int, symbols ...string) prices {
	start, err := time.Parse(time.DateOnly, first)
	if err != nil {
		panic(err)
	}
	out := prices{}
	for i, symbol := range symbols {
		r := rand.New(rand.NewPCG(1, uint64(i)))
		cents := func(f float64) float64 { return float64(int(f*100)) / 100 }
		at := 50 + 20*float64(i)
		for d := range days {
			b := bar{date: start.AddDate(0, 0, d).Format(time.DateOnly), open: cents(at)}
			at *= 1 + (r.Float64()-0.5)/20
			b.close = cents(at)
			b.high, b.low = cents(max(b.open, b.close)+1), cents(min(b.open, b.close)-1)
			b.adj, b.volume = b.close, float64(1000+r.IntN(100000))
			out[symbol] = append(out[symbol], b)
		}
	}
	return out
}

// clone is a copy that can be changed.
func (p prices) clone() prices {
	out := prices{}
	for symbol, bars := range p {
		out[symbol] = append([]bar(nil), bars...)
	}
	return out
}

// A market serves prices in the form of the seed's API. They can be changed.
type market struct {
	t   testing.TB
	URL string
	now atomic.Pointer[simulate.Market]
}

func newMarket(t testing.TB, p prices) *market {
	t.Helper()
	m := &market{t: t}
	m.set(p)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { m.now.Load().ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	m.URL = server.URL
	return m
}

// set makes p what the market says from now on.
func (m *market) set(p prices) {
	m.t.Helper()
	dir := m.t.TempDir()
	for symbol, bars := range p {
		text := "Date,Open,High,Low,Close,Adj Close,Volume\n"
		for _, b := range bars {
			text += fmt.Sprintf("%s,%v,%v,%v,%v,%v,%v\n", b.date, b.open, b.high, b.low, b.close, b.adj, b.volume)
		}
		if err := os.WriteFile(filepath.Join(dir, symbol+".csv"), []byte(text), 0o644); err != nil {
			m.t.Fatal(err)
		}
	}
	served, err := simulate.New(simulate.Options{Replay: dir, Clock: time.Now})
	if err != nil {
		m.t.Fatal(err)
	}
	m.now.Store(served)
}

// seedFile is a pipeline file with one source of the seed's form, and more lines.
func seedFile(url, symbols string, more ...string) string {
	return fmt.Sprintf(`sources:
  market:
    preset: seed
    base_url: %s
    symbols: [%s]
    retries: 0
%s`, url, symbols, strings.Join(more, "\n"))
}
