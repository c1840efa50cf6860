package quality

import (
	"context"
	"strings"
)

// Violations is the statement that selects the rows of the target to which the rule
// objects, all columns of each. It is not ok for a rule that does not judge single
// rows (RowCount, Mean, CustomSql with a condition), and for one that could not be
// evaluated. A composite with and objects to what any part that judges rows objects
// to; one with or to what all parts object to, each of which must judge rows. Nothing
// is read, but for the columns that a CustomSql gives.
func (e Engine) Violations(ctx context.Context, r *Rule, t Target) (sql string, ok bool) {
	m := newMeasures(e.Querier, nil, t)
	o := objections{plan: &plan{dialect: e.Dialect, target: t, now: e.Clock().UTC(), measures: m, earlier: e.earlier}}
	condition, ok := o.to(ctx, r)
	if !ok {
		return "", false
	}
	columns := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		columns[i] = Ident(c.Name)
	}
	from := t.relation()
	if len(o.counts) > 0 {
		from = "(SELECT *, " + strings.Join(o.counts, ", ") + " FROM " + from + ") AS " + Ident(primaryName)
	}
	return o.head + "SELECT " + strings.Join(columns, ", ") + "\nFROM " + from + "\nWHERE " + condition, true
}

// objections builds the condition that is true for rows which break a rule.
type objections struct {
	plan   *plan
	counts []string // how many rows share a key, for the condition
	head   string   // what stands before SELECT
}

// to is the condition for rows that r objects to; not ok if it does not judge rows.
func (o *objections) to(ctx context.Context, r *Rule) (condition string, ok bool) {
	if r.Type == Composite {
		a, first := o.to(ctx, r.Nested[0])
		b, second := o.to(ctx, r.Nested[1])
		switch {
		case r.Operator == "or" && first && second:
			return "(" + a + " AND " + b + ")", true
		case r.Operator == "or" || !first && !second:
			return "", false
		case !first:
			return b, true
		case !second:
			return a, true
		}
		// Both sides are wanted, so what one of them objects to is enough.
		return a + "\n   OR " + b, true
	}
	p := o.plan
	_, r = p.target.judging(r)
	settled, err := r.settle(p.earlier(ctx))
	if err != nil {
		return "", false
	}
	if _, err := p.rule(settled); err != nil {
		return "", false
	}
	w, err := p.where(r)
	if err != nil {
		return "", false
	}
	broken, err := o.broken(ctx, settled)
	if err != nil || broken == "" {
		return "", false
	}
	if t := p.target; t.Waived != "" && r.Where == "" {
		w = "NOT " + t.Waived
	}
	return "(" + both(w, broken) + ")", true
}

// broken is true for a row, of those where the rule's where holds, that breaks the
// rule; empty if it does not judge rows.
func (o *objections) broken(ctx context.Context, r *Rule) (string, error) {
	p := o.plan
	pass, err := "", error(nil)
	switch r.Type {
	case "IsComplete", "Completeness", "ColumnValues", "ColumnLength", "ColumnDataType", "DataFreshness":
		col, err := p.find(r.Parameters[0])
		if err != nil {
			return "", err
		}
		switch r.Type {
		case "IsComplete", "Completeness":
			return Ident(col.Name) + " IS NULL", nil
		case "ColumnValues":
			pass, err = p.passes(r.Condition, col)
		case "ColumnLength":
			pass, err = p.lengthPasses(r.Condition, col)
		case "ColumnDataType":
			pass, err = p.typePasses(r, col)
		case "DataFreshness":
			var x string
			if x, err = p.timestamp(col); err == nil {
				pass, _, _ = p.freshPasses(x, r.Condition)
			}
		}
		return "NOT COALESCE(" + pass + ", FALSE)", err
	case "ReferentialIntegrity":
		pass, err = p.foundIn(r)
		return "NOT " + pass, err
	case "CustomSql":
		if r.Condition != nil {
			return "", nil
		}
		return o.notGiven(ctx, r)
	case "IsUnique", "Uniqueness", "IsPrimaryKey":
		k, err := p.key(r)
		return o.sharing(k, r.Type == "IsPrimaryKey"), err
	}
	return "", nil
}

// notGiven is true for a row that the statement of a CustomSql does not give. Rows are
// told by the columns that both have.
func (o *objections) notGiven(ctx context.Context, r *Rule) (string, error) {
	head, s, err := o.plan.statement(r.Parameters[0])
	if err != nil {
		return "", err
	}
	shared, err := o.plan.sharedColumns(ctx, head, s)
	if err != nil {
		return "", err
	}
	if o.head != "" && o.head != head {
		return "", nil // two statements that know different sources
	}
	o.head = head
	same := make([]string, len(shared))
	for i, c := range shared {
		same[i] = "q." + c + " IS NOT DISTINCT FROM " + Ident(primaryName) + "." + c
	}
	return "NOT EXISTS (SELECT 1 FROM (\n" + s + "\n) AS q WHERE " + strings.Join(same, " AND ") + ")", nil
}

// sharing is true for a row that shares its key, and in a primary key for NULL.
func (o *objections) sharing(k key, primary bool) string {
	n := Ident("rows with key " + string(rune('a'+len(o.counts))))
	o.counts = append(o.counts, "sum(CASE WHEN "+both(k.where, k.set())+" THEN 1 ELSE 0 END) OVER (PARTITION BY "+
		strings.Join(k.idents, ", ")+") AS "+n)
	broken := n + " > 1 AND " + k.set()
	if primary {
		broken = "(" + broken + " OR " + strings.Join(k.idents, " IS NULL OR ") + " IS NULL)"
	}
	return broken
}
