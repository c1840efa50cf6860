package quality

import (
	"context"
	"fmt"
)

// planLength judges the length of every text, in code points; NULL has length 0.
func planLength(p *plan, r *Rule) (judge, error) {
	col, err := p.find(r.Parameters[0])
	if err != nil {
		return nil, err
	}
	w, err := p.where(r)
	if err != nil {
		return nil, err
	}
	pass, err := p.lengthPasses(r, col)
	if err != nil {
		return nil, err
	}
	total, passing := p.countRows(w), p.scalar(CountIf(both(w, "("+pass+")")))
	low, high := "", ""
	switch r.Condition.Op {
	case Greater, GreaterEqual:
		low = p.minimum(lengthOf(col), w, false)
	case Less, LessEqual:
		high = p.maximum(lengthOf(col), w, false)
	case Equal, NotEqual, Between:
		low, high = p.minimum(lengthOf(col), w, false), p.maximum(lengthOf(col), w, false)
	}
	name := r.Parameters[0].Value
	return func(context.Context) outcome {
		s, err := p.share(passing, total)
		if err != nil {
			return erred(err)
		}
		if s.total == 0 {
			return noRows(r)
		}
		m := Metrics{}
		for metric, aggregate := range map[string]string{"MinimumLength": low, "MaximumLength": high} {
			if v, ok, err := p.value(aggregate); aggregate != "" && err == nil && ok {
				m["Column."+name+"."+metric] = v
			}
		}
		if len(m) == 0 {
			m["Column."+name+".LengthCompliance"] = s.ratio()
		}
		return all(s, m, fmt.Sprintf("the length of %s is not %s", name, r.Condition))
	}, nil
}

func lengthOf(col Column) string { return "COALESCE(length(" + Ident(col.Name) + "), 0)" }

// lengthPasses is the condition on the length of one value as SQL.
func (p *plan) lengthPasses(r *Rule, col Column) (string, error) {
	if col.Type.class() != textual {
		return "", misplaced{r.Parameters[0].Pos, fmt.Errorf("%s is of type %s; ColumnLength wants a column of texts", col.Name, col.Type)}
	}
	for _, o := range r.Condition.Operands {
		if _, err := numberLiteral(o, integral); err != nil {
			return "", misplaced{o.Position(), err}
		}
	}
	x := lengthOf(col)
	compare := func(op string, o Operand) string {
		l, _ := numberLiteral(o, integral)
		return x + " " + op + " " + l
	}
	return p.combine(x, r.Condition, func(o Operand) string { return compare("=", o) }, compare), nil
}
