package quality

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// planDataType judges whether every value could be cast to a type, as Spark casts.
// NULL could not. No rows pass.
func planDataType(p *plan, r *Rule) (judge, error) {
	col, err := p.find(r.Parameters[0])
	if err != nil {
		return nil, err
	}
	w, err := p.where(r)
	if err != nil {
		return nil, err
	}
	pass, err := p.typePasses(r.Condition, col)
	if err != nil {
		return nil, err
	}
	total, passing := p.countRows(w), p.scalar(CountIf(both(w, "("+pass+")")))
	name := r.Parameters[0].Value
	return func(context.Context) outcome {
		s, err := p.share(passing, total)
		if err != nil {
			return erred(err)
		}
		if s.total == 0 {
			return outcome{verdict: Pass, message: "no rows, so none is of another type"}
		}
		m := Metrics{"Column." + name + ".ColumnDataType.Compliance": s.ratio()}
		if r.Threshold != nil {
			return measured("the share of rows that pass", s.ratio(), r.Threshold, m)
		}
		return all(s, m, fmt.Sprintf("the type of %s is not %s", name, r.Condition))
	}, nil
}

// typePasses is the condition on one value as SQL.
func (p *plan) typePasses(c *Condition, col Column) (string, error) {
	var terms []string
	for _, o := range c.Operands {
		t, ok := o.(Text)
		if !ok || c.Op == Matches || c.Op == NotMatches {
			return "", misplaced{c.Pos, fmt.Errorf("ColumnDataType compares with the name of a type, as = %q or in [%q, %q]", "DATE", "INTEGER", "DOUBLE")}
		}
		castable, err := p.castable(col, t.Value)
		if err != nil {
			return "", misplaced{t.Pos, err}
		}
		terms = append(terms, "("+Ident(col.Name)+" IS NOT NULL AND COALESCE("+castable+", FALSE))")
	}
	any := strings.Join(terms, " OR ")
	if c.Op == NotEqual || c.Op == NotIn {
		return "NOT (" + any + ")", nil
	}
	return any, nil
}

var decimalType = regexp.MustCompile(`^(?:DECIMAL|NUMERIC|DEC)(?:\(\s*(\d{1,2})\s*(?:,\s*(\d{1,2})\s*)?\))?$`)

// integers are the whole types by name, with their bounds.
var integers = map[string][2]string{
	"BYTE": {"-128", "127"}, "TINYINT": {"-128", "127"},
	"SHORT": {"-32768", "32767"}, "SMALLINT": {"-32768", "32767"},
	"INT": {"-2147483648", "2147483647"}, "INTEGER": {"-2147483648", "2147483647"},
	"LONG": {"-9223372036854775808", "9223372036854775807"}, "BIGINT": {"-9223372036854775808", "9223372036854775807"},
}

// castable is true for values of the column that Spark casts to the type and gets
// another value than NULL.
func (p *plan) castable(col Column, name string) (string, error) {
	x, cls := Ident(col.Name), col.Type.class()
	name = strings.ToUpper(strings.TrimSpace(name))
	if m := decimalType.FindStringSubmatch(name); m != nil {
		return p.castableDecimal(x, cls, m[1], m[2])
	}
	bounds, whole := integers[name]
	never := fmt.Errorf("%s is of type %s, which is never cast to %s", col.Name, col.Type, name)
	switch {
	case whole:
		switch {
		case cls == textual:
			return p.integerText(x, bounds), nil
		case cls == day:
			return "FALSE", nil
		}
		return "TRUE", nil
	case name == "DOUBLE" || name == "FLOAT" || name == "REAL":
		switch {
		case cls == textual:
			return p.dialect.FullMatch(x, doubleText), nil
		case cls == day:
			return "FALSE", nil
		}
		return "TRUE", nil
	case name == "BOOLEAN":
		switch {
		case cls == textual:
			return p.dialect.FullMatch(x, space+`(?i:t|true|y|yes|1|f|false|n|no|0)`+space), nil
		case cls == day:
			return "FALSE", nil
		}
		return "TRUE", nil
	case name == "DATE":
		switch cls {
		case textual:
			return p.dayText(x, `(?:[ T](?s:.*))?`), nil
		case day, instant, zonedInstant:
			return "TRUE", nil
		}
		return "", never
	case name == "TIMESTAMP":
		switch cls {
		case textual:
			return p.dayText(x, clockText), nil
		case floating:
			return p.dialect.IsFinite(x), nil
		}
		return "TRUE", nil
	}
	return "", fmt.Errorf("%q is no type of ColumnDataType; there are BOOLEAN, DATE, TIMESTAMP, INTEGER, LONG, DOUBLE, FLOAT, DECIMAL(p,s)", name)
}

const (
	// space is what Spark trims: blanks and control characters.
	space = `[\x00-\x20]*`
	// doubleText is what Java reads as a double, and Spark's names for what is not finite.
	doubleText = space + `(?:[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[dDfF]?|(?i:[+-]?inf(?:inity)?|nan))` + space
	// clockText is the time of day and the zone behind a day.
	clockText = `(?:[ T](?:[01]?[0-9]|2[0-3])(?::[0-5]?[0-9](?::[0-5]?[0-9](?:\.[0-9]{0,9})?)?)?` +
		` ?(?:Z|UTC|GMT|(?:UTC|GMT)?[+-][0-9]{1,2}(?::?[0-9]{2})?|[A-Z][A-Za-z]+/[A-Za-z_/]+)?)?`
)

// integerText is true for texts that are a whole number within bounds, a fraction of
// digits aside.
func (p *plan) integerText(x string, bounds [2]string) string {
	digits := "TRY_CAST(regexp_extract(" + x + `, '([+-]?[0-9]+)', 1) AS DECIMAL(38,0))`
	return "(" + p.dialect.FullMatch(x, space+`[+-]?[0-9]+(?:\.[0-9]*)?`+space) + " AND " +
		digits + " BETWEEN " + bounds[0] + " AND " + bounds[1] + " OR " +
		p.dialect.FullMatch(x, space+`[+-]?\.[0-9]*`+space) + ")"
}

// dayText is true for texts that begin with a year, a month or a day that exists, with
// what may follow a day behind it.
func (p *plan) dayText(x, behind string) string {
	const form = `[+-]?([0-9]{4,7})(?:-([0-9]{1,2})(?:-([0-9]{1,2})`
	part := func(i int) string {
		return "COALESCE(TRY_CAST(NULLIF(regexp_extract(" + x + ", " + Literal(`^`+space+form+`)?)?`) + ", " + strconv.Itoa(i) + "), '') AS INTEGER), 1)"
	}
	year, month := part(1), part(2)
	leap := "(" + year + " % 4 = 0 AND (" + year + " % 100 <> 0 OR " + year + " % 400 = 0))"
	last := "CASE WHEN " + month + " IN (4, 6, 9, 11) THEN 30 WHEN " + month + " = 2 AND " + leap + " THEN 29 WHEN " + month + " = 2 THEN 28 ELSE 31 END"
	return "(" + p.dialect.FullMatch(x, space+form+behind+`)?)?`+space) + " AND " + month + " BETWEEN 1 AND 12 AND " + part(3) + " BETWEEN 1 AND " + last + ")"
}

// castableDecimal is castable for DECIMAL(precision, scale), by default (10, 0).
func (p *plan) castableDecimal(x string, cls class, precision, scale string) (string, error) {
	digits, places := 10, 0
	if precision != "" {
		digits, _ = strconv.Atoi(precision)
		places, _ = strconv.Atoi(scale)
	}
	if digits < 1 || digits > 38 || places > digits {
		return "", fmt.Errorf("DECIMAL(%s,%s): want a precision of 1 to 38 and a scale not above it", precision, scale)
	}
	t := fmt.Sprintf("DECIMAL(%d,%d)", digits, places)
	switch {
	case cls == textual:
		number := "TRY_CAST(trim(" + x + ") AS " + t + ")"
		return "(" + p.dialect.FullMatch(x, space+`[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?`+space) + " AND " + number + " IS NOT NULL)", nil
	case cls == floating:
		return "(" + p.dialect.IsFinite(x) + " AND TRY_CAST(" + x + " AS " + t + ") IS NOT NULL)", nil
	case cls.numeric():
		return "TRY_CAST(" + x + " AS " + t + ") IS NOT NULL", nil
	case cls == day:
		return "FALSE", nil
	}
	return "TRUE", nil
}
