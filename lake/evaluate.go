package lake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/apache/iceberg-go/table"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
	"github.com/tickerlake/tickerlake/quality"
)

// Evaluate judges a table as it is published, all of it, by a ruleset. It uses what
// the gate keeps of partitions and leaves it as it is.
func (l *Lake) Evaluate(ctx context.Context, rules *quality.Ruleset, v View) (*quality.Result, error) {
	if err := l.Readable(ctx, v); err != nil {
		return nil, err
	}
	target, err := l.target(ctx, v)
	if err != nil {
		return nil, err
	}
	if err := l.beside(ctx, &target, rules, v, table.MainBranch); err != nil {
		return nil, err
	}
	return l.judgeOf(v).Evaluate(ctx, rules, target)
}

// WholeReads lists the rules that read all of a table of bars at each run.
func WholeReads(rules *quality.Ruleset, dialect quality.Dialect, clock tickerlake.Clock) []quality.WholeRead {
	t := quality.Target{Name: "bars", From: "bars", Columns: qualityColumns(BarColumns), PartedBy: "ts"}
	return quality.Engine{Dialect: dialect, Clock: clock}.WholeReads(rules, t)
}

// Broken are rows that break a rule.
type Broken struct {
	Columns []Column
	Rows    [][]any
	Total   int64 // of all, of which Rows are the first
}

// Breaking lists rows of a table that break a rule, up to limit, by symbol and ts. It
// fails with tickerlake.Invalid if the rule does not judge single rows.
func (l *Lake) Breaking(ctx context.Context, r *quality.Rule, v View, limit int64) (Broken, error) {
	out := Broken{Columns: v.Columns}
	if err := l.Readable(ctx, v); err != nil {
		return out, err
	}
	target, err := l.target(ctx, v)
	if err != nil {
		return out, err
	}
	one := &quality.Ruleset{Rules: []*quality.Rule{r}}
	if err := l.beside(ctx, &target, one, v, table.MainBranch); err != nil {
		return out, err
	}
	e := l.judgeOf(v)
	rows, ok := e.Violations(ctx, r, target)
	if !ok {
		res, err := e.Evaluate(ctx, one, target)
		if err != nil {
			return out, err
		}
		judged := res.RuleResults[0]
		if judged.Result == quality.Erred {
			return out, tickerlake.Errorf(tickerlake.Invalid, "lake.Breaking", r.String(), "the rule cannot be judged: %s", judged.EvaluationMessage)
		}
		measured := slices.Sorted(maps.Keys(judged.EvaluatedMetrics))
		if len(measured) == 0 {
			measured = []string{"PASS or FAIL only"}
		}
		return out, tickerlake.Errorf(tickerlake.Invalid, "lake.Breaking", r.String(),
			"the rule judges the table, no single rows of it, so there are none to list; what it measures is %s (%s)", strings.Join(measured, ", "), judged.EvaluationMessage)
	}
	_, count, err := l.Engine.Query(ctx, "SELECT count(*) FROM ("+rows+") v")
	if err != nil {
		return out, err
	}
	out.Total, _ = count[0][0].(int64)
	var order []string
	for _, c := range []string{"symbol", "ts"} {
		if slices.ContainsFunc(v.Columns, func(have Column) bool { return have.Name == c }) {
			order = append(order, c)
		}
	}
	sql := "SELECT * FROM (" + rows + ") v"
	if len(order) > 0 {
		sql += " ORDER BY " + strings.Join(order, ", ")
	}
	_, out.Rows, err = l.Engine.Query(ctx, fmt.Sprintf("%s LIMIT %d", sql, limit))
	return out, err
}

// judgeOf is the engine that judges a table.
func (l *Lake) judgeOf(v View) quality.Engine {
	return quality.Engine{Querier: l.Engine, Dialect: l.Dialect, Clock: l.Clock, Files: objects{l},
		State: kept{l.Catalog, v.Name, false}, History: pastMeasures{l.Catalog, v.Name, v.run}}
}

// beside adds to a target what rules may name beside it: other tables, as they are on
// the branch if they are there, and the files that hold the rows.
func (l *Lake) beside(ctx context.Context, t *quality.Target, rules *quality.Ruleset, v View, branch string) (err error) {
	if t.Sources, err = l.sources(ctx, rules, v, branch); err != nil {
		return err
	}
	if anyRule(rules, func(r *quality.Rule) bool { return strings.HasPrefix(r.Type, "File") && len(r.Parameters) == 0 }) {
		t.Files, err = l.filesOf(v)
	}
	return err
}

// anyRule reports whether f is true for a rule or analyzer, or for a part of one.
func anyRule(rules *quality.Ruleset, f func(r *quality.Rule) bool) bool {
	var visit func(r *quality.Rule) bool
	visit = func(r *quality.Rule) bool { return f(r) || slices.ContainsFunc(r.Nested, visit) }
	return slices.ContainsFunc(rules.Rules, visit) || slices.ContainsFunc(rules.Analyzers, visit)
}

// target is a table as rules see it: its rows, and those of each piece, marked where
// users have accepted them.
func (l *Lake) target(ctx context.Context, v View) (quality.Target, error) {
	accepted, err := l.Catalog.AcceptedOf(ctx, v.Name)
	if err != nil {
		return quality.Target{}, err
	}
	t := quality.Target{Name: v.Database + "." + v.Name, From: l.rows(v), Columns: qualityColumns(v.Columns)}
	if len(accepted) > 0 {
		t.Waived = acceptedRow
		t.From, _ = markAccepted(t.From, accepted)
	}
	if len(v.data) == 0 || !v.AsOf.IsZero() {
		return t, nil
	}
	t.PartedBy = "ts"
	for _, p := range l.parts(v) {
		part := v
		if part.Files, err = l.local(p.files); err != nil {
			return t, err
		}
		from, marked := l.rows(part), ""
		if t.Waived != "" {
			elsewhere := func(d catalog.Decision) bool { return !strings.HasPrefix(d.Ts.Format(time.DateOnly), p.partition) }
			from, marked = markAccepted(from, slices.DeleteFunc(slices.Clone(accepted), elsewhere))
		}
		t.Parts = append(t.Parts, quality.Part{Key: contentOf(p.files, marked), From: from})
	}
	return t, nil
}

// touch marks the partitions of a candidate that its run has touched: those in which a
// piece is not as it is in main.
func (l *Lake) touch(ctx context.Context, t *quality.Target, v View) error {
	main, err := l.tableView(ctx, v.Name, table.MainBranch)
	if err != nil {
		return err
	}
	have := l.parts(v)
	touched := changedPartitions(have, l.parts(main))
	for i := range t.Parts {
		t.Parts[i].Touched = touched[have[i].partition]
	}
	return nil
}

// measuresVersion is part of what names the content of a piece: what was kept by
// a program that measured otherwise is not found.
const measuresVersion = "measures 1"

// contentOf names what is in data files, which never change, with some rows marked.
func contentOf(files []file, marked string) string {
	h := sha256.New()
	fmt.Fprintln(h, measuresVersion, marked)
	for _, f := range files {
		fmt.Fprintln(h, f.location)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func qualityColumns(columns []Column) []quality.Column {
	out := make([]quality.Column, len(columns))
	for i, c := range columns {
		out[i] = quality.Column{Name: c.Name, Type: quality.Type(c.Type)}
	}
	return out
}

// rows is the SQL text that stands for the rows of a view.
func (l *Lake) rows(v View) string {
	switch {
	case len(v.Files) > 0 && v.AsOf.IsZero() && slices.Equal(v.Columns, BarColumns):
		// Files of bars have had all columns from the first version on.
		return "(SELECT * FROM " + l.Engine.Relation(v.Files) + ")"
	case len(v.Files) == 0 || v.Format != NDJSON:
		return l.Rows(v)
	}
	rows := "SELECT * FROM " + l.Engine.Relation(v.Files, v.Columns...)
	if v.Key == "" {
		return "(" + rows + ")"
	}
	columns := make([]string, len(v.Columns))
	for i, c := range v.Columns {
		columns[i] = quality.Ident(c.Name)
	}
	return "(SELECT " + strings.Join(columns, ", ") + " FROM (SELECT *, row_number() OVER (PARTITION BY " + quality.Ident(v.Key) +
		" ORDER BY " + quality.Ident(v.Version) + ` DESC) AS "nth" FROM (` + rows + `) a) b WHERE "nth" = 1)`
}

// sources are the tables of the lake that rules name, as a whole name such as
// ops.fetches or without the database. A table of prod is taken from the branch if it
// is there, so that rules see what would be published; the table that is judged is
// itself a source. Of two tables with one name, prod's comes before that of ops, and
// that before raw's.
func (l *Lake) sources(ctx context.Context, rules *quality.Ruleset, judged View, branch string) (map[string]quality.Source, error) {
	text := mentions(rules)
	named := func(name string) bool { return strings.Contains(text, strings.ToLower(name)) }
	out := map[string]quality.Source{}
	add := func(v View) error {
		s := quality.Source{From: l.rows(v), Columns: qualityColumns(v.Columns)}
		out[v.Database+"."+v.Name] = s
		if _, taken := out[v.Name]; !taken {
			out[v.Name] = s
		}
		return l.Readable(ctx, v)
	}
	names, err := l.Catalog.ListTables(ctx, l.prod())
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	for _, name := range names {
		if !named(name) {
			continue
		}
		v := judged
		if judged.Database != l.prod() || judged.Name != name {
			if v, err = l.tableView(ctx, name, branch); err == nil && v.Snapshot == 0 {
				v, err = l.tableView(ctx, name, table.MainBranch)
			}
		}
		if err != nil {
			return nil, err
		}
		if err := add(v); err != nil {
			return nil, err
		}
	}
	if v := l.latestView(); named(v.Name) {
		if err := add(v); err != nil {
			return nil, err
		}
	}
	for name := range tickerlake.OpsTables {
		if named(name) {
			v, err := l.opsView(ctx, name)
			if err != nil {
				return nil, err
			}
			if err := add(v); err != nil {
				return nil, err
			}
		}
	}
	if named(l.Stream) {
		v, err := l.rawView(ctx)
		if err != nil {
			return nil, err
		}
		if err := add(v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// mentions is the text in which rules may name tables, in lower case.
func mentions(rules *quality.Ruleset) string {
	var b strings.Builder
	anyRule(rules, func(r *quality.Rule) bool {
		for _, p := range r.Parameters {
			b.WriteString(strings.ToLower(p.Value))
			b.WriteByte('\n')
		}
		return false
	})
	b.WriteString(strings.ToLower(rules.Primary + "\n" + strings.Join(rules.Additional, "\n")))
	return b.String()
}

// kept is what the lake keeps of the partitions of one table.
type kept struct {
	catalog *catalog.Catalog
	table   string
	write   bool
}

// Load implements quality.State.
func (k kept) Load(ctx context.Context, _ []string) (map[string]map[string]string, error) {
	return k.catalog.PartitionMeasures(ctx, k.table)
}

// Save implements quality.State.
func (k kept) Save(ctx context.Context, values map[string]map[string]string) error {
	if !k.write {
		return nil
	}
	return k.catalog.KeepPartitionMeasures(ctx, k.table, values)
}

// pastMeasures are what rules measured of a table in published runs, before a run.
type pastMeasures struct {
	catalog       *catalog.Catalog
	table, before string
}

// Earlier implements quality.History.
func (h pastMeasures) Earlier(ctx context.Context, statistic string, n int) ([]float64, error) {
	return h.catalog.Measured(ctx, h.table, statistic, h.before, n)
}
