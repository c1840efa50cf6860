package lake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/apache/iceberg-go/table"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
	"github.com/tickerlake/tickerlake/internal/fault"
	"github.com/tickerlake/tickerlake/quality"
)

// A RolledBack is what a rollback did.
type RolledBack struct {
	Table string `json:"table"` // with its database
	// From and To are the heads before and after, equal if the table was there already.
	From Snapshot `json:"from"`
	To   Snapshot `json:"to"`
	// Held are the keys of the raw objects that are held since, Paused the sources.
	Held   []string `json:"held"`
	Paused []string `json:"paused"`
}

// A retreat says how the references of a table and its revisions move. A nil snapshot is
// that of an empty table.
type retreat struct {
	From          int64  `json:"from"`
	To            int64  `json:"to"`
	RevisionsFrom *int64 `json:"revisions_from"`
	RevisionsTo   *int64 `json:"revisions_to"`
}

// Rollback makes a kept snapshot of a table what is published, as if what came after it
// had not been: its revisions, series and covers go back with it. Raw objects that have
// fed it since, and all that are pending, are held and the sources of the former paused,
// until they are released. No run may be under way. Cut off at any place, it is finished
// by FinishRollbacks.
func (l *Lake) Rollback(ctx context.Context, name string, snapshot int64) (RolledBack, error) {
	done := RolledBack{Table: l.prod() + "." + name, Held: []string{}, Paused: []string{}}
	if strings.HasSuffix(name, revisionsSuffix) {
		return done, tickerlake.Errorf(tickerlake.Invalid, "lake.Rollback", done.Table, "revisions follow their table: roll back %s",
			strings.TrimSuffix(name, revisionsSuffix))
	}
	if err := l.abandonLeft(ctx); err != nil {
		return done, err
	}
	chain, err := l.Snapshots(ctx, name)
	if err != nil {
		return done, err
	}
	older, err := target(done.Table, chain, snapshot)
	if err != nil {
		return done, err
	}
	done.From, done.To = chain[0], older[0]
	if done.To.Current {
		return done, nil
	}
	if t, err := l.Catalog.LoadTable(ctx, l.prod(), name); err != nil || derived(t) {
		if err == nil {
			err = l.rollbackDerived(ctx, done, name)
		}
		return done, err
	}
	revisions, whole, err := l.revisionsOf(ctx, name)
	if err != nil {
		return done, err
	}
	move := retreat{From: done.From.ID, To: done.To.ID}
	if len(revisions) > 0 {
		move.RevisionsFrom = &revisions[0].ID
		move.RevisionsTo, _ = revisionsAt(revisions, whole, older)
	}
	plan, err := json.Marshal(move)
	if err != nil {
		return done, err
	}
	// What has been delivered and is not entered yet is pending as well.
	if err := l.Catalog.Discover(ctx, l.Raw, catalog.Crawl{Stream: l.Stream, Prefix: l.Prefix}); err != nil {
		return done, err
	}
	fault.Point("rollback.begun")
	started := l.now()
	r, err := l.Catalog.TakeBack(ctx, catalog.Rollback{
		Table: name, Run: rollbackID(name, started), Snapshot: snapshot, Seq: done.To.Seq,
		Reason: fmt.Sprintf("rollback of %s to snapshot %d", done.Table, snapshot), Started: started, Plan: plan,
	})
	if err != nil {
		return done, err
	}
	fault.Point("rollback.decided")
	done.Held, done.Paused = append(done.Held, r.Held...), append(done.Paused, r.Sources()...)
	return done, l.finishRollback(ctx, r)
}

// rollbackDerived takes a table of a job back: no raw object has fed it, nothing is held.
func (l *Lake) rollbackDerived(ctx context.Context, r RolledBack, name string) error {
	started := l.now()
	if err := l.moveMain(ctx, name, &r.From.ID, &r.To.ID); err != nil {
		return err
	}
	return l.Events.Emit(ctx, "runs", tickerlake.RunEvent{
		ID: rollbackID(name, started), Workflow: "rollback", Trigger: "ON_DEMAND", State: "COMPLETED", Started: started, Ended: l.now(), At: l.now(),
	})
}

// rollbackID is the id of a rollback in ops.runs: of two tables at one moment there are two.
func rollbackID(table string, at time.Time) string {
	return "rollback-" + strings.Replace(at.Format("20060102t150405.000000"), ".", "-", 1) + "-" + table
}

// FinishRollbacks does what is left of rollbacks that were cut off, and returns them.
func (l *Lake) FinishRollbacks(ctx context.Context) ([]catalog.Rollback, error) {
	left, err := l.Catalog.Unsettled(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range left {
		if err := l.finishRollback(ctx, r); err != nil {
			return nil, err
		}
	}
	return left, nil
}

// finishRollback does what was decided. It may be called again.
func (l *Lake) finishRollback(ctx context.Context, r catalog.Rollback) error {
	var move retreat
	if err := json.Unmarshal(r.Plan, &move); err != nil {
		return err
	}
	// Bars first: a reader who sees an old bar that was replaced may find it in the
	// revisions too, but none that misses in both.
	if err := l.moveMain(ctx, r.Table, &move.From, &move.To); err != nil {
		return err
	}
	fault.Point("rollback.moved")
	if err := l.moveMain(ctx, r.Table+revisionsSuffix, move.RevisionsFrom, move.RevisionsTo); err != nil {
		return err
	}
	fault.Point("rollback.revisions")
	if err := l.dropLatest(ctx, r.Taken); err != nil {
		return err
	}
	fault.Point("rollback.latest")
	held := make([]catalog.Entry, len(r.Held))
	for i, key := range r.Held {
		var err error
		if held[i], err = l.Catalog.Object(ctx, key); err != nil {
			return err
		}
	}
	if err := l.Events.Emit(ctx, "objects", l.objectEvents(r.Run, held)...); err != nil {
		return err
	}
	err := l.Events.Emit(ctx, "runs", tickerlake.RunEvent{
		ID: r.Run, Workflow: "rollback", Trigger: "ON_DEMAND", State: "COMPLETED", Started: r.Started, Ended: l.now(), At: l.now(),
	})
	if err != nil {
		return err
	}
	return l.Catalog.Settled(ctx, r.Table)
}

// moveMain sets main of a table back, on condition that nothing else has moved it.
func (l *Lake) moveMain(ctx context.Context, name string, from, to *int64) error {
	if from == nil || to != nil && *from == *to {
		return nil
	}
	t, err := l.Catalog.LoadTable(ctx, l.prod(), name)
	if err != nil {
		return err
	}
	head := headOf(t, table.MainBranch)
	if head == nil && to == nil || head != nil && to != nil && *head == *to {
		return nil // it has been done
	}
	var back table.Update = table.NewRemoveSnapshotRefUpdate(table.MainBranch)
	if to != nil {
		back = table.NewSetSnapshotRefUpdate(table.MainBranch, *to, table.BranchRef, 0, 0, 0)
	}
	return l.Catalog.Commit(ctx, t, []table.Requirement{table.AssertRefSnapshotID(table.MainBranch, from)}, append(undoneTags(t, to), back))
}

// dropLatest takes the unfinished bars out of prod.latest that came with what is taken
// back. Those of before stay: what is final has not gone further since.
func (l *Lake) dropLatest(ctx context.Context, taken []catalog.Feed) error {
	path, err := l.files.Path(latestFile)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || len(taken) == 0 {
		return nil
	}
	if _, err := l.files.Check(latestFile); errors.Is(err, tickerlake.Damaged) {
		return nil // it is refused to readers, and begins anew with the next run
	}
	var gone []string
	for _, f := range taken {
		gone = append(gone, `("table" = `+quality.Literal(f.Table)+" AND source = "+quality.Literal(f.Source)+
			" AND fetched_at >= "+quality.TimestampLiteral(f.FetchedAt.Truncate(time.Microsecond))+")")
	}
	task := WriteTask{
		Select:  "SELECT " + columnList(LatestColumns) + " FROM " + l.Engine.Relation([]string{path}) + " WHERE NOT (" + strings.Join(gone, " OR ") + ")",
		Columns: LatestColumns, File: path + ".new",
	}
	if _, err := l.Engine.Write(ctx, task); err != nil {
		return err
	}
	return l.files.Replace(task.File, latestFile)
}

// Release lets held objects, all or those named, be worked on again; see
// catalog.Release.
func (l *Lake) Release(ctx context.Context, names ...string) ([]catalog.Entry, []string, error) {
	released, sources, err := l.Catalog.Release(ctx, names...)
	if err != nil {
		return nil, nil, err
	}
	return released, sources, l.Events.Emit(ctx, "objects", l.objectEvents("", released)...)
}

// abandonLeft gives up the runs that ended without clearing up.
func (l *Lake) abandonLeft(ctx context.Context) error {
	left, err := l.unsettledRuns()
	if err != nil {
		return err
	}
	for _, run := range left {
		if err := l.Abandon(ctx, run, errors.New("the run ended without clearing up")); err != nil {
			return err
		}
	}
	return nil
}
