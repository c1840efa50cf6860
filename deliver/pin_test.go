package deliver

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake"
)

// TestPin takes the log of a stream that is written to, delivers and deletes segments, again
// and again. A stream that is opened on what was taken finds nothing damaged, and delivers
// every record that was acknowledged before and was not in an object by then.
func TestPin(t *testing.T) {
	dir, delivered := t.TempDir(), newMemory()
	s, err := Open(config(1, 900), Options{Name: "bars", Dir: dir, Bucket: delivered, segmentBytes: 1 << 10})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var parts sync.WaitGroup
	parts.Go(func() { _ = s.Run(ctx) })
	var acknowledged atomic.Int64
	enough := make(chan struct{})
	parts.Go(func() {
		for n := int64(1); ; n++ {
			select {
			case <-enough:
				return
			default:
			}
			if err := s.Put(context.Background(), tickerlake.Record{Data: fmt.Appendf(nil, "r%d;\n", n)}); err != nil {
				t.Error(err)
				return
			}
			acknowledged.Store(n)
			if n%7 == 0 {
				if err := s.Flush(context.Background()); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	for acknowledged.Load() < 20 && !t.Failed() {
		time.Sleep(time.Millisecond)
	}
	first := map[string]bool{}
	for i := 0; (i < 25 || len(first) < 2) && !t.Failed(); i++ { // until a segment is deleted meanwhile
		before := acknowledged.Load()
		p, err := Pin(dir)
		if err != nil {
			t.Fatal(err)
		}
		there := strings.Join(delivered.lines(t), "")
		first[p.Segments[0].Name] = true
		again, more := t.TempDir(), newMemory()
		for _, g := range p.Segments {
			text, err := io.ReadAll(io.NewSectionReader(g.File, 0, g.Size))
			if err == nil {
				err = os.WriteFile(filepath.Join(again, g.Name), text, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		there += deliverAll(t, again, more)
		for n := int64(1); n <= before; n++ {
			if !strings.Contains(there, fmt.Sprintf("r%d;", n)) {
				t.Fatalf("record %d of %d is neither in an object nor in the log", n, before)
			}
		}
	}
	close(enough)
	stop()
	parts.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// deliverAll delivers what a log holds, which must be whole.
func deliverAll(t *testing.T, dir string, to *memory) string {
	t.Helper()
	s, err := Open(config(1, 900), Options{Name: "bars", Dir: dir, Bucket: to})
	if err != nil {
		t.Fatal(err)
	}
	if d := s.Status().Damage; len(d) > 0 {
		t.Errorf("the log is damaged: %+v", d)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := s.Run(ctx); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if d := s.Status().Damage; len(d) > 0 {
		t.Errorf("records of the log are damaged: %+v", d)
	}
	return strings.Join(to.lines(t), "")
}
