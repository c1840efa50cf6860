package query_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/query"
)

var tables = []query.Table{
	{Database: "prod", Name: "bars", Format: query.FormatParquet, Columns: []query.Column{{Name: "symbol", Type: "VARCHAR"}}},
	{Database: "raw", Name: "bars", Format: query.FormatNDJSON},
	{Database: "ops", Name: "runs", Format: query.FormatNDJSON},
}

type serialized struct {
	SQL  string          `json:"sql"`
	Tree json.RawMessage `json:"tree"`
}

// corpus is what DuckDB made of statements, good and bad; a test of package duck
// writes it.
func corpus(t testing.TB) []serialized {
	t.Helper()
	f, err := os.Open("testdata/serialized.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var list []serialized
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var c serialized
		if err := json.Unmarshal(s.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		list = append(list, c)
	}
	return list
}

func tree(t testing.TB, sql string) []byte {
	t.Helper()
	for _, c := range corpus(t) {
		if c.SQL == sql {
			return c.Tree
		}
	}
	t.Fatalf("%s is not in the corpus", sql)
	return nil
}

func TestCheckTells(t *testing.T) {
	for sql, want := range map[string]string{
		"FROM raw.bars LIMIT 1 -- the end":                                           "raw.bars",
		"SELECT count(*) AS n FROM runs":                                             "ops.runs",
		"SELECT symbol FROM bars WHERE (symbol, volume) IN (SELECT 'S3', 3)":         "prod.bars",
		"WITH t AS (SELECT 1 AS x), u AS (SELECT x + 1 AS y FROM t) SELECT * FROM u": "",
	} {
		st, err := query.Check(query.Request{SQL: sql, Tables: tables}, tree(t, sql))
		if err != nil {
			t.Errorf("%s\n%v", sql, err)
			continue
		}
		var got []string
		for _, table := range st.Tables {
			got = append(got, table.String())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s\nuses %v, want %s", sql, got, want)
		}
	}
}

// TestCheckFailsClosed changes allowed statements by one thing that Check does
// not know.
func TestCheckFailsClosed(t *testing.T) {
	const sql = "SELECT symbol FROM bars WHERE (symbol, volume) IN (SELECT 'S3', 3)"
	good := tree(t, sql)
	for _, c := range []struct{ old, new string }{
		{`"class":"COLUMN_REF"`, `"class":"BOUND_REF"`},
		{`"class":"COLUMN_REF"`, `"class":7`},
		{`"type":"BASE_TABLE"`, `"type":"BOUND_TABLE_REF"`},
		{`"type":"BASE_TABLE"`, `"type":5`},
		{`"type":"SELECT_NODE"`, `"type":"INSERT_NODE"`},
		{`"function_name":"row"`, `"function_name":"system"`},
		{`"where_clause":`, `"hidden_clause":`},
		{`"id":"VARCHAR"`, `"id":"POINTER"`},
		{`"schema_name":""`, `"schema_name":"secret"`},
		{`"catalog_name":""`, `"catalog_name":"other"`},
		{`"node":`, `"body":`},
	} {
		bad := bytes.ReplaceAll(good, []byte(c.old), []byte(c.new))
		if bytes.Equal(bad, good) {
			t.Errorf("%s is not in the tree", c.old)
		} else if _, err := query.Check(query.Request{SQL: sql, Tables: tables}, bad); err == nil {
			t.Errorf("%s instead of %s is allowed", c.new, c.old)
		}
	}
	for _, bad := range []string{"", "{", "null", "[]", `{"statements":[]}`, `{"statements":[{}]}`, `{"statements":[null]}`, `{"error":true}`} {
		if _, err := query.Check(query.Request{SQL: sql, Tables: tables}, []byte(bad)); err == nil {
			t.Errorf("%q is allowed", bad)
		}
	}
}

func TestVerb(t *testing.T) {
	for sql, want := range map[string]string{
		"copy x": "COPY", " ;; /* a */ -- b\n drop t": "DROP", "": "this statement", "(select 1)": "SELECT", "-- x": "this statement", "/* x": "this statement",
	} {
		if got := query.Verb(sql); got != want {
			t.Errorf("%q: %s, want %s", sql, got, want)
		}
	}
}

func FuzzCheck(f *testing.F) {
	for _, c := range corpus(f) {
		f.Add(c.SQL, []byte(c.Tree))
	}
	f.Fuzz(func(t *testing.T, sql string, tree []byte) {
		st, err := query.Check(query.Request{SQL: sql, Tables: tables}, tree)
		if err != nil {
			if errors.Is(err, tickerlake.Internal) || err.Error() == "" {
				t.Errorf("refused without a reason: %v", err)
			}
			return
		}
		if st == nil {
			t.Fatal("allowed without a statement")
		}
		// What is allowed names no function of the engine's inside, whatever the form.
		low := strings.ToLower(string(tree))
		for _, name := range []string{"read_", "duckdb_", "pragma_", "getenv", "current_setting"} {
			if strings.Contains(low, `"function_name":"`+name) && st.Show == nil && !strings.Contains(low, `"is_null"`) {
				t.Errorf("%s.. is allowed: %s", name, tree)
			}
		}
	})
}
