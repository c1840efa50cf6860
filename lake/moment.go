package lake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/apache/iceberg-go/table"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
)

// A Moment is a lake at one moment, while others go on writing to it: what would be there
// if the power had failed then. The databases are pinned, and so are the files that are
// replaced or go without asking readers; all else that they name stays for as long as a
// lease from before is held. Of what a run that is under way has left in staging it has
// what ends the run: it is begun anew, as after a power cut.
type Moment struct {
	At        time.Time
	Databases *catalog.Frozen

	lake   *Lake
	tables []*table.Table
	pinned []File          // metadata, checksums, prod.latest, candidates
	before map[string]bool // keys of raw objects that were there shortly before
}

// A File is what a lake has at a Moment.
type File struct {
	Path     string    // in the lake's folder, with slashes
	Size     int64     // -1 if it is not known
	Modified time.Time // zero if it is not known
	// Sums are what was recorded of it: one of them it must have, if there are any.
	Sums []catalog.Sum
	// Opened is the file if its name may be another's by now; nil: it is at Path.
	Opened *os.File
	// Optional says that it may be gone: nothing refers to it.
	Optional bool
	// Damaged says that it is known to be damaged, and is kept to be looked at.
	Damaged bool
}

// Waiting is how a Moment is waited for.
type Waiting struct {
	// Beside is called at the Moment, which lasts until it returns.
	Beside func() error
	// Idle reports whether no program is at work that would end a run.
	Idle func() bool
	// Longest bounds the wait for the end of a run; Told is called if there is a wait.
	Longest time.Duration
	Told    func(why string)
}

// busyPause is how long is waited before it is looked again whether a run has ended.
const busyPause = 20 * time.Millisecond

// Moment takes hold of the lake as it is, between two runs if there is such a moment
// within the wait. The caller holds a lease, and closes the Moment.
func (l *Lake) Moment(ctx context.Context, w Waiting) (*Moment, error) {
	const op = "lake.Moment"
	limit := time.Now().Add(w.Longest)
	for told := false; ; {
		last := !time.Now().Before(limit)
		m := &Moment{lake: l, before: map[string]bool{}}
		why, err := m.take(ctx, w, last)
		if err == nil && why == "" {
			return m, nil
		}
		if err = errors.Join(err, m.Close()); err != nil {
			return nil, err
		}
		if !told && w.Told != nil {
			w.Told(why)
			told = true
		}
		pause := time.NewTimer(busyPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return nil, &tickerlake.Error{Code: tickerlake.Canceled, Op: op, Name: l.Dir, Err: ctx.Err()}
		}
	}
}

// take takes the moment, or says why it waits for another; not if it is the last.
func (m *Moment) take(ctx context.Context, w Waiting, last bool) (busy string, err error) {
	l := m.lake
	if busy, err = m.busy(ctx); err != nil {
		return "", err
	}
	any := busy == "" || last || w.Idle()
	if !any {
		return busy, nil
	}
	// What was there before; see objects.
	if err := l.Raw.Each(ctx, l.Prefix, "", func(o tickerlake.Object) error {
		m.before[o.Key] = true
		return nil
	}); err != nil {
		return "", err
	}
	between := busy == ""
	m.Databases, err = l.Catalog.Freeze(ctx, func(ctx context.Context) error {
		if between && !last {
			if busy, err = m.busy(ctx); err != nil || busy != "" {
				return err
			}
		}
		busy = ""
		m.At = l.now()
		if err := m.pin(ctx); err != nil {
			return err
		}
		return w.Beside()
	})
	return busy, err
}

// busy says what is between its first step and its last.
func (m *Moment) busy(ctx context.Context) (string, error) {
	runs, err := m.lake.unsettledRuns()
	if err != nil {
		return "", err
	}
	if len(runs) > 0 {
		return "the run " + runs[0] + " is under way", nil
	}
	rollbacks, err := m.lake.Catalog.Unsettled(ctx)
	if err != nil || len(rollbacks) == 0 {
		return "", err
	}
	return "the rollback of " + rollbacks[0].Table + " is under way", nil
}

// pinCandidates opens what says which revisions a run has published before its bars: who
// ends the run takes them back.
func (m *Moment) pinCandidates() error {
	runs, err := m.lake.unsettledRuns()
	if err != nil {
		return err
	}
	for _, run := range runs {
		if err := m.open("s3://staging/"+run+"/candidates.json", nil, true); err != nil {
			return err
		}
	}
	return nil
}

// pin opens what may be replaced or removed by a commit.
func (m *Moment) pin(ctx context.Context) error {
	l := m.lake
	databases, err := l.Catalog.Databases(ctx)
	if err != nil {
		return err
	}
	for _, database := range databases {
		names, err := l.Catalog.ListTables(ctx, database)
		if err != nil {
			return err
		}
		for _, name := range names {
			t, err := l.Catalog.LoadTable(ctx, database, name)
			if err != nil {
				return err
			}
			m.tables = append(m.tables, t)
			metadata := []string{t.MetadataLocation()}
			for old := range t.Metadata().PreviousFiles() {
				metadata = append(metadata, old.MetadataFile)
			}
			sums, _, err := l.files.Sums(tableOf(t.Location()))
			if err != nil {
				return err
			}
			for i, location := range metadata {
				if err := m.open(location, sums[location], i > 0); err != nil {
					return err
				}
			}
		}
	}
	sums, _, err := l.files.Sums(tableOf(latestFile))
	if err != nil {
		return err
	}
	if err := m.open(latestFile, sums[latestFile], true); err != nil {
		return err
	}
	recorded, err := os.ReadDir(filepath.Dir(l.files.SumsFile("x")))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range recorded {
		if strings.HasSuffix(e.Name(), ".new") {
			continue // being written
		}
		if err := m.open("s3://"+prodBucket+"/"+catalog.SumsDir+"/"+e.Name(), nil, true); err != nil {
			return err
		}
	}
	return m.pinCandidates()
}

// open pins the file of a location.
func (m *Moment) open(location string, sums []catalog.Sum, optional bool) error {
	path, err := m.lake.files.Path(location)
	if err != nil {
		return err
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && optional {
		return nil
	}
	if err != nil {
		return err
	}
	f := File{Path: pathOf(location), Opened: file, Sums: sums, Optional: optional}
	m.pinned = append(m.pinned, f)
	info, err := file.Stat()
	if err != nil {
		return err
	}
	last := &m.pinned[len(m.pinned)-1]
	last.Size, last.Modified = info.Size(), info.ModTime()
	return nil
}

// pathOf is where the file of a location is in the lake's folder.
func pathOf(location string) string { return "buckets/" + strings.TrimPrefix(location, "s3://") }

// Close lets the lake go.
func (m *Moment) Close() error {
	var errs []error
	for _, f := range m.pinned {
		errs = append(errs, f.Opened.Close())
	}
	m.pinned = nil
	if m.Databases != nil {
		errs = append(errs, m.Databases.Close())
		m.Databases = nil
	}
	return errors.Join(errs...)
}

// Files lists what the lake has at the moment beside its databases and delivery logs,
// ordered by path. copied is the catalog opened on a copy of the databases: what
// tidy had given up before is dropped there too, as it may be deleted at any time.
func (m *Moment) Files(ctx context.Context, copied *catalog.Catalog) ([]File, error) {
	out := slices.Clone(m.pinned)
	prod, err := m.referenced(ctx)
	if err != nil {
		return nil, err
	}
	raw, err := m.objects(ctx, copied)
	if err != nil {
		return nil, err
	}
	out = append(append(out, prod...), raw...)
	slices.SortFunc(out, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

// referenced are the files that the tables need, but for those that are pinned.
func (m *Moment) referenced(ctx context.Context) ([]File, error) {
	pinned := map[string]bool{}
	for _, f := range m.pinned {
		pinned[f.Path] = true
	}
	var out []File
	for _, t := range m.tables {
		needed := map[string]bool{}
		if err := references(ctx, t, needed); err != nil {
			return nil, tickerlake.Errorf(tickerlake.Damaged, "lake.Files", strings.Join(t.Identifier(), "."), "what it needs cannot be read: see tickerlake doctor: %w", err)
		}
		for old := range t.Metadata().PreviousFiles() {
			delete(needed, old.MetadataFile) // pinned, or gone before
		}
		sums, _, err := m.lake.files.Sums(tableOf(t.Location()))
		if err != nil {
			return nil, err
		}
		for location := range needed {
			if path := pathOf(location); !pinned[path] {
				out = append(out, File{Path: path, Size: -1, Sums: sums[location]})
			}
		}
	}
	return out, nil
}

// objects are those of the raw bucket. Of the stream of bars, what was notified is in the
// ledger, and what was not is in the delivery log: a younger object would have again what
// the log has. Of events and errors there is no ledger: some may be a moment younger.
func (m *Moment) objects(ctx context.Context, copied *catalog.Catalog) ([]File, error) {
	l := m.lake
	garbage, err := copied.Garbage(ctx)
	if err != nil {
		return nil, err
	}
	entries, err := copied.Objects(ctx, "")
	if err != nil {
		return nil, err
	}
	var out []File
	known := map[string]bool{}
	for _, e := range entries {
		known[e.Key] = true
		if _, given := garbage[rawLocation(e.Key)]; given && e.State == catalog.Published {
			if err := copied.Drop(ctx, l.Stream, e.Key, rawLocation(e.Key)); err != nil {
				return nil, err
			}
			continue
		}
		f := File{Path: pathOf(rawLocation(e.Key)), Size: e.Size, Damaged: e.State == catalog.Damaged, Optional: e.State == catalog.Damaged}
		var nanos, size int64
		if n, err := fmt.Sscanf(e.ETag, "%x-%x", &nanos, &size); err == nil && n == 2 && size == e.Size {
			f.Modified = time.Unix(0, nanos) // as blob.Dir makes its tags
		}
		out = append(out, f)
	}
	err = l.Raw.Each(ctx, "", "", func(o tickerlake.Object) error {
		_, given := garbage[rawLocation(o.Key)]
		if known[o.Key] || given || strings.HasPrefix(o.Key, l.Prefix) && !m.before[o.Key] {
			return ctx.Err()
		}
		out = append(out, File{Path: pathOf(rawLocation(o.Key)), Size: o.Size, Modified: o.At, Optional: true, Damaged: strings.HasPrefix(o.Key, "damaged/")})
		return ctx.Err()
	})
	return out, err
}
