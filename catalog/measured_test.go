package catalog_test

import (
	"context"
	"fmt"
	"reflect"
	"testing"

	"github.com/tickerlake/tickerlake/catalog"
)

// Earlier values are those of published runs, newest first; a rollback takes the values
// of what it undoes with it.
func TestMeasured(t *testing.T) {
	c := hasty(t)
	ctx := context.Background()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	keep := func(table, run string, v float64) {
		t.Helper()
		must(c.KeepMeasured(ctx, table, run, map[string]float64{"RowCount": v, "Mean": -v}))
	}
	want := func(table, before string, n int, values ...float64) {
		t.Helper()
		got, err := c.Measured(ctx, table, "RowCount", before, n)
		if err != nil || !reflect.DeepEqual(got, values) {
			t.Errorf("%s before %q: %v (%v), want %v", table, before, got, err, values)
		}
	}
	publish := func(run string) {
		t.Helper()
		must(c.Publish(ctx, catalog.Publication{Run: run, Claimed: now}))
	}
	keep("bars_1d", "r1", 1)
	want("bars_1d", "r1", 9) // not published yet
	publish("r1")
	keep("bars_1d", "r2", 100)
	keep("bars_1d", "r2", 2) // judged again
	keep("bars_1m", "r2", 50)
	publish("r2")
	keep("bars_1d", "r3", 300) // fails
	keep("bars_1d", "r4", 4)
	want("bars_1d", "r4", 9, 2, 1)
	want("bars_1d", "r4", 1, 2)
	want("bars_1d", "", 9, 2, 1)
	want("bars_1d", "r2", 9, 1) // what r2 was compared with
	publish("r4")
	publish("r3") // its values are gone
	want("bars_1d", "r5", 9, 4, 2, 1)
	want("bars_1m", "", 9, 50)

	seq, _, _, err := c.Seq(ctx, "r1")
	must(err)
	_, err = c.TakeBack(ctx, catalog.Rollback{Table: "bars_1d", Run: "x", Snapshot: 1, Seq: seq, Plan: []byte("{}")})
	must(err)
	want("bars_1d", "r5", 9, 1)
	want("bars_1m", "", 9, 50)

	for i := range 1004 {
		run := fmt.Sprintf("n%04d", i)
		keep("bars_1d", run, float64(i))
		publish(run)
	}
	got, err := c.Measured(ctx, "bars_1d", "RowCount", "", 5000)
	must(err)
	if len(got) != 1001 && len(got) != 1000 || got[0] != 1003 {
		t.Errorf("%d values are kept, the newest %v", len(got), got[0])
	}
}
