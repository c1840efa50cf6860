package catalog

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/klauspost/compress/gzip"

	"github.com/tickerlake/tickerlake"
)

// MaxLine is the longest line of a raw object that is read, in bytes.
const MaxLine = 4 << 20

// identity are the keys without which a line cannot be traced to its fetch; the
// values must be texts, that of row a number.
var identity = []string{"symbol", "ts", "source", "table", "interval", "fetched_at", "fetch_id", "row"}

// A kind is the type of a JSON value.
type kind uint8

const (
	kindNull kind = 1 << iota
	kindBool
	kindNumber
	kindString
	kindNested
)

var kindNames = []string{"null", "boolean", "number", "string", "nested"}

func (k kind) names() []string {
	var out []string
	for i, name := range kindNames {
		if k&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return out
}

// Facts is what a scan of a raw object found.
type Facts struct {
	Lines    int64
	BadLines int64           // lines that Clean may not read: not JSON, or without identity
	Columns  map[string]kind // by name, the kinds of value seen
	Damage   string          // why the object cannot be read at all; nothing else counts then

	form   form
	fitted bool // the last line had the form of the one before
}

// A form is how the last good line was written: its keys in their order, each with
// its quotes and colon, and the kinds of value that good lines had there. A line of
// the same form is good as well and says nothing new; nearly all lines are.
type form struct {
	keys  [][]byte
	kinds []kind
	ours  bool     // the keys are tickerlake.BarFields in their order
	spans [][2]int // where the values stand in the line that fitted last
}

// fits reports whether a line has the form.
func (f *form) fits(text []byte) bool {
	i := 0
	for n, key := range f.keys {
		if !bytes.HasPrefix(text[i:], key) {
			return false
		}
		i += len(key)
		k, j, ok := scanValue(text, i)
		if !ok || k&f.kinds[n] == 0 || j == len(text) {
			return false
		}
		f.spans[n] = [2]int{i, j}
		i = j
	}
	return len(f.keys) > 0 && i == len(text)-1 && text[i] == '}'
}

// learn takes the form of a good line, as if it had no spaces between its parts.
func (f *form) learn(keys [][]byte, kinds []kind) {
	same := len(keys) == len(f.keys)
	for n := 0; same && n < len(keys); n++ {
		old := f.keys[n]
		same = bytes.Equal(old[2:len(old)-2], keys[n])
	}
	if !same {
		f.keys, f.kinds, f.spans = make([][]byte, len(keys)), make([]kind, len(keys)), make([][2]int, len(keys))
		f.ours = slices.EqualFunc(keys, tickerlake.BarFields, func(key []byte, field string) bool { return string(key) == field })
		for n, key := range keys {
			before := byte(',')
			if n == 0 {
				before = '{'
			}
			f.keys[n] = append(append([]byte{before, '"'}, key...), `":`...)
		}
	}
	for n, k := range kinds {
		f.kinds[n] |= k
	}
}

// values gives the values of the line that fitted last, as they are written.
func (f *form) values(text []byte, to [][]byte) [][]byte {
	to = to[:0]
	for _, s := range f.spans {
		to = append(to, text[s[0]:s[1]])
	}
	return to
}

// A Line is one line of a raw object.
type Line struct {
	Number int64 // from 1
	Text   []byte
	// Problem says why the line is bad, or nothing.
	Problem string
	// Values are the JSON values of tickerlake.BarFields, as they stand in Text, if the line has these keys in this order, no others, no spaces and no escapes; nil
	// otherwise.
	Values [][]byte
}

// Scan reads a gzip NDJSON object to its end, checks it and calls each, if it is
// not nil, for every line; Text and Values are only valid during the call. A body that is not
// gzip, cut short or changed is reported in Facts.Damage: then lines that were seen
// before must not be used. Only a failure to read, or of each, is an error.
func Scan(body io.Reader, each func(Line) error) (Facts, error) {
	facts := Facts{Columns: map[string]kind{}}
	z, err := gzip.NewReader(bufio.NewReaderSize(body, 256<<10))
	if err != nil {
		return damage(facts, err)
	}
	in := bufio.NewReaderSize(z, 256<<10)
	var long []byte
	var values [][]byte
	number := int64(0)
	for {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			if long = append(long, line...); len(long) > MaxLine {
				return Facts{Damage: fmt.Sprintf("line %d is longer than %d bytes", facts.Lines+1, MaxLine)}, nil
			}
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return damage(facts, err)
		}
		if len(long) > 0 {
			line = append(long, line...)
			long = long[:0]
		}
		number++
		if text := bytes.TrimRight(line, "\r\n"); len(text) > 0 {
			facts.Lines++
			problem := facts.line(text)
			if problem != "" {
				facts.BadLines++
			}
			if each != nil {
				l := Line{Number: number, Text: text, Problem: problem}
				// The line that taught the form is looked at again: that is rare.
				if problem == "" && facts.form.ours && (facts.fitted || facts.form.fits(text)) {
					values = facts.form.values(text, values)
					l.Values = values
				}
				if err := each(l); err != nil {
					return facts, err
				}
			}
		}
		if err != nil {
			return facts, nil
		}
	}
}

// damage tells bytes that are wrong from a disk that does not answer.
func damage(facts Facts, err error) (Facts, error) {
	var corrupt interface{ Timeout() bool }
	if errors.As(err, &corrupt) {
		return facts, err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return Facts{Damage: "cut short: the gzip stream has no end"}, nil
	}
	return Facts{Damage: err.Error()}, nil
}

// line checks one line and notes the kinds of its values. It accepts what the
// flat documents of a raw stream are made of and asks encoding/json about the rest.
func (f *Facts) line(text []byte) string {
	f.fitted = false
	if !utf8.Valid(text) {
		return "not UTF-8"
	}
	if f.fitted = f.form.fits(text); f.fitted {
		return ""
	}
	var (
		keys  [32][]byte
		kinds [32]kind
		n     int
	)
	i := skipSpace(text, 0)
	if i >= len(text) || text[i] != '{' {
		return "not a JSON object"
	}
	i = skipSpace(text, i+1)
	for text[min(i, len(text)-1)] != '}' || i >= len(text) {
		key, j, ok := scanString(text, i)
		if !ok || n == len(keys) {
			return f.slow(text)
		}
		if i = skipSpace(text, j); i >= len(text) || text[i] != ':' {
			return f.slow(text)
		}
		k, j, ok := scanValue(text, skipSpace(text, i+1))
		if !ok {
			return f.slow(text)
		}
		for _, other := range keys[:n] {
			if bytes.Equal(other, key) {
				return "the key " + string(key) + " stands twice"
			}
		}
		keys[n], kinds[n] = key, k
		n++
		if i = skipSpace(text, j); i >= len(text) {
			return f.slow(text)
		}
		if text[i] == ',' {
			if i = skipSpace(text, i+1); i >= len(text) || text[i] == '}' {
				return f.slow(text)
			}
		} else if text[i] != '}' {
			return f.slow(text)
		}
	}
	if skipSpace(text, i+1) != len(text) {
		return "more than one JSON document in a line"
	}
	for _, want := range identity {
		k := kind(0)
		for n, key := range keys[:n] {
			if string(key) == want {
				k = kinds[n]
			}
		}
		if problem := identityProblem(want, k); problem != "" {
			return problem
		}
	}
	for n, key := range keys[:n] {
		if old, ok := f.Columns[string(key)]; !ok || old&kinds[n] == 0 {
			f.Columns[string(key)] = old | kinds[n]
		}
	}
	f.form.learn(keys[:n], kinds[:n])
	return ""
}

func identityProblem(name string, k kind) string {
	switch {
	case k == 0:
		return "no " + name
	case name == "row" && k != kindNumber:
		return "row is not a number"
	case name != "row" && k != kindString && (name != "ts" || k != kindNumber):
		return name + " is not a text"
	}
	return ""
}

// slow checks a line that the fast path does not read: escapes in keys, many
// columns, or an error. DuckDB and Trino read what it lets through.
func (f *Facts) slow(text []byte) string {
	dec := json.NewDecoder(bytes.NewReader(text))
	if t, err := dec.Token(); err != nil {
		return "not JSON: " + err.Error()
	} else if t != json.Delim('{') {
		return "not a JSON object"
	}
	kinds := map[string]kind{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return "not JSON: " + err.Error()
		}
		name, _ := t.(string)
		if kinds[name] != 0 {
			return "the key " + name + " stands twice"
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return "not JSON: " + err.Error()
		}
		kinds[name] = kindOf(value[0])
	}
	if _, err := dec.Token(); err != nil {
		return "not JSON: " + err.Error()
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return "more than one JSON document in a line"
	}
	if halfPair(text) {
		return "a text has half a surrogate pair"
	}
	for _, want := range identity {
		if problem := identityProblem(want, kinds[want]); problem != "" {
			return problem
		}
	}
	for name, k := range kinds {
		f.Columns[name] |= k
	}
	return ""
}

// kindOf is the kind of a JSON value by its first byte.
func kindOf(first byte) kind {
	switch first {
	case '"':
		return kindString
	case 'n':
		return kindNull
	case 't', 'f':
		return kindBool
	case '{', '[':
		return kindNested
	}
	return kindNumber
}

// halfPair reports whether an escape stands for half of a UTF-16 surrogate pair, for
// which there is no character.
func halfPair(text []byte) bool {
	high := false // the escape before was the first half
	for i := 0; i < len(text); i++ {
		var unit uint64
		if text[i] == '\\' && i+5 < len(text) && text[i+1] == 'u' {
			unit, _ = strconv.ParseUint(string(text[i+2:i+6]), 16, 16)
			i += 5
		} else if text[i] == '\\' {
			i++
		}
		low := 0xdc00 <= unit && unit < 0xe000
		if low != high {
			return true
		}
		high = 0xd800 <= unit && unit < 0xdc00
	}
	return high
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	return i
}

// scanString reads a string without escapes and gives its content and end.
func scanString(b []byte, i int) ([]byte, int, bool) {
	if i >= len(b) || b[i] != '"' {
		return nil, i, false
	}
	for j := i + 1; j < len(b); j++ {
		switch c := b[j]; {
		case c == '"':
			return b[i+1 : j], j + 1, true
		case c == '\\' || c < ' ':
			return nil, i, false
		}
	}
	return nil, i, false
}

func scanValue(b []byte, i int) (kind, int, bool) {
	if i >= len(b) {
		return 0, i, false
	}
	switch c := b[i]; {
	case c == '"':
		_, j, ok := scanString(b, i)
		return kindString, j, ok
	case c == '-' || '0' <= c && c <= '9':
		j, ok := scanNumber(b, i)
		return kindNumber, j, ok
	case bytes.HasPrefix(b[i:], []byte("null")):
		return kindNull, i + 4, true
	case bytes.HasPrefix(b[i:], []byte("true")):
		return kindBool, i + 4, true
	case bytes.HasPrefix(b[i:], []byte("false")):
		return kindBool, i + 5, true
	}
	return 0, i, false
}

func scanNumber(b []byte, i int) (int, bool) {
	digits := func() bool {
		start := i
		for i < len(b) && '0' <= b[i] && b[i] <= '9' {
			i++
		}
		return i > start
	}
	if b[i] == '-' {
		i++
	}
	zero := i < len(b) && b[i] == '0'
	start := i
	if !digits() || zero && i-start > 1 {
		return i, false
	}
	if i < len(b) && b[i] == '.' {
		if i++; !digits() {
			return i, false
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if !digits() {
			return i, false
		}
	}
	return i, true
}
