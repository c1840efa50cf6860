package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A receiver takes what a webhook tells, once it is willing.
type receiver struct {
	*httptest.Server
	mu      sync.Mutex
	refuses int
	told    []notice
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil || q.Method != http.MethodPost || q.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: %v", q.Method, q.URL, err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.refuses > 0 {
			r.refuses--
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		var n notice
		if err := json.Unmarshal(body, &n); err != nil {
			t.Error(err)
		}
		r.told = append(r.told, n)
	}))
	t.Cleanup(r.Close)
	return r
}

// next waits until so many things were told, and gives the last.
func (r *receiver) next(t *testing.T, n int) notice {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		r.mu.Lock()
		told := slices.Clone(r.told)
		r.mu.Unlock()
		if len(told) >= n {
			return told[n-1]
		}
		if time.Since(begin) > time.Minute {
			t.Fatalf("the webhook was told %+v, want %d", told, n)
		}
	}
}

const gateFile = upFile + `quality: {rules: "Rules = [ RowCount > %d ]"}
alarms: {stale_source: 90 minutes, webhook: "%s/hook?key=secret"}
workflows: {own: {jobs: {j: {sql: "SELECT nothing", table: own, mode: replace}}}}
`

// TestAlarms has a gate fail and be passed again, a workflow fail, objects held and a
// source fall silent, and looks at all who tell of it.
func TestAlarms(t *testing.T) {
	r := newReceiver(t)
	r.refuses = 2 // each is told until it is taken
	p := newProgram(t, fmt.Sprintf(gateFile, 100, r.URL))
	u := p.up()
	if line := u.await("alarm "); !strings.Contains(line, "failed_gate/main  ALARM: ") || !strings.Contains(line, "RowCount > 100") {
		t.Errorf("it said %q", line)
	}
	n := r.next(t, 1)
	if n.AlarmName != "failed_gate/main" || n.NewStateValue != "ALARM" || n.OldStateValue != "INSUFFICIENT_DATA" || !strings.Contains(n.NewStateReason, "RowCount > 100") ||
		!n.StateChangeTime.Equal(p.now) || n.Lake == "" {
		t.Errorf("the webhook was told %+v", n)
	}
	if out := p.do("status"); !strings.Contains(out, "failed_gate/main     ALARM") || !strings.Contains(out, "stale_source/market") || !strings.Contains(out, "disk") {
		t.Errorf("status says\n%s", out)
	}
	_, text := u.get("/metrics")
	for _, want := range []string{`tickerlake_alarm{alarm="failed_gate/main",state="ALARM"} 1`, `tickerlake_alarm{alarm="failed_gate/main",state="OK"} 0`,
		`tickerlake_alarm{alarm="stale_source/market",state="INSUFFICIENT_DATA"} 1`, `tickerlake_alarm{alarm="backlog/bars",state="OK"} 1`} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	for _, args := range []string{"run", "run"} {
		if _, _, status := p.try(args); status != 3 {
			t.Errorf("run: exit status %d", status)
		}
	}
	u.await("held_objects  ALARM: ")
	if n := r.next(t, 2); n.AlarmName != "held_objects" || n.NewStateValue != "ALARM" {
		t.Errorf("the webhook was told %+v", n)
	}
	if status := u.stop(); status != 0 {
		t.Errorf("exit status %d\n%s", status, &u.errs)
	}
	if strings.Contains(u.errs.String(), "secret") {
		t.Errorf("the address of the webhook is told: %s", &u.errs)
	}

	// What ends while nothing can be told is told when it can.
	p.configure(fmt.Sprintf(gateFile, 10, r.URL))
	p.do("run", "--release")
	if _, _, status := p.try("run", "own"); status == 0 {
		t.Error("own has succeeded")
	}
	u = p.up()
	got := map[string]string{}
	for i := 3; i <= 5; i++ {
		n := r.next(t, i)
		got[n.AlarmName] = string(n.OldStateValue + " " + n.NewStateValue)
	}
	want := map[string]string{"failed_gate/main": "ALARM OK", "held_objects": "ALARM OK", "failed_run/own": "INSUFFICIENT_DATA ALARM"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the webhook was told %v, want %v", got, want)
	}
	p.now = u.now()
	u.stop()

	// A source that is asked no more: here its lake was down.
	p.now = p.now.Add(2 * time.Hour)
	p.configure(strings.Replace(fmt.Sprintf(gateFile, 10, r.URL), "rate(1 hour)", "rate(100 days)", 1))
	u = p.up()
	u.await("stale_source/market  ALARM: the latest answer that is published came 2h0m0s ago")
	if n := r.next(t, 6); n.AlarmName != "stale_source/market" || n.NewStateValue != "ALARM" {
		t.Errorf("the webhook was told %+v", n)
	}
	p.do("fetch")
	u.await("stale_source/market  OK: ")
	if n := r.next(t, 7); n.AlarmName != "stale_source/market" || n.NewStateValue != "OK" || n.OldStateValue != "ALARM" {
		t.Errorf("the webhook was told %+v", n)
	}
	if status := u.stop(); status != 0 {
		t.Errorf("exit status %d\n%s", status, &u.errs)
	}
	if out := p.do("doctor"); !strings.Contains(out, "nothing is wrong") {
		t.Error(out)
	}
}
