package lake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/apache/iceberg-go"
	icebergio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"

	"github.com/tickerlake/tickerlake"
)

// An examined is a table whose files are being looked at.
type examined struct {
	*doctor
	name   string
	table  *table.Table
	io     icebergio.IO
	states map[string]error // what was found of a file: nil if it is whole
	unsure int              // data files without a checksum
}

// table examines one table: its metadata, and of each kept snapshot the manifests and
// data files.
func (d *doctor) table(ctx context.Context, name string) error {
	t, err := d.Catalog.LoadTable(ctx, d.prod(), name)
	switch {
	case errors.Is(err, tickerlake.Damaged):
		d.broken[name] = true
		f := d.wrong("metadata", d.prod()+"."+name, "%s", err)
		f.Advice = "put back a copy of the file; the other tables can be read"
		d.unread[name] = f // ages may know more of it
		return nil
	case err != nil:
		return err
	}
	d.derived[name] = derived(t)
	x := &examined{doctor: d, name: name, table: t, states: map[string]error{}}
	if x.io, err = t.FS(ctx); err != nil {
		return err
	}
	if _, unreadable, err := d.files.Sums(name); err != nil {
		return err
	} else if unreadable > 0 {
		d.find(Finding{Severity: Note, What: "checksums", Where: d.files.SumsFile(name),
			Problem: fmt.Sprintf("%d lines cannot be read: the files that they are of are not checked against them", unreadable)})
	}
	damaged := map[string]string{} // reasons by file
	var order []string
	whole, past, needed := map[int64]bool{}, pastOf(t), map[string]bool{}
	for _, s := range t.Metadata().Snapshots() {
		found, err := x.snapshot(ctx, s)
		if err != nil {
			return err
		}
		whole[s.SnapshotID] = len(found) == 0
		for _, f := range found {
			if _, known := damaged[f.location]; !known {
				order = append(order, f.location)
			}
			damaged[f.location] = f.why
			needed[f.location] = needed[f.location] || past[s.SnapshotID]
		}
	}
	// A snapshot that was published or deleted meanwhile is looked at the next time.
	if now, err := d.Catalog.LoadTable(ctx, d.prod(), name); err != nil {
		return err
	} else if len(order) > 0 && now.MetadataLocation() != t.MetadataLocation() {
		return d.table(ctx, name)
	}
	main := t.SnapshotByName(table.MainBranch)
	current := main != nil && !whole[main.SnapshotID]
	d.broken[name] = current
	slices.Sort(order)
	for i, location := range order {
		f := d.wrong(kindOf(location), location, "%s", damaged[location])
		switch {
		case !needed[location]:
			f.Severity, f.Advice = Note, "only snapshots that were taken back or not published need it: tickerlake tidy removes it with them"
		case !current:
			f.Advice = "only older snapshots need it: what is published is whole"
		case i == 0:
			if f, err = x.back(ctx, f, whole); err != nil {
				return err
			}
		default:
			f.Advice = "see the first damaged file of the table"
		}
		d.find(f)
	}
	if x.unsure > 0 {
		d.find(Finding{Severity: Note, What: "checksums", Where: d.prod() + "." + name,
			Problem: fmt.Sprintf("%d files have no recorded checksum, since a program before format 2 wrote them or their record is lost: they are read, but not compared", x.unsure)})
	}
	x.branches()
	return nil
}

// pastOf are the snapshots that led to what is published.
func pastOf(t *table.Table) map[int64]bool {
	out := map[int64]bool{}
	for s := t.SnapshotByName(table.MainBranch); s != nil && !out[s.SnapshotID]; {
		out[s.SnapshotID] = true
		if s.ParentSnapshotID == nil {
			break
		}
		s = t.SnapshotByID(*s.ParentSnapshotID)
	}
	return out
}

type damage struct{ location, why string }

// snapshot looks at what one snapshot needs.
func (x *examined) snapshot(ctx context.Context, s table.Snapshot) (out []damage, err error) {
	bad := func(location string, why error) { out = append(out, damage{location, reason(why)}) }
	manifests, err := s.Manifests(x.io)
	if err != nil {
		bad(s.ManifestList, err)
		return out, ctx.Err()
	}
	for _, m := range manifests {
		entries, err := manifestEntries(x.io, m)
		if err != nil {
			bad(m.FilePath(), err)
			continue
		}
		for _, e := range entries {
			if err := ctx.Err(); err != nil {
				return out, err
			}
			if err := x.dataFile(ctx, e.DataFile()); err != nil {
				bad(e.DataFile().FilePath(), err)
			}
		}
	}
	return out, nil
}

// manifestEntries are the entries of a manifest that are not deleted.
func manifestEntries(io icebergio.IO, m iceberg.ManifestFile) ([]iceberg.ManifestEntry, error) {
	var out []iceberg.ManifestEntry
	for e, err := range m.Entries(io, true) {
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// dataFile compares a data file with what the manifest and its checksum say of it.
func (x *examined) dataFile(ctx context.Context, df iceberg.DataFile) error {
	location := df.FilePath()
	if state, known := x.states[location]; known {
		return state
	}
	err := x.lookAt(ctx, df)
	if ctx.Err() == nil {
		x.states[location] = err
	}
	return err
}

func (x *examined) lookAt(ctx context.Context, df iceberg.DataFile) error {
	path, err := x.files.Path(df.FilePath())
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return errors.New("the file is missing")
	}
	if info.Size() != df.FileSizeBytes() {
		return fmt.Errorf("the file has %d bytes, its manifest says %d", info.Size(), df.FileSizeBytes())
	}
	known, err := x.files.Check(df.FilePath())
	if err != nil {
		return err
	}
	if !known {
		x.unsure++
		if err := parquetEnds(path); err != nil {
			return err
		}
	}
	if known && !x.deep {
		return nil
	}
	columns := columnsOfTable(x.name)
	if derived(x.table) {
		if columns, err = columnsOf(x.table); err != nil {
			return err
		}
	}
	v := View{Columns: columns, Files: []string{path}}
	if err := x.readAll(ctx, v); err != nil {
		return fmt.Errorf("it cannot be read: %w", err)
	}
	_, rows, err := x.Engine.Query(ctx, "SELECT count(*) FROM "+x.Rows(v))
	if err != nil {
		return err
	}
	if n, _ := rows[0][0].(int64); n != df.Count() {
		return fmt.Errorf("it has %d rows, its manifest says %d", n, df.Count())
	}
	return nil
}

// parquetEnds looks for the marks at both ends of a Parquet file.
func parquetEnds(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, from := range []struct {
		offset int64
		whence int
	}{{0, io.SeekStart}, {-4, io.SeekEnd}} {
		mark := make([]byte, 4)
		if _, err := f.Seek(from.offset, from.whence); err != nil {
			return errors.New("it is no Parquet file")
		}
		if _, err := io.ReadFull(f, mark); err != nil || string(mark) != "PAR1" {
			return errors.New("it is no Parquet file")
		}
	}
	return nil
}

// back proposes the newest snapshot whose files are whole.
func (x *examined) back(ctx context.Context, f Finding, whole map[int64]bool) (Finding, error) {
	none := "no kept snapshot is whole that the table could be taken back to: put back a copy of the file"
	if strings.HasSuffix(x.name, revisionsSuffix) {
		f.Advice = "put back a copy of the file; the table itself can be read"
		return f, nil
	}
	chain, err := x.Snapshots(ctx, x.name)
	if err != nil {
		f.Advice = none
		return f, nil
	}
	for _, s := range chain {
		if s.Current || !s.Target || !whole[s.ID] {
			continue
		}
		return f.Repairable(fmt.Sprintf("take %s.%s back to the newest whole snapshot, %d of %s (tickerlake rollback): what came since is held and its sources paused until tickerlake run --release",
			x.prod(), x.name, s.ID, s.At.Format("2006-01-02 15:04:05 UTC")),
			func(ctx context.Context) (string, error) {
				done, err := x.Rollback(ctx, x.name, s.ID)
				return fmt.Sprintf("%s is back at snapshot %d; %d raw objects are held and %d sources paused: tickerlake run --release brings what came since anew", done.Table, done.To.ID, len(done.Held), len(done.Paused)), err
			}), nil
	}
	f.Advice = none
	return f, nil
}

// branches finds candidates of runs that are over.
func (x *examined) branches() {
	for name := range x.table.Metadata().Refs() {
		if !strings.HasPrefix(name, branchPrefix) || !x.quiet {
			continue
		}
		x.find(Finding{Severity: Note, What: "candidate", Where: x.prod() + "." + x.name, Problem: "the branch " + name + " is left of a run that has ended"}.Repairable(
			"drop the branch", func(ctx context.Context) (string, error) {
				t, err := x.Catalog.LoadTable(ctx, x.prod(), x.name)
				if err == nil {
					err = x.dropCandidates(ctx, t)
				}
				return "the branch is dropped", err
			}))
	}
}

// kindOf says what kind of file a location is.
func kindOf(location string) string {
	switch {
	case strings.HasSuffix(location, ".parquet"):
		return "data file"
	case strings.Contains(location, "/snap-"):
		return "manifest list"
	case strings.HasSuffix(location, ".avro"):
		return "manifest"
	}
	return "metadata"
}
