package quality

import (
	"context"
	"fmt"
	"strings"
)

// where is the rule's where in parentheses, empty without one.
func (p *plan) where(r *Rule) (string, error) {
	if r.Where == "" {
		return "", nil
	}
	w, err := fragment(unescapeQuotes(r.Where))
	if err != nil {
		return "", misplaced{r.WherePos, fmt.Errorf("where: %w", err)}
	}
	return "(" + w + ")", nil
}

// countRows counts the rows where the condition holds, all if it is empty.
func (p *plan) countRows(where string) string {
	if where == "" {
		return p.scalar("count(*)")
	}
	return p.scalar(CountIf(where))
}

// planRowCount counts rows. No rows are a count like any other.
func planRowCount(p *plan, r *Rule) (judge, error) {
	w, err := p.where(r)
	if err != nil {
		return nil, err
	}
	rows := p.countRows(w)
	return func(context.Context) outcome {
		n, err := p.count(rows)
		if err != nil {
			return erred(err)
		}
		return measured("the number of rows", n, r.Condition, Metrics{"Dataset.*.RowCount": n})
	}, nil
}

// planCompleteness measures the share of values that are not NULL, for
// Completeness and IsComplete. NaN is a value.
func planCompleteness(p *plan, r *Rule) (judge, error) {
	col, err := p.find(r.Parameters[0])
	if err != nil {
		return nil, err
	}
	w, err := p.where(r)
	if err != nil {
		return nil, err
	}
	total, complete := p.countRows(w), p.scalar(CountIf(both(w, Ident(col.Name)+" IS NOT NULL")))
	name := r.Parameters[0].Value
	return func(context.Context) outcome {
		s, err := p.share(complete, total)
		if err != nil {
			return erred(err)
		}
		if s.total == 0 {
			return noRows(r)
		}
		m := Metrics{"Column." + name + ".Completeness": s.ratio()}
		if r.Condition != nil {
			return measured("the completeness of "+name, s.ratio(), r.Condition, m)
		}
		return all(s, m, name+" is NULL")
	}, nil
}

// A share is a part of the rows.
type share struct{ part, total float64 }

func (s share) ratio() float64 { return s.part / s.total }

func (p *plan) share(part, total string) (s share, err error) {
	if s.part, err = p.count(part); err != nil {
		return s, err
	}
	s.total, err = p.count(total)
	return s, err
}

// all passes if the part is the whole; what says what is wrong with the others.
func all(s share, m Metrics, what string) outcome {
	if s.part == s.total {
		return outcome{verdict: Pass, metrics: m, message: fmt.Sprintf("all %s rows pass", show(s.total))}
	}
	return outcome{verdict: Fail, metrics: m,
		message: fmt.Sprintf("%s in %s of %s rows", what, show(s.total-s.part), show(s.total))}
}

// A key is the columns of a uniqueness rule.
type key struct {
	names  []string // as the rule writes them
	idents []string
	where  string
}

func (p *plan) key(r *Rule) (k key, err error) {
	for _, param := range r.Parameters {
		col, err := p.find(param)
		if err != nil {
			return k, err
		}
		k.names = append(k.names, param.Value)
		k.idents = append(k.idents, Ident(col.Name))
	}
	k.where, err = p.where(r)
	return k, err
}

// set is true for a row with a value in at least one column.
func (k key) set() string {
	return "(" + strings.Join(k.idents, " IS NOT NULL OR ") + " IS NOT NULL)"
}

// metric is the name of a metric of the columns.
func (k key) metric(measure string) string {
	if len(k.names) == 1 {
		return "Column." + k.names[0] + "." + measure
	}
	return "Multicolumn." + strings.Join(k.names, ",") + "." + measure
}

// groups are the rows with a value by their key. NULL beside a value is a value like
// any other.
func (k key) groups() grouping { return grouping{idents: k.idents, where: both(k.where, k.set())} }

// unique asks for the rows whose value no other row has, and those with a value.
func (p *plan) unique(k key) (once, rows string) {
	return p.groups(k.groups(), CountIf("n = 1")), p.groups(k.groups(), "sum(n)")
}

// planUniqueness is for Uniqueness and IsUnique. Rows without a value do not count.
func planUniqueness(p *plan, r *Rule) (judge, error) {
	k, err := p.key(r)
	if err != nil {
		return nil, err
	}
	rows := p.countRows(k.where)
	once, keyed := p.unique(k)
	return func(context.Context) outcome {
		n, err := p.count(rows)
		if err != nil {
			return erred(err)
		}
		if n == 0 {
			return noRows(r)
		}
		s, err := p.share(once, keyed)
		if err != nil {
			return erred(err)
		}
		name := strings.Join(k.names, ", ")
		if s.total == 0 {
			return noValues(r)
		}
		m := Metrics{k.metric("Uniqueness"): s.ratio()}
		if r.Condition != nil {
			return measured("the uniqueness of "+name, s.ratio(), r.Condition, m)
		}
		return all(s, m, name+" is not unique")
	}, nil
}

// planPrimaryKey wants every column complete and all of them together unique.
func planPrimaryKey(p *plan, r *Rule) (judge, error) {
	k, err := p.key(r)
	if err != nil {
		return nil, err
	}
	rows := p.countRows(k.where)
	complete := make([]string, len(k.idents))
	for i, c := range k.idents {
		complete[i] = p.scalar(CountIf(both(k.where, c+" IS NOT NULL")))
	}
	once, keyed := p.unique(k)
	return func(context.Context) outcome {
		n, err := p.count(rows)
		if err != nil {
			return erred(err)
		}
		if n == 0 {
			return noRows(r)
		}
		o := outcome{verdict: Pass, metrics: Metrics{}}
		var wrong []string
		for i, c := range complete {
			s, err := p.share(c, rows)
			if err != nil {
				return erred(err)
			}
			o.metrics["Column."+k.names[i]+".Completeness"] = s.ratio()
			if s.part != s.total {
				wrong = append(wrong, all(s, nil, k.names[i]+" is NULL").message)
			}
		}
		s, err := p.share(once, keyed)
		if err != nil {
			return erred(err)
		}
		if s.total > 0 {
			o.metrics[k.metric("Uniqueness")] = s.ratio()
			if s.part != s.total {
				wrong = append(wrong, all(s, nil, strings.Join(k.names, ", ")+" is not unique").message)
			}
		}
		o.message = fmt.Sprintf("all %s rows pass", show(n))
		if len(wrong) > 0 {
			o.verdict, o.message = Fail, strings.Join(wrong, "; ")
		}
		return o
	}, nil
}
