package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/quality"
)

func (a *app) checkCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "check [TABLE]",
		Short: "Evaluate quality rules on a table as it is published",
		Long: `Evaluates the rules of the pipeline, or those of a file in DQDL, on a table (by default
prod.bars_1d) and prints a line per rule with what was measured. Exit status 3 if any
rule fails.`,
		Example: "  tickerlake check\n  tickerlake check --rules strict.dqdl bars_1d",
		Args:    usage(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			table := tickerlake.Day.Table()
			if len(args) == 1 {
				table = args[0]
			}
			return a.open(cmd, false, func(ctx context.Context, p *pipeline) error { return a.check(ctx, p, table, file) })
		},
	}
	cmd.Flags().StringVar(&file, "rules", "", "a file of rules in DQDL, instead of those of the pipeline")
	return cmd
}

func (a *app) check(ctx context.Context, p *pipeline, table, file string) error {
	rules := p.file.Ruleset
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return tickerlake.Errorf(tickerlake.Invalid, "check", file, "cannot be read: %w", err)
		}
		if rules, err = quality.Parse(string(text)); err != nil {
			return &tickerlake.Error{Code: tickerlake.Invalid, Op: "check", Name: file, Err: err}
		}
	}
	v, err := p.view(ctx, table)
	if err != nil {
		return err
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

func (a *app) printResult(table string, result *quality.Result) error {
	rows := [][]string{{"RESULT", "RULE", "MEASURED"}}
	for _, r := range result.RuleResults {
		measured := ""
		for i, name := range slices.Sorted(maps.Keys(r.EvaluatedMetrics)) {
			if i > 0 {
				measured += ", "
			}
			measured += name + " = " + strconv.FormatFloat(r.EvaluatedMetrics[name], 'g', -1, 64)
		}
		if r.Result != quality.Pass && r.EvaluationMessage != "" {
			measured = r.EvaluationMessage
		}
		rows = append(rows, []string{string(r.Result), r.Description, measured})
	}
	if err := a.columns(rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.Stdout, "\n%s: score %s\n", table, strconv.FormatFloat(result.Score, 'g', 4, 64))
	return err
}
