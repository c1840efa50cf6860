package lake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
	"github.com/tickerlake/tickerlake/internal/fault"
)

// A crawled is what Crawl notes for the jobs after it.
type crawled struct {
	Claimed time.Time `json:"claimed"`
	Objects int       `json:"objects"`
	Lines   int64     `json:"lines"`
}

// Crawl enters new raw objects in the ledger, claims the pending ones for the run,
// and reports damaged objects and columns that changed. With full it lists every
// folder of the stream.
func (l *Lake) Crawl(ctx context.Context, run Run, full bool) error {
	claimed := l.now()
	if err := l.sweep(run.ID()); err != nil {
		return err
	}
	report, err := l.Catalog.Crawl(ctx, l.Raw, catalog.Crawl{
		Run: run.ID(), Stream: l.Stream, Prefix: l.Prefix, Full: full,
		Progress: func(done, total int) { run.Report(float64(done)/float64(total), tickerlake.Counts{}) },
	})
	if err != nil {
		return err
	}
	fault.Point("crawl.claimed")
	for _, e := range report.Damaged {
		run.Log().WarnContext(ctx, "raw object is damaged; the others go on", "object", e.Key, "why", e.Error)
	}
	for _, change := range report.Changes {
		run.Log().WarnContext(ctx, "raw schema changed", "stream", l.Stream, "change", change.String())
	}
	var events []any
	for _, e := range slices.Concat(report.Objects, report.Damaged) {
		events = append(events, l.objectEvent(run, e, string(e.State)))
	}
	if err := l.Events.Emit(ctx, "objects", events...); err != nil {
		return err
	}
	err = run.UpdateCounts(ctx, func(c *tickerlake.Counts) { *c = tickerlake.Counts{Read: report.Lines} })
	if err != nil {
		return err
	}
	return l.note(run.ID(), "crawl.json", crawled{Claimed: claimed, Objects: len(report.Objects), Lines: report.Lines})
}

func (l *Lake) objectEvent(run Run, e catalog.Entry, state string) tickerlake.ObjectEvent {
	return tickerlake.ObjectEvent{
		ID: e.Key + "@" + state, Key: e.Key, State: state, Run: run.ID(),
		Lines: e.Lines, Size: e.Size, Error: e.Error, At: l.now(),
	}
}

// A cleaned is what Clean notes for the jobs after it.
type cleaned struct {
	Objects   map[string]string `json:"objects"` // key by local file
	Bad       int64             `json:"bad"`     // lines that were quarantined unread
	Result    CleanResult       `json:"result"`
	Conflicts map[string][]Skip `json:"conflicts"` // by table
}

// Clean reads the run's objects, casts and judges their rows and splits them for
// Optimize. Rows that cannot be used are quarantined.
func (l *Lake) Clean(ctx context.Context, run Run) error {
	entries, err := l.Catalog.Claimed(ctx, run.ID())
	if err != nil {
		return err
	}
	note := cleaned{Objects: map[string]string{}, Conflicts: map[string][]Skip{}}
	var lines int64
	var files []string
	for i, e := range entries {
		lines += e.Lines
		path, err := l.Raw.Path(e.Key)
		if err != nil {
			return err
		}
		if e.BadLines > 0 {
			note.Bad += e.BadLines
			if path, err = l.sift(ctx, run, e, i); err != nil {
				return err
			}
		}
		if e.Lines > e.BadLines {
			files = append(files, path)
			note.Objects[path] = e.Key
		}
	}
	if len(files) > 0 {
		note.Result, err = l.Engine.Clean(ctx, CleanTask{
			Files: files, Select: judgeSQL(l.Dialect, l.now()), Dir: filepath.Join(l.staging(run.ID()), "split"),
		})
		if err != nil {
			return err
		}
	}
	rejected := note.Result.Rows(OutcomeRejected)
	open := note.Result.Rows(OutcomeOpen)
	if got := note.Result.Rows(OutcomeBars) + open + rejected + note.Bad; got != lines {
		return tickerlake.Errorf(tickerlake.Internal, "lake.Clean", run.ID(), "%d lines were read, %d rows came out", lines, got)
	}
	if note.Conflicts, err = l.conflicts(ctx, note.Result.Groups); err != nil {
		return err
	}
	fault.Point("clean.split")
	if err := l.quarantineRejected(ctx, run, note); err != nil {
		return err
	}
	fault.Point("clean.quarantined")
	err = run.UpdateCounts(ctx, func(c *tickerlake.Counts) {
		*c = tickerlake.Counts{Read: lines, Quarantined: rejected + note.Bad, NotFinal: open}
	})
	if err != nil {
		return err
	}
	return l.note(run.ID(), "clean.json", note)
}

// sift copies the good lines of an object to staging and quarantines the bad ones.
func (l *Lake) sift(ctx context.Context, run Run, e catalog.Entry, n int) (path string, err error) {
	body, err := l.Raw.Open(ctx, e.Key)
	if err != nil {
		return "", err
	}
	defer body.Close()
	dir := filepath.Join(l.staging(run.ID()), "sifted")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	path = filepath.Join(dir, fmt.Sprintf("%06d.gz", n))
	out, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	z, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err != nil {
		return "", err
	}
	q := l.quarantine(run)
	_, err = catalog.Scan(body, func(line catalog.Line) error {
		if line.Problem != "" {
			return q.add(ctx, e.Key, line, tickerlake.Quarantined{Reason: "line cannot be read: " + line.Problem})
		}
		_, err := z.Write(append(slices.Clip(line.Text), '\n'))
		return err
	})
	return path, errors.Join(err, z.Close(), q.flush(ctx))
}

// conflicts finds rows whose source, basis or currency is not that of their series,
// by table. For a new symbol the first fetch decides.
func (l *Lake) conflicts(ctx context.Context, groups []Group) (map[string][]Skip, error) {
	out := map[string][]Skip{}
	known := map[string]map[tickerlake.Symbol]tickerlake.Series{}
	intervals := map[string]tickerlake.Interval{}
	slices.SortFunc(groups, func(a, b Group) int {
		return cmp.Or(strings.Compare(a.Table, b.Table), a.FetchedAt.Compare(b.FetchedAt), strings.Compare(a.FetchID, b.FetchID))
	})
	for _, g := range groups {
		series := known[g.Table]
		if series == nil {
			var err error
			if series, err = l.Catalog.Published(ctx, g.Table); err != nil {
				return nil, err
			}
			known[g.Table] = series
			intervals[g.Table] = tickerlake.Interval(g.Interval)
			for _, s := range series {
				intervals[g.Table] = s.Interval
				break
			}
		}
		s, ok := series[tickerlake.Symbol(g.Symbol)]
		if !ok && g.Interval != string(intervals[g.Table]) {
			s, ok = tickerlake.Series{Source: g.Source, Basis: tickerlake.Basis(g.Basis), Currency: g.Currency, Interval: intervals[g.Table]}, true
		}
		if !ok {
			series[tickerlake.Symbol(g.Symbol)] = tickerlake.Series{
				Source: g.Source, Basis: tickerlake.Basis(g.Basis), Currency: g.Currency, Interval: tickerlake.Interval(g.Interval),
			}
			continue
		}
		var differs []string
		for _, d := range []struct{ what, have, got string }{
			{"source", s.Source, g.Source}, {"basis", string(s.Basis), g.Basis},
			{"currency", s.Currency, g.Currency}, {"interval", string(s.Interval), g.Interval},
		} {
			if d.have != d.got {
				differs = append(differs, fmt.Sprintf("%s %s where the table has %s", d.what, d.got, d.have))
			}
		}
		if len(differs) == 0 {
			continue
		}
		skip := Skip{Symbol: g.Symbol, Source: g.Source, Basis: g.Basis, Currency: g.Currency, Interval: g.Interval,
			Reason: fmt.Sprintf("%s: %s; give the source a table of its own (table:)", g.Table, strings.Join(differs, ", "))}
		if !slices.Contains(out[g.Table], skip) {
			out[g.Table] = append(out[g.Table], skip)
		}
	}
	return out, nil
}
