package lake

import (
	"context"
	"errors"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/apache/iceberg-go/table"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
)

// The formats of a view's files.
const (
	Parquet = "parquet"
	NDJSON  = "ndjson"
)

// A View is a table as it stands at one moment: the files that make it up.
type View struct {
	Database string    `json:"database"`
	Name     string    `json:"name"`
	Columns  []Column  `json:"columns"`
	Format   string    `json:"format"`
	Files    []string  `json:"-"` // local
	Rows     int64     `json:"rows"`
	Bytes    int64     `json:"bytes"`
	Snapshot int64     `json:"snapshot,omitempty"`
	Updated  time.Time `json:"updated,omitzero"`
	// Key and Version are set for tables whose rows may stand more than once: of
	// equal keys the row with the greatest version counts.
	Key     string `json:"-"`
	Version string `json:"-"`
	// AsOf is set for a table as it was known at a past moment; Revisions are then the
	// files of its revisions.
	AsOf      time.Time `json:"as_of,omitzero"`
	Revisions []string  `json:"-"`
	// Refused says why the table cannot be read.
	Refused string `json:"-"`

	// Damage is why the table cannot be read, nil if it can. Its files are unknown then.
	Damage error `json:"-"`

	// data are the files of a table of bars, and run is the run that made its snapshot.
	data []file
	run  string
	// derived is true for a table of a job.
	derived bool
}

// Readable fails with Damaged if the table cannot be read, or a file of it is not what
// was written.
func (l *Lake) Readable(ctx context.Context, views ...View) error {
	var files []string
	for _, v := range views {
		if v.Damage != nil {
			return v.Damage
		}
		files = append(append(files, v.Files...), v.Revisions...)
	}
	return l.Whole(ctx, files)
}

// Views lists every table of the lake, each pinned to what is published now.
func (l *Lake) Views(ctx context.Context) ([]View, error) {
	prod, err := l.prodViews(ctx)
	if err != nil {
		return nil, err
	}
	raw, err := l.rawView(ctx)
	if err != nil {
		return nil, err
	}
	ops, err := l.opsViews(ctx)
	if err != nil {
		return nil, err
	}
	return slices.Concat(prod, ops, []View{raw}), nil
}

func (l *Lake) prodViews(ctx context.Context) ([]View, error) {
	names, err := l.Catalog.ListTables(ctx, l.prod())
	if err != nil {
		return nil, err
	}
	for _, always := range []string{tickerlake.Day.Table(), tickerlake.Day.Table() + revisionsSuffix} {
		if !slices.Contains(names, always) {
			names = append(names, always)
		}
	}
	slices.Sort(names)
	var out []View
	for _, name := range names {
		v, err := l.tableView(ctx, name, table.MainBranch)
		switch {
		case errors.Is(err, tickerlake.Damaged):
			v.Damage = err // the other tables can be read
		case err != nil:
			return nil, err
		}
		out = append(out, v)
	}
	return append(out, l.latestView()), nil
}

const revisionsSuffix = "_revisions"

// tableView is one Iceberg table at a reference; without a snapshot it is empty.
func (l *Lake) tableView(ctx context.Context, name, ref string) (View, error) {
	v := View{Database: l.prod(), Name: name, Columns: columnsOfTable(name), Format: Parquet}
	t, err := l.Catalog.LoadTable(ctx, l.prod(), name)
	if errors.Is(err, tickerlake.NotFound) {
		there, err := l.Catalog.HasSeries(ctx, strings.TrimSuffix(name, revisionsSuffix))
		if err == nil && there {
			err = tickerlake.Errorf(tickerlake.Damaged, "lake.Views", name, "rows of the table are published, and catalog.db does not have it: see tickerlake doctor")
		}
		return v, err
	}
	if err != nil {
		return v, err
	}
	if v.derived = derived(t); v.derived {
		if v.Columns, err = columnsOf(t); err != nil {
			return v, err
		}
	}
	if s := t.SnapshotByName(ref); s != nil {
		v.Snapshot, v.Updated = s.SnapshotID, time.UnixMilli(s.TimestampMs).UTC()
		if s.Summary != nil {
			v.run = s.Summary.Properties[runProperty]
		}
	}
	files, err := plan(ctx, t, ref)
	if err != nil {
		return v, err
	}
	for _, f := range files {
		v.Rows += f.rows
		v.Bytes += f.bytes
	}
	if !v.derived {
		v.data = files
	}
	v.Files, err = l.local(files)
	return v, err
}

// latestName is the table of unfinished bars.
const latestName = "latest"

func (l *Lake) latestView() View {
	v := View{Database: l.prod(), Name: latestName, Columns: LatestColumns, Format: Parquet}
	path, err := l.files.Path(latestFile)
	if err != nil {
		return v
	}
	if info, err := os.Stat(path); err == nil {
		v.Files, v.Bytes, v.Updated = []string{path}, info.Size(), info.ModTime().UTC()
		v.Rows = -1 // known when it is read
	} else {
		v.Damage = l.files.Missing(latestFile)
	}
	return v
}

// rawView is the raw stream: every object that can be read, every column a text. Lines
// that are no documents are in no row; ops.quarantine has them.
func (l *Lake) rawView(ctx context.Context) (View, error) {
	v := View{Database: l.Database("raw"), Name: l.Stream, Format: NDJSON}
	columns := slices.Clone(tickerlake.RawFields)
	seen, err := l.Catalog.RawColumns(ctx, l.Stream)
	if err != nil {
		return v, err
	}
	for _, c := range seen {
		// SQL knows neither nameless columns nor two that differ in case alone.
		if c.Name != "" && !slices.ContainsFunc(columns, func(have string) bool { return strings.EqualFold(have, c.Name) }) {
			columns = append(columns, c.Name)
		}
	}
	for _, c := range columns {
		v.Columns = append(v.Columns, Column{Name: c, Type: "VARCHAR"})
	}
	unread := false
	garbage, err := l.Catalog.Garbage(ctx)
	if err != nil {
		return v, err
	}
	entries, err := l.Catalog.Objects(ctx, "")
	if err != nil {
		return v, err
	}
	for _, e := range entries {
		if _, gone := garbage[rawLocation(e.Key)]; gone || e.State == catalog.Damaged {
			continue
		}
		path, err := l.Raw.Path(e.Key)
		if err != nil {
			return v, err
		}
		v.Files = append(v.Files, path)
		if !e.Scanned {
			unread = true
		}
		v.Rows += e.Lines - e.BadLines
		v.Bytes += e.Size
		if e.At.After(v.Updated) {
			v.Updated = e.At
		}
	}
	if unread {
		v.Rows = -1 // known when the next run has read them
	}
	return v, nil
}

func (l *Lake) opsViews(ctx context.Context) ([]View, error) {
	var out []View
	for _, name := range slices.Sorted(maps.Keys(tickerlake.OpsTables)) {
		v, err := l.opsView(ctx, name)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// opsView is a table of events.
func (l *Lake) opsView(ctx context.Context, name string) (View, error) {
	v := View{Database: l.Database("ops"), Name: name, Columns: eventColumns(reflect.TypeOf(tickerlake.OpsTables[name])), Format: NDJSON,
		Key: "id", Version: "recorded_at", Rows: -1}
	// Known before the objects are listed: what took the place of garbage is among them.
	garbage, err := l.Catalog.Garbage(ctx)
	if err != nil {
		return v, err
	}
	err = l.Raw.Each(ctx, "ops/"+name+"/", "", func(o tickerlake.Object) error {
		if _, gone := garbage[rawLocation(o.Key)]; gone {
			return nil
		}
		path, err := l.Raw.Path(o.Key)
		v.Files = append(v.Files, path)
		v.Bytes += o.Size
		if o.At.After(v.Updated) {
			v.Updated = o.At
		}
		return err
	})
	if len(v.Files) == 0 {
		v.Rows = 0
	}
	return v, err
}

// eventColumns are the columns of an ops table: the JSON fields of its event.
func eventColumns(t reflect.Type) []Column {
	var out []Column
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			out = append(out, eventColumns(f.Type)...)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		c := Column{Name: name, Type: "VARCHAR"}
		switch {
		case f.Type == reflect.TypeFor[time.Time]():
			c.Type = "TIMESTAMP"
		case f.Type.Kind() == reflect.Int64:
			c.Type = "BIGINT"
		case f.Type.Kind() == reflect.Float64:
			c.Type = "DOUBLE"
		}
		out = append(out, c)
	}
	return out
}
