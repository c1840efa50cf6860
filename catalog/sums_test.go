package catalog_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
)

// written makes a file of prod with a recorded checksum.
func written(t *testing.T, f catalog.Files, location, text string) string {
	t.Helper()
	if err := f.WriteFile(location, []byte(text)); err != nil {
		t.Fatal(err)
	}
	path, err := f.Path(location)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestSums: a file of prod that is not what was written is told from one that is, and
// metadata that is not cannot even be read.
func TestSums(t *testing.T) {
	f := catalog.Files{Root: t.TempDir()}
	const data, meta = "s3://prod/bars_1d/data/2024/a.parquet", "s3://prod/bars_1d/metadata/m.avro"
	texts := map[string]string{data: "the bytes of a data file", meta: "those of a manifest"}
	for location, text := range texts {
		path := written(t, f, location, text)
		if known, err := f.Check(location); !known || err != nil {
			t.Errorf("%s: known %v, %v", location, known, err)
		}
		for at := range len(text) {
			for _, changed := range []string{text[:at], text[:at] + string(text[at]^1) + text[at+1:], text + "x"} {
				if err := os.WriteFile(path, []byte(changed), 0o644); err != nil {
					t.Fatal(err)
				}
				if _, err := f.Check(location); !errors.Is(err, tickerlake.Damaged) || !strings.Contains(err.Error(), location) {
					t.Fatalf("%s as %q: %v", location, changed, err)
				}
				_, err := f.Open(location)
				if _, rerr := f.ReadFile(location); location == meta && (!errors.Is(err, tickerlake.Damaged) || !errors.Is(rerr, tickerlake.Damaged)) {
					t.Fatalf("%s as %q can be read: %v, %v", location, changed, err, rerr)
				}
			}
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Check(location); !errors.Is(err, tickerlake.Damaged) {
			t.Errorf("%s is gone: %v", location, err)
		}
		if err := f.Missing(location); !errors.Is(err, tickerlake.Damaged) {
			t.Errorf("%s is missing: %v", location, err)
		}
		written(t, f, location, text)
	}
	// Damage of the sums takes checksums away, and no file is called damaged for it.
	text, err := os.ReadFile(f.SumsFile("bars_1d"))
	if err != nil {
		t.Fatal(err)
	}
	for at := range text {
		changed := append([]byte(nil), text...)
		changed[at] ^= 1
		if err := os.WriteFile(f.SumsFile("bars_1d"), changed, 0o644); err != nil {
			t.Fatal(err)
		}
		for location := range texts {
			if _, err := f.Check(location); err != nil {
				t.Fatalf("byte %d of the sums: %v", at, err)
			}
		}
	}
	if err := os.WriteFile(f.SumsFile("bars_1d"), text[:len(text)-9], 0o644); err != nil {
		t.Fatal(err)
	}
	written(t, f, "s3://prod/bars_1d/data/2024/b.parquet", "after a line that was cut off")
	if known, err := f.Check("s3://prod/bars_1d/data/2024/b.parquet"); !known || err != nil {
		t.Errorf("after a line that was cut off: known %v, %v", known, err)
	}
}

// TestSumsOfReplaced: the file of before and that of after are both right, since the one
// that reads may come between the line and the file.
func TestSumsOfReplaced(t *testing.T) {
	f := catalog.Files{Root: t.TempDir()}
	const location = "s3://prod/latest/latest.parquet"
	path := written(t, f, location, "one")
	for _, text := range []string{"two", "three"} {
		if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := f.Replace(path+".new", location); err != nil {
			t.Fatal(err)
		}
	}
	for text, right := range map[string]bool{"three": true, "two": true, "one": false} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Check(location); (err == nil) != right {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestSumsArePruned: the sums of files that are gone do not stay for ever.
func TestSumsArePruned(t *testing.T) {
	f := catalog.Files{Root: t.TempDir()}
	for i := range 1000 {
		path := written(t, f, fmt.Sprintf("s3://prod/bars_1d/metadata/%0150d.avro", i), "x")
		if i >= 10 {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	info, err := os.Stat(f.SumsFile("bars_1d"))
	if err != nil || info.Size() > 128<<10 {
		t.Errorf("the sums have %d bytes (%v)", info.Size(), err)
	}
	sums, unreadable, err := f.Sums("bars_1d")
	if err != nil || unreadable > 0 {
		t.Errorf("%d lines cannot be read, %v", unreadable, err)
	}
	for i := range 10 {
		if location := fmt.Sprintf("s3://prod/bars_1d/metadata/%0150d.avro", i); len(sums[location]) != 1 {
			t.Errorf("%s has the sums %v", location, sums[location])
		}
	}
	entries, err := os.ReadDir(filepath.Dir(f.SumsFile("bars_1d")))
	if err != nil || len(entries) != 1 {
		t.Errorf("beside the sums: %v, %v", entries, err)
	}
}
