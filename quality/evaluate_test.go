package quality_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/quality"
)

// ticks is a small table with a row for each kind of trouble.
func ticks(t *testing.T) (*database, quality.Target) {
	d := openDatabase(t)
	return d, d.load(t, "ticks", columnsOf("id bigint; symbol string; ts timestamp; close double; note string"), [][]any{
		{1, "A", "2026-11-20 00:00:00", "10", "ok"},
		{2, "A", "2026-11-20 00:00:00", "11", "ok"},
		{3, "B", "2026-11-20 00:00:00", "-1", " \t"},
		{4, "B", "2026-11-21 00:00:00", nil, ""},
		{5, "C", "2026-11-24 00:00:00", "NaN", "two\nlines"},
		{6, nil, "2026-11-25 00:00:00", "5", nil},
	})
}

func TestEvaluate(t *testing.T) {
	d, target := ticks(t)
	for _, c := range []struct {
		rule    string
		want    quality.Verdict
		message string
	}{
		{`RowCount = 6`, quality.Pass, "the number of rows is 6"},
		{`RowCount > 6`, quality.Fail, "the number of rows is 6, wanted > 6"},
		{`IsComplete "close"`, quality.Fail, "close is NULL in 1 of 6 rows"},
		{`IsComplete "close" where "id <> 4"`, quality.Pass, "all 5 rows pass"},
		{`IsComplete "close" where "id > 99"`, quality.Pass, "no rows: where leaves none"},
		{`IsUnique "id"`, quality.Pass, "all 6 rows pass"},
		{`IsUnique "symbol" "ts"`, quality.Fail, "symbol, ts is not unique in 2 of 6 rows"},
		{`IsPrimaryKey "symbol" "ts"`, quality.Fail, "symbol is NULL in 1 of 6 rows; symbol, ts is not unique in 2 of 6 rows"},
		{`ColumnValues "close" > 0`, quality.Fail, "close is not > 0 in 2 of 6 rows, the least value is -1"},
		{`ColumnValues "close" < 100 where "id = 5"`, quality.Fail, "close is not < 100 in 1 of 1 rows, the greatest value is NaN"},
		{`ColumnValues "close" > 0 with threshold > 0.6`, quality.Pass, "the share of rows that pass is 0.6666666666666666"},
		{`ColumnValues "note" = WHITESPACES_ONLY where "id = 3"`, quality.Pass, "all 1 rows pass"},
		{`ColumnValues "note" matches "two.lines" where "id = 5"`, quality.Fail, `note is not matches "two.lines" in 1 of 1 rows`},
		{`ColumnValues "note" matches "(?s)two.lines" where "id = 5"`, quality.Pass, "all 1 rows pass"},
		{`ColumnValues "note" matches "[" where "id = 5"`, quality.Erred, ""},
		{`ColumnValues "ts" <= now()`, quality.Fail, "ts is not <= now() in 1 of 6 rows"},
		{`ColumnValues "ts" <= (now() + 1 days)`, quality.Pass, "all 6 rows pass"},
		{`ColumnValues "ts" <= (now() + 12 hours)`, quality.Pass, "all 6 rows pass"},
		{`ColumnValues "ts" < (now() + 11 hours)`, quality.Fail, "ts is not < (now() + 11 hours) in 1 of 6 rows"},
		{`DataFreshness "ts" <= 5 days`, quality.Pass, "all 6 rows pass"},
		{`DataFreshness "ts" <= 4 days`, quality.Fail, "the age of ts is not <= 4 days in 3 of 6 rows"},
		{`DataFreshness "ts" < 0 hours where "id = 6"`, quality.Pass, "all 1 rows pass"},
		{`CustomSql "select count(*) from primary where close < 0" = 0`, quality.Fail, "the number is 1, wanted = 0"},
		{`CustomSql "with x as (select * from primary) select max(x.id) from x" = 6`, quality.Pass, "the number is 6"},
		{`CustomSql "select 'x'" = 0`, quality.Erred, `"x" is not a number`},
		{`CustomSql "select id from primary where close > 0 or close is null"`, quality.Fail, "the statement does not give in 1 of 6 rows"},
		{`Mean "close" > 0`, quality.Fail, "the mean of close is NaN, wanted > 0"},
		{`IsComplete "clos"`, quality.Erred, `ticks has no column "clos"; did you mean "close"? (at 1:22 of the rules)`},
		{`(Mean "nope" > 0) or (RowCount > 0)`, quality.Pass, "the number of rows is 6"},
		{`(Mean "nope" > 0) and (RowCount > 0)`, quality.Erred, `ticks has no column "nope"; did you mean "note"? (at 1:17 of the rules)`},
		{`(Mean "nope" > 0) and (RowCount > 9)`, quality.Fail, ""},
		{`(Mean "nope" > 0) or (RowCount > 9)`, quality.Erred, ""},
	} {
		res, err := engine(d).Evaluate(context.Background(), mustParse(t, c.rule), target)
		if err != nil {
			t.Fatal(err)
		}
		r := res.RuleResults[0]
		if r.Result != c.want || c.message != "" && r.EvaluationMessage != c.message {
			t.Errorf("%s\n got  %s: %s\n want %s: %s", c.rule, r.Result, r.EvaluationMessage, c.want, c.message)
		}
	}
}

// TestOneStatement: the aggregates of a ruleset are taken in one pass, equal
// groupings once, and a rule that cannot be run stops no other.
func TestOneStatement(t *testing.T) {
	d, target := ticks(t)
	d.statements = nil
	rs := mustParse(t, `RowCount > 0, IsComplete "id", ColumnValues "close" != 7, Completeness "close" > 0.5,
		IsUnique "id", Uniqueness "id" = 1, DataFreshness "ts" < 9 days`)
	res, err := engine(d).Evaluate(context.Background(), rs, target)
	if err != nil {
		t.Fatal(err)
	}
	if !res.Passed() || res.Score != 1 {
		t.Errorf("score %v, failed %+v", res.Score, res.Failed())
	}
	if len(d.statements) != 2 {
		t.Errorf("%d statements, want 2:\n%s", len(d.statements), strings.Join(d.statements, "\n\n"))
	}
	rs = mustParse(t, `RowCount > 0, RowCount > 0 where "nope = 1", IsComplete "id", IsComplete "close"`)
	if res, err = engine(d).Evaluate(context.Background(), rs, target); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range res.RuleResults {
		got = append(got, string(r.Result))
	}
	if s := strings.Join(got, " "); s != "PASS ERROR PASS FAIL" || res.Score != 0.5 {
		t.Errorf("%s with score %v", s, res.Score)
	}
}

func TestViolations(t *testing.T) {
	d, target := ticks(t)
	for _, c := range []struct{ rule, want string }{
		{`IsComplete "close"`, "4"},
		{`Completeness "close" > 0.99`, "4"},
		{`IsComplete "close" where "id < 4"`, ""},
		{`IsUnique "symbol"`, "1 2 3 4"},
		{`IsUnique "symbol" where "id > 3"`, ""},
		{`IsPrimaryKey "symbol" "ts"`, "1 2 6"},
		{`ColumnValues "close" > 0`, "3 4"},
		{`ColumnValues "close" != NULL`, "4"},
		{`ColumnValues "symbol" in ["A", "B"] where "id > 4"`, "5 6"},
		{`ColumnValues "note" not matches "ok"`, "1 2 4 6"},
		{`(ColumnValues "close" > 0) and (IsPrimaryKey "symbol" "ts")`, "1 2 3 4 6"},
		{`(RowCount > 9) and (IsComplete "close")`, "4"},
		{`(IsComplete "close") or (IsComplete "symbol")`, ""},
		{`(IsComplete "close") or (IsUnique "symbol")`, "4"},
		{`(ColumnValues "close" > 0) or (ColumnValues "symbol" = "A")`, "3 4"},
		{`(IsComplete "close") or (RowCount > 9)`, "none"},
		{`(IsComplete "symbol") and ((ColumnValues "close" > 0) or (ColumnValues "symbol" = "B"))`, "6"},
		{`Uniqueness "symbol" > 0.9`, "1 2 3 4"},
		{`ColumnLength "note" between 0 and 4`, "4 5 6"},
		{`ColumnDataType "note" = "INTEGER" where "id < 3"`, "1 2"},
		{`DataFreshness "ts" <= 4 days`, "1 2 3"},
		{`ReferentialIntegrity "symbol" "primary.symbol" = 1`, "6"},
		{`CustomSql "select id from primary where close > 0"`, "3 4"},
		{`CustomSql "select symbol, note from primary where id in (1, 6)" with threshold > 0.9`, "3 4 5"},
		{`(CustomSql "select id from primary where close > 0") and (IsComplete "symbol")`, "3 4 6"},
		{`(CustomSql "select id from primary where id > 2") and (CustomSql "select id from primary where id < 5")`, "1 2 5 6"},
		{`CustomSql "select 1 as x"`, "none"},
		{`CustomSql "select count(*) from primary" = 1`, "none"},
		{`ColumnValues "close" > last(1)`, "3 4"},
		{`ColumnValues "close" between last(1) and 11`, "2 3 4 5"},
		{`RowCount > 9`, "none"},
		{`Mean "close" > 9`, "none"},
		{`IsComplete "nope"`, "none"},
	} {
		e := engine(d)
		e.History = &past{}
		sql, ok := e.Violations(context.Background(), mustParse(t, c.rule).Rules[0], target)
		got := "none"
		if ok {
			_, rows, err := d.Query(context.Background(), "SELECT string_agg(id, ' ' ORDER BY id) FROM ("+sql+")")
			if err != nil {
				t.Fatalf("%s: %v\n%s", c.rule, err, sql)
			}
			got, _ = rows[0][0].(string)
		}
		if got != c.want {
			t.Errorf("%s: rows %q, want %q\n%s", c.rule, got, c.want, sql)
		}
	}
}

func TestResultShape(t *testing.T) {
	d, target := ticks(t)
	rs, err := quality.Parse(`c = "close" DefaultLabels=["team"="data"] Rules = [ ColumnValues $c < 100 where "close is not null" ]`)
	if err != nil {
		t.Fatal(err)
	}
	res, err := engine(d).Evaluate(context.Background(), rs, target)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(res)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"Score":0,"RuleResults":[{"Name":"Rule_1","Description":"ColumnValues $c \u003c 100 where \"close is not null\"",` +
		`"EvaluationMessage":"close is not \u003c 100 in 1 of 5 rows, the greatest value is NaN","Result":"FAIL",` +
		`"EvaluatedMetrics":{"Column.close.Maximum":"NaN"},"EvaluatedRule":"ColumnValues \"close\" \u003c 100 where \"close is not null\"",` +
		`"Labels":{"team":"data"}}]}`
	if string(got) != want {
		t.Errorf("\n got  %s\n want %s", got, want)
	}
	var back quality.Result
	if err := json.Unmarshal(got, &back); err != nil || !math.IsNaN(back.RuleResults[0].EvaluatedMetrics["Column.close.Maximum"]) {
		t.Errorf("read back: %+v, %v", back, err)
	}
}

func TestCanceled(t *testing.T) {
	d, target := ticks(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := engine(d).Evaluate(ctx, mustParse(t, `RowCount > 0`), target)
	if !errors.Is(err, tickerlake.Canceled) || !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestDialectOnDuckDB runs the building blocks where they can be run.
func TestDialectOnDuckDB(t *testing.T) {
	d := openDatabase(t)
	duck := quality.DuckDB
	nan, null := "CAST('NaN' AS DOUBLE)", "CAST(NULL AS DOUBLE)"
	at := time.Date(2016, 2, 29, 9, 30, 0, 250_000_000, time.FixedZone("", 3600))
	for expression, want := range map[string]any{
		duck.IsNaN(nan): true,
		duck.IsFinite("CAST('Infinity' AS DOUBLE)"):                              false,
		duck.IsFinite("1E0"):                                                     true,
		duck.Greatest("1E0", "3E0", "2E0"):                                       3.0,
		duck.Greatest("1E0", null):                                               nil,
		duck.Least("1E0", nan):                                                   1.0,
		duck.Compare(nan, ">", "5E0", true):                                      true,
		duck.Compare(nan, "<", "5E0", true):                                      false,
		duck.FullMatch("'BRK.B'", `[A-Z]+\.[A-Z]`):                               true,
		duck.FullMatch("'BRK.Bx'", `[A-Z]+\.[A-Z]`):                              false,
		quality.TryCast("'1e3'", "double"):                                       1000.0,
		quality.TryCast("'abc'", "double"):                                       nil,
		quality.Literal("O'Neil"):                                                "O'Neil",
		quality.TimestampLiteral(at):                                             at.UTC(),
		quality.TimestampLiteral(at) + " + " + quality.Interval(-90*time.Minute): at.UTC().Add(-90 * time.Minute),
		quality.DateLiteral(at):                                                  time.Date(2016, 2, 29, 0, 0, 0, 0, time.UTC),
		duck.UTC("TIMESTAMPTZ '2016-02-29 10:00:00+01'"):                         time.Date(2016, 2, 29, 9, 0, 0, 0, time.UTC),
	} {
		_, rows, err := d.Query(context.Background(), "SELECT "+expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		got := rows[0][0]
		if a, ok := got.(time.Time); ok && a.Equal(want.(time.Time)) {
			continue
		}
		if got != want {
			t.Errorf("%s is %v, want %v", expression, got, want)
		}
	}
}
