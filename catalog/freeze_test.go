package catalog_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
)

// TestFreeze: both copies are of one moment, whatever is committed before, during and
// after, and a writer waits no longer than the moment takes.
func TestFreeze(t *testing.T) {
	dir := t.TempDir()
	c, err := catalog.Open(t.Context(), dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	other, err := catalog.Open(t.Context(), dir, time.Now) // as of another process
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	enter := func(n int) error {
		return other.Enter(context.Background(), tickerlake.Object{Key: fmt.Sprintf("raw/bars/dt=2026-01-05/%04d.gz", n), At: time.Now()})
	}
	if err := enter(0); err != nil {
		t.Fatal(err)
	}
	var writers sync.WaitGroup
	committed := make(chan error, 1)
	frozen, err := c.Freeze(t.Context(), func(ctx context.Context) error {
		writers.Go(func() { committed <- enter(1) })
		select {
		case err := <-committed:
			t.Errorf("a commit came through while the databases were frozen: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-committed; err != nil {
		t.Errorf("the commit afterwards: %v", err)
	}
	writers.Wait()
	for n := range 50 {
		if err := enter(2 + n); err != nil {
			t.Fatal(err)
		}
	}
	to := t.TempDir()
	for range 2 { // and once more over itself
		if err := frozen.CopyTo(t.Context(), to); err != nil {
			t.Fatal(err)
		}
	}
	if err := frozen.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := os.ReadDir(to)
	if err != nil || len(names) != 2 {
		t.Errorf("the copy has %v, %v; want catalog.db and state.db alone", names, err)
	}
	copied, err := catalog.Open(t.Context(), to, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	got, err := copied.Objects(t.Context(), "")
	if err != nil || len(got) != 1 || filepath.Base(got[0].Key) != "0000.gz" {
		t.Errorf("the copy has the objects %v, %v; want that of before alone", got, err)
	}
	now, err := c.Objects(t.Context(), "")
	if err != nil || len(now) != 52 {
		t.Errorf("the lake has %d objects, %v", len(now), err)
	}
}
