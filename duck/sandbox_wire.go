package duck

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/query"
)

// Parent and child speak in frames over the child's standard input and output: a
// length of four bytes, big endian, which counts what follows it; a byte that
// says what it is; and the payload.
//
//	parent to child: request, once; then nothing. The end of the stream means that
//	nobody waits any more, and the child ends.
//	child to parent: ready; then columns, any number of batches, done; or, for
//	Parquet, any number of bytes, done; or, at any point, failure.
//
// Ready's payload is wireVersion. Requests, columns, done and failure are JSON.
// A batch is a sequence of rows, each a value per column: a tag of one byte and
// what belongs to it.
const (
	frameRequest byte = 'Q'
	frameReady   byte = 'R'
	frameColumns byte = 'C'
	frameBatch   byte = 'B'
	frameBytes   byte = 'F'
	frameDone    byte = 'D'
	frameFailure byte = 'E'
)

const wireVersion = "1"

// maxFrame bounds what either side takes: a batch is cut near 256 KB, so only one
// huge row comes near it.
const maxFrame = 256 << 20

// The tags of values.
const (
	tagNull    byte = iota
	tagFalse        //
	tagTrue         //
	tagInt          // a zigzag varint
	tagFloat32      // four bytes, big endian
	tagFloat64      // eight bytes, big endian
	tagText         // a length as uvarint, and the bytes; so do the next two
	tagNumber       //
	tagJSON         //
	tagTime         // seconds since 1970 UTC as a zigzag varint, nanoseconds as a uvarint
)

// A wireRequest is what the child is told.
type wireRequest struct {
	query.Request
	Parquet bool   `json:"parquet"`
	Scratch string `json:"scratch"`
	// CPUSeconds ends a child whose parent cannot, 0 for no bound.
	CPUSeconds uint64 `json:"cpu_seconds"`
}

type wireDone struct {
	Truncated bool `json:"truncated"`
}

type wireFailure struct {
	Code    tickerlake.Code `json:"code"`
	Message string          `json:"message"`
}

func writeFrame(w io.Writer, kind byte, payload []byte) error {
	if len(payload) >= maxFrame {
		return tickerlake.Errorf(tickerlake.Full, "duck.Query", "", "a row of the result is longer than %d MB; select less of it", maxFrame>>20)
	}
	var head [5]byte
	binary.BigEndian.PutUint32(head[:4], uint32(len(payload)+1))
	head[4] = kind
	if _, err := w.Write(head[:]); err != nil {
		return err
	}
	_, err := w.Write(payload)
	return err
}

func writeJSONFrame(w io.Writer, kind byte, v any) error {
	payload, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return writeFrame(w, kind, payload)
}

// readFrame gives the next frame; io.EOF only between two.
func readFrame(r *bufio.Reader) (kind byte, payload []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[:4])
	if n == 0 || n > maxFrame {
		return 0, nil, fmt.Errorf("a frame of %d bytes", n)
	}
	payload = make([]byte, n-1)
	if _, err := io.ReadFull(r, payload); err != nil {
		return 0, nil, io.ErrUnexpectedEOF
	}
	return head[4], payload, nil
}

// appendValue writes a value of query.Rows.
func appendValue(b []byte, v any) []byte {
	text := func(tag byte, s string) []byte {
		return append(binary.AppendUvarint(append(b, tag), uint64(len(s))), s...)
	}
	switch v := v.(type) {
	case bool:
		if v {
			return append(b, tagTrue)
		}
		return append(b, tagFalse)
	case int64:
		return binary.AppendVarint(append(b, tagInt), v)
	case float32:
		return binary.BigEndian.AppendUint32(append(b, tagFloat32), math.Float32bits(v))
	case float64:
		return binary.BigEndian.AppendUint64(append(b, tagFloat64), math.Float64bits(v))
	case string:
		return text(tagText, v)
	case query.Number:
		return text(tagNumber, string(v))
	case query.JSON:
		return text(tagJSON, string(v))
	case time.Time:
		b = binary.AppendVarint(append(b, tagTime), v.Unix())
		return binary.AppendUvarint(b, uint64(v.Nanosecond()))
	default:
		return append(b, tagNull)
	}
}

// decodeBatch reads the rows of a batch of so many columns.
func decodeBatch(b []byte, columns int) ([][]any, error) {
	if columns == 0 {
		return nil, fmt.Errorf("a batch without columns")
	}
	var rows [][]any
	d := decoder{b: b}
	for len(d.b) > 0 && !d.bad {
		row := make([]any, columns)
		for i := range row {
			row[i] = d.value()
		}
		rows = append(rows, row)
	}
	if d.bad {
		return nil, fmt.Errorf("a batch that does not end with a row")
	}
	return rows, nil
}

type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return make([]byte, 8) // any fixed length is read from it
	}
	part := d.b[:n]
	d.b = d.b[n:]
	return part
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) value() any {
	switch tag := d.take(1)[0]; tag {
	case tagNull:
		return nil
	case tagFalse:
		return false
	case tagTrue:
		return true
	case tagInt:
		return d.varint()
	case tagFloat32:
		return math.Float32frombits(binary.BigEndian.Uint32(d.take(4)))
	case tagFloat64:
		return math.Float64frombits(binary.BigEndian.Uint64(d.take(8)))
	case tagText:
		return string(d.take(d.uvarint()))
	case tagNumber:
		return query.Number(d.take(d.uvarint()))
	case tagJSON:
		return query.JSON(d.take(d.uvarint()))
	case tagTime:
		seconds := d.varint()
		return time.Unix(seconds, int64(d.uvarint()%1e9)).UTC()
	default:
		d.bad, d.b = true, nil
		return nil
	}
}
