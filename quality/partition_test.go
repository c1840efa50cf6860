package quality_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/quality"
)

// memory is a State that counts what is asked of it.
type memory struct {
	values map[string]map[string]string
	saves  int
	broken error
}

func (m *memory) Load(_ context.Context, parts []string) (map[string]map[string]string, error) {
	out := map[string]map[string]string{}
	for _, p := range parts {
		if v, ok := m.values[p]; ok {
			out[p] = maps.Clone(v)
		}
	}
	return out, m.broken
}

func (m *memory) Save(_ context.Context, values map[string]map[string]string) error {
	m.values = values
	m.saves++
	return m.broken
}

var partColumns = columnsOf("symbol string; ts timestamp; close double; volume bigint; amount decimal(12,2); note string; final boolean; day date")

// samples are rules of every type that is evaluated, by type.
var samples = map[string][]string{
	"RowCount":     {`RowCount > %d`, `RowCount between 2 and %d where "close > 0"`, `RowCount > 1 where "final and upper(symbol) = 'A'"`, `RowCount > 0 where "ts < now()"`},
	"IsComplete":   {`IsComplete "close"`, `IsComplete "note" where "volume > %d"`},
	"Completeness": {`Completeness "note" > 0.%d`, `Completeness "amount" > 0.3 where "random() < 2"`},
	"IsUnique":     {`IsUnique "symbol" "ts"`, `IsUnique "volume"`, `IsUnique "ts" "note" where "final"`},
	"Uniqueness":   {`Uniqueness "symbol" "ts" > 0.%d`, `Uniqueness "ts" > 0.%d where "close is not null"`, `Uniqueness "note" > 0.1`},
	"IsPrimaryKey": {`IsPrimaryKey "symbol" "ts"`, `IsPrimaryKey "ts"`, `IsPrimaryKey "symbol" "volume"`},
	"ColumnValues": {
		`ColumnValues "close" > %d`, `ColumnValues "close" <= %d`, `ColumnValues "close" = %d`, `ColumnValues "close" != %d with threshold > 0.5`,
		`ColumnValues "volume" >= %d`, `ColumnValues "volume" < %d where "final"`, `ColumnValues "amount" > %d`, `ColumnValues "amount" <= 3`,
		`ColumnValues "note" in ["a", NULL]`, `ColumnValues "note" matches "[a-c]" with threshold > 0.1`, `ColumnValues "close" > 1 where "close < 3"`,
		`ColumnValues "ts" <= now()`, `ColumnValues "ts" > (now() - %d days)`, `ColumnValues "day" between (now() - %d days) and now()`,
		`ColumnValues "ts" >= (now() - %d hours) with threshold > 0.2`, `ColumnValues "ts" not between (now() - 90 days) and (now() - %d days)`,
		`ColumnValues "day" != (now() - 2 days)`, `ColumnValues "ts" in [(now() - 3 days), NULL]`, `ColumnValues "ts" = (now() - 1 days)`, `ColumnValues "ts" > "2026-10-20"`,
	},
	"DataFreshness": {`DataFreshness "ts" <= %d days`, `DataFreshness "ts" > %d hours where "symbol = 'A'"`, `DataFreshness "day" between 1 days and %d days`,
		`DataFreshness "ts" not between 20 days and 90 days`, `DataFreshness "ts" = 3 days`, `DataFreshness "ts" not in [12 hours, 3 days]`, `DataFreshness "ts" < 9 days where "final"`},
	"ColumnCount": {`ColumnCount = 8`}, "ColumnExists": {`ColumnExists "note"`, `ColumnExists "Note"`},
	"ColumnNamesMatchPattern": {`ColumnNamesMatchPattern "o"`},
	"Mean":                    {`Mean "close" > %d where "close < 100"`, `Mean "amount" > 0`, `Mean "close" > 0`},
	"Sum":                     {`Sum "amount" > %d`, `Sum "volume" > 0 where "volume between 0 and 100"`, `Sum "close" > 0 where "final"`},
	"StandardDeviation":       {`StandardDeviation "close" < %d`, `StandardDeviation "amount" > 0 where "symbol = 'A'"`},
	"Variance":                {`Variance "close" > 0 where "close < 100"`},
	"ColumnCorrelation":       {`ColumnCorrelation "close" "amount" > 0`, `ColumnCorrelation "close" "amount" > 0 where "close < 100"`},
	"Entropy":                 {`Entropy "symbol" > 0.5`, `Entropy "close" > 0 where "final"`},
	"DistinctValuesCount":     {`DistinctValuesCount "note" > 2`, `DistinctValuesCount "ts" > %d`, `DistinctValuesCount "volume" > 3 where "final"`},
	"UniqueValueRatio":        {`UniqueValueRatio "ts" > 0.9`, `UniqueValueRatio "close" < 0.5`},
	"ColumnLength":            {`ColumnLength "note" <= 1`, `ColumnLength "note" in [0, 1]`, `ColumnLength "symbol" = 1 where "final"`},
	"ColumnDataType":          {`ColumnDataType "note" = "INTEGER" with threshold < 0.1`, `ColumnDataType "ts" = "TIMESTAMP"`, `ColumnDataType "close" in ["DECIMAL(4,1)", "TIMESTAMP"]`},
	"RowCountMatch":           {`RowCountMatch "primary" = 1`},
	"ReferentialIntegrity":    {`ReferentialIntegrity "symbol" "primary.symbol" = 1`},
	"DatasetMatch":            {`DatasetMatch "primary" "symbol, ts" = 1`},
	"SchemaMatch":             {`SchemaMatch "primary" = 1`},
	"AggregateMatch":          {`AggregateMatch "sum(amount)" "sum(primary.amount)" = 1`},
	"DetectAnomalies":         {`DetectAnomalies "RowCount"`, `DetectAnomalies "Mean" "close"`, `DetectAnomalies "Uniqueness" "symbol" "ts"`},
	// Rules on files ask for no rows.
	"FileSize": {`FileSize > 1 B`}, "FileFreshness": {`FileFreshness > "2026-01-01"`}, "FileUniqueness": {`FileUniqueness = 1`}, "FileMatch": {`FileMatch in ["x"]`},
	"CustomSql": {`CustomSql "select count(*) from primary where volume > %d" > 2`, `CustomSql "select symbol, ts from primary where close > 0" with threshold > 0.2`},
}

// rulesOf draws rules of every evaluated type, and a composite.
func rulesOf(t *testing.T, r *rand.Rand) *quality.Ruleset {
	t.Helper()
	var all []string
	for _, name := range quality.Types() {
		if name == "AllStatistics" {
			continue // an analyzer
		}
		if len(samples[name]) == 0 {
			t.Errorf("no sample of a rule of type %s", name)
		}
		for _, s := range samples[name] {
			for strings.Contains(s, "%d") {
				s = strings.Replace(s, "%d", fmt.Sprint(1+r.IntN(60)), 1)
			}
			all = append(all, s)
		}
	}
	all = append(all, `(RowCount > 3) and (IsUnique "volume" where "close > 1")`, `(IsComplete "note") or (DataFreshness "ts" <= 9 days)`,
		`IsComplete "absent"`, `RowCount > 1 where "absent > 1"`)
	return mustParse(t, strings.Join(all, ",\n"))
}

// A partTable is a random table in months, each of which is a part.
type partTable struct {
	db      *database
	rand    *rand.Rand
	name    string
	months  int
	version []int
}

func newPartTable(t *testing.T, d *database, r *rand.Rand, name string) *partTable {
	p := &partTable{db: d, rand: r, name: name, months: 1 + r.IntN(5)}
	var list []string
	for _, c := range partColumns {
		list = append(list, quality.Ident(c.Name)+" "+duckType(c.Type))
	}
	d.exec(t, "CREATE TABLE "+name+" ("+strings.Join(list, ", ")+", month INTEGER)")
	p.version = make([]int, p.months)
	for m := range p.months {
		p.fill(t, m)
	}
	return p
}

// fill puts other rows in a month.
func (p *partTable) fill(t *testing.T, month int) {
	t.Helper()
	r := p.rand
	p.version[month]++
	p.db.exec(t, fmt.Sprintf("DELETE FROM %s WHERE month = %d", p.name, month))
	start := time.Date(2026, time.Month(11-month), 1, 0, 0, 0, 0, time.UTC)
	pick := func(values ...string) string { return values[r.IntN(len(values))] }
	dull := r.IntN(2) == 0 // a month without NULL and with few values
	for range r.IntN(12) {
		ts := start.Add(time.Duration(r.IntN(28)) * 24 * time.Hour)
		if !dull && r.IntN(3) == 0 {
			ts = ts.Add(time.Duration(r.IntN(86_400_000_000)) * time.Microsecond)
		}
		values := []string{pick("'A'", "'B'"), "TIMESTAMP '" + ts.Format("2006-01-02 15:04:05.000000") + "'", pick("1", "2.5", "40"), pick("1", "7", "55"),
			pick("1.10", "2.25", "70.01"), pick("'a'", "'b'"), pick("true", "false"), "DATE '" + ts.Format(time.DateOnly) + "'", fmt.Sprint(month)}
		if !dull {
			values[2] = pick("1", "2.5", "-0.0", "'NaN'", "'Infinity'", "NULL", "'-Infinity'", "0.1", "40")
			values[3] = pick("1", "NULL", "9223372036854775807", "-9223372036854775808", "9007199254740993", "12")
			values[4] = pick("1.10", "NULL", "0.30", "-9999999999.99")
			values[5] = pick("'a'", "NULL", "'é'", "''", "'z'")
			values[6] = pick("true", "false", "NULL")
			values[7] = pick(values[7], "NULL")
		}
		p.db.exec(t, "INSERT INTO "+p.name+" VALUES ("+strings.Join(values, ", ")+")")
	}
}

// target is the table with its parts, or as a whole.
func (p *partTable) target(parts bool) quality.Target {
	t := quality.Target{Name: p.name, From: "(SELECT * EXCLUDE month FROM " + p.name + ")", Columns: partColumns}
	if parts {
		t.PartedBy = "ts"
		for m := range p.months {
			t.Parts = append(t.Parts, quality.Part{Key: fmt.Sprintf("%d-%d", m, p.version[m]),
				From: fmt.Sprintf("(SELECT * EXCLUDE month FROM %s WHERE month = %d)", p.name, m)})
		}
	}
	return t
}

func equalResults(t *testing.T, when string, got, want *quality.Result) {
	t.Helper()
	for i, w := range want.RuleResults {
		g := got.RuleResults[i]
		// Sums of doubles depend on their order, in the last digits that a message shows.
		rounded := slices.ContainsFunc([]string{"Mean", "Sum", "StandardDeviation", "Variance", "ColumnCorrelation", "Entropy"}, func(t string) bool { return strings.HasPrefix(w.Description, t) })
		same := g.Result == w.Result && len(g.EvaluatedMetrics) == len(w.EvaluatedMetrics) && (g.EvaluationMessage == w.EvaluationMessage || w.Result == quality.Erred || rounded)
		for k, v := range w.EvaluatedMetrics {
			x, ok := g.EvaluatedMetrics[k]
			same = same && ok && (x == v || math.IsNaN(x) && math.IsNaN(v) || math.Abs(x-v) <= 1e-9*math.Abs(v))
		}
		if !same {
			t.Errorf("%s: %s\n parts: %s %s %v\n whole: %s %s %v", when, w.Description, g.Result, g.EvaluationMessage, g.EvaluatedMetrics,
				w.Result, w.EvaluationMessage, w.EvaluatedMetrics)
		}
	}
}

// TestPartsGiveTheWhole draws tables, splits and rules: what parts give together is
// what the table gives at once, also from the state, after a part has changed, and
// after time has passed.
func TestPartsGiveTheWhole(t *testing.T) {
	d := openDatabase(t)
	rounds := 12
	if testing.Short() {
		rounds = 4
	}
	for round := range rounds {
		r := rand.New(rand.NewPCG(11, uint64(round)))
		table := newPartTable(t, d, r, fmt.Sprintf("t%d", round))
		rs := rulesOf(t, r)
		state := &memory{}
		now := fixedClock()
		e := quality.Engine{Querier: d, Dialect: quality.DuckDB, Clock: func() time.Time { return now }, State: state, History: &past{}}
		both := func(when string) {
			t.Helper()
			got, err := e.Evaluate(context.Background(), rs, table.target(true))
			if err != nil {
				t.Fatal(err)
			}
			want, err := e.Evaluate(context.Background(), rs, table.target(false))
			if err != nil {
				t.Fatal(err)
			}
			equalResults(t, fmt.Sprintf("round %d, %s", round, when), got, want)
		}
		both("nothing kept")
		both("all kept")
		for range 3 {
			table.fill(t, r.IntN(table.months))
			both("a part changed")
		}
		now = now.Add(time.Duration(r.IntN(4000)) * time.Hour)
		both("later")
		d.exec(t, "DROP TABLE "+table.name)
		if t.Failed() {
			return
		}
	}
}

// decomposing are rules that parts answer, whatever the clock says.
const decomposing = `RowCount > 0, IsPrimaryKey "symbol" "ts", IsComplete "close", ColumnValues "close" > 0, Uniqueness "symbol" "ts" > 0.5,
	ColumnValues "ts" <= now(), DataFreshness "ts" > 100 days where "final", ColumnValues "note" in ["a"] where "upper(symbol) = 'A'" with threshold > 0.1`

// A run that changes one of twenty parts reads that part alone.
func TestOnePartIsRead(t *testing.T) {
	d := openDatabase(t)
	d.exec(t, "CREATE TABLE bars AS SELECT 'S' || s AS symbol, make_timestamp(2000 + y, 1, 1 + n, 0, 0, 0) AS ts, 1.5 AS close, 7 AS volume, 1.5::DECIMAL(12,2) AS amount, 'a' AS note, true AS final, DATE '2020-01-01' AS day, y FROM range(3) a(s), range(20) b(y), range(9) c(n)")
	target := quality.Target{Name: "bars", From: "(SELECT * EXCLUDE y FROM bars)", Columns: partColumns, PartedBy: "ts"}
	for y := range 20 {
		target.Parts = append(target.Parts, quality.Part{Key: fmt.Sprintf("files of %d", y), From: fmt.Sprintf("(SELECT * EXCLUDE y FROM bars WHERE y = %d)", y)})
	}
	state := &memory{}
	now := fixedClock()
	e := quality.Engine{Querier: d, Dialect: quality.DuckDB, Clock: func() time.Time { now = now.Add(time.Hour); return now }, State: state}
	evaluate := func(rules string) []string {
		t.Helper()
		d.statements = nil
		res, err := e.Evaluate(context.Background(), mustParse(t, rules), target)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range res.RuleResults {
			if r.Result == quality.Erred {
				t.Errorf("%s: %s", r.Description, r.EvaluationMessage)
			}
		}
		return slices.Clone(d.statements)
	}
	if n := len(evaluate(decomposing)); n != 2 {
		t.Errorf("the first evaluation took %d statements, want one over rows and one over groups", n)
	}
	if n := len(evaluate(decomposing)); n != 0 || state.saves != 1 {
		t.Errorf("nothing changed, and it took %d statements and %d saves", n, state.saves)
	}
	target.Parts[19].Key = "other files of 19"
	got := evaluate(decomposing)
	if len(got) != 2 {
		t.Errorf("one part changed, and it took %d statements", len(got))
	}
	for _, s := range got {
		if strings.Count(s, "FROM bars") != 1 || !strings.Contains(s, "y = 19") {
			t.Errorf("reads more than the part that changed:\n%s", s)
		}
	}
	if len(state.values) != 20 || state.values["files of 19"] != nil {
		t.Errorf("the state keeps %v", slices.Sorted(maps.Keys(state.values)))
	}
	// A rule more measures what it alone needs, a rule less lets go of it.
	got = evaluate(decomposing + `, ColumnValues "close" < 9`)
	if len(got) != 1 || strings.Contains(got[0], "min(") || !strings.Contains(got[0], "max(") {
		t.Errorf("a rule more took %d statements:\n%s", len(got), strings.Join(got, "\n"))
	}
	evaluate(`RowCount > 1, ColumnValues "close" = 1.5`)
	for part, values := range state.values {
		if len(values) != 4 {
			t.Errorf("%s keeps %v", part, values)
		}
	}
	// What lies on both sides of an instant is read, and nothing else.
	evaluate(`DataFreshness "ts" > 100 days`)
	target.Parts[3].Key = "yet other"
	state.values["yet other"] = state.values["files of 3"]
	now = time.Date(2003, 1, 5, 0, 0, 0, 0, time.UTC).Add(100*24*time.Hour - time.Hour)
	if got := evaluate(`DataFreshness "ts" > 100 days`); len(got) != 1 || !strings.Contains(got[0], "y = 3)") || strings.Count(got[0], "FROM bars") != 1 {
		t.Errorf("a time within a part took %d statements:\n%s", len(got), strings.Join(got, "\n"))
	}
}

// What does not decompose reads all, in the one statement that rules share.
func TestTheRestSharesOneStatement(t *testing.T) {
	d := openDatabase(t)
	table := newPartTable(t, d, rand.New(rand.NewPCG(1, 1)), "shared")
	state := &memory{}
	e := quality.Engine{Querier: d, Dialect: quality.DuckDB, Clock: fixedClock, State: state}
	rules := `ColumnValues "day" != now(), RowCount > 0 where "random() < 2", Completeness "note" > 0 where "random() < 3", RowCount > 0 where "current_date > day", IsUnique "volume", Uniqueness "volume" > 0, RowCount > 0`
	for _, want := range []int{3, 2} {
		d.statements = nil
		if _, err := e.Evaluate(context.Background(), mustParse(t, rules), table.target(true)); err != nil {
			t.Fatal(err)
		}
		if len(d.statements) != want {
			t.Errorf("%d statements, want %d:\n%s", len(d.statements), want, strings.Join(d.statements, "\n"))
		}
	}
	for part, values := range state.values {
		if !maps.Equal(values, map[string]string{"count(*)": values["count(*)"]}) {
			t.Errorf("%s keeps more than what can be asked for again: %v", part, values)
		}
	}
}

// A state that cannot be read or written is an error, not a result from nothing.
func TestBrokenState(t *testing.T) {
	d := openDatabase(t)
	table := newPartTable(t, d, rand.New(rand.NewPCG(1, 1)), "broken")
	e := quality.Engine{Querier: d, Dialect: quality.DuckDB, Clock: fixedClock, State: &memory{broken: tickerlake.Errorf(tickerlake.Damaged, "load", "state.db", "no database")}}
	if _, err := e.Evaluate(context.Background(), mustParse(t, "RowCount > 0"), table.target(true)); !errors.Is(err, tickerlake.Damaged) {
		t.Errorf("the error is %v", err)
	}
	// What is kept and cannot be understood is measured again.
	e.State = &memory{values: map[string]map[string]string{table.target(true).Parts[0].Key: {"count(*)": "x", "": ""}}}
	got, err := e.Evaluate(context.Background(), mustParse(t, "RowCount > 0"), table.target(true))
	if err != nil {
		t.Fatal(err)
	}
	want, err := e.Evaluate(context.Background(), mustParse(t, "RowCount > 0"), table.target(false))
	if err != nil {
		t.Fatal(err)
	}
	equalResults(t, "unknown values", got, want)
}

// WholeReads names exactly the rules that ask for rows though nothing has changed.
func TestWholeReads(t *testing.T) {
	d := openDatabase(t)
	r := rand.New(rand.NewPCG(3, 3))
	table := newPartTable(t, d, r, "wholly")
	later := func() time.Time { return fixedClock().AddDate(10, 0, 0) } // no part has times on both sides of an instant
	listed := 0
	for _, rule := range rulesOf(t, r).Rules {
		one := &quality.Ruleset{Rules: []*quality.Rule{rule}}
		e := quality.Engine{Querier: d, Dialect: quality.DuckDB, Clock: later, State: &memory{}}
		var res *quality.Result
		for range 2 {
			d.statements = nil
			var err error
			if res, err = e.Evaluate(context.Background(), one, table.target(true)); err != nil {
				t.Fatal(err)
			}
		}
		if res.RuleResults[0].Result == quality.Erred {
			continue // what failed is tried again
		}
		whole := e.WholeReads(one, quality.Target{Name: "t", From: "t", Columns: partColumns, PartedBy: "ts"})
		if (len(whole) > 0) != (len(d.statements) > 0) {
			t.Errorf("%s takes %d statements at each evaluation, and is listed %d times: %+v\n%s", rule, len(d.statements), len(whole), whole, strings.Join(d.statements, "\n"))
		}
		listed += len(whole)
	}
	if listed == 0 {
		t.Error("none of the rules is listed")
	}
}

func TestFind(t *testing.T) {
	rs := mustParse(t, `RowCount > 0, ColumnValues "a"   in ["x"], (IsComplete "a") and (IsComplete "b")`)
	for name, want := range map[string]string{"1": "Rule_1", "Rule_2": "Rule_2", `ColumnValues "a" in [ "x" ]`: "Rule_2", rs.Rules[2].String(): "Rule_3"} {
		got, r, err := rs.Find(name)
		if err != nil || got != want || r == nil {
			t.Errorf("%s is %s (%v), want %s", name, got, err, want)
		}
	}
	for _, name := range []string{"0", "4", "Rule_", `RowCount > 1`, "", "-1"} {
		if got, _, err := rs.Find(name); !errors.Is(err, tickerlake.NotFound) {
			t.Errorf("%q is %s (%v)", name, got, err)
		}
	}
}

// Rows that are waived break no rule over single rows, and count in all others.
func TestWaivedRows(t *testing.T) {
	d := openDatabase(t)
	d.exec(t, "CREATE TABLE w AS SELECT * FROM (VALUES ('A', TIMESTAMP '2025-01-01', 1.0::DOUBLE, false), ('B', TIMESTAMP '2025-01-01', NULL, true), ('B', TIMESTAMP '2026-01-01', 2, false)) v(symbol, ts, close, waived)")
	target := quality.Target{Name: "w", From: "(SELECT * FROM w)", Columns: columnsOf("symbol string; ts timestamp; close double"), PartedBy: "ts", Waived: "waived",
		Sources: map[string]quality.Source{"other": {From: "(SELECT 'A' AS symbol)", Columns: columnsOf("symbol string")}}}
	for _, year := range []string{"2025", "2026"} {
		target.Parts = append(target.Parts, quality.Part{Key: year, From: "(SELECT * FROM w WHERE year(ts) = " + year + ")"})
	}
	const rules = `IsComplete "close", Completeness "close" = 1 where "close is null -- or not", ColumnValues "close" between 0 and 3, IsUnique "symbol", RowCount = 3,
		ReferentialIntegrity "symbol" "other.symbol" = 0.5, CustomSql "select symbol, ts from primary where close > 0", ColumnLength "symbol" = 1, (IsComplete "close") and (RowCount > 2), IsPrimaryKey "close"`
	e := quality.Engine{Querier: d, Dialect: quality.DuckDB, Clock: fixedClock, State: &memory{}}
	for range 2 {
		res, err := e.Evaluate(context.Background(), mustParse(t, rules), target)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range res.RuleResults {
			if r.Result != quality.Pass {
				t.Errorf("%s: %s", r.Description, r.EvaluationMessage)
			}
		}
	}
	for rule, want := range map[string]int{`IsComplete "close"`: 0, `CustomSql "select symbol, ts from primary where close > 1"`: 1, `ColumnValues "close" > 1`: 1, `ReferentialIntegrity "symbol" "other.symbol" = 1`: 1, `IsUnique "symbol"`: 0} {
		sql, ok := e.Violations(context.Background(), mustParse(t, rule).Rules[0], target)
		if !ok {
			t.Fatal(rule)
		}
		_, rows, err := d.Query(context.Background(), sql)
		if err != nil || len(rows) != want {
			t.Errorf("%s is broken by %d rows (%v), want %d:\n%s", rule, len(rows), err, want, sql)
		}
	}
}

// onePast is a History of one value.
type onePast float64

func (p onePast) Earlier(context.Context, string, int) ([]float64, error) {
	return []float64{float64(p)}, nil
}

// Rows that are compared with earlier results are read at each evaluation, and leave
// nothing behind that no later one would ask for.
func TestEarlierResultsAreNotKept(t *testing.T) {
	d := openDatabase(t)
	table := newPartTable(t, d, rand.New(rand.NewPCG(1, 1)), "compared")
	state := &memory{}
	rs := mustParse(t, `ColumnValues "volume" < 2 * last(1), RowCount > last(1) - 1000`)
	for i := range 3 {
		e := quality.Engine{Querier: d, Dialect: quality.DuckDB, Clock: fixedClock, State: state, History: onePast(i)}
		if _, err := e.Evaluate(context.Background(), rs, table.target(true)); err != nil {
			t.Fatal(err)
		}
	}
	for part, values := range state.values {
		for measure := range values {
			if strings.Contains(measure, "<") {
				t.Errorf("%s keeps %s", part, measure)
			}
		}
	}
	whole := quality.Engine{Dialect: quality.DuckDB, Clock: fixedClock}.WholeReads(rs, table.target(true))
	if len(whole) != 1 || whole[0].Name != "Rule_1" {
		t.Errorf("listed are %+v", whole)
	}
}
