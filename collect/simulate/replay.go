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

// csvHeader is the first line of a file of prices.
const csvHeader = "Date,Open,High,Low,Close,Adj Close,Volume"

// readFolder reads the CSV files of a folder, one a symbol, named like AAPL.csv.
func readFolder(dir string) (map[string][]line, error) {
	const op = "simulate.Replay"
	entries, err := os.ReadDir(dir)
	if err != nil {
		code := tickerlake.Unavailable
		if errors.Is(err, fs.ErrNotExist) {
			code = tickerlake.NotFound
		}
		return nil, tickerlake.Errorf(code, op, dir, "reading the folder: %w", err)
	}
	symbols := map[string][]line{}
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
		if symbols[symbol], err = readFile(path); err != nil {
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

// readFile reads the bars of a file in the order of their dates. It stops at the
// first line that is wrong.
func readFile(path string) ([]line, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, tickerlake.Errorf(tickerlake.Unavailable, "simulate.Replay", path, "reading the file: %w", err)
	}
	wrong := func(number int, format string, args ...any) error {
		return tickerlake.Errorf(tickerlake.Invalid, "simulate.Replay", fmt.Sprintf("%s:%d", path, number), format, args...)
	}
	var lines []line
	seen := map[time.Time]int{}
	number := 0
	for row := range bytes.Lines(bytes.TrimPrefix(text, []byte("\ufeff"))) {
		number++
		row := strings.TrimRight(string(row), "\r\n")
		if number == 1 {
			if row != csvHeader {
				return nil, wrong(1, "the header is %q: want %s", row, csvHeader)
			}
			continue
		}
		if row == "" {
			continue
		}
		l, err := readLine(row)
		if err != nil {
			return nil, wrong(number, "%w", err)
		}
		if first, twice := seen[l.date]; twice {
			return nil, wrong(number, "%s is there already, on line %d", l.date.Format(time.DateOnly), first)
		}
		seen[l.date] = number
		lines = append(lines, l)
	}
	if number == 0 {
		return nil, wrong(1, "the file is empty: want %s", csvHeader)
	}
	slices.SortFunc(lines, func(a, b line) int { return a.date.Compare(b.date) })
	return lines, nil
}

func readLine(row string) (l line, err error) {
	fields := strings.Split(row, ",")
	if want := strings.Count(csvHeader, ",") + 1; len(fields) != want {
		return l, fmt.Errorf("%d fields: want %d (%s)", len(fields), want, csvHeader)
	}
	if l.date, err = time.Parse(time.DateOnly, fields[0]); err != nil {
		return l, fmt.Errorf("date %q: want one such as 2021-10-01", fields[0])
	}
	names := strings.Split(csvHeader, ",")
	for i, to := range []*string{&l.open, &l.high, &l.low, &l.close, &l.adj, &l.volume} {
		field := fields[i+1]
		switch {
		case field == "" || field == "null":
			*to = "null"
		case isNumber(field):
			*to = field // as it is written, so that its value stays what it is
		default:
			return l, fmt.Errorf("%s %q: want a number", names[i+1], field)
		}
	}
	return l, nil
}

// isNumber reports whether a text is a number as JSON writes it.
func isNumber(s string) bool {
	return (s[0] == '-' || '0' <= s[0] && s[0] <= '9') && json.Valid([]byte(s))
}
