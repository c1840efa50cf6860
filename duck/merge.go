package duck

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake/lake"
)

// Merge writes what a part changes of its partition. A partition without files for
// its keys is sorted and written in one pass; otherwise the rows are compared with
// those that are there first.
func (e *Engine) Merge(ctx context.Context, task lake.MergeTask) (lake.MergeResult, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	m := &merge{Engine: e, MergeTask: task}
	total, err := e.number(ctx, "SELECT count(*) FROM "+e.Relation(task.Incoming))
	if err != nil {
		return m.out, err
	}
	incoming, err := m.incoming(ctx)
	if err != nil {
		return m.out, err
	}
	if len(task.Existing) == 0 && len(task.Covers) == 0 {
		m.out.Inserted, err = e.copy(ctx, "SELECT "+names(lake.BarColumns, "")+" FROM ("+incoming+")", task.Inserted, lake.BarColumns)
	} else {
		err = m.compare(ctx, incoming)
	}
	// What is left are older copies within the part.
	m.out.Superseded += total - m.out.Skipped - m.out.Inserted - m.out.Replaced - m.out.Unchanged - m.out.Superseded
	return m.out, err
}

type merge struct {
	*Engine
	lake.MergeTask
	out lake.MergeResult
}

// incoming is the SELECT of the rows that count: one a key, the latest, without
// those to skip.
func (m *merge) incoming(ctx context.Context) (string, error) {
	where := ""
	if len(m.Skip) > 0 {
		values := make([]string, len(m.Skip))
		for i, s := range m.Skip {
			values[i] = "(" + quote(s.Symbol) + ", " + quote(s.Source) + ", " + quote(s.Basis) + ", " + quote(s.Currency) + ", " + quote(s.Interval) + ")"
		}
		err := m.run(ctx, "CREATE OR REPLACE TEMP TABLE skip AS SELECT * FROM (VALUES "+strings.Join(values, ", ")+") v(symbol, source, basis, currency, \"interval\")")
		if err != nil {
			return "", err
		}
		skipped := "EXISTS (SELECT 1 FROM skip s WHERE s.symbol = i.symbol AND (s.source = '' OR (s.source = i.source AND s.basis = i.basis AND s.currency = i.currency AND s.\"interval\" = i.\"interval\")))"
		if m.out.Skipped, err = m.number(ctx, "SELECT count(*) FROM "+m.Relation(m.Incoming)+" i WHERE "+skipped); err != nil {
			return "", err
		}
		where = " WHERE NOT " + skipped
	}
	rows := "SELECT * FROM " + m.Relation(m.Incoming) + " i" + where
	if m.Distinct {
		return rows, nil
	}
	return rows + ` QUALIFY row_number() OVER (PARTITION BY symbol, ts ORDER BY fetched_at DESC, fetch_id DESC, "row" DESC) = 1`, nil
}

// values are the columns in which a bar can differ from the stored one and be
// another bar; a difference in adj_close alone is not one.
var values = []string{"open", "high", "low", "close", "volume"}

// compare decides about each key and writes the files that follow.
func (m *merge) compare(ctx context.Context, incoming string) error {
	stored := "SELECT " + names(lake.BarColumns, "") + ", -1 AS file FROM " + m.Relation(m.Incoming) + " WHERE false"
	for i, f := range m.Existing {
		stored += fmt.Sprintf(" UNION ALL SELECT %s, %d FROM %s", names(lake.BarColumns, ""), i, m.Relation([]string{f}))
	}
	covered := "false"
	if len(m.Covers) > 0 {
		if err := m.loadCovers(ctx); err != nil {
			return err
		}
		covered = "EXISTS (SELECT 1 FROM cover c WHERE c.symbol = i.symbol AND i.ts BETWEEN c.from_ts AND c.to_ts AND (c.fetched_at > i.fetched_at OR (c.fetched_at = i.fetched_at AND c.fetch_id > i.fetch_id)))"
	}
	var same []string
	for _, v := range values {
		same = append(same, "i."+v+" IS NOT DISTINCT FROM o."+v)
	}
	equal := strings.Join(same, " AND ")
	var old []string
	for _, c := range lake.BarColumns {
		old = append(old, "o."+c.Name+" AS old_"+c.Name)
	}
	err := m.run(ctx,
		"CREATE OR REPLACE TEMP TABLE incoming AS "+incoming,
		"CREATE OR REPLACE TEMP TABLE diff AS SELECT "+names(lake.BarColumns, "i.")+", "+strings.Join(old, ", ")+`, o.file, CASE
			WHEN `+covered+` THEN 'superseded'
			WHEN o.symbol IS NULL THEN 'insert'
			WHEN i.fetched_at < o.fetched_at OR (i.fetched_at = o.fetched_at AND i.fetch_id <= o.fetch_id) THEN 'superseded'
			WHEN `+equal+` AND i.adj_close IS NOT DISTINCT FROM o.adj_close THEN 'unchanged'
			WHEN `+equal+` THEN 'adjust'
			ELSE 'replace' END AS action
			FROM incoming i LEFT JOIN (SELECT * FROM (`+stored+`) WHERE ts BETWEEN (SELECT min(ts) FROM incoming) AND (SELECT max(ts) FROM incoming)) o
			ON i.symbol = o.symbol AND i.ts = o.ts`,
		"DROP TABLE incoming")
	if err != nil {
		return err
	}
	_, rows, err := m.query(ctx, "SELECT action, count(*) FROM diff GROUP BY action")
	if err != nil {
		return err
	}
	count := map[string]int64{}
	for _, r := range rows {
		count[text(r[0])] = r[1].(int64)
	}
	m.out.Inserted, m.out.Unchanged, m.out.Superseded = count["insert"], count["unchanged"], count["superseded"]
	m.out.Replaced, m.out.Revisions = count["replace"]+count["adjust"], count["replace"]
	if m.out.Inserted > 0 {
		if _, err := m.copy(ctx, "SELECT "+names(lake.BarColumns, "")+" FROM diff WHERE action = 'insert'", m.Inserted, lake.BarColumns); err != nil {
			return err
		}
	}
	if m.out.Replaced > 0 {
		if err := m.rewrite(ctx); err != nil {
			return err
		}
	}
	return m.run(ctx, "DROP TABLE diff")
}

// rewrite writes the files that take the place of those with changed keys, and the
// revisions that the changes leave.
func (m *merge) rewrite(ctx context.Context) error {
	var image []string
	for _, c := range lake.BarColumns {
		if c.Name == "adj_close" {
			image = append(image, "adj_close")
			continue
		}
		image = append(image, "CASE action WHEN 'adjust' THEN old_"+c.Name+" ELSE "+c.Name+" END AS "+c.Name)
	}
	err := m.run(ctx, "CREATE OR REPLACE TEMP TABLE changed AS SELECT "+strings.Join(image, ", ")+", file FROM diff WHERE action IN ('adjust', 'replace')")
	if err != nil {
		return err
	}
	if _, err := m.copy(ctx, "SELECT "+names(lake.BarColumns, "")+" FROM changed", m.Changed, lake.BarColumns); err != nil {
		return err
	}
	if m.out.Revisions > 0 {
		var old []string
		for _, c := range lake.BarColumns {
			old = append(old, "old_"+c.Name+" AS "+c.Name)
		}
		revised := "SELECT " + strings.Join(old, ", ") + ", " + timestamp(m.Now) + " AS replaced_at FROM diff WHERE action = 'replace'"
		if _, err := m.copy(ctx, revised, m.Revised, lake.RevisionColumns); err != nil {
			return err
		}
	}
	_, rows, err := m.query(ctx, "SELECT DISTINCT file FROM changed ORDER BY file")
	if err != nil {
		return err
	}
	for _, r := range rows {
		i := int(r[0].(int64))
		all := names(lake.BarColumns, "")
		_, err := m.copy(ctx, fmt.Sprintf("SELECT %s FROM %s o ANTI JOIN (SELECT symbol, ts FROM changed WHERE file = %d) USING (symbol, ts) UNION ALL SELECT %s FROM changed WHERE file = %d",
			all, m.Relation([]string{m.Existing[i]}), i, all, i), m.Rewritten(i), lake.BarColumns)
		if err != nil {
			return err
		}
		m.out.Rewrote = append(m.out.Rewrote, i)
	}
	return m.run(ctx, "DROP TABLE changed")
}

func (m *merge) loadCovers(ctx context.Context) error {
	var rows []string
	for symbol, covers := range m.Covers {
		for _, c := range covers {
			rows = append(rows, "("+strings.Join([]string{quote(symbol), timestamp(c.From), timestamp(c.To), timestamp(c.FetchedAt), quote(c.FetchID)}, ", ")+")")
		}
	}
	return m.run(ctx, "CREATE OR REPLACE TEMP TABLE cover AS SELECT * FROM (VALUES "+strings.Join(rows, ", ")+") v(symbol, from_ts, to_ts, fetched_at, fetch_id)")
}

func names(columns []lake.Column, prefix string) string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = prefix + `"` + c.Name + `"`
	}
	return strings.Join(out, ", ")
}

func timestamp(t time.Time) string {
	return "TIMESTAMP '" + t.UTC().Format("2006-01-02 15:04:05.000000") + "'"
}
