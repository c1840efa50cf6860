package bench

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake/quality"
)

// twentyFive are rules such as a user has for daily bars.
const twentyFive = `Rules = [
	RowCount > 0,
	IsComplete "symbol", IsComplete "ts", IsComplete "open", IsComplete "high", IsComplete "low", IsComplete "close",
	IsComplete "currency", IsComplete "basis", IsComplete "source", IsComplete "fetched_at",
	ColumnValues "open" > 0, ColumnValues "high" > 0, ColumnValues "low" > 0, ColumnValues "close" > 0, ColumnValues "adj_close" > 0,
	ColumnValues "volume" >= 0, ColumnValues "close" < 1000000, ColumnValues "volume" < 1000000000000,
	ColumnValues "currency" in ["USD", "EUR"], ColumnValues "basis" in ["raw", "split", "total"], ColumnValues "final" = "true",
	Completeness "volume" > 0.9, Completeness "adj_close" > 0.9,
	IsPrimaryKey "symbol" "ts" ]`

// byHand computes what the rules need in one statement.
const byHand = `SELECT count(*), count(symbol), count(ts), count(open), count(high), count(low), count(close),
	count(currency), count(basis), count(source), count(fetched_at),
	min(open), min(high), min(low), min(close), min(adj_close), min(volume), max(close), max(volume),
	count(*) FILTER (open > 0), count(*) FILTER (high > 0), count(*) FILTER (low > 0), count(*) FILTER (close > 0), count(*) FILTER (adj_close > 0),
	count(*) FILTER (volume >= 0), count(*) FILTER (close < 1000000), count(*) FILTER (volume < 1000000000000),
	count(*) FILTER (currency IN ('USD', 'EUR')), count(*) FILTER (basis IN ('raw', 'split', 'total')), count(*) FILTER (final),
	count(volume), count(adj_close),
	(SELECT count(*) FROM (SELECT 1 FROM bars GROUP BY symbol, ts HAVING count(*) > 1))
	FROM bars`

// judgeAll fills a lake, untimed, then evaluates the rules and the statement in turn:
// the rules with nothing kept of partitions, so that both read everything.
func judgeAll(ctx context.Context, t task) (outcome, error) {
	l, c, err := filled(ctx, t, `Rules = [ RowCount > 0 ]`) // so that little is known of the table
	if err != nil {
		return c.out, err
	}
	set, err := quality.Parse(twentyFive)
	if err != nil {
		return c.out, err
	}
	views, err := l.Views(ctx)
	if err != nil {
		return c.out, err
	}
	for _, v := range views {
		if v.Database != "prod" || v.Name != "bars_1d" {
			continue
		}
		for range t.Rounds {
			begin := time.Now()
			_, rows, err := l.engine.Query(ctx, "WITH bars AS (SELECT * FROM "+l.engine.Relation(v.Files)+") "+byHand)
			if err != nil {
				return c.out, err
			}
			c.out.add("by hand", time.Since(begin))
			c.out.Rows, _ = rows[0][0].(int64)
			if err := l.Catalog.KeepPartitionMeasures(ctx, v.Name, nil); err != nil {
				return c.out, err
			}
			begin = time.Now()
			result, err := l.Evaluate(ctx, set, v)
			if err != nil {
				return c.out, err
			}
			c.out.add("rules", time.Since(begin))
			if failed := result.Failed(); len(failed) > 0 || len(result.RuleResults) != 25 {
				return c.out, fmt.Errorf("%d rules, failed: %s", len(result.RuleResults), strings.Join(messages(failed), "; "))
			}
		}
	}
	return c.out, l.close()
}

func messages(results []quality.RuleResult) []string {
	var out []string
	for _, r := range results {
		out = append(out, r.Description+": "+r.EvaluationMessage)
	}
	return out
}
