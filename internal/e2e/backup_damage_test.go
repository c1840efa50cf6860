package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBackupDamaged changes a byte of copies, and of files of the lake. What is damaged in
// the backup is found, not restored, and copied again; what is damaged in the lake is told
// of, and what an older generation has of it stays.
func TestBackupDamaged(t *testing.T) {
	t.Parallel()
	truth := history("2024-03-01", 30, "AAA", "BBB")
	m := newMarket(t, truth)
	p := newPipeline(t, seedFile(m.URL, "AAA, BBB"))
	p.must("fetch")
	p.must("run")
	dir := p.path("backup")
	p.must("backup", dir)

	// Each copy in turn.
	copies, err := filepath.Glob(filepath.Join(dir, "files", "*", "*"))
	if err != nil || len(copies) < 10 {
		t.Fatalf("%v, %v", copies, err)
	}
	for i, path := range copies {
		if info, err := os.Stat(path); err != nil || info.Size() == 0 || i%5 != 0 {
			continue
		}
		p.damage(path, 0.5)
		q := newPipeline(t, seedFile(m.URL, "AAA, BBB"))
		q.want(1, "restore", dir).says(t, "is not what was written: restore another generation")
		if _, err := os.Stat(q.path("lake")); err == nil {
			t.Fatal("there is a lake all the same")
		}
		p.want(1, "backup", "--verify", dir).says(t, "the copy is not what was written; it is put aside")
		p.want(1, "backup", "--verify", dir).says(t, "the copy is missing")
		p.must("backup", dir, "--keep", "1")
		_, err := os.Stat(path)
		if _, aside := os.Stat(path + ".damaged"); aside == nil {
			t.Errorf("%s.damaged is still there", path)
		}
		p.verified(dir, 1)
		if err == nil {
			q.must("restore", dir)
			q.healthy()
			q.sameAs("bars_1d", truth)
		}
	}

	// The list of a generation.
	p.must("backup", dir)
	lists, err := filepath.Glob(filepath.Join(dir, "generations", "*.json.gz"))
	if err != nil || len(lists) != 2 {
		t.Fatalf("%v, %v", lists, err)
	}
	p.damage(lists[1], 0.6)
	p.want(1, "backup", "--verify", dir).says(t, "the list of the generation's files is not what was written")
	p.want(1, "restore", dir, "--to", p.path("look")).says(t, "use another generation")
	id := strings.TrimSuffix(filepath.Base(lists[0]), ".json.gz")
	p.must("restore", dir, "--to", p.path("look"), "--generation", id)
	p.must("backup", dir, "--keep", "1")
	p.verified(dir, 1)

	// A data file that the backup has is not asked of the lake again; a new one that is
	// damaged is told of.
	old := p.filesOf("buckets/prod/bars_1d/data/*/*.parquet")
	p.damage(old[0], 0.5)
	p.must("backup", dir)
	m.set(history("2024-03-01", 33, "AAA", "BBB"))
	p.must("fetch")
	raw := p.objects()
	p.damage(raw[len(raw)-1], 0.5)
	var made taken
	o := p.want(1, "backup", dir, "--json", "--keep", "1")
	o.says(t, "the generation has these files as they are, and nothing was pruned")
	if err := json.Unmarshal([]byte(o.stdout), &made); err != nil || len(made.Problems) != 1 || !strings.Contains(made.Problems[0].Path, filepath.Base(raw[len(raw)-1])) || len(made.Pruned) != 0 {
		t.Errorf("%v\n%v", err, o)
	}
	q := newPipeline(t, seedFile(m.URL, "AAA, BBB"))
	q.must("restore", dir)
	q.sameAs("bars_1d", truth) // the whole copy of the data file
	q.want(0, "run").says(t, "raw object is damaged")
	q.must("fetch")
	q.must("run")
	q.sameAs("bars_1d", history("2024-03-01", 33, "AAA", "BBB"))
}
