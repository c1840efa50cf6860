package duck

import (
	"fmt"
	"math"
	"math/big"
	"strings"
	"time"
	"unsafe"

	bindings "github.com/duckdb/duckdb-go-bindings"

	"github.com/tickerlake/tickerlake/query"
)

// A column is a vector of a chunk with the reader of its type. It is valid as
// long as the chunk.
type column struct {
	*reader
	data     unsafe.Pointer
	validity unsafe.Pointer // nil if no value is NULL
	children []column
}

func newColumn(r reader, v bindings.Vector) column {
	c := column{reader: &r, data: bindings.VectorGetData(v), validity: bindings.VectorGetValidity(v)}
	switch r.id {
	case bindings.TypeList:
		c.children = []column{newColumn(r.children[0], bindings.ListVectorGetChild(v))}
	case bindings.TypeArray:
		c.children = []column{newColumn(r.children[0], bindings.ArrayVectorGetChild(v))}
	case bindings.TypeMap: // a list of structs of key and value
		entries := bindings.ListVectorGetChild(v)
		for i := range 2 {
			c.children = append(c.children, newColumn(r.children[i], bindings.StructVectorGetChild(entries, bindings.IdxT(i))))
		}
	case bindings.TypeStruct:
		for i := range r.children {
			c.children = append(c.children, newColumn(r.children[i], bindings.StructVectorGetChild(v, bindings.IdxT(i))))
		}
	case bindings.TypeUnion: // a struct of the tag and the members
		tag := reader{id: bindings.TypeUTinyInt}
		c.children = []column{newColumn(tag, bindings.StructVectorGetChild(v, 0))}
		for i := range r.children {
			c.children = append(c.children, newColumn(r.children[i], bindings.StructVectorGetChild(v, bindings.IdxT(i+1))))
		}
	}
	return c
}

// at reads a value of fixed size from a vector's data.
func at[T any](c *column, row int) T {
	var zero T
	return *(*T)(unsafe.Add(c.data, row*int(unsafe.Sizeof(zero))))
}

// valid reports whether a value is not NULL: a bit a row, in words of 64.
func (c *column) valid(row int) bool {
	if c.validity == nil {
		return true
	}
	word := *(*uint64)(unsafe.Add(c.validity, row/64*8))
	return word>>(row%64)&1 == 1
}

// The layouts of DuckDB's C interface.
type (
	hugeint  struct{ lower, upper uint64 }
	interval struct {
		months, days int32
		micros       int64
	}
	listEntry struct{ offset, length uint64 }
)

// value is a value in the form that query.Rows gives it, its text in the memory of
// the chunk.
func (c *column) value(row int) any {
	if !c.valid(row) {
		return nil
	}
	switch c.id {
	case bindings.TypeBoolean:
		return at[bool](c, row)
	case bindings.TypeTinyInt:
		return int64(at[int8](c, row))
	case bindings.TypeSmallInt:
		return int64(at[int16](c, row))
	case bindings.TypeInteger:
		return int64(at[int32](c, row))
	case bindings.TypeBigInt:
		return at[int64](c, row)
	case bindings.TypeUTinyInt:
		return int64(at[uint8](c, row))
	case bindings.TypeUSmallInt:
		return int64(at[uint16](c, row))
	case bindings.TypeUInteger:
		return int64(at[uint32](c, row))
	case bindings.TypeUBigInt:
		return integer(new(big.Int).SetUint64(at[uint64](c, row)))
	case bindings.TypeHugeInt:
		return integer(at[hugeint](c, row).signed())
	case bindings.TypeUHugeInt:
		return integer(at[hugeint](c, row).unsigned())
	case bindings.TypeFloat:
		return at[float32](c, row)
	case bindings.TypeDouble:
		return at[float64](c, row)
	case bindings.TypeDecimal:
		return decimal(c.unscaled(row), c.scale)
	case bindings.TypeVarchar, bindings.TypeStringLiteral:
		if c.json {
			return query.JSON(c.text(row))
		}
		return c.text(row)
	case bindings.TypeBlob:
		return blobText(c.text(row))
	case bindings.TypeEnum:
		return c.word(row)
	case bindings.TypeDate:
		days := at[int32](c, row)
		if days == math.MaxInt32 || days == -math.MaxInt32 {
			return infinity(days > 0)
		}
		return time.Unix(int64(days)*86400, 0).UTC()
	case bindings.TypeTimestamp, bindings.TypeTimestampTZ, bindings.TypeTimestampS, bindings.TypeTimestampMS, bindings.TypeTimestampNS:
		return instant(c.id, at[int64](c, row))
	case bindings.TypeTime:
		return clockText(at[int64](c, row))
	case bindings.TypeInterval:
		return at[interval](c, row).String()
	case bindings.TypeUUID:
		return uuidText(at[hugeint](c, row))
	case bindings.TypeList, bindings.TypeArray, bindings.TypeMap, bindings.TypeStruct, bindings.TypeUnion:
		return query.JSON(c.appendNested(nil, row))
	}
	return nil
}

// appendNested writes a value that is made of others as JSON: lists and structs
// without names as arrays, maps and structs as objects, a union as what it holds.
func (c *column) appendNested(b []byte, row int) []byte {
	member := func(b []byte, i, row int) []byte {
		return query.AppendJSON(b, c.children[i].value(row), c.columns[i])
	}
	switch c.id {
	case bindings.TypeList, bindings.TypeArray, bindings.TypeMap:
		span := listEntry{uint64(row * c.size), uint64(c.size)}
		if c.id != bindings.TypeArray {
			span = at[listEntry](c, row)
		}
		open, end := byte('['), byte(']')
		if c.id == bindings.TypeMap {
			open, end = '{', '}'
		}
		b = append(b, open)
		for i := range int(span.length) {
			if i > 0 {
				b = append(b, ',')
			}
			at, value := int(span.offset)+i, 0
			if c.id == bindings.TypeMap {
				b = append(query.AppendString(b, query.Text(c.children[0].value(at), c.columns[0])), ':')
				value = 1
			}
			b = member(b, value, at)
		}
		return append(b, end)
	case bindings.TypeUnion:
		tag := int(at[uint8](&c.children[0], row))
		return query.AppendJSON(b, c.children[tag+1].value(row), c.columns[tag])
	}
	named := len(c.columns) > 0 && c.columns[0].Name != ""
	open, end := byte('['), byte(']')
	if named {
		open, end = '{', '}'
	}
	b = append(b, open)
	for i := range c.children {
		if i > 0 {
			b = append(b, ',')
		}
		if named {
			b = append(query.AppendString(b, c.columns[i].Name), ':')
		}
		b = member(b, i, row)
	}
	return append(b, end)
}

// text is a VARCHAR or BLOB, in the chunk's own memory: twelve bytes or fewer lie
// in the vector, longer ones behind a pointer.
func (c *column) text(row int) string {
	p := unsafe.Add(c.data, row*16)
	n := *(*uint32)(p)
	if n <= 12 {
		return unsafe.String((*byte)(unsafe.Add(p, 4)), n)
	}
	return unsafe.String(*(**byte)(unsafe.Add(p, 8)), n)
}

func (c *column) word(row int) string {
	var i int
	switch c.storage {
	case bindings.TypeUTinyInt:
		i = int(at[uint8](c, row))
	case bindings.TypeUSmallInt:
		i = int(at[uint16](c, row))
	default:
		i = int(at[uint32](c, row))
	}
	return c.words[i]
}

func (c *column) unscaled(row int) *big.Int {
	switch c.storage {
	case bindings.TypeSmallInt:
		return big.NewInt(int64(at[int16](c, row)))
	case bindings.TypeInteger:
		return big.NewInt(int64(at[int32](c, row)))
	case bindings.TypeBigInt:
		return big.NewInt(at[int64](c, row))
	default:
		return at[hugeint](c, row).signed()
	}
}

func (h hugeint) signed() *big.Int {
	n := new(big.Int).Lsh(big.NewInt(int64(h.upper)), 64)
	return n.Add(n, new(big.Int).SetUint64(h.lower))
}

func (h hugeint) unsigned() *big.Int {
	n := new(big.Int).Lsh(new(big.Int).SetUint64(h.upper), 64)
	return n.Add(n, new(big.Int).SetUint64(h.lower))
}

func integer(n *big.Int) any {
	if n.IsInt64() {
		return n.Int64()
	}
	return query.Number(n.String())
}

// decimal writes an unscaled integer with its point: 150 of scale 2 is 1.50.
func decimal(n *big.Int, scale int) query.Number {
	digits := new(big.Int).Abs(n).String()
	sign := ""
	if n.Sign() < 0 {
		sign = "-"
	}
	if scale == 0 {
		return query.Number(sign + digits)
	}
	if len(digits) <= scale {
		digits = strings.Repeat("0", scale-len(digits)+1) + digits
	}
	return query.Number(sign + digits[:len(digits)-scale] + "." + digits[len(digits)-scale:])
}

func infinity(positive bool) string {
	if positive {
		return "infinity"
	}
	return "-infinity"
}

func instant(id bindings.Type, n int64) any {
	if n == math.MaxInt64 || n == -math.MaxInt64 {
		return infinity(n > 0)
	}
	switch id {
	case bindings.TypeTimestampS:
		return time.Unix(n, 0).UTC()
	case bindings.TypeTimestampMS:
		return time.UnixMilli(n).UTC()
	case bindings.TypeTimestampNS:
		return time.Unix(0, n).UTC()
	default:
		return time.UnixMicro(n).UTC()
	}
}

// clockText writes microseconds of a day as 09:30:00 or 09:30:00.5.
func clockText(micros int64) string {
	s := fmt.Sprintf("%02d:%02d:%02d", micros/3_600_000_000, micros/60_000_000%60, micros/1_000_000%60)
	if f := micros % 1_000_000; f != 0 {
		s += strings.TrimRight(fmt.Sprintf(".%06d", f), "0")
	}
	return s
}

// String writes an interval as DuckDB does: 1 year 2 months 3 days 04:05:06.
func (v interval) String() string {
	var parts []string
	add := func(n int32, unit string) {
		switch {
		case n == 1 || n == -1:
			parts = append(parts, fmt.Sprintf("%d %s", n, unit))
		case n != 0:
			parts = append(parts, fmt.Sprintf("%d %ss", n, unit))
		}
	}
	add(v.months/12, "year")
	add(v.months%12, "month")
	add(v.days, "day")
	switch {
	case v.micros < 0:
		parts = append(parts, "-"+clockText(-v.micros))
	case v.micros > 0 || len(parts) == 0:
		parts = append(parts, clockText(v.micros))
	}
	return strings.Join(parts, " ")
}

// uuidText undoes the flip of the first bit with which DuckDB sorts UUIDs.
func uuidText(h hugeint) string {
	upper := h.upper ^ 1<<63
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", upper>>32, upper>>16&0xffff, upper&0xffff, h.lower>>48, h.lower&(1<<48-1))
}

// blobText writes bytes as DuckDB does: printable ASCII as it is, \xAB otherwise.
func blobText(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c >= 0x20 && c < 0x7f && c != '\\' && c != '\'' && c != '"' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\x%02X`, c)
		}
	}
	return b.String()
}
