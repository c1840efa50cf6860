package deliver

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/blob"
)

// BenchmarkPut accepts batches of 500 records of 150 bytes from several writers,
// each batch fsynced before the answer, and in the same run does what no log can do
// without: append the same bytes to a file and fdatasync after each batch, in one
// loop. It reports records a second of both, and the ratio of their times. "alone"
// only accepts; "delivering" cuts, compresses and stores objects meanwhile.
func BenchmarkPut(b *testing.B) {
	for _, writers := range []int{1, 4, 16} {
		b.Run(fmt.Sprintf("alone/%d", writers), func(b *testing.B) { benchmarkPut(b, writers, false) })
	}
	b.Run("delivering/4", func(b *testing.B) { benchmarkPut(b, 4, true) })
}

func benchmarkPut(b *testing.B, writers int, deliver bool) {
	const perBatch, size = 500, 150
	records := make([]tickerlake.Record, perBatch)
	line := append(bytes.Repeat([]byte{'x'}, size-1), '\n')
	for i := range records {
		records[i].Data = line
	}
	root := b.TempDir()
	bare := bareLoop(b, filepath.Join(root, "bare"), bytes.Repeat(line, perBatch))

	bucket, err := blob.OpenDir(filepath.Join(root, "bucket"))
	if err != nil {
		b.Fatal(err)
	}
	s, err := Open(config(128, 900), Options{Name: "bars", Dir: filepath.Join(root, "log"), Bucket: bucket})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if deliver {
			_ = s.Run(ctx)
		}
	}()
	b.ReportAllocs()
	b.ResetTimer()
	begin := time.Now()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := w; i < b.N; i += writers {
				if err := s.Put(ctx, records...); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(begin)
	b.StopTimer()
	b.ReportMetric(float64(b.N)*perBatch/took.Seconds(), "records/s")
	b.ReportMetric(float64(b.N)*perBatch/bare.Seconds(), "bare_records/s")
	b.ReportMetric(took.Seconds()/bare.Seconds(), "x_bare")
	cancel()
	<-ended
	_ = s.Close()
	_ = bucket.Close()
}

func bareLoop(b *testing.B, path string, batch []byte) time.Duration {
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	begin := time.Now()
	for range b.N {
		if _, err := f.Write(batch); err != nil {
			b.Fatal(err)
		}
		if err := syncData(f); err != nil {
			b.Fatal(err)
		}
	}
	took := time.Since(begin)
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	_ = os.Remove(path)
	return took
}

// BenchmarkOpen opens a stream whose log has a gigabyte that is not delivered, as after a
// kill, and in turn only reads the same files. It reports both times and their ratio.
func BenchmarkOpen(b *testing.B) {
	for _, size := range []int{150, 64 << 10} {
		b.Run(fmt.Sprintf("record=%d", size), func(b *testing.B) { benchmarkOpen(b, size) })
	}
}

func benchmarkOpen(b *testing.B, size int) {
	root := b.TempDir()
	bucket, err := blob.OpenDir(filepath.Join(root, "bucket"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = bucket.Close() }()
	dir := filepath.Join(root, "log")
	open := func() *Stream {
		s, err := Open(config(128, 900), Options{Name: "bars", Dir: dir, Bucket: bucket})
		if err != nil {
			b.Fatal(err)
		}
		return s
	}
	s := open()
	batch := make([]tickerlake.Record, max(1, 1<<20/size))
	for i := range batch {
		batch[i].Data = append(bytes.Repeat([]byte{'x'}, size-1), '\n')
	}
	for s.Status().LogBytes < 1<<30 {
		if err := s.Put(b.Context(), batch...); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	var opened, read time.Duration
	b.ResetTimer()
	for b.Loop() {
		begin := time.Now()
		s := open()
		opened += time.Since(begin)
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		begin = time.Now()
		files, err := os.ReadDir(dir)
		if err != nil {
			b.Fatal(err)
		}
		for _, f := range files {
			if _, err := os.ReadFile(filepath.Join(dir, f.Name())); err != nil {
				b.Fatal(err)
			}
		}
		read += time.Since(begin)
	}
	b.ReportMetric(opened.Seconds()*1000/float64(b.N), "open_ms")
	b.ReportMetric(read.Seconds()*1000/float64(b.N), "bare_read_ms")
	b.ReportMetric(opened.Seconds()/read.Seconds(), "x_bare_read")
}
