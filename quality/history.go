package quality

import (
	"context"
	"math"
	"strings"
)

// A History tells what was measured at earlier evaluations of the same table.
type History interface {
	// Earlier gives up to n earlier values of a statistic, the newest first. The names
	// are those of Result.Statistics.
	Earlier(ctx context.Context, statistic string, n int) ([]float64, error)
}

// statistic is the name by which a metric of a rule is kept: the metric, and what of
// the rule its name does not tell.
func statistic(metric string, r *Rule) string {
	name := metric
	switch r.Type {
	case "CustomSql", "AggregateMatch", "DatasetMatch", "ReferentialIntegrity", "FileSize", "FileFreshness", "FileUniqueness", "FileMatch":
		for _, p := range r.Parameters {
			name += ` "` + p.Value + `"`
		}
		for _, t := range r.Tags {
			name += " with " + t.Key + ` = "` + t.Value + `"`
		}
	}
	if c := r.Condition; c != nil && (strings.HasSuffix(metric, "Compliance") || strings.HasSuffix(metric, ".PatternMatch")) {
		if r.written != nil {
			c = r.written
		}
		name += " " + c.String()
	}
	if r.Where != "" {
		name += ` where "` + r.Where + `"`
	}
	return nameOf(name)
}

// kept adds what a rule measured to statistics. What is not finite is no ground to
// compare with.
func kept(statistics map[string]float64, r *Rule, m Metrics) {
	for name, v := range m {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			statistics[statistic(name, r)] = v
		}
	}
}

// compared is the metric that operand i of the rule's condition is compared with, or
// its threshold's; empty if there is none.
func (r *Rule) compared(threshold bool, i int) string {
	first := ""
	if len(r.Parameters) > 0 {
		first = r.Parameters[0].Value
	}
	if threshold {
		return map[string]string{
			"ColumnValues":   "Column." + first + ".ColumnValues.Compliance",
			"ColumnDataType": "Column." + first + ".ColumnDataType.Compliance",
			"CustomSql":      "Dataset.*.CustomSQL.Compliance",
			"FileSize":       "Dataset.*.FileSize.Compliance",
			"FileFreshness":  "Dataset.*.FileFreshness.Compliance",
		}[r.Type]
	}
	switch r.Type {
	case "RowCount", "ColumnCount":
		return "Dataset.*." + r.Type
	case "CustomSql":
		return "Dataset.*.CustomSQL"
	case "FileUniqueness":
		return "Dataset.*.FileUniquenessRatio"
	case "RowCountMatch", "SchemaMatch", "DatasetMatch":
		return "Dataset." + first + "." + r.Type
	case "ReferentialIntegrity":
		alias, _, _ := reference(unescape(r.Parameters[1].Value))
		return "Column." + alias + ".ReferentialIntegrity"
	case "AggregateMatch":
		return aggregateMetric(r)
	case "ColumnCorrelation":
		return "Multicolumn." + first + "," + r.Parameters[1].Value + ".ColumnCorrelation"
	case "Completeness", "Mean", "Sum", "StandardDeviation", "Variance", "Entropy", "DistinctValuesCount", "UniqueValueRatio":
		return columnMetric(r)
	case "Uniqueness":
		var k key
		for _, p := range r.Parameters {
			k.names = append(k.names, p.Value)
		}
		return k.metric("Uniqueness")
	case "ColumnValues", "ColumnLength":
		suffix := map[string]string{"ColumnValues": "", "ColumnLength": "Length"}[r.Type]
		switch op := r.Condition.Op; {
		case op == Greater || op == GreaterEqual || op == Between && i == 0:
			return "Column." + first + ".Minimum" + suffix
		case op == Less || op == LessEqual || op == Between && i == 1:
			return "Column." + first + ".Maximum" + suffix
		}
	}
	return ""
}
