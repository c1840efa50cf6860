package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// TestSecondProgram starts commands while a fetch waits for its source.
func TestSecondProgram(t *testing.T) {
	t.Parallel()
	truth := history("2024-03-01", 30, "AAA")
	m := newMarket(t, truth)
	p := newPipeline(t, seedFile(m.URL, "AAA"))
	p.must("fetch")
	p.must("run")

	asked, answer := make(chan struct{}), make(chan struct{})
	var once sync.Once
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		once.Do(func() { close(asked) })
		<-answer
		m.now.Load().ServeHTTP(w, r)
	}))
	defer slow.Close()
	answerNow := sync.OnceFunc(func() { close(answer) })
	defer answerNow()
	p.write("tickerlake.yaml", seedFile(slow.URL, "AAA"))
	first := p.command(nil, "fetch")
	var stderr bytes.Buffer
	first.Stderr = &stderr
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- first.Wait() }()
	select {
	case <-asked:
	case err := <-ended:
		t.Fatalf("the first fetch ended early: %v\n%s", err, stderr.String())
	}

	holder := fmt.Sprintf("tickerlake fetch (process %d, since ", first.Process.Pid)
	for _, command := range []string{"fetch", "run"} {
		p.want(1, command).says(t, holder, "is writing to this lake", "wait until it has ended", p.path("lake"))
	}
	p.sameAs("bars_1d", truth)
	p.must("tables")
	p.must("describe", "bars_1d")
	p.must("check")
	if out := p.must("status"); !strings.Contains(out, "AAA") {
		t.Errorf("status does not name the symbol:\n%s", out)
	}
	answerNow()
	if err := <-ended; err != nil {
		t.Errorf("the first fetch: %v\n%s", err, stderr.String())
	}
	p.must("run")
	p.sameAs("bars_1d", truth)
	p.conserved()
}
