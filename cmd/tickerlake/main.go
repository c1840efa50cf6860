// Command tickerlake keeps a clean, complete, query-ready history of market prices:
// it fetches bars, delivers, cleans, checks and publishes them, and answers SQL, on
// one machine in one program.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
	_ "time/tzdata" // exchanges have zones also where the machine has none

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/duck"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == duck.ChildArg {
		os.Exit(tickerlake.ExitStatus(duck.Child(context.Background(), os.Stdin, os.Stdout)))
	}
	signal.Ignore(syscall.SIGXFSZ) // a file-size limit is an error of the write, not the end
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	m := &Main{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Env: os.LookupEnv, Clock: time.Now}
	status := m.Run(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}

// Main is the program with what it takes from the world, so that tests can start it.
type Main struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Env            func(name string) (string, bool)
	Clock          tickerlake.Clock
}
