package catalog

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"
)

// A Cover is a span of a series that a published fetch has confirmed: a row from
// an older fetch does not belong there any more.
type Cover struct {
	From      time.Time // both ends inclusive
	To        time.Time
	FetchedAt time.Time
	FetchID   string
}

// The covers kept a series are bounded. Beyond maxCovers the oldest give way until
// keptCovers are left, so that this is seldom: spans that touch become one with the time
// of the oldest, and if there are gaps the oldest go. That protects less, never wrongly.
const (
	maxCovers  = 32
	keptCovers = 16
)

// later orders covers by fetch.
func later(a, b Cover) int {
	return cmp.Or(a.FetchedAt.Compare(b.FetchedAt), strings.Compare(a.FetchID, b.FetchID))
}

// fewer gives keptCovers covers that stand for more of them.
func fewer(covers []Cover) []Cover {
	slices.SortFunc(covers, func(a, b Cover) int { return later(b, a) })
	recent, old := covers[:keptCovers/2], covers[keptCovers/2:]
	slices.SortFunc(old, func(a, b Cover) int { return a.From.Compare(b.From) })
	var joined []Cover
	for _, c := range old {
		if n := len(joined) - 1; n >= 0 && c.From.Sub(joined[n].To) <= time.Microsecond {
			last := &joined[n]
			if later(c, *last) < 0 {
				last.FetchedAt, last.FetchID = c.FetchedAt, c.FetchID
			}
			if c.To.After(last.To) {
				last.To = c.To
			}
			continue
		}
		joined = append(joined, c)
	}
	slices.SortFunc(joined, func(a, b Cover) int { return later(b, a) })
	return slices.Concat(recent, joined[:min(len(joined), keptCovers-len(recent))])
}

// A coverer lays covers on series within a publication.
type coverer struct {
	seq                                           int64
	weigh, insert, list, bury, drop, oust, remove *sql.Stmt
}

const (
	sameSeries   = " tbl = ?1 AND symbol = ?2 AND died IS NULL"
	notLaterThan = " (fetched_at, fetch_id) <= (?5, ?6) AND from_ts >= ?3 AND to_ts <= ?4"
)

func newCoverer(p *preparer, seq int64) *coverer {
	return &coverer{
		seq: seq,
		weigh: p.prepare(`SELECT count(*), coalesce(max((fetched_at, fetch_id) >= (?5, ?6) AND from_ts <= ?3 AND to_ts >= ?4), 0),
			coalesce(sum(` + notLaterThan + `), 0) FROM covers WHERE` + sameSeries),
		insert: p.prepare("INSERT INTO covers (tbl, symbol, from_ts, to_ts, fetched_at, fetch_id, born) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"),
		list:   p.prepare("SELECT from_ts, to_ts, fetched_at, fetch_id FROM covers WHERE" + sameSeries),
		// What was born in this publication has never been seen.
		drop:   p.prepare("DELETE FROM covers WHERE" + sameSeries + " AND born = ?7 AND" + notLaterThan),
		bury:   p.prepare("UPDATE covers SET died = ?7 WHERE" + sameSeries + " AND" + notLaterThan),
		remove: p.prepare("DELETE FROM covers WHERE" + sameSeries + " AND born = ?3"),
		oust:   p.prepare("UPDATE covers SET died = ?3 WHERE" + sameSeries),
	}
}

// lay adds a cover to those of a series. Older ones within it go; one within a later one
// adds nothing.
func (l *coverer) lay(ctx context.Context, table, symbol string, c Cover) error {
	args := []any{table, symbol, c.From.UnixMicro(), c.To.UnixMicro(), c.FetchedAt.UnixMicro(), c.FetchID}
	var have, within, inside int
	if err := l.weigh.QueryRowContext(ctx, args...).Scan(&have, &within, &inside); err != nil || within > 0 {
		return err
	}
	args = append(args, l.seq)
	if inside > 0 {
		for _, s := range []*sql.Stmt{l.drop, l.bury} {
			if _, err := s.ExecContext(ctx, args...); err != nil {
				return err
			}
		}
	}
	if have-inside < maxCovers {
		_, err := l.insert.ExecContext(ctx, args...)
		return err
	}
	all, err := l.covers(ctx, table, symbol)
	if err != nil {
		return err
	}
	for _, s := range []*sql.Stmt{l.remove, l.oust} {
		if _, err := s.ExecContext(ctx, table, symbol, l.seq); err != nil {
			return err
		}
	}
	for _, c := range fewer(append(all, c)) {
		_, err := l.insert.ExecContext(ctx, table, symbol, c.From.UnixMicro(), c.To.UnixMicro(), c.FetchedAt.UnixMicro(), c.FetchID, l.seq)
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *coverer) covers(ctx context.Context, table, symbol string) ([]Cover, error) {
	rows, err := l.list.QueryContext(ctx, table, symbol)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Cover
	for rows.Next() {
		var c Cover
		if err := scanCover(rows, &c); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, rows.Err()
}

func scanCover(rows *sql.Rows, c *Cover, more ...any) error {
	var from, to, at int64
	err := rows.Scan(append([]any{&from, &to, &at, &c.FetchID}, more...)...)
	c.From, c.To, c.FetchedAt = time.UnixMicro(from).UTC(), time.UnixMicro(to).UTC(), time.UnixMicro(at).UTC()
	return err
}

// Covers gives the covers of the series of a table, by symbol, of fetches since a moment:
// older ones decide nothing about a row fetched then. The zero time gives all.
func (c *Catalog) Covers(ctx context.Context, table string, since time.Time) (map[string][]Cover, error) {
	out := map[string][]Cover{}
	err := c.query(ctx, "catalog.Covers", func(rows *sql.Rows) error {
		var cover Cover
		var symbol string
		err := scanCover(rows, &cover, &symbol)
		out[symbol] = append(out[symbol], cover)
		return err
	}, `SELECT from_ts, to_ts, fetched_at, fetch_id, symbol FROM covers WHERE tbl = ? AND died IS NULL AND fetched_at >= ?
		ORDER BY symbol, from_ts, fetched_at, fetch_id`, table, since.UnixMicro())
	return out, err
}
