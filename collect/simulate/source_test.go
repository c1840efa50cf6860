package simulate_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/collect"
	"github.com/tickerlake/tickerlake/collect/simulate"
)

// A sink keeps documents.
type sink struct{ lines bytes.Buffer }

func (s *sink) Put(_ context.Context, records ...tickerlake.Record) error {
	for _, r := range records {
		s.lines.Write(r.Data)
	}
	return nil
}

func (s *sink) Flush(context.Context) error { return nil }

func fetch(t testing.TB, keys string, o collect.Options) []map[string]any {
	t.Helper()
	cfg := collect.Defaults()
	for _, layer := range [][]byte{preset(t, keys), []byte(keys)} {
		if err := yaml.Unmarshal(layer, &cfg); err != nil {
			t.Fatal(err)
		}
	}
	into := &sink{}
	o.Name, o.Sink = "market", into
	cfg.Concurrency = 1 // the documents in the order of the symbols
	s, err := collect.New(cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Fetch(t.Context(), collect.Window{}); err != nil {
		t.Fatal(err)
	}
	var documents []map[string]any
	for d := json.NewDecoder(&into.lines); d.More(); {
		d.UseNumber()
		var doc map[string]any
		if err := d.Decode(&doc); err != nil {
			t.Fatal(err)
		}
		documents = append(documents, doc)
	}
	return documents
}

func preset(t testing.TB, keys string) []byte {
	t.Helper()
	name, _, _ := strings.Cut(strings.TrimPrefix(keys, "preset: "), "\n")
	text, ok := collect.Preset(name)
	if !ok {
		t.Fatalf("no preset %q", name)
	}
	return text
}

// TestRealPrices replays real files to the preset of the seed: every row arrives,
// each value written as in its file.
func TestRealPrices(t *testing.T) {
	root := os.Getenv("TICKERLAKE_TESTDATA")
	if root == "" {
		t.Skip("SKIPPED: TICKERLAKE_TESTDATA is not set, so no real prices are replayed")
	}
	dir := filepath.Join(root, "daily")
	m, err := simulate.New(simulate.Options{Replay: dir})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(m)
	defer server.Close()
	documents := fetch(t, "preset: seed\nsymbols: [AAPL, GOOG, INTC, SPY]\nbase_url: "+server.URL, collect.Options{})
	n := 0
	for _, symbol := range []string{"AAPL", "GOOG", "INTC", "SPY"} {
		f, err := os.Open(filepath.Join(dir, symbol+".csv"))
		if err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(f).ReadAll()
		if _ = f.Close(); err != nil {
			t.Fatal(err)
		}
		for i, row := range rows[1:] {
			if n >= len(documents) {
				t.Fatalf("%d documents, and more rows", n)
			}
			doc := documents[n]
			n++
			for j, key := range []string{"ts", "open", "high", "low", "close", "adj_close", "volume"} {
				if text(doc[key]) != row[j] {
					t.Fatalf("%s line %d: %s is %v, in the file %s", symbol, i+2, key, doc[key], row[j])
				}
			}
			if doc["symbol"] != symbol || doc["source"] != "market" || doc["final"] != true || text(doc["row"]) != strconv.Itoa(i) {
				t.Fatalf("%v", doc)
			}
		}
	}
	if n != len(documents) || n != 11612 {
		t.Errorf("%d rows in the files, %d documents", n, len(documents))
	}
}

func text(v any) string {
	switch v := v.(type) {
	case json.Number:
		return v.String()
	case string:
		return v
	}
	return "?"
}

// TestSimulatedSource has made-up prices say so, whichever preset asks for them.
func TestSimulatedSource(t *testing.T) {
	now := at("2026-11-24 12:00")
	m := market(t, simulate.Options{Seed: 1, Clock: now})
	begun := time.Now()
	documents := fetch(t, "preset: simulated\nsymbols: [A, B, C, D, E, F, G, H, I, J]", collect.Options{Transport: m, Clock: now})
	t.Logf("%d documents in %s", len(documents), time.Since(begun))
	last := documents[len(documents)-1]
	if last["source"] != "simulated:market" || last["ts"] != "2026-11-24" || last["final"] != false || last["basis"] != "split" || last["currency"] != "USD" {
		t.Errorf("%v", last)
	}
	if before := documents[len(documents)-2]; before["ts"] != "2026-11-23" || before["final"] != true {
		t.Errorf("%v", before)
	}
	server := httptest.NewServer(m)
	defer server.Close()
	documents = fetch(t, "preset: seed\nsymbols: [BRK.B]\nbase_url: "+server.URL, collect.Options{Clock: now})
	if doc := documents[0]; doc["source"] != "simulated:market" || doc["symbol"] != "BRK.B" {
		t.Errorf("%v", doc)
	}
}
