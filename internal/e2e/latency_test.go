package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// BenchmarkLatency measures how long a bar takes from the end of the source's answer until
// it is in prod of a lake that is up: with a second in which deliveries are gathered before
// a run, as it is if the file says nothing, and with a run for each delivery.
func BenchmarkLatency(b *testing.B) {
	for _, c := range []struct{ name, more string }{
		{"buffer=1s", "delivery: {buffering: {size_mb: 5, interval_seconds: 1}}"},
		{"buffer=none", "delivery: {buffering: {size_mb: 5, interval_seconds: 0}}\nworkflows: {main: {triggers: [{type: EVENT, batch_size: 1}]}}"},
	} {
		b.Run(c.name, func(b *testing.B) { benchmarkLatency(b, c.more) })
	}
}

func benchmarkLatency(b *testing.B, more string) {
	const symbols = "A0, A1, A2, A3, A4, A5, A6, A7, A8, A9"
	days := 250
	prices := func() prices { return history("2023-01-01", days, strings.Split(symbols, ", ")...) }
	m := newMarket(b, prices())
	var answered atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.now.Load().ServeHTTP(w, r)
		answered.Store(time.Now().UnixNano())
	}))
	defer server.Close()
	p := newPipeline(b, seedFile(server.URL, symbols, more))
	cmd := p.command(nil, "up", "--listen", "127.0.0.1:0", "--output", "lines")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}()
	up, published := make(chan struct{}), make(chan time.Time, 16)
	go func() {
		defer close(published)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			switch {
			case strings.HasPrefix(lines.Text(), "tickerlake is up at "):
				close(up)
			case strings.Contains(lines.Text(), "  published  ") && strings.Contains(lines.Text(), " inserted"):
				published <- time.Now()
			}
		}
	}()
	<-up
	next := func() time.Duration {
		p.must("fetch")
		select {
		case at := <-published:
			return at.Sub(time.Unix(0, answered.Load()))
		case <-time.After(patience):
			b.Fatal("nothing is published")
			return 0
		}
	}
	next()
	var took []time.Duration
	for b.Loop() {
		days++
		m.set(prices())
		took = append(took, next())
	}
	slices.Sort(took)
	for _, q := range []int{50, 95} {
		b.ReportMetric(float64(took[(len(took)-1)*q/100].Microseconds())/1000, fmt.Sprintf("p%d_ms", q))
	}
	if got := p.value("SELECT count(*) FROM bars_1d"); got != fmt.Sprint(10*days) {
		b.Errorf("prod has %s bars, want %d", got, 10*days)
	}
}
