package lake

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/internal/fault"
	"github.com/tickerlake/tickerlake/quality"
)

// Quality judges each candidate by the rules of the pipeline and records what every
// rule said. If rules over single rows fail, the symbols whose new rows break them
// are set aside, and the candidate without them is judged again. It fails with
// tickerlake.GateFailed if a rule still fails.
func (l *Lake) Quality(ctx context.Context, run Run) error {
	for {
		var c candidates
		if ok, err := l.noted(run.ID(), "candidates.json", &c); err != nil || !ok {
			return missing("candidates.json", err)
		}
		if whole, err := l.standing(ctx, run.ID(), c); err != nil {
			return err
		} else if !whole {
			// The job was cut off while it built them anew.
			if err := l.build(ctx, run, c); err != nil {
				return err
			}
			continue
		}
		if l.Rules == nil {
			return nil
		}
		failed, aside, err := l.judge(ctx, run, c)
		if err != nil {
			return err
		}
		fault.Point("quality.judged")
		if len(failed) == 0 {
			return nil
		}
		if len(aside) == 0 {
			return tickerlake.Errorf(tickerlake.GateFailed, "lake.Quality", "",
				"the quality gate was not passed, prod stays as it was: %s", strings.Join(failed, "; "))
		}
		if c.SetAside == nil {
			c.SetAside = map[string][]Skip{}
		}
		for table, skips := range aside {
			for _, s := range skips {
				run.Log().WarnContext(ctx, "symbol is set aside: its new rows break a rule", "table", table, "symbol", s.Symbol, "rule", s.Reason)
			}
			c.SetAside[table] = append(c.SetAside[table], skips...)
		}
		c.Build++
		if err := l.build(ctx, run, c); err != nil {
			return err
		}
	}
}

// standing reports whether the run's branches are the candidates that are noted, so
// that what is judged is what is published.
func (l *Lake) standing(ctx context.Context, run string, c candidates) (bool, error) {
	for _, t := range c.Tables {
		for name, want := range map[string]int64{t.Table: t.Snapshot, t.Table + revisionsSuffix: t.Revisions} {
			if want == 0 {
				continue
			}
			got, err := l.Catalog.LoadTable(ctx, l.prod(), name)
			if err != nil {
				return false, err
			}
			if head := headOf(got, branchOf(run)); head == nil || *head != want {
				return false, nil
			}
		}
	}
	return true, nil
}

// judge evaluates the rules on every candidate. It tells which failed, and which
// symbols to set aside, by table.
func (l *Lake) judge(ctx context.Context, run Run, c candidates) (failed []string, aside map[string][]Skip, err error) {
	aside = map[string][]Skip{}
	for i, t := range c.Tables {
		run.Report(float64(i)/float64(len(c.Tables)), run.Counts())
		if t.Snapshot == 0 || t.Table == tickerlake.ActionsTable { // the rules are of bars
			continue
		}
		v, err := l.tableView(ctx, t.Table, branchOf(run.ID()))
		if err == nil {
			err = l.Readable(ctx, v)
		}
		if err != nil {
			return nil, nil, err
		}
		target, err := l.target(ctx, v)
		if err != nil {
			return nil, nil, err
		}
		if l.Scope == quality.Touched {
			if err := l.touch(ctx, &target, v); err != nil {
				return nil, nil, err
			}
		}
		if err := l.beside(ctx, &target, l.Rules, v, branchOf(run.ID())); err != nil {
			return nil, nil, err
		}
		e := l.judgeOf(v)
		e.State, e.Scope = kept{l.Catalog, v.Name, true}, l.Scope
		res, err := e.Evaluate(ctx, l.Rules, target)
		if err != nil {
			return nil, nil, err
		}
		if err := l.Catalog.KeepMeasured(ctx, v.Name, run.ID(), res.Statistics); err != nil {
			return nil, nil, err
		}
		if err := l.recordResult(ctx, run.ID(), c.Build, v, res); err != nil {
			return nil, nil, err
		}
		for _, r := range res.Failed() {
			failed = append(failed, fmt.Sprintf("%s.%s: %s: %s", v.Database, v.Name, r.Description, r.EvaluationMessage))
			skips, err := l.breakers(ctx, e, r, target, v, t)
			if err != nil {
				return nil, nil, err
			}
			for _, s := range skips {
				if !slices.ContainsFunc(aside[t.Table], func(o Skip) bool { return o.Symbol == s.Symbol }) {
					aside[t.Table] = append(aside[t.Table], s)
				}
			}
		}
	}
	return failed, aside, nil
}

// breakers finds the symbols whose new rows break a rule over single rows.
func (l *Lake) breakers(ctx context.Context, e quality.Engine, r quality.RuleResult, target quality.Target, v View, t Candidate) ([]Skip, error) {
	if r.Rule == nil || r.Result != quality.Fail || len(t.New) == 0 {
		return nil, nil
	}
	if len(e.WholeReads(&quality.Ruleset{Rules: []*quality.Rule{r.Rule}}, target)) == 0 || e.Scope == quality.Touched {
		// What it takes to see a new row break the rule lies in its partition.
		if err := l.touch(ctx, &target, v); err != nil {
			return nil, err
		}
		target, _ = target.OnlyTouched()
	}
	violations, ok := e.Violations(ctx, r.Rule, target)
	if !ok {
		return nil, nil
	}
	_, rows, err := l.Engine.Query(ctx, "SELECT DISTINCT v.symbol FROM ("+violations+") v WHERE EXISTS (SELECT 1 FROM "+
		l.Engine.Relation(t.New)+" n WHERE n.symbol = v.symbol AND n.ts = v.ts) ORDER BY 1")
	if err != nil {
		return nil, err
	}
	var out []Skip
	for _, row := range rows {
		symbol, _ := row[0].(string)
		out = append(out, Skip{Symbol: symbol, Reason: "rule " + r.Description})
	}
	return out, nil
}

func (l *Lake) recordResult(ctx context.Context, run string, build int, v View, res *quality.Result) error {
	var events []any
	add := func(name, rule, result, message string, measured quality.Metrics) error {
		metrics, err := json.Marshal(measured)
		events = append(events, tickerlake.QualityResult{
			ID: fmt.Sprintf("%s/%d/%s/%s", run, build, v.Name, name), Run: run, Table: v.Name, Snapshot: v.Snapshot, Rule: rule,
			Result: result, Message: message, Metrics: string(metrics), Score: res.Score, At: l.now(),
		})
		return err
	}
	for _, r := range res.RuleResults {
		if err := add(r.Name, r.Description, string(r.Result), r.EvaluationMessage, r.EvaluatedMetrics); err != nil {
			return err
		}
	}
	for _, a := range res.AnalyzerResults {
		if err := add(a.Name, a.Description, "MEASURED", a.EvaluationMessage, a.EvaluatedMetrics); err != nil {
			return err
		}
	}
	return l.Events.Emit(ctx, "quality_results", events...)
}
