package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake/internal/fault"
)

// quarantineKills has the fault points of decisions.
var quarantineKills = []kill{
	{"quarantine.delivered", "quarantine accept", []int{1}, false},
	{"quarantine.decided", "quarantine accept", []int{1}, false},
}

// TestKillAccept kills the program while it accepts a row; accepted again, or run at
// once, the row is published once.
func TestKillAccept(t *testing.T) {
	for _, k := range quarantineKills {
		t.Run(k.point, func(t *testing.T) {
			t.Parallel()
			p := newPipeline(t, noSource)
			p.write("AAPL.csv", "Date,Open,High,Low,Close\n2024-01-02,1,3,1,2\n2024-01-03,4,3,2,3\n")
			p.must("import", "AAPL.csv", "--interval", "1d", "--run")
			id := p.value("SELECT id FROM ops.quarantine")
			o := p.with(fault.Env+"="+k.point+":1").run("quarantine", "accept", id)
			if o.signal != syscall.SIGKILL {
				t.Fatalf("%v\nwant it to be killed at %s", o, k.point)
			}
			p.must("quarantine", "accept", id)
			if said := p.must("quarantine", "list"); !strings.Contains(said, "no row waits") {
				t.Errorf("the row still waits:\n%s", said)
			}
			p.must("run")
			if rows := p.rows("SELECT ts, close FROM bars_1d ORDER BY ts"); len(rows) != 2 || rows[1][1] != "3" {
				t.Errorf("the table has %v", rows)
			}
			if n := p.value("SELECT count(*) FROM ops.quarantine WHERE decision = 'accepted'"); n != "1" {
				t.Errorf("%s events say that the row is accepted, want 1", n)
			}
			p.conserved()
			p.settled()
		})
	}
}

// TestWithdrawnReadByPyiceberg: a bar that a later answer no longer has is read from the
// revisions, with its time, by another implementation of Iceberg.
func TestWithdrawnReadByPyiceberg(t *testing.T) {
	t.Parallel()
	python := os.Getenv("TICKERLAKE_PYTHON")
	if python == "" {
		skipAloud(t, "TICKERLAKE_PYTHON, a Python with pyiceberg (make test makes it), is not set")
	}
	var answer atomic.Value
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer.Load()) }))
	defer api.Close()
	p := newPipeline(t, "sources: {own: {base_url: '"+api.URL+"', symbols: [AAPL], basis: split, lookback: 36500 days, withdrawn: remove, "+
		"http: {request: {path: /bars, query: {s: '{symbol}', from: '{from}'}}, rows: '.[] | {ts: .[0], close: .[1]}'}}}\n")
	moments := []string{time.Now().UTC().Format(time.RFC3339Nano)}
	want := []string{
		"", "2023-12-28=10 2023-12-29=20 2024-01-02=30 2024-01-03=40",
		"2023-12-28=10 2024-01-02=30 2024-01-03=40", "2023-12-28=10 2023-12-29=21 2024-01-03=41",
	}
	for _, text := range []string{
		`[["2023-12-28",10],["2023-12-29",20],["2024-01-02",30],["2024-01-03",40]]`,
		`[["2023-12-28",10],["2024-01-02",30],["2024-01-03",40]]`,
		`[["2024-01-03",41],["2023-12-29",21],["2023-12-28",10]]`,
	} {
		answer.Store(text)
		p.must("fetch")
		moments = append(moments, time.Now().UTC().Format(time.RFC3339Nano))
		p.must("run")
	}
	for i, moment := range moments {
		got := p.must("query", "--as-of", moment, "-f", "csv", "SELECT CAST(CAST(ts AS date) AS varchar) || '=' || CAST(CAST(close AS integer) AS varchar) AS bar FROM bars_1d ORDER BY ts")
		if bars := strings.Join(strings.Fields(got)[1:], " "); bars != want[i] {
			t.Errorf("as of %s: %s, want %s", moment, bars, want[i])
		}
	}
	if got := p.rows("SELECT CAST(ts AS date) FROM bars_1d_revisions WHERE withdrawn_at > fetched_at ORDER BY ts"); !slices.EqualFunc(got, [][]string{{"2023-12-29"}, {"2024-01-02"}}, slices.Equal) {
		t.Errorf("withdrawn: %v", got)
	}
	if n := p.value("SELECT sum(removed) FROM ops.runs"); n != "2" {
		t.Errorf("%s bars were removed, want 2", n)
	}
	for _, name := range []string{"bars_1d", "bars_1d_revisions"} {
		table := p.path(name + ".csv")
		if err := os.WriteFile(table, []byte(p.must("query", "-f", "csv", "SELECT * FROM "+name+" ORDER BY symbol, ts")), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(python, "-B", "testdata/compare_with_pyiceberg.py", p.path("lake"), "prod."+name, table).Output()
		if err != nil {
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				t.Fatalf("%s: %v\n%s", name, err, exit.Stderr)
			}
			t.Fatal(err)
		}
		t.Logf("pyiceberg reads %s", strings.TrimSpace(string(out)))
	}
}
