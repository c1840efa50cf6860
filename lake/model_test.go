package lake_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake"
)

// A model is the simplest thing that says what a lake must hold: maps in memory,
// changed by the rules of the design and by nothing else.
type model struct {
	remove    bool // withdrawn bars are removed, not only reported
	objects   []*modelObject
	tables    map[string]*modelTable
	snapshots map[string][]modelSnapshot // of main, oldest first
	seq       int
}

// A modelObject is a raw object: what some fetches said.
type modelObject struct {
	key      string
	fetches  []modelFetch
	state    string
	feeds    map[string]int // the publication since which a table has its rows
	replay   int            // its turn after a rollback; 0: none
	failures int
}

// A modelFetch is the answer to one request: rows of one symbol for one table.
type modelFetch struct {
	table, symbol, id string
	at                time.Time
	rows              []modelDoc
}

type modelDoc struct {
	number     int
	ts         time.Time
	close, adj float64 // a close not above zero is rejected
}

type modelKey struct {
	symbol string
	ts     time.Time
}

// A version is what orders rows of one key.
type version struct {
	at time.Time
	id string
}

func (v version) compare(o version) int {
	return cmp.Or(v.at.Compare(o.at), strings.Compare(v.id, o.id))
}

type modelRow struct {
	close, adj float64
	version
}

type modelRevision struct {
	key modelKey
	modelRow
	withdrawn time.Time // zero: replaced
}

type modelCover struct {
	symbol   string
	from, to time.Time
	version
}

type modelTable struct {
	rows      map[modelKey]modelRow
	waits     map[string]bool // symbols whose rows wait for all of their history
	revisions []modelRevision
	covers    []modelCover
}

func (t *modelTable) clone() *modelTable {
	return &modelTable{rows: maps.Clone(t.rows), waits: maps.Clone(t.waits), revisions: slices.Clone(t.revisions), covers: slices.Clone(t.covers)}
}

// A modelSnapshot is a state of a table that a rollback can return to.
type modelSnapshot struct {
	seq   int
	state *modelTable
}

func newModel(remove bool) *model {
	return &model{remove: remove, tables: map[string]*modelTable{}, snapshots: map[string][]modelSnapshot{}}
}

func (m *model) table(name string) *modelTable {
	if m.tables[name] == nil {
		m.tables[name] = &modelTable{rows: map[modelKey]modelRow{}, waits: map[string]bool{}}
	}
	return m.tables[name]
}

func (f modelFetch) version() version { return version{f.at, f.id} }

// span is the time from the first to the last of the good rows.
func (f modelFetch) span(good bool) (from, to time.Time, ok bool) {
	for _, d := range f.rows {
		if good && d.close <= 0 {
			continue
		}
		if !ok || d.ts.Before(from) {
			from = d.ts
		}
		if !ok || d.ts.After(to) {
			to = d.ts
		}
		ok = true
	}
	return from, to, ok
}

// complete reports whether no row of the fetch is missing between its first and last.
func (f modelFetch) complete() bool {
	low, high := 0, -1
	for i, d := range f.rows {
		if i == 0 || d.number < low {
			low = d.number
		}
		high = max(high, d.number)
	}
	return high-low+1 == len(f.rows)
}

func (f modelFetch) has(ts time.Time) bool {
	return slices.ContainsFunc(f.rows, func(d modelDoc) bool { return d.ts.Equal(ts) })
}

// covered reports whether a published fetch later than v has spoken of the key.
func (t *modelTable) covered(k modelKey, v version) bool {
	return slices.ContainsFunc(t.covers, func(c modelCover) bool {
		return c.symbol == k.symbol && !k.ts.Before(c.from) && !k.ts.After(c.to) && c.version.compare(v) > 0
	})
}

// A modelRun is what a run would make of the pending objects.
type modelRun struct {
	objects []*modelObject
	tables  map[string]*modelTable
	changed map[string]bool // tables with another content
	counts  tickerlake.Counts
}

// plan works out the run without making it true.
func (m *model) plan() modelRun {
	r := modelRun{tables: map[string]*modelTable{}, changed: map[string]bool{}}
	byTable := map[string][]modelFetch{}
	turn := 0 // what was taken back comes again in the order in which it was published
	for _, o := range m.objects {
		if o.state == "pending" && o.replay > 0 && (turn == 0 || o.replay < turn) {
			turn = o.replay
		}
	}
	for _, o := range m.objects {
		if o.state != "pending" || o.replay != turn {
			continue
		}
		r.objects = append(r.objects, o)
		for _, f := range o.fetches {
			byTable[f.table] = append(byTable[f.table], f)
		}
	}
	for name, fetches := range byTable {
		slices.SortFunc(fetches, func(a, b modelFetch) int { return a.version().compare(b.version()) })
		before := m.table(name)
		c := &modelMerge{before: before, fetches: fetches, remove: m.remove, anew: map[string]modelCover{}, waits: map[string]bool{}}
		for _, f := range fetches {
			if before.waits[f.symbol] && len(f.rows) > 0 {
				c.settle(f.symbol, version{})
			}
		}
		for c.merge(); c.restate(); c.merge() {
		}
		r.tables[name], r.changed[name] = c.t, c.changed
		r.counts = sum(r.counts, c.counts)
	}
	return r
}

func sum(a, b tickerlake.Counts) tickerlake.Counts {
	return tickerlake.Counts{
		Read: a.Read + b.Read, Inserted: a.Inserted + b.Inserted, Replaced: a.Replaced + b.Replaced, Unchanged: a.Unchanged + b.Unchanged,
		Superseded: a.Superseded + b.Superseded, Quarantined: a.Quarantined + b.Quarantined, Waiting: a.Waiting + b.Waiting,
		Withdrawn: a.Withdrawn + b.Withdrawn, Removed: a.Removed + b.Removed,
	}
}

// publish makes a planned run true.
func (m *model) publish(r modelRun) {
	m.seq++
	for _, o := range r.objects {
		o.state, o.replay = "published", 0
		for _, f := range o.fetches {
			if _, _, ok := f.span(true); ok && o.feeds[f.table] == 0 && !r.tables[f.table].waits[f.symbol] {
				if o.feeds == nil {
					o.feeds = map[string]int{}
				}
				o.feeds[f.table] = m.seq
			}
		}
	}
	for name, t := range r.tables {
		m.tables[name] = t
		if r.changed[name] {
			m.snapshots[name] = append(m.snapshots[name], modelSnapshot{seq: m.seq, state: t.clone()})
		}
	}
}

// fail counts a failed gate.
func (m *model) fail(r modelRun) {
	for _, o := range r.objects {
		if o.failures++; o.failures >= 3 {
			o.state = "held"
		}
	}
}

// rollback returns a table to what it was after a publication.
func (m *model) rollback(table string, seq int64) {
	list := m.snapshots[table]
	i := slices.IndexFunc(list, func(s modelSnapshot) bool { return s.seq == int(seq) })
	s := list[i]
	m.snapshots[table] = list[:i+1]
	waits := m.table(table).waits // a rollback ends no waiting
	m.tables[table] = s.state.clone()
	m.tables[table].waits = waits
	last := m.seq + 1
	for _, o := range m.objects {
		since := o.feeds[table]
		if since <= s.seq {
			since = 0
		}
		if o.state != "pending" && (since == 0 || o.state == "damaged") {
			continue
		}
		turn := last
		if since > 0 {
			turn = since
			o.feeds[table] = 0
		}
		if o.replay == 0 || turn < o.replay {
			o.replay = turn
		}
		o.state = "held"
	}
}

// release frees held objects: those named, all without a name.
func (m *model) release(keys ...string) {
	for _, o := range m.objects {
		if o.state == "held" && (len(keys) == 0 || slices.Contains(keys, o.key)) {
			o.state, o.failures = "pending", 0
		}
	}
}

// asOf is what was known of a table at a time.
func (t *modelTable) asOf(at time.Time) []string {
	best := map[modelKey]modelRevision{}
	consider := func(k modelKey, r modelRevision) {
		have, ok := best[k]
		order := r.version.compare(have.version)
		if !r.at.After(at) && (!ok || order > 0 || order == 0 && !r.withdrawn.IsZero()) {
			best[k] = r
		}
	}
	for k, row := range t.rows {
		consider(k, modelRevision{key: k, modelRow: row})
	}
	for _, r := range t.revisions {
		consider(r.key, r)
	}
	var out []string
	for k, r := range best {
		if r.withdrawn.IsZero() || r.withdrawn.After(at) {
			out = append(out, modelLine(k, r.modelRow))
		}
	}
	slices.Sort(out)
	return out
}

func (t *modelTable) lines() []string {
	var out []string
	for k, row := range t.rows {
		out = append(out, modelLine(k, row))
	}
	slices.Sort(out)
	return out
}

func (t *modelTable) revisionLines() []string {
	var out []string
	for _, r := range t.revisions {
		withdrawn := "-"
		if !r.withdrawn.IsZero() {
			withdrawn = r.withdrawn.Format(time.DateTime)
		}
		out = append(out, modelLine(r.key, r.modelRow)+" "+withdrawn)
	}
	slices.Sort(out)
	return out
}

func modelLine(k modelKey, r modelRow) string {
	return fmt.Sprintf("%s %s %v %v %s %s", k.symbol, k.ts.Format(time.DateTime), r.close, r.adj, r.at.Format(time.DateTime), r.id)
}
