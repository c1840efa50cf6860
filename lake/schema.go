package lake

import (
	"fmt"
	"strings"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/tickerlake/tickerlake"
)

// A Column is a column of a table: its name, its SQL type and its Iceberg field id.
type Column struct {
	Name string
	Type string // VARCHAR, DOUBLE, BOOLEAN, TIMESTAMP (UTC); of derived tables also what icebergType knows
	ID   int
}

// BarColumns are the columns of a table of bars. All are optional in Iceberg, so
// that a later version can drop one.
var BarColumns = []Column{
	{"symbol", "VARCHAR", 1}, {"ts", "TIMESTAMP", 2},
	{"open", "DOUBLE", 3}, {"high", "DOUBLE", 4}, {"low", "DOUBLE", 5}, {"close", "DOUBLE", 6},
	{"adj_close", "DOUBLE", 7}, {"volume", "DOUBLE", 8},
	{"currency", "VARCHAR", 9}, {"basis", "VARCHAR", 10}, {"source", "VARCHAR", 11},
	{"final", "BOOLEAN", 12}, {"fetched_at", "TIMESTAMP", 13}, {"fetch_id", "VARCHAR", 14},
}

// ActionColumns are the columns of the table of splits and dividends. Its key is symbol,
// ts and kind.
var ActionColumns = []Column{
	{"symbol", "VARCHAR", 1}, {"ts", "TIMESTAMP", 2}, {"kind", "VARCHAR", 3}, {"ratio", "DOUBLE", 4}, {"amount", "DOUBLE", 5},
	{"currency", "VARCHAR", 6}, {"basis", "VARCHAR", 7}, {"source", "VARCHAR", 8}, {"fetched_at", "TIMESTAMP", 9}, {"fetch_id", "VARCHAR", 10},
}

// columnsOfTable are the columns of a table of prod that a run makes.
func columnsOfTable(name string) []Column {
	switch {
	case name == tickerlake.ActionsTable:
		return ActionColumns
	case strings.HasSuffix(name, revisionsSuffix):
		return RevisionColumns
	}
	return BarColumns
}

// RevisionColumns are those of a table of revisions: a bar as it was, when a later
// fetch took its place, and, if that fetch no longer had it, the fetched_at of that.
var RevisionColumns = append(append([]Column{}, BarColumns...), Column{"replaced_at", "TIMESTAMP", 15}, Column{"withdrawn_at", "TIMESTAMP", 16})

// LatestColumns are those of prod.latest.
var LatestColumns = append(append([]Column{}, BarColumns...), Column{"interval", "VARCHAR", 0}, Column{"table", "VARCHAR", 0})

var barNames = names(BarColumns)

func names(columns []Column) []string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = c.Name
	}
	return out
}

func icebergSchema(columns []Column) *iceberg.Schema {
	fields := make([]iceberg.NestedField, len(columns))
	for i, c := range columns {
		kind, _ := icebergType(c.Type)
		fields[i] = iceberg.NestedField{ID: c.ID, Name: c.Name, Type: kind}
	}
	return iceberg.NewSchema(0, fields...)
}

// icebergTypes are the types of columns, by SQL type; decimals are made of their text.
var icebergTypes = map[string]iceberg.Type{
	"VARCHAR": iceberg.PrimitiveTypes.String, "DOUBLE": iceberg.PrimitiveTypes.Float64,
	"BOOLEAN": iceberg.PrimitiveTypes.Bool, "TIMESTAMP": iceberg.PrimitiveTypes.Timestamp,
	"INTEGER": iceberg.PrimitiveTypes.Int32, "BIGINT": iceberg.PrimitiveTypes.Int64, "FLOAT": iceberg.PrimitiveTypes.Float32,
	"DATE": iceberg.PrimitiveTypes.Date, "TIME": iceberg.PrimitiveTypes.Time, "BLOB": iceberg.PrimitiveTypes.Binary,
	"TIMESTAMP WITH TIME ZONE": iceberg.PrimitiveTypes.TimestampTz,
}

func icebergType(sql string) (kind iceberg.Type, ok bool) {
	var precision, scale int
	if n, err := fmt.Sscanf(sql, "DECIMAL(%d,%d)", &precision, &scale); err == nil && n == 2 {
		return iceberg.DecimalTypeOf(precision, scale), true
	}
	kind, ok = icebergTypes[sql]
	return kind, ok
}

// columnsOf are the columns of an Iceberg table. It fails if one is of a type that the
// lake does not write, since its values could not be kept for sure.
func columnsOf(t *table.Table) ([]Column, error) {
	var out []Column
	for _, f := range t.Schema().Fields() {
		sql := ""
		if d, ok := f.Type.(iceberg.DecimalType); ok {
			sql = fmt.Sprintf("DECIMAL(%d,%d)", d.Precision(), d.Scale())
		}
		for name, kind := range icebergTypes {
			if kind.Equals(f.Type) {
				sql = name
			}
		}
		if sql == "" {
			return nil, tickerlake.Errorf(tickerlake.Invalid, "lake.columnsOf", t.Identifier()[1]+"."+f.Name, "a column of type %s is not known", f.Type)
		}
		out = append(out, Column{Name: f.Name, Type: sql, ID: f.ID})
	}
	return out, nil
}

// partitioned says how bars of an interval are partitioned: daily ones by year,
// others by month.
func partitioned(interval tickerlake.Interval) *iceberg.PartitionSpec {
	field := iceberg.PartitionField{SourceIDs: []int{2}, FieldID: 1000, Name: "ts_month", Transform: iceberg.MonthTransform{}}
	if interval.Daily() {
		field.Name, field.Transform = "ts_year", iceberg.YearTransform{}
	}
	spec := iceberg.NewPartitionSpec(field)
	return &spec
}

// sorted is the order of rows within a file: symbol, ts.
func sorted() (table.SortOrder, error) {
	return table.NewSortOrder(1, []table.SortField{
		{SourceIDs: []int{1}, Transform: iceberg.IdentityTransform{}, Direction: table.SortASC, NullOrder: table.NullsLast},
		{SourceIDs: []int{2}, Transform: iceberg.IdentityTransform{}, Direction: table.SortASC, NullOrder: table.NullsLast},
	})
}

// tableProperties keep the metadata of a table that many small commits change
// small, and the bounds of symbol exact.
var tableProperties = iceberg.Properties{
	"write.parquet.compression-codec":            "zstd",
	"commit.manifest-merge.enabled":              "true",
	"write.metadata.delete-after-commit.enabled": "true",
	"write.metadata.previous-versions-max":       "5",
	"write.metadata.metrics.column.symbol":       "full",
	"write.metadata.metrics.default":             "truncate(16)",
	"history.expire.min-snapshots-to-keep":       "1",
	"commit.retry.num-retries":                   "0", // the lake has one writer and its own loop
	"write.metadata.metrics.column.fetch_id":     "counts",
}
