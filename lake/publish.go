package lake

import (
	"cmp"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

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
	p := publication(run.ID(), note, c, crawl)
	if err := l.renewLatest(ctx, run, note, c, p); err != nil {
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
	entries = slices.DeleteFunc(entries, func(e catalog.Entry) bool { return e.State != catalog.Published })
	return l.Events.Emit(ctx, "objects", l.objectEvents(run.ID(), entries)...)
}

// publication gathers what the run's rows say of their series, and which objects they
// came from.
func publication(run string, note cleaned, c candidates, crawl crawled) catalog.Publication {
	p := catalog.Publication{Run: run, Claimed: crawl.Claimed}
	feeds := map[catalog.Feed]time.Time{}
	fetches := map[Group]int{}
	waits, anew := map[[2]string]string{}, map[[2]string]Restatement{}
	for table, list := range c.Waits {
		for _, s := range list {
			waits[[2]string{table, s.Symbol}] = s.Reason
		}
	}
	for table, list := range c.Restated {
		for _, r := range list {
			anew[[2]string{table, r.Symbol}] = r
		}
	}
	for _, g := range note.Result.Groups {
		if skipped(g, note.aside(c, g.Table)) {
			continue
		}
		series := [2]string{g.Table, g.Symbol}
		if reason, ok := waits[series]; ok {
			if reason != "" {
				p.Waits = append(p.Waits, catalog.Wait{Table: g.Table, Symbol: tickerlake.Symbol(g.Symbol), Source: g.Source, Reason: reason})
				waits[series] = "" // once
			}
			continue
		}
		f := catalog.Feed{Key: note.Objects[g.Object], Table: g.Table, Source: g.Source}
		if at, ok := feeds[f]; !ok || g.FetchedAt.Before(at) {
			feeds[f] = g.FetchedAt
		}
		if g.Outcome != OutcomeBars {
			continue
		}
		r, restated := anew[series]
		if restated && r.key().after(fetchKey{g.FetchedAt, g.FetchID}) {
			continue // nothing of it is left
		}
		// The rows of a fetch may lie in several objects.
		fetch := Group{Table: g.Table, Symbol: g.Symbol, Interval: g.Interval, Source: g.Source, Basis: g.Basis, Currency: g.Currency, FetchID: g.FetchID, FetchedAt: g.FetchedAt}
		if i, ok := fetches[fetch]; ok {
			n := &p.Confirmations[i]
			if g.MinTs.Before(n.Cover.From) {
				n.Cover.From = g.MinTs
			}
			if g.MaxTs.After(n.Last) {
				n.Last, n.Cover.To = g.MaxTs, tickerlake.Later(n.Cover.To, g.MaxTs)
			}
			continue
		}
		fetches[fetch] = len(p.Confirmations)
		cover := catalog.Cover{From: g.MinTs, To: g.MaxTs, FetchedAt: g.FetchedAt, FetchID: g.FetchID}
		restated = restated && r.FetchID == g.FetchID && r.FetchedAt.Equal(g.FetchedAt)
		switch {
		case restated: // what is older, wherever, is on another basis
			cover.From, cover.To = r.From, r.To
		case tickerlake.FromFile(g.FetchID):
			cover.From, cover.To = time.Time{}, time.Time{}
		}
		p.Confirmations = append(p.Confirmations, catalog.Confirmation{
			Series: tickerlake.Series{
				Table: g.Table, Symbol: tickerlake.Symbol(g.Symbol), Source: g.Source, Basis: tickerlake.Basis(g.Basis),
				Currency: g.Currency, Interval: tickerlake.Interval(g.Interval), Last: g.MaxTs,
			},
			Cover: cover, Anew: restated,
		})
	}
	// What comes anew is the ground of what is later.
	slices.SortStableFunc(p.Confirmations, func(a, b catalog.Confirmation) int {
		switch {
		case a.Anew == b.Anew:
			return 0
		case a.Anew:
			return -1
		default:
			return 1
		}
	})
	for f, at := range feeds {
		f.FetchedAt = at
		f.Anew = slices.ContainsFunc(c.Tables, func(t Candidate) bool { return t.Table == f.Table && t.Snapshot != 0 })
		p.Feeds = append(p.Feeds, f)
	}
	slices.SortFunc(p.Feeds, func(a, b catalog.Feed) int {
		return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(a.Table, b.Table), strings.Compare(a.Source, b.Source))
	})
	return p
}

func skipped(g Group, skips []Skip) bool {
	return slices.ContainsFunc(skips, func(s Skip) bool {
		return s.Symbol == g.Symbol && (s.Source == "" || s.Source == g.Source && s.Basis == g.Basis && s.Currency == g.Currency && s.Interval == g.Interval) &&
			(s.FetchedBefore.IsZero() || g.FetchedAt.Before(s.FetchedBefore) && g.MaxTs.Before(s.TsBefore))
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
	held, err := l.Catalog.Fail(ctx, run, why.Error(), errors.Is(why, tickerlake.GateFailed))
	if err != nil {
		return err
	}
	if err := l.Events.Emit(ctx, "objects", l.objectEvents(run, held)...); err != nil {
		return err
	}
	return l.Finish(run)
}
