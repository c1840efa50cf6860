package e2e

import (
	"encoding/csv"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rows answers a query, without its header.
func (p *pipeline) rows(sql string) [][]string {
	p.t.Helper()
	all, err := csv.NewReader(strings.NewReader(p.must("query", "-f", "csv", sql))).ReadAll()
	if err != nil {
		p.t.Fatalf("%s: %v", sql, err)
	}
	return all[1:]
}

// value answers a query for one value.
func (p *pipeline) value(sql string) string {
	p.t.Helper()
	rows := p.rows(sql)
	if len(rows) != 1 || len(rows[0]) != 1 {
		p.t.Fatalf("%s gives %q: want one value", sql, rows)
	}
	return rows[0][0]
}

// published reads prices out of a table; every key must be there once.
func (p *pipeline) published(table string) prices {
	p.t.Helper()
	out := prices{}
	seen := map[string]bool{}
	for _, r := range p.rows("SELECT symbol, CAST(ts AS date), open, high, low, close, adj_close, volume FROM " + table + " ORDER BY symbol, ts, fetched_at") {
		key := r[0] + " " + r[1]
		if seen[key] {
			p.t.Errorf("%s: %s is there twice", table, key)
		}
		seen[key] = true
		b := bar{date: r[1]}
		for i, to := range []*float64{&b.open, &b.high, &b.low, &b.close, &b.adj, &b.volume} {
			var err error
			if *to, err = strconv.ParseFloat(r[i+2], 64); err != nil {
				p.t.Fatalf("%s: %s: %v", table, key, err)
			}
		}
		out[r[0]] = append(out[r[0]], b)
	}
	return out
}

// sameAs demands that a table holds exactly these prices.
func (p *pipeline) sameAs(table string, want prices) {
	p.t.Helper()
	if diff := difference(p.published(table), want); diff != "" {
		p.t.Errorf("%s is not what the market said:\n%s", table, diff)
	}
}

// difference tells the first bars that differ.
func difference(got, want prices) string {
	type key struct{ symbol, date string }
	index := func(p prices) map[key]bar {
		out := map[key]bar{}
		for symbol, bars := range p {
			for _, b := range bars {
				out[key{symbol, b.date}] = b
			}
		}
		return out
	}
	g, w := index(got), index(want)
	var lines []string
	for k, b := range w {
		if have, ok := g[k]; !ok {
			lines = append(lines, fmt.Sprintf("%s %s is missing", k.symbol, k.date))
		} else if have != b {
			lines = append(lines, fmt.Sprintf("%s: got %v, want %v", k.symbol, have, b))
		}
	}
	for k := range g {
		if _, ok := w[k]; !ok {
			lines = append(lines, fmt.Sprintf("%s %s should not be there", k.symbol, k.date))
		}
	}
	slices.Sort(lines)
	if n := len(lines); n > 10 {
		lines = append(lines[:10], fmt.Sprintf(".. and %d more", n-10))
	}
	return strings.Join(lines, "\n")
}

// conserved demands that no run of the lake lost or made up a row.
func (p *pipeline) conserved() {
	p.t.Helper()
	lost := p.rows(`SELECT id, rows_read, inserted, replaced, unchanged, superseded, quarantined, not_final, waiting FROM ops.runs
		WHERE state = 'COMPLETED' AND rows_read <> inserted + replaced + unchanged + superseded + quarantined + not_final + waiting`)
	if len(lost) > 0 {
		p.t.Errorf("rows are not conserved in the runs %v", lost)
	}
}

// A table is one of the answer of tickerlake tables --json.
type table struct {
	Database string `json:"database"`
	Name     string `json:"name"`
	Rows     int64  `json:"rows"`
	Snapshot int64  `json:"snapshot"`
}

// snapshots gives the snapshot of each table of prod.
func (p *pipeline) snapshots() map[string]int64 {
	p.t.Helper()
	var all []table
	p.mustJSON(&all, "tables")
	out := map[string]int64{}
	for _, t := range all {
		if t.Database == "prod" {
			out[t.Name] = t.Snapshot
		}
	}
	return out
}

// files gives every file of the prod bucket with its size and time of change.
func (p *pipeline) files() map[string]string {
	p.t.Helper()
	out := map[string]string{}
	root := p.path("lake", "buckets", "prod")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		out[name] = fmt.Sprintf("%d bytes of %s", info.Size(), info.ModTime())
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		p.t.Fatal(err)
	}
	return out
}

// A still is what must not change when nothing new has come.
type still struct {
	snapshots map[string]int64
	files     map[string]string
}

func (p *pipeline) still() still { return still{p.snapshots(), p.files()} }

// unchangedSince demands that prod is as it was: same snapshots, same files.
func (p *pipeline) unchangedSince(before still) {
	p.t.Helper()
	now := p.still()
	if !maps.Equal(now.snapshots, before.snapshots) {
		p.t.Errorf("the snapshots of prod have changed: %v, were %v", now.snapshots, before.snapshots)
	}
	if !maps.Equal(now.files, before.files) {
		p.t.Errorf("the files of prod have changed:\n%s", mapDifference(now.files, before.files))
	}
}

func mapDifference(got, want map[string]string) string {
	var lines []string
	for name, is := range got {
		if was, ok := want[name]; !ok {
			lines = append(lines, name+" is new")
		} else if is != was {
			lines = append(lines, name+": "+is+", was "+was)
		}
	}
	for name := range want {
		if _, ok := got[name]; !ok {
			lines = append(lines, name+" is gone")
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// TestDifference makes sure that the comparison sees what it is for.
func TestDifference(t *testing.T) {
	truth := history("2024-01-01", 3, "AAA", "BBB")
	if diff := difference(truth.clone(), truth); diff != "" {
		t.Errorf("a copy differs: %s", diff)
	}
	for what, change := range map[string]func(prices){
		"is missing":          func(p prices) { p["AAA"] = p["AAA"][1:] },
		"want":                func(p prices) { p["BBB"][1].close += 0.01 },
		"should not be there": func(p prices) { p["CCC"] = p["AAA"] },
	} {
		other := truth.clone()
		change(other)
		if diff := difference(other, truth); !strings.Contains(diff, what) {
			t.Errorf("got %q, want %q", diff, what)
		}
	}
}
