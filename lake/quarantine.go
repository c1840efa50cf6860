package lake

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

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
	err := q.lake.Events.Emit(ctx, "quarantine", q.batch...)
	q.batch = nil
	return err
}

// quarantineRejected records the rows that the judgement rejected.
func (l *Lake) quarantineRejected(ctx context.Context, run Run, note cleaned) error {
	var files []string
	for _, p := range note.Result.Parts {
		if p.Outcome == OutcomeRejected {
			files = append(files, p.Files...)
		}
	}
	return l.quarantineRows(ctx, run, note, files, "true", "reason")
}

// quarantineSkipped records the rows of a table that are set aside.
func (l *Lake) quarantineSkipped(ctx context.Context, run Run, note cleaned, table string, skips []Skip) error {
	var files []string
	for _, p := range note.Result.Parts {
		if p.Outcome == OutcomeBars && p.Table == table {
			files = append(files, p.Files...)
		}
	}
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
		reason.WriteString(" THEN " + quality.Literal(s.Reason))
	}
	reason.WriteString(" END")
	return l.quarantineRows(ctx, run, note, files, reason.String()+" IS NOT NULL", reason.String())
}

// quarantineRows finds the lines of clean rows in their objects and records them.
func (l *Lake) quarantineRows(ctx context.Context, run Run, note cleaned, files []string, where, reason string) error {
	if len(files) == 0 {
		return nil
	}
	from := " FROM " + l.Engine.Relation(files) + " WHERE " + where
	_, objects, err := l.Engine.Query(ctx, "SELECT DISTINCT object"+from+" ORDER BY object")
	if err != nil {
		return err
	}
	q := l.quarantine(run)
	for _, o := range objects {
		path, _ := o[0].(string)
		_, rows, err := l.Engine.Query(ctx, `SELECT fetch_id, "row", coalesce(symbol, ''), coalesce(ts_text, CAST(ts AS VARCHAR), ''), tbl, `+
			reason+from+" AND object = "+quality.Literal(path))
		if err != nil {
			return err
		}
		wanted := map[string]tickerlake.Quarantined{}
		for _, r := range rows {
			text := func(i int) string { s, _ := r[i].(string); return s }
			row := tickerlake.Quarantined{Symbol: text(2), Ts: text(3), Table: text(4), Reason: text(5)}
			if row.Table == "none" {
				row.Table = ""
			}
			wanted[place(text(0), r[1])] = row
		}
		if err := l.quarantineLines(ctx, q, note.Objects[path], wanted); err != nil {
			return err
		}
	}
	return q.flush(ctx)
}

// place names a row of a fetch; rows whose number cannot be read share one.
func place(fetchID string, row any) string {
	if row == nil {
		return fetchID + " ?"
	}
	return fmt.Sprint(fetchID, " ", row)
}

func (l *Lake) quarantineLines(ctx context.Context, q *quarantine, key string, wanted map[string]tickerlake.Quarantined) error {
	body, err := l.Raw.Open(ctx, key)
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = catalog.Scan(body, func(line catalog.Line) error {
		if line.Problem != "" {
			return nil
		}
		// A map, since the fields of a struct would take keys in any case.
		var doc map[string]any
		dec := json.NewDecoder(bytes.NewReader(line.Text))
		dec.UseNumber()
		if err := dec.Decode(&doc); err != nil {
			return err
		}
		id, _ := doc["fetch_id"].(string)
		table, _ := doc["table"].(string)
		var number any
		if n, ok := doc["row"].(json.Number); ok {
			if i, err := n.Int64(); err == nil {
				number = i
			}
		}
		row, ok := wanted[place(id, number)]
		if !ok {
			return nil
		}
		if row.Table == "" {
			row.Table = table
		}
		return q.add(ctx, key, catalog.Line{Number: line.Number, Text: slices.Clone(line.Text)}, row)
	})
	return err
}
