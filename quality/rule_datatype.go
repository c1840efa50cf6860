package quality

import (
	"context"
	"fmt"
	"strings"
)

// planDataType judges whether the values of a column can be read as a type.
func planDataType(p *plan, r *Rule) (judge, error) {
	if r.Condition == nil {
		return nil, fmt.Errorf("ColumnDataType measures nothing without a type; write it as a rule")
	}
	col, err := p.find(r.Parameters[0])
	if err != nil {
		return nil, err
	}
	w, err := p.where(r)
	if err != nil {
		return nil, err
	}
	pass, err := p.typePasses(r, col)
	if err != nil {
		return nil, err
	}
	total, passing := p.countRows(w), p.countRows(both(w, "("+pass+")"))
	name := r.Parameters[0].Value
	return func(context.Context) outcome {
		s, err := p.share(passing, total)
		if err != nil {
			return erred(err)
		}
		if s.total == 0 {
			return outcome{verdict: Pass, message: "no rows, so none of another type"}
		}
		m := Metrics{"Column." + name + ".ColumnDataType.Compliance": s.ratio()}
		if r.Threshold != nil {
			return measured("the share of rows that pass", s.ratio(), r.Threshold, m)
		}
		return all(s, m, fmt.Sprintf("the type of %s is not %s", name, r.Condition))
	}, nil
}

// typePasses is true for a row whose value can be read as the type, or with != for
// one whose value cannot, NULL among them.
func (p *plan) typePasses(r *Rule, col Column) (string, error) {
	c := r.Condition
	if c.Op != Equal && c.Op != NotEqual {
		return "", misplaced{c.Pos, fmt.Errorf("ColumnDataType compares with one type, by = or !=")}
	}
	t, ok := c.Operands[0].(Text)
	if !ok {
		return "", misplaced{c.Pos, fmt.Errorf("ColumnDataType wants the name of a type, not %s", c.Operands[0])}
	}
	name := strings.ToUpper(t.Value)
	_, _, isDecimal := decimalOf(name)
	switch name {
	case "BOOLEAN", "DATE", "TIMESTAMP", "INTEGER", "DOUBLE", "FLOAT", "LONG":
	default:
		if !isDecimal {
			return "", misplaced{t.Pos, fmt.Errorf("unknown type %q; the types are BOOLEAN, DATE, TIMESTAMP, INTEGER, DOUBLE, FLOAT, LONG and DECIMAL(p,s)", t.Value)}
		}
	}
	pass, err := "", error(nil)
	if format := tag(r, "format"); name == "DATE" && len(r.Tags) > 0 {
		switch {
		case !hasLabel(r.Tags, "format"):
			err = fmt.Errorf("ColumnDataType knows no tag %s; a date may have a format", r.Tags[0].Key)
		case format != "" && col.Type.class() == textual:
			pass = p.formatted(Ident(col.Name), format)
		default:
			pass, err = p.castable(col, name)
		}
	} else {
		pass, err = p.castable(col, name)
	}
	if err != nil {
		return "", misplaced{t.Pos, err}
	}
	if c.Op == NotEqual {
		return "NOT COALESCE(" + pass + ", FALSE)", nil
	}
	return pass, nil
}

// tag is the value of a rule's tag, empty without.
func tag(r *Rule, key string) string {
	for _, t := range r.Tags {
		if t.Key == key {
			return t.Value
		}
	}
	return ""
}
