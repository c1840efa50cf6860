package file

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/collect"
)

// A jsonReader reads documents: one a line, several on a line, the elements of one array,
// or one document over many lines.
type jsonReader struct {
	next1    func() (doc any, text []byte, number int64, err error)
	original bool // lines of the original are rows of their own
	seen     map[string]field
	doc      any
	// The rows of a line of the original that are still to come.
	pending []any
	line    int64
	company string
	rowTs   any
}

func newJSON(in *input, body io.Reader, mapped bool) (*jsonReader, error) {
	j := &jsonReader{original: !mapped, seen: map[string]field{}}
	for f := range fields {
		for _, name := range names[f] {
			j.seen[name] = f
		}
	}
	if in.form == formArray {
		return j, j.array(in, body)
	}
	l := newLines(body)
	var queue [][]byte
	first := true
	j.next1 = func() (any, []byte, int64, error) {
		for len(queue) == 0 {
			line, _, err := l.next()
			if err != nil {
				return nil, nil, 0, err
			}
			if line = bytes.TrimSpace(line); len(line) == 0 {
				continue
			}
			doc, err := collect.Decode(line)
			if err != nil && first {
				line = bytes.Clone(line) // looking ahead moves what is behind it
				if whole, werr := wholeDocument(l, line); werr == nil {
					doc, err = whole, nil
				}
			}
			first = false
			if err == nil {
				return doc, line, l.number, nil
			}
			if queue = documents(line); len(queue) < 2 {
				queue = nil
				return nil, line, l.number, fmt.Errorf("%w: %w", errNoDocument, err)
			}
		}
		text := queue[0]
		queue = queue[1:]
		doc, err := collect.Decode(text)
		if err != nil {
			return nil, text, l.number, fmt.Errorf("%w: %w", errNoDocument, err)
		}
		return doc, text, l.number, nil
	}
	return j, nil
}

var errNoDocument = errors.New("it is no JSON document")

// maxWhole bounds a document that goes over many lines.
const maxWhole = 64 << 20

// wholeDocument reads a file that is one document, of which line is the first line. If it
// is none, nothing has moved.
func wholeDocument(l *lines, line []byte) (any, error) {
	text := bytes.Clone(line)
	offset := 0
	for {
		rest, next, ok := l.peek(offset)
		if !ok {
			if l.err != io.EOF {
				return nil, l.err
			}
			text = append(append(text, '\n'), rest...)
			break
		}
		if next > maxWhole {
			return nil, errLong
		}
		offset = next
	}
	doc, err := collect.Decode(bytes.TrimSpace(text))
	if err == nil {
		l.skip(len(l.b)-l.at, 0)
	}
	return doc, err
}

// documents divides a line into the objects that stand on it with nothing between them,
// as a delivery without line ends leaves them.
func documents(line []byte) (out [][]byte) {
	depth, begin, quoted := 0, 0, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				out = append(out, bytes.TrimSpace(line[begin:i+1]))
				begin = i + 1
			}
		}
	}
	if rest := bytes.TrimSpace(line[min(begin, len(line)):]); len(rest) > 0 {
		out = append(out, rest)
	}
	return out
}

func firstDocument(line []byte) (any, error) {
	docs := documents(bytes.TrimSpace(line))
	if len(docs) == 0 {
		return nil, errNoDocument
	}
	return collect.Decode(docs[0])
}

// array reads the elements of an array, each when it is needed.
func (j *jsonReader) array(in *input, body io.Reader) error {
	l := newLines(body)
	d := json.NewDecoder(io.MultiReader(bytes.NewReader(bytes.Clone(l.b[l.at:])), l.r))
	d.UseNumber()
	if _, err := d.Token(); err != nil {
		return failure(in.name, tickerlake.Damaged, "is no JSON array: %w", err)
	}
	number := int64(0)
	j.next1 = func() (any, []byte, int64, error) {
		if !d.More() {
			if _, err := d.Token(); err != nil {
				return nil, nil, 0, in.cut(number, err)
			}
			if _, err := d.Token(); err != io.EOF {
				return nil, nil, 0, failure(in.name, tickerlake.Damaged, "there is more after the array")
			}
			return nil, nil, 0, io.EOF
		}
		var text json.RawMessage
		if err := d.Decode(&text); err != nil {
			return nil, nil, 0, in.cut(number, err)
		}
		number++
		doc, err := collect.Decode(text)
		if err != nil {
			return nil, text, number, fmt.Errorf("%w: %w", errNoDocument, err)
		}
		return doc, text, number, nil
	}
	return nil
}

// cut is the failure of an array that breaks off.
func (in *input) cut(number int64, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("it is cut short")
	}
	return failure(in.name, tickerlake.Damaged, "is no whole JSON array, after element %d: %w", number, err)
}

func (j *jsonReader) layout() *layout   { return nil }
func (j *jsonReader) fraction() float64 { return -1 }
func (j *jsonReader) columns() any      { return j.doc }

func (j *jsonReader) next(r *row) error {
	if len(j.pending) > 0 {
		j.ofOriginal(r)
		return nil
	}
	doc, text, number, err := j.next1()
	if err != nil && !errors.Is(err, errNoDocument) {
		return err
	}
	r.clear(number)
	if err != nil {
		r.bad, r.text = err.Error(), text
		return nil
	}
	j.doc = doc
	if j.original {
		if o := originalLine(doc); o != nil {
			j.pending, j.line = o.rows, number
			j.company, j.rowTs = o.company, o.rowTs
			switch {
			case o.bad:
				j.pending = []any{"data is no list of bars: " + string(text)}
				fallthrough
			case len(j.pending) > 0:
				j.ofOriginal(r)
				return nil
			}
			return j.next(r)
		}
	}
	j.cells(r, doc, text)
	return nil
}

// cells reads the members of an object.
func (j *jsonReader) cells(r *row, doc any, text []byte) {
	object, ok := doc.(map[string]any)
	if !ok {
		r.bad, r.text = "it is no object", text
		return
	}
	var date, clock cell
	best := [fields]int{}
	for key, v := range object {
		name := normal(key)
		f, ok := j.seen[name]
		if !ok {
			continue
		}
		c := valueCell(v)
		switch name {
		case "date":
			date = c
		case "time":
			clock = c
		}
		// Of two members that could be the field, the better name counts.
		rank := 1
		for i, n := range names[f] {
			if n == name {
				rank = 100 - i
			}
		}
		if rank > best[f] {
			best[f], r.cells[f] = rank, c
		}
	}
	if date.text != nil && clock.text != nil && bytes.Equal(r.cells[fieldTs].text, date.text) {
		r.cells[fieldTime] = clock
	}
	if r.cells[fieldFetchID].null || r.cells[fieldFetchedAt].null {
		for _, f := range []field{fieldBasis, fieldSource, fieldFinal, fieldFetchID} {
			r.cells[f] = cell{null: true}
		}
	}
}

// valueCell is a value of a document.
func valueCell(v any) cell {
	switch v := v.(type) {
	case nil:
		return cell{null: true}
	case string:
		if v == "" {
			return cell{null: true}
		}
		return cell{text: []byte(v)}
	case bool:
		return cell{text: collect.AppendValue(nil, v), literal: true}
	case json.Number:
		return cell{text: []byte(v), literal: true}
	case map[string]any, []any:
		text, err := json.Marshal(v)
		if err != nil {
			return cell{null: true}
		}
		return cell{text: text}
	default:
		text := collect.AppendValue(nil, v)
		if text[0] == '"' { // a number without a form
			return cell{text: bytes.Trim(text, `"`)}
		}
		return cell{text: text, literal: true}
	}
}

// An originalDoc is one raw line of the original.
type originalDoc struct {
	rows    []any
	bad     bool // data is no list
	company string
	rowTs   any
}

// originalLine recognizes a raw line of the project that tickerlake descends from, as its
// collector sent it: {"data":[..bars..],"row_ts":"..","company":"AMZN"}.
func originalLine(doc any) *originalDoc {
	object, ok := doc.(map[string]any)
	if !ok {
		return nil
	}
	company, ok := object["company"].(string)
	if !ok {
		return nil
	}
	data, ok := object["data"]
	if !ok {
		return nil
	}
	rows, ok := data.([]any)
	return &originalDoc{rows: rows, bad: !ok, company: company, rowTs: object["row_ts"]}
}

// shareClass is how the original's API spells a share class: BRK-B is BRK.B.
var shareClass = regexp.MustCompile(`^([A-Z]+)-([A-Z])$`)

func (j *jsonReader) ofOriginal(r *row) {
	doc := j.pending[0]
	j.pending = j.pending[1:]
	r.clear(j.line)
	j.cells(r, doc, nil)
	if r.bad != "" {
		r.text, _ = json.Marshal(doc)
	}
	r.line = j.line
	symbol := shareClass.ReplaceAllString(strings.ToUpper(j.company), "$1.$2")
	r.cells[fieldSymbol] = cell{text: []byte(symbol)}
	r.cells[fieldFetchedAt] = valueCell(j.rowTs)
}
