package bench

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/sync/errgroup"
)

const (
	barsPerSymbol = 5000 // of the first fetch: 20 years of trading days
	refetched     = 150  // of them, the last ones, stand in a second fetch again
	linesAnObject = 160_000
)

// A market is the raw data of a benchmark: the same for the same number of symbols.
type market struct{ Symbols int }

func newMarket(bars int) market { return market{Symbols: max(1, bars/barsPerSymbol)} }

func (m market) bars() int64  { return int64(m.Symbols) * barsPerSymbol }
func (m market) lines() int64 { return int64(m.Symbols) * (barsPerSymbol + refetched) }

// tradingDays are weekdays but for some nine a year, as many as needed.
func tradingDays(n int) []string {
	out := make([]string, 0, n)
	for day := time.Date(2004, 1, 2, 0, 0, 0, 0, time.UTC); len(out) < n; day = day.AddDate(0, 0, 1) {
		if w := day.Weekday(); w != time.Saturday && w != time.Sunday && day.YearDay()%29 != 0 {
			out = append(out, day.Format(time.DateOnly))
		}
	}
	return out
}

// A fetch is the answer of the source for one symbol: bars from day to day.
type fetch struct {
	id       string
	at       string
	symbol   int
	from, to int
}

// first are the fetches that fill the lake: of all bars of each symbol, and a day
// later of the last ones again.
func (m market) first() []fetch {
	out := make([]fetch, 0, 2*m.Symbols)
	for _, again := range []int{0, 1} {
		order := rand.New(rand.NewPCG(7, uint64(again))).Perm(m.Symbols)
		for n, s := range order {
			f := fetch{id: fmt.Sprintf("01J%d%022d", again, n), symbol: s, to: barsPerSymbol,
				at: time.Date(2026, 1, 5+again, 22, 0, 0, n*1000, time.UTC).Format("2006-01-02T15:04:05.000000Z")}
			if again == 1 {
				f.from = barsPerSymbol - refetched
			}
			out = append(out, f)
		}
	}
	return out
}

// next are the fetches of a later run: n new bars in all, spread over the symbols,
// after those of earlier rounds.
func (m market) next(round, n int) []fetch {
	each := max(1, n/m.Symbols)
	out := make([]fetch, 0, m.Symbols)
	for s := range m.Symbols {
		out = append(out, fetch{id: fmt.Sprintf("01K%02d%021d", round, s), symbol: s,
			from: barsPerSymbol + round*each, to: barsPerSymbol + (round+1)*each,
			at: time.Date(2026, 2, 1+round, 22, 0, 0, s*1000, time.UTC).Format("2006-01-02T15:04:05.000000Z")})
	}
	return out
}

// write makes raw objects of fetches in a folder, as delivery does: NDJSON, gzip.
func write(dir, name string, fetches []fetch) ([]string, error) {
	days := tradingDays(barsPerSymbol + 1000)
	var paths []string
	var group errgroup.Group
	group.SetLimit(4)
	for begin := 0; begin < len(fetches); {
		end, lines := begin, 0
		for ; end < len(fetches) && lines < linesAnObject; end++ {
			lines += fetches[end].to - fetches[end].from
		}
		path := filepath.Join(dir, fmt.Sprintf("%s-%05d.gz", name, len(paths)))
		paths = append(paths, path)
		batch := fetches[begin:end]
		group.Go(func() error { return writeObject(path, batch, days) })
		begin = end
	}
	return paths, group.Wait()
}

func writeObject(path string, fetches []fetch, days []string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	z, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(z, 1<<20)
	var line []byte
	for _, f := range fetches {
		for n := f.from; n < f.to; n++ {
			line = f.document(line[:0], n, days[n])
			if _, err := out.Write(line); err != nil {
				return err
			}
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return f.Close()
}

// document is one line. What a bar says depends on symbol and day only, so that a
// later fetch of it is a copy.
func (f fetch) document(line []byte, n int, day string) []byte {
	r := rand.New(rand.NewPCG(uint64(f.symbol), uint64(n)))
	base := 20 + float64(f.symbol%400) + float64(n)*0.01
	low := base * (1 - 0.01*r.Float64())
	high := base * (1 + 0.01*r.Float64())
	open := low + (high-low)*r.Float64()
	closing := low + (high-low)*r.Float64()
	price := func(name string, v float64, digits int) {
		line = append(line, `,"`+name+`":`...)
		line = strconv.AppendFloat(line, v, 'f', digits, 64)
	}
	line = append(line, `{"symbol":"`...)
	line = append(line, ticker(f.symbol)...)
	line = append(line, `","ts":"`...)
	line = append(line, day...)
	line = append(line, '"')
	price("open", open, 2)
	price("high", high+0.01, 2)
	price("low", low-0.01, 2)
	price("close", closing, 2)
	price("adj_close", closing*0.97, 4)
	price("volume", float64(r.IntN(50_000_000)), 0)
	line = append(line, `,"currency":"USD","basis":"split","source":"bench","table":"bars_1d","interval":"1d","final":true,"fetched_at":"`...)
	line = append(line, f.at...)
	line = append(line, `","fetch_id":"`...)
	line = append(line, f.id...)
	line = append(line, `","row":`...)
	line = strconv.AppendInt(line, int64(n-f.from), 10)
	return append(line, "}\n"...)
}

// ticker spells a number as a ticker of four letters.
func ticker(n int) string {
	var text [4]byte
	for i := len(text) - 1; i >= 0; i-- {
		text[i] = byte('A' + n%26)
		n /= 26
	}
	return string(text[:])
}
