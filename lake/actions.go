package lake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/apache/iceberg-go/table"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
)

// Splits and dividends come with the bars and end in a table of their own. They are few,
// so a part is compared with all of its year, and a year in which one has changed is
// written anew. No revision is kept of them, and none is withdrawn: an answer tells of
// those in its window only.

// An actionBuilder makes the candidate of the table of splits and dividends.
type actionBuilder struct {
	lake  *Lake
	run   string
	build int

	remove, add []string // locations
	out         Candidate
}

func (b *actionBuilder) table(ctx context.Context, parts []Part) (Candidate, error) {
	l := b.lake
	b.out = Candidate{Table: tickerlake.ActionsTable, Interval: tickerlake.Day}
	t, err := l.ensureTable(ctx, b.out.Table, b.out.Interval, ActionColumns)
	if err != nil {
		return b.out, err
	}
	b.out.Base = headOf(t, table.MainBranch)
	if err := l.dropCandidates(ctx, t); err != nil {
		return b.out, err
	}
	files, err := plan(ctx, t, table.MainBranch)
	if err != nil {
		return b.out, err
	}
	for i, p := range parts {
		year := slices.DeleteFunc(slices.Clone(files), func(f file) bool { return f.partition != p.Partition })
		if err := b.part(ctx, i, p, year); err != nil {
			return b.out, err
		}
	}
	if len(b.remove)+len(b.add) > 0 {
		b.out.Snapshot, err = l.stage(ctx, b.out.Table, b.run, nil, b.remove, b.add)
	}
	return b.out, err
}

// part merges the actions of a year with the files of that year.
func (b *actionBuilder) part(ctx context.Context, n int, p Part, files []file) error {
	l := b.lake
	if err := l.unchanged(files); err != nil {
		return err
	}
	existing, err := l.local(files)
	if err != nil {
		return err
	}
	stored, diff := l.typed(ActionColumns, existing), l.actionDiff(p, existing)
	counts, err := b.count(ctx, diff, p.Rows)
	if err != nil {
		return err
	}
	b.out.Counts = add(b.out.Counts, counts)
	columns := columnList(ActionColumns)
	task := WriteTask{Columns: ActionColumns, Select: "SELECT " + columns + " FROM (" + diff + ") WHERE action = 'insert'"}
	what := "new"
	switch {
	case counts.Inserted+counts.Replaced == 0:
		return nil
	case counts.Replaced > 0:
		what = "rewrite-0"
		fresh := "SELECT " + columns + " FROM (" + diff + ") WHERE action IN ('insert', 'replace')"
		task.Select = fresh + " UNION ALL SELECT " + columns + " FROM " + stored + " o WHERE NOT EXISTS (SELECT 1 FROM (" + fresh +
			") n WHERE n.symbol = o.symbol AND n.ts = o.ts AND n.kind = o.kind)"
		for _, f := range files {
			b.remove = append(b.remove, f.location)
		}
	}
	location := dataFile(b.out.Table, p.Partition, b.run, b.build, n, what)
	if task.File, err = l.create(location); err != nil {
		return err
	}
	if _, err := l.Engine.Write(ctx, task); err != nil {
		return err
	}
	b.add = append(b.add, location)
	return l.files.Sync(location)
}

// actionDiff is the SELECT of the latest row of each key of a part, with what it does to
// the stored ones, and since when the table knows the same. The same action told by
// another source changes nothing.
func (l *Lake) actionDiff(p Part, existing []string) string {
	var same []string
	for _, c := range []string{"ratio", "amount", "currency", "basis"} {
		same = append(same, "i."+c+" IS NOT DISTINCT FROM o."+c)
	}
	agrees := strings.Join(same, " AND ")
	return `SELECT i.*, CASE WHEN ` + agrees + ` THEN o.fetched_at END AS known, CASE WHEN o.symbol IS NULL THEN 'insert'
		WHEN i.fetched_at < o.fetched_at OR i.fetched_at = o.fetched_at AND i.fetch_id <= o.fetch_id THEN 'superseded'
		WHEN ` + agrees + ` THEN 'unchanged' ELSE 'replace' END AS action
	FROM (SELECT ` + columnList(ActionColumns) + " FROM " + l.Engine.Relation(p.Files) + ` r
		QUALIFY row_number() OVER (PARTITION BY symbol, ts, kind ORDER BY fetched_at DESC, fetch_id DESC, "row" DESC) = 1) i
	LEFT JOIN ` + l.typed(ActionColumns, existing) + " o ON o.symbol = i.symbol AND o.ts = i.ts AND o.kind = i.kind"
}

// count tells what becomes of the rows of a part.
func (b *actionBuilder) count(ctx context.Context, diff string, rows int64) (c tickerlake.Counts, err error) {
	_, found, err := b.lake.Engine.Query(ctx, "SELECT action, count(*) FROM ("+diff+") GROUP BY action")
	if err != nil {
		return c, err
	}
	for _, r := range found {
		n, _ := r[1].(int64)
		switch action, _ := r[0].(string); action {
		case "insert":
			c.Inserted = n
		case "replace":
			c.Replaced = n
		case "unchanged":
			c.Unchanged = n
		case "superseded":
		default:
			return c, tickerlake.Errorf(tickerlake.Internal, "lake.actions", action, "%s", fmt.Sprint(r...))
		}
	}
	c.Superseded = rows - c.Inserted - c.Replaced - c.Unchanged
	return c, nil
}

// A told is a split or dividend that a fetch of the run tells of.
type told struct {
	action
	fetch fetchKey
	known time.Time // since when the table has it so; zero if it does not
}

type action struct {
	symbol, kind string
	ts           time.Time
}

// told lists what the run's fetches tell of, each as the latest of them has it.
func (l *Lake) told(ctx context.Context, parts []Part) ([]told, error) {
	var out []told
	for _, p := range parts {
		if p.Outcome != OutcomeActions {
			continue
		}
		existing, err := l.actionFiles(ctx, p.Partition)
		if err != nil {
			return nil, err
		}
		_, rows, err := l.Engine.Query(ctx, "SELECT DISTINCT r.symbol, r.kind, r.ts, r.fetched_at, r.fetch_id, d.known FROM "+l.Engine.Relation(p.Files)+" r JOIN ("+l.actionDiff(p, existing)+`) d
			ON d.symbol = r.symbol AND d.ts = r.ts AND d.kind = r.kind AND d.ratio IS NOT DISTINCT FROM r.ratio AND d.amount IS NOT DISTINCT FROM r.amount
			WHERE d.action IN ('insert', 'replace') OR d.known IS NOT NULL`)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			t := told{action: action{textOf(r[0]), textOf(r[1]), timeOf(r[2])}, fetch: fetchKey{timeOf(r[3]), textOf(r[4])}}
			if r[5] != nil {
				t.known = timeOf(r[5])
			}
			out = append(out, t)
		}
	}
	return out, nil
}

// actionFiles lists the local files of the published splits and dividends of a year, or
// of all.
func (l *Lake) actionFiles(ctx context.Context, year string) ([]string, error) {
	t, err := l.Catalog.LoadTable(ctx, l.prod(), tickerlake.ActionsTable)
	if errors.Is(err, tickerlake.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	files, err := plan(ctx, t, table.MainBranch)
	if err != nil {
		return nil, err
	}
	files = slices.DeleteFunc(files, func(f file) bool { return year != "" && f.partition != year })
	paths, err := l.local(files)
	if err != nil {
		return nil, err
	}
	return paths, l.Whole(ctx, paths)
}

// toldOf adds to what is suspected: a series whose source tells of a split or dividend
// that is new to it has other prices since, or another adj_close, of all bars before it.
// New to it is what the table does not have, or has had only since after the series'
// latest fetch: then another source told of it first. A series that begins with the run
// is on one basis, unless rows of before come with it.
func (l *Lake) toldOf(ctx context.Context, note cleaned, all map[string]map[string]suspicion) error {
	news, err := l.told(ctx, note.Result.Parts)
	if err != nil || len(news) == 0 {
		return err
	}
	var ids []string
	for _, t := range news {
		ids = append(ids, t.fetch.id)
	}
	adjusts, err := l.adjusted(ctx, note.Result.Parts, ids)
	if err != nil {
		return err
	}
	type answer struct{ fetch, symbol string }
	by := map[answer][]told{}
	for _, t := range news {
		by[answer{t.fetch.id, t.symbol}] = append(by[answer{t.fetch.id, t.symbol}], t)
	}
	type telling struct {
		table string
		action
	}
	since := map[telling]fetchKey{} // the first fetch of the series that tells of it
	stored := map[string]*storedSeries{}
	groups := map[[2]string][]Group{} // by table and symbol
	for _, g := range note.Result.Groups {
		if g.Outcome != OutcomeBars || skipped(g, note.Conflicts[g.Table]) {
			continue
		}
		series := [2]string{g.Table, g.Symbol}
		groups[series] = append(groups[series], g)
		for _, t := range by[answer{g.FetchID, g.Symbol}] {
			if !t.fetch.at.Equal(g.FetchedAt) || !g.changesWith(t.kind, adjusts[[2]string{g.Table, g.FetchID}]) {
				continue
			}
			if stored[g.Table] == nil {
				if stored[g.Table], err = l.storedSeries(ctx, g.Table); err != nil {
					return err
				}
			}
			if !stored[g.Table].begins(t.symbol) && !stored[g.Table].isNew(t) {
				continue
			}
			key := telling{g.Table, t.action}
			if first, ok := since[key]; !ok || first.after(t.fetch) {
				since[key] = t.fetch
			}
		}
	}
	earliest := func(a, b telling) int { return a.ts.Compare(b.ts) }
	for _, t := range slices.SortedFunc(maps.Keys(since), earliest) {
		first := since[t]
		if stored[t.table].begins(t.symbol) && !slices.ContainsFunc(groups[[2]string{t.table, t.symbol}], func(g Group) bool { return g.before(t.action, first) }) {
			continue
		}
		if all[t.table] == nil {
			all[t.table] = map[string]suspicion{}
		}
		s := all[t.table][t.symbol]
		if s.reason == "" {
			s.reason = fmt.Sprintf("its source tells of a %s of %s", t.kind, tsText(t.ts))
		}
		if first.after(s.since) {
			s.since = first
		}
		all[t.table][t.symbol] = s
	}
	return nil
}

// changesWith reports whether a split or dividend changes the bars before it.
func (g Group) changesWith(kind string, adjusted bool) bool {
	return adjusted || g.Basis == string(tickerlake.BasisTotal) || kind == tickerlake.KindSplit && g.Basis != string(tickerlake.BasisRaw)
}

// storedSeries are the series of a table as they are published.
type storedSeries struct {
	series map[tickerlake.Symbol]tickerlake.Series
	covers map[string][]catalog.Cover
}

func (l *Lake) storedSeries(ctx context.Context, table string) (*storedSeries, error) {
	series, err := l.Catalog.Published(ctx, table)
	if err != nil {
		return nil, err
	}
	covers, err := l.Catalog.Covers(ctx, table, time.Time{})
	return &storedSeries{series, covers}, err
}

// begins reports whether nothing of a series is stored.
func (s *storedSeries) begins(symbol string) bool {
	return s.series[tickerlake.Symbol(symbol)].Last.IsZero()
}

// isNew reports whether what is stored of the series is of fetches of before what is told.
func (s *storedSeries) isNew(t told) bool {
	return t.known.IsZero() || !slices.ContainsFunc(s.covers[t.symbol], func(c catalog.Cover) bool { return !c.FetchedAt.Before(t.known) })
}

// before reports whether bars are of before an action that a fetch is the first to tell of:
// those of a fetch that did not, or of a file that was there before it.
func (g Group) before(a action, first fetchKey) bool {
	return first.after(fetchKey{g.FetchedAt, g.FetchID}) && (!tickerlake.FromFile(g.FetchID) || g.FetchedAt.Before(a.ts))
}

// adjusted tells of which tables and fetches rows have an adj_close.
func (l *Lake) adjusted(ctx context.Context, parts []Part, fetches []string) (map[[2]string]bool, error) {
	files := filesOf(parts, func(p Part) bool { return p.Outcome == OutcomeBars })
	out := map[[2]string]bool{}
	if len(files) == 0 {
		return out, nil
	}
	_, rows, err := l.Engine.Query(ctx, "SELECT DISTINCT tbl, fetch_id FROM "+l.Engine.Relation(files)+" r WHERE adj_close IS NOT NULL AND fetch_id IN ("+literals(fetches)+")")
	for _, r := range rows {
		out[[2]string{textOf(r[0]), textOf(r[1])}] = true
	}
	return out, err
}
