package duck

import (
	"fmt"
	"strings"

	bindings "github.com/duckdb/duckdb-go-bindings"

	"github.com/tickerlake/tickerlake/query"
)

// A reader knows how the values of a type lie in a vector.
type reader struct {
	id       bindings.Type
	name     string // in SQL
	json     bool
	scale    int            // of a decimal
	storage  bindings.Type  // of a decimal or an enum
	words    []string       // of an enum
	children []reader       // list and array 1, map 2, struct and union one a member
	columns  []query.Column // of the children
	size     int            // of an array
}

var simpleTypes = map[bindings.Type]string{
	bindings.TypeBoolean: "BOOLEAN", bindings.TypeTinyInt: "TINYINT", bindings.TypeSmallInt: "SMALLINT",
	bindings.TypeInteger: "INTEGER", bindings.TypeBigInt: "BIGINT", bindings.TypeUTinyInt: "UTINYINT",
	bindings.TypeUSmallInt: "USMALLINT", bindings.TypeUInteger: "UINTEGER", bindings.TypeUBigInt: "UBIGINT",
	bindings.TypeFloat: "FLOAT", bindings.TypeDouble: "DOUBLE", bindings.TypeTimestamp: "TIMESTAMP",
	bindings.TypeTimestampS: "TIMESTAMP_S", bindings.TypeTimestampMS: "TIMESTAMP_MS", bindings.TypeTimestampNS: "TIMESTAMP_NS",
	bindings.TypeTimestampTZ: "TIMESTAMP WITH TIME ZONE", bindings.TypeDate: "DATE", bindings.TypeTime: "TIME",
	bindings.TypeInterval: "INTERVAL", bindings.TypeHugeInt: "HUGEINT", bindings.TypeUHugeInt: "UHUGEINT",
	bindings.TypeVarchar: "VARCHAR", bindings.TypeBlob: "BLOB", bindings.TypeUUID: "UUID",
	bindings.TypeSQLNull: "NULL", bindings.TypeStringLiteral: "VARCHAR",
}

// readerOf describes a type. It fails for the few types that have no text here.
func readerOf(t bindings.LogicalType) (string, reader, error) {
	r := reader{id: bindings.GetTypeId(t)}
	var err error
	switch r.id {
	case bindings.TypeDecimal:
		r.scale, r.storage = int(bindings.DecimalScale(t)), bindings.DecimalInternalType(t)
		r.name = fmt.Sprintf("DECIMAL(%d,%d)", bindings.DecimalWidth(t), r.scale)
	case bindings.TypeEnum:
		r.storage = bindings.EnumInternalType(t)
		for i := range bindings.EnumDictionarySize(t) {
			r.words = append(r.words, bindings.EnumDictionaryValue(t, bindings.IdxT(i)))
		}
		r.name = "ENUM"
	case bindings.TypeList:
		err = r.add("", bindings.ListTypeChildType(t))
		r.name = r.childName(0) + "[]"
	case bindings.TypeArray:
		r.size = int(bindings.ArrayTypeArraySize(t))
		err = r.add("", bindings.ArrayTypeChildType(t))
		r.name = fmt.Sprintf("%s[%d]", r.childName(0), r.size)
	case bindings.TypeMap:
		if err = r.add("key", bindings.MapTypeKeyType(t)); err == nil {
			err = r.add("value", bindings.MapTypeValueType(t))
		}
		r.name = "MAP(" + r.childName(0) + ", " + r.childName(1) + ")"
	case bindings.TypeStruct:
		for i := range bindings.StructTypeChildCount(t) {
			if err = r.add(bindings.StructTypeChildName(t, i), bindings.StructTypeChildType(t, i)); err != nil {
				break
			}
		}
		r.name = "STRUCT(" + r.members() + ")"
	case bindings.TypeUnion:
		for i := range bindings.UnionTypeMemberCount(t) {
			if err = r.add(bindings.UnionTypeMemberName(t, i), bindings.UnionTypeMemberType(t, i)); err != nil {
				break
			}
		}
		r.name = "UNION(" + r.members() + ")"
	default:
		name, ok := simpleTypes[r.id]
		if !ok {
			return "", r, fmt.Errorf("a value of its type cannot be sent; CAST it to VARCHAR")
		}
		r.name = name
		if r.id == bindings.TypeVarchar && bindings.LogicalTypeGetAlias(t) == "JSON" {
			r.name, r.json = "JSON", true
		}
	}
	return r.name, r, err
}

// add describes a child's type and releases it.
func (r *reader) add(name string, t bindings.LogicalType) error {
	defer bindings.DestroyLogicalType(&t)
	kind, child, err := readerOf(t)
	r.children = append(r.children, child)
	r.columns = append(r.columns, query.Column{Name: name, Type: kind})
	return err
}

func (r *reader) childName(i int) string {
	if i < len(r.children) {
		return r.children[i].name
	}
	return ""
}

func (r *reader) members() string {
	var b strings.Builder
	for i, c := range r.columns {
		if i > 0 {
			b.WriteString(", ")
		}
		if c.Name != "" {
			b.WriteString(identifier(c.Name) + " ")
		}
		b.WriteString(c.Type)
	}
	return b.String()
}
