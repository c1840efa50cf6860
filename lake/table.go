package lake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
)

// prodBucket is the bucket of the published tables.
const prodBucket = "prod"

// runProperty is the property of a snapshot that names the run it came from.
const runProperty = catalog.RunProperty

// A file is a data file of a snapshot with the bounds of its keys.
type file struct {
	location  string
	partition string
	rows      int64
	bytes     int64
	symbols   [2]string
	times     [2]time.Time
}

// overlaps reports whether the file may hold a key of the part.
func (f file) overlaps(p Part) bool {
	return f.partition == p.Partition && f.symbols[0] <= p.MaxSymbol && p.MinSymbol <= f.symbols[1] &&
		!f.times[0].After(p.MaxTs) && !f.times[1].Before(p.MinTs)
}

// ensureTable gives a table of bars, or of their revisions, made if there is none.
func (l *Lake) ensureTable(ctx context.Context, name string, interval tickerlake.Interval, columns []Column) (*table.Table, error) {
	t, err := l.Catalog.LoadTable(ctx, l.prod(), name)
	if err == nil {
		return l.evolve(ctx, t, columns)
	}
	if !errors.Is(err, tickerlake.NotFound) {
		return t, err
	}
	order, err := sorted()
	if err != nil {
		return nil, err
	}
	return l.Catalog.CreateTable(ctx, l.prod(), name, "s3://"+prodBucket+"/"+name, icebergSchema(columns), partitioned(interval), order, tableProperties)
}

// evolve gives a table the columns that it lacks, if it was made by an older version.
// They are null in the files that are there.
func (l *Lake) evolve(ctx context.Context, t *table.Table, columns []Column) (*table.Table, error) {
	have := t.Schema()
	if !slices.ContainsFunc(columns, func(c Column) bool { _, ok := have.FindFieldByID(c.ID); return !ok }) {
		return t, nil
	}
	want := icebergSchema(columns)
	mapping, err := json.Marshal(want.NameMapping())
	if err != nil {
		return nil, err
	}
	// -1 is the schema that the first update adds.
	err = l.Catalog.Commit(ctx, t, []table.Requirement{table.AssertCurrentSchemaID(have.ID)}, []table.Update{
		table.NewAddSchemaUpdate(want), table.NewSetCurrentSchemaUpdate(-1),
		table.NewSetPropertiesUpdate(iceberg.Properties{table.DefaultNameMappingKey: string(mapping)}),
	})
	if err != nil {
		return nil, err
	}
	id := t.Identifier()
	return l.Catalog.LoadTable(ctx, id[0], id[len(id)-1])
}

// plan lists the files of a snapshot reference (main or a branch), without
// repetition, in the order of their locations.
func plan(ctx context.Context, t *table.Table, ref string) ([]file, error) {
	if t.SnapshotByName(ref) == nil {
		return nil, nil
	}
	scan, err := t.Scan().UseRef(ref)
	if err != nil {
		return nil, err
	}
	return planned(ctx, t, scan)
}

// planned lists the files of a scan.
func planned(ctx context.Context, t *table.Table, scan *table.Scan) ([]file, error) {
	tasks, err := scan.PlanFiles(ctx)
	if err != nil {
		if ctx.Err() == nil && tickerlake.CodeOf(err) == tickerlake.Internal {
			// A manifest that has no checksum and cannot be read.
			err = tickerlake.Errorf(tickerlake.Damaged, "lake.plan", strings.Join(t.Identifier(), "."), "%w", err)
		}
		return nil, err
	}
	spec := t.Spec()
	daily := spec.NumFields() > 0 && spec.Field(0).Transform == iceberg.YearTransform{}
	out := make([]file, 0, len(tasks))
	for _, task := range tasks {
		if spec.NumFields() == 0 {
			out = append(out, file{location: task.File.FilePath(), partition: derivedPartition, rows: task.File.Count(), bytes: task.File.FileSizeBytes()})
			continue
		}
		f, err := describe(task.File, daily)
		if err != nil {
			return nil, tickerlake.Errorf(tickerlake.Damaged, "lake.plan", task.File.FilePath(), "%w", err)
		}
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b file) int { return strings.Compare(a.location, b.location) })
	return slices.CompactFunc(out, func(a, b file) bool { return a.location == b.location }), nil
}

func describe(df iceberg.DataFile, daily bool) (file, error) {
	f := file{location: df.FilePath(), rows: df.Count(), bytes: df.FileSizeBytes()}
	for i, bounds := range []map[int][]byte{df.LowerBoundValues(), df.UpperBoundValues()} {
		symbol, err := iceberg.LiteralFromBytes(iceberg.PrimitiveTypes.String, bounds[1])
		if err != nil {
			return f, fmt.Errorf("bounds of symbol: %w", err)
		}
		ts, err := iceberg.LiteralFromBytes(iceberg.PrimitiveTypes.Timestamp, bounds[2])
		if err != nil {
			return f, fmt.Errorf("bounds of ts: %w", err)
		}
		f.symbols[i] = symbol.Any().(string)
		f.times[i] = time.UnixMicro(int64(ts.Any().(iceberg.Timestamp))).UTC()
	}
	f.partition = f.times[0].Format("2006-01")
	if daily {
		f.partition = f.times[0].Format("2006")
	}
	return f, nil
}

// local gives the local paths of files.
func (l *Lake) local(files []file) ([]string, error) {
	out := make([]string, len(files))
	for i, f := range files {
		path, err := l.files.Path(f.location)
		if err != nil {
			return nil, err
		}
		out[i] = path
	}
	return out, nil
}

// branchOf is the reference that holds a run's candidate.
func branchOf(run string) string { return branchPrefix + run }

const branchPrefix = "run-"

func headOf(t *table.Table, ref string) *int64 {
	if s := t.SnapshotByName(ref); s != nil {
		id := s.SnapshotID
		return &id
	}
	return nil
}

// dropCandidates removes the candidates of a table: there is one run at a time, so
// all are this run's own or those of runs that ended without clearing up.
func (l *Lake) dropCandidates(ctx context.Context, t *table.Table) error {
	var reqs []table.Requirement
	var updates []table.Update
	for name, ref := range t.Metadata().Refs() {
		if strings.HasPrefix(name, branchPrefix) {
			reqs = append(reqs, table.AssertRefSnapshotID(name, &ref.SnapshotID))
			updates = append(updates, table.NewRemoveSnapshotRefUpdate(name))
		}
	}
	if len(updates) == 0 {
		return nil
	}
	return l.Catalog.Commit(ctx, t, reqs, updates)
}

// stage makes a candidate of a table: main without the files in remove and with
// those in add, as the branch of the run. It returns the candidate's snapshot, which has
// the run and props as its properties.
func (l *Lake) stage(ctx context.Context, name, run string, props iceberg.Properties, remove, add []string) (int64, error) {
	branch := branchOf(run)
	t, err := l.Catalog.LoadTable(ctx, l.prod(), name)
	if err != nil {
		return 0, err
	}
	if main := headOf(t, table.MainBranch); main != nil {
		err := l.Catalog.Commit(ctx, t, []table.Requirement{table.AssertRefSnapshotID(branch, nil)},
			[]table.Update{table.NewSetSnapshotRefUpdate(branch, *main, table.BranchRef, 0, 0, 0)})
		if err != nil {
			return 0, err
		}
		if t, err = l.Catalog.LoadTable(ctx, l.prod(), name); err != nil {
			return 0, err
		}
	}
	txn, err := t.NewTransactionOnBranchWithError(branch)
	if err != nil {
		return 0, err
	}
	props = maps.Clone(props)
	if props == nil {
		props = iceberg.Properties{}
	}
	props[runProperty] = run
	if len(remove) == 0 {
		// The names carry the run: the files cannot be there already.
		err = txn.AddFiles(ctx, add, props, true)
	} else {
		err = txn.ReplaceDataFiles(ctx, remove, add, props)
	}
	if err != nil {
		return 0, err
	}
	if t, err = txn.Commit(ctx); err != nil {
		return 0, err
	}
	head := headOf(t, branch)
	if head == nil {
		return 0, tickerlake.Errorf(tickerlake.Internal, "lake.stage", name, "the candidate %s is gone after its commit", branch)
	}
	return *head, nil
}

// promote makes a candidate main in one commit, on condition that main has not
// moved since. A candidate that is main already is left alone.
func (l *Lake) promote(ctx context.Context, name, run string, base *int64, candidate int64) error {
	branch := branchOf(run)
	t, err := l.Catalog.LoadTable(ctx, l.prod(), name)
	if err != nil {
		return err
	}
	main := headOf(t, table.MainBranch)
	if main != nil && *main == candidate {
		return nil
	}
	// The branch must be what was judged.
	return l.Catalog.Commit(ctx, t,
		[]table.Requirement{table.AssertRefSnapshotID(table.MainBranch, base), table.AssertRefSnapshotID(branch, &candidate)},
		[]table.Update{
			table.NewSetSnapshotRefUpdate(table.MainBranch, candidate, table.BranchRef, 0, 0, 0),
			table.NewRemoveSnapshotRefUpdate(branch),
		})
}

// dataFile is the location of a new data file.
func dataFile(name, partition, run string, build, n int, what string) string {
	return fmt.Sprintf("s3://%s/%s/data/%s/%s-%d-%05d-%s.parquet", prodBucket, name, partition, run, build, n, what)
}

// create gives the local path of a location, with its folder.
func (l *Lake) create(location string) (string, error) {
	path, err := l.files.Path(location)
	if err != nil {
		return "", err
	}
	return path, l.files.MakeDir(filepath.Dir(path))
}
