package quality

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// planColumnCount counts the columns.
func planColumnCount(p *plan, r *Rule) (judge, error) {
	n := float64(len(p.target.Columns))
	return func(context.Context) outcome {
		return measured("the number of columns", n, r.Condition, Metrics{"Dataset.*.ColumnCount": n})
	}, nil
}

// planColumnExists looks for a column by its exact name, with case.
func planColumnExists(p *plan, r *Rule) (judge, error) {
	name := unescape(r.Parameters[0].Value)
	there := slices.ContainsFunc(p.target.Columns, func(c Column) bool { return c.Name == name })
	return func(context.Context) outcome {
		m := Metrics{"Dataset." + r.Parameters[0].Value + ".ColumnExists": 0}
		if !there {
			return outcome{verdict: Fail, metrics: m, message: fmt.Sprintf("%s has no column %q", p.target.Name, name)}
		}
		m["Dataset."+r.Parameters[0].Value+".ColumnExists"] = 1
		return outcome{verdict: Pass, metrics: m, message: fmt.Sprintf("%s has the column %q", p.target.Name, name)}
	}, nil
}

// planColumnNames wants the expression to be found, anywhere, in the name of every
// column.
func planColumnNames(p *plan, r *Rule) (judge, error) {
	pattern := r.Parameters[0]
	re, err := regexp.Compile(unescapeQuotes(pattern.Value))
	if err != nil {
		return nil, misplaced{pattern.Pos, fmt.Errorf("the expression %q cannot be read: %w", pattern.Value, err)}
	}
	return func(context.Context) outcome {
		var others []string
		for _, c := range p.target.Columns {
			if !re.MatchString(c.Name) {
				others = append(others, c.Name)
			}
		}
		total := float64(len(p.target.Columns))
		if total == 0 {
			return outcome{verdict: Fail, message: "there are no columns"}
		}
		m := Metrics{"Dataset.*.ColumnNamesPatternMatchRatio": (total - float64(len(others))) / total}
		if len(others) > 0 {
			return outcome{verdict: Fail, metrics: m, message: "not matched: " + strings.Join(others, ", ")}
		}
		return outcome{verdict: Pass, metrics: m, message: fmt.Sprintf("all %s columns match", show(total))}
	}, nil
}
