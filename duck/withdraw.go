package duck

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake/lake"
)

// loadSpans makes the temporary table span of the task's spans. They come as one
// text, which DuckDB reads much faster than as many expressions.
func (m *merge) loadSpans(ctx context.Context) error {
	if len(m.Spans) == 0 {
		return m.run(ctx, "CREATE OR REPLACE TEMP TABLE span (symbol VARCHAR, from_ts TIMESTAMP, to_ts TIMESTAMP, fetched_at TIMESTAMP, fetch_id VARCHAR, remove BOOLEAN, anew BOOLEAN)")
	}
	type span struct {
		Symbol  string `json:"symbol"`
		From    string `json:"from_ts"`
		To      string `json:"to_ts"`
		At      string `json:"fetched_at"`
		FetchID string `json:"fetch_id"`
		Remove  bool   `json:"remove"`
		Anew    bool   `json:"anew"`
	}
	spans := make([]span, len(m.Spans))
	for i, s := range m.Spans {
		spans[i] = span{s.Symbol, micros(s.From), micros(s.To), micros(s.FetchedAt), s.FetchID, s.Remove, s.Anew}
	}
	text, err := json.Marshal(spans)
	if err != nil {
		return err
	}
	return m.run(ctx, "CREATE OR REPLACE TEMP TABLE span AS SELECT s.* FROM (SELECT unnest(from_json("+quote(string(text))+
		`, '[{"symbol":"VARCHAR","from_ts":"TIMESTAMP","to_ts":"TIMESTAMP","fetched_at":"TIMESTAMP","fetch_id":"VARCHAR","remove":"BOOLEAN","anew":"BOOLEAN"}]')) AS s)`)
}

func micros(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000000") }

// later is the condition that the fetch of row a is later than that of b.
func later(a, b string) string {
	return fmt.Sprintf("(%[1]sfetched_at > %[2]sfetched_at OR (%[1]sfetched_at = %[2]sfetched_at AND %[1]sfetch_id > %[2]sfetch_id))", a, b)
}

// withdraw finds the keys of diff that a later fetch of the run no longer has, and
// marks those that are to go. First suspects are sought: keys within the span of a
// later fetch, hence not among its final rows. That costs little, and mostly there
// are none. Only of the fetches that are suspected is looked up whether they were
// complete, and whether they had the key in a row that is no final bar.
func (m *merge) withdraw(ctx context.Context) error {
	err := m.run(ctx, `CREATE OR REPLACE TEMP TABLE suspect AS SELECT d.key_symbol AS symbol, d.key_ts AS ts, s.fetched_at, s.fetch_id, s.remove, s.anew
		FROM diff d JOIN span s ON s.symbol = d.key_symbol AND d.key_ts BETWEEN s.from_ts AND s.to_ts
		WHERE (d.symbol IS NULL OR `+later("s.", "d.")+`) AND (d.old_symbol IS NULL OR `+later("s.", "d.old_")+`)`)
	if err != nil {
		return err
	}
	if len(m.Covers) > 0 {
		// What a fetch confirmed that is later still, and published, stays.
		err := m.run(ctx, "DELETE FROM suspect p WHERE EXISTS (SELECT 1 FROM cover c WHERE c.symbol = p.symbol AND p.ts BETWEEN c.from_ts AND c.to_ts AND "+later("c.", "p.")+")")
		if err != nil {
			return err
		}
	}
	if n, err := m.number(ctx, "SELECT count(*) FROM suspect"); err != nil || n == 0 {
		return err
	}
	err = m.run(ctx,
		`CREATE OR REPLACE TEMP TABLE answer AS SELECT DISTINCT fetch_id, fetched_at, symbol, ts, "row" FROM `+m.Relation(m.Rows)+
			" WHERE fetch_id IN (SELECT fetch_id FROM suspect)",
		"CREATE OR REPLACE TEMP TABLE complete AS "+lake.CompleteSQL("answer"),
		`CREATE OR REPLACE TEMP TABLE gone AS
			SELECT symbol, ts, min(struct_pack(at := fetched_at, id := fetch_id)) AS by, bool_and(remove) OR bool_or(anew) AS remove
			FROM (SELECT * FROM suspect SEMI JOIN complete USING (fetch_id, fetched_at, symbol) ANTI JOIN answer USING (fetch_id, fetched_at, symbol, ts)
				UNION SELECT * FROM suspect WHERE anew)
			GROUP BY symbol, ts`,
		`UPDATE diff SET action = CASE WHEN old_symbol IS NULL THEN 'superseded' ELSE 'withdraw' END FROM gone g
			WHERE g.symbol = key_symbol AND g.ts = key_ts AND g.remove`)
	if err != nil {
		return err
	}
	_, rows, err := m.query(ctx, `SELECT g.symbol, g.by.id, g.by.at, min(g.ts), max(g.ts), count(*), g.remove
		FROM gone g JOIN diff d ON g.symbol = d.key_symbol AND g.ts = d.key_ts
		WHERE d.old_symbol IS NOT NULL OR d.action <> 'superseded' GROUP BY ALL ORDER BY ALL`)
	if err != nil {
		return err
	}
	for _, r := range rows {
		m.out.Withdrawn = append(m.out.Withdrawn, lake.Withdrawal{
			Symbol: text(r[0]), FetchID: text(r[1]), FetchedAt: moment(r[2]), First: moment(r[3]), Last: moment(r[4]), Bars: r[5].(int64), Removed: r[6].(bool),
		})
	}
	return m.run(ctx, "DROP TABLE answer", "DROP TABLE complete")
}

// revised is the SELECT of the old images that a revision keeps.
func (m *merge) revised() string {
	var old []string
	for _, c := range lake.BarColumns {
		old = append(old, "old_"+c.Name+" AS "+c.Name)
	}
	image := "SELECT " + strings.Join(old, ", ") + ", " + timestamp(m.Now) + " AS replaced_at, "
	all := image + "CAST(NULL AS TIMESTAMP) AS withdrawn_at FROM diff WHERE action = 'replace'"
	if m.out.Removed > 0 {
		all += " UNION ALL " + image + "g.by.at FROM diff JOIN gone g ON g.symbol = key_symbol AND g.ts = key_ts WHERE action = 'withdraw'"
	}
	return all
}

// lacking counts the stored bars that a span lacks.
func (m *merge) lacking(ctx context.Context) error {
	_, rows, err := m.query(ctx, "SELECT key_symbol, count(*) FROM diff WHERE symbol IS NULL GROUP BY 1")
	if err != nil {
		return err
	}
	m.out.Lacking = make(map[string]int64, len(rows))
	for _, r := range rows {
		m.out.Lacking[text(r[0])] = r[1].(int64)
	}
	return nil
}
