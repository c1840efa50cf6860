package serve_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/serve"
	"github.com/tickerlake/tickerlake/watch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hold carries commands out at a socket until the test ends, or stop is called.
func hold(t *testing.T, do serve.CarryOut) (path string, stop func()) {
	t.Helper()
	s, err := serve.OpenSocket(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serve.Commands(ctx, s, do) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-ended, s.Close()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return s.Path(), stop
}

func TestForward(t *testing.T) {
	path, _ := hold(t, func(_ context.Context, c serve.Command, stdout, stderr *serve.Output) int {
		fmt.Fprintf(stdout, "%s in %s, NO_COLOR=%s, terminal %v %d wide\n", strings.Join(c.Args, " "), c.Dir, c.Env["NO_COLOR"], watch.Terminal(stdout), stdout.Width())
		fmt.Fprintf(stderr, "terminal %v\n", watch.Terminal(stderr))
		_, _ = stdout.Write(bytes.Repeat([]byte("x"), 100_000)) // several frames
		return 4
	})
	var out, errs bytes.Buffer
	status, err := serve.Forward(t.Context(), path, serve.Command{
		Args: []string{"fetch", "a b"}, Dir: "/here", Env: map[string]string{"NO_COLOR": "1"}, Stdout: serve.Screen{Terminal: true, Width: 132},
	}, &out, &errs)
	if err != nil || status != 4 {
		t.Fatalf("status %d, %v", status, err)
	}
	want := "fetch a b in /here, NO_COLOR=1, terminal true 132 wide\n" + strings.Repeat("x", 100_000)
	if out.String() != want || errs.String() != "terminal false\n" {
		t.Errorf("printed %.200q and %q", out.String(), errs.String())
	}
}

// TestForwardCanceled gives up a command: it is canceled, and how it ends is still told.
func TestForwardCanceled(t *testing.T) {
	began := make(chan struct{})
	path, _ := hold(t, func(ctx context.Context, _ serve.Command, stdout, _ *serve.Output) int {
		close(began)
		<-ctx.Done()
		fmt.Fprintln(stdout, "parked")
		return 1
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-began; cancel() }()
	var out bytes.Buffer
	status, err := serve.Forward(ctx, path, serve.Command{}, &out, io.Discard)
	if err != nil || status != 1 || out.String() != "parked\n" {
		t.Errorf("status %d, %v, %q", status, err, out.String())
	}
}

// TestForwardHungUp has the caller die: the command is canceled.
func TestForwardHungUp(t *testing.T) {
	canceled := make(chan struct{})
	path, _ := hold(t, func(ctx context.Context, _ serve.Command, _, _ *serve.Output) int {
		<-ctx.Done()
		close(canceled)
		return 0
	})
	conn, err := net.Dial("unix", path)
	if err == nil {
		_, err = conn.Write([]byte(`{"version":1,"args":["run"]}` + "\n"))
	}
	if err = errors.Join(err, conn.Close()); err != nil {
		t.Fatal(err)
	}
	<-canceled
}

// TestForwardHolderStops ends the holder in good order: commands under way are canceled
// and their ends told.
func TestForwardHolderStops(t *testing.T) {
	began := make(chan struct{})
	path, stop := hold(t, func(ctx context.Context, _ serve.Command, _, stderr *serve.Output) int {
		close(began)
		<-ctx.Done()
		fmt.Fprintln(stderr, "stopping")
		return 1
	})
	go func() { <-began; stop() }()
	var errs bytes.Buffer
	status, err := serve.Forward(t.Context(), path, serve.Command{}, io.Discard, &errs)
	if err != nil || status != 1 || errs.String() != "stopping\n" {
		t.Errorf("status %d, %v, %q", status, err, errs.String())
	}
	stop()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
	if _, err := serve.Forward(t.Context(), path, serve.Command{}, io.Discard, io.Discard); !errors.Is(err, tickerlake.Locked) {
		t.Errorf("a command after the end: %v", err)
	}
}

// TestForwardHolderDies has the holder die in the middle.
func TestForwardHolderDies(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = conn.Read(make([]byte, 1))
		_, _ = conn.Write([]byte{1, 0, 0, 0, 4, 'h', 'a', 'l', 'f', 1, 0})
		_ = conn.Close()
	}()
	var out bytes.Buffer
	_, err = serve.Forward(t.Context(), l.Addr().String(), serve.Command{}, &out, io.Discard)
	if !errors.Is(err, tickerlake.Unavailable) || out.String() != "half" {
		t.Errorf("%v after %q", err, out.String())
	}
}

func TestForwardOtherVersion(t *testing.T) {
	path, _ := hold(t, func(context.Context, serve.Command, *serve.Output, *serve.Output) int { return 0 })
	for _, text := range []string{"GET / HTTP/1.1\r\n\r\n", `{"version":2}` + "\n", "\n"} {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(conn) // what was not read resets the connection
		if !strings.Contains(string(answer), "of another version") || answer[len(answer)-1] != 2 {
			t.Errorf("%q: %q", text, answer)
		}
		_ = conn.Close()
	}
}

// TestForwardAtOnce runs many callers at once: none gets what is another's.
func TestForwardAtOnce(t *testing.T) {
	path, _ := hold(t, func(_ context.Context, c serve.Command, stdout, stderr *serve.Output) int {
		for range 100 {
			fmt.Fprintln(stdout, c.Args[0])
			fmt.Fprintln(stderr, c.Args[0])
		}
		return len(c.Args[0])
	})
	var callers sync.WaitGroup
	for i := range 20 {
		callers.Go(func() {
			name := strings.Repeat("a", i+1)
			var out, errs bytes.Buffer
			status, err := serve.Forward(t.Context(), path, serve.Command{Args: []string{name}}, &out, &errs)
			if want := strings.Repeat(name+"\n", 100); err != nil || status != i+1 || out.String() != want || errs.String() != want {
				t.Errorf("%s: status %d, %v, %q", name, status, err, out.String())
			}
		})
	}
	callers.Wait()
}

// TestSocket is where a socket stands and who may use it.
func TestSocket(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("long/", 20))
	if err := os.MkdirAll(long, 0o755); err != nil {
		t.Fatal(err)
	}
	before := ""
	for _, lake := range []string{t.TempDir(), long, long} {
		s, err := serve.OpenSocket(lake, before)
		if err != nil {
			t.Fatal(err)
		}
		dir, err := os.Stat(filepath.Dir(s.Path()))
		if err != nil || dir.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", s.Path(), dir.Mode(), err)
		}
		if file, err := os.Stat(s.Path()); err != nil || file.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", s.Path(), file.Mode(), err)
		}
		if lake == long && before != "" && before != s.Path() {
			if _, err := os.Stat(filepath.Dir(before)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("what a killed holder left is still there: %v", err)
			}
		}
		if before = s.Path(); lake != long {
			before = ""
		}
		s.Listener.(*net.UnixListener).SetUnlinkOnClose(false) // as if it was killed
		if err := s.Listener.Close(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
	}
	// One that was left in the way is replaced.
	lake := t.TempDir()
	for range 2 {
		s, err := serve.OpenSocket(lake, filepath.Join(lake, "up", "socket"))
		if err != nil {
			t.Fatal(err)
		}
		s.Listener.(*net.UnixListener).SetUnlinkOnClose(false)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
