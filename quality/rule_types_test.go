package quality_test

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/tickerlake/tickerlake/quality"
)

// quotes is a table with a value of each kind of trouble in columns of each type.
func quotes(t *testing.T) (*database, quality.Target) {
	d := openDatabase(t)
	target := d.load(t, "quotes", columnsOf("id bigint; Symbol string; price double; lot int; amount decimal(12,2); day date; ts timestamp; final boolean; code string; Adj Close double; none double; one string"), [][]any{
		{1, "AAPL", "10", 1, "1.10", "2016-02-29", "2016-02-29 10:00:00", true, "1", "1", nil, "x"},
		{2, "AAPL", "20", 2, "2.20", "2016-03-01", "2016-03-01 00:00:00", true, "3.5", "2", nil, "x"},
		{3, "BRK.B", "30", 3, "3.30", nil, nil, false, " 7 ", "3", nil, "x"},
		{4, nil, nil, nil, nil, "2016-03-01", "1900-01-01 00:00:00", nil, nil, "4", nil, "x"},
		{5, "", "20", 2, "1.10", "2016-03-02", "2016-03-02 00:00:00", false, "x", "5", nil, "x"},
		{6, "日本株", "20", 4, "0.30", "2016-03-03", "2016-03-03 00:00:00", true, "1e3", "6", nil, "x"},
	})
	other := d.load(t, "other", columnsOf("id bigint; symbol string; price double; Adj Close double"), [][]any{
		{1, "AAPL", "10", "1"}, {2, "MSFT", "21", "2"}, {4, nil, nil, "4"}, {9, "BRK.B", "30", "9"},
	})
	target.Sources = map[string]quality.Source{
		"other": {From: other.From, Columns: other.Columns}, "Empty Set": {From: "(SELECT * FROM other WHERE false)", Columns: other.Columns}}
	return d, target
}

func TestRuleTypes(t *testing.T) {
	d, target := quotes(t)
	for _, c := range []struct {
		rule   string
		want   quality.Verdict
		metric string
		value  float64
	}{
		{`Mean "price" = 20`, quality.Pass, "Column.price.Mean", 20},
		{`Mean "PRICE" > 20`, quality.Fail, "Column.PRICE.Mean", 20},
		{`Mean "Adj Close" between 3 and 4`, quality.Pass, "Column.Adj Close.Mean", 3.5},
		{`Mean "amount" = 1.6`, quality.Pass, "Column.amount.Mean", 1.6},
		{`Mean "none" > 0`, quality.Fail, "", 0},
		{`Mean "none" > 0 where "id > 3"`, quality.Pass, "", 0},
		{`Mean "price" != NULL`, quality.Pass, "Column.price.Mean", 20},
		{`Mean "price" = NULL`, quality.Fail, "Column.price.Mean", 20},
		{`Mean "price" in [NULL, 20]`, quality.Pass, "", 0},
		{`Mean "price" > NULL`, quality.Erred, "", 0},
		{`Mean "Symbol" > 0`, quality.Erred, "", 0},
		{`Sum "amount" = 8`, quality.Pass, "Column.amount.Sum", 8},
		{`Sum "lot" = 12`, quality.Pass, "Column.lot.Sum", 12},
		{`Sum "lot" = 10 where "id < 6 or final"`, quality.Fail, "Column.lot.Sum", 12},
		{`Sum "none" = 0`, quality.Fail, "", 0},
		{`Variance "lot" = 1.04`, quality.Pass, "Column.lot.Variance", 1.04},
		{`StandardDeviation "price" > 6`, quality.Pass, "Column.price.StandardDeviation", math.Sqrt(40)},
		{`StandardDeviation "lot" = 0 where "id = 1"`, quality.Pass, "", 0},
		{`StandardDeviation "final" >= 0`, quality.Erred, "", 0},
		{`ColumnCorrelation "id" "Adj Close" = 1`, quality.Pass, "Multicolumn.id,Adj Close.ColumnCorrelation", 1},
		{`ColumnCorrelation "id" "none" > 0`, quality.Fail, "", 0},
		{`ColumnCorrelation "id" "lot" > 0 where "id = 1"`, quality.Fail, "Multicolumn.id,lot.ColumnCorrelation", math.NaN()},
		{`Entropy "one" = 0`, quality.Pass, "Column.one.Entropy", 0},
		{`Entropy "id" > 1.79`, quality.Pass, "Column.id.Entropy", math.Log(6)},
		{`Entropy "Symbol" > 0`, quality.Pass, "Column.Symbol.Entropy", -(0.4*math.Log(0.4) + 3*0.2*math.Log(0.2))},
		{`Entropy "none" = 0 where "id = 1"`, quality.Pass, "", 0},
		{`DistinctValuesCount "Symbol" = 5`, quality.Pass, "Column.Symbol.DistinctValuesCount", 5},
		{`DistinctValuesCount "none" = 1`, quality.Pass, "", 0},
		{`DistinctValuesCount "none" = 0 where "id > 9"`, quality.Pass, "Column.none.DistinctValuesCount", 0},
		{`UniqueValueRatio "Symbol" = 0.75`, quality.Pass, "Column.Symbol.UniqueValueRatio", 0.75},
		{`UniqueValueRatio "none" = 0`, quality.Fail, "", 0},
		{`IsUnique "none" where "id = 1"`, quality.Pass, "", 0},
		{`ColumnLength "Symbol" > 0`, quality.Fail, "Column.Symbol.MinimumLength", 0},
		{`ColumnLength "Symbol" < 6`, quality.Pass, "Column.Symbol.MaximumLength", 5},
		{`ColumnLength "Symbol" != 0`, quality.Fail, "Column.Symbol.MaximumLength", 5},
		{`ColumnLength "Symbol" in [0, 3, 4.0, 5]`, quality.Pass, "Column.Symbol.LengthCompliance", 1},
		{`ColumnLength "Symbol" not in [0, NULL]`, quality.Fail, "Column.Symbol.LengthCompliance", 4.0 / 6},
		{`ColumnLength "Symbol" not between 0 and 3 where "id = 6"`, quality.Pass, "", 0},
		{`ColumnLength "Symbol" between 2 + 0 and 2 * 2 where "id = 6"`, quality.Pass, "", 0},
		{`ColumnLength "Symbol" != NULL`, quality.Pass, "", 0},
		{`ColumnLength "Symbol" in [NULL] where "id = 4"`, quality.Fail, "", 0},
		{`ColumnLength "Symbol" = 0 where "id = 4"`, quality.Pass, "", 0},
		{`ColumnLength "lot" > 0`, quality.Erred, "", 0},

		{`ColumnCount = 12`, quality.Pass, "Dataset.*.ColumnCount", 12},
		{`ColumnExists "Adj Close"`, quality.Pass, "Dataset.Adj Close.ColumnExists", 1},
		{`ColumnExists "symbol"`, quality.Fail, "Dataset.symbol.ColumnExists", 0},
		{`ColumnNamesMatchPattern "[a-z]"`, quality.Pass, "Dataset.*.ColumnNamesPatternMatchRatio", 1},
		{`ColumnNamesMatchPattern "^[a-z]+$"`, quality.Fail, "Dataset.*.ColumnNamesPatternMatchRatio", 10.0 / 12},
		{`ColumnNamesMatchPattern "["`, quality.Erred, "", 0},

		{`RowCountMatch "other" = 1.5`, quality.Pass, "Dataset.other.RowCountMatch", 1.5},
		{`RowCountMatch "Empty Set" > 1`, quality.Pass, "Dataset.Empty Set.RowCountMatch", math.Inf(1)},
		{`RowCountMatch "primary" = 1`, quality.Pass, "", 0},
		{`RowCountMatch "othr" = 1`, quality.Erred, "", 0},
		{`SchemaMatch "primary" = 1`, quality.Pass, "", 0},
		{`SchemaMatch "other" between 0.2 and 0.3`, quality.Pass, "Dataset.other.SchemaMatch", 3.0 / 12},
		{`ReferentialIntegrity "Symbol" "other.symbol" = 0.5`, quality.Pass, "Column.other.ReferentialIntegrity", 0.5},
		{`ReferentialIntegrity "symbol, price" "other.{symbol,price}" > 0.3`, quality.Pass, "Column.other.ReferentialIntegrity", 2.0 / 6},
		{`ReferentialIntegrity "Adj Close" "other.{Adj Close}" = 0.5`, quality.Pass, "", 0},
		{`ReferentialIntegrity "id" "Empty Set.id" = 0`, quality.Pass, "", 0},
		{`ReferentialIntegrity "id,lot" "other.id" = 1`, quality.Erred, "", 0},
		{`ReferentialIntegrity "id" "other" = 1`, quality.Erred, "", 0},
		{`DatasetMatch "other" "id" "price" > 0.3`, quality.Pass, "Dataset.other.DatasetMatch", 2.0 / 6},
		{`DatasetMatch "other" "id->id" "symbol->symbol,price" < 0.4`, quality.Pass, "Dataset.other.DatasetMatch", 2.0 / 6},
		{`DatasetMatch "other" "Symbol->symbol" "price" = 1`, quality.Erred, "", 0},
		{`DatasetMatch "primary" "id" = 1`, quality.Pass, "Dataset.primary.DatasetMatch", 1},
		{`DatasetMatch "other" "id" = 1`, quality.Erred, "", 0},
		{`AggregateMatch "sum(price)" "sum(other.price)" > 1.6`, quality.Pass, "Column.price.AggregateMatch", 100.0 / 61},
		{`AggregateMatch "avg(Adj Close)" "AVG(other.Adj Close)" = 0.875`, quality.Pass, "Column.Adj Close.AggregateMatch", 0.875},
		{`AggregateMatch "sum(none)" "sum(lot)" = 0`, quality.Pass, "Column.none,lot.AggregateMatch", 0},
		{`AggregateMatch "sum(lot)" "sum(none)" = 0`, quality.Pass, "", 0},
		{`AggregateMatch "sum(none)" "sum(Empty Set.price)" = 1`, quality.Pass, "", 0},
		{`AggregateMatch "sum(code)" "sum(lot)" > 80`, quality.Pass, "", 0},
		{`AggregateMatch "max(lot)" "max(other.id)" = 1`, quality.Erred, "", 0},
		{`AggregateMatch "sum(day)" "sum(lot)" = 1`, quality.Erred, "", 0},
	} {
		res, err := engine(d).Evaluate(context.Background(), mustParse(t, c.rule), target)
		if err != nil {
			t.Fatal(err)
		}
		r := res.RuleResults[0]
		if r.Result != c.want {
			t.Errorf("%s: %s (%s), want %s", c.rule, r.Result, r.EvaluationMessage, c.want)
		}
		if v, ok := r.EvaluatedMetrics[c.metric]; c.metric != "" && (!ok || v != c.value && math.Abs(v-c.value) > 1e-12 && math.IsNaN(v) == math.IsNaN(c.value)) {
			t.Errorf("%s measured %v, want %s = %v", c.rule, r.EvaluatedMetrics, c.metric, c.value)
		}
	}
}

// TestReadableAs: which texts read as which type is Spark's to say.
func TestReadableAs(t *testing.T) {
	d := openDatabase(t)
	types := []string{"INTEGER", "LONG", "DOUBLE", "DECIMAL(5,2)", "BOOLEAN", "DATE", "TIMESTAMP"}
	for text, want := range map[string]string{
		"7": "INTEGER LONG DOUBLE DECIMAL(5,2)", " +7\t": "INTEGER LONG DOUBLE DECIMAL(5,2)", "-007.9": "INTEGER LONG DOUBLE DECIMAL(5,2)",
		"1": "INTEGER LONG DOUBLE DECIMAL(5,2) BOOLEAN", "2147483648": "LONG DOUBLE", "-2147483648": "INTEGER LONG DOUBLE", "9223372036854775808": "DOUBLE",
		"1e3": "DOUBLE", "1e2": "DOUBLE DECIMAL(5,2)", "1.5E-3": "DOUBLE DECIMAL(5,2)", "999.994": "INTEGER LONG DOUBLE DECIMAL(5,2)", "999.995": "INTEGER LONG DOUBLE",
		".5": "INTEGER LONG DOUBLE DECIMAL(5,2)", "5.": "INTEGER LONG DOUBLE DECIMAL(5,2)", "1.0d": "DOUBLE", "NaN": "DOUBLE", "-Infinity": "DOUBLE", "inf": "DOUBLE",
		"": "", "x": "", "1,000": "", "0x1F": "", "--4": "", "+-4": "", "1 2": "", "1e": "", "1e400": "DOUBLE",
		"true": "BOOLEAN", " FALSE ": "BOOLEAN", "Yes": "BOOLEAN", "n": "BOOLEAN", "on": "", "2": "INTEGER LONG DOUBLE DECIMAL(5,2)",
		"2016": "INTEGER LONG DOUBLE DATE TIMESTAMP", "2016-2": "DATE TIMESTAMP", "2016-02-29": "DATE TIMESTAMP", "2015-02-29": "", "2016-13-01": "",
		" 2016-1-4 ": "DATE TIMESTAMP", "2016-01-04 10:00:00": "DATE TIMESTAMP", "2016-01-04T1:2:3.5": "DATE TIMESTAMP", "2016-01-04 nonsense": "DATE",
		"2016-01-04 24:00:00": "DATE", "2016-01-04T10:00:00Z": "DATE TIMESTAMP", "2016-01-04 10:00:00 Europe/Paris": "DATE TIMESTAMP", "2016-01-04 10:00:00+02:00": "DATE TIMESTAMP",
		"04/01/2016": "", "01-04-2016": "", "20160104": "INTEGER LONG DOUBLE", "10:30": "TIMESTAMP", "T10:30:15": "TIMESTAMP", "10:60": "",
	} {
		target := quality.Target{Name: "t", From: "(SELECT " + quality.Literal(text) + " AS x)", Columns: columnsOf("x string")}
		var got []string
		for _, name := range types {
			res, err := engine(d).Evaluate(context.Background(), mustParse(t, `ColumnDataType "x" = "`+name+`", ColumnDataType "x" != "`+name+`"`), target)
			if err != nil {
				t.Fatal(err)
			}
			a, b := res.RuleResults[0], res.RuleResults[1]
			if a.Result == b.Result || a.Result == quality.Erred {
				t.Errorf("%q as %s: = is %s and != is %s (%s)", text, name, a.Result, b.Result, a.EvaluationMessage)
			}
			if a.Result == quality.Pass {
				got = append(got, name)
			}
		}
		if s := strings.Join(got, " "); !sameWords(s, want) {
			t.Errorf("%q reads as %q, want %q", text, s, want)
		}
	}
}

func sameWords(a, b string) bool {
	x, y := map[string]bool{}, map[string]bool{}
	for _, w := range strings.Fields(a) {
		x[w] = true
	}
	for _, w := range strings.Fields(b) {
		y[w] = true
	}
	for w := range y {
		if !x[w] {
			return false
		}
	}
	return len(x) == len(y)
}

func TestDataTypesOfColumns(t *testing.T) {
	d, target := quotes(t)
	for rule, want := range map[string]quality.Verdict{
		`ColumnDataType "id" = "Boolean"`:                                   quality.Pass,
		`ColumnDataType "id" = "DECIMAL(1,0)"`:                              quality.Pass,
		`ColumnDataType "id" = "DECIMAL(1,1)"`:                              quality.Fail,
		`ColumnDataType "id" = "TIMESTAMP"`:                                 quality.Pass,
		`ColumnDataType "id" = "DATE"`:                                      quality.Erred,
		`ColumnDataType "id" = "STRING"`:                                    quality.Erred,
		`ColumnDataType "id" in ["LONG"]`:                                   quality.Erred,
		`ColumnDataType "price" = "INTEGER"`:                                quality.Fail,
		`ColumnDataType "price" = "LONG" with threshold > 0.8`:              quality.Pass,
		`ColumnDataType "amount" = "DECIMAL(2,1)"`:                          quality.Fail,
		`ColumnDataType "amount" = "DECIMAL(2,1)" where "id <> 4"`:          quality.Pass,
		`ColumnDataType "day" = "INTEGER"`:                                  quality.Fail,
		`ColumnDataType "day" = "TIMESTAMP" where "id <> 3"`:                quality.Pass,
		`ColumnDataType "ts" = "LONG" where "id <> 3"`:                      quality.Pass,
		`ColumnDataType "ts" = "DECIMAL(10,0)" where "id <> 3"`:             quality.Pass,
		`ColumnDataType "ts" = "DECIMAL(9,0)" where "id = 1"`:               quality.Fail,
		`ColumnDataType "final" = "DECIMAL(1,1)" where "final"`:             quality.Fail,
		`ColumnDataType "final" = "INTEGER" where "final"`:                  quality.Pass,
		`ColumnDataType "none" = "DOUBLE" with threshold = 0`:               quality.Pass,
		`ColumnDataType "code" = "INTEGER" where "id > 9"`:                  quality.Pass,
		`ColumnDataType "code" = "DATE" with format = "yyyy"`:               quality.Fail,
		`ColumnDataType "code" = "DATE" with shape = "x"`:                   quality.Erred,
		`ColumnDataType "one" != "DATE" with format = "dd/MM/yyyy"`:         quality.Pass,
		`ColumnDataType "one" != "LONG" with format = "whatever it may be"`: quality.Pass,
	} {
		res, err := engine(d).Evaluate(context.Background(), mustParse(t, rule), target)
		if err != nil {
			t.Fatal(err)
		}
		if r := res.RuleResults[0]; r.Result != want {
			t.Errorf("%s: %s (%s), want %s", rule, r.Result, r.EvaluationMessage, want)
		}
	}
	for format, texts := range map[string][2]string{ // one that has it, one that has not
		"dd/MM/yyyy": {"29/02/2016", "02/29/2016"}, "MM-dd-yyyy": {"02-29-2016", "2-29-2016"}, "yyyy/MM/dd": {"2016/02/29", "2015/02/29"},
		"MM-yyyy": {"12-2016", "13-2016"}, "dd/MM": {"29/02", "30/02"}, "MM/dd": {"02/29", "29/02"}, "yyyy-MM": {"2016-02", "2016-2"},
	} {
		for i, text := range texts {
			target := quality.Target{Name: "t", From: "(SELECT " + quality.Literal(text) + " AS x)", Columns: columnsOf("x string")}
			res, err := engine(d).Evaluate(context.Background(), mustParse(t, `ColumnDataType "x" = "DATE" with format = "`+format+`"`), target)
			if err != nil {
				t.Fatal(err)
			}
			if r := res.RuleResults[0]; (r.Result == quality.Pass) != (i == 0) {
				t.Errorf("%q in the format %s: %s (%s)", text, format, r.Result, r.EvaluationMessage)
			}
		}
	}
}
