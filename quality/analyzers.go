package quality

import (
	"context"
	"maps"
	"slices"
)

// An AnalyzerResult is what an analyzer measured, with the field names of Glue's.
type AnalyzerResult struct {
	// Name is Analyzer_1 for the first analyzer.
	Name string `json:"Name"`
	// Description is the analyzer as written.
	Description string `json:"Description"`
	// EvaluationMessage says what could not be measured, and why.
	EvaluationMessage string  `json:"EvaluationMessage"`
	EvaluatedMetrics  Metrics `json:"EvaluatedMetrics"`
}

func sortedNames(m Metrics) []string { return slices.Sorted(maps.Keys(m)) }

// planAll measures what the guide says of AllStatistics: rows, completeness and
// uniqueness, of texts the lengths, of numbers the extremes.
func planAll(p *plan, r *Rule) (judge, error) {
	col, err := p.find(r.Parameters[0])
	if err != nil {
		return nil, err
	}
	types := []string{"RowCount", "Completeness", "Uniqueness"}
	switch cls := col.Type.class(); {
	case cls == textual:
		types = append(types, "ColumnLength")
	case cls.numeric():
		types = append(types, "ColumnValues")
	}
	var parts []judge
	for _, name := range types {
		t, _ := typeOf(name)
		one := &Rule{Pos: r.Pos, Type: name, measures: true}
		if len(t.params) > 0 {
			one.Parameters = r.Parameters
		}
		j, err := t.plan(p, one)
		if err != nil {
			return nil, err
		}
		parts = append(parts, j)
	}
	return func(ctx context.Context) outcome {
		all := outcome{verdict: Pass, metrics: Metrics{}}
		for _, j := range parts {
			o := j(ctx)
			if o.verdict == Erred {
				return o
			}
			maps.Copy(all.metrics, o.metrics)
		}
		return all
	}, nil
}
