package collect

import (
	"context"
	"slices"
	"strconv"

	"github.com/tickerlake/tickerlake"
)

// An action is one split or dividend as the source said it.
type action struct {
	symbol              tickerlake.Symbol
	ts                  any // string or nil: a date
	kind, ratio, amount any
	currency            string
	place               int
}

// acts maps the body to splits and dividends.
func (m *mapping) acts(ctx context.Context, doc any, vars []any, asked map[string]tickerlake.Symbol) ([]action, error) {
	if m.actions == nil {
		return nil, nil
	}
	var out []action
	err := each(ctx, m.actions, doc, vars, "action", func(v any) error {
		a, err := m.action(v, asked)
		out = append(out, a)
		return err
	})
	return out, err
}

func (m *mapping) action(v any, asked map[string]tickerlake.Symbol) (a action, err error) {
	object, err := object(v, "an action", actionFields)
	if err != nil {
		return a, err
	}
	if a.symbol, err = m.symbol(object["symbol"], asked); err != nil {
		return a, err
	}
	zone, err := m.zone(object)
	if err != nil {
		return a, err
	}
	// An action is of a day, also among bars of minutes.
	daily := m.session.in(zone)
	daily.interval = tickerlake.Day
	a.ts, _, _ = daily.said(object["ts"])
	a.kind, a.ratio, a.amount = object["kind"], object["ratio"], object["amount"]
	a.currency, _ = object["currency"].(string)
	return a, nil
}

// append writes the document of an action and a newline.
func (d *documenter) appendAction(b []byte, a *action, o origin) []byte {
	b = append(b, `{"symbol":`...)
	b = appendString(b, string(a.symbol))
	for _, f := range []struct {
		key   string
		value any
	}{{"ts", a.ts}, {"kind", a.kind}, {"ratio", a.ratio}, {"amount", a.amount}} {
		b = append(append(append(b, `,"`...), f.key...), `":`...)
		b = appendValue(b, f.value)
	}
	b = append(b, `,"currency":`...)
	b = appendString(b, a.currency)
	b = append(append(b, d.actions...), o...)
	b = strconv.AppendInt(b, int64(a.place), 10)
	return append(b, '}', '\n')
}

// actsOf gives the actions of a symbol, in the currency of its rows if they say none, with
// their places after those of the rows.
func (a answer) actsOf(o *outcome, currency string) []action {
	next := 0
	for i := range o.rows {
		next = max(next, o.rows[i].place+1)
	}
	out := slices.DeleteFunc(slices.Clone(a.actions), func(x action) bool { return x.symbol != o.symbol })
	for i := range out {
		out[i].place = next + i
		if out[i].currency == "" {
			out[i].currency = currency
		}
	}
	return out
}
