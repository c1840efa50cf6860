package collect

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake"
)

// params are what a request asks for.
type params struct {
	symbols  []string // as the provider spells them
	from, to time.Time
	last     time.Time
	zone     *time.Location
	interval tickerlake.Interval
}

// A template is text with places for what a request asks for:
//
//	{symbol}    the symbol as the provider spells it
//	{symbols}   all symbols of the request with commas; {symbols:|} with another separator
//	{from:F}    the beginning of the window
//	{to:F}      its end, which is not in it
//	{last:F}    the last bar in it, for an API that includes its end
//	{interval}  the interval of the bars, such as 1d
//	{{          a brace
//
// F is epoch, epoch_ms, rfc3339 (UTC), or a pattern in the letters that prefixes of
// delivery use, at the exchange's zone: yyyy yy MMMM MMM MM M dd d HH mm ss XXX (the
// offset), other letters in 'quotes'. The default is yyyy-MM-dd.
type template struct {
	parts  []func(params) string
	fields map[string]bool
	text   string // of the literal parts
}

func newTemplate(key, text string) (*template, error) {
	t := &template{fields: map[string]bool{}}
	for rest := text; rest != ""; {
		before, after, found := strings.Cut(rest, "{")
		if t.literal(before); !found {
			break
		}
		if strings.HasPrefix(after, "{") {
			t.literal("{")
			rest = after[1:]
			continue
		}
		field, next, closed := strings.Cut(after, "}")
		if !closed {
			return nil, tickerlake.Errorf(tickerlake.Invalid, "collect.Template", key, "%q: { without }; a brace itself is {{", text)
		}
		if err := t.field(field); err != nil {
			return nil, tickerlake.Errorf(tickerlake.Invalid, "collect.Template", key, "%q: %w", text, err)
		}
		rest = next
	}
	return t, nil
}

func (t *template) literal(s string) {
	if s != "" {
		t.text += s
		t.parts = append(t.parts, func(params) string { return s })
	}
}

func (t *template) field(field string) error {
	name, format, formatted := strings.Cut(field, ":")
	var at func(params) time.Time
	switch name {
	case "symbol":
		t.parts = append(t.parts, func(p params) string { return p.symbols[0] })
	case "symbols":
		if !formatted {
			format = ","
		}
		t.parts = append(t.parts, func(p params) string { return strings.Join(p.symbols, format) })
	case "from":
		at = func(p params) time.Time { return p.from }
	case "to":
		at = func(p params) time.Time { return p.to }
	case "last":
		at = func(p params) time.Time { return p.last }
	case "interval":
		t.parts = append(t.parts, func(p params) string { return string(p.interval) })
	default:
		return fmt.Errorf("no field {%s}: there are symbol, symbols, from, to, last and interval", name)
	}
	t.fields[name] = true
	if at == nil {
		return nil
	}
	if !formatted {
		format = "yyyy-MM-dd"
	}
	write, err := timeFormat(format)
	if err != nil {
		return err
	}
	t.parts = append(t.parts, func(p params) string { return write(at(p), p.zone) })
	return nil
}

// expand fills the template in.
func (t *template) expand(p params) string {
	var b strings.Builder
	for _, part := range t.parts {
		b.WriteString(part(p))
	}
	return b.String()
}

var timeLetters = map[string]string{
	"yyyy": "2006", "yy": "06", "MMMM": "January", "MMM": "Jan", "MM": "01", "M": "1",
	"dd": "02", "d": "2", "HH": "15", "mm": "04", "ss": "05", "XXX": "Z07:00",
}

// timeFormat compiles the format of a time. Each piece is formatted by itself, so
// that literal text is never taken for a layout.
func timeFormat(format string) (func(time.Time, *time.Location) string, error) {
	switch format {
	case "epoch":
		return func(t time.Time, _ *time.Location) string { return strconv.FormatInt(t.Unix(), 10) }, nil
	case "epoch_ms":
		return func(t time.Time, _ *time.Location) string { return strconv.FormatInt(t.UnixMilli(), 10) }, nil
	case "rfc3339":
		return func(t time.Time, _ *time.Location) string { return t.UTC().Format(time.RFC3339) }, nil
	}
	pieces, err := SplitTimeFormat(format, timeLetters, "epoch, epoch_ms, rfc3339, and yyyy yy MMMM MMM MM M dd d HH mm ss XXX with other text in 'quotes'")
	if err != nil {
		return nil, err
	}
	return func(t time.Time, zone *time.Location) string {
		var b strings.Builder
		t = t.In(zone)
		for _, p := range pieces {
			if p.Layout == "" {
				b.WriteString(p.Literal)
			} else {
				b.WriteString(t.Format(p.Layout))
			}
		}
		return b.String()
	}, nil
}
