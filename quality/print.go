package quality

import (
	"fmt"
	"strings"
)

// String is the ruleset as text that Parse accepts and understands the same way.
func (rs *Ruleset) String() string {
	var b strings.Builder
	if rs.Version != "" {
		fmt.Fprintf(&b, "Metadata = { \"Version\": \"%s\" }\n", rs.Version)
	}
	if rs.Primary != "" || len(rs.Additional) > 0 {
		var parts []string
		if rs.Primary != "" {
			parts = append(parts, `"Primary": "`+rs.Primary+`"`)
		}
		if len(rs.Additional) > 0 {
			parts = append(parts, `"AdditionalDataSources": [ "`+strings.Join(rs.Additional, `", "`)+`" ]`)
		}
		fmt.Fprintf(&b, "DataSources = { %s }\n", strings.Join(parts, ", "))
	}
	for _, v := range rs.Variables {
		texts := make([]string, len(v.Texts))
		for i, t := range v.Texts {
			texts[i] = t.String()
		}
		if v.List {
			fmt.Fprintf(&b, "%s = [%s]\n", v.Name, strings.Join(texts, ", "))
		} else {
			fmt.Fprintf(&b, "%s = %s\n", v.Name, texts[0])
		}
	}
	if len(rs.DefaultLabels) > 0 {
		fmt.Fprintf(&b, "DefaultLabels = %s\n", labelList(rs.DefaultLabels))
	}
	section := func(name string, rules []*Rule) {
		fmt.Fprintf(&b, "%s = [", name)
		for i, r := range rules {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString("\n    " + r.String())
		}
		b.WriteString("\n]\n")
	}
	if len(rs.Rules) > 0 || len(rs.Analyzers) == 0 {
		section("Rules", rs.Rules)
	}
	if len(rs.Analyzers) > 0 {
		section("Analyzers", rs.Analyzers)
	}
	return b.String()
}

func labelList(labels []Label) string {
	parts := make([]string, len(labels))
	for i, l := range labels {
		parts[i] = `"` + l.Key + `" = "` + l.Value + `"`
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// String is the rule as text, without the labels it inherits.
func (r *Rule) String() string {
	if r.Type == Composite {
		left, right := "("+r.Nested[0].String()+")", "("+r.Nested[1].String()+")"
		if r.Nested[0].Operator == r.Operator && len(r.Nested[0].own) == 0 {
			left = r.Nested[0].String() // a chain, which groups to the left by itself
		}
		s := left + " " + r.Operator + " " + right
		if len(r.own) > 0 {
			s = "(" + s + ") labels = " + labelList(r.own)
		}
		return s
	}
	parts := []string{r.Type}
	for _, p := range r.Parameters {
		if p.Connector != "" {
			parts = append(parts, p.Connector)
		}
		switch {
		case p.Variable != "":
			parts = append(parts, "$"+p.Variable)
		case p.Bare:
			parts = append(parts, p.Value)
		default:
			parts = append(parts, `"`+p.Value+`"`)
		}
	}
	if r.Condition != nil {
		parts = append(parts, r.Condition.String())
	}
	if r.Where != "" {
		parts = append(parts, `where "`+r.Where+`"`)
	}
	if len(r.own) > 0 {
		parts = append(parts, "labels = "+labelList(r.own))
	}
	if r.Threshold != nil {
		parts = append(parts, "with threshold "+r.Threshold.String())
	}
	for _, t := range r.Tags {
		parts = append(parts, `with `+t.Key+` = "`+t.Value+`"`)
	}
	return strings.Join(parts, " ")
}

// String is the condition as text.
func (c *Condition) String() string {
	switch c.Op {
	case Between, NotBetween:
		return fmt.Sprintf("%s %s and %s", c.Op, c.Operands[0], c.Operands[1])
	case In, NotIn:
		if c.Variable != "" {
			return string(c.Op) + " $" + c.Variable
		}
		parts := make([]string, len(c.Operands))
		for i, o := range c.Operands {
			parts[i] = o.String()
		}
		return fmt.Sprintf("%s [%s]", c.Op, strings.Join(parts, ", "))
	}
	return fmt.Sprintf("%s %s", c.Op, c.Operands[0])
}

// String is the operand as text.
func (n Number) String() string { return n.Value }

// String is the operand as text; what stands right of an operator is in
// parentheses if it has an operator itself.
func (b Binary) String() string {
	right := b.Right.String()
	if _, ok := b.Right.(Binary); ok {
		right = "(" + right + ")"
	}
	return b.Left.String() + " " + b.Op + " " + right
}

// String is the operand as text.
func (c Call) String() string {
	args := make([]string, len(c.Args))
	for i, a := range c.Args {
		args[i] = a.String()
	}
	return c.Name + "(" + strings.Join(args, ", ") + ")"
}

// String is the operand as text.
func (k Keyword) String() string { return k.Name }

// String is the operand as text.
func (t Text) String() string {
	if t.Variable != "" {
		return "$" + t.Variable
	}
	return `"` + t.Raw + `"`
}

// String is the operand as text.
func (d Date) String() string {
	switch {
	case d.Sign != "":
		return fmt.Sprintf("(now() %s %s)", d.Sign, d.Offset)
	case d.Now:
		return "now()"
	case d.Clock != "":
		return `"` + d.Clock + `"`
	}
	return `"` + d.Day.Format("2006-01-02") + `"`
}

// String is the operand as text.
func (d Duration) String() string { return fmt.Sprintf("%d %s", d.Amount, d.Unit) }

// String is the operand as text.
func (s Size) String() string {
	if s.bare {
		return fmt.Sprint(s.Amount)
	}
	return fmt.Sprintf("%d %s", s.Amount, s.Unit)
}
