package quality

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// What a text reads as is not the same in Spark, DuckDB and Trino. The rules read
// texts as Spark does, as Glue judges them, by shapes that both engines can match:
// blanks around are passed over, a fraction is cut off a whole number, a date may be
// a year or a month.

// The shapes of numbers.
const (
	wholeShape  = `\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]*)\s*`
	realShape   = `\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?`
	doubleShape = realShape + `[dDfF]?\s*|\s*([+-]?(?i:inf|infinity)|(?i:nan))\s*`
)

// The shapes of dates and times. A year alone and a month stand for their first day.
const (
	monthDayShape = `(-[0-9]{1,2}(-[0-9]{1,2}`
	dateShape     = `\s*[0-9]{4,7}` + monthDayShape + `([ T][\s\S]*)?)?)?\s*`
	clockShape    = `([01]?[0-9]|2[0-3])(:[0-5]?[0-9](:[0-5]?[0-9](\.[0-9]*)?)?)?`
	momentShape   = `\s*[0-9]{4,6}` + monthDayShape + `([ T]` + clockShape + `)?)?)?\s*`
	zonedShape    = `\s*[0-9]{4,6}-[0-9]{1,2}-[0-9]{1,2}[ T]` + secondsShape + zoneShape + `\s*`
	todayShape    = `\s*T?([01]?[0-9]|2[0-3]):[0-5]?[0-9](:[0-5]?[0-9](\.[0-9]*)?(` + zoneShape + `)?)?\s*`
	secondsShape  = `([01]?[0-9]|2[0-3]):[0-5]?[0-9]:[0-5]?[0-9](\.[0-9]*)?`
	zoneShape     = ` ?(Z|(UTC|GMT|UT)?([+-][0-9]{1,2}(:?[0-9]{1,2}(:?[0-9]{1,2})?)?)?|[A-Za-z]+/[A-Za-z_/]+)`
)

// extract is a group of the first match in a text, NULL if there is none.
func extract(x, pattern string, group int) string {
	return fmt.Sprintf("NULLIF(regexp_extract(%s, %s, %d), '')", x, Literal(pattern), group)
}

// twoDigits is a number of one or two digits as two, those of other if it is NULL.
func twoDigits(x, other string) string { return "lpad(COALESCE(" + x + ", '" + other + "'), 2, '0')" }

// dayText is the text x, which has the shape of a date, in the order and length that
// both engines read.
func dayText(x string) string {
	return extract(x, `^\s*([0-9]{4,7})`, 1) +
		" || '-' || " + twoDigits(extract(x, `^\s*[0-9]{4,7}-([0-9]{1,2})`, 1), "1") +
		" || '-' || " + twoDigits(extract(x, `^\s*[0-9]{4,7}-[0-9]{1,2}-([0-9]{1,2})`, 1), "1")
}

// textDay is the text x as a date, NULL where it is none.
func (p *plan) textDay(x string) string {
	return "CASE WHEN " + p.dialect.FullMatch(x, dateShape) + " THEN " + TryCast(dayText(x), "date") + " END"
}

// textMoment is the text x as a timestamp, NULL where it is none. A time with a zone
// is read as the engine does.
func (p *plan) textMoment(x string) string {
	clock := func(before string) string {
		return extract(x, `^\s*[0-9]{4,6}-[0-9]{1,2}-[0-9]{1,2}[ T]`+before+`([0-9]{1,2})`, 1)
	}
	text := dayText(x) + " || ' ' || " + twoDigits(clock(""), "0") + " || ':' || " + twoDigits(clock(`[0-9]{1,2}:`), "0") +
		" || ':' || " + twoDigits(clock(`[0-9]{1,2}:[0-9]{1,2}:`), "0") +
		" || COALESCE(" + extract(x, `:[0-9]{1,2}(\.[0-9]{1,6})`, 1) + ", '')"
	return "CASE WHEN " + p.dialect.FullMatch(x, momentShape) + " THEN " + TryCast(text, "timestamp") +
		" ELSE " + TryCast(x, "timestamp") + " END"
}

var decimalType = regexp.MustCompile(`^DECIMAL\((\d+),\s*(\d+)\)$`)

// decimalOf reads DECIMAL(10,2).
func decimalOf(name string) (precision, scale int, ok bool) {
	m := decimalType.FindStringSubmatch(name)
	if m == nil {
		return 0, 0, false
	}
	precision, _ = strconv.Atoi(m[1])
	scale, _ = strconv.Atoi(m[2])
	return precision, scale, precision >= 1 && precision <= 38 && scale <= precision
}

// castable is true where a value of the column can be read as the type, whose name
// is in upper case. It is not true for NULL.
func (p *plan) castable(col Column, name string) (string, error) {
	x, cls := Ident(col.Name), col.Type.class()
	precision, scale, isDecimal := decimalOf(name)
	switch {
	case cls == textual && isDecimal:
		t := Type(fmt.Sprintf("decimal(%d,%d)", precision, scale))
		return p.dialect.FullMatch(x, realShape+`\s*`) + " AND " + TryCast("trim("+x+")", t) + " IS NOT NULL", nil
	case cls == textual:
		return p.textCastable(x, name)
	case cls == other:
		return "", fmt.Errorf("%s is of type %s, which cannot be read as %s", col.Name, col.Type, name)
	case isDecimal:
		return p.decimalCastable(col, precision, scale)
	}
	some := x + " IS NOT NULL"
	temporal := cls == day || cls == instant || cls == zonedInstant
	switch name {
	case "DATE":
		if !temporal {
			return "", fmt.Errorf("%s is of type %s, which has no dates", col.Name, col.Type)
		}
	case "TIMESTAMP":
		if cls == floating {
			return p.dialect.IsFinite(x), nil
		}
	default:
		if cls == day { // a day is no number
			return "FALSE", nil
		}
	}
	return some, nil
}

func (p *plan) textCastable(x, name string) (string, error) {
	switch name {
	case "BOOLEAN":
		return p.dialect.FullMatch(x, `\s*(?i:t|true|y|yes|1|f|false|n|no|0)\s*`), nil
	case "INTEGER", "LONG":
		t := map[string]Type{"INTEGER": "integer", "LONG": "bigint"}[name]
		whole := "COALESCE(" + extract(x, `^\s*(-)`, 1) + ", '') || COALESCE(" + extract(x, `^\s*[+-]?([0-9]+)`, 1) + ", '0')"
		return p.dialect.FullMatch(x, wholeShape) + " AND " + TryCast(whole, t) + " IS NOT NULL", nil
	case "DOUBLE", "FLOAT":
		return p.dialect.FullMatch(x, doubleShape), nil
	case "DATE":
		return "(" + p.textDay(x) + ") IS NOT NULL", nil
	case "TIMESTAMP":
		return "CASE WHEN " + p.dialect.FullMatch(x, momentShape+"|"+zonedShape) + " THEN " +
			TryCast(dayText(x), "date") + " IS NOT NULL ELSE " + p.dialect.FullMatch(x, todayShape) + " END", nil
	}
	return "", fmt.Errorf("there is no type %s to read values as", name)
}

// decimalCastable is true where a value that is no text fits into a decimal.
func (p *plan) decimalCastable(col Column, precision, scale int) (string, error) {
	x := Ident(col.Name)
	t := Type(fmt.Sprintf("decimal(%d,%d)", precision, scale))
	switch col.Type.class() {
	case day:
		return "FALSE", nil
	case boolean:
		return TryCast(Cast(x, "integer"), t) + " IS NOT NULL", nil
	case instant, zonedInstant: // its seconds since 1970
		if precision-scale > 10 {
			return x + " IS NOT NULL", nil
		}
		seconds := int64(1)
		for range precision - scale {
			seconds *= 10
		}
		at, err := p.timestamp(col)
		return at + " > " + TimestampLiteral(time.Unix(-seconds, 0)) + " AND " + at + " < " + TimestampLiteral(time.Unix(seconds, 0)), err
	}
	return TryCast(x, t) + " IS NOT NULL", nil
}

// dateFormats are the formats that a text may be said to have, as the text of a
// pattern; what is not in them is the first day of the month, or of a leap year.
var dateFormats = map[string]string{
	"dd-MM-yyyy": "dmy", "MM-dd-yyyy": "mdy", "yyyy-MM-dd": "ymd", "dd/MM/yyyy": "dmy", "MM/dd/yyyy": "mdy", "yyyy/MM/dd": "ymd",
	"MM-yyyy": "my", "dd-MM": "dm", "MM-dd": "md", "yyyy-MM": "ym", "MM/yyyy": "my", "dd/MM": "dm", "MM/dd": "md", "yyyy/MM": "ym",
}

// formatted is true where the text x is a date of the format.
func (p *plan) formatted(x, format string) string {
	order, ok := dateFormats[format]
	if !ok {
		return "FALSE"
	}
	separator := "-"
	if regexp.MustCompile("/").MatchString(format) {
		separator = "/"
	}
	pattern := ""
	group := map[byte]int{}
	for i := range len(order) {
		if i > 0 {
			pattern += separator
		}
		pattern += map[byte]string{'d': "([0-9]{2})", 'm': "([0-9]{2})", 'y': "([0-9]{4})"}[order[i]]
		group[order[i]] = i + 1
	}
	part := func(letter byte, other string) string {
		if group[letter] == 0 {
			return Literal(other)
		}
		return "regexp_extract(" + x + ", " + Literal(pattern) + fmt.Sprintf(", %d)", group[letter])
	}
	text := part('y', "2000") + " || '-' || " + part('m', "01") + " || '-' || " + part('d', "01")
	return p.dialect.FullMatch(x, pattern) + " AND " + TryCast(text, "date") + " IS NOT NULL"
}
