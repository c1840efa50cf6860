package quality_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/tickerlake/tickerlake/quality"
)

// past is a History in memory: values by statistic, the newest first.
type past struct {
	values map[string][]float64
	asked  []string
	broken error
}

func (p *past) Earlier(_ context.Context, statistic string, n int) ([]float64, error) {
	p.asked = append(p.asked, statistic)
	v := p.values[statistic]
	return v[:min(n, len(v))], p.broken
}

// keep adds what a result measured.
func (p *past) keep(r *quality.Result) {
	if p.values == nil {
		p.values = map[string][]float64{}
	}
	for name, v := range r.Statistics {
		p.values[name] = append([]float64{v}, p.values[name]...)
	}
}

func TestDynamicRules(t *testing.T) {
	d, target := quotes(t)
	h := &past{values: map[string][]float64{
		"Dataset.*.RowCount":                                                {4, 2, 9},
		`Dataset.*.RowCount where "final"`:                                  {1},
		"Column.price.Mean":                                                 {30, 10, 20, 40},
		"Column.price.Minimum":                                              {11},
		"Column.price.Maximum":                                              {30},
		"Column.price.ColumnValues.Compliance > 0":                          {0.5},
		"Column.Symbol.MaximumLength":                                       {5},
		`Dataset.*.CustomSQL "select 7"`:                                    {7, 1},
		"Multicolumn.Symbol,day.Uniqueness":                                 {0.5},
		"Column.lot,price.AggregateMatch \"sum(lot)\" \"sum(other.price)\"": {0.1},
	}}
	for _, c := range []struct {
		rule      string
		want      quality.Verdict
		evaluated string
	}{
		{`RowCount > avg(last(3))`, quality.Pass, `RowCount > 5`},
		{`RowCount = last() + 2`, quality.Pass, `RowCount = 6`},
		{`RowCount = last(1) * 2 - 2`, quality.Pass, `RowCount = 6`},
		{`RowCount between min(last(3)) - 1 and max(last(10)) + 1`, quality.Pass, `RowCount between 1 and 10`},
		{`RowCount in [median(last(3)), sum(last(2))]`, quality.Pass, `RowCount in [4, 6]`},
		{`RowCount > index(last(3), 2)`, quality.Fail, `RowCount > 9`},
		{`RowCount > index(last(9), 3)`, quality.Erred, ""},
		{`RowCount > std(last(2))`, quality.Pass, `RowCount > 1`},
		{`RowCount > abs(-5)`, quality.Pass, `RowCount > 5`},
		{`RowCount > max(avg(last(3)))`, quality.Pass, `RowCount > 5`},
		{`RowCount > avg(abs(last(3)))`, quality.Pass, `RowCount > 5`},
		{`RowCount = last(1) + 2 where "final"`, quality.Pass, `RowCount = 3 where "final"`},
		{`RowCount > last(1) where "not final"`, quality.Pass, `RowCount > 0 where "not final"`},
		{`Mean "price" between avg(last(4)) - std(last(4)) and avg(last(4)) + std(last(4))`, quality.Pass, ""},
		{`Mean "price" < min(last(4))`, quality.Fail, `Mean "price" < 10`},
		{`Entropy "Symbol" > last(3)`, quality.Erred, ""},
		{`ColumnValues "price" > last(1)`, quality.Fail, `ColumnValues "price" > 11`},
		{`ColumnValues "price" > last(1) - 2 where "id <> 4"`, quality.Pass, `ColumnValues "price" > -2 where "id <> 4"`},
		{`ColumnValues "price" between last(1) - 2 and last(1) + 1`, quality.Fail, `ColumnValues "price" between 9 and 31`},
		{`ColumnValues "price" between last(1) - 2 and last(1) + 1 with threshold > 0.8`, quality.Pass, ""},
		{`ColumnValues "price" > 0 with threshold > last(1)`, quality.Pass, `ColumnValues "price" > 0 with threshold > 0.5`},
		{`ColumnLength "Symbol" <= last(1)`, quality.Pass, `ColumnLength "Symbol" <= 5`},
		{`ColumnLength "Symbol" = last(1)`, quality.Erred, ""},
		{`CustomSql "select 7" = avg(last(2)) + 3`, quality.Pass, `CustomSql "select 7" = 7`},
		{`CustomSql "select 8" = last(1)`, quality.Fail, `CustomSql "select 8" = 0`},
		{`Uniqueness "Symbol" "day" > last(1)`, quality.Pass, `Uniqueness "Symbol" "day" > 0.5`},
		{`AggregateMatch "sum(lot)" "sum(other.price)" > last(1)`, quality.Pass, `AggregateMatch "sum(lot)" "sum(other.price)" > 0.1`},
		{`(RowCount > last(1)) and (RowCount > unknown(1))`, quality.Erred, ""},
		{`(RowCount > last(1)) or (RowCount > unknown(1))`, quality.Pass, ""},
	} {
		e := quality.Engine{Querier: d, Dialect: quality.DuckDB, Clock: fixedClock, History: h}
		res, err := e.Evaluate(context.Background(), mustParse(t, c.rule), target)
		if err != nil {
			t.Fatal(err)
		}
		r := res.RuleResults[0]
		if r.Result != c.want || c.evaluated != "" && r.EvaluatedRule != c.evaluated {
			t.Errorf("%s: %s (%s) as %s, want %s as %s", c.rule, r.Result, r.EvaluationMessage, r.EvaluatedRule, c.want, c.evaluated)
		}
		if r.Description != mustParse(t, c.rule).Rules[0].String() {
			t.Errorf("%s is described as %s", c.rule, r.Description)
		}
	}
	res, err := engine(d).Evaluate(context.Background(), mustParse(t, `RowCount > last(1), RowCount > 0`), target)
	if err != nil || res.RuleResults[0].Result != quality.Erred || !strings.Contains(res.RuleResults[0].EvaluationMessage, "no earlier results are kept here") || res.Score != 0.5 {
		t.Errorf("without a history: %+v, %v", res, err)
	}
	e := quality.Engine{Querier: d, Dialect: quality.DuckDB, Clock: fixedClock, History: &past{broken: errors.New("no disk")}}
	if res, err = e.Evaluate(context.Background(), mustParse(t, `RowCount > last(1)`), target); err != nil || !strings.HasPrefix(res.RuleResults[0].EvaluationMessage, "no disk") {
		t.Errorf("with a broken history: %+v, %v", res, err)
	}
}

// What a rule asks for at the next evaluation is among what it measures at this one.
func TestStatisticsAreAskedFor(t *testing.T) {
	d, target := quotes(t)
	for _, rule := range []string{
		`RowCount > last(1)`, `RowCount > last(1) where "final"`, `ColumnCount = last(1)`, `Completeness "price" >= last(1)`, `Uniqueness "Symbol" >= last(1)`,
		`Uniqueness "Symbol" "ts" >= last(1)`, `Mean "price" > last(1)`, `Sum "price" > last(1)`, `StandardDeviation "price" > last(1)`, `Variance "price" > last(1)`,
		`Entropy "Symbol" > last(1)`, `DistinctValuesCount "Symbol" > last(1)`, `UniqueValueRatio "Symbol" > last(1)`, `ColumnCorrelation "id" "price" > last(1)`,
		`ColumnValues "price" > last(1)`, `ColumnValues "price" <= last(1) where "id < 4"`, `ColumnValues "price" between last(1) and last(1)`,
		`ColumnLength "Symbol" >= last(1)`, `ColumnLength "Symbol" < last(1)`, `ColumnLength "Symbol" between last(1) and 9`,
		`ColumnValues "price" > last(1) with threshold > last(1)`, `ColumnValues "Symbol" in ["AAPL"] with threshold > last(1)`, `ColumnDataType "code" = "DATE" with threshold > last(1)`,
		`CustomSql "select 7" > last(1)`, `CustomSql "select id from primary" with threshold > last(1)`,
		`RowCountMatch "other" > last(1)`, `SchemaMatch "other" > last(1)`, `DatasetMatch "other" "id" "price" > last(1)`,
		`ReferentialIntegrity "Symbol" "other.{symbol}" > last(1)`, `AggregateMatch "sum(lot)" "avg(other.price)" > last(1)`,
		`DetectAnomalies "ColumnValues" "price"`, `DetectAnomalies "CustomSQL" "select 7"`, `DetectAnomalies "Completeness" "price"`,
	} {
		h := &past{}
		e := quality.Engine{Querier: d, Dialect: quality.DuckDB, Clock: fixedClock, History: h}
		res, err := e.Evaluate(context.Background(), mustParse(t, rule), target)
		if err != nil {
			t.Fatal(err)
		}
		if len(h.asked) == 0 {
			t.Errorf("%s asked for nothing: %+v", rule, res.RuleResults[0])
		}
		for _, name := range h.asked {
			if _, ok := res.Statistics[name]; !ok {
				t.Errorf("%s asked for %s and measured %v (%s)", rule, name, slices.Sorted(maps.Keys(res.Statistics)), res.RuleResults[0].EvaluationMessage)
			}
		}
	}
	// Rules that measure different things under one metric keep them apart.
	res, err := engine(d).Evaluate(context.Background(), mustParse(t, `CustomSql "select 7" > 0, CustomSql "select 8" > 0, RowCount > 0, RowCount > 0 where "final", ColumnValues "price" != 1, ColumnValues "price" != 20`), target)
	if err != nil || len(res.Statistics) != 6 {
		t.Errorf("%v, %v", res.Statistics, err)
	}
}

// series gives n values, the newest first.
func series(n int, f func(i int) float64) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[n-1-i] = f(i)
	}
	return out
}

// noise is in -1..1, the same at each run.
func noise(i int) float64 { return math.Sin(float64(i) * 12.9898 * 43.7) }

func TestDetectAnomalies(t *testing.T) {
	d := openDatabase(t)
	for _, c := range []struct {
		what    string
		earlier []float64
		rows    int
		want    quality.Verdict
	}{
		{"nothing before", nil, 100, quality.Pass},
		{"too little before", series(6, func(int) float64 { return 1 }), 100, quality.Pass},
		{"equal", series(9, func(int) float64 { return 100 }), 100, quality.Pass},
		{"nearly equal", series(9, func(int) float64 { return 100 }), 101, quality.Pass},
		{"equal, then another", series(9, func(int) float64 { return 100 }), 103, quality.Fail},
		{"noise", series(30, func(i int) float64 { return 100 + 10*noise(i) }), 112, quality.Pass},
		{"far beyond noise", series(30, func(i int) float64 { return 100 + 10*noise(i) }), 170, quality.Fail},
		{"far below noise", series(30, func(i int) float64 { return 100 + 10*noise(i) }), 30, quality.Fail},
		{"a line goes on", series(20, func(i int) float64 { return 10 * float64(i) }), 200, quality.Pass},
		{"a line ends", series(20, func(i int) float64 { return 10 * float64(i) }), 190, quality.Fail},
		{"wild values do not widen it", series(20, func(i int) float64 {
			if i%6 == 5 {
				return 5000
			}
			return 100 + noise(i)
		}), 150, quality.Fail},
		{"a season goes on", series(35, func(i int) float64 { return 100 + 80*math.Floor(float64(i%7)/6) + noise(i) }), 100, quality.Pass},
		{"the high of a season", series(34, func(i int) float64 { return 100 + 80*math.Floor(float64(i%7)/6) + noise(i) }), 180, quality.Pass},
		{"the high of a season at a wrong place", series(35, func(i int) float64 { return 100 + 80*math.Floor(float64(i%7)/6) + noise(i) }), 180, quality.Fail},
		{"mostly equal", series(20, func(i int) float64 { return 100 + 20*float64(i%5/3)*float64(1-2*(i%2)) }), 115, quality.Pass},
		{"a few, noisy", series(7, func(i int) float64 { return 100 + 10*noise(i) }), 125, quality.Pass},
	} {
		e := quality.Engine{Querier: d, Dialect: quality.DuckDB, Clock: fixedClock, History: &past{values: map[string][]float64{"Dataset.*.RowCount": c.earlier}}}
		target := quality.Target{Name: "t", From: fmt.Sprintf("(SELECT * FROM range(%d) r(id))", c.rows), Columns: columnsOf("id bigint")}
		res, err := e.Evaluate(context.Background(), mustParse(t, `DetectAnomalies "RowCount"`), target)
		if err != nil {
			t.Fatal(err)
		}
		r := res.RuleResults[0]
		if r.Result != c.want || r.EvaluatedMetrics["Dataset.*.RowCount"] != float64(c.rows) {
			t.Errorf("%s: %s (%s, %v), want %s", c.what, r.Result, r.EvaluationMessage, r.EvaluatedMetrics, c.want)
		}
	}
	res, err := engine(d).Evaluate(context.Background(), mustParse(t, `DetectAnomalies "RowCount", (DetectAnomalies "RowCount") or (ColumnCount = 1)`),
		quality.Target{Name: "t", From: "(SELECT 1 AS id)", Columns: columnsOf("id bigint")})
	if err != nil || res.RuleResults[0].Result != quality.Erred || res.RuleResults[1].Result != quality.Pass {
		t.Errorf("without a history: %+v, %v", res, err)
	}
}

func TestAnalyzers(t *testing.T) {
	d, target := quotes(t)
	rs, err := quality.Parse(`Metadata = { "Version": "3" }
		Rules = [ RowCount > 1 with note = "x" ]
		Analyzers = [ RowCount, Completeness "price", Mean "price", ColumnLength "Symbol", ColumnValues "price", CustomSql "select count(*) from primary where final",
			AllStatistics "Symbol", AllStatistics "price", AllStatistics "day", DataFreshness "ts", Mean "Symbol", RowCountMatch "other", FileSize ]`)
	if err != nil {
		t.Fatal(err)
	}
	target.Files = []quality.File{{Location: "s3://a", Size: 7}}
	res, err := engine(d).Evaluate(context.Background(), rs, target)
	if err != nil {
		t.Fatal(err)
	}
	want := []quality.Metrics{
		{"Dataset.*.RowCount": 6}, {"Column.price.Completeness": 5.0 / 6}, {"Column.price.Mean": 20},
		{"Column.Symbol.MinimumLength": 0, "Column.Symbol.MaximumLength": 5}, {"Column.price.Minimum": 10, "Column.price.Maximum": 30},
		{"Dataset.*.CustomSQL": 3},
		{"Dataset.*.RowCount": 6, "Column.Symbol.Completeness": 5.0 / 6, "Column.Symbol.Uniqueness": 0.6, "Column.Symbol.MinimumLength": 0, "Column.Symbol.MaximumLength": 5},
		{"Dataset.*.RowCount": 6, "Column.price.Completeness": 5.0 / 6, "Column.price.Uniqueness": 0.4, "Column.price.Minimum": 10, "Column.price.Maximum": 30},
		{"Dataset.*.RowCount": 6, "Column.day.Completeness": 5.0 / 6, "Column.day.Uniqueness": 0.6},
		{}, {}, {"Dataset.other.RowCountMatch": 1.5}, {"Dataset.*.FileCount": 1, "Dataset.*.MinimumFileSize": 7, "Dataset.*.MaximumFileSize": 7},
	}
	if len(res.AnalyzerResults) != len(want) {
		t.Fatalf("%d results, want %d", len(res.AnalyzerResults), len(want))
	}
	for i, a := range res.AnalyzerResults {
		if !maps.Equal(a.EvaluatedMetrics, want[i]) || a.Name != fmt.Sprintf("Analyzer_%d", i+1) || (len(want[i]) == 0) != (a.EvaluationMessage != "") {
			t.Errorf("%s (%s) measured %v, want %v", a.Description, a.EvaluationMessage, a.EvaluatedMetrics, want[i])
		}
	}
	if res.Score != 1 || res.Metadata["Version"] != "3" || res.RuleResults[0].Tags["note"] != "x" {
		t.Errorf("%+v", res)
	}
	// What an analyzer measures, a rule compares with at the next evaluation.
	h := &past{}
	h.keep(res)
	e := quality.Engine{Querier: d, Dialect: quality.DuckDB, Clock: fixedClock, History: h}
	if res, err = e.Evaluate(context.Background(), mustParse(t, `Mean "price" = last(1), CustomSql "select count(*) from primary where final" = last(1)`), target); err != nil || !res.Passed() {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestDataSources(t *testing.T) {
	d, target := quotes(t)
	target.Name = "prod.quotes"
	for _, c := range []struct {
		sources string
		want    quality.Verdict
	}{
		{`"Primary": "quotes"`, quality.Pass},
		{`"Primary": "PROD.quotes", "AdditionalDataSources": ["other"]`, quality.Pass},
		{`"Primary": "other"`, quality.Fail},
		{`"Primary": "nowhere"`, quality.Erred},
	} {
		rs, err := quality.Parse("DataSources = { " + c.sources + " } Rules = [ (RowCount = 6) and (RowCountMatch \"other\" = 1.5) ]")
		if err != nil {
			t.Fatal(err)
		}
		res, err := engine(d).Evaluate(context.Background(), rs, target)
		if err != nil || res.RuleResults[0].Result != c.want {
			t.Errorf("%s: %+v, %v", c.sources, res, err)
		}
	}
	rs, _ := quality.Parse(`DataSources = { "Primary": "other" } Rules = [ RowCount = 4, RowCountMatch "prod.quotes" < 1, ReferentialIntegrity "symbol" "prod.quotes.Symbol" > 0.4 ]`)
	if res, err := engine(d).Evaluate(context.Background(), rs, target); err != nil || !res.Passed() {
		t.Errorf("%+v, %v", res, err)
	}
}
