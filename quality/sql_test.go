package quality_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tickerlake/tickerlake/quality"
)

var update = flag.Bool("update", false, "write the golden files anew")

// recorder is a Querier that answers every statement with ones.
type recorder struct{ statements []string }

func (r *recorder) Query(_ context.Context, sql string) ([]string, [][]any, error) {
	r.statements = append(r.statements, sql)
	if strings.HasSuffix(sql, "LIMIT 0") {
		return []string{"symbol", "ts"}, nil, nil
	}
	n := max(strings.Count(sql, " AS m"), 1)
	if strings.Contains(sql, "of_rows") {
		n = 2
	}
	row := make([]any, n)
	for i := range row {
		row[i] = int64(1)
	}
	return make([]string, n), [][]any{row}, nil
}

var barsTarget = quality.Target{
	Name: "bars", From: `"prod"."bars_1d"`,
	Columns: columnsOf("symbol string; ts timestamp; close double; volume long; final boolean; amount decimal(12,2); seen timestamptz; note string"),
	Sources: map[string]quality.Source{"reference": {From: `"prod"."reference"`, Columns: columnsOf("symbol string; ts timestamp; close double")}, "other": {From: `"prod"."other"`}, "ops.runs": {From: `"ops"."runs"`}},
}

// goldenRules are the rules whose SQL is kept in testdata.
var goldenRules = []struct{ name, rules string }{
	{"gate", `RowCount > 0, IsPrimaryKey "symbol" "ts", IsComplete "close", ColumnValues "close" > 0, DataFreshness "ts" <= 4 days`},
	{"numbers", `ColumnValues "close" between 0 and 100, ColumnValues "volume" in [1, 007, NULL], ColumnValues "amount" != -0.10, ColumnValues "close" not between 1 and 2 * 3, ColumnValues "close" <= 5, ColumnValues "close" = 5, ColumnValues "note" not in [5]`},
	{"texts", `ColumnValues "symbol" in ["O'Neil", EMPTY, NULL], ColumnValues "symbol" not in [WHITESPACES_ONLY], ColumnValues "symbol" matches "[A-Z.]+" with threshold > 0.9, ColumnValues "symbol" not matches "x", ColumnValues "close" = "100", ColumnValues "final" = "true"`},
	{"dates", `ColumnValues "ts" <= now(), ColumnValues "ts" between "2016-01-01" and (now() + 2 days), ColumnValues "seen" > (now() - 2 hours), ColumnValues "note" != "2016-01-01", DataFreshness "seen" not between 1 hours and 2 days`},
	{"statistics", `Mean "close" > 0, Sum "volume" > 0 where "final", StandardDeviation "close" < 9, Variance "amount" < 9, ColumnCorrelation "close" "volume" > 0, Entropy "symbol" > 0, DistinctValuesCount "symbol" > 1 where "final", UniqueValueRatio "note" > 0.5`},
	{"types", `ColumnLength "note" between 1 and 9, ColumnLength "note" not in [0, 4], ColumnDataType "note" = "INTEGER", ColumnDataType "note" in ["DATE", "TIMESTAMP"] with threshold > 0.9, ColumnDataType "note" != "DECIMAL(10,2)", ColumnDataType "close" = "BOOLEAN"`},
	{"sources", `RowCountMatch "reference" = 1, ReferentialIntegrity "symbol,ts" "reference.{symbol,ts}" > 0.9, DatasetMatch "reference" "symbol,ts" "close" = 1, AggregateMatch "sum(close)" "avg(reference.close)" = 1`},
	{"where", `Completeness "close" > 0.9 where "symbol = 'SPY' and primary.volume > 0", Uniqueness "symbol" "note" > 0.5 where "final", RowCount > 3 where "final"`},
	{"sql", `CustomSql "select count(*) from primary join reference using (symbol)" = 0, CustomSql "select symbol, ts from primary where close > 0 -- all" with threshold > 0.9, CustomSql "select count(*) from OPS.runs r where x.ops.runs = 'ops.runs' and ops.runs.state = 1" = 0`},
}

func TestGoldenSQL(t *testing.T) {
	for _, d := range []quality.Dialect{quality.DuckDB, quality.Trino} {
		for _, g := range goldenRules {
			rec := &recorder{}
			rs := mustParse(t, g.rules)
			e := quality.Engine{Querier: rec, Dialect: d, Clock: fixedClock}
			if _, err := e.Evaluate(context.Background(), rs, barsTarget); err != nil {
				t.Fatal(err)
			}
			got := "-- " + strings.ReplaceAll(strings.TrimSpace(rs.String()), "\n", "\n-- ") + "\n" +
				strings.Join(rec.statements, ";\n\n") + ";\n"
			for _, r := range rs.Rules {
				if sql, ok := e.Violations(context.Background(), r, barsTarget); ok {
					got += fmt.Sprintf("\n-- rows that break %s\n%s;\n", r, sql)
				}
			}
			compareGolden(t, filepath.Join("testdata", g.name+"."+d.Name()+".sql"), got)
		}
	}
}

func compareGolden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -update writes it anew):\n%s", path, got)
	}
}
