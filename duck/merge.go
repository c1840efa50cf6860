package duck

import (
	"context"
	"fmt"
	"os"
	"slices"
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
	total, err := e.number(ctx, "SELECT count(*) FROM "+m.rows())
	if err != nil {
		return m.out, err
	}
	incoming, err := m.incoming(ctx)
	if err != nil {
		return m.out, err
	}
	if len(task.Existing) == 0 && len(task.Covers) == 0 && len(task.Spans) == 0 {
		if !task.Distinct {
			err = m.changes(ctx, false)
		}
		if err == nil {
			m.out.Inserted, err = e.copy(ctx, "SELECT "+names(lake.BarColumns, "")+" FROM ("+incoming+")", task.Inserted, lake.BarColumns)
		}
	} else {
		err = m.compare(ctx, incoming)
	}
	// What is left are older copies within the part.
	m.out.Superseded += total - m.out.Skipped - m.out.Waiting - m.out.Inserted - m.out.Replaced - m.out.Unchanged - m.out.Superseded
	return m.out, err
}

type merge struct {
	*Engine
	lake.MergeTask
	out lake.MergeResult
	// live is the SELECT of the rows of the part that are not left out.
	live string
}

// rows is the relation of the part, which has none where only a span reaches.
func (m *merge) rows() string {
	if len(m.Incoming) > 0 {
		return m.Relation(m.Incoming)
	}
	return none()
}

// none is a relation of rows, without any.
func none() string {
	columns := append(slices.Clone(lake.BarColumns), lake.Column{Name: "row", Type: "BIGINT"}, lake.Column{Name: "interval", Type: "VARCHAR"})
	nulls := make([]string, len(columns))
	for i, c := range columns {
		nulls[i] = fmt.Sprintf("CAST(NULL AS %s) AS %q", c.Type, c.Name)
	}
	return "(SELECT " + strings.Join(nulls, ", ") + " WHERE false)"
}

// incoming is the SELECT of the rows that count: one a key, the latest, without
// those to skip.
func (m *merge) incoming(ctx context.Context) (string, error) {
	m.live = "SELECT * FROM " + m.rows() + " i"
	if len(m.Skip) > 0 {
		values := make([]string, len(m.Skip))
		for i, s := range m.Skip {
			fetched, ts := "NULL::TIMESTAMP", "NULL::TIMESTAMP"
			if !s.FetchedBefore.IsZero() {
				fetched, ts = timestamp(s.FetchedBefore), timestamp(s.TsBefore)
			}
			values[i] = fmt.Sprintf("(%s, %s, %s, %s, %s, %t, %s, %s)", quote(s.Symbol), quote(s.Source), quote(s.Basis), quote(s.Currency), quote(s.Interval), s.Wait, fetched, ts)
		}
		err := m.run(ctx, "CREATE OR REPLACE TEMP TABLE skip AS SELECT * FROM (VALUES "+strings.Join(values, ", ")+") v(symbol, source, basis, currency, \"interval\", wait, fetched_before, ts_before)")
		if err != nil {
			return "", err
		}
		skipped := "EXISTS (SELECT 1 FROM skip s WHERE s.symbol = i.symbol AND (s.source = '' OR (s.source = i.source AND s.basis = i.basis AND s.currency = i.currency AND s.\"interval\" = i.\"interval\"))" +
			" AND (s.fetched_before IS NULL OR i.fetched_at < s.fetched_before AND i.ts < s.ts_before)"
		aside := " AND (NOT s.wait OR " + lake.FromFileSQL("i.fetch_id") + "))"
		if m.out.Skipped, err = m.number(ctx, "SELECT count(*) FROM "+m.rows()+" i WHERE "+skipped+aside); err != nil {
			return "", err
		}
		all, err := m.number(ctx, "SELECT count(*) FROM "+m.rows()+" i WHERE "+skipped+")")
		if err != nil {
			return "", err
		}
		m.out.Waiting = all - m.out.Skipped
		m.live += " WHERE NOT " + skipped + ")"
	}
	rows := m.live
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
	if len(m.Covers) > 0 {
		if err := m.loadCovers(ctx); err != nil {
			return err
		}
	}
	var same []string
	for _, v := range values {
		same = append(same, "i."+v+" IS NOT DISTINCT FROM o."+v)
	}
	if slices.ContainsFunc(m.Spans, func(s lake.Span) bool { return s.Anew }) {
		// Then the rows may be of another source.
		for _, v := range []string{"source", "basis", "currency"} {
			same = append(same, "i."+v+" = o."+v)
		}
	}
	equal := strings.Join(same, " AND ")
	var old []string
	for _, c := range lake.BarColumns {
		old = append(old, "o."+c.Name+" AS old_"+c.Name)
	}
	if err := m.run(ctx, "CREATE OR REPLACE TEMP TABLE incoming AS "+incoming); err != nil {
		return err
	}
	stored, err := m.stored(ctx)
	if err != nil {
		return err
	}
	// Stored bars that no incoming row has are of interest where a span is.
	join, spared := "LEFT JOIN ("+stored+") o ON i.symbol = o.symbol AND i.ts = o.ts", ""
	if len(m.Spans) > 0 {
		join = "FULL JOIN (" + stored + ") o ON i.symbol = o.symbol AND i.ts = o.ts " +
			"LEFT JOIN (SELECT symbol, min(from_ts) AS from_ts, max(to_ts) AS to_ts, max(fetched_at) AS fetched_at FROM span GROUP BY symbol) s ON s.symbol = o.symbol"
		spared = " WHERE i.symbol IS NOT NULL OR (o.ts BETWEEN s.from_ts AND s.to_ts AND o.fetched_at <= s.fetched_at)"
	}
	err = m.run(ctx,
		"CREATE OR REPLACE TEMP TABLE diff AS SELECT "+names(lake.BarColumns, "i.")+", "+strings.Join(old, ", ")+`, o.file,
			coalesce(i.symbol, o.symbol) AS key_symbol, coalesce(i.ts, o.ts) AS key_ts, CASE
			WHEN i.symbol IS NULL THEN 'stays'
			WHEN `+m.covered()+` THEN 'superseded'
			WHEN o.symbol IS NULL THEN 'insert'
			WHEN NOT `+later("i.", "o.")+` THEN 'superseded'
			WHEN `+equal+` AND i.adj_close IS NOT DISTINCT FROM o.adj_close THEN 'unchanged'
			WHEN `+equal+` THEN 'adjust'
			ELSE 'replace' END AS action
			FROM incoming i `+join+spared,
		"DROP TABLE incoming")
	if err != nil {
		return err
	}
	if err := m.changes(ctx, true); err != nil {
		return err
	}
	if len(m.Spans) > 0 {
		if err := m.withdraw(ctx); err != nil {
			return err
		}
	}
	_, rows, err := m.query(ctx, "SELECT action, count(*), count(symbol) FROM diff GROUP BY action")
	if err != nil {
		return err
	}
	keys, incomers := map[string]int64{}, map[string]int64{}
	for _, r := range rows {
		keys[text(r[0])], incomers[text(r[0])] = r[1].(int64), r[2].(int64)
	}
	m.out.Inserted, m.out.Unchanged, m.out.Superseded = keys["insert"], keys["unchanged"], keys["superseded"]+incomers["withdraw"]
	if keys["stays"]+keys["withdraw"] > incomers["withdraw"] {
		if err := m.lacking(ctx); err != nil {
			return err
		}
	}
	m.out.Replaced, m.out.Removed, m.out.Revisions = keys["replace"]+keys["adjust"], keys["withdraw"], keys["replace"]+keys["withdraw"]
	if m.out.Inserted > 0 {
		if _, err := m.copy(ctx, "SELECT "+names(lake.BarColumns, "")+" FROM diff WHERE action = 'insert'", m.Inserted, lake.BarColumns); err != nil {
			return err
		}
	}
	if m.out.Replaced+m.out.Removed > 0 {
		if err := m.rewrite(ctx); err != nil {
			return err
		}
	}
	return m.run(ctx, "DROP TABLE diff")
}

// stored is the SELECT of the bars of the existing files that incoming rows or spans
// can meet, each with the index of its file.
func (m *merge) stored(ctx context.Context) (string, error) {
	reach := "SELECT symbol, min(ts) AS from_ts, max(ts) AS to_ts FROM incoming GROUP BY symbol"
	if len(m.Spans) > 0 {
		if err := m.loadSpans(ctx); err != nil {
			return "", err
		}
		reach += " UNION ALL SELECT symbol, from_ts, to_ts FROM span"
	}
	if err := m.run(ctx, "CREATE OR REPLACE TEMP TABLE reach AS SELECT symbol, min(from_ts) AS from_ts, max(to_ts) AS to_ts FROM ("+reach+") GROUP BY symbol"); err != nil {
		return "", err
	}
	_, rows, err := m.query(ctx, "SELECT min(from_ts), max(to_ts) FROM reach")
	if err != nil {
		return "", err
	}
	return "SELECT * FROM (" + m.existing() + ") WHERE ts BETWEEN " + timestamp(moment(rows[0][0])) + " AND " + timestamp(moment(rows[0][1])) +
		" AND symbol IN (SELECT symbol FROM reach)", nil
}

// existing is the SELECT of all bars of the existing files.
func (m *merge) existing() string {
	all := "SELECT " + names(lake.BarColumns, "") + ", -1 AS file FROM " + none()
	for i, f := range m.Existing {
		all += fmt.Sprintf(" UNION ALL SELECT %s, %d FROM %s", names(lake.BarColumns, ""), i, m.Relation([]string{f}))
	}
	return all
}

// rewrite writes the files that take the place of those with changed or withdrawn
// keys, and the revisions that the changes leave.
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
	if m.out.Replaced > 0 {
		if _, err := m.copy(ctx, "SELECT "+names(lake.BarColumns, "")+" FROM changed", m.Changed, lake.BarColumns); err != nil {
			return err
		}
	}
	if m.out.Revisions > 0 {
		if _, err := m.copy(ctx, m.revised(), m.Revised, lake.RevisionColumns); err != nil {
			return err
		}
	}
	_, rows, err := m.query(ctx, "SELECT DISTINCT file FROM diff WHERE action IN ('adjust', 'replace', 'withdraw') ORDER BY file")
	if err != nil {
		return err
	}
	for _, r := range rows {
		i := int(r[0].(int64))
		all := names(lake.BarColumns, "")
		n, err := m.copy(ctx, fmt.Sprintf(`SELECT %s FROM %s o ANTI JOIN (SELECT key_symbol AS symbol, key_ts AS ts FROM diff
			WHERE action IN ('adjust', 'replace', 'withdraw') AND file = %d) USING (symbol, ts) UNION ALL SELECT %s FROM changed WHERE file = %d`,
			all, m.Relation([]string{m.Existing[i]}), i, all, i), m.Rewritten(i), lake.BarColumns)
		if err != nil {
			return err
		}
		if n == 0 {
			m.out.Emptied = append(m.out.Emptied, i)
			if err := os.Remove(m.Rewritten(i)); err != nil {
				return engineError("duck.Merge", err)
			}
			continue
		}
		m.out.Rewrote = append(m.out.Rewrote, i)
	}
	return m.run(ctx, "DROP TABLE changed")
}

// covered is the condition that a later fetch has confirmed the key of a row i.
func (m *merge) covered() string {
	if len(m.Covers) == 0 {
		return "false"
	}
	return "EXISTS (SELECT 1 FROM cover c WHERE c.symbol = i.symbol AND i.ts BETWEEN c.from_ts AND c.to_ts AND " + later("c.", "i.") + ")"
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
	return "TIMESTAMP '" + micros(t) + "'"
}
