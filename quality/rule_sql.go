package quality

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// planCustomSQL runs a statement of the rule's own. With a condition the statement
// gives one number; without, it gives rows of the table, and the share of the
// table's rows that are among them is what counts.
func planCustomSQL(p *plan, r *Rule) (judge, error) {
	head, s, err := p.statement(r.Parameters[0])
	if err != nil {
		return nil, err
	}
	p.reads("its statement may ask for any row")
	if r.Condition != nil || r.measures {
		if r.Threshold != nil {
			return nil, misplaced{r.Threshold.Pos, fmt.Errorf("CustomSql with a condition measures a number, which takes no threshold")}
		}
		return p.customNumber(r, head, s), nil
	}
	return p.customRows(r, head, s), nil
}

// statement is that of a CustomSql, and what must stand before it.
func (p *plan) statement(param Parameter) (head, s string, err error) {
	if s, err = fragment(unescapeQuotes(param.Value)); err != nil {
		return "", "", misplaced{param.Pos, fmt.Errorf("CustomSql: %w", err)}
	}
	head, s = p.with(strings.TrimSpace(s))
	return head, s, nil
}

// sharedColumns are the columns that the statement gives and the table has.
func (p *plan) sharedColumns(ctx context.Context, head, s string) ([]string, error) {
	a := p.query(ctx, head+"SELECT * FROM (\n"+s+"\n) AS q LIMIT 0")
	if a.err != nil {
		return nil, a.err
	}
	var shared []string
	for _, c := range a.columns {
		if col, err := p.target.find(c); err == nil && !slices.Contains(shared, Ident(col.Name)) {
			shared = append(shared, Ident(col.Name))
		}
	}
	if len(shared) == 0 {
		return nil, fmt.Errorf("the statement gives no column of %s, so its rows cannot be told; select some", p.target.Name)
	}
	return shared, nil
}

// with gives what opens a statement in which s knows the target as primary and the
// other sources that it may name by their aliases, and s with the aliases quoted
// that have a dot.
func (p *plan) with(s string) (head, body string) {
	t := p.target
	parts := []string{Ident(primaryName) + " AS (SELECT * FROM " + t.From + ")"}
	lower := strings.ToLower(s)
	for _, a := range slices.Sorted(maps.Keys(t.Sources)) {
		if from := t.Sources[a].From; from != Ident(a) && strings.Contains(lower, strings.ToLower(a)) && a != primaryName {
			parts = append(parts, Ident(a)+" AS (SELECT * FROM "+from+")")
			s = quoteAlias(s, a)
		}
	}
	return "WITH " + strings.Join(parts, ",\n") + "\n", s
}

// quoteAlias quotes an alias of several words wherever it stands by itself in SQL.
func quoteAlias(s, alias string) string {
	if !strings.Contains(alias, ".") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		if c := s[i]; c == '\'' || c == '"' {
			end := closing(s, i)
			if end < 0 {
				return s
			}
			b.WriteString(s[i : end+1])
			i = end + 1
			continue
		} else if !isWordByte(c) {
			b.WriteByte(c)
			i++
			continue
		}
		n := i
		for n < len(s) && isWordByte(s[n]) {
			n++
		}
		// ops.runs is the table in ops.runs and in ops.runs.state, not in x.ops.runs.
		name, rest := s[i:n], ""
		if len(name) > len(alias) && name[len(alias)] == '.' {
			name, rest = name[:len(alias)], name[len(alias):]
		}
		if strings.EqualFold(name, alias) {
			name = Ident(alias)
		}
		b.WriteString(name + rest)
		i = n
	}
	return b.String()
}

func (p *plan) customNumber(r *Rule, head, s string) judge {
	sql := head + "SELECT * FROM (\n" + s + "\n) AS q"
	return func(ctx context.Context) outcome {
		a := p.query(ctx, sql)
		if a.err != nil {
			return erred(a.err)
		}
		if len(a.rows) != 1 || len(a.rows[0]) != 1 {
			return erred(fmt.Errorf("the statement gave %d columns and %d rows; a condition wants one number", len(a.columns), len(a.rows)))
		}
		v, _, err := toFloat(a.rows[0][0]) // NULL reads as 0
		if err != nil {
			return erred(err)
		}
		return measured("the number", v, r.Condition, Metrics{"Dataset.*.CustomSQL": v})
	}
}

func (p *plan) customRows(r *Rule, head, s string) judge {
	return func(ctx context.Context) outcome {
		shared, err := p.sharedColumns(ctx, head, s)
		if err != nil {
			return erred(err)
		}
		a := p.query(ctx, head+returned(s, shared))
		if a.err != nil {
			return erred(a.err)
		}
		part, _, err := toFloat(a.rows[0][0])
		if err != nil {
			return erred(err)
		}
		total, _, err := toFloat(a.rows[0][1])
		if err != nil {
			return erred(err)
		}
		if total == 0 {
			return noRows(r)
		}
		n := share{part, total}
		m := Metrics{"Dataset.*.CustomSQL.Compliance": n.ratio()}
		if r.Threshold != nil {
			return measured("the share of rows that the statement gives", n.ratio(), r.Threshold, m)
		}
		return all(n, m, "the statement does not give")
	}
}

// returned counts the rows of the table that the statement gives, each once, and
// all of them. Rows are told by the columns that both have; NULL equals NULL.
func returned(s string, columns []string) string {
	list := strings.Join(columns, ", ")
	mine, theirs := Ident("in table"), Ident("in statement")
	return "SELECT CAST(COALESCE(sum(" + mine + ")" + filter(theirs+" > 0") + ", 0) AS BIGINT) AS given, " +
		"CAST(COALESCE(sum(" + mine + "), 0) AS BIGINT) AS of_rows\n" +
		"FROM (SELECT sum(" + mine + ") AS " + mine + ", sum(" + theirs + ") AS " + theirs + " FROM (\n" +
		"SELECT " + list + ", 1 AS " + mine + ", 0 AS " + theirs + " FROM " + Ident(primaryName) + "\n" +
		"UNION ALL\n" +
		"SELECT " + list + ", 0, 1 FROM (\n" + s + "\n) AS q\n" +
		") AS u GROUP BY " + list + ") AS g"
}
