package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/config"
	"github.com/tickerlake/tickerlake/watch"
)

// flags are those of every command.
type flags struct {
	file     string
	logLevel string
	json     bool
	args     []string // the command line
}

// An app is one run of the program: its world and its flags.
type app struct {
	*Main
	flags
	secrets watch.Secrets
	// daemon is whose lake a command works on that came from another process, whose
	// folder is dir; nil in a process that works for itself.
	daemon *daemon
	dir    string
	// forwarded is true once a command was carried out by who holds the lake.
	forwarded bool
}

// Run runs a command line and returns the exit status. An error is printed once, to
// Stderr.
func (m *Main) Run(ctx context.Context, args []string) int {
	return m.run(ctx, &app{Main: m}, args)
}

func (m *Main) run(ctx context.Context, a *app, args []string) int {
	a.args = args
	root := a.root()
	root.SetArgs(args)
	root.SetIn(m.Stdin)
	root.SetOut(m.Stdout)
	root.SetErr(m.Stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if !errors.Is(err, errReported) {
		fmt.Fprintln(m.Stderr, "tickerlake: "+a.secrets.Hide(err.Error()))
	}
	return tickerlake.ExitStatus(err)
}

// errReported marks an error that the command has told of in its own way.
var errReported = errors.New("reported")

// reported gives a status without a message.
func reported(code tickerlake.Code) error {
	return &tickerlake.Error{Code: code, Op: "tickerlake", Err: errReported}
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "tickerlake",
		Short: "A price lake: fetch, deliver, clean, check, publish and query market prices",
		Long: `tickerlake keeps a clean, complete, query-ready history of market prices on one
machine: it fetches bars from price APIs, delivers them durably, cleans them into
Parquet tables, checks and publishes them atomically, and answers SQL.

Exit status: 0 done, 1 failed, 2 wrong use or configuration, 3 quality gate not
passed, 4 a source failed.`,
		Example: `  tickerlake init acme && cd acme    # a pipeline on the simulated market
  tickerlake fetch                   # collect and deliver
  tickerlake run                     # clean, check and publish
  tickerlake query "SELECT symbol, max(ts) FROM bars_1d GROUP BY symbol"`,
		SilenceUsage: true, SilenceErrors: true,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().StringVarP(&a.file, "config", "c", config.DefaultFile, "the pipeline file")
	root.PersistentFlags().StringVar(&a.logLevel, "log-level", "warn", "debug, info, warn or error")
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print the result as JSON")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return wrongUse(cmd, err) })
	root.AddCommand(a.fetchCommand(), a.refetchCommand(), a.importCommand(), a.runCommand(), a.cancelCommand(), a.tidyCommand(), a.rollbackCommand(), a.quarantineCommand(), a.redriveCommand(), a.doctorCommand())
	if a.daemon == nil { // nothing else has to be done by who holds the lake
		root.AddCommand(a.initCommand(), a.validateCommand(), a.upCommand(), a.serviceCommand(), a.backupCommand(), a.restoreCommand(), a.queryCommand(), a.exportCommand(), a.tablesCommand(), a.describeCommand(),
			a.checkCommand(), a.snapshotsCommand(), a.statusCommand(), a.scheduleCommand(), a.simulateCommand(), a.versionCommand())
	}
	return root
}

// usage makes a mistake in the arguments one of wrong use.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return wrongUse(cmd, err)
		}
		return nil
	}
}

func wrongUse(cmd *cobra.Command, err error) error {
	return tickerlake.Errorf(tickerlake.Invalid, "tickerlake", "", "%w (see %s --help)", err, cmd.CommandPath())
}

// load reads the pipeline file.
func (a *app) load() (*config.File, error) {
	if a.daemon != nil {
		a.secrets.Add(a.daemon.lake.file.Secrets...)
		return a.daemon.lake.file, nil // its caller has looked for mistakes
	}
	file, err := config.Load(a.file, a.Env)
	if err != nil {
		return nil, err
	}
	a.secrets.Add(file.Secrets...)
	return file, nil
}

// logger makes the log of this run, on Stderr: for people on a terminal, JSON
// otherwise.
func (a *app) logger() (*slog.Logger, error) {
	level, err := watch.ParseLevel(a.logLevel)
	if err != nil {
		return nil, tickerlake.Errorf(tickerlake.Invalid, "tickerlake", "--log-level", "%w", err)
	}
	terminal := watch.Terminal(a.Stderr)
	plain, _ := a.Env("NO_COLOR") // https://no-color.org
	return slog.New(watch.NewHandler(a.Stderr, watch.LogOptions{
		Level: level, Text: terminal, Color: terminal && plain == "", Secrets: &a.secrets})), nil
}

// open opens the lake of the pipeline file, runs do with it and closes it. If the lake is
// up, who holds it does so instead when do is to write.
func (a *app) open(cmd *cobra.Command, write bool, do func(ctx context.Context, p *pipeline) error) error {
	file, err := a.load()
	if err != nil {
		return err
	}
	log, err := a.logger()
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	if a.daemon != nil {
		return do(ctx, a.daemon.lake.seen(log))
	}
	p, err := openPipeline(ctx, file, a.Clock, log, write, cmd.Name())
	if held, ok := errors.AsType[*heldError](err); ok && write && held.by.Command == upName {
		return a.forward(ctx, file, held.by)
	}
	if err != nil {
		return err
	}
	return errors.Join(do(ctx, p), p.close(ctx))
}

// printJSON prints a result as one JSON document.
func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.Stdout)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// columns prints rows of text in aligned columns.
func (a *app) columns(rows [][]string) error {
	var widths []int
	for _, r := range rows {
		for i, c := range r {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], len([]rune(c)))
		}
	}
	for _, r := range rows {
		var line strings.Builder
		for i, c := range r {
			line.WriteString(c)
			if i < len(r)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-len([]rune(c))+2))
			}
		}
		if _, err := fmt.Fprintln(a.Stdout, strings.TrimRight(line.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}

// plural is a number of things.
func plural(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.FormatInt(n, 10) + " " + thing + "s"
}
