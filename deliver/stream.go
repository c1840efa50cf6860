// Package deliver moves records to object storage and never loses one it has
// acknowledged. It is the embedded counterpart of Amazon Data Firehose, with the
// same configuration, limits and object names.
//
// It is given records by sources and by the endpoint. Put appends them to a log and
// returns once they are on disk. Run cuts the log into objects, one per evaluated
// prefix and buffer, writes them to a Bucket, and tells a hook of each.
//
// # What holds
//
// A record that Put has acknowledged stays in the log until it is in an object,
// under its prefix or on the error path; a destination that is down is tried again
// for as long as it takes. The decision which records make an object is on disk
// before the object is written, and the object's key is derived from it; so what a
// crash repeats has the same key, which is then taken, and no record is in two
// objects. The hook is called after the object is durable and before that is
// marked: at least once, with the same key. A Put that fails, or whose context
// ends, may have stored some of its records nevertheless.
//
// Records are concatenated as they come. Those of this program end with a newline;
// for others there is append_delimiter.
//
// A record belongs to the prefix that its keys and its own arrival time give. So
// all records of an object would give the same prefix, its oldest included. A
// buffer is delivered when its bytes reach the size (up to 64 KiB and one record
// over it), when its first record has reached the age, on Flush, and on stop.
package deliver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	mrand "math/rand/v2"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/blob"
)

// A Bucket holds the objects that a Stream delivers.
type Bucket interface {
	// Put stores body at key, whole or not at all. With IfAbsent it fails with
	// tickerlake.Exists if the key is taken.
	Put(ctx context.Context, key string, body io.Reader, cond blob.Condition) (blob.Info, error)
	Head(ctx context.Context, key string) (blob.Info, error)
}

// Options are what a stream is handed.
type Options struct {
	Name   string // of the stream: 1 to 64 of a-z A-Z 0-9 _ . -
	Dir    string // folder of its log; one process at a time
	Bucket Bucket
	Clock  tickerlake.Clock // time.Now if nil
	Speed  float64          // seconds of the clock in a real one; 0 stands for 1
	Log    *slog.Logger     // silent if nil
	// OnDeliver is told of each object once it is durable. If it fails it is called
	// again; the object counts as delivered when it has succeeded.
	OnDeliver func(context.Context, tickerlake.Object) error
	// OnEvent is told of each delivery that is done, and of each first attempt that
	// failed. It must not wait for the stream.
	OnEvent func(tickerlake.Delivery)
	// Jitter gives the part, 0 to 1, of the longest wait before a new attempt; random
	// if nil.
	Jitter func() float64
	// Drain bounds how long Run delivers on after it was told to stop; 30 s if zero.
	Drain time.Duration

	segmentBytes int64 // for tests; segmentBytes if zero
}

// Damage is a place of the log whose bytes are not what was written.
type Damage struct {
	File          string
	Offset, Bytes int64
	Reason        string
}

// A Stream is an open delivery stream. Its methods may be called at any time, by
// any number of goroutines.
type Stream struct {
	cfg       Config
	o         Options
	version   uint64
	zone      *time.Location
	size      int64
	interval  time.Duration
	diskLimit int64
	log       segments
	lock      *os.File
	counters  counters

	mu          sync.Mutex
	work        sync.Cond // the committer waits for pending frames or the end
	pending     *group
	spare       []byte
	nextSeq     uint64
	logBytes    int64
	router      router
	buffers     map[destination]*buffer
	partitions  int // buffers of the data prefix
	extents     int // in all buffers
	outstanding map[uint64]*batch
	undecided   []*batch // cut, not logged yet
	ready       []*batch // logged, to be delivered
	damage      []Damage
	failure     string // of the last attempt, empty after a success
	ran, closed bool

	trim      sync.Mutex    // deletes segments, one after another
	committed chan struct{} // closed when the committer has ended
	draining  chan struct{} // closed when Run is told to stop
	ended     chan struct{} // closed when Run has ended
	timed     chan struct{} // there is a buffer to time
	cut       chan struct{} // undecided has grown
	deliver   chan struct{} // ready has grown
}

// Open opens the stream whose log is in o.Dir, or begins it, and takes up what the
// log holds. Damage of the log is told to o.Log and Status, and what can be read
// beside it is kept; only a log of which nothing can be known is refused.
func Open(cfg Config, o Options) (*Stream, error) {
	const op = "deliver.Open"
	if err := errors.Join(CheckName(o.Name), cfg.Validate()); err != nil {
		return nil, err
	}
	if o.Bucket == nil || o.Dir == "" {
		return nil, tickerlake.Errorf(tickerlake.Invalid, op, o.Name, "a stream needs a bucket and a folder for its log")
	}
	o = o.withDefaults()
	zone, err := time.LoadLocation(cfg.TimeZone)
	if err != nil {
		return nil, &tickerlake.Error{Code: tickerlake.Invalid, Op: op, Name: "time_zone", Err: err}
	}
	s := &Stream{
		cfg: cfg, o: o, zone: zone,
		size: cfg.Buffering.size(), interval: cfg.Buffering.interval(),
		diskLimit:   int64(cfg.DiskLimitMB) << 20,
		pending:     newGroup(nil),
		nextSeq:     1,
		buffers:     map[destination]*buffer{},
		outstanding: map[uint64]*batch{},
		committed:   make(chan struct{}), draining: make(chan struct{}), ended: make(chan struct{}),
		timed: make(chan struct{}, 1), cut: make(chan struct{}, 1), deliver: make(chan struct{}, 1),
	}
	s.work.L = &s.mu
	s.log = segments{dir: o.Dir, limit: min(o.segmentBytes, max(s.diskLimit/4, 64<<10))}
	if s.router, err = newRouter(cfg, zone); err != nil {
		return nil, &tickerlake.Error{Code: tickerlake.Invalid, Op: op, Name: "prefix", Err: err}
	}
	if err := s.openLog(op); err != nil {
		_ = s.log.close()
		s.unlock()
		return nil, err
	}
	// What was delivered before a crash may not have been deleted any more.
	s.deleteSegments()
	go s.commitLoop()
	return s, nil
}

func (o Options) withDefaults() Options {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Jitter == nil {
		o.Jitter = mrand.Float64
	}
	if o.Drain == 0 {
		o.Drain = 30 * time.Second
	}
	if o.segmentBytes == 0 {
		o.segmentBytes = segmentBytes
	}
	return o
}

// openLog takes the folder, recovers what it holds and makes it ready to append.
func (s *Stream) openLog(op string) error {
	if err := makeDir(s.o.Dir); err != nil {
		return failed(op, s.o.Dir, err)
	}
	lock, err := os.OpenFile(filepath.Join(s.o.Dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return failed(op, s.o.Dir, err)
	}
	s.lock = lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return tickerlake.Errorf(tickerlake.Locked, op, s.o.Dir, "another program holds this delivery log: stop it first: %w", err)
	}
	if err := s.recover(op); err != nil {
		return err
	}
	print := s.cfg.fingerprint()
	fresh := len(s.log.list) == 0
	switch {
	case fresh:
		if _, err := rand.Read(s.log.head.id[:]); err != nil {
			return failed(op, s.o.Dir, err)
		}
		s.log.seed = seedOf(s.log.head.id)
		s.version = 1
	case s.log.head.fingerprint != print:
	default:
		return nil // go on in the last segment
	}
	s.log.head.fingerprint, s.log.head.version = print, s.version
	if err := s.log.close(); err != nil {
		return failed(op, s.o.Dir, err)
	}
	number := uint64(1)
	if !fresh {
		number = s.log.last().number + 1
	}
	g, err := s.log.create(number, s.nextSeq)
	if err != nil {
		return failed(op, s.o.Dir, err)
	}
	s.log.list = append(s.log.list, g)
	s.logBytes += g.size
	return nil
}

func (s *Stream) unlock() {
	if s.lock != nil {
		// A process that is being started has a copy of the file for a moment, which would
		// hold the lock on.
		_ = syscall.Flock(int(s.lock.Fd()), syscall.LOCK_UN)
		_ = s.lock.Close()
		s.lock = nil
	}
}

// Put appends records and returns when all of them are on disk. It fails with
// Invalid if a record is too large, Unavailable (Firehose's
// ServiceUnavailableException) if the log has reached its disk limit, and Full if
// the disk has no room: then no record is acknowledged.
func (s *Stream) Put(ctx context.Context, records ...tickerlake.Record) error {
	const op = "deliver.Put"
	if err := ctx.Err(); err != nil {
		return ended(op, s.o.Name, err)
	}
	room, err := s.check(op, records)
	if err != nil || len(records) == 0 {
		return err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return s.isClosed(op)
	}
	if s.logBytes+int64(len(s.pending.buf))+room > s.diskLimit {
		s.mu.Unlock()
		s.counters.throttled.Add(int64(len(records)))
		return tickerlake.Errorf(tickerlake.Unavailable, op, s.o.Name,
			"ServiceUnavailableException: the delivery log has reached its limit of %d MiB because objects cannot be delivered as fast; try again, see to the destination, or raise disk_limit_mb", s.cfg.DiskLimitMB)
	}
	g := s.pending
	at := s.o.Clock()
	s.router.now(at)
	for i := range records {
		s.appendRecord(g, at, &records[i])
	}
	s.work.Signal()
	s.mu.Unlock()
	select {
	case <-g.done:
	default:
		select {
		case <-g.done:
		case <-ctx.Done():
			return ended(op, s.o.Name, fmt.Errorf("the records may be stored or not: %w", ctx.Err()))
		}
	}
	return g.err
}

// check refuses what no stream takes, and counts the bytes that the rest needs.
func (s *Stream) check(op string, records []tickerlake.Record) (room int64, err error) {
	for i := range records {
		r := &records[i]
		if len(r.Data) > MaxRecord {
			return 0, tickerlake.Errorf(tickerlake.Invalid, op, s.o.Name, "record %d has %d bytes: at most %d", i, len(r.Data), MaxRecord)
		}
		room += frameHeader + int64(len(r.Data))
		if len(r.Keys) == 0 {
			continue
		}
		keyBytes := 0
		for name, value := range r.Keys {
			keyBytes += len(name) + len(value)
		}
		if len(r.Keys) > MaxKeys || keyBytes > maxKeyBytes {
			return 0, tickerlake.Errorf(tickerlake.Invalid, op, s.o.Name, "record %d has %d partition keys of %d bytes: at most %d of %d", i, len(r.Keys), keyBytes, MaxKeys, maxKeyBytes)
		}
		room += int64(keyBytes)
	}
	return room, nil
}

// appendRecord puts one record into a group.
func (s *Stream) appendRecord(g *group, at time.Time, r *tickerlake.Record) {
	to := s.router.route(at, r.Keys)
	start := len(g.buf)
	g.buf = beginFrame(g.buf)
	var names []string
	if len(r.Keys) > 0 {
		names = slices.Sorted(maps.Keys(r.Keys))
	}
	g.buf = appendRecord(g.buf, names, r.Keys, r.Data)
	finishFrame(s.log.seed, g.buf, start, kindRecord, s.nextSeq, at.UnixMilli())
	g.add(to, s.nextSeq, at, start, len(r.Data))
	s.nextSeq++
}

// Flush cuts all buffers and returns when they, and everything cut before, are
// delivered. Run must be running, or be started.
func (s *Stream) Flush(ctx context.Context) error {
	const op = "deliver.Flush"
	s.mu.Lock()
	s.cutAll()
	waiting := slices.Collect(maps.Values(s.outstanding))
	s.mu.Unlock()
	for _, b := range waiting {
		select {
		case <-b.done:
			continue
		default:
		}
		select {
		case <-b.done:
		case <-ctx.Done():
			return ended(op, s.o.Name, ctx.Err())
		case <-s.ended:
			return tickerlake.Errorf(tickerlake.Unavailable, op, s.o.Name, "the stream has stopped; what is not delivered stays in its log and is delivered when it runs again")
		}
	}
	return nil
}

// Close ends the stream after Run has ended. What is not delivered stays in the log.
// It may be called more than once.
func (s *Stream) Close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.work.Signal()
	s.mu.Unlock()
	<-s.committed
	if !first {
		return nil
	}
	err := s.log.close()
	s.unlock()
	if err != nil {
		return failed("deliver.Close", s.o.Dir, err)
	}
	return nil
}

func (s *Stream) isClosed(op string) error {
	return tickerlake.Errorf(tickerlake.Unavailable, op, s.o.Name, "the stream is closed")
}

// ended reports that a context ended.
func ended(op, name string, err error) error {
	code := tickerlake.Canceled
	if errors.Is(err, context.DeadlineExceeded) {
		code = tickerlake.Timeout
	}
	return &tickerlake.Error{Code: code, Op: op, Name: name, Err: err}
}
