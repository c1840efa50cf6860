package simulate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake"
)

// The first lines of files of prices: of days, with dates at the exchange, and of
// minutes, with times in UTC such as 2006-01-02T08:00:00Z.
const (
	dayHeader    = "Date,Open,High,Low,Close,Adj Close,Volume"
	minuteHeader = "Datetime,Open,High,Low,Close,Volume"
)

// A file is the bars of one symbol.
type file struct {
	interval tickerlake.Interval
	lines    []line
}

// within gives the lines of a span that are over.
func (f file) within(sp span, now time.Time) []line {
	begins := func(l line, t time.Time) int { return l.start.Compare(t) }
	first, _ := slices.BinarySearchFunc(f.lines, sp.from, begins)
	last, _ := slices.BinarySearchFunc(f.lines, sp.to, begins)
	lines := f.lines[first:max(first, last)]
	over, _ := slices.BinarySearchFunc(lines, now, func(l line, t time.Time) int {
		if l.ends.After(t) {
			return 1
		}
		return -1
	})
	return lines[:over]
}

// readFolder reads the CSV files of a folder, one a symbol, named like AAPL.csv.
func readFolder(dir string, zone *time.Location) (map[string]file, error) {
	const op = "simulate.Replay"
	entries, err := os.ReadDir(dir)
	if err != nil {
		code := tickerlake.Unavailable
		if errors.Is(err, fs.ErrNotExist) {
			code = tickerlake.NotFound
		}
		return nil, tickerlake.Errorf(code, op, dir, "reading the folder: %w", err)
	}
	symbols := map[string]file{}
	var mistakes []error
	for _, e := range entries {
		symbol, isCSV := strings.CutSuffix(e.Name(), ".csv")
		if !isCSV || e.IsDir() {
			continue
		}
		path := filepath.Join(dir, e.Name())
		if !tickerlake.Symbol(symbol).Valid() {
			mistakes = append(mistakes, tickerlake.Errorf(tickerlake.Invalid, op, path, "%q is no symbol: want a name such as AAPL.csv", symbol))
			continue
		}
		if symbols[symbol], err = readFile(path, zone); err != nil {
			mistakes = append(mistakes, err)
		}
	}
	if err := errors.Join(mistakes...); err != nil {
		return nil, err
	}
	if len(symbols) == 0 {
		return nil, tickerlake.Errorf(tickerlake.NotFound, op, dir, "holds no CSV file: want one a symbol, such as AAPL.csv")
	}
	return symbols, nil
}

// readFile reads the bars of a file in the order of their times. It stops at the first
// line that is wrong.
func readFile(path string, zone *time.Location) (f file, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return f, tickerlake.Errorf(tickerlake.Unavailable, "simulate.Replay", path, "reading the file: %w", err)
	}
	wrong := func(number int, format string, args ...any) error {
		return tickerlake.Errorf(tickerlake.Invalid, "simulate.Replay", fmt.Sprintf("%s:%d", path, number), format, args...)
	}
	var read func(row string) (line, error)
	seen := map[time.Time]int{}
	number := 0
	for row := range bytes.Lines(bytes.TrimPrefix(text, []byte("\ufeff"))) {
		number++
		row := strings.TrimRight(string(row), "\r\n")
		if number == 1 {
			switch row {
			case dayHeader:
				f.interval = tickerlake.Day
				read = func(row string) (line, error) { return readDay(row, zone) }
			case minuteHeader:
				f.interval = tickerlake.Minute
				read = readMinute
			default:
				return f, wrong(1, "the header is %q: want %s or %s", row, dayHeader, minuteHeader)
			}
			continue
		}
		if row == "" {
			continue
		}
		l, err := read(row)
		if err != nil {
			return f, wrong(number, "%w", err)
		}
		if first, twice := seen[l.start]; twice {
			what, _, _ := strings.Cut(row, ",")
			return f, wrong(number, "%s is there already, on line %d", what, first)
		}
		seen[l.start] = number
		f.lines = append(f.lines, l)
	}
	if number == 0 {
		return f, wrong(1, "the file is empty: want %s or %s", dayHeader, minuteHeader)
	}
	slices.SortFunc(f.lines, func(a, b line) int { return a.start.Compare(b.start) })
	return f, nil
}

func readDay(row string, zone *time.Location) (l line, err error) {
	fields, err := split(row, dayHeader)
	if err != nil {
		return l, err
	}
	if l.date, err = time.Parse(time.DateOnly, fields[0]); err != nil {
		return l, fmt.Errorf("date %q: want one such as 2021-10-01", fields[0])
	}
	l.start, l.ends = at(l.date, opens, zone), at(l.date, closes, zone)
	return l, l.read(dayHeader, fields, &l.open, &l.high, &l.low, &l.close, &l.adj, &l.volume)
}

func readMinute(row string) (l line, err error) {
	fields, err := split(row, minuteHeader)
	if err != nil {
		return l, err
	}
	if l.start, err = time.Parse(time.RFC3339, fields[0]); err != nil || l.start.Second() != 0 || l.start.Nanosecond() != 0 {
		return l, fmt.Errorf("time %q: want a minute such as 2006-01-02T08:00:00Z", fields[0])
	}
	l.start = l.start.UTC()
	l.date, l.ends, l.adj = dateOf(l.start), l.start.Add(time.Minute), "null"
	return l, l.read(minuteHeader, fields, &l.open, &l.high, &l.low, &l.close, &l.volume)
}

func split(row, header string) ([]string, error) {
	fields := strings.Split(row, ",")
	if want := strings.Count(header, ",") + 1; len(fields) != want {
		return nil, fmt.Errorf("%d fields: want %d (%s)", len(fields), want, header)
	}
	return fields, nil
}

// read takes the values of fields as they are written, so that they stay what they are.
func (l *line) read(header string, fields []string, to ...*string) error {
	names := strings.Split(header, ",")
	for i, to := range to {
		field := fields[i+1]
		switch {
		case field == "" || field == "null":
			*to = "null"
		case isNumber(field):
			*to = field
		default:
			return fmt.Errorf("%s %q: want a number", names[i+1], field)
		}
	}
	return nil
}

// isNumber reports whether a text is a number as JSON writes it.
func isNumber(s string) bool {
	return (s[0] == '-' || '0' <= s[0] && s[0] <= '9') && json.Valid([]byte(s))
}
