package e2e

import (
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/tickerlake/tickerlake/catalog"
)

// lakeless are the commands that open no lake.
var lakeless = []string{"init", "validate", "simulate", "version", "completion", "help", "schedule", "service", "restore"}

// lakeCommands are those that do, each with arguments.
var lakeCommands = map[string][]string{
	"fetch": nil, "run": nil, "tables": nil, "status": nil, "check": nil,
	"query": {"SELECT 1"}, "describe": {"bars_1d"}, "snapshots": {"bars_1d"}, "rollback": {"bars_1d", "1"},
	"tidy": nil, "doctor": nil, "quarantine": {"list"}, "export": {"bars_1d", "-f", "csv"},
	"import": {"tickerlake.yaml", "--interval", "1d"}, "up": nil, "backup": {"copy"}, "redrive": nil, "refetch": {"AAPL"}, "cancel": {"20261125t101500-000"},
}

// commands gives the arguments of every command that opens the lake.
func (p *pipeline) commands() [][]string {
	p.t.Helper()
	_, list, _ := strings.Cut(p.must("--help"), "Available Commands:")
	list, _, _ = strings.Cut(list, "\n\n")
	var out [][]string
	for _, m := range regexp.MustCompile(`(?m)^  ([a-z]+) `).FindAllStringSubmatch(list, -1) {
		name := m[1]
		if slices.Contains(lakeless, name) {
			continue
		}
		args, ok := lakeCommands[name]
		if !ok {
			p.t.Errorf("say in versions_test.go whether the command %s opens a lake, and with which arguments", name)
		}
		out = append(out, append([]string{name}, args...))
	}
	if len(out) < 7 {
		p.t.Fatalf("found only the commands %v", out)
	}
	return out
}

// exec changes a state database, and leaves no write-ahead log unless asked to.
func execState(t *testing.T, lake, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(lake, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestNewerLakeIsRefused: by every command, with a remedy, and nothing on disk changes.
func TestNewerLakeIsRefused(t *testing.T) {
	t.Parallel()
	for _, logged := range []bool{false, true} {
		m := newMarket(t, formatMarket(0))
		p := newPipeline(t, formatFile).with("MARKET=" + m.URL)
		p.must("fetch")
		p.must("run")
		newer := fmt.Sprintf("PRAGMA user_version = %d", catalog.StateVersion+1)
		if logged { // the version stands in the write-ahead log alone
			db, err := sql.Open("sqlite", p.path("lake", "state.db"))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			db.SetMaxOpenConns(1)
			if _, err := db.Exec("PRAGMA wal_autocheckpoint = 0; PRAGMA journal_mode = WAL; " + newer); err != nil {
				t.Fatal(err)
			}
			killed := t.TempDir()
			if err := os.CopyFS(killed, os.DirFS(p.dir)); err != nil {
				t.Fatal(err)
			}
			q := *p
			q.dir = killed
			p = &q
		} else {
			execState(t, p.path("lake"), newer)
		}
		before := hashes(t, p.dir)
		for _, args := range p.commands() {
			p.want(2, args...).says(t, "state.db", fmt.Sprintf("has format %d", catalog.StateVersion+1), "use a newer tickerlake")
			if now := hashes(t, p.dir); !maps.Equal(now, before) {
				t.Fatalf("tickerlake %s changed the lake:\n%s", strings.Join(args, " "), mapDifference(now, before))
			}
		}
	}
}

// TestNewerRunsAreRefused: so are runs and a delivery log of a newer program.
func TestNewerPartsAreRefused(t *testing.T) {
	t.Parallel()
	m := newMarket(t, formatMarket(0))
	p := newPipeline(t, formatFile).with("MARKET=" + m.URL)
	p.must("fetch")
	p.must("run")
	segments, err := filepath.Glob(p.path("lake", "log", "bars", "*.log"))
	if err != nil || len(segments) == 0 {
		t.Fatal("no segments", err)
	}
	old, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	text := slices.Clone(old)
	text[7], text[64+7] = '2', '2'
	if err := os.WriteFile(segments[0], text, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"fetch"}, {"run"}} {
		p.want(2, args...).says(t, filepath.Base(segments[0]), "format 2", "use a newer tickerlake")
	}
	if now, err := os.ReadFile(segments[0]); err != nil || string(now) != string(text) {
		t.Errorf("the segment has changed (%v)", err)
	}
	p.must("query", "SELECT 1") // readers have no business with the log
	if err := os.WriteFile(segments[0], old, 0o644); err != nil {
		t.Fatal(err)
	}

	execState(t, p.path("lake"), "UPDATE flow_version SET version = version + 1")
	for _, args := range [][]string{{"run"}, {"status"}} {
		p.want(2, args...).says(t, "runs have version", "use a newer tickerlake")
	}
}

// TestOlderLakeIsMigratedUnderItsLock: also by who only reads; while another program
// holds the lock, that says so and changes nothing.
func TestOlderLakeIsMigratedUnderItsLock(t *testing.T) {
	t.Parallel()
	for _, version := range formats(t) {
		if version == fmt.Sprint(catalog.StateVersion) {
			continue
		}
		p := lakeOfFormat(t, version, "http://127.0.0.1:1")
		lock, err := os.OpenFile(p.path("lake", "lock"), os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
			t.Fatal(err)
		}
		before := hashes(t, p.path("lake"))
		for _, args := range p.commands() {
			p.want(1, args...).says(t, "is writing to this lake: wait until it has ended")
		}
		p.want(1, "query", "SELECT 1").says(t, "the lake has format "+version)
		if now := hashes(t, p.path("lake")); !maps.Equal(now, before) {
			t.Errorf("a lake that is locked has changed:\n%s", mapDifference(now, before))
		}
		// A process that is being started has a copy of the file for a moment.
		if err := errors.Join(syscall.Flock(int(lock.Fd()), syscall.LOCK_UN), lock.Close()); err != nil {
			t.Fatal(err)
		}
		p.must("query", "SELECT 1")
		if got := stateVersion(t, p.path("lake")); got != catalog.StateVersion {
			t.Errorf("after a query the lake has format %d", got)
		}
	}
}

// TestNameIsHeldTo: a lake whose tables are under another name is refused, or its tables
// would seem to be gone.
func TestNameIsHeldTo(t *testing.T) {
	t.Parallel()
	m := newMarket(t, formatMarket(0))
	p := newPipeline(t, formatFile).with("MARKET=" + m.URL)
	p.must("fetch")
	p.must("run")
	p.write("named.yaml", "name: acme\n"+formatFile)
	p.want(2, "-c", "named.yaml", "query", "SELECT 1").says(t, "are in prod", "looks for acme_prod", "leave out name")
	p.want(2, "-c", "named.yaml", "run").says(t, "leave out name")
	named := newPipeline(t, "name: acme\n"+formatFile).with("MARKET=" + m.URL)
	named.must("fetch")
	named.must("run")
	named.write("other.yaml", formatFile)
	named.want(2, "-c", "other.yaml", "tables").says(t, "are in acme_prod", "say name: acme")
}
