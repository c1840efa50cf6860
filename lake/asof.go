package lake

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/apache/iceberg-go/table"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/quality"
)

// ViewsAsOf lists the tables as Views does, the tables of bars as they were known at a
// moment: of each key the row with the latest fetch not after it, none if a later
// complete answer no longer had the bar by then; the tables of jobs, and of splits and
// dividends, as they stood. What has no history of its own stays as it is now (revisions,
// raw, ops), or cannot be asked for: prod.latest.
func (l *Lake) ViewsAsOf(ctx context.Context, t time.Time) ([]View, error) {
	views, err := l.Views(ctx)
	if err != nil {
		return nil, err
	}
	for i := range views {
		v := &views[i]
		switch revisions := slices.IndexFunc(views, func(o View) bool { return o.Database == v.Database && o.Name == v.Name+revisionsSuffix }); {
		case v.Database != l.prod():
		case revisions >= 0:
			v.AsOf, v.Revisions, v.Rows, v.data = t, views[revisions].Files, -1, nil
			v.Damage = cmp.Or(v.Damage, views[revisions].Damage)
		case (v.derived || v.Name == tickerlake.ActionsTable) && v.Snapshot != 0:
			if *v, err = l.snapshotAsOf(ctx, *v, t); err != nil {
				return nil, err
			}
		case v.Name == latestName:
			v.Refused = "the table of unfinished bars has no history: ask for it without a past moment"
		}
	}
	return views, nil
}

// Rows is the SQL text that stands for the rows of a table of prod, with all of its
// columns: those that a file lacks are null.
func (l *Lake) Rows(v View) string {
	rows := l.typed(v.Columns, v.Files)
	if v.AsOf.IsZero() {
		return rows
	}
	revisions := ""
	if len(v.Revisions) > 0 {
		revisions = l.typed(RevisionColumns, v.Revisions)
	}
	return "(" + AsOf(rows, revisions, v.AsOf) + ")"
}

func (l *Lake) typed(columns []Column, files []string) string {
	rows := ""
	if len(files) > 0 {
		rows = l.Engine.Relation(files)
	}
	return Typed(columns, rows)
}

// Typed is the SQL text that stands for the rows of a relation, none if it is empty,
// with the given columns in any order, null where the relation has no such.
func Typed(columns []Column, rows string) string {
	nulls := make([]string, len(columns))
	for i, c := range columns {
		nulls[i] = fmt.Sprintf("CAST(NULL AS %s) AS %q", c.Type, c.Name)
	}
	empty := "SELECT " + strings.Join(nulls, ", ") + " WHERE false"
	if rows == "" {
		return "(" + empty + ")"
	}
	return "(" + empty + " UNION ALL BY NAME SELECT * FROM " + rows + ")"
}

// AsOf is the SELECT of bars as they were known at t, of the relations of a table and
// of its revisions, empty if there are none.
//
// The stored row of a key is the latest; so it counts if it is not after t, and the
// latest revision not after t otherwise. Revisions are published before the bars: if
// one has the very row that is still in the table, then the revision is right. The
// filters of a statement reach the scans, and the joins have the few revisions on their
// small side: the bars that they are compared with are sought by their keys (with ANTI
// JOIN in the place of NOT EXISTS all of them are read).
func AsOf(bars, revisions string, t time.Time) string {
	columns := `"` + strings.Join(barNames, `", "`) + `"`
	moment := quality.TimestampLiteral(t)
	stored := "SELECT " + columns + " FROM " + bars + " b"
	if revisions == "" {
		return stored + " WHERE fetched_at <= " + moment
	}
	return stored + " ANTI JOIN (SELECT symbol, ts, fetched_at, fetch_id FROM " + revisions + " WHERE withdrawn_at <= " + moment + `) w
	USING (symbol, ts, fetched_at, fetch_id) WHERE fetched_at <= ` + moment + `
UNION ALL SELECT ` + columns + ` FROM (SELECT * FROM ` + revisions + ` WHERE fetched_at <= ` + moment + `
	QUALIFY row_number() OVER (PARTITION BY symbol, ts ORDER BY fetched_at DESC, fetch_id DESC, withdrawn_at NULLS LAST) = 1) r
	WHERE (withdrawn_at IS NULL OR withdrawn_at > ` + moment + `) AND NOT EXISTS (
		SELECT 1 FROM ` + bars + ` b WHERE b.symbol = r.symbol AND b.ts = r.ts AND b.fetched_at <= ` + moment + `)`
}

// ParseMoment reads a moment: RFC 3339, or a date, which means its end in UTC: what was
// learned on that day counts.
func ParseMoment(s string) (time.Time, error) {
	if day, err := time.Parse(time.DateOnly, s); err == nil {
		return day.AddDate(0, 0, 1).Add(-time.Microsecond), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fmt.Errorf("%q: want a date such as 2026-03-02, which means the end of that day in UTC, or a time such as 2026-03-02T21:30:00Z", s)
	}
	return t.UTC(), nil
}

// snapshotAsOf is a table as it stood at a moment: the newest kept snapshot that was not
// published after it.
func (l *Lake) snapshotAsOf(ctx context.Context, v View, at time.Time) (View, error) {
	t, err := l.Catalog.LoadTable(ctx, l.prod(), v.Name)
	if err != nil {
		return v, err
	}
	publications, err := l.Catalog.Publications(ctx)
	if err != nil {
		return v, err
	}
	oldest := at
	for _, s := range history(t) {
		oldest = time.UnixMilli(s.TimestampMs).UTC()
		if p, ok := publications[runOf(s)]; ok {
			oldest = p.At
		}
		if oldest.After(at) {
			continue
		}
		files, err := planned(ctx, t, t.Scan(table.WithSnapshotID(s.SnapshotID)))
		if err != nil {
			return v, err
		}
		v.Snapshot, v.Updated, v.Rows, v.Bytes = s.SnapshotID, oldest, 0, 0
		for _, f := range files {
			v.Rows, v.Bytes = v.Rows+f.rows, v.Bytes+f.bytes
		}
		v.Files, err = l.local(files)
		return v, err
	}
	v.Refused = fmt.Sprintf("no state of the table is kept from before %s: ask for a later moment", oldest.Format(time.RFC3339))
	return v, nil
}
