package deliver

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/blob"
	"github.com/tickerlake/tickerlake/internal/fault"
)

// The tests below start this test program again as a child that delivers from
// <root>/log to <root>/bucket, so that it can be killed or limited.
const (
	childEnv = "TICKERLAKE_DELIVER_TEST_CHILD"
	rootEnv  = "TICKERLAKE_DELIVER_TEST_ROOT"
)

// child runs one mode and gives the exit status. It writes "ack NAME" once the
// record of that name is acknowledged.
func child(mode string) int {
	root := os.Getenv(rootEnv)
	bucket, err := blob.OpenDir(filepath.Join(root, "bucket"))
	if err != nil {
		return complain(err)
	}
	seconds, segment := 0, int64(2<<10)
	if mode == "full" || mode == "trace" {
		seconds, segment = 900, segmentBytes
	}
	if mode == "full" {
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1 << 16, Max: 1 << 16}); err != nil {
			return complain(err)
		}
	}
	s, err := Open(config(1, seconds), Options{
		Name: "bars", Dir: filepath.Join(root, "log"), Bucket: bucket, segmentBytes: segment,
		OnDeliver: func(context.Context, tickerlake.Object) error { return nil },
	})
	if err != nil {
		return complain(err)
	}
	if mode == "full" {
		return complain(errors.Join(fill(s), s.Close()))
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	switch mode {
	case "put":
		var wg sync.WaitGroup
		for w := range 3 {
			wg.Go(func() {
				for i := range 200 {
					acknowledge(s, fmt.Sprintf("w%d-%03d", w, i))
				}
			})
		}
		wg.Wait()
	case "trace":
		for i := range 3 {
			acknowledge(s, fmt.Sprintf("r%d", i))
		}
	}
	err = s.Flush(ctx)
	fmt.Println("flushed")
	cancel()
	return complain(errors.Join(err, <-ended, s.Close()))
}

func complain(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func acknowledge(s *Stream, name string) {
	if err := s.Put(context.Background(), record("%s", name)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_, _ = os.Stdout.WriteString("ack " + name + "\n")
}

// fill writes until the file size limit has been met several times over.
func fill(s *Stream) error {
	for i := range 300 {
		acknowledge(s, fmt.Sprintf("r%03d-%s", i, strings.Repeat("x", 1000)))
	}
	err := s.Put(context.Background(), record("%s", strings.Repeat("y", 100_000)))
	if !errors.Is(err, tickerlake.Full) || !strings.Contains(err.Error(), s.o.Dir) || !strings.Contains(err.Error(), "free space") {
		return fmt.Errorf("a record larger than any file may be: %w", err)
	}
	acknowledge(s, "last")
	return nil
}

// runChild starts a child and gives what it has acknowledged.
func runChild(t *testing.T, root, mode, point string, wrap ...string) (acked []string, killed bool) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := append(wrap, exe)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), childEnv+"="+mode, rootEnv+"="+root, fault.Env+"="+point)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		status, sys := syscall.WaitStatus(0), false
		if ok {
			status, sys = exit.Sys().(syscall.WaitStatus)
		}
		if killed = sys && status.Signaled() && status.Signal() == syscall.SIGKILL; !killed {
			t.Fatalf("child %s at %q: %v\n%s", mode, point, err, stderr.String())
		}
	}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "ack "); ok {
			acked = append(acked, name)
		}
	}
	return acked, killed
}

// delivered gives every line of every object in the child's bucket, sorted.
func delivered(t *testing.T, root string) []string {
	t.Helper()
	d, err := blob.OpenDir(filepath.Join(root, "bucket"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	var lines []string
	for info, err := range d.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		r, _, err := d.Get(t.Context(), info.Key, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.Fields(unzip(t, info.Key, b))...)
	}
	slices.Sort(lines)
	return lines
}

// checkOnce demands that every acknowledged record was delivered, and none twice.
func checkOnce(t *testing.T, what string, acked, lines []string) {
	t.Helper()
	for i := 1; i < len(lines); i++ {
		if lines[i] == lines[i-1] {
			t.Errorf("%s: %s is delivered twice", what, lines[i])
		}
	}
	for _, name := range acked {
		if _, ok := slices.BinarySearch(lines, name); !ok {
			t.Errorf("%s: %s was acknowledged and is lost", what, name)
		}
	}
}

func TestKilledAtEachStep(t *testing.T) {
	for _, point := range []string{
		"deliver.written", "deliver.synced", "deliver.batch_logged", "deliver.object_put",
		"deliver.notified", "deliver.marked", "deliver.segment_deleted",
	} {
		t.Run(point, func(t *testing.T) {
			for _, times := range []string{":1", ":5", ":20"} {
				root := t.TempDir()
				acked, killed := runChild(t, root, "put", point+times)
				if !killed && times == ":1" {
					t.Fatalf("the program was not killed at %s", point)
				}
				// Killed once more while it recovers, then let be.
				runChild(t, root, "drain", point+":1")
				runChild(t, root, "drain", "")
				checkOnce(t, point+times, acked, delivered(t, root))
				files, err := filepath.Glob(filepath.Join(root, "log", "*.log"))
				if err != nil || len(files) > 2 {
					t.Errorf("%s: segments left: %q, %v", point+times, files, err)
				}
			}
		})
	}
}

// Killed from outside at any moment.
func TestKilledAnyTime(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for stop := 1; stop <= 401; stop += 80 {
		root := t.TempDir()
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), childEnv+"=put", rootEnv+"="+root)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var acked []string
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if name, ok := strings.CutPrefix(lines.Text(), "ack "); ok {
				if acked = append(acked, name); len(acked) == stop {
					_ = cmd.Process.Kill()
				}
			}
		}
		_ = cmd.Wait()
		runChild(t, root, "drain", "")
		checkOnce(t, fmt.Sprint("after ack ", stop), acked, delivered(t, root))
	}
}

// A file size limit stands for a full disk.
func TestFullDisk(t *testing.T) {
	root := t.TempDir()
	acked, _ := runChild(t, root, "full", "")
	if len(acked) != 301 {
		t.Errorf("%d acknowledged", len(acked))
	}
	runChild(t, root, "drain", "")
	lines := delivered(t, root)
	checkOnce(t, "full", acked, lines)
	if len(lines) != 301 {
		t.Errorf("%d lines delivered", len(lines))
	}
}

func TestClockRunsFaster(t *testing.T) {
	begin := time.Now()
	fast := func() time.Time { return begin.Add(1000 * time.Since(begin)) }
	m := newMemory()
	stored := make(chan struct{}, 1)
	m.after = func(int64, string) error { stored <- struct{}{}; return nil }
	s := start(t, config(5, 900), Options{Bucket: m, Clock: fast})
	put(t, s, record("x"))
	<-stored // 900 s by that clock are less than one of ours
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}
