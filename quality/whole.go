package quality

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/tickerlake/tickerlake"
)

// A WholeRead is a rule that reads all rows at each evaluation.
type WholeRead struct {
	// Name is Rule_1 for the first rule, Rule the text of it or of the part of it
	// that reads.
	Name string `json:"name"`
	Rule string `json:"rule"`
	// Why says what keeps it from being put together from parts.
	Why string `json:"why"`
}

// WholeReads lists the rules that what is kept of the target's parts cannot answer,
// whatever has changed. The target needs columns and PartedBy; nothing is read.
func (e Engine) WholeReads(rs *Ruleset, t Target) []WholeRead {
	t.Parts = []Part{{Key: "any", From: t.From}}
	v, err := e.evaluation(rs, t)
	if err != nil {
		return nil
	}
	var out []WholeRead
	var visit func(name string, r *Rule)
	visit = func(name string, r *Rule) {
		for _, n := range r.Nested {
			visit(name, n)
		}
		if r.Type == Composite {
			return
		}
		settled, err := r.settle(sample)
		if err != nil {
			return
		}
		if p, _, err := v.leaf(settled); err == nil && p.why() != "" {
			out = append(out, WholeRead{Name: name, Rule: r.String(), Why: p.why()})
		}
	}
	for i, r := range rs.Rules {
		visit(ruleName(i), r)
	}
	for i, a := range rs.Analyzers {
		visit(analyzerName(i), a)
	}
	return out
}

func analyzerName(i int) string { return fmt.Sprintf("Analyzer_%d", i+1) }

func ruleName(i int) string { return fmt.Sprintf("Rule_%d", i+1) }

// Find gives the rule of that name (Rule_3), number (3) or text, and its name.
func (rs *Ruleset) Find(name string) (string, *Rule, error) {
	wanted := strings.TrimSpace(name)
	if n, err := strconv.Atoi(strings.TrimPrefix(wanted, "Rule_")); err == nil {
		if n < 1 || n > len(rs.Rules) {
			return "", nil, tickerlake.Errorf(tickerlake.NotFound, "quality.Find", name, "there is no such rule: the ruleset has Rule_1 to Rule_%d", len(rs.Rules))
		}
		return ruleName(n - 1), rs.Rules[n-1], nil
	}
	if one, err := Parse("Rules = [ " + wanted + " ]"); err == nil && len(one.Rules) == 1 {
		wanted = one.Rules[0].String()
	}
	for i, r := range rs.Rules {
		if resolved(r).String() == wanted || r.String() == wanted {
			return ruleName(i), r, nil
		}
	}
	return "", nil, tickerlake.Errorf(tickerlake.NotFound, "quality.Find", name,
		"there is no such rule; name one of Rule_1 to Rule_%d, or its text as tickerlake check prints it", len(rs.Rules))
}
