package lake

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
	"github.com/tickerlake/tickerlake/quality"
)

// A Restatement is a series that comes anew: a fetch of the run has all of its history
// and takes the place of all that is older, in the table and in the run.
type Restatement struct {
	Symbol    string    `json:"symbol"`
	FetchID   string    `json:"fetch_id"`
	FetchedAt time.Time `json:"fetched_at"`
	// From and To are the first and last ts of all that is known of the series.
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Reason string    `json:"reason"`
}

func (r Restatement) key() fetchKey { return fetchKey{r.FetchedAt, r.FetchID} }

// A suspicion is that a series was restated: the rows that say so came with the fetch.
type suspicion struct {
	reason string
	since  fetchKey // zero: any fetch that has all of the history settles it
	// waits is set if the series waits already.
	waits *catalog.Wait
	// replace says that a user wants the series replaced by what the fetch has.
	replace bool
}

// suspected gives, by table and symbol, what is suspected before any row is compared:
// series that wait, and those that a user wants replaced.
func (l *Lake) suspected(ctx context.Context, groups []Group) (map[string]map[string]suspicion, error) {
	waits, err := l.Catalog.Waits(ctx)
	if err != nil {
		return nil, err
	}
	known := map[[2]string]*catalog.Wait{}
	for i, w := range waits {
		known[[2]string{w.Table, string(w.Symbol)}] = &waits[i]
	}
	out := map[string]map[string]suspicion{}
	for _, g := range groups {
		w := known[[2]string{g.Table, g.Symbol}]
		replace := g.Outcome == OutcomeBars && tickerlake.Replaces(g.FetchID)
		if w == nil && !replace {
			continue
		}
		if out[g.Table] == nil {
			out[g.Table] = map[string]suspicion{}
		}
		s := out[g.Table][g.Symbol]
		s.waits, s.replace = w, s.replace || replace
		if w != nil {
			s.reason = w.Reason
		}
		if s.replace {
			s.reason = "all of it is to be replaced"
		}
		out[g.Table][g.Symbol] = s
	}
	return out, nil
}

// unsettled gives, by table and symbol, what the comparison of rows makes suspect and is
// not decided.
func unsettled(c candidates) map[string]map[string]suspicion {
	out := map[string]map[string]suspicion{}
	for _, t := range c.Tables {
		by := map[string][]Change{}
		for _, change := range t.changes {
			by[change.Symbol] = append(by[change.Symbol], change)
		}
		for symbol, changes := range by {
			how, by, ok := restated(changes)
			if !ok || c.waiting(t.Table, symbol) {
				continue
			}
			s := suspicion{reason: how, since: fetchKey{by.FetchedAt, by.FetchID}}
			if r, ok := c.restatement(t.Table, symbol); ok && !s.since.after(r.key()) {
				continue // it has been taken
			}
			if out[t.Table] == nil {
				out[t.Table] = map[string]suspicion{}
			}
			out[t.Table][symbol] = s
		}
	}
	return out
}

func (c candidates) waiting(table, symbol string) bool {
	return slices.ContainsFunc(c.Waits[table], func(s Skip) bool { return s.Symbol == symbol })
}

func (c candidates) restatement(table, symbol string) (Restatement, bool) {
	i := slices.IndexFunc(c.Restated[table], func(r Restatement) bool { return r.Symbol == symbol })
	if i < 0 {
		return Restatement{}, false
	}
	return c.Restated[table][i], true
}

// seriesWaits ends the reason of a row from a file, which is the same in each run.
const seriesWaits = "its series waits for all of its history"

// reason is why a row is set aside.
func (s Skip) reason(table string) string {
	if s.Wait {
		return table + ": " + seriesWaits
	}
	return s.Reason
}

// FromFileSQL is tickerlake.FromFile as SQL.
func FromFileSQL(column string) string {
	return "(starts_with(" + column + ", " + quality.Literal(tickerlake.FileFetch) + ") OR starts_with(" + column + ", " + quality.Literal(tickerlake.CopiedFetch) + "))"
}

// settle decides about suspect series: they come anew, or their rows wait.
func (l *Lake) settle(ctx context.Context, note cleaned, c *candidates, all map[string]map[string]suspicion) error {
	for _, table := range slices.Sorted(maps.Keys(all)) {
		d := &decision{lake: l, table: table, note: note, skips: note.aside(*c, table)}
		if err := d.look(ctx, all[table]); err != nil {
			return err
		}
		for _, symbol := range slices.Sorted(maps.Keys(all[table])) {
			s := all[table][symbol]
			if s.replace && d.replaced(symbol) {
				if s.waits == nil {
					continue
				}
				s.replace, s.reason = false, s.waits.Reason
			}
			c.Restated[table] = slices.DeleteFunc(c.Restated[table], func(r Restatement) bool { return r.Symbol == symbol })
			r, why := d.whole(symbol, s)
			if why == "" {
				c.Restated[table] = append(c.Restated[table], r)
				continue
			}
			c.Waits[table] = append(c.Waits[table], Skip{Symbol: symbol, Wait: true, Reason: why})
		}
	}
	return nil
}

// stands reports whether the candidates are what they would be if what was decided just
// now had been known before.
func (c candidates) stands(note cleaned, decided map[string]map[string]suspicion) bool {
	for _, t := range c.Tables {
		for symbol := range decided[t.Table] {
			r, anew := c.restatement(t.Table, symbol)
			if !anew || t.lacking[symbol] > 0 || !r.alone(note.Result.Groups, t.Table) {
				return false
			}
		}
	}
	return true
}

// alone reports whether the series' one fetch of the run is the restatement, and has
// final bars from the first to the last of all that is known of it.
func (r Restatement) alone(groups []Group, table string) bool {
	var from, to time.Time
	for _, g := range groups {
		if g.Table != table || g.Symbol != r.Symbol || g.Outcome != OutcomeBars {
			continue
		}
		if g.FetchID != r.FetchID || !g.FetchedAt.Equal(r.FetchedAt) || tickerlake.FromFile(g.FetchID) {
			return false
		}
		from, to = tickerlake.Earlier(from, g.MinTs), tickerlake.Later(to, g.MaxTs)
	}
	return !from.After(r.From) && !to.Before(r.To)
}

// tellRestated logs the series that come anew and those that wait.
func tellRestated(ctx context.Context, run Run, c candidates) {
	told := 0
	for _, t := range c.Tables {
		for _, s := range c.Waits[t.Table] {
			if told++; told <= maxTold {
				run.Log().WarnContext(ctx, "a series waits: nothing new of it is published before all of its history has come anew", "table", t.Table, "symbol", s.Symbol, "reason", s.Reason)
			}
		}
		for _, r := range c.Restated[t.Table] {
			run.Log().InfoContext(ctx, "a series comes anew, from its first bar to its last", "table", t.Table, "symbol", r.Symbol, "reason", r.Reason, "fetch_id", r.FetchID)
		}
	}
	if told > maxTold {
		run.Log().WarnContext(ctx, "more series wait; tickerlake status lists them", "series", told-maxTold)
	}
}

// A decision is what is known of the suspect series of a table.
type decision struct {
	lake  *Lake
	table string
	note  cleaned
	skips []Skip

	groups   map[string][]Group         // of bars, by symbol
	complete map[answerKey][2]time.Time // the first and last ts
	stored   map[string]standing        // by symbol
	covers   map[string][]catalog.Cover // by symbol
}

type answerKey struct {
	symbol string
	fetchKey
}

// A standing is what the table has of a series.
type standing struct {
	first, last time.Time
	latest      fetchKey
}

// look reads what decides.
func (d *decision) look(ctx context.Context, suspects map[string]suspicion) error {
	l := d.lake
	d.groups, d.complete, d.stored = map[string][]Group{}, map[answerKey][2]time.Time{}, map[string]standing{}
	var ids []string
	for _, g := range d.note.Result.Groups {
		if _, ok := suspects[g.Symbol]; !ok || g.Table != d.table || g.Outcome != OutcomeBars || skipped(g, d.skips) {
			continue
		}
		d.groups[g.Symbol] = append(d.groups[g.Symbol], g)
		ids = append(ids, g.FetchID)
	}
	if len(ids) == 0 {
		return nil
	}
	rows := l.Engine.Relation(filesOf(d.note.Result.Parts, Part.ofBars))
	_, found, err := l.Engine.Query(ctx, `WITH answer AS (SELECT DISTINCT fetch_id, fetched_at, symbol, ts, "row" FROM `+rows+" r WHERE fetch_id IN ("+
		literals(ids)+")) SELECT symbol, fetched_at, fetch_id, first_ts, last_ts FROM ("+CompleteSQL("answer")+") c")
	if err != nil {
		return err
	}
	for _, r := range found {
		d.complete[answerKey{textOf(r[0]), fetchKey{timeOf(r[1]), textOf(r[2])}}] = [2]time.Time{timeOf(r[3]), timeOf(r[4])}
	}
	if d.covers, err = l.Catalog.Covers(ctx, d.table, time.Time{}); err != nil {
		return err
	}
	return d.standings(ctx, slices.Collect(maps.Keys(suspects)))
}

// standings reads what the table has of the series.
func (d *decision) standings(ctx context.Context, symbols []string) error {
	l := d.lake
	v, err := l.tableView(ctx, d.table, "main")
	if err != nil || len(v.data) == 0 {
		return err
	}
	var files []file
	for _, f := range v.data {
		if slices.ContainsFunc(slices.Collect(maps.Keys(d.groups)), func(s string) bool { return f.symbols[0] <= s && s <= f.symbols[1] }) {
			files = append(files, f)
		}
	}
	if len(files) == 0 {
		return nil
	}
	paths, err := l.local(files)
	if err != nil {
		return err
	}
	if err := l.Whole(ctx, paths); err != nil {
		return err
	}
	_, found, err := l.Engine.Query(ctx, "SELECT symbol, min(ts), max(ts), max(fetched_at), max(CASE WHEN fetched_at = newest THEN fetch_id END) FROM (SELECT symbol, ts, fetched_at, fetch_id, max(fetched_at) OVER (PARTITION BY symbol) AS newest FROM "+
		l.Engine.Relation(paths)+" b WHERE symbol IN ("+literals(symbols)+")) s GROUP BY symbol")
	if err != nil {
		return err
	}
	for _, r := range found {
		d.stored[textOf(r[0])] = standing{timeOf(r[1]), timeOf(r[2]), fetchKey{timeOf(r[3]), textOf(r[4])}}
	}
	return nil
}

// replaced reports whether no fetch is left that a user wants in the place of the series:
// those of the run have taken it before, and are read again.
func (d *decision) replaced(symbol string) bool {
	return !slices.ContainsFunc(d.groups[symbol], func(g Group) bool {
		return tickerlake.Replaces(g.FetchID) && !slices.ContainsFunc(d.covers[symbol], func(c catalog.Cover) bool {
			return g.published(c) || (fetchKey{c.FetchedAt, c.FetchID}).after(fetchKey{g.FetchedAt, g.FetchID}) && !c.From.After(g.MinTs) && !c.To.Before(g.MaxTs)
		})
	})
}

// published reports whether a cover is of the fetch of the group.
func (g Group) published(c catalog.Cover) bool {
	return c.FetchID == g.FetchID && c.FetchedAt.Equal(g.FetchedAt)
}

// whole finds the fetch that has all of a series' history, or says why its rows wait.
func (d *decision) whole(symbol string, s suspicion) (Restatement, string) {
	groups := slices.Clone(d.groups[symbol])
	slices.SortFunc(groups, func(a, b Group) int {
		return cmp.Or(b.FetchedAt.Compare(a.FetchedAt), strings.Compare(b.FetchID, a.FetchID))
	})
	stored, there := d.stored[symbol]
	from, to := stored.first, stored.last
	for _, g := range groups {
		from, to = tickerlake.Earlier(from, g.MinTs), tickerlake.Later(to, g.MaxTs)
	}
	var less string
	for _, g := range groups {
		key := fetchKey{g.FetchedAt, g.FetchID}
		span, complete := d.complete[answerKey{symbol, key}]
		replaces := tickerlake.Replaces(g.FetchID)
		switch {
		case s.since.after(key), there && stored.latest.after(key), s.replace && !replaces,
			there && !key.after(stored.latest) && tickerlake.FromFile(g.FetchID),
			strings.HasPrefix(g.FetchID, tickerlake.CopiedFetch): // its rows may be some of many
			continue
		case slices.ContainsFunc(d.covers[symbol], func(c catalog.Cover) bool {
			return g.published(c) || (fetchKey{c.FetchedAt, c.FetchID}).after(key)
		}):
			continue // what is in the table and not published is of a run that was cut off
		case !complete:
			less = cmp.Or(less, "rows of its answer are missing or cannot be read")
			continue
		case !replaces && (there && (span[0].After(stored.first) || span[1].Before(stored.last)) || d.reaches(groups, key, span)):
			if there && s.waits != nil && g.FetchedAt.After(s.waits.Since) {
				less = cmp.Or(less, fmt.Sprintf("its source gives bars from %s to %s, the table has some from %s to %s: tickerlake refetch %s --replace takes what the source gives",
					tsText(span[0]), tsText(span[1]), tsText(stored.first), tsText(stored.last), symbol))
			}
			continue
		}
		return Restatement{
			Symbol: symbol, FetchID: g.FetchID, FetchedAt: g.FetchedAt, Reason: s.reason,
			From: tickerlake.Earlier(from, span[0]), To: tickerlake.Later(to, span[1]),
		}, ""
	}
	if s.waits != nil && less == "" {
		return Restatement{}, s.waits.Reason
	}
	reason, _, _ := strings.Cut(s.reason, "; ")
	return Restatement{}, reason + "; " + cmp.Or(less, "all of its history is needed: the next fetch asks for it")
}

// reaches reports whether an older fetch of the run has bars where this one has none.
func (d *decision) reaches(groups []Group, key fetchKey, span [2]time.Time) bool {
	return slices.ContainsFunc(groups, func(g Group) bool {
		return key.after(fetchKey{g.FetchedAt, g.FetchID}) && (g.MinTs.Before(span[0]) || g.MaxTs.After(span[1]))
	})
}

// tsText is a ts for people.
func tsText(t time.Time) string {
	if t.Equal(t.Truncate(24 * time.Hour)) {
		return t.Format(time.DateOnly)
	}
	return t.Format(time.DateTime)
}

func textOf(v any) string { s, _ := v.(string); return s }

func timeOf(v any) time.Time { t, _ := v.(time.Time); return t.UTC() }
