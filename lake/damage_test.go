package lake_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/lake"
)

// damagedLake is a lake with two tables, three publications, revisions, unfinished bars
// and rows set aside. Nothing in it is wrong.
func damagedLake(t *testing.T) *fixture {
	f := newFixture(t)
	for i := range 3 {
		at, id := fmt.Sprintf("2026-03-02T21:3%d:00.000000Z", i), fmt.Sprintf("f%d", i)
		var docs []any
		for _, table := range []string{"bars_1d", "own_1d"} {
			for s, symbol := range []string{"AAPL", "MSFT", "TSLA"} {
				for day := range 4 + i {
					docs = append(docs, good(symbol, fmt.Sprintf("2026-02-%02d", 10+day), float64(100*(s+1)+day+i)+0.25).
						with("table", table, "fetched_at", at, "fetch_id", id+table))
				}
			}
		}
		docs = append(docs, good("MSFT", "2026-03-03", 33).with("final", false, "fetched_at", at, "fetch_id", id), good("BAD", "2026-02-10", "x").with("fetched_at", at, "fetch_id", id))
		f.put(docs...)
		f.run()
	}
	return f
}

// served is what a reader gets of each table: its rows, or why not. It looks as the
// command query does.
func (f *fixture) served() (rows map[string]string, failures map[string]error) {
	ctx := context.Background()
	rows, failures = map[string]string{}, map[string]error{}
	views, err := f.lake.Views(ctx)
	if err != nil {
		return rows, map[string]error{"": err}
	}
	for _, v := range views {
		if strings.HasPrefix(v.Database, "ops") || v.Name == "bars" {
			continue
		}
		name := v.Database + "." + v.Name
		if err := f.lake.Readable(ctx, v); err != nil {
			failures[name] = err
			continue
		}
		_, got, err := f.engine.Query(ctx, "SELECT * FROM "+f.lake.Rows(v)+" ORDER BY ALL")
		if err != nil {
			failures[name] = err
			continue
		}
		rows[name] = fmt.Sprint(got)
	}
	return rows, failures
}

// examined are the findings of doctor that are not notes.
func (f *fixture) examined(deep bool) []lake.Finding {
	f.Helper()
	found, err := f.lake.Examine(context.Background(), lake.Examination{Deep: deep, Quiet: true})
	if err != nil {
		f.Fatal(err)
	}
	return slices.DeleteFunc(found, func(x lake.Finding) bool { return x.Severity == lake.Note })
}

// TestNothingIsWrong: a lake that nobody has damaged has no findings, with every file
// read and compared.
func TestNothingIsWrong(t *testing.T) {
	f := damagedLake(t)
	found, err := f.lake.Examine(context.Background(), lake.Examination{Deep: true, Quiet: true})
	if err != nil || len(found) > 0 {
		t.Errorf("findings %+v, %v", found, err)
	}
}

// neededFiles are the files of prod that the current snapshots need, by kind.
func (f *fixture) neededFiles() map[string][]string {
	out := map[string][]string{}
	root := filepath.Join(f.dir, "buckets", "prod")
	f.must(filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		kind := filepath.Ext(path)
		switch {
		case strings.Contains(path, ".sums"):
			kind = "checksums"
		case strings.Contains(path, "snap-"):
			kind = "manifest list"
		case kind == ".avro":
			kind = "manifest"
		case strings.Contains(path, "_revisions"):
			kind = "revisions " + kind
		case strings.Contains(path, "latest"):
			kind = "latest"
		}
		out[kind] = append(out[kind], path)
		return nil
	}))
	return out
}

// places are where a file of n bytes is damaged: both ends, and some between.
func places(n int, r *rand.Rand) []int {
	var out []int
	for i := range min(n, 6) {
		out = append(out, i, n-1-i)
	}
	for range 6 {
		out = append(out, r.IntN(n))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// TestDamage flips bytes of every kind of file of prod, and cuts the files, one place at
// a time. A table is then as it was, or refused with the name of the file; the other
// table is as it was; and doctor names the file.
func TestDamage(t *testing.T) {
	f := damagedLake(t)
	truth, failures := f.served()
	if len(failures) > 0 || len(truth) != 5 {
		t.Fatalf("served %v, %v", truth, failures)
	}
	cases := map[string]int{}
	needed := f.neededFiles()
	for i, kind := range slices.Sorted(maps.Keys(needed)) {
		r, files := rand.New(rand.NewPCG(1, uint64(i))), needed[kind]
		slices.Sort(files)
		r.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
		for _, path := range files[:min(len(files), 3)] { // some of each kind are enough
			whole, err := os.ReadFile(path)
			f.must(err)
			info, err := os.Stat(path)
			f.must(err)
			where := places(len(whole), r)
			harm := func(what string, text []byte) {
				cases[kind]++
				if text == nil {
					f.must(os.Remove(path))
				} else {
					f.must(os.WriteFile(path, text, 0o644))
				}
				f.harmed(kind, path, what, truth, cases[kind]%4 == 1)
				f.must(os.WriteFile(path, whole, 0o644))
				f.must(os.Chtimes(path, info.ModTime(), info.ModTime()))
			}
			for i, at := range where {
				text := slices.Clone(whole)
				text[at] ^= byte(1 + r.IntN(255))
				harm(fmt.Sprintf("byte %d of %d is %#x in place of %#x", at, len(whole), text[at], whole[at]), text)
				if i%4 == 0 {
					harm(fmt.Sprintf("it is cut to %d of %d bytes", at, len(whole)), append([]byte{}, whole[:at]...))
				}
			}
			harm("it is gone", nil)
		}
	}
	for _, kind := range []string{".parquet", "revisions .parquet", "latest", "manifest", "manifest list", ".json", "revisions .json", "checksums"} {
		if cases[kind] == 0 {
			t.Errorf("no file of the kind %s was damaged: %v", kind, cases)
		}
	}
	t.Log("cases:", cases)
	if found := f.examined(true); len(found) > 0 {
		t.Errorf("after all was put back: %+v", found)
	}
	if rows, failures := f.served(); len(failures) > 0 || fmt.Sprint(rows) != fmt.Sprint(truth) {
		t.Errorf("after all was put back: %v", failures)
	}
}

// harmed looks at a lake with one damaged file.
func (f *fixture) harmed(kind, path, what string, truth map[string]string, doctor bool) {
	f.Helper()
	name := filepath.Base(path)
	rel, err := filepath.Rel(filepath.Join(f.dir, "buckets", "prod"), path)
	f.must(err)
	table, _, _ := strings.Cut(filepath.ToSlash(rel), "/")
	rows, failures := f.served()
	for of, want := range truth {
		switch err := failures[of]; {
		case err != nil:
			if kind == "checksums" {
				f.Errorf("%s, %s: %s is refused for damaged checksums: %v", rel, what, of, err)
			}
			if strings.TrimPrefix(of, "prod.") != table {
				f.Errorf("%s, %s: %s is refused, which has nothing to do with it: %v", rel, what, of, err)
			}
			if !errors.Is(err, tickerlake.Damaged) || !strings.Contains(err.Error(), name) {
				f.Errorf("%s, %s: the error of %s does not name the file: %v", rel, what, of, err)
			}
		case rows[of] != want:
			f.Errorf("%s, %s: %s serves\n%s\nnot\n%s", rel, what, of, rows[of], want)
		}
	}
	if err := failures[""]; err != nil {
		f.Errorf("%s, %s: nothing can be read: %v", rel, what, err)
	}
	if kind == "checksums" || !doctor {
		return // without them nothing is wrong
	}
	found := f.examined(false)
	named := slices.ContainsFunc(found, func(x lake.Finding) bool { return strings.Contains(x.Where+x.Problem, name) })
	// Metadata of before that no snapshot needs is not looked at.
	if !named && len(failures) > 0 {
		f.Errorf("%s, %s: doctor finds %+v", rel, what, found)
	}
	if !named && kind != ".json" && kind != "revisions .json" {
		f.Errorf("%s, %s: doctor does not name it: %+v", rel, what, found)
	}
}
