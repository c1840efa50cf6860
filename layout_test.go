package tickerlake_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/tickerlake/tickerlake"

// steps gives each package its step in the flow. A package may import packages of
// lower steps only; packages on one step do not know each other.
var steps = map[string]int{
	".": 0,

	"schedule": 1, "blob": 1, "catalog": 1, "quality": 1,

	"collect": 2, "deliver": 2, "flow": 2, "lake": 2, "query": 2,

	"serve": 3, "backup": 3, "duck": 3, "aws": 3, "config": 3,

	"cmd/tickerlake": 4, "cmd/tickerlake-lambda": 4, "cmd/tickerlake-job": 4,
}

// within are parts of a package that stand in a folder of their own: the package
// may not import them, they may import it.
var within = map[string]string{
	"collect/simulate": "collect",
	"collect/file":     "collect",
}

// anywhere may be imported by every package but the root; their own imports are
// limited to the root.
var anywhere = map[string]bool{"watch": true, "internal/fault": true}

// testOnly packages are imported by tests alone, and may import anything.
var testOnly = map[string]bool{"internal/porttest": true, "internal/e2e": true, "internal/bench": true}

// owners are the only packages that may import a module, tests aside.
var owners = map[string]string{
	"github.com/duckdb/":         "duck",
	"github.com/aws/aws-sdk-go":  "aws",
	"github.com/spf13/cobra":     "cmd/tickerlake",
	"github.com/itchyny/gojq":    "collect",
	"github.com/apache/iceberg-": "catalog lake",
}

// folders without Go packages.
var plain = map[string]bool{"docs": true, "deploy": true, "ui": true, "tools": true, "bin": true}

func TestLayout(t *testing.T) {
	files := map[string][]string{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			name := d.Name()
			if path != "." && (strings.HasPrefix(name, ".") || name == "testdata" || plain[path]) {
				return fs.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(path, ".go") {
			files[filepath.Dir(path)] = append(files[filepath.Dir(path)], path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, paths := range files {
		if !known(dir) {
			t.Errorf("%s: a package that the layout does not know; give it a step in layout_test.go, or move it", dir)
			continue
		}
		for _, path := range paths {
			checkImports(t, dir, path)
		}
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := e.Name()
		if !e.IsDir() || strings.HasPrefix(name, ".") || plain[name] || name == "internal" || name == "cmd" {
			continue
		}
		if _, ok := steps[name]; !ok && !anywhere[name] {
			t.Errorf("%s/: a folder that the layout does not know", name)
		}
	}
}

func known(dir string) bool {
	_, step := steps[dir]
	_, part := within[dir]
	return step || part || anywhere[dir] || testOnly[dir]
}

func checkImports(t *testing.T, dir, path string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Error(err)
		return
	}
	test := strings.HasSuffix(path, "_test.go") || testOnly[dir]
	for _, spec := range f.Imports {
		imp, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Error(err)
			continue
		}
		if test {
			continue
		}
		if why := forbidden(dir, imp); why != "" {
			t.Errorf("%s imports %s: %s", path, imp, why)
		}
	}
}

// forbidden says why dir may not import imp, or nothing if it may.
func forbidden(dir, imp string) string {
	if imp != module && !strings.HasPrefix(imp, module+"/") {
		if dir == "." && strings.Contains(strings.Split(imp, "/")[0], ".") {
			return "the root knows the standard library only"
		}
		for prefix, owner := range owners {
			if strings.HasPrefix(imp, prefix) && !strings.Contains(" "+owner+" ", " "+top(dir)+" ") {
				return "only " + owner + " may"
			}
		}
		return ""
	}
	to := strings.TrimPrefix(strings.TrimPrefix(imp, module), "/")
	if to == "" {
		return ""
	}
	switch {
	case testOnly[to]:
		return "only tests may"
	case anywhere[to]:
		if dir == "." {
			return "the root imports nothing of the program"
		}
		return ""
	case anywhere[dir]:
		return dir + " may import the root only"
	}
	if whole, ok := within[dir]; ok {
		if to == whole || step(to) < steps[whole] {
			return ""
		}
		return "a part of " + whole + " may import what " + whole + " may"
	}
	if step(to) >= step(dir) {
		return "imports point down the flow only"
	}
	return ""
}

func step(dir string) int {
	if whole, ok := within[dir]; ok {
		return steps[whole]
	}
	return steps[dir]
}

// top is the package that owns a part.
func top(dir string) string {
	if whole, ok := within[dir]; ok {
		return whole
	}
	return dir
}

// TestLayoutRules breaks each rule once.
func TestLayoutRules(t *testing.T) {
	for _, c := range []struct {
		dir, imp string
		ok       bool
	}{
		{"collect", module, true},
		{"lake", module + "/catalog", true},
		{"lake", module + "/deliver", false},
		{"catalog", module + "/lake", false},
		{"duck", module + "/lake", true},
		{"lake", module + "/duck", false},
		{"cmd/tickerlake", module + "/duck", true},
		{".", module + "/catalog", false},
		{".", "github.com/spf13/cobra", false},
		{"collect", module + "/watch", true},
		{"watch", module + "/collect", false},
		{"lake", "github.com/duckdb/duckdb-go/v2", false},
		{"duck", "github.com/duckdb/duckdb-go/v2", true},
		{"collect/simulate", module + "/collect", true},
		{"collect", module + "/collect/simulate", false},
		{"deliver", module + "/internal/porttest", false},
	} {
		if why := forbidden(c.dir, c.imp); (why == "") != c.ok {
			t.Errorf("%s imports %s: allowed %v, want %v (%s)", c.dir, c.imp, why == "", c.ok, why)
		}
	}
}
