package main

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	"github.com/tickerlake/tickerlake"
)

// An opsLog delivers the events of the ops tables through a stream of their own. It
// serves flow, collect and lake, each of which sees the part it knows.
type opsLog struct {
	stream *stream
	clock  tickerlake.Clock

	mu         sync.Mutex
	deliveries []any // told by the bars stream, which must not wait
}

// Emit returns when the events are durable in the log.
func (o *opsLog) Emit(ctx context.Context, table string, events ...any) error {
	records := make([]tickerlake.Record, len(events))
	for i, e := range events {
		text, err := json.Marshal(e)
		if err != nil {
			return tickerlake.Errorf(tickerlake.Internal, "ops.Emit", table, "%w", err)
		}
		records[i] = tickerlake.Record{Data: append(text, '\n'), Keys: map[string]string{"table": table}}
	}
	for len(records) > 0 {
		n := min(len(records), maxBatch)
		if err := o.stream.Put(ctx, records[:n]...); err != nil {
			return err
		}
		records = records[n:]
	}
	return nil
}

// maxBatch is the most records of one Put, as Firehose has it.
const maxBatch = 500

// Run takes the state of a run.
func (o *opsLog) Run(ctx context.Context, e tickerlake.RunEvent) error { return o.Emit(ctx, "runs", e) }

// Job takes the end of an attempt of a job.
func (o *opsLog) Job(ctx context.Context, e tickerlake.JobEvent) error { return o.Emit(ctx, "jobs", e) }

// Fetch takes the record of a request to a source.
func (o *opsLog) Fetch(ctx context.Context, e tickerlake.Fetch) error {
	return o.Emit(ctx, "fetches", e)
}

// delivered keeps a delivery until the next flush.
func (o *opsLog) delivered(d tickerlake.Delivery) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.deliveries = append(o.deliveries, d)
}

// flush returns when every event so far is in its object.
func (o *opsLog) flush(ctx context.Context) error {
	if err := o.tellDeliveries(ctx); err != nil {
		return err
	}
	return o.stream.Flush(ctx)
}

// tellDeliveries puts the deliveries that were kept into the log.
func (o *opsLog) tellDeliveries(ctx context.Context) error {
	o.mu.Lock()
	waiting := o.deliveries
	o.deliveries = nil
	o.mu.Unlock()
	return o.Emit(ctx, "deliveries", waiting...)
}

// close delivers what there is, for as long as the stream may take.
func (o *opsLog) close(ctx context.Context) error {
	return errors.Join(o.tellDeliveries(ctx), o.stream.stop())
}
