package serve

import (
	"testing"
	"time"
)

// SetShutdown says how long answers under way may take when an endpoint closes in a test.
func SetShutdown(t *testing.T, d time.Duration) {
	before := shutdown
	shutdown = d
	t.Cleanup(func() { shutdown = before })
}
