package e2e

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake/internal/fault"
)

// noSource is a pipeline file whose one source is never asked.
const noSource = "sources: {market: {preset: seed, base_url: 'http://127.0.0.1:1', symbols: [NONE]}}\n"

// importKills has the fault points of import.
var importKills = []kill{
	{"file.record", "import", []int{1, 2, 3}, false},
	{"file.put", "import", []int{1}, true},
	{"file.taken", "import", []int{1}, true},
}

// TestKillImport kills the program while it brings a file in; brought in again, each bar is
// there once.
func TestKillImport(t *testing.T) {
	const rows = 40_000
	var text strings.Builder
	text.WriteString("Datetime,Symbol,Open,High,Low,Close,Volume\n")
	start := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range rows {
		fmt.Fprintf(&text, "%s,%s,%d,%d,%d,%d.25,%d\n", start.Add(time.Duration(i/2)*time.Minute).Format(time.RFC3339), []string{"AAA", "BBB"}[i%2], 100+i, 101+i, 99+i, 100+i, i)
	}
	for _, k := range importKills {
		for _, n := range k.times {
			t.Run(fmt.Sprintf("%s:%d", k.point, n), func(t *testing.T) {
				t.Parallel()
				p := newPipeline(t, noSource)
				p.write("minutes.csv", text.String())
				o := p.with(fmt.Sprintf("%s=%s:%d", fault.Env, k.point, n)).run("import", "minutes.csv", "--interval", "1m")
				if o.signal != syscall.SIGKILL {
					t.Fatalf("%v\nwant it to be killed at %s", o, k.point)
				}
				said := p.must("import", "minutes.csv", "--interval", "1m")
				if again := strings.Contains(said, "already taken"); again != (k.point == "file.taken") {
					t.Errorf("the second import says %s", said)
				}
				p.must("run")
				got := p.rows("SELECT count(*), count(DISTINCT symbol || CAST(ts AS VARCHAR)), sum(close), sum(volume) FROM bars_1m")
				want := [][]string{{"40000", "40000", strconv.Itoa(rows*100 + rows*(rows-1)/2 + rows/4), strconv.Itoa(rows * (rows - 1) / 2)}}
				if !slices.EqualFunc(got, want, slices.Equal) {
					t.Errorf("the table has %v, want %v", got, want)
				}
				if n := p.value("SELECT count(*) FROM ops.fetches WHERE file = 'minutes.csv' AND class = 'ok' AND rows = 20000"); n != "2" {
					t.Errorf("%s fetches are recorded, want one a symbol", n)
				}
				p.conserved()
				p.settled()
				before := p.still()
				if said := p.must("import", "minutes.csv", "--interval", "1m"); !strings.Contains(said, "already taken") {
					t.Errorf("the third import says %s", said)
				}
				p.must("run")
				p.unchangedSince(before)
			})
		}
	}
}

// TestRealFiles brings real files in: every value of daily and minute bars is in prod, and
// what export writes in each form brings the same rows to another lake.
func TestRealFiles(t *testing.T) {
	t.Parallel()
	dir, truth := realPrices(t)
	p := newPipeline(t, noSource)
	minutes := filepath.Join(filepath.Dir(dir), "minute", "SX5E.csv")
	p.must("import", dir, "--interval", "1d", "--basis", "split")
	p.must("import", minutes, "--interval", "1m", "--currency", "EUR")
	p.must("run")

	want := truth.clone()
	low := []string{"2015-03-05", "2015-03-30"} // low is above open
	want["SPY"] = slices.DeleteFunc(want["SPY"], func(b bar) bool { return slices.Contains(low, b.date) })
	p.sameAs("bars_1d", want)
	p.conserved()
	text, err := os.ReadFile(minutes)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(strings.NewReader(string(text))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	got := p.rows("SELECT strftime(ts, '%Y-%m-%dT%H:%M:%SZ'), open, high, low, close, volume FROM bars_1m WHERE symbol = 'SX5E' AND currency = 'EUR' AND final ORDER BY ts")
	if len(got) != len(lines)-1 {
		t.Fatalf("%d minutes are published, the file has %d", len(got), len(lines)-1)
	}
	for i, l := range lines[1:] {
		same := l[0] == got[i][0]
		for j := 1; j < len(l); j++ {
			a, err1 := strconv.ParseFloat(l[j], 64)
			b, err2 := strconv.ParseFloat(got[i][j], 64)
			same = same && err1 == nil && err2 == nil && a == b
		}
		if !same {
			t.Fatalf("row %d is %v, the file says %v", i+1, got[i], l)
		}
	}

	const everything = "SELECT * FROM bars_1d ORDER BY symbol, ts"
	whole := p.must("query", "-f", "csv", everything)
	for _, name := range []string{"bars.parquet", "bars.csv", "bars.csv.gz", "bars.ndjson"} {
		p.must("export", "bars_1d", "-o", name)
		q := newPipeline(t, noSource)
		q.must("import", p.path(name), "--interval", "1d", "--run")
		if q.must("query", "-f", "csv", everything) != whole {
			t.Errorf("%s brings other rows", name)
		}
	}
}
