package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
)

func key(n int) string { return fmt.Sprintf("raw/bars/dt=2026-03-02/%03d.gz", n) }

func day(n int) time.Time { return time.Date(2026, 1, 1+n, 0, 0, 0, 0, time.UTC) }

// confirmed is what a fetch learned of a series of daily bars.
func confirmed(table, symbol, fetch string, from, to int, at time.Time) catalog.Confirmation {
	return catalog.Confirmation{
		Series: tickerlake.Series{Table: table, Symbol: tickerlake.Symbol(symbol), Source: "market", Basis: "split", Currency: "USD", Interval: "1d", Last: day(to)},
		Cover:  catalog.Cover{From: day(from), To: day(to), FetchedAt: at, FetchID: fetch},
	}
}

// hasty opens a catalog that does not wait for the disk.
func hasty(t *testing.T) *catalog.Catalog {
	t.Helper()
	c := open(t, t.TempDir())
	if _, err := c.DB().Exec("PRAGMA synchronous = OFF"); err != nil {
		t.Fatal(err)
	}
	return c
}

// A ledgerStep is a publication of a random history, to be done again after a rollback.
type ledgerStep struct {
	key string
	p   catalog.Publication
}

// told are the series that a step's fetches have told of.
func (s ledgerStep) deliver(t *testing.T, c *catalog.Catalog) {
	t.Helper()
	ctx := context.Background()
	if err := c.Enter(ctx, tickerlake.Object{Key: s.key, At: now}); err != nil {
		t.Fatal(err)
	}
	for _, n := range s.p.Confirmations {
		n.Series.Watermark = n.Last
		if err := c.Pending(ctx, n.Cover.FetchID, n.Series); err != nil {
			t.Fatal(err)
		}
	}
}

func (s ledgerStep) publish(t *testing.T, c *catalog.Catalog, run string) {
	t.Helper()
	claimed, err := c.Claim(context.Background(), run)
	if err != nil || len(claimed) != 1 || claimed[0].Key != s.key {
		t.Fatalf("run %s claims %v, %v; want %s", run, claimed, err, s.key)
	}
	s.p.Run, s.p.Claimed = run, now
	if err := c.Publish(context.Background(), s.p); err != nil {
		t.Fatal(err)
	}
}

// state is all that a table's readers see of its series and covers.
func state(t *testing.T, c *catalog.Catalog, table string) string {
	t.Helper()
	covers, err := c.Covers(context.Background(), table, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if wrong, err := c.InsaneCovers(context.Background()); err != nil || len(wrong) > 0 {
		t.Fatal(wrong, err)
	}
	return fmt.Sprint(
		rowsOf(t, c, "SELECT symbol, source, watermark, last FROM series WHERE tbl = '"+table+"' ORDER BY symbol"), covers)
}

// TestTakeBack plays random publications into two tables, takes one back to each of them
// and releases what was held: the table is what it was then, the other stays, and in the
// end both are as before.
func TestTakeBack(t *testing.T) {
	ctx := context.Background()
	const steps = 45
	for seed := range uint64(6) {
		random := rand.New(rand.NewPCG(seed, 7))
		c := hasty(t)
		var history []ledgerStep
		states := map[string][]string{"a": {state(t, c, "a")}, "b": {state(t, c, "b")}}
		for i := range steps {
			s := ledgerStep{key: key(i)}
			for _, table := range []string{"a", "b"} {
				if random.IntN(3) == 0 {
					continue
				}
				at := now.Add(time.Duration(i) * time.Minute)
				for _, symbol := range []string{"X", "Y", "Z"}[:1+random.IntN(3)] {
					from := max(0, i-random.IntN(9))
					s.p.Confirmations = append(s.p.Confirmations, confirmed(table, symbol, fmt.Sprintf("f%03d", i), from, i+random.IntN(2), at))
				}
				s.p.Feeds = append(s.p.Feeds, catalog.Feed{Key: s.key, Table: table, Source: "market-" + table, FetchedAt: at})
			}
			s.deliver(t, c)
			s.publish(t, c, fmt.Sprintf("r%03d", i))
			history = append(history, s)
			for table := range states {
				states[table] = append(states[table], state(t, c, table))
			}
		}
		seq := int64(random.IntN(steps))
		kept := []int64{seq}
		if random.IntN(2) == 0 {
			if err := c.Forget(ctx, "a", kept); err != nil {
				t.Fatal(err)
			}
		}
		waiting := ledgerStep{key: key(steps)}
		waiting.p.Confirmations = []catalog.Confirmation{confirmed("a", "X", "f999", steps-3, steps+3, now.Add(24*time.Hour))}
		waiting.p.Feeds = []catalog.Feed{{Key: waiting.key, Table: "a", Source: "market-a", FetchedAt: now.Add(24 * time.Hour)}}
		waiting.deliver(t, c)

		r, err := c.TakeBack(ctx, catalog.Rollback{Table: "a", Run: "rb", Snapshot: 1, Seq: seq, Reason: "rollback", Started: now, Plan: []byte(`{"head":7}`)})
		if err != nil {
			t.Fatal(err)
		}
		if got := state(t, c, "a"); got != states["a"][seq] {
			t.Fatalf("seed %d: taken back to %d, the table is\n%s\nwant\n%s", seed, seq, got, states["a"][seq])
		}
		if got := state(t, c, "b"); got != states["b"][steps] {
			t.Fatalf("seed %d: the other table is\n%s\nwant\n%s", seed, got, states["b"][steps])
		}
		want := []ledgerStep{}
		for _, s := range history[seq:] {
			if slices.ContainsFunc(s.p.Feeds, func(f catalog.Feed) bool { return f.Table == "a" }) {
				want = append(want, s)
			}
		}
		want = append(want, waiting)
		var keys []string
		for _, s := range want {
			keys = append(keys, s.key)
		}
		if !slices.Equal(r.Held, keys) {
			t.Fatalf("seed %d: held are %v, want %v", seed, r.Held, keys)
		}
		unsettled, err := c.Unsettled(ctx)
		if err != nil || len(unsettled) != 1 || !reflect.DeepEqual(unsettled[0], r) {
			t.Fatalf("the rollback is kept as %+v, %v\nwant %+v", unsettled, err, r)
		}
		if err := c.Settled(ctx, "a"); err != nil {
			t.Fatal(err)
		}
		if claimed, err := c.Claim(ctx, "idle"); err != nil || len(claimed) != 0 {
			t.Fatalf("held objects are claimed: %v, %v", claimed, err)
		}
		if series, err := c.Series(ctx, "a"); err != nil || series["X"].Watermark.After(day(int(seq)+1)) {
			t.Fatalf("what is held counts as on its way: %v, %v", series["X"], err)
		}
		paused, err := c.Paused(ctx)
		if err != nil || len(want) > 1 != (len(paused) == 1) {
			t.Fatalf("paused are %v, %v, with %d objects held", paused, err, len(want))
		}

		// One object released alone is not the whole: the watermark must not jump a gap.
		if len(want) > 2 {
			if _, sources, err := c.Release(ctx, want[0].key); err != nil || len(sources) > 0 {
				t.Fatalf("a part released: %v go on, %v", sources, err)
			}
			want[0].publish(t, c, "part")
			series, err := c.Series(ctx, "a")
			if err != nil {
				t.Fatal(err)
			}
			if got := series["X"].Watermark; got.After(day(int(seq) + 1)) {
				t.Fatalf("seed %d: the watermark %v jumps what is held", seed, got)
			}
			want = want[1:]
		}
		released, sources, err := c.Release(ctx)
		if err != nil || len(released) != len(want) || !slices.Equal(sources, r.Sources()) {
			t.Fatalf("released %d, %v; %v", len(released), sources, err)
		}
		for i, s := range want {
			if more, err := c.Replaying(ctx); err != nil || !more {
				t.Fatalf("nothing waits for its turn: %v", err)
			}
			s.publish(t, c, fmt.Sprintf("s%03d", i))
			if i == len(want)-2 {
				if got, want := state(t, c, "a"), states["a"][steps]; !sameButWatermarks(got, want) {
					t.Fatalf("seed %d: published again, the table is\n%s\nwant\n%s", seed, got, want)
				}
			}
		}
		if more, err := c.Replaying(ctx); err != nil || more {
			t.Fatalf("something still waits for its turn: %v", err)
		}
		// The same without any rollback.
		plain := hasty(t)
		for i, s := range append(history, waiting) {
			s.deliver(t, plain)
			s.publish(t, plain, fmt.Sprint("r", i))
		}
		for table := range states {
			if got, want := state(t, c, table), state(t, plain, table); got != want {
				t.Errorf("seed %d: in the end table %s is\n%s\nwant\n%s", seed, table, got, want)
			}
		}
	}
}

// sameButWatermarks compares states whose watermarks are still held back.
func sameButWatermarks(a, b string) bool {
	cut := func(s string) string { _, covers, _ := strings.Cut(s, "] map["); return covers }
	return cut(a) == cut(b)
}

func TestForget(t *testing.T) {
	ctx, c := context.Background(), hasty(t)
	var states []string
	for i := range 12 {
		s := ledgerStep{key: key(i)}
		s.p.Confirmations = []catalog.Confirmation{confirmed("a", "X", fmt.Sprintf("f%03d", i), 0, i, now.Add(time.Duration(i)*time.Hour))}
		s.p.Feeds = []catalog.Feed{{Key: s.key, Table: "a", Source: "market", FetchedAt: now}}
		s.deliver(t, c)
		s.publish(t, c, fmt.Sprint("r", i))
		states = append(states, state(t, c, "a"))
	}
	if err := c.Forget(ctx, "a", []int64{4, 9}); err != nil {
		t.Fatal(err)
	}
	if got := rowsOf(t, c, "SELECT seq FROM undo ORDER BY seq"); !reflect.DeepEqual(got, [][]string{{"9"}, {"12"}}) {
		t.Errorf("what can be undone is %v", got)
	}
	if got := rowsOf(t, c, "SELECT min(born), max(born) FROM feeds"); !reflect.DeepEqual(got, [][]string{{"5", "12"}}) {
		t.Errorf("left of feeds is %v", got)
	}
	for _, seq := range []int64{9, 4} {
		if _, err := c.TakeBack(ctx, catalog.Rollback{Table: "a", Run: "rb", Seq: seq, Started: now}); err != nil {
			t.Fatal(err)
		}
		if got := state(t, c, "a"); got != states[seq-1] {
			t.Errorf("taken back to %d: %s, want %s", seq, got, states[seq-1])
		}
		if err := c.Settled(ctx, "a"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestGateFailuresHold(t *testing.T) {
	ctx, c := context.Background(), hasty(t)
	if err := c.Enter(ctx, tickerlake.Object{Key: key(1), At: now}); err != nil {
		t.Fatal(err)
	}
	if err := c.Pending(ctx, "f", tickerlake.Series{Table: "a", Symbol: "X", Watermark: day(3)}); err != nil {
		t.Fatal(err)
	}
	fail := func(run string, gate bool) []catalog.Entry {
		t.Helper()
		if _, err := c.Claim(ctx, run); err != nil {
			t.Fatal(err)
		}
		held, err := c.Fail(ctx, run, "rule RowCount > 5", gate)
		if err != nil {
			t.Fatal(err)
		}
		return held
	}
	for i, gate := range []bool{true, false, true, false, false} {
		if held := fail(fmt.Sprint("r", i), gate); len(held) > 0 {
			t.Fatalf("held after %d runs: %v", i+1, held)
		}
	}
	if err := c.Enter(ctx, tickerlake.Object{Key: key(2), At: now}); err != nil {
		t.Fatal(err)
	}
	held := fail("r9", true)
	if len(held) != 1 || held[0].Key != key(1) || held[0].State != catalog.Held || held[0].Failures != 6 || held[0].GateFailures != 3 ||
		!strings.Contains(held[0].Error, "rule RowCount > 5") {
		t.Fatalf("after three failed gates: %+v", held)
	}
	if series, err := c.Series(ctx, "a"); err != nil || !series["X"].Watermark.IsZero() {
		t.Errorf("what is held counts as on its way: %v, %v", series, err)
	}
	if claimed, err := c.Claim(ctx, "r10"); err != nil || len(claimed) != 1 || claimed[0].Key != key(2) {
		t.Errorf("the next run claims %v, %v", claimed, err)
	}
	if _, _, err := c.Release(ctx, "nope.gz"); !errors.Is(err, tickerlake.NotFound) || !strings.Contains(err.Error(), "held are "+key(1)) {
		t.Errorf("an unknown name is released with %v", err)
	}
	released, _, err := c.Release(ctx, "001.gz")
	if err != nil || len(released) != 1 {
		t.Fatalf("released %v, %v", released, err)
	}
	if e, err := c.Object(ctx, key(1)); err != nil || e.State != catalog.Waiting || e.GateFailures != 0 || e.Error != "" {
		t.Errorf("released: %+v, %v", e, err)
	}
}

// TestCoversAreBounded: what a bounded list of covers says is never wrong, and the latest
// are exact.
func TestCoversAreBounded(t *testing.T) {
	ctx, c := context.Background(), hasty(t)
	random := rand.New(rand.NewPCG(3, 4))
	var truth [400]time.Time
	for i := range 150 {
		from, at := max(0, i*2-random.IntN(12)), now.Add(time.Duration(i)*time.Hour)
		if random.IntN(10) == 0 {
			from = random.IntN(300) // a window of its own, with gaps around it
		}
		to := from + random.IntN(8)
		for d := from; d <= to; d++ {
			truth[d] = at
		}
		err := c.Publish(ctx, catalog.Publication{Run: fmt.Sprint("r", i), Confirmations: []catalog.Confirmation{confirmed("t", "A", fmt.Sprintf("f%03d", i), from, to, at)}})
		if err != nil {
			t.Fatal(err)
		}
		covers, err := c.Covers(ctx, "t", time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(covers["A"]); n > 32 {
			t.Fatalf("%d covers", n)
		}
		for d, want := range truth {
			var got time.Time
			for _, x := range covers["A"] {
				if !day(d).Before(x.From) && !day(d).After(x.To) && x.FetchedAt.After(got) {
					got = x.FetchedAt
				}
			}
			if got.After(want) || want.After(now.Add(time.Duration(i-8)*time.Hour)) && !got.Equal(want) {
				t.Fatalf("after fetch %d day %d is confirmed at %v, want %v", i, d, got, want)
			}
		}
	}
	written := rowsOf(t, c, "SELECT sum(length(series)) / 150 FROM undo")[0][0]
	if n, err := strconv.Atoi(written); err != nil || n > 500 {
		t.Errorf("to undo one of 150 fetches takes %s bytes", written)
	}
}
