package query

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
)

// Text writes a value for people and for CSV: doubles in the fewest digits that
// read back as the same, timestamps as 2016-01-04 00:00:00 with a fraction only
// if there is one, zoned ones with +00. NULL is the empty text.
func Text(v any, c Column) string {
	switch v := v.(type) {
	case nil:
		return ""
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float32:
		return float(float64(v), 32)
	case float64:
		return float(v, 64)
	case string:
		return v
	case Number:
		return string(v)
	case JSON:
		return string(v)
	case time.Time:
		return timeText(v, c.Type)
	}
	return ""
}

func float(f float64, bits int) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		return strconv.FormatFloat(f, 'e', -1, bits)
	}
	return strconv.FormatFloat(f, 'f', -1, bits)
}

func timeText(t time.Time, kind string) string {
	switch {
	case kind == "DATE":
		return t.Format("2006-01-02")
	case strings.HasSuffix(kind, "WITH TIME ZONE"):
		return t.UTC().Format("2006-01-02 15:04:05.999999999") + "+00"
	default:
		return t.Format("2006-01-02 15:04:05.999999999")
	}
}

// AppendJSON writes a value as JSON. What JSON has no numbers for, NaN and the
// infinities, is a string.
func AppendJSON(b []byte, v any, c Column) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case float32, float64:
		text := Text(v, c)
		if strings.HasSuffix(text, "N") || strings.HasSuffix(text, "y") {
			return append(append(append(b, '"'), text...), '"')
		}
		return append(b, text...)
	case Number:
		return append(b, v...)
	case JSON:
		if json.Valid([]byte(v)) {
			return append(b, v...)
		}
		return AppendString(b, string(v))
	default:
		return AppendString(b, Text(v, c))
	}
}

// AppendString writes s as a JSON string; bytes that are not UTF-8 become U+FFFD.
func AppendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, '\\', 'n')
		case r == '\r':
			b = append(b, '\\', 'r')
		case r == '\t':
			b = append(b, '\\', 't')
		case r < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			b = append(b, string(r)...)
		}
	}
	return append(b, '"')
}
