package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// taskVariable hands a task to the test binary that is started again as a child.
const taskVariable = "TICKERLAKE_BENCH_TASK"

// A task is what a child does.
type task struct {
	Work     string   // a key of works
	Dir      string   // an empty folder of its own
	Objects  []string // raw objects
	Market   market
	MemoryMB int
}

// An outcome is what a child measured of itself.
type outcome struct {
	Took   time.Duration
	Steps  map[string]time.Duration // parts of Took, by job
	Rounds map[string][]time.Duration
	Rows   int64 // rows that the result holds
	PeakMB float64
	CPU    float64 // seconds of processor time of the whole child
	Error  string
}

var works = map[string]func(context.Context, task) (outcome, error){
	"publish": publishAll,
	"news":    publishNews,
	"oneshot": bareOneShot,
	"split":   bareSplit,
}

func TestMain(m *testing.M) {
	text := os.Getenv(taskVariable)
	if text == "" {
		os.Exit(m.Run())
	}
	var t task
	var out outcome
	err := json.Unmarshal([]byte(text), &t)
	if err == nil {
		out, err = works[t.Work](context.Background(), t)
	}
	if err != nil {
		out.Error = err.Error()
	}
	out.PeakMB, out.CPU = peak(), processor()
	answer, err := json.Marshal(out)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(answer))
}

// do runs a task in a child and removes its folder.
func do(b *testing.B, t task) outcome {
	b.Helper()
	t.Dir = b.TempDir()
	text, err := json.Marshal(t)
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(b.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), taskVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	answer, err := cmd.Output()
	if err != nil {
		b.Fatal(err)
	}
	var out outcome
	if err := json.Unmarshal(answer, &out); err != nil {
		b.Fatalf("%s: %v: %s", t.Work, err, answer)
	}
	if err := os.RemoveAll(t.Dir); err != nil {
		b.Fatal(err)
	}
	return out
}

// peak is the greatest resident memory of this process so far, in MB (10^6 bytes);
// 0 where the system does not tell.
func peak() float64 {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), "VmHWM:"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb * 1024 / 1e6
		}
	}
	return 0
}

// processor is the time that this process spent on processors, in seconds: what else
// a shared machine does hardly changes it.
func processor() float64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds()
}

// A clock times the parts of a piece of work.
type clock struct {
	begin, last time.Time
	out         outcome
}

func start() *clock {
	now := time.Now()
	return &clock{begin: now, last: now, out: outcome{Steps: map[string]time.Duration{}, Rounds: map[string][]time.Duration{}}}
}

func (c *clock) step(name string) {
	now := time.Now()
	c.out.Steps[name] += now.Sub(c.last)
	c.out.Took, c.last = now.Sub(c.begin), now
}

func median[T ~float64 | ~int64](values []T) T {
	if len(values) == 0 {
		return 0
	}
	values = slices.Clone(values)
	slices.Sort(values)
	return values[len(values)/2]
}

// size is the number of bars, from TICKERLAKE_BENCH_ROWS.
func size(b *testing.B) int {
	text := os.Getenv("TICKERLAKE_BENCH_ROWS")
	if text == "" {
		return 10_000_000
	}
	n, err := strconv.Atoi(strings.ReplaceAll(text, "_", ""))
	if err != nil || n < barsPerSymbol {
		b.Fatalf("TICKERLAKE_BENCH_ROWS is %q, want a number from %d", text, barsPerSymbol)
	}
	return n
}

// rounds is how often each pair is measured, from TICKERLAKE_BENCH_ROUNDS.
func rounds(b *testing.B) int {
	text := os.Getenv("TICKERLAKE_BENCH_ROUNDS")
	if text == "" {
		return 5
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		b.Fatalf("TICKERLAKE_BENCH_ROUNDS is %q, want a number from 1", text)
	}
	return n
}

// temporary is a folder for the files of one benchmark.
func temporary(dir string, parts ...string) (string, error) {
	path := filepath.Join(append([]string{dir}, parts...)...)
	return path, os.MkdirAll(path, 0o755)
}
