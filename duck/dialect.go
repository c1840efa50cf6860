package duck

import (
	"fmt"
	"regexp"
)

// Dialect is DuckDB's SQL, for the lake's judgement.
type Dialect struct{}

// TryCast is NULL where expr is not a typ.
func (Dialect) TryCast(expr, typ string) string { return "TRY_CAST(" + expr + " AS " + typ + ")" }

// IsFinite is true for a double that is neither NaN nor infinite.
func (Dialect) IsFinite(expr string) string { return "isfinite(" + expr + ")" }

var plainPattern = regexp.MustCompile(`^[\x20-\x26\x28-\x7e]*$`)

// FullMatch is true if all of expr matches the pattern, which has no quotes.
func (Dialect) FullMatch(expr, pattern string) string {
	if !plainPattern.MatchString(pattern) {
		panic("duck: a pattern with quotes: " + pattern)
	}
	return "regexp_full_match(" + expr + ", '" + pattern + "')"
}

// Period is the year or month of a timestamp as text.
func (Dialect) Period(expr, unit string) string {
	if unit == "year" {
		return "CAST(year(" + expr + ") AS VARCHAR)"
	}
	return "strftime(" + expr + ", '%Y-%m')"
}

// AddHours is a timestamp some hours later.
func (Dialect) AddHours(expr string, hours int) string {
	return fmt.Sprintf("(%s + INTERVAL %d HOUR)", expr, hours)
}

// TruncateDay is a timestamp at 00:00 of its day.
func (Dialect) TruncateDay(expr string) string { return "date_trunc('day', " + expr + ")" }
