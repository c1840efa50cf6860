package catalog

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/tickerlake/tickerlake"
)

// A Confirmation is what one run learned of one series from one fetch.
type Confirmation struct {
	tickerlake.Series
	Cover Cover
}

// A Feed says that rows of a raw object are in a table.
type Feed struct {
	Key       string
	Table     string
	Source    string    // as the rows name it
	FetchedAt time.Time // of the oldest of them
}

// A Publication is what a run makes true at once when its tables are published.
type Publication struct {
	Run string
	// Confirmations has the series of the rows that were published or confirmed, with
	// their Last, in the order of their fetches. The watermark moves there if the fetch
	// had told of it (Pending): others may have left a gap before.
	Confirmations []Confirmation
	// Feeds has what the run's objects fed.
	Feeds []Feed
	// Claimed is when the run claimed its objects: what was pending then is on its
	// way no longer.
	Claimed time.Time
}

// Publish marks the run's objects as published and moves the watermarks, in one
// transaction, and numbers it. Called again for the same run it changes nothing.
func (c *Catalog) Publish(ctx context.Context, p Publication) error {
	return c.update(ctx, "catalog.Publish", func(tx *sql.Tx) (err error) {
		seq, done, err := number(ctx, tx, p.Run, c.clock())
		if err != nil || done {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE objects SET state = 'published', error = '', replay = NULL, updated_at = ?
			WHERE run = ? AND state = 'pending'`, stamp(c.clock()), p.Run)
		if err != nil {
			return err
		}
		prepared := &preparer{ctx: ctx, tx: tx}
		defer func() { err = errors.Join(err, prepared.close()) }()
		if err := feed(ctx, prepared, seq, p.Feeds); err != nil {
			return err
		}
		// While something is held, what comes after it does not close the gap it leaves.
		var gaps bool
		err = tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM objects WHERE state = 'held' OR state = 'pending' AND replay IS NOT NULL)").Scan(&gaps)
		if err != nil {
			return err
		}
		w := newConfirmer(prepared, seq, gaps)
		if prepared.err != nil {
			return prepared.err
		}
		for _, n := range p.Confirmations {
			if err := w.confirm(ctx, n); err != nil {
				return err
			}
		}
		if gaps {
			_, err := tx.ExecContext(ctx, "DELETE FROM delivered WHERE recorded_at <= ? AND held = 0", stamp(p.Claimed))
			return err
		}
		if err := rewind(ctx, tx, w); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM delivered WHERE recorded_at <= ?; DELETE FROM rewound", stamp(p.Claimed))
		return err
	})
}

// number gives a run the next seq; done if it has one.
func number(ctx context.Context, tx *sql.Tx, run string, now time.Time) (seq int64, done bool, err error) {
	err = tx.QueryRowContext(ctx, "SELECT seq FROM publications WHERE run = ?", run).Scan(&seq)
	if !errors.Is(err, sql.ErrNoRows) {
		return seq, err == nil, err
	}
	// A lake of version 1 has rows of publication 1 also where no head was found.
	err = tx.QueryRowContext(ctx, "SELECT coalesce((SELECT max(seq) FROM publications), (SELECT max(born) FROM series), 0) + 1").Scan(&seq)
	if err != nil {
		return 0, false, err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO publications (run, seq, published_at) VALUES (?, ?, ?)", run, seq, stamp(now))
	return seq, false, err
}

// feed records what objects fed. Rows that are in a table since an earlier publication
// keep its number.
func feed(ctx context.Context, p *preparer, seq int64, feeds []Feed) error {
	insert := p.prepare(`INSERT INTO feeds (key, tbl, source, born, fetched_at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET born = coalesce(born, excluded.born), fetched_at = min(fetched_at, excluded.fetched_at)`)
	if p.err != nil {
		return p.err
	}
	for _, f := range feeds {
		if _, err := insert.ExecContext(ctx, f.Key, f.Table, f.Source, seq, f.FetchedAt.UnixMicro()); err != nil {
			return err
		}
	}
	return nil
}

// rewind brings back the watermarks that stood before a rollback: all that it took back
// is published again.
func rewind(ctx context.Context, tx *sql.Tx, w *confirmer) error {
	rows, err := tx.QueryContext(ctx, "SELECT tbl, symbol, watermark FROM rewound")
	if err != nil {
		return err
	}
	type rewound struct{ table, symbol, watermark string }
	var all []rewound
	for rows.Next() {
		var r rewound
		if err := rows.Scan(&r.table, &r.symbol, &r.watermark); err != nil {
			return errors.Join(err, rows.Close())
		}
		all = append(all, r)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, r := range all {
		v, ok, err := w.version(ctx, r.table, r.symbol)
		if err != nil {
			return err
		}
		if ok {
			if err := w.put(ctx, v, min(r.watermark, v.last), v.last); err != nil {
				return err
			}
		}
	}
	return nil
}

// A confirmer writes versions of series within a publication.
type confirmer struct {
	*coverer
	told, find, end, amend, add *sql.Stmt
}

func newConfirmer(p *preparer, seq int64, gaps bool) *confirmer {
	told := "SELECT EXISTS (SELECT 1 FROM delivered WHERE tbl = ? AND symbol = ? AND fetch_id = ?)"
	if gaps {
		told = "SELECT EXISTS (SELECT 1 FROM delivered WHERE tbl = ? AND symbol = ? AND fetch_id = ? AND held = 0)"
	}
	return &confirmer{
		coverer: newCoverer(p, seq),
		told:    p.prepare(told),
		find: p.prepare(`SELECT source, basis, currency, interval, watermark, last, born FROM series
			WHERE tbl = ? AND symbol = ? AND died IS NULL`),
		end:   p.prepare("UPDATE series SET died = ? WHERE tbl = ? AND symbol = ? AND died IS NULL"),
		amend: p.prepare("UPDATE series SET watermark = ?, last = ? WHERE tbl = ? AND symbol = ? AND died IS NULL"),
		add: p.prepare(`INSERT INTO series (tbl, symbol, source, basis, currency, interval, watermark, last, born)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`),
	}
}

// A version is a row of series. born is 0 if it is not written yet.
type version struct {
	table, symbol, source, basis, currency, interval string
	watermark, last                                  string
	born                                             int64
}

func (w *confirmer) version(ctx context.Context, table, symbol string) (version, bool, error) {
	v := version{table: table, symbol: symbol}
	err := w.find.QueryRowContext(ctx, table, symbol).Scan(&v.source, &v.basis, &v.currency, &v.interval, &v.watermark, &v.last, &v.born)
	if errors.Is(err, sql.ErrNoRows) {
		return v, false, nil
	}
	return v, err == nil, err
}

// put moves a version forward.
func (w *confirmer) put(ctx context.Context, v version, watermark, last string) error {
	watermark, last = max(v.watermark, watermark), max(v.last, last)
	switch {
	case v.born != 0 && watermark == v.watermark && last == v.last:
		return nil
	case v.born == w.seq:
		_, err := w.amend.ExecContext(ctx, watermark, last, v.table, v.symbol)
		return err
	case v.born != 0:
		if _, err := w.end.ExecContext(ctx, w.seq, v.table, v.symbol); err != nil {
			return err
		}
	}
	_, err := w.add.ExecContext(ctx, v.table, v.symbol, v.source, v.basis, v.currency, v.interval, watermark, last, w.seq)
	return err
}

func (w *confirmer) confirm(ctx context.Context, n Confirmation) error {
	table, symbol := n.Table, string(n.Symbol)
	v, ok, err := w.version(ctx, table, symbol)
	if err != nil {
		return err
	}
	if !ok {
		v.source, v.basis, v.currency, v.interval = n.Source, string(n.Basis), n.Currency, string(n.Interval)
	}
	var told bool
	if err := w.told.QueryRowContext(ctx, table, symbol, n.Cover.FetchID).Scan(&told); err != nil {
		return err
	}
	watermark := ""
	if told {
		watermark = stamp(n.Last)
	}
	if err := w.put(ctx, v, watermark, stamp(n.Last)); err != nil || n.Cover.From.IsZero() {
		return err
	}
	return w.lay(ctx, table, symbol, n.Cover)
}

// A preparer prepares the statements of a transaction and keeps the first failure.
type preparer struct {
	ctx context.Context
	tx  *sql.Tx
	all []*sql.Stmt
	err error
}

func (p *preparer) prepare(text string) *sql.Stmt {
	if p.err != nil {
		return nil
	}
	s, err := p.tx.PrepareContext(p.ctx, text)
	if err != nil {
		p.err = err
		return nil
	}
	p.all = append(p.all, s)
	return s
}

func (p *preparer) close() error {
	var errs []error
	for _, s := range p.all {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
