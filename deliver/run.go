package deliver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/blob"
	"github.com/tickerlake/tickerlake/internal/fault"
)

const (
	workers    = 4 // objects written at a time
	firstWait  = 100 * time.Millisecond
	longestTry = 30 * time.Second
	// clockStep is how long a wait by the stream's clock may be before the clock is
	// read again: it may run faster than time does.
	clockStep = time.Second
)

// Run delivers until ctx is done; then it cuts all buffers and delivers what there
// is. A batch that cannot be delivered then, or not within the drain time, stays in
// the log for the next Run, and Run reports Unavailable. It runs once.
func (s *Stream) Run(ctx context.Context) error {
	const op = "deliver.Run"
	s.mu.Lock()
	again, closed := s.ran, s.closed
	s.ran = true
	s.mu.Unlock()
	if closed {
		return s.isClosed(op)
	}
	if again {
		return tickerlake.Errorf(tickerlake.Invalid, op, s.o.Name, "a stream runs once: open it again")
	}
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { s.time(work) })
	wg.Go(func() { s.decide(work) })
	for range workers {
		wg.Go(func() { s.deliverAll(work) })
	}
	<-ctx.Done()
	close(s.draining)
	s.drain()
	stop()
	wg.Wait()
	close(s.ended)
	if left := s.Status(); left.Records > 0 {
		return tickerlake.Errorf(tickerlake.Unavailable, op, s.o.Name,
			"stopped with %d bytes not delivered (%s): they stay in %s and are delivered at the next start", left.Backlog, left.Failure, s.o.Dir)
	}
	return nil
}

// drain cuts all buffers and waits until each batch is delivered or given up.
func (s *Stream) drain() {
	limit := time.NewTimer(s.o.Drain)
	defer limit.Stop()
	tried := map[*batch]bool{}
	for {
		s.mu.Lock()
		s.cutAll()
		var next *batch
		for _, b := range s.outstanding {
			if !tried[b] {
				next = b
				break
			}
		}
		s.mu.Unlock()
		if next == nil {
			return
		}
		tried[next] = true
		select {
		case <-next.done:
			delete(tried, next)
		case <-next.over:
		case <-limit.C:
			return
		}
	}
}

// time cuts the buffers whose first record has reached the age.
func (s *Stream) time(ctx context.Context) {
	pace := tickerlake.Pace{Clock: s.o.Clock, Speed: s.o.Speed}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-s.timed:
		}
		s.mu.Lock()
		now := s.o.Clock()
		wait := time.Duration(-1)
		for _, b := range s.buffers {
			left := s.interval - now.Sub(b.oldest)
			switch {
			case left <= 0:
				s.cutBuffer(b)
			case wait < 0 || left < wait:
				wait = left
			}
		}
		s.mu.Unlock()
		if wait >= 0 {
			timer.Reset(min(pace.Real(wait), clockStep))
		}
	}
}

// decide logs the decisions, in the order in which they were made, and hands the
// batches on.
func (s *Stream) decide(ctx context.Context) {
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return
		}
		cut := s.undecided
		s.undecided = nil
		var groups []*group
		for _, b := range cut {
			g, start, end := s.append(kindBatch, func(dst []byte) []byte { return appendBatch(dst, b) })
			g.decisions = append(g.decisions, placed{b, start, end})
			groups = append(groups, g)
		}
		s.mu.Unlock()
		var again []*batch
		for i, g := range groups {
			<-g.done
			if g.err != nil {
				again = append(again, cut[i])
				s.attemptFailed(cut[i], "the decision cannot be logged", g.err)
				continue
			}
			fault.Point("deliver.batch_logged")
			s.mu.Lock()
			if len(cut[i].extents) > keepExtents {
				cut[i].extents = nil
			}
			s.ready = append(s.ready, cut[i])
			s.mu.Unlock()
			wake(s.deliver)
		}
		if len(again) > 0 {
			// Told to stop, pause gives them up.
			if again = s.pause(ctx, again, 5); len(again) > 0 {
				s.mu.Lock()
				s.undecided = append(again, s.undecided...)
				s.mu.Unlock()
				continue
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-s.cut:
		}
	}
}

// deliverAll is one worker.
func (s *Stream) deliverAll(ctx context.Context) {
	o := &object{}
	for {
		s.mu.Lock()
		var b *batch
		if len(s.ready) > 0 {
			b = s.ready[0]
			s.ready = s.ready[1:]
			if len(s.ready) > 0 {
				wake(s.deliver)
			}
		}
		s.mu.Unlock()
		if b != nil {
			s.deliverBatch(ctx, b, o)
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-s.deliver:
		}
	}
}

// deliverBatch takes a batch through its steps, each again until it succeeds.
func (s *Stream) deliverBatch(ctx context.Context, b *batch, o *object) {
	var (
		extents []extent
		records int64
		info    blob.Info
		told    tickerlake.Object
	)
	for _, step := range []struct {
		failure string
		do      func() error
	}{
		{"the records cannot be read", func() (err error) {
			if extents, err = s.extentsOf(b); err == nil {
				records, err = o.build(&s.log, b, extents, s.report)
			}
			return err
		}},
		{"the object cannot be written", func() (err error) {
			info, err = s.put(ctx, b, o)
			return err
		}},
		{"the object cannot be told of", func() error {
			told = tickerlake.Object{Key: b.key, Size: info.Size, ETag: info.ETag, Records: records, At: s.o.Clock().UTC()}
			if s.o.OnDeliver != nil && !b.isError() {
				if err := s.o.OnDeliver(ctx, told); err != nil {
					return err
				}
			}
			fault.Point("deliver.notified")
			return nil
		}},
		{"the delivery cannot be marked", func() error { return s.mark(b, extents) }},
	} {
		for n := int64(1); ; n++ {
			err := step.do()
			if err == nil {
				break
			}
			s.attemptFailed(b, step.failure, err)
			if s.pause(ctx, []*batch{b}, n) == nil {
				return
			}
		}
	}
	s.delivered(b, extents, told)
}

// extentsOf gives where the batch's records are, from its frame if need be.
func (s *Stream) extentsOf(b *batch) ([]extent, error) {
	if b.extents != nil {
		return b.extents, nil
	}
	f, err := os.Open(s.log.path(b.segment))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data := make([]byte, b.bytes)
	if _, err := f.ReadAt(data, b.offset); err != nil {
		return nil, err
	}
	frame, _, err := decodeFrame(s.log.seed, data)
	if err != nil {
		return nil, fmt.Errorf("%s: the decision at byte %d: %w", f.Name(), b.offset, err)
	}
	again, err := decodeBatch(frame.body)
	if err != nil {
		return nil, err
	}
	return again.extents, nil
}

// put writes the object. A taken key is the work of an attempt before a crash, or
// of one whose answer was lost.
func (s *Stream) put(ctx context.Context, b *batch, o *object) (blob.Info, error) {
	info, err := s.o.Bucket.Put(ctx, b.key, bytes.NewReader(o.body.Bytes()), blob.Condition{IfAbsent: true})
	if errors.Is(err, tickerlake.Exists) {
		info, err = s.o.Bucket.Head(ctx, b.key)
	}
	if err != nil {
		return info, err
	}
	fault.Point("deliver.object_put")
	return info, nil
}

// mark logs that the batch is done. The mark repeats the decision.
func (s *Stream) mark(b *batch, extents []extent) error {
	whole := *b
	whole.extents = extents
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return s.isClosed("deliver.Run")
	}
	g, _, _ := s.append(kindDelivered, func(dst []byte) []byte { return appendBatch(dst, &whole) })
	s.mu.Unlock()
	<-g.done
	if g.err == nil {
		fault.Point("deliver.marked")
	}
	return g.err
}

// delivered lets go of a batch that is marked, and of the segments that nothing
// needs any more.
func (s *Stream) delivered(b *batch, extents []extent, told tickerlake.Object) {
	s.mu.Lock()
	delete(s.outstanding, b.first)
	s.failure = ""
	live := map[uint64]int64{b.segment: 1}
	for _, e := range extents {
		live[e.segment] += e.count
	}
	for _, g := range s.log.list {
		g.live -= live[g.number]
	}
	s.mu.Unlock()
	age := told.At.Sub(b.oldest)
	s.counters.delivered(b)
	s.deleteSegments()
	if s.o.OnEvent != nil {
		s.o.OnEvent(tickerlake.Delivery{
			ID: b.key, Stream: s.o.Name, Key: b.key, Records: told.Records, Bytes: b.raw, Size: told.Size,
			Attempts: b.attempts + 1, AgeSeconds: age.Seconds(), At: told.At,
		})
	}
	s.o.Log.Debug("delivered", "stream", s.o.Name, "key", b.key, "records", told.Records, "bytes", b.raw, "size", told.Size)
	close(b.done)
}

// deleteSegments deletes from the oldest on what holds nothing to deliver. The
// order matters: a mark must outlive the decision and the records that it is about,
// so each deletion is on disk before the next.
func (s *Stream) deleteSegments() {
	s.trim.Lock()
	defer s.trim.Unlock()
	for {
		s.mu.Lock()
		g := s.log.list[0]
		free := g.live <= 0 && len(s.log.list) > 1
		s.mu.Unlock()
		if !free {
			return
		}
		if err := errors.Join(s.log.remove(g), syncDir(s.o.Dir)); err != nil {
			s.o.Log.Warn("a delivered segment cannot be deleted; it is tried again", "stream", s.o.Name, "file", s.log.path(g.number), "error", err)
			return
		}
		s.mu.Lock()
		s.log.list = s.log.list[1:]
		s.logBytes -= g.size
		s.mu.Unlock()
	}
}

// attemptFailed makes a failed attempt known.
func (s *Stream) attemptFailed(b *batch, what string, err error) {
	b.attempts++
	s.counters.failed.Add(1)
	s.mu.Lock()
	s.failure = what + ": " + err.Error()
	s.mu.Unlock()
	s.o.Log.Warn(what, "stream", s.o.Name, "key", b.key, "attempt", b.attempts, "error", err)
	if b.attempts == 1 && s.o.OnEvent != nil {
		now := s.o.Clock().UTC()
		s.o.OnEvent(tickerlake.Delivery{
			ID: b.key, Stream: s.o.Name, Key: b.key, Records: b.count, Bytes: b.raw, Attempts: b.attempts,
			AgeSeconds: now.Sub(b.oldest).Seconds(), Error: what + ": " + err.Error(), At: now,
		})
	}
}

// pause waits before attempt n+1: longer each time, and by chance, so that streams
// do not come back all at once. Told to stop, the stream tries once more at once,
// then gives the batches up for this time, and pause returns none of them.
func (s *Stream) pause(ctx context.Context, batches []*batch, n int64) []*batch {
	longest := min(firstWait<<min(n-1, 20), longestTry)
	timer := time.NewTimer(time.Duration(float64(longest) * (0.1 + 0.9*s.o.Jitter())))
	defer timer.Stop()
	select {
	case <-s.draining:
	default:
		select {
		case <-timer.C:
		case <-ctx.Done():
		case <-s.draining:
		}
		return batches
	}
	for _, b := range batches {
		close(b.over)
	}
	return nil
}
