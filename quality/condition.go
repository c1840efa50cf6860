package quality

import (
	"fmt"
	"math"
	"strconv"
)

// holds reports whether a measured number satisfies the condition. The operands
// must be numbers without calls. NaN satisfies none.
func (c *Condition) holds(v float64) bool {
	x := make([]float64, len(c.Operands))
	for i, o := range c.Operands {
		x[i], _ = amountOf(o)
	}
	if math.IsNaN(v) {
		return false
	}
	switch c.Op {
	case Equal:
		return v == x[0]
	case NotEqual:
		return v != x[0]
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
	case In, NotIn:
		for _, y := range x {
			if v == y {
				return c.Op == In
			}
		}
		return c.Op == NotIn
	}
	return false
}

// amountOf is the value of an operand of numbers and arithmetic.
func amountOf(o Operand) (float64, error) {
	switch o := o.(type) {
	case Number:
		return strconv.ParseFloat(o.Value, 64)
	case Binary:
		a, err := amountOf(o.Left)
		if err != nil {
			return 0, err
		}
		b, err := amountOf(o.Right)
		if err != nil {
			return 0, err
		}
		switch o.Op {
		case "+":
			return a + b, nil
		case "-":
			return a - b, nil
		case "*":
			return a * b, nil
		}
		return a / b, nil
	}
	return 0, fmt.Errorf("%s is not a number", o)
}
