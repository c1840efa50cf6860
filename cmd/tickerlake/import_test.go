package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// file writes a file of the test as old as it is to be.
func (p *program) file(name, text string, at time.Time) string {
	p.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		p.Fatal(err)
	}
	if err := os.Chtimes(path, at, at); err != nil {
		p.Fatal(err)
	}
	return path
}

const simulatedSince = "sources: {market: {preset: simulated, since: 2026-02-02, symbols: [AAA]}}\n"

// TestOldAndNewFiles: rows of a file count as learned at the file's time, against what a
// fetch published.
func TestOldAndNewFiles(t *testing.T) {
	p := newProgram(t, simulatedSince)
	p.do("fetch")
	p.do("run")
	fetched := p.now
	before := p.ask(everyBar)
	if p.ask("SELECT count(*) FROM bars_1d WHERE ts = '2026-02-03'") != "1" || p.ask("SELECT count(*) FROM bars_1d WHERE ts = '2026-02-07'") != "0" {
		t.Fatalf("the market is another than the test thinks:\n%s", before)
	}
	// A Tuesday and a Saturday of what the fetch confirmed, and a day before all of it.
	const text = "Date,Open,High,Low,Close,Volume\n2026-01-30,5,5,5,5,5\n2026-02-03,5,5,5,5,5\n2026-02-07,5,5,5,5,5\n"

	p.now = p.now.Add(time.Hour)
	p.do("import", p.file("AAA.csv", text, fetched.Add(-time.Hour)), "--source", "market")
	if out := p.do("run"); !contains(out, "3 rows in, 1 inserted, 2 superseded\n") {
		t.Errorf("of a file older than the fetch: %s", out)
	}
	if got := strings.ReplaceAll(p.ask(everyBar), "AAA,2026-01-30 00:00:00,5,5,5,5,5\n", ""); got != before {
		t.Errorf("an older file has changed what the fetch confirmed:\n%s", got)
	}

	p.do("import", p.file("newer.csv", strings.ReplaceAll(text, "5,5,5,5,5", "8,8,8,8,8"), fetched.Add(time.Minute)), "--source", "market", "--symbol", "AAA")
	if out := p.do("run"); !contains(out, "3 rows in, 1 inserted, 2 replaced\n") {
		t.Errorf("of a file newer than the fetch: %s", out)
	}
	if got := p.ask("SELECT count(*) FROM bars_1d WHERE close = 8 AND source = 'simulated:market'"); got != "3" {
		t.Errorf("%s bars of the newer file are in the table, want 3", got)
	}

	// The next fetch is later than both.
	p.do("fetch")
	p.do("run")
	if got := p.ask("SELECT CAST(ts AS DATE) FROM bars_1d WHERE close = 8 ORDER BY ts"); got != "2026-01-30\n2026-02-03\n2026-02-07" {
		t.Errorf("a fetch that looks back a week has changed more: %s", got)
	}
	p.do("fetch", "--from", "2026-01-01")
	p.do("run")
	if got := p.ask("SELECT CAST(ts AS DATE) FROM bars_1d WHERE close = 8 ORDER BY ts"); got != "2026-02-07" {
		t.Errorf("what the later fetch says differently is still that of the file: %s", got)
	}
}

// TestFilesLeaveNoHole: whatever a file lacks, fetches ask for it as if there had been no
// file, and other files fill it.
func TestFilesLeaveNoHole(t *testing.T) {
	fresh := newProgram(t, simulatedSince)
	fresh.do("fetch")
	fresh.do("run")
	want := fresh.ask(everyBar)
	_, last, _ := strings.Cut(want[strings.LastIndex(want, "AAA,2026-02-27"):], ",")
	row := strings.Replace(strings.Split(last, "\n")[0], " 00:00:00", "", 1)

	for _, published := range []bool{true, false} {
		p := newProgram(t, simulatedSince)
		p.do("import", p.file("AAA.csv", "Date,Open,High,Low,Close,Volume\n"+row+"\n", p.now.Add(-time.Hour)), "--source", "market")
		if published {
			p.do("run")
		}
		p.do("fetch")
		p.do("run")
		if got := p.ask(everyBar); got != want {
			t.Errorf("published before the fetch: %v: bars are missing or differ:\n%s\nwant\n%s", published, got, want)
		}
	}

	// A newer file with two bars far apart leaves the time between them to an older one.
	p := newProgram(t, simulatedSince)
	p.do("import", p.file("X.csv", "Date,Close\n2020-01-06,5\n2024-01-08,5\n", p.now.Add(-time.Hour)), "--interval", "1d")
	p.do("run")
	p.do("import", p.file("old.csv", "Date,Close\n2019-12-30,1\n2020-01-06,1\n2022-01-03,1\n2024-01-08,1\n2025-01-06,1\n", p.now.AddDate(-1, 0, 0)), "--interval", "1d", "--symbol", "X")
	if out := p.do("run"); !contains(out, "5 rows in, 3 inserted, 2 superseded\n") {
		t.Errorf("of the older file: %s", out)
	}
}

// TestFilesWithdrawNothing: a bar that a newer file lacks stays, also where the source's
// answers withdraw.
func TestFilesWithdrawNothing(t *testing.T) {
	p := newProgram(t, strings.Replace(simulatedSince, "since", "withdrawn: remove, since", 1))
	p.do("fetch")
	p.do("run")
	before := p.ask("SELECT count(*) FROM bars_1d")
	first := p.ask("SELECT CAST(min(ts) AS DATE) FROM bars_1d")
	p.do("import", p.file("AAA.csv", "Date,Close\n"+first+",5\n2026-02-27,5\n", p.now.Add(time.Minute)), "--source", "market")
	p.now = p.now.Add(time.Hour)
	if out := p.do("run"); !contains(out, "2 rows in, 2 replaced\n") {
		t.Errorf("the run says %s", out)
	}
	if got := p.ask("SELECT count(*) FROM bars_1d"); got != before {
		t.Errorf("%s bars are left of %s", got, before)
	}
}

// TestExport: what a user can ask for, and what is refused.
func TestExport(t *testing.T) {
	p := newProgram(t, simulatedSince)
	p.do("import", p.file("prices.csv", "Symbol,Date,Close\nB,2024-01-03,2\nA,2024-01-04,3\nA,2024-01-03,1.5\n", p.now.Add(-time.Hour)), "--interval", "1d", "--run")
	if out, errs, status := p.try("export", "bars_1d", "--columns", "symbol,ts,close"); status != 0 || out != "symbol,ts,close\r\nA,2024-01-03 00:00:00,1.5\r\nA,2024-01-04 00:00:00,3\r\nB,2024-01-03 00:00:00,2\r\n" || !contains(errs, "prod.bars_1d: 3 rows, ") {
		t.Errorf("exit status %d\n%s%s", status, out, errs)
	}
	if out := p.do("export", "bars_1d", "-f", "ndjson", "--columns", "close", "--where", "symbol = 'A' AND ts = '2024-01-03' -- that day"); out != `{"close":1.5}`+"\n" {
		t.Errorf("the part is %s", out)
	}
	path := filepath.Join(p.dir, "out.parquet")
	if out := p.do("--json", "export", "bars_1d", "-o", path); !contains(out, `"rows": 3`, `"format": "parquet"`) {
		t.Errorf("the result is %s", out)
	}
	whole, err := os.ReadFile(path)
	if err != nil || string(whole[:4]) != "PAR1" {
		t.Fatalf("%v: the file begins with %q", err, whole[:4])
	}
	for _, c := range []struct {
		status int
		says   string
		args   []string
	}{
		{1, "the file is there already: name another, or replace it with --force", []string{"bars_1d", "-o", path}},
		{1, "there is no such table; there are ", []string{"bars_2d"}},
		{2, `--columns: prod.bars_1d has no column "price"; it has symbol, ts,`, []string{"bars_1d", "--columns", "price"}},
		{2, `--format: "xml": want parquet, csv or ndjson`, []string{"bars_1d", "-f", "xml"}},
		{2, "--json: standard output is for the rows", []string{"bars_1d", "--json"}},
		{2, `column "nothing" not found`, []string{"bars_1d", "--where", "nothing = 1"}},
		{1, "the table function read_csv is refused", []string{"bars_1d", "--where", "1 = 1) UNION SELECT * FROM read_csv('/etc/passwd') WHERE (true"}},
		{1, "statements are refused", []string{"bars_1d", "--where", "true); SELECT (1"}},
		{1, "is refused", []string{"bars_1d", "-o", path, "--force", "--where", "getenv('HOME') = 'x'"}},
	} {
		_, errs, status := p.try(append([]string{"export"}, c.args...)...)
		if status != c.status || !strings.Contains(errs, c.says) {
			t.Errorf("export %q: exit status %d, %swant %d, %s", c.args, status, errs, c.status, c.says)
		}
	}
	if again, err := os.ReadFile(path); err != nil || string(again) != string(whole) {
		t.Errorf("a failed export has changed the file: %v", err)
	}
	p.do("export", "bars_1d", "-o", path, "--force", "--where", "symbol = 'B'")
	if again, err := os.ReadFile(path); err != nil || string(again) == string(whole) {
		t.Errorf("--force has not replaced the file: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(p.dir, ".out*")); len(left) > 0 {
		t.Errorf("exports have left %v", left)
	}
	if got := p.do("export", "bars_1d", "--as-of", "2026-03-01", "--columns", "ts"); got != "ts\r\n" {
		t.Errorf("before the file's time there was %q", got)
	}
}
