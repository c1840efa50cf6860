package catalog

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"runtime"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tickerlake/tickerlake"
)

// A Bucket is where the raw objects are.
type Bucket interface {
	// Each calls f for the objects whose key begins with prefix and comes after
	// startAfter, in the order of their keys.
	Each(ctx context.Context, prefix, startAfter string, f func(tickerlake.Object) error) error
	// Open reads a whole object.
	Open(ctx context.Context, key string) (io.ReadCloser, error)
}

// A Crawl says what to look at.
type Crawl struct {
	Run    string
	Stream string // the stream's name: bars
	Prefix string // where its dt= folders are: raw/bars/
	Full   bool   // list every folder, not only those that can still change
	// Progress is told after each object; nil for none.
	Progress func(done, total int)
	// Reader is asked for what takes the lines of an object while it is read; nil for
	// none. Objects are read at the same time, each by a Reader of its own.
	Reader func(Entry) Reader
}

// A Reader takes what Crawl reads of one object.
type Reader interface {
	// Line is called for each line, good or bad.
	Line(Line) error
	// Close is called after the last line, with what the scan found: if that is
	// damage, the lines must not be used.
	Close(Facts) error
}

// A Change is a difference between what the stream held and what came.
type Change struct {
	Column string `json:"column"`
	Change string `json:"change"` // appeared, vanished, changed type
	From   string `json:"from,omitempty"`
	To     string `json:"to,omitempty"`
}

func (c Change) String() string {
	if c.From != "" {
		return "column " + c.Column + " " + c.Change + " from " + c.From + " to " + c.To
	}
	return "column " + c.Column + " " + c.Change
}

// A CrawlReport is what a crawl found.
type CrawlReport struct {
	Objects []Entry  // the run's pending objects
	Damaged []Entry  // objects of this crawl that cannot be read
	Changes []Change // of the columns
	Lines   int64
}

// Crawl enters the objects of a stream in the ledger, claims the pending ones for
// the run, reads each that was not read before or whose last run failed, and records the columns and
// partitions it finds. Damaged objects are marked; the others go on.
func (c *Catalog) Crawl(ctx context.Context, b Bucket, what Crawl) (CrawlReport, error) {
	var report CrawlReport
	if err := c.Discover(ctx, b, what); err != nil {
		return report, err
	}
	claimed, err := c.Claim(ctx, what.Run)
	if err != nil {
		return report, err
	}
	fresh := slices.DeleteFunc(slices.Clone(claimed), func(e Entry) bool { return e.Scanned && e.Failures == 0 })
	facts, err := scanAll(ctx, b, fresh, what)
	if err != nil {
		return report, err
	}
	if report.Changes, err = c.record(ctx, what.Stream, fresh, facts); err != nil {
		return report, err
	}
	if report.Damaged, err = c.entries(ctx, "catalog.Crawl", "state = 'damaged' AND run = ?", what.Run); err != nil {
		return report, err
	}
	if report.Objects, err = c.Claimed(ctx, what.Run); err != nil {
		return report, err
	}
	for _, e := range report.Objects {
		report.Lines += e.Lines
	}
	return report, nil
}

// Discover enters the objects of a stream in the ledger. It lists the folders that can
// still change: from the day before the last one known, since a folder's day is that of
// arrival.
func (c *Catalog) Discover(ctx context.Context, b Bucket, what Crawl) error {
	after := ""
	if !what.Full {
		var last sql.NullString
		err := c.state.QueryRowContext(ctx, "SELECT max(dt) FROM objects WHERE key LIKE ? || '%'", what.Prefix).Scan(&last)
		if err != nil {
			return sqliteError("catalog.Crawl", "state.db", err)
		}
		if day, err := time.Parse(time.DateOnly, last.String); err == nil {
			if today := c.clock().UTC(); day.After(today) {
				day = today // a folder of the future must not hide those of now
			}
			after = what.Prefix + "dt=" + day.AddDate(0, 0, -1).Format(time.DateOnly)
		}
	}
	var batch []tickerlake.Object
	err := b.Each(ctx, what.Prefix, after, func(o tickerlake.Object) error {
		batch = append(batch, o)
		if len(batch) < 1000 {
			return nil
		}
		err := c.Enter(ctx, batch...)
		batch = batch[:0]
		return err
	})
	return errors.Join(err, c.Enter(ctx, batch...))
}

func scanAll(ctx context.Context, b Bucket, entries []Entry, what Crawl) ([]Facts, error) {
	facts := make([]Facts, len(entries))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	var mu sync.Mutex
	done := 0
	for i, e := range entries {
		group.Go(func() error {
			f, err := scanObject(ctx, b, e, what.Reader)
			if err != nil {
				return err
			}
			facts[i] = f
			mu.Lock()
			defer mu.Unlock()
			if done++; what.Progress != nil {
				what.Progress(done, len(entries))
			}
			return nil
		})
	}
	return facts, group.Wait()
}

func scanObject(ctx context.Context, b Bucket, e Entry, reader func(Entry) Reader) (Facts, error) {
	if err := ctx.Err(); err != nil {
		return Facts{}, err
	}
	body, err := b.Open(ctx, e.Key)
	if errors.Is(err, tickerlake.NotFound) {
		return Facts{Damage: "the object is gone"}, nil
	}
	if err != nil {
		return Facts{}, err
	}
	defer body.Close()
	if reader == nil {
		return Scan(body, nil)
	}
	r := reader(e)
	facts, err := Scan(body, r.Line)
	if err != nil {
		facts = Facts{Damage: err.Error()}
	}
	err = errors.Join(err, r.Close(facts))
	var coded *tickerlake.Error
	if err == nil || errors.As(err, &coded) {
		return facts, err
	}
	return facts, &tickerlake.Error{Code: diskCode(err), Op: "catalog.Crawl", Name: e.Key, Err: err}
}

// record writes what the scans found and tells how the columns changed.
func (c *Catalog) record(ctx context.Context, stream string, entries []Entry, facts []Facts) ([]Change, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	var changes []Change
	err := c.update(ctx, "catalog.Crawl", func(tx *sql.Tx) error {
		seen := map[string]kind{}
		lines := int64(0)
		for i, e := range entries {
			f := facts[i]
			if err := c.scanned(ctx, tx, e.Key, f); err != nil {
				return err
			}
			if f.Damage != "" {
				// What it held is not on its way: the next fetch asks again.
				if err := askAgain(ctx, tx); err != nil {
					return err
				}
				continue
			}
			lines += f.Lines - f.BadLines
			for name, k := range f.Columns {
				seen[name] |= k
			}
			if e.Scanned {
				continue // its partition has it
			}
			_, err := tx.ExecContext(ctx, `INSERT INTO raw_partitions (stream, dt, objects, bytes, records) VALUES (?, ?, 1, ?, ?)
				ON CONFLICT DO UPDATE SET objects = objects + 1, bytes = bytes + excluded.bytes, records = records + excluded.records`,
				stream, dtOf(e.Key), e.Size, f.Lines)
			if err != nil {
				return err
			}
		}
		var err error
		if lines > 0 {
			changes, err = c.columns(ctx, tx, stream, seen)
		}
		return err
	})
	return changes, err
}

func (c *Catalog) columns(ctx context.Context, tx *sql.Tx, stream string, seen map[string]kind) ([]Change, error) {
	known := map[string]RawColumn{}
	rows, err := tx.QueryContext(ctx, "SELECT name, kinds, gone FROM raw_columns WHERE stream = ?", stream)
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		var r RawColumn
		if err := rows.Scan(&r.Name, &r.Kinds, &r.Gone); err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		known[r.Name] = r
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	var changes []Change
	now := stamp(c.clock())
	// They come and go, as users decide and as there are splits and dividends.
	for _, field := range tickerlake.RawFields[len(tickerlake.BarFields):] {
		delete(seen, field)
	}
	for name, k := range seen {
		old, ok := known[name]
		kinds := join(old.Kinds, k)
		switch {
		case len(known) > 0 && (!ok || old.Gone):
			changes = append(changes, Change{Column: name, Change: "appeared"})
		case ok && withoutNull(old.Kinds) != "" && withoutNull(kinds) != withoutNull(old.Kinds):
			changes = append(changes, Change{Column: name, Change: "changed type", From: withoutNull(old.Kinds), To: strings.Join((k &^ kindNull).names(), "|")})
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO raw_columns (stream, name, kinds, added_at, seen_at) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET kinds = excluded.kinds, seen_at = excluded.seen_at, gone = 0`, stream, name, kinds, now, now)
		if err != nil {
			return nil, err
		}
	}
	for name, old := range known {
		if _, ok := seen[name]; ok || old.Gone {
			continue
		}
		changes = append(changes, Change{Column: name, Change: "vanished"})
		if _, err := tx.ExecContext(ctx, "UPDATE raw_columns SET gone = 1 WHERE stream = ? AND name = ?", stream, name); err != nil {
			return nil, err
		}
	}
	sort.Slice(changes, func(i, j int) bool { return changes[i].Column < changes[j].Column })
	return changes, nil
}

// join adds the kinds of k to a list such as "null|number".
func join(kinds string, k kind) string {
	for i, name := range kindNames {
		if slices.Contains(strings.Split(kinds, "|"), name) {
			k |= 1 << i
		}
	}
	return strings.Join(k.names(), "|")
}

func withoutNull(kinds string) string {
	return strings.Join(slices.DeleteFunc(strings.Split(kinds, "|"), func(s string) bool { return s == "null" || s == "" }), "|")
}

// A RawColumn is a column of a raw stream as the crawler saw it: a text to SQL,
// Kinds the JSON types of its values.
type RawColumn struct {
	Name  string `json:"name"`
	Kinds string `json:"kinds"`
	Gone  bool   `json:"gone"`
}

// RawColumns lists the columns of a stream, those of tickerlake.RawFields first.
func (c *Catalog) RawColumns(ctx context.Context, stream string) ([]RawColumn, error) {
	var out []RawColumn
	err := c.query(ctx, "catalog.RawColumns", func(rows *sql.Rows) error {
		var r RawColumn
		err := rows.Scan(&r.Name, &r.Kinds, &r.Gone)
		out = append(out, r)
		return err
	}, "SELECT name, kinds, gone FROM raw_columns WHERE stream = ? ORDER BY name", stream)
	sort.SliceStable(out, func(i, j int) bool { return fieldRank(out[i].Name) < fieldRank(out[j].Name) })
	return out, err
}

func fieldRank(name string) int {
	if i := slices.Index(tickerlake.RawFields, name); i >= 0 {
		return i
	}
	return len(tickerlake.RawFields)
}

// A Partition is a dt= folder of a raw stream.
type Partition struct {
	Dt      string `json:"dt"`
	Objects int64  `json:"objects"`
	Bytes   int64  `json:"bytes"`
	Records int64  `json:"records"`
}

// RawPartitions lists the partitions of a stream by day.
func (c *Catalog) RawPartitions(ctx context.Context, stream string) ([]Partition, error) {
	var out []Partition
	err := c.query(ctx, "catalog.RawPartitions", func(rows *sql.Rows) error {
		var p Partition
		err := rows.Scan(&p.Dt, &p.Objects, &p.Bytes, &p.Records)
		out = append(out, p)
		return err
	}, "SELECT dt, objects, bytes, records FROM raw_partitions WHERE stream = ? ORDER BY dt", stream)
	return out, err
}
