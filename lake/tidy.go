package lake

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// A Tidy keeps the lake small: its methods are the jobs of the workflow tidy, in their
// order, each safe to repeat. Nothing that it does changes a row of prod, what --as-of
// answers or what a rollback to a kept snapshot brings back.
type Tidy struct {
	lake   *Lake
	config Config
	o      TidyOptions
	report TidyReport
}

// TidyOptions say what a Tidy may do.
type TidyOptions struct {
	// Dry tells what would be done and does nothing.
	Dry bool
	// Unfinished are the runs of other workflows that were cut off and will be taken up
	// again: what is theirs is left alone, and the tables stay as they expect them.
	Unfinished []string
}

// A TidyReport says what was done, or would be.
type TidyReport struct {
	Tables []*TidyTable `json:"tables"`
	// Staging counts folders of runs that have ended.
	Staging int64 `json:"staging_folders"`
	// Unknown are files that nothing references and whose names say nothing: they are
	// left where they are.
	Unknown []string `json:"unknown"`
	// Waiting says what was left for another time, and why.
	Waiting []string `json:"waiting"`
}

// A TidyTable is what was done to one table.
type TidyTable struct {
	Table            string `json:"table"`
	FilesBefore      int64  `json:"files_before"`
	FilesAfter       int64  `json:"files_after"`
	FilesRewritten   int64  `json:"files_rewritten"`
	BytesRewritten   int64  `json:"bytes_rewritten"` // read
	BytesWritten     int64  `json:"bytes_written"`
	SnapshotsBefore  int64  `json:"snapshots_before"`
	SnapshotsExpired int64  `json:"snapshots_expired"`
	Tagged           int64  `json:"snapshots_tagged"`
	Candidates       int64  `json:"candidates_dropped"`
	// ObjectsMerged counts objects of an ops table that became part of a larger one,
	// ObjectsExpired those that are past their time.
	ObjectsMerged  int64 `json:"objects_merged"`
	ObjectsExpired int64 `json:"objects_expired"`
	FilesDeleted   int64 `json:"files_deleted"`
	BytesFreed     int64 `json:"bytes_freed"`
	// FilesWaiting counts files that nothing needs but that a reader may have open.
	FilesWaiting int64 `json:"files_waiting"`
}

// NewTidy begins to tidy the lake.
func (l *Lake) NewTidy(o TidyOptions) *Tidy {
	c := l.Tidy
	if c == (Config{}) {
		c = Defaults()
	}
	return &Tidy{lake: l, config: c, o: o}
}

// Report gives what was done so far, tables in order.
func (t *Tidy) Report() TidyReport {
	r := t.report
	r.Tables = slices.Clone(r.Tables)
	slices.SortFunc(r.Tables, func(a, b *TidyTable) int { return cmp.Compare(a.Table, b.Table) })
	return r
}

// of gives the line of a table, named with its database.
func (t *Tidy) of(name string) *TidyTable {
	for _, have := range t.report.Tables {
		if have.Table == name {
			return have
		}
	}
	made := &TidyTable{Table: name}
	t.report.Tables = append(t.report.Tables, made)
	return made
}

// The lake is due for tidying after this many publications, or after this time if there
// was any.
const (
	dueAfterPublications = 60
	dueAfterTime         = 24 * time.Hour
)

// TidyDue reports whether so much was published since the lake was tidied that it should
// be again.
func (l *Lake) TidyDue(ctx context.Context) (bool, error) {
	n, at, err := l.Catalog.SinceTidied(ctx)
	return n >= dueAfterPublications || n > 0 && l.now().Sub(at) >= dueAfterTime, err
}

// wait notes that something is left for another time.
func (t *Tidy) wait(run Run, why string) {
	run.Log().Info("left for another time", "why", why)
	if !slices.Contains(t.report.Waiting, why) {
		t.report.Waiting = append(t.report.Waiting, why)
	}
}

// held reports whether the tables must stay as they are, since a run will go on with
// them.
func (t *Tidy) held(run Run) bool {
	for _, other := range t.o.Unfinished {
		t.wait(run, "run "+other+" was cut off and will go on with the tables as they are: files are merged and snapshots expire when it has ended (tickerlake run)")
	}
	return len(t.o.Unfinished) > 0
}
