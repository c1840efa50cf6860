package quality_test

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"testing"

	"github.com/tickerlake/tickerlake/quality"
)

type evaluateCase struct {
	ID, Group    string
	Table        string
	Rule         string
	Outcome      string
	Metrics      map[string]any
	ReasonClass  string `json:"reason_class"`
	Quirk        string
	GuideOutcome string         `json:"guide_outcome"`
	GuideMetrics map[string]any `json:"guide_metrics"`
}

// TestEvaluateAgreement compares outcome and metrics of every case with what AWS's executor made of it, or with the guide's answer where the
// case has one.
func TestEvaluateAgreement(t *testing.T) {
	cases := readLines[evaluateCase](t, "evaluate.jsonl")
	d := openDatabase(t)
	targets := tables(t, d)
	agree, of := 0, 0
	for _, c := range cases {
		rs, err := quality.Parse("Rules = [ " + c.Rule + " ]")
		of++
		why := ""
		if err != nil {
			why = "refused: " + err.Error()
		} else {
			res, err := engine(d).Evaluate(context.Background(), rs, targets[c.Table])
			if err != nil {
				t.Fatal(err)
			}
			why = compare(c, res.RuleResults[0])
		}
		if why != "" {
			t.Logf("%s on %s: %s\n  %s", c.ID, c.Table, c.Rule, why)
			continue
		}
		agree++
	}
	fmt.Printf("dqdl evaluate: %d of %d agree\n", agree, of)
	if share := float64(agree) / float64(of); share < wantShare(t, "evaluate") {
		t.Errorf("a share of %.4f agrees, below the recorded %.4f", share, wantShare(t, "evaluate"))
	}
}

func compare(c evaluateCase, got quality.RuleResult) string {
	want, metrics := c.Outcome, c.Metrics
	if c.GuideOutcome != "" {
		want, metrics = c.GuideOutcome, c.GuideMetrics
	} else if c.Quirk != "" {
		return "" // the outcome itself is the quirk
	}
	other := c.GuideOutcome == "" && c.ReasonClass != "" && c.ReasonClass != "condition" && c.ReasonClass != "no-data"
	switch {
	case want == "Passed" && got.Result == quality.Pass, want == "Failed" && got.Result == quality.Fail:
	case got.Result == quality.Erred && (other || want == "error"):
		return ""
	case c.GuideOutcome == "" && c.Group == "unsupported":
		return "" // functions in conditions: only the guide speaks, the executor has none
	default:
		return fmt.Sprintf("%s (%s), want %s", got.Result, got.EvaluationMessage, want)
	}
	for name, w := range metrics {
		v, ok := got.EvaluatedMetrics[name]
		if !ok {
			continue
		}
		x, isNumber := w.(float64)
		if s, ok := w.(string); ok {
			x, _ = strconv.ParseFloat(s, 64)
			isNumber = true
		}
		same := v == x || math.IsNaN(v) && math.IsNaN(x) || math.Abs(v-x) <= 1e-9*math.Max(math.Abs(v), math.Abs(x))
		if !isNumber || !same {
			return fmt.Sprintf("%s is %v, want %v", name, v, w)
		}
	}
	return ""
}
