package quality

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Dynamic functions, as the guide lists them: last(k) gives the k newest earlier
// values of what the condition compares, 0 if there are none, all if there are fewer;
// avg, median, min, max, sum, std, abs and index work on them.

// maxLast bounds how far back last may look.
const maxLast = 1000

// A lookup gives up to n earlier values of a statistic, the newest first.
type lookup func(statistic string, n int) ([]float64, error)

// sample stands for earlier values where a rule is only checked.
func sample(_ string, n int) ([]float64, error) {
	out := make([]float64, n)
	for i := range out {
		out[i] = 1.5 + float64(i)/7
	}
	return out, nil
}

// earlier is the lookup of an evaluation.
func (e Engine) earlier(ctx context.Context) lookup {
	return func(statistic string, n int) ([]float64, error) {
		if e.History == nil {
			return nil, fmt.Errorf("no earlier results are kept here")
		}
		return e.History.Earlier(ctx, statistic, n)
	}
}

// settle gives the rule with numbers in the place of functions.
func (r *Rule) settle(find lookup) (*Rule, error) {
	if !r.Condition.calls() && !r.Threshold.calls() {
		return r, nil
	}
	s := *r
	var err error
	s.written = r.Condition
	if s.Condition, err = r.settled(r.Condition, false, find); err != nil {
		return nil, err
	}
	s.Threshold, err = r.settled(r.Threshold, true, find)
	return &s, err
}

// otherwise is a settled rule as other earlier values would have made it.
func (r *Rule) otherwise() *Rule {
	if !r.written.calls() {
		return r
	}
	s, c := *r, *r.Condition
	c.Operands = slices.Clone(c.Operands)
	for i, o := range r.written.Operands {
		if callsIn(o) {
			c.Operands[i] = Number{Pos: o.Position(), Value: "0.000123456789"}
		}
	}
	s.Condition = &c
	return &s
}

// calls reports whether a function is called in the condition.
func (c *Condition) calls() bool {
	return c != nil && slices.ContainsFunc(c.Operands, callsIn)
}

func callsIn(o Operand) bool {
	switch o := o.(type) {
	case Call:
		return true
	case Binary:
		return callsIn(o.Left) || callsIn(o.Right)
	}
	return false
}

func (r *Rule) settled(c *Condition, threshold bool, find lookup) (*Condition, error) {
	if !c.calls() {
		return c, nil
	}
	out := *c
	out.Operands = slices.Clone(c.Operands)
	for i, o := range c.Operands {
		if !callsIn(o) {
			continue
		}
		v, err := calculate(o, func(at Position, n int) ([]float64, error) {
			metric := r.compared(threshold, i)
			if metric == "" {
				return nil, misplaced{at, fmt.Errorf("%s %s compares no measured number, so that there are no earlier ones", r.Type, c.Op)}
			}
			return find(statistic(metric, r), n)
		})
		if err == nil && v.list {
			err = misplaced{o.Position(), fmt.Errorf("%s is a list; take one number of it, as avg(%s)", o, o)}
		}
		if err != nil {
			return nil, err
		}
		if math.IsNaN(v.one()) || math.IsInf(v.one(), 0) {
			return nil, misplaced{o.Position(), fmt.Errorf("%s is not a finite number", o)}
		}
		out.Operands[i] = Number{Pos: o.Position(), Value: strconv.FormatFloat(v.one(), 'f', -1, 64)}
	}
	return &out, nil
}

// A quantity is what a function works on: one number, or those of last.
type quantity struct {
	values []float64
	list   bool
}

func (q quantity) one() float64 { return q.values[0] }

func scalarOf(v float64) quantity { return quantity{values: []float64{v}} }

// calculate works out an operand; last asks for the earlier values.
func calculate(o Operand, last func(at Position, n int) ([]float64, error)) (quantity, error) {
	switch o := o.(type) {
	case Binary:
		a, err := calculate(o.Left, last)
		if err != nil {
			return a, err
		}
		b, err := calculate(o.Right, last)
		if err != nil {
			return b, err
		}
		for i, q := range []quantity{a, b} {
			if q.list {
				side := []Operand{o.Left, o.Right}[i]
				return q, misplaced{side.Position(), fmt.Errorf("%s is a list; take one number of it, as avg(%s)", side, side)}
			}
		}
		return scalarOf(apply(o.Op, a.one(), b.one())), nil
	case Call:
		return call(o, last)
	}
	v, err := amountOf(o)
	if err != nil {
		err = misplaced{o.Position(), err}
	}
	return scalarOf(v), err
}

// functions of one list.
var functions = map[string]func(x []float64) float64{
	"avg": mean, "median": median, "min": slices.Min[[]float64], "max": slices.Max[[]float64],
	"sum": func(x []float64) float64 { return mean(x) * float64(len(x)) },
	"std": func(x []float64) float64 {
		m, squares := mean(x), 0.0
		for _, v := range x {
			squares += (v - m) * (v - m)
		}
		return math.Sqrt(squares / float64(len(x)))
	},
}

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

func median(x []float64) float64 {
	s := slices.Sorted(slices.Values(x))
	n := len(s)
	return (s[(n-1)/2] + s[n/2]) / 2
}

func call(c Call, last func(at Position, n int) ([]float64, error)) (q quantity, err error) {
	wants := map[string]int{"abs": 1, "index": 2}
	for name := range functions {
		wants[name] = 1
	}
	if c.Name == "last" {
		return lastOf(c, last)
	}
	n, known := wants[c.Name]
	if !known {
		names := []string{"last"}
		for name := range wants {
			names = append(names, name)
		}
		slices.Sort(names)
		if near := nearest(c.Name, names); near != "" {
			return q, misplaced{c.Pos, fmt.Errorf("there is no function %s; did you mean %s?", c.Name, near)}
		}
		return q, misplaced{c.Pos, fmt.Errorf("there is no function %s; there are %s", c.Name, strings.Join(names, ", "))}
	}
	if len(c.Args) != n {
		return q, misplaced{c.Pos, fmt.Errorf("%s takes %d arguments, not %d", c.Name, n, len(c.Args))}
	}
	if q, err = calculate(c.Args[0], last); err != nil {
		return q, err
	}
	switch c.Name {
	case "abs":
		q.values = slices.Clone(q.values)
		for i := range q.values {
			q.values[i] = math.Abs(q.values[i])
		}
		return q, nil
	case "index":
		i, ok := whole(c.Args[1])
		if !ok || i >= len(q.values) {
			return q, misplaced{c.Args[1].Position(), fmt.Errorf("index %s of %d values: the newest is 0", c.Args[1], len(q.values))}
		}
		return scalarOf(q.values[i]), nil
	}
	return scalarOf(functions[c.Name](q.values)), nil
}

func lastOf(c Call, last func(at Position, n int) ([]float64, error)) (quantity, error) {
	n := 1
	if len(c.Args) > 0 {
		var ok bool
		if n, ok = whole(c.Args[0]); !ok || n < 1 || n > maxLast || len(c.Args) > 1 {
			return quantity{}, misplaced{c.Pos, fmt.Errorf("last takes a number of results from 1 to %d", maxLast)}
		}
	}
	values, err := last(c.Pos, n)
	if err != nil {
		return quantity{}, err
	}
	if len(values) == 0 {
		values = []float64{0}
	}
	return quantity{values: values[:min(n, len(values))], list: n > 1}, nil
}

// whole is an operand that is a whole number from 0 on.
func whole(o Operand) (int, bool) {
	n, ok := o.(Number)
	if !ok {
		return 0, false
	}
	i, err := strconv.Atoi(n.Value)
	return i, err == nil && i >= 0
}
