package lake_test

import (
	"maps"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/lake"
)

// A modelMerge works out what fetches, oldest first, make of a table.
type modelMerge struct {
	before  *modelTable
	fetches []modelFetch
	remove  bool
	anew    map[string]modelCover // series that come anew: the fetch, from the first to the last of all that is known
	waits   map[string]bool       // series whose rows wait

	t       *modelTable // what it becomes
	best    map[modelKey]modelRow
	counts  tickerlake.Counts
	changed bool
}

// merge does it with what is decided of restated series.
func (c *modelMerge) merge() {
	c.t, c.best, c.counts, c.changed = c.before.clone(), map[modelKey]modelRow{}, tickerlake.Counts{}, false
	for _, f := range c.fetches {
		for _, d := range f.rows {
			c.counts.Read++
			k := modelKey{f.symbol, d.ts}
			_, ok := c.best[k]
			switch {
			case d.close <= 0:
				c.counts.Quarantined++
				continue
			case c.waits[f.symbol]:
				c.counts.Waiting++
				continue
			case ok:
				c.counts.Superseded++
			}
			c.best[k] = modelRow{d.close, d.adj, f.version()}
		}
	}
	keys := maps.Clone(c.before.rows)
	maps.Copy(keys, c.best)
	for k := range keys {
		c.decide(k)
	}
	for _, f := range c.fetches {
		from, to, ok := f.span(true)
		r, anew := c.anew[f.symbol]
		if anew && r.version == f.version() {
			from, to = r.from, r.to
		}
		if ok && !c.waits[f.symbol] && !(anew && r.version.compare(f.version()) > 0) {
			c.t.covers = append(c.t.covers, modelCover{f.symbol, from, to, f.version()})
		}
	}
	for symbol := range c.waits {
		c.t.waits[symbol] = true
	}
	for symbol := range c.anew {
		delete(c.t.waits, symbol)
	}
}

// decide says what becomes of a key.
func (c *modelMerge) decide(k modelKey) {
	row, came := c.best[k]
	old, stood := c.before.rows[k]
	superseded := came && (c.before.covered(k, row.version) || stood && row.version.compare(old.version) <= 0)
	if at, remove, gone := c.withdrawn(k); gone {
		if stood || !remove && !superseded {
			c.counts.Withdrawn++
		}
		if remove {
			if came {
				c.counts.Superseded++
			}
			if stood {
				c.counts.Removed++
				c.t.revisions = append(c.t.revisions, modelRevision{key: k, modelRow: old, withdrawn: at})
				delete(c.t.rows, k)
				c.changed = true
			}
			return
		}
	}
	switch {
	case !came:
	case superseded:
		c.counts.Superseded++
	case !stood:
		c.counts.Inserted++
		c.t.rows[k], c.changed = row, true
	case row.close == old.close && row.adj == old.adj:
		c.counts.Unchanged++
	case row.close == old.close:
		c.counts.Replaced++
		old.adj = row.adj
		c.t.rows[k], c.changed = old, true
	default:
		c.counts.Replaced++
		c.t.revisions = append(c.t.revisions, modelRevision{key: k, modelRow: old})
		c.t.rows[k], c.changed = row, true
	}
}

// withdrawn gives the first fetch that is complete where the key would be and does not
// have it, if no later one has confirmed it, and whether the key goes with it. A fetch
// with which the series comes anew leaves nothing that is older and not among its bars.
func (c *modelMerge) withdrawn(k modelKey) (at time.Time, remove, gone bool) {
	remove = c.remove
	for _, f := range c.fetches {
		from, to, ok := f.span(true)
		has, complete := f.has(k.ts), f.complete()
		r, anew := c.anew[f.symbol]
		if anew = anew && r.version == f.version(); anew {
			from, to, has, complete = r.from, r.to, false, true
		}
		if !ok || c.waits[f.symbol] || f.symbol != k.symbol || k.ts.Before(from) || k.ts.After(to) || has || !complete {
			continue
		}
		row, came := c.best[k]
		old, stood := c.before.rows[k]
		if came && row.version.compare(f.version()) >= 0 || stood && old.version.compare(f.version()) >= 0 || c.before.covered(k, f.version()) {
			continue
		}
		if !gone {
			at, gone = f.at, true
		}
		remove = remove || anew
	}
	return at, remove, gone
}

// restate decides about the series that the rows, as they are merged, make suspect.
func (c *modelMerge) restate() (anything bool) {
	by := map[string][]lake.Change{}
	for i, f := range c.fetches {
		if c.waits[f.symbol] || i > 0 && c.fetches[i-1].version() == f.version() { // delivered twice
			continue
		}
		for _, d := range f.rows {
			k, row := modelKey{f.symbol, d.ts}, modelRow{d.close, d.adj, f.version()}
			if !c.eligible(k, row) {
				continue
			}
			if old, stood := c.before.rows[k]; stood {
				by[f.symbol] = appendChange(by[f.symbol], k, row, old, "")
			}
			seen := map[string]bool{}
			for _, g := range c.fetches[:i] {
				for _, o := range g.rows {
					old := modelRow{o.close, o.adj, g.version()}
					if g.symbol == f.symbol && o.ts.Equal(d.ts) && !seen[g.id] && c.eligible(k, old) {
						by[f.symbol], seen[g.id] = appendChange(by[f.symbol], k, row, old, g.id), true
					}
				}
			}
		}
	}
	for symbol, changes := range by {
		at, id, ok := lake.Restated(changes)
		if r, anew := c.anew[symbol]; ok && !(anew && r.version.compare(version{at, id}) >= 0) {
			c.settle(symbol, version{at, id})
			anything = true
		}
	}
	return anything
}

// eligible reports whether a row counts for anything: it is good, and later than what is
// known of its key.
func (c *modelMerge) eligible(k modelKey, row modelRow) bool {
	old, stood := c.before.rows[k]
	return row.close > 0 && !c.before.covered(k, row.version) && !(stood && row.version.compare(old.version) <= 0)
}

func appendChange(list []lake.Change, k modelKey, row, old modelRow, against string) []lake.Change {
	if row.close == old.close && row.adj == old.adj {
		return list
	}
	prices := func(r modelRow) [5]float64 { return [5]float64{r.close, r.close, r.close, r.close, r.adj} }
	return append(list, lake.Change{Symbol: k.symbol, FetchID: row.id, FetchedAt: row.at, Against: against, Ts: k.ts, Old: prices(old), New: prices(row)})
}

// settle decides about a suspect series: the latest fetch that has all of its history
// takes the place of all that is older, or its rows wait. What made it suspect came with
// since.
func (c *modelMerge) settle(symbol string, since version) {
	delete(c.anew, symbol)
	var from, to time.Time // of all that is known
	var stored, covered version
	for k, row := range c.before.rows {
		if k.symbol == symbol {
			from, to, stored = tickerlake.Earlier(from, k.ts), tickerlake.Later(to, k.ts), latest(stored, row.version)
		}
	}
	for _, cover := range c.before.covers {
		if cover.symbol == symbol {
			covered = latest(covered, cover.version)
		}
	}
	var whole modelCover
	for _, f := range c.fetches {
		first, last, ok := f.span(true)
		if f.symbol != symbol || !ok {
			continue
		}
		from, to = tickerlake.Earlier(from, first), tickerlake.Later(to, last)
		first, last, _ = f.span(false)
		v := f.version()
		if v.compare(since) >= 0 && v.compare(stored) > 0 && v.compare(covered) >= 0 && f.complete() && !first.After(from) && !last.Before(to) {
			whole = modelCover{symbol, first, last, v}
		}
	}
	if whole.id == "" {
		c.waits[symbol] = true
		return
	}
	whole.from, whole.to = tickerlake.Earlier(whole.from, from), tickerlake.Later(whole.to, to)
	c.anew[symbol] = whole
}

func latest(a, b version) version {
	if a.compare(b) < 0 {
		return b
	}
	return a
}
