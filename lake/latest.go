package lake

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
	"github.com/tickerlake/tickerlake/quality"
)

// latestFile is the one object of prod.latest.
const latestFile = "s3://prod/latest/latest.parquet"

// renewLatest replaces the object of prod.latest if a bar came that is not final, or
// one that is there has become final.
func (l *Lake) renewLatest(ctx context.Context, run Run, note cleaned, c candidates, p catalog.Publication) error {
	path, err := l.create(latestFile)
	if err != nil {
		return err
	}
	var open []string
	for _, part := range note.Result.Parts {
		if part.Outcome == OutcomeOpen {
			open = append(open, part.Files...)
		}
	}
	existing := ""
	if _, err := os.Stat(path); err == nil {
		existing = path
	} else if len(open) == 0 {
		return nil
	}
	if len(open)+len(p.Confirmations) == 0 {
		return nil
	}
	if existing != "" {
		switch _, err := l.files.Check(latestFile); {
		case errors.Is(err, tickerlake.Damaged):
			run.Log().Warn("prod.latest is damaged and begins anew: the next fetch brings the unfinished bars of other symbols back", "why", err)
			if existing = ""; len(open) == 0 {
				return nil
			}
		case err != nil:
			return err
		}
	}
	series, err := l.Catalog.AllSeries(ctx)
	if err != nil {
		return err
	}
	for _, c := range p.Confirmations {
		series = append(series, c.Series)
	}
	final := map[[2]string]time.Time{}
	for _, s := range series {
		key := [2]string{s.Table, string(s.Symbol)}
		if s.Last.After(final[key]) {
			final[key] = s.Last
		}
	}
	skips := map[string][]Skip{}
	for _, left := range []map[string][]Skip{note.Conflicts, c.Waits} {
		for table, list := range left {
			skips[table] = append(skips[table], list...)
		}
	}
	task := WriteTask{Select: latestSQL(l.Engine, open, skips, c.Restated, existing, final), Columns: LatestColumns, File: path + ".new"}
	if _, err := l.Engine.Write(ctx, task); err != nil {
		return err
	}
	return l.files.Replace(task.File, latestFile)
}

// latestSQL is the SELECT of the newest unfinished bar of each symbol: of the open rows
// without those that are left out, by table, and of those that are there, but none
// that is not later than the last final bar of its table and symbol, or that is older
// than what its series came anew with.
func latestSQL(e Engine, open []string, skips map[string][]Skip, restated map[string][]Restatement, existing string, final map[[2]string]time.Time) string {
	var sources []string
	if len(open) > 0 {
		sources = append(sources, "SELECT "+columnList(BarColumns)+`, "interval", tbl AS "table" FROM `+e.Relation(open)+
			" i WHERE NOT EXISTS (SELECT 1 FROM (VALUES "+strings.Join(skipRows(skips), ", ")+`) s(tbl, symbol, source, basis, currency, "interval")
			WHERE s.tbl = i.tbl AND s.symbol = i.symbol AND (s.source = '' OR s.source = i.source AND s.basis = i.basis AND s.currency = i.currency AND s."interval" = i."interval"))`)
	}
	if existing != "" {
		sources = append(sources, "SELECT "+columnList(LatestColumns)+" FROM "+e.Relation([]string{existing}))
	}
	ends := []string{"('', '', " + quality.TimestampLiteral(time.Unix(0, 0)) + ")"} // of no symbol
	for key, ts := range final {
		ends = append(ends, "("+quality.Literal(key[0])+", "+quality.Literal(key[1])+", "+quality.TimestampLiteral(ts)+")")
	}
	anew := ends[:1:1]
	for table, list := range restated {
		for _, r := range list {
			anew = append(anew, "("+quality.Literal(table)+", "+quality.Literal(r.Symbol)+", "+quality.TimestampLiteral(r.FetchedAt)+")")
		}
	}
	return "SELECT " + columnList(LatestColumns) + ` FROM (
		SELECT *, row_number() OVER (PARTITION BY symbol ORDER BY ts DESC, fetched_at DESC, fetch_id DESC) AS place
		FROM (` + strings.Join(sources, " UNION ALL ") + `) l
		WHERE NOT EXISTS (SELECT 1 FROM (VALUES ` + strings.Join(ends, ", ") + `) f(tbl, symbol, ts)
			WHERE f.tbl = l."table" AND f.symbol = l.symbol AND f.ts >= l.ts)
		AND NOT EXISTS (SELECT 1 FROM (VALUES ` + strings.Join(anew, ", ") + `) a(tbl, symbol, fetched_at)
			WHERE a.tbl = l."table" AND a.symbol = l.symbol AND a.fetched_at > l.fetched_at)) p WHERE place = 1`
}

// skipRows are the rows of a VALUES list, one of them matching nothing.
func skipRows(skips map[string][]Skip) []string {
	rows := []string{"('', '', '', '', '', '')"}
	for table, list := range skips {
		for _, s := range list {
			fields := []string{table, s.Symbol, s.Source, s.Basis, s.Currency, s.Interval}
			for i, f := range fields {
				fields[i] = quality.Literal(f)
			}
			rows = append(rows, "("+strings.Join(fields, ", ")+")")
		}
	}
	return rows
}

// literals lists texts for an IN, each once.
func literals(texts []string) string {
	texts = slices.Compact(slices.Sorted(slices.Values(texts)))
	for i, s := range texts {
		texts[i] = quality.Literal(s)
	}
	return strings.Join(texts, ", ")
}

// columnList names columns for a SELECT.
func columnList(columns []Column) string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = quality.Ident(c.Name)
	}
	return strings.Join(out, ", ")
}
