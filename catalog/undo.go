package catalog

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/tickerlake/tickerlake"
)

// An undone says what a series was before a publication.
type undone struct {
	symbol string
	// was is what it was but for its covers, nil if it was not there.
	was *stand
	// Of the covers that it has, the first kept were there; more followed them.
	kept int
	more []Cover
}

// undoing says how to go back from what a series is to what it was.
func undoing(m *moved) undone {
	if m.was == nil {
		return undone{symbol: m.symbol}
	}
	u := undone{symbol: m.symbol, was: m.was}
	for u.kept < len(m.was.covers) && u.kept < len(m.is.covers) && m.was.covers[u.kept] == m.is.covers[u.kept] {
		u.kept++
	}
	u.more = m.was.covers[u.kept:]
	return u
}

// back gives what a series was that has covers now; nil if it was not there.
func (u undone) back(covers []Cover) (*stand, error) {
	if u.was == nil {
		return nil, nil
	}
	if u.kept > len(covers) {
		return nil, fmt.Errorf("%s: it has fewer covers than a rollback has to keep", u.symbol)
	}
	s := *u.was
	s.covers = slices.Concat(covers[:u.kept], u.more)
	return &s, nil
}

// over gives what does the work of a newer one and then that of u.
func (u undone) over(newer undone) (undone, error) {
	switch {
	case u.was == nil || u.kept <= newer.kept:
		return u, nil
	case u.kept-newer.kept > len(newer.more):
		return u, fmt.Errorf("%s: two publications do not fit together", u.symbol)
	}
	u.more = slices.Concat(newer.more[:u.kept-newer.kept], u.more)
	u.kept = newer.kept
	return u, nil
}

// An undo is a row of the table undo.
type undo struct {
	seq        int64
	watermarks bool
	text       []byte
}

// The text is compressed with zstd, which adds a checksum. For each series: its symbol, 0
// if it was not there or 1; then its source, basis, currency, interval, watermark and
// last, how many covers are kept, and the length and the bytes of those that followed, as
// appendCovers writes them. Texts have their length before them, numbers are unsigned
// varints.
func appendUndone(b []byte, u undone) []byte {
	b = appendText(b, u.symbol)
	if u.was == nil {
		return append(b, 0)
	}
	b = append(b, 1)
	for _, s := range []string{u.was.source, u.was.basis, u.was.currency, u.was.interval, u.was.watermark, u.was.last} {
		b = appendText(b, s)
	}
	b = binary.AppendUvarint(b, uint64(u.kept))
	return appendText(b, string(appendCovers(nil, u.more)))
}

// series reads the text.
func (u undo) series() ([]undone, error) {
	text, err := unpack(u.text)
	if err != nil {
		return nil, fmt.Errorf("what a rollback would bring back cannot be read: %w", err)
	}
	var out []undone
	r := newReader(text)
	for len(r.b) > 0 {
		n := undone{symbol: r.text()}
		if r.uint() == 1 {
			n.was = &stand{source: r.text(), basis: r.text(), currency: r.text(), interval: r.text(), watermark: r.text(), last: r.text()}
			n.kept = int(r.uint())
			var err error
			if n.more, err = readCovers([]byte(r.text())); err != nil && r.err == nil {
				r.err = err
			}
			if !u.watermarks {
				n.was.watermark = ""
			}
		}
		if r.err != nil {
			return nil, fmt.Errorf("what a rollback would bring back cannot be read: %w", r.err)
		}
		out = append(out, n)
	}
	return out, nil
}

func putUndo(ctx context.Context, tx *sql.Tx, table string, seq int64, all []undone) error {
	var b []byte
	for _, u := range all {
		b = appendUndone(b, u)
	}
	text, err := pack(b)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO undo (tbl, seq, series) VALUES (?, ?, ?)", table, seq, text)
	return err
}

func pack(b []byte) ([]byte, error) {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true))
	if err != nil {
		return nil, err
	}
	return w.EncodeAll(b, nil), w.Close()
}

// maxUndo bounds what a text may become when it is unpacked.
const maxUndo = 4 << 30

func unpack(b []byte) ([]byte, error) {
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxUndo))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return r.DecodeAll(b, nil)
}

// undosOf lists the rows of a table after publication seq, the newest first.
func undosOf(ctx context.Context, tx *sql.Tx, table string, seq int64) (out []undo, err error) {
	rows, err := tx.QueryContext(ctx, "SELECT seq, watermarks, series FROM undo WHERE tbl = ? AND seq > ? ORDER BY seq DESC", table, seq)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var u undo
		if err := rows.Scan(&u.seq, &u.watermarks, &u.text); err != nil {
			return nil, err
		}
		out = append(out, u)
	}
	return out, rows.Err()
}

// joined makes one of undos, the newest first.
func joined(undos []undo) (map[string]undone, error) {
	out := map[string]undone{}
	for _, u := range undos {
		all, err := u.series()
		if err != nil {
			return nil, err
		}
		for _, n := range all {
			if newer, ok := out[n.symbol]; ok {
				if n, err = n.over(newer); err != nil {
					return nil, err
				}
			}
			out[n.symbol] = n
		}
	}
	return out, nil
}

// undoSeries makes the series of a table what they were after publication seq, and
// remembers the watermarks that they had.
func undoSeries(ctx context.Context, tx *sql.Tx, table string, seq int64) (err error) {
	undos, err := undosOf(ctx, tx, table, seq)
	if err != nil {
		return err
	}
	all, err := joined(undos)
	if err != nil {
		return damagedUndo(table, err)
	}
	var statements [3]*sql.Stmt
	for i, text := range []string{
		findStand,
		`INSERT INTO rewound (tbl, symbol, watermark) VALUES (?, ?, ?)
			ON CONFLICT DO UPDATE SET watermark = max(watermark, excluded.watermark)`,
		"DELETE FROM series WHERE tbl = ? AND symbol = ?",
	} {
		if statements[i], err = tx.PrepareContext(ctx, text); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, statements[i].Close()) }()
	}
	find, rewound, remove := statements[0], statements[1], statements[2]
	var back []*moved
	for symbol, u := range all {
		now, err := standOf(ctx, find, seriesKey{table, symbol})
		if err != nil {
			return err
		}
		if now == nil {
			return damagedUndo(table, fmt.Errorf("%s is not there", symbol))
		}
		was, err := u.back(now.covers)
		if err != nil {
			return damagedUndo(table, err)
		}
		if now.watermark != "" && (was == nil || was.watermark != now.watermark || was.last != now.last) {
			if _, err := rewound.ExecContext(ctx, table, symbol, now.watermark); err != nil {
				return err
			}
		}
		if was != nil {
			back = append(back, &moved{seriesKey: seriesKey{table, symbol}, is: *was})
		} else if _, err := remove.ExecContext(ctx, table, symbol); err != nil {
			return err
		}
	}
	if err := putSeries(ctx, tx, back); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "DELETE FROM undo WHERE tbl = ? AND seq > ?", table, seq)
	return err
}

// Forget drops what a rollback to no kept publication needs: seqs are those of the
// snapshots of the table that are kept.
func (c *Catalog) Forget(ctx context.Context, table string, seqs []int64) error {
	seqs = slices.Sorted(slices.Values(seqs))
	return c.update(ctx, "catalog.Forget", func(tx *sql.Tx) error {
		if len(seqs) == 0 {
			_, err := tx.ExecContext(ctx, "DELETE FROM undo WHERE tbl = ?", table)
			return err
		}
		// A rollback to the oldest kept one takes back only what came after it.
		for _, statement := range []string{"DELETE FROM undo WHERE tbl = ? AND seq <= ?", "DELETE FROM feeds WHERE tbl = ? AND born <= ?"} {
			if _, err := tx.ExecContext(ctx, statement, table, seqs[0]); err != nil {
				return err
			}
		}
		undos, err := undosOf(ctx, tx, table, seqs[0])
		if err != nil {
			return err
		}
		// Between two kept ones nobody stops.
		for len(undos) > 0 {
			n := 1
			for n < len(undos) && !slices.ContainsFunc(seqs, func(k int64) bool { return undos[n].seq <= k && k < undos[0].seq }) {
				n++
			}
			if n > 1 {
				if err := joinUndos(ctx, tx, table, undos[:n]); err != nil {
					return err
				}
			}
			undos = undos[n:]
		}
		return nil
	})
}

// joinUndos makes one row of several.
func joinUndos(ctx context.Context, tx *sql.Tx, table string, undos []undo) error {
	all, err := joined(undos)
	if err != nil {
		return damagedUndo(table, err)
	}
	_, err = tx.ExecContext(ctx, "DELETE FROM undo WHERE tbl = ? AND seq BETWEEN ? AND ?", table, undos[len(undos)-1].seq, undos[0].seq)
	if err != nil {
		return err
	}
	list := make([]undone, 0, len(all))
	for _, symbol := range slices.Sorted(maps.Keys(all)) {
		list = append(list, all[symbol])
	}
	return putUndo(ctx, tx, table, undos[0].seq, list)
}

func damagedSeries(table, symbol string, err error) error {
	return tickerlake.Errorf(tickerlake.Damaged, "catalog", "state.db", "the series %s of %s: %w: see tickerlake doctor", symbol, table, err)
}

func damagedUndo(table string, err error) error {
	return tickerlake.Errorf(tickerlake.Damaged, "catalog", "state.db", "what a rollback of %s brings back: %w: see tickerlake doctor", table, err)
}
