package catalog

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"
)

// A Cover is a span of a series that a published fetch has confirmed: a row from
// an older fetch does not belong there any more.
type Cover struct {
	From      time.Time // both ends inclusive
	To        time.Time
	FetchedAt time.Time
	FetchID   string
}

// The covers kept a series are bounded. Beyond maxCovers the oldest give way until
// keptCovers are left, so that this is seldom: spans that touch become one with the time
// of the oldest, and if there are gaps the oldest go. That protects less, never wrongly.
const (
	maxCovers  = 32
	keptCovers = 16
)

// later orders covers by fetch.
func later(a, b Cover) int {
	return cmp.Or(a.FetchedAt.Compare(b.FetchedAt), strings.Compare(a.FetchID, b.FetchID))
}

// holds reports whether all of b is within c.
func (c Cover) holds(b Cover) bool { return !b.From.Before(c.From) && !b.To.After(c.To) }

// lay gives the covers of a series, in the order of their fetches, with one more. Older
// ones within it go; one within a later one adds nothing.
func lay(covers []Cover, c Cover) []Cover {
	if slices.ContainsFunc(covers, func(x Cover) bool { return later(x, c) >= 0 && x.holds(c) }) {
		return covers
	}
	out := make([]Cover, 0, len(covers)+1)
	for _, x := range covers {
		if later(x, c) > 0 || !c.holds(x) {
			out = append(out, x)
		}
	}
	full := len(out) >= maxCovers
	at, _ := slices.BinarySearchFunc(out, c, later)
	if out = slices.Insert(out, at, c); full {
		return fewer(out)
	}
	return out
}

// fewer gives keptCovers covers that stand for more of them.
func fewer(covers []Cover) []Cover {
	recent := covers[len(covers)-keptCovers/2:]
	old := slices.Clone(covers[:len(covers)-len(recent)])
	slices.SortFunc(old, func(a, b Cover) int { return a.From.Compare(b.From) })
	var joined []Cover
	for _, c := range old {
		if n := len(joined) - 1; n >= 0 && c.From.Sub(joined[n].To) <= time.Microsecond {
			last := &joined[n]
			if later(c, *last) < 0 {
				last.FetchedAt, last.FetchID = c.FetchedAt, c.FetchID
			}
			if c.To.After(last.To) {
				last.To = c.To
			}
			continue
		}
		joined = append(joined, c)
	}
	slices.SortFunc(joined, later)
	return slices.Concat(joined[max(0, len(joined)-(keptCovers-len(recent))):], recent)
}

// coveredAt is the time of the latest fetch, 0 without any.
func coveredAt(covers []Cover) int64 {
	if len(covers) == 0 {
		return 0
	}
	return covers[len(covers)-1].FetchedAt.UnixMicro()
}

// appendCovers writes covers as they stand in state.db: for each the beginning less that
// of the one before, the length, and the time of the fetch less that of the one before,
// as signed varints of microseconds, then the length of the fetch's id and the id.
func appendCovers(b []byte, covers []Cover) []byte {
	var from, at int64
	for _, c := range covers {
		f, a := c.From.UnixMicro(), c.FetchedAt.UnixMicro()
		b = binary.AppendVarint(b, f-from)
		b = binary.AppendVarint(b, c.To.UnixMicro()-f)
		b = binary.AppendVarint(b, a-at)
		b = appendText(b, c.FetchID)
		from, at = f, a
	}
	return b
}

// readCovers reads what appendCovers wrote.
func readCovers(b []byte) ([]Cover, error) {
	const usual = 40 // bytes a cover
	out := make([]Cover, 0, len(b)/usual+1)
	var from, at int64
	r := newReader(b)
	for len(r.b) > 0 && r.err == nil {
		from += r.int()
		to := from + r.int()
		at += r.int()
		out = append(out, Cover{FetchID: r.text(),
			From: time.UnixMicro(from).UTC(), To: time.UnixMicro(to).UTC(), FetchedAt: time.UnixMicro(at).UTC()})
	}
	if r.err != nil {
		return nil, errors.New("its covers cannot be read")
	}
	return out, nil
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// A reader takes values off a text until one cannot be read.
type reader struct {
	b   []byte
	all string // of which b is the rest
	err error
}

func newReader(b []byte) *reader { return &reader{b: b, all: string(b)} }

var errCut = errors.New("the text is cut short")

func (r *reader) int() int64 {
	v, n := binary.Varint(r.b)
	return advance(r, v, n)
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	return advance(r, v, n)
}

func advance[T any](r *reader, v T, n int) T {
	if n <= 0 {
		r.err, r.b = errCut, nil
		return *new(T)
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) text() string {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.err, r.b = errCut, nil
		return ""
	}
	from := len(r.all) - len(r.b)
	r.b = r.b[n:]
	return r.all[from : from+int(n)]
}

// Covers gives the covers of the series of a table, by symbol, of fetches since a moment:
// older ones decide nothing about a row fetched then. The zero time gives all.
func (c *Catalog) Covers(ctx context.Context, table string, since time.Time) (map[string][]Cover, error) {
	out := map[string][]Cover{}
	err := c.query(ctx, "catalog.Covers", func(rows *sql.Rows) error {
		var symbol string
		var text []byte
		if err := rows.Scan(&symbol, &text); err != nil {
			return err
		}
		covers, err := readCovers(text)
		if err != nil {
			return damagedSeries(table, symbol, err)
		}
		covers = slices.DeleteFunc(covers, func(c Cover) bool { return c.FetchedAt.Before(since) })
		slices.SortFunc(covers, func(a, b Cover) int { return cmp.Or(a.From.Compare(b.From), later(a, b)) })
		if len(covers) > 0 {
			out[symbol] = covers
		}
		return nil
	}, "SELECT symbol, covers FROM series WHERE tbl = ? AND covered_at >= ? AND covers <> x''", table, since.UnixMicro())
	return out, err
}
