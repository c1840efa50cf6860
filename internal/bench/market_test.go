package bench

import (
	"bufio"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/sync/errgroup"
)

const linesAnObject = 160_000

// A market is the raw data of a benchmark: the same for the same numbers. Prices are
// whole cents on a random walk, adj_close is close by the dividends after it, with four
// decimals.
type market struct {
	Symbols   int
	Bars      int // of each symbol, in the first fetch
	Refetched int // of them, the last ones, stand in a second fetch again
	Minutes   bool
}

const (
	tradingYear = 250
	decades     = 20 * tradingYear // bars of a symbol in 20 years
	session     = 390              // minutes of a trading day
)

// newMarket has bars of 20 years, of as many symbols as that takes.
func newMarket(bars int) market {
	return market{Symbols: max(1, bars/decades), Bars: decades, Refetched: 150}
}

func (m market) bars() int64  { return int64(m.Symbols) * int64(m.Bars) }
func (m market) lines() int64 { return int64(m.Symbols) * int64(m.Bars+m.Refetched) }

// times are the ts of a symbol's first n bars: the days are those until 2025-11-14 and
// after it, the minutes those of sessions from 2026-01-02.
func (m market) times(n int) []string {
	out := make([]string, 0, n)
	day := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	if !m.Minutes {
		// Markets of few and of many years end alike, so that what is new in them meets as
		// many bars of its year.
		day = time.Date(2025, 11, 14, 0, 0, 0, 0, time.UTC)
		for n := 1; n < m.Bars; {
			if day = day.AddDate(0, 0, -1); trades(day) {
				n++
			}
		}
	}
	for ; len(out) < n; day = day.AddDate(0, 0, 1) {
		if !trades(day) {
			continue
		}
		if !m.Minutes {
			out = append(out, day.Format(time.DateOnly))
			continue
		}
		for minute := range session {
			out = append(out, day.Add(14*time.Hour+time.Duration(30+minute)*time.Minute).Format("2006-01-02T15:04:05Z"))
		}
	}
	return out[:n]
}

// trades reports whether a day is one of the market: a weekday but for some nine a year.
func trades(day time.Time) bool {
	w := day.Weekday()
	return w != time.Saturday && w != time.Sunday && day.YearDay()%29 != 0
}

// A fetch is the answer of the source for one symbol: bars from one to another.
type fetch struct {
	id        string
	at        string
	symbol    int
	from, to  int
	dividends int // paid after the last bar that the market began with
}

// first are the fetches that fill the lake: of all bars of each symbol, and a day
// later of the last ones again.
func (m market) first() []fetch {
	out := make([]fetch, 0, 2*m.Symbols)
	for _, again := range []int{0, 1} {
		if again == 1 && m.Refetched == 0 {
			break
		}
		order := rand.New(rand.NewPCG(7, uint64(again))).Perm(m.Symbols)
		for n, s := range order {
			f := fetch{id: fmt.Sprintf("01J%d%022d", again, n), symbol: s, to: m.Bars, at: stamp(m.end().AddDate(0, 0, again).Add(time.Duration(n) * time.Millisecond))}
			if again == 1 {
				f.from = m.Bars - m.Refetched
			}
			out = append(out, f)
		}
	}
	return out
}

// end is when the first fetches are made.
func (m market) end() time.Time {
	if m.Minutes {
		last, _ := time.Parse(time.RFC3339, m.times(m.Bars)[m.Bars-1])
		return last.Add(time.Minute)
	}
	return time.Date(2026, 1, 5, 22, 0, 0, 0, time.UTC)
}

func stamp(t time.Time) string { return t.Format("2006-01-02T15:04:05.000000Z") }

// next are the fetches of a later run: n new bars in all, spread over the symbols,
// after those of earlier rounds.
func (m market) next(round, n int) []fetch {
	each := max(1, n/m.Symbols)
	out := make([]fetch, 0, m.Symbols)
	for s := range m.Symbols {
		out = append(out, fetch{id: fmt.Sprintf("01K%03d%020d", round, s), symbol: s, from: m.Bars + round*each, to: m.Bars + (round+1)*each,
			at: stamp(time.Date(2026, 6, 1, 22, 0, 0, s*1000, time.UTC).AddDate(0, 0, round))})
	}
	return out
}

// dividend are the fetches of a day on which n symbols paid one: all bars of each, with
// another adj_close.
func (m market) dividend(round, n int) []fetch {
	out := make([]fetch, 0, n)
	for s := range n {
		out = append(out, fetch{id: fmt.Sprintf("01L%03d%020d", round, s), symbol: s * m.Symbols / n, to: m.Bars, dividends: round + 1,
			at: stamp(time.Date(2026, 6, 1, 22, 0, 0, s*1000, time.UTC).AddDate(0, 0, round))})
	}
	return out
}

// minute is the fetch of one minute of all symbols.
func (m market) minute(n int, ts string) []fetch {
	end, _ := time.Parse(time.RFC3339, ts)
	out := make([]fetch, 0, m.Symbols)
	for s := range m.Symbols {
		out = append(out, fetch{id: fmt.Sprintf("01M%012d", n), symbol: s, from: n, to: n + 1, at: stamp(end.Add(time.Minute + time.Second))})
	}
	return out
}

// A walk is the price of one symbol on its way.
type walk struct {
	next   int   // the bar that comes
	before int64 // cents of the last close
	random *rand.Rand
}

// A bar is in cents.
type bar struct{ open, high, low, closing, volume int64 }

func newWalk(symbol int) *walk {
	w := &walk{random: rand.New(rand.NewPCG(uint64(symbol), 11))}
	// Half of the symbols begin below 35.00, two thirds within 14.00 and 86.00.
	w.before = max(100, int64(3500*math.Exp(0.9*w.random.NormFloat64())))
	return w
}

func (w *walk) step(minutes bool) bar {
	size := 0.015
	if minutes {
		size = 0.0008
	}
	move := func(from int64, by float64) int64 {
		return max(100, from+int64(math.Round(float64(from)*size*by*w.random.NormFloat64())))
	}
	b := bar{open: move(w.before, 0.4)}
	b.closing = move(b.open, 0.9)
	b.high = max(b.open, b.closing) + max(0, move(b.open, 0.4)-b.open)
	b.low = max(50, min(b.open, b.closing)-max(0, move(b.open, 0.4)-b.open))
	b.volume = int64(1e6 * math.Exp(w.random.NormFloat64()*0.6))
	w.before = b.closing
	w.next++
	return b
}

// walks are those of the symbols of a writer.
type walks map[int]*walk

// to gives the walk of a symbol just before bar n.
func (w walks) to(symbol, n int, minutes bool) *walk {
	have := w[symbol]
	if have == nil || have.next > n {
		have = newWalk(symbol)
		w[symbol] = have
	}
	for have.next < n {
		have.step(minutes)
	}
	return have
}

// write makes raw objects of fetches in a folder, as delivery does: NDJSON, gzip.
func (m market) write(dir, name string, fetches []fetch) ([]string, error) {
	last := 0
	for _, f := range fetches {
		last = max(last, f.to)
	}
	times := m.times(last)
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
		group.Go(func() error { return m.writeObject(path, batch, times, walks{}) })
		begin = end
	}
	return paths, group.Wait()
}

func (m market) writeObject(path string, fetches []fetch, times []string, w walks) error {
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
		at := w.to(f.symbol, f.from, m.Minutes)
		for n := f.from; n < f.to; n++ {
			line = m.document(line[:0], f, n, times[n], at.step(m.Minutes))
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

// document is one line. What a bar says depends on symbol, time and dividends only, so
// that a later fetch of it is a copy.
func (m market) document(line []byte, f fetch, n int, ts string, b bar) []byte {
	price := func(name string, cents int64) {
		line = append(line, `,"`+name+`":`...)
		line = strconv.AppendFloat(line, float64(cents)/100, 'f', 2, 64)
	}
	line = append(line, `{"symbol":"`...)
	line = append(line, ticker(f.symbol)...)
	line = append(line, `","ts":"`...)
	line = append(line, ts...)
	line = append(line, '"')
	price("open", b.open)
	price("high", b.high)
	price("low", b.low)
	price("close", b.closing)
	if m.Minutes {
		line = append(line, `,"adj_close":null`...)
	} else {
		// A dividend of half a percent each quarter, on another day for each symbol.
		paid := max(0, (m.Bars-n+f.symbol%63)/63) + f.dividends
		line = append(line, `,"adj_close":`...)
		line = strconv.AppendFloat(line, float64(b.closing)/100*math.Pow(0.995, float64(paid)), 'f', 4, 64)
	}
	line = append(line, `,"volume":`...)
	line = strconv.AppendInt(line, b.volume, 10)
	table, interval := "bars_1d", "1d"
	if m.Minutes {
		table, interval = "bars_1m", "1m"
	}
	line = append(line, `,"currency":"USD","basis":"split","source":"bench","table":"`+table+`","interval":"`+interval+`","final":true,"fetched_at":"`...)
	line = append(line, f.at...)
	line = append(line, `","fetch_id":"`...)
	line = append(line, f.id...)
	line = append(line, `","row":`...)
	row := n - f.from
	if m.Minutes {
		row = f.symbol
	}
	line = strconv.AppendInt(line, int64(row), 10)
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
