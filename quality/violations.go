package quality

import "strings"

// Violations is the statement that selects the rows of the target to which the
// rule objects, all columns of each. It is not ok for a rule that does not judge
// single rows (RowCount, Mean, CustomSql, a composite with or), and for one that could not be evaluated. Of a composite with and, a row is
// selected once if any part that judges rows objects to it.
func (e Engine) Violations(r *Rule, t Target) (sql string, ok bool) {
	p := &plan{dialect: e.Dialect, target: t, now: e.Clock().UTC()}
	var o objections
	if !o.add(p, r) {
		return "", false
	}
	columns := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		columns[i] = Ident(c.Name)
	}
	list := strings.Join(columns, ", ")
	from := t.relation()
	if len(o.counts) > 0 {
		from = "(SELECT *, " + strings.Join(o.counts, ", ") + " FROM " + from + ") AS " + Ident(primaryName)
	}
	return "SELECT " + list + "\nFROM " + from + "\nWHERE " + strings.Join(o.conditions, "\n   OR "), true
}

// objections are conditions that are true for rows that break a rule.
type objections struct {
	conditions []string
	counts     []string // how many rows share a key, for the conditions
}

// add adds what r objects to; false if it does not judge rows.
func (o *objections) add(p *plan, r *Rule) bool {
	if r.Type == Composite {
		if r.Operator != "and" {
			return false
		}
		// Both sides are wanted, so what one of them objects to is enough.
		a := o.add(p, r.Nested[0])
		b := o.add(p, r.Nested[1])
		return a || b
	}
	if _, err := p.rule(r); err != nil {
		return false
	}
	w, err := p.where(r)
	if err != nil {
		return false
	}
	switch r.Type {
	case "IsComplete", "Completeness":
		col, _ := p.find(r.Parameters[0])
		o.conditions = append(o.conditions, "("+both(w, Ident(col.Name)+" IS NULL")+")")
	case "ColumnValues":
		col, _ := p.find(r.Parameters[0])
		pass, err := p.passes(r.Condition, col)
		if err != nil {
			return false
		}
		o.conditions = append(o.conditions, "("+both(w, "NOT COALESCE("+pass+", FALSE)")+")")
	case "ColumnLength":
		col, _ := p.find(r.Parameters[0])
		pass, err := p.lengthPasses(r.Condition, col)
		if err != nil {
			return false
		}
		o.conditions = append(o.conditions, "("+both(w, "NOT ("+pass+")")+")")
	case "ColumnDataType":
		col, _ := p.find(r.Parameters[0])
		pass, err := p.typePasses(r, col)
		if err != nil {
			return false
		}
		o.conditions = append(o.conditions, "("+both(w, "NOT COALESCE("+pass+", FALSE)")+")")
	case "DataFreshness":
		col, _ := p.find(r.Parameters[0])
		x, err := p.timestamp(col)
		if err != nil {
			return false
		}
		fresh, _, _ := p.freshPasses(x, r.Condition)
		o.conditions = append(o.conditions, "("+both(w, "NOT COALESCE("+fresh+", FALSE)")+")")
	case "ReferentialIntegrity":
		found, err := p.foundIn(r)
		if err != nil {
			return false
		}
		o.conditions = append(o.conditions, "(NOT "+found+")")
	case "IsUnique", "Uniqueness", "IsPrimaryKey":
		k, err := p.key(r)
		if err != nil {
			return false
		}
		o.addKey(k, r.Type == "IsPrimaryKey")
	default:
		return false
	}
	return true
}

// addKey objects to rows that share their key, and in a primary key to NULL.
func (o *objections) addKey(k key, primary bool) {
	n := Ident("rows with key " + string(rune('a'+len(o.counts))))
	counted := k.set()
	if k.where != "" {
		counted = k.where + " AND " + counted
	}
	o.counts = append(o.counts, "sum(CASE WHEN "+counted+" THEN 1 ELSE 0 END) OVER (PARTITION BY "+
		strings.Join(k.idents, ", ")+") AS "+n)
	broken := n + " > 1 AND " + k.set()
	if primary {
		broken = "(" + broken + " OR " + strings.Join(k.idents, " IS NULL OR ") + " IS NULL)"
	}
	o.conditions = append(o.conditions, "("+both(k.where, broken)+")")
}
