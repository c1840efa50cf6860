package duck

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/query"
)

var update = flag.Bool("update", false, "write the serialized statements that package query is tested with")

// A refusal is a line of testdata/refused.txt.
type refusal struct {
	code   tickerlake.Code
	reason string
	sql    string
}

func refusals(t *testing.T, tables []query.Table) []refusal {
	t.Helper()
	text, err := os.ReadFile("testdata/refused.txt")
	if err != nil {
		t.Fatal(err)
	}
	data := tables[0].Files[0]
	names := strings.NewReplacer("{data}", data, "{secret}", filepath.Join(filepath.Dir(data), "secret.txt"))
	var list []refusal
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		parts := strings.SplitN(line, " | ", 3)
		list = append(list, refusal{tickerlake.Code(parts[0]), parts[1], names.Replace(parts[2])})
	}
	return list
}

func TestRefused(t *testing.T) {
	tables, s := fixture(t), sandbox(t, 2)
	for _, c := range refusals(t, tables) {
		out, err := run(t, s, query.Request{SQL: c.sql, Tables: tables}, "csv")
		if err == nil {
			t.Errorf("%s\nwas answered: %s", c.sql, out)
		} else if tickerlake.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%s\n got %s: %v\nwant %s: .. %s", c.sql, tickerlake.CodeOf(err), err, c.code, c.reason)
		} else if c.code == tickerlake.Denied && !strings.Contains(err.Error(), "is allowed") {
			t.Errorf("%s\ndoes not say what is allowed: %v", c.sql, err)
		}
	}
}

// locked is a database as it is when a user's statement runs, without the check
// of the statement.
func locked(t *testing.T, tables []query.Table) (*database, string) {
	t.Helper()
	db, err := openChild()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.close)
	scratch := t.TempDir()
	r := wireRequest{Request: query.Request{Tables: tables, MemoryMB: 256, Threads: 1, Path: query.DefaultPath}, Scratch: scratch}
	if err := db.prepare(r, tables); err != nil {
		t.Fatal(err)
	}
	return db, scratch
}

// TestLockedWithoutCheck shows that DuckDB itself stops what reaches out: the
// second wall holds alone. (The search path is not under its lock; with it one can
// name the same tables.)
func TestLockedWithoutCheck(t *testing.T) {
	tables := fixture(t)
	dir := filepath.Dir(tables[0].Files[0])
	db, scratch := locked(t, tables)
	for _, sql := range []string{
		"SELECT * FROM read_text('/etc/passwd')",
		"SELECT * FROM read_blob('/proc/self/environ')",
		"SELECT * FROM read_text('" + dir + "/secret.txt')",
		"SELECT * FROM read_csv('" + dir + "/*')",
		"SELECT * FROM glob('" + dir + "/*')",
		"SELECT * FROM '/etc/passwd'",
		"SELECT * FROM 'http://127.0.0.1:1/x.parquet'",
		"SELECT * FROM read_parquet('s3://bucket/x.parquet')",
		"SELECT getenv('HOME')",
		"COPY (SELECT 1) TO '" + dir + "/new.parquet'",
		"COPY (SELECT 1) TO '" + tables[0].Files[0] + "'",
		"COPY (SELECT 1) TO '" + scratch + "/../out.csv'",
		"ATTACH '" + dir + "/new.db'",
		"EXPORT DATABASE '" + dir + "/export'",
		"INSTALL httpfs", "LOAD httpfs", "LOAD '" + dir + "/x.duckdb_extension'",
		"SET enable_external_access=true", "SET lock_configuration=false", "RESET lock_configuration",
		"SET allowed_directories=['/']", "SET allowed_paths=['/etc/passwd']", "RESET enable_external_access",
		"SET memory_limit='100GB'", "PRAGMA threads=64", "SET temp_directory='/tmp'",
		"SET autoinstall_known_extensions=true", "SET TimeZone='America/New_York'",
	} {
		if err := db.exec(sql); err == nil {
			t.Errorf("%s: worked", sql)
		}
	}
	for _, f := range []string{"new.parquet", "new.db", "export"} {
		if _, err := os.Stat(filepath.Join(dir, f)); err == nil {
			t.Errorf("%s was written", f)
		}
	}
	if err := db.exec("SELECT * FROM bars"); err != nil {
		t.Errorf("what is allowed does not work: %v", err)
	}
}

// TestEnvironment looks at a child from outside: nothing of the parent's
// environment is in it.
func TestEnvironment(t *testing.T) {
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		t.Skip("no /proc here")
	}
	t.Setenv("TICKERLAKE_SECRET", "hunter2")
	s := sandbox(t, 0)
	got, err := s.Query(t.Context(), query.Request{SQL: "SELECT * FROM range(100000000000)"})
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", got.(*rows).processID()))
	if err != nil || len(env) > 0 {
		t.Errorf("%v, %d bytes of environment", err, len(env))
	}
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", got.(*rows).processID()))
	if err != nil || !strings.HasPrefix(cwd, s.o.TempDir) {
		t.Errorf("%v, works in %s", err, cwd)
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", got.(*rows).processID()))
	if err != nil || len(files) > 16 {
		t.Errorf("%v, %d open files", err, len(files))
	}
}

// TestAbandonedChild closes a child's input, as the end of its parent does.
func TestAbandonedChild(t *testing.T) {
	for _, busy := range []bool{false, true} {
		c, err := startChild(Options{Exe: os.Args[0], TempDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		if busy {
			r := wireRequest{Request: query.Request{SQL: endless, MemoryMB: 256, Threads: 1}, Scratch: c.scratch}
			if err := writeJSONFrame(c.stdin, frameRequest, r); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.stdin.Close(); err != nil {
			t.Fatal(err)
		}
		<-c.exited
		if _, err := os.Stat(c.scratch); err == nil {
			t.Errorf("busy %v: the scratch folder is left", busy)
		}
		c.end()
	}
}

func TestChildRefusesNonsense(t *testing.T) {
	var in bytes.Buffer
	if err := writeFrame(&in, 'X', []byte("{}")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if err := Child(context.Background(), &in, &bytes.Buffer{}); err == nil {
		t.Error("a frame that is no request was taken")
	}
}

func TestMemoryBeyondDuckDB(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("no bound on memory here")
	}
	s := sandbox(t, 0)
	// These texts are made outside of what DuckDB counts.
	for _, sql := range []string{"SELECT length(printf('%2000000000d', 1))", "SELECT length(format('{:>2000000000}', 'a'))"} {
		if _, err := run(t, s, query.Request{SQL: sql, MemoryMB: 64}, "csv"); tickerlake.CodeOf(err) != tickerlake.Full {
			t.Errorf("%s: got %v", sql, err)
		}
	}
}

// TestFunctions finds names in functions.txt that this DuckDB does not have.
func TestFunctions(t *testing.T) {
	db, err := openChild()
	if err != nil {
		t.Fatal(err)
	}
	defer db.close()
	all, err := db.text("SELECT string_agg(DISTINCT lower(function_name), ' ') FROM duckdb_functions()")
	if err != nil {
		t.Fatal(err)
	}
	// the grammar's own, which stand for operators or macros of the parser
	known := append(strings.Fields(all), "coalesce", "ifnull", "current_localtimestamp", "current_localtime")
	for _, name := range query.Functions() {
		if !slices.Contains(known, name) {
			t.Errorf("functions.txt has %s, DuckDB has not", name)
		}
	}
}

// TestSerialized keeps query/testdata/serialized.ndjson, which package query
// checks and fuzzes without an engine, as this DuckDB writes it.
func TestSerialized(t *testing.T) {
	db, err := openChild()
	if err != nil {
		t.Fatal(err)
	}
	defer db.close()
	var list []string
	for sql := range statements {
		list = append(list, sql)
	}
	for _, c := range refusals(t, []query.Table{{Files: []string{"/data/a.parquet"}}}) {
		list = append(list, c.sql)
	}
	slices.Sort(list)
	var want bytes.Buffer
	w := json.NewEncoder(&want)
	w.SetEscapeHTML(false)
	for _, sql := range list {
		tree, err := db.serialize(sql)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Encode(map[string]any{"sql": sql, "tree": json.RawMessage(tree)}); err != nil {
			t.Fatal(err)
		}
	}
	const file = "../query/testdata/serialized.ndjson"
	if *update {
		if err := os.WriteFile(file, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s is not what this DuckDB writes (%v): run go test ./duck -run TestSerialized -update, and review the difference", file, err)
	}
}

func BenchmarkQuery(b *testing.B) {
	tables := fixture(b)
	for _, warm := range []int{0, 2} {
		b.Run(fmt.Sprintf("warm=%d", warm), func(b *testing.B) {
			s := sandbox(b, warm)
			for b.Loop() {
				if _, err := run(b, s, query.Request{SQL: "SELECT count(*) FROM bars", Tables: tables}, "csv"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("rows", func(b *testing.B) {
		s := sandbox(b, 0)
		const n = 1_000_000
		for b.Loop() {
			out := bufio.NewWriter(&bytes.Buffer{})
			r := query.Request{SQL: fmt.Sprintf("SELECT 'AAPL' AS symbol, TIMESTAMP '2016-01-04' AS ts, i * 0.5e0 AS close FROM range(%d) t(i)", n)}
			if err := query.Run(b.Context(), s, r, query.Output{Format: "csv"}, out); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	})
}
