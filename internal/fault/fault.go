// Package fault lets a test end the program at a chosen place as a power cut
// would: without deferred calls, without flushing, without a goodbye. A stage
// calls Point after each durable step; in normal use that does nothing.
package fault

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// Env names the environment variable that arms one point: "name" kills the
// program when the point is reached, "name:3" when it is reached the third time.
const Env = "TICKERLAKE_FAULT"

var reached atomic.Int64

// Point kills the program with SIGKILL if the environment says so.
func Point(name string) {
	armed := os.Getenv(Env)
	if armed == "" {
		return
	}
	want, times, _ := strings.Cut(armed, ":")
	if want != name {
		return
	}
	n, _ := strconv.ParseInt(times, 10, 64)
	if reached.Add(1) < n {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // the signal arrives in its own time; nothing more may happen
}
