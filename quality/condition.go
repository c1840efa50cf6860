package quality

import (
	"fmt"
	"math"
	"slices"
	"strconv"
)

// holds reports whether a measured number satisfies the condition. The operands
// must be numbers without calls, or NULL, which no number equals. NaN satisfies
// none. Without a condition every number will do.
func (c *Condition) holds(v float64) bool {
	if c == nil {
		return true
	}
	if math.IsNaN(v) {
		return false
	}
	equal := func() bool {
		return slices.ContainsFunc(c.Operands, func(o Operand) bool {
			x, err := amountOf(o)
			return err == nil && v == x
		})
	}
	x := make([]float64, len(c.Operands))
	for i, o := range c.Operands {
		x[i], _ = amountOf(o)
	}
	switch c.Op {
	case Equal, In:
		return equal()
	case NotEqual, NotIn:
		return !equal()
	case Greater:
		return v > x[0]
	case GreaterEqual:
		return v >= x[0]
	case Less:
		return v < x[0]
	case LessEqual:
		return v <= x[0]
	case Between:
		return x[0] < v && v < x[1]
	case NotBetween:
		return v <= x[0] || x[1] <= v
	}
	return false
}

// ordered reports whether the condition compares by order, in which NULL has no place.
func (c *Condition) ordered() bool {
	switch c.Op {
	case Equal, NotEqual, In, NotIn:
		return false
	}
	return true
}

// amountOf is the value of an operand of numbers and arithmetic.
func amountOf(o Operand) (float64, error) {
	switch o := o.(type) {
	case Number:
		return strconv.ParseFloat(o.Value, 64)
	case Size:
		return o.Bytes(), nil
	case Binary:
		a, err := amountOf(o.Left)
		if err != nil {
			return 0, err
		}
		b, err := amountOf(o.Right)
		if err != nil {
			return 0, err
		}
		return apply(o.Op, a, b), nil
	}
	return 0, fmt.Errorf("%s is not a number", o)
}

func apply(op string, a, b float64) float64 {
	switch op {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	}
	return a / b
}
