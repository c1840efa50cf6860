package catalog_test

import (
	"context"
	"reflect"
	"testing"
)

// What is kept of partitions is one set for a table: what is not in it goes.
func TestPartitionMeasures(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir)
	ctx := context.Background()
	keep := func(table string, values map[string]map[string]string) {
		t.Helper()
		if err := c.KeepPartitionMeasures(ctx, table, values); err != nil {
			t.Fatal(err)
		}
	}
	want := func(table string, values map[string]map[string]string) {
		t.Helper()
		got, err := c.PartitionMeasures(ctx, table)
		if err != nil || !reflect.DeepEqual(got, values) {
			t.Errorf("%s keeps %v (%v), want %v", table, got, err, values)
		}
	}
	want("bars_1d", map[string]map[string]string{})
	first := map[string]map[string]string{"a": {"count(*)": "i1", "min(x)": "n"}, "b": {"count(*)": "i2"}}
	keep("bars_1d", first)
	keep("bars_1m", map[string]map[string]string{"a": {"count(*)": "i9"}})
	want("bars_1d", first)
	second := map[string]map[string]string{"b": {"count(*)": "i2", "max(x)": "f1.5"}, "c": {"count(*)": "i7"}}
	keep("bars_1d", second)
	c.Close()
	c = open(t, dir)
	want("bars_1d", second)
	want("bars_1m", map[string]map[string]string{"a": {"count(*)": "i9"}})
	keep("bars_1d", map[string]map[string]string{"b": {"count(*)": "i3"}})
	want("bars_1d", map[string]map[string]string{"b": {"count(*)": "i3"}})
}
