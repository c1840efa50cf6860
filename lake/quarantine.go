package lake

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
	"github.com/tickerlake/tickerlake/quality"
)

// A quarantine gathers rows that are set aside and records them in batches.
type quarantine struct {
	lake  *Lake
	run   string
	batch []any
}

const quarantineBatch = 500

// maxQuarantined is how much of a line an event repeats, in bytes: an event must fit
// into a record, escapes included.
const maxQuarantined = 64 << 10

func (l *Lake) quarantine(run Run) *quarantine { return &quarantine{lake: l, run: run.ID()} }

// add records one line of an object; q brings what is known of the row. The id
// depends on object, line and reason only, so that a repeated job records no more.
func (q *quarantine) add(ctx context.Context, object string, line catalog.Line, row tickerlake.Quarantined) error {
	sum := sha256.Sum256([]byte(object + "\n" + strconv.FormatInt(line.Number, 10) + "\n" + row.Reason))
	row.ID, row.Run, row.Object, row.Line = hex.EncodeToString(sum[:12]), q.run, object, line.Number
	row.Raw = strings.ToValidUTF8(string(line.Text[:min(len(line.Text), maxQuarantined)]), "\uFFFD")
	if len(line.Text) > maxQuarantined {
		row.Raw += fmt.Sprintf(" .. (%d bytes; the object has them)", len(line.Text))
	}
	row.At = q.lake.now()
	q.batch = append(q.batch, row)
	if len(q.batch) < quarantineBatch {
		return nil
	}
	return q.flush(ctx)
}

// addBad records a line that is no document.
func (q *quarantine) addBad(ctx context.Context, object string, line catalog.Line) error {
	return q.add(ctx, object, line, tickerlake.Quarantined{Reason: "line cannot be read: " + line.Problem})
}

func (q *quarantine) flush(ctx context.Context) error {
	if len(q.batch) == 0 {
		return nil
	}
	// What a user has decided about a row holds when a run sets it aside again.
	ids := make([]string, len(q.batch))
	for i, row := range q.batch {
		ids[i] = row.(tickerlake.Quarantined).ID
	}
	decided, err := q.lake.Catalog.Decided(ctx, ids...)
	if err != nil {
		return err
	}
	for i, row := range q.batch {
		row := row.(tickerlake.Quarantined)
		row.Decision, row.DecidedAt = decided[row.ID].Decision, decided[row.ID].At
		q.batch[i] = row
	}
	err = q.lake.Events.Emit(ctx, "quarantine", q.batch...)
	q.batch = nil
	return err
}

// quarantineRejected records the rows that the judgement rejected.
func (l *Lake) quarantineRejected(ctx context.Context, run Run, note cleaned) error {
	return l.quarantineRows(ctx, run, note, func(p Part) bool { return p.Outcome == OutcomeRejected }, "true", "reason")
}

// quarantineSkipped records the rows of an outcome and a table that are set aside.
func (l *Lake) quarantineSkipped(ctx context.Context, run Run, note cleaned, outcome, table string, skips []Skip) error {
	if len(skips) == 0 {
		return nil
	}
	// All in one pass over the rows and one over each object.
	var reason strings.Builder
	reason.WriteString("CASE")
	for _, s := range skips {
		reason.WriteString(" WHEN symbol = " + quality.Literal(s.Symbol))
		if s.Source != "" {
			reason.WriteString(" AND source = " + quality.Literal(s.Source) + " AND basis = " + quality.Literal(s.Basis) +
				" AND currency = " + quality.Literal(s.Currency) + ` AND "interval" = ` + quality.Literal(s.Interval))
		}
		if s.Wait {
			reason.WriteString(" AND " + FromFileSQL("fetch_id"))
		}
		if !s.FetchedBefore.IsZero() {
			reason.WriteString(" AND fetched_at < " + quality.TimestampLiteral(s.FetchedBefore) + " AND ts < " + quality.TimestampLiteral(s.TsBefore))
		}
		reason.WriteString(" THEN " + quality.Literal(s.reason(table)))
	}
	reason.WriteString(" END")
	which := func(p Part) bool { return p.Outcome == outcome && p.Table == table }
	return l.quarantineRows(ctx, run, note, which, reason.String()+" IS NOT NULL", reason.String())
}

// quarantineRows finds the lines of clean rows in their objects and records them. A row
// has its place in the fetch; where an object has several lines of one place, each is
// judged by itself to tell which is meant.
func (l *Lake) quarantineRows(ctx context.Context, run Run, note cleaned, which func(Part) bool, where, reason string) error {
	files := filesOf(note.Result.Parts, which)
	if len(files) == 0 {
		return nil
	}
	byKey := map[string][]string{} // local files
	_, objects, err := l.Engine.Query(ctx, "SELECT DISTINCT object FROM "+l.Engine.Relation(files)+" WHERE "+where+" ORDER BY object")
	if err != nil {
		return err
	}
	for _, o := range objects {
		path, _ := o[0].(string)
		byKey[note.Objects[path]] = append(byKey[note.Objects[path]], path)
	}
	shared, err := l.sharedPlaces(ctx, note, files, where)
	if err != nil {
		return err
	}
	q := l.quarantine(run)
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		wanted, err := l.setAside(ctx, files, where, reason, byKey[key])
		if err != nil {
			return err
		}
		var doubtful []catalog.Line
		judge := func() error {
			err := l.quarantineJudged(ctx, q, key, doubtful, which, where, reason)
			doubtful = nil
			return err
		}
		doubt := func(line catalog.Line) error {
			if doubtful = append(doubtful, line); len(doubtful) < quarantineBatch {
				return nil
			}
			return judge()
		}
		found, err := l.quarantineLines(ctx, q, key, wanted, shared[key], doubt)
		if err != nil {
			return err
		}
		if found < len(wanted) {
			// The engine reads some line otherwise than this program: twice the same key.
			run.Log().WarnContext(ctx, "lines that are set aside are sought one by one", "object", key, "rows", len(wanted), "found", found)
			if err := l.goodLines(ctx, key, doubt); err != nil {
				return err
			}
		}
		if len(doubtful) > 0 {
			if err := judge(); err != nil {
				return err
			}
		}
	}
	return q.flush(ctx)
}

func filesOf(parts []Part, which func(Part) bool) (files []string) {
	for _, p := range parts {
		if which(p) {
			files = append(files, p.Files...)
		}
	}
	return files
}

// sharedPlaces gives, by object, the places of the rows that are set aside which more
// than one line has.
func (l *Lake) sharedPlaces(ctx context.Context, note cleaned, files []string, where string) (map[string]map[string]bool, error) {
	keys := make([]string, 0, len(note.Objects))
	for _, path := range slices.Sorted(maps.Keys(note.Objects)) {
		keys = append(keys, "("+quality.Literal(path)+", "+quality.Literal(note.Objects[path])+")")
	}
	all := filesOf(note.Result.Parts, func(Part) bool { return true })
	const place = `coalesce(fetch_id, '') AS fetch, coalesce("row", -1) AS number, "row" IS NULL AS unread`
	_, rows, err := l.Engine.Query(ctx, "SELECT k.name, a.fetch, CASE WHEN NOT a.unread THEN a.number END FROM (SELECT object, "+place+" FROM "+l.Engine.Relation(all)+
		") a JOIN (VALUES "+strings.Join(keys, ", ")+") k(object, name) ON k.object = a.object"+
		" JOIN (SELECT DISTINCT "+place+" FROM "+l.Engine.Relation(files)+" WHERE "+where+") w ON w.fetch = a.fetch AND w.number = a.number AND w.unread = a.unread"+
		" GROUP BY ALL HAVING count(*) > 1")
	if err != nil {
		return nil, err
	}
	out := map[string]map[string]bool{}
	for _, r := range rows {
		key, _ := r[0].(string)
		fetch, _ := r[1].(string)
		if out[key] == nil {
			out[key] = map[string]bool{}
		}
		out[key][placeOf(fetch, r[2])] = true
	}
	return out, nil
}

// setAside gives the rows that are set aside of some local files, by their place; those
// of the same place overwrite each other.
func (l *Lake) setAside(ctx context.Context, files []string, where, reason string, paths []string) (map[string]tickerlake.Quarantined, error) {
	_, rows, err := l.asideRows(ctx, files, where, reason, paths)
	out := make(map[string]tickerlake.Quarantined, len(rows))
	for i, r := range rows {
		out[placeOf(r.fetch, r.number)] = rows[i].Quarantined
	}
	return out, err
}

// An asideRow is a row that is set aside.
type asideRow struct {
	tickerlake.Quarantined
	fetch  string
	number any
}

// asideRows lists rows that are set aside with the local files they are from.
func (l *Lake) asideRows(ctx context.Context, files []string, where, reason string, paths []string) (from []string, out []asideRow, err error) {
	_, rows, err := l.Engine.Query(ctx, `SELECT object, coalesce(fetch_id, ''), "row", coalesce(symbol, ''), coalesce(ts_text, CAST(ts AS VARCHAR), ''), tbl, `+
		reason+" FROM "+l.Engine.Relation(files)+" WHERE "+where+" AND object IN ("+literals(paths)+")")
	for _, r := range rows {
		text := func(i int) string { s, _ := r[i].(string); return s }
		row := asideRow{tickerlake.Quarantined{Symbol: text(3), Ts: text(4), Table: text(5), Reason: text(6)}, text(1), r[2]}
		if row.Table == "none" {
			row.Table = ""
		}
		from, out = append(from, text(0)), append(out, row)
	}
	return from, out, err
}

// placeOf names a row of a fetch; rows whose number cannot be read share one.
func placeOf(fetchID string, row any) string {
	if row == nil {
		return fetchID + " ?"
	}
	return fmt.Sprint(fetchID, " ", row)
}

// A rawRow is what tells the place of a raw document.
type rawRow struct{ table, place string }

var wholeNumber = regexp.MustCompile(`^-?[0-9]{1,18}$`)

// readRawRow reads the place of a document as judgeSQL does.
func readRawRow(text []byte) (rawRow, error) {
	// A map, since the fields of a struct would take keys in any case.
	var doc map[string]any
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil {
		return rawRow{}, err
	}
	said := func(key string) string {
		if v := doc[key]; v != nil {
			return fmt.Sprint(v)
		}
		return ""
	}
	r := rawRow{table: said("table"), place: placeOf(said("fetch_id"), nil)}
	if n := said("row"); wholeNumber.MatchString(n) {
		i, err := strconv.ParseInt(n, 10, 64)
		if err != nil {
			return r, err
		}
		r.place = placeOf(said("fetch_id"), i)
	}
	return r, nil
}

// quarantineLines records the lines of an object that are wanted, and calls doubtful for
// those whose place others have as well. It tells for how many of wanted there is a line.
func (l *Lake) quarantineLines(ctx context.Context, q *quarantine, key string, wanted map[string]tickerlake.Quarantined, shared map[string]bool, doubtful func(catalog.Line) error) (int, error) {
	met := map[string]bool{}
	err := l.goodLines(ctx, key, func(line catalog.Line) error {
		raw, err := readRawRow(line.Text)
		if err != nil {
			return err
		}
		row, ok := wanted[raw.place]
		if !ok {
			return nil
		}
		met[raw.place] = true
		if shared[raw.place] {
			return doubtful(line)
		}
		if row.Table == "" {
			row.Table = raw.table
		}
		return q.add(ctx, key, line, row)
	})
	return len(met), err
}

// goodLines calls f for each good line of an object, which it may keep.
func (l *Lake) goodLines(ctx context.Context, key string, f func(catalog.Line) error) error {
	body, err := l.Raw.Open(ctx, key)
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = catalog.Scan(body, func(line catalog.Line) error {
		if line.Problem != "" {
			return nil
		}
		return f(catalog.Line{Number: line.Number, Text: slices.Clone(line.Text)})
	})
	return err
}

// quarantineJudged judges lines of an object one by one and records those that are set
// aside.
func (l *Lake) quarantineJudged(ctx context.Context, q *quarantine, key string, lines []catalog.Line, which func(Part) bool, where, reason string) error {
	dir := filepath.Join(l.staging(q.run), "judged")
	byFile := map[string]catalog.Line{}
	var paths []string
	for i, line := range lines {
		path := filepath.Join(dir, fmt.Sprintf("%d.gz", i))
		if err := writeLine(path, line.Text); err != nil {
			return err
		}
		byFile[path] = line
		paths = append(paths, path)
	}
	result, err := l.Engine.Clean(ctx, CleanTask{Files: paths, Select: judgeSQL(l.Dialect, l.now()), Dir: filepath.Join(dir, "split")})
	if err != nil {
		return err
	}
	files := filesOf(result.Parts, which)
	if len(files) == 0 {
		return nil
	}
	from, rows, err := l.asideRows(ctx, files, where, reason, paths)
	if err != nil {
		return err
	}
	for i, path := range from {
		line, row := byFile[path], rows[i].Quarantined
		if row.Table == "" {
			raw, err := readRawRow(line.Text)
			if err != nil {
				return err
			}
			row.Table = raw.table
		}
		if err := q.add(ctx, key, line, row); err != nil {
			return err
		}
	}
	return nil
}

// writeLine writes a file with one line, for the engine.
func writeLine(path string, line []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	var body bytes.Buffer
	z := gzip.NewWriter(&body)
	if _, err := z.Write(append(slices.Clip(line), '\n')); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, body.Bytes(), 0o644)
}
