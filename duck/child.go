package duck

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/query"
)

// ChildArg is the argument that makes the program a child of a Sandbox: main
// calls Child when it is the first.
const ChildArg = "__query-child"

// memoryMargin is what a child may use beyond the memory that a statement may:
// for its own code, the answer on its way, and what DuckDB does not count.
const memoryMargin = 512 << 20

// threadStack is the address space that each thread's stack counts for.
const threadStack = 8 << 20

// Child answers the one request that comes over stdin, and returns. It returns
// early, without a word, when stdin ends: then nobody waits. The process must be
// used for nothing else; its memory and configuration are bound for good.
func Child(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt)
	defer stop()
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
	debug.SetMemoryLimit(memoryMargin / 2)
	db, err := openChild()
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(stdout, 64<<10)
	if err := errors.Join(writeFrame(out, frameReady, []byte(wireVersion)), out.Flush()); err != nil {
		return err
	}
	in := bufio.NewReader(stdin)
	requests := make(chan wireRequest)
	var scratch string
	abandoned := make(chan error, 1)
	go func() {
		kind, payload, err := readFrame(in)
		var r wireRequest
		if err == nil && kind != frameRequest {
			err = errors.New("not a request")
		}
		if err == nil {
			err = json.Unmarshal(payload, &r)
		}
		if err != nil {
			abandoned <- err
			return
		}
		requests <- r
		_, err = in.ReadByte()
		abandoned <- err
	}()
	var r wireRequest
	select {
	case r = <-requests:
		scratch = r.Scratch
	case err := <-abandoned:
		removeScratch("")
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	case <-ctx.Done():
		removeScratch("")
		return ctx.Err()
	}
	done := make(chan error, 1)
	go func() { done <- answerRequest(db, r, out) }()
	select {
	case err := <-done:
		return err
	case <-abandoned:
	case <-ctx.Done():
	}
	// DuckDB may be busy for long, and there is nothing to save: end at once.
	removeScratch(scratch)
	os.Exit(1)
	return nil
}

// removeScratch removes the folder that the parent made for this process, which
// cannot do it any more. Without a name it is the working directory, if empty.
func removeScratch(dir string) {
	if dir != "" {
		_ = os.RemoveAll(dir)
	} else if dir, err := os.Getwd(); err == nil {
		_ = os.Remove(dir)
	}
}

// answerRequest runs the statement and writes the answer; a failure of the
// statement is an answer too.
func answerRequest(db *database, r wireRequest, out *bufio.Writer) error {
	var done wireDone
	err := limitProcess(r)
	if err == nil {
		done, err = db.answer(r, out)
	}
	if err != nil {
		err = writeJSONFrame(out, frameFailure, wireFailure{Code: tickerlake.CodeOf(err), Message: err.Error()})
	} else {
		err = writeJSONFrame(out, frameDone, done)
	}
	return errors.Join(err, out.Flush())
}

func limitProcess(r wireRequest) error {
	more := uint64(r.MemoryMB)<<20 + memoryMargin + uint64(r.Threads+8)*threadStack
	err := limitMemory(more)
	if err == nil && r.CPUSeconds > 0 {
		err = syscall.Setrlimit(syscall.RLIMIT_CPU, &syscall.Rlimit{Cur: r.CPUSeconds, Max: r.CPUSeconds + 5})
	}
	if err != nil {
		return tickerlake.Errorf(tickerlake.Internal, "duck.Child", "", "the query process cannot bound itself: %w", err)
	}
	return nil
}

// answer checks the statement, then runs it behind locked doors.
func (db *database) answer(r wireRequest, out *bufio.Writer) (wireDone, error) {
	if err := checkText(r.SQL); err != nil {
		return wireDone{}, err
	}
	serialized, err := db.serialize(r.SQL)
	if err != nil {
		return wireDone{}, err
	}
	st, err := query.Check(r.Request, serialized)
	if err != nil {
		return wireDone{}, err
	}
	if st.Show == nil {
		if err := db.prepare(r, st.Tables); err != nil {
			return wireDone{}, err
		}
	}
	switch {
	case r.Parquet && st.Show != nil:
		return wireDone{}, tickerlake.Errorf(tickerlake.Invalid, "duck.Parquet", "", "%s cannot be written as parquet; use another format", query.Verb(r.SQL))
	case r.Parquet:
		return wireDone{}, db.parquet(r, serialized, out)
	case st.Show != nil:
		return sendShown(r, st.Show, out)
	}
	return db.stream(r, out)
}

func sendShown(r wireRequest, s *query.Shown, out io.Writer) (wireDone, error) {
	rows := s.Rows
	if r.MaxRows > 0 && int64(len(rows)) > r.MaxRows {
		rows = rows[:r.MaxRows]
	}
	if err := writeJSONFrame(out, frameColumns, s.Columns); err != nil {
		return wireDone{}, err
	}
	var batch []byte
	for _, row := range rows {
		for _, v := range row {
			batch = appendValue(batch, v)
		}
	}
	var err error
	if len(batch) > 0 {
		err = writeFrame(out, frameBatch, batch)
	}
	return wireDone{Truncated: len(rows) < len(s.Rows)}, err
}
