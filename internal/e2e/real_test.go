package e2e

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// realPrices reads the CSV files of real daily prices.
func realPrices(t *testing.T) (dir string, _ prices) {
	t.Helper()
	root := os.Getenv("TICKERLAKE_TESTDATA")
	if root == "" {
		t.Skip("SKIPPED: TICKERLAKE_TESTDATA, the folder of real prices, is not set")
	}
	dir = filepath.Join(root, "daily")
	out := prices{}
	for _, symbol := range []string{"AAPL", "GOOG", "INTC", "SPY"} {
		text, err := os.ReadFile(filepath.Join(dir, symbol+".csv"))
		if err != nil {
			t.Fatal(err)
		}
		lines, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
		if err != nil {
			t.Fatalf("%s: %v", symbol, err)
		}
		for _, l := range lines[1:] {
			b := bar{date: l[0]}
			for i, to := range []*float64{&b.open, &b.high, &b.low, &b.close, &b.adj, &b.volume} {
				if *to, err = strconv.ParseFloat(l[i+1], 64); err != nil {
					t.Fatalf("%s %s: %v", symbol, l[0], err)
				}
			}
			out[symbol] = append(out[symbol], b)
		}
	}
	return dir, out
}

// serve starts tickerlake simulate and gives its address.
func (p *pipeline) serve(args ...string) string {
	p.t.Helper()
	cmd := p.command(nil, append([]string{"simulate", "--addr", "127.0.0.1:0"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			p.t.Errorf("tickerlake simulate, asked to stop: %v", err)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		p.t.Fatalf("tickerlake simulate says %q: %v", line, err)
	}
	url := regexp.MustCompile(`http://[^ ]+`).FindString(line)
	if url == "" {
		p.t.Fatalf("tickerlake simulate says no address: %q", line)
	}
	return url
}

// TestRealInput takes real prices, served in the form of the seed's API, from fetch
// to query, and lets another client read the lake after it was moved.
func TestRealInput(t *testing.T) {
	t.Parallel()
	dir, truth := realPrices(t)
	p := newPipeline(t, "")
	url := p.serve("--replay", dir)
	p.write("tickerlake.yaml", seedFile(url, "AAPL, GOOG, INTC, SPY"))
	p.must("validate")

	p.must("fetch")
	p.must("run")
	want := truth.clone()
	low := []string{"2015-03-05", "2015-03-30"} // low is above open
	want["SPY"] = slices.DeleteFunc(want["SPY"], func(b bar) bool { return slices.Contains(low, b.date) })
	all := 0
	for _, bars := range truth {
		all += len(bars)
	}
	p.sameAs("bars_1d", want)
	var quarantined []string
	for _, r := range p.rows("SELECT symbol, substr(ts, 1, 10), reason FROM ops.quarantine ORDER BY ts") {
		quarantined = append(quarantined, strings.Join(r, " "))
	}
	if reasons := []string{"SPY 2015-03-05 low is above open", "SPY 2015-03-30 low is above open"}; !slices.Equal(quarantined, reasons) {
		t.Errorf("quarantined are %q, want %q", quarantined, reasons)
	}
	p.conserved()
	counts := p.rows("SELECT rows_read, inserted, quarantined FROM ops.runs WHERE state = 'COMPLETED'")
	if wanted := [][]string{{strconv.Itoa(all), strconv.Itoa(all - 2), "2"}}; !slices.EqualFunc(counts, wanted, slices.Equal) {
		t.Errorf("the run read, inserted and quarantined %v, want %v", counts, wanted)
	}
	p.must("check")

	before := p.still()
	p.must("run")
	p.must("fetch")
	p.must("run")
	p.unchangedSince(before)
	p.conserved()
	t.Run("moved", p.moved)
}

// moved moves the lake and compares what pyiceberg reads there with what the
// program reads.
func (p *pipeline) moved(t *testing.T) {
	python := os.Getenv("TICKERLAKE_PYTHON")
	if python == "" {
		skipAloud(t, "TICKERLAKE_PYTHON, a Python with pyiceberg (make test makes it), is not set")
	}
	lake := filepath.Join(t.TempDir(), "else where", "lake")
	if err := os.MkdirAll(filepath.Dir(lake), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(p.path("lake"), lake); err != nil {
		t.Fatal(err)
	}
	q := newPipeline(t, "lake: '"+lake+"'\n"+seedFile("http://127.0.0.1:1", "AAPL, GOOG, INTC, SPY"))
	table := q.path("bars.csv")
	if err := os.WriteFile(table, []byte(q.must("query", "-f", "csv", "SELECT * FROM bars_1d ORDER BY symbol, ts")), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "testdata/compare_with_pyiceberg.py", lake, "prod.bars_1d", table)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var saw struct {
		Rows      int
		Columns   []string
		Partition [][]string
		Snapshots []int64
		Current   int64
		Runs      []string
	}
	if err := json.Unmarshal(out, &saw); err != nil {
		t.Fatalf("%v in\n%s", err, out)
	}
	if now := q.snapshots()["bars_1d"]; saw.Current != now || !slices.Contains(saw.Snapshots, now) {
		t.Errorf("pyiceberg sees the snapshot %d of %v, want %d", saw.Current, saw.Snapshots, now)
	}
	if want := [][]string{{"ts_year", "year"}}; !slices.EqualFunc(saw.Partition, want, slices.Equal) {
		t.Errorf("pyiceberg sees the partitions %v, want %v", saw.Partition, want)
	}
	if run := q.value("SELECT min(id) FROM ops.runs"); len(saw.Runs) != 1 || saw.Runs[0] != run {
		t.Errorf("pyiceberg sees snapshots of the runs %v, want %s", saw.Runs, run)
	}
	t.Logf("pyiceberg reads %d rows of %d columns", saw.Rows, len(saw.Columns))
}
