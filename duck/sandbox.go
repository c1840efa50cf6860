package duck

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/query"
)

// The bounds of a statement whose request has none.
const (
	DefaultMemoryMB = 1024
	DefaultThreads  = 2
)

// A Sandbox answers users' SQL, each statement in a process of its own that can
// read the files of the statement's tables and nothing else: it is the program
// itself, started anew with ChildArg, without an environment, in an empty folder.
// A statement that is stopped, hangs or crashes takes only its process with it.
//
// A Sandbox is a query.Engine and may be used by many goroutines at once.
type Sandbox struct {
	o Options

	mu     sync.Mutex
	closed bool
	warm   []*child // started, waiting for a request
	filler sync.WaitGroup
}

// Options say how a Sandbox starts its children.
type Options struct {
	// Exe is the program to start; it must call Child when its first argument is
	// ChildArg. Empty is the running program.
	Exe string
	// TempDir is where each child gets its scratch folder, on a disk with room for
	// sorts that do not fit in memory and for Parquet results. Empty is os.TempDir.
	TempDir string
	// Warm is how many children are kept started ahead; 0 starts each when it is
	// needed, which costs some 50 ms.
	Warm int
}

// NewSandbox makes a Sandbox. Close ends its children.
func NewSandbox(o Options) (*Sandbox, error) {
	if o.Exe == "" {
		exe, err := os.Executable()
		if err != nil {
			return nil, &tickerlake.Error{Code: tickerlake.Internal, Op: "duck.NewSandbox", Err: err}
		}
		o.Exe = exe
	}
	s := &Sandbox{o: o}
	s.refill()
	return s, nil
}

// Close ends the children that wait; statements that still run end with their
// Rows.
func (s *Sandbox) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.filler.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.warm {
		c.end()
	}
	s.warm = nil
	return nil
}

// refill starts a child ahead if there are too few.
func (s *Sandbox) refill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.warm) >= s.o.Warm {
		return
	}
	s.filler.Go(func() {
		c, err := startChild(s.o)
		if err != nil {
			return // the statement that needs a child starts one, and reports why it cannot
		}
		s.mu.Lock()
		full := s.closed || len(s.warm) >= s.o.Warm
		if !full {
			s.warm = append(s.warm, c)
		}
		s.mu.Unlock()
		if full {
			c.end()
			return
		}
		s.refill()
	})
}

// take gives a child that waits for a request.
func (s *Sandbox) take() (*child, error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, tickerlake.Errorf(tickerlake.Unavailable, "duck.Query", "", "the query engine is closed")
	}
	var c *child
	for len(s.warm) > 0 && c == nil {
		c, s.warm = s.warm[0], s.warm[1:]
		if c.gone() {
			c.end()
			c = nil
		}
	}
	s.mu.Unlock()
	defer s.refill()
	if c != nil {
		return c, nil
	}
	return startChild(s.o)
}

// Query runs a statement. It returns when the first row or the columns of an
// empty result are there.
func (s *Sandbox) Query(ctx context.Context, r query.Request) (query.Rows, error) {
	a, err := s.ask(ctx, r, false)
	if err != nil {
		return nil, err
	}
	kind, payload, err := a.next()
	if err == nil && kind != frameColumns {
		err = a.broken("a result without columns")
	}
	rows := &rows{answer: a}
	if err == nil && json.Unmarshal(payload, &rows.columns) != nil {
		err = a.broken("columns that cannot be read")
	}
	if err != nil {
		a.close()
		return nil, err
	}
	return rows, nil
}

// Parquet runs a statement and writes its result to w as one Parquet file.
func (s *Sandbox) Parquet(ctx context.Context, r query.Request, w io.Writer) error {
	a, err := s.ask(ctx, r, true)
	if err != nil {
		return err
	}
	defer a.close()
	for {
		kind, payload, err := a.next()
		switch {
		case err != nil:
			return err
		case kind == frameBytes:
			if _, err := w.Write(payload); err != nil {
				return &tickerlake.Error{Code: writeCode(err), Op: "duck.Parquet", Err: err}
			}
		case kind == frameDone:
			return nil
		default:
			return a.broken("an unknown frame")
		}
	}
}

func writeCode(err error) tickerlake.Code {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EFBIG), errors.Is(err, syscall.EDQUOT):
		return tickerlake.Full
	case errors.Is(err, os.ErrPermission):
		return tickerlake.Denied
	}
	return tickerlake.Unavailable
}

// ask hands the request to a child.
func (s *Sandbox) ask(ctx context.Context, r query.Request, parquet bool) (*answer, error) {
	if err := ctx.Err(); err != nil {
		return nil, ended(err, r)
	}
	if r.MemoryMB <= 0 {
		r.MemoryMB = DefaultMemoryMB
	}
	if r.Threads <= 0 {
		r.Threads = DefaultThreads
	}
	if r.Path == nil {
		r.Path = query.DefaultPath
	}
	cancel := context.CancelFunc(func() {})
	var cpu uint64
	if r.Timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, r.Timeout)
		cpu = uint64(r.Timeout.Seconds()+10) * uint64(r.Threads+1)
	}
	c, err := s.take()
	if err != nil {
		cancel()
		return nil, err
	}
	a := &answer{ctx: ctx, cancel: cancel, child: c, request: r}
	a.detach = context.AfterFunc(ctx, c.kill)
	err = writeJSONFrame(c.stdin, frameRequest, wireRequest{Request: r, Parquet: parquet, Scratch: c.scratch, CPUSeconds: cpu})
	if err != nil {
		err = a.died()
		a.close()
		return nil, err
	}
	return a, nil
}

// An answer is what a child says to one request.
type answer struct {
	ctx     context.Context
	cancel  context.CancelFunc
	detach  func() bool
	child   *child
	request query.Request
	once    sync.Once
}

// next gives the next frame that is not a failure.
func (a *answer) next() (byte, []byte, error) {
	kind, payload, err := readFrame(a.child.stdout)
	switch {
	case err != nil:
		return 0, nil, a.died()
	case kind == frameFailure:
		var f wireFailure
		if json.Unmarshal(payload, &f) != nil {
			return 0, nil, a.broken("a failure that cannot be read")
		}
		return 0, nil, &tickerlake.Error{Code: f.Code, Op: "duck.Query", Err: errors.New(f.Message)}
	}
	return kind, payload, nil
}

// died says why the child is gone before it was done.
func (a *answer) died() error {
	a.child.kill()
	state, stderr := a.child.end()
	if err := a.ctx.Err(); err != nil {
		return ended(err, a.request)
	}
	return death(state, stderr, a.request)
}

func (a *answer) broken(what string) error {
	return tickerlake.Errorf(tickerlake.Internal, "duck.Query", "", "the query process sent %s", what)
}

func (a *answer) close() {
	a.once.Do(func() {
		a.detach()
		a.child.end()
		a.cancel()
	})
}

// ended is the error for a statement whose context is done.
func ended(err error, r query.Request) error {
	if errors.Is(err, context.DeadlineExceeded) {
		bound := "its deadline"
		if r.Timeout > 0 {
			bound = r.Timeout.Round(time.Millisecond).String()
		}
		return tickerlake.Errorf(tickerlake.Timeout, "duck.Query", "",
			"the statement took longer than %s and was stopped; narrow it by symbol or ts, or allow more time", bound)
	}
	return tickerlake.Errorf(tickerlake.Canceled, "duck.Query", "", "the statement was stopped")
}

// rows are a result that a child sends.
type rows struct {
	answer    *answer
	columns   []query.Column
	truncated bool
	err       error // of the end
}

func (r *rows) Columns() []query.Column { return r.columns }
func (r *rows) Truncated() bool         { return r.truncated }

func (r *rows) Next() ([][]any, error) {
	if r.err != nil {
		return nil, r.err
	}
	kind, payload, err := r.answer.next()
	switch {
	case err != nil:
		r.err = err
	case kind == frameBatch:
		batch, err := decodeBatch(payload, len(r.columns))
		if err == nil && len(batch) > 0 {
			return batch, nil
		}
		r.err = r.answer.broken("rows that cannot be read")
	case kind == frameDone:
		var done wireDone
		if r.err = io.EOF; json.Unmarshal(payload, &done) != nil {
			r.err = r.answer.broken("an end that cannot be read")
		}
		r.truncated = done.Truncated
	default:
		r.err = r.answer.broken("an unknown frame")
	}
	r.answer.close()
	return nil, r.err
}

func (r *rows) Close() error {
	if r.err == nil {
		r.err = tickerlake.Errorf(tickerlake.Canceled, "duck.Query", "", "the result is closed")
	}
	r.answer.close()
	return nil
}

var (
	_ query.Engine = (*Sandbox)(nil)
	_ query.Rows   = (*rows)(nil)
)
