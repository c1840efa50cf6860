package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/config"
	"github.com/tickerlake/tickerlake/lake"
	"github.com/tickerlake/tickerlake/quality"
)

func (a *app) validateCommand() *cobra.Command {
	var schema bool
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Report every mistake of the pipeline file",
		Long: `Reads the pipeline file and reports every mistake at once: line, what is wrong, what
would be right. Of a valid file it names the quality rules that read a whole table at each
run, since what is kept of its partitions cannot answer them, and why. With --schema it
prints the JSON Schema of the file instead, for editors.`,
		Example: `  tickerlake validate
  tickerlake validate --schema > tickerlake.schema.json`,
		Args: usage(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			if schema {
				_, err := a.Stdout.Write(config.Schema())
				return err
			}
			file, err := a.load()
			var problems config.Problems
			if err != nil && !errors.As(err, &problems) {
				return err
			}
			if err == nil {
				problems = file.Warnings
			}
			var whole []quality.WholeRead
			if err == nil {
				whole = lake.WholeReads(file.Ruleset, quality.DuckDB, a.Clock)
			}
			if a.json {
				out := struct {
					File     string              `json:"file"`
					Valid    bool                `json:"valid"`
					Problems config.Problems     `json:"problems"`
					Whole    []quality.WholeRead `json:"whole_table_rules,omitempty"`
				}{a.file, err == nil, problems, whole}
				if perr := a.printJSON(out); perr != nil {
					return perr
				}
			} else {
				for _, p := range problems {
					fmt.Fprintln(a.Stdout, a.secrets.Hide(p.String()))
				}
			}
			if err != nil {
				return reported(tickerlake.Invalid)
			}
			if !a.json {
				_, err = fmt.Fprintf(a.Stdout, "%s: valid: %s, %s\n", a.file, plural(int64(len(file.Sources)), "source"), plural(int64(len(file.Ruleset.Rules)), "rule"))
				err = errors.Join(err, a.printWholeReads(file, whole))
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&schema, "schema", false, "print the JSON Schema of the pipeline file")
	return cmd
}

// printWholeReads says which rules read the whole table at each run, and what to do.
func (a *app) printWholeReads(file *config.File, whole []quality.WholeRead) error {
	if len(whole) == 0 {
		return nil
	}
	does, remedy := "read the whole table at each run", "With quality.scope: touched they judge the partitions that a run has touched."
	if file.Quality.Scope == quality.Touched {
		does, remedy = "judge only the partitions that a run has touched, as quality.scope says", "tickerlake check judges the whole table by them."
	}
	text := fmt.Sprintf("These rules %s:\n", does)
	for _, w := range whole {
		text += fmt.Sprintf("  %s %s: %s\n", w.Name, w.Rule, w.Why)
	}
	_, err := fmt.Fprintln(a.Stdout, a.secrets.Hide(text+remedy))
	return err
}
