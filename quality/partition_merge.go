package quality

import (
	"cmp"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// A mergeKind says how the values that an aggregate has in the parts of a table
// make the value that it has in all of it.
type mergeKind string

const (
	notMerged  mergeKind = ""
	mergeCount mergeKind = "count"
	// Sums of whole numbers and of doubles. What else can be summed is not merged:
	// decimals come as doubles or texts, and would be rounded otherwise than in SQL.
	mergeIntegers mergeKind = "integers"
	mergeDoubles  mergeKind = "doubles"
	mergeSum      mergeKind = "sum" // of an expression: one or the other
	// The least and the greatest of numbers, times and booleans, and of texts.
	mergeMin     mergeKind = "min"
	mergeMax     mergeKind = "max"
	mergeMinText mergeKind = "min text"
	mergeMaxText mergeKind = "max text"
)

// merge gives what SQL would give for all parts together: NULL is passed over, NaN
// is above all numbers and makes sums NaN. It is not ok where that cannot be told:
// then the whole is to be measured.
func (k mergeKind) merge(values []any) (any, bool) {
	switch k {
	case mergeCount, mergeIntegers:
		return addIntegers(values, k == mergeCount)
	case mergeDoubles:
		return addDoubles(values)
	case mergeSum:
		if v, ok := addDoubles(values); ok {
			return v, true
		}
		return addIntegers(values, false)
	case mergeMin, mergeMax, mergeMinText, mergeMaxText:
		return k.extreme(values)
	}
	return nil, false
}

// addIntegers adds whole numbers; what leaves the range of a bigint is for the
// engine to say. Without values a count is 0, a sum NULL.
func addIntegers(values []any, count bool) (any, bool) {
	sum := new(big.Int)
	any := count
	for _, v := range values {
		switch v := v.(type) {
		case nil:
			continue
		case int64:
			sum.Add(sum, big.NewInt(v))
		case string: // digits of a wider integer
			n, ok := new(big.Int).SetString(v, 10)
			if !ok {
				return nil, false
			}
			sum.Add(sum, n)
		default:
			return nil, false
		}
		any = true
	}
	if !any {
		return nil, true
	}
	return sum.Int64(), sum.IsInt64()
}

func addDoubles(values []any) (any, bool) {
	sum, any, finite := 0.0, false, true
	for _, v := range values {
		switch v := v.(type) {
		case nil:
			continue
		case float64:
			sum += v
			finite = finite && !math.IsInf(v, 0) && !math.IsNaN(v)
		default:
			return nil, false
		}
		any = true
	}
	if !any {
		return nil, true
	}
	return sum, !finite || !math.IsInf(sum, 0)
}

func (k mergeKind) extreme(values []any) (any, bool) {
	var best any
	for _, v := range values {
		if v == nil {
			continue
		}
		if _, text := v.(string); text != (k == mergeMinText || k == mergeMaxText) {
			return nil, false
		}
		if best == nil {
			best = v
			continue
		}
		order, ok := compareValues(v, best)
		if !ok {
			return nil, false
		}
		if (k == mergeMin || k == mergeMinText) == (order < 0) && order != 0 {
			best = v
		}
	}
	return best, true
}

// compareValues orders two values of one type as SQL does: texts by their bytes,
// NaN above all numbers, false before true.
func compareValues(a, b any) (int, bool) {
	switch a := a.(type) {
	case int64:
		if b, ok := b.(int64); ok {
			return cmp.Compare(a, b), true
		}
	case float64:
		if b, ok := b.(float64); ok {
			return compareDoubles(a, b), true
		}
	case string:
		if b, ok := b.(string); ok {
			return strings.Compare(a, b), true
		}
	case bool:
		if b, ok := b.(bool); ok {
			switch {
			case a == b:
				return 0, true
			case b:
				return -1, true
			}
			return 1, true
		}
	case time.Time:
		if b, ok := b.(time.Time); ok {
			return a.Compare(b), true
		}
	}
	return 0, false
}

// compareDoubles is cmp.Compare with NaN above all numbers.
func compareDoubles(a, b float64) int {
	switch {
	case math.IsNaN(a) && math.IsNaN(b):
		return 0
	case math.IsNaN(a):
		return 1
	case math.IsNaN(b):
		return -1
	}
	return cmp.Compare(a, b)
}

// encodeValue writes a value as a State keeps it: a letter for the type, then the
// value. It is not ok for a type that is not kept.
func encodeValue(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "n", true
	case bool:
		return "b" + strconv.FormatBool(v), true
	case int64:
		return "i" + strconv.FormatInt(v, 10), true
	case float64:
		return "f" + strconv.FormatFloat(v, 'g', -1, 64), true
	case string:
		return "s" + v, true
	case time.Time:
		return "t" + strconv.FormatInt(v.Unix(), 10) + "." + strconv.Itoa(v.Nanosecond()), true
	}
	return "", false
}

// decodeValue reads what encodeValue wrote.
func decodeValue(text string) (any, bool) {
	if text == "" {
		return nil, false
	}
	rest := text[1:]
	switch text[0] {
	case 'n':
		return nil, rest == ""
	case 'b':
		v, err := strconv.ParseBool(rest)
		return v, err == nil
	case 'i':
		v, err := strconv.ParseInt(rest, 10, 64)
		return v, err == nil
	case 'f':
		v, err := strconv.ParseFloat(rest, 64)
		return v, err == nil
	case 's':
		return rest, true
	case 't':
		whole, fraction, ok := strings.Cut(rest, ".")
		seconds, err := strconv.ParseInt(whole, 10, 64)
		nanos, err2 := strconv.ParseInt(fraction, 10, 64)
		return time.Unix(seconds, nanos).UTC(), ok && err == nil && err2 == nil
	}
	return nil, false
}
