package quality

import (
	"context"
	"fmt"
	"math"
)

// numbersOf gives a column of numbers as doubles.
func (p *plan) numbersOf(r *Rule, param Parameter) (x string, floats bool, err error) {
	col, err := p.find(param)
	if err != nil {
		return "", false, err
	}
	if !col.Type.class().numeric() {
		return "", false, misplaced{param.Pos, fmt.Errorf("%s is of type %s; %s wants a column of numbers", col.Name, col.Type, r.Type)}
	}
	return Cast(Ident(col.Name), "double"), col.Type.class() == floating, nil
}

// planSum is for Sum and Mean of the values that are not NULL. One NaN makes them NaN.
func planSum(p *plan, r *Rule) (judge, error) {
	x, _, err := p.numbersOf(r, r.Parameters[0])
	if err != nil {
		return nil, err
	}
	w, err := p.where(r)
	if err != nil {
		return nil, err
	}
	sum, count := p.scalar("sum("+x+")"+filter(w)), p.scalar("count("+x+")"+filter(w))
	name := r.Parameters[0].Value
	return func(context.Context) outcome {
		s, err := p.share(sum, count)
		if err != nil {
			return erred(err)
		}
		if s.total == 0 {
			return noRows(r)
		}
		v := s.part
		if r.Type == "Mean" {
			v = s.ratio()
		}
		return measured("the "+map[string]string{"Sum": "sum", "Mean": "mean"}[r.Type]+" of "+name, v, r.Condition, Metrics{"Column." + name + "." + r.Type: v})
	}, nil
}

// planDeviation is for StandardDeviation and Variance, of the population.
func planDeviation(p *plan, r *Rule) (judge, error) {
	x, floats, err := p.numbersOf(r, r.Parameters[0])
	if err != nil {
		return nil, err
	}
	w, err := p.where(r)
	if err != nil {
		return nil, err
	}
	count := p.scalar("count(" + x + ")" + filter(w))
	odd, finite := "", w
	if floats {
		// The engines refuse to square what is not finite; the result is NaN.
		odd = p.scalar(CountIf(both(w, "NOT "+p.dialect.IsFinite(x))))
		finite = both(w, p.dialect.IsFinite(x))
	}
	variance := p.scalar("var_pop(" + x + ")" + filter(finite))
	name := r.Parameters[0].Value
	return func(context.Context) outcome {
		s, err := p.share(variance, count)
		if err != nil {
			return erred(err)
		}
		if s.total == 0 {
			return noRows(r)
		}
		v := s.part
		if odd != "" {
			n, err := p.count(odd)
			if err != nil {
				return erred(err)
			}
			if n > 0 {
				v = math.NaN()
			}
		}
		what := "variance"
		if r.Type == "StandardDeviation" {
			v, what = math.Sqrt(v), "standard deviation"
		}
		return measured("the "+what+" of "+name, v, r.Condition, Metrics{"Column." + name + "." + r.Type: v})
	}, nil
}

// planCorrelation is Pearson's correlation over the rows that have both values. It is
// NaN where one of the columns has one value only.
func planCorrelation(p *plan, r *Rule) (judge, error) {
	x, _, err := p.numbersOf(r, r.Parameters[0])
	if err != nil {
		return nil, err
	}
	y, _, err := p.numbersOf(r, r.Parameters[1])
	if err != nil {
		return nil, err
	}
	w, err := p.where(r)
	if err != nil {
		return nil, err
	}
	pair := x + " IS NOT NULL AND " + y + " IS NOT NULL"
	finite := both(w, p.dialect.IsFinite(x)+" AND "+p.dialect.IsFinite(y))
	pairs, whole := p.scalar(CountIf(both(w, pair))), p.scalar(CountIf(finite))
	// Moments, not corr(): the engines differ in what corr is where a column is constant.
	covariance := p.scalar("covar_pop(" + x + ", " + y + ")" + filter(finite))
	vx, vy := p.scalar("var_pop("+x+")"+filter(finite+" AND "+y+" IS NOT NULL")), p.scalar("var_pop("+y+")"+filter(finite+" AND "+x+" IS NOT NULL"))
	a, b := r.Parameters[0].Value, r.Parameters[1].Value
	return func(context.Context) outcome {
		values := make([]float64, 5)
		for i, id := range []string{pairs, whole, covariance, vx, vy} {
			var err error
			if values[i], err = p.count(id); err != nil {
				return erred(err)
			}
		}
		if values[0] == 0 {
			return noRows(r)
		}
		v := math.NaN()
		if values[0] == values[1] && values[3] > 0 && values[4] > 0 {
			v = max(-1, min(1, values[2]/(math.Sqrt(values[3])*math.Sqrt(values[4]))))
		}
		return measured("the correlation of "+a+" and "+b, v, r.Condition, Metrics{"Multicolumn." + a + "," + b + ".ColumnCorrelation": v})
	}, nil
}
