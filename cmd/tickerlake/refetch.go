package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/collect"
)

// A refetchWish is what the flags of refetch say.
type refetchWish struct {
	source  string
	replace bool
}

func (a *app) refetchCommand() *cobra.Command {
	var w refetchWish
	cmd := &cobra.Command{
		Use:   "refetch SYMBOL..",
		Short: "Fetch all history of symbols again, and publish it",
		Long: `Asks for all history of the symbols, from every source that has them or from the one
that is named, and runs the workflow. What has changed is published in one commit; bars
that the source has no longer are reported or removed (withdrawn, in the pipeline file).

With --replace the answer takes the place of all that is stored of the symbol: bars that
it lacks are removed, also if it has less history, and it may come from another source, or
have another basis or currency, than what is stored. The revisions keep what was there.
That is the way out for a series that waits (tickerlake status) since its source no longer
gives all that is stored.

A symbol that fails, or waits after this, stops no other: the exit status is then 4.`,
		Example: `  tickerlake refetch AAPL MSFT
  tickerlake refetch AAPL --source backup --replace    # from now on from this source`,
		Args: usage(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.open(cmd, true, func(ctx context.Context, p *pipeline) error { return a.refetch(ctx, p, args, w) })
		},
	}
	cmd.Flags().StringVar(&w.source, "source", "", "the source to ask, if several have the symbols")
	cmd.Flags().BoolVar(&w.replace, "replace", false, "take the answer in the place of all that is stored")
	return cmd
}

// An errand is what one source is asked for.
type errand struct {
	source  string
	symbols []tickerlake.Symbol
}

// errands finds the sources of symbols.
func (p *pipeline) errands(names []string, w refetchWish) ([]errand, error) {
	sources, err := p.chooseSources(nil)
	if w.source != "" {
		sources, err = p.chooseSources([]string{w.source})
	}
	if err != nil {
		return nil, err
	}
	var out []errand
	found := map[tickerlake.Symbol][]string{}
	for _, name := range sources {
		all, err := p.file.Sources[name].Symbols.Resolve(p.file.Dir)
		if err != nil {
			return nil, err
		}
		e := errand{source: name}
		for _, text := range names {
			symbol := tickerlake.Symbol(text)
			if slices.Contains(all, symbol) && !slices.Contains(e.symbols, symbol) {
				e.symbols = append(e.symbols, symbol)
				found[symbol] = append(found[symbol], name)
			}
		}
		if len(e.symbols) > 0 {
			out = append(out, e)
		}
	}
	for _, text := range names {
		switch by := found[tickerlake.Symbol(text)]; {
		case len(by) == 0 && w.source != "":
			return nil, tickerlake.Errorf(tickerlake.Invalid, "refetch", text, "it is not among the symbols of %s: add it there", w.source)
		case len(by) == 0:
			return nil, tickerlake.Errorf(tickerlake.Invalid, "refetch", text, "no source has it among its symbols: add it to one")
		case len(by) > 1 && w.replace:
			return nil, tickerlake.Errorf(tickerlake.Invalid, "refetch", text, "several sources have it: say which is to replace what is stored, --source %s", strings.Join(by, " or --source "))
		}
	}
	return out, nil
}

func (a *app) refetch(ctx context.Context, p *pipeline, names []string, w refetchWish) error {
	errands, err := p.errands(names, w)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range errands {
		err := a.fetch(ctx, p, []string{e.source}, collect.Window{Symbols: e.symbols, Whole: true, Replace: w.replace})
		errs = append(errs, err)
		if err != nil && !errors.Is(err, tickerlake.SourceFailed) {
			return err
		}
	}
	if err := a.run(ctx, p, mainWorkflow, false, p.starting); err != nil {
		return errors.Join(append(errs, err)...)
	}
	waits, err := p.catalog.Waits(ctx)
	if err != nil {
		return err
	}
	for _, e := range errands {
		table := p.file.Sources[e.source].TableName()
		for _, wait := range waits {
			if wait.Table == table && slices.Contains(e.symbols, wait.Symbol) {
				errs = append(errs, tickerlake.Errorf(tickerlake.SourceFailed, "refetch", string(wait.Symbol), "nothing new of it in %s is published: %s", table, wait.Reason))
			}
		}
	}
	return errors.Join(errs...)
}
