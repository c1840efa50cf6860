package lake

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/apache/iceberg-go/table"

	"github.com/tickerlake/tickerlake"
)

// rows compares what state.db says of series with the rows of prod, and revisions with
// the bars that took their place. Tables with a damaged file are left out.
func (d *doctor) rows(ctx context.Context) error {
	all, err := d.Catalog.AllSeries(ctx)
	if err != nil {
		return err
	}
	tables := map[string]map[string]tickerlake.Series{}
	for _, s := range all {
		if tables[s.Table] == nil {
			tables[s.Table] = map[string]tickerlake.Series{}
		}
		tables[s.Table][string(s.Symbol)] = s
	}
	names, err := d.Catalog.ListTables(ctx, d.prod())
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasSuffix(name, revisionsSuffix) || d.broken[name] || d.derived[name] {
			continue
		}
		if name == tickerlake.ActionsTable {
			if err := d.actions(ctx); err != nil {
				return err
			}
			continue
		}
		if !d.apart[name] {
			if err := d.series(ctx, name, tables[name]); err != nil {
				return err
			}
		}
		if d.broken[name+revisionsSuffix] {
			continue
		}
		if err := d.revisions(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// actions looks for keys that stand twice.
func (d *doctor) actions(ctx context.Context) error {
	v, err := d.tableView(ctx, tickerlake.ActionsTable, table.MainBranch)
	if err != nil {
		return err
	}
	_, rows, err := d.Engine.Query(ctx, "SELECT symbol, ts, kind, count(*) FROM "+d.Rows(v)+" GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL")
	for _, r := range rows {
		d.find(d.wrong("keys", d.prod()+"."+tickerlake.ActionsTable, "the %v of %v of %v stands %v times", r[2], r[0], r[1], r[3]))
	}
	return err
}

// series compares the last bars and looks for keys that stand twice.
func (d *doctor) series(ctx context.Context, name string, series map[string]tickerlake.Series) error {
	v, err := d.tableView(ctx, name, table.MainBranch)
	if err != nil {
		return err
	}
	where := d.prod() + "." + name
	_, rows, err := d.Engine.Query(ctx, "SELECT symbol, count(*), count(DISTINCT ts), max(ts), min(source), max(source) FROM "+d.Rows(v)+" GROUP BY symbol ORDER BY symbol")
	if err != nil {
		return err
	}
	var off []Finding
	seen := map[string]bool{}
	for _, r := range rows {
		symbol, _ := r[0].(string)
		n, _ := r[1].(int64)
		distinct, _ := r[2].(int64)
		last, _ := r[3].(time.Time)
		source, _ := r[4].(string)
		seen[symbol] = true
		s, ok := series[symbol]
		switch {
		case n != distinct:
			off = append(off, d.wrong("keys", where, "%s has %d rows and %d times: keys stand twice", symbol, n, distinct))
		case !ok:
			off = append(off, d.wrong("series", where, "%s has %d rows, and state.db does not have the series", symbol, n))
		case last.After(s.Last):
			off = append(off, d.wrong("series", where, "the last bar of %s is of %s, state.db says %s", symbol, last.Format(time.DateTime), s.Last.Format(time.DateTime)))
		case s.Last.After(last):
			f := d.wrong("series", where, "the last bar of %s is of %s, state.db says that it is published until %s", symbol, last.Format(time.DateTime), s.Last.Format(time.DateTime))
			f.Advice = "if catalog.db was put back from an older copy, put back the newer one; if not, tickerlake fetch SOURCE --from asks the source again"
			off = append(off, f)
		case r[4] != r[5]:
			off = append(off, d.wrong("series", where, "%s has rows of the sources %v and %v", symbol, r[4], r[5]))
		case source != s.Source:
			off = append(off, d.wrong("series", where, "the rows of %s are of the source %s, state.db says %s", symbol, source, s.Source))
		}
	}
	for symbol, s := range series {
		if !seen[symbol] && s.Last.After(time.Unix(0, 0)) {
			off = append(off, d.wrong("series", where, "state.db says that %s is published until %s, and it has no rows", symbol, s.Last.Format(time.DateTime)))
		}
	}
	if len(off) == 0 {
		return nil
	}
	// A run may have published between the two looks.
	now, err := d.tableView(ctx, name, table.MainBranch)
	if err != nil {
		return err
	}
	if now.Snapshot != v.Snapshot {
		fresh, err := d.Catalog.Published(ctx, name)
		if err != nil {
			return err
		}
		again := map[string]tickerlake.Series{}
		for symbol, s := range fresh {
			again[string(symbol)] = s
		}
		return d.series(ctx, name, again)
	}
	run, err := d.unrecorded(ctx, name)
	if err != nil {
		return err
	}
	behind := 0
	for _, f := range off {
		if run != "" && f.What == "series" {
			behind++
			continue
		}
		d.find(f)
	}
	if behind > 0 {
		d.find(Finding{Severity: Note, What: "series", Where: where,
			Problem: fmt.Sprintf("the run %s was cut off between publishing and recording it: state.db is behind in %d series until tickerlake run ends it", run, behind)})
	}
	return nil
}

// unrecorded is the run that has made what is published of a table, if state.db does not
// have its publication.
func (d *doctor) unrecorded(ctx context.Context, name string) (string, error) {
	t, err := d.Catalog.LoadTable(ctx, d.prod(), name)
	if err != nil {
		return "", err
	}
	recorded, err := d.Catalog.Publications(ctx)
	if err != nil {
		return "", err
	}
	head := t.SnapshotByName(table.MainBranch)
	if head == nil || head.Summary == nil {
		return "", nil
	}
	run := head.Summary.Properties[runProperty]
	if _, ok := recorded[run]; ok {
		return "", nil
	}
	return run, nil
}

// revisions must be older than what took their place.
func (d *doctor) revisions(ctx context.Context, name string) error {
	bars, err := d.tableView(ctx, name, table.MainBranch)
	if err != nil {
		return err
	}
	revisions, err := d.tableView(ctx, name+revisionsSuffix, table.MainBranch)
	if err != nil {
		return err
	}
	_, rows, err := d.Engine.Query(ctx, fmt.Sprintf(`SELECT r.symbol, count(*) FROM %s r JOIN %s b USING (symbol, ts)
		WHERE r.fetched_at > b.fetched_at OR r.fetched_at = b.fetched_at AND r.fetch_id > b.fetch_id OR r.replaced_at < r.fetched_at
		GROUP BY r.symbol ORDER BY r.symbol`, d.Rows(revisions), d.Rows(bars)))
	if err != nil {
		return err
	}
	for _, r := range rows {
		d.find(d.wrong("revisions", d.prod()+"."+name+revisionsSuffix, "%v has %v revisions that are later than the bar in their place", r[0], r[1]))
	}
	return nil
}
