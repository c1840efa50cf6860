package file

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/itchyny/gojq"

	"github.com/tickerlake/tickerlake"
)

// CompileMap makes a jq expression ready, which has the variables $file (the name of the
// file without its folder) and $interval.
func CompileMap(src string) (*gojq.Code, error) {
	query, err := gojq.Parse(src)
	if err != nil {
		return nil, tickerlake.Errorf(tickerlake.Invalid, "file.CompileMap", "--map", "jq: %w", err)
	}
	code, err := gojq.Compile(query, gojq.WithVariables([]string{"$file", "$interval"}))
	if err != nil {
		return nil, tickerlake.Errorf(tickerlake.Invalid, "file.CompileMap", "--map", "jq: %w", err)
	}
	return code, nil
}

// A mapper is a rowReader over what jq makes of the rows of another.
type mapper struct {
	rowReader
	ctx     context.Context
	code    *gojq.Code
	vars    []any
	iter    gojq.Iter
	of      row
	dropped int64
	gave    bool
}

func (m *mapper) layout() *layout { return nil }

func (m *mapper) next(r *row) error {
	for {
		if m.iter == nil {
			if err := m.rowReader.next(&m.of); err != nil {
				return err
			}
			if m.of.bad != "" {
				r.clear(m.of.number)
				r.bad, r.text = m.of.bad, m.of.text
				return nil
			}
			m.iter, m.gave = m.code.RunWithContext(m.ctx, m.columns(), m.vars...), false
		}
		out, ok := m.iter.Next()
		if !ok {
			m.iter = nil
			if !m.gave {
				m.dropped++
			}
			continue
		}
		m.gave = true
		r.clear(m.of.number)
		if err, failed := out.(error); failed {
			m.iter = nil
			if m.ctx.Err() != nil {
				return canceled(m.ctx)
			}
			if halt, ok := errors.AsType[*gojq.HaltError](err); ok && halt.Value() == nil {
				continue
			}
			r.bad, r.text = "jq: "+excerpt([]byte(err.Error())), jsonText(m.columns())
			return nil
		}
		if err := mappedCells(r, out); err != nil {
			r.bad, r.text = err.Error(), jsonText(out)
		}
		return nil
	}
}

func jsonText(v any) []byte {
	text, err := gojq.Marshal(v)
	if err != nil {
		return nil
	}
	return text
}

// keyFields are the fields of the keys of a mapped row.
var keyFields = map[string]field{
	"symbol": fieldSymbol, "ts": fieldTs, "open": fieldOpen, "high": fieldHigh, "low": fieldLow, "close": fieldClose,
	"adj_close": fieldAdjClose, "volume": fieldVolume, "currency": fieldCurrency, "fetched_at": fieldFetchedAt,
}

// mappedCells reads an object that jq gave.
func mappedCells(r *row, out any) error {
	object, ok := out.(map[string]any)
	if !ok {
		return fmt.Errorf("--map gave a %s where a row is an object", gojq.TypeOf(out))
	}
	for key, v := range object {
		f, ok := keyFields[key]
		if !ok {
			return fmt.Errorf("--map gave a field %q: there are %s", key, strings.Join(Fields, ", "))
		}
		r.cells[f] = valueCell(v)
		if c := &r.cells[f]; !c.null && !c.literal && f >= fieldOpen && f <= fieldVolume {
			*c = cellOf(slices.Clone(c.text)) // a number in text, as CSV has them
		}
	}
	return nil
}
