package collect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/itchyny/gojq"

	"github.com/tickerlake/tickerlake"
)

// A mapping judges an answer and turns it into rows.
type mapping struct {
	classify []*gojq.Code
	rows     *gojq.Code
	actions  *gojq.Code // nil: none are looked for
	session  session
	batch    bool
	zones    *zones
}

// A row is one bar as the source said it.
type row struct {
	symbol tickerlake.Symbol
	// values are open, high, low, close, adj_close and volume: nil, string,
	// json.Number, int, float64 or *big.Int.
	values [6]any
	ts     any // string or nil
	at     time.Time
	known  bool // at is the time of the bar
	// zone is that of the bar's exchange, nil if it is the source's.
	zone     *time.Location
	currency string
	place    int
}

// valueFields are the keys of a row's values, in their order.
var valueFields = RowFields[2:8]

const closeValue = 3

var variables = []string{"$status", "$symbols", "$interval"}

// compile makes a jq expression ready to run.
func compile(key, src string) (*gojq.Code, error) {
	query, err := gojq.Parse(src)
	if err != nil {
		return nil, tickerlake.Errorf(tickerlake.Invalid, "collect.Compile", key, "jq: %w", err)
	}
	code, err := gojq.Compile(query, gojq.WithVariables(variables),
		gojq.WithFunction("status_class", 0, 0, func(v any, _ []any) any {
			if status, ok := statusOf(v); ok {
				return named(statusClass(status))
			}
			return nil
		}),
		gojq.WithFunction("text_class", 0, 0, func(v any, _ []any) any {
			text, _ := v.(string)
			return named(textClass(text))
		}),
		gojq.WithFunction("float32_decimal", 0, 0, func(v any, _ []any) any { return decimalOfFloat32(v) }))
	if err != nil {
		return nil, tickerlake.Errorf(tickerlake.Invalid, "collect.Compile", key, "jq: %w", err)
	}
	return code, nil
}

func named(c tickerlake.Class) any {
	if c == "" {
		return nil
	}
	return string(c)
}

func newMapping(h HTTP, s session) (*mapping, error) {
	m := &mapping{session: s, batch: h.Batch > 1, zones: &zones{}}
	var err error
	if m.rows, err = compile("http.rows", h.Rows); err != nil {
		return nil, err
	}
	if h.Actions != "" {
		if m.actions, err = compile("http.actions", h.Actions); err != nil {
			return nil, err
		}
	}
	for i, src := range h.Classify {
		code, err := compile(fmt.Sprintf("http.classify[%d]", i), src)
		if err != nil {
			return nil, err
		}
		m.classify = append(m.classify, code)
	}
	return m, nil
}

// variables gives the values of the variables of every expression.
func (m *mapping) variables(status int, spelled []string) []any {
	symbols := make([]any, len(spelled))
	for i, s := range spelled {
		symbols[i] = s
	}
	return []any{status, symbols, string(m.session.interval)}
}

// table maps the body to rows. asked are the symbols of the request by the upper
// case of the provider's spelling.
func (m *mapping) table(ctx context.Context, doc any, vars []any, asked map[string]tickerlake.Symbol) ([]row, error) {
	var rows []row
	err := each(ctx, m.rows, doc, vars, "row", func(out any) error {
		r, err := m.row(out, asked)
		r.place = len(rows)
		rows = append(rows, r)
		return err
	})
	return rows, err
}

// each calls f for every object that an expression yields.
func each(ctx context.Context, code *gojq.Code, doc any, vars []any, what string, f func(any) error) error {
	iter := code.RunWithContext(ctx, doc, vars...)
	for n := 0; ; n++ {
		out, ok := iter.Next()
		if !ok {
			return nil
		}
		if err, failed := out.(error); failed {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if halt, ok := errors.AsType[*gojq.HaltError](err); ok && halt.Value() == nil {
				return nil
			}
			return fmt.Errorf("the %ss cannot be read: %s", what, excerpt(err.Error()))
		}
		if err := f(out); err != nil {
			return fmt.Errorf("%s %d: %w", what, n, err)
		}
	}
}

func (m *mapping) row(out any, asked map[string]tickerlake.Symbol) (r row, err error) {
	object, err := object(out, "a row", RowFields)
	if err != nil {
		return r, err
	}
	if r.symbol, err = m.symbol(object["symbol"], asked); err != nil {
		return r, err
	}
	r.currency, _ = object["currency"].(string)
	if r.zone, err = m.zone(object); err != nil {
		return r, err
	}
	for i, key := range valueFields {
		if r.values[i] = object[key]; r.values[i] == true || r.values[i] == false {
			r.values[i] = fmt.Sprint(r.values[i])
		}
	}
	r.ts, r.at, r.known = m.session.in(r.zone).said(object["ts"])
	return r, nil
}

// object checks what an expression yields.
func object(out any, what string, fields []string) (map[string]any, error) {
	object, ok := out.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s is not an object", excerpt(gojq.TypeOf(out)))
	}
	for key, v := range object {
		switch v.(type) {
		case []any, map[string]any:
			return nil, fmt.Errorf("%s is neither a number nor text: %s", excerpt(key), excerpt(compact(v)))
		}
		if !slices.Contains(fields, key) {
			return nil, fmt.Errorf("no field %q in %s: there are %s", excerpt(key), what, strings.Join(fields, ", "))
		}
	}
	return object, nil
}

// zone is that of the exchange of a row, nil if it is the source's.
func (m *mapping) zone(object map[string]any) (*time.Location, error) {
	name := object["time_zone"]
	if name == nil {
		return nil, nil
	}
	zone, err := m.zones.find(scalar(name), m.session.zone)
	if err != nil {
		return nil, fmt.Errorf("time_zone %w", err)
	}
	return zone, nil
}

// symbol gives the canonical symbol of a row.
func (m *mapping) symbol(said any, asked map[string]tickerlake.Symbol) (tickerlake.Symbol, error) {
	if text, ok := said.(string); ok {
		if symbol, ok := asked[strings.ToUpper(text)]; ok {
			return symbol, nil
		}
		return "", fmt.Errorf("symbol %q was not asked for", excerpt(text))
	}
	if m.batch || said != nil {
		return "", fmt.Errorf("symbol %s: want the one that the row is for", excerpt(compact(said)))
	}
	for _, symbol := range asked {
		return symbol, nil
	}
	return "", errors.New("no symbol")
}

// scalar is the text of a value.
func scalar(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return string(appendValue(nil, v))
}

// number is the value of a number of jq.
func number(v any) float64 {
	switch v := v.(type) {
	case json.Number:
		f, _ := v.Float64()
		return f
	case int:
		return float64(v)
	case float64:
		return v
	case *big.Int:
		f, _ := new(big.Float).SetInt(v).Float64()
		return f
	}
	return 0
}

// A speller gives the provider's spelling of a symbol.
type speller struct {
	fixed map[string]string
	code  *gojq.Code
}

func newSpeller(h HTTP) (*speller, error) {
	s := &speller{fixed: h.Spelling}
	if h.Spell != "" {
		var err error
		if s.code, err = compile("http.spell", h.Spell); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *speller) spell(ctx context.Context, symbol tickerlake.Symbol, interval tickerlake.Interval) (string, error) {
	if text, ok := s.fixed[string(symbol)]; ok {
		return text, nil
	}
	if s.code == nil {
		return string(symbol), nil
	}
	out, _ := s.code.RunWithContext(ctx, string(symbol), 0, []any{}, string(interval)).Next()
	if text, ok := out.(string); ok && text != "" {
		return text, nil
	}
	return "", tickerlake.Errorf(tickerlake.Invalid, "collect.Spell", "http.spell", "gives %v for %s: want the provider's spelling", out, symbol)
}
