package lake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
	"github.com/tickerlake/tickerlake/internal/fault"
	"github.com/tickerlake/tickerlake/quality"
)

// Accept has a quarantined row published knowingly: its document is delivered again,
// marked as accepted, for the next run, and the decision is recorded. It is false if
// the row had been accepted before. A call that is repeated after a crash delivers
// the document once more at most, which changes nothing.
//
// It fails with tickerlake.Invalid if the row cannot be made a bar, and with
// tickerlake.Conflict if it does not belong in its table, or a later fetch has
// confirmed something else since.
func (l *Lake) Accept(ctx context.Context, q tickerlake.Quarantined, deliver func(context.Context, tickerlake.Record) error) (bool, error) {
	decided, err := l.Catalog.Decided(ctx, q.ID)
	if err != nil {
		return false, err
	}
	if d := decided[q.ID]; d.Decision == catalog.Accepted {
		return false, l.tellDecision(ctx, q, d) // the event may have been cut off
	}
	line, err := l.lineOf(ctx, q)
	if err != nil {
		return false, err
	}
	document, err := accepted(line, q.ID)
	if err != nil {
		return false, tickerlake.Errorf(tickerlake.Invalid, "quarantine accept", q.ID, "the row cannot be published: %s", q.Reason)
	}
	g, err := l.examine(ctx, q, document)
	if err != nil {
		return false, err
	}
	record := tickerlake.Record{Data: document, Keys: map[string]string{"source": g.Source, "table": g.Table, "interval": g.Interval}}
	if err := deliver(ctx, record); err != nil {
		return false, err
	}
	fault.Point("quarantine.delivered")
	return true, l.decide(ctx, q, catalog.Decision{
		ID: q.ID, Decision: catalog.Accepted, At: l.now(), Table: g.Table, Symbol: g.Symbol, Ts: g.MinTs, FetchID: g.FetchID,
	})
}

// Reject records that a quarantined row is wrong and done with.
func (l *Lake) Reject(ctx context.Context, q tickerlake.Quarantined) error {
	return l.decide(ctx, q, catalog.Decision{ID: q.ID, Decision: catalog.Rejected, At: l.now(), Table: q.Table, Symbol: q.Symbol})
}

func (l *Lake) decide(ctx context.Context, q tickerlake.Quarantined, d catalog.Decision) error {
	if err := l.Catalog.Decide(ctx, d); err != nil {
		return err
	}
	fault.Point("quarantine.decided")
	decided, err := l.Catalog.Decided(ctx, q.ID)
	if err != nil {
		return err
	}
	return l.tellDecision(ctx, q, decided[q.ID])
}

// tellDecision records the event of a quarantined row again, with what was decided.
func (l *Lake) tellDecision(ctx context.Context, q tickerlake.Quarantined, d catalog.Decision) error {
	q.Decision, q.DecidedAt, q.At = d.Decision, d.At, l.now()
	return l.Events.Emit(ctx, "quarantine", q)
}

// lineOf gives the line of a quarantined row: from its object, or, if that is gone, as
// the event has it.
func (l *Lake) lineOf(ctx context.Context, q tickerlake.Quarantined) ([]byte, error) {
	var line []byte
	err := l.goodLines(ctx, q.Object, func(o catalog.Line) error {
		if o.Number == q.Line {
			line = o.Text
		}
		return nil
	})
	switch {
	case errors.Is(err, tickerlake.NotFound):
		return []byte(q.Raw), nil // the text is whole unless it was very long; then it is no document
	case err != nil:
		return nil, err
	case line == nil:
		return nil, tickerlake.Errorf(tickerlake.Invalid, "quarantine accept", q.ID, "the row cannot be published: %s", q.Reason)
	}
	return line, nil
}

// accepted is a raw document with the id of the row that it accepts as its last key,
// and otherwise as it was.
func accepted(line []byte, id string) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(line))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("not an object")
	}
	out := []byte{'{'}
	add := func(key string, value []byte) error {
		name, err := json.Marshal(key)
		if err != nil {
			return err
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, name...), ':'), value...)
		return nil
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		if name, _ := key.(string); name != tickerlake.AcceptedField {
			if err := add(name, value); err != nil {
				return nil, err
			}
		}
	}
	if _, err := dec.Token(); err != nil || dec.More() {
		return nil, errors.New("more than an object")
	}
	value, err := json.Marshal(id)
	if err != nil {
		return nil, err
	}
	if err := add(tickerlake.AcceptedField, value); err != nil {
		return nil, err
	}
	return append(out, '}', '\n'), nil
}

// examine finds out what a run would make of a document, and refuses one of which it
// would make nothing.
func (l *Lake) examine(ctx context.Context, q tickerlake.Quarantined, document []byte) (g Group, err error) {
	dir := l.staging("accept")
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "document.gz")
	if err := writeLine(file, bytes.TrimSpace(document)); err != nil {
		return g, err
	}
	result, err := l.Engine.Clean(ctx, CleanTask{Files: []string{file}, Select: judgeSQL(l.Dialect, l.now()), Dir: filepath.Join(dir, "split")})
	if err != nil {
		return g, err
	}
	refuse := func(code tickerlake.Code, format string, args ...any) error {
		return tickerlake.Errorf(code, "quarantine accept", q.ID, format, args...)
	}
	switch {
	case result.Rows(OutcomeRejected) > 0:
		_, rows, err := l.Engine.Query(ctx, "SELECT reason FROM "+l.Engine.Relation(filesOf(result.Parts, func(Part) bool { return true })))
		if err != nil {
			return g, err
		}
		return g, refuse(tickerlake.Invalid, "the row cannot be published: %v; %s", rows[0][0], Remedy(fmt.Sprint(rows[0][0])))
	case result.Rows(OutcomeOpen) > 0:
		return g, refuse(tickerlake.Invalid, "the bar had not ended when it was fetched: the next fetch brings it")
	}
	g = result.Groups[0]
	conflicts, err := l.conflicts(ctx, result.Groups)
	if err != nil {
		return g, err
	}
	outdated, err := l.outdated(ctx, result)
	if err != nil {
		return g, err
	}
	if c := append(conflicts[g.Table], outdated[g.Table]...); len(c) > 0 {
		return g, refuse(tickerlake.Conflict, "the row does not belong there: %s", c[0].Reason)
	}
	waits, err := l.Catalog.Waits(ctx)
	if err != nil {
		return g, err
	}
	for _, w := range waits {
		if w.Table == g.Table && string(w.Symbol) == g.Symbol && tickerlake.FromFile(g.FetchID) {
			return g, refuse(tickerlake.Conflict, "%s: %s", seriesWaits, w.Reason)
		}
	}
	covers, err := l.Catalog.Covers(ctx, g.Table, g.FetchedAt)
	if err != nil {
		return g, err
	}
	if tickerlake.Replaces(g.FetchID) && !slices.ContainsFunc(covers[g.Symbol], g.published) {
		return g, refuse(tickerlake.Conflict, "the answer that it is of was to take the place of the whole series, and has not: "+
			"change what kept it out, and give tickerlake refetch %s --replace again", g.Symbol)
	}
	for _, c := range covers[g.Symbol] {
		if !g.MinTs.Before(c.From) && !g.MinTs.After(c.To) && (c.FetchedAt.After(g.FetchedAt) || c.FetchedAt.Equal(g.FetchedAt) && c.FetchID > g.FetchID) {
			return g, refuse(tickerlake.Conflict, "a later fetch, of %s, has told of this bar since, and counts: if its row was quarantined too, accept that one (tickerlake quarantine list --symbol %s)",
				c.FetchedAt.Format(time.RFC3339), g.Symbol)
		}
	}
	return g, nil
}

// Remedy says what can be done about a row that was quarantined for a reason.
func Remedy(reason string) string {
	switch {
	case strings.HasPrefix(reason, "rule "):
		return "if the row is right, accept it, or change the rule; if it is wrong, reject it: the next fetch whose window holds it brings what the source says then"
	case strings.HasSuffix(reason, seriesWaits):
		return "accept it when tickerlake status does not name the series any more, or take the whole file then (tickerlake import --again)"
	case strings.HasSuffix(reason, twoBases):
		return "reject it; what a file or a source says since that day can be taken"
	case strings.Contains(reason, " where the table has "):
		return "give the source a table of its own (table:) and fetch again, or take its prices instead (tickerlake refetch SYMBOL --source NAME --replace)"
	case strings.HasSuffix(reason, " is not above zero"), strings.HasPrefix(reason, "high is below "), strings.HasPrefix(reason, "low is above "):
		return "if the source is right, accept it; if not, reject it: the next fetch whose window holds it brings what the source says then"
	}
	return "mend it at the source, and fetch that time again with tickerlake fetch SOURCE --from DATE --to DATE"
}

// acceptedRow is the column that tells of rows of a target whether users have accepted
// them.
const acceptedRow = "accepted_row"

// markAccepted adds to the rows of a table whether users have accepted them: no rule
// that they break by themselves is to hold them up. The text names those that are.
func markAccepted(rows string, accepted []catalog.Decision) (from, text string) {
	if len(accepted) == 0 {
		return "(SELECT *, FALSE AS " + acceptedRow + " FROM " + rows + " AS r)", ""
	}
	keys := make([]string, len(accepted))
	for i, d := range accepted {
		keys[i] = "(" + quality.Literal(d.Symbol) + ", " + quality.TimestampLiteral(d.Ts) + ", " + quality.Literal(d.FetchID) + ")"
	}
	slices.Sort(keys)
	text = strings.Join(slices.Compact(keys), ", ")
	return "(SELECT r.*, a.symbol IS NOT NULL AS " + acceptedRow + " FROM " + rows + " r LEFT JOIN (VALUES " + text +
		") a(symbol, ts, fetch_id) ON a.symbol = r.symbol AND a.ts = r.ts AND a.fetch_id = r.fetch_id)", text
}
