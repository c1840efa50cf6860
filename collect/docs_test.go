package collect

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/tickerlake/tickerlake"
)

// TestDocumentedSource runs the description of docs/sources.md against a server
// that answers as the page says.
func TestDocumentedSource(t *testing.T) {
	page, err := os.ReadFile("../docs/sources.md")
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind, part string) string {
		for _, b := range strings.Split(string(page), "```"+kind+"\n")[1:] {
			if b, _, _ = strings.Cut(b, "```"); strings.Contains(b, part) {
				return b
			}
		}
		t.Fatalf("no block of %s with %s", kind, part)
		return ""
	}
	body := block("json", "series")
	text := strings.ReplaceAll(block("yaml", "own:"), "${OWN_API_KEY}", "the-key-from-outside")
	d := yaml.NewDecoder(bytes.NewReader([]byte(text)))
	d.KnownFields(true)
	var raw struct {
		Sources map[string]yaml.Node `yaml:"sources"`
	}
	if err := d.Decode(&raw); err != nil {
		t.Fatal(err)
	}
	cfg := Defaults()
	if own := raw.Sources["own"]; own.Decode(&cfg) != nil {
		t.Fatal("the description cannot be read")
	}
	var asked []string
	cfg.BaseURL = serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.String())
		if r.Header.Get("X-Api-Key") != "the-key-from-outside" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, body)
	}) + "/v1"
	l := &lake{}
	for range 2 {
		if _, err := l.source(t, cfg, "2024-01-03 09:00").Fetch(t.Context(), Window{}); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"/v1/bars/all?tickers=AAPL%2CBRK_B", "/v1/bars?end=2024-01-03&start=2023-12-26&tickers=AAPL%2CBRK_B"}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
	if len(l.docs) != 4 || !strings.HasPrefix(l.docs[1], `{"symbol":"BRK.B","ts":"2024-01-02","open":"356.32","high":"366.49","low":"356.32","close":"364.29","adj_close":null,"volume":null,"currency":"USD","basis":"raw","source":"market"`) {
		t.Errorf("documents %v", l.docs)
	}
	for _, c := range slices.Concat(slices.Collect(maps.Keys(classes)), []tickerlake.Class{tickerlake.ClassConflict}) {
		if !strings.Contains(string(page), "| `"+string(c)+"` |") {
			t.Errorf("the page does not explain %s", c)
		}
	}
	for _, name := range Presets() {
		if !strings.Contains(string(page), "| `"+name+"` |") {
			t.Errorf("the page does not name the preset %s", name)
		}
	}
}
