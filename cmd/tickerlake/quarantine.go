package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
	"github.com/tickerlake/tickerlake/duck"
	"github.com/tickerlake/tickerlake/lake"
	"github.com/tickerlake/tickerlake/query"
)

func (a *app) quarantineCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "quarantine",
		Short: "See rows that were set aside, and decide about them",
		Long: `A row that is no plausible bar, or breaks a rule, is set aside in ops.quarantine, and all
else goes on. list and show tell what is there and why; accept publishes rows knowingly,
reject is done with them. Ids may be shortened as long as they are one row's.`,
		Example: `  tickerlake quarantine list --symbol SPY
  tickerlake quarantine show 1f6c
  tickerlake quarantine accept --run 1f6c`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.quarantineList(), a.quarantineShow(), a.quarantineAccept(), a.quarantineReject())
	return cmd
}

// A quarantineFilter says which rows list shows.
type quarantineFilter struct {
	table, symbol, reason, run string
	all                        bool
	limit                      int
}

func (a *app) quarantineList() *cobra.Command {
	var f quarantineFilter
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the rows that wait for a decision, the latest first",
		Example: `  tickerlake quarantine list --table bars_1d --reason "low is above"
  tickerlake quarantine list --all --limit 0    # those that were decided about too`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.open(cmd, false, func(ctx context.Context, p *pipeline) error { return a.listQuarantine(ctx, p, f) })
		},
	}
	cmd.Flags().StringVar(&f.table, "table", "", "only rows for this table, such as bars_1d")
	cmd.Flags().StringVar(&f.symbol, "symbol", "", "only rows of this symbol")
	cmd.Flags().StringVar(&f.reason, "reason", "", "only rows whose reason contains this text")
	cmd.Flags().StringVar(&f.run, "run", "", "only rows that this run set aside")
	cmd.Flags().BoolVar(&f.all, "all", false, "rows that were accepted or rejected too")
	cmd.Flags().IntVar(&f.limit, "limit", 50, "at most so many; 0 is no limit")
	return cmd
}

func (a *app) quarantineShow() *cobra.Command {
	return &cobra.Command{
		Use:     "show ID",
		Short:   "Show one row: where it came from, its text, and what can be done",
		Example: "  tickerlake quarantine show 1f6c",
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.open(cmd, false, func(ctx context.Context, p *pipeline) error {
				rows, err := p.quarantinedRows(ctx, args)
				if err != nil {
					return err
				}
				if a.json {
					return a.printJSON(rows[0])
				}
				return a.showQuarantined(rows[0])
			})
		},
	}
}

func (a *app) quarantineAccept() *cobra.Command {
	var run bool
	cmd := &cobra.Command{
		Use:   "accept ID..",
		Short: "Publish rows knowingly",
		Long: `Delivers the raw documents of rows again, marked as accepted: the next run publishes
them, whatever looks implausible about them and whatever rule they break. The decision
is recorded in ops.quarantine, and holds for these rows alone.

A row that cannot be made a bar, does not belong in its table, or of which a later fetch
has told since, is refused; so is one from a file whose series waits, and one of an answer
that was to replace its series and has not. Others that are named still go on.`,
		Example: "  tickerlake quarantine accept 1f6c 93ab\n  tickerlake quarantine accept --run 1f6c    # and run at once",
		Args:    usage(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.open(cmd, true, func(ctx context.Context, p *pipeline) error {
				done, err := a.decide(ctx, p, args, func(q tickerlake.Quarantined) (bool, error) {
					return p.lake.Accept(ctx, q, func(ctx context.Context, r tickerlake.Record) error { return p.bars.Put(ctx, r) })
				})
				for i := range done {
					done[i].Decision = catalog.Accepted
				}
				note := "the next run publishes them (tickerlake run)"
				if run {
					note = ""
				}
				err = errors.Join(err, a.printDecisions(done, note))
				if err != nil || !run {
					return err
				}
				return a.run(ctx, p, mainWorkflow, false, p.starting)
			})
		},
	}
	cmd.Flags().BoolVar(&run, "run", false, "run the workflow at once")
	return cmd
}

func (a *app) quarantineReject() *cobra.Command {
	return &cobra.Command{
		Use:     "reject ID..",
		Short:   "Be done with rows that are wrong",
		Long:    `Records that rows are wrong: list no longer shows them. What the source says later is judged anew.`,
		Example: "  tickerlake quarantine reject 1f6c",
		Args:    usage(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.open(cmd, true, func(ctx context.Context, p *pipeline) error {
				done, err := a.decide(ctx, p, args, func(q tickerlake.Quarantined) (bool, error) {
					return q.Decision != catalog.Rejected, p.lake.Reject(ctx, q)
				})
				for i := range done {
					done[i].Decision = catalog.Rejected
				}
				return errors.Join(err, a.printDecisions(done, ""))
			})
		},
	}
}

// A decided row is one about which a user has decided.
type decided struct {
	ID       string `json:"id"`
	Symbol   string `json:"symbol"`
	Ts       string `json:"ts"`
	Decision string `json:"decision"`
	Before   bool   `json:"before"` // it had been decided so before
}

// decide decides about rows, in its turn.
func (a *app) decide(ctx context.Context, p *pipeline, ids []string, one func(tickerlake.Quarantined) (bool, error)) (done []decided, err error) {
	err = a.writing(ctx, p, func() error {
		done, err = p.decide(ctx, ids, one)
		return err
	})
	return done, err
}

// decide finds all rows first, then decides about one after the other.
func (p *pipeline) decide(ctx context.Context, ids []string, one func(tickerlake.Quarantined) (bool, error)) ([]decided, error) {
	if err := p.ops.flush(ctx); err != nil { // what a command that was cut off had told
		return nil, err
	}
	rows, err := p.quarantinedRows(ctx, ids)
	if err != nil {
		return nil, err
	}
	var done []decided
	var errs []error
	for _, q := range rows {
		fresh, err := one(q)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		done = append(done, decided{ID: q.ID, Symbol: q.Symbol, Ts: q.Ts, Before: !fresh})
	}
	return done, errors.Join(append(errs, p.ops.flush(context.WithoutCancel(ctx)))...)
}

func (a *app) printDecisions(done []decided, note string) error {
	if a.json {
		if done == nil {
			done = []decided{}
		}
		return a.printJSON(done)
	}
	fresh := 0
	for _, d := range done {
		before := ""
		if d.Before {
			before = " before"
		} else {
			fresh++
		}
		if _, err := fmt.Fprintf(a.Stdout, "%s %s %s: %s%s\n", d.ID, d.Symbol, d.Ts, d.Decision, before); err != nil {
			return err
		}
	}
	if fresh == 0 || note == "" {
		return nil
	}
	_, err := fmt.Fprintln(a.Stdout, note)
	return err
}

const quarantinedColumns = "id, run, object, line, \"table\", symbol, ts, reason, recorded_at, coalesce(decision, ''), decided_at"

// eachQuarantined calls f for rows of ops.quarantine, the latest first.
func (p *pipeline) eachQuarantined(ctx context.Context, columns, where string, f func(q tickerlake.Quarantined) error) error {
	views, err := p.lake.Views(ctx)
	if err != nil {
		return err
	}
	// The catalog is the first to know what was decided.
	known, err := p.catalog.Decisions(ctx)
	if err != nil {
		return err
	}
	sql := "SELECT " + columns + " FROM " + p.lake.Database("ops") + ".quarantine WHERE " + where + " ORDER BY recorded_at DESC, object, line"
	return p.ask(ctx, views, query.Request{SQL: sql}, func(s *duck.Sandbox, r query.Request) error {
		rows, err := s.Query(ctx, r)
		if err != nil {
			return err
		}
		defer rows.Close()
		return query.Each(rows, func(v []any) error {
			text := func(i int) string { s, _ := v[i].(string); return s }
			q := tickerlake.Quarantined{ID: text(0), Run: text(1), Object: text(2), Table: text(4), Symbol: text(5), Ts: text(6), Reason: text(7), Decision: text(9)}
			q.Line, _ = v[3].(int64)
			q.At, _ = v[8].(time.Time)
			q.DecidedAt, _ = v[10].(time.Time)
			if len(v) > 11 {
				q.Raw = text(11)
			}
			if d, ok := known[q.ID]; ok {
				q.Decision, q.DecidedAt = d.Decision, d.At
			}
			return f(q)
		})
	})
}

var idPrefix = regexp.MustCompile(`^[0-9a-f]{4,24}$`)

// quarantinedRows finds the rows of ids, which may be shortened, each once.
func (p *pipeline) quarantinedRows(ctx context.Context, ids []string) ([]tickerlake.Quarantined, error) {
	var out []tickerlake.Quarantined
	seen := map[string]bool{}
	for _, id := range ids {
		if !idPrefix.MatchString(id) {
			return nil, tickerlake.Errorf(tickerlake.Invalid, "quarantine", id, "no id: want 4 to 24 of 0-9 and a-f, as tickerlake quarantine list shows them")
		}
		var found []tickerlake.Quarantined
		err := p.eachQuarantined(ctx, quarantinedColumns+", raw", "starts_with(id, "+literal(id)+")", func(q tickerlake.Quarantined) error {
			found = append(found, q)
			return nil
		})
		switch {
		case err != nil:
			return nil, err
		case len(found) == 0:
			return nil, tickerlake.Errorf(tickerlake.NotFound, "quarantine", id, "no row has this id: tickerlake quarantine list --all shows them")
		case len(found) > 1:
			return nil, tickerlake.Errorf(tickerlake.Invalid, "quarantine", id, "%d rows have ids that begin so, such as %s and %s: give more of it", len(found), found[0].ID, found[1].ID)
		case !seen[found[0].ID]:
			seen[found[0].ID] = true
			out = append(out, found[0])
		}
	}
	return out, nil
}

// literal is a text in SQL.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func (a *app) listQuarantine(ctx context.Context, p *pipeline, f quarantineFilter) error {
	where := []string{"true"}
	for _, c := range []struct{ value, condition string }{
		{f.table, `"table" = %s`}, {f.symbol, "symbol = %s"}, {f.run, "run = %s"}, {f.reason, "contains(reason, %s)"},
	} {
		if c.value != "" {
			where = append(where, fmt.Sprintf(c.condition, literal(c.value)))
		}
	}
	columns := quarantinedColumns
	if a.json {
		columns += ", raw"
	}
	shown := []tickerlake.Quarantined{}
	more := 0
	err := p.eachQuarantined(ctx, columns, strings.Join(where, " AND "), func(q tickerlake.Quarantined) error {
		switch {
		case !f.all && q.Decision != "":
		case f.limit > 0 && len(shown) == f.limit:
			more++
		default:
			shown = append(shown, q)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(shown)
	}
	rows := [][]string{{"ID", "TABLE", "SYMBOL", "TS", "SET ASIDE (UTC)", "DECISION", "REASON"}}
	for _, q := range shown {
		decision := q.Decision
		if decision == "" {
			decision = "-"
		}
		rows = append(rows, []string{q.ID, plainText(q.Table), plainText(q.Symbol), plainText(q.Ts), timeText(q.At), decision, plainText(q.Reason)})
	}
	if len(shown) == 0 {
		what := "no row waits for a decision\n"
		if f.all {
			what = "no row was set aside\n"
		}
		_, err := fmt.Fprint(a.Stdout, what)
		return err
	}
	if err := a.columns(rows); err != nil || more == 0 {
		return err
	}
	_, err = fmt.Fprintf(a.Stdout, "and %d more: --limit shows more of them\n", more)
	return err
}

// plainText is a text without what could steer a terminal.
func plainText(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

func (a *app) showQuarantined(q tickerlake.Quarantined) error {
	rows := [][]string{
		{"id", q.ID}, {"table", plainText(q.Table)}, {"symbol", plainText(q.Symbol)}, {"ts", plainText(q.Ts)}, {"reason", plainText(q.Reason)},
		{"set aside", timeText(q.At) + " by run " + q.Run}, {"object", q.Object}, {"line", fmt.Sprint(q.Line)},
	}
	if q.Decision == "" {
		rows = append(rows, []string{"remedy", lake.Remedy(q.Reason)})
	} else {
		rows = append(rows, []string{"decision", q.Decision + " " + timeText(q.DecidedAt)})
	}
	if err := a.columns(rows); err != nil {
		return err
	}
	var raw bytes.Buffer
	if json.Indent(&raw, []byte(q.Raw), "", "  ") != nil {
		raw.Reset()
		raw.WriteString(q.Raw) // no JSON: as it is
	}
	if _, err := fmt.Fprintln(a.Stdout); err != nil {
		return err
	}
	for line := range strings.Lines(strings.TrimRight(raw.String(), "\n")) {
		if _, err := fmt.Fprintln(a.Stdout, plainText(strings.TrimRight(line, "\n"))); err != nil {
			return err
		}
	}
	return nil
}
