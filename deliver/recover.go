package deliver

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/tickerlake/tickerlake"
)

// A recovery takes up what a log holds: first every decision and mark, then the
// records that no decision names.
type recovery struct {
	s       *Stream
	batches map[uint64]*batch
	marked  map[uint64]bool
	records map[uint64]int64  // of each segment, how many can be read
	covered map[uint64][]span // of each segment, what decisions name
	last    uint64            // highest sequence number seen
}

// A span is sequence numbers from first to the one before end.
type span struct{ first, end uint64 }

// recover reads the log. It leaves the list of segments empty if there is none.
func (s *Stream) recover(op string) error {
	numbers, err := segmentNumbers(s.o.Dir)
	if err != nil {
		return failed(op, s.o.Dir, err)
	}
	if numbers, err = s.readHeaders(op, numbers); err != nil || len(numbers) == 0 {
		return err
	}
	r := &recovery{
		s: s, batches: map[uint64]*batch{}, marked: map[uint64]bool{},
		records: map[uint64]int64{}, covered: map[uint64][]span{},
	}
	err = s.log.each(op, numbers, func(i int, data []byte) error {
		n := numbers[i]
		if i > 0 && n != numbers[i-1]+1 {
			s.report(Damage{File: s.log.path(n - 1), Reason: "the file is missing"})
		}
		return r.readFrames(n, data, i == len(numbers)-1)
	})
	if err != nil {
		return err
	}
	s.nextSeq = max(s.nextSeq, r.last+1)
	r.takeBatches()
	var undecided []*segment
	numbers = nil
	for _, g := range s.log.list {
		if r.undecided(g) {
			undecided, numbers = append(undecided, g), append(numbers, g.number)
		}
	}
	err = s.log.each(op, numbers, func(i int, data []byte) error {
		r.takeRecords(undecided[i], data)
		return nil
	})
	if err != nil {
		return err
	}
	last := s.log.path(s.log.last().number)
	if s.log.file, err = os.OpenFile(last, os.O_WRONLY|os.O_APPEND, 0); err != nil {
		return failed(op, last, err)
	}
	return nil
}

// readHeaders finds the log's id and version, and gives the segments that count. A
// last segment that ends in its header was being made when the program died.
func (s *Stream) readHeaders(op string, numbers []uint64) ([]uint64, error) {
	if err := refuseNewer(op, &s.log, numbers); err != nil {
		return nil, err
	}
	found := false
	var kept, unknown []uint64
	for i, n := range numbers {
		b, err := readStart(s.log.path(n))
		if err != nil {
			return nil, failed(op, s.log.path(n), err)
		}
		h, _, ok := decodeHeader(b)
		if !ok && i == len(numbers)-1 && len(b) <= segmentHeader {
			if err := os.Remove(s.log.path(n)); err != nil {
				return nil, failed(op, s.log.path(n), err)
			}
			continue
		}
		kept = append(kept, n)
		if !ok {
			unknown = append(unknown, n)
			continue
		}
		if found && h.id != s.log.head.id {
			return nil, tickerlake.Errorf(tickerlake.Damaged, op, s.log.path(n), "the segment is of another delivery log: move it out of the folder")
		}
		found = true
		s.log.head = h
		s.nextSeq = max(s.nextSeq, h.next)
	}
	if !found && len(unknown) > 0 {
		return nil, tickerlake.Errorf(tickerlake.Damaged, op, s.log.path(unknown[0]),
			"neither copy of the header can be read in any segment, so none of the log can be: restore the folder, or move it away to begin anew without its records")
	}
	s.log.seed = seedOf(s.log.head.id)
	s.version = s.log.head.version
	if s.log.head.fingerprint != s.cfg.fingerprint() {
		s.version++
	}
	return kept, nil
}

// refuseNewer fails with Invalid if a segment is of a later format than this program's.
// Both copies of the header say so, or it is damage.
func refuseNewer(op string, log *segments, numbers []uint64) error {
	const name = len(segmentMagic) - 1
	for _, n := range numbers {
		b, err := readStart(log.path(n))
		if err != nil {
			return failed(op, log.path(n), err)
		}
		if len(b) < segmentHeader {
			continue
		}
		magic := string(b[:len(segmentMagic)])
		if magic[:name] == segmentMagic[:name] && magic[name] > segmentMagic[name] && magic[name] <= '9' && string(b[headerCopy:headerCopy+len(magic)]) == magic {
			return tickerlake.Errorf(tickerlake.Invalid, op, log.path(n),
				"the delivery log has format %c, this program knows format %c: use a newer tickerlake", magic[name], segmentMagic[name])
		}
	}
	return nil
}

// readStart reads as much as a header, and one byte to tell whether there is more.
func readStart(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	b := make([]byte, segmentHeader+1)
	n, err := f.ReadAt(b, 0)
	if n < len(b) && n >= 0 {
		err = nil // the end of the file
	}
	return b[:n], err
}

// readFrames enters a segment: its decisions, its marks, and how many records it
// has. Only the end of the last segment can be torn; it is cut.
func (r *recovery) readFrames(number uint64, data []byte, last bool) error {
	s := r.s
	path := s.log.path(number)
	g := &segment{number: number, size: int64(len(data))}
	_, gaps, _ := decodeHeader(data)
	begin := min(segmentHeader, len(data))
	gaps = append(gaps, scan(s.log.seed, data[begin:], int64(begin), func(offset int64, size int, f frame) {
		if why := r.enter(g, offset, int64(size), f); why != "" {
			gaps = append(gaps, gap{offset, int64(size)})
		}
	})...)
	if n := len(gaps); last && n > 0 && gaps[n-1].offset >= segmentHeader && gaps[n-1].offset+gaps[n-1].bytes == g.size {
		torn := gaps[n-1]
		gaps = gaps[:n-1]
		s.o.Log.Warn("the delivery log ends in bytes that are no whole frame, as after a crash while writing; they are cut off",
			"stream", s.o.Name, "file", path, "offset", torn.offset, "bytes", torn.bytes)
		if err := truncate(path, torn.offset); err != nil {
			return err
		}
		g.size = torn.offset
	}
	for _, p := range gaps {
		g.damaged = true
		s.report(Damage{File: path, Offset: p.offset, Bytes: p.bytes, Reason: "bytes that are not what was written"})
	}
	s.log.list = append(s.log.list, g)
	s.logBytes += g.size
	return nil
}

func truncate(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	err = f.Truncate(size)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// enter takes one frame, or says why it cannot be.
func (r *recovery) enter(g *segment, offset, size int64, f frame) (why string) {
	r.last = max(r.last, f.seq)
	switch f.kind {
	case kindRecord:
		r.records[g.number]++
	case kindBatch:
		b, err := decodeBatch(f.body)
		if err != nil {
			return err.Error()
		}
		b.segment, b.offset, b.bytes = g.number, offset, size
		r.batches[b.first] = b
	case kindDelivered:
		// A mark repeats the decision, so that it stands if that is damaged.
		b, err := decodeBatch(f.body)
		if err != nil {
			return err.Error()
		}
		r.marked[b.first] = true
		if r.batches[b.first] == nil {
			r.batches[b.first] = b
		}
	}
	return ""
}

// takeBatches queues the decisions without a mark: the same object again, under
// the same key.
func (r *recovery) takeBatches() {
	s := r.s
	segments := map[uint64]*segment{}
	for _, g := range s.log.list {
		segments[g.number] = g
	}
	for _, b := range r.batches {
		for _, e := range b.extents {
			g := segments[e.segment]
			if g == nil {
				continue
			}
			r.covered[e.segment] = append(r.covered[e.segment], span{e.first, e.first + uint64(e.count)})
			if !r.marked[b.first] {
				g.live += e.count
			}
		}
		if r.marked[b.first] {
			continue
		}
		segments[b.segment].live++
		if len(b.extents) > keepExtents {
			b.extents = nil
		}
		s.outstanding[b.first] = b
		s.ready = append(s.ready, b)
	}
	slices.SortFunc(s.ready, func(a, b *batch) int { return int(int64(a.first) - int64(b.first)) })
	if len(s.ready) > 0 {
		wake(s.deliver)
	}
}

// undecided reports whether a segment has records that no decision names, and puts what
// the decisions name in order.
func (r *recovery) undecided(g *segment) bool {
	covered := r.covered[g.number]
	slices.SortFunc(covered, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	n := uint64(0)
	for _, c := range covered {
		n += c.end - c.first
	}
	return uint64(r.records[g.number]) != n || g.damaged
}

// takeRecords puts the records of a segment that no decision names into buffers.
func (r *recovery) takeRecords(g *segment, data []byte) {
	s, covered := r.s, r.covered[g.number]
	begin := min(segmentHeader, len(data))
	scan(s.log.seed, data[begin:], int64(begin), func(offset int64, size int, f frame) {
		for len(covered) > 0 && covered[0].end <= f.seq {
			covered = covered[1:]
		}
		if f.kind != kindRecord || len(covered) > 0 && covered[0].first <= f.seq {
			return
		}
		keys, record, err := decodeRecord(f.body)
		if err != nil {
			s.report(Damage{File: s.log.path(g.number), Offset: offset, Bytes: int64(size), Reason: err.Error()})
			g.damaged = true
			return
		}
		at := time.UnixMilli(f.at)
		s.router.now(at)
		g.live++
		s.take(*s.router.route(at, keys), extent{segment: g.number, offset: offset, bytes: int64(size), first: f.seq, count: 1}, int64(len(record)), at)
	})
}

// report makes damage known, once.
func (s *Stream) report(d Damage) {
	s.mu.Lock()
	known := slices.Contains(s.damage, d)
	if !known {
		s.damage = append(s.damage, d)
		for _, g := range s.log.list {
			if s.log.path(g.number) == d.File {
				g.damaged = true
			}
		}
	}
	s.mu.Unlock()
	if !known {
		s.o.Log.Error("the delivery log is damaged; what can be read beside it is kept",
			"stream", s.o.Name, "file", d.File, "offset", d.Offset, "bytes", d.Bytes, "error", d.Reason)
	}
}

// String reads "file: bytes 128 to 256: reason".
func (d Damage) String() string {
	return fmt.Sprintf("%s: bytes %d to %d: %s", d.File, d.Offset, d.Offset+d.Bytes, d.Reason)
}
