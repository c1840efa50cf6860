package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/collect"
	"github.com/tickerlake/tickerlake/watch"
)

func (a *app) fetchCommand() *cobra.Command {
	var from, to string
	cmd := &cobra.Command{
		Use:   "fetch [SOURCE..]",
		Short: "Collect bars once and wait until they are delivered",
		Long: `Asks the sources, all or those named, for what is missing and waits until it is
delivered to the raw bucket. Each symbol is asked from its last final bar less the
source's lookback, a symbol without bars from the beginning (or the source's since).

A symbol that fails stops no other: the exit status is then 4.`,
		Example: `  tickerlake fetch
  tickerlake fetch market --from 2024-01-01 --to 2024-07-01`,
		RunE: func(cmd *cobra.Command, args []string) error {
			window, err := readWindow(from, to)
			if err != nil {
				return err
			}
			return a.open(cmd, true, func(ctx context.Context, p *pipeline) error { return a.fetch(ctx, p, args, window) })
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "first date, such as 2024-01-31, or time in UTC (RFC 3339)")
	cmd.Flags().StringVar(&to, "to", "", "end of the window, exclusive")
	return cmd
}

func readWindow(from, to string) (w collect.Window, err error) {
	for _, v := range []struct {
		flag, text string
		into       *time.Time
	}{{"--from", from, &w.From}, {"--to", to, &w.To}} {
		if v.text == "" {
			continue
		}
		if *v.into, err = time.Parse(time.DateOnly, v.text); err != nil {
			if *v.into, err = time.Parse(time.RFC3339, v.text); err != nil {
				return w, tickerlake.Errorf(tickerlake.Invalid, "fetch", v.flag, "%q: want a date such as 2024-01-31, or a time such as 2024-01-31T14:30:00Z", v.text)
			}
		}
		*v.into = v.into.UTC()
	}
	return w, nil
}

// A fetched is the result of a fetch, for --json.
type fetched struct {
	Source  string          `json:"source"`
	Table   string          `json:"table"`
	Rows    int64           `json:"rows"`
	Symbols []fetchedSymbol `json:"symbols"`
}

type fetchedSymbol struct {
	Symbol tickerlake.Symbol `json:"symbol"`
	Class  tickerlake.Class  `json:"class"`
	Rows   int64             `json:"rows"`
	From   time.Time         `json:"from,omitzero"`
	To     time.Time         `json:"to,omitzero"`
	Error  string            `json:"error,omitempty"`
}

func (a *app) fetch(ctx context.Context, p *pipeline, names []string, window collect.Window) error {
	names, err := p.chooseSources(names)
	if err != nil {
		return err
	}
	bar := watch.NewBar(a.Stderr, time.Now, watch.Terminal(a.Stderr))
	reports, err := p.fetchSources(ctx, names, window, func(source string, at collect.Progress) {
		if watch.Terminal(a.Stderr) {
			bar.Show(source, float64(at.Done)/float64(max(at.Total, 1)), fmt.Sprintf("%d of %d symbols, %d rows", at.Done, at.Total, at.Rows))
		}
	})
	bar.Clear()
	undelivered, lerr := p.errorObjects().List(context.WithoutCancel(ctx))
	if n := len(undelivered); n > 0 {
		fmt.Fprintf(a.Stderr, "on the error path: %s with records that could not be delivered; tickerlake redrive --list says why\n", plural(int64(n), "object"))
	}
	err = errors.Join(err, lerr)
	if a.json {
		out := make([]fetched, len(reports))
		for i, r := range reports {
			out[i] = fetched{Source: r.Source, Table: r.Table, Rows: r.Rows}
			for _, s := range r.Symbols {
				f := fetchedSymbol{Symbol: s.Symbol, Class: s.Class, Rows: s.Rows, From: s.From, To: s.To}
				if s.Err != nil {
					f.Error = s.Err.Error()
				}
				out[i].Symbols = append(out[i].Symbols, f)
			}
		}
		if perr := a.printJSON(out); perr != nil {
			return perr
		}
		return err
	}
	for _, r := range reports {
		failed := 0
		for _, s := range r.Symbols {
			if s.Err != nil {
				failed++
			}
		}
		note := ""
		if p.file.Sources[r.Source].Simulated {
			note = " (simulated prices)"
		}
		if _, perr := fmt.Fprintf(a.Stdout, "%s: %s of %s delivered to raw.%s%s\n", r.Source, plural(r.Rows, "row"), plural(int64(len(r.Symbols)-failed), "symbol"), streamName, note); perr != nil {
			return perr
		}
	}
	return err
}
