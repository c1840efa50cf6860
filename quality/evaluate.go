package quality

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake"
)

// An Engine judges targets by rulesets.
type Engine struct {
	Querier Querier
	Dialect Dialect
	Clock   tickerlake.Clock
	// Files are those that rules on files name; nil if there are only tables.
	Files Files
	// History has what was measured before; nil if nothing is kept.
	History History
	// State keeps what is measured of the parts of a target; nil keeps nothing.
	State State
	// Scope says what the rules judge that cannot be put together from parts; Table
	// if empty.
	Scope Scope
}

// A Scope is what rules judge that read all rows at each evaluation.
type Scope string

// The scopes: all of the table, or the parts that the run has touched.
const (
	Table   Scope = "table"
	Touched Scope = "touched"
)

// Check reports the rules and analyzers of a ruleset that Evaluate could not judge:
// for a type of column, a condition or a function that does not fit, and, if columns
// is not empty, for columns that are not there. Data sources are not looked for. The
// error holds one mistake for each; see Errors.
func Check(rs *Ruleset, columns []Column) error {
	var errs []error
	var visit func(r *Rule)
	visit = func(r *Rule) {
		for _, n := range r.Nested {
			visit(n)
		}
		if r.Type == Composite {
			return
		}
		p := plan{dialect: DuckDB, target: Target{Name: "the table", Columns: columns}}
		settled, err := r.settle(sample)
		if err == nil {
			_, err = p.rule(settled)
		}
		if err != nil {
			_, column := errors.AsType[missingColumn](err)
			_, source := errors.AsType[missingSource](err)
			if !source && (!column || len(columns) > 0) {
				errs = append(errs, mistake("quality.Check", position(r, err), "%s", err))
			}
		}
	}
	for _, r := range slices.Concat(rs.Rules, rs.Analyzers) {
		visit(r)
	}
	return errors.Join(errs...)
}

// position is the place of a rule that err complains about.
func position(r *Rule, err error) Position {
	if at, ok := errors.AsType[misplaced](err); ok {
		return at.pos
	}
	return r.Pos
}

// Evaluate judges the target by every rule. Measures that the target's parts give
// together are taken of those parts only of which the State does not have them. What
// else one row of aggregates can hold is taken over the whole target in one statement;
// uniqueness takes one for each set of columns, CustomSql its own. A rule that cannot
// be judged, for a column that is not there or a statement that fails, is an ERROR in
// the result and stops no other. The error is that of ctx or of the State.
func (e Engine) Evaluate(ctx context.Context, rs *Ruleset, t Target) (*Result, error) {
	v, err := e.evaluation(rs, t)
	var rules, analyzers []prepared
	for _, r := range rs.Rules {
		rules = append(rules, v.prepare(ctx, r, err))
	}
	for _, a := range rs.Analyzers {
		analyzers = append(analyzers, v.prepare(ctx, a, err))
	}
	for _, m := range []*measures{v.whole, v.touched} {
		if m == nil {
			continue
		}
		if err := m.take(ctx, v.plans[m]); err != nil {
			return nil, &tickerlake.Error{Code: tickerlake.CodeOf(err), Op: "quality.Evaluate", Name: t.Name, Err: err}
		}
	}
	res := &Result{Statistics: v.statistics}
	if rs.Version != "" {
		res.Metadata = map[string]string{"Version": rs.Version}
	}
	passed := 0
	for i, r := range rs.Rules {
		o := rules[i].judge(ctx)
		if err := ctx.Err(); err != nil {
			return nil, interrupted(err, t.Name)
		}
		if o.verdict == Pass {
			passed++
		}
		res.RuleResults = append(res.RuleResults, ruleResult(i, r, rules[i].rule, o))
	}
	if len(rs.Rules) > 0 {
		res.Score = float64(passed) / float64(len(rs.Rules))
	}
	for i, a := range rs.Analyzers {
		o := analyzers[i].judge(ctx)
		if err := ctx.Err(); err != nil {
			return nil, interrupted(err, t.Name)
		}
		res.AnalyzerResults = append(res.AnalyzerResults, analyzerResult(i, a, o))
	}
	return res, nil
}

// An evaluation is the judging of one target.
type evaluation struct {
	engine Engine
	now    time.Time
	// whole is measured of the target, touched of its touched parts, nil if rules
	// judge no less than all.
	whole, touched *measures
	plans          map[*measures][]*plan
	statistics     map[string]float64
}

// evaluation begins the judging of what the ruleset calls primary. The error is that
// there is no such table.
func (e Engine) evaluation(rs *Ruleset, t Target) (*evaluation, error) {
	t, err := t.primary(rs.Primary)
	v := &evaluation{engine: e, now: e.Clock().UTC(), plans: map[*measures][]*plan{}, statistics: map[string]float64{}}
	v.whole = newMeasures(e.Querier, e.State, t)
	if part, ok := t.OnlyTouched(); ok && e.Scope == Touched {
		v.touched = newMeasures(e.Querier, nil, part)
	}
	return v, err
}

// plan prepares one rule for what m measures.
func (v *evaluation) plan(r *Rule, m *measures, now time.Time) (*plan, judge, error) {
	p := &plan{dialect: v.engine.Dialect, target: m.target, now: now, measures: m, files: v.engine.Files, earlier: v.engine.earlier}
	p.target, r = m.target.judging(r)
	j, err := p.rule(r)
	return p, j, err
}

// A prepared rule is one with numbers in the place of functions, and its judge.
type prepared struct {
	rule  *Rule
	judge judge
}

// prepare prepares a rule or a composite. A mistake becomes a judge that says so, as
// does an error that all rules have.
func (v *evaluation) prepare(ctx context.Context, r *Rule, err error) prepared {
	if r.Type == Composite {
		a, b := v.prepare(ctx, r.Nested[0], err), v.prepare(ctx, r.Nested[1], err)
		settled := *r
		settled.Nested = []*Rule{a.rule, b.rule}
		return prepared{&settled, composite(r.Operator, a.judge, b.judge)}
	}
	settled := r
	if err == nil {
		settled, err = r.settle(v.engine.earlier(ctx))
	}
	var j judge
	if err == nil {
		j, err = v.judge(settled)
	}
	if err != nil {
		pos := position(r, err)
		return prepared{r, func(context.Context) outcome { return erred(fmt.Errorf("%s (at %s of the rules)", err, pos)) }}
	}
	return prepared{settled, func(ctx context.Context) outcome {
		o := j(ctx)
		if o.of == nil {
			o.of = settled
		}
		kept(v.statistics, o.of, o.metrics)
		return o
	}}
}

// judge prepares one rule, over the touched parts if it must read all rows and need
// not judge more.
func (v *evaluation) judge(r *Rule) (judge, error) {
	p, j, err := v.leaf(r)
	if err != nil {
		return nil, err
	}
	if v.touched != nil && p.why() != "" {
		if p, j, err = v.plan(r, v.touched, v.now); err != nil {
			return nil, err
		}
		j = v.limited(j)
	}
	v.plans[p.measures] = append(v.plans[p.measures], p)
	return j, nil
}

// leaf prepares a rule over the whole target. Aggregates that come out differently
// at another time, or after other results, have the clock or these in their text: they
// are not measured by parts.
func (v *evaluation) leaf(r *Rule) (*plan, judge, error) {
	p, j, err := v.plan(r, v.whole, v.now)
	if err != nil || len(p.target.Parts) == 0 {
		return p, j, err
	}
	const later = 500*24*time.Hour + 7*time.Hour + 11*time.Minute
	q, _, err := v.plan(r.otherwise(), v.whole, v.now.Add(later))
	for i := range p.asks {
		if err != nil || i >= len(q.asks) || p.asks[i].id != q.asks[i].id {
			p.asks[i].kind, p.asks[i].moves = notMerged, true
		}
	}
	return p, j, nil
}

// judging is the target and the rule without the rows that need not satisfy it, if it
// judges single rows.
func (t Target) judging(r *Rule) (Target, *Rule) {
	if t.Waived == "" {
		return t, r
	}
	switch r.Type {
	case "IsComplete", "Completeness", "ColumnValues", "ColumnLength", "ColumnDataType", "DataFreshness", "IsUnique", "Uniqueness", "IsPrimaryKey":
		c := *r
		// A line feed ends a comment of the rule's.
		if c.Where = "NOT " + t.Waived; r.Where != "" {
			c.Where = "(" + r.Where + "\n) AND NOT " + t.Waived
		}
		return t, &c
	case "ReferentialIntegrity", "CustomSql":
		if r.Condition == nil || r.Type == "ReferentialIntegrity" {
			t.From = "(SELECT * FROM " + t.From + " AS w WHERE NOT " + t.Waived + ")"
		}
	}
	return t, r
}

// limited says with each outcome that it is that of touched parts.
func (v *evaluation) limited(j judge) judge {
	n := 0
	for _, p := range v.whole.target.Parts {
		if p.Touched {
			n++
		}
	}
	return func(ctx context.Context) outcome {
		o := j(ctx)
		o.message = fmt.Sprintf("%s (in %d of %d partitions: scope is touched)", o.message, n, len(v.whole.target.Parts))
		return o
	}
}

func interrupted(err error, name string) error {
	code := tickerlake.Canceled
	if errors.Is(err, context.DeadlineExceeded) {
		code = tickerlake.Timeout
	}
	return &tickerlake.Error{Code: code, Op: "quality.Evaluate", Name: name, Err: err}
}

func ruleResult(i int, r, settled *Rule, o outcome) RuleResult {
	x := RuleResult{Name: ruleName(i), Description: r.String(), EvaluationMessage: o.message,
		Result: o.verdict, EvaluatedMetrics: o.metrics, EvaluatedRule: resolved(settled).String(),
		Labels: mapOf(r.Labels), Tags: mapOf(r.Tags), Rule: settled}
	if x.EvaluatedMetrics == nil {
		x.EvaluatedMetrics = Metrics{}
	}
	return x
}

func analyzerResult(i int, r *Rule, o outcome) AnalyzerResult {
	x := AnalyzerResult{Name: analyzerName(i), Description: r.String(), EvaluatedMetrics: o.metrics}
	if o.verdict == Erred || len(o.metrics) == 0 {
		x.EvaluationMessage = o.message
	}
	if x.EvaluatedMetrics == nil {
		x.EvaluatedMetrics = Metrics{}
	}
	return x
}

func mapOf(labels []Label) map[string]string {
	if len(labels) == 0 {
		return nil
	}
	m := map[string]string{}
	for _, l := range labels {
		m[l.Key] = l.Value
	}
	return m
}

// resolved is the rule with what its variables hold in their place.
func resolved(r *Rule) *Rule {
	c := *r
	c.Nested, c.Parameters = nil, nil
	for _, n := range r.Nested {
		c.Nested = append(c.Nested, resolved(n))
	}
	for _, p := range r.Parameters {
		p.Variable = ""
		c.Parameters = append(c.Parameters, p)
	}
	if r.Condition != nil {
		cond := *r.Condition
		cond.Variable, cond.Operands = "", nil
		for _, o := range r.Condition.Operands {
			if t, ok := o.(Text); ok {
				t.Variable = ""
				o = t
			}
			cond.Operands = append(cond.Operands, o)
		}
		c.Condition = &cond
	}
	return &c
}

// An outcome is what a judge says.
type outcome struct {
	verdict Verdict
	message string
	metrics Metrics
	of      *Rule // that the metrics are of, nil if it is the one that is judged
}

// A judge gives the outcome of a rule once its measures are taken.
type judge func(ctx context.Context) outcome

// A planner prepares the evaluation of a rule of its type.
type planner func(p *plan, r *Rule) (judge, error)

// A plan is what one rule needs.
type plan struct {
	dialect  Dialect
	target   Target
	now      time.Time
	measures *measures
	files    Files
	earlier  func(ctx context.Context) lookup
	asks     []measure // aggregates that this rule asks for
	own      string    // why the rule reads all rows by statements of its own
}

// misplaced is an error that knows a better position than the rule's.
type misplaced struct {
	pos Position
	error
}

func (m misplaced) Unwrap() error { return m.error }

// missingColumn is the error of a column that the target does not have.
type missingColumn struct{ error }

func (p *plan) find(param Parameter) (Column, error) {
	c, err := p.target.find(unescape(param.Value))
	if err != nil {
		return c, misplaced{param.Pos, missingColumn{err}}
	}
	return c, nil
}

func (p *plan) rule(r *Rule) (judge, error) {
	t, ok := typeOf(r.Type)
	if !ok {
		return nil, fmt.Errorf("there is no rule type %s", r.Type)
	}
	for _, c := range []*Condition{r.Condition, r.Threshold} {
		if c == nil {
			continue
		}
		measured := c.Kind == KindNumber && r.Type != "ColumnValues" || c == r.Threshold
		for _, o := range c.Operands {
			if measured && isNull(o) && c.ordered() {
				return nil, misplaced{o.Position(), fmt.Errorf("NULL has no place in an order; use =, != or in")}
			}
			if err := evaluable(o); err != nil {
				return nil, err
			}
		}
	}
	switch r.Type {
	case detectAnomalies:
		return planAnomalies(p, r)
	case allStatistics:
		return planAll(p, r)
	}
	return t.plan(p, r)
}

// evaluable refuses dynamic functions.
func evaluable(o Operand) error {
	switch o := o.(type) {
	case Call:
		return misplaced{o.Pos, fmt.Errorf("what %s gives is known in an evaluation only", o.Name)}
	case Binary:
		return errors.Join(evaluable(o.Left), evaluable(o.Right))
	}
	return nil
}

// composite joins two judges. A verdict that is certain stands, whatever became of
// the other rule: true or ERROR is true, false and ERROR is false.
func composite(operator string, a, b judge) judge {
	certain, rest := Fail, Pass
	if operator == "or" {
		certain, rest = Pass, Fail
	}
	return func(ctx context.Context) outcome {
		x, y := a(ctx), b(ctx)
		o := outcome{verdict: rest, metrics: Metrics{}}
		for _, part := range []outcome{x, y} {
			for k, v := range part.metrics {
				o.metrics[k] = v
			}
		}
		switch {
		case x.verdict == certain || y.verdict == certain:
			o.verdict = certain
		case x.verdict == Erred || y.verdict == Erred:
			o.verdict = Erred
		}
		var messages []string
		for _, part := range []outcome{x, y} {
			if part.message != "" && (part.verdict == Pass) == (o.verdict == Pass) {
				messages = append(messages, part.message)
			}
		}
		o.message = strings.Join(messages, "; ")
		return o
	}
}

// erred is the outcome of a rule that could not be judged.
func erred(err error) outcome { return outcome{verdict: Erred, message: err.Error()} }

// noRows is the outcome of a rule without rows to judge: where leaves nothing to
// object to, an empty table does not prove anything.
func noRows(r *Rule) outcome {
	if r.Where != "" {
		return outcome{verdict: Pass, message: "no rows: where leaves none"}
	}
	return outcome{verdict: Fail, message: "no rows to judge"}
}

// measured is the outcome of comparing a value with the rule's condition.
func measured(what string, v float64, c *Condition, m Metrics) outcome {
	if c.holds(v) {
		return outcome{verdict: Pass, metrics: m, message: fmt.Sprintf("%s is %s", what, show(v))}
	}
	return outcome{verdict: Fail, metrics: m, message: fmt.Sprintf("%s is %s, wanted %s", what, show(v), c)}
}
