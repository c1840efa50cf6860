package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tickerlake/tickerlake/collect/simulate"
)

// An upProgram is tickerlake up in the background of a test, on a clock that the test
// moves.
type upProgram struct {
	*program
	at     atomic.Int64 // the time, in nanoseconds since 1970
	lines  chan string
	cancel context.CancelFunc
	status chan int
	errs   bytes.Buffer
	seen   []string
}

// up starts tickerlake up and waits until it takes commands.
func (p *program) up(args ...string) *upProgram {
	p.Helper()
	u := &upProgram{program: p, lines: make(chan string, 1000), status: make(chan int, 1)}
	u.at.Store(p.now.UnixNano())
	ctx, cancel := context.WithCancel(context.WithoutCancel(p.Context()))
	u.cancel = cancel
	r, w := io.Pipe()
	go func() {
		defer close(u.lines)
		for s := bufio.NewScanner(r); s.Scan(); {
			u.lines <- s.Text()
		}
	}()
	m := &Main{Stdin: strings.NewReader(""), Stdout: w, Stderr: &u.errs, Env: os.LookupEnv, Clock: u.now}
	go func() {
		status := m.Run(ctx, append([]string{"-c", filepath.Join(p.dir, "tickerlake.yaml"), "up", "--output", "lines", "--listen", "127.0.0.1:0"}, args...))
		_ = w.Close()
		u.status <- status
	}()
	p.Cleanup(func() { u.stop() })
	u.await("tickerlake is up at ")
	return u
}

func (u *upProgram) now() time.Time { return time.Unix(0, u.at.Load()).UTC() }

// sleep moves the clock.
func (u *upProgram) sleep(d time.Duration) {
	u.at.Add(int64(d))
	u.program.now = u.now()
}

// await waits for a line with a text and gives it.
func (u *upProgram) await(text string) string {
	u.Helper()
	limit := time.NewTimer(time.Minute) // so that a failure tells what was said
	defer limit.Stop()
	for {
		select {
		case line, more := <-u.lines:
			u.seen = append(u.seen, line)
			if strings.Contains(line, text) {
				return line
			}
			if !more {
				u.Fatalf("up has ended and has not said %q; it said\n%s\n%s", text, strings.Join(u.seen, "\n"), &u.errs)
			}
		case <-limit.C:
			u.Fatalf("up has not said %q; it said\n%s", text, strings.Join(u.seen, "\n"))
		}
	}
}

// saw gives a line with a text that was said already, or waits for it: of two lines in no
// order the second.
func (u *upProgram) saw(text string) string {
	u.Helper()
	for _, line := range u.seen {
		if strings.Contains(line, text) {
			return line
		}
	}
	return u.await(text)
}

// A lockedBuffer can be read while it is written to.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// stop stops it and gives its exit status.
func (u *upProgram) stop() int {
	u.cancel()
	for line := range u.lines {
		u.seen = append(u.seen, line)
	}
	status := <-u.status
	u.status <- status
	return status
}

// get asks the endpoint.
func (u *upProgram) get(path string) (int, string) {
	u.Helper()
	holder, err := readHolder(filepath.Join(u.dir, "lake"))
	if err != nil {
		u.Fatal(err)
	}
	r, err := http.Get(holder.Address + path)
	if err != nil {
		u.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		u.Fatal(err)
	}
	return r.StatusCode, string(body)
}

const upFile = "sources: {market: {preset: simulated, since: 2026-01-05, symbols: [IBM, AMZN], schedule: rate(1 hour)}}\n"

// TestUp: from nothing to published bars, again an hour later, and a stop in good order.
func TestUp(t *testing.T) {
	p := newProgram(t, upFile)
	u := p.up()
	u.await("78 inserted")
	if line := u.saw("fetched"); !strings.Contains(line, "market  78 rows of 2 symbols") {
		t.Errorf("it said %q", line)
	}
	if line := u.await("fresh"); !strings.HasSuffix(line, "bars_1d  2 symbols up to 2026-03-02") {
		t.Errorf("it said %q", line)
	}
	if out := p.do("status"); !strings.Contains(out, "lake, held by tickerlake up (process ") {
		t.Errorf("status says\n%s", out)
	}
	if status, body := u.get("/healthz"); status != 200 || body != "alive\n" {
		t.Errorf("/healthz: %d %q", status, body)
	}
	if status, body := u.get("/readyz"); status != 200 || body != "ready\n" {
		t.Errorf("/readyz: %d %q", status, body)
	}
	if got := p.ask("SELECT count(*), max(ts) FROM bars_1d"); got != "78,2026-03-02 00:00:00" {
		t.Errorf("prod has %s", got)
	}
	if out, errs, status := p.try("up"); status != 1 || !regexp.MustCompile(`^tickerlake: .*/lake: tickerlake up \(process \d+, since 2026-03-02 22:00:00 UTC\) holds this lake: stop it first\n$`).MatchString(errs) {
		t.Errorf("a second up: %d %q %q", status, out, errs)
	}
	u.sleep(24 * time.Hour)
	u.await(" 2 inserted")
	if got := p.ask("SELECT count(*), max(ts) FROM bars_1d"); got != "80,2026-03-03 00:00:00" {
		t.Errorf("a day later prod has %s", got)
	}
	if status := u.stop(); status != 0 || u.errs.Len() > 0 {
		t.Errorf("exit status %d\n%s", status, &u.errs)
	}
	if text, err := os.ReadFile(filepath.Join(p.dir, "lake", "lock")); err != nil || len(text) > 0 {
		t.Errorf("the lock file says %q, %v", text, err)
	}
	if _, err := os.Stat(filepath.Join(p.dir, "lake", "up", "socket")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
	p.do("run")
	if out := p.do("status"); strings.Contains(out, "held by") {
		t.Errorf("status says\n%s", out)
	}
	if out := p.do("doctor"); !strings.Contains(out, "nothing is wrong") {
		t.Error(out)
	}
}

// TestUpSameCommands gives the same commands to a lake that is up and to one that is
// not: what they print and how they end is the same.
func TestUpSameCommands(t *testing.T) {
	file := strings.Replace(upFile, ", schedule: rate(1 hour)", "", 1)
	alone, with := newProgram(t, file), newProgram(t, file)
	u := with.up()
	variable := regexp.MustCompile(`"time":"[^"]*"|\d+(\.\d+)?(ms|µs|s)\b|\d{8}t\d{6}-\d+|"(id|started_at|ended_at|fetch_id|fetched_at)": "[^"]*"|"(duration_ms)": \d+`)
	plain := func(p *program, text string) string {
		text = strings.ReplaceAll(text, "waiting for the run or change that is under way\n", "") // up runs by itself too
		return variable.ReplaceAllString(strings.ReplaceAll(text, p.dir, "DIR"), "X")
	}
	for _, c := range []struct {
		args     string
		collects bool // then what came is published before the next command
	}{
		{"fetch", true},
		{"fetch market", true},
		{"run", false},
		{"--json run", false},
		{"run nosuch", false},
		{"run --nosuch", false},
		{"fetch nosuch", false},
		{"fetch --from yesterday", false},
		{"import more.csv --interval 1d --basis split", true},
		{"import more.csv --interval 1d --basis split", false},
		{"import none.csv --interval 1d", false},
		{"import bad.csv --interval 1d", false},
		{"rollback bars_1d 1", false},
		{"rollback nosuch 1", false},
		{"quarantine accept abcd", false},
		{"quarantine reject zz", false},
		{"doctor --repair", false},
		{"--json doctor --repair", false},
		{"run --release", false},
		{"query SELECT", false},
	} {
		type result struct {
			out, errs string
			status    int
		}
		var got [2]result
		for i, p := range []*program{alone, with} {
			for name, text := range map[string]string{"more.csv": "Date,Symbol,Close\n2026-02-02,MSFT,100\n", "bad.csv": "nothing\n"} {
				path := filepath.Join(p.dir, name)
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Chtimes(path, p.now, p.now); err != nil {
					t.Fatal(err)
				}
			}
			t.Chdir(p.dir)
			out, errs, status := p.try(strings.Fields(c.args)...)
			got[i] = result{plain(p, out), plain(p, errs), status}
		}
		if got[0] != got[1] {
			t.Errorf("%s\nalone   %+v\nwith up %+v", c.args, got[0], got[1])
		}
		if c.collects {
			alone.do("run")
			with.do("run")
		}
	}
	if status := u.stop(); status != 0 {
		t.Errorf("exit status %d\n%s", status, &u.errs)
	}
}

// TestUpBeside runs what writes and what reads all at once.
func TestUpBeside(t *testing.T) {
	p := newProgram(t, upFile)
	u := p.up()
	u.await("published")
	var all sync.WaitGroup
	for range 3 {
		for _, args := range [][]string{
			{"fetch"}, {"run"}, {"--json", "run", "--full"}, {"tidy"}, {"status"}, {"tables"},
			{"query", "SELECT count(*) FROM bars_1d"}, {"doctor", "--repair"}, {"run", "--release"},
		} {
			all.Go(func() {
				if out, errs, status := p.try(args...); status != 0 {
					t.Errorf("%s: exit status %d\n%s%s", strings.Join(args, " "), status, out, errs)
				}
			})
		}
	}
	all.Wait()
	if got := p.ask("SELECT count(*), count(DISTINCT (symbol, ts)) FROM bars_1d"); got != "78,78" {
		t.Errorf("prod has %s", got)
	}
	if status := u.stop(); status != 0 {
		t.Errorf("exit status %d\n%s", status, &u.errs)
	}
	if out := p.do("doctor", "--deep"); !strings.Contains(out, "nothing is wrong") {
		t.Error(out)
	}
}

// TestUpRollback takes a publication back while the lake is up: the source is not asked,
// and nothing comes back, until it is released.
func TestUpRollback(t *testing.T) {
	p := newProgram(t, upFile)
	u := p.up()
	u.await("78 inserted")
	u.sleep(24 * time.Hour)
	u.await("2 inserted")
	var kept []struct {
		ID   int64 `json:"id"`
		Rows int64 `json:"rows"`
	}
	if err := json.Unmarshal([]byte(p.do("--json", "snapshots", "bars_1d")), &kept); err != nil {
		t.Fatal(err)
	}
	id := int64(0)
	for _, s := range kept {
		if s.Rows == 78 {
			id = s.ID
		}
	}
	p.do("rollback", "bars_1d", strconv.FormatInt(id, 10))
	u.sleep(24 * time.Hour)
	if line := u.await("failed"); !strings.Contains(line, "the source is paused since 2026-03-03 22:00:00 UTC") {
		t.Errorf("it said %q", line)
	}
	p.do("run")
	if got := p.ask("SELECT count(*) FROM bars_1d"); got != "78" {
		t.Errorf("prod has %s", got)
	}
	p.do("run", "--release")
	u.sleep(time.Hour)
	u.await("2 inserted")
	if got := p.ask("SELECT count(*) FROM bars_1d"); got != "82" {
		t.Errorf("prod has %s", got)
	}
}

// A slowMarket answers when it is let.
type slowMarket struct {
	market http.Handler
	asked  chan struct{}
	let    chan struct{}
	close  func()
}

func newSlowMarket(t *testing.T, clock func() time.Time) (*slowMarket, string) {
	market, err := simulate.New(simulate.Options{Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	s := &slowMarket{market: market, asked: make(chan struct{}, 100), let: make(chan struct{})}
	server := httptest.NewServer(s)
	s.close = server.Close
	t.Cleanup(server.Close)
	return s, server.URL
}

func (s *slowMarket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.asked <- struct{}{}
	select {
	case <-s.let:
		s.market.ServeHTTP(w, r)
	case <-r.Context().Done():
	}
}

// TestUpDies kills up in the middle of a command that it carries out for another
// process; and that process in the middle of one that the next up carries out.
func TestUpDies(t *testing.T) {
	p := newProgram(t, "")
	slow, url := newSlowMarket(t, time.Now)
	p.configure("sources: {market: {preset: simulated, base_url: " + url + ", since: 2026-01-05, symbols: [IBM]}}\n")
	start := func(args ...string) (*exec.Cmd, *bytes.Buffer, *bufio.Scanner) {
		t.Helper()
		cmd := exec.Command("tickerlake", append([]string{"-c", filepath.Join(p.dir, "tickerlake.yaml")}, args...)...)
		errs := &bytes.Buffer{}
		cmd.Stderr = errs
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		return cmd, errs, bufio.NewScanner(out)
	}
	until := func(s *bufio.Scanner, text string) {
		t.Helper()
		for s.Scan() {
			if strings.Contains(s.Text(), text) {
				return
			}
		}
		t.Fatalf("nothing says %q", text)
	}
	up, _, lines := start("up", "--listen", "127.0.0.1:0", "--output", "lines")
	until(lines, "is up at")
	fetch, errs, _ := start("fetch")
	<-slow.asked
	_ = up.Process.Kill()
	_ = up.Wait()
	err := fetch.Wait()
	want := regexp.MustCompile(`^tickerlake: .*/lake: tickerlake up \(process \d+, since .* UTC\), which carried this command out, has ended before it was done \(.*\): what was acknowledged stays; give the command again\n$`)
	if fetch.ProcessState.ExitCode() != 1 || !want.MatchString(errs.String()) {
		t.Errorf("the command ended with %v and said %q", err, errs)
	}

	// The lock is free again, and what was left of the socket is in nobody's way.
	up, errs, lines = start("up", "--listen", "127.0.0.1:0", "--output", "lines")
	until(lines, "is up at")
	fetch, errs2, _ := start("fetch")
	<-slow.asked
	if err := fetch.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = fetch.Wait()
	if fetch.ProcessState.ExitCode() != 1 || !strings.Contains(errs2.String(), "context canceled") {
		t.Errorf("given up by Ctrl-C, it ended with %d and said %q", fetch.ProcessState.ExitCode(), errs2)
	}
	fetch, _, _ = start("fetch")
	<-slow.asked
	_ = fetch.Process.Kill()
	_ = fetch.Wait()
	close(slow.let)
	again, fetchErrs, _ := start("fetch") // waits until the one that was given up has ended
	if err := again.Wait(); err != nil {
		t.Errorf("%v\n%s", err, fetchErrs)
	}
	until(lines, "published")
	if err := up.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	until(lines, "stopped")
	if err := up.Wait(); err != nil {
		t.Errorf("%v\n%s", err, errs)
	}
}

// TestMakeRun is what make run does: prod is there after seconds, and SIGTERM ends it.
func TestMakeRun(t *testing.T) {
	path, err := exec.LookPath("tickerlake")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("../../tools/run.sh", path)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	temp := t.TempDir()
	cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	stopped := false
	for s := bufio.NewScanner(out); s.Scan(); {
		said = append(said, s.Text())
		if strings.Contains(s.Text(), "published") && !stopped {
			stopped = true
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
		}
	}
	err = cmd.Wait()
	text := strings.Join(said, "\n")
	if err != nil || !contains(text, "tickerlake is up at http://127.0.0.1:", "inserted", "stopped") {
		t.Errorf("%v\n%s\n%s", err, text, &errs)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}

// TestUpSecondSignal ends it at once by a second signal, at whatever it is then: the next
// one has all that was acknowledged, once.
func TestUpSecondSignal(t *testing.T) {
	p := newProgram(t, "")
	p.now = time.Now()
	p.configure(strings.Replace(upFile, "rate(1 hour)", "rate(1 minute)", 1))
	for _, text := range []string{"is up at", "delivered", "fetched", "published"} {
		cmd := exec.Command("tickerlake", "-c", filepath.Join(p.dir, "tickerlake.yaml"), "up", "--listen", "127.0.0.1:0", "--output", "lines")
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		for s := bufio.NewScanner(out); s.Scan(); {
			if strings.Contains(s.Text(), text) || strings.Contains(s.Text(), "published") {
				break
			}
		}
		for range 2 {
			_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		}
		_, _ = io.Copy(io.Discard, out)
		err = cmd.Wait()
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || err != nil && status.Signal() != syscall.SIGTERM {
			t.Errorf("at %q it ended with %v", text, err)
		}
		if text == "is up at" {
			p.do("run") // makes the lake if it was cut off before that
		}
		if out := p.do("doctor"); !strings.Contains(out, "nothing is wrong") {
			t.Errorf("at %q: %s", text, out)
		}
	}
	p.do("fetch")
	p.do("run")
	if got := p.ask("SELECT count(*) > 300, count(*) = count(DISTINCT (symbol, ts)) FROM bars_1d"); got != "true,true" {
		t.Errorf("prod has %s", got)
	}
}

// TestUpLogs is what it writes where there is no terminal: a log in JSON, and its address.
func TestUpLogs(t *testing.T) {
	p := newProgram(t, "")
	p.configure(strings.Replace(upFile, "symbols:", "http: {headers: {Key: \"${UP_TEST_KEY}\"}}, symbols:", 1))
	t.Setenv("UP_TEST_KEY", "never-shown")
	var errs lockedBuffer
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	status := make(chan int, 1)
	go func() {
		m := &Main{Stdin: strings.NewReader(""), Stdout: w, Stderr: &errs, Env: os.LookupEnv, Clock: func() time.Time { return p.now }}
		status <- m.Run(ctx, []string{"-c", filepath.Join(p.dir, "tickerlake.yaml"), "up", "--listen", "127.0.0.1:0"})
		_ = w.Close()
	}()
	lines := bufio.NewScanner(r)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "tickerlake is up at http://127.0.0.1:") {
		t.Errorf("it said %q", lines.Text())
	}
	m := &Main{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard, Env: os.LookupEnv, Clock: func() time.Time { return p.now }}
	for _, args := range [][]string{{"fetch"}, {"run"}} {
		if got := m.Run(ctx, append([]string{"-c", filepath.Join(p.dir, "tickerlake.yaml")}, args...)); got != 0 {
			t.Errorf("%s: exit status %d", args, got)
		}
	}
	// The schedule's own fetch may come after that of the command.
	for begin := time.Now(); !strings.Contains(errs.String(), `"fetched"`) && time.Since(begin) < time.Minute; {
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	for lines.Scan() {
		t.Errorf("it said %q too", lines.Text())
	}
	if got := <-status; got != 0 {
		t.Errorf("exit status %d", got)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(errs.String()) {
		var e struct{ Level, Msg string }
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Level != "INFO" {
			t.Errorf("%v: %s", err, line)
		}
		seen[e.Msg] = true
	}
	for _, msg := range []string{"up", "fetched", "delivered", "stopping", "stopped"} {
		if !seen[msg] {
			t.Errorf("the log does not say %q:\n%s", msg, &errs)
		}
	}
	if strings.Contains(errs.String(), "never-shown") {
		t.Errorf("a secret is in the log:\n%s", &errs)
	}
}

// TestUpStops stops it while a fetch hangs: in time, and nothing is lost.
func TestUpStops(t *testing.T) {
	p := newProgram(t, "")
	before := goleak.IgnoreCurrent()
	slow, url := newSlowMarket(t, func() time.Time { return p.now })
	p.configure("sources: {market: {preset: simulated, base_url: " + url + ", since: 2026-01-05, symbols: [IBM], schedule: rate(1 hour)}}\n")
	u := p.up()
	<-slow.asked
	if status := u.stop(); status != 0 {
		t.Errorf("exit status %d\n%s", status, &u.errs)
	}
	// The fetch was cut off: it is due again at once.
	close(slow.let)
	u = p.up()
	u.await("39 inserted")
	if status := u.stop(); status != 0 {
		t.Errorf("exit status %d\n%s", status, &u.errs)
	}
	slow.close()
	goleak.VerifyNone(t, before)
}

// TestUpRefusals are mistakes that are told before anything begins.
func TestUpRefusals(t *testing.T) {
	p := newProgram(t, upFile)
	for args, want := range map[string]string{
		"up --listen 0.0.0.0:1":   "listen: 0.0.0.0:1 can be reached from other machines",
		"up --output loud":        `--output: "loud": want auto, lines or json`,
		"up --stop-timeout 0s":    "--stop-timeout: 0s: want more than nothing",
		"up now":                  "unknown command",
		"up --listen 127.0.0.1:x": "listen: ",
	} {
		out, errs, status := p.try(strings.Fields(args)...)
		if status == 0 || !strings.Contains(errs, want) {
			t.Errorf("%s: exit status %d\n%s%s", args, status, out, errs)
		}
	}
	if entries, err := os.ReadDir(filepath.Join(p.dir, "lake")); err == nil {
		for _, e := range entries {
			if e.Name() != "lock" && e.Name() != "up" {
				t.Errorf("%s was made", e.Name())
			}
		}
	}
}
