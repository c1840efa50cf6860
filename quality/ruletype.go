package quality

import (
	"slices"
	"strconv"
	"strings"
)

// A ruleType describes a type of rule: what may stand in it, and how to judge it.
type ruleType struct {
	name string
	// params are the names of the parameters; the last optional of them may be
	// left out.
	params   []string
	optional int
	// more is set if the last parameter may be repeated; the names then carry
	// numbers: always, or with alone only if there are several.
	more, alone bool
	// instead is set if the last parameter stands in place of a condition.
	instead   bool
	kinds     []Kind // of its condition; a type without a condition has none
	where     bool
	threshold bool
	analyzer  bool // may stand among analyzers
	// plan prepares the evaluation. That of the two types which measure by way of others
	// is chosen by plan.rule.
	plan planner
}

// ruleTypes describes every type of the language.
var ruleTypes = []ruleType{
	{name: "RowCount", kinds: numbers, where: true, analyzer: true, plan: planRowCount},
	{name: "RowCountMatch", params: []string{"ReferenceDatasetAlias"}, kinds: numbers, analyzer: true, plan: planRowCountMatch},
	{name: "ColumnCount", kinds: numbers, analyzer: true, plan: planColumnCount},
	{name: "Completeness", params: column, kinds: numbers, where: true, analyzer: true, plan: planCompleteness},
	{name: "IsComplete", params: column, kinds: none, where: true, plan: planCompleteness},
	{name: "ColumnDataType", params: column, kinds: texts, where: true, threshold: true, analyzer: true, plan: planDataType},
	{name: "ColumnNamesMatchPattern", params: []string{"PatternToMatch"}, kinds: none, plan: planColumnNames},
	{name: "ColumnExists", params: column, kinds: none, plan: planColumnExists},
	{name: "ColumnCorrelation", params: []string{"TargetColumn1", "TargetColumn2"}, kinds: numbers, where: true, analyzer: true, plan: planCorrelation},
	{name: "Uniqueness", params: column, more: true, alone: true, kinds: numbers, where: true, analyzer: true, plan: planUniqueness},
	{name: "IsUnique", params: column, more: true, alone: true, kinds: none, where: true, plan: planUniqueness},
	{name: "Mean", params: column, kinds: numbers, where: true, analyzer: true, plan: planSum},
	{name: "Sum", params: column, kinds: numbers, where: true, analyzer: true, plan: planSum},
	{name: "StandardDeviation", params: column, kinds: numbers, where: true, analyzer: true, plan: planDeviation},
	{name: "Variance", params: column, kinds: numbers, where: true, analyzer: true, plan: planDeviation},
	{name: "Entropy", params: column, kinds: numbers, where: true, analyzer: true, plan: planEntropy},
	{name: "DistinctValuesCount", params: column, kinds: numbers, where: true, analyzer: true, plan: planDistinct},
	{name: "UniqueValueRatio", params: column, kinds: numbers, where: true, analyzer: true, plan: planUniqueValueRatio},
	{name: "ColumnLength", params: column, kinds: numbers, where: true, analyzer: true, plan: planLength},
	{name: "IsPrimaryKey", params: column, more: true, kinds: none, where: true, plan: planPrimaryKey},
	{name: "ColumnValues", params: column, kinds: []Kind{KindNumber, KindText, KindDate}, where: true, threshold: true, analyzer: true, plan: planColumnValues},
	{name: "DataFreshness", params: column, kinds: []Kind{KindDuration}, where: true, analyzer: true, plan: planFreshness},
	{name: "CustomSql", params: []string{"CustomSqlStatement"}, kinds: []Kind{KindNone, KindNumber}, threshold: true, analyzer: true, plan: planCustomSQL},
	{name: "ReferentialIntegrity", params: []string{"PrimaryDatasetColumns", "ReferenceDatasetColumns"}, kinds: numbers, analyzer: true, plan: planReferentialIntegrity},
	{name: "DatasetMatch", params: []string{"ReferenceDatasetAlias", "KeyColumnMappings", "MatchColumnMappings"}, optional: 1, kinds: numbers, analyzer: true, plan: planDatasetMatch},
	{name: "SchemaMatch", params: []string{"ReferenceDatasetAlias"}, kinds: numbers, analyzer: true, plan: planSchemaMatch},
	{name: "AggregateMatch", params: []string{"AggregateExpression1", "AggregateExpression2"}, kinds: numbers, analyzer: true, plan: planAggregateMatch},
	{name: detectAnomalies, params: []string{"MetricParameter"}, more: true, kinds: none},
	{name: allStatistics, params: column, kinds: numbers, analyzer: true},
	{name: "FileMatch", params: []string{"DataPath", "CompareDataPath"}, optional: 2, instead: true, kinds: []Kind{KindText, KindNone}, analyzer: true, plan: planFileMatch},
	{name: "FileUniqueness", params: dataPath, optional: 1, kinds: numbers, analyzer: true, plan: planFileUniqueness},
	{name: "FileFreshness", params: dataPath, optional: 1, kinds: []Kind{KindDate}, threshold: true, analyzer: true, plan: planFileFreshness},
	{name: "FileSize", params: dataPath, optional: 1, kinds: []Kind{KindSize}, threshold: true, analyzer: true, plan: planFileSize},
}

var (
	column   = []string{"TargetColumn"}
	dataPath = []string{"DataPath"}
	none     = []Kind{KindNone}
	numbers  = []Kind{KindNumber}
	texts    = []Kind{KindText}
)

// typeOf finds a type by its exact name.
func typeOf(name string) (ruleType, bool) {
	for _, t := range ruleTypes {
		if t.name == name {
			return t, true
		}
	}
	return ruleType{}, false
}

// Types lists the rule types of the language.
func Types() []string {
	names := make([]string, len(ruleTypes))
	for i, t := range ruleTypes {
		names[i] = t.name
	}
	slices.Sort(names)
	return names
}

// takes reports whether the type may have n parameters.
func (t ruleType) takes(n int) bool {
	return n >= len(t.params)-t.optional && (n <= len(t.params) || t.more)
}

// wants describes the parameters for a message.
func (t ruleType) wants() string {
	n := len(t.params)
	switch {
	case n == 0:
		return "no parameters"
	case t.more:
		return "one parameter or more"
	case t.optional > 1:
		return "at most " + strconv.Itoa(n) + " parameters"
	case t.optional > 0:
		return strconv.Itoa(n-t.optional) + " or " + strconv.Itoa(n) + " parameters"
	case n == 1:
		return "one parameter"
	default:
		return strconv.Itoa(n) + " parameters"
	}
}

// parameterName is the name of parameter i of n.
func (t ruleType) parameterName(i, n int) string {
	if t.more {
		if t.alone && n == 1 {
			return t.params[0]
		}
		return t.params[0] + strconv.Itoa(i+1)
	}
	return t.params[i]
}

// allows reports whether a condition of kind k may stand in the type.
func (t ruleType) allows(k Kind) bool { return slices.Contains(t.kinds, k) }

// wantsCondition describes the conditions of the type for a message.
func (t ruleType) wantsCondition() string {
	if !slices.ContainsFunc(t.kinds, func(k Kind) bool { return k != KindNone }) {
		return "takes no condition"
	}
	var names []string
	for _, k := range t.kinds {
		if k != KindNone {
			names = append(names, conditionNames[k])
		}
	}
	return "wants " + strings.Join(names, " or ")
}

var conditionNames = map[Kind]string{
	KindNumber: "a condition on a number, as > 0.9", KindText: `a condition on a text, as in ["a", "b"]`,
	KindDate:     `a condition on a date, as > "2024-01-31" or <= now()`,
	KindDuration: "a condition on a duration, as <= 3 days", KindSize: "a condition on a size, as < 5 MB",
}

// nearest is the candidate that a misspelt name is closest to, empty if none is
// close.
func nearest(name string, candidates []string) string {
	best, least := "", len(name)/3+2
	for _, c := range candidates {
		if d := distance(strings.ToLower(name), strings.ToLower(c)); d < least {
			best, least = c, d
		}
	}
	return best
}

// distance is the number of letters to insert, remove or change (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// The types that measure by way of others: one is an analyzer only, the other a rule
// only.
const (
	allStatistics   = "AllStatistics"
	detectAnomalies = "DetectAnomalies"
)
