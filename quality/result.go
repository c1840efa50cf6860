package quality

import (
	"encoding/json"
	"math"
	"strconv"
)

// A Verdict is the outcome of a rule.
type Verdict string

// The verdicts. An ERROR is a rule that could not be judged.
const (
	Pass  Verdict = "PASS"
	Fail  Verdict = "FAIL"
	Erred Verdict = "ERROR"
)

// A Result is the outcome of a ruleset, with the field names of Glue's.
type Result struct {
	// Score is the share of rules that passed, 0 to 1.
	Score       float64      `json:"Score"`
	RuleResults []RuleResult `json:"RuleResults"`
	// AnalyzerResults are what the analyzers measured; they do not count for Score.
	AnalyzerResults []AnalyzerResult `json:"AnalyzerResults,omitempty"`
	// Metadata are those of the ruleset.
	Metadata map[string]string `json:"Metadata,omitempty"`
	// Statistics are all finite values that were measured, by the names under which a
	// History is asked for them at later evaluations.
	Statistics map[string]float64 `json:"-"`
}

// A RuleResult is the outcome of one rule.
type RuleResult struct {
	// Name is Rule_1 for the first rule.
	Name string `json:"Name"`
	// Description is the rule as written.
	Description string `json:"Description"`
	// EvaluationMessage says what was measured, and what is wrong.
	EvaluationMessage string  `json:"EvaluationMessage"`
	Result            Verdict `json:"Result"`
	EvaluatedMetrics  Metrics `json:"EvaluatedMetrics"`
	// EvaluatedRule is the rule with what its variables and functions gave.
	EvaluatedRule string            `json:"EvaluatedRule"`
	Labels        map[string]string `json:"Labels,omitempty"`
	Tags          map[string]string `json:"Tags,omitempty"`

	// Rule is the rule, with numbers in the place of functions.
	Rule *Rule `json:"-"`
}

// Passed reports whether every rule passed.
func (r *Result) Passed() bool {
	for _, x := range r.RuleResults {
		if x.Result != Pass {
			return false
		}
	}
	return true
}

// Failed lists the rules that did not pass.
func (r *Result) Failed() []RuleResult {
	var failed []RuleResult
	for _, x := range r.RuleResults {
		if x.Result != Pass {
			failed = append(failed, x)
		}
	}
	return failed
}

// Metrics are measured values by name: Column.close.Completeness.
type Metrics map[string]float64

// MarshalJSON writes NaN and the infinities, for which JSON has no numbers, as
// texts.
func (m Metrics) MarshalJSON() ([]byte, error) {
	out := make(map[string]any, len(m))
	for k, v := range m {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			out[k] = strconv.FormatFloat(v, 'g', -1, 64)
		} else {
			out[k] = v
		}
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (m *Metrics) UnmarshalJSON(data []byte) error {
	var in map[string]json.RawMessage
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	*m = Metrics{}
	for k, raw := range in {
		var s string
		if json.Unmarshal(raw, &s) != nil {
			s = string(raw)
		}
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return err
		}
		(*m)[k] = v
	}
	return nil
}

// show writes a number as people read it.
func show(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
