package file

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/collect"
)

// A moment is a bar's time as far as a file says it.
type moment struct {
	kind momentKind
	// wall is the date and time as written, as if it were UTC; for instant the instant.
	wall  time.Time
	found bool
}

type momentKind int

const (
	momentDate    momentKind = iota + 1 // a date without a time of day
	momentWall                          // date and time without a zone
	momentOffset                        // date and time with an offset: wall and instant differ
	momentInstant                       // an instant, of a number
)

// A timeReader reads the times of a file. Without a format it knows: a date (2024-01-31,
// 20240131), a time (with T or a blank between, seconds and their fraction or not, Z, an
// offset or no zone; then it is one of the exchange's zone), and numbers of seconds,
// milliseconds, microseconds or nanoseconds since 1970, told apart by their size, unless
// they are doubtful. Other
// forms want a format: its letters are yyyy yy MMMM MMM MM M dd d EEE EEEE HH hh h mm ss
// SSS a XXX, other text in 'quotes'; or epoch, epoch_ms, epoch_us, epoch_ns.
type timeReader struct {
	interval tickerlake.Interval
	zone     *time.Location
	layout   string // of Go; empty: the forms above
	kind     momentKind
	unit     int64 // nanoseconds of an epoch format, 0 if it is told by size

	// The span of wall-clock seconds within which the zone has one offset, safely away
	// from its changes.
	from, to, offset int64
}

func newTimeReader(interval tickerlake.Interval, zone *time.Location, format string) (*timeReader, error) {
	t := &timeReader{interval: interval, zone: zone}
	switch format {
	case "":
		return t, nil
	case "epoch":
		t.unit = 1e9
	case "epoch_ms":
		t.unit = 1e6
	case "epoch_us":
		t.unit = 1e3
	case "epoch_ns":
		t.unit = 1
	default:
		var err error
		t.layout, t.kind, err = layoutOf(format)
		return t, err
	}
	t.kind = momentInstant
	return t, nil
}

var layouts = map[string]string{
	"yyyy": "2006", "yy": "06", "MMMM": "January", "MMM": "Jan", "MM": "01", "M": "1", "dd": "02", "d": "2",
	"EEEE": "Monday", "EEE": "Mon", "HH": "15", "hh": "03", "h": "3", "mm": "04", "ss": "05", "SSS": "000", "SSSSSS": "000000",
	"a": "PM", "XXX": "Z07:00", "XX": "Z0700",
}

// ParseTimeFormat says what is wrong with a format, if anything.
func ParseTimeFormat(format string) error {
	_, err := newTimeReader(tickerlake.Day, time.UTC, format)
	return err
}

// layoutOf makes the layout of Go for a format.
func layoutOf(format string) (string, momentKind, error) {
	pieces, err := collect.SplitTimeFormat(format, layouts, "epoch, epoch_ms, epoch_us, epoch_ns, and yyyy yy MMMM MMM MM M dd d EEEE EEE HH hh h mm ss SSS SSSSSS a XXX XX with T in 'quotes'")
	if err != nil {
		return "", 0, err
	}
	var b strings.Builder
	kind, day := momentDate, false
	for _, p := range pieces {
		switch {
		case p.Quoted && p.Literal != "T" && strings.ContainsFunc(p.Literal, layoutRune):
			return "", 0, fmt.Errorf("time format %q: of letters and digits only 'T' can be quoted", format)
		case !p.Quoted && p.Letters == "" && strings.ContainsFunc(p.Literal, layoutRune):
			return "", 0, fmt.Errorf("time format %q: %s is no letter of a format, such as yyyy-MM-dd HH:mm", format, p.Literal)
		case strings.HasPrefix(p.Letters, "d"):
			day = true
		case strings.HasPrefix(p.Letters, "H"), strings.HasPrefix(p.Letters, "h"):
			kind = max(kind, momentWall)
		case strings.HasPrefix(p.Letters, "X"):
			kind = momentOffset
		case strings.HasPrefix(p.Letters, "S"):
			if text := b.String(); !strings.HasSuffix(text, ".") && !strings.HasSuffix(text, ",") {
				return "", 0, fmt.Errorf("time format %q: want . or , before %s", format, p.Letters)
			}
		}
		b.WriteString(p.Literal + p.Layout)
	}
	if !day {
		return "", 0, fmt.Errorf("time format %q says no day: want one such as MM/dd/yyyy", format)
	}
	return b.String(), kind, nil
}

// layoutRune reports whether a layout of Go could take the rune for a part of a time.
func layoutRune(r rune) bool {
	return r == '_' || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z'
}

// read understands a text or a number.
func (t *timeReader) read(text []byte) moment {
	if t.layout != "" {
		at, err := time.Parse(t.layout, string(text))
		if err != nil {
			return moment{}
		}
		return moment{t.kind, at, true}
	}
	if t.unit != 0 {
		return epoch(text, t.unit)
	}
	if m := clock(text); m.found {
		return m
	}
	if day, rest, ok := bytes.Cut(text, []byte(".")); ok && len(day) == 8 && len(bytes.Trim(rest, "0")) == 0 {
		if m := clock(day); m.found {
			return m // of a column of numbers with holes: 20240131.0
		}
	}
	if doubtful(text) {
		return moment{}
	}
	return epoch(text, 0)
}

// doubtful reports whether a number is more likely something else than an instant: 0 or a
// number of days (of a spreadsheet: 45322), which would be the first day of 1970, a date
// that there is not (20241301), or a date with hours and minutes (202401310930), which
// would be an instant of 1976.
func doubtful(text []byte) bool {
	whole, _, _ := bytes.Cut(text, []byte("."))
	n, err := strconv.ParseInt(string(whole), 10, 64)
	switch {
	case err != nil:
		return false
	case -86400 < n && n < 86400:
		return true
	case len(whole) == 8:
		return 1900_00_00 <= n && n < 2200_00_00
	case len(whole) == 12:
		return clock(slices.Concat(whole[:8], []byte("T"), whole[8:])).found && n < 2200_00_00_0000
	}
	return false
}

// digits reads a number of n digits at i.
func digits(b []byte, i, n int) (v int, ok bool) {
	if i+n > len(b) {
		return 0, false
	}
	for _, c := range b[i : i+n] {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + int(c-'0')
	}
	return v, true
}

// clock reads a date, and a time of day if there is one.
func clock(b []byte) (m moment) {
	var y, mo, d, i int
	var ok1, ok2, ok3 bool
	y, ok1 = digits(b, 0, 4)
	switch {
	case len(b) >= 10 && b[4] == '-' && b[7] == '-':
		mo, ok2 = digits(b, 5, 2)
		d, ok3 = digits(b, 8, 2)
		i = 10
	case len(b) == 8 || len(b) > 8 && (b[8] == ' ' || b[8] == 'T'):
		mo, ok2 = digits(b, 4, 2)
		d, ok3 = digits(b, 6, 2)
		i = 8
	}
	if !ok1 || !ok2 || !ok3 || mo < 1 || mo > 12 || d < 1 || d > daysIn(y, mo) || y < 1000 {
		return moment{}
	}
	if len(b) == i {
		return moment{momentDate, time.Date(y, time.Month(mo), d, 0, 0, 0, 0, time.UTC), true}
	}
	if b[i] != 'T' && b[i] != ' ' || len(b) <= i+1 {
		return moment{}
	}
	i++
	var h, mi, s, ns int
	h, ok1 = digits(b, i, 2)
	if i += 2; i < len(b) && b[i] == ':' {
		i++
	}
	mi, ok2 = digits(b, i, 2)
	i += 2
	if !ok1 || !ok2 || h > 23 || mi > 59 {
		return moment{}
	}
	colon := i < len(b) && b[i] == ':'
	if colon {
		i++
	}
	if v, ok := digits(b, i, 2); ok {
		s = v
		i += 2
	} else if colon {
		return moment{}
	}
	if s > 59 {
		return moment{}
	}
	if i < len(b) && (b[i] == '.' || b[i] == ',') {
		i++
		begin, scale := i, int(1e8)
		for ; i < len(b) && '0' <= b[i] && b[i] <= '9'; i++ {
			ns += int(b[i]-'0') * scale
			scale /= 10
		}
		if i == begin || i-begin > 9 {
			return moment{}
		}
	}
	wall := time.Date(y, time.Month(mo), d, h, mi, s, ns, time.UTC)
	offset, zoned, ok := zoneOf(b[i:])
	switch {
	case !ok:
		return moment{}
	case !zoned:
		return moment{momentWall, wall, true}
	}
	return moment{momentOffset, wall.Add(-offset).In(time.FixedZone("", int(offset/time.Second))), true}
}

func daysIn(y, m int) int {
	switch m {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if y%4 == 0 && (y%100 != 0 || y%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// zoneOf reads Z, UTC, an offset or nothing.
func zoneOf(b []byte) (offset time.Duration, zoned, ok bool) {
	for len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	switch string(b) {
	case "":
		return 0, false, true
	case "Z", "z", "UTC", "GMT":
		return 0, true, true
	}
	if b[0] != '+' && b[0] != '-' {
		return 0, false, false
	}
	h, ok := digits(b, 1, 2)
	if !ok || h > 15 {
		return 0, false, false
	}
	rest := b[3:]
	if len(rest) > 0 && rest[0] == ':' {
		rest = rest[1:]
	}
	mi := 0
	if len(rest) > 0 {
		if mi, ok = digits(rest, 0, 2); !ok || len(rest) != 2 || mi > 59 {
			return 0, false, false
		}
	}
	offset = time.Duration(h)*time.Hour + time.Duration(mi)*time.Minute
	if b[0] == '-' {
		offset = -offset
	}
	return offset, true, true
}

// epoch reads a number of units of so many nanoseconds since 1970; 0: told by its size.
func epoch(b []byte, unit int64) moment {
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	i, whole := 0, int64(0)
	for ; i < len(b) && '0' <= b[i] && b[i] <= '9' && i < 19; i++ {
		if whole > (1<<63-10)/10 {
			return moment{}
		}
		whole = whole*10 + int64(b[i]-'0')
	}
	if i == 0 {
		return moment{}
	}
	if unit == 0 {
		switch {
		case whole < 1e11:
			unit = 1e9
		case whole < 1e14:
			unit = 1e6
		case whole < 1e17:
			unit = 1e3
		default:
			unit = 1
		}
	}
	var fraction int64 // nanoseconds
	if i < len(b) {
		if b[i] != '.' {
			return moment{}
		}
		scale := unit
		for i++; i < len(b); i++ {
			if b[i] < '0' || b[i] > '9' {
				return moment{}
			}
			scale /= 10
			fraction += int64(b[i]-'0') * scale
		}
	}
	perSecond := int64(1e9) / unit
	seconds, rest := whole/perSecond, whole%perSecond*unit+fraction
	if negative {
		seconds, rest = -seconds, -rest
	}
	return moment{momentInstant, time.Unix(seconds, rest).UTC(), true}
}

// offsets gives the offsets from UTC, in seconds, that a wall-clock time can have in the
// zone: none if the clock skips it, two if it shows it twice, the earlier instant first.
func (t *timeReader) offsets(wall time.Time) (list [2]int64, n int) {
	if t.zone == time.UTC {
		return list, 1
	}
	u := wall.Unix()
	if t.from <= u && u < t.to {
		return [2]int64{t.offset}, 1
	}
	const day = 86400
	before := offsetAt(t.zone, u-day)
	after := offsetAt(t.zone, u+day)
	for _, o := range [2]int64{max(before, after), min(before, after)} {
		if offsetAt(t.zone, u-o) == o && (n == 0 || list[0] != o) {
			list[n] = o
			n++
		}
	}
	if n == 1 && before == after {
		start, end := time.Unix(u-list[0], 0).In(t.zone).ZoneBounds()
		t.offset, t.from, t.to = list[0], -1<<62, 1<<62
		if !start.IsZero() {
			t.from = start.Unix() + list[0] + 2*day
		}
		if !end.IsZero() {
			t.to = end.Unix() + list[0] - 2*day
		}
	}
	return list, n
}

func offsetAt(zone *time.Location, unix int64) int64 {
	_, offset := time.Unix(unix, 0).In(zone).Zone()
	return int64(offset)
}

// date is the date at the exchange at an instant, as 00:00 UTC. An instant at 00:00 UTC
// is taken for that date with an empty time.
func (t *timeReader) date(at time.Time) time.Time {
	u := at.UTC()
	if midnight := u.Truncate(24 * time.Hour); midnight.Equal(u) {
		return midnight
	}
	y, m, d := at.In(t.zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}
