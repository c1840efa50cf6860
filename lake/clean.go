package lake

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
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
	if err := l.sweep(ctx, run.ID()); err != nil {
		return err
	}
	if err := l.markBoot(run.ID()); err != nil {
		return err
	}
	report, err := l.Catalog.Crawl(ctx, l.Raw, catalog.Crawl{
		Run: run.ID(), Stream: l.Stream, Prefix: l.Prefix, Full: full,
		Reader:   l.columnReader(run.ID()),
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
	events := l.objectEvents(run.ID(), slices.Concat(report.Objects, report.Damaged))
	if err := l.Events.Emit(ctx, "objects", events...); err != nil {
		return err
	}
	err = run.UpdateCounts(ctx, func(c *tickerlake.Counts) { *c = tickerlake.Counts{Read: report.Lines} })
	if err != nil {
		return err
	}
	return l.note(run.ID(), "crawl.json", crawled{Claimed: claimed, Objects: len(report.Objects), Lines: report.Lines})
}

// objectEvents tell of the states that objects have.
func (l *Lake) objectEvents(run string, entries []catalog.Entry) []any {
	out := make([]any, len(entries))
	for i, e := range entries {
		out[i] = tickerlake.ObjectEvent{
			ID: e.Key + "@" + string(e.State), Key: e.Key, State: string(e.State), Run: run,
			Lines: e.Lines, Size: e.Size, Error: e.Error, At: l.now(),
		}
	}
	return out
}

// A cleaned is what Clean notes for the jobs after it.
type cleaned struct {
	Objects   map[string]string `json:"objects"` // key by local file
	Bad       int64             `json:"bad"`     // lines that were quarantined unread
	Result    CleanResult       `json:"result"`
	Conflicts map[string][]Skip `json:"conflicts"` // by table
	Outdated  map[string][]Skip `json:"outdated"`  // of final bars
}

// aside says which rows of a table's final bars are not taken.
func (c cleaned) aside(made candidates, table string) []Skip {
	return slices.Concat(c.Conflicts[table], c.Outdated[table], made.SetAside[table])
}

// unfit counts the rows of unfinished bars that are in conflict with their series.
func (c cleaned) unfit() (n int64) {
	for _, g := range c.Result.Groups {
		if g.Outcome == OutcomeOpen && skipped(g, c.Conflicts[g.Table]) {
			n += g.Rows
		}
	}
	return n
}

// quarantined counts the rows that are set aside before their bars are compared.
func (c cleaned) quarantined() int64 {
	return c.Result.Rows(OutcomeRejected) + c.Bad + c.unfit()
}

func (c cleaned) notFinal() int64 { return c.Result.Rows(OutcomeOpen) - c.unfit() }

// An input is an object on its way through Clean: a local file with the lines of it that
// are good.
type input struct {
	catalog.Entry
	path  string
	lines int64 // in the file, bad ones included
	bad   int64
	// columns has the rows that are not in the file, since the crawler took them; nil
	// if it took none.
	columns *columnSet
}

// Clean reads the run's objects, casts and judges their rows and splits them for
// Optimize. Rows that cannot be used are quarantined; an object that the engine cannot
// read is damaged, and the others go on.
func (l *Lake) Clean(ctx context.Context, run Run) error {
	entries, err := l.Catalog.Claimed(ctx, run.ID())
	if err != nil {
		return err
	}
	inputs := make([]input, 0, len(entries))
	for _, e := range entries {
		in := input{Entry: e, lines: e.Lines, bad: e.BadLines}
		if in.path, err = l.Raw.Path(e.Key); err != nil {
			return err
		}
		if in.columns, err = l.columnsOf(run.ID(), e); err != nil {
			return err
		}
		if in.columns != nil {
			if e.BadLines > 0 {
				if err := l.quarantineBad(ctx, run, e); err != nil {
					return err
				}
			}
			in.path, in.lines, in.bad = in.columns.Rest, in.columns.RestLines, 0
			inputs = append(inputs, in)
			continue
		}
		// A key with a wildcard would name other files to the engine.
		if e.BadLines > 0 || strings.ContainsAny(e.Key, "*?[") {
			whole := false
			if in, whole, err = l.sift(ctx, run, e); err != nil {
				return err
			}
			if !whole {
				continue
			}
		}
		inputs = append(inputs, in)
	}
	inputs, result, err := l.split(ctx, run, inputs)
	if err != nil {
		return err
	}
	note := cleaned{Objects: map[string]string{}}
	var lines int64
	for _, in := range inputs {
		note.Objects[in.path] = in.Key
		if in.columns == nil {
			lines += in.lines
			note.Bad += in.bad
			continue
		}
		lines += in.Lines
		note.Bad += in.BadLines
		path, err := l.Raw.Path(in.Key)
		if err != nil {
			return err
		}
		note.Objects[path] = in.Key
	}
	note.Result = joined(result, inputs)
	if note.Conflicts, err = l.conflicts(ctx, note.Result.Groups); err != nil {
		return err
	}
	if note.Outdated, err = l.outdated(ctx, note.Result); err != nil {
		return err
	}
	fault.Point("clean.split")
	if err := l.quarantineRejected(ctx, run, note); err != nil {
		return err
	}
	for _, table := range slices.Sorted(maps.Keys(note.Conflicts)) {
		if err := l.quarantineSkipped(ctx, run, note, OutcomeOpen, table, note.Conflicts[table]); err != nil {
			return err
		}
	}
	fault.Point("clean.quarantined")
	err = run.UpdateCounts(ctx, func(c *tickerlake.Counts) {
		*c = tickerlake.Counts{Read: lines, Quarantined: note.quarantined(), NotFinal: note.notFinal()}
	})
	if err != nil {
		return err
	}
	return l.note(run.ID(), "clean.json", note)
}

// split has the engine read the inputs. If it cannot, their good lines are copied to
// files of the plainest form, and if that does not help, those that it cannot read alone
// are given up as damaged. It returns what is left.
func (l *Lake) split(ctx context.Context, run Run, inputs []input) ([]input, CleanResult, error) {
	result, err := l.engineClean(ctx, run, inputs)
	if err == nil || !unreadable(err) {
		return inputs, result, err
	}
	run.Log().WarnContext(ctx, "the engine cannot read the objects as they are; they are copied line by line", "why", err)
	var copies []input
	for _, in := range inputs {
		in, whole, err := l.sift(ctx, run, in.Entry)
		if err != nil {
			return nil, result, err
		}
		if whole {
			copies = append(copies, in)
		}
	}
	if result, err = l.engineClean(ctx, run, copies); err == nil || !unreadable(err) {
		return copies, result, err
	}
	var left []input
	for _, in := range copies {
		_, err := l.engineClean(ctx, run, []input{in})
		if err != nil && !unreadable(err) {
			return nil, result, err
		}
		if err == nil {
			left = append(left, in)
		} else if err := l.damaged(ctx, run, in.Entry, err.Error()); err != nil {
			return nil, result, err
		}
	}
	result, err = l.engineClean(ctx, run, left)
	return left, result, err
}

// unreadable reports whether an engine failed because of what it read.
func unreadable(err error) bool {
	code := tickerlake.CodeOf(err)
	return code == tickerlake.Internal || code == tickerlake.Damaged || code == tickerlake.Invalid
}

// engineClean splits the inputs and counts what came out.
func (l *Lake) engineClean(ctx context.Context, run Run, inputs []input) (CleanResult, error) {
	var files []string
	var good int64
	for _, in := range inputs {
		if in.lines > in.bad {
			files = append(files, in.path)
			good += in.lines - in.bad
		}
	}
	if len(files) == 0 {
		return CleanResult{}, nil
	}
	result, err := l.Engine.Clean(ctx, CleanTask{
		Files: files, Select: judgeSQL(l.Dialect, l.now()), Dir: filepath.Join(l.staging(run.ID()), "split"),
	})
	if err != nil {
		return result, err
	}
	if got := result.Rows(OutcomeBars) + result.Rows(OutcomeOpen) + result.Rows(OutcomeActions) + result.Rows(OutcomeRejected); got != good {
		return result, tickerlake.Errorf(tickerlake.Internal, "lake.Clean", run.ID(), "%d good lines were read, %d rows came out", good, got)
	}
	return result, nil
}

// damaged marks an object that cannot be read after all.
func (l *Lake) damaged(ctx context.Context, run Run, e catalog.Entry, why string) error {
	run.Log().WarnContext(ctx, "raw object is damaged; the others go on", "object", e.Key, "why", why)
	if err := l.Catalog.Damage(ctx, e.Key, why); err != nil {
		return err
	}
	e.State, e.Error = catalog.Damaged, why
	return l.Events.Emit(ctx, "objects", l.objectEvents(run.ID(), []catalog.Entry{e})...)
}

// hashed is a file name for a key.
func hashed(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:16])
}

// quarantineBad quarantines the bad lines of an object.
func (l *Lake) quarantineBad(ctx context.Context, run Run, e catalog.Entry) error {
	body, err := l.Raw.Open(ctx, e.Key)
	if err != nil {
		return err
	}
	defer body.Close()
	q := l.quarantine(run)
	_, err = catalog.Scan(body, func(line catalog.Line) error {
		if line.Problem == "" {
			return nil
		}
		return q.addBad(ctx, e.Key, line)
	})
	return errors.Join(err, q.flush(ctx))
}

// sift copies the good lines of an object to staging and quarantines the bad ones. It is
// false if the object is damaged.
func (l *Lake) sift(ctx context.Context, run Run, e catalog.Entry) (in input, whole bool, err error) {
	in = input{Entry: e}
	body, err := l.Raw.Open(ctx, e.Key)
	if errors.Is(err, tickerlake.NotFound) {
		return in, false, l.damaged(ctx, run, e, "the object is gone")
	}
	if err != nil {
		return in, false, err
	}
	defer body.Close()
	in.path = filepath.Join(l.staging(run.ID()), "sifted", hashed(e.Key)+".gz")
	if err := os.MkdirAll(filepath.Dir(in.path), 0o755); err != nil {
		return in, false, err
	}
	out, err := os.Create(in.path)
	if err != nil {
		return in, false, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	z, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err != nil {
		return in, false, err
	}
	q := l.quarantine(run)
	facts, err := catalog.Scan(body, func(line catalog.Line) error {
		if line.Problem != "" {
			return q.addBad(ctx, e.Key, line)
		}
		_, err := z.Write(append(slices.Clip(line.Text), '\n'))
		return err
	})
	if err = errors.Join(err, z.Close()); err != nil {
		return in, false, err
	}
	if facts.Damage != "" {
		return in, false, l.damaged(ctx, run, e, facts.Damage)
	}
	in.lines, in.bad = facts.Lines, facts.BadLines
	return in, true, q.flush(ctx)
}

// conflicts finds rows whose source, basis or currency is not that of their series,
// by table. For a new symbol the first fetch decides.
func (l *Lake) conflicts(ctx context.Context, groups []Group) (map[string][]Skip, error) {
	out := map[string][]Skip{}
	known := map[string]map[tickerlake.Symbol]tickerlake.Series{}
	intervals := map[string]tickerlake.Interval{}
	slices.SortFunc(groups, func(a, b Group) int {
		return cmp.Or(strings.Compare(a.Table, b.Table), a.FetchedAt.Compare(b.FetchedAt), strings.Compare(a.FetchID, b.FetchID), strings.Compare(a.Symbol, b.Symbol),
			strings.Compare(a.Interval, b.Interval), strings.Compare(a.Source, b.Source), strings.Compare(a.Basis, b.Basis), strings.Compare(a.Currency, b.Currency))
	})
	for _, g := range groups {
		if g.Outcome == OutcomeActions {
			continue // several sources may tell of one
		}
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
		if tickerlake.Replaces(g.FetchID) && string(s.Interval) == g.Interval {
			// From here on the series is what a user wants in its place.
			s.Source, s.Basis, s.Currency = g.Source, tickerlake.Basis(g.Basis), g.Currency
			series[tickerlake.Symbol(g.Symbol)] = s
			continue
		}
		skip := Skip{Symbol: g.Symbol, Source: g.Source, Basis: g.Basis, Currency: g.Currency, Interval: g.Interval,
			Reason: fmt.Sprintf("%s: %s; give the source a table of its own (table:), or take it instead (tickerlake refetch %s --replace)", g.Table, strings.Join(differs, ", "), g.Symbol)}
		if !slices.Contains(out[g.Table], skip) {
			out[g.Table] = append(out[g.Table], skip)
		}
	}
	return out, nil
}
