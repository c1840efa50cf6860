package lake_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
	"github.com/tickerlake/tickerlake/quality"
)

// accept accepts a quarantined row; its document becomes an object.
func (f *fixture) accept(q tickerlake.Quarantined) (bool, error) {
	f.Helper()
	return f.lake.Accept(context.Background(), q, func(_ context.Context, r tickerlake.Record) error {
		f.want("keys", r.Keys, map[string]string{"source": "test", "table": q.Table, "interval": "1d"})
		f.put(strings.TrimSuffix(string(r.Data), "\n"))
		return nil
	})
}

// quarantined gives the rows that were set aside for a reason.
func (f *fixture) quarantined(reason string) (out []tickerlake.Quarantined) {
	for _, q := range f.events.quarantined() {
		if strings.Contains(q.Reason, reason) {
			out = append(out, q)
		}
	}
	return out
}

// quarantinedFor gives the one row that was set aside for a reason.
func (f *fixture) quarantinedFor(reason string) tickerlake.Quarantined {
	f.Helper()
	out := f.quarantined(reason)
	if len(out) != 1 {
		f.Fatalf("%d rows were set aside for %q", len(out), reason)
	}
	return out[0]
}

func TestAccept(t *testing.T) {
	f := newFixture(t)
	f.put(good("AAPL", "2026-02-26", 10), good("AAPL", "2026-02-27", 11).with("low", 12, "high", 13, "extra", "é"))
	f.run()
	q := f.quarantinedFor("low is above open")
	fresh, err := f.accept(q)
	f.must(err)
	f.want("fresh", fresh, true)
	again, err := f.accept(q)
	f.must(err)
	f.want("accepted again", again, false)
	f.want("the event", f.quarantinedFor("low is above open").Decision, catalog.Accepted)
	f.want("counts", f.run(), tickerlake.Counts{Read: 1, Inserted: 1})
	f.want("rows", f.rows("prod.bars_1d", "ts, low, close, fetch_id"), []string{"2026-02-26 00:00:00 10 10 f1", "2026-02-27 00:00:00 12 11 f1"})
	f.must(f.raw.Delete(context.Background(), q.Object))
	if err := f.lake.Reject(context.Background(), q); !errors.Is(err, tickerlake.Conflict) {
		t.Errorf("rejecting what was accepted: %v", err)
	}
}

// TestAcceptedTwice: a crash between the delivery and the decision leaves two documents;
// the bar is there once, and nothing was replaced.
func TestAcceptedTwice(t *testing.T) {
	f := newFixture(t)
	f.put(good("AAPL", "2026-02-27", 11).with("high", 1))
	f.run()
	q := f.quarantinedFor("high is below open")
	cut := errors.New("cut off")
	_, err := f.lake.Accept(context.Background(), q, func(_ context.Context, r tickerlake.Record) error {
		f.put(strings.TrimSuffix(string(r.Data), "\n"))
		return cut
	})
	if !errors.Is(err, cut) {
		t.Fatal(err)
	}
	f.want("no decision", f.quarantinedFor("high is below open").Decision, "")
	_, err = f.accept(q)
	f.must(err)
	f.want("counts", f.run(), tickerlake.Counts{Read: 2, Inserted: 1, Superseded: 1})
	f.want("rows", len(f.rows("prod.bars_1d", "ts")), 1)
}

func TestAcceptRefused(t *testing.T) {
	f := newFixture(t)
	f.put(good("AAPL", "2026-02-26", 10), good("AAPL", "2026-02-27", nil), `not json`)
	f.run()
	f.put(good("AAPL", "2026-02-27", 10).with("basis", "raw"), good("MSFT", "2026-02-26", 5).with("high", 1), good("MSFT", "2026-02-27", 5))
	f.run()
	f.put(good("MSFT", "2026-02-25", 5).with("fetched_at", at("21:50"), "fetch_id", "f2"), good("MSFT", "2026-02-27", 5).with("fetched_at", at("21:50"), "fetch_id", "f2"))
	f.run()
	for _, c := range []struct {
		reason, message string
		code            error
	}{
		{"close is missing", "the row cannot be published: close is missing", tickerlake.Invalid},
		{"line cannot be read", "the row cannot be published: line cannot be read", tickerlake.Invalid},
		{"where the table has", "the row does not belong there: bars_1d: basis raw where the table has split", tickerlake.Conflict},
		{"high is below", "a later fetch, of 2026-03-02T21:50:00Z, has told of this bar since", tickerlake.Conflict},
	} {
		_, err := f.accept(f.quarantinedFor(c.reason))
		if !errors.Is(err, c.code) || !strings.Contains(fmt.Sprint(err), c.message) {
			t.Errorf("%s: %v, want %s", c.reason, err, c.message)
		}
	}
	if _, err := os.Stat(f.dir + "/buckets/staging/accept"); err == nil {
		t.Error("the folder of the examination is left")
	}
}

// TestAcceptedBreaksRule: rows that a rule set aside can be accepted; then the rule holds
// them up no more, but does others.
func TestAcceptedBreaksRule(t *testing.T) {
	f := newFixture(t)
	f.put(good("AAPL", "2026-02-26", 10))
	f.run()
	f.put(good("AAPL", "2026-02-27", 5000), good("MSFT", "2026-02-27", 20))
	const rule = `Rules = [ ColumnValues "close" < 1000 ]`
	r, err := f.gated(rule)
	f.must(err)
	f.want("counts", r.counts, tickerlake.Counts{Read: 2, Inserted: 1, Quarantined: 1})
	_, err = f.accept(f.quarantinedFor("rule "))
	f.must(err)
	f.put(good("IBM", "2026-02-27", 6000).with("fetch_id", "f7"))
	r, err = f.gated(rule)
	f.must(err)
	f.want("counts", r.counts, tickerlake.Counts{Read: 2, Inserted: 1, Quarantined: 1})
	f.want("rows", f.rows("prod.bars_1d", "symbol, close"), []string{"AAPL 10", "AAPL 5000", "MSFT 20"})
	result, err := f.lake.Evaluate(context.Background(), f.lake.Rules, f.view("prod.bars_1d"))
	f.must(err)
	f.want("the table as it is published", result.Passed(), true)
	all, err := quality.Parse(`Rules = [ RowCount = 3, IsPrimaryKey "symbol" "ts", Sum "close" = 5030 ]`)
	f.must(err)
	result, err = f.lake.Evaluate(context.Background(), all, f.view("prod.bars_1d"))
	f.must(err)
	f.want("the row counts where the table is judged", result.Passed(), true)

	f.put(good("AAPL", "2026-02-27", 7000).with("fetched_at", at("21:50"), "fetch_id", "f9"))
	r, err = f.gated(rule)
	f.must(err)
	f.want("another row of the key is judged", r.counts.Quarantined, 1)
}

// TestDecisionsHold: a run that sets the same line aside again does not undo what was
// decided.
func TestDecisionsHold(t *testing.T) {
	f := newFixture(t)
	f.put(good("AAPL", "2026-02-27", 11).with("high", 1), good("AAPL", "2026-02-26", 11))
	if _, err := f.gated(`Rules = [ RowCount > 100 ]`); !errors.Is(err, tickerlake.GateFailed) {
		t.Fatal(err)
	}
	f.must(f.lake.Reject(context.Background(), f.quarantinedFor("high is below")))
	f.lake.Rules = nil
	f.want("counts", f.run(), tickerlake.Counts{Read: 2, Inserted: 1, Quarantined: 1})
	f.want("decision", f.quarantinedFor("high is below").Decision, catalog.Rejected)
}
