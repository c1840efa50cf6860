package e2e

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A step is a system call that has begun, or one that has succeeded.
type step struct {
	line       int
	name, args string
	done       bool
}

var (
	whole   = regexp.MustCompile(`^\d+ +(\w+)\((.*)\) += (\d+)`)
	opening = regexp.MustCompile(`^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$`)
	resumed = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>.* = (\d+)`)
	handle  = regexp.MustCompile(`^\d+<([^>]*)>`)
	quoted  = regexp.MustCompile(`"([^"]*)"`)
)

// steps reads the output of strace -f -y.
func steps(text string) []step {
	var out []step
	open := map[string]step{}
	for i, line := range strings.Split(text, "\n") {
		if m := opening.FindStringSubmatch(line); m != nil {
			s := step{line: i, name: m[2], args: m[3]}
			open[m[1]] = s
			out = append(out, s)
		} else if m := resumed.FindStringSubmatch(line); m != nil {
			if s, ok := open[m[1]]; ok && s.name == m[2] {
				s.line, s.done = i, true
				out = append(out, s)
			}
		} else if m := whole.FindStringSubmatch(line); m != nil {
			s := step{line: i, name: m[1], args: m[2]}
			done := s
			done.done = true
			out = append(out, s, done)
		}
	}
	slices.SortStableFunc(out, func(a, b step) int { return cmp.Compare(a.line, b.line) })
	return out
}

// A disk is what a power cut would lose: files written and folders with new names
// since they were last synced, each with the line of the trace.
type disk map[string]int

// apply brings the disk to the state after a step. It tells what the step writes to,
// and for a link or rename what is given a name.
func (d disk) apply(s step) (writes, names string) {
	path := ""
	if m := handle.FindStringSubmatch(s.args); m != nil {
		path = m[1]
	}
	switch s.name {
	case "write", "pwrite64":
		if !s.done {
			d[path] = s.line
			return path, ""
		}
	case "fsync", "fdatasync":
		if s.done {
			delete(d, path)
		}
	case "mkdirat", "openat":
		if s.name == "openat" && (!strings.Contains(s.args, "O_CREAT") || s.done) {
			break
		}
		if m := quoted.FindStringSubmatch(s.args); m != nil && !s.done {
			d[filepath.Dir(m[1])] = s.line
		}
	case "linkat", "renameat", "renameat2", "rename":
		if m := quoted.FindAllStringSubmatch(s.args, 2); len(m) == 2 && !s.done {
			d[filepath.Dir(m[1][1])] = s.line
			return "", m[0][1]
		}
	}
	return "", ""
}

// unsynced lists what is not on disk of the paths with one of some parts.
func (d disk) unsynced(parts ...string) []string {
	var out []string
	for path := range d {
		if slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(path, p) }) && !strings.HasSuffix(path, "-shm") {
			out = append(out, path)
		}
	}
	slices.Sort(out)
	return out
}

// needStrace skips a test where strace cannot be used.
func needStrace(t testing.TB) {
	t.Helper()
	if out, err := exec.Command("strace", "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		skipAloud(t, "system calls cannot be watched: strace is missing or may not trace here: %v %s", err, out)
	}
}

// trace runs a command under strace.
func (p *pipeline) trace(args ...string) []step {
	p.t.Helper()
	needStrace(p.t)
	file := filepath.Join(p.t.TempDir(), "trace")
	before := []string{"strace", "-f", "-y", "-s", "64", "-o", file,
		"-e", "trace=write,pwrite64,openat,mkdirat,fsync,fdatasync,linkat,rename,renameat,renameat2"}
	if o := p.finish(p.command(before, args...), args); o.status != 0 {
		p.t.Fatalf("under strace: %v", o)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		p.t.Fatal(err)
	}
	return steps(string(text))
}

// TestOrderOfRun demands that all that a commit of the catalog names is on disk before
// the commit is written, and the commit before the ledger tells of it.
func TestOrderOfRun(t *testing.T) {
	t.Parallel()
	first := history("2024-03-01", 30, "AAA", "BBB")
	later := history("2024-03-01", 33, "AAA", "BBB")
	later["AAA"][28].close += 0.5 // rewrites a file, and makes a revision
	m := newMarket(t, first)
	p := newPipeline(t, seedFile(m.URL, "AAA, BBB"))
	p.must("fetch")
	p.must("run")
	m.set(later)
	p.must("fetch")

	d := disk{}
	commits, ended := 0, false
	synced := map[string]int{} // files of prod by ending
	for _, s := range p.trace("run") {
		writes, names := d.apply(s)
		if s.name == "fsync" && s.done && strings.Contains(s.args, "/buckets/prod/") {
			synced[filepath.Ext(handle.FindStringSubmatch(s.args)[1])]++
		}
		switch {
		case strings.HasSuffix(writes, "/catalog.db-wal"):
			commits++
			if bad := d.unsynced("/buckets/prod"); len(bad) > 0 {
				t.Errorf("line %d commits to the catalog, but not on disk are %q", s.line, bad)
			}
		case strings.HasSuffix(writes, "/state.db-wal"):
			if bad := d.unsynced("/catalog.db-wal"); len(bad) > 0 {
				t.Errorf("line %d writes to the ledger before the commit of the catalog is on disk", s.line)
			}
		case s.name == "write" && !s.done && strings.HasPrefix(s.args, "1<") && strings.Contains(s.args, `"run `):
			ended = true
			if bad := d.unsynced("/catalog.db-wal", "/state.db-wal", "/buckets/prod"); len(bad) > 0 {
				t.Errorf("the run is told to have ended, but not on disk are %q", bad)
			}
		case names != "" && strings.Contains(names, "/buckets/"):
			if bad := d.unsynced(names); len(bad) > 0 {
				t.Errorf("line %d gives %s a name before it is on disk", s.line, names)
			}
		}
	}
	if commits < 4 || !ended || synced[".parquet"] < 3 || synced[".avro"] < 4 || synced[".json"] < 4 {
		t.Errorf("the trace does not show what it should: %d writes of the catalog, files synced %v, end seen %v", commits, synced, ended)
	}
}

// TestOrderOfFetch demands that a record is on disk before it is cut into an object,
// the object before it has its name, and both before the fetch says so.
func TestOrderOfFetch(t *testing.T) {
	t.Parallel()
	m := newMarket(t, history("2024-03-01", 30, "AAA"))
	p := newPipeline(t, seedFile(m.URL, "AAA"))
	d := disk{}
	named, told := 0, false
	for _, s := range p.trace("fetch") {
		_, names := d.apply(s)
		switch {
		case names != "" && strings.Contains(s.args, "/buckets/raw/raw/bars/"):
			named++
			if bad := d.unsynced(names, "/log/bars/"); len(bad) > 0 {
				t.Errorf("line %d gives an object its name, but not on disk are %q", s.line, bad)
			}
		case s.name == "write" && !s.done && strings.HasPrefix(s.args, "1<") && strings.Contains(s.args, "delivered to raw.bars"):
			told = true
			if bad := d.unsynced("/log/bars/", "/buckets/raw/raw", "/state.db-wal"); len(bad) > 0 {
				t.Errorf("the fetch is told to be delivered, but not on disk are %q", bad)
			}
		}
	}
	if named != 1 || !told {
		t.Errorf("the trace does not show what it should: %d objects named, end seen %v", named, told)
	}
}

// TestDisk makes sure that the model sees what it is for.
func TestDisk(t *testing.T) {
	const text = `1 openat(AT_FDCWD</w>, "/l/a", O_RDWR|O_CREAT, 0644) = 3</l/a>
1 write(3</l/a>, "x", 1) = 1
2 fsync(3</l/a> <unfinished ...>
1 write(4</l/wal>, "one", 3) = 3
2 <... fsync resumed>) = 0
1 write(4</l/wal>, "two", 3) = 3
1 fsync(5</l>) = 0
1 linkat(AT_FDCWD</w>, "/l/a", AT_FDCWD</w>, "/l/sub/b", 0) = 0
1 write(4</l/wal>, "three", 5) = 5`
	want := []string{"/l /l/a", "/l", "/l/sub"}
	d := disk{}
	for _, s := range steps(text) {
		writes, names := d.apply(s)
		if writes == "/l/wal" {
			delete(d, writes)
			if got := strings.Join(d.unsynced("/l"), " "); len(want) == 0 || got != want[0] {
				t.Errorf("line %d: not on disk are %s, want %v", s.line, got, want)
			}
			want = want[1:]
		}
		if names != "" && names != "/l/a" {
			t.Errorf("line %d names %s", s.line, names)
		}
	}
	if len(want) > 0 {
		t.Errorf("%v were not seen", want)
	}
}
