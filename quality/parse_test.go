package quality_test

import (
	"testing"

	"github.com/tickerlake/tickerlake/quality"
)

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{`Rules = [ Rowcount > 0 ]`, `1:11: unknown rule type Rowcount; did you mean RowCount?`},
		{`Rules = [ ColumnValue "close" > 0 ]`, `1:11: unknown rule type ColumnValue; did you mean ColumnValues?`},
		{`Rules = [ AllStatistics "close" ]`, `1:11: AllStatistics is an analyzer; move it to Analyzers`},
		{`Rules = [ RowCount ]`, `1:20: RowCount wants a condition on a number, as > 0.9, found "]"`},
		{`Rules = [ RowCount > ]`, `1:22: expected a number, a quoted text, a date or a duration, found "]"`},
		{`Rules = [ RowCount 5 ]`, `1:20: RowCount wants a condition on a number, as > 0.9, found the number 5`},
		{`Rules = [ IsComplete ]`, `1:22: IsComplete takes one parameter; expected a quoted text, found "]"`},
		{`Rules = [ IsComplete "9:30 AM" ]`, `1:22: IsComplete takes one parameter; expected a quoted text, found "9:30 AM", which reads as a time and so cannot name a column`},
		{`Rules = [ IsComplete "a" "b" ]`, `1:26: IsComplete takes one parameter, not 2`},
		{`Rules = [ ColumnValues "a" like "b" ]`, `1:28: ColumnValues takes one parameter; "like" is one too many, or a word out of place`},
		{`Rules = [ IsComplete "a" = 1 ]`, `1:26: IsComplete takes no condition, not = 1`},
		{`Rules = [ ColumnValues "a" >= "b" ]`, `1:28: texts have no order; use =, !=, in or matches, not >=`},
		{`Rules = [ ColumnValues "a" in [1, "b"] ]`, `1:35: operands of one kind belong together; "b" is a text among numbers`},
		{`Rules = [ ColumnValues "a" > "2017-02-30" ]`, `1:30: there is no day 2017-02-30`},
		{`Rules = [ DataFreshness "ts" <= 3 day ]`, `1:35: unknown unit "day"; did you mean days?`},
		{`Rules = [ IsUnique "id" with threshold > 0.9 ]`, `1:30: IsUnique takes no threshold`},
		{`Rules = [ ColumnValues "a" > 0 with treshold > 0.9 ]`, `1:37: unknown word "treshold"; did you mean threshold?`},
		{`Rules = [ ColumnValues "a" > 0 with threshold > 0.5 labels=["a"="b"] ]`, `1:53: labels stand before with`},
		{`Rules = [ RowCount > 1 WHERE "a" ]`, `1:24: unknown word "WHERE"; did you mean where?`},
		{`Rules = [ ColumnCount = 8 where "a > 0" ]`, `1:27: ColumnCount takes no where`},
		{`Rules = [ RowCount > 1 where "" ]`, `1:30: the condition after where is empty`},
		{`x = "close" Rules = [ IsComplete $y ]`, `1:34: there is no variable y; did you mean $x?`},
		{`rules = [ RowCount > 0 ]`, `1:1: unknown section "rules"; did you mean Rules?`},
		{`Analyzers = [ Mean "a" ] Rules = [ RowCount > 0 ]`, `1:26: Rules stand before Analyzers; move this section up`},
		{`Rules = [ RowCount > 0 ]]`, `1:25: expected the end of the text, found "]"; what follows the last ] would be ignored`},
		{"Rules = [\n  RowCount > 0,\n  IsComplete 'close' ]", "3:14: single quotes quote nothing here; write \"like this\"\n3:20: single quotes quote nothing here; write \"like this\""},
		{"Rules = [ IsComplete \"a, RowCount > 0 ]", `1:22: this text has no closing "`},
		{`Rules = []`, `1:1: there are no rules; write at least one between [ and ]`},
		{``, `1:1: expected Rules = [ .. ], found the end of the text`},
		// All mistakes at once.
		{"Rules = [\n  Rowcount > 0,\n  IsComplete \"a\",\n  (RowCount in [1, \"a\"]) and (IsUnique \"b\"),\n  Mean \"c\"\n]",
			"2:3: unknown rule type Rowcount; did you mean RowCount?\n" +
				"4:20: operands of one kind belong together; \"a\" is a text among numbers\n" +
				"6:1: Mean wants a condition on a number, as > 0.9, found \"]\""},
	} {
		_, err := quality.Parse(c.text)
		if err == nil {
			t.Errorf("%s: accepted", c.text)
			continue
		}
		if got := err.Error(); got != c.want {
			t.Errorf("%s\n got  %s\n want %s", c.text, got, c.want)
		}
	}
}

func TestThresholdInQuotesWarns(t *testing.T) {
	rs := mustParse(t, `ColumnValues "a" > 0 with threshold = "0.9"`)
	if len(rs.Warnings) != 1 || rs.Warnings[0].Pos.Column != 37 {
		t.Errorf("warnings %v", rs.Warnings)
	}
}

func TestCheck(t *testing.T) {
	columns := columnsOf("close double; symbol string; ts timestamp")
	for rules, want := range map[string]string{
		`RowCount > 0`:     "",
		`Mean "close" > 0`: "",
		`(RowCount > 0) and (DetectAnomalies "RowCounts")`:  `1:47: DetectAnomalies watches no RowCounts; did you mean RowCount?`,
		`DetectAnomalies "Mean"`:                            "1:27: Mean takes one parameter behind it, not 0",
		`DetectAnomalies "Mean" "symbol"`:                   "1:34: symbol is of type string; Mean wants a column of numbers",
		`RowCount > avg(last(10)) - 3`:                      "",
		`RowCount > mean(last(10))`:                         "1:22: there is no function mean; did you mean max?",
		`RowCount > last(3)`:                                "1:22: last(3) is a list; take one number of it, as avg(last(3))",
		`RowCount > last(3) * 2`:                            "1:22: last(3) is a list; take one number of it, as avg(last(3))",
		`RowCount > index(last(3), 3)`:                      "1:37: index 3 of 3 values: the newest is 0",
		`RowCount > avg(last(0))`:                           "1:26: last takes a number of results from 1 to 1000",
		`RowCount > abs(1, 2)`:                              "1:22: abs takes 1 arguments, not 2",
		`ColumnValues "close" in [last(1)]`:                 "1:36: ColumnValues in compares no measured number, so that there are no earlier ones",
		`ColumnValues "close" > 0 with threshold > last(1)`: "",
		`IsComplete "Close"`:                                "",
		`IsComplete "clos"`:                                 `1:22: the table has no column "clos"; did you mean "close"?`,
		`ColumnValues "symbol" > 5`:                         "1:33: symbol is of type string; > 5 wants a column of numbers",
		`ColumnValues "close" matches "x"`:                  "1:32: close is of type double; matches wants a column of texts",
		`ColumnValues "close" > "2016-01-01"`:               `1:32: close is of type double; > "2016-01-01" wants a column of dates`,
		`ColumnValues "ts" > "9:30 AM"`:                     "1:31: a time of day compares with files only, not with values of a column",
		`ColumnValues "close" > NULL`:                       "1:34: NULL has no place in an order; use =, != or in",
		`ColumnValues "close" > 1 / 0`:                      "1:34: 1 / 0 is not a finite number",
		`RowCount > 0 where "a = 'b"`:                       "1:30: where: the quote ' at character 5 is not closed",
		`RowCount > 0 where "a) or (b"`:                     "1:30: where: ) at character 2 closes nothing",
		`CustomSql "select 1; drop table x" > 0`:            "1:21: CustomSql: ; at character 9: one statement only, without its end",
	} {
		err := quality.Check(mustParse(t, rules), columns)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s\n got  %s\n want %s", rules, got, want)
		}
	}
	if err := quality.Check(mustParse(t, `IsComplete "nope"`), nil); err != nil {
		t.Errorf("a column was missed without a table: %v", err)
	}
}
