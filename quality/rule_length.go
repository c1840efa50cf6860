package quality

import (
	"context"
	"fmt"
	"strings"
)

// planLength judges the length of the text of every row, in code points. NULL has
// the length 0.
func planLength(p *plan, r *Rule) (judge, error) {
	col, err := p.find(r.Parameters[0])
	if err != nil {
		return nil, err
	}
	if col.Type.class() != textual {
		return nil, misplaced{r.Parameters[0].Pos, fmt.Errorf("%s is of type %s; ColumnLength wants a column of texts", col.Name, col.Type)}
	}
	w, err := p.where(r)
	if err != nil {
		return nil, err
	}
	length := lengthOf(col)
	total := p.countRows(w)
	pass := total
	if r.Condition != nil {
		condition, err := p.lengthPasses(r.Condition, col)
		if err != nil {
			return nil, err
		}
		pass = p.countRows(both(w, "("+condition+")"))
	}
	metrics := map[string]string{}
	least, greatest := lengthExtremes(r)
	if least {
		metrics["MinimumLength"] = p.minimum(length, w, false)
	}
	if greatest {
		metrics["MaximumLength"] = p.maximum(length, w, false)
	}
	name := r.Parameters[0].Value
	return func(context.Context) outcome {
		s, err := p.share(pass, total)
		if err != nil {
			return erred(err)
		}
		if s.total == 0 {
			return noRows(r)
		}
		m := Metrics{}
		for metric, aggregate := range metrics {
			v, err := p.count(aggregate)
			if err != nil {
				return erred(err)
			}
			m["Column."+name+"."+metric] = v
		}
		if len(m) == 0 {
			m["Column."+name+".LengthCompliance"] = s.ratio()
		}
		return all(s, m, fmt.Sprintf("the length of %s is not %s", name, r.Condition))
	}, nil
}

func lengthOf(col Column) string { return "COALESCE(length(" + Ident(col.Name) + "), 0)" }

// lengthPasses is the condition on the length of a row's text. No length is NULL.
func (p *plan) lengthPasses(c *Condition, col Column) (string, error) {
	x := lengthOf(col)
	literals := make([]string, 0, len(c.Operands))
	for _, o := range c.Operands {
		if isNull(o) {
			continue
		}
		l, err := numberLiteral(o, integral)
		if err != nil {
			return "", misplaced{o.Position(), err}
		}
		literals = append(literals, l)
	}
	switch c.Op {
	case Between:
		return x + " > " + literals[0] + " AND " + x + " < " + literals[1], nil
	case NotBetween:
		return x + " <= " + literals[0] + " OR " + x + " >= " + literals[1], nil
	case Greater, GreaterEqual, Less, LessEqual:
		return x + " " + string(c.Op) + " " + literals[0], nil
	}
	not := ""
	if c.Op == NotEqual || c.Op == NotIn {
		not = "NOT "
	}
	if len(literals) == 0 {
		return not + "FALSE", nil
	}
	return not + "(" + x + " IN (" + strings.Join(literals, ", ") + "))", nil
}

// lengthExtremes says which of the shortest and the longest length a rule reports.
func lengthExtremes(r *Rule) (least, greatest bool) {
	if r.Condition == nil {
		return true, true
	}
	switch r.Condition.Op {
	case Greater, GreaterEqual:
		return true, false
	case Less, LessEqual:
		return false, true
	case Equal, NotEqual, Between:
		return true, true
	}
	return false, false
}
