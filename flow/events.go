package flow

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/tickerlake/tickerlake"
)

// report offers Events what is in the outbox. What it refuses stays there.
func (x *execution) report(ctx context.Context) {
	if x.o.Events == nil {
		return
	}
	x.reporting.Lock()
	defer x.reporting.Unlock()
	if err := x.empty(ctx); err != nil {
		x.log.Error("events were refused: they are offered again with the next", "error", err)
	}
}

func (x *execution) empty(ctx context.Context) error {
	for {
		events, err := x.o.Store.outbox(ctx, 100)
		if err != nil || len(events) == 0 {
			return err
		}
		for _, p := range events {
			if err := x.offer(ctx, p); err != nil {
				return err
			}
			if err := x.o.Store.taken(ctx, p.seq); err != nil {
				return err
			}
		}
	}
}

func (x *execution) offer(ctx context.Context, p posted) error {
	if p.table == "runs" {
		var e tickerlake.RunEvent
		if err := json.Unmarshal(p.event, &e); err != nil {
			return err
		}
		return x.o.Events.Run(ctx, e)
	}
	var e tickerlake.JobEvent
	if err := json.Unmarshal(p.event, &e); err != nil {
		return err
	}
	return x.o.Events.Job(ctx, e)
}

func (x *execution) runEvent() *tickerlake.RunEvent {
	if x.o.Events == nil {
		return nil
	}
	return runEvent(x.result, x.now())
}

func (x *execution) jobEvent(j *JobResult) *tickerlake.JobEvent {
	if x.o.Events == nil {
		return nil
	}
	return &tickerlake.JobEvent{ID: fmt.Sprintf("%s/%s/%d", x.result.ID, j.Job, j.Attempt), Run: x.result.ID, Job: j.Job,
		Attempt: int64(j.Attempt), State: string(j.State), Started: j.Started, Ended: j.Ended,
		DurationMS: j.Ended.Sub(j.Started).Milliseconds(), Error: j.Error, At: x.now()}
}
