package lake

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func leaseFiles(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(leaseDir(dir), "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestLeases(t *testing.T) {
	dir, at := t.TempDir(), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if _, any, err := readers(dir); any || err != nil {
		t.Fatalf("a lake that nobody reads has readers (%v)", err)
	}
	take := func(at time.Time) *Lease {
		l, err := TakeLease(dir, "query", at)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	later := take(at.Add(time.Hour))
	first := take(at)
	if since, any, err := readers(dir); err != nil || !any || !since.Equal(at) {
		t.Fatalf("oldest reader since %v, %v, %v; want %v", since, any, err, at)
	}
	var says leased
	text, err := os.ReadFile(first.path)
	if err == nil {
		err = json.Unmarshal(text, &says)
	}
	if err != nil || says.PID != os.Getpid() || says.Command != "query" {
		t.Fatalf("the lease says %s, %v", text, err)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	if since, any, err := readers(dir); err != nil || !any || !since.Equal(at.Add(time.Hour)) {
		t.Fatalf("oldest reader since %v, %v, %v after the first has ended", since, any, err)
	}
	if err := later.Release(); err != nil {
		t.Fatal(err)
	}
	if _, any, err := readers(dir); any || err != nil || len(leaseFiles(t, dir)) > 0 {
		t.Fatalf("readers %v, files %v, %v after all have ended", any, leaseFiles(t, dir), err)
	}
}

// TestLeasesOfTheDead: the kernel gives back the lock of a reader that ends without
// releasing its lease; the file stays, and tells nothing.
func TestLeasesOfTheDead(t *testing.T) {
	dir := t.TempDir()
	dead, err := TakeLease(dir, "query", time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	if err := dead.file.Close(); err != nil {
		t.Fatal(err)
	}
	if _, any, err := readers(dir); any || err != nil {
		t.Fatalf("a dead reader counts (%v)", err)
	}
	if left := leaseFiles(t, dir); len(left) > 0 {
		t.Fatalf("%v are left", left)
	}
}

// TestLeaseThatCannotBeRead: a living reader whose file is cut counts from the beginning
// of time.
func TestLeaseThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	l, err := TakeLease(dir, "query", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(l.path, 5); err != nil {
		t.Fatal(err)
	}
	if since, any, err := readers(dir); err != nil || !any || !since.IsZero() {
		t.Fatalf("reader since %v, %v, %v", since, any, err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
}
