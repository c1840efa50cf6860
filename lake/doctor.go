package lake

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tickerlake/tickerlake"
)

// A Severity says what a finding costs.
type Severity string

// The severities. Nothing of a note has to be done: it says what is not checked, or what
// goes away by itself.
const (
	Wrong Severity = "wrong" // something is lost, or not served
	Note  Severity = "note"
)

// A Finding is one thing that is not as it should be.
type Finding struct {
	Severity Severity `json:"severity"`
	What     string   `json:"what"`    // the kind: data file, raw object, series, ..
	Where    string   `json:"where"`   // the file, object or table
	Problem  string   `json:"problem"` // what is wrong with it
	// Remedy is what Repair would do, empty if nothing is safe; Advice is what is left to
	// the user then.
	Remedy string `json:"remedy,omitempty"`
	Advice string `json:"advice,omitempty"`
	// Repaired says what Repair has done.
	Repaired string `json:"repaired,omitempty"`

	repair func(ctx context.Context) (done string, err error)
}

// Repairable makes a finding that Repair can do something about.
func (f Finding) Repairable(remedy string, repair func(ctx context.Context) (string, error)) Finding {
	f.Remedy, f.repair = remedy, repair
	return f
}

// Repair does what is safe about a finding, and reports in it what was done. A finding
// without a remedy is left as it is.
func (f *Finding) Repair(ctx context.Context) error {
	if f.repair == nil {
		return nil
	}
	done, err := f.repair(ctx)
	if err != nil {
		return err
	}
	f.Repaired = done
	return nil
}

// A doctor examines a lake.
type doctor struct {
	*Lake
	deep bool
	// quiet is true if no run can be under way.
	quiet  bool
	found  []Finding
	broken map[string]bool // tables whose main has a file that is damaged
	// derived are the tables of jobs.
	derived map[string]bool
	// missing counts the series of tables that catalog.db does not have, unread has what
	// was found of metadata that cannot be read; apart are tables of which catalog.db and
	// state.db tell different times.
	missing map[string]int
	unread  map[string]Finding
	apart   map[string]bool
}

// An Examination says how a lake is to be examined.
type Examination struct {
	// Deep also reads every page of every data file with the engine.
	Deep bool
	// Quiet says that no run can be under way, since the caller holds the lock.
	Quiet bool
	// Changed is the newest run that has published and changed rows; empty if none has.
	Changed string
}

// Examine compares what the lake says of itself with what is there: each file that a
// snapshot needs with its recorded size and checksum, each raw object with the ledger,
// what state.db says of series and revisions with the rows of prod. It changes nothing.
// A run that publishes meanwhile is not taken for damage.
func (l *Lake) Examine(ctx context.Context, e Examination) ([]Finding, error) {
	d := &doctor{Lake: l, deep: e.Deep, quiet: e.Quiet, broken: map[string]bool{}, derived: map[string]bool{}, missing: map[string]int{}, unread: map[string]Finding{}, apart: map[string]bool{}}
	ages := func(ctx context.Context) error { return d.ages(ctx, e.Changed) }
	for _, step := range []func(context.Context) error{d.databases, d.tables, ages, d.latest, d.objects, d.events, d.rows} {
		if err := step(ctx); err != nil {
			return d.found, err
		}
	}
	return d.found, nil
}

func (d *doctor) find(f Finding) { d.found = append(d.found, f) }

func (d *doctor) wrong(what, where, format string, args ...any) Finding {
	return Finding{Severity: Wrong, What: what, Where: where, Problem: fmt.Sprintf(format, args...)}
}

// databases has SQLite look at state.db and catalog.db, which have no checksums.
func (d *doctor) databases(ctx context.Context) error {
	problems, err := d.Catalog.Integrity(ctx)
	if err != nil {
		return err
	}
	for _, p := range problems {
		f := d.wrong("database", p.File, "%s", p.Problem)
		f.Advice = "put back a copy of " + p.File + " and its -wal file"
		d.find(f)
	}
	covers, err := d.Catalog.InsaneCovers(ctx)
	if err != nil {
		return err
	}
	for _, c := range covers {
		d.find(d.wrong("cover", "state.db", "%s", c))
	}
	return nil
}

// tables examines every file of every snapshot.
func (d *doctor) tables(ctx context.Context) error {
	names, err := d.Catalog.ListTables(ctx, d.prod())
	if err != nil {
		return err
	}
	slices.Sort(names)
	series, err := d.Catalog.AllSeries(ctx)
	if err != nil {
		return err
	}
	for _, s := range series {
		for _, name := range []string{s.Table, s.Table + revisionsSuffix} {
			if !slices.Contains(names, name) {
				d.missing[name]++
			}
		}
	}
	for _, name := range names {
		if err := d.table(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// latest examines prod.latest. It can be thrown away: fetches bring it back.
func (d *doctor) latest(ctx context.Context) error {
	v := d.latestView()
	problem := v.Damage
	if problem == nil && len(v.Files) > 0 {
		_, problem = d.files.Check(latestFile)
		if problem == nil {
			problem = d.readAll(ctx, v)
		}
	}
	if problem == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	d.find(d.wrong("unfinished bars", latestFile, "%s", reason(problem)).Repairable(
		"put an empty prod.latest in its place; the next fetch brings the unfinished bars back",
		func(ctx context.Context) (string, error) {
			path, err := d.create(latestFile)
			if err != nil {
				return "", err
			}
			if _, err := d.Engine.Write(ctx, WriteTask{Select: "SELECT * FROM " + Typed(LatestColumns, ""), Columns: LatestColumns, File: path + ".new"}); err != nil {
				return "", err
			}
			return "prod.latest is empty until the next fetch and run", d.files.Replace(path+".new", latestFile)
		}))
	return nil
}

// readAll has the engine read every row.
func (d *doctor) readAll(ctx context.Context, v View) error {
	var parts []string
	for _, c := range v.Columns {
		parts = append(parts, `count("`+c.Name+`")`)
	}
	_, _, err := d.Engine.Query(ctx, "SELECT "+strings.Join(parts, ", ")+" FROM "+d.Rows(v))
	return err
}

// reason is what an error says without the place, which the finding names.
func reason(err error) string {
	for {
		e, ok := err.(*tickerlake.Error)
		if !ok || e.Err == nil {
			return strings.TrimSuffix(err.Error(), ": see tickerlake doctor")
		}
		err = e.Err
	}
}
