package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestDiskFull lets every file grow to a limit only. The program must end with 1 and
// say what to do, and lose nothing: once there is room, every bar is published once.
func TestDiskFull(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		skipAloud(t, "there is no sh to set a limit with: %v", err)
	}
	truth := history("2020-01-01", 1500, "AAA", "BBB", "CCC")
	m := newMarket(t, truth)
	file := seedFile(m.URL, "AAA, BBB, CCC")
	for _, command := range []string{"fetch", "run"} {
		// In blocks of 512 bytes, as POSIX has it. The last is enough for everything.
		for _, limit := range []int{0, 1, 8, 32, 64, 100, 128, 160, 200, 240, 300, 400, 800, 1 << 20} {
			t.Run(fmt.Sprintf("%s with %d", command, limit), func(t *testing.T) {
				t.Parallel()
				p := newPipeline(t, file)
				if command == "run" {
					p.must("fetch")
				}
				cmd := p.command([]string{"sh", "-c", fmt.Sprintf(`ulimit -f %d && exec "$0" "$@"`, limit)}, command)
				o := p.finish(cmd, []string{command})
				switch {
				case limit == 1<<20 && o.status != 0:
					t.Fatalf("%v\nwant exit status 0", o)
				case o.status == 0:
				case o.status != 1:
					t.Fatalf("%v\nwant exit status 0 or 1", o)
				case !strings.Contains(o.stderr, "room") && !strings.Contains(o.stderr, "free space"):
					t.Errorf("%v\nit does not say to make room", o)
				case !strings.Contains(o.stderr, "tickerlake: "):
					t.Errorf("%v\nit says nothing by itself", o)
				}
				t.Logf("exit status %d: %s", o.status, o.stderr)
				if o.status != 0 && command == "fetch" {
					p.must("fetch")
				}
				p.must("run")
				p.sameAs("bars_1d", truth)
				p.conserved()
				p.settled()
			})
		}
	}
}

// TestReadOnly takes the right to write away: of an empty folder, and of a lake.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	truth := history("2024-03-01", 30, "AAA")
	m := newMarket(t, truth)
	root, err := os.MkdirTemp("", "tickerlake-read-only-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		open(root, 0o755, 0o644)
		_ = os.RemoveAll(root)
	})
	p := &pipeline{t: t, dir: root}
	p.write("tickerlake.yaml", seedFile(m.URL, "AAA"))
	restricted := func(args ...string) outcome {
		t.Helper()
		cmd := p.command(nil, args...)
		if os.Getuid() == 0 { // root may write everywhere: be nobody
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}
		return p.finish(cmd, args)
	}
	wantDenied := func(name string, args ...string) {
		t.Helper()
		o := restricted(args...)
		if o.status != 1 {
			t.Errorf("%v\nwant exit status 1", o)
		}
		o.says(t, name, "ermission denied")
		if !strings.Contains(o.stderr, "able to write") && !strings.Contains(o.stderr, "may this user write") {
			t.Errorf("%v\nit does not say what to do", o)
		}
	}

	open(root, 0o555, 0o444)
	wantDenied(p.path("lake"), "fetch")
	if _, err := os.Stat(p.path("lake")); err == nil {
		t.Error("there is a lake all the same")
	}

	open(root, 0o755, 0o644)
	p.must("fetch")
	p.must("run")
	before := p.still()
	open(root, 0o555, 0o444)
	wantDenied(p.path("lake"), "fetch")
	wantDenied(p.path("lake"), "run")
	o := restricted("query", "SELECT count(*) FROM bars_1d")
	if o.status != 0 && (o.status != 1 || !strings.Contains(o.stderr, p.path("lake")) || !strings.Contains(o.stderr, "may this user write")) {
		t.Errorf("%v\nwant an answer, or why there is none", o)
	}
	t.Logf("a query of a lake that may not be written: %v", o)

	open(root, 0o755, 0o644)
	p.sameAs("bars_1d", truth)
	now := p.still()
	now.files, before.files = nil, nil // times have changed
	if fmt.Sprint(now) != fmt.Sprint(before) {
		t.Errorf("prod has changed: %v, was %v", now, before)
	}
	p.must("fetch")
	p.must("run")
	p.sameAs("bars_1d", truth)
}

// open gives every folder and file of a tree these rights.
func open(root string, folder, file os.FileMode) {
	var folders []string
	_ = filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		switch {
		case err != nil:
		case d.IsDir():
			_ = os.Chmod(path, 0o755)
			folders = append(folders, path)
		default:
			_ = os.Chmod(path, file)
		}
		return nil
	})
	for i := len(folders) - 1; i >= 0; i-- {
		_ = os.Chmod(folders[i], folder)
	}
}
