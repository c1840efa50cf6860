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

var hook atomic.Pointer[func(name string)]

// Hook has f called at each point of this process, until the function that it returns
// is called. A test that plays many crashes ends a call with a panic there, instead of
// a process.
func Hook(f func(name string)) (remove func()) {
	hook.Store(&f)
	return func() { hook.Store(nil) }
}

// Point kills the program with SIGKILL if the environment says so.
func Point(name string) {
	if f := hook.Load(); f != nil {
		(*f)(name)
	}
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
