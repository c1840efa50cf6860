package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/config"
)

func (a *app) initCommand() *cobra.Command {
	var preset string
	var symbols []string
	cmd := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write a commented pipeline file that runs as it is",
		Long: `Writes tickerlake.yaml to a folder, made if there is none; by default to this one. The
file collects from the simulated market unless another preset is named. A file that is
there is left alone. Beside it stands tickerlake.schema.json, with which editors that
know the YAML language server complete and check the file.`,
		Example: `  tickerlake init
  tickerlake init acme --preset seed --symbols AAPL,MSFT`,
		Args: usage(cobra.MaximumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			return a.init(dir, preset, symbols)
		},
	}
	cmd.Flags().StringVar(&preset, "preset", config.DefaultPreset, "the source to collect from: simulated or seed")
	cmd.Flags().StringSliceVar(&symbols, "symbols", nil, "symbols, with commas between (default AMZN,TSLA,NVDA,IBM)")
	return cmd
}

func (a *app) init(dir, preset string, symbols []string) error {
	text, err := config.Template(preset, symbols)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return diskError("init", dir, err)
	}
	path := filepath.Join(dir, config.DefaultFile)
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return tickerlake.Errorf(tickerlake.Exists, "init", path, "is there already: remove it first, or name another folder")
	}
	if err != nil {
		return diskError("init", path, err)
	}
	_, err = file.WriteString(text)
	if err = errors.Join(err, file.Close()); err != nil {
		return diskError("init", path, err)
	}
	schema := filepath.Join(dir, config.SchemaFile)
	if err := os.WriteFile(schema, config.Schema(), 0o644); err != nil {
		return diskError("init", schema, err)
	}
	there := ""
	if dir != "." {
		there = "cd " + dir + " && "
	}
	_, err = fmt.Fprintf(a.Stdout, "wrote %s\nnext: %stickerlake fetch && tickerlake run\n", path, there)
	return err
}
