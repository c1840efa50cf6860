package quality

import (
	"fmt"
	"strings"
	"time"
)

// A Dialect is what differs between the engines that rules, and the statements of
// other packages, are written for. What DuckDB and Trino (Athena) say alike is in
// the functions Ident, Literal, TryCast and their neighbours.
//
// Expressions are SQL text and must be complete in themselves: what has an operator
// outside of parentheses is put in parentheses by the caller.
type Dialect interface {
	// Name is that of the engine: "duckdb", "trino".
	Name() string
	// IsNaN is true where the double or real x is not a number, NULL where x is.
	IsNaN(x string) string
	// IsFinite is true where the double or real x is neither infinite nor NaN.
	IsFinite(x string) string
	// FullMatch is true where the regular expression matches the whole text x, with
	// case, and a dot matches all but a line feed.
	FullMatch(x, pattern string) string
	// Greatest and Least give the greatest and the least of xs, NULL if any is
	// NULL, and NaN is above all numbers.
	Greatest(xs ...string) string
	Least(xs ...string) string
	// Compare is x op y for an op of = <> < <= > >=. With floating, x may be NaN,
	// which is above all numbers; y may not.
	Compare(x, op, y string, floating bool) string
	// Maximum and Minimum aggregate x over the rows where the condition holds, all
	// rows if it is empty. With floating, NaN is above all numbers.
	Maximum(x, where string, floating bool) string
	Minimum(x, where string, floating bool) string
	// Addend is the integer x as what sum adds up without an overflow.
	Addend(x string) string
	// Checksum aggregates the values of columns over the rows, whatever their order.
	Checksum(columns ...string) string
	// UTC turns a timestamp with time zone into one without, in UTC.
	UTC(x string) string
}

// DuckDB is the dialect of DuckDB; Trino that of Trino and Athena's engine 3.
var (
	DuckDB Dialect = duckdb{}
	Trino  Dialect = trino{}
)

// Ident quotes the name of a column or table.
func Ident(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// Literal quotes a text.
func Literal(s string) string { return `'` + strings.ReplaceAll(s, `'`, `''`) + `'` }

// TryCast is x as a value of the type, NULL where it cannot be.
func TryCast(x string, t Type) string { return "TRY_CAST(" + x + " AS " + t.sql() + ")" }

// Cast is x as a value of the type; a value that cannot be ends the statement.
func Cast(x string, t Type) string { return "CAST(" + x + " AS " + t.sql() + ")" }

// DateLiteral is the day of t as a date.
func DateLiteral(t time.Time) string { return "DATE " + Literal(t.Format(time.DateOnly)) }

// TimestampLiteral is t, in UTC, as a timestamp without zone, in microseconds.
func TimestampLiteral(t time.Time) string {
	return "TIMESTAMP " + Literal(t.UTC().Format("2006-01-02 15:04:05.000000"))
}

// Interval is a length of time, to be added to a timestamp. It is cut to whole
// milliseconds.
func Interval(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	return fmt.Sprintf("%sINTERVAL '%d.%03d' SECOND", sign, d/time.Second, d%time.Second/time.Millisecond)
}

// CountIf counts the rows where the condition holds.
func CountIf(condition string) string { return "count(*) FILTER (WHERE " + condition + ")" }

type duckdb struct{}

func (duckdb) Name() string             { return "duckdb" }
func (duckdb) IsNaN(x string) string    { return "isnan(" + x + ")" }
func (duckdb) IsFinite(x string) string { return "isfinite(" + x + ")" }

func (duckdb) FullMatch(x, pattern string) string {
	// DuckDB lets a dot match a line feed unless told otherwise.
	return "regexp_full_match(" + x + ", " + Literal("(?-s:"+pattern+")") + ")"
}

// Greatest is guarded: DuckDB's own passes over NULL.
func (duckdb) Greatest(xs ...string) string { return nullGuard("greatest", xs) }

// Least is guarded: DuckDB's own passes over NULL.
func (duckdb) Least(xs ...string) string { return nullGuard("least", xs) }

func nullGuard(function string, xs []string) string {
	nulls := make([]string, len(xs))
	for i, x := range xs {
		nulls[i] = x + " IS NULL"
	}
	return "CASE WHEN NOT (" + strings.Join(nulls, " OR ") + ") THEN " + function + "(" + strings.Join(xs, ", ") + ") END"
}

func (duckdb) Compare(x, op, y string, _ bool) string { return x + " " + op + " " + y }

func (duckdb) Maximum(x, where string, _ bool) string { return "max(" + x + ")" + filter(where) }
func (duckdb) Minimum(x, where string, _ bool) string { return "min(" + x + ")" + filter(where) }

func (duckdb) Addend(x string) string { return x }

func (duckdb) UTC(x string) string { return "(" + x + " AT TIME ZONE 'UTC')" }

// Checksum sums the hashes: unlike an exclusive or, that tells how often a row is there.
func (duckdb) Checksum(columns ...string) string {
	return "CAST(sum(CAST(hash(" + strings.Join(columns, ", ") + ") AS HUGEINT)) AS VARCHAR)"
}

type trino struct{}

func (trino) Name() string             { return "trino" }
func (trino) IsNaN(x string) string    { return "is_nan(" + x + ")" }
func (trino) IsFinite(x string) string { return "is_finite(" + x + ")" }

func (trino) FullMatch(x, pattern string) string {
	return "regexp_like(" + x + ", " + Literal(`\A(?:`+pattern+`)\z`) + ")"
}

func (trino) Greatest(xs ...string) string { return "greatest(" + strings.Join(xs, ", ") + ")" }
func (trino) Least(xs ...string) string    { return "least(" + strings.Join(xs, ", ") + ")" }

// Compare gives NaN the place that it has in DuckDB and Spark; Trino's own
// comparisons with NaN, <> aside, are false.
func (trino) Compare(x, op, y string, floating bool) string {
	plain := x + " " + op + " " + y
	if floating && (op == ">" || op == ">=") {
		return "(" + plain + " OR is_nan(" + x + "))"
	}
	return plain
}

func (trino) Maximum(x, where string, floating bool) string {
	plain := "max(" + x + ")" + filter(where)
	if !floating {
		return plain
	}
	return "CASE WHEN " + CountIf(both(where, "is_nan("+x+")")) + " > 0 THEN nan() ELSE max(" + x + ")" +
		filter(both(where, "NOT is_nan("+x+")")) + " END"
}

func (trino) Minimum(x, where string, floating bool) string {
	plain := "min(" + x + ")" + filter(where)
	if !floating {
		return plain
	}
	return "COALESCE(min(" + x + ")" + filter(both(where, "NOT is_nan("+x+")")) + ", " + plain + ")"
}

func (trino) Addend(x string) string { return Cast(x, "decimal(38,0)") }

func (trino) UTC(x string) string { return "CAST(" + x + " AT TIME ZONE 'UTC' AS TIMESTAMP(6))" }

func (trino) Checksum(columns ...string) string {
	return "to_hex(checksum(ROW(" + strings.Join(columns, ", ") + ")))"
}

// filter limits an aggregate to the rows where the condition holds.
func filter(where string) string {
	if where == "" {
		return ""
	}
	return " FILTER (WHERE " + where + ")"
}

// both joins two conditions, of which the first may be empty.
func both(where, condition string) string {
	if where == "" {
		return condition
	}
	return where + " AND " + condition
}
