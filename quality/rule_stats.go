package quality

import (
	"context"
	"fmt"
	"math"
)

// A numberColumn is a column of numbers, as the rules that calculate with it see it.
type numberColumn struct {
	name  string // as the rule writes it
	where string // of the rows that have a number
	value string // as a double
	col   Column
}

// numbersOf is a column of numbers and the rule's where.
func (p *plan) numbersOf(r *Rule, param Parameter) (numberColumn, error) {
	col, err := p.find(param)
	if err != nil {
		return numberColumn{}, err
	}
	if !col.Type.class().numeric() {
		return numberColumn{}, misplaced{param.Pos, fmt.Errorf("%s is of type %s; %s wants a column of numbers", col.Name, col.Type, r.Type)}
	}
	w, err := p.where(r)
	if err != nil {
		return numberColumn{}, err
	}
	x := Ident(col.Name)
	n := numberColumn{name: param.Value, where: w, value: x, col: col}
	if col.Type.base() != "double" {
		n.value = Cast(x, "double")
	}
	return n, nil
}

// count asks how many rows have a number.
func (n numberColumn) count(p *plan) string {
	return p.countRows(both(n.where, Ident(n.col.Name)+" IS NOT NULL"))
}

// sum asks for the sum, exact unless the numbers are doubles.
func (n numberColumn) sum(p *plan) string {
	x := Ident(n.col.Name)
	if n.col.Type.class() == integral {
		x = p.dialect.Addend(x)
	}
	return p.scalar("sum(" + x + ")" + filter(n.where))
}

// metric is the value that a rule on one column measures, under the type's name.
func metric(r *Rule, v float64) Metrics { return Metrics{columnMetric(r): v} }

func columnMetric(r *Rule) string { return "Column." + r.Parameters[0].Value + "." + r.Type }

// planSum adds the numbers up, for Sum and Mean. NaN makes NaN.
func planSum(p *plan, r *Rule) (judge, error) {
	n, err := p.numbersOf(r, r.Parameters[0])
	if err != nil {
		return nil, err
	}
	count, sum := n.count(p), n.sum(p)
	what := "the sum of " + n.name
	if r.Type == "Mean" {
		what = "the mean of " + n.name
	}
	return func(context.Context) outcome {
		s, err := p.share(sum, count)
		if err != nil {
			return erred(err)
		}
		if s.total == 0 {
			return noValues(r)
		}
		v := s.part
		if r.Type == "Mean" {
			v = s.ratio()
		}
		return measured(what, v, r.Condition, metric(r, v))
	}, nil
}

// noValues is the outcome of a rule that finds no value to measure.
func noValues(r *Rule) outcome {
	if r.Where != "" {
		return outcome{verdict: Pass, message: "no values: where leaves none"}
	}
	return outcome{verdict: Fail, message: "no values to measure"}
}

// planDeviation measures how the numbers scatter, for Variance and
// StandardDeviation: those of the whole population.
func planDeviation(p *plan, r *Rule) (judge, error) {
	n, err := p.numbersOf(r, r.Parameters[0])
	if err != nil {
		return nil, err
	}
	count := n.count(p)
	where, infinite := n.where, ""
	if n.col.Type.class() == floating {
		// Both engines refuse to go on at an infinity or NaN.
		finite := p.dialect.IsFinite(Ident(n.col.Name))
		infinite = p.countRows(both(n.where, "NOT "+finite))
		where = both(n.where, finite)
	}
	variance := p.scalar("var_pop(" + n.value + ")" + filter(where))
	what := "the variance of " + n.name
	if r.Type == "StandardDeviation" {
		what = "the standard deviation of " + n.name
	}
	return func(context.Context) outcome {
		total, err := p.count(count)
		if err != nil {
			return erred(err)
		}
		if total == 0 {
			return noValues(r)
		}
		v, err := p.unlessInfinite(variance, infinite)
		if err != nil {
			return erred(err)
		}
		if r.Type == "StandardDeviation" {
			v = math.Sqrt(v)
		}
		return measured(what, v, r.Condition, metric(r, v))
	}, nil
}

// unlessInfinite is a measured value of finite numbers, NaN if some are not, or if
// there is none.
func (p *plan) unlessInfinite(aggregate, infinite string) (float64, error) {
	if infinite != "" {
		if n, err := p.count(infinite); err != nil || n > 0 {
			return math.NaN(), err
		}
	}
	v, ok, err := p.value(aggregate)
	if !ok {
		v = math.NaN()
	}
	return v, err
}

// planCorrelation measures Pearson's correlation of the rows that have both numbers.
func planCorrelation(p *plan, r *Rule) (judge, error) {
	x, err := p.numbersOf(r, r.Parameters[0])
	if err != nil {
		return nil, err
	}
	y, err := p.numbersOf(r, r.Parameters[1])
	if err != nil {
		return nil, err
	}
	where := x.where
	infinite := ""
	for _, n := range []numberColumn{x, y} {
		where = both(where, Ident(n.col.Name)+" IS NOT NULL")
	}
	count := p.countRows(where)
	finite := ""
	for _, n := range []numberColumn{x, y} {
		if n.col.Type.class() == floating {
			finite = both(finite, p.dialect.IsFinite(Ident(n.col.Name)))
		}
	}
	if finite != "" {
		infinite = p.countRows(both(where, "NOT ("+finite+")"))
		where = both(where, finite)
	}
	correlation := p.scalar("corr(" + x.value + ", " + y.value + ")" + filter(where))
	name := "Multicolumn." + x.name + "," + y.name + ".ColumnCorrelation"
	return func(context.Context) outcome {
		n, err := p.count(count)
		if err != nil {
			return erred(err)
		}
		if n == 0 {
			return noValues(r)
		}
		v, err := p.unlessInfinite(correlation, infinite)
		if err != nil {
			return erred(err)
		}
		if !math.IsNaN(v) {
			v = min(max(v, -1), 1) // a last digit more is rounding
		}
		return measured("the correlation of "+x.name+" and "+y.name, v, r.Condition, Metrics{name: v})
	}, nil
}

// planEntropy measures the entropy of the values, in nats. NULL is none of them.
func planEntropy(p *plan, r *Rule) (judge, error) {
	k, err := p.key(r)
	if err != nil {
		return nil, err
	}
	rows, values := p.groups(k.groups(), "sum(n)"), p.groups(k.groups(), "count(*)")
	// With n rows of a value among N, -sum(n/N ln(n/N)) is ln N - sum(n ln n) / N.
	spread := p.groups(k.groups(), "sum(n * ln(n))")
	return func(context.Context) outcome {
		n, err := p.count(rows)
		if err != nil {
			return erred(err)
		}
		if n == 0 {
			return noValues(r)
		}
		groups, err := p.share(spread, values)
		if err != nil {
			return erred(err)
		}
		v := max(math.Log(n)-groups.part/n, 0)
		if groups.total == 1 {
			v = 0
		}
		return measured("the entropy of "+k.names[0], v, r.Condition, metric(r, v))
	}, nil
}

// planUniqueValueRatio measures how many of the values occur once. NULL is none of
// them.
func planUniqueValueRatio(p *plan, r *Rule) (judge, error) {
	k, err := p.key(r)
	if err != nil {
		return nil, err
	}
	once, _ := p.unique(k)
	values := p.groups(k.groups(), "count(*)")
	return func(context.Context) outcome {
		s, err := p.share(once, values)
		if err != nil {
			return erred(err)
		}
		if s.total == 0 {
			return noValues(r)
		}
		return measured("the share of values of "+k.names[0]+" that occur once", s.ratio(), r.Condition, metric(r, s.ratio()))
	}, nil
}

// planDistinct counts values. NULL is one, and no rows have none.
func planDistinct(p *plan, r *Rule) (judge, error) {
	k, err := p.key(r)
	if err != nil {
		return nil, err
	}
	values := p.groups(k.groups(), "count(*)")
	nulls := p.countRows(both(k.where, k.idents[0]+" IS NULL"))
	return func(context.Context) outcome {
		n, err := p.count(values)
		if err != nil {
			return erred(err)
		}
		if missing, err := p.count(nulls); err != nil {
			return erred(err)
		} else if missing > 0 {
			n++
		}
		return measured("the number of values of "+k.names[0], n, r.Condition, metric(r, n))
	}, nil
}
