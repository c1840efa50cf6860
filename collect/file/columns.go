package file

import (
	"fmt"
	"slices"
	"strings"
)

// A field is what a column of a file can be.
type field int

const (
	fieldSymbol field = iota
	fieldTs
	fieldTime // a time of day beside a date
	fieldOpen
	fieldHigh
	fieldLow
	fieldClose
	fieldAdjClose
	fieldVolume
	fieldCurrency
	fieldFetchedAt
	// What only files of tickerlake export have.
	fieldBasis
	fieldSource
	fieldFinal
	fieldFetchID
	fields
)

// Fields are the keys of a row that a map gives. What a row does not say is null or, of
// currency and fetched_at, what it is for the file.
var Fields = []string{"symbol", "ts", "open", "high", "low", "close", "adj_close", "volume", "currency", "fetched_at"}

// names are the names of columns, the best first, without case, blanks and marks.
var names = [fields][]string{
	fieldSymbol:    {"symbol", "ticker"},
	fieldTs:        {"ts", "datetime", "timestamp", "date", "time", "unix", "unixtime", "epoch", "t"},
	fieldOpen:      {"open", "openprice", "o"},
	fieldHigh:      {"high", "highprice", "h"},
	fieldLow:       {"low", "lowprice", "l"},
	fieldClose:     {"close", "closeprice", "c"},
	fieldAdjClose:  {"adjclose", "adjustedclose", "adjusted", "closeadj", "closeadjusted"},
	fieldVolume:    {"volume", "vol", "v"},
	fieldCurrency:  {"currency"},
	fieldFetchedAt: {"fetchedat"},
	fieldBasis:     {"basis"},
	fieldSource:    {"source"},
	fieldFinal:     {"final"},
	fieldFetchID:   {"fetchid"},
}

// perhapsSymbols are names of columns that often hold a symbol, and often something else.
var perhapsSymbols = []string{"name", "company", "stock", "instrument", "code", "asset", "security", "actsymbol", "isin"}

// normal is a name without case, blanks and marks.
func normal(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r > 127:
			return r
		}
		return -1
	}, name)
}

// A layout says which column is which field.
type layout struct {
	fields [fields]int // index of the column, -1 if there is none
	// perhaps is the name of a column that may be the symbol, empty if one is or none may.
	perhaps string
}

func (l *layout) has(f field) bool { return l.fields[f] >= 0 }

// layoutOfColumns finds the fields among the names of columns. It fails if the time or
// the close is missing, or if two columns have the name of one field.
func layoutOfColumns(columns []string) (*layout, error) {
	l := &layout{}
	plain := make([]string, len(columns))
	for i, c := range columns {
		plain[i] = normal(c)
	}
	for f := range fields {
		l.fields[f] = -1
		for _, name := range names[f] {
			at := slices.Index(plain, name)
			if at < 0 {
				continue
			}
			if again := slices.Index(plain[at+1:], name); again >= 0 {
				return nil, fmt.Errorf("two columns are named %s: choose one with --map", columns[at])
			}
			l.fields[f] = at
			break
		}
	}
	if ts := l.fields[fieldTs]; ts >= 0 && plain[ts] == "date" {
		l.fields[fieldTime] = slices.Index(plain, "time")
	}
	if !l.has(fieldFetchID) || !l.has(fieldFetchedAt) {
		// Not of tickerlake export: such columns mean something else.
		for _, f := range []field{fieldBasis, fieldSource, fieldFinal, fieldFetchID} {
			l.fields[f] = -1
		}
	}
	for _, need := range []struct {
		f    field
		what string
	}{{fieldTs, "time (Date, Datetime, Timestamp or Time)"}, {fieldClose, "close"}} {
		if !l.has(need.f) {
			return nil, fmt.Errorf("no column of the %s among %s: name them as it is usual, or say with --map which is which", need.what, listed(columns))
		}
	}
	if !l.has(fieldSymbol) {
		for i, name := range plain {
			if slices.Contains(perhapsSymbols, name) {
				l.perhaps = columns[i]
				break
			}
		}
	}
	return l, nil
}

func listed(columns []string) string {
	const most = 20
	quoted := make([]string, 0, most+1)
	for i, c := range columns {
		if i == most {
			quoted = append(quoted, "..")
			break
		}
		quoted = append(quoted, excerpt([]byte(c)))
	}
	return strings.Join(quoted, ", ")
}

// A cell is one value of a row.
type cell struct {
	text []byte
	// literal is true if the text stands for itself in JSON: a number, true or false.
	literal bool
	null    bool
}

// A row is one row of a file.
type row struct {
	number int64 // where it is in the file: line, element or row, from 1
	cells  [fields]cell
	// bad is why the row as a whole cannot be read; text is then what it says.
	bad  string
	text []byte
	// line tells rows apart that came from different fetches: lines of the original.
	line int64
}

// clear makes every field null.
func (r *row) clear(number int64) {
	r.number, r.bad, r.text, r.line = number, "", nil, 0
	for i := range r.cells {
		r.cells[i] = cell{null: true}
	}
}

// A rowReader gives the rows of a file, one after the other. What next and columns give
// is valid until the next call of next.
type rowReader interface {
	// next moves to the next row and reads its known columns into r; io.EOF after the
	// last. A row that is none has bad and text.
	next(r *row) error
	// columns gives all of the row by the names of its columns, for jq.
	columns() any
	// layout is which fields the file has, nil if that is for each row to say.
	layout() *layout
	// fraction is how much of the file was read, negative if its bytes tell.
	fraction() float64
}
