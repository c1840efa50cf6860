package main

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
	"github.com/tickerlake/tickerlake/collect"
	"github.com/tickerlake/tickerlake/collect/simulate"
	"github.com/tickerlake/tickerlake/config"
)

// runLogs is the folder of the logs of single runs.
func (p *pipeline) runLogs() string { return filepath.Join(p.dir, "logs", "runs") }

// withinItself is the address of a source that is the market in this program.
const withinItself = "http://simulated.invalid"

// chooseSources gives the named sources of the file, all if none is named.
func (p *pipeline) chooseSources(names []string) ([]string, error) {
	all := p.file.SourceNames()
	if len(names) == 0 {
		return all, nil
	}
	for _, name := range names {
		if !slices.Contains(all, name) {
			return nil, tickerlake.Errorf(tickerlake.Invalid, "fetch", name, "%s has no such source; it has %s", p.file.Path, strings.Join(all, ", "))
		}
	}
	return names, nil
}

// source makes a source of the file, joined to delivery, catalog and ops.
func (p *pipeline) source(name string, progress func(collect.Progress)) (*collect.Source, error) {
	cfg := p.file.Sources[name]
	var transport http.RoundTripper
	if strings.HasPrefix(cfg.BaseURL, withinItself) {
		market, err := simulate.New(simulate.Options{Clock: p.clock})
		if err != nil {
			return nil, err
		}
		transport = market
	}
	return collect.New(cfg, collect.Options{
		Name: name, Dir: p.file.Dir, Sink: p.bars, Watermarks: p.catalog, Clock: p.clock, Transport: transport,
		Log: p.log, Secrets: p.file.Secrets, Budgets: p.budgets, OnFetch: p.ops.Fetch, OnProgress: progress,
	})
}

// fetchSources collects from each source in turn and delivers. One source that fails
// stops no other.
func (p *pipeline) fetchSources(ctx context.Context, names []string, window collect.Window, progress func(source string, at collect.Progress)) ([]collect.Report, error) {
	var reports []collect.Report
	var errs []error
	paused, err := p.catalog.Paused(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := refused(name, paused); err != nil {
			errs = append(errs, err)
			continue
		}
		s, err := p.source(name, func(at collect.Progress) { progress(name, at) })
		if err != nil {
			return reports, err
		}
		if err := p.asking[name].take(ctx, nil); err != nil {
			errs = append(errs, err)
			break
		}
		report, err := s.Fetch(ctx, window)
		p.asking[name].give()
		reports = append(reports, report)
		p.countFetch(report)
		if err != nil {
			errs = append(errs, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	errs = append(errs, p.ops.flush(context.WithoutCancel(ctx)))
	return reports, errors.Join(errs...)
}

// refused is why a source is not asked, nil if it is.
func refused(name string, paused []catalog.Pause) error {
	for _, p := range paused {
		if p.Source == name || p.Source == collect.SimulatedPrefix+name {
			return tickerlake.Errorf(tickerlake.SourceFailed, "fetch", name,
				"the source is paused since %s UTC (%s): when the cause is mended, tickerlake run --release lets it go on", p.Since.Format(time.DateTime), p.Reason)
		}
	}
	return nil
}

// removing gives the sources whose withdrawn bars are taken out of the tables, as rows
// name them: a source that is simulated at times has two names.
func removing(file *config.File) map[string]bool {
	out := map[string]bool{}
	for name, source := range file.Sources {
		if source.Withdrawn == collect.WithdrawnRemove {
			out[name], out[collect.SimulatedPrefix+name] = true, true
		}
	}
	return out
}
