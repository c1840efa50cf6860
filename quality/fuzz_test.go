package quality_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/quality"

	"errors"
)

var seeds = []string{
	`Rules = [ RowCount > 0, IsPrimaryKey "symbol" "ts", IsComplete "close", ColumnValues "close" > 0 ]`,
	`Metadata = { "Version": "1" } DataSources = { "Primary": "a", "AdditionalDataSources": ["b"] } x = ["a\"b", NULL] DefaultLabels=["a"="b"] Rules = [ ColumnValues "s" in $x ] Analyzers = [ AllStatistics "c" ]`,
	`Rules = [ ((IsComplete "a") and (IsUnique "b" "c")) labels=["k"="v"], RowCount > 5 or RowCount between -1 and 2 * (3 - avg(last(2))) ]`,
	`Rules = [ ColumnValues "ts" <= (now() + 1 days) with threshold > 0.98 with timeZone = "UTC", FileSize > 5, DataFreshness "t" not in [1 hours, 2 days] where "a = 'b'" ]`,
	"Rules = [ ColumnValues \"t\" > \"2016-02-29\" ] # end", "Rules = [", `"`, "Rules = [ \xff ]", "((((", "\r\n",
}

func FuzzParse(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		rs, err := quality.Parse(s)
		if err != nil {
			list := quality.Errors(err)
			if len(list) == 0 || !errors.Is(err, tickerlake.Invalid) {
				t.Fatalf("an error without a mistake: %v", err)
			}
			for _, e := range list {
				p := e.Pos
				if p.Offset < 0 || p.Offset > len(s) || p.Line != 1+strings.Count(s[:p.Offset], "\n") || p.Column < 1 {
					t.Fatalf("position %+v is not in the text: %v", p, e)
				}
			}
			return
		}
		_ = quality.Check(rs, nil)
		printed := rs.String()
		again, err := quality.Parse(printed)
		if err != nil {
			if strings.Contains(err.Error(), "nested more than") {
				t.Skip()
			}
			t.Fatalf("printed text is refused: %v\n%s", err, printed)
		}
		if a, b := plain(structure(rs)), plain(structure(again)); !reflect.DeepEqual(a, b) || again.String() != printed {
			t.Fatalf("printed text means something else:\n%s\n%v\n%v", printed, a, b)
		}
	})
}
