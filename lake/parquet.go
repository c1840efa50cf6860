package lake

import (
	"bufio"
	"errors"
	"io"
	"math"
	"os"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	parquetfile "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// A columnFile writes columns of one length to a Parquet file of staging: plain values
// and codes without compression, since the file is read once and soon.
type columnFile struct {
	path   string
	rows   int
	nodes  schema.FieldList
	writes []func(parquetfile.ColumnChunkWriter) error
	err    error
}

// column adds a column; optional if not every value is there.
func (f *columnFile) column(name string, optional bool, t parquet.Type, logical schema.LogicalType, write func(parquetfile.ColumnChunkWriter) error) {
	repetition := parquet.Repetitions.Required
	if optional {
		repetition = parquet.Repetitions.Optional
	}
	node, err := schema.NewPrimitiveNodeLogical(name, repetition, logical, t, -1, -1)
	f.err = errors.Join(f.err, err)
	f.nodes = append(f.nodes, node)
	f.writes = append(f.writes, write)
}

// doubles adds a column of DOUBLE; NaN is null.
func (f *columnFile) doubles(name string, values []float64) {
	var levels []int16
	for i, v := range values {
		if levels == nil && math.IsNaN(v) {
			levels = make([]int16, len(values))
			for j := range i {
				levels[j] = 1
			}
		}
		if levels != nil && !math.IsNaN(v) {
			levels[i] = 1
		}
	}
	if levels != nil {
		there := values[:0]
		for _, v := range values {
			if !math.IsNaN(v) {
				there = append(there, v)
			}
		}
		values = there
	}
	f.column(name, levels != nil, parquet.Types.Double, schema.NoLogicalType{}, func(w parquetfile.ColumnChunkWriter) error {
		_, err := w.(*parquetfile.Float64ColumnChunkWriter).WriteBatch(values, levels, nil)
		return err
	})
}

// times adds a column of TIMESTAMP, from microseconds since 1970.
func (f *columnFile) times(name string, values []int64) {
	f.longs(name, values, schema.NewTimestampLogicalType(false, schema.TimeUnitMicros))
}

// integers adds a column of BIGINT.
func (f *columnFile) integers(name string, values []int64) {
	f.longs(name, values, schema.NoLogicalType{})
}

func (f *columnFile) longs(name string, values []int64, logical schema.LogicalType) {
	f.column(name, false, parquet.Types.Int64, logical, func(w parquetfile.ColumnChunkWriter) error {
		_, err := w.(*parquetfile.Int64ColumnChunkWriter).WriteBatch(values, nil, nil)
		return err
	})
}

// booleans adds a column of BOOLEAN with one value.
func (f *columnFile) booleans(name string, value bool) {
	values := make([]bool, f.rows)
	for i := range values {
		values[i] = value
	}
	f.column(name, false, parquet.Types.Boolean, schema.NoLogicalType{}, func(w parquetfile.ColumnChunkWriter) error {
		_, err := w.(*parquetfile.BooleanColumnChunkWriter).WriteBatch(values, nil, nil)
		return err
	})
}

// nulls adds a column of VARCHAR without values.
func (f *columnFile) nulls(name string) {
	f.column(name, true, parquet.Types.ByteArray, schema.StringLogicalType{}, func(w parquetfile.ColumnChunkWriter) error {
		_, err := w.(*parquetfile.ByteArrayColumnChunkWriter).WriteBatch(nil, make([]int16, f.rows), nil)
		return err
	})
}

// texts adds a column of VARCHAR, written as a dictionary and a code a row.
func (f *columnFile) texts(name string, codes []int32, dictionary []string) {
	f.column(name, false, parquet.Types.ByteArray, schema.StringLogicalType{}, func(w parquetfile.ColumnChunkWriter) error {
		words := array.NewStringBuilder(memory.DefaultAllocator)
		defer words.Release()
		words.AppendValues(dictionary, nil)
		known := words.NewArray()
		defer known.Release()
		encoder, ok := w.CurrentEncoder().(interface{ PutDictionary(arrow.Array) error })
		if !ok {
			return errors.New("no dictionary encoder")
		}
		if err := encoder.PutDictionary(known); err != nil {
			return err
		}
		data := array.NewData(arrow.PrimitiveTypes.Int32, len(codes),
			[]*memory.Buffer{nil, memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(codes))}, nil, 0, 0)
		defer data.Release()
		indices := array.NewInt32Data(data)
		defer indices.Release()
		return w.WriteDictIndices(indices, nil, nil)
	})
}

// write makes the file.
func (f *columnFile) write() (err error) {
	if f.err != nil {
		return f.err
	}
	root, err := schema.NewGroupNode("schema", parquet.Repetitions.Required, f.nodes, -1)
	if err != nil {
		return err
	}
	out, err := os.Create(f.path)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(out, 1<<20)
	options := []parquet.WriterProperty{parquet.WithDictionaryDefault(false), parquet.WithStats(false), parquet.WithBatchSize(1 << 20), parquet.WithDataPageSize(8 << 20)}
	for _, n := range f.nodes {
		if p, ok := n.(*schema.PrimitiveNode); ok && p.PhysicalType() == parquet.Types.ByteArray {
			options = append(options, parquet.WithDictionaryFor(n.Name(), true), parquet.WithDictionaryPageSizeLimit(64<<20), parquet.WithDictionaryCostFallbackFor(n.Name(), false))
		}
	}
	w, err := parquetfile.NewParquetWriterWithError(struct{ io.Writer }{buffered}, root, parquetfile.WithWriterProps(parquet.NewWriterProperties(options...)))
	if err != nil {
		return errors.Join(err, out.Close())
	}
	defer func() { err = errors.Join(err, w.Close(), buffered.Flush(), out.Close()) }()
	group, err := w.AppendRowGroupChecked()
	if err != nil {
		return err
	}
	for _, write := range f.writes {
		column, err := group.NextColumn()
		if err != nil {
			return err
		}
		if err := write(column); err != nil {
			return err
		}
		if err := column.Close(); err != nil {
			return err
		}
	}
	return group.Close()
}
