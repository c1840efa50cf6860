package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestErrorsAtSystemCalls has the kernel refuse calls that change what is on disk: one
// alone, as a disk that stutters, and all from one on, as a disk that is gone (a bucket that
// is gone is waited for: links fail only at times). The program
// says so or goes on, never loses what it has acknowledged, and is whole once the disk is.
func TestErrorsAtSystemCalls(t *testing.T) {
	needStrace(t)
	c := newCrash(t)
	for _, command := range []string{"fetch", "run"} {
		// A fetch waits for a bucket that is gone: what each thread refuses it is kept short.
		syncs, links := "2+", "1..3"
		if command == "fetch" {
			syncs, links = "1+", "1..2"
		}
		for _, k := range []struct {
			calls, error string
			from         []string
		}{
			{"pwrite64", "EIO", []string{"3", "20", "9+"}},
			{"fsync", "EIO", []string{"1", "4", syncs}},
			{"fdatasync", "EIO", []string{"1", "1+"}},
			{"linkat,renameat,renameat2,rename", "EIO", []string{"1", links}},
			{"mkdirat,mkdir", "ENOSPC", []string{"1+"}},
			{"ftruncate,fallocate", "ENOSPC", []string{"1+"}},
		} {
			for _, when := range k.from {
				t.Run(fmt.Sprintf("%s:%s:%s in %s", k.calls, k.error, when, command), func(t *testing.T) {
					t.Parallel()
					p := c.lake(t)
					if command == "run" {
						p.must("fetch")
					}
					// Each thread counts its own calls: which one it is differs from run to run.
					strace := []string{"strace", "-f", "-o", os.DevNull, "-e", "trace=" + k.calls, "-e", fmt.Sprintf("inject=%s:error=%s:when=%s", k.calls, k.error, when)}
					o := p.finish(p.command(strace, command), []string{command})
					switch {
					case o.status != 0 && o.status != 1:
						t.Errorf("%v\nwant exit status 0 or 1", o)
					case o.status == 1 && !strings.Contains(o.stderr, "tickerlake: "):
						t.Errorf("%v\nit does not say what has failed", o)
					case strings.Contains(o.stderr, "panic") || strings.Contains(o.stderr, "goroutine "):
						t.Errorf("%v\nit has panicked", o)
					}
					t.Logf("exit status %d: %s", o.status, o.stderr)
					if command == "fetch" && o.status != 0 {
						p.must("fetch")
					}
					p.must("run")
					c.whole(p)
					p.must("doctor")
				})
			}
		}
	}
}
