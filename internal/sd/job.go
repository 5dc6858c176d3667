package sd

import (
	"context"
	"fmt"
)

// Job is what the manager is doing with a unit: start, stop, restart, reload …; "" = nothing.
func (b *Bus) Job(ctx context.Context, unit string) (string, error) {
	jobs, err := b.conn.ListJobsContext(ctx)
	if err != nil {
		return "", fmt.Errorf("list jobs: %w", err)
	}
	for _, j := range jobs {
		if j.Unit == unit {
			return j.JobType, nil
		}
	}
	return "", nil
}
