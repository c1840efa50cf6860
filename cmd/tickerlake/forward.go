package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/collect/file"
	"github.com/tickerlake/tickerlake/config"
	"github.com/tickerlake/tickerlake/serve"
	"github.com/tickerlake/tickerlake/watch"
)

// upName is what the command up is called in the lock file.
const upName = "up"

// forwardedEnv names the variables of the caller that bear on what it is shown.
var forwardedEnv = []string{"NO_COLOR"}

// starting is how long a lake that is coming up is waited for.
const starting = 10 * time.Second

// forward has the command line carried out by who holds the lake, and prints what comes
// of it.
func (a *app) forward(ctx context.Context, file *config.File, by lockHolder) error {
	dir, err := os.Getwd()
	if err != nil {
		return tickerlake.Errorf(tickerlake.Internal, "forward", "", "%w", err)
	}
	if by, err = awaitSocket(ctx, file.LakeDir(), by); err != nil {
		return err
	}
	c := serve.Command{Args: a.args, Dir: dir, Env: map[string]string{}, File: fingerprint(file.Path), Stdout: screen(a.Stdout), Stderr: screen(a.Stderr)}
	for _, name := range forwardedEnv {
		if value, ok := a.Env(name); ok {
			c.Env[name] = value
		}
	}
	a.forwarded = true
	status, err := serve.Forward(ctx, by.Socket, c, a.Stdout, a.Stderr)
	switch {
	case errors.Is(err, tickerlake.Unavailable):
		return tickerlake.Errorf(tickerlake.Unavailable, "forward", file.LakeDir(),
			"%s, which carried this command out, has ended before it was done (%w): what was acknowledged stays; give the command again", by, cause(err))
	case errors.Is(err, tickerlake.Locked):
		return tickerlake.Errorf(tickerlake.Locked, "forward", file.LakeDir(), "%s holds this lake and is stopping: try again when it has ended", by)
	case err != nil:
		return err
	case status != 0:
		return reported(statusCode(status))
	}
	return nil
}

// cause is an error without the name around it.
func cause(err error) error {
	if e, ok := errors.AsType[*tickerlake.Error](err); ok && e.Err != nil {
		return e.Err
	}
	return err
}

// statusCode is a code that ends the program with a status.
func statusCode(status int) tickerlake.Code {
	for _, code := range []tickerlake.Code{tickerlake.Invalid, tickerlake.GateFailed, tickerlake.SourceFailed} {
		if tickerlake.ExitStatus(code) == status {
			return code
		}
	}
	return tickerlake.Internal
}

// awaitSocket waits until a lake that is coming up takes commands.
func awaitSocket(ctx context.Context, dir string, by lockHolder) (lockHolder, error) {
	limit := time.Now().Add(starting)
	for by.Socket == "" {
		if time.Now().After(limit) {
			return by, tickerlake.Errorf(tickerlake.Locked, "forward", dir, "%s holds this lake and takes no commands yet: try again", by)
		}
		if err := (tickerlake.Pace{}).Sleep(ctx, starting/200); err != nil {
			return by, &tickerlake.Error{Code: tickerlake.Canceled, Op: "forward", Name: dir, Err: err}
		}
		now, err := readHolder(dir)
		if err != nil {
			return by, err
		}
		if now.PID != by.PID {
			return by, tickerlake.Errorf(tickerlake.Locked, "forward", dir, "%s has held this lake and has ended: try again", by)
		}
		by = now
	}
	return by, nil
}

// screen says what an output is.
func screen(w io.Writer) serve.Screen {
	s := serve.Screen{Terminal: watch.Terminal(w)}
	if f, ok := w.(interface{ Fd() uintptr }); ok && s.Terminal {
		s.Width, _, _ = term.GetSize(int(f.Fd()))
	}
	return s
}

// fingerprint identifies the text of a file, empty if it cannot be read.
func fingerprint(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// carryOut carries out a command line of another process, on the lake that is up.
func (d *daemon) carryOut(ctx context.Context, c serve.Command, stdout, stderr *serve.Output) int {
	m := &Main{Stdin: strings.NewReader(""), Stdout: stdout, Stderr: stderr, Clock: d.lake.clock, Env: func(name string) (string, bool) {
		value, ok := c.Env[name]
		return value, ok
	}}
	if c.File != "" && c.File != d.print {
		fmt.Fprintf(stderr, "note: %s has changed since tickerlake up was started, which goes by what it was: start it again\n", d.lake.file.Path)
	}
	d.tell.log.DebugContext(ctx, "a command came in", "args", c.Args, "dir", c.Dir)
	return m.run(ctx, &app{Main: m, daemon: d, dir: c.Dir}, c.Args)
}

// seen is the pipeline as one command uses it: with a log of its own.
func (p *pipeline) seen(log *slog.Logger) *pipeline {
	own := *p
	own.log = log
	return &own
}

// path is where a file is that a command names.
func (a *app) path(name string) string {
	if a.dir == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(a.dir, name)
}

// expand lists the files that arguments of a command stand for, as it names them.
func (a *app) expand(args []string) ([]string, error) {
	if a.dir == "" {
		return file.Expand(args)
	}
	var out []string
	seen := map[string]bool{}
	for _, arg := range args {
		paths, err := file.Expand([]string{a.path(arg)})
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			if !filepath.IsAbs(arg) {
				if path, err = filepath.Rel(a.dir, path); err != nil {
					return nil, tickerlake.Errorf(tickerlake.Internal, "import", arg, "%w", err)
				}
			}
			if key := a.path(path); !seen[key] {
				seen[key] = true
				out = append(out, path)
			}
		}
	}
	return out, nil
}
