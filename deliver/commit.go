package deliver

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

// A group is the frames that share one write and one fsync.
type group struct {
	buf       []byte
	runs      []run
	decisions []placed
	done      chan struct{} // closed when the group is on disk, or has failed
	err       error         // why it failed

	segment uint64 // where it lies
	base    int64
}

// A run is neighbouring records of one destination.
type run struct {
	to    *destination
	at    time.Time // arrival of the first
	start int       // in buf
	bytes int
	raw   int64
	first uint64
	count int64
}

// A placed is a decision and where its frame lies in buf.
type placed struct {
	b          *batch
	start, end int
}

// maxRun bounds the bytes of a run, and so how far a buffer exceeds its size.
const maxRun = 64 << 10

func newGroup(buf []byte) *group {
	return &group{buf: buf[:0], done: make(chan struct{})}
}

// add notes the record whose frame begins at start and ends the group so far.
func (g *group) add(to *destination, seq uint64, at time.Time, start, raw int) {
	if n := len(g.runs); n > 0 {
		r := &g.runs[n-1]
		if r.to == to && r.start+r.bytes == start && r.bytes < maxRun && r.first+uint64(r.count) == seq {
			r.bytes = len(g.buf) - r.start
			r.raw += int64(raw)
			r.count++
			return
		}
	}
	g.runs = append(g.runs, run{to: to, at: at, start: start, bytes: len(g.buf) - start, raw: int64(raw), first: seq, count: 1})
}

// commitLoop writes group after group. While one is being fsynced the next
// gathers; alone, a record waits for nothing but its own fsync.
func (s *Stream) commitLoop() {
	defer close(s.committed)
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for len(s.pending.buf) == 0 && !s.closed {
			s.work.Wait()
		}
		if len(s.pending.buf) == 0 {
			return
		}
		g, next := s.pending, s.nextSeq
		s.pending = newGroup(s.spare)
		s.spare = nil
		seg := s.log.last()
		s.mu.Unlock()
		fresh, err := s.store(g, seg, next)
		s.mu.Lock()
		s.publish(g, fresh, err)
	}
}

// store writes a group to the last segment, or to a fresh one if that is full or
// has failed.
func (s *Stream) store(g *group, seg *segment, next uint64) (fresh *segment, err error) {
	if s.log.file != nil && seg.size < s.log.limit {
		clean, err := s.log.write(g.buf, seg.size)
		if err == nil || !clean || seg.size == segmentHeader {
			return nil, err
		}
		// A file at its size limit, say: the next may do. What may still be in the old
		// one must not be in both.
		s.o.Log.Warn("a segment of the delivery log cannot be written; a new one follows", "stream", s.o.Name, "file", s.log.path(seg.number), "error", err)
	}
	if err := s.log.close(); err != nil {
		return nil, err
	}
	fresh, err = s.log.create(seg.number+1, next)
	if errors.Is(err, fs.ErrExist) {
		// Only an attempt that failed can have left it: no frame in it was acknowledged.
		if err = os.Remove(s.log.path(seg.number + 1)); err == nil {
			fresh, err = s.log.create(seg.number+1, next)
		}
	}
	if err != nil {
		return nil, err
	}
	_, err = s.log.write(g.buf, fresh.size)
	return fresh, err
}

// publish makes a group known: its records enter their buffers, and who waits is
// told.
func (s *Stream) publish(g *group, fresh *segment, err error) {
	if fresh != nil {
		s.log.list = append(s.log.list, fresh)
		s.logBytes += fresh.size
	}
	if err != nil {
		g.err = failed("deliver.Put", s.o.Dir, err)
		close(g.done)
		return
	}
	seg := s.log.last()
	g.segment, g.base = seg.number, seg.size
	seg.size += int64(len(g.buf))
	s.logBytes += int64(len(g.buf))
	for i := range g.runs {
		r := &g.runs[i]
		seg.live += r.count
		s.counters.incomingRecords.Add(r.count)
		s.counters.incomingBytes.Add(r.raw)
		s.take(*r.to, extent{segment: seg.number, offset: g.base + int64(r.start), bytes: int64(r.bytes), first: r.first, count: r.count}, r.raw, r.at)
	}
	for _, p := range g.decisions {
		seg.live++
		p.b.segment, p.b.offset, p.b.bytes = seg.number, g.base+int64(p.start), int64(p.end-p.start)
	}
	if cap(g.buf) <= keepBody {
		s.spare = g.buf[:0]
	}
	g.buf = nil
	close(g.done)
}

// append adds a frame that the stream itself makes to the pending group.
func (s *Stream) append(kind byte, body func(dst []byte) []byte) (g *group, start, end int) {
	g = s.pending
	start = len(g.buf)
	g.buf = body(beginFrame(g.buf))
	finishFrame(s.log.seed, g.buf, start, kind, s.nextSeq, s.o.Clock().UnixMilli())
	s.nextSeq++
	s.work.Signal()
	return g, start, len(g.buf)
}

// take puts an extent into the buffer of its destination.
func (s *Stream) take(to destination, e extent, raw int64, at time.Time) {
	b := s.buffers[to]
	if b == nil && !to.isError() && s.partitions >= MaxPartitions {
		s.counters.partitionsExceeded.Add(e.count)
		s.router.now(at)
		to = *s.router.failed(at, exceededType, codeExceeded, "the limit of active partitions is reached")
		b = s.buffers[to]
	}
	if b == nil {
		b = &buffer{destination: to, oldest: at}
		s.buffers[to] = b
		if !to.isError() {
			s.partitions++
		}
		wake(s.timed)
	}
	if b.add(e) {
		s.extents++
	}
	b.raw += raw
	b.count += e.count
	if b.raw >= s.size {
		s.cutBuffer(b)
		return
	}
	if s.extents > maxExtents {
		largest := b
		for _, other := range s.buffers {
			if len(other.extents) > len(largest.extents) {
				largest = other
			}
		}
		s.cutBuffer(largest)
	}
}

// maxExtents bounds the memory of all buffers, about 20 MB. When records of many
// partitions alternate, the largest buffer is delivered early.
const maxExtents = 1 << 19

// cutBuffer makes a batch of a buffer.
func (s *Stream) cutBuffer(b *buffer) {
	delete(s.buffers, b.destination)
	s.extents -= len(b.extents)
	if !b.isError() {
		s.partitions--
	}
	c := &batch{
		destination: b.destination, oldest: b.oldest, decided: s.o.Clock(),
		gzip: s.cfg.Compression == Gzip, delimiter: s.cfg.AppendDelimiter,
		raw: b.raw, count: b.count, first: b.extents[0].first,
		extents: b.extents, extentCount: len(b.extents),
		done: make(chan struct{}), over: make(chan struct{}),
	}
	c.name(s.log.head.id, s.o.Name, s.version, s.zone)
	s.outstanding[c.first] = c
	s.undecided = append(s.undecided, c)
	wake(s.cut)
}

func (s *Stream) cutAll() {
	for _, b := range s.buffers {
		s.cutBuffer(b)
	}
}

// wake leaves a signal for who waits on c.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
