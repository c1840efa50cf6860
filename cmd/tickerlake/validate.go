package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/config"
)

func (a *app) validateCommand() *cobra.Command {
	var schema bool
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Report every mistake of the pipeline file",
		Long: `Reads the pipeline file and reports every mistake at once: line, what is wrong, what
would be right. With --schema it prints the JSON Schema of the file instead, for editors.`,
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
			if a.json {
				out := struct {
					File     string          `json:"file"`
					Valid    bool            `json:"valid"`
					Problems config.Problems `json:"problems"`
				}{a.file, err == nil, problems}
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
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&schema, "schema", false, "print the JSON Schema of the pipeline file")
	return cmd
}
