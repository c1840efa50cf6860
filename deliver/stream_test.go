package deliver

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/blob"
)

func TestMain(m *testing.M) {
	if mode := os.Getenv(childEnv); mode != "" {
		os.Exit(child(mode))
	}
	goleak.VerifyTestMain(m)
}

// A memory is a bucket that can be told to fail.
type memory struct {
	mu      sync.Mutex
	objects map[string][]byte
	puts    atomic.Int64
	fail    func(attempt int64, key string) error
	after   func(attempt int64, key string) error // fails after the object is stored
}

func newMemory() *memory { return &memory{objects: map[string][]byte{}} }

func (m *memory) Put(ctx context.Context, key string, body io.Reader, cond blob.Condition) (blob.Info, error) {
	n := m.puts.Add(1)
	if m.fail != nil {
		if err := m.fail(n, key); err != nil {
			return blob.Info{}, err
		}
	}
	b, err := io.ReadAll(body)
	if err := cmp.Or(err, ctx.Err(), blob.CheckKey(key)); err != nil {
		return blob.Info{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.objects[key]; taken && cond.IfAbsent {
		return blob.Info{}, tickerlake.Errorf(tickerlake.Exists, "memory.Put", key, "taken")
	}
	m.objects[key] = b
	if m.after != nil {
		if err := m.after(n, key); err != nil {
			return blob.Info{}, err
		}
	}
	return blob.Info{Key: key, Size: int64(len(b)), ETag: "e"}, nil
}

func (m *memory) Head(_ context.Context, key string) (blob.Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.objects[key]
	if !ok {
		return blob.Info{}, tickerlake.Errorf(tickerlake.NotFound, "memory.Head", key, "absent")
	}
	return blob.Info{Key: key, Size: int64(len(b)), ETag: "e"}, nil
}

// contents gives the objects, uncompressed.
func (m *memory) contents(t testing.TB) map[string]string {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string]string{}
	for key, b := range m.objects {
		out[key] = unzip(t, key, b)
	}
	return out
}

func unzip(t testing.TB, key string, b []byte) string {
	t.Helper()
	if !strings.HasSuffix(key, ".gz") {
		return string(b)
	}
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return string(text)
}

// lines gives every line of every object, sorted.
func (m *memory) lines(t testing.TB) []string {
	var all []string
	for _, text := range m.contents(t) {
		all = append(all, strings.Fields(text)...)
	}
	slices.Sort(all)
	return all
}

func config(size, seconds int) Config {
	c := Defaults()
	c.Prefix = "raw/dt=!{timestamp:yyyy-MM-dd}/"
	c.Buffering = Buffering{&size, &seconds}
	return c
}

// A running is a stream with its Run.
type running struct {
	*Stream
	stop func() error // ends Run and closes
}

func start(t testing.TB, cfg Config, o Options) *running {
	t.Helper()
	o.Name = cmp.Or(o.Name, "bars")
	o.Drain = cmp.Or(o.Drain, time.Hour)
	if o.Dir == "" {
		o.Dir = filepath.Join(t.TempDir(), "log", "bars")
	}
	s, err := Open(cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- s.Run(ctx) }()
	r := &running{Stream: s}
	var once sync.Once
	r.stop = func() (err error) {
		once.Do(func() {
			cancel()
			err = errors.Join(<-result, s.Close())
		})
		return err
	}
	t.Cleanup(func() { _ = r.stop() })
	return r
}

func record(format string, args ...any) tickerlake.Record {
	return tickerlake.Record{Data: fmt.Appendf(nil, format+"\n", args...)}
}

func put(t testing.TB, s *running, records ...tickerlake.Record) {
	t.Helper()
	if err := s.Put(context.Background(), records...); err != nil {
		t.Fatal(err)
	}
}

var objectName = regexp.MustCompile(`^raw/dt=\d{4}-\d\d-\d\d/bars-1-\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d-[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\.gz$`)

func TestFlushDelivers(t *testing.T) {
	m := newMemory()
	var told []tickerlake.Object
	s := start(t, config(5, 300), Options{Bucket: m, OnDeliver: func(_ context.Context, o tickerlake.Object) error {
		told = append(told, o)
		return nil
	}})
	put(t, s, record("one"), record("two"))
	put(t, s, record("three"))
	if st := s.Status(); st.Records != 3 || st.Backlog != 14 || st.Oldest.IsZero() || len(m.objects) != 0 {
		t.Errorf("before: %+v", st)
	}
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	objects := m.contents(t)
	if len(objects) != 1 {
		t.Fatalf("objects: %v", objects)
	}
	for key, text := range objects {
		if !objectName.MatchString(key) {
			t.Errorf("name %s", key)
		}
		if text != "one\ntwo\nthree\n" {
			t.Errorf("holds %q", text)
		}
		if len(told) != 1 || told[0].Key != key || told[0].Records != 3 || told[0].Size != int64(len(m.objects[key])) || told[0].ETag != "e" {
			t.Errorf("told %+v", told)
		}
		if head := m.objects[key][:10]; !bytes.Equal(head[3:8], make([]byte, 5)) {
			t.Errorf("gzip header % x has a name or a time", head)
		}
	}
	if st := s.Status(); st.Records != 0 || st.Objects != 1 || !st.Oldest.IsZero() {
		t.Errorf("after: %+v", st)
	}
	got := maps.Collect(s.Metrics())
	for name, want := range map[string]int64{"IncomingRecords": 3, "IncomingBytes": 14, "DeliveryToS3.Records": 3, "DeliveryToS3.Success": 1, "DeliveryToS3.Failed": 0} {
		if got[name] != want {
			t.Errorf("%s is %d, want %d", name, got[name], want)
		}
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if err := s.Put(t.Context(), record("late")); !errors.Is(err, tickerlake.Unavailable) {
		t.Errorf("put after close: %v", err)
	}
}

func TestInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		s := start(t, config(5, 60), Options{Bucket: m})
		put(t, s, record("first"))
		time.Sleep(40 * time.Second)
		put(t, s, record("second"))
		time.Sleep(19 * time.Second)
		synctest.Wait()
		if n := m.puts.Load(); n != 0 {
			t.Errorf("%d objects a second before the interval", n)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := m.lines(t); !slices.Equal(got, []string{"first", "second"}) {
			t.Errorf("after the interval: %q", got)
		}
		put(t, s, record("third"))
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if n := m.puts.Load(); n != 1 {
			t.Errorf("%d objects: the interval counts from the buffer's first record", n)
		}
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		if got := m.lines(t); len(got) != 3 {
			t.Errorf("after the stop: %q", got)
		}
	})
}

// TestIntervalOfFastClock: the interval is one of the stream's clock.
func TestIntervalOfFastClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		pace := tickerlake.Faster(time.Now, time.Now(), time.Date(2026, 1, 5, 14, 25, 0, 0, time.UTC), 600)
		s := start(t, config(5, 60), Options{Bucket: m, Clock: pace.Now, Speed: pace.Speed})
		put(t, s, record("first"))
		time.Sleep(99 * time.Millisecond)
		synctest.Wait()
		if n := m.puts.Load(); n != 0 {
			t.Errorf("%d objects before the interval", n)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if got := m.lines(t); len(got) != 1 {
			t.Errorf("after the interval: %q", got)
		}
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestSize(t *testing.T) {
	m := newMemory()
	s := start(t, config(1, 900), Options{Bucket: m})
	line := strings.Repeat("x", 1<<10-1)
	for range 35 {
		var records []tickerlake.Record
		for range 100 {
			records = append(records, record("%s", line))
		}
		put(t, s, records...)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	total := 0
	sizes := []int{}
	for _, text := range m.contents(t) {
		total += len(text)
		sizes = append(sizes, len(text))
		if len(text) > 1<<20+64<<10+1<<10 || len(text)%1024 != 0 {
			t.Errorf("an object of %d bytes", len(text))
		}
	}
	if total != 3500<<10 || len(sizes) != 4 {
		t.Errorf("%d bytes in objects of %v", total, sizes)
	}
}

func TestPartitionsAndErrors(t *testing.T) {
	at := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	var now atomic.Int64
	now.Store(at.UnixMilli())
	m := newMemory()
	cfg := config(5, 300)
	cfg.Prefix = "ops/!{partitionKeyFromQuery:table}/dt=!{timestamp:yyyy-MM-dd}/"
	cfg.TimeZone = "America/New_York"
	cfg.Compression = Uncompressed
	s := start(t, cfg, Options{Bucket: m, Clock: func() time.Time { return time.UnixMilli(now.Load()) }})
	in := func(table, text string) tickerlake.Record {
		return tickerlake.Record{Data: []byte(text + "\n"), Keys: map[string]string{"table": table, "other": "x"}}
	}
	put(t, s, in("runs", "r1"), in("jobs", "j1"), in("runs", "r2"), record("lost"), in("../../etc", "evil"), in(strings.Repeat("x", 600), "long"))
	now.Add(2 * 3600 * 1000) // midnight in New York passes
	put(t, s, in("runs", "r3"))
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	var errs []errorRecord
	for key, text := range m.contents(t) {
		if !strings.HasPrefix(key, "errors/") {
			got[key[:strings.LastIndex(key, "/")]] = text
			continue
		}
		if !strings.HasPrefix(key, "errors/processing-failed/2026/02/28/22/bars-1-2026-02-28-22-00-00-") {
			t.Errorf("error object %s", key)
		}
		for line := range strings.Lines(text) {
			var e errorRecord
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			errs = append(errs, e)
		}
	}
	want := map[string]string{"ops/runs/dt=2026-02-28": "r1\nr2\n", "ops/jobs/dt=2026-02-28": "j1\n", "ops/runs/dt=2026-03-01": "r3\n"}
	if !maps.Equal(got, want) {
		t.Errorf("objects %q, want %q", got, want)
	}
	told := map[string]string{}
	for _, e := range errs {
		raw, err := base64.StdEncoding.DecodeString(e.RawData)
		if err != nil || e.AttemptsMade != 1 || e.ArrivalTimestamp != at.UnixMilli() || e.AttemptEndingTimestamp < e.ArrivalTimestamp || e.ErrorCode != codePrefix {
			t.Errorf("error record %+v, %v", e, err)
		}
		told[strings.TrimSpace(string(raw))] = e.ErrorMessage
	}
	for text, part := range map[string]string{"lost": `partition key "table" is missing`, "evil": "between slashes", "long": "512 characters"} {
		if !strings.Contains(told[text], part) {
			t.Errorf("of %s it is told %q, want %q in it", text, told[text], part)
		}
	}
}

func TestPartitionLimit(t *testing.T) {
	m := newMemory()
	cfg := config(5, 900)
	cfg.Prefix = "p/!{partitionKeyFromQuery:k}/!{firehose:random-string}/"
	s := start(t, cfg, Options{Bucket: m})
	for i := range MaxPartitions + 7 {
		put(t, s, tickerlake.Record{Data: []byte("x\n"), Keys: map[string]string{"k": fmt.Sprint(i)}})
	}
	if st := s.Status(); st.Partitions != MaxPartitions {
		t.Errorf("%d partitions", st.Partitions)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	failed := 0
	random := map[string]bool{}
	for key, text := range m.contents(t) {
		parts := strings.Split(key, "/")
		if strings.HasPrefix(key, "errors/activePartitionExceeded/") {
			failed += strings.Count(text, `"errorCode":"activePartitionExceeded"`)
			continue
		}
		if len(parts) < 3 || len(parts[2]) != randomLength {
			t.Errorf("key %s", key)
			continue
		}
		random[parts[2]] = true
	}
	if failed != 7 || len(random) != MaxPartitions {
		t.Errorf("%d records on the error path, %d random strings", failed, len(random))
	}
	if got := maps.Collect(s.Metrics())["PartitionCountExceeded"]; got != 7 {
		t.Errorf("PartitionCountExceeded is %d", got)
	}
}

func TestDelimiter(t *testing.T) {
	m := newMemory()
	cfg := config(5, 300)
	cfg.AppendDelimiter = true
	s := start(t, cfg, Options{Bucket: m})
	put(t, s, tickerlake.Record{Data: []byte("a")}, tickerlake.Record{Data: []byte("b")}, tickerlake.Record{})
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	for _, text := range m.contents(t) {
		if text != "a\nb\n\n" {
			t.Errorf("holds %q", text)
		}
	}
}

func TestPutRefuses(t *testing.T) {
	s := start(t, config(5, 300), Options{Bucket: newMemory()})
	if err := s.Put(t.Context()); err != nil {
		t.Errorf("no records: %v", err)
	}
	if err := s.Put(t.Context(), tickerlake.Record{Data: make([]byte, MaxRecord)}); err != nil {
		t.Errorf("the largest record: %v", err)
	}
	many := map[string]string{}
	for i := range MaxKeys + 1 {
		many[fmt.Sprint(i)] = "v"
	}
	for name, r := range map[string]tickerlake.Record{
		"too large": {Data: make([]byte, MaxRecord+1)}, "too many keys": {Keys: many}, "long keys": {Keys: map[string]string{"k": strings.Repeat("v", maxKeyBytes)}},
	} {
		if err := s.Put(t.Context(), record("good"), r); !errors.Is(err, tickerlake.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if st := s.Status(); st.Records != 1 {
		t.Errorf("a refused Put stored something: %+v", st)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Put(ctx, record("x")); !errors.Is(err, tickerlake.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if _, err := Open(config(5, 300), Options{Name: "bars", Dir: s.o.Dir, Bucket: newMemory()}); !errors.Is(err, tickerlake.Locked) {
		t.Errorf("a second stream on the log: %v", err)
	}
	if _, err := Open(config(5, 300), Options{Name: "a/b", Dir: t.TempDir(), Bucket: newMemory()}); !errors.Is(err, tickerlake.Invalid) {
		t.Errorf("a bad name: %v", err)
	}
}

func TestVersion(t *testing.T) {
	dir := t.TempDir()
	var versions []uint64
	for _, seconds := range []int{60, 60, 30, 30, 60} {
		m := newMemory()
		s := start(t, config(5, seconds), Options{Bucket: m, Dir: dir})
		put(t, s, record("x"))
		versions = append(versions, s.Status().Version)
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
		for key := range m.objects {
			if !strings.Contains(key, fmt.Sprintf("/bars-%d-", versions[len(versions)-1])) {
				t.Errorf("key %s in version %d", key, versions[len(versions)-1])
			}
		}
	}
	if !slices.Equal(versions, []uint64{1, 1, 2, 2, 3}) {
		t.Errorf("versions %v", versions)
	}
}
