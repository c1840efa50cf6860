package catalog

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/tickerlake/tickerlake"
)

// A stand is what is known of a series at a moment, as state.db has it.
type stand struct {
	source, basis, currency, interval string
	watermark, last                   string
	covers                            []Cover
}

// A seriesKey names a series.
type seriesKey struct{ table, symbol string }

// A moved is a series within a publication: what it was, nil if it was not there, and
// what it is.
type moved struct {
	seriesKey
	was *stand
	is  stand
}

// A confirmer moves series on within a publication. It reads each series once, writes it
// once, and notes what a rollback has to bring back.
type confirmer struct {
	tx     *sql.Tx
	find   *sql.Stmt
	told   map[delivery]bool // of fetches that leave no gap
	series map[seriesKey]*moved
}

type delivery struct {
	seriesKey
	fetchID string
}

func newConfirmer(ctx context.Context, tx *sql.Tx, gaps bool) (*confirmer, error) {
	w := &confirmer{tx: tx, told: map[delivery]bool{}, series: map[seriesKey]*moved{}}
	delivered := "SELECT tbl, symbol, fetch_id FROM delivered"
	if gaps {
		delivered += " WHERE held = 0"
	}
	rows, err := tx.QueryContext(ctx, delivered)
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		var d delivery
		if err := rows.Scan(&d.table, &d.symbol, &d.fetchID); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		w.told[d] = true
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	w.find, err = tx.PrepareContext(ctx, findStand)
	return w, err
}

func (w *confirmer) close() error { return w.find.Close() }

const findStand = "SELECT source, basis, currency, interval, watermark, last, covers FROM series WHERE tbl = ? AND symbol = ?"

// standOf reads a series with the statement findStand; nil if there is none.
func standOf(ctx context.Context, find *sql.Stmt, k seriesKey) (*stand, error) {
	var s stand
	var covers []byte
	err := find.QueryRowContext(ctx, k.table, k.symbol).Scan(&s.source, &s.basis, &s.currency, &s.interval, &s.watermark, &s.last, &covers)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if s.covers, err = readCovers(covers); err != nil {
		return nil, damagedSeries(k.table, k.symbol, err)
	}
	return &s, nil
}

// of gives a series as it is so far, nil if there is none.
func (w *confirmer) of(ctx context.Context, k seriesKey) (*moved, error) {
	if m, ok := w.series[k]; ok {
		return m, nil
	}
	was, err := standOf(ctx, w.find, k)
	if err != nil || was == nil {
		return nil, err
	}
	m := &moved{seriesKey: k, was: was, is: *was}
	w.series[k] = m
	return m, nil
}

func (w *confirmer) confirm(ctx context.Context, n Confirmation) error {
	k := seriesKey{n.Table, string(n.Symbol)}
	m, err := w.of(ctx, k)
	if err != nil {
		return err
	}
	if m == nil {
		m = &moved{seriesKey: k}
		w.series[k] = m
	}
	if m.is.interval == "" || n.Anew {
		covers := m.is.covers
		if tickerlake.Replaces(n.Cover.FetchID) {
			covers = nil
		}
		m.is = stand{source: n.Source, basis: string(n.Basis), currency: n.Currency, interval: string(n.Interval), covers: covers}
	}
	last := stamp(n.Last)
	m.is.last = max(m.is.last, last)
	if w.told[delivery{k, n.Cover.FetchID}] {
		m.is.watermark = max(m.is.watermark, last)
	}
	if !n.Cover.From.IsZero() {
		m.is.covers = lay(m.is.covers, n.Cover)
	}
	return nil
}

// rewind brings back the watermarks that stood before a rollback: all that it took back
// is published again.
func (w *confirmer) rewind(ctx context.Context) (err error) {
	rows, err := w.tx.QueryContext(ctx, "SELECT tbl, symbol, watermark FROM rewound")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	type rewound struct {
		seriesKey
		watermark string
	}
	var all []rewound
	for rows.Next() {
		var r rewound
		if err := rows.Scan(&r.table, &r.symbol, &r.watermark); err != nil {
			return err
		}
		all = append(all, r)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, r := range all {
		if m, err := w.of(ctx, r.seriesKey); err != nil {
			return err
		} else if m != nil {
			m.is.watermark = max(m.is.watermark, min(r.watermark, m.is.last))
		}
	}
	return nil
}

// write stores the series that have moved, and what they were.
func (w *confirmer) write(ctx context.Context, seq int64) error {
	var changed []*moved
	for _, m := range w.series {
		if m.was == nil || !m.was.equal(m.is) {
			changed = append(changed, m)
		}
	}
	slices.SortFunc(changed, func(a, b *moved) int {
		return cmp.Or(strings.Compare(a.table, b.table), strings.Compare(a.symbol, b.symbol))
	})
	if err := putSeries(ctx, w.tx, changed); err != nil {
		return err
	}
	for len(changed) > 0 {
		n := 1
		for n < len(changed) && changed[n].table == changed[0].table {
			n++
		}
		undone := make([]undone, n)
		for i, m := range changed[:n] {
			undone[i] = undoing(m)
		}
		if err := putUndo(ctx, w.tx, changed[0].table, seq, undone); err != nil {
			return err
		}
		changed = changed[n:]
	}
	return nil
}

func (s stand) equal(o stand) bool {
	return s.source == o.source && s.basis == o.basis && s.currency == o.currency && s.interval == o.interval &&
		s.watermark == o.watermark && s.last == o.last && slices.Equal(s.covers, o.covers)
}

// putSeries stores series as they are now.
func putSeries(ctx context.Context, tx *sql.Tx, all []*moved) (err error) {
	put, err := tx.PrepareContext(ctx, `INSERT INTO series (tbl, symbol, source, basis, currency, interval, watermark, last, covers, covered_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET source = excluded.source, basis = excluded.basis, currency = excluded.currency,
		interval = excluded.interval, watermark = excluded.watermark, last = excluded.last, covers = excluded.covers, covered_at = excluded.covered_at`)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, put.Close()) }()
	for _, m := range all {
		s := m.is
		// Not nil: that would be NULL.
		covers := appendCovers([]byte{}, s.covers)
		_, err := put.ExecContext(ctx, m.table, m.symbol, s.source, s.basis, s.currency, s.interval, s.watermark, s.last, covers, coveredAt(s.covers))
		if err != nil {
			return err
		}
	}
	return nil
}
