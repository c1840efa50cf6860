package quality

import (
	"context"
	"math"
)

// planDistinct counts the values of a column; NULL is one of them, and no rows have
// none.
func planDistinct(p *plan, r *Rule) (judge, error) {
	k, err := p.key(r)
	if err != nil {
		return nil, err
	}
	values := p.groups(grouping{idents: k.idents, where: k.where}, "count(*)")
	return func(context.Context) outcome {
		n, err := p.count(values)
		if err != nil {
			return erred(err)
		}
		return measured("the number of distinct values of "+k.names[0], n, r.Condition, Metrics{k.metric("DistinctValuesCount"): n})
	}, nil
}

// planUniqueRatio measures the share of the values, NULL aside, that stand once.
func planUniqueRatio(p *plan, r *Rule) (judge, error) {
	k, err := p.key(r)
	if err != nil {
		return nil, err
	}
	once, values := p.groups(k.groups(), CountIf("n = 1")), p.groups(k.groups(), "count(*)")
	return func(context.Context) outcome {
		s, err := p.share(once, values)
		if err != nil {
			return erred(err)
		}
		if s.total == 0 {
			return noRows(r)
		}
		return measured("the share of unique values of "+k.names[0], s.ratio(), r.Condition, Metrics{k.metric("UniqueValueRatio"): s.ratio()})
	}, nil
}

// planEntropy is Shannon's entropy of the values, NULL aside, in nats: of n rows, of
// which n_i have value i, ln n - sum(n_i ln n_i) / n.
func planEntropy(p *plan, r *Rule) (judge, error) {
	k, err := p.key(r)
	if err != nil {
		return nil, err
	}
	rows, values := p.groups(k.groups(), "sum(n)"), p.groups(k.groups(), "count(*)")
	parts := p.groups(k.groups(), "sum(n * ln("+Cast("n", "double")+"))")
	return func(context.Context) outcome {
		s, err := p.share(parts, rows)
		if err != nil {
			return erred(err)
		}
		if s.total == 0 {
			return noRows(r)
		}
		n, err := p.count(values)
		if err != nil {
			return erred(err)
		}
		v := math.Log(s.total) - s.ratio()
		if n == 1 {
			v = 0 // exactly
		}
		return measured("the entropy of "+k.names[0], v, r.Condition, Metrics{k.metric("Entropy"): v})
	}, nil
}
