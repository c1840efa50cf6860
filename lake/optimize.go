package lake

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
	"github.com/tickerlake/tickerlake/internal/fault"
)

// A Candidate is a table as a run would make it.
type Candidate struct {
	Table    string              `json:"table"`
	Interval tickerlake.Interval `json:"interval"`
	// Base is the snapshot of main that the candidate was built from, nil if the
	// table was empty; Snapshot is the candidate's, 0 if the table stays as it is.
	Base     *int64 `json:"base"`
	Snapshot int64  `json:"snapshot"`
	// Revisions and RevisionsBase are the same for the table of revisions.
	RevisionsBase *int64 `json:"revisions_base"`
	Revisions     int64  `json:"revisions"`
	// New are local files with the rows that are new or different.
	New    []string          `json:"new"`
	Counts tickerlake.Counts `json:"counts"`
	// Withdrawn are the bars that the sources no longer have.
	Withdrawn []Withdrawal `json:"withdrawn,omitempty"`

	changes []Change
	lacking map[string]int64 // stored bars, by symbol
}

// A candidates is what Optimize notes for the jobs after it.
type candidates struct {
	Tables []Candidate `json:"tables"`
	// SetAside are the rows left out because of a rule, by table.
	SetAside map[string][]Skip `json:"set_aside"`
	// Restated are the series that come anew, Waits those whose rows wait, by table; nil
	// if that is not decided.
	Restated map[string][]Restatement `json:"restated"`
	Waits    map[string][]Skip        `json:"waits"`
	Build    int                      `json:"build"`
}

// Optimize builds a candidate of each table from what is new or different. Where
// nothing is, there is none.
func (l *Lake) Optimize(ctx context.Context, run Run) error {
	if err := l.build(ctx, run, candidates{SetAside: map[string][]Skip{}}); err != nil {
		return err
	}
	var c candidates
	if ok, err := l.noted(run.ID(), "candidates.json", &c); err != nil || !ok {
		return missing("candidates.json", err)
	}
	for _, t := range c.Tables {
		tellWithdrawn(ctx, run, t)
	}
	tellRestated(ctx, run, c)
	return nil
}

// build makes the candidates anew, without the rows that are set aside or wait. Which
// series are restated the rows themselves tell, when they are compared: then it is done
// once more.
func (l *Lake) build(ctx context.Context, run Run, c candidates) error {
	var note cleaned
	if ok, err := l.noted(run.ID(), "clean.json", &note); err != nil || !ok {
		return missing("clean.json", err)
	}
	if c.Restated == nil || c.Waits == nil {
		c.Restated, c.Waits = map[string][]Restatement{}, map[string][]Skip{}
		suspects, err := l.suspected(ctx, note.Result.Groups)
		if err == nil {
			err = l.toldOf(ctx, note, suspects)
		}
		if err == nil {
			err = l.settle(ctx, note, &c, suspects)
		}
		if err != nil {
			return err
		}
	}
	for {
		counts, err := l.candidates(ctx, run, note, &c)
		if err != nil {
			return err
		}
		open := unsettled(c)
		if err := l.settle(ctx, note, &c, open); err != nil {
			return err
		}
		if c.stands(note, open) {
			if err := l.quarantineAside(ctx, run, note, c); err != nil {
				return err
			}
			if err := run.UpdateCounts(ctx, func(c *tickerlake.Counts) { *c = counts }); err != nil {
				return err
			}
			fault.Point("optimize.staged")
			return l.note(run.ID(), "candidates.json", c)
		}
		c.Build++
	}
}

// candidates makes a candidate of each table that the run has rows for.
func (l *Lake) candidates(ctx context.Context, run Run, note cleaned, c *candidates) (tickerlake.Counts, error) {
	c.Tables = nil
	tables := map[string][]Part{}
	var order []string
	var all []string // files of rows, whatever became of them
	total := 0
	var actions []Part
	for _, p := range note.Result.Parts {
		if p.Outcome == OutcomeActions {
			actions = append(actions, p)
			continue
		}
		if p.ofBars() {
			all = append(all, p.Files...)
		}
		if p.Outcome != OutcomeBars {
			continue
		}
		if tables[p.Table] == nil {
			order = append(order, p.Table)
		}
		tables[p.Table] = append(tables[p.Table], p)
		total++
	}
	slices.Sort(order)
	done := 0
	counts := run.Counts()
	counts = tickerlake.Counts{Read: counts.Read, NotFinal: note.notFinal(), Quarantined: note.quarantined()}
	for _, name := range order {
		b := &builder{
			lake: l, run: run.ID(), name: name, build: c.Build, groups: note.Result.Groups, rows: all,
			skips: append(note.aside(*c, name), c.Waits[name]...), restated: map[string]Restatement{},
		}
		for _, r := range c.Restated[name] {
			b.restated[r.Symbol] = r
		}
		made, err := b.table(ctx, tables[name], func(so tickerlake.Counts) {
			done++
			run.Report(float64(done)/float64(total), add(counts, so))
		})
		if err != nil {
			return counts, err
		}
		c.Tables = append(c.Tables, made)
		counts = add(counts, made.Counts)
	}
	if len(actions) > 0 {
		b := &actionBuilder{lake: l, run: run.ID(), build: c.Build}
		made, err := b.table(ctx, actions)
		if err != nil {
			return counts, err
		}
		c.Tables = append(c.Tables, made)
		counts = add(counts, made.Counts)
	}
	if !counts.Conserved() {
		return counts, tickerlake.Errorf(tickerlake.Internal, "lake.Optimize", run.ID(), "rows are not conserved: %+v", counts)
	}
	return counts, nil
}

// quarantineAside records the rows that are set aside. Those of a file are if their series
// waits: the answer that ends the waiting need not have what the file has.
func (l *Lake) quarantineAside(ctx context.Context, run Run, note cleaned, c candidates) error {
	for _, t := range c.Tables {
		if err := l.quarantineSkipped(ctx, run, note, OutcomeBars, t.Table, slices.Concat(note.aside(c, t.Table), c.Waits[t.Table])); err != nil {
			return err
		}
	}
	return nil
}

func missing(name string, err error) error {
	if err != nil {
		return err
	}
	return tickerlake.Errorf(tickerlake.Internal, "lake.noted", name, "an earlier job of the run did not leave it")
}

func add(a, b tickerlake.Counts) tickerlake.Counts {
	a.Inserted += b.Inserted
	a.Replaced += b.Replaced
	a.Unchanged += b.Unchanged
	a.Superseded += b.Superseded
	a.Quarantined += b.Quarantined
	a.Waiting += b.Waiting
	a.Withdrawn += b.Withdrawn
	a.Removed += b.Removed
	return a
}

// A builder makes the candidate of one table.
type builder struct {
	lake   *Lake
	run    string
	name   string
	build  int
	skips  []Skip
	groups []Group
	rows   []string
	// restated are the series that come anew, by symbol.
	restated map[string]Restatement

	remove, add, revise []string // locations
	out                 Candidate
}

func (b *builder) table(ctx context.Context, parts []Part, progress func(tickerlake.Counts)) (Candidate, error) {
	l := b.lake
	interval := tickerlake.Day
	for _, g := range b.groups {
		if g.Table == b.name {
			interval = tickerlake.Interval(g.Interval)
			break
		}
	}
	b.out = Candidate{Table: b.name, Interval: interval, lacking: map[string]int64{}}
	bars, err := l.ensureTable(ctx, b.name, interval, BarColumns)
	if err != nil {
		return b.out, err
	}
	revisions, err := l.ensureTable(ctx, b.name+revisionsSuffix, interval, RevisionColumns)
	if err != nil {
		return b.out, err
	}
	b.out.Base, b.out.RevisionsBase = headOf(bars, "main"), headOf(revisions, "main")
	if err := errors.Join(l.dropCandidates(ctx, bars), l.dropCandidates(ctx, revisions)); err != nil {
		return b.out, err
	}
	files, err := plan(ctx, bars, "main")
	if err != nil {
		return b.out, err
	}
	covers, err := b.covers(ctx)
	if err != nil {
		return b.out, err
	}
	spans := b.spans()
	for i, p := range slices.Concat(parts, bare(b.name, parts, spans, files)) {
		if err := b.part(ctx, i, p, files, covers, p.reach(spans, files)); err != nil {
			return b.out, err
		}
		if len(p.Files) > 0 {
			progress(b.out.Counts)
		}
	}
	b.out.Withdrawn = together(b.out.Withdrawn)
	b.out.Counts = add(b.out.Counts, withdrawn(b.out.Withdrawn))
	fault.Point("optimize.written")
	if len(b.revise) > 0 {
		if b.out.Revisions, err = l.stage(ctx, b.name+revisionsSuffix, b.run, nil, nil, b.revise); err != nil {
			return b.out, err
		}
	}
	if len(b.remove)+len(b.add) > 0 {
		if b.out.Snapshot, err = l.stage(ctx, b.name, b.run, nil, b.remove, b.add); err != nil {
			return b.out, err
		}
	}
	return b.out, nil
}

// covers gives the covers that are later than rows of this run: none, unless an old
// fetch arrives after a newer one.
func (b *builder) covers(ctx context.Context) (map[string][]catalog.Cover, error) {
	var oldest time.Time
	for _, g := range b.groups {
		if g.Table == b.name && (oldest.IsZero() || g.FetchedAt.Before(oldest)) {
			oldest = g.FetchedAt
		}
	}
	all, err := b.lake.Catalog.Covers(ctx, b.name, oldest)
	if err != nil {
		return nil, err
	}
	out := map[string][]catalog.Cover{}
	for _, g := range b.groups {
		if g.Table != b.name || out[g.Symbol] != nil {
			continue
		}
		for _, c := range all[g.Symbol] {
			if c.FetchedAt.After(g.FetchedAt) || c.FetchedAt.Equal(g.FetchedAt) && c.FetchID > g.FetchID {
				out[g.Symbol] = all[g.Symbol]
				break
			}
		}
	}
	return out, nil
}

// part merges one part and makes the files that it leaves durable.
func (b *builder) part(ctx context.Context, n int, p Part, files []file, covers map[string][]catalog.Cover, spans []Span) error {
	l := b.lake
	files = slices.DeleteFunc(slices.Clone(files), func(f file) bool {
		return !f.overlaps(p) && !(f.partition == p.Partition && slices.ContainsFunc(spans, f.within))
	})
	existing, err := l.local(files)
	if err != nil {
		return err
	}
	if err := l.unchanged(files); err != nil {
		return err
	}
	inserted := dataFile(b.name, p.Partition, b.run, b.build, n, "new")
	revised := dataFile(b.name+revisionsSuffix, p.Partition, b.run, b.build, n, "new")
	rewritten := func(i int) string {
		return dataFile(b.name, p.Partition, b.run, b.build, n, fmt.Sprintf("rewrite-%d", i))
	}
	task := MergeTask{
		Incoming: p.Files, Distinct: p.Distinct, Existing: existing, Skip: b.skips, Covers: covers, Spans: spans, Rows: b.rows, Now: l.now(),
		Changed: filepath.Join(l.staging(b.run), "changed", b.name+"-"+p.Partition+".parquet"),
	}
	if err := l.files.MakeDir(filepath.Dir(task.Changed)); err != nil {
		return err
	}
	if task.Inserted, err = l.create(inserted); err != nil {
		return err
	}
	if task.Revised, err = l.create(revised); err != nil {
		return err
	}
	task.Rewritten = func(i int) string {
		path, _ := l.files.Path(rewritten(i)) // the folder is that of Inserted
		return path
	}
	got, err := l.Engine.Merge(ctx, task)
	if err != nil {
		return err
	}
	var added []string
	if got.Inserted > 0 {
		added = append(added, inserted)
		b.out.New = append(b.out.New, task.Inserted)
	}
	for _, i := range got.Rewrote {
		b.remove = append(b.remove, files[i].location)
		added = append(added, rewritten(i))
	}
	for _, i := range got.Emptied {
		b.remove = append(b.remove, files[i].location)
	}
	b.out.Withdrawn = append(b.out.Withdrawn, got.Withdrawn...)
	b.out.changes = append(b.out.changes, got.Changes...)
	for symbol, n := range got.Lacking {
		b.out.lacking[symbol] += n
	}
	if got.Replaced > 0 {
		b.out.New = append(b.out.New, task.Changed)
	}
	if got.Revisions > 0 {
		b.revise = append(b.revise, revised)
		if err := l.files.Sync(revised); err != nil {
			return err
		}
	}
	for _, location := range added {
		if err := l.files.Sync(location); err != nil {
			return err
		}
	}
	b.add = append(b.add, added...)
	b.out.Counts = add(b.out.Counts, tickerlake.Counts{
		Inserted: got.Inserted, Replaced: got.Replaced, Unchanged: got.Unchanged, Superseded: got.Superseded, Quarantined: got.Skipped, Waiting: got.Waiting,
	})
	return nil
}
