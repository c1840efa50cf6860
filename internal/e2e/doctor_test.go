package e2e

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// examined is what tickerlake doctor --json prints.
type examined struct {
	Findings []finding `json:"findings"`
	Wrong    int       `json:"wrong"`
}

type finding struct {
	Severity string `json:"severity"`
	What     string `json:"what"`
	Where    string `json:"where"`
	Problem  string `json:"problem"`
	Remedy   string `json:"remedy"`
	Repaired string `json:"repaired"`
}

func (p *pipeline) doctor(args ...string) (x examined, status int) {
	p.t.Helper()
	o := p.run(append([]string{"doctor", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(o.stdout), &x); err != nil {
		p.t.Fatalf("%v\n%v", err, o)
	}
	return x, o.status
}

// healthy demands that doctor finds nothing wrong.
func (p *pipeline) healthy() {
	p.t.Helper()
	if x, status := p.doctor("--deep"); status != 0 || x.Wrong != 0 {
		p.t.Errorf("doctor ends with %d: %+v", status, x)
	}
}

// TestDoctorOfFormats: nothing is wrong with the lake of any format, as it was made, when
// it is migrated and when it has been worked on.
func TestDoctorOfFormats(t *testing.T) {
	t.Parallel()
	for _, version := range formats(t) {
		m := newMarket(t, formatMarket(3))
		p := lakeOfFormat(t, version, m.URL)
		p.healthy()
		p.must("run")
		p.must("fetch")
		p.must("run")
		p.must("tidy")
		p.healthy()
	}
}

// filesOf gives files of the lake.
func (p *pipeline) filesOf(pattern string) []string {
	p.t.Helper()
	files, err := filepath.Glob(p.path(append([]string{"lake"}, strings.Split(pattern, "/")...)...))
	if err != nil || len(files) == 0 {
		p.t.Fatalf("no files %s (%v)", pattern, err)
	}
	slices.Sort(files)
	return files
}

// damage changes the byte of a file at a part of its length.
func (p *pipeline) damage(path string, part float64) {
	p.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		p.t.Fatal(err)
	}
	text[int(float64(len(text))*part)] ^= 0x55
	if err := os.WriteFile(path, text, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// TestDoctorNamesDamage damages a file of each kind in a lake that has one of everything,
// with the real program: doctor and who needs the file name it, and what is left is
// served as it was.
func TestDoctorNamesDamage(t *testing.T) {
	t.Parallel()
	const bars = "SELECT symbol, ts, close, fetch_id FROM bars_1d ORDER BY ALL"
	const others = "SELECT count(*) FROM ops.fetches"
	for _, c := range []struct {
		what, file string
		part       float64
		bars       bool // the table can be read
		run        int  // status of a run
	}{
		{"a data file", "buckets/prod/bars_1d/data/*/*rewrite*.parquet", 0.5, false, 1},
		{"a revisions file", "buckets/prod/bars_1d_revisions/data/*/*.parquet", 0.5, true, 0},
		{"unfinished bars", "buckets/prod/latest/latest.parquet", 0.5, true, 0},
		{"a manifest list", "buckets/prod/bars_1d/metadata/snap-*.avro", 0.5, false, 1},
		{"a raw object that is published", "buckets/raw/raw/bars/*/bars-*.gz", 0.7, true, 0},
		{"events", "buckets/raw/ops/jobs/*/*.gz", 0.7, true, 0},
		{"the delivery log", "log/bars/*.log", 0.9, true, 0},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			m := newMarket(t, formatMarket(3))
			p := lakeOfFormat(t, "2", m.URL)
			want := p.must("query", "-f", "csv", bars)
			files := p.filesOf(c.file)
			path := files[0]
			if strings.Contains(c.file, "snap-") {
				for _, f := range files { // all: one of them is the current one
					p.damage(f, c.part)
				}
			} else {
				p.damage(path, c.part)
			}
			o := p.run("query", "-f", "csv", bars)
			switch {
			case c.bars && (o.status != 0 || o.stdout != want):
				t.Errorf("%v\nwant what is not damaged", o)
			case !c.bars && (o.status != 1 || o.stdout != ""):
				t.Errorf("%v\nwant a refusal", o)
			case !c.bars && !slices.ContainsFunc(files, func(f string) bool { return strings.Contains(o.stderr, filepath.Base(f)) }):
				t.Errorf("%v\nwant the name of the file", o)
			}
			p.must("query", others)
			x, status := p.doctor()
			if status != 1 || x.Wrong == 0 {
				t.Errorf("doctor ends with %d: %+v", status, x)
			}
			named := slices.ContainsFunc(files, func(f string) bool {
				text, _ := json.Marshal(x)
				return strings.Contains(string(text), filepath.Base(f))
			})
			if !named {
				t.Errorf("doctor does not name the file: %+v", x)
			}
			if o := p.run("run"); o.status != c.run {
				t.Errorf("%v\nwant exit status %d", o, c.run)
			}
		})
	}
}

// TestDoctorRepairs: after --repair nothing is wrong, and what was published comes back
// from the raw objects.
func TestDoctorRepairs(t *testing.T) {
	t.Parallel()
	m := newMarket(t, formatMarket(3))
	p := lakeOfFormat(t, "2", m.URL)
	p.damage(p.filesOf("buckets/prod/bars_1d/data/*/*rewrite*.parquet")[0], 0.5)
	p.damage(p.filesOf("buckets/prod/latest/latest.parquet")[0], 0.5)
	p.damage(p.filesOf("buckets/raw/ops/jobs/*/*.gz")[0], 0.7)
	x, status := p.doctor("--repair")
	if status != 0 || x.Wrong != 0 {
		t.Errorf("doctor --repair ends with %d: %+v", status, x)
	}
	repaired := 0
	for _, f := range x.Findings {
		if f.Repaired != "" {
			repaired++
		}
	}
	if repaired != 3 {
		t.Errorf("%d findings are repaired: %+v", repaired, x)
	}
	p.healthy()
	p.must("run", "--release")
	p.must("fetch")
	p.must("run")
	p.sameAs("bars_1d", without(formatMarket(3), "CCC", 4))
	p.healthy()
}

// TestDamagedStateIsRefused: databases that cannot be read are named, by every command,
// and nothing is touched.
func TestDamagedStateIsRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"state.db", "catalog.db"} {
		p := lakeOfFormat(t, "2", "http://127.0.0.1:1")
		if err := os.WriteFile(p.path("lake", name), []byte("not a database at all, as every byte says"), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, suffix := range []string{"-wal", "-shm"} {
			if err := os.Remove(p.path("lake", name+suffix)); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
		for _, args := range p.commands() {
			if args[0] == "import" || args[0] == "doctor" {
				continue
			}
			p.want(1, args...).says(t, name)
		}
		x, status := p.doctor("--repair")
		if status != 1 || len(x.Findings) == 0 || !strings.Contains(x.Findings[0].Where+x.Findings[0].Problem, name) {
			t.Errorf("doctor ends with %d: %+v", status, x)
		}
	}
}

// TestLocksAndNotesAreOnlyThat: what is in the lock, in leases and in staging is never
// believed: any bytes in them change nothing.
func TestLocksAndNotesAreOnlyThat(t *testing.T) {
	t.Parallel()
	m := newMarket(t, formatMarket(3))
	p := lakeOfFormat(t, "2", m.URL)
	for name, text := range map[string]string{
		"lock": "\x00\xff{", "leases/01900000-0000-7000-8000-000000000000": "}", "buckets/staging/20200101t000000-000/crawl.json": "{", "tmp/whole": "9 9 9 9\tx\n\x00",
	} {
		path := p.path("lake", filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p.must("query", "SELECT count(*) FROM bars_1d")
	p.must("fetch")
	p.must("run")
	p.must("tidy")
	p.sameAs("bars_1d", without(formatMarket(3), "CCC", 4))
	p.healthy()
}

// TestDatabasesOfTwoTimes: state.db or catalog.db is put back from an older copy, or is
// gone. The doctor says which is older, and what it says to do loses and doubles nothing.
func TestDatabasesOfTwoTimes(t *testing.T) {
	t.Parallel()
	m := newMarket(t, formatMarket(0))
	p := newPipeline(t, formatFile).with("MARKET=" + m.URL)
	p.must("fetch")
	p.must("run")
	older, recent := p.copyOf(t), ""
	p.write("DDD.csv", "Datetime,Close\n2024-01-02T15:00:00Z,1\n")
	p.must("import", "DDD.csv", "--interval", "1m", "--run")
	for stage := 1; stage < 4; stage++ {
		recent = p.copyOf(t)
		m.set(formatMarket(stage))
		p.must("fetch")
		p.must("run")
	}
	newer := p.copyOf(t)
	p.healthy()
	told := p.told()
	named := func(where, problem string) {
		t.Helper()
		x, status := p.doctor()
		if status != 1 || !slices.ContainsFunc(x.Findings, func(f finding) bool {
			return f.Severity == "wrong" && strings.HasSuffix(f.Where, where) && strings.Contains(f.Problem, problem)
		}) {
			t.Errorf("doctor ends with %d and does not say that %s: %+v", status, problem, x)
		}
	}
	as := func(what string, rows [][]string) {
		t.Helper()
		if !slices.EqualFunc(p.told(), rows, slices.Equal) {
			t.Errorf("%s: the tables have %v, want %v", what, p.told(), rows)
		}
		if n := p.value("SELECT count(*) FROM bars_1m"); n != "1" {
			t.Errorf("%s: there are %s minutes, want 1", what, n)
		}
	}

	for what, put := range map[string]func() string{
		"an older state.db": func() string { p.putBack(t, older, "state.db*"); return "it is older than the tables" },
		"no state.db":       func() string { return "it is gone, and the tables are there" },
	} {
		p.putBack(t, newer, "*.db*")
		before := p.still()
		p.remove(t, "state.db*")
		named("state.db", put())
		p.must("run")
		p.unchangedSince(before)
		p.healthy()
		as(what, told)
		p.must("fetch")
		p.must("run")
		as(what+", then a fetch", told)
		p.healthy()
	}

	for what, put := range map[string]func(){
		"a much older catalog.db": func() { p.putBack(t, older, "catalog.db*") },
		"an older catalog.db":     func() { p.putBack(t, recent, "catalog.db*") },
		"no catalog.db":           func() {},
	} {
		p.putBack(t, newer, "*.db*")
		before := p.still()
		p.remove(t, "catalog.db*")
		put()
		named(".bars_1d", "catalog.db is older than it")
		if what != "an older catalog.db" {
			named(".bars_1m", "catalog.db is older than it")
		}
		p.must("doctor", "--repair")
		p.healthy()
		p.unchangedSince(before)
		as(what, told)
		p.must("fetch")
		p.must("run")
		as(what+", then a fetch", told)
		p.healthy()
	}

	// What tidy has deleted meanwhile is made again.
	p.putBack(t, newer, "*.db*")
	p.putBack(t, recent, "catalog.db*")
	p.must("tidy")
	named(".bars_1d", "catalog.db is older than state.db")
	p.must("doctor", "--repair")
	p.healthy()
	p.must("run", "--release")
	as("an older catalog.db, and a tidied lake", told)
	p.healthy()
}

// copyOf copies the databases of the lake.
func (p *pipeline) copyOf(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, path := range p.filesOf("*.db*") {
		text, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(path)), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// putBack puts copied files in the place of those of the lake.
func (p *pipeline) putBack(t *testing.T, dir, pattern string) {
	t.Helper()
	p.remove(t, pattern)
	copies, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(copies) == 0 {
		t.Fatalf("%s: %v, %v", pattern, copies, err)
	}
	for _, path := range copies {
		text, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(p.path("lake", filepath.Base(path)), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// remove removes databases of the lake.
func (p *pipeline) remove(t *testing.T, pattern string) {
	t.Helper()
	there, err := filepath.Glob(p.path("lake", pattern))
	for _, path := range there {
		err = errors.Join(err, os.Remove(path))
	}
	if err != nil {
		t.Fatal(err)
	}
}
