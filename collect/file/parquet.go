package file

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	pq "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/tickerlake/tickerlake"
)

// parquetBatch is how many rows are decoded at once.
const parquetBatch = 8 << 10

// A parquetReader reads the rows of a Parquet file, a batch at a time.
type parquetReader struct {
	name    string
	file    *pq.Reader
	batches pqarrow.RecordReader
	known   *layout
	header  []string
	fieldOf []field
	batch   arrow.RecordBatch
	at      int64 // of the next row in the batch
	number  int64
	total   int64
	scratch []byte
}

func newParquet(ctx context.Context, src parquet.ReaderAtSeeker, name string, mapped bool) (_ *parquetReader, err error) {
	p := &parquetReader{name: name}
	defer caught(name, &err)
	if p.file, err = pq.NewParquetReader(src, pq.WithReadProps(&parquet.ReaderProperties{BufferSize: 1 << 20, BufferedStreamEnabled: true})); err != nil {
		return nil, failure(name, tickerlake.Damaged, "is no whole Parquet file: %w", err)
	}
	p.total = p.file.NumRows()
	r, err := pqarrow.NewFileReader(p.file, pqarrow.ArrowReadProperties{BatchSize: parquetBatch}, memory.DefaultAllocator)
	if err != nil {
		return nil, failure(name, tickerlake.Damaged, "%w", err)
	}
	schema, err := r.Schema()
	if err != nil {
		return nil, failure(name, tickerlake.Damaged, "%w", err)
	}
	var leaves []int // of the columns that are read
	for _, f := range schema.Fields() {
		p.header = append(p.header, f.Name)
	}
	if p.known, err = layoutOfColumns(p.header); err != nil {
		if !mapped {
			return nil, failure(name, tickerlake.Invalid, "%w", err)
		}
		p.known = nil
	}
	p.fieldOf = make([]field, len(p.header))
	for i := range p.fieldOf {
		p.fieldOf[i] = fields
	}
	if p.known != nil {
		for f, at := range p.known.fields {
			if at >= 0 {
				p.fieldOf[at] = field(f)
			}
		}
	}
	if !mapped && len(p.header) == p.file.MetaData().Schema.NumColumns() {
		// No nested column: only what is wanted is decoded.
		for i, f := range p.fieldOf {
			if f < fields {
				leaves = append(leaves, i)
			}
		}
		kept := make([]string, len(leaves))
		of := make([]field, len(leaves))
		for i, at := range leaves {
			kept[i], of[i] = p.header[at], p.fieldOf[at]
		}
		p.header, p.fieldOf = kept, of
	}
	if p.batches, err = r.GetRecordReader(ctx, leaves, nil); err != nil {
		return nil, failure(name, tickerlake.Damaged, "%w", err)
	}
	return p, nil
}

// caught makes a panic of the decoder, which damaged bytes can cause, a failure.
func caught(name string, err *error) {
	if v := recover(); v != nil {
		*err = failure(name, tickerlake.Damaged, "cannot be decoded: %v", v)
	}
}

func (p *parquetReader) close() {
	if p.batches != nil {
		p.batches.Release()
	}
}

func (p *parquetReader) layout() *layout { return p.known }

func (p *parquetReader) fraction() float64 { return float64(p.number) / float64(max(p.total, 1)) }

func (p *parquetReader) next(r *row) (err error) {
	defer caught(p.name, &err)
	for p.batch == nil || p.at == p.batch.NumRows() {
		if !p.batches.Next() {
			err := p.batches.Err()
			switch {
			case err != nil && !errors.Is(err, io.EOF):
				return failure(p.name, tickerlake.Damaged, "cannot be decoded after row %d: %w", p.number, err)
			case p.number != p.total:
				return failure(p.name, tickerlake.Damaged, "has %d rows where its footer says %d", p.number, p.total)
			}
			return io.EOF
		}
		p.batch, p.at = p.batches.RecordBatch(), 0
	}
	row := int(p.at)
	p.at++
	p.number++
	r.clear(p.number)
	p.scratch = p.scratch[:0]
	for i, f := range p.fieldOf {
		if f == fields {
			continue
		}
		column := p.batch.Column(i)
		if column.IsNull(row) {
			continue
		}
		begin := len(p.scratch)
		var literal bool
		p.scratch, literal = appendArrow(p.scratch, column, row)
		if text := p.scratch[begin:len(p.scratch):len(p.scratch)]; len(text) > 0 {
			r.cells[f] = cell{text: text, literal: literal}
		}
	}
	return nil
}

func (p *parquetReader) columns() any {
	out := make(map[string]any, len(p.header))
	row := int(p.at - 1)
	for i, name := range p.header {
		column := p.batch.Column(i)
		if column.IsNull(row) {
			out[name] = nil
			continue
		}
		text, literal := appendArrow(nil, column, row)
		if f, err := strconv.ParseFloat(string(text), 64); literal && err == nil {
			out[name] = f
			if n, err := strconv.Atoi(string(text)); err == nil {
				out[name] = n
			}
			continue
		}
		if b, ok := column.(*array.Boolean); ok {
			out[name] = b.Value(row)
			continue
		}
		out[name] = string(text)
	}
	return out
}

// appendArrow writes one value as text; literal is true for what JSON has a form for.
func appendArrow(b []byte, column arrow.Array, row int) (_ []byte, literal bool) {
	switch c := column.(type) {
	case *array.Float64:
		return appendFloat(b, c.Value(row), 64)
	case *array.Float32:
		return appendFloat(b, float64(c.Value(row)), 32)
	case *array.Int64:
		return strconv.AppendInt(b, c.Value(row), 10), true
	case *array.Int32:
		return strconv.AppendInt(b, int64(c.Value(row)), 10), true
	case *array.String:
		return append(b, c.Value(row)...), false
	case *array.LargeString:
		return append(b, c.Value(row)...), false
	case *array.Binary: // a text that older writers did not mark as one
		return append(b, c.Value(row)...), false
	case *array.LargeBinary:
		return append(b, c.Value(row)...), false
	case *array.FixedSizeBinary:
		return append(b, bytes.TrimRight(c.Value(row), "\x00")...), false
	case *array.Boolean:
		return strconv.AppendBool(b, c.Value(row)), true
	case *array.Timestamp:
		t := c.DataType().(*arrow.TimestampType)
		at := c.Value(row).ToTime(t.Unit)
		layout := "2006-01-02T15:04:05.999999999"
		if t.TimeZone != "" {
			layout += "Z" // an instant; without a zone the clock of the exchange
		}
		return at.UTC().AppendFormat(b, layout), false
	case *array.Date32:
		return c.Value(row).ToTime().AppendFormat(b, time.DateOnly), false
	case *array.Date64:
		return c.Value(row).ToTime().AppendFormat(b, time.DateOnly), false
	case *array.Dictionary:
		return appendArrow(b, c.Dictionary(), c.GetValueIndex(row))
	}
	text := column.ValueStr(row)
	return append(b, text...), text != "" && isNumber([]byte(text))
}

func appendFloat(b []byte, v float64, bits int) ([]byte, bool) {
	form := byte('f')
	if a := math.Abs(v); a != 0 && a < 1e-6 || a >= 1e21 {
		form = 'g'
	}
	return strconv.AppendFloat(b, v, form, -1, bits), !math.IsNaN(v) && !math.IsInf(v, 0)
}
