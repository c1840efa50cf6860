package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestExitStatus brings about each exit status by a real situation.
func TestExitStatus(t *testing.T) {
	t.Parallel()
	truth := history("2024-03-01", 30, "AAA", "BBB")
	m := newMarket(t, truth)
	p := newPipeline(t, seedFile(m.URL, "AAA, BBB"))

	// 1, before there is a lake.
	p.want(1, "query", "SELECT 1").says(t, "there is no lake yet", "tickerlake fetch")

	// 0
	p.must("fetch")
	p.must("run")
	p.must("query", "SELECT 1")

	// 1
	p.want(1, "describe", "prices").says(t, "prices: there is no such table", "prod.bars_1d")
	p.want(1, "query", "SELECT 1 FROM nowhere").says(t, "nowhere")

	// 2
	p.want(2, "query", "SELECT nothing FROM bars_1d").says(t, "nothing", "open")
	p.want(2, "query").says(t, "tickerlake query --help")
	p.want(2, "fetch", "--form", "2024-01-01").says(t, "--form", "tickerlake fetch --help")
	p.want(2, "fetch", "--from", "yesterday").says(t, "--from", "2024-01-31")
	p.want(2, "fetch", "other").says(t, "other", "no such source", "market")
	p.want(2, "run", "weekly").says(t, "weekly", "main")
	p.want(2, "-c", "absent.yaml", "fetch").says(t, "absent.yaml", "tickerlake init")
	p.write("wrong.yaml", seedFile(m.URL, "AAA", "lookbak: 7 days"))
	p.want(2, "-c", "wrong.yaml", "run").says(t, "wrong.yaml:", "lookbak")
	o := p.want(2, "-c", "wrong.yaml", "validate")
	if !strings.Contains(o.stdout, "lookbak") {
		t.Errorf("%v\nwant the mistake", o)
	}

	// 3, of the gate: prod stays as it was.
	before := p.still()
	p.write("strict.yaml", seedFile(m.URL, "AAA, BBB", `quality: {rules: 'Rules = [ RowCount > 1000 ]'}`))
	more := history("2024-03-01", 32, "AAA", "BBB")
	m.set(more)
	p.must("fetch")
	p.want(3, "-c", "strict.yaml", "run").says(t, "quality gate was not passed", "prod stays as it was", "RowCount > 1000", "64")
	if now := p.still(); now.snapshots["bars_1d"] != before.snapshots["bars_1d"] {
		t.Error("prod has changed though the gate was not passed")
	}
	p.sameAs("bars_1d", truth)

	// 3, of check, which prints what was measured.
	p.write("strict.dqdl", `Rules = [ RowCount > 1000, IsComplete "close" ]`)
	o = p.want(3, "check", "--rules", "strict.dqdl")
	for _, words := range []string{"FAIL", "RowCount > 1000", "60", "PASS", `IsComplete "close"`} {
		if !strings.Contains(o.stdout, words) {
			t.Errorf("%v\nwant %q", o, words)
		}
	}

	// What the gate kept back is published once the rules let it.
	p.must("run")
	p.sameAs("bars_1d", more)

	// 4, of a symbol that the source does not have: the other one is fetched.
	p.write("tickerlake.yaml", seedFile(m.URL, "AAA, BBB, GONE"))
	o = p.want(4, "fetch")
	o.says(t, "GONE", "delisted")
	if !strings.Contains(o.stdout, "2 symbols") {
		t.Errorf("%v\nwant the other symbols to be delivered", o)
	}
	p.must("run")
	p.sameAs("bars_1d", more)
	if c := p.value("SELECT class FROM ops.fetches WHERE symbol = 'GONE'"); c != "not_found" {
		t.Errorf("the fetch of GONE is recorded as %s", c)
	}
	p.settled()
}

// TestSourcesThatFail gives each answer that is no prices. The run says which it was;
// nothing of it is delivered.
func TestSourcesThatFail(t *testing.T) {
	t.Parallel()
	good := history("2024-03-01", 5, "AAA")
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request)
		class  string
	}{
		"html": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("<html><body>Hello</body></html>"))
		}, "blocked"},
		"error body": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"error":"Internal","code":"500"}`))
		}, "unavailable"},
		"404": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, "not_found"},
		"429": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }, "quota"},
		"500": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "unavailable"},
		"cut body": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"data":[{"Date":"2024-03-01","Close":1`))
		}, "malformed"},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`{"data":[`))
		}, "malformed"},
		"no bars": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"data":[1,2]}`)) }, "malformed"},
		"slow":    {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMarket(t, good)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.FormValue("symbol") == "BAD" {
					c.answer(w, r)
					return
				}
				m.now.Load().ServeHTTP(w, r)
			}))
			defer server.Close()
			file := seedFile(server.URL, "BAD, AAA")
			if name == "slow" {
				file = strings.Replace(file, "retries: 0", "retries: 0\n    timeout: 5 seconds", 1)
			}
			p := newPipeline(t, file)
			p.want(4, "fetch").says(t, "BAD")
			p.must("run")
			p.sameAs("bars_1d", good)
			if got := p.value("SELECT class FROM ops.fetches WHERE symbol = 'BAD'"); got != c.class {
				t.Errorf("class %s, want %s: %v", got, c.class, p.rows("SELECT error FROM ops.fetches WHERE symbol = 'BAD'"))
			}
			if n := p.value("SELECT count(*) FROM raw.bars WHERE symbol = 'BAD'"); n != "0" {
				t.Errorf("%s rows of it were delivered", n)
			}
		})
	}
}

// TestJSON reads the answer of every command that has one.
func TestJSON(t *testing.T) {
	t.Parallel()
	m := newMarket(t, history("2024-03-01", 30, "AAA"))
	p := newPipeline(t, seedFile(m.URL, "AAA"))
	var fetched []struct {
		Source, Table string
		Rows          int
		Symbols       []struct{ Symbol, Class string }
	}
	p.mustJSON(&fetched, "fetch")
	if len(fetched) != 1 || fetched[0].Source != "market" || fetched[0].Table != "bars_1d" || fetched[0].Rows != 30 ||
		len(fetched[0].Symbols) != 1 || fetched[0].Symbols[0].Class != "ok" {
		t.Errorf("fetch: %+v", fetched)
	}
	var ran struct {
		State  string
		Counts map[string]int
		Jobs   []struct{ Job, State string }
	}
	p.mustJSON(&ran, "run")
	if ran.State != "COMPLETED" || ran.Counts["inserted"] != 30 || len(ran.Jobs) != 5 || ran.Jobs[4].Job != "publish" {
		t.Errorf("run: %+v", ran)
	}
	var rows []struct {
		Symbol string
		N      int
	}
	p.mustJSON(&rows, "query", "SELECT symbol, count(*) AS n FROM bars_1d GROUP BY symbol")
	if len(rows) != 1 || rows[0].Symbol != "AAA" || rows[0].N != 30 {
		t.Errorf("query: %+v", rows)
	}
	var one table
	p.mustJSON(&one, "describe", "bars_1d")
	if one.Name != "bars_1d" || one.Rows != 30 || one.Snapshot == 0 {
		t.Errorf("describe: %+v", one)
	}
	var checked struct {
		Score       float64
		RuleResults []struct{ Result string }
	}
	p.mustJSON(&checked, "check")
	if checked.Score != 1 || len(checked.RuleResults) == 0 {
		t.Errorf("check: %+v", checked)
	}
	for _, args := range [][]string{{"tables"}, {"status"}, {"validate"}, {"version"}} {
		var any any
		p.mustJSON(&any, args...)
	}

	// A failure is told on standard error; standard output stays JSON.
	p.write("tickerlake.yaml", seedFile(m.URL, "GONE"))
	o := p.want(4, "fetch", "--json")
	if !json.Valid([]byte(o.stdout)) || !strings.Contains(o.stdout, "not_found") {
		t.Errorf("%v\nwant JSON with the class", o)
	}
	p.write("strict.dqdl", `Rules = [ RowCount > 1000 ]`)
	if o := p.want(3, "check", "--rules", "strict.dqdl", "--json"); !json.Valid([]byte(o.stdout)) {
		t.Errorf("%v\nwant JSON", o)
	}
}
