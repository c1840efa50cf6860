package lake_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/duck"
	"github.com/tickerlake/tickerlake/lake"
	"github.com/tickerlake/tickerlake/quality"
)

// A listener is an engine that remembers the statements of Query.
type listener struct {
	*duck.Engine
	statements []string
}

func (l *listener) Query(ctx context.Context, sql string) ([]string, [][]any, error) {
	l.statements = append(l.statements, sql)
	return l.Engine.Query(ctx, sql)
}

// partitions are those whose files the statements read.
func (l *listener) partitions() []string {
	var out []string
	for _, s := range l.statements {
		for _, piece := range strings.Split(s, "/prod/bars_1d/data/")[1:] {
			if year := piece[:4]; !slices.Contains(out, year) {
				out = append(out, year)
			}
		}
	}
	slices.Sort(out)
	return out
}

// judging runs the workflow up to its end and gives the statements of the gate alone.
func (f *fixture) judging(rules string) *listener {
	f.Helper()
	rs, err := quality.Parse(rules)
	f.must(err)
	f.lake.Rules = rs
	f.runs++
	r := newRun(f)
	ctx := context.Background()
	f.must(f.lake.Crawl(ctx, r, false))
	f.must(f.lake.Clean(ctx, r))
	f.must(f.lake.Optimize(ctx, r))
	heard := &listener{Engine: f.engine}
	f.lake.Engine = heard
	f.must(f.lake.Quality(ctx, r))
	f.lake.Engine = f.engine
	f.must(f.lake.Publish(ctx, r))
	f.must(f.lake.Finish(r.id))
	return heard
}

// kept counts what the state has of bars_1d.
func (f *fixture) kept() (partitions, values int) {
	f.Helper()
	all, err := f.cat.PartitionMeasures(context.Background(), "bars_1d")
	f.must(err)
	for _, v := range all {
		values += len(v)
	}
	return len(all), values
}

// decades are bars of two symbols in twenty years.
func decades() []any {
	var docs []any
	for year := 2006; year < 2026; year++ {
		for _, symbol := range []string{"AAPL", "MSFT"} {
			docs = append(docs, good(symbol, fmt.Sprintf("%d-03-05", year), 10), good(symbol, fmt.Sprintf("%d-03-06", year), 11))
		}
	}
	return docs
}

// The gate of a run with news of one year reads that year alone.
func TestTheGateReadsWhatIsNew(t *testing.T) {
	f := newFixture(t)
	f.put(decades()...)
	first := f.judging(rules)
	f.want("years read at first", len(first.partitions()), 20)
	f.want("statements at first", len(first.statements), 2)
	partitions, values := f.kept()
	f.want("partitions kept", partitions, 20)

	f.put(good("AAPL", "2025-03-07", 12).with("fetch_id", "f2"))
	next := f.judging(rules)
	f.want("years read for one bar", next.partitions(), []string{"2025"})
	f.want("statements for one bar", len(next.statements), 2)
	partitions, again := f.kept()
	f.want("pieces kept, for the bar is in a month of its own", partitions, 21)
	f.want("values kept", again, values+values/20)

	// A value that changes makes other files of its year.
	f.put(good("MSFT", "2011-03-05", 12).with("fetch_id", "f3", "fetched_at", "2026-03-02T21:40:00.000000Z"))
	f.want("years read for a changed bar", f.judging(rules).partitions(), []string{"2011"})

	// So does the search for the symbols that break a rule.
	f.put(good("MSFT", "2013-03-05", 5000).with("fetch_id", "f4", "fetched_at", "2026-03-02T21:50:00.000000Z"), good("AAPL", "2013-03-08", 7).with("fetch_id", "f4"))
	heard := f.judging(rules)
	f.want("years read for a bar that breaks a rule", heard.partitions(), []string{"2013"})
	f.want("set aside", len(f.events.quarantined()), 1)

	// check uses what is kept, and leaves no trace.
	heard = &listener{Engine: f.engine}
	f.lake.Engine = heard
	res, err := f.lake.Evaluate(context.Background(), f.lake.Rules, f.view("prod.bars_1d"))
	f.must(err)
	f.want("check passes", res.Passed(), true)
	f.want("check of what is kept", len(heard.statements), 0)
	other, err := quality.Parse(`Rules = [ ColumnValues "high" > 11.5 ]`)
	f.must(err)
	res, err = f.lake.Evaluate(context.Background(), other, f.view("prod.bars_1d"))
	f.must(err)
	f.want("another rule reads", len(heard.partitions()), 20)
	f.want("and fails", res.RuleResults[0].EvaluationMessage, `high is not > 11.5 in 80 of 82 rows, the least value is 7`)
	_, after := f.kept()
	f.want("values kept after a check", after, again)
}

// With scope: touched, what needs the whole table is asked of the year that is new.
func TestScopeTouched(t *testing.T) {
	f := newFixture(t)
	f.put(decades()...)
	// Values stand in many years, so only all of them tell which are unique.
	const all = `Rules = [ RowCount > 70, ColumnValues "close" < 100, Uniqueness "close" < 0.5, CustomSql "select count(*) from primary" between 3 and 8 ]`
	f.lake.Scope = quality.Touched
	first := `Rules = [ RowCount > 70, CustomSql "select count(*) from primary" = 80 ]`
	f.judging(first) // all years are touched
	f.put(good("AAPL", "2025-03-07", 12).with("fetch_id", "f2"))
	heard := f.judging(all)
	for _, s := range heard.statements {
		if strings.Contains(s, "GROUP BY") && !strings.Contains(s, "data/2025") || strings.Contains(s, "GROUP BY") && strings.Contains(s, "data/2024") {
			t.Errorf("uniqueness reads more than what the run touched:\n%s", s)
		}
	}
	var said []string
	for _, e := range f.events.events["quality_results"] {
		if q := e.(tickerlake.QualityResult); q.Run == "r002" {
			said = append(said, q.Rule+": "+q.Message)
		}
	}
	slices.Sort(said)
	f.want("what is said", said, []string{
		`ColumnValues "close" < 100: all 81 rows pass, the greatest value is 12`,
		`CustomSql "select count(*) from primary" between 3 and 8: the number is 5 (in 1 of 20 partitions: scope is touched)`,
		`RowCount > 70: the number of rows is 81`,
		`Uniqueness "close" < 0.5: the uniqueness of close is 0.2 (in 1 of 20 partitions: scope is touched)`,
	})
}

// Rules name any table of the lake; the table that is judged is the candidate.
func TestRulesNameTables(t *testing.T) {
	f := newFixture(t)
	f.put(good("AAPL", "2026-02-26", 10), good("MSFT", "2026-02-26", 20), good("AAPL", "2026-03-02", 9).with("final", false))
	_, err := f.gated(rules)
	f.must(err)
	f.put(good("AAPL", "2026-02-26", 11).with("fetch_id", "f2", "fetched_at", "2026-03-02T21:50:00.000000Z"), good("AAPL", "2026-02-27", 12).with("fetch_id", "f2", "fetched_at", "2026-03-02T21:50:00.000000Z"))
	event := `{"id":"q1","reason":"none","recorded_at":"2026-03-02T21:00:00Z"}` + "\n" + `{"id":"q1","reason":"low is above open","recorded_at":"2026-03-02T22:00:00Z"}` + "\n"
	f.putBody("ops/quarantine/dt=2026-03-02/q.gz", zip(t, []byte(event)))
	_, err = f.gated(`Rules = [
		CustomSql "select count(*) from bars_1d" = 3,
		CustomSql "select count(*) from prod.bars_1d where prod.bars_1d.close = 11" = 1,
		CustomSql "select count(*) from bars_1d_revisions" = 1,
		CustomSql "select count(*) from prod.latest where close = 9" = 1,
		CustomSql "select count(*) from raw.bars where try_cast(close as double) > 10" = 3,
		CustomSql "select count(*) from bars" = 5,
		CustomSql "select count(*) from ops.quarantine where reason = 'low is above open' or reason = 'none'" = 1,
		CustomSql "select count(*) from ops.runs" = 0
	]`)
	f.must(err)
	// What is published is the same without a run.
	rs, err := quality.Parse(`Rules = [ CustomSql "select count(*) from bars_1d join bars_1d_revisions r using (symbol, ts) where r.close = 10" = 1 ]`)
	f.must(err)
	res, err := f.lake.Evaluate(context.Background(), rs, f.view("prod.latest"))
	f.must(err)
	f.want("checked", res.RuleResults[0].EvaluationMessage, "the number is 1")
}

var _ lake.Engine = &listener{}

// Rules on files see the raw bucket, and without a path the files of the table.
func TestRulesOnFiles(t *testing.T) {
	f := newFixture(t)
	f.put(good("AAPL", "2025-02-26", 10), good("AAPL", "2026-02-26", 11))
	f.put(good("MSFT", "2026-02-26", 20))
	f.putBody("inbox/a.csv", []byte("12345"))
	f.putBody("inbox/b.csv", []byte("12345"))
	_, err := f.gated(`Rules = [
		FileSize "s3://raw/inbox/" between 4 B and 6 B,
		FileSize "s3://raw/inbox/a.csv" = 5 B,
		FileSize "raw/bars/" > 10 B,
		FileUniqueness "s3://raw/inbox/" < 1,
		FileSize > 100 B
	]`)
	f.must(err)
	for _, e := range f.events.events["quality_results"] {
		q := e.(tickerlake.QualityResult)
		files := map[string]string{`FileSize "s3://raw/inbox/" between 4 B and 6 B`: "2", `FileSize "s3://raw/inbox/a.csv" = 5 B`: "1", `FileSize "raw/bars/" > 10 B`: "2",
			`FileUniqueness "s3://raw/inbox/" < 1`: "2", `FileSize > 100 B`: "2"}[q.Rule]
		if !strings.Contains(q.Metrics, `"Dataset.*.FileCount":`+files) {
			t.Errorf("%s has %s, want %s files", q.Rule, q.Metrics, files)
		}
	}
	_, err = f.gated(`Rules = [ FileSize "s3://elsewhere/x/" > 1 B ]`)
	f.must(err) // nothing new, no candidate
	rs, err := quality.Parse(`Rules = [ FileSize "s3://elsewhere/x/" > 1 B, FileUniqueness > 0.9 ]`)
	f.must(err)
	res, err := f.lake.Evaluate(context.Background(), rs, f.view("prod.bars_1d"))
	f.must(err)
	if r := res.RuleResults[0]; r.Result != quality.Erred || !strings.Contains(r.EvaluationMessage, "s3://elsewhere/x/: is no place of this lake") {
		t.Errorf("%s: %s", r.Result, r.EvaluationMessage)
	}
	f.want("content of the table's files", string(res.RuleResults[1].Result), "PASS")
}

// Rules compare with what published runs measured; what a failed gate saw does not
// become the norm by being tried again.
func TestRulesRememberPublishedRuns(t *testing.T) {
	f := newFixture(t)
	const grows = `Rules = [ RowCount > last(1), ColumnValues "close" <= (max(last(9)) + 10) ] Analyzers = [ Mean "close" ]`
	day := func(n int) string { return fmt.Sprintf("2026-02-%02d", n) }
	f.put(good("AAPL", day(1), 10))
	_, err := f.gated(grows)
	f.must(err)
	for n := 2; n < 4; n++ {
		f.put(good("AAPL", day(n), 10+n))
		_, err = f.gated(grows)
		f.must(err)
	}
	// Last was 3 rows, and the greatest close 13.
	f.put(good("AAPL", day(3), 14).with("fetch_id", "f2", "fetched_at", "2026-03-02T21:40:00.000000Z"))
	for range 3 {
		if _, err := f.gated(grows); err == nil || !strings.Contains(err.Error(), "the number of rows is 3, wanted > 3") {
			t.Fatalf("the gate says %v", err)
		}
	}
	f.put(good("AAPL", day(4), 23))
	_, err = f.gated(grows)
	f.must(err)
	// check compares with what the gate compared with, and leaves nothing.
	rs, err := quality.Parse(grows)
	f.must(err)
	for range 2 {
		res, err := f.lake.Evaluate(context.Background(), rs, f.view("prod.bars_1d"))
		f.must(err)
		if !res.Passed() || res.RuleResults[0].EvaluatedRule != "RowCount > 3" || res.AnalyzerResults[0].EvaluatedMetrics["Column.close.Mean"] != 14.5 {
			t.Errorf("%+v", res)
		}
	}
	mean := 0
	for _, e := range f.events.events["quality_results"] {
		if q := e.(tickerlake.QualityResult); q.Result == "MEASURED" && q.Rule == `Mean "close"` && strings.Contains(q.Metrics, "Column.close.Mean") && strings.HasSuffix(q.ID, "/Analyzer_1") {
			mean++
		}
	}
	f.want("results of the analyzer", mean, 7)
}
