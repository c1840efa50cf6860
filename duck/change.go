package duck

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/tickerlake/tickerlake/lake"
)

// changed are the columns of a Change, but for its fetches.
var changed = []string{"open", "high", "low", "close", "adj_close"}

// changes finds the bars of the part whose close or adj_close a fetch says otherwise
// than an older one, or, if they were compared (diff), than the table. Where keys are
// only appended there is nothing to look at.
func (m *merge) changes(ctx context.Context, compared bool) error {
	var from []string
	if compared {
		from = append(from, "SELECT key_symbol AS symbol FROM diff WHERE action IN ('adjust', 'replace')")
	}
	if !m.Distinct {
		from = append(from, "SELECT symbol FROM ("+m.live+") GROUP BY symbol, ts HAVING min(close) <> max(close) OR min(adj_close) <> max(adj_close)")
	}
	if len(from) == 0 {
		return nil
	}
	n, err := m.number(ctx, "SELECT count(*) FROM (SELECT 1 FROM ("+strings.Join(from, " UNION ALL ")+") LIMIT 1)")
	if err != nil || n == 0 {
		return err
	}
	err = m.run(ctx, "CREATE OR REPLACE TEMP TABLE changing AS SELECT DISTINCT symbol FROM ("+strings.Join(from, " UNION ALL ")+")",
		"CREATE OR REPLACE TEMP TABLE held AS SELECT * FROM ("+m.existing()+") WHERE symbol IN (SELECT symbol FROM changing)",
		// What counts for nothing is compared with nothing: a late row of an old fetch.
		"CREATE OR REPLACE TEMP TABLE version AS SELECT i.* FROM ("+m.live+") i LEFT JOIN held o USING (symbol, ts) WHERE i.symbol IN (SELECT symbol FROM changing) AND NOT "+
			m.covered()+" AND (o.symbol IS NULL OR "+later("i.", "o.")+`)
			QUALIFY row_number() OVER (PARTITION BY i.symbol, i.ts, i.fetched_at, i.fetch_id ORDER BY i."row" DESC) = 1`)
	if err != nil {
		return err
	}
	var values, differ []string
	for _, side := range []string{"o.", "i."} {
		for i, c := range changed {
			values = append(values, fmt.Sprintf("%s%s AS %s_%d", side, c, strings.TrimSuffix(side, "."), i))
		}
	}
	for _, c := range []string{"close", "adj_close"} {
		differ = append(differ, "i."+c+" IS DISTINCT FROM o."+c)
	}
	pair := func(against, old, and string) string {
		return "SELECT i.symbol, i.fetch_id, i.fetched_at, " + against + " AS against, i.ts, " + strings.Join(values, ", ") +
			" FROM version i JOIN " + old + " o USING (symbol, ts) WHERE (" + strings.Join(differ, " OR ") + ")" + and
	}
	_, rows, err := m.query(ctx, fmt.Sprintf(`SELECT * FROM (%s UNION ALL %s)
		QUALIFY row_number() OVER (PARTITION BY symbol, fetch_id, fetched_at, against ORDER BY ts DESC) <= %d ORDER BY symbol, fetched_at, fetch_id, against, ts`,
		pair("''", "held", ""), pair("o.fetch_id", "version", " AND "+later("i.", "o.")), lake.MaxChanges))
	if err != nil {
		return err
	}
	for _, r := range rows {
		c := lake.Change{Symbol: text(r[0]), FetchID: text(r[1]), FetchedAt: moment(r[2]), Against: text(r[3]), Ts: moment(r[4])}
		for i := range changed {
			c.Old[i], c.New[i] = price(r[5+i]), price(r[5+len(changed)+i])
		}
		m.out.Changes = append(m.out.Changes, c)
	}
	return m.run(ctx, "DROP TABLE version", "DROP TABLE held", "DROP TABLE changing")
}

// price is a value of a price, NaN for null.
func price(v any) float64 {
	if f, ok := v.(float64); ok {
		return f
	}
	return math.NaN()
}
