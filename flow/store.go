package flow

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tickerlake/tickerlake"
)

// Runs lists the newest runs of a workflow, newest first; of every workflow if it is
// empty.
func (s *Store) Runs(ctx context.Context, workflow string, limit int) ([]RunResult, error) {
	return s.runs(ctx, `WHERE ? IN ('', workflow) ORDER BY id DESC LIMIT ?`, workflow, limit)
}

// Run gives one run. It fails with NotFound if there is none of that id.
func (s *Store) Run(ctx context.Context, id string) (RunResult, error) {
	runs, err := s.runs(ctx, `WHERE id = ?`, id)
	if err == nil && len(runs) == 0 {
		err = tickerlake.Errorf(tickerlake.NotFound, "flow.Store.Run", "run "+id, "there is no such run")
	}
	if err != nil {
		return RunResult{}, err
	}
	return runs[0], nil
}

// Unended lists the runs of a workflow that have not ended, oldest first; of every
// workflow if it is empty.
func (s *Store) Unended(ctx context.Context, workflow string) ([]RunResult, error) {
	return s.runs(ctx, `WHERE ? IN ('', workflow) AND state = 'RUNNING' ORDER BY id`, workflow)
}

func (s *Store) runs(ctx context.Context, where string, args ...any) ([]RunResult, error) {
	const op = "flow.Store.Runs"
	var out []RunResult
	err := s.each(ctx, op, func(rows *sql.Rows) error {
		var r RunResult
		var started, ended, counts, properties string
		if err := rows.Scan(&r.ID, &r.Workflow, &r.Trigger, &r.State, &started, &ended, &r.Error, &counts, &properties, &r.ResumedFrom, &r.Origin); err != nil {
			return err
		}
		r.Started, r.Ended = unstamp(started), unstamp(ended)
		out = append(out, r)
		last := &out[len(out)-1]
		return errors.Join(json.Unmarshal([]byte(counts), &last.Counts), json.Unmarshal([]byte(properties), &last.Properties))
	}, `SELECT id, workflow, trigger, state, started, ended, error, counts, properties, resumed_from, origin FROM runs `+where, args...)
	if err != nil {
		return nil, err
	}
	for i := range out {
		if out[i].Jobs, err = s.jobs(ctx, out[i].ID); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *Store) jobs(ctx context.Context, run string) ([]JobResult, error) {
	var out []JobResult
	err := s.each(ctx, "flow.Store.Jobs", func(rows *sql.Rows) error {
		var j JobResult
		var started, ended string
		err := rows.Scan(&j.Job, &j.State, &j.Attempt, &j.Failures, &j.CutOff, &j.again, &started, &ended, &j.Code, &j.Error)
		j.Started, j.Ended = unstamp(started), unstamp(ended)
		out = append(out, j)
		return err
	}, `SELECT job, state, attempt, failures, cut_off, again, started, ended, code, error FROM jobs WHERE run = ? ORDER BY position`, run)
	return out, err
}

// begin enters a run and its jobs, and takes note of the firing that begins it. Its id
// is its start in UTC to the millisecond, moved on where needed to stand behind every
// earlier one. Of the run that it resumes it takes over the properties and the jobs
// that need not run again.
func (s *Store) begin(ctx context.Context, w Workflow, how Start, now time.Time, report bool) (RunResult, error) {
	now = now.UTC()
	r := RunResult{Workflow: w.Name, Trigger: how.Trigger, State: RunRunning, Started: now, Properties: map[string]string{}}
	if r.Trigger == "" {
		r.Trigger = OnDemand
	}
	again := map[string]bool{}
	if how.resume != nil {
		r.ResumedFrom, r.Properties, r.Counts, again = how.resume.ID, how.resume.Properties, how.resume.Counts, how.again
	}
	properties, err := json.Marshal(r.Properties)
	if err != nil {
		return r, stateError("flow.Store.begin", err)
	}
	counts, err := json.Marshal(r.Counts)
	if err != nil {
		return r, stateError("flow.Store.begin", err)
	}
	err = s.update(ctx, "flow.Store.begin", func(tx *sql.Tx) error {
		var last string
		if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(id), '') FROM runs`).Scan(&last); err != nil {
			return err
		}
		r.ID = runID(now, last)
		if r.Origin = r.ID; how.resume != nil {
			r.Origin = how.resume.Origin
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO runs (id, workflow, trigger, state, started, counts, properties, resumed_from, origin) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			r.ID, r.Workflow, r.Trigger, r.State, stamp(r.Started), string(counts), string(properties), r.ResumedFrom, r.Origin)
		if err != nil {
			return err
		}
		for i, j := range w.Jobs {
			out := JobResult{Job: j.Name(), State: JobWaiting}
			if old, ok := how.resume.job(j.Name()); ok && !again[j.Name()] {
				out = *old
			}
			_, err := tx.ExecContext(ctx, `INSERT INTO jobs (run, position, job, state, attempt, failures, cut_off, started, ended, code, error) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
				r.ID, i, out.Job, out.State, out.Attempt, out.Failures, out.CutOff, stamp(out.Started), stamp(out.Ended), out.Code, out.Error)
			if err != nil {
				return err
			}
			r.Jobs = append(r.Jobs, out)
		}
		if err := fired(ctx, tx, w.Name, how.firing); err != nil || !report {
			return err
		}
		return post(ctx, tx, "runs", runEvent(r, now))
	})
	return r, err
}

const idLayout = "20060102t150405.000"

func runID(now time.Time, last string) string {
	if t, err := time.Parse(idLayout, dot(last, '-', '.')); err == nil && !now.Truncate(time.Millisecond).After(t) {
		now = t.Add(time.Millisecond)
	}
	return dot(now.Format(idLayout), '.', '-')
}

// dot replaces the character before the milliseconds of a run id.
func dot(id string, from, to byte) string {
	b := []byte(id)
	if i := len(b) - len(".000"); i >= 0 && b[i] == from {
		b[i] = to
	}
	return string(b)
}

// putJob stores a job of a run, and with it the event that tells of it, if any.
func (s *Store) putJob(ctx context.Context, run string, j JobResult, e *tickerlake.JobEvent) error {
	return s.update(ctx, "flow.Store.putJob", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE jobs SET state = ?, attempt = ?, failures = ?, cut_off = ?, again = ?,
			started = ?, ended = ?, code = ?, error = ? WHERE run = ? AND job = ?`,
			j.State, j.Attempt, j.Failures, j.CutOff, j.again, stamp(j.Started), stamp(j.Ended), j.Code, j.Error, run, j.Job)
		if err != nil || e == nil {
			return err
		}
		return post(ctx, tx, "jobs", e)
	})
}

// endRun stores the end of a run, and with it the event that tells of it, if any.
func (s *Store) endRun(ctx context.Context, r RunResult, e *tickerlake.RunEvent) error {
	return s.update(ctx, "flow.Store.endRun", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE runs SET state = ?, ended = ?, error = ? WHERE id = ?`, r.State, stamp(r.Ended), r.Error, r.ID)
		if err != nil || e == nil {
			return err
		}
		return post(ctx, tx, "runs", e)
	})
}

// post puts an event into the outbox.
func post(ctx context.Context, tx *sql.Tx, table string, event any) error {
	text, err := json.Marshal(event)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO outbox (tbl, event) VALUES (?, ?)`, table, string(text))
	return err
}

func runEvent(r RunResult, now time.Time) *tickerlake.RunEvent {
	return &tickerlake.RunEvent{ID: r.ID, Workflow: r.Workflow, Trigger: string(r.Trigger), State: string(r.State),
		Started: r.Started, Ended: r.Ended, Error: r.Error, Counts: r.Counts, At: now.UTC()}
}

// A posted is an event in the outbox.
type posted struct {
	seq   int64
	table string
	event []byte
}

// outbox gives the oldest events on their way.
func (s *Store) outbox(ctx context.Context, limit int) (out []posted, err error) {
	err = s.each(ctx, "flow.Store.outbox", func(rows *sql.Rows) error {
		var p posted
		err := rows.Scan(&p.seq, &p.table, &p.event)
		out = append(out, p)
		return err
	}, `SELECT seq, tbl, event FROM outbox ORDER BY seq LIMIT ?`, limit)
	return out, err
}

// taken removes the events up to seq from the outbox.
func (s *Store) taken(ctx context.Context, seq int64) error {
	return s.exec(ctx, "flow.Store.taken", `DELETE FROM outbox WHERE seq <= ?`, seq)
}

// contribute stores the counts of a run together with the properties that say what its
// jobs have added to them.
func (s *Store) contribute(ctx context.Context, run string, c tickerlake.Counts, properties map[string]string) error {
	const op = "flow.Run.Contribute"
	counts, err := json.Marshal(c)
	if err != nil {
		return stateError(op, err)
	}
	text, err := json.Marshal(properties)
	if err != nil {
		return stateError(op, err)
	}
	return s.exec(ctx, op, `UPDATE runs SET counts = ?, properties = ? WHERE id = ?`, string(counts), string(text), run)
}

func (s *Store) setProperties(ctx context.Context, run string, properties map[string]string) error {
	return s.setJSON(ctx, "flow.Run.SetProperty", `UPDATE runs SET properties = ? WHERE id = ?`, run, properties)
}

func (s *Store) setCounts(ctx context.Context, run string, c tickerlake.Counts) error {
	return s.setJSON(ctx, "flow.Run.UpdateCounts", `UPDATE runs SET counts = ? WHERE id = ?`, run, c)
}

func (s *Store) setJSON(ctx context.Context, op, statement, run string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return stateError(op, err)
	}
	return s.exec(ctx, op, statement, string(text), run)
}

// prune forgets all but the newest runs and gives the ids of those it forgot.
func (s *Store) prune(ctx context.Context, keep int) (ids []string, err error) {
	err = s.update(ctx, "flow.Store.prune", func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT id FROM runs WHERE state <> 'RUNNING' ORDER BY id DESC LIMIT -1 OFFSET ?`, keep)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			ids = append(ids, id)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		for _, id := range ids {
			for _, statement := range []string{`DELETE FROM jobs WHERE run = ?`, `DELETE FROM runs WHERE id = ?`} {
				if _, err := tx.ExecContext(ctx, statement, id); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return ids, err
}

func (s *Store) update(ctx context.Context, op string, f func(tx *sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return stateError(op, err)
	}
	if err := f(tx); err != nil {
		return stateError(op, errors.Join(err, tx.Rollback()))
	}
	return stateError(op, tx.Commit())
}

func (s *Store) exec(ctx context.Context, op, statement string, args ...any) error {
	_, err := s.db.ExecContext(ctx, statement, args...)
	return stateError(op, err)
}

func (s *Store) each(ctx context.Context, op string, scan func(*sql.Rows) error, statement string, args ...any) error {
	rows, err := s.db.QueryContext(ctx, statement, args...)
	if err != nil {
		return stateError(op, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return stateError(op, err)
		}
	}
	return stateError(op, rows.Err())
}

// The result codes of SQLite that people can do something about.
// See https://sqlite.org/rescode.html. An I/O error, 10, is nearly always one of room:
// a limit on the size of files is reported so.
var sqliteCodes = map[int]tickerlake.Code{
	3: tickerlake.Denied, 5: tickerlake.Locked, 6: tickerlake.Locked, 8: tickerlake.Denied, 11: tickerlake.Damaged,
	10: tickerlake.Full, 13: tickerlake.Full, 14: tickerlake.Denied, 26: tickerlake.Damaged,
}

// stateError gives an error of the state database its code.
func stateError(op string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*tickerlake.Error](err); ok {
		return err
	}
	code := tickerlake.Internal
	var result interface{ Code() int }
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		code = tickerlake.Canceled
	case errors.As(err, &result):
		if c, ok := sqliteCodes[result.Code()&0xff]; ok {
			code = c
		}
	}
	hint := ""
	if code == tickerlake.Full {
		hint = " (is the disk full? make room and run the command again)"
	}
	return &tickerlake.Error{Code: code, Op: op, Name: "state database", Err: fmt.Errorf("runs and jobs: %w%s", err, hint)}
}

// stampLayout is how times stand in the database: UTC, of one width.
const stampLayout = "2006-01-02T15:04:05.000000Z"

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(stampLayout)
}

func unstamp(s string) time.Time {
	t, err := time.Parse(stampLayout, s)
	if err != nil {
		return time.Time{}
	}
	return t
}
