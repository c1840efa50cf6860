package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/collect/simulate"
)

// The market of the soak: what its faults are, and between which dates.
const (
	soakSeed  = 7
	soakStart = "2026-01-05T14:00:00Z" // a Monday, before the market opens
	soakSince = "2025-12-22"
	// soakSpeed leaves each hour of the clock three seconds. Whether faults can be caught
	// up with is not a matter of time: when nothing disturbs any more it goes faster.
	soakSpeed  = 1200
	calmSpeed  = 4800
	soakMinute = "AMZN, TSLA, IBM, KO"
	soakDaily  = "AMZN, TSLA, IBM, KO, MSFT, NVDA"
)

// soakFaults are all faults of the market from the first date to the last.
func soakFaults(last string) string {
	rates := map[string]float64{"split": 0.1, "dividend": 0.15, "withdrawn": 0.2, "dead": 0.05, "timeout": 0.02}
	var list []string
	for _, f := range simulate.Faults() {
		rate := rates[f.Name]
		if rate == 0 {
			rate = f.Rate
		}
		list = append(list, fmt.Sprintf("%s=%g@2026-01-05/%s", f.Name, rate, last))
	}
	return strings.Join(list, ", ")
}

func soakFile(addr string, speed int) string {
	source := func(name, preset, interval, symbols, schedule, more string) string {
		return fmt.Sprintf(`  %s:
    preset: %s
    base_url: http://%s
    simulated: true
    interval: %s
    symbols: [%s]
    since: %s
    schedule: %s
    withdrawn: remove
    reconcile: 1 day
    requests_a_minute: 0
    timeout: 2 seconds
    retries: 1
%s`, name, preset, addr, interval, symbols, soakSince, schedule, more)
	}
	return fmt.Sprintf("clock: {start: %s, speed: %d}\nsources:\n", soakStart, speed) +
		source("minutes", "yahoo", "1m", soakMinute, "rate(10 minutes)", "") +
		source("days", "yahoo", "1d", soakDaily, "rate(1 hour)", "") +
		source("seed", "seed", "1d", soakDaily, "rate(2 hours)", "    table: bars_1d_seed\n")
}

// A soak is a lake and the market that it asks.
type soak struct {
	*pipeline
	addr   string
	faults string
	random *rand.Rand
	market *exec.Cmd
	daemon *daemon
}

// serve starts the market, which goes on where it was.
func (s *soak) serve() {
	s.t.Helper()
	for begin := time.Now(); ; {
		cmd := s.command(nil, "simulate", "-c", "tickerlake.yaml", "--addr", s.addr, "--seed", strconv.Itoa(soakSeed), "--faults", s.faults)
		var text bytes.Buffer
		cmd.Stderr = &text
		out, err := cmd.StdoutPipe()
		if err != nil {
			s.t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			s.t.Fatal(err)
		}
		if line, _ := bufio.NewReader(out).ReadString('\n'); strings.HasPrefix(line, "serving ") {
			s.market = cmd
			return
		}
		_ = cmd.Wait()
		if time.Since(begin) > patience {
			s.t.Fatalf("the market does not come up: %s", text.String())
		}
	}
}

func (s *soak) killMarket() {
	_ = s.market.Process.Kill()
	_ = s.market.Wait()
}

// killUp ends the lake with SIGKILL.
func (s *soak) killUp() {
	s.t.Helper()
	if err := s.daemon.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		s.t.Fatalf("up has ended by itself: %v %s", err, s.daemon.err.String())
	}
	<-s.daemon.ended
}

// stopUp ends the lake as a user does.
func (s *soak) stopUp() {
	s.t.Helper()
	if err := s.daemon.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatalf("up has ended by itself: %v %s", err, s.daemon.err.String())
	}
	<-s.daemon.ended
	if status := s.daemon.cmd.ProcessState.ExitCode(); status != 0 {
		s.t.Errorf("up has ended with %d: %s", status, s.daemon.err.String())
	}
}

// now is what the clock of the lake shows.
func (s *soak) now() time.Time {
	s.t.Helper()
	var c struct {
		At, Shown time.Time
		Speed     int
	}
	text, err := os.ReadFile(s.path("lake", "clock"))
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return c.Shown.Add(time.Since(c.At) * time.Duration(c.Speed)).UTC()
}

// A size is how big the lake and the program are.
type size struct {
	at       time.Time
	memoryMB float64 // of the program that is up
	logMB    float64 // of the logs of delivery, and of state.db's
	files    int     // but for raw objects, of which a fetch leaves one
	metadata int
}

func (s *soak) size() size {
	z := size{at: s.now()}
	if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.daemon.cmd.Process.Pid)); err == nil {
		for line := range strings.Lines(string(text)) {
			if kb, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				n, _ := strconv.ParseFloat(strings.Fields(kb)[0], 64)
				z.memoryMB = n / 1024
			}
		}
	}
	raw := s.path("lake", "buckets", "raw")
	_ = filepath.WalkDir(s.path("lake"), func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil // it is gone
		case path == raw:
			return filepath.SkipDir
		case d.IsDir():
			return nil
		}
		z.files++
		if strings.Contains(path, "/metadata/") {
			z.metadata++
		}
		info, err := d.Info()
		if err == nil && (strings.Contains(path, "/delivery/") || strings.HasSuffix(path, "-wal")) {
			z.logMB += float64(info.Size()) / 1e6
		}
		return nil
	})
	return z
}

// TestSoak keeps a lake up while the market does all that providers do, both programs are
// killed at random, and the clock goes on for TICKERLAKE_SOAK_DAYS trading days, up to 10.
// When the faults have ended and what was told wrongly is told right, prod is what the
// market says is true.
func TestSoak(t *testing.T) {
	days := 1
	if text := os.Getenv("TICKERLAKE_SOAK_DAYS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 10 {
			t.Fatalf("TICKERLAKE_SOAK_DAYS is %q: want 1 to 10", text)
		}
		days = n
	} else if testing.Short() {
		t.Skip("a day of a market takes minutes")
	}
	start, _ := time.Parse(time.RFC3339, soakStart)
	last := start.AddDate(0, 0, days-1+(days-1)/5*2)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &soak{addr: l.Addr().String(), faults: soakFaults(last.Format(time.DateOnly)), random: rand.New(rand.NewPCG(soakSeed, uint64(days)))}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s.pipeline = newPipeline(t, soakFile(s.addr, soakSpeed))
	s.serve()
	t.Cleanup(func() { s.killMarket() })
	s.daemon = s.up()
	t.Cleanup(func() { _ = s.daemon.cmd.Process.Kill(); <-s.daemon.ended })

	over := last.Truncate(24 * time.Hour).Add(24 * time.Hour)
	killed := map[string]int{}
	for s.now().Before(over) {
		time.Sleep(time.Duration(s.random.ExpFloat64() * float64(4*time.Second)))
		switch s.random.IntN(3) {
		case 0:
			killed["market"]++
			s.killMarket()
			time.Sleep(time.Duration(s.random.IntN(1000)) * time.Millisecond)
			s.serve()
		default:
			killed["up"]++
			s.killUp()
			s.daemon = s.up()
		}
	}
	t.Logf("at %s: %v kills; %+v", s.now().Format(time.DateTime), killed, s.size())
	t.Logf("faults %s", s.faults)

	// Calm: until no answer of before says anything that is not true, and each symbol's
	// history has come once more.
	s.stopUp()
	s.killMarket()
	s.write("tickerlake.yaml", soakFile(s.addr, calmSpeed))
	s.serve()
	s.daemon = s.up()
	var sizes []size
	for calm := over.Add(simulate.SettledAfter + 3*24*time.Hour); s.now().Before(calm); {
		time.Sleep(2 * time.Second)
		sizes = append(sizes, s.size())
	}
	s.stopUp()
	end := s.now()
	s.must("run") // what was parked
	for i, z := range sizes {
		if i%max(1, len(sizes)/20) == 0 {
			t.Logf("%s: %.0f MB of memory, %.1f MB of logs, %d files of which %d are metadata", z.at.Format(time.DateTime), z.memoryMB, z.logMB, z.files, z.metadata)
		}
	}
	s.sameAsMarket(end)
	s.bounded(sizes)
	s.conserved()
	s.settled()
	s.healthy()
}

// bounded demands that a program that is up, and the lake, do not grow with time.
func (s *soak) bounded(sizes []size) {
	s.t.Helper()
	half := len(sizes) / 2
	most := func(list []size, of func(size) float64) float64 {
		return of(slices.MaxFunc(list, func(a, b size) int { return int(of(a)*1000) - int(of(b)*1000) }))
	}
	for what, of := range map[string]func(size) float64{
		"MB of memory": func(z size) float64 { return z.memoryMB }, "MB of logs": func(z size) float64 { return z.logMB },
		"files": func(z size) float64 { return float64(z.files) }, "metadata files": func(z size) float64 { return float64(z.metadata) },
	} {
		first, second := most(sizes[:half], of), most(sizes[half:], of)
		if second > 1.5*first+10 {
			s.t.Errorf("at most %.0f %s in the first half of the calm, %.0f in the second", first, what, second)
		}
	}
}

// sameAsMarket compares each table with what the market says at a time.
func (s *soak) sameAsMarket(now time.Time) {
	s.t.Helper()
	m, err := simulate.New(simulate.Options{Seed: soakSeed, Faults: s.faults, Clock: func() time.Time { return now }})
	if err != nil {
		s.t.Fatal(err)
	}
	since, _ := time.Parse(time.DateOnly, soakSince)
	until := now.Add(-24 * time.Hour).Truncate(24 * time.Hour)
	for _, table := range []struct{ name, symbols, interval string }{
		{"bars_1m", soakMinute, "1m"}, {"bars_1d", soakDaily, "1d"}, {"bars_1d_seed", soakDaily, "1d"},
	} {
		var want []string
		for _, symbol := range strings.Split(table.symbols, ", ") {
			bars, err := m.Truth(tickerlake.Symbol(symbol), tickerlake.Interval(table.interval), since, until)
			if err != nil {
				s.t.Fatal(err)
			}
			for _, b := range bars {
				want = append(want, soakLine(b))
			}
		}
		var got []string
		for _, r := range s.rows(fmt.Sprintf(`SELECT symbol, strftime(ts, '%%Y-%%m-%%d %%H:%%M:%%S'), open, high, low, close, adj_close, volume
			FROM %s WHERE ts < TIMESTAMP '%s' ORDER BY symbol, ts`, table.name, until.Format(time.DateTime))) {
			line := []any{r[0], r[1]}
			for _, text := range r[2:] {
				v, err := strconv.ParseFloat(text, 64)
				switch {
				case text == "":
					line = append(line, nil)
				case err != nil:
					s.t.Fatalf("%s: %v", table.name, err)
				default:
					line = append(line, v)
				}
			}
			got = append(got, fmt.Sprint(line))
		}
		slices.Sort(want)
		slices.Sort(got)
		if len(want) == 0 {
			s.t.Errorf("%s: the market has no bars", table.name)
		}
		if !slices.Equal(got, want) {
			wrong := 0
			for _, line := range got {
				if _, found := slices.BinarySearch(want, line); !found {
					if wrong++; wrong < 10 {
						s.t.Errorf("%s has %s", table.name, line)
					}
				}
			}
			missing := 0
			for _, line := range want {
				if _, found := slices.BinarySearch(got, line); !found {
					if missing++; missing < 10 {
						s.t.Errorf("%s lacks %s", table.name, line)
					}
				}
			}
			s.t.Errorf("%s: %d rows, of which %d are not true; the market has %d, of which %d are missing", table.name, len(got), wrong, len(want), missing)
		}
		s.t.Logf("%s: %d rows are compared", table.name, len(want))
	}
	s.sameActions(m, since, until)
}

// sameActions compares splits and dividends with those of the market.
func (s *soak) sameActions(m *simulate.Market, since, until time.Time) {
	s.t.Helper()
	var want []string
	for _, symbol := range strings.Split(soakDaily, ", ") {
		actions, err := m.TrueActions(tickerlake.Symbol(symbol), since, until)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, a := range actions {
			line := fmt.Sprintf("[%s %s dividend  %v]", a.Symbol, a.Ts.Format(time.DateOnly), a.Dividend)
			if a.Split > 0 {
				line = fmt.Sprintf("[%s %s split %v ]", a.Symbol, a.Ts.Format(time.DateOnly), a.Split)
			}
			want = append(want, line)
		}
	}
	var got []string
	for _, r := range s.rows(fmt.Sprintf("SELECT symbol, CAST(ts AS DATE), kind, ratio, amount FROM actions WHERE ts >= TIMESTAMP '%s' AND ts < TIMESTAMP '%s'", since.Format(time.DateTime), until.Format(time.DateTime))) {
		got = append(got, fmt.Sprint(r))
	}
	slices.Sort(want)
	slices.Sort(got)
	if len(want) == 0 {
		s.t.Error("the market knows no splits and no dividends")
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("actions has\n%s\nthe market says\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	s.t.Logf("actions: %d rows are compared", len(want))
}

func soakLine(b tickerlake.Bar) string {
	value := func(v *float64) any {
		if v == nil {
			return nil
		}
		return *v
	}
	return fmt.Sprint([]any{b.Symbol, b.Ts.Format(time.DateTime), value(b.Open), value(b.High), value(b.Low), b.Close, value(b.AdjClose), value(b.Volume)})
}
