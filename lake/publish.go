package lake

import (
	"context"
	"os"
	"slices"

	"github.com/apache/iceberg-go/table"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
	"github.com/tickerlake/tickerlake/internal/fault"
)

// Publish makes the candidates of the run prod, each in one atomic commit, then
// renews prod.latest, moves the watermarks and marks the objects as published.
func (l *Lake) Publish(ctx context.Context, run Run) error {
	var note cleaned
	if ok, err := l.noted(run.ID(), "clean.json", &note); err != nil || !ok {
		return missing("clean.json", err)
	}
	var c candidates
	if ok, err := l.noted(run.ID(), "candidates.json", &c); err != nil || !ok {
		return missing("candidates.json", err)
	}
	var crawl crawled
	if ok, err := l.noted(run.ID(), "crawl.json", &crawl); err != nil || !ok {
		return missing("crawl.json", err)
	}
	for i, t := range c.Tables {
		// Revisions first: a reader who sees the new bar finds the old one there.
		if t.Revisions != 0 {
			if err := l.promote(ctx, t.Table+revisionsSuffix, run.ID(), t.RevisionsBase, t.Revisions); err != nil {
				return err
			}
			fault.Point("publish.revisions")
		}
		if t.Snapshot != 0 {
			if err := l.promote(ctx, t.Table, run.ID(), t.Base, t.Snapshot); err != nil {
				return err
			}
			fault.Point("publish.promoted")
		}
		run.Report(float64(i+1)/float64(len(c.Tables)+1), run.Counts())
	}
	p, err := l.publication(ctx, run, note, c, crawl)
	if err != nil {
		return err
	}
	if err := l.renewLatest(ctx, run, note, p); err != nil {
		return err
	}
	fault.Point("publish.latest")
	if err := l.Catalog.Publish(ctx, p); err != nil {
		return err
	}
	fault.Point("publish.recorded")
	entries, err := l.Catalog.OfRun(ctx, run.ID())
	if err != nil {
		return err
	}
	var events []any
	for _, e := range entries {
		if e.State == catalog.Published {
			events = append(events, l.objectEvent(run, e, string(e.State)))
		}
	}
	return l.Events.Emit(ctx, "objects", events...)
}

// publication gathers what the run's rows say of their series.
func (l *Lake) publication(_ context.Context, run Run, note cleaned, c candidates, crawl crawled) (catalog.Publication, error) {
	p := catalog.Publication{Run: run.ID(), Claimed: crawl.Claimed}
	for _, g := range note.Result.Groups {
		if g.Outcome != OutcomeBars || skipped(g, slices.Concat(note.Conflicts[g.Table], c.SetAside[g.Table])) {
			continue
		}
		p.Confirmations = append(p.Confirmations, catalog.Confirmation{
			Series: tickerlake.Series{
				Table: g.Table, Symbol: tickerlake.Symbol(g.Symbol), Source: g.Source, Basis: tickerlake.Basis(g.Basis),
				Currency: g.Currency, Interval: tickerlake.Interval(g.Interval), Last: g.MaxTs,
			},
			Cover: catalog.Cover{From: g.MinTs, To: g.MaxTs, FetchedAt: g.FetchedAt, FetchID: g.FetchID},
		})
	}
	return p, nil
}

func skipped(g Group, skips []Skip) bool {
	return slices.ContainsFunc(skips, func(s Skip) bool {
		return s.Symbol == g.Symbol && (s.Source == "" || s.Source == g.Source && s.Basis == g.Basis && s.Currency == g.Currency && s.Interval == g.Interval)
	})
}

// Finish removes the intermediate files of a run that has ended.
func (l *Lake) Finish(run string) error { return os.RemoveAll(l.staging(run)) }

// retract takes back the revisions of bars that were not published after all: the next
// run makes them again.
func (l *Lake) retract(ctx context.Context, run string) error {
	var c candidates
	if ok, err := l.noted(run, "candidates.json", &c); err != nil || !ok {
		return err
	}
	for _, t := range c.Tables {
		if t.Revisions == 0 {
			continue
		}
		bars, err := l.Catalog.LoadTable(ctx, l.prod(), t.Table)
		if err != nil {
			return err
		}
		if head := headOf(bars, table.MainBranch); head != nil && *head == t.Snapshot {
			continue // the bars are out
		}
		revisions, err := l.Catalog.LoadTable(ctx, l.prod(), t.Table+revisionsSuffix)
		if err != nil {
			return err
		}
		if head := headOf(revisions, table.MainBranch); head == nil || *head != t.Revisions {
			continue
		}
		var back table.Update = table.NewRemoveSnapshotRefUpdate(table.MainBranch)
		if t.RevisionsBase != nil {
			back = table.NewSetSnapshotRefUpdate(table.MainBranch, *t.RevisionsBase, table.BranchRef, 0, 0, 0)
		}
		err = l.Catalog.Commit(ctx, revisions, []table.Requirement{table.AssertRefSnapshotID(table.MainBranch, &t.Revisions)}, []table.Update{back})
		if err != nil {
			return err
		}
	}
	return nil
}

// Abandon gives up a failed run: its candidates are dropped, its objects wait for
// the next run, which tries them again.
func (l *Lake) Abandon(ctx context.Context, run string, why error) error {
	if err := l.retract(ctx, run); err != nil {
		return err
	}
	names, err := l.Catalog.ListTables(ctx, l.prod())
	if err != nil {
		return err
	}
	for _, name := range names {
		t, err := l.Catalog.LoadTable(ctx, l.prod(), name)
		if err != nil {
			return err
		}
		if err := l.dropCandidates(ctx, t); err != nil {
			return err
		}
	}
	if err := l.Catalog.Fail(ctx, run, why.Error()); err != nil {
		return err
	}
	return l.Finish(run)
}
