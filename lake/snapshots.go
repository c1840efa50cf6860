package lake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/iceberg-go/table"

	"github.com/tickerlake/tickerlake"
)

// madeProperty is the property of a snapshot that says what made it, if that was not a
// publication: Tidied. Such a snapshot has the rows of the one before it.
const madeProperty = "tickerlake.made_by"

// What makes snapshots.
const (
	Publishing = "publish"
	Tidied     = "tidy"
)

// A Snapshot is a state of a table that is kept.
type Snapshot struct {
	ID   int64     `json:"id"`
	At   time.Time `json:"at"`
	Run  string    `json:"run"`  // the run whose publication it holds
	Made string    `json:"made"` // Publishing or Tidied
	// Seq is the number of that publication, 0 if it was not recorded.
	Seq   int64    `json:"seq"`
	Rows  int64    `json:"rows"`
	Added int64    `json:"rows_added"` // more than in the one before, negative if less
	Files int64    `json:"files"`
	Tags  []string `json:"tags"`
	// Current is true for the one that readers see. Rollback goes back to those that are
	// Target; WhyNot says why to others not.
	Current bool   `json:"current"`
	Target  bool   `json:"target"`
	WhyNot  string `json:"why_not,omitempty"`
}

// Snapshots lists the kept snapshots of a table that led to what is published, newest
// first.
func (l *Lake) Snapshots(ctx context.Context, name string) ([]Snapshot, error) {
	t, err := l.Catalog.LoadTable(ctx, l.prod(), name)
	if err != nil {
		return nil, err
	}
	out, err := l.chain(ctx, t)
	if err != nil || len(out) == 0 {
		return out, err
	}
	out[0].Current, out[0].WhyNot = true, "it is the current one"
	if strings.HasSuffix(name, revisionsSuffix) {
		for i := range out[1:] {
			out[i+1].WhyNot = "revisions follow their table"
		}
		return out, nil
	}
	if derived(t) {
		for i := range out[1:] {
			out[i+1].Target = true
		}
		return out, nil
	}
	revisions, whole, err := l.revisionsOf(ctx, name)
	if err != nil {
		return nil, err
	}
	for i := 1; i < len(out); i++ {
		s := &out[i]
		switch _, ok := revisionsAt(revisions, whole, out[i:]); {
		case s.Seq == 0:
			s.WhyNot = "what was published with it is not recorded"
		case slices.ContainsFunc(out[:i], func(newer Snapshot) bool { return newer.Run != s.Run && 0 < newer.Seq && newer.Seq <= s.Seq }):
			s.WhyNot = "the lake was migrated since, and knows no more what was published after it"
		case !ok:
			s.WhyNot = "the revisions of its time are not kept any more"
		default:
			s.Target = true
		}
	}
	return out, nil
}

// chain lists the snapshots from the head of main to the oldest that is kept. Those that a
// tag of Expire holds come last: what was between may have expired.
func (l *Lake) chain(ctx context.Context, t *table.Table) ([]Snapshot, error) {
	tags := map[int64][]string{}
	for name, ref := range t.Metadata().Refs() {
		if ref.SnapshotRefType == table.TagRef {
			tags[ref.SnapshotID] = append(tags[ref.SnapshotID], name)
		}
	}
	var out []Snapshot
	for _, s := range history(t) {
		made := Snapshot{ID: s.SnapshotID, At: time.UnixMilli(s.TimestampMs).UTC(), Made: Publishing, Tags: tags[s.SnapshotID]}
		slices.Sort(made.Tags)
		if s.Summary != nil {
			number := func(key string) int64 {
				n, _ := strconv.ParseInt(s.Summary.Properties[key], 10, 64)
				return n
			}
			made.Run = s.Summary.Properties[runProperty]
			made.Rows, made.Files = number("total-records"), number("total-data-files")
			made.Added = number("added-records") - number("deleted-records")
			if by := s.Summary.Properties[madeProperty]; by != "" {
				made.Made = by
			}
		}
		var err error
		if made.Seq, _, _, err = l.Catalog.Seq(ctx, made.Run); err != nil {
			return nil, err
		}
		out = append(out, made)
	}
	return out, nil
}

func history(t *table.Table) []*table.Snapshot {
	var out []*table.Snapshot
	for s := t.SnapshotByName(table.MainBranch); s != nil; {
		out = append(out, s)
		if s.ParentSnapshotID == nil {
			return out
		}
		s = t.SnapshotByID(*s.ParentSnapshotID)
	}
	if len(out) == 0 {
		return nil
	}
	oldest := out[len(out)-1].SequenceNumber
	var tagged []*table.Snapshot
	for name, ref := range t.Metadata().Refs() {
		s := t.SnapshotByID(ref.SnapshotID)
		if s != nil && ownTag(name) && s.SequenceNumber < oldest && !slices.ContainsFunc(tagged, func(have *table.Snapshot) bool { return have.SnapshotID == s.SnapshotID }) {
			tagged = append(tagged, s)
		}
	}
	slices.SortFunc(tagged, func(a, b *table.Snapshot) int { return cmp.Compare(b.SequenceNumber, a.SequenceNumber) })
	return append(out, tagged...)
}

// revisionsOf is the chain of the revisions of a table; whole if it goes back to their
// beginning.
func (l *Lake) revisionsOf(ctx context.Context, name string) (chain []Snapshot, whole bool, err error) {
	t, err := l.Catalog.LoadTable(ctx, l.prod(), name+revisionsSuffix)
	if errors.Is(err, tickerlake.NotFound) {
		return nil, true, nil
	}
	if err != nil {
		return nil, false, err
	}
	if chain, err = l.chain(ctx, t); err != nil || len(chain) == 0 {
		return nil, true, err
	}
	oldest := t.SnapshotByID(chain[len(chain)-1].ID)
	return chain, oldest.ParentSnapshotID == nil, nil
}

// revisionsAt gives the head that the revisions had with the snapshot that older begins
// with: that of the last run that belongs to its past. It is nil if they were empty, and
// not known if they go back no further.
func revisionsAt(revisions []Snapshot, whole bool, older []Snapshot) (head *int64, known bool) {
	for _, r := range revisions {
		if 0 < r.Seq && r.Seq <= older[0].Seq || slices.ContainsFunc(older, func(s Snapshot) bool { return s.Run == r.Run }) {
			return &r.ID, true
		}
	}
	return nil, whole
}

// target finds the snapshot to roll back to, with the chain from it on.
func target(name string, chain []Snapshot, id int64) ([]Snapshot, error) {
	const op = "lake.Rollback"
	i := slices.IndexFunc(chain, func(s Snapshot) bool { return s.ID == id })
	if i < 0 {
		return nil, tickerlake.Errorf(tickerlake.NotFound, op, name, "it has no snapshot %d: tickerlake snapshots %s lists those that are kept", id, name)
	}
	if s := chain[i]; !s.Target && !s.Current {
		return nil, tickerlake.Errorf(tickerlake.Invalid, op, fmt.Sprintf("%s, snapshot %d", name, id),
			"cannot be rolled back to: %s (tickerlake snapshots %s marks those that can)", s.WhyNot, name)
	}
	return chain[i:], nil
}
