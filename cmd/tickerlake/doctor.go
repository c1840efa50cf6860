package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
	"github.com/tickerlake/tickerlake/deliver"
	"github.com/tickerlake/tickerlake/flow"
	"github.com/tickerlake/tickerlake/lake"
)

func (a *app) doctorCommand() *cobra.Command {
	var deep, repair bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Compare the lake with what it says of itself, and repair what is safe",
		Long: `Reads every file that the lake needs and compares it with what is recorded of it: sizes
and checksums of data files and metadata, raw objects and events with the ledger and
their own checksums, the delivery logs frame by frame, and what the state says of series
and revisions with the rows of prod. It prints a line for each finding: what, where, what
is wrong, and what --repair would do. Exit status 1 if anything is wrong; notes, which
need nothing to be done, do not count.

--repair does what is safe, under the lake's lock: it takes a table with a damaged file
back to the newest whole snapshot (what came since is held, and brought anew by tickerlake
run --release), has an older copy of catalog.db name the newest metadata of its tables, marks damaged raw objects so that their sources are asked again, moves
damaged events aside, renews prod.latest, and drops candidates of runs that are over. What
it does not understand it leaves alone.`,
		Example: "  tickerlake doctor\n  tickerlake doctor --deep --json\n  tickerlake doctor --repair",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.doctor(cmd, deep, repair)
		},
	}
	cmd.Flags().BoolVar(&deep, "deep", false, "also read every page of every data file")
	cmd.Flags().BoolVar(&repair, "repair", false, "do what is safe about the findings")
	return cmd
}

// An examined is what doctor prints.
type examined struct {
	Lake     string         `json:"lake"`
	Findings []lake.Finding `json:"findings"`
	Wrong    int            `json:"wrong"` // findings that are not notes and not repaired
}

func (a *app) doctor(cmd *cobra.Command, deep, repair bool) error {
	file, err := a.load()
	if err != nil {
		return err
	}
	out := examined{Lake: file.LakeDir(), Findings: []lake.Finding{}}
	logs, err := examineLogs(file.LakeDir())
	if err != nil {
		return err
	}
	out.Findings = append(out.Findings, logs...)
	err = a.open(cmd, repair, func(ctx context.Context, p *pipeline) error {
		if err := p.examine(ctx, &out, lake.Examination{Deep: deep, Quiet: repair}); err != nil {
			return err
		}
		if repair {
			return a.alone(ctx, p, func() error { return p.repair(ctx, &out) })
		}
		return nil
	})
	switch {
	case a.forwarded:
		return err // it has printed all
	case errors.Is(err, tickerlake.Damaged):
		// The lake cannot be opened: that is a finding, and all that can be said.
		out.Findings = append(out.Findings, unopened(err))
	case err != nil:
		return err
	}
	for _, f := range out.Findings {
		if f.Severity == lake.Wrong && f.Repaired == "" {
			out.Wrong++
		}
	}
	if err := a.printExamined(out, repair); err != nil {
		return err
	}
	if out.Wrong > 0 {
		return reported(tickerlake.Damaged)
	}
	return nil
}

// unopened is the finding of a lake whose databases cannot be read.
func unopened(err error) lake.Finding {
	f := lake.Finding{Severity: lake.Wrong, What: "database", Problem: err.Error(),
		Advice: "put back a copy of state.db or catalog.db, each with its -wal file; nothing else is touched"}
	if e, ok := errors.AsType[*tickerlake.Error](err); ok {
		f.Where = e.Name
	}
	return f
}

// examineLogs looks at the delivery logs.
func examineLogs(dir string) ([]lake.Finding, error) {
	var out []lake.Finding
	for _, name := range []string{streamName, opsName} {
		damage, err := deliver.Examine(filepath.Join(dir, "log", name))
		if err != nil {
			return out, err
		}
		for _, d := range damage {
			f := lake.Finding{Severity: lake.Wrong, What: "delivery log", Where: d.File, Problem: d.Reason,
				Advice: "the records around it are delivered by the next fetch or run, which puts the segment aside; what was in these bytes is lost to the log: tickerlake fetch --from .. asks the sources again"}
			if d.Bytes > 0 {
				f.Problem = fmt.Sprintf("%s: %d bytes at %d", d.Reason, d.Bytes, d.Offset)
			}
			if strings.HasSuffix(d.File, ".damaged") {
				f.Severity, f.Advice = lake.Note, ""
			}
			out = append(out, f)
		}
	}
	return out, nil
}

// runsLookedAt bounds how far back doctor looks for a run that has changed rows.
const runsLookedAt = 1000

// examine looks at the lake, and at what the runs say.
func (p *pipeline) examine(ctx context.Context, out *examined, e lake.Examination) error {
	store, err := flow.NewStore(ctx, p.catalog.DB())
	if err != nil {
		return err
	}
	runs, err := store.Runs(ctx, mainWorkflow, runsLookedAt)
	if err != nil {
		return err
	}
	for _, r := range runs {
		if c := r.Counts; r.State == flow.RunCompleted && c.Inserted+c.Replaced+c.Removed > 0 {
			e.Changed = r.ID
			break
		}
	}
	found, err := p.lake.Examine(ctx, e)
	out.Findings = append(out.Findings, found...)
	return err
}

// repair does what is safe, one finding after the other.
func (p *pipeline) repair(ctx context.Context, out *examined) error {
	for i := range out.Findings {
		f := &out.Findings[i]
		if err := f.Repair(ctx); err != nil {
			return fmt.Errorf("%s: %w", f.Where, err)
		}
		if f.Repaired != "" {
			p.log.WarnContext(ctx, "repaired", "what", f.What, "where", f.Where, "problem", f.Problem, "done", f.Repaired)
		}
	}
	return nil
}

func (a *app) printExamined(out examined, repair bool) error {
	if a.json {
		return a.printJSON(out)
	}
	remedies := 0
	for _, f := range out.Findings {
		text := fmt.Sprintf("%s: %s %s: %s", f.Severity, f.What, f.Where, f.Problem)
		switch {
		case f.Repaired != "":
			text += "\n  repaired: " + f.Repaired
		case f.Remedy != "":
			remedies++
			text += "\n  --repair would " + f.Remedy
		case f.Advice != "":
			text += "\n  to do: " + f.Advice
		}
		if _, err := fmt.Fprintln(a.Stdout, text); err != nil {
			return err
		}
	}
	verdict := fmt.Sprintf("%s: nothing is wrong", out.Lake)
	if out.Wrong > 0 {
		verdict = fmt.Sprintf("%s: %s wrong", out.Lake, plural(int64(out.Wrong), "thing"))
		if remedies > 0 && !repair {
			verdict += ": tickerlake doctor --repair does what is safe"
		}
	}
	_, err := fmt.Fprintf(a.Stdout, "%s (format %d)\n", verdict, catalog.StateVersion)
	return err
}
