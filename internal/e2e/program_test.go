package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program is the tickerlake that the tests start.
var program string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tickerlake-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // for the tests under another user
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	program = filepath.Join(dir, "tickerlake")
	build := exec.Command("go", "build", "-o", program, "../../cmd/tickerlake")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "the program cannot be built:", err)
		return 1
	}
	return m.Run()
}

// patience is more than any command of these tests takes: beyond it, it hangs.
const patience = 2 * time.Minute

// A pipeline is a folder with a pipeline file, and the program run in it.
type pipeline struct {
	t   testing.TB
	dir string
	env []string // beside the environment of the test
	bin string   // another program than the one that is tested
}

func newPipeline(t testing.TB, file string) *pipeline {
	t.Helper()
	p := &pipeline{t: t, dir: t.TempDir()}
	p.write("tickerlake.yaml", file)
	return p
}

// with is the same pipeline with an environment variable set.
func (p *pipeline) with(setting string) *pipeline {
	q := *p
	q.env = append(q.env[:len(q.env):len(q.env)], setting)
	return &q
}

func (p *pipeline) path(elem ...string) string {
	return filepath.Join(append([]string{p.dir}, elem...)...)
}

func (p *pipeline) write(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(p.path(name), []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// An outcome is how a command ended.
type outcome struct {
	args           []string
	stdout, stderr string
	status         int // -1 if it was killed
	signal         syscall.Signal
}

func (o outcome) String() string {
	end := fmt.Sprintf("exit status %d", o.status)
	if o.status < 0 {
		end = o.signal.String()
	}
	return fmt.Sprintf("tickerlake %s: %s\n%s%s", strings.Join(o.args, " "), end, o.stdout, o.stderr)
}

// command prepares the program; before is what starts it, such as strace.
func (p *pipeline) command(before []string, args ...string) *exec.Cmd {
	bin := program
	if p.bin != "" {
		bin = p.bin
	}
	line := append(append(before[:len(before):len(before)], bin), args...)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), p.env...)
	return cmd
}

// run runs the program to its end.
func (p *pipeline) run(args ...string) outcome {
	p.t.Helper()
	return p.finish(p.command(nil, args...), args)
}

func (p *pipeline) finish(cmd *exec.Cmd, args []string) outcome {
	p.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	late := time.AfterFunc(patience, func() { _ = cmd.Process.Signal(syscall.SIGQUIT) })
	err := cmd.Wait()
	o := outcome{args: args, stdout: stdout.String(), stderr: stderr.String()}
	if !late.Stop() {
		p.t.Fatalf("%v\nhangs: it did not end in %s", o, patience)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	state := cmd.ProcessState.Sys().(syscall.WaitStatus)
	o.status = state.ExitStatus()
	if state.Signaled() {
		o.signal = state.Signal()
	}
	return o
}

// must runs the program and gives what it printed; it must succeed.
func (p *pipeline) must(args ...string) string {
	p.t.Helper()
	return p.want(0, args...).stdout
}

// want runs the program, which must end with a status.
func (p *pipeline) want(status int, args ...string) outcome {
	p.t.Helper()
	o := p.run(args...)
	if o.status != status {
		p.t.Fatalf("%v\nwant exit status %d", o, status)
	}
	return o
}

// mustJSON runs a command with --json and reads its answer.
func (p *pipeline) mustJSON(into any, args ...string) {
	p.t.Helper()
	out := p.must(append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		p.t.Fatalf("tickerlake %s: %v in\n%s", strings.Join(args, " "), err, out)
	}
}

// says demands that the messages of a command have some words.
func (o outcome) says(t testing.TB, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(o.stderr, w) {
			t.Errorf("%v\nwant the words %q on standard error", o, w)
		}
	}
}

// skipAloud skips a test that this machine cannot run; on CI that is a failure.
func skipAloud(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf("SKIPPED: "+format, args...)
}
