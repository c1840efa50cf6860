package flow_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/flow"
)

func TestRunIDsSortAndNameFiles(t *testing.T) {
	store, _ := newStore(t)
	now := time.Date(2026, 11, 24, 20, 38, 22, 0, time.UTC)
	e, err := flow.New(flow.Defaults(), flow.Options{Store: store, Clock: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	w := flow.Workflow{Name: "main", Jobs: []flow.Job{script("a")}}
	shape := regexp.MustCompile(`^[a-z0-9-]+$`)
	last := ""
	for i := range 5 {
		if i == 3 {
			now = now.Add(-time.Hour) // a clock that is set back
		}
		r, err := e.Run(t.Context(), w)
		if err != nil || r.ID <= last || !shape.MatchString(r.ID) {
			t.Fatalf("run %q behind %q: %v", r.ID, last, err)
		}
		last = r.ID
	}
	if last != "20261124t203822-004" {
		t.Errorf("last run is %s", last)
	}
	runs, err := store.Runs(t.Context(), "main", 2)
	if err != nil || len(runs) != 2 || runs[0].ID != last || len(runs[0].Jobs) != 1 {
		t.Errorf("newest runs %+v, %v", runs, err)
	}
	if all, err := store.Runs(t.Context(), "", 100); err != nil || len(all) != 5 {
		t.Errorf("%d runs, %v", len(all), err)
	}
	if none, err := store.Runs(t.Context(), "other", 100); err != nil || len(none) != 0 {
		t.Errorf("%d runs of another workflow, %v", len(none), err)
	}
	if _, err := store.Run(t.Context(), "nope"); !errors.Is(err, tickerlake.NotFound) {
		t.Errorf("a run that is not there: %v", err)
	}
}

func TestStoreVersions(t *testing.T) {
	_, db := newStore(t)
	if _, err := flow.NewStore(t.Context(), db); err != nil {
		t.Errorf("opened again: %v", err)
	}
	if _, err := db.Exec(`UPDATE flow_version SET version = 99`); err != nil {
		t.Fatal(err)
	}
	if _, err := flow.NewStore(t.Context(), db); !errors.Is(err, tickerlake.Invalid) || !strings.Contains(err.Error(), "use a newer tickerlake") {
		t.Errorf("a store of a newer program: %v", err)
	}
}

func TestStoreErrorsLeaveTheRunResumable(t *testing.T) {
	store, db := newStore(t)
	e, err := flow.New(flow.Defaults(), flow.Options{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	readOnly := func(on string) {
		if _, err := db.Exec(`PRAGMA query_only = ` + on); err != nil {
			t.Fatal(err)
		}
	}
	db.SetMaxOpenConns(1)
	calls := 0
	w := flow.Workflow{Name: "main", Jobs: []flow.Job{flow.NewJob("a", func(context.Context, *flow.Run) error {
		if calls++; calls == 1 {
			readOnly("on")
		}
		return nil
	})}}
	r, err := e.Run(t.Context(), w)
	if !errors.Is(err, tickerlake.Denied) || !strings.Contains(err.Error(), "state database") {
		t.Fatalf("a read-only database: %v", err)
	}
	readOnly("off")
	again, err := e.Run(t.Context(), w)
	if err != nil || again.ID != r.ID || again.State != flow.RunCompleted || calls != 2 {
		t.Errorf("resumed %+v after %d calls, %v", again, calls, err)
	}
}

func TestLogOfARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, _ := newStore(t)
		dir := filepath.Join(t.TempDir(), "logs", "runs")
		var main bytes.Buffer
		e, err := flow.New(flow.Defaults(), flow.Options{Store: store, LogDir: dir,
			Log: slog.New(slog.NewTextHandler(&main, &slog.HandlerOptions{Level: slog.LevelWarn}))})
		if err != nil {
			t.Fatal(err)
		}
		r, err := e.Run(t.Context(), flow.Workflow{Name: "main", Jobs: []flow.Job{
			flow.NewJob("a", func(_ context.Context, r *flow.Run) error {
				r.Log().Debug("detail", "rows", 7)
				return nil
			}),
			flow.NewJob("b", func(context.Context, *flow.Run) error { panic("boom") }),
		}})
		if err == nil {
			t.Fatal("a panic is no error")
		}
		text, err := os.ReadFile(filepath.Join(dir, r.ID+".jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for line := range bytes.Lines(text) {
			var m map[string]any
			if err := json.Unmarshal(line, &m); err != nil || m["run"] != r.ID {
				t.Fatalf("line %s: %v", line, err)
			}
			lines = append(lines, fmt.Sprint(m["level"], " ", m["msg"], " ", m["job"], " ", m["rows"]))
			if m["msg"] == "job panicked" && !strings.Contains(fmt.Sprint(m["stack"]), "TestLogOfARun") {
				t.Errorf("the stack does not lead to the job: %s", line)
			}
		}
		want := []string{"INFO run started <nil> <nil>", "INFO job started a <nil>", "DEBUG detail a 7", "INFO job ended a <nil>",
			"INFO job started b <nil>", "ERROR job panicked b <nil>", "INFO run ended <nil> <nil>"}
		if strings.Join(lines, "\n") != strings.Join(want, "\n") {
			t.Errorf("log\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
		}
		if got := main.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "job panicked") {
			t.Errorf("main log %q, want the panic alone", got)
		}
	})
}

func TestLogThatCannotBeWritten(t *testing.T) {
	store, _ := newStore(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := flow.New(flow.Defaults(), flow.Options{Store: store, LogDir: filepath.Join(file, "runs")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Run(t.Context(), flow.Workflow{Name: "main", Jobs: []flow.Job{script("a")}}); err == nil || !strings.Contains(err.Error(), "log of the run") {
		t.Error(err)
	}
}

// TestOldRunsAreForgotten runs one run more than are kept.
func TestOldRunsAreForgotten(t *testing.T) {
	if testing.Short() {
		t.Skip("a thousand runs: not in -short")
	}
	store, db := newStore(t)
	if _, err := db.Exec(`PRAGMA synchronous = OFF`); err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
		INSERT INTO runs (id, workflow, trigger, state, started) SELECT printf('19990101t000000-%03d', i % 1000) || i, 'main', 'ON_DEMAND', 'COMPLETED', '' FROM n`); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	oldest := filepath.Join(dir, "19990101t000000-0001.jsonl")
	if err := os.WriteFile(oldest, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`UPDATE runs SET id = '19990101t000000-0001' WHERE id = (SELECT min(id) FROM runs)`); err != nil {
		t.Fatal(err)
	}
	e, err := flow.New(flow.Defaults(), flow.Options{Store: store, LogDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	r, err := e.Run(t.Context(), flow.Workflow{Name: "main", Jobs: []flow.Job{script("a")}})
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := db.QueryRow(`SELECT count(*) FROM runs`).Scan(&n); err != nil || n != 1000 {
		t.Errorf("%d runs are kept, %v", n, err)
	}
	if _, err := os.Stat(oldest); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the log of the oldest run is there: %v", err)
	}
	if _, err := store.Run(t.Context(), r.ID); err != nil {
		t.Error(err)
	}
}
