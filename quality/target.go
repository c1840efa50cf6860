package quality

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Querier runs one SQL statement and gives all its rows. A value is nil, a bool,
// an int64, a float64, a string or a time.Time (in UTC); a decimal or a wider
// integer is a string of its digits or a float64.
type Querier interface {
	Query(ctx context.Context, sql string) (columns []string, rows [][]any, err error)
}

// A Target is a table that rules judge.
type Target struct {
	// Name is for people.
	Name string
	// From is the relation as it stands after FROM: a quoted name, or a SELECT in
	// parentheses.
	From    string
	Columns []Column
	// Sources are further relations that rules may name, by alias. An alias may be of
	// two words with a dot between.
	Sources map[string]Source
	// Files hold the rows, for rules on files that name no path; none if they are not
	// known.
	Files []File
	// Parts are the rows of From in pieces; none if there is only the whole. PartedBy
	// is a column whose value decides the part of a row: equal values, one part.
	Parts    []Part
	PartedBy string
	// Waived is the name of a boolean column of From, and of the From of each part, that
	// is true for rows which rules over single rows leave out; a name that needs no
	// quotes. Empty: there are none.
	Waived string
}

// A Source is a relation beside the target.
type Source struct {
	// From is the relation as it stands after FROM.
	From    string
	Columns []Column
}

// A Column is a column of a target.
type Column struct {
	Name string
	Type Type
}

// primary is the table that a ruleset calls so in its data sources: the target, or
// one of its sources, which then has the target as a source.
func (t Target) primary(name string) (Target, error) {
	if name == "" || strings.EqualFold(t.Name, name) || strings.EqualFold(t.Name[strings.LastIndexByte(t.Name, '.')+1:], name) {
		return t, nil
	}
	for _, alias := range slices.Sorted(maps.Keys(t.Sources)) {
		if s := t.Sources[alias]; strings.EqualFold(alias, name) {
			sources := maps.Clone(t.Sources)
			sources[t.Name] = Source{From: t.From, Columns: t.Columns}
			return Target{Name: alias, From: s.From, Columns: s.Columns, Sources: sources}, nil
		}
	}
	return t, fmt.Errorf("the ruleset is for %q, which is neither %s nor one of its data sources", name, t.Name)
}

// find gives the column of that name; case matters only between columns that
// differ in nothing else.
func (t Target) find(name string) (Column, error) {
	var found *Column
	var names []string
	for i, c := range t.Columns {
		if c.Name == name {
			return c, nil
		}
		if strings.EqualFold(c.Name, name) {
			found = &t.Columns[i]
		}
		names = append(names, c.Name)
	}
	if found != nil {
		return *found, nil
	}
	if n := nearest(name, names); n != "" {
		return Column{}, fmt.Errorf("%s has no column %q; did you mean %q?", t.Name, name, n)
	}
	return Column{}, fmt.Errorf("%s has no column %q", t.Name, name)
}

// A Type is the type of a column as Iceberg, Glue, Trino or DuckDB call it:
// string or varchar, long or bigint, double, decimal(12,2), timestamptz.
type Type string

// class groups types by what can be done with their values.
type class int

const (
	other class = iota
	textual
	integral
	decimal
	floating
	boolean
	day
	instant      // without zone
	zonedInstant // with zone
)

// base is the name without its arguments, in lower case.
func (t Type) base() string {
	s := strings.ToLower(strings.TrimSpace(string(t)))
	if i := strings.IndexByte(s, '('); i >= 0 {
		j := strings.IndexByte(s, ')')
		if j < i {
			return s[:i]
		}
		s = s[:i] + s[j+1:]
	}
	return strings.Join(strings.Fields(s), " ")
}

func (t Type) class() class {
	switch t.base() {
	case "string", "varchar", "char", "text", "uuid":
		return textual
	case "tinyint", "smallint", "int", "integer", "long", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint":
		return integral
	case "decimal", "numeric":
		return decimal
	case "float", "real", "double", "double precision":
		return floating
	case "bool", "boolean":
		return boolean
	case "date":
		return day
	case "timestamp", "timestamp without time zone", "datetime", "timestamp_s", "timestamp_ms", "timestamp_ns":
		return instant
	case "timestamptz", "timestamp with time zone":
		return zonedInstant
	}
	return other
}

func (c class) numeric() bool { return c == integral || c == decimal || c == floating }

// sql is the type as both engines call it.
func (t Type) sql() string {
	switch t.base() {
	case "string", "text":
		return "VARCHAR"
	case "long":
		return "BIGINT"
	case "int":
		return "INTEGER"
	case "float":
		return "REAL"
	case "bool":
		return "BOOLEAN"
	case "timestamp":
		return "TIMESTAMP"
	case "timestamptz":
		return "TIMESTAMP WITH TIME ZONE"
	}
	return strings.ToUpper(strings.TrimSpace(string(t)))
}
