package lake

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// TestCompactionBounds plays thousands of commits and compactions: no row is rewritten
// more often than the bound says, few files are left, and every row stays in its
// partition.
func TestCompactionBounds(t *testing.T) {
	const target = 1 << 20
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		type tracked struct {
			file
			first    int64 // rows of the smallest file that its rows came with
			rewrites int   // of the most rewritten of its rows
		}
		var live []tracked
		n := 0
		for commit := range 3000 {
			rows := int64(1 + r.ExpFloat64()*float64(1+seed*50))
			live = append(live, tracked{file: file{location: fmt.Sprint(n), partition: "2026", rows: rows, bytes: rows * 14}, first: rows})
			n++
			if commit%(1+int(seed)*7) != 0 {
				continue
			}
			byName := map[string]tracked{}
			var files []file
			for _, f := range live {
				byName[f.location] = f
				files = append(files, f.file)
			}
			for _, g := range compaction(files, target) {
				made := tracked{file: file{location: fmt.Sprint(n), partition: g.partition}, first: math.MaxInt64}
				n++
				for _, f := range g.files {
					was := byName[f.location]
					delete(byName, f.location)
					made.rows, made.bytes = made.rows+f.rows, made.bytes+f.bytes
					made.first, made.rewrites = min(made.first, was.first), max(made.rewrites, was.rewrites+1)
				}
				for _, f := range g.files {
					if made.rows < 2*f.rows {
						t.Fatalf("seed %d: a row moves from a file of %d rows to one of %d", seed, f.rows, made.rows)
					}
				}
				if made.bytes > target {
					t.Fatalf("seed %d: a file of %d bytes, beyond the target of %d", seed, made.bytes, target)
				}
				byName[made.location] = made
			}
			live = live[:0]
			for _, f := range byName {
				live = append(live, f)
			}
		}
		small := 0
		for _, f := range live {
			if f.bytes <= target/2 {
				small++
			}
			if bound := math.Log2(float64(f.rows) / float64(f.first)); float64(f.rewrites) > bound+1e-9 {
				t.Errorf("seed %d: a row of a file of %d rows was rewritten %d times, the bound is %.1f", seed, f.rows, f.rewrites, bound)
			}
		}
		if bound := int(math.Log2(target/14)) + 2 + int(seed)*7; small > bound {
			t.Errorf("seed %d: %d small files are left, want at most %d", seed, small, bound)
		}
	}
}

func TestCompactionGroups(t *testing.T) {
	files := func(partition string, rows ...int64) (out []file) {
		for i, n := range rows {
			out = append(out, file{location: fmt.Sprintf("%s-%d", partition, i), partition: partition, rows: n, bytes: n})
		}
		return out
	}
	for _, c := range []struct {
		name  string
		files []file
		want  string
	}{
		{"nothing", nil, ""},
		{"one", files("a", 5), ""},
		{"two alike", files("a", 5, 5), "a[5 5] "},
		{"one much larger", files("a", 5, 60), ""},
		{"geometric already", files("a", 1, 3, 7, 15, 31), ""},
		{"small ones hidden behind a step", files("a", 1, 10, 10), "a[1 10 10] "},
		{"full files stay", files("a", 90, 90, 51), ""},
		{"partitions do not mix", append(files("a", 5), files("b", 5)...), ""},
		{"beyond the target", files("a", 40, 40, 40, 40), "a[40 40] a[40 40] "},
		{"oversized is split", files("a", 181), "a[181] "},
		{"large is not", files("a", 180), ""},
	} {
		got := ""
		for _, g := range compaction(c.files, 100) {
			var rows []int64
			for _, f := range g.files {
				rows = append(rows, f.rows)
			}
			got += fmt.Sprintf("%s%v ", g.partition, rows)
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
