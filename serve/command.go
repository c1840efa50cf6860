package serve

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/tickerlake/tickerlake"
)

// A Command is a command line that another process has the lake's holder carry out.
type Command struct {
	Version int      `json:"version"` // of this form: commandVersion
	Args    []string `json:"args"`
	// Dir is the folder that paths in Args are relative to.
	Dir string `json:"dir"`
	// Env has the variables that bear on how the result is shown.
	Env map[string]string `json:"env,omitempty"`
	// File identifies the text of the pipeline file that the caller has read.
	File   string `json:"file"`
	Stdout Screen `json:"stdout"`
	Stderr Screen `json:"stderr"`
}

// A Screen says what the caller's output is.
type Screen struct {
	Terminal bool `json:"terminal"`
	Width    int  `json:"width"` // in characters; 0 is not known
}

// On the socket the caller sends a Command as a line of JSON, and nothing more: that it
// closes its side means that it has given up. Back come frames: a byte for the kind,
// four for the length (big endian), and so many bytes.
const (
	commandVersion = 1
	maxCommand     = 4 << 20
	maxFrame       = 32 << 10

	frameStdout = 1
	frameStderr = 2
	frameStatus = 3 // the end: the exit status in one byte
)

// unread is how long a caller may leave what it is sent unread: it must not hold up what
// other commands wait for.
const unread = time.Minute

// Forward has the holder behind the socket carry a command out, writes what that prints
// and gives its exit status. When ctx is done the holder is told to cancel it; how the
// command ends is waited for all the same. It fails with Unavailable if the holder ends
// before the command has, with Locked if it takes none: it is about to end.
func Forward(ctx context.Context, path string, c Command, stdout, stderr io.Writer) (status int, err error) {
	const op = "serve.Forward"
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return 0, tickerlake.Errorf(tickerlake.Locked, op, path, "no command is taken any more (%w)", err)
	}
	defer conn.Close()
	c.Version = commandVersion
	text, err := json.Marshal(c)
	if err == nil {
		_, err = conn.Write(append(text, '\n'))
	}
	if err != nil {
		return 0, &tickerlake.Error{Code: tickerlake.Unavailable, Op: op, Name: path, Err: err}
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.(*net.UnixConn).CloseWrite() })
	defer stop()
	r := bufio.NewReader(conn)
	for {
		kind, body, err := readFrame(r)
		if err != nil {
			return 0, &tickerlake.Error{Code: tickerlake.Unavailable, Op: op, Name: path, Err: err}
		}
		switch kind {
		case frameStdout:
			_, err = stdout.Write(body)
		case frameStderr:
			_, err = stderr.Write(body)
		case frameStatus:
			return int(body[0]), nil
		}
		if err != nil {
			return 0, err // nobody reads on: hanging up cancels the command
		}
	}
}

// Taking reports whether somebody takes commands at a socket.
func Taking(ctx context.Context, path string) bool {
	if path == "" {
		return false
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

func readFrame(r io.Reader) (kind byte, body []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if kind = head[0]; kind < frameStdout || kind > frameStatus || n > maxFrame || kind == frameStatus && n != 1 {
		return 0, nil, fmt.Errorf("a frame of kind %d with %d bytes: the program that holds the lake is of another version", kind, n)
	}
	body = make([]byte, n)
	_, err = io.ReadFull(r, body)
	return kind, body, err
}

// A CarryOut runs a command and gives its exit status. stdout and stderr are Outputs.
type CarryOut func(ctx context.Context, c Command, stdout, stderr *Output) int

// Commands carries out what comes in at a listener until ctx is done, each caller's
// command beside the others. Then those under way are canceled, and waited for.
func Commands(ctx context.Context, l net.Listener, do CarryOut) error {
	var callers sync.WaitGroup
	defer callers.Wait()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return &tickerlake.Error{Code: tickerlake.Internal, Op: "serve.Commands", Name: l.Addr().String(), Err: err}
		}
		callers.Go(func() {
			defer conn.Close()
			carryOut(ctx, conn, do)
		})
	}
}

// carryOut serves one caller.
func carryOut(ctx context.Context, conn net.Conn, do CarryOut) {
	_ = conn.SetReadDeadline(time.Now().Add(unread))
	in := bufio.NewReader(io.LimitReader(conn, maxCommand))
	text, err := in.ReadBytes('\n')
	out := &answer{conn: conn}
	var c Command
	if err != nil || json.Unmarshal(text, &c) != nil || c.Version != commandVersion {
		out.refuse(fmt.Sprintf("this is no command of version %d: the program that holds the lake is of another version", commandVersion))
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	ctx, cancel := context.WithCancel(ctx)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = in.ReadByte() // the caller has given up, or has died
		cancel()
	}()
	out.cancel = cancel
	status := do(ctx, c, &Output{out, frameStdout, c.Stdout}, &Output{out, frameStderr, c.Stderr})
	_ = out.frame(frameStatus, []byte{byte(status)}) // the caller may have gone
	cancel()
	_ = conn.SetReadDeadline(time.Now()) // ends the goroutine
	<-gone
}

// An answer is what goes back to a caller.
type answer struct {
	conn   net.Conn
	cancel context.CancelFunc

	mu  sync.Mutex
	err error // of the first frame that could not be sent
}

func (a *answer) frame(kind byte, body []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return a.err
	}
	frame := make([]byte, 0, 5+len(body))
	frame = append(frame, kind)
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(body)))
	_ = a.conn.SetWriteDeadline(time.Now().Add(unread))
	if _, a.err = a.conn.Write(append(frame, body...)); a.err != nil && a.cancel != nil {
		a.cancel()
	}
	return a.err
}

func (a *answer) refuse(why string) {
	_ = a.frame(frameStderr, []byte("tickerlake: "+why+"\n"))
	_ = a.frame(frameStatus, []byte{2})
}

// An Output is the standard output or error of a caller.
type Output struct {
	answer *answer
	kind   byte
	screen Screen
}

// Write sends text to the caller.
func (o *Output) Write(text []byte) (int, error) {
	for sent := 0; sent < len(text); {
		part := text[sent:min(len(text), sent+maxFrame)]
		if err := o.answer.frame(o.kind, part); err != nil {
			return sent, err
		}
		sent += len(part)
	}
	return len(text), nil
}

// Terminal reports whether the caller's output is a terminal.
func (o *Output) Terminal() bool { return o.screen.Terminal }

// Width is that of the terminal, 0 if it is not known.
func (o *Output) Width() int { return o.screen.Width }
