package lake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/iceberg-go/table"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
)

// ages finds out whether state.db and catalog.db are of one time: each may have been put
// back from an older copy.
func (d *doctor) ages(ctx context.Context, changed string) error {
	names, err := d.Catalog.ListTables(ctx, d.prod())
	if err != nil {
		return err
	}
	slices.Sort(names)
	chains := map[string][]Snapshot{}
	for _, name := range names {
		t, err := d.Catalog.LoadTable(ctx, d.prod(), name)
		if errors.Is(err, tickerlake.Damaged) {
			continue
		}
		if err != nil {
			return err
		}
		if derived(t) {
			continue // state.db knows nothing of it
		}
		if chains[name], err = d.chain(ctx, t); err != nil {
			return err
		}
	}
	if err := d.stateAge(ctx, chains); err != nil {
		return err
	}
	for name := range d.missing {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		f, older, err := d.tableAge(ctx, name, chains[name])
		if err != nil {
			return err
		}
		unread, damaged := d.unread[name]
		switch {
		case older:
			d.apart[strings.TrimSuffix(name, revisionsSuffix)] = true
			d.find(f)
		case damaged:
			d.find(unread)
		case d.missing[name] > 0:
			f := d.wrong("table", "catalog.db", "has no table %s, of which %d series are published", name, d.missing[name])
			f.Advice = "put back a copy of catalog.db"
			d.find(f)
		}
	}
	if len(d.apart) > 0 || len(d.unread) > 0 {
		return nil
	}
	return d.rowsAge(ctx, chains, changed)
}

// A metadataFile is one of a table, and the publication that it shows.
type metadataFile struct {
	location, run string
	version       int
	seq           int64
	table         *table.Table
}

// versionOf is the number that a metadata file begins with; -1 if it has none.
func versionOf(location string) int {
	number, _, _ := strings.Cut(path.Base(location), "-")
	n, err := strconv.Atoi(number)
	if err != nil {
		return -1
	}
	return n
}

// newest finds the last metadata file of a table that can be read and that shows a
// publication which state.db knows: that was noted after catalog.db had named the file.
func (d *doctor) newest(ctx context.Context, name string) (out metadataFile, found bool, err error) {
	folder := "s3://" + prodBucket + "/" + name + "/metadata"
	dir, err := d.files.Path(folder)
	if err != nil {
		return out, false, err
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return out, false, nil
	}
	if err != nil {
		return out, false, err
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".metadata.json") || versionOf(e.Name()) < out.version {
			continue
		}
		t, err := d.Catalog.TableAt(ctx, d.files, d.prod(), name, folder+"/"+e.Name())
		if err != nil {
			if ctx.Err() != nil {
				return out, false, ctx.Err()
			}
			continue
		}
		main := t.SnapshotByName(table.MainBranch)
		m := metadataFile{location: folder + "/" + e.Name(), run: runOf(main), version: versionOf(e.Name()), table: t}
		if m.seq, _, _, err = d.Catalog.Seq(ctx, m.run); err != nil {
			return out, false, err
		}
		// There may be no revisions yet, or no more.
		if m.seq > 0 || main == nil && strings.HasSuffix(name, revisionsSuffix) {
			out, found = m, true
		}
	}
	return out, found, nil
}

// tableAge finds a table that has come further than catalog.db says.
func (d *doctor) tableAge(ctx context.Context, name string, chain []Snapshot) (f Finding, older bool, err error) {
	m, found, err := d.newest(ctx, name)
	if err != nil || !found {
		return f, false, err
	}
	pointer, err := d.Catalog.Pointer(ctx, d.prod(), name)
	if err != nil && !errors.Is(err, tickerlake.NotFound) {
		return f, false, err
	}
	shown := func(s Snapshot) bool { return s.Seq >= m.seq }
	if pointer != "" && (m.version <= versionOf(pointer) || m.seq == 0) || slices.ContainsFunc(chain, shown) {
		return f, false, nil
	}
	f = d.wrong("table", d.prod()+"."+name, "catalog.db is older than it: what run %s has published is not shown", m.run)
	done := "the table is as run " + m.run + " has published it"
	if m.seq == 0 {
		f.Problem, done = "catalog.db is older than it, and does not have it", "the table is there again, and empty"
	}
	x := &examined{doctor: d, name: name, table: m.table, states: map[string]error{}}
	if x.io, err = m.table.FS(ctx); err != nil {
		return f, false, err
	}
	var damaged []damage
	if main := m.table.SnapshotByName(table.MainBranch); main != nil {
		if damaged, err = x.snapshot(ctx, *main); err != nil {
			return f, false, err
		}
	}
	if len(damaged) > 0 {
		f.Advice = fmt.Sprintf("put back the newer catalog.db with its -wal file, and %s, of which is said: %s", damaged[0].location, damaged[0].why)
		return f, true, nil
	}
	return f.Repairable("have catalog.db name the newest metadata file, "+m.location, func(ctx context.Context) (string, error) {
		return done, d.Catalog.Adopt(ctx, d.prod(), name, m.location)
	}), true, nil
}

// stateAge finds tables that show what a run has published of which state.db knows
// nothing. Runs that came before one that it knows are no such: they may have been entered
// since, or be of before a migration.
func (d *doctor) stateAge(ctx context.Context, chains map[string][]Snapshot) error {
	// Looked at after the tables: who publishes notes it before the run is cleared up.
	working, err := d.unsettledRuns()
	if err != nil {
		return err
	}
	publications, err := d.Catalog.Publications(ctx)
	if err != nil {
		return err
	}
	last := ""
	for run := range publications {
		last = max(last, run)
	}
	unknown := map[string]bool{}
	var tables []string
	for name, chain := range chains {
		for _, s := range chain {
			if _, known := publications[s.Run]; known || s.Run <= last || slices.Contains(working, s.Run) {
				continue
			}
			unknown[s.Run] = true
			d.apart[strings.TrimSuffix(name, revisionsSuffix)] = true
			if where := d.prod() + "." + name; !slices.Contains(tables, where) {
				tables = append(tables, where)
			}
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(tables)
	newest := ""
	for run := range unknown {
		newest = max(newest, run)
	}
	f := d.wrong("database", "state.db", "it is older than the tables: it does not know that %d runs have published, at last %s, which %s have", len(unknown), newest, strings.Join(tables, ", "))
	f.Advice = "put back the newer state.db with its -wal file, if there is one; if not, tickerlake run reads the raw objects of these runs again, finds their rows in the tables and changes none. " +
		"What was held, paused, or decided about quarantined rows since then is not known any more"
	d.find(f)
	return nil
}

// rowsAge finds tables that lack what a run has published by state.db, where no metadata
// file tells of it any more: tidy has taken them for garbage. Of the newest run that has
// changed rows, changed, at least one table that it fed must show it.
func (d *doctor) rowsAge(ctx context.Context, chains map[string][]Snapshot, changed string) error {
	seq, _, known, err := d.Catalog.Seq(ctx, changed)
	if err != nil || !known {
		return err
	}
	fed, standing, err := d.Catalog.Fed(ctx, seq)
	if err != nil || !standing {
		return err
	}
	for _, chain := range chains {
		if slices.ContainsFunc(chain, func(s Snapshot) bool { return s.Seq >= seq }) {
			return nil
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fed)) {
		chain := chains[name]
		if len(chain) == 0 || chain[0].Seq == 0 || fed[name] <= chain[0].Seq {
			continue
		}
		d.apart[name] = true
		d.find(d.wrong("table", d.prod()+"."+name, "catalog.db is older than state.db: the table lacks what came after run %s", chain[0].Run).Repairable(
			"hold the raw objects that have fed it since, and pause their sources: tickerlake run --release publishes them again",
			func(ctx context.Context) (string, error) {
				held, err := d.holdSince(ctx, name, chain[0].Seq)
				return fmt.Sprintf("%d raw objects are held: tickerlake run --release publishes them again", held), err
			}))
	}
	return nil
}

// holdSince makes state.db say of a table what was true after publication seq, which is
// what the table shows: a rollback of which the tables have done their part.
func (l *Lake) holdSince(ctx context.Context, name string, seq int64) (held int, err error) {
	if err := l.abandonLeft(ctx); err != nil {
		return 0, err
	}
	if err := l.Catalog.Discover(ctx, l.Raw, catalog.Crawl{Stream: l.Stream, Prefix: l.Prefix}); err != nil {
		return 0, err
	}
	started := l.now()
	r, err := l.Catalog.TakeBack(ctx, catalog.Rollback{
		Table: name, Run: rollbackID(name, started), Seq: seq, Started: started, Plan: []byte("{}"),
		Reason: fmt.Sprintf("%s.%s lacks what it has brought", l.prod(), name),
	})
	if err != nil {
		return 0, err
	}
	return len(r.Held), l.finishRollback(ctx, r)
}
