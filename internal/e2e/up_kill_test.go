package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A daemon is a tickerlake that is up.
type daemon struct {
	cmd   *exec.Cmd
	ready chan struct{} // closed when it has printed its address
	ended chan struct{}
	err   bytes.Buffer
}

// up starts it. A command that holds the lake is waited for.
func (p *pipeline) up(args ...string) *daemon {
	p.t.Helper()
	for begin := time.Now(); ; {
		d := &daemon{cmd: p.command(nil, append([]string{"up", "--listen", "127.0.0.1:0"}, args...)...), ready: make(chan struct{}), ended: make(chan struct{})}
		d.cmd.Stderr = &d.err
		out, err := d.cmd.StdoutPipe()
		if err != nil {
			p.t.Fatal(err)
		}
		if err := d.cmd.Start(); err != nil {
			p.t.Fatal(err)
		}
		go func() {
			defer close(d.ended)
			for lines := bufio.NewScanner(out); lines.Scan(); {
				if strings.HasPrefix(lines.Text(), "tickerlake is up at ") {
					close(d.ready)
				}
			}
			_ = d.cmd.Wait()
		}()
		select {
		case <-d.ready:
			return d
		case <-d.ended:
		}
		// The lock's file may name the up that was killed until who has it now has written there.
		if said := d.err.String(); !strings.Contains(said, "is writing to this lake") && !strings.Contains(said, "holds this lake") || time.Since(begin) > patience {
			p.t.Fatalf("tickerlake up has ended: %s", d.err.String())
		}
	}
}

// A writer brings numbered bars in: of batch n the minutes from n times size on, whose
// close is their number. A batch is brought in until that is acknowledged.
type writer struct {
	*pipeline
	symbol string
	count  atomic.Int64 // of bars that are acknowledged
	failed atomic.Int64 // commands that were cut off, or refused
	said   string       // by the last of these
}

const (
	batchSize = 40
)

var minutesBegin = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

func (w *writer) run(stop *atomic.Bool) {
	for n := 0; !stop.Load(); n++ {
		var text strings.Builder
		text.WriteString("Datetime,Open,High,Low,Close,Volume\n")
		for i := n * batchSize; i < (n+1)*batchSize; i++ {
			fmt.Fprintf(&text, "%s,%d,%d,%d,%d,%d\n", minutesBegin.Add(time.Duration(i)*time.Minute).Format(time.RFC3339), i+1, i+1, i+1, i+1, i)
		}
		name := fmt.Sprintf("%s-%d.csv", w.symbol, n)
		if err := os.WriteFile(w.path(name), []byte(text.String()), 0o644); err != nil {
			w.t.Error(err)
			return
		}
		for {
			o := w.pipeline.run("import", name, "--symbol", w.symbol, "--interval", "1m")
			if o.status == 0 {
				break
			}
			w.said = o.stderr
			if w.failed.Add(1); o.status != 1 {
				w.t.Errorf("%v\nwant exit status 0 or 1", o)
				return
			}
		}
		w.count.Store(int64(n+1) * batchSize)
	}
}

// whole demands that each bar that was acknowledged is in prod once.
func (w *writer) whole() {
	w.t.Helper()
	got := w.rows("SELECT count(*), count(DISTINCT ts), sum(close), min(close), max(close) FROM bars_1m WHERE symbol = '" + w.symbol + "'")
	n := w.count.Load()
	if want := fmt.Sprintf("[[%d %d %d 1 %d]]", n, n, n*(n+1)/2, n); fmt.Sprint(got) != want {
		w.t.Errorf("%s has %v, want %s", w.symbol, got, want)
	}
	if n < batchSize {
		w.t.Errorf("%s has brought nothing in", w.symbol)
	}
}

// TestKillUp kills a lake that is up again and again while several writers bring numbered
// bars in, a source has another bar each time it is asked, and runs publish. In the end
// each bar that was acknowledged is in prod once.
func TestKillUp(t *testing.T) {
	kills := 50
	if testing.Short() {
		kills = 5
	}
	if text := os.Getenv("TICKERLAKE_KILLS"); text != "" {
		kills, _ = strconv.Atoi(text)
	}
	m := newMarket(t, history("2024-03-01", 2, "AAA", "BBB"))
	p := newPipeline(t, seedFile(m.URL, "AAA, BBB"))
	var stop atomic.Bool
	var parts sync.WaitGroup
	writers := []*writer{{pipeline: p, symbol: "W1"}, {pipeline: p, symbol: "W2"}}
	for _, w := range writers {
		parts.Go(func() { w.run(&stop) })
	}
	days := 2
	fetched := 0 // days of the last fetch that was acknowledged
	parts.Go(func() {
		for !stop.Load() {
			days++
			m.set(history("2024-03-01", days, "AAA", "BBB"))
			if p.run("fetch").status == 0 {
				fetched = days
			}
		}
		for begin := time.Now(); fetched < days && time.Since(begin) < patience; {
			if p.run("fetch").status == 0 {
				fetched = days
			}
		}
	})
	random := rand.New(rand.NewPCG(uint64(kills), 17))
	for range kills {
		d := p.up()
		// The moment is random, from before anything is done to some runs later.
		time.Sleep(time.Duration(random.ExpFloat64() * float64(600*time.Millisecond)))
		if err := d.cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatalf("up has ended by itself: %v %s", err, d.err.String())
		}
		<-d.ended
	}
	d := p.up()
	stop.Store(true)
	parts.Wait()
	p.must("run")
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-d.ended
	if status := d.cmd.ProcessState.ExitCode(); status != 0 {
		t.Errorf("up has ended with %d: %s", status, d.err.String())
	}
	p.must("run") // what was parked
	if fetched == 0 {
		t.Error("no fetch was acknowledged")
	}
	p.sameAs("bars_1d", history("2024-03-01", days, "AAA", "BBB"))
	cut := int64(0)
	for _, w := range writers {
		w.whole()
		cut += w.failed.Load()
	}
	t.Logf("%d kills, %d and %d minutes, %d days of which %d were acknowledged, %d imports were cut off", kills, writers[0].count.Load(), writers[1].count.Load(), days, fetched, cut)
	if cut == 0 && kills > 20 {
		t.Error("no import was cut off by a kill: the test tests nothing")
	}
	p.conserved()
	p.settled()
	p.must("doctor")
	if left, _ := filepath.Glob(p.path("lake", "*.sock")); len(left) > 0 {
		t.Errorf("a socket is left: %v", left)
	}
}
