package lake

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/tickerlake/tickerlake/catalog"

	"github.com/tickerlake/tickerlake"
)

// chunkRows bounds the rows of an object that are held in memory.
const chunkRows = 200_000

// A columnSet is what a plainReader made of one object: the plain rows, in the columns
// of CleanColumns, and a file with the other good lines.
type columnSet struct {
	Parts  []Part  `json:"parts"`
	Groups []Group `json:"groups"`
	Rows   int64   `json:"rows"`
	Rest   string  `json:"rest"` // gzip NDJSON, if RestLines > 0
	// RestLines and Rows are the good lines of the object.
	RestLines int64 `json:"rest_lines"`
}

// columnReader makes what turns an object into a columnSet, while the crawler reads it.
func (l *Lake) columnReader(run string) func(catalog.Entry) catalog.Reader {
	latest := l.now().Add(slack)
	return func(e catalog.Entry) catalog.Reader {
		dir := l.columnDir(run, e.Key)
		path, err := l.Raw.Path(e.Key)
		rest := &restWriter{path: filepath.Join(dir, "rest.gz")}
		return &plainReader{rest: rest, latest: latest, err: errors.Join(err, emptyDir(dir)), columns: &columnWriter{
			dir: dir, object: path, groups: map[[len(groupFields)]string]*columnGroup{}, parts: map[partKey]*chunkPart{}, rest: rest,
		}}
	}
}

func (l *Lake) columnDir(run, key string) string {
	return filepath.Join(l.staging(run), "columns", hashed(key))
}

func emptyDir(dir string) error {
	return errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755))
}

// columnsOf gives what the crawler left of an object; nil if it did not read it in this
// run, or what is there is not whole.
func (l *Lake) columnsOf(run string, e catalog.Entry) (*columnSet, error) {
	text, err := os.ReadFile(filepath.Join(l.columnDir(run, e.Key), columnNote))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var set columnSet
	if json.Unmarshal(text, &set) != nil || set.Rows+set.RestLines != e.Lines-e.BadLines {
		return nil, nil
	}
	for _, p := range set.Parts {
		for _, f := range p.Files {
			if _, err := os.Stat(f); err != nil {
				return nil, nil
			}
		}
	}
	return &set, nil
}

const columnNote = "columns.json"

// A columnGroup is a plainGroup with what its rows have shown so far.
type columnGroup struct {
	Group
	number   int32 // within the object
	last     int64 // ts of the last row
	min, max int64
	daily    bool
	part     *chunkPart // of the last row
	period   int        // its year or month
}

// A partKey names a part: a period is a year or a month, 0 for none.
type partKey struct {
	outcome, table string
	period         int
}

// A chunkPart is a part with its rows in the chunk at hand.
type chunkPart struct {
	Part
	number   int32 // within the object
	rows     int
	min, max int64 // of ts, over all chunks
}

// A columnWriter gathers rows in chunks and writes each as a Parquet file a part.
type columnWriter struct {
	dir, object string
	rest        *restWriter
	groups      map[[len(groupFields)]string]*columnGroup
	numbered    []*columnGroup
	parts       map[partKey]*chunkPart
	order       []*chunkPart
	chunks      int

	ts, row []int64
	numbers [6][]float64
	in      []int32 // by row, number of the group
	part    []int32 // by row, number of the part
}

func (w *columnWriter) group(g *plainGroup) *columnGroup {
	have := w.groups[g.values]
	if have == nil {
		have = &columnGroup{Group: g.Group, number: int32(len(w.numbered)), last: math.MinInt64, min: math.MaxInt64, max: math.MinInt64, daily: g.daily, period: -1}
		have.Ascending = true
		w.groups[g.values] = have
		w.numbered = append(w.numbered, have)
	}
	return have
}

func (w *columnWriter) add(g *columnGroup, r *plainRow) error {
	period := r.month
	if g.daily {
		period = r.month / 12
	}
	if g.Outcome == OutcomeOpen {
		period = 0
	}
	if period != g.period {
		g.period, g.part = period, w.partOf(partKey{g.Outcome, g.Table, period}, g.daily)
	}
	p := g.part
	p.rows++
	p.min, p.max = min(p.min, r.ts), max(p.max, r.ts)
	g.Rows++
	g.min, g.max = min(g.min, r.ts), max(g.max, r.ts)
	if r.ts <= g.last {
		g.Ascending = false
	}
	g.last = r.ts
	w.ts, w.row = append(w.ts, r.ts), append(w.row, r.row)
	for i, v := range r.numbers {
		w.numbers[i] = append(w.numbers[i], v)
	}
	w.in, w.part = append(w.in, g.number), append(w.part, p.number)
	if len(w.ts) < chunkRows {
		return nil
	}
	return w.flush()
}

func (w *columnWriter) partOf(key partKey, daily bool) *chunkPart {
	p := w.parts[key]
	if p == nil {
		name := "none"
		if key.outcome == OutcomeBars {
			if name = strconv.Itoa(key.period); !daily {
				name = fmt.Sprintf("%04d-%02d", key.period/12, key.period%12+1)
			}
		}
		p = &chunkPart{Part: Part{Outcome: key.outcome, Table: key.table, Partition: name}, number: int32(len(w.order)), min: math.MaxInt64, max: math.MinInt64}
		w.parts[key] = p
		w.order = append(w.order, p)
	}
	return p
}

// flush writes the chunk, a file a part, and begins the next.
func (w *columnWriter) flush() error {
	starts := make([]int, len(w.order)+1)
	for i, p := range w.order {
		starts[i+1] = starts[i] + p.rows
	}
	order := make([]int32, len(w.ts))
	next := append([]int{}, starts...)
	for i, p := range w.part {
		order[next[p]] = int32(i)
		next[p]++
	}
	for i, p := range w.order {
		if p.rows == 0 {
			continue
		}
		path := filepath.Join(w.dir, fmt.Sprintf("%d-%05d.parquet", w.chunks, i))
		if err := w.write(path, p, order[starts[i]:starts[i+1]]); err != nil {
			return err
		}
		p.Files = append(p.Files, path)
		p.Part.Rows += int64(p.rows)
		p.rows = 0
	}
	w.chunks++
	w.ts, w.row, w.in, w.part = w.ts[:0], w.row[:0], w.in[:0], w.part[:0]
	for i := range w.numbers {
		w.numbers[i] = w.numbers[i][:0]
	}
	return nil
}

func (w *columnWriter) write(path string, p *chunkPart, rows []int32) error {
	// The groups of this file, by number within it.
	local := make([]int32, len(w.numbered))
	var groups []*columnGroup
	codes := make([]int32, len(rows))
	for i, r := range rows {
		g := w.in[r]
		if local[g] == 0 {
			groups = append(groups, w.numbered[g])
			local[g] = int32(len(groups))
		}
		codes[i] = local[g] - 1
	}
	for _, g := range groups {
		if p.MinSymbol == "" || g.Symbol < p.MinSymbol {
			p.MinSymbol = g.Symbol
		}
		p.MaxSymbol = max(p.MaxSymbol, g.Symbol)
	}
	f := &columnFile{path: path, rows: len(rows)}
	text := func(name string, value func(*columnGroup) string) {
		own, dictionary := coded(groups, codes, value)
		f.texts(name, own, dictionary)
	}
	text("symbol", func(g *columnGroup) string { return g.Symbol })
	f.times("ts", gather(w.ts, rows))
	for i, name := range numbers {
		f.doubles(name, gather(w.numbers[i], rows))
	}
	text("currency", func(g *columnGroup) string { return g.Currency })
	text("basis", func(g *columnGroup) string { return g.Basis })
	text("source", func(g *columnGroup) string { return g.Source })
	f.booleans("final", p.Outcome == OutcomeBars)
	fetched := make([]int64, len(rows))
	for i, c := range codes {
		fetched[i] = groups[c].FetchedAt.UnixMicro()
	}
	f.times("fetched_at", fetched)
	text("fetch_id", func(g *columnGroup) string { return g.FetchID })
	f.integers("row", gather(w.row, rows))
	text("interval", func(g *columnGroup) string { return g.Interval })
	text("object", func(*columnGroup) string { return w.object })
	f.nulls("ts_text")
	f.nulls("reason")
	text("outcome", func(*columnGroup) string { return p.Outcome })
	text("tbl", func(*columnGroup) string { return p.Table })
	text("part", func(*columnGroup) string { return p.Partition })
	return f.write()
}

// coded gives the different values of groups, and for each row the one of its group.
func coded(groups []*columnGroup, codes []int32, value func(*columnGroup) string) ([]int32, []string) {
	var dictionary []string
	seen := map[string]int32{}
	of := make([]int32, len(groups))
	for i, g := range groups {
		v := value(g)
		code, ok := seen[v]
		if !ok {
			code = int32(len(dictionary))
			seen[v] = code
			dictionary = append(dictionary, v)
		}
		of[i] = code
	}
	out := make([]int32, len(codes))
	if len(dictionary) > 1 {
		for i, c := range codes {
			out[i] = of[c]
		}
	}
	return out, dictionary
}

func gather[T any](from []T, rows []int32) []T {
	out := make([]T, len(rows))
	for i, r := range rows {
		out[i] = from[r]
	}
	return out
}

// finish writes what is left and the note of what there is.
func (w *columnWriter) finish() error {
	if err := w.flush(); err != nil {
		return err
	}
	set := columnSet{Rest: w.rest.path, RestLines: w.rest.lines}
	for _, p := range w.order {
		p.MinTs, p.MaxTs = time.UnixMicro(p.min).UTC(), time.UnixMicro(p.max).UTC()
		set.Parts = append(set.Parts, p.Part)
		set.Rows += p.Part.Rows
	}
	for _, g := range w.numbered {
		g.Object, g.MinTs, g.MaxTs = w.object, time.UnixMicro(g.min).UTC(), time.UnixMicro(g.max).UTC()
		if g.Rows > 0 {
			set.Groups = append(set.Groups, g.Group)
		}
	}
	text, err := json.Marshal(set)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(w.dir, columnNote), text, 0o644)
}

// A restWriter writes lines to a gzip file that is made at the first.
type restWriter struct {
	path  string
	lines int64
	file  *os.File
	z     *gzip.Writer
}

func (w *restWriter) write(line []byte) error {
	if w.file == nil {
		var err error
		if w.file, err = os.Create(w.path); err != nil {
			return err
		}
		if w.z, err = gzip.NewWriterLevel(w.file, gzip.BestSpeed); err != nil {
			return err
		}
	}
	w.lines++
	_, err := w.z.Write(line)
	if err == nil {
		_, err = w.z.Write([]byte{'\n'})
	}
	return err
}

func (w *restWriter) close() error {
	if w.file == nil {
		return nil
	}
	return errors.Join(w.z.Close(), w.file.Close())
}

var _ catalog.Reader = (*plainReader)(nil)

// Close implements catalog.Reader.
func (p *plainReader) Close(facts catalog.Facts) error {
	err := errors.Join(p.err, p.rest.close())
	if err == nil && facts.Damage == "" {
		err = p.columns.finish()
	} else {
		err = errors.Join(err, os.RemoveAll(p.columns.dir))
	}
	return err
}

// joined adds what the crawler made of the inputs to what the engine made of their
// other lines, and tells of which parts it is known that no key stands twice in them.
func joined(r CleanResult, inputs []input) CleanResult {
	parts, groups := map[[3]string]*Part{}, map[Group]*Group{}
	var partOrder []*Part
	var groupOrder []*Group
	part := func(p Part) {
		key := [3]string{p.Outcome, p.Table, p.Partition}
		have := parts[key]
		if have == nil {
			p.Files = slices.Clone(p.Files)
			parts[key] = &p
			partOrder = append(partOrder, &p)
			return
		}
		have.Files = append(have.Files, p.Files...)
		have.Rows += p.Rows
		have.MinSymbol, have.MaxSymbol = min(have.MinSymbol, p.MinSymbol), max(have.MaxSymbol, p.MaxSymbol)
		have.MinTs, have.MaxTs = tickerlake.Earlier(have.MinTs, p.MinTs), tickerlake.Later(have.MaxTs, p.MaxTs)
	}
	group := func(g Group) {
		key := g
		key.MinTs, key.MaxTs, key.Rows, key.Ascending = time.Time{}, time.Time{}, 0, false
		have := groups[key]
		if have == nil {
			groups[key] = &g
			groupOrder = append(groupOrder, &g)
			return
		}
		have.Rows += g.Rows
		have.Ascending = have.Ascending && g.Ascending && (have.MaxTs.Before(g.MinTs) || g.MaxTs.Before(have.MinTs))
		have.MinTs, have.MaxTs = tickerlake.Earlier(have.MinTs, g.MinTs), tickerlake.Later(have.MaxTs, g.MaxTs)
	}
	for _, p := range r.Parts {
		part(p)
	}
	for _, g := range r.Groups {
		group(g)
	}
	for _, in := range inputs {
		if in.columns != nil {
			for _, p := range in.columns.Parts {
				part(p)
			}
			for _, g := range in.columns.Groups {
				group(g)
			}
		}
	}
	var out CleanResult
	for _, g := range groupOrder {
		out.Groups = append(out.Groups, *g)
	}
	repeated := repeats(out.Groups)
	for _, p := range partOrder {
		p.Distinct = p.Outcome == OutcomeBars && !slices.ContainsFunc(repeated[p.Table], func(s [2]time.Time) bool {
			return !s[0].After(p.MaxTs) && !s[1].Before(p.MinTs)
		})
		out.Parts = append(out.Parts, *p)
	}
	slices.SortFunc(out.Parts, func(a, b Part) int {
		return cmp.Or(strings.Compare(a.Outcome, b.Outcome), strings.Compare(a.Table, b.Table), strings.Compare(a.Partition, b.Partition))
	})
	return out
}

// repeats gives, by table, the spans of time in which a key may stand twice: those of
// groups that are not known to be ascending, and what two groups of a symbol share.
func repeats(groups []Group) map[string][][2]time.Time {
	sorted := slices.DeleteFunc(slices.Clone(groups), func(g Group) bool { return g.Outcome != OutcomeBars })
	slices.SortFunc(sorted, func(a, b Group) int {
		return cmp.Or(strings.Compare(a.Table, b.Table), strings.Compare(a.Symbol, b.Symbol), a.MinTs.Compare(b.MinTs))
	})
	out := map[string][][2]time.Time{}
	add := func(table string, from, to time.Time) {
		span := [2]time.Time{from, to}
		if list := out[table]; len(list) == 0 || list[len(list)-1] != span {
			out[table] = append(list, span)
		}
	}
	var end time.Time // of the groups of the symbol so far
	for i, g := range sorted {
		if !g.Ascending {
			add(g.Table, g.MinTs, g.MaxTs)
		}
		if i == 0 || sorted[i-1].Table != g.Table || sorted[i-1].Symbol != g.Symbol {
			end = time.Time{}
		}
		if !end.IsZero() && !g.MinTs.After(end) {
			add(g.Table, g.MinTs, tickerlake.Earlier(end, g.MaxTs))
		}
		end = tickerlake.Later(end, g.MaxTs)
	}
	return out
}
