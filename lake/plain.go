package lake

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
)

// Most rows are beyond doubt: numbers are JSON numbers, times have their usual form,
// prices lie well within high and low. Such plain rows are told apart while the crawler
// reads an object, and need no engine to be cast and judged. What is plain is narrower
// than what verdicts accept, never wider, so that the judgement is in one place:
// verdicts. TestPlain holds this.

// A plainRow is the values of a plain row. Prices and volume are NaN for null.
type plainRow struct {
	day     int   // days since 1970
	month   int   // months since year 0
	ts      int64 // microseconds since 1970
	numbers [6]float64
	row     int64
}

// A plainGroup is what plain rows of one fetch of a symbol have in common.
type plainGroup struct {
	Group
	values  [len(groupFields)]string // as they are written in JSON
	daily   bool
	fetched int64 // microseconds since 1970
}

// The places in tickerlake.RawFields.
const (
	fieldSymbol, fieldTs, fieldOpen, fieldVolume       = 0, 1, 2, 7
	fieldCurrency, fieldBasis, fieldSource, fieldTable = 8, 9, 10, 11
	fieldInterval, fieldFinal, fieldFetchedAt          = 12, 13, 14
	fieldFetchID, fieldRow                             = 15, 16
)

// groupFields are those whose values all rows of a plainGroup share.
var groupFields = [...]int{fieldSymbol, fieldFetchID, fieldFetchedAt, fieldTable, fieldFinal, fieldInterval, fieldSource, fieldBasis, fieldCurrency}

// has reports whether a row belongs to the group.
func (g *plainGroup) has(values [][]byte) bool {
	for i, field := range groupFields {
		if string(values[field]) != g.values[i] {
			return false
		}
	}
	return true
}

// newPlainGroup reads what the rows of a group have in common; false if any of it is
// in doubt. Times after latest are.
func newPlainGroup(values [][]byte, latest time.Time) (*plainGroup, bool) {
	text := func(field int) string {
		v := values[field]
		if len(v) < 2 || v[0] != '"' {
			return ""
		}
		return string(v[1 : len(v)-1])
	}
	g := &plainGroup{Group: Group{
		Outcome: OutcomeOpen, Table: text(fieldTable), Symbol: text(fieldSymbol), Interval: text(fieldInterval), Source: text(fieldSource),
		Basis: text(fieldBasis), Currency: text(fieldCurrency), FetchID: text(fieldFetchID),
	}}
	for i, field := range groupFields {
		g.values[i] = string(values[field])
	}
	switch string(values[fieldFinal]) {
	case "true":
		g.Outcome = OutcomeBars
	case "false":
	default:
		return nil, false
	}
	fetched, err := time.Parse(time.RFC3339Nano, text(fieldFetchedAt))
	if err != nil || !plainInstant(text(fieldFetchedAt)) || fetched.After(latest) {
		return nil, false
	}
	g.FetchedAt, g.fetched = fetched.UTC(), fetched.UnixMicro()
	g.daily = tickerlake.Interval(g.Interval).Daily()
	good := within(g.Symbol, 32, func(c byte) bool { return upper(c) || digit(c) || c == '.' || c == '-' }) && (upper(g.Symbol[0]) || digit(g.Symbol[0])) &&
		slices.Contains(plainIntervals, g.Interval) &&
		within(g.Table, 63, func(c byte) bool { return lower(c) || digit(c) || c == '_' }) && lower(g.Table[0]) &&
		g.Table != "latest" && g.Table != tickerlake.ActionsTable && !strings.HasSuffix(g.Table, revisionsSuffix) &&
		slices.Contains(plainBases, g.Basis) &&
		within(g.Currency, 16, visible) && within(g.FetchID, 64, visible) &&
		within(g.Source, 128, func(c byte) bool { return visible(c) || c == ' ' })
	return g, good
}

var (
	plainIntervals = []string{"1m", "5m", "15m", "1h", "1d"}
	plainBases     = []string{"raw", "split", "total"}
)

func within(s string, most int, good func(byte) bool) bool {
	for i := range len(s) {
		if !good(s[i]) {
			return false
		}
	}
	return len(s) > 0 && len(s) <= most
}

func upper(c byte) bool { return 'A' <= c && c <= 'Z' }
func lower(c byte) bool { return 'a' <= c && c <= 'z' }
func digit(c byte) bool { return '0' <= c && c <= '9' }

func visible(c byte) bool { return '!' <= c && c <= '~' && c != '"' && c != '\\' }

// plainInstant reports whether s has the form 2006-01-02T15:04:05Z, with up to six
// digits after a point, within the years in which prices are beyond doubt.
func plainInstant(s string) bool {
	if len(s) < 20 || len(s) > 27 || s[len(s)-1] != 'Z' || len(s) == 21 || len(s) > 20 && s[19] != '.' {
		return false
	}
	_, _, _, ok := plainDay([]byte(s[:10]))
	return ok
}

// row reads a row of the group; false if anything of it is in doubt.
func (g *plainGroup) row(values [][]byte, r *plainRow) bool {
	if !r.time(values[fieldTs], g.daily) {
		return false
	}
	if g.daily {
		// No zone's day is further ahead than the one of UTC+14.
		if int64(r.day) > floorDay(g.fetched+earliest.Microseconds()) {
			return false
		}
	} else if r.ts > g.fetched {
		return false
	}
	for i := range r.numbers {
		v, ok := plainNumber(values[fieldOpen+i])
		if !ok || i < len(prices) && v <= 0 { // NaN is not
			return false
		}
		r.numbers[i] = v
	}
	open, high, low, closing := r.numbers[0], r.numbers[1], r.numbers[2], r.numbers[3]
	if math.IsNaN(closing) || high < open || high < low || high < closing || low > open || low > closing {
		return false
	}
	n := values[fieldRow]
	if len(n) > 18 {
		return false
	}
	r.row = 0
	for _, c := range n {
		if !digit(c) {
			return false
		}
		r.row = r.row*10 + int64(c-'0')
	}
	return true
}

// time reads "2006-01-02" or "2006-01-02T15:04:05Z", in quotes. Of a daily bar the day
// counts.
func (r *plainRow) time(v []byte, daily bool) bool {
	if len(v) != 12 && len(v) != 22 || v[0] != '"' {
		return false
	}
	v = v[1 : len(v)-1]
	y, m, d, ok := plainDay(v)
	if !ok {
		return false
	}
	r.day, r.month = daysSince1970(y, m, d), y*12+m-1
	seconds := 0
	if len(v) > 10 {
		hour, ok1 := twoDigits(v[11:])
		minute, ok2 := twoDigits(v[14:])
		second, ok3 := twoDigits(v[17:])
		if v[10] != 'T' || v[13] != ':' || v[16] != ':' || v[19] != 'Z' || !ok1 || !ok2 || !ok3 || hour > 23 || minute > 59 || second > 59 {
			return false
		}
		if !daily {
			seconds = (hour*60+minute)*60 + second
		}
	}
	r.ts = (int64(r.day)*86400 + int64(seconds)) * 1e6
	return true
}

// plainDay reads 2006-01-02 at the beginning of v, in the years 1900 to 2099.
func plainDay(v []byte) (y, m, d int, ok bool) {
	century, ok1 := twoDigits(v)
	year, ok2 := twoDigits(v[2:])
	m, ok3 := twoDigits(v[5:])
	d, ok4 := twoDigits(v[8:])
	y = century*100 + year
	if !ok1 || !ok2 || !ok3 || !ok4 || v[4] != '-' || v[7] != '-' || y < 1900 || y > 2099 || m < 1 || m > 12 || d < 1 || d > 31 {
		return 0, 0, 0, false
	}
	if d > 28 && time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC).Day() != d {
		return 0, 0, 0, false
	}
	return y, m, d, true
}

func twoDigits(v []byte) (int, bool) {
	return int(v[0]-'0')*10 + int(v[1]-'0'), digit(v[0]) && digit(v[1])
}

// daysSince1970 counts days of the Gregorian calendar, after Howard Hinnant's
// days_from_civil, for years after 0.
func daysSince1970(y, m, d int) int {
	if m <= 2 {
		y--
		m += 12
	}
	era := y / 400
	year := y - era*400
	day := (153*(m-3)+2)/5 + d - 1
	return era*146097 + year*365 + year/4 - year/100 + day - 719468
}

func floorDay(micros int64) int64 {
	const day = 86400 * 1e6
	if micros < 0 {
		return (micros+1)/day - 1
	}
	return micros / day
}

// exact are the powers of ten that a double holds exactly.
var exact = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

var null = []byte("null")

// plainNumber reads a JSON number, NaN for null; false for other values and for
// numbers that are not finite doubles. Up to 15 digits with a point are a quotient of
// two exact doubles and so rounded once; strconv reads the others.
func plainNumber(v []byte) (float64, bool) {
	i, minus := 0, v[0] == '-'
	if minus {
		i = 1
	}
	mantissa, digits, point := uint64(0), 0, -1
	for ; i < len(v); i++ {
		switch c := v[i]; {
		case digit(c) && digits < 15:
			mantissa = mantissa*10 + uint64(c-'0')
			digits++
		case c == '.' && point < 0:
			point = digits
		default:
			if bytes.Equal(v, null) {
				return math.NaN(), true
			}
			if v[0] != '-' && !digit(v[0]) {
				return 0, false
			}
			f, err := strconv.ParseFloat(string(v), 64)
			return f, err == nil
		}
	}
	f := float64(mantissa)
	if point >= 0 {
		f /= exact[digits-point]
	}
	if minus {
		f = -f
	}
	return f, true
}

// A plainReader gathers the plain rows of one object and writes them as columns; it
// copies its other good lines to a file for the engine.
type plainReader struct {
	columns *columnWriter
	rest    *restWriter
	latest  time.Time
	err     error // of its making

	group *plainGroup
	table *columnGroup
	r     plainRow
}

// Line implements catalog.Reader.
func (p *plainReader) Line(line catalog.Line) error {
	if line.Problem != "" || p.err != nil {
		return p.err // Clean quarantines bad lines
	}
	if line.Values != nil && p.take(line.Values) {
		return p.columns.add(p.table, &p.r)
	}
	return p.rest.write(line.Text)
}

func (p *plainReader) take(values [][]byte) bool {
	if p.group == nil || !p.group.has(values) {
		g, ok := newPlainGroup(values, p.latest)
		if !ok {
			p.group = nil
			return false
		}
		p.group, p.table = g, p.columns.group(g)
	}
	return p.group.row(values, &p.r)
}
