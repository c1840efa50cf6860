package e2e

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// objects are the raw objects of bars, by name.
func (p *pipeline) objects() []string {
	p.t.Helper()
	found, err := filepath.Glob(p.path("lake", "buckets", "raw", "raw", "bars", "dt=*", "*.gz"))
	if err != nil {
		p.t.Fatal(err)
	}
	return found
}

// unpacked is the text of an object of the raw bucket.
func (p *pipeline) unpacked(key string) string {
	p.t.Helper()
	file, err := os.Open(p.path("lake", "buckets", "raw", filepath.FromSlash(key)))
	if err != nil {
		p.t.Fatal(err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		p.t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

// TestDamagedObjects cuts one object short and puts others beside it that are no
// objects of bars. The ledger says so, the rest is published.
func TestDamagedObjects(t *testing.T) {
	t.Parallel()
	truth := history("2024-03-01", 40, "AAA", "BBB")
	m := newMarket(t, truth)
	p := newPipeline(t, seedFile(m.URL, "AAA, BBB"))
	p.must("fetch", "--from", "2024-03-01", "--to", "2024-03-11")
	cut := p.objects()[0]
	info, err := os.Stat(cut)
	if err == nil {
		err = os.Chmod(cut, 0o644)
	}
	if err == nil {
		err = os.Truncate(cut, info.Size()/2)
	}
	if err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(filepath.Dir(cut), "plain.gz")
	if err := os.WriteFile(plain, []byte(`{"symbol":"AAA"}`+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p.must("fetch", "--from", "2024-03-11", "--to", "2024-05-01")
	o := p.want(0, "run")
	o.says(t, "raw object is damaged", filepath.Base(cut), "plain.gz")
	want := prices{"AAA": truth["AAA"][10:], "BBB": truth["BBB"][10:]}
	p.sameAs("bars_1d", want)
	p.conserved()
	damaged := p.rows("SELECT key FROM ops.objects WHERE state = 'damaged' ORDER BY key")
	if len(damaged) != 2 || !strings.HasSuffix(damaged[1][0], "plain.gz") {
		t.Errorf("damaged are %v", damaged)
	}
	if out := p.must("status"); !strings.Contains(out, "damaged") {
		t.Errorf("status says nothing of it:\n%s", out)
	}

	// They are where they were, and what they held can be fetched again.
	if again := p.objects(); len(again) != 3 {
		t.Errorf("the raw objects are %v", again)
	}
	p.must("fetch", "--from", "2024-03-01", "--to", "2024-05-01")
	p.must("run")
	p.sameAs("bars_1d", truth)
}

// TestObjectsByHand puts objects into the raw bucket by hand: one that is there
// already under another name, one with a column more, one less and one of another
// type, and one line that cannot be used.
func TestObjectsByHand(t *testing.T) {
	t.Parallel()
	truth := history("2024-03-01", 30, "AAA")
	m := newMarket(t, truth)
	p := newPipeline(t, seedFile(m.URL, "AAA"))
	p.must("fetch")
	first := p.objects()[0]
	text, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(first), "again.gz"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	p.must("run")
	p.sameAs("bars_1d", truth)
	if n := p.value("SELECT sum(superseded) FROM ops.runs WHERE state = 'COMPLETED'"); n != "30" {
		t.Errorf("%s rows are superseded, want the 30 that are there twice", n)
	}

	p.put(filepath.Join(filepath.Dir(first), "by-hand.gz"),
		`{"symbol":"AAA","ts":"2024-04-01","open":"10","high":"11.5","low":"9","close":"10.25","volume":null,"venue":"X",`+
			`"currency":"USD","basis":"split","source":"market","table":"bars_1d","interval":"1d","final":true,`+
			`"fetched_at":"2024-04-02T00:00:00.000000Z","fetch_id":"by-hand","row":0}`,
		`{"symbol":`)
	o := p.want(0, "run")
	o.says(t, "raw schema changed", "venue")
	got := p.rows("SELECT open, high, low, close, coalesce(CAST(adj_close AS VARCHAR), 'none'), coalesce(CAST(volume AS VARCHAR), 'none') FROM bars_1d WHERE ts = '2024-04-01'")
	if len(got) != 1 || strings.Join(got[0], " ") != "10 11.5 9 10.25 none none" {
		t.Errorf("the row by hand is %v", got)
	}
	if bad := p.rows("SELECT line, raw FROM ops.quarantine WHERE object LIKE '%by-hand.gz'"); len(bad) != 1 || strings.Join(bad[0], " ") != `2 {"symbol":` {
		t.Errorf("quarantined are %q", bad)
	}
	p.conserved()
}

// put writes a gzip object of lines.
func (p *pipeline) put(path string, lines ...string) {
	p.t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte(strings.Join(lines, "\n") + "\n"))
	if err == nil {
		err = z.Close()
	}
	if err == nil {
		err = os.WriteFile(path, b.Bytes(), 0o644)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// TestConflicts gives a symbol that has bars another basis, and another source. Each
// is refused with the way out, and nothing changes.
func TestConflicts(t *testing.T) {
	t.Parallel()
	truth := history("2024-03-01", 30, "AAA")
	m := newMarket(t, truth)
	p := newPipeline(t, seedFile(m.URL, "AAA"))
	p.must("fetch")
	p.must("run")
	before := p.still()
	m.set(history("2024-03-01", 35, "AAA"))

	other := strings.Replace(seedFile(m.URL, "AAA"), "  market:", "  other:", 1)
	for name, file := range map[string]string{
		"basis":    seedFile(m.URL, "AAA", "    basis: raw"),
		"currency": seedFile(m.URL, "AAA", "    currency: EUR"),
		"source":   other,
	} {
		p.write("conflict.yaml", file)
		p.want(4, "-c", "conflict.yaml", "fetch").says(t, "AAA", name, "table")
		p.must("-c", "conflict.yaml", "run")
		p.unchangedSince(before)
	}
	// The way out.
	p.write("apart.yaml", other+"    table: other_1d\n")
	p.must("-c", "apart.yaml", "fetch")
	p.must("-c", "apart.yaml", "run")
	p.sameAs("other_1d", history("2024-03-01", 35, "AAA"))
	p.sameAs("bars_1d", truth)
}

// TestUnfinished lets the last day be unfinished. Its bar is in raw and in
// prod.latest; the table has it once it is final.
func TestUnfinished(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().In(zone)
	if end := time.Date(now.Year(), now.Month(), now.Day(), 23, 59, 0, 0, zone); now.After(end.Add(-3 * time.Minute)) {
		time.Sleep(time.Until(end.Add(time.Minute))) // yesterday's bar becomes final at 23:59
		now = time.Now().In(zone)
	}
	truth := history(now.AddDate(0, 0, -20).Format(time.DateOnly), 20, "AAA")
	m := newMarket(t, truth)
	// So late is yesterday's bar final that it is not yet.
	p := newPipeline(t, seedFile(m.URL, "AAA", `    session_end: "23:59"`, "    settle: 1 day"))
	p.must("fetch")
	p.must("run")
	p.sameAs("bars_1d", prices{"AAA": truth["AAA"][:19]})
	p.sameAs("latest", prices{"AAA": truth["AAA"][19:]})
	if n := p.value("SELECT count(*) FROM raw.bars"); n != "20" {
		t.Errorf("raw.bars has %s rows, want all 20", n)
	}
	if f := p.value("SELECT final FROM latest"); f != "false" {
		t.Errorf("the bar in prod.latest says final = %s", f)
	}

	p.write("tickerlake.yaml", seedFile(m.URL, "AAA"))
	p.must("fetch")
	p.must("run")
	p.sameAs("bars_1d", truth)
	p.sameAs("latest", prices{})
	p.conserved()
}
