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
	// Anew says that the fetch took the place of all that was known of the series, which
	// waits no longer. Source, basis and currency are its own, and what it has not told is
	// forgotten. What older fetches have covered is forgotten too only if a user wants the
	// series replaced: otherwise what is older still does not come back there.
	Anew bool
}

// A Feed says that rows of a raw object are in a table.
type Feed struct {
	Key       string
	Table     string
	Source    string    // as the rows name it
	FetchedAt time.Time // of the oldest of them
	// Anew says that the publication has changed the table, so that rows may be there only
	// since, also of an object that had fed it before.
	Anew bool `json:",omitzero"`
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
	// Waits has the series of which rows wait.
	Waits []Wait
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
		if err := feed(ctx, tx, seq, p.Feeds); err != nil {
			return err
		}
		// While something is held, what comes after it does not close the gap it leaves.
		var gaps bool
		err = tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM objects WHERE state = 'held' OR state = 'pending' AND replay IS NOT NULL)").Scan(&gaps)
		if err != nil {
			return err
		}
		w, err := newConfirmer(ctx, tx, gaps)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, w.close()) }()
		for _, n := range p.Confirmations {
			if err := w.confirm(ctx, n); err != nil {
				return err
			}
		}
		if err := wait(ctx, tx, p, c.clock()); err != nil {
			return err
		}
		if gaps {
			_, err = tx.ExecContext(ctx, "DELETE FROM delivered WHERE recorded_at <= ? AND held = 0", stamp(p.Claimed))
		} else {
			if err := w.rewind(ctx); err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, "DELETE FROM delivered WHERE recorded_at <= ?; DELETE FROM rewound", stamp(p.Claimed))
		}
		if err != nil {
			return err
		}
		return w.write(ctx, seq)
	})
}

// number gives a run the next seq; done if it has one.
func number(ctx context.Context, tx *sql.Tx, run string, now time.Time) (seq int64, done bool, err error) {
	err = tx.QueryRowContext(ctx, "SELECT seq FROM publications WHERE run = ?", run).Scan(&seq)
	if !errors.Is(err, sql.ErrNoRows) {
		return seq, err == nil, err
	}
	// A lake that was of version 1 has rows of publication 1 also where no head was found.
	err = tx.QueryRowContext(ctx, "SELECT coalesce((SELECT max(seq) FROM publications), (SELECT count(*) > 0 FROM series)) + 1").Scan(&seq)
	if err != nil {
		return 0, false, err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO publications (run, seq, published_at) VALUES (?, ?, ?)", run, seq, stamp(now))
	return seq, false, err
}

// feed records what objects fed. Rows that are in a table since an earlier publication
// keep its number, unless some may be there only since this one: then a rollback to between
// them has to bring them back.
func feed(ctx context.Context, tx *sql.Tx, seq int64, feeds []Feed) (err error) {
	insert, err := tx.PrepareContext(ctx, `INSERT INTO feeds (key, tbl, source, born, fetched_at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET born = iif(?, excluded.born, coalesce(born, excluded.born)), fetched_at = min(fetched_at, excluded.fetched_at)`)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, insert.Close()) }()
	for _, f := range feeds {
		if _, err := insert.ExecContext(ctx, f.Key, f.Table, f.Source, seq, f.FetchedAt.UnixMicro(), f.Anew); err != nil {
			return err
		}
	}
	return nil
}
