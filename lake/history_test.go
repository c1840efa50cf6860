package lake_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
	"github.com/tickerlake/tickerlake/internal/fault"
	"github.com/tickerlake/tickerlake/lake"
	"github.com/tickerlake/tickerlake/quality"
)

// A market is what the source of a history says at a moment: bars by table and symbol.
type market map[string]map[string]map[time.Time][2]float64

var (
	historyTables  = []string{"bars_1d", "bars_1h"}
	historySymbols = []string{"AAA", "BBB"}
)

// historyTimes are the keys of a table: few, and across the border of two partitions.
func historyTimes(table string) (out []time.Time) {
	first, step := time.Date(2023, 12, 29, 0, 0, 0, 0, time.UTC), 24*time.Hour
	if table == "bars_1h" {
		first, step = time.Date(2024, 1, 31, 20, 0, 0, 0, time.UTC), time.Hour
	}
	for i := range 7 {
		out = append(out, first.Add(time.Duration(i)*step))
	}
	return out
}

// A history plays random steps on a lake and on its model, and compares them.
type history struct {
	*fixture
	seed   uint64
	rand   *rand.Rand
	model  *model
	market market
	late   []*modelObject // fetched, not delivered yet
	asks   []time.Time    // moments of fetches
	steps  []string
	ids    int
	prices int
}

// play plays the history of a seed and compares after every step.
func play(t *testing.T, seed uint64) {
	t.Helper()
	h := &history{fixture: newFixtureIn(t, fastDir(t)), seed: seed, rand: rand.New(rand.NewPCG(seed, 7)), market: market{}}
	h.model = newModel(h.rand.IntN(3) > 0)
	h.again()
	defer func() {
		if t.Failed() {
			t.Logf("seed %d:", seed)
			for _, s := range h.steps {
				t.Log("  " + s)
			}
		}
	}()
	for range 6 + h.rand.IntN(12) {
		h.step()
		h.compare()
		if t.Failed() {
			return
		}
	}
	if found := h.examined(false); len(found) > 0 {
		t.Errorf("the doctor finds %+v", found)
	}
}

// fastDir is a folder in memory, if the machine has one: a sequence has hundreds of
// fsyncs, and a power cut is not what it is about.
func fastDir(t *testing.T) string {
	if dir, err := os.MkdirTemp("/dev/shm", "tickerlake-"); err == nil {
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		return dir
	}
	return t.TempDir()
}

// again gives an opened lake what it is configured with.
func (h *history) again() {
	h.lake.Remove = map[string]bool{"test": h.model.remove}
	h.lake.Tidy = lake.Config{FileMB: 1, Snapshots: 2 + int(h.seed%3), Ops: 400 * 24 * tickerlake.Duration(time.Hour), Queries: 45 * 24 * tickerlake.Duration(time.Hour)}
}

func (h *history) say(format string, args ...any) {
	h.steps = append(h.steps, fmt.Sprintf(format, args...))
}

func (h *history) step() {
	h.now = h.now.Add(time.Minute)
	switch n := h.rand.IntN(22); {
	case n < 7:
		for range 1 + h.rand.IntN(3) {
			h.fetch()
		}
	case n < 10:
		h.deliverLate()
	case n < 11:
		h.deliverTwice()
	case n < 17:
		h.runOnce(h.rand.IntN(6) == 0, h.rand.IntN(4) == 0)
	case n < 18:
		h.tidy(h.rand.IntN(2) == 0)
	case n < 20:
		h.rollback(h.rand.IntN(3) == 0)
	default:
		h.release()
	}
}

// rollback takes a table back to a snapshot; it may crash on the way and is finished
// then.
func (h *history) rollback(crash bool) {
	table := historyTables[h.rand.IntN(len(historyTables))]
	ctx := context.Background()
	kept, err := h.lake.Snapshots(ctx, table)
	if errors.Is(err, tickerlake.NotFound) {
		return
	}
	h.must(err)
	kept = slices.DeleteFunc(kept, func(s lake.Snapshot) bool { return !s.Target })
	if len(kept) == 0 {
		return
	}
	to := kept[h.rand.IntN(len(kept))]
	points := -1
	if crash {
		points = h.rand.IntN(6)
	}
	at, err := h.crashing(&points, func() error {
		_, err := h.lake.Rollback(ctx, table, to.ID)
		return err
	})
	h.must(err)
	if at != "" {
		_, err := h.lake.FinishRollbacks(ctx)
		h.must(err)
	}
	h.say("rollback of %s to %d, after publication %d, crash at %q", table, to.ID, to.Seq, at)
	if at == "rollback.begun" {
		return // nothing was decided
	}
	h.model.rollback(table, to.Seq)
}

// tidy merges files and lets go of what is old; it may crash on the way and is repeated
// then.
func (h *history) tidy(crash bool) {
	ctx := context.Background()
	points := -1
	if crash {
		points = h.rand.IntN(8)
	}
	h.runs++
	r := newRun(h.fixture)
	r.id = "tidy" + r.id
	t := h.lake.NewTidy(lake.TidyOptions{})
	jobs := []func() error{
		func() error { return t.Compact(ctx, r) }, func() error { return t.Expire(ctx, r) }, func() error { return t.Retain(ctx, r) },
		func() error { return t.Ops(ctx, r) }, func() error { return t.Collect(ctx, r) },
	}
	at := ""
	for i := 0; i < len(jobs); i++ {
		point, err := h.crashing(&points, jobs[i])
		h.must(err)
		if point != "" {
			at, t = point, h.lake.NewTidy(lake.TidyOptions{})
			i--
		}
	}
	h.must(h.lake.Finish(r.id))
	done := ""
	for _, x := range t.Report().Tables {
		done += fmt.Sprintf(" %s: %d files of %d, %d snapshots expired, %d files deleted;", x.Table, x.FilesAfter, x.FilesBefore, x.SnapshotsExpired, x.FilesDeleted)
	}
	h.say("tidy, crash at %q:%s", at, done)
}

// release frees all that is held, or one object of it.
func (h *history) release() {
	var held []string
	for _, o := range h.model.objects {
		if o.state == "held" {
			held = append(held, o.key)
		}
	}
	if len(held) == 0 {
		return
	}
	var names []string
	if h.rand.IntN(2) == 0 {
		names = []string{held[h.rand.IntN(len(held))]}
	}
	_, _, err := h.cat.Release(context.Background(), names...)
	h.must(err)
	h.model.release(names...)
	h.say("release %v", names)
}

// fetch samples the market and delivers an object, or keeps it for later.
func (h *history) fetch() {
	h.now = h.now.Add(time.Minute)
	o := &modelObject{state: "pending"}
	for range 1 + h.rand.IntN(2) {
		o.fetches = append(o.fetches, h.answer())
	}
	if h.rand.IntN(3) == 0 {
		h.say("fetch, not delivered yet: %v", o.fetches)
		h.late = append(h.late, o)
		return
	}
	h.deliver(o)
	h.say("fetch, delivered as %s: %v", o.key, o.fetches)
}

// answer changes the market a little and asks for a window of one symbol.
func (h *history) answer() modelFetch {
	h.ids++
	table, symbol := historyTables[h.rand.IntN(len(historyTables))], historySymbols[h.rand.IntN(len(historySymbols))]
	f := modelFetch{table: table, symbol: symbol, id: fmt.Sprintf("f%03d", h.ids), at: h.now.Add(-time.Duration(h.rand.IntN(2)) * time.Minute)}
	h.asks = append(h.asks, f.at)
	times := historyTimes(table)
	if h.market[table] == nil {
		h.market[table] = map[string]map[time.Time][2]float64{}
	}
	if h.market[table][symbol] == nil {
		h.market[table][symbol] = map[time.Time][2]float64{}
	}
	bars := h.market[table][symbol]
	dividend, split := h.rand.IntN(4) == 0, h.rand.IntN(4) == 0
	for _, ts := range times {
		bar, ok := bars[ts]
		switch n := h.rand.IntN(12); {
		case ok && (split || dividend && n > 0): // and nothing else changes
			if dividend {
				bar[1] *= 0.5
			}
			if split {
				bar[0], bar[1] = bar[0]*2, bar[1]*2
			}
			bars[ts] = bar
		case !ok && n < 9, ok && n == 0: // new, or corrected
			h.prices++
			bars[ts] = [2]float64{float64(h.prices), float64(h.prices)}
		case ok && n < 3:
			delete(bars, ts) // withdrawn
		}
	}
	from := h.rand.IntN(len(times))
	to := from + 1 + h.rand.IntN(len(times)-from)
	switch h.rand.IntN(4) {
	case 0:
		from, to = 0, len(times) // all history
	case 1:
		to = len(times)
	}
	for _, ts := range times[from:to] {
		if bar, ok := bars[ts]; ok {
			d := modelDoc{number: len(f.rows), ts: ts, close: bar[0], adj: bar[1]}
			if h.rand.IntN(25) == 0 {
				d.close = -1
			}
			f.rows = append(f.rows, d)
		}
	}
	if len(f.rows) > 2 && h.rand.IntN(8) == 0 { // one row did not arrive
		f.rows = slices.Delete(f.rows, 1, 2)
	}
	if h.rand.IntN(4) == 0 { // newest first
		n := len(f.rows)
		slices.Reverse(f.rows)
		last := 0
		if n > 0 {
			last = max(f.rows[0].number, f.rows[n-1].number)
		}
		for i := range f.rows {
			f.rows[i].number = last - f.rows[i].number
		}
	}
	return f
}

func (h *history) deliver(o *modelObject) {
	var docs []any
	for _, f := range o.fetches {
		for _, d := range f.rows {
			docs = append(docs, good(f.symbol, d.ts.Format(time.DateTime), d.close).with("adj_close", d.adj, "table", f.table,
				"interval", f.table[len("bars_"):], "fetched_at", f.at.Format("2006-01-02T15:04:05.000000Z"), "fetch_id", f.id, "row", d.number))
		}
	}
	h.sorted = h.rand.IntN(3) == 0 // as another program would write it
	o.key = h.putNumbered(docs...)
	h.model.objects = append(h.model.objects, o)
}

func (h *history) deliverLate() {
	if len(h.late) == 0 {
		return
	}
	i := h.rand.IntN(len(h.late))
	o := h.late[i]
	h.late = slices.Delete(h.late, i, i+1)
	h.deliver(o)
	h.say("delivered late as %s", o.key)
}

// deliverTwice delivers what was delivered before under another key.
func (h *history) deliverTwice() {
	if len(h.model.objects) == 0 {
		return
	}
	old := h.model.objects[h.rand.IntN(len(h.model.objects))]
	o := &modelObject{state: "pending", fetches: old.fetches}
	h.deliver(o)
	h.say("%s delivered again as %s", old.key, o.key)
}

var (
	passes = parsed(`Rules = [ RowCount > 0, IsPrimaryKey "symbol" "ts", IsComplete "close" ]`)
	fails  = parsed(`Rules = [ RowCount < 0 ]`)
)

func parsed(text string) *quality.Ruleset {
	rs, err := quality.Parse(text)
	if err != nil {
		panic(err)
	}
	return rs
}

// runOnce runs the workflow; it may crash on the way and go on, and the gate may fail.
func (h *history) runOnce(crash, gate bool) {
	plan := h.model.plan()
	h.lake.Rules = passes
	if gate {
		h.lake.Rules = fails
	}
	h.runs++
	r := newRun(h.fixture)
	ctx := context.Background()
	points := -1
	if crash {
		points = h.rand.IntN(12)
	}
	at := ""
	var failed error
	jobs := []func() error{
		func() error { return h.lake.Crawl(ctx, r, false) }, func() error { return h.lake.Clean(ctx, r) },
		func() error { return h.lake.Optimize(ctx, r) }, func() error { return h.lake.Quality(ctx, r) },
		func() error { return h.lake.Publish(ctx, r) }, func() error { return h.lake.Finish(r.id) },
	}
	for i := 0; i < len(jobs); i++ {
		point, err := h.crashing(&points, jobs[i])
		if point != "" {
			at = point
			i-- // the run is resumed with the job that was cut off
			continue
		}
		if errors.Is(err, tickerlake.GateFailed) {
			failed = err
			break
		}
		h.must(err)
	}
	h.say("run %s: gate fails: %v, crash at %q: %+v", r.id, gate, at, r.counts)
	changed := len(plan.changed) > 0 && slices.Contains(valuesOf(plan.changed), true)
	if want := gate && changed; want != (failed != nil) {
		h.Errorf("the gate was to fail: %v; it said: %v", want, failed)
		return
	}
	if failed != nil {
		h.must(h.lake.Abandon(ctx, r.id, failed))
		h.model.fail(plan)
		return
	}
	if !r.counts.Conserved() {
		h.Errorf("rows are not conserved: %+v", r.counts)
	}
	h.want("counts", r.counts, plan.counts)
	h.model.publish(plan)
}

func valuesOf(m map[string]bool) (out []bool) {
	for _, v := range m {
		out = append(out, v)
	}
	return out
}

// A crashed is what a crash throws.
type crashed string

// crashing runs a job that dies at the point when the count has come to zero, and opens
// the lake again as a new process would.
func (h *history) crashing(points *int, job func() error) (point string, err error) {
	defer fault.Hook(func(name string) {
		if *points == 0 {
			*points = -1
			panic(crashed(name))
		}
		*points--
	})()
	defer func() {
		if p := recover(); p != nil {
			name, ok := p.(crashed)
			if !ok {
				panic(p)
			}
			point = string(name)
			rules := h.lake.Rules
			h.close()
			h.open()
			h.again()
			h.lake.Rules = rules
		}
	}()
	return "", job()
}

// compare compares the lake with the model.
func (h *history) compare() {
	for _, table := range historyTables {
		t := h.model.table(table)
		h.want(table, h.barLines("prod."+table, false), t.lines())
		h.want(table+"_revisions", h.barLines("prod."+table+"_revisions", true), t.revisionLines())
	}
	for _, table := range historyTables {
		h.compareCovers(table)
		h.comparePast(table)
	}
	waits, err := h.cat.Waits(context.Background())
	h.must(err)
	for _, w := range waits {
		if !h.model.table(w.Table).waits[string(w.Symbol)] {
			h.Errorf("%s %s waits: %s", w.Table, w.Symbol, w.Reason)
		}
	}
	wanted := 0
	for _, table := range historyTables {
		wanted += len(h.model.table(table).waits)
	}
	h.want("series that wait", len(waits), wanted)
	entries, err := h.cat.Objects(context.Background(), "")
	h.must(err)
	states := map[string]catalog.State{}
	for _, e := range entries {
		states[e.Key] = e.State
	}
	for _, o := range h.model.objects {
		state, entered := states[o.key]
		if !entered {
			state = "pending" // the next run enters it
		}
		if string(state) != o.state {
			h.Errorf("%s is %s, wanted %s", o.key, state, o.state)
		}
	}
}

// comparePast compares what was known at some moments.
func (h *history) comparePast(table string) {
	if len(h.asks) == 0 {
		return
	}
	for range 2 {
		at := h.asks[h.rand.IntN(len(h.asks))]
		views, err := h.lake.ViewsAsOf(context.Background(), at)
		h.must(err)
		for _, v := range views {
			if v.Name == table && v.Database == "prod" && len(v.Files)+len(v.Revisions) > 0 {
				h.want(fmt.Sprint(table, " as of ", at), h.lines(h.lake.Rows(v), "", false), h.model.table(table).asOf(at))
			}
		}
	}
}

// compareCovers compares, key by key, which fetch is the last to have confirmed it.
func (h *history) compareCovers(table string) {
	covers, err := h.cat.Covers(context.Background(), table, time.Time{})
	h.must(err)
	for _, symbol := range historySymbols {
		for _, ts := range historyTimes(table) {
			var got, want version
			for _, c := range covers[symbol] {
				if v := (version{c.FetchedAt, c.FetchID}); !ts.Before(c.From) && !ts.After(c.To) && v.compare(got) > 0 {
					got = v
				}
			}
			for _, c := range h.model.table(table).covers {
				if c.symbol == symbol && !ts.Before(c.from) && !ts.After(c.to) && c.version.compare(want) > 0 {
					want = c.version
				}
			}
			if got.compare(want) != 0 {
				h.Errorf("%s %s %s: confirmed by %v, wanted %v", table, symbol, ts, got, want)
			}
		}
	}
}

// barLines are the rows of a table as the model writes them.
func (h *history) barLines(name string, revisions bool) []string {
	v := h.find(name)
	if v == nil || len(v.Files) == 0 {
		return nil
	}
	columns := barColumnsAsked
	if revisions && slices.ContainsFunc(v.Columns, func(c lake.Column) bool { return c.Name == "withdrawn_at" }) {
		columns += ", withdrawn_at"
	}
	return h.lines(h.engine.Relation(v.Files), columns[len(barColumnsAsked):], revisions)
}

const barColumnsAsked = "symbol, ts, close, adj_close, fetched_at, fetch_id"

// lines are the rows of a relation as the model writes them.
func (h *history) lines(relation, more string, revisions bool) []string {
	_, rows, err := h.engine.Query(context.Background(), "SELECT "+barColumnsAsked+more+" FROM "+relation)
	h.must(err)
	var out []string
	for _, r := range rows {
		line := modelLine(modelKey{r[0].(string), r[1].(time.Time).UTC()}, modelRow{r[2].(float64), r[3].(float64), version{r[4].(time.Time).UTC(), r[5].(string)}})
		if revisions {
			withdrawn := "-"
			if len(r) > 6 && r[6] != nil {
				withdrawn = r[6].(time.Time).UTC().Format(time.DateTime)
			}
			line += " " + withdrawn
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return out
}

func (h *history) find(name string) *lake.View {
	views, err := h.lake.Views(context.Background())
	h.must(err)
	for _, v := range views {
		if v.Database+"."+v.Name == name {
			return &v
		}
	}
	return nil
}

// TestHistories plays a few hundred random histories; TICKERLAKE_HISTORIES sets how
// many, TICKERLAKE_SEED the first.
func TestHistories(t *testing.T) {
	n, first := 200, uint64(1)
	if testing.Short() {
		n = 10
	}
	if s, err := strconv.Atoi(os.Getenv("TICKERLAKE_HISTORIES")); err == nil {
		n = s
	}
	if s, err := strconv.ParseUint(os.Getenv("TICKERLAKE_SEED"), 10, 64); err == nil {
		first = s
	}
	for seed := first; seed < first+uint64(n); seed++ {
		ok := t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { play(t, seed) })
		if !ok {
			return
		}
	}
}

// FuzzHistories plays histories for as long as it is let.
func FuzzHistories(f *testing.F) {
	f.Fuzz(func(t *testing.T, seed uint64) { play(t, seed) })
}
