package duck

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/query"
)

// A child is a started process, as its parent sees it.
type child struct {
	stdin   *os.File
	out     *os.File
	stdout  *bufio.Reader
	scratch string
	process *os.Process
	exited  chan struct{} // closed when the process is reaped
	state   *os.ProcessState
	stderr  head
	once    sync.Once
}

// startChild starts a process and waits until it is ready for a request.
func startChild(o Options) (*child, error) {
	scratch, err := os.MkdirTemp(o.TempDir, "tickerlake-query-")
	if err != nil {
		return nil, &tickerlake.Error{Code: writeCode(err), Op: "duck.Query", Err: fmt.Errorf("no scratch folder: %w", err)}
	}
	c := &child{scratch: scratch, exited: make(chan struct{})}
	if err := c.start(o.Exe); err != nil {
		_ = os.RemoveAll(scratch)
		return nil, &tickerlake.Error{Code: tickerlake.Unavailable, Op: "duck.Query",
			Err: fmt.Errorf("the query process does not start: %w", err)}
	}
	kind, payload, err := readFrame(c.stdout)
	if err == nil && (kind != frameReady || string(payload) != wireVersion) {
		err = fmt.Errorf("it is of another version of the program; start this one anew")
	}
	if err != nil {
		c.kill()
		_, stderr := c.end()
		return nil, tickerlake.Errorf(tickerlake.Unavailable, "duck.Query", "", "the query process does not start: %w %s", err, firstLine(stderr))
	}
	return c, nil
}

func (c *child) start(exe string) error {
	inRead, inWrite, err := os.Pipe()
	if err != nil {
		return err
	}
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		return errors.Join(err, inRead.Close(), inWrite.Close())
	}
	cmd := exec.Command(exe, ChildArg)
	cmd.Dir = c.scratch
	cmd.Env = []string{} // nothing of ours: it may hold secrets
	cmd.Stdin, cmd.Stdout, cmd.Stderr = inRead, outWrite, &c.stderr
	cmd.SysProcAttr = processAttributes()
	started := make(chan error)
	go func() {
		// The signal that ends the child when its parent dies is bound to the thread
		// that started it, so that thread stays until the child is reaped.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // the state tells all
		c.state = cmd.ProcessState
		close(c.exited)
	}()
	err = <-started
	_, _ = inRead.Close(), outWrite.Close()
	if err != nil {
		return errors.Join(err, inWrite.Close(), outRead.Close())
	}
	c.stdin, c.out, c.stdout, c.process = inWrite, outRead, bufio.NewReaderSize(outRead, 64<<10), cmd.Process
	return nil
}

// gone reports whether the process has ended.
func (c *child) gone() bool {
	select {
	case <-c.exited:
		return true
	default:
		return false
	}
}

// kill ends the process without waiting. It starts no others.
func (c *child) kill() { _ = c.process.Kill() }

// end kills the process if it still runs, waits for it and removes its scratch
// folder. It may be called many times; each call returns when that is done.
func (c *child) end() (*os.ProcessState, string) {
	c.once.Do(func() {
		c.kill()
		<-c.exited
		_, _ = c.stdin.Close(), c.out.Close()
		_ = os.RemoveAll(c.scratch)
	})
	return c.state, c.stderr.String()
}

// death says why a process ended that was not told to.
func death(state *os.ProcessState, stderr string, r query.Request) error {
	status, _ := state.Sys().(syscall.WaitStatus)
	memory := fmt.Sprintf("the statement needed more than its %d MB of memory and was stopped; select fewer rows or columns, or allow more memory", r.MemoryMB)
	low := strings.ToLower(stderr)
	switch {
	case strings.Contains(low, "out of memory"), strings.Contains(low, "cannot allocate memory"), strings.Contains(low, "bad_alloc"),
		strings.Contains(low, "failed to create new os thread"):
		return tickerlake.Errorf(tickerlake.Full, "duck.Query", "", "%s", memory)
	case status.Signaled() && status.Signal() == syscall.SIGXCPU:
		return ended(context.DeadlineExceeded, r)
	case status.Signaled() && status.Signal() == syscall.SIGKILL:
		return tickerlake.Errorf(tickerlake.Full, "duck.Query", "",
			"the query process was killed by the system, most likely for lack of memory; select fewer rows or columns, or make memory free")
	case status.Signaled():
		return tickerlake.Errorf(tickerlake.Internal, "duck.Query", "", "the query process crashed (%v) %s", status.Signal(), firstLine(stderr))
	}
	return tickerlake.Errorf(tickerlake.Internal, "duck.Query", "", "the query process ended early (%v) %s", state, firstLine(stderr))
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s
}

// A head keeps the first and is deaf to the rest of what is written to it: the
// first lines of a crash say what it was.
type head struct {
	mu  sync.Mutex
	buf []byte
}

const headSize = 8 << 10

func (t *head) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p[:min(len(p), headSize-len(t.buf))]...)
	return len(p), nil
}

func (t *head) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}

var _ io.Writer = (*head)(nil)
