package quality_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// dataFile is a file of the test data, which lies outside of the repository.
func dataFile(t *testing.T, name string) string {
	t.Helper()
	root := os.Getenv("TICKERLAKE_TESTDATA")
	if root == "" {
		t.Skip("SKIPPED: TICKERLAKE_TESTDATA is not set; the cases of the reference implementations were not run")
	}
	return filepath.Join(root, "dqdl", name)
}

// readLines decodes a file of JSON lines.
func readLines[T any](t *testing.T, name string) []T {
	t.Helper()
	f, err := os.Open(dataFile(t, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []T
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var x T
		if err := json.Unmarshal(lines.Bytes(), &x); err != nil {
			t.Fatalf("%s, line %d: %v", name, len(all)+1, err)
		}
		all = append(all, x)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// wantShare is the share of cases that must agree, from testdata/agreement.json. It
// may only rise.
func wantShare(t *testing.T, what string) float64 {
	t.Helper()
	data, err := os.ReadFile("testdata/agreement.json")
	if err != nil {
		t.Fatal(err)
	}
	var shares map[string]float64
	if err := json.Unmarshal(data, &shares); err != nil {
		t.Fatal(err)
	}
	s, ok := shares[what]
	if !ok {
		t.Fatalf("testdata/agreement.json has no share for %q", what)
	}
	return s
}
