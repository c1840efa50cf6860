package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/watch"
)

// A teller tells what a lake that is up does: in lines for people, or in its log.
type teller struct {
	log     *slog.Logger
	clock   tickerlake.Clock
	secrets *watch.Secrets

	mu    sync.Mutex
	lines io.Writer // nil: in the log only
}

// teller makes the teller of up. In lines the log has what is not as it should be, else
// everything unless --log-level says otherwise.
func (a *app) teller(cmd *cobra.Command, output string) (*teller, error) {
	t := &teller{clock: a.Clock, secrets: &a.secrets}
	switch output {
	case "lines":
		t.lines = a.Stdout
	case "json":
	case "auto":
		if watch.Terminal(a.Stdout) {
			t.lines = a.Stdout
		}
	default:
		return nil, tickerlake.Errorf(tickerlake.Invalid, "up", "--output", "%q: want auto, lines or json", output)
	}
	if t.lines == nil && !cmd.Flags().Changed("log-level") {
		a.logLevel = "info"
	}
	var err error
	t.log, err = a.logger()
	return t, err
}

// event tells of one thing: what happened, to what, and how. attrs are the same for the
// log.
func (t *teller) event(ctx context.Context, what, name, text string, attrs ...any) {
	if t.lines == nil {
		t.log.InfoContext(ctx, what, attrs...)
		return
	}
	line := fmt.Sprintf("%s  %-9s", t.clock().UTC().Format("15:04:05"), what)
	for _, part := range []string{name, text} {
		if part != "" {
			line += "  " + part
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintln(t.lines, t.secrets.Hide(strings.TrimRight(line, " "))) // nobody may be looking
}

// problem tells of what is not as it should be. What a stop cuts off is no problem.
func (t *teller) problem(ctx context.Context, what, name string, err error, attrs ...any) {
	if ctx.Err() != nil {
		return
	}
	if t.lines == nil {
		t.log.WarnContext(ctx, what, append(attrs, "error", err.Error())...)
		return
	}
	t.event(ctx, what, name, err.Error())
}
