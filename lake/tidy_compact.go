package lake

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/internal/fault"
	"github.com/tickerlake/tickerlake/quality"
)

// tidyProperty is the property of a snapshot that names the run of tidy it is of;
// runProperty goes on naming the run whose publication the table shows.
const tidyProperty = "tickerlake.tidy"

// A group is files of one partition that become one, or one file that becomes several.
type group struct {
	partition string
	files     []file
}

func (g group) sum() (rows, bytes int64) {
	for _, f := range g.files {
		rows, bytes = rows+f.rows, bytes+f.bytes
	}
	return rows, bytes
}

// oversized is a file so much larger than the target that it is split: Iceberg's
// rewrite_data_files has the same 180 %.
func oversized(bytes, target int64) bool { return bytes > target/5*9 }

// compaction groups the files of a table. It is tiered compaction as of an LSM tree
// (O'Neil et al. 1996; RocksDB calls this form universal), bounded by a target size as
// Iceberg's rewrite_data_files is: of the files of a partition up to half the target, from the
// smallest on, it takes as many as it can such that none has more rows than the others
// together and all fit the target. So each rewrite at least doubles the file that a
// row is in: a row is rewritten at most log2(rows of a full file / rows of the file it
// came with) times, and of files below half the target at most log2(rows) + 1 are left.
func compaction(files []file, target int64) []group {
	parts := map[string][]file{}
	var out []group
	for _, f := range files {
		switch {
		case oversized(f.bytes, target):
			out = append(out, group{f.partition, []file{f}})
		case f.bytes <= target/2:
			parts[f.partition] = append(parts[f.partition], f)
		}
	}
	for _, partition := range slices.Sorted(maps.Keys(parts)) {
		rest := parts[partition]
		slices.SortFunc(rest, func(a, b file) int {
			return cmp.Or(cmp.Compare(a.rows, b.rows), strings.Compare(a.location, b.location))
		})
		for {
			n := tier(len(rest), func(i int) (int64, int64) { return rest[i].rows, rest[i].bytes }, target)
			if n == 0 {
				break
			}
			out = append(out, group{partition, rest[:n:n]})
			rest = rest[n:]
		}
	}
	return out
}

// tier says how many of n things, ordered by weight, become one: the most of which none
// weighs more than the others together and whose sizes sum up to limit at most. 0 if
// not even two do.
func tier(n int, at func(i int) (weight, size int64), limit int64) (take int) {
	var weights, sizes int64
	for i := range n {
		w, s := at(i)
		if sizes += s; sizes > limit {
			break
		}
		if i > 0 && w <= weights {
			take = i + 1
		}
		weights += w
	}
	return take
}

// maxCommit bounds the bytes that one commit rewrites.
const maxCommit = 1 << 30

// Compact merges the small files of each table.
func (t *Tidy) Compact(ctx context.Context, run Run) error {
	if t.held(run) {
		return nil
	}
	l := t.lake
	left, err := l.unsettledRuns()
	if err != nil {
		return err
	}
	t.report.Staging += int64(len(left))
	if !t.o.Dry {
		if err := l.sweep(ctx, ""); err != nil {
			return err
		}
	}
	names, err := l.Catalog.ListTables(ctx, l.prod())
	if err != nil {
		return err
	}
	slices.Sort(names)
	for i, name := range names {
		c := &compactor{Tidy: t, run: run, name: name, line: t.of(l.prod() + "." + name),
			progress: func(part float64) { run.Report((float64(i)+part)/float64(len(names)), run.Counts()) }}
		if err := c.table(ctx); err != nil {
			return err
		}
		c.progress(1)
	}
	return nil
}

// A compactor compacts one table.
type compactor struct {
	*Tidy
	run      Run
	name     string
	line     *TidyTable
	columns  []Column
	derived  bool
	progress func(part float64)
}

func (c *compactor) table(ctx context.Context) error {
	l := c.lake
	t, err := l.Catalog.LoadTable(ctx, l.prod(), c.name)
	if err != nil {
		return err
	}
	if c.columns, err = columnsOf(t); err != nil {
		return err
	}
	files, err := plan(ctx, t, table.MainBranch)
	if err != nil {
		return err
	}
	c.line.FilesBefore, c.line.FilesAfter = int64(len(files)), int64(len(files))
	groups := compaction(files, int64(c.config.FileMB)<<20)
	if c.derived = derived(t); c.derived { // no column of theirs is known to part the rows by
		groups = slices.DeleteFunc(groups, func(g group) bool { return len(g.files) == 1 })
	}
	var total, done int64
	for _, g := range groups {
		_, bytes := g.sum()
		total += bytes
	}
	for len(groups) > 0 {
		n, batch := 0, int64(0)
		for n < len(groups) {
			_, bytes := groups[n].sum()
			if n > 0 && batch+bytes > maxCommit {
				break
			}
			batch += bytes
			n++
		}
		err := c.rewrite(ctx, t, groups[:n], func(bytes int64) {
			done += bytes
			c.progress(float64(done) / float64(max(total, 1)))
		})
		if err != nil {
			return err
		}
		if groups = groups[n:]; len(groups) > 0 && !c.o.Dry {
			if t, err = l.Catalog.LoadTable(ctx, l.prod(), c.name); err != nil {
				return err
			}
		}
	}
	return nil
}

// rewrite writes the files that take the place of those of the groups and commits them,
// on condition that main is what it was when the groups were made.
func (c *compactor) rewrite(ctx context.Context, t *table.Table, groups []group, progress func(int64)) error {
	var remove, add []string
	build := uuid.NewString()[:8]
	for _, g := range groups {
		made, err := c.group(ctx, g, func(n int) string {
			return fmt.Sprintf("s3://%s/%s/data/%s/%s-%s-%05d-tidy.parquet", prodBucket, c.name, g.partition, c.run.ID(), build, len(add)+n)
		})
		if err != nil {
			return err
		}
		_, bytes := g.sum()
		progress(bytes)
		if made == nil {
			continue // a file of one symbol cannot be split
		}
		for _, f := range g.files {
			remove = append(remove, f.location)
		}
		add = append(add, made...)
		c.line.FilesRewritten += int64(len(g.files))
		c.line.BytesRewritten += bytes
		c.line.FilesAfter += int64(len(made) - len(g.files))
	}
	if len(remove) == 0 || c.o.Dry {
		return nil
	}
	fault.Point("tidy.written")
	txn := t.NewTransaction()
	props := iceberg.Properties{runProperty: runOf(t.CurrentSnapshot()), madeProperty: Tidied, tidyProperty: c.run.ID()}
	if err := txn.ReplaceDataFiles(ctx, remove, add, props); err != nil {
		return err
	}
	// Loaded from the catalog, the table carries the snapshot of main as a requirement.
	if _, err := txn.Commit(ctx); err != nil {
		return err
	}
	fault.Point("tidy.compacted")
	c.run.Log().Info("files merged", "table", c.name, "files", len(remove), "into", len(add))
	return nil
}

// runOf is the run whose publication a snapshot shows.
func runOf(s *table.Snapshot) string {
	if s == nil || s.Summary == nil {
		return ""
	}
	return s.Summary.Properties[runProperty]
}

// group writes the files that hold the rows of a group, in bounded memory, and proves
// that these are the same rows. It gives none if they would be no fewer or no smaller.
func (c *compactor) group(ctx context.Context, g group, location func(n int) string) ([]string, error) {
	l := c.lake
	paths, err := l.local(g.files)
	if err != nil {
		return nil, err
	}
	if !c.o.Dry {
		if err := l.unchanged(g.files); err != nil {
			return nil, err
		}
	}
	rows, bytes := g.sum()
	relation := l.Engine.Relation(paths)
	conditions := []string{""}
	if target := int64(c.config.FileMB) << 20; len(g.files) == 1 {
		if conditions, err = c.ranges(ctx, relation, rows, (bytes+target-1)/target); err != nil || len(conditions) == 1 {
			return nil, err
		}
	}
	out := make([]string, len(conditions))
	for i := range conditions {
		out[i] = location(i)
	}
	if c.o.Dry {
		return out, nil
	}
	source, err := c.source(ctx, relation)
	if err != nil {
		return nil, err
	}
	before, err := c.checksum(ctx, source)
	if err != nil {
		return nil, err
	}
	var written []string
	for i, where := range conditions {
		file, err := l.create(out[i])
		if err != nil {
			return nil, err
		}
		if _, err := l.Engine.Write(ctx, WriteTask{Select: source + where, Columns: c.columns, File: file, Unsorted: c.derived}); err != nil {
			return nil, err
		}
		if err := l.files.Sync(out[i]); err != nil {
			return nil, err
		}
		c.line.BytesWritten += size(file)
		written = append(written, file)
	}
	after, err := c.checksum(ctx, "SELECT "+columnList(c.columns)+" FROM "+l.Engine.Relation(written))
	if err != nil {
		return nil, err
	}
	if before != after || before[0] != fmt.Sprint(rows) {
		return nil, tickerlake.Errorf(tickerlake.Internal, "lake.Compact", l.prod()+"."+c.name,
			"partition %s: the merged files have rows and checksum %v, those they were made of %v, and %d by the table's metadata: nothing was changed", g.partition, after, before, rows)
	}
	return out, nil
}

// source is the SELECT of the table's columns from files, older ones of which may lack
// some.
func (c *compactor) source(ctx context.Context, relation string) (string, error) {
	have, _, err := c.lake.Engine.Query(ctx, "SELECT * FROM "+relation+" LIMIT 0")
	if err != nil {
		return "", err
	}
	list := make([]string, len(c.columns))
	for i, column := range c.columns {
		if list[i] = quality.Ident(column.Name); !slices.Contains(have, column.Name) {
			list[i] = "CAST(NULL AS " + column.Type + ") AS " + list[i]
		}
	}
	return "SELECT " + strings.Join(list, ", ") + " FROM " + relation, nil
}

// checksum gives the number of rows and their checksum, whatever their order.
func (c *compactor) checksum(ctx context.Context, source string) (sum [2]string, err error) {
	columns := make([]string, len(c.columns))
	for i, column := range c.columns {
		columns[i] = quality.Ident(column.Name)
	}
	_, rows, err := c.lake.Engine.Query(ctx, "SELECT count(*), "+c.lake.Dialect.Checksum(columns...)+" FROM ("+source+") s")
	if err != nil {
		return sum, err
	}
	return [2]string{fmt.Sprint(rows[0][0]), fmt.Sprint(rows[0][1])}, nil
}

// ranges are conditions that split rows in about n parts of equal size, by symbol.
func (c *compactor) ranges(ctx context.Context, relation string, rows, n int64) ([]string, error) {
	_, counts, err := c.lake.Engine.Query(ctx, "SELECT symbol, count(*) FROM "+relation+" WHERE symbol IS NOT NULL GROUP BY symbol ORDER BY symbol")
	if err != nil {
		return nil, err
	}
	var starts []string // of all ranges but the first
	var part int64
	for _, r := range counts {
		if part >= (rows+n-1)/n {
			starts, part = append(starts, quality.Literal(r[0].(string))), 0
		}
		part += r[1].(int64)
	}
	out := make([]string, 0, len(starts)+1)
	for i := range len(starts) + 1 {
		var and []string
		if i > 0 {
			and = append(and, "symbol >= "+starts[i-1])
		}
		if i < len(starts) {
			and = append(and, "symbol < "+starts[i])
		}
		where := ""
		if len(and) > 0 {
			where = " WHERE (" + strings.Join(and, " AND ") + ")"
		}
		if i > 0 && i == len(starts) {
			where += " OR symbol IS NULL"
		}
		out = append(out, where)
	}
	return out, nil
}

// tableOf is the table that a location of the prod bucket is of.
func tableOf(location string) string {
	rest, _ := strings.CutPrefix(location, "s3://"+prodBucket+"/")
	name, _, _ := strings.Cut(path.Clean(rest), "/")
	return name
}
