// Package lake keeps the tables: it turns pending raw objects into candidates, has
// them judged, and makes them prod. Its jobs are the steps of the main workflow:
// Crawl, Clean, Optimize, Quality and Publish, each safe to repeat within a run.
//
// It is given the catalog, the raw bucket, an Engine that casts, sorts and merges
// rows (DuckDB here, Athena on AWS), and the ruleset of the pipeline. It hands on
// the tables' snapshots for reading.
package lake

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/blob"
	"github.com/tickerlake/tickerlake/catalog"
	"github.com/tickerlake/tickerlake/quality"
)

// Bucket is the raw bucket.
type Bucket interface {
	catalog.Bucket
	// Path is the local file of an object.
	Path(key string) (string, error)
	// Put stores an object, whole or not at all; Delete removes one durably, an absent
	// one without error.
	Put(ctx context.Context, key string, body io.Reader, c blob.Condition) (blob.Info, error)
	Delete(ctx context.Context, key string) error
}

// Events takes the rows of ops tables.
type Events interface {
	Emit(ctx context.Context, table string, events ...any) error
}

// Options are what a Lake is made of.
type Options struct {
	Dir     string // the lake's folder
	Name    string // prefixes the databases: acme makes acme_prod; empty: none
	Catalog *catalog.Catalog
	Raw     Bucket
	Stream  string // the raw stream of bars: bars
	Prefix  string // where its dt= folders are: raw/bars/
	Engine  Engine
	Dialect quality.Dialect
	Rules   *quality.Ruleset // nil: nothing to check
	Scope   quality.Scope    // of rules that need a whole table; empty: the table
	// Remove says of which sources, as rows name them, withdrawn bars are taken out of
	// the tables; those of others are reported.
	Remove map[string]bool
	Events Events
	Clock  tickerlake.Clock
	Tidy   Config // the zero Config: Defaults
}

// A Lake is the set of tables under one folder, with one writer.
type Lake struct {
	Options
	files catalog.Files
}

// New makes a lake of its parts.
func New(o Options) *Lake {
	return &Lake{Options: o, files: catalog.Files{Root: filepath.Join(o.Dir, "buckets")}}
}

// A Run is the part of a workflow's run that a job needs.
type Run interface {
	ID() string
	Log() *slog.Logger
	UpdateCounts(ctx context.Context, change func(c *tickerlake.Counts)) error
	Counts() tickerlake.Counts
	Report(fraction float64, counts tickerlake.Counts)
}

// staging is the folder of a run's intermediate files.
func (l *Lake) staging(run string) string {
	return filepath.Join(l.Dir, "buckets", "staging", run)
}

// unsettledRuns lists the runs that have files in staging.
func (l *Lake) unsettledRuns() ([]string, error) {
	dirs, err := os.ReadDir(l.staging(""))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out []string
	for _, dir := range dirs {
		out = append(out, dir.Name())
	}
	return out, nil
}

// sweep clears up after runs that ended without doing so.
func (l *Lake) sweep(ctx context.Context, run string) error {
	left, err := l.unsettledRuns()
	if err != nil {
		return err
	}
	for _, old := range left {
		if old == run {
			continue
		}
		if err := errors.Join(l.retract(ctx, old), l.Finish(old)); err != nil {
			return err
		}
	}
	return nil
}

// note keeps what a job found for the jobs after it, atomically and durably.
func (l *Lake) note(run, name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	path := filepath.Join(l.staging(run), name)
	if err := l.files.MakeDir(filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", text, 0o644); err != nil {
		return err
	}
	return l.files.Replace(path+".new", "s3://staging/"+run+"/"+name)
}

// noted reads what an earlier job noted; false if it noted nothing.
func (l *Lake) noted(run, name string, v any) (bool, error) {
	text, err := os.ReadFile(filepath.Join(l.staging(run), name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, json.Unmarshal(text, v)
}

// Database is the name of prod, raw or ops in this lake.
func (l *Lake) Database(name string) string {
	if l.Name == "" {
		return name
	}
	return l.Name + "_" + name
}

// prod is the Iceberg database of the published tables.
func (l *Lake) prod() string { return l.Database("prod") }

// CheckName fails with Invalid if the tables of the lake are under another name than the
// pipeline file gives: they would all seem to be gone.
func (l *Lake) CheckName(ctx context.Context) error {
	there, err := l.Catalog.Databases(ctx)
	if err != nil || len(there) == 0 || slices.Contains(there, l.prod()) {
		return err
	}
	remedy := "leave out name"
	if name, ok := strings.CutSuffix(there[0], "_prod"); ok {
		remedy = "say name: " + name
	}
	return tickerlake.Errorf(tickerlake.Invalid, "lake.CheckName", l.Dir,
		"the tables of this lake are in %s, the pipeline file looks for %s: %s, or name another lake", strings.Join(there, ", "), l.prod(), remedy)
}

// now is the lake's time in UTC.
func (l *Lake) now() time.Time { return l.Clock().UTC() }
