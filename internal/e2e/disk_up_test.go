package e2e

import (
	"bufio"
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

// A smallDisk is a file system at the lake of a pipeline, in a namespace that only the
// programs of the pipeline are in.
type smallDisk struct {
	from string // where the test sees it
}

// newSmallDisk makes one of some MiB. It needs Linux, and root only where users may have
// no namespaces.
func newSmallDisk(t *testing.T, p *pipeline, mib int) *smallDisk {
	t.Helper()
	dir := p.path("lake")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	keeper := exec.Command("unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
		fmt.Sprintf(`mount -t tmpfs -o size=%dm tmpfs "$0" && echo mounted && exec sleep infinity`, mib), dir)
	var text strings.Builder
	keeper.Stderr = &text
	out, err := keeper.StdoutPipe()
	if err == nil {
		err = keeper.Start()
	}
	if err != nil {
		skipAloud(t, "there is no unshare to make a small disk with: %v", err)
	}
	t.Cleanup(func() { _ = keeper.Process.Kill(); _ = keeper.Wait() })
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "mounted\n" {
		skipAloud(t, "no file system can be mounted in a namespace of a user: %s", text.String())
	}
	p.bin = filepath.Join(t.TempDir(), "tickerlake")
	script := fmt.Sprintf("#!/bin/sh\nhere=$(pwd)\nexec nsenter --target %d --user --mount --preserve-credentials sh -c 'cd \"$0\" && exec \"$@\"' \"$here\" '%s' \"$@\"\n", keeper.Process.Pid, program)
	if err := os.WriteFile(p.bin, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return &smallDisk{from: filepath.Join("/proc", fmt.Sprint(keeper.Process.Pid), "root", dir)}
}

// leave puts what is on the disk where the test and other programs see it.
func (d *smallDisk) leave(t *testing.T, p *pipeline) {
	t.Helper()
	if err := os.CopyFS(p.path("lake"), os.DirFS(d.from)); err != nil {
		t.Fatal(err)
	}
	p.bin = ""
}

// fill writes until nothing fits, tells that, and writes again for what becomes free, until
// it is told to stop; then it makes room.
func (d *smallDisk) fill(t *testing.T, full chan<- struct{}, stop <-chan struct{}) {
	told := sync.OnceFunc(func() { close(full) })
	defer told()
	path := filepath.Join(d.from, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Error(err)
		return
	}
	block := make([]byte, 1<<20)
	for {
		for n := len(block); n > 0; {
			if _, err := f.Write(block[:n]); err != nil {
				n /= 2
			}
		}
		told()
		select {
		case <-stop:
			_ = f.Close()
			if err := os.Remove(path); err != nil {
				t.Error(err)
			}
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// TestDiskFullUp fills the disk of a lake that is up while writers bring bars in, a source is
// asked and runs publish. What does not fit is refused and never acknowledged, the service
// stays up and answers, and when there is room again it goes on by itself: each bar that
// was acknowledged is in prod once.
func TestDiskFullUp(t *testing.T) {
	t.Parallel()
	m := newMarket(t, history("2024-03-01", 2, "AAA", "BBB"))
	p := newPipeline(t, seedFile(m.URL, "AAA, BBB"))
	disk := newSmallDisk(t, p, 256)
	d := p.up("--stop-timeout", "90s") // a disk that was full is slow
	var stop atomic.Bool
	var parts sync.WaitGroup
	t.Cleanup(func() {
		stop.Store(true)
		_ = d.cmd.Process.Kill()
		<-d.ended
		parts.Wait()
	})
	writers := []*writer{{pipeline: p, symbol: "W1"}, {pipeline: p, symbol: "W2"}}
	for _, w := range writers {
		parts.Go(func() { w.run(&stop) })
	}
	days, fetched := 2, 0
	parts.Go(func() {
		for !stop.Load() {
			days++
			m.set(history("2024-03-01", days, "AAA", "BBB"))
			if p.run("fetch").status == 0 {
				fetched = days
			}
		}
	})
	// published waits until up has done it all by itself: what comes is acknowledged, and what
	// was acknowledged before is in prod.
	published := func() {
		t.Helper()
		for _, w := range writers {
			for from, begin := w.count.Load()+2*batchSize, time.Now(); ; time.Sleep(50 * time.Millisecond) {
				o := p.run("query", "-f", "csv", "SELECT count(*) AS n FROM bars_1m WHERE symbol = '"+w.symbol+"'")
				_, text, _ := strings.Cut(o.stdout, "\n")
				if n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err == nil && n >= from {
					break
				}
				if time.Since(begin) > patience {
					t.Fatalf("%s: %d bars are acknowledged, of which %d are not in prod after %s with room on the disk: %v; up says %s", w.symbol, w.count.Load(), from, patience, o, d.err.String())
				}
			}
		}
	}
	random := rand.New(rand.NewPCG(4, 17))
	for range 4 {
		published()
		full, enough, emptied := make(chan struct{}), make(chan struct{}), make(chan struct{})
		go func() { defer close(emptied); disk.fill(t, full, enough) }()
		<-full
		// Some imports are refused; one whose records found room waits until they are delivered.
		time.Sleep(time.Duration(random.ExpFloat64() * float64(2*time.Second)))
		if o := p.run("query", "SELECT count(*) FROM bars_1m"); o.status != 0 {
			t.Errorf("on a full disk: %v", o)
		}
		close(enough)
		<-emptied
		select {
		case <-d.ended:
			t.Fatalf("up has ended by itself: %s", d.err.String())
		default:
		}
	}
	published()
	stop.Store(true)
	parts.Wait()
	p.must("fetch")
	p.must("run", "--release")
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-d.ended
	if status := d.cmd.ProcessState.ExitCode(); status != 0 {
		t.Errorf("up has ended with %d: %s", status, d.err.String())
	}
	disk.leave(t, p)
	p.must("run") // what was parked, and what a run has left that could not even say that it has failed
	if fetched == 0 {
		t.Error("no fetch was acknowledged")
	}
	p.sameAs("bars_1d", history("2024-03-01", days, "AAA", "BBB"))
	for _, w := range writers {
		w.whole()
		t.Logf("%s: %d bars, %d imports refused, of which the last said %s", w.symbol, w.count.Load(), w.failed.Load(), w.said)
	}
	if !strings.Contains(d.err.String(), "no space left on device") {
		t.Errorf("the disk was never full: the test tests nothing")
	}
	p.conserved()
	p.settled()
	p.must("doctor")
}
