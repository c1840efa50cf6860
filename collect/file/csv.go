package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tickerlake/tickerlake"
)

// maxQuoted bounds a row whose quoted fields go over several lines. A quote that is not
// closed by then was a mistake of one line.
const maxQuoted = 64 << 10

// A csvReader reads CSV as RFC 4180 has it, and with semicolons, tabs or bars in the
// place of commas.
type csvReader struct {
	lines     *lines
	separator byte
	header    []string
	fieldOf   []field // by column; fields: none
	known     *layout
	mapped    bool
	cells     [][]byte
	quoted    []bool
	scratch   []byte
	symbol    []byte // of all rows, said by the header
}

// newCSV reads the header. With mapped the columns may have any names; names are the
// columns of a file without a header, nil if it has one.
func newCSV(r io.Reader, name string, names []string, mapped bool) (*csvReader, error) {
	c := &csvReader{lines: newLines(r), mapped: mapped, header: slices.Clone(names)}
	first, err := c.first()
	if err == io.EOF {
		return nil, failure(name, tickerlake.Invalid, "is empty")
	}
	if err != nil {
		return nil, err
	}
	c.separator = separatorOf(first)
	if names == nil {
		if err := c.readHeader(name, first); err != nil {
			return nil, err
		}
	}
	if c.known, err = layoutOfColumns(c.header); err != nil {
		if !mapped {
			return nil, failure(name, tickerlake.Invalid, "%w", err)
		}
		c.known = nil
	}
	c.fieldOf = slices.Repeat([]field{fields}, len(c.header))
	if c.known != nil {
		for f, at := range c.known.fields {
			if at >= 0 {
				c.fieldOf[at] = field(f)
			}
		}
	}
	return c, nil
}

// first gives the first line that says something, without moving past it.
func (c *csvReader) first() ([]byte, error) {
	for {
		line, n, ok := c.lines.peek(0)
		if !ok && c.lines.err != io.EOF {
			return nil, c.lines.err
		}
		if text := bytes.TrimSpace(line); len(text) > 0 && text[0] != '#' {
			return line, nil
		}
		if !ok {
			return nil, io.EOF
		}
		c.lines.skip(n, 1)
	}
}

// separatorOf is what stands most often between the fields of a header.
func separatorOf(line []byte) byte {
	var counts [4]int
	inside := false
	for _, b := range line {
		switch i := strings.IndexByte(separators, b); {
		case b == '"':
			inside = !inside
		case i >= 0 && !inside:
			counts[i]++
		}
	}
	best := 0
	for i, n := range counts {
		if n > counts[best] {
			best = i
		}
	}
	return separators[best]
}

const separators = ",;\t|"

func (c *csvReader) readHeader(name string, first []byte) error {
	text := slices.Clone(first)
	if err := c.record(); err != nil {
		return err
	}
	for _, cell := range c.cells {
		c.header = append(c.header, strings.ToValidUTF8(string(bytes.TrimSpace(cell)), "\ufffd"))
	}
	if len(c.cells) == 0 {
		return failure(name, tickerlake.Invalid, "has a header that cannot be read: %s", excerpt(text))
	}
	for _, cell := range c.cells {
		if m := clock(bytes.TrimSpace(cell)); m.found {
			return failure(name, tickerlake.Invalid, "has no header, its first line is %s: say with --header what the columns are, such as --header Date,Open,High,Low,Close,Volume", excerpt(text))
		}
	}
	return c.tickers(name)
}

// tickers reads the second and third line of the header that yfinance writes: the first
// line names the prices, the second the tickers, the third the time.
func (c *csvReader) tickers(name string) error {
	if len(c.header) < 2 || normal(c.header[0]) != "price" {
		return nil
	}
	second, n, ok := c.lines.peek(0)
	if !ok || !bytes.HasPrefix(second, append([]byte("Ticker"), c.separator)) {
		return nil
	}
	symbol, same := []byte(nil), true
	for i, cell := range bytes.Split(second, []byte{c.separator})[1:] {
		if i == 0 {
			symbol = slices.Clone(cell)
		}
		same = same && bytes.Equal(cell, symbol)
	}
	both, m, _ := c.lines.peek(n)
	time, _, _ := bytes.Cut(both[min(n, len(both)):], []byte{c.separator})
	if !same {
		return failure(name, tickerlake.Invalid, "has several tickers side by side: download with group_by or one at a time, a row a ticker and time")
	}
	c.header[0], c.symbol = string(time), symbol
	c.lines.skip(m, 2)
	return nil
}

func (c *csvReader) layout() *layout   { return c.known }
func (c *csvReader) fraction() float64 { return -1 }

func (c *csvReader) columns() any {
	out := make(map[string]any, len(c.header))
	for i, name := range c.header {
		if i < len(c.cells) {
			out[name] = strings.ToValidUTF8(string(c.cells[i]), "\ufffd")
		}
	}
	return out
}

func (c *csvReader) next(r *row) error {
	for {
		number := c.lines.number + 1
		if err := c.record(); err != nil {
			return err
		}
		if len(c.cells) == 1 && len(bytes.TrimSpace(c.cells[0])) == 0 && !c.quoted[0] {
			continue // an empty line
		}
		r.clear(number)
		if c.cells == nil {
			r.bad, r.text = "the quotes do not close", c.scratch
			return nil
		}
		for len(c.cells) > len(c.header) && len(bytes.TrimSpace(c.cells[len(c.cells)-1])) == 0 {
			c.cells = c.cells[:len(c.cells)-1] // separators at the end
		}
		if len(c.cells) != len(c.header) {
			r.bad = fmt.Sprintf("%d fields where the header has %d", len(c.cells), len(c.header))
			r.text = bytes.Join(c.cells, []byte{c.separator})
			return nil
		}
		for i, text := range c.cells {
			if f := c.fieldOf[i]; f < fields {
				r.cells[f] = cellOf(text)
			}
		}
		if c.symbol != nil {
			r.cells[fieldSymbol] = cell{text: c.symbol}
		}
		return nil
	}
}

// cellOf reads a field. Nothing and the word null are null, a number stands for itself.
func cellOf(text []byte) cell {
	text = bytes.TrimSpace(text)
	if len(text) == 0 || len(text) == 4 && bytes.EqualFold(text, []byte("null")) {
		return cell{null: true}
	}
	return cell{text: text, literal: isNumber(text)}
}

// isNumber reports whether a text is a number as JSON has it.
func isNumber(b []byte) bool {
	i := 0
	if b[0] == '-' {
		i++
	}
	begin := i
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		i++
	}
	if i == begin || b[begin] == '0' && i > begin+1 {
		return false
	}
	if i < len(b) && b[i] == '.' {
		i++
		begin = i
		for i < len(b) && '0' <= b[i] && b[i] <= '9' {
			i++
		}
		if i == begin {
			return false
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		begin = i
		for i < len(b) && '0' <= b[i] && b[i] <= '9' {
			i++
		}
		if i == begin {
			return false
		}
	}
	return i == len(b)
}

// record reads the fields of the next row; nil cells if its quotes do not close, its
// first line then is in scratch.
func (c *csvReader) record() error {
	line, n, ok := c.lines.peek(0)
	if !ok && c.lines.err != io.EOF {
		return c.lines.err
	}
	if !ok && len(line) == 0 {
		return io.EOF
	}
	if c.cells == nil {
		c.cells, c.quoted = make([][]byte, 0, 16), make([]bool, 0, 16)
	}
	c.cells, c.quoted = c.cells[:0], c.quoted[:0]
	if bytes.IndexByte(line, '"') < 0 {
		c.lines.skip(n, 1)
		for {
			i := bytes.IndexByte(line, c.separator)
			if i < 0 {
				c.cells, c.quoted = append(c.cells, line), append(c.quoted, false)
				return nil
			}
			c.cells, c.quoted = append(c.cells, line[:i]), append(c.quoted, false)
			line = line[i+1:]
		}
	}
	ends := int64(1)
	for {
		err := c.split(line)
		if err == nil {
			c.lines.skip(n, ends)
			return nil
		}
		if !errors.Is(err, errOpen) || !ok || n > maxQuoted {
			break
		}
		// From the first line on to the end of one more.
		if line, n, ok = c.lines.peek(n); !ok && c.lines.err != io.EOF {
			return c.lines.err
		}
		ends++
	}
	line, n, _ = c.lines.peek(0)
	c.scratch = append(c.scratch[:0], line...)
	c.lines.skip(n, 1)
	c.cells = nil
	return nil
}

var (
	errOpen  = errors.New("a quote is open at the end")
	errQuote = errors.New("text behind a quote")
)

// split divides a row with quoted fields. The fields are copied where a quote is doubled.
func (c *csvReader) split(line []byte) error {
	c.cells, c.quoted = c.cells[:0], c.quoted[:0]
	c.scratch = c.scratch[:0]
	for {
		trimmed := bytes.TrimLeft(line, " ")
		if len(trimmed) == 0 || trimmed[0] != '"' {
			i := bytes.IndexByte(line, c.separator)
			if i < 0 {
				c.cells, c.quoted = append(c.cells, line), append(c.quoted, false)
				return nil
			}
			c.cells, c.quoted = append(c.cells, line[:i]), append(c.quoted, false)
			line = line[i+1:]
			continue
		}
		begin := len(c.scratch)
		rest := trimmed[1:]
		for {
			i := bytes.IndexByte(rest, '"')
			if i < 0 {
				return errOpen
			}
			c.scratch = append(c.scratch, rest[:i]...)
			rest = rest[i+1:]
			if len(rest) == 0 || rest[0] != '"' {
				break
			}
			c.scratch = append(c.scratch, '"')
			rest = rest[1:]
		}
		c.cells, c.quoted = append(c.cells, slices.Clone(c.scratch[begin:])), append(c.quoted, true)
		rest = bytes.TrimLeft(rest, " ")
		switch {
		case len(rest) == 0:
			return nil
		case rest[0] != c.separator:
			return errQuote
		}
		line = rest[1:]
	}
}
