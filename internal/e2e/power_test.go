package e2e

import (
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestPowerCut cuts the power at random moments of a fetch and of a run. What was synced
// by then is on disk, all else may be lost, or be there in any part: files by blocks, new
// and removed names one by one. Whatever is left, the next commands make it whole.
func TestPowerCut(t *testing.T) {
	needStrace(t)
	c := newCrash(t)
	cuts := 3
	if text := os.Getenv("TICKERLAKE_CUTS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("TICKERLAKE_CUTS=%s: want a number", text)
		}
		cuts = n
	}
	for _, command := range []string{"fetch", "run"} {
		p := c.lake(t)
		if command == "run" {
			p.must("fetch")
		}
		m := newMedium(t, p.path("lake"))
		moments := m.watch(p, command)
		t.Logf("%s: %d moments", command, moments)
		random := rand.New(rand.NewPCG(uint64(cuts), 11))
		for i := range cuts {
			// The last one is after the end of the command: what it acknowledged is there.
			at := moments
			if i > 0 {
				at = 1 + random.IntN(moments)
			}
			for _, kept := range []float64{0, 0.5} {
				seed := random.Uint64()
				t.Run(fmt.Sprintf("%s at %d of %d keeping %g", command, at, moments, kept), func(t *testing.T) {
					t.Parallel()
					after := newPipeline(t, c.file)
					m.cut(t, at, kept, seed, after.path("lake"))
					if command == "fetch" && at < moments {
						after.must("fetch")
					}
					after.must("run")
					c.whole(after)
					after.must("doctor")
				})
			}
		}
	}
}

// A medium is what a folder has on disk, and what the kernel has of it beyond that: the
// state is computed anew from the calls for each cut.
type medium struct {
	root  string
	begin map[string][]byte // the files at the start, all of them durable
	dirs  []string
	calls []call
}

// A call is one system call that has begun, or has ended.
type call struct {
	name   string
	args   []string
	result int
	ended  bool
	thread string
}

func newMedium(t *testing.T, root string) *medium {
	t.Helper()
	m := &medium{root: root, begin: map[string][]byte{}}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			m.dirs = append(m.dirs, path)
			return nil
		}
		m.begin[path], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// traced are the calls that change what is on disk, or say where in a file the next one
// does. Calls that the medium cannot follow are among them: it fails on those.
const traced = "open,openat,creat,write,pwrite64,writev,pwritev,pwritev2,ftruncate,truncate,fallocate,lseek,fsync,fdatasync,sync_file_range," +
	"link,linkat,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,copy_file_range,sendfile,splice,symlinkat"

var (
	entire   = regexp.MustCompile(`^(\d+) +(\w+)\((.*)\) += (-?\d+)`)
	anything = regexp.MustCompile(`"[^"]*"|\d+<[^>]*>(\(deleted\))?|AT_FDCWD<[^>]*>|[^, ]+`)
)

// watch runs a command and gives how many moments there are in it.
func (m *medium) watch(p *pipeline, command string) int {
	p.t.Helper()
	file := filepath.Join(p.t.TempDir(), "trace")
	before := []string{"strace", "-f", "-y", "-xx", "-s", "100000000", "-o", file, "-e", "trace=" + traced}
	if o := p.finish(p.command(before, command), []string{command}); o.status != 0 {
		p.t.Fatalf("under strace: %v", o)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		p.t.Fatal(err)
	}
	args := func(text string) []string { return anything.FindAllString(text, -1) }
	begun := map[string]call{}
	for _, line := range strings.Split(string(text), "\n") {
		if s := opening.FindStringSubmatch(line); s != nil {
			c := call{name: s[2], args: args(s[3]), thread: s[1]}
			begun[s[1]] = c
			m.add(c)
		} else if s := resumed.FindStringSubmatch(line); s != nil {
			c := begun[s[1]]
			c.ended = true
			c.result, _ = strconv.Atoi(s[3])
			m.add(c)
		} else if s := entire.FindStringSubmatch(line); s != nil {
			c := call{name: s[2], args: args(s[3]), thread: s[1]}
			m.add(c)
			c.ended = true
			c.result, _ = strconv.Atoi(s[4])
			m.add(c)
		}
	}
	if len(m.calls) < 100 {
		p.t.Fatalf("%s has made %d system calls", command, len(m.calls))
	}
	return len(m.calls)
}

// add keeps a call that concerns the folder.
func (m *medium) add(c call) {
	for _, a := range c.args {
		if path, _ := named(a); strings.HasPrefix(path, m.root) || strings.HasPrefix(path, "lake") {
			m.calls = append(m.calls, c)
			return
		}
	}
}

// named takes the path out of an argument: of a handle, with its number, or of a text.
func named(arg string) (path string, handle int) {
	handle = -1
	if number, rest, ok := strings.Cut(arg, "<"); ok {
		handle, _ = strconv.Atoi(number)
		arg, _, _ = strings.Cut(rest, ">")
	}
	b, err := hex.DecodeString(strings.ReplaceAll(strings.Trim(arg, `"`), `\x`, ""))
	if err != nil {
		return "", handle
	}
	return string(b), handle
}

// A file is what has one or more names.
type content struct{ now, durable []byte }

// A state is that of the medium at a moment.
type state struct {
	names, durable map[string]*content // nil is a folder
	handles        map[int]*open1
	syncing        map[string][]byte // by thread, what a sync that has begun makes durable
}

type open1 struct {
	*content
	offset int64
}

// at computes the state after so many calls.
func (m *medium) at(t *testing.T, moment int) *state {
	t.Helper()
	s := &state{names: map[string]*content{}, handles: map[int]*open1{}, syncing: map[string][]byte{}}
	for path, b := range m.begin {
		s.names[path] = &content{slices.Clone(b), slices.Clone(b)}
	}
	for _, path := range m.dirs {
		s.names[path] = nil
	}
	s.durable = maps.Clone(s.names)
	for _, c := range m.calls[:moment] {
		if err := s.apply(c); err != nil {
			t.Fatalf("%s(%.200s): %v", c.name, strings.Join(c.args, ", "), err)
		}
	}
	return s
}

// path resolves the name in argument i after the folder in the one before.
func (c call) path(i int) string {
	name, _ := named(c.args[i])
	if i == 0 || filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	dir, _ := named(c.args[i-1])
	return filepath.Join(dir, name)
}

func (s *state) apply(c call) error {
	if c.ended && c.result < 0 {
		return nil // it has done nothing
	}
	last := len(c.args) - 1
	switch c.name {
	case "lseek":
		if _, handle := named(c.args[0]); c.ended && s.handles[handle] != nil {
			s.handles[handle].offset = int64(c.result)
		}
	case "open":
		if c.ended {
			s.open(c.path(0), c.args[1], c.result)
		}
	case "openat":
		if c.ended {
			s.open(c.path(1), c.args[2], c.result)
		}
	case "write", "pwrite64":
		if !c.ended {
			return s.write(c)
		}
	case "ftruncate":
		if f := s.file(c.args[0]); c.ended && f != nil {
			size, err := strconv.Atoi(c.args[1])
			if err != nil {
				return err
			}
			f.now = resized(f.now, size)
		}
	case "fsync", "fdatasync":
		s.sync(c)
	case "mkdir", "mkdirat":
		if c.ended {
			s.names[c.path(last-1)] = nil
		}
	case "linkat":
		if c.ended {
			s.names[c.path(3)] = s.names[c.path(1)]
		}
	case "rename":
		if c.ended {
			s.rename(c.path(0), c.path(1))
		}
	case "renameat", "renameat2":
		if c.ended {
			s.rename(c.path(1), c.path(3))
		}
	case "unlink", "rmdir":
		if c.ended {
			delete(s.names, c.path(0))
		}
	case "unlinkat":
		if c.ended {
			delete(s.names, c.path(1))
		}
	default:
		return fmt.Errorf("the test does not know this call")
	}
	return nil
}

func (s *state) open(path, flags string, handle int) {
	f, there := s.names[path]
	switch {
	case !there && strings.Contains(flags, "O_CREAT"):
		f = &content{}
		s.names[path] = f
	case f != nil && strings.Contains(flags, "O_TRUNC"):
		f.now = nil
	}
	if f == nil {
		delete(s.handles, handle)
		return
	}
	h := &open1{content: f}
	if strings.Contains(flags, "O_APPEND") {
		h.offset = int64(len(f.now))
	}
	s.handles[handle] = h
}

// file gives the file of a handle, nil for a folder and for what is no file. The kernel
// says what its name is now.
func (s *state) file(handle string) *content {
	path, n := named(handle)
	if f := s.names[path]; f != nil {
		return f
	}
	if h := s.handles[n]; h != nil && strings.HasSuffix(handle, "(deleted)") {
		return h.content
	}
	return nil
}

func (s *state) write(c call) error {
	f := s.file(c.args[0])
	if path, _ := named(c.args[0]); f == nil && filepath.IsAbs(path) && !strings.HasSuffix(c.args[0], "(deleted)") {
		return fmt.Errorf("the test has not seen how the file was made")
	} else if f == nil {
		return nil // no file, or one that has no name
	}
	b, err := hex.DecodeString(strings.ReplaceAll(strings.Trim(c.args[1], `"`), `\x`, ""))
	if err != nil {
		return err
	}
	var at int64
	if c.name == "pwrite64" {
		if at, err = strconv.ParseInt(c.args[3], 10, 64); err != nil {
			return err
		}
	} else {
		_, n := named(c.args[0])
		h := s.handles[n]
		if h == nil || h.content != f {
			return fmt.Errorf("the file was not opened by this handle")
		}
		at = h.offset
		h.offset += int64(len(b))
	}
	f.now = resized(f.now, max(len(f.now), int(at)+len(b)))
	copy(f.now[at:], b)
	return nil
}

func resized(b []byte, size int) []byte {
	if size <= len(b) {
		return b[:size]
	}
	return append(b, make([]byte, size-len(b))...)
}

// sync makes durable what there was when it began: of a file its content, of a folder its
// names.
func (s *state) sync(c call) {
	if f := s.file(c.args[0]); f != nil {
		if c.ended {
			f.durable = s.syncing[c.thread]
		} else {
			s.syncing[c.thread] = slices.Clone(f.now)
		}
		return
	}
	dir, _ := named(c.args[0])
	if _, known := s.names[dir]; !known || !c.ended {
		return
	}
	for _, from := range []map[string]*content{s.names, s.durable} {
		for path := range from {
			if filepath.Dir(path) != dir {
				continue
			}
			if f, there := s.names[path]; there {
				s.durable[path] = f
			} else {
				delete(s.durable, path)
			}
		}
	}
}

func (s *state) rename(from, to string) {
	f, there := s.names[from]
	if !there {
		return
	}
	if f == nil { // a folder, with all that is in it
		for path, x := range maps.Clone(s.names) {
			if rest, within := strings.CutPrefix(path, from+"/"); within {
				delete(s.names, path)
				s.names[filepath.Join(to, rest)] = x
			}
		}
	}
	delete(s.names, from)
	s.names[to] = f
}

// block is what a disk writes at once.
const block = 4096

// cut writes what is left if the power is cut at a moment: all that is durable, and of
// the rest each part with a probability.
func (m *medium) cut(t *testing.T, moment int, kept float64, seed uint64, to string) {
	t.Helper()
	s := m.at(t, moment)
	r := rand.New(rand.NewPCG(seed, 3))
	lucky := func() bool { return r.Float64() < kept }
	all := map[string]bool{}
	for _, names := range []map[string]*content{s.names, s.durable} {
		for path := range names {
			all[path] = true
		}
	}
	left := map[string]*content{}
	for _, path := range slices.Sorted(maps.Keys(all)) {
		f, there := s.durable[path]
		if now, is := s.names[path]; lucky() {
			f, there = now, is
		}
		if there {
			left[path] = f
		}
	}
	for _, path := range slices.Sorted(maps.Keys(left)) {
		if _, up := left[filepath.Dir(path)]; !up && path != m.root {
			delete(left, path) // its folder is not there
			continue
		}
		target := filepath.Join(to, strings.TrimPrefix(path, m.root))
		f := left[path]
		if f == nil {
			if err := os.MkdirAll(target, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if filepath.Base(path) == "boot" { // the machine is started anew
			if err := os.WriteFile(target, []byte("another"), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		b := slices.Clone(f.durable)
		if len(f.now) > len(b) && lucky() {
			b = resized(b, len(f.now))
		}
		for at := 0; at < min(len(b), len(f.now)); at += block {
			if lucky() {
				copy(b[at:min(at+block, len(b))], f.now[at:])
			}
		}
		if err := os.WriteFile(target, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
