package main

import (
	"context"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/flow"
)

// ownJob is a job of the pipeline file: a SELECT whose rows go to a table.
func (p *pipeline) ownJob(workflow, name string, c flow.JobConfig) flow.Job {
	return flow.NewJob(name, func(ctx context.Context, run *flow.Run) error {
		return tickerlake.Errorf(tickerlake.Internal, "run", workflow+"."+name, "not yet: %s", c.Table)
	})
}
