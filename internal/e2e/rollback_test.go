package e2e

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/tickerlake/tickerlake/internal/fault"
)

// rollbackKills are the fault points that a rollback reaches, and rolling back after a run
// that was cut off.
var rollbackKills = []kill{
	{"rollback.begun", "rollback", []int{1}, false},
	{"rollback.decided", "rollback", []int{1}, false},
	{"rollback.moved", "rollback", []int{1}, false},
	{"rollback.revisions", "rollback", []int{1}, false},
	{"rollback.latest", "rollback", []int{1}, false},
}

// A regret is a lake with four publications, each with a correction, and a fetch that
// no run has worked on. It is to go back to the second.
type regret struct {
	start    *pipeline
	file     string
	then     prices // of the second publication
	revised  prices
	now      prices // of the last fetch
	allTold  [][]string
	series   string
	snapshot string
}

func newRegret(t *testing.T) *regret {
	t.Helper()
	said := history("2024-03-01", 30, "AAA", "BBB")
	m := newMarket(t, said)
	r := &regret{file: seedFile(m.URL, "AAA, BBB")}
	r.start = newPipeline(t, r.file)
	for i := range 5 {
		if i > 0 {
			said = history("2024-03-01", 30+i, "AAA", "BBB")
			for day := range i {
				said["AAA"][27+day].close += 0.25 // each day is corrected once
			}
			m.set(said)
		}
		r.start.must("fetch")
		if i == 4 {
			break
		}
		r.start.must("run")
		r.start.sameAs("bars_1d", said)
		if i == 1 {
			r.then, r.revised = said.clone(), r.start.published("bars_1d_revisions")
			var list []struct {
				ID      int64
				Current bool
			}
			r.start.mustJSON(&list, "snapshots", "bars_1d")
			if !list[0].Current {
				t.Fatalf("the newest snapshot is not the current one: %v", list)
			}
			r.snapshot = strconv.FormatInt(list[0].ID, 10)
		}
	}
	r.now = said
	// What a lake says without any rollback.
	plain := r.lake(t)
	plain.must("run")
	plain.sameAs("bars_1d", r.now)
	r.allTold, r.series = plain.told(), plain.watermarks()
	return r
}

func (r *regret) lake(t *testing.T) *pipeline {
	t.Helper()
	p := newPipeline(t, r.file)
	if err := os.CopyFS(p.path("lake"), os.DirFS(r.start.path("lake"))); err != nil {
		t.Fatal(err)
	}
	return p
}

// told is all that is said of bars: those that are, and those that were.
func (p *pipeline) told() [][]string {
	p.t.Helper()
	const columns = "symbol, ts, open, high, low, close, adj_close, volume, fetched_at, fetch_id"
	return p.rows("SELECT " + columns + ", true AS now FROM bars_1d UNION ALL SELECT " + columns + ", false FROM bars_1d_revisions ORDER BY ALL")
}

// watermarks are the last bars up to which nothing is missing, by symbol.
func (p *pipeline) watermarks() string {
	p.t.Helper()
	var s struct {
		Series []struct{ Symbol, Watermark, Last string }
	}
	p.mustJSON(&s, "status")
	return fmt.Sprint(s.Series)
}

// takenBack demands that the table is what it was, that nothing comes back by itself, and
// that all comes back, as it was, when it is released.
func (r *regret) takenBack(p *pipeline) {
	p.t.Helper()
	p.sameAs("bars_1d", r.then)
	p.sameAs("bars_1d_revisions", r.revised)
	p.want(4, "fetch").says(p.t, "the source is paused since", "rollback of prod.bars_1d", "tickerlake run --release")
	before := p.still()
	o := p.want(0, "run")
	o.says(p.t, "3 raw objects are held: tickerlake status says why, tickerlake run --release frees them")
	p.unchangedSince(before)
	status := p.must("status")
	for _, want := range []string{"HELD OBJECT", "PAUSED SOURCE", "rollback of prod.bars_1d to snapshot " + r.snapshot} {
		if !strings.Contains(status, want) {
			p.t.Errorf("status does not say %q:\n%s", want, status)
		}
	}
	if n := p.value("SELECT count(*) FROM ops.objects WHERE state = 'held'"); n != "3" {
		p.t.Errorf("ops.objects has %s held objects", n)
	}
	if n := p.value("SELECT count(*) FROM ops.runs WHERE workflow = 'rollback' AND state = 'COMPLETED'"); n != "1" {
		p.t.Errorf("ops.runs has %s rollbacks", n)
	}
	p.must("run", "--release")
	r.allBack(p)
}

// allBack demands that all is as if nothing had been taken back.
func (r *regret) allBack(p *pipeline) {
	p.t.Helper()
	if got := p.told(); fmt.Sprint(got) != fmt.Sprint(r.allTold) {
		p.t.Errorf("released, the tables say\n%v\nwant\n%v", got, r.allTold)
	}
	p.sameAs("bars_1d", r.now)
	p.conserved()
	p.settled()
	p.must("check")
	if got := p.watermarks(); got != r.series {
		p.t.Errorf("released, the series are %s, want %s", got, r.series)
	}
	p.must("fetch")
	before := p.still()
	p.must("run")
	p.unchangedSince(before)
}

// TestRollback kills a rollback after each of its durable steps. It is finished by being
// repeated, or by any other command that writes.
func TestRollback(t *testing.T) {
	r := newRegret(t)
	t.Run("in parts", r.inParts)
	t.Run("refused", r.refused)
	t.Run("undisturbed", func(t *testing.T) {
		t.Parallel()
		p := r.lake(t)
		var done struct {
			Table  string
			To     struct{ ID int64 }
			Held   []string
			Paused []string
		}
		p.mustJSON(&done, "rollback", "prod.bars_1d", r.snapshot)
		if done.Table != "prod.bars_1d" || fmt.Sprint(done.To.ID) != r.snapshot || len(done.Held) != 3 || fmt.Sprint(done.Paused) != "[market]" {
			t.Errorf("rollback says %+v", done)
		}
		if again := p.must("rollback", "bars_1d", r.snapshot); !strings.Contains(again, "nothing to take back") {
			t.Errorf("again, rollback says %s", again)
		}
		r.takenBack(p)
	})
	for _, k := range rollbackKills {
		nexts := []string{"rollback"}
		switch k.point {
		case "rollback.decided", "rollback.revisions":
			nexts = []string{"rollback", "run"}
		case "rollback.moved", "rollback.latest":
			nexts = []string{"run", "killed again"}
		}
		for _, next := range nexts {
			t.Run(k.point+", then "+next, func(t *testing.T) {
				t.Parallel()
				p := r.lake(t)
				killed := func(point string) {
					o := p.with(fmt.Sprintf("%s=%s:1", fault.Env, point)).run("rollback", "bars_1d", r.snapshot)
					if o.signal != syscall.SIGKILL {
						t.Fatalf("%v\nwant it to be killed at %s", o, point)
					}
				}
				killed(k.point)
				switch next {
				case "killed again":
					killed("rollback.revisions") // in finishing it
					p.must("run")
				case "run":
					p.must("run")
				case "rollback":
					p.must("rollback", "bars_1d", r.snapshot)
				}
				r.takenBack(p)
			})
		}
	}
	for _, k := range []kill{
		{point: "flow.run_started", times: []int{1}}, {point: "publish.promoted", times: []int{2}}, {point: "publish.recorded", times: []int{2}},
		{point: "flow.run_ended", times: []int{3}},
	} {
		for _, n := range k.times {
			t.Run(fmt.Sprintf("released, killed at %s:%d", k.point, n), func(t *testing.T) {
				t.Parallel()
				p := r.lake(t)
				p.must("rollback", "bars_1d", r.snapshot)
				o := p.with(fmt.Sprintf("%s=%s:%d", fault.Env, k.point, n)).run("run", "--release")
				if o.signal != syscall.SIGKILL {
					t.Fatalf("%v\nwant it to be killed at %s", o, k.point)
				}
				p.must("run")
				r.allBack(p)
			})
		}
	}
	for _, point := range []string{"optimize.staged", "publish.revisions", "publish.promoted", "publish.recorded"} {
		t.Run("after a run cut off at "+point, func(t *testing.T) {
			t.Parallel()
			p := r.lake(t)
			o := p.with(fmt.Sprintf("%s=%s:1", fault.Env, point)).run("run")
			if o.signal != syscall.SIGKILL {
				t.Fatalf("%v\nwant it to be killed at %s", o, point)
			}
			p.must("rollback", "bars_1d", r.snapshot)
			r.takenBack(p)
		})
	}
}

// inParts releases one object of several.
func (r *regret) inParts(t *testing.T) {
	t.Parallel()
	p := r.lake(t)
	var done struct{ Held []string }
	p.mustJSON(&done, "rollback", "bars_1d", r.snapshot)
	p.want(1, "run", "--release", "nope").says(t, "no object of that name is held; held are "+done.Held[0])
	// The oldest: names of objects of one second are in no order.
	oldest := slices.IndexFunc(done.Held, func(key string) bool { return !strings.Contains(p.unpacked(key), "2024-04-02") })
	if oldest < 0 {
		t.Fatalf("none of %q ends with 2024-04-01", done.Held)
	}
	p.must("run", "--release", done.Held[oldest])
	p.want(4, "fetch").says(t, "paused")
	if got := p.value("SELECT CAST(max(ts) AS date) FROM bars_1d"); got != "2024-04-01" {
		t.Errorf("with one object released the last bar is of %s", got)
	}
	p.must("run", "--release")
	r.allBack(p)
}

// refused names what cannot be rolled back, and why.
func (r *regret) refused(t *testing.T) {
	t.Parallel()
	p := r.lake(t)
	before := p.still()
	p.want(2, "rollback", "bars_1d", "yesterday").says(t, "want the number of a snapshot")
	p.want(1, "rollback", "bars_1d", "12345").says(t, "it has no snapshot 12345", "tickerlake snapshots")
	p.want(1, "rollback", "bars_2d", "12345").says(t, "prod.bars_2d")
	p.want(2, "rollback", "raw.bars", "12345").says(t, "only the tables of bars in prod have snapshots")
	p.want(2, "rollback", "bars_1d_revisions", r.snapshot).says(t, "revisions follow their table")
	p.unchangedSince(before)
}

// TestThreeFailedGates: an object that the rules have stopped three times is held.
func TestThreeFailedGates(t *testing.T) {
	said := history("2024-03-01", 30, "AAA")
	m := newMarket(t, said)
	rules := func(rule string) string { return seedFile(m.URL, "AAA", `quality: {rules: 'Rules = [ `+rule+` ]'}`) }
	p := newPipeline(t, rules("RowCount > 1000"))
	p.must("fetch")
	p.want(3, "run")
	p.want(3, "run")
	p.want(3, "run").says(t, "1 raw object is held")
	p.want(0, "run").says(t, "1 raw object is held")
	if status := p.must("status"); !strings.Contains(status, "stopped 3 times by the quality gate, at last: ") || strings.Contains(status, "PAUSED") {
		t.Errorf("status says\n%s", status)
	}
	// It is not on its way any more: the next fetch asks for all of it.
	p.write("tickerlake.yaml", rules("RowCount > 10"))
	p.must("fetch")
	p.must("run")
	p.sameAs("bars_1d", said)
	p.must("run", "--release")
	p.sameAs("bars_1d", said)
	p.settled()
}
