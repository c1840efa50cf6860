package deliver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tickerlake/tickerlake"
)

var errDown = errors.New("down")

// The destination is down for an hour: records are taken, retries back off, and all
// is delivered once.
func TestDestinationDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		begin := time.Now()
		var waits []time.Time
		m.fail = func(int64, string) error {
			if time.Since(begin) < time.Hour {
				waits = append(waits, time.Now())
				return errDown
			}
			return nil
		}
		var events []tickerlake.Delivery
		s := start(t, config(5, 0), Options{Bucket: m, Jitter: func() float64 { return 1 }, OnEvent: func(d tickerlake.Delivery) { events = append(events, d) }})
		put(t, s, record("first"))
		time.Sleep(time.Minute)
		if st := s.Status(); !strings.Contains(st.Failure, "down") || st.Records != 1 {
			t.Errorf("status: %+v", st)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		if got := m.lines(t); !slices.Equal(got, []string{"first"}) {
			t.Errorf("delivered %q", got)
		}
		for i := 1; i < len(waits); i++ {
			want := min(firstWait<<min(i-1, 20), longestTry)
			if got := waits[i].Sub(waits[i-1]); got != want {
				t.Fatalf("wait %d is %v, want %v", i, got, want)
			}
		}
		if len(events) != 2 || events[0].Error == "" || events[1].Error != "" || events[1].Attempts != int64(len(waits))+1 || events[1].AgeSeconds < 3600 {
			t.Errorf("events %+v of %d attempts", events, len(waits))
		}
	})
}

// Errors at every step: the answer of a put that did store is lost, the hook fails.
func TestEveryStepFailsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.after = func(n int64, _ string) error {
			if n == 1 {
				return errDown
			}
			return nil
		}
		told := 0
		s := start(t, config(5, 300), Options{Bucket: m, OnDeliver: func(_ context.Context, o tickerlake.Object) error {
			if told++; told == 1 {
				return errDown
			}
			if o.Size == 0 || o.ETag == "" {
				t.Errorf("told %+v", o)
			}
			return nil
		}})
		put(t, s, record("a"))
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := m.lines(t); !slices.Equal(got, []string{"a"}) || told != 2 {
			t.Errorf("delivered %q, told %d times", got, told)
		}
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
}

// Stopped while the destination is down, Run says what stays, and the next start
// delivers it.
func TestStopWhileDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, dir := newMemory(), t.TempDir()
		m.fail = func(int64, string) error { return errDown }
		s := start(t, config(5, 1), Options{Bucket: m, Dir: dir})
		put(t, s, record("a"))
		time.Sleep(10 * time.Second)
		put(t, s, record("b"))
		begin := time.Now()
		if err := s.stop(); !errors.Is(err, tickerlake.Unavailable) || !strings.Contains(err.Error(), "4 bytes not delivered") {
			t.Errorf("run ended with %v", err)
		}
		if d := time.Since(begin); d > time.Second {
			t.Errorf("the stop took %v", d)
		}
		m.fail = nil
		s = start(t, config(5, 1), Options{Bucket: m, Dir: dir})
		if st := s.Status(); st.Records != 2 {
			t.Errorf("recovered %+v", st)
		}
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		if got := m.lines(t); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("delivered %q", got)
		}
	})
}

func TestDiskLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, dir := newMemory(), t.TempDir()
		var up atomic.Bool
		m.fail = func(int64, string) error {
			if !up.Load() {
				return errDown
			}
			return nil
		}
		cfg := config(1, 10)
		cfg.DiskLimitMB = 2
		s := start(t, cfg, Options{Bucket: m, Dir: dir})
		line := strings.Repeat("x", 1000)
		accepted := 0
		var err error
		for accepted < 1e5 {
			if err = s.Put(t.Context(), record("%06d%s", accepted, line)); err != nil {
				break
			}
			accepted++
		}
		if !errors.Is(err, tickerlake.Unavailable) || !strings.Contains(err.Error(), "ServiceUnavailableException") {
			t.Fatalf("after %d records: %v", accepted, err)
		}
		if st := s.Status(); st.LogBytes > 2<<20+64<<10 || accepted < 1500 {
			t.Errorf("refused at %d records, %d bytes", accepted, st.LogBytes)
		}
		if got := maps.Collect(s.Metrics())["ThrottledRecords"]; got != 1 {
			t.Errorf("ThrottledRecords is %d", got)
		}
		up.Store(true)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		put(t, s, record("again"))
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		if got := len(m.lines(t)); got != accepted+1 {
			t.Errorf("%d lines delivered of %d", got, accepted+1)
		}
		files, _ := filepath.Glob(filepath.Join(dir, "*.log"))
		if len(files) > 1 {
			t.Errorf("segments left: %q", files)
		}
	})
}

// Many records of alternating partitions make batches of many extents, which are
// read again from their frames.
func TestFragmentedBatchesAndRecovery(t *testing.T) {
	m, dir := newMemory(), t.TempDir()
	cfg := config(1, 900)
	cfg.Prefix = "p/!{partitionKeyFromQuery:k}/"
	o := Options{Bucket: m, Dir: dir, segmentBytes: 256 << 10}
	m.fail = func(int64, string) error { return errDown }
	s := start(t, cfg, o)
	want := 0
	for range 30 {
		var records []tickerlake.Record
		for range 500 {
			records = append(records, tickerlake.Record{Data: fmt.Appendf(nil, "%0150d\n", want), Keys: map[string]string{"k": fmt.Sprint(want % 2)}})
			want++
		}
		put(t, s, records...)
	}
	if err := s.stop(); err == nil {
		t.Error("stopped without a word while the destination was down")
	}
	m.fail = nil
	s = start(t, cfg, o)
	s.mu.Lock() // delivery has begun
	for _, b := range s.outstanding {
		if b.extents != nil {
			t.Errorf("%d extents are kept in memory", len(b.extents))
		}
	}
	s.mu.Unlock()
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	got := m.lines(t)
	if len(got) != want {
		t.Fatalf("%d lines, want %d", len(got), want)
	}
	for i, line := range got {
		if line != fmt.Sprintf("%0150d", i) {
			t.Fatalf("line %d is %s", i, line)
		}
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*.log")); len(files) != 1 {
		t.Errorf("segments left: %q", files)
	}
}

func TestConcurrentPutsAndSlowBucket(t *testing.T) {
	m := newMemory()
	m.fail = func(n int64, _ string) error {
		if n%3 == 0 {
			return errDown
		}
		return nil
	}
	s := start(t, config(1, 0), Options{Bucket: m, Jitter: func() float64 { return 0 }, segmentBytes: 64 << 10})
	const writers, each = 8, 200
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := s.Put(context.Background(), record("w%d-%d", w, i), record("v%d-%d", w, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := m.lines(t)
	if len(got) != 2*writers*each || len(slices.Compact(got)) != 2*writers*each {
		t.Errorf("%d lines, %d different; want %d", len(got), len(slices.Compact(got)), 2*writers*each)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// buildLog makes a small log of acknowledged records: some delivered, some decided,
// some neither. It gives the log's files and what must be in the bucket.
func buildLog(t testing.TB, m *memory) (files map[string][]byte, lines []string) {
	t.Helper()
	dir := t.TempDir()
	cfg := config(5, 300)
	s := start(t, cfg, Options{Bucket: m, Dir: dir})
	for i := range 3 {
		put(t, s, record("delivered%d", i))
	}
	if err := s.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	down := &memory{fail: func(int64, string) error { return errDown }}
	_ = s.stop()
	s = start(t, cfg, Options{Bucket: down, Dir: dir})
	for i := range 3 {
		put(t, s, record("decided%d", i))
	}
	_ = s.stop()
	raw, err := Open(cfg, Options{Name: "bars", Dir: dir, Bucket: down})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := raw.Put(context.Background(), record("open%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	files = map[string][]byte{}
	paths, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	for _, p := range paths {
		if files[filepath.Base(p)], err = os.ReadFile(p); err != nil {
			t.Fatal(err)
		}
	}
	for _, kind := range []string{"decided", "delivered", "open"} {
		for i := range 3 {
			lines = append(lines, fmt.Sprint(kind, i))
		}
	}
	return files, lines
}

// recoverFrom delivers what a damaged copy of a log holds, and gives the bucket's
// lines, the damage reported and what was logged.
func recoverFrom(t testing.TB, m *memory, files map[string][]byte) (lines []string, st Status, logged string) {
	t.Helper()
	dir := t.TempDir()
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fresh := newMemory()
	fresh.objects = maps.Clone(m.objects)
	var log bytes.Buffer
	s := start(t, config(5, 300), Options{Bucket: fresh, Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err := s.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	st = s.Status()
	if err := s.Put(context.Background(), record("zlater")); err != nil {
		t.Errorf("put after recovery: %v", err)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	lines = fresh.lines(t)
	if !slices.Contains(lines, "zlater") {
		t.Error("a record put after recovery is missing")
	}
	return slices.DeleteFunc(lines, func(l string) bool { return l == "zlater" }), st, log.String()
}

func TestRecoverWhole(t *testing.T) {
	m := newMemory()
	files, want := buildLog(t, m)
	got, st, _ := recoverFrom(t, m, files)
	if !slices.Equal(got, want) || len(st.Damage) != 0 {
		t.Errorf("got %q, damage %v; want %q", got, st.Damage, want)
	}
}

// The log is cut at each place of its last segment: what was whole before the cut
// is delivered, once.
func TestRecoverTorn(t *testing.T) {
	m := newMemory()
	files, want := buildLog(t, m)
	name := slices.Max(slices.Collect(maps.Keys(files)))
	whole := files[name]
	h, _, _ := decodeHeader(whole)
	mark := 0 // where the mark of the delivered object ends
	scan(seedOf(h.id), whole[segmentHeader:], segmentHeader, func(offset int64, size int, f frame) {
		if f.kind == kindDelivered {
			mark = int(offset) + size
		}
	})
	for cut := segmentHeader; cut < len(whole); cut++ {
		files[name] = whole[:cut]
		bucket := m
		if cut < mark {
			bucket = newMemory() // nor is an object always there before its mark
		}
		got, st, _ := recoverFrom(t, bucket, files)
		if len(st.Damage) != 0 {
			t.Errorf("cut at %d: damage %v", cut, st.Damage)
		}
		if !isSubset(got, want) {
			t.Errorf("cut at %d: %q", cut, got)
		}
		for _, line := range want {
			// A record whose frame ends before the cut is there.
			if at := bytes.Index(files[name], []byte(line+"\n")); at >= 0 && !slices.Contains(got, line) {
				t.Errorf("cut at %d: %s is lost", cut, line)
			}
		}
	}
}

// One bit of each byte of the log is turned: at most the record that the byte
// belongs to is missing, and that is told with file and offset.
func TestRecoverFlipped(t *testing.T) {
	m := newMemory()
	files, want := buildLog(t, m)
	for name, whole := range files {
		for at := range whole {
			b := bytes.Clone(whole)
			b[at] ^= 1 << (at % 8)
			copied := maps.Clone(files)
			copied[name] = b
			got, st, log := recoverFrom(t, m, copied)
			if !isSubset(got, want) {
				t.Errorf("%s, byte %d: %q", name, at, got)
			}
			if len(want)-len(got) > 1 {
				t.Errorf("%s, byte %d: only %q left", name, at, got)
			}
			torn := strings.Contains(log, "they are cut off")
			if len(st.Damage) == 0 && !torn {
				t.Errorf("%s, byte %d: the damage is not told", name, at)
			}
			for _, d := range st.Damage {
				if filepath.Base(d.File) != name || int64(at) < d.Offset || int64(at) >= d.Offset+d.Bytes {
					t.Errorf("%s, byte %d: told as %v", name, at, d)
				}
			}
		}
	}
}

// isSubset reports whether each line is wanted, and there once. Both are sorted.
func isSubset(lines, want []string) bool {
	for i, line := range lines {
		if !slices.Contains(want, line) || i > 0 && lines[i-1] == line {
			return false
		}
	}
	return true
}

// A damaged segment is put aside when all that can be read of it is delivered.
func TestDamagedSegmentIsKept(t *testing.T) {
	m := newMemory()
	dir := t.TempDir()
	o := Options{Bucket: m, Dir: dir, segmentBytes: 1 << 10}
	m.fail = func(int64, string) error { return errDown }
	s := start(t, config(5, 300), o)
	for i := range 100 {
		put(t, s, record("r%03d-%s", i, strings.Repeat("x", 100)))
	}
	_ = s.stop()
	paths, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	b, err := os.ReadFile(paths[2])
	if err != nil {
		t.Fatal(err)
	}
	b[500] ^= 1
	if err := os.WriteFile(paths[2], b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(paths[5]); err != nil {
		t.Fatal(err)
	}
	m.fail = nil
	s = start(t, config(5, 300), o)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(paths[2] + damagedSuffix); err != nil {
		t.Errorf("the damaged segment is gone: %v", err)
	}
	told := fmt.Sprint(s.Status().Damage)
	if !strings.Contains(told, filepath.Base(paths[2])) || !strings.Contains(told, filepath.Base(paths[5])+": bytes") {
		t.Errorf("told %s", told)
	}
	if n := len(m.lines(t)); n < 80 || n > 92 {
		t.Errorf("%d lines are left of 100", n)
	}
}

func TestRecoverUnreadable(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"no header":       {"0000000001.log": strings.Repeat("x", 500)},
		"two logs in one": {"0000000001.log": string(header{id: [16]byte{1}, number: 1}.encode()), "0000000002.log": string(header{id: [16]byte{2}, number: 2}.encode())},
	} {
		dir := t.TempDir()
		for file, text := range files {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := Open(config(5, 300), Options{Name: "bars", Dir: dir, Bucket: newMemory()})
		if !errors.Is(err, tickerlake.Damaged) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", name, err)
		}
	}
	dir := t.TempDir() // the program died while it made its first segment
	if err := os.WriteFile(filepath.Join(dir, "0000000001.log"), []byte("TLDEL"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, config(5, 300), Options{Bucket: newMemory(), Dir: dir})
	put(t, s, record("x"))
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// The program ends after all is marked as delivered and before its segments are deleted:
// the next one deletes them, whether or not anything is delivered again.
func TestDeliveredSegmentsGoAtOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	m := newMemory()
	full := map[string][]byte{} // the log as it stands when its records are in the object
	m.after = func(int64, string) error {
		paths, err := filepath.Glob(filepath.Join(dir, "*.log"))
		for _, path := range paths {
			var readErr error
			full[path], readErr = os.ReadFile(path)
			err = errors.Join(err, readErr)
		}
		return err
	}
	o := Options{Bucket: m, Dir: dir, segmentBytes: 1 << 10}
	s := start(t, config(5, 900), o)
	for i := range 30 {
		put(t, s, record("%0200d", i))
	}
	if err := errors.Join(s.Flush(t.Context()), s.stop()); err != nil {
		t.Fatal(err)
	}
	if len(full) < 5 {
		t.Fatalf("%d segments are too few to tell anything", len(full))
	}
	for path, text := range full {
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	puts := m.puts.Load()
	if err := start(t, config(5, 900), o).stop(); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(left) > 2 || m.puts.Load() != puts {
		t.Errorf("segments left: %q, %v; objects put again: %d", left, err, m.puts.Load()-puts)
	}
}
