package lake_test

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/tickerlake/tickerlake"
)

// TestJudgement publishes one row a case, each of a symbol of its own, together:
// what is wrong with one stops no other.
func TestJudgement(t *testing.T) {
	t.Run("as collect writes", func(t *testing.T) { testJudgement(t, false) })
	t.Run("by the engine alone", func(t *testing.T) { testJudgement(t, true) })
}

func testJudgement(t *testing.T, sorted bool) {
	file, err := os.Open("testdata/judgement.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	type judged struct {
		Case     string
		Change   map[string]any
		Accepted bool
		Reason   string
	}
	var cases []judged
	var docs []any
	in := bufio.NewScanner(file)
	for in.Scan() {
		var c judged
		if err := json.Unmarshal(in.Bytes(), &c); err != nil {
			t.Fatalf("%s: %v", in.Text(), err)
		}
		d := good(symbolOf(len(cases)), "2026-02-27", 10)
		for k, v := range c.Change {
			d[k] = v
		}
		cases = append(cases, c)
		docs = append(docs, d)
	}
	f := newFixture(t)
	f.sorted = sorted
	f.put(docs...)
	counts := f.run()
	reasons := map[int64]tickerlake.Quarantined{}
	for _, q := range f.events.quarantined() {
		reasons[q.Line] = q
	}
	accepted := int64(0)
	for i, c := range cases {
		q, rejected := reasons[int64(i+1)]
		if c.Accepted {
			accepted++
		}
		if rejected == c.Accepted || q.Reason != c.Reason {
			t.Errorf("%s: quarantined %v with %q, want %q", c.Case, rejected, q.Reason, c.Reason)
		}
		if rejected && !strings.Contains(q.Raw, `"fetch_id":"f1"`) {
			t.Errorf("%s: the raw line is not there: %q", c.Case, q.Raw)
		}
	}
	f.want("counts", counts, tickerlake.Counts{Read: int64(len(cases)), Inserted: accepted, Quarantined: int64(len(cases)) - accepted})
	f.want("numbers as texts", f.rows("prod.bars_1d", "symbol, open, high, low, close, adj_close, volume")[4], symbolOf(3)+" 10.5 11 10 10.75 10.7 1000")
}

func symbolOf(i int) string { return "S" + string(rune('A'+i/26)) + string(rune('A'+i%26)) }

func TestLinesThatCannotBeRead(t *testing.T) {
	f := newFixture(t)
	f.put(good("AAPL", "2026-02-26", 10), `{"symbol":"AAPL"`, `[1]`, `{"symbol":"AAPL","ts":"2026-02-26"}`, "\xff\xfe", `not json`,
		`{"a":1} {"b":2}`, good("AAPL", "2026-02-27", 11),
		`{"symbol":"M\u0053FT","ts":"2026-02-27","close":5,"currency":"USD","basis":"split","source":"test","table":"bars_1d","interval":"1d","final":true,"fetched_at":"2026-03-02T21:30:00Z","fetch_id":"f9","row":8,"note":"\u00e9\ud83d\ude00"}`)
	f.want("counts", f.run(), tickerlake.Counts{Read: 9, Inserted: 3, Quarantined: 6})
	f.want("rows", f.rows("prod.bars_1d", "symbol, close"), []string{"AAPL 10", "AAPL 11", "MSFT 5"})
	for _, q := range f.events.quarantined() {
		if !strings.HasPrefix(q.Reason, "line cannot be read: ") || q.Raw == "" {
			t.Errorf("line %d: reason %q, raw %q", q.Line, q.Reason, q.Raw)
		}
	}
}
