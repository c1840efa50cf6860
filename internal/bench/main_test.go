package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
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
	Rounds   int // of what the child repeats
	News     int // new bars, or symbols with a dividend
	Days     int // published before
}

// An outcome is what a child measured of itself.
type outcome struct {
	Took   time.Duration
	Steps  map[string]time.Duration // parts of Took, by job
	Rounds map[string][]time.Duration
	Rows   int64 // rows that the result holds
	Bytes  int64 // of the files that were published, or written
	Sizes  map[string]float64
	PeakMB float64
	CPU    float64 // seconds of processor time of the whole child
	Error  string
}

func (o *outcome) add(name string, took time.Duration) { o.Rounds[name] = append(o.Rounds[name], took) }

var works = map[string]func(context.Context, task) (outcome, error){
	"publish":   publishAll,
	"news":      publishNews,
	"dividends": publishDividends,
	"minutes":   publishMinutes,
	"rules":     judgeAll,
	"oneshot":   bareOneShot,
	"split":     bareSplit,
}

func TestMain(m *testing.M) {
	text := os.Getenv(taskVariable)
	if text == "" {
		os.Exit(m.Run())
	}
	var t task
	var out outcome
	err := json.Unmarshal([]byte(text), &t)
	if dir := os.Getenv("TICKERLAKE_BENCH_PROFILE"); dir != "" && err == nil {
		defer profile(dir, t.Work)()
	}
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

// profile writes a processor profile of the child to a folder.
func profile(dir, work string) (stop func()) {
	f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%s-%d.cpu", work, os.Getpid())))
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	if err != nil {
		panic(err)
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}
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
	return &clock{begin: now, last: now, out: outcome{Steps: map[string]time.Duration{}, Rounds: map[string][]time.Duration{}, Sizes: map[string]float64{}}}
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

// quick reports whether all is to be small, from TICKERLAKE_BENCH_QUICK.
func quick() bool { return os.Getenv("TICKERLAKE_BENCH_QUICK") != "" }

// setting is a number from a variable; small in a quick run, usual otherwise.
func setting(b *testing.B, variable string, usual, small, least int) int {
	b.Helper()
	text := os.Getenv(variable)
	if text == "" {
		if quick() {
			return small
		}
		return usual
	}
	n, err := strconv.Atoi(strings.ReplaceAll(text, "_", ""))
	if err != nil || n < least {
		b.Fatalf("%s is %q, want a number from %d", variable, text, least)
	}
	return n
}

// size is the number of bars.
func size(b *testing.B) int {
	return setting(b, "TICKERLAKE_BENCH_ROWS", 10_000_000, 500_000, decades)
}

// rounds is how often each pair is measured.
func rounds(b *testing.B) int { return setting(b, "TICKERLAKE_BENCH_ROUNDS", 5, 1, 1) }

// temporary is a folder for the files of one benchmark.
func temporary(dir string, parts ...string) (string, error) {
	path := filepath.Join(append([]string{dir}, parts...)...)
	return path, os.MkdirAll(path, 0o755)
}
