package deliver

import (
	"iter"
	"sync/atomic"
	"time"
)

// counters are what a stream counts, since it was opened.
type counters struct {
	incomingRecords, incomingBytes  atomic.Int64
	objects, records, bytes, failed atomic.Int64
	errorRecords                    atomic.Int64
	throttled, partitionsExceeded   atomic.Int64
}

func (c *counters) delivered(b *batch) {
	c.objects.Add(1)
	if b.isError() {
		c.errorRecords.Add(b.count)
		return
	}
	c.records.Add(b.count)
	c.bytes.Add(b.raw)
}

// Metrics yields the stream's counters under the names that AWS/Firehose gives
// them; the last four are gauges: PartitionCount, DeliveryToS3.DataFreshness (the
// age in seconds of the oldest record not delivered), and with names of our own
// LogBytes and BacklogBytes.
func (s *Stream) Metrics() iter.Seq2[string, int64] {
	return func(yield func(string, int64) bool) {
		c := &s.counters
		st := s.Status()
		fresh := int64(0)
		if !st.Oldest.IsZero() {
			fresh = int64(s.o.Clock().Sub(st.Oldest) / time.Second)
		}
		for _, m := range []struct {
			name  string
			value int64
		}{
			{"IncomingRecords", c.incomingRecords.Load()},
			{"IncomingBytes", c.incomingBytes.Load()},
			{"ThrottledRecords", c.throttled.Load()},
			{"PartitionCountExceeded", c.partitionsExceeded.Load()},
			{"DeliveryToS3.Records", c.records.Load()},
			{"DeliveryToS3.Bytes", c.bytes.Load()},
			{"DeliveryToS3.Success", c.objects.Load()},
			{"DeliveryToS3.Failed", c.failed.Load()},
			{"ErrorRecords", c.errorRecords.Load()},
			{"PartitionCount", int64(st.Partitions)},
			{"DeliveryToS3.DataFreshness", fresh},
			{"LogBytes", st.LogBytes},
			{"BacklogBytes", st.Backlog},
		} {
			if !yield(m.name, m.value) {
				return
			}
		}
	}
}

// Status is what a stream holds at a moment.
type Status struct {
	Version    uint64    // of the stream, one more at each change of configuration
	Backlog    int64     // bytes of data not delivered
	Records    int64     // records not delivered
	Oldest     time.Time // arrival of the oldest of them; zero if there is none
	Partitions int       // open buffers of the data prefix
	LogBytes   int64     // size of the log on disk
	Objects    int64     // delivered since the stream was opened
	Failure    string    // of the last attempt, empty if that succeeded
	Damage     []Damage  // places of the log that cannot be read
}

// Status tells what the stream holds.
func (s *Stream) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Status{
		Version: s.version, Partitions: s.partitions, LogBytes: s.logBytes,
		Objects: s.counters.objects.Load(), Failure: s.failure, Damage: append([]Damage(nil), s.damage...),
	}
	add := func(raw, count int64, oldest time.Time) {
		st.Backlog += raw
		st.Records += count
		if st.Oldest.IsZero() || oldest.Before(st.Oldest) {
			st.Oldest = oldest
		}
	}
	for _, b := range s.buffers {
		add(b.raw, b.count, b.oldest)
	}
	for _, b := range s.outstanding {
		add(b.raw, b.count, b.oldest)
	}
	return st
}
