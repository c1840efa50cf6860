package lake

import (
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/apache/iceberg-go/table"

	"github.com/tickerlake/tickerlake/catalog"
	"github.com/tickerlake/tickerlake/internal/fault"
)

// dayPrefix begins the tag of the last snapshot of a UTC day. firstTag is the tag of the
// first snapshot of a table of revisions: before it there were none.
const (
	dayPrefix = "day-"
	firstTag  = "first"
)

// ownTag reports whether a tag is one that Expire sets.
func ownTag(name string) bool { return name == firstTag || strings.HasPrefix(name, dayPrefix) }

// A moment is a snapshot of main and the publication that it shows.
type moment struct {
	id  int64
	seq int64 // 0 if it is not known
	at  time.Time
}

// lineage lists the snapshots of main from the newest on, as far as they are there.
func lineage(t *table.Table, publications map[string]catalog.Numbered) []moment {
	var out []moment
	for s := t.SnapshotByName(table.MainBranch); s != nil; {
		m := moment{id: s.SnapshotID, at: time.UnixMilli(s.TimestampMs).UTC()}
		if p, ok := publications[runOf(s)]; ok {
			m.seq, m.at = p.Seq, p.At
		}
		out = append(out, m)
		if s.ParentSnapshotID == nil {
			break
		}
		s = t.SnapshotByID(*s.ParentSnapshotID)
	}
	return out
}

// Expire drops candidates of runs that ended, tags the last snapshot of each day, and
// lets go of snapshots that are not to be kept. Their files stay, for Collect.
func (t *Tidy) Expire(ctx context.Context, run Run) error {
	if t.held(run) {
		return nil
	}
	l := t.lake
	publications, err := l.Catalog.Publications(ctx)
	if err != nil {
		return err
	}
	names, err := l.Catalog.ListTables(ctx, l.prod())
	if err != nil {
		return err
	}
	slices.Sort(names) // a table comes before that of its revisions
	bars := map[string]retained{}
	oldest := int64(math.MaxInt64)
	for i, name := range names {
		of := bars[strings.TrimSuffix(name, revisionsSuffix)] // empty for bars
		k, err := t.expire(ctx, run, name, publications, of)
		if err != nil {
			return err
		}
		bars[name] = k
		run.Report(float64(i+1)/float64(len(names)), run.Counts())
		if len(k.seqs) == 0 {
			continue
		}
		oldest = min(oldest, slices.Min(k.seqs))
		if t.o.Dry {
			continue
		}
		// Revisions have no series and covers; forgetting those of nothing is cheap.
		if err := l.Catalog.Forget(ctx, name, k.seqs); err != nil {
			return err
		}
	}
	if t.o.Dry {
		return nil
	}
	return l.Catalog.Bound(ctx, keepMeasured, oldest)
}

// keepMeasured is how many earlier results of a metric are kept.
const keepMeasured = 1000

// A retained is what stays of a table's history: the publications that its snapshots show,
// and the last moment of each day that has a tag.
type retained struct {
	seqs   []int64
	oldest int64 // of the newest snapshots, which follow each other without a gap
	days   map[string]time.Time
}

// expire does one table. A table of revisions also keeps what stood beside the snapshots
// that are kept of its bars, so that both can go back together.
func (t *Tidy) expire(ctx context.Context, run Run, name string, publications map[string]catalog.Numbered, bars retained) (retained, error) {
	l := t.lake
	line := t.of(l.prod() + "." + name)
	ice, err := l.Catalog.LoadTable(ctx, l.prod(), name)
	if err != nil {
		return retained{}, err
	}
	moments := lineage(ice, publications)
	e := expiry{table: ice, moments: moments, days: t.days(moments, bars.days), refs: map[string]table.SnapshotRef{}, keep: map[int64]bool{}}
	for ref, at := range ice.Metadata().Refs() {
		e.refs[ref] = at
	}
	e.references(t.lake.now().Add(-time.Duration(t.config.DailySnapshots)))
	oldest := int64(math.MaxInt64)
	if strings.HasSuffix(name, revisionsSuffix) {
		oldest = bars.oldest
		if n := len(moments); n > 0 && ice.SnapshotByID(moments[n-1].id).ParentSnapshotID == nil {
			e.tag(firstTag, moments[n-1].id)
		}
	}
	out := retained{days: map[string]time.Time{}, oldest: e.history(t.config.Snapshots, oldest)}
	var gone []int64
	for _, s := range ice.Metadata().Snapshots() {
		line.SnapshotsBefore++
		if !e.keep[s.SnapshotID] {
			gone = append(gone, s.SnapshotID)
		}
	}
	line.SnapshotsExpired, line.Tagged, line.Candidates = int64(len(gone)), e.tagged, e.candidates
	if len(gone) > 0 {
		e.updates = append(e.updates, table.NewRemoveSnapshotsUpdate(gone, false))
	}
	for _, m := range moments {
		if e.keep[m.id] {
			out.seqs = append(out.seqs, m.seq)
		}
	}
	for ref, at := range e.refs {
		day, ok := strings.CutPrefix(ref, dayPrefix)
		if !ok {
			continue
		}
		if s := ice.SnapshotByID(at.SnapshotID); s != nil {
			p := publications[runOf(s)]
			out.seqs = append(out.seqs, p.Seq)
			if end, err := time.Parse(time.DateOnly, day); err == nil {
				out.days[day] = end.Add(24 * time.Hour)
			}
		}
	}
	if derived(ice) {
		out = retained{} // it shows no publication
	}
	if len(e.updates) == 0 || t.o.Dry {
		return out, nil
	}
	// Decided on what was read: every reference must be what it was.
	if err := l.Catalog.Commit(ctx, ice, e.requirements, e.updates); err != nil {
		return retained{}, err
	}
	fault.Point("tidy.expired")
	run.Log().Info("snapshots expired", "table", name, "expired", len(gone), "tagged", e.tagged, "candidates", e.candidates)
	return out, nil
}

// days gives the snapshot that was current at the end of each UTC day that has a
// snapshot, or that the table of bars has a tag of.
func (t *Tidy) days(moments []moment, others map[string]time.Time) map[string]moment {
	now := t.lake.now()
	today := now.Format(time.DateOnly)
	first := now.Add(-time.Duration(t.config.DailySnapshots)).Format(time.DateOnly)
	out := map[string]moment{}
	for _, m := range moments { // newest first: the first of a day is its last
		d := m.at.Format(time.DateOnly)
		if _, have := out[d]; !have && d < today && d >= first {
			out[d] = m
		}
	}
	for d, end := range others {
		i := slices.IndexFunc(moments, func(m moment) bool { return m.at.Before(end) })
		if _, have := out[d]; !have && i >= 0 && d >= first {
			out[d] = moments[i]
		}
	}
	return out
}

// An expiry decides what stays of one table.
type expiry struct {
	table   *table.Table
	moments []moment
	days    map[string]moment
	refs    map[string]table.SnapshotRef
	keep    map[int64]bool

	updates            []table.Update
	requirements       []table.Requirement
	tagged, candidates int64
}

// references drops branches of runs and tags of days past, and sets the tags of days.
// Others' branches and tags stay, and keep what they hold.
func (e *expiry) references(first time.Time) {
	for ref, at := range e.refs {
		id := at.SnapshotID
		e.requirements = append(e.requirements, table.AssertRefSnapshotID(ref, &id))
		day, daily := strings.CutPrefix(ref, dayPrefix)
		switch {
		case strings.HasPrefix(ref, branchPrefix):
			// There is one run at a time, and none is unfinished.
			e.drop(ref)
			e.candidates++
		case daily && day < first.Format(time.DateOnly):
			e.drop(ref)
		case daily && e.days[day].id != 0:
			// set below
		case at.SnapshotRefType == table.TagRef || ref == table.MainBranch:
			e.keep[id] = true
		default:
			for s := e.table.SnapshotByID(id); s != nil; {
				e.keep[s.SnapshotID] = true
				if s.ParentSnapshotID == nil {
					break
				}
				s = e.table.SnapshotByID(*s.ParentSnapshotID)
			}
		}
	}
	for d, m := range e.days {
		e.tag(dayPrefix+d, m.id)
	}
}

// tag sets a tag, if it is not there already.
func (e *expiry) tag(name string, id int64) {
	e.keep[id] = true
	at, have := e.refs[name]
	if have && at.SnapshotID == id {
		return
	}
	if !have {
		e.requirements = append(e.requirements, table.AssertRefSnapshotID(name, nil))
	}
	e.updates = append(e.updates, table.NewSetSnapshotRefUpdate(name, id, table.TagRef, 0, 0, 0))
	e.refs[name] = table.SnapshotRef{SnapshotID: id, SnapshotRefType: table.TagRef}
	e.tagged++
}

func (e *expiry) drop(ref string) {
	delete(e.refs, ref)
	e.updates = append(e.updates, table.NewRemoveSnapshotRefUpdate(ref))
}

// history keeps the newest snapshots of main that have no tag, and as many more as it
// takes to have the state at publication oldest. It returns the publication of the last
// of them.
func (e *expiry) history(newest int, oldest int64) (last int64) {
	tagged := map[int64]bool{}
	for _, at := range e.refs {
		if at.SnapshotRefType == table.TagRef {
			tagged[at.SnapshotID] = true
		}
	}
	reached := false
	for _, m := range e.moments {
		if newest <= 0 && reached {
			break
		}
		e.keep[m.id] = true
		last = m.seq
		reached = reached || m.seq <= oldest
		if !tagged[m.id] {
			newest--
		}
	}
	return last
}

// undoneTags removes the tags of Expire on snapshots that a rollback to a snapshot of main
// (nil: to an empty table) undoes.
func undoneTags(t *table.Table, to *int64) []table.Update {
	kept := int64(0)
	if to != nil {
		if s := t.SnapshotByID(*to); s != nil {
			kept = s.SequenceNumber
		}
	}
	var out []table.Update
	for name, ref := range t.Metadata().Refs() {
		if s := t.SnapshotByID(ref.SnapshotID); s != nil && ref.SnapshotRefType == table.TagRef && ownTag(name) && s.SequenceNumber > kept {
			out = append(out, table.NewRemoveSnapshotRefUpdate(name))
		}
	}
	return out
}
