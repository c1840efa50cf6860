package quality

import (
	"math"
	"reflect"
	"testing"
	"time"
)

var internalTarget = Target{Name: "t", PartedBy: "ts", Columns: []Column{
	{"symbol", "string"}, {"ts", "timestamp"}, {"close", "double"}, {"volume", "bigint"}, {"amount", "decimal(12,2)"}, {"user", "string"}}}

func TestMergeKind(t *testing.T) {
	for aggregate, want := range map[string]mergeKind{
		`count(*)`:       mergeCount,
		`count("close")`: mergeCount,
		`count(*) FILTER (WHERE ("close" > 1) AND note <> ')''(')`:           mergeCount,
		`count(*) FILTER (WHERE upper("symbol") in ('A', 'now()'))`:          mergeCount,
		`count(*) FILTER (WHERE "user" = 'x' and cast(ts as date) > '2020')`: mergeCount,
		`sum("volume")`: mergeIntegers, `sum(n)`: mergeIntegers, `sum("close") FILTER (WHERE "close" > 0)`: mergeDoubles,
		`sum(n * ln(n))`: mergeSum, `min("symbol")`: mergeMinText, `max("symbol")`: mergeMaxText, `min("ts")`: mergeMin, `max("amount")`: mergeMax,
		`sum("amount")`:                                    notMerged,
		`sum("amount" * 2)`:                                notMerged,
		`count(DISTINCT "close")`:                          notMerged,
		`max("close", 3)`:                                  notMerged,
		`sum("close" ORDER BY "ts")`:                       notMerged,
		`avg("close")`:                                     notMerged,
		`count(*) + 1`:                                     notMerged,
		`count(*) / sum(1)`:                                notMerged,
		`count(*) OVER ()`:                                 notMerged,
		`corr("close", "volume")`:                          notMerged,
		`count(*) FILTER (WHERE random() < 1)`:             notMerged,
		`count(*) FILTER (WHERE "random"() < 1)`:           notMerged,
		`count(*) FILTER (WHERE ts < now ())`:              notMerged,
		`count(*) FILTER (WHERE ts < current_date)`:        notMerged,
		`count(*) FILTER (WHERE ts < "current_timestamp")`: notMerged,
		`count(*) FILTER (WHERE symbol in (select symbol from other))`: notMerged,
		`count(*) FILTER (WHERE some_macro(symbol))`:                   notMerged,
		`count(*) FILTER (WHERE age(ts) < interval '3' day)`:           notMerged,
		`CASE WHEN count(*) > 0 THEN nan() ELSE max("close") END`:      notMerged,
	} {
		if got := internalTarget.mergeKind(aggregate); got != want {
			t.Errorf("%s merges as %q, want %q", aggregate, got, want)
		}
	}
	// Trino says the greatest and the least double in other words.
	p := &plan{dialect: Trino, target: internalTarget}
	p.minimum(`"close"`, `"volume" > 0`, true)
	p.maximum(`"close"`, "", true)
	if p.asks[0].kind != mergeMin || p.asks[1].kind != mergeMax {
		t.Errorf("Trino's extremes merge as %q and %q", p.asks[0].kind, p.asks[1].kind)
	}
}

func TestMerge(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	day := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		kind   mergeKind
		values []any
		want   any
		ok     bool
	}{
		{mergeCount, []any{int64(2), int64(3)}, int64(5), true},
		{mergeCount, []any{nil}, int64(0), true},
		{mergeIntegers, []any{nil, int64(4)}, int64(4), true},
		{mergeIntegers, []any{nil, nil}, nil, true},
		{mergeIntegers, []any{int64(math.MaxInt64), int64(1), int64(-1)}, int64(math.MaxInt64), true},
		{mergeIntegers, []any{"9223372036854775808", int64(-1)}, int64(math.MaxInt64), true},
		{mergeIntegers, []any{int64(math.MaxInt64), int64(1)}, nil, false}, // Trino's sum fails, DuckDB's is wider
		{mergeIntegers, []any{1e19, int64(1)}, nil, false},
		{mergeDoubles, []any{nil, 0.5, 0.25}, 0.75, true},
		{mergeDoubles, []any{0.5, nan}, nan, true},
		{mergeDoubles, []any{inf, -inf}, nan, true},
		{mergeDoubles, []any{inf, 1.0}, inf, true},
		{mergeDoubles, []any{math.MaxFloat64, math.MaxFloat64}, nil, false},
		{mergeDoubles, []any{int64(1)}, nil, false},
		{mergeSum, []any{int64(1), int64(2)}, int64(3), true},
		{mergeSum, []any{0.5, 1.0}, 1.5, true},
		{mergeSum, []any{0.5, int64(1)}, nil, false},
		{mergeMin, []any{nan, nil, 2.0, inf}, 2.0, true},
		{mergeMin, []any{nan, nan}, nan, true},
		{mergeMax, []any{2.0, nan, inf}, nan, true},
		{mergeMax, []any{nil}, nil, true},
		{mergeMax, []any{false, true}, true, true},
		{mergeMin, []any{day.Add(1), day, nil}, day, true},
		{mergeMax, []any{"10", "9"}, nil, false}, // digits of a decimal are no text
		{mergeMaxText, []any{"10", "9", "é"}, "é", true},
		{mergeMinText, []any{"10", "9", ""}, "", true},
		{mergeMin, []any{int64(1), 0.5}, nil, false},
		{notMerged, []any{int64(1)}, nil, false},
	} {
		got, ok := c.kind.merge(c.values)
		x, isNaN := got.(float64)
		w, wantNaN := c.want.(float64)
		if ok != c.ok || ok && !reflect.DeepEqual(got, c.want) && !(isNaN && wantNaN && math.IsNaN(x) && math.IsNaN(w)) {
			t.Errorf("%s of %v is %v, %t; want %v, %t", c.kind, c.values, got, ok, c.want, c.ok)
		}
	}
}

func TestKeptValues(t *testing.T) {
	for _, v := range []any{nil, true, false, int64(math.MinInt64), 0.1, math.Inf(-1), math.Copysign(0, -1), math.SmallestNonzeroFloat64, "", "n", "a\x00é",
		time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), time.Date(1800, 1, 1, 0, 0, 0, 0, time.UTC)} {
		text, ok := encodeValue(v)
		got, ok2 := decodeValue(text)
		if !ok || !ok2 || !reflect.DeepEqual(got, v) {
			t.Errorf("%v comes back as %v", v, got)
		}
	}
	for _, text := range []string{"", "x", "n1", "i", "i1.5", "f", "btrue?", "t1", "t1.x"} {
		if v, ok := decodeValue(text); ok {
			t.Errorf("%q is read as %v", text, v)
		}
	}
	if _, ok := encodeValue([]any{1}); ok {
		t.Error("a list is kept")
	}
}
