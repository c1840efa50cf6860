package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/lake"
	"github.com/tickerlake/tickerlake/quality"
	"github.com/tickerlake/tickerlake/query"
)

// A checkTask is what check is asked for.
type checkTask struct {
	table  string
	file   string // of rules; empty: those of the pipeline
	rule   string // whose rows are to be listed; empty: none
	limit  int64
	format string
}

func (a *app) checkCommand() *cobra.Command {
	var task checkTask
	cmd := &cobra.Command{
		Use:   "check [TABLE]",
		Short: "Evaluate quality rules on a table as it is published",
		Long: `Evaluates the rules of the pipeline, or those of a file in DQDL, on a table (by default
prod.bars_1d) and prints a line per rule and analyzer with what was measured. All of the table is
judged, whatever quality.scope says. Exit status 3 if any rule fails.

With --rows it lists the rows that break one rule instead, by symbol and ts, and says how
many there are; the rule is told by its number (3 or Rule_3) or its text. That is a
listing, which ends with status 0 however many rows it finds. Rules that judge a table
as a whole, such as RowCount, have no rows to list.`,
		Example: `  tickerlake check
  tickerlake check --rules strict.dqdl bars_1d
  tickerlake check --rows 4
  tickerlake check --rows 'ColumnValues "close" > 0' -f csv --limit 10000 > bad.csv`,
		Args: usage(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			task.table = tickerlake.Day.Table()
			if len(args) == 1 {
				task.table = args[0]
			}
			if err := a.checkFlags(cmd, task); err != nil {
				return err
			}
			return a.open(cmd, false, func(ctx context.Context, p *pipeline) error { return a.check(ctx, p, task) })
		},
	}
	cmd.Flags().StringVar(&task.file, "rules", "", "a file of rules in DQDL, instead of those of the pipeline")
	cmd.Flags().StringVar(&task.rule, "rows", "", "list the rows that break this rule: its number or text")
	cmd.Flags().Int64Var(&task.limit, "limit", 100, "with --rows: list so many rows at most")
	cmd.Flags().StringVarP(&task.format, "format", "f", "table", "with --rows: table, csv, json or ndjson")
	return cmd
}

// maxListed is how many rows --rows lists at most: they are held in memory.
const maxListed = 1_000_000

func (a *app) checkFlags(cmd *cobra.Command, task checkTask) error {
	for _, name := range []string{"limit", "format"} {
		if task.rule == "" && cmd.Flags().Changed(name) {
			return tickerlake.Errorf(tickerlake.Invalid, "check", "--"+name, "is for --rows RULE")
		}
	}
	if task.limit < 1 || task.limit > maxListed {
		return tickerlake.Errorf(tickerlake.Invalid, "check", "--limit", "%d: want 1 to %d", task.limit, maxListed)
	}
	if formats := []string{"table", "csv", "json", "ndjson"}; !slices.Contains(formats, task.format) {
		return tickerlake.Errorf(tickerlake.Invalid, "check", "--format", "%q: want %s", task.format, strings.Join(formats, ", "))
	}
	return nil
}

func (a *app) check(ctx context.Context, p *pipeline, task checkTask) error {
	rules := p.file.Ruleset
	if job, ok := p.jobOf(task.table); ok {
		rules = p.file.JobRules[job]
	}
	if task.file != "" {
		text, err := os.ReadFile(task.file)
		if err != nil {
			return tickerlake.Errorf(tickerlake.Invalid, "check", task.file, "cannot be read: %w", err)
		}
		if rules, err = quality.Parse(string(text)); err != nil {
			return &tickerlake.Error{Code: tickerlake.Invalid, Op: "check", Name: task.file, Err: err}
		}
	}
	v, err := p.view(ctx, task.table)
	if err != nil {
		return err
	}
	if rules == nil {
		return tickerlake.Errorf(tickerlake.Invalid, "check", v.Database+"."+v.Name, "the job that writes it has no rules: name a file with --rules, or give the job some")
	}
	if task.rule != "" {
		return a.listRows(ctx, p, v, rules, task)
	}
	result, err := p.lake.Evaluate(ctx, rules, v)
	if err != nil {
		return err
	}
	if a.json {
		err = a.printJSON(result)
	} else {
		err = a.printResult(v.Database+"."+v.Name, result)
	}
	if err == nil && !result.Passed() {
		err = reported(tickerlake.GateFailed)
	}
	return err
}

// listRows prints the rows that break a rule.
func (a *app) listRows(ctx context.Context, p *pipeline, v lake.View, rules *quality.Ruleset, task checkTask) error {
	name, rule, err := rules.Find(task.rule)
	if err != nil {
		return err
	}
	broken, err := p.lake.Breaking(ctx, rule, v, task.limit)
	if err != nil {
		return err
	}
	rows := &listed{rows: broken.Rows}
	for _, c := range broken.Columns {
		rows.columns = append(rows.columns, query.Column{Name: c.Name, Type: c.Type})
	}
	if a.json {
		var list bytes.Buffer
		if err := query.Write(&list, rows, query.Output{Format: "json"}); err != nil {
			return err
		}
		return a.printJSON(struct {
			Table string          `json:"table"`
			Name  string          `json:"name"`
			Rule  string          `json:"rule"`
			Total int64           `json:"total"`
			Rows  json.RawMessage `json:"rows"`
		}{v.Database + "." + v.Name, name, rule.String(), broken.Total, list.Bytes()})
	}
	if len(broken.Rows) > 0 || task.format != "table" {
		if err := query.Write(a.Stdout, rows, query.Output{Format: task.format, Width: a.width()}); err != nil {
			return err
		}
	}
	said := fmt.Sprintf("%s break %s %s", plural(broken.Total, "row"), name, rule)
	if broken.Total == 1 {
		said = fmt.Sprintf("1 row breaks %s %s", name, rule)
	}
	if n := int64(len(broken.Rows)); n < broken.Total {
		said += fmt.Sprintf("; the first %d are listed, --limit lists more", n)
	}
	out := a.Stdout
	if task.format != "table" {
		out = a.Stderr // the list is for a program
	}
	_, err = fmt.Fprintln(out, said)
	return err
}

// listed are rows in memory as query writes them.
type listed struct {
	columns []query.Column
	rows    [][]any
}

// Columns implements query.Rows.
func (l *listed) Columns() []query.Column { return l.columns }

// Next implements query.Rows.
func (l *listed) Next() ([][]any, error) {
	if len(l.rows) == 0 {
		return nil, io.EOF
	}
	batch := l.rows
	l.rows = nil
	return batch, nil
}

// Truncated implements query.Rows; what was left out is said apart.
func (l *listed) Truncated() bool { return false }

// Close implements query.Rows.
func (l *listed) Close() error { return nil }

func (a *app) printResult(table string, result *quality.Result) error {
	rows := [][]string{{"RESULT", "RULE", "MEASURED"}}
	for _, r := range result.RuleResults {
		measured := metricsText(r.EvaluatedMetrics)
		if r.Result != quality.Pass && r.EvaluationMessage != "" {
			measured = r.EvaluationMessage
		}
		rows = append(rows, []string{string(r.Result), r.Description, measured})
	}
	for _, r := range result.AnalyzerResults {
		measured := metricsText(r.EvaluatedMetrics)
		if measured == "" {
			measured = r.EvaluationMessage
		}
		rows = append(rows, []string{"MEASURED", r.Description, measured})
	}
	if err := a.columns(rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.Stdout, "\n%s: score %s\n", table, strconv.FormatFloat(result.Score, 'g', 4, 64))
	return err
}

// metricsText is a line of metrics by name.
func metricsText(m quality.Metrics) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		list = append(list, name+" = "+strconv.FormatFloat(m[name], 'g', -1, 64))
	}
	return strings.Join(list, ", ")
}
