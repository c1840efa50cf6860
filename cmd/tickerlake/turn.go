package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/tickerlake/tickerlake"
)

// A turn is had by one at a time, in the order in which they asked for it.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

// take waits for the turn. waiting, if not nil, is called if it cannot be had at once.
func (t turn) take(ctx context.Context, waiting func()) error {
	select {
	case t <- struct{}{}:
		return nil
	default:
	}
	if waiting != nil {
		waiting()
	}
	select {
	case t <- struct{}{}: // blocked senders of a channel are served in order
		return nil
	case <-ctx.Done():
		return &tickerlake.Error{Code: tickerlake.Canceled, Op: "turn.take", Err: context.Cause(ctx)}
	}
}

func (t turn) give() { <-t }

// imports is the turn of imports among those of sources.
const imports = ""

// writing does what publishes, or changes the ledger beyond taking from it: one at a
// time, beside fetches and imports.
func (a *app) writing(ctx context.Context, p *pipeline, do func() error) error {
	err := p.writer.take(ctx, func() { fmt.Fprintln(a.Stderr, "waiting for the run or change that is under way") })
	if err != nil {
		return err
	}
	defer p.writer.give()
	return do()
}

// alone does what bears on fetches too: while it goes on there is none.
func (a *app) alone(ctx context.Context, p *pipeline, do func() error) error {
	return a.writing(ctx, p, func() error {
		for _, name := range slices.Sorted(maps.Keys(p.asking)) {
			what := "fetch of " + name
			if name == imports {
				what = "import"
			}
			t := p.asking[name]
			if err := t.take(ctx, func() { fmt.Fprintf(a.Stderr, "waiting for the %s that is under way\n", what) }); err != nil {
				return err
			}
			defer t.give()
		}
		return do()
	})
}
