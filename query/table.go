package query

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// tableSample is how many rows a table's column widths are measured on; later
// rows that need more are set wider, so that a long result streams.
const tableSample = 2000

// cellWidth is the widest that a column is made for one long value.
const cellWidth = 60

// writeTable writes an aligned table: a header, a line, the rows, their count.
// Numbers stand to the right, NULL is written out, and lines are cut at width.
func writeTable(w *bufio.Writer, rows Rows, width int) error {
	t := &table{w: w, columns: rows.Columns(), width: width}
	for _, c := range t.columns {
		t.widths = append(t.widths, min(runes(printable(c.Name)), cellWidth))
	}
	err := Each(rows, t.add)
	if err != nil {
		return err
	}
	if err := t.start(); err != nil {
		return err
	}
	count := fmt.Sprintf("%d rows", t.count)
	if t.count == 1 {
		count = "1 row"
	}
	if rows.Truncated() {
		count = "the first " + count + "; there are more"
	}
	_, err = io.WriteString(w, "("+count+")\n")
	return err
}

type table struct {
	w       *bufio.Writer
	columns []Column
	widths  []int
	width   int
	count   int64
	held    [][]string // until the widths are known
	started bool
}

func (t *table) add(row []any) error {
	cells := make([]string, len(row))
	for i, v := range row {
		cells[i] = "NULL"
		if v != nil {
			cells[i] = printable(Text(v, t.columns[i]))
		}
		if !t.started {
			t.widths[i] = max(t.widths[i], min(runes(cells[i]), cellWidth))
		}
	}
	t.count++
	if t.started {
		return t.line(cells)
	}
	if t.held = append(t.held, cells); len(t.held) < tableSample {
		return nil
	}
	return t.start()
}

// start writes the header and the rows held so far.
func (t *table) start() error {
	if t.started {
		return nil
	}
	t.started = true
	names, rules := make([]string, len(t.columns)), make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i], rules[i] = printable(c.Name), strings.Repeat("-", t.widths[i])
	}
	for _, cells := range append([][]string{names, rules}, t.held...) {
		if err := t.line(cells); err != nil {
			return err
		}
	}
	t.held = nil
	return nil
}

func (t *table) line(cells []string) error {
	var b strings.Builder
	for i, cell := range cells {
		if i > 0 {
			b.WriteString("  ")
		}
		if n := runes(cell); n > t.widths[i] && n > cellWidth {
			cell = cut(cell, max(t.widths[i], cellWidth))
		}
		pad := strings.Repeat(" ", max(0, t.widths[i]-runes(cell)))
		switch {
		case t.columns[i].Numeric():
			b.WriteString(pad + cell)
		case i == len(cells)-1:
			b.WriteString(cell)
		default:
			b.WriteString(cell + pad)
		}
	}
	line := strings.TrimRight(b.String(), " ")
	if t.width > 0 && runes(line) > t.width {
		line = cut(line, t.width)
	}
	_, err := t.w.WriteString(line + "\n")
	return err
}

func runes(s string) int { return utf8.RuneCountInString(s) }

// cut shortens s to n characters, the last an ellipsis.
func cut(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:max(0, n-1)]) + "…"
}

// printable shows line breaks and tabs as \n and \t, and drops other control
// characters, so that a value cannot steer the terminal.
func printable(s string) string {
	if strings.IndexFunc(s, unicode.IsControl) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r != 0 && unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.NewReplacer("\n", `\n`, "\t", `\t`, "\r", `\r`, "\x00", `\0`).Replace(s))
}
