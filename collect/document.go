package collect

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/tickerlake/tickerlake"
)

// maxRecord bounds the bytes of a record: less than the 1,000 KiB that Amazon Data
// Firehose takes.
const maxRecord = 1_000_000

// A documenter writes rows as raw documents. The parts that all rows of a source or
// of an answer share are written once.
type documenter struct {
	tail    string // of a bar: basis to interval, with their keys
	actions string // the same of an action, to final
	keys    map[string]string
}

func newDocumenter(source, table string, c Config) *documenter {
	b := append([]byte(nil), `,"basis":`...)
	b = appendString(b, string(c.Basis))
	b = append(b, `,"source":`...)
	b = appendString(b, source)
	b = append(b, `,"table":`...)
	b = appendString(b, table)
	b = append(b, `,"interval":`...)
	b = appendString(b, string(c.Interval))
	b = append(b, `,"final":`...)
	acts := append([]byte(nil), `,"basis":`...)
	acts = appendString(acts, string(c.Basis))
	acts = append(acts, `,"source":`...)
	acts = appendString(acts, source)
	acts = append(acts, `,"table":"`+tickerlake.ActionsTable+`","interval":"`+string(tickerlake.Day)+`","final":true`...)
	return &documenter{
		tail: string(b), actions: string(acts),
		keys: map[string]string{"source": source, "table": table, "interval": string(c.Interval)},
	}
}

var valueKeys = func() (keys [6]string) {
	for i, f := range valueFields {
		keys[i] = `,"` + f + `":`
	}
	return keys
}()

func (s *Source) documents(madeUp bool) *documenter {
	return newDocumenter(s.label(madeUp), s.Table(), s.cfg)
}

// An origin is where and when rows were learned.
type origin string // fetched_at and fetch_id, with their keys

func newOrigin(fetchID string, at time.Time) origin {
	b := append([]byte(nil), `,"fetched_at":"`...)
	b = at.UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z")
	b = append(b, `","fetch_id":`...)
	b = appendString(b, fetchID)
	return origin(append(b, `,"row":`...))
}

// append writes one document and a newline.
func (d *documenter) append(b []byte, r *row, final bool, o origin) []byte {
	b = append(b, `{"symbol":`...)
	b = appendString(b, string(r.symbol))
	b = append(b, `,"ts":`...)
	b = appendValue(b, r.ts)
	for i := range r.values {
		b = append(b, valueKeys[i]...)
		b = appendValue(b, r.values[i])
	}
	b = append(b, `,"currency":`...)
	b = appendString(b, r.currency)
	b = append(b, d.tail...)
	b = strconv.AppendBool(b, final)
	b = append(b, o...)
	b = strconv.AppendInt(b, int64(r.place), 10)
	return append(b, '}', '\n')
}

// A packer puts documents, many to a record, into records of up to maxRecord bytes.
type packer struct {
	documents *documenter
	full      []tickerlake.Record
	b         []byte
}

// add writes the documents of rows. It fails if one is too large for a record.
func (p *packer) add(rows []row, s session, at time.Time, o origin) error {
	for i := range rows {
		r := &rows[i]
		if err := p.put(len(rows)-i, r.place, func(b []byte) []byte { return p.documents.append(b, r, !r.known || s.over(r, at), o) }); err != nil {
			return err
		}
	}
	return nil
}

// addActions writes the documents of splits and dividends.
func (p *packer) addActions(actions []action, o origin) error {
	for i := range actions {
		a := &actions[i]
		if err := p.put(len(actions)-i, a.place, func(b []byte) []byte { return p.documents.appendAction(b, a, o) }); err != nil {
			return err
		}
	}
	return nil
}

// put writes one document of so many to come.
func (p *packer) put(more, place int, write func([]byte) []byte) error {
	if p.b == nil {
		// A document is about 300 bytes; one more fits before the check below.
		p.b = make([]byte, 0, min(maxRecord, more*384)+1024)
	}
	begin := len(p.b)
	p.b = write(p.b)
	switch {
	case len(p.b)-begin > maxRecord:
		return fmt.Errorf("row %d is larger than %d bytes", place, maxRecord)
	case len(p.b) > maxRecord:
		last := p.b[begin:]
		p.full = append(p.full, tickerlake.Record{Data: p.b[:begin:begin], Keys: p.documents.keys})
		p.b = append(make([]byte, 0, min(maxRecord, more*384)+1024), last...)
	}
	return nil
}

// records gives all that was added.
func (p *packer) records() []tickerlake.Record {
	if len(p.b) > 0 {
		p.full = append(p.full, tickerlake.Record{Data: p.b, Keys: p.documents.keys})
		p.b = nil
	}
	return p.full
}

// appendValue writes a value as the source said it. A number that JSON has no form
// for is written as its name.
func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case string:
		return appendString(b, v)
	case json.Number:
		return append(b, v...)
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case float64:
		switch {
		case math.IsNaN(v):
			return append(b, `"NaN"`...)
		case math.IsInf(v, 1):
			return append(b, `"Infinity"`...)
		case math.IsInf(v, -1):
			return append(b, `"-Infinity"`...)
		}
		return strconv.AppendFloat(b, v, 'g', -1, 64)
	case *big.Int:
		return v.Append(b, 10)
	case bool:
		return strconv.AppendBool(b, v)
	}
	return append(b, "null"...)
}

const hexDigits = "0123456789abcdef"

// appendString writes a JSON string. Text that is not UTF-8 gets U+FFFD in its place.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	begin := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		b = append(b, s[begin:i]...)
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c == '\t':
			b = append(b, '\\', 't')
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			b = append(b, "\ufffd"...)
		}
		i++
		begin = i
	}
	b = append(b, s[begin:]...)
	return append(b, '"')
}
