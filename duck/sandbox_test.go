package duck

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/query"

	_ "github.com/duckdb/duckdb-go/v2"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == ChildArg {
		if err := Child(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// fixture is a few tables on disk: prod.bars (1,000 rows in two files), raw.bars
// (NDJSON, gzip), ops.runs (without files).
func fixture(t testing.TB) []query.Table {
	t.Helper()
	dir := t.TempDir()
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	path := func(name string) string { return filepath.Join(dir, name) }
	for _, q := range []string{
		`CREATE TABLE bars AS SELECT 'S' || (i % 10) AS symbol, TIMESTAMP '2016-01-04' + INTERVAL 1 DAY * i AS ts,
			100 + i / 8 AS close, i AS volume, i % 2 = 0 AS final FROM range(1000) t(i)`,
		`COPY (FROM bars WHERE volume < 500) TO '` + path("a.parquet") + `' (FORMAT parquet)`,
		`COPY (FROM bars WHERE volume >= 500) TO '` + path("b.parquet") + `' (FORMAT parquet)`,
		`COPY (SELECT symbol, '2026-11-24T20:25:00.5Z' AS ts, '1.50' AS close FROM bars LIMIT 5) TO '` + path("r.json.gz") + `' (FORMAT json, COMPRESSION gzip)`,
	} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path("secret.txt"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	return []query.Table{
		{Database: "prod", Name: "bars", Format: query.FormatParquet, Files: []string{path("a.parquet"), path("b.parquet")},
			Columns: []query.Column{{Name: "symbol", Type: "VARCHAR"}, {Name: "ts", Type: "TIMESTAMP"}, {Name: "close", Type: "DOUBLE"},
				{Name: "volume", Type: "DOUBLE"}, {Name: "final", Type: "BOOLEAN"}}},
		{Database: "raw", Name: "bars", Format: query.FormatNDJSON, Files: []string{path("r.json.gz")},
			Columns: []query.Column{{Name: "symbol", Type: "VARCHAR"}, {Name: "ts", Type: "TIMESTAMP"}, {Name: "close", Type: "VARCHAR"}, {Name: "absent", Type: "BIGINT"}}},
		{Database: "ops", Name: "runs", Format: query.FormatNDJSON,
			Columns: []query.Column{{Name: "id", Type: "VARCHAR"}, {Name: "rows_read", Type: "BIGINT"}, {Name: "at", Type: "TIMESTAMP"}}},
	}
}

func sandbox(t testing.TB, warm int) *Sandbox {
	t.Helper()
	s, err := NewSandbox(Options{TempDir: t.TempDir(), Warm: warm})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if left, _ := os.ReadDir(s.o.TempDir); len(left) > 0 {
			t.Errorf("%d scratch folders are left", len(left))
		}
	})
	return s
}

func run(t testing.TB, s *Sandbox, r query.Request, format string) (string, error) {
	t.Helper()
	var b bytes.Buffer
	err := query.Run(t.Context(), s, r, query.Output{Format: format}, &b)
	return b.String(), err
}

// statements are answered with one row each.
var statements = map[string]string{
	"SELECT count(*) AS n, min(ts) AS a, max(close) AS c FROM bars":                                         `{"n":1000,"a":"2016-01-04 00:00:00","c":224.875}`,
	"SELECT symbol, volume FROM prod.bars WHERE final ORDER BY ts LIMIT 1;":                                 `{"symbol":"S0","volume":0}`,
	"FROM raw.bars LIMIT 1 -- the end":                                                                      `{"symbol":"S0","ts":"2026-11-24 20:25:00.5","close":"1.50","absent":null}`,
	"SELECT count(*) AS n FROM runs":                                                                        `{"n":0}`,
	"WITH t AS (SELECT 1 AS x), u AS (SELECT x + 1 AS y FROM t) SELECT * FROM u":                            `{"y":2}`,
	"WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 3) SELECT sum(n) AS s FROM t": `{"s":6}`,
	"VALUES (1, 'a')":       `{"col0":1,"col1":"a"}`,
	"SELECT 1 AS a, 2 AS a": `{"a":1,"a_2":2}`,
	"SHOW TABLES FROM ops":  `{"database":"ops","name":"runs","format":"ndjson"}`,
	"SELECT 170141183460469231731687303715884105727::HUGEINT AS h, -1.50::DECIMAL(10,2) AS d, 0.1 + 0.2e0 AS f, 0.1::FLOAT AS g":           `{"h":170141183460469231731687303715884105727,"d":-1.50,"f":0.30000000000000004,"g":0.1}`,
	"SELECT 'NaN'::DOUBLE AS n, '-inf'::DOUBLE AS i, NULL AS z, true AS b":                                                                 `{"n":"NaN","i":"-Infinity","z":null,"b":true}`,
	"SELECT [1.5, NULL] AS l, {'a': 1, 'b': DATE '2016-01-04'} AS s, map {'k': 1.10} AS m, [['x']] AS n":                                   `{"l":[1.5,null],"s":{"a":1,"b":"2016-01-04"},"m":{"k":1.10},"n":[["x"]]}`,
	"SELECT DATE '2016-01-04' AS d, TIME '09:30:00.5' AS t, INTERVAL 14 MONTH AS i, TIMESTAMPTZ '2016-01-04 01:00:00+01' AS z":             `{"d":"2016-01-04","t":"09:30:00.5","i":"1 year 2 months","z":"2016-01-04 00:00:00+00"}`,
	"SELECT '{\"a\": 1}'::JSON AS j, 'a'::ENUM('a', 'b') AS e, '550e8400-e29b-41d4-a716-446655440000'::UUID AS u, '\\xAA'::BLOB AS b":      `{"j":{"a": 1},"e":"a","u":"550e8400-e29b-41d4-a716-446655440000","b":"\\xAA"}`,
	"SELECT 18446744073709551615::UBIGINT AS u, [1, 2]::INTEGER[2] AS a, 'infinity'::DATE AS d, row(1, 'x') AS r":                          `{"u":18446744073709551615,"a":[1,2],"d":"infinity","r":[1,"x"]}`,
	"SELECT list_transform([1, 2], lambda x: x + 1) AS l, [x FOR x IN [1, 2] IF x > 1] AS c":                                               `{"l":[2,3],"c":[2]}`,
	"SELECT lag(volume) OVER (ORDER BY ts) AS p FROM bars QUALIFY p = 7":                                                                   `{"p":7}`,
	"SELECT x FROM (VALUES (1), (2)) t(x) EXCEPT SELECT 1":                                                                                 `{"x":2}`,
	"SELECT * FROM (SELECT 1 AS k, 'a' AS y) PIVOT (sum(k) FOR y IN ('a'))":                                                                `{"a":1}`,
	"SELECT sum(i) AS s FROM generate_series(1, 4) g(i), unnest([1]) u(x)":                                                                 `{"s":10}`,
	"SELECT column_name FROM (DESCRIBE prod.bars) LIMIT 1":                                                                                 `{"column_name":"symbol"}`,
	"SELECT b.symbol FROM bars b ASOF JOIN (SELECT TIMESTAMP '2016-01-05' AS ts) q ON b.ts >= q.ts ORDER BY b.ts LIMIT 1":                  `{"symbol":"S1"}`,
	"SELECT CASE WHEN EXISTS (SELECT 1) AND 1 BETWEEN 0 AND 2 AND 'a' LIKE 'A%' IS NOT NULL THEN try_cast('x' AS INTEGER) ELSE 1 END AS c": `{"c":null}`,
	"SELECT extract(year FROM ts) AS y, date_trunc('month', ts) AS m, ts AT TIME ZONE 'UTC' AS z FROM bars ORDER BY ts LIMIT 1":            `{"y":2016,"m":"2016-01-01 00:00:00","z":"2016-01-04 00:00:00+00"}`,
	"SELECT * EXCLUDE (ts, close, volume, final) REPLACE (lower(symbol) AS symbol) FROM bars ORDER BY ts LIMIT 1":                          `{"symbol":"s0"}`,
	"SELECT arg_max(symbol, ts) FILTER (WHERE final) AS s, count(DISTINCT symbol) AS n FROM bars":                                          `{"s":"S8","n":10}`,
	"SELECT grouping(symbol) AS g, count(*) AS n FROM bars GROUP BY GROUPING SETS ((symbol), ()) ORDER BY g DESC LIMIT 1":                  `{"g":1,"n":1000}`,
	"SELECT symbol FROM bars WHERE (symbol, volume) IN (SELECT 'S3', 3)":                                                                   `{"symbol":"S3"}`,
}

func TestStatements(t *testing.T) {
	tables, s := fixture(t), sandbox(t, 1)
	for q, want := range statements {
		got, err := run(t, s, query.Request{SQL: q, Tables: tables}, "ndjson")
		if err != nil {
			t.Errorf("%s\n%v", q, err)
		} else if strings.TrimSpace(got) != want {
			t.Errorf("%s\n got %s\nwant %s", q, got, want)
		}
	}
}

func TestErrors(t *testing.T) {
	tables, s := fixture(t), sandbox(t, 0)
	damaged := tables[0]
	damaged.Name, damaged.Files = "damaged", []string{filepath.Join(t.TempDir(), "none.parquet")}
	tables = append(tables, damaged)
	for q, want := range map[string]struct {
		code tickerlake.Code
		part string
	}{
		"SELEC 1":                       {tickerlake.Invalid, `line 1, column 1: syntax error at or near "SELEC"`},
		"":                              {tickerlake.Invalid, "no statement"},
		"SELECT clse FROM bars":         {tickerlake.Invalid, "LINE 1: SELECT clse"},
		"SELECT cast('abc' AS INTEGER)": {tickerlake.Invalid, "abc"},
		"SELECT nope FROM prod.bars":    {tickerlake.Invalid, "nope"},
		"SELECT *\nFROM prod.barz":      {tickerlake.NotFound, "line 2, column 6: no table prod.barz; there are ops.runs, prod.bars"},
		"SELECT * FROM damaged":         {tickerlake.Damaged, "none.parquet of prod.damaged"},
		"SELECT variant FROM (SELECT 1::BIGNUM AS variant)": {tickerlake.Invalid, "CAST it to VARCHAR"},
		"SELECT '\x00'": {tickerlake.Invalid, "UTF-8"},
		"SELECT list(repeat('x', 1000000) || i) FROM range(100000) t(i)": {tickerlake.Full, "more than its 200 MB of memory"},
	} {
		_, err := run(t, s, query.Request{SQL: q, Tables: tables, MemoryMB: 200}, "csv")
		if tickerlake.CodeOf(err) != want.code || !strings.Contains(fmt.Sprint(err), want.part) {
			t.Errorf("%s\n got %v %v\nwant %v %s", q, tickerlake.CodeOf(err), err, want.code, want.part)
		}
		if err != nil && strings.Contains(err.Error(), os.TempDir()) {
			t.Errorf("%s: the error tells a path: %v", q, err)
		}
	}
}

func TestLimitTruncates(t *testing.T) {
	tables, s := fixture(t), sandbox(t, 0)
	for _, c := range []struct {
		max  int64
		want string
	}{{3, "(the first 3 rows; there are more)"}, {1000, "(1000 rows)"}, {0, "(1000 rows)"}} {
		got, err := run(t, s, query.Request{SQL: "SELECT volume FROM bars ORDER BY ts", Tables: tables, MaxRows: c.max}, "table")
		if err != nil || !strings.HasSuffix(got, c.want+"\n") {
			t.Errorf("at most %d: %v %.200s", c.max, err, got)
		}
	}
}

func TestParquet(t *testing.T) {
	tables, s := fixture(t), sandbox(t, 0)
	var b bytes.Buffer
	if err := s.Parquet(t.Context(), query.Request{SQL: "SELECT symbol, close FROM bars -- all", Tables: tables}, &b); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "x.parquet")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	again := []query.Table{{Database: "prod", Name: "again", Format: query.FormatParquet, Files: []string{file},
		Columns: []query.Column{{Name: "symbol", Type: "VARCHAR"}, {Name: "close", Type: "DOUBLE"}}}}
	got, err := run(t, s, query.Request{SQL: "SELECT count(*) AS n, sum(close) AS s FROM again", Tables: again}, "ndjson")
	if want := `{"n":1000,"s":162437.5}` + "\n"; err != nil || got != want {
		t.Errorf("%v %s, want %s", err, got, want)
	}
	for q := range statements {
		if strings.HasPrefix(q, "SHOW") || strings.Contains(q, "DESCRIBE") {
			continue
		}
		if err := s.Parquet(t.Context(), query.Request{SQL: q, Tables: tables, MaxRows: 10}, io.Discard); err != nil {
			t.Errorf("%s\n%v", q, err)
		}
	}
	for q, code := range map[string]tickerlake.Code{"SHOW TABLES": tickerlake.Invalid, "DROP TABLE bars": tickerlake.Denied} {
		if err := s.Parquet(t.Context(), query.Request{SQL: q, Tables: tables}, &b); tickerlake.CodeOf(err) != code {
			t.Errorf("%s: %v, want %v", q, err, code)
		}
	}
}

// endless is a statement that does not end by itself, and tells nothing meanwhile.
const endless = "SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000000) c WHERE a.range + b.range = -c.range"

func TestStop(t *testing.T) {
	s := sandbox(t, 0)
	t.Run("timeout", func(t *testing.T) {
		_, err := run(t, s, query.Request{SQL: endless, Timeout: 300 * time.Millisecond}, "csv")
		if !errors.Is(err, tickerlake.Timeout) || !strings.Contains(err.Error(), "300ms") {
			t.Error(err)
		}
	})
	t.Run("cancel", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := s.Query(ctx, query.Request{SQL: endless})
			done <- err
		}()
		cancel()
		if err := <-done; !errors.Is(err, tickerlake.Canceled) {
			t.Error(err)
		}
	})
	t.Run("close early", func(t *testing.T) {
		rows, err := s.Query(t.Context(), query.Request{SQL: "SELECT * FROM range(1000000000000)"})
		if err != nil {
			t.Fatal(err)
		}
		if batch, err := rows.Next(); err != nil || len(batch) == 0 || batch[0][0] != int64(0) {
			t.Fatal(batch, err)
		}
		pid := rows.(interface{ processID() int }).processID()
		if err := errors.Join(rows.Close(), rows.Close()); err != nil {
			t.Error(err)
		}
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d is still there: %v", pid, err)
		}
		if _, err := rows.Next(); !errors.Is(err, tickerlake.Canceled) {
			t.Error(err)
		}
	})
	t.Run("killed by another", func(t *testing.T) {
		rows, err := s.Query(t.Context(), query.Request{SQL: "SELECT * FROM range(1000000000000)"})
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		if err := syscall.Kill(rows.(interface{ processID() int }).processID(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = rows.Next()
		}
		if !errors.Is(err, tickerlake.Full) {
			t.Error(err)
		}
	})
}

func TestManyAtOnce(t *testing.T) {
	tables, s := fixture(t), sandbox(t, 2)
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			got, err := run(t, s, query.Request{SQL: fmt.Sprintf("SELECT count(*) + %d AS n FROM bars", i), Tables: tables, MemoryMB: 256}, "ndjson")
			if want := fmt.Sprintf("{\"n\":%d}\n", 1000+i); err != nil || got != want {
				t.Errorf("%v %s, want %s", err, got, want)
			}
		})
	}
	all.Wait()
}

func TestClosedSandbox(t *testing.T) {
	s := sandbox(t, 0)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Query(t.Context(), query.Request{SQL: "SELECT 1"}); !errors.Is(err, tickerlake.Unavailable) {
		t.Error(err)
	}
}

func FuzzDecodeBatch(f *testing.F) {
	for _, v := range []any{nil, true, int64(-5), 1.5, float32(0.5), "text", query.Number("1.50"), query.JSON("[]"), time.Unix(1, 5).UTC()} {
		f.Add(appendValue(nil, v))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		rows, err := decodeBatch(b, 2)
		if err != nil {
			return
		}
		var again []byte
		for _, row := range rows {
			for _, v := range row {
				again = appendValue(again, v)
			}
		}
		if _, err := decodeBatch(again, 2); err != nil {
			t.Error(err)
		}
	})
}

func (r *rows) processID() int { return r.answer.child.process.Pid }
