package main

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
	"github.com/tickerlake/tickerlake/flow"
	"github.com/tickerlake/tickerlake/serve"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show freshness, ledger, what is held, last runs and disk use",
		Long: `Shows how far each series has come, the ledger of raw objects, what is held, paused or
waits and why, the alarms, the last runs and the use of the disk, as it is now. Alarms are
judged by tickerlake up: without one they are as it last saw them. Times are UTC.`,
		Example: `  tickerlake status
  tickerlake status --json | jq '.series[] | {symbol, last}'`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.open(cmd, false, func(ctx context.Context, p *pipeline) error {
				s, err := p.status(ctx)
				if err != nil {
					return err
				}
				if a.json {
					return a.printJSON(s)
				}
				return a.printStatus(p, s)
			})
		},
	}
}

// A status is what is known of a lake at a moment.
type status struct {
	Lake   string               `json:"lake"`
	Series []tickerlake.Series  `json:"series"`
	Ledger []catalog.StateCount `json:"ledger"`
	Held   []heldObject         `json:"held"`
	Paused []catalog.Pause      `json:"paused"`
	// Waiting are the series of which nothing new is published before all of their history
	// has come anew.
	Waiting []catalog.Wait `json:"waiting"`
	// Alarms are those of a lake that is up, or as they were when it last was.
	Alarms []catalog.Alarm  `json:"alarms"`
	Runs   []flow.RunResult `json:"runs"`
	Disk   []diskUse        `json:"disk"`
	// ErrorObjects counts those with records that could not be delivered under their prefix.
	ErrorObjects int64       `json:"error_objects"`
	Up           *lockHolder `json:"up"` // null if no tickerlake up holds the lake
}

// A heldObject is a raw object that waits for tickerlake run --release.
type heldObject struct {
	Key    string    `json:"key"`
	Lines  int64     `json:"lines"`
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"`
}

type diskUse struct {
	What  string `json:"what"`
	Bytes int64  `json:"bytes"`
	Files int64  `json:"files"`
}

const (
	statusRuns = 5
	statusHeld = 20
)

func (p *pipeline) status(ctx context.Context) (status, error) {
	s := status{Lake: p.dir, Held: []heldObject{}}
	if by, err := readHolder(p.dir); err == nil && serve.Taking(ctx, by.Socket) {
		s.Up = &by
	}
	var err error
	if s.Series, err = p.catalog.AllSeries(ctx); err != nil {
		return s, err
	}
	if s.Ledger, err = p.catalog.Counts(ctx); err != nil {
		return s, err
	}
	held, err := p.catalog.Objects(ctx, catalog.Held)
	if err != nil {
		return s, err
	}
	for _, e := range held {
		s.Held = append(s.Held, heldObject{Key: e.Key, Lines: e.Lines, Since: e.Updated, Reason: e.Error})
	}
	if s.Paused, err = p.catalog.Paused(ctx); err != nil {
		return s, err
	}
	if s.Waiting, err = p.catalog.Waits(ctx); err != nil {
		return s, err
	}
	if s.Alarms, err = p.catalog.Alarms(ctx); err != nil {
		return s, err
	}
	store, err := flow.NewStore(ctx, p.catalog.DB())
	if err != nil {
		return s, err
	}
	for _, name := range p.file.Workflows.Names() {
		runs, err := store.Runs(ctx, name, statusRuns)
		if err != nil {
			return s, err
		}
		s.Runs = append(s.Runs, runs...)
	}
	slices.SortStableFunc(s.Runs, func(a, b flow.RunResult) int { return b.Started.Compare(a.Started) })
	s.Runs = s.Runs[:min(len(s.Runs), statusRuns)]
	s.Disk = p.diskUse()
	undelivered, err := p.errorObjects().List(ctx)
	if err != nil {
		return s, err
	}
	s.ErrorObjects = int64(len(undelivered))
	return s, nil
}

// diskUse counts the lake's files.
func (p *pipeline) diskUse() []diskUse {
	var out []diskUse
	for _, d := range []struct{ what, path string }{
		{"raw", "buckets/raw"}, {"prod", "buckets/prod"}, {"delivery log", "log"}, {"run logs", "logs"},
	} {
		use := diskUse{What: d.what}
		_ = filepath.WalkDir(filepath.Join(p.dir, d.path), func(_ string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return nil // not there, or gone meanwhile
			}
			if info, err := e.Info(); err == nil {
				use.Bytes += info.Size()
				use.Files++
			}
			return nil
		})
		out = append(out, use)
	}
	return out
}

func (a *app) printStatus(p *pipeline, s status) error {
	rows := [][]string{{"TABLE", "SYMBOL", "SOURCE", "LAST FINAL BAR", "AGE"}}
	now := p.clock()
	for _, x := range s.Series {
		last := x.Last.UTC().Format(time.DateTime)
		if x.Interval.Daily() {
			last = x.Last.UTC().Format(time.DateOnly)
		}
		rows = append(rows, []string{x.Table, string(x.Symbol), x.Source, last, ageText(now.Sub(x.Last))})
	}
	if len(s.Series) == 0 {
		rows = append(rows, []string{"nothing is published yet"})
	}
	rows = append(rows, nil, []string{"LEDGER", "OBJECTS", "LINES", "SIZE"})
	for _, c := range s.Ledger {
		rows = append(rows, []string{string(c.State), strconv.FormatInt(c.Objects, 10), strconv.FormatInt(c.Lines, 10), sizeText(c.Bytes)})
	}
	if s.ErrorObjects > 0 {
		rows = append(rows, nil, []string{"ERROR PATH", "OBJECTS", "REASON"}, []string{"not delivered", strconv.FormatInt(s.ErrorObjects, 10), "tickerlake redrive --list says why"})
	}
	if len(s.Held) > 0 {
		rows = append(rows, nil, []string{"HELD OBJECT", "AGE", "REASON"})
		for _, h := range s.Held[:min(len(s.Held), statusHeld)] {
			rows = append(rows, []string{h.Key, ageText(now.Sub(h.Since)), h.Reason})
		}
		if more := len(s.Held) - statusHeld; more > 0 {
			rows = append(rows, []string{fmt.Sprintf("and %d more (--json lists all)", more)})
		}
	}
	if len(s.Paused) > 0 {
		rows = append(rows, nil, []string{"PAUSED SOURCE", "AGE", "REASON"})
		for _, x := range s.Paused {
			rows = append(rows, []string{x.Source, ageText(now.Sub(x.Since)), x.Reason})
		}
	}
	if len(s.Waiting) > 0 {
		rows = append(rows, nil, []string{"WAITING", "SYMBOL", "SOURCE", "AGE", "REASON"})
		for _, w := range s.Waiting[:min(len(s.Waiting), statusHeld)] {
			rows = append(rows, []string{w.Table, string(w.Symbol), w.Source, ageText(now.Sub(w.Since)), w.Reason})
		}
		if more := len(s.Waiting) - statusHeld; more > 0 {
			rows = append(rows, []string{fmt.Sprintf("and %d more (--json lists all)", more)})
		}
	}
	if len(s.Alarms) > 0 {
		reason := "REASON"
		if s.Up == nil {
			reason = "REASON (WHEN UP LAST LOOKED)"
		}
		rows = append(rows, nil, []string{"ALARM", "STATE", "AGE", reason})
		for _, x := range s.Alarms {
			rows = append(rows, []string{x.Name, string(x.State), ageText(now.Sub(x.Since)), x.Reason})
		}
	}
	rows = append(rows, nil, []string{"RUN", "WORKFLOW", "STATE", "STARTED (UTC)", "TOOK", "ROWS OR ERROR"})
	for _, r := range s.Runs {
		took := "-"
		if !r.Ended.IsZero() {
			took = r.Ended.Sub(r.Started).Round(time.Millisecond).String()
		}
		what := countsText(r.Counts)
		if r.Error != "" {
			what = r.Error // what it had done is undone
		}
		rows = append(rows, []string{r.ID, r.Workflow, string(r.State), timeText(r.Started), took, what})
	}
	rows = append(rows, nil, []string{"DISK", "SIZE", "FILES"})
	for _, d := range s.Disk {
		rows = append(rows, []string{d.What, sizeText(d.Bytes), strconv.FormatInt(d.Files, 10)})
	}
	// Each block has columns of its own.
	block := [][]string{}
	for _, r := range append(rows, nil) {
		if r != nil {
			block = append(block, r)
			continue
		}
		if err := a.columns(block); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(a.Stdout); err != nil {
			return err
		}
		block = nil
	}
	up := ""
	if s.Up != nil {
		up = fmt.Sprintf(", held by %s, at %s", s.Up, s.Up.Address)
	}
	_, err := fmt.Fprintln(a.Stdout, "lake: "+s.Lake+up)
	return err
}

// ageText is a length of time in its two largest units.
func ageText(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "now"
	case d < time.Hour:
		return strconv.Itoa(int(d.Minutes())) + "m"
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%dd", int(d.Hours())/24)
	}
}
