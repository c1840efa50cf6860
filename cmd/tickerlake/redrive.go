package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/deliver"
)

func (a *app) redriveCommand() *cobra.Command {
	var list bool
	cmd := &cobra.Command{
		Use:   "redrive [OBJECT..]",
		Short: "Send the records of error objects again",
		Long: `Sends the records that delivery could not put under its prefix, and has put under its
error prefix, through the stream of bars again: all of them, or those of the objects that
are named by their keys. Mend the cause first, such as delivery.prefix of the pipeline
file. The next run publishes what was delivered.

When all records of an object are durable, it is moved to redriven/ and its old key.
Killed before that, all of them are sent again the next time: raw.bars has them twice
then, prod once. An object that cannot be read is left alone, and the others go on.

Exit status 1 if an object could not be sent, or if records came to the error prefix
again.`,
		Example: `  tickerlake redrive --list
  tickerlake redrive && tickerlake run
  tickerlake redrive errors/processing-failed/2026/11/25/04/bars-1-2026-11-25-04-10-00-5f0c1d3e-9a41-8c57-b2aa-6e0c4a2f9d10.gz`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.open(cmd, !list, func(ctx context.Context, p *pipeline) error {
				if list {
					return a.listErrors(ctx, p, args)
				}
				return a.redrive(ctx, p, args)
			})
		},
	}
	cmd.Flags().BoolVar(&list, "list", false, "show the error objects, and send nothing")
	return cmd
}

// errorObjects is the stream's error prefix.
func (p *pipeline) errorObjects() deliver.Redrive {
	r := deliver.Redrive{Config: p.file.Delivery, Name: streamName, Objects: p.raw, Keys: keysOf}
	if p.bars != nil {
		r.Put = p.bars.Put
	}
	return r
}

// keysOf gives the partition keys of a record: its documents say what they were.
func keysOf(data []byte) map[string]string {
	first, _, _ := bytes.Cut(data, []byte("\n"))
	var says struct{ Source, Table, Interval string }
	if json.Unmarshal(first, &says) != nil {
		return nil
	}
	return map[string]string{"source": says.Source, "table": says.Table, "interval": says.Interval}
}

func (a *app) listErrors(ctx context.Context, p *pipeline, names []string) error {
	r := p.errorObjects()
	all, err := r.List(ctx)
	if err != nil {
		return err
	}
	if all, err = deliver.Choose(all, names); err != nil {
		return err
	}
	for i := range all {
		if err := r.Look(ctx, &all[i]); errors.Is(err, tickerlake.Damaged) {
			all[i].Error = err.Error()
		} else if err != nil {
			return err
		}
	}
	if a.json {
		return a.printJSON(append([]deliver.ErrorObject{}, all...))
	}
	rows := [][]string{{"ERROR OBJECT", "RECORDS", "ARRIVED (UTC)", "WHY"}}
	for _, o := range all {
		why := o.Message
		if o.Error != "" {
			why = o.Error
		}
		rows = append(rows, []string{o.Key, strconv.FormatInt(o.Records, 10), o.Arrived.Format(time.DateTime), why})
	}
	if len(all) == 0 {
		rows = [][]string{{"no record is on the error path"}}
	}
	return a.columns(rows)
}

// A redriven is what redrive prints.
type redriven struct {
	Objects []deliver.ErrorObject `json:"objects"`
	Records int64                 `json:"records"` // that were sent
	// Back are the error objects that have come meanwhile.
	Back []string `json:"back"`
}

func (a *app) redrive(ctx context.Context, p *pipeline, names []string) error {
	mine := p.asking[imports]
	if err := mine.take(ctx, func() { fmt.Fprintln(a.Stderr, "waiting for the import that is under way") }); err != nil {
		return err
	}
	defer mine.give()
	r := p.errorObjects()
	all, err := r.List(ctx)
	if err != nil {
		return err
	}
	chosen, err := deliver.Choose(all, names)
	if err != nil {
		return err
	}
	out := redriven{Objects: append([]deliver.ErrorObject{}, chosen...), Back: []string{}}
	failed := false
	for i := range out.Objects {
		o := &out.Objects[i]
		switch err := r.Send(ctx, o); {
		case errors.Is(err, tickerlake.Damaged):
			failed, o.Error = true, err.Error()
		case err != nil:
			return err
		default:
			out.Records += o.Records
		}
	}
	if err := p.bars.Flush(ctx); err != nil {
		return err
	}
	now, err := r.List(ctx)
	if err != nil {
		return err
	}
	for _, o := range now {
		if !slices.ContainsFunc(all, func(x deliver.ErrorObject) bool { return x.Key == o.Key }) {
			out.Back = append(out.Back, o.Key)
		}
	}
	return a.printRedriven(out, failed)
}

func (a *app) printRedriven(out redriven, failed bool) error {
	if a.json {
		if err := a.printJSON(out); err != nil {
			return err
		}
	} else {
		sent := int64(0)
		for _, o := range out.Objects {
			if o.Error != "" {
				fmt.Fprintln(a.Stderr, a.secrets.Hide(o.Error))
				continue
			}
			sent++
		}
		if _, err := fmt.Fprintf(a.Stdout, "%s of %s sent again\n", plural(out.Records, "record"), plural(sent, "object")); err != nil {
			return err
		}
		for _, key := range out.Back {
			fmt.Fprintf(a.Stderr, "records have come to the error path again: %s (tickerlake redrive --list says why)\n", key)
		}
	}
	if failed || len(out.Back) > 0 {
		return reported(tickerlake.Damaged)
	}
	return nil
}
