package lake

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/internal/fault"
	"github.com/tickerlake/tickerlake/quality"
)

// derivedProperty is the property of a table that a job of the pipeline file writes; it
// names the job. workProperty is that of a snapshot and names the work that made it.
const (
	derivedProperty = "tickerlake.derived"
	workProperty    = "tickerlake.work"
)

// derivedPartition is the folder of the data files of a derived table, which has no
// partitions.
const derivedPartition = "all"

// A Derivation is the rows of a job that go to its table.
type Derivation struct {
	Table string
	// Job names the job: workflow.job. Work identifies what it does: done again, it changes
	// nothing.
	Job, Work string
	Attempt   int
	// Append adds the rows; otherwise they take the place of those with equal Keys, or,
	// without Merge, of all.
	Append, Merge bool
	// Keys are the columns that identify a row.
	Keys  []string
	Rules *quality.Ruleset // nil: none
	// Rows is the Parquet file of the rows.
	Rows string
}

// Derive publishes the rows of a job in one commit, if the rules hold of the table as it
// would be. The table is made if there is none, and given the columns that it lacks; one
// that the rows lack is null. The caller has the turn of the writer. It fails with
// Conflict if the table is not a job's, with Invalid if columns or keys are not as they
// must be, and with GateFailed.
func (l *Lake) Derive(ctx context.Context, run Run, d Derivation) (tickerlake.Counts, error) {
	const op = "lake.Derive"
	name := l.prod() + "." + d.Table
	columns, err := l.derivedColumns(ctx, d.Rows)
	if err != nil {
		return tickerlake.Counts{}, &tickerlake.Error{Code: tickerlake.CodeOf(err), Op: op, Name: name, Err: err}
	}
	t, err := l.derivedTable(ctx, d, columns)
	if err != nil {
		return tickerlake.Counts{}, err
	}
	if done := workIn(t, d.Work); done != nil {
		return derivedCounts(done), nil
	}
	if err := l.dropCandidates(ctx, t); err != nil {
		return tickerlake.Counts{}, err
	}
	if err := l.checkKeys(ctx, d, columns); err != nil {
		return tickerlake.Counts{}, &tickerlake.Error{Code: tickerlake.CodeOf(err), Op: op, Name: name, Err: err}
	}
	candidate, counts, err := l.stageDerived(ctx, run, d, columns)
	if err != nil || candidate == nil {
		return counts, err
	}
	fault.Point("derive.staged")
	if d.Rules != nil {
		if err := l.judgeDerived(ctx, run, d); err != nil {
			return counts, err
		}
	}
	if err := l.promote(ctx, d.Table, run.ID(), headOf(t, table.MainBranch), *candidate); err != nil {
		return counts, err
	}
	fault.Point("derive.promoted")
	return counts, nil
}

// derivedTable gives the table of a job with all columns that its rows have, made if
// there is none. columns get the ids that they have there.
func (l *Lake) derivedTable(ctx context.Context, d Derivation, columns []Column) (*table.Table, error) {
	const op = "lake.Derive"
	t, err := l.Catalog.LoadTable(ctx, l.prod(), d.Table)
	if errors.Is(err, tickerlake.NotFound) {
		for i := range columns {
			columns[i].ID = i + 1
		}
		properties := iceberg.Properties{derivedProperty: d.Job}
		for key, value := range tableProperties {
			properties[key] = value
		}
		return l.Catalog.CreateTable(ctx, l.prod(), d.Table, "s3://"+prodBucket+"/"+d.Table, icebergSchema(columns), iceberg.UnpartitionedSpec, table.UnsortedSortOrder, properties)
	}
	if err != nil {
		return nil, err
	}
	name := l.prod() + "." + d.Table
	if !derived(t) {
		return nil, tickerlake.Errorf(tickerlake.Conflict, op, name, "it is not a job's: give the job another table")
	}
	have, err := columnsOf(t)
	if err != nil {
		return nil, err
	}
	all, last := have, 0
	for _, c := range have {
		last = max(last, c.ID)
	}
	for i, c := range columns {
		n := slices.IndexFunc(have, func(h Column) bool { return strings.EqualFold(h.Name, c.Name) })
		switch {
		case n < 0:
			last++
			columns[i].ID = last
			all = append(all, columns[i])
		case have[n].Type != c.Type || have[n].Name != c.Name:
			return nil, tickerlake.Errorf(tickerlake.Invalid, op, name, "the column %s is of type %s, and of the job comes %s of type %s: cast it, or give the job another table", have[n].Name, have[n].Type, c.Name, c.Type)
		default:
			columns[i].ID = have[n].ID
		}
	}
	if len(all) == len(have) {
		return t, nil
	}
	return l.evolve(ctx, t, all)
}

// derived reports whether a table is of a job.
func derived(t *table.Table) bool {
	_, ok := t.Properties()[derivedProperty]
	return ok
}

// derivedColumns are the columns of the rows of a job, without ids.
func (l *Lake) derivedColumns(ctx context.Context, rows string) ([]Column, error) {
	_, described, err := l.Engine.Query(ctx, "SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM "+l.Engine.Relation([]string{rows})+")")
	if err != nil {
		return nil, err
	}
	var out []Column
	for _, r := range described {
		name, _ := r[0].(string)
		sql, _ := r[1].(string)
		if slices.ContainsFunc(out, func(c Column) bool { return strings.EqualFold(c.Name, name) }) {
			return nil, tickerlake.Errorf(tickerlake.Invalid, "lake.Derive", "", "two columns are named %q: give one another name with AS", name)
		}
		kept, ok := derivedType(sql)
		if !ok {
			return nil, tickerlake.Errorf(tickerlake.Invalid, "lake.Derive", "", "the column %q is of type %s, which tables do not keep: CAST it, to VARCHAR say", name, sql)
		}
		out = append(out, Column{Name: name, Type: kept})
	}
	return out, nil
}

// derivedType is the type in which a table keeps what a SELECT gives.
func derivedType(sql string) (kept string, ok bool) {
	switch sql {
	case "TINYINT", "SMALLINT", "UTINYINT", "USMALLINT":
		return "INTEGER", true
	case "UINTEGER":
		return "BIGINT", true
	case "UBIGINT":
		return "DECIMAL(20,0)", true
	case "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS":
		return "TIMESTAMP", true
	case "UUID":
		return "VARCHAR", true
	}
	_, ok = icebergType(sql)
	return sql, ok
}

// checkKeys fails with Invalid if a key is no column, or two rows have the same.
func (l *Lake) checkKeys(ctx context.Context, d Derivation, columns []Column) error {
	if len(d.Keys) == 0 {
		return nil
	}
	for _, k := range d.Keys {
		if !slices.ContainsFunc(columns, func(c Column) bool { return c.Name == k }) {
			return tickerlake.Errorf(tickerlake.Invalid, "lake.Derive", "", "there is no column %q for the key; there is %s", k, strings.Join(names(columns), ", "))
		}
	}
	keys := identifiers(d.Keys)
	_, rows, err := l.Engine.Query(ctx, "SELECT concat_ws(', ', "+keys+"), count(*) FROM "+l.Engine.Relation([]string{d.Rows})+" GROUP BY "+keys+" HAVING count(*) > 1 ORDER BY "+keys+" LIMIT 1")
	if err != nil || len(rows) == 0 {
		return err
	}
	return tickerlake.Errorf(tickerlake.Invalid, "lake.Derive", "", "the SELECT gives %v rows with the key %v (%s): let it give one", rows[0][1], rows[0][0], strings.Join(d.Keys, ", "))
}

func identifiers(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = quality.Ident(n)
	}
	return strings.Join(out, ", ")
}

// stageDerived makes the candidate of a derived table; nil if nothing changes.
func (l *Lake) stageDerived(ctx context.Context, run Run, d Derivation, columns []Column) (*int64, tickerlake.Counts, error) {
	var c tickerlake.Counts
	have, err := l.tableView(ctx, d.Table, table.MainBranch)
	if err == nil {
		err = l.Readable(ctx, have)
	}
	if err != nil {
		return nil, c, err
	}
	t, err := l.Catalog.LoadTable(ctx, l.prod(), d.Table)
	if err != nil {
		return nil, c, err
	}
	files, err := plan(ctx, t, table.MainBranch)
	if err != nil {
		return nil, c, err
	}
	rows := Typed(have.Columns, "(SELECT "+castList(columns)+" FROM "+l.Engine.Relation([]string{d.Rows})+")")
	sources := []string{"SELECT * FROM " + rows + " n"}
	if d.Merge && len(have.Files) > 0 {
		same := make([]string, len(d.Keys))
		for i, k := range d.Keys {
			same[i] = "n." + quality.Ident(k) + " IS NOT DISTINCT FROM o." + quality.Ident(k)
		}
		sources = append([]string{"SELECT * FROM " + l.Rows(have) + " o WHERE NOT EXISTS (SELECT 1 FROM " + rows + " n WHERE " + strings.Join(same, " AND ") + ")"}, sources...)
	}
	_, count, err := l.Engine.Query(ctx, "SELECT count(*) FROM "+rows+" n")
	if err != nil {
		return nil, c, err
	}
	c.Read, _ = count[0][0].(int64)
	if c.Read == 0 && (d.Append || d.Merge || len(files) == 0) {
		return nil, c, nil
	}
	location := dataFile(d.Table, derivedPartition, run.ID(), d.Attempt, 0, "new")
	path, err := l.create(location)
	if err != nil {
		return nil, c, err
	}
	written, err := l.Engine.Write(ctx, WriteTask{Select: strings.Join(sources, " UNION ALL "), Columns: have.Columns, File: path, Unsorted: true})
	if err != nil {
		return nil, c, err
	}
	if err := l.files.Sync(location); err != nil {
		return nil, c, err
	}
	c.Inserted = c.Read
	if d.Merge {
		c.Inserted = written - have.Rows
		c.Replaced = c.Read - c.Inserted
	}
	var remove []string
	for _, f := range files {
		if !d.Append {
			remove = append(remove, f.location)
		}
	}
	text, err := json.Marshal(c)
	if err != nil {
		return nil, c, err
	}
	id, err := l.stage(ctx, d.Table, run.ID(), iceberg.Properties{workProperty: d.Work, countsProperty: string(text)}, remove, []string{location})
	return &id, c, err
}

// countsProperty is the property of a snapshot with the counts of the work that made it.
const countsProperty = "tickerlake.counts"

// castList selects columns with their types.
func castList(columns []Column) string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = "CAST(" + quality.Ident(c.Name) + " AS " + c.Type + ") AS " + quality.Ident(c.Name)
	}
	return strings.Join(out, ", ")
}

// workIn finds the snapshot of main that a piece of work has made.
func workIn(t *table.Table, work string) *table.Snapshot {
	for _, s := range history(t) {
		if s.Summary != nil && s.Summary.Properties[workProperty] == work {
			return s
		}
	}
	return nil
}

func derivedCounts(s *table.Snapshot) (c tickerlake.Counts) {
	_ = json.Unmarshal([]byte(s.Summary.Properties[countsProperty]), &c) // of an older program: none
	return c
}

// judgeDerived evaluates the rules on the candidate.
func (l *Lake) judgeDerived(ctx context.Context, run Run, d Derivation) error {
	v, err := l.tableView(ctx, d.Table, branchOf(run.ID()))
	if err != nil {
		return err
	}
	target, err := l.target(ctx, v)
	if err != nil {
		return err
	}
	if err := l.beside(ctx, &target, d.Rules, v, table.MainBranch); err != nil {
		return err
	}
	res, err := l.judgeOf(v).Evaluate(ctx, d.Rules, target)
	if err != nil {
		return err
	}
	if err := l.Catalog.KeepMeasured(ctx, v.Name, run.ID(), res.Statistics); err != nil {
		return err
	}
	if err := l.recordResult(ctx, run.ID(), d.Attempt, v, res); err != nil {
		return err
	}
	var failed []string
	for _, r := range res.Failed() {
		failed = append(failed, r.Description+": "+r.EvaluationMessage)
	}
	if len(failed) > 0 {
		return tickerlake.Errorf(tickerlake.GateFailed, "lake.Derive", v.Database+"."+v.Name, "the rules do not hold, the table stays as it was: %s", strings.Join(failed, "; "))
	}
	return nil
}
