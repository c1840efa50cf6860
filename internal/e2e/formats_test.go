package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/tickerlake/tickerlake/catalog"
)

var makeLake = flag.String("make-lake", "", "write the lake of a format that the program at this path makes, with what must be readable of it, to testdata/lakes")

// The lakes of testdata/lakes were made by the programs that wrote their format: N.tar.gz
// is the folder, N.txtar what that program read from it: as it stands, after a run, and
// after one more fetch and run. A format that was on main stays there.

// formatMarket is what the market said at a stage of making such a lake.
func formatMarket(stage int) prices {
	p := history("2024-03-01", 20+stage, "AAA", "BBB", "CCC")
	p["CCC"][4].high = p["CCC"][4].low - 1 // is set aside
	if stage >= 1 {
		p["AAA"][17].close += 0.25 // a correction: a revision
		p["AAA"][17].high += 0.5
		p["BBB"][16].adj -= 1 // a dividend: no revision
	}
	return p
}

// unfinished adds today's bar, which by formatFile is not final for a day.
func unfinished(t *testing.T, p prices) prices {
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	b := p["BBB"][0]
	b.date = time.Now().In(zone).Format(time.DateOnly)
	p["BBB"] = append(p["BBB"], b)
	return p
}

const formatFile = `sources:
  market: {preset: seed, base_url: "${MARKET}", symbols: [AAA, BBB, CCC], retries: 0, concurrency: 1, reconcile: 0 days, session_end: "23:59", settle: 1 day}
`

// TestMakeLake makes a lake with one of everything: published rows, revisions, rows set
// aside, a damaged object, a pending one, and records that have not left the delivery log.
func TestMakeLake(t *testing.T) {
	if *makeLake == "" {
		t.Skip("only with -make-lake")
	}
	m := newMarket(t, unfinished(t, formatMarket(0)))
	p := newPipeline(t, formatFile).with("MARKET=" + m.URL)
	p.bin = *makeLake
	p.must("fetch")
	p.must("run")
	m.set(unfinished(t, formatMarket(1)))
	p.must("fetch")
	p.damagedObject()
	p.must("run")
	m.set(unfinished(t, formatMarket(2)))
	p.must("fetch")
	m.set(formatMarket(3))
	if o := p.with("TICKERLAKE_FAULT=collect.put").run("fetch"); o.status >= 0 {
		t.Fatalf("%v\nwas to be killed", o)
	}
	version := stateVersion(t, p.path("lake"))
	dir := filepath.Join("testdata", "lakes")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	packed := pack(t, p.dir)
	golden := &txtar.Archive{Comment: []byte("What the program that made the lake reads from it.\n")}
	p.readings(m, func(name, text string) {
		golden.Files = append(golden.Files, txtar.File{Name: name, Data: []byte(text)})
	})
	for suffix, data := range map[string][]byte{".tar.gz": packed, ".txtar": txtar.Format(golden)} {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(version)+suffix), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("made a lake of format %d: %d bytes", version, len(packed))
}

// damagedObject puts an object into the raw bucket that is cut short.
func (p *pipeline) damagedObject() {
	p.t.Helper()
	var body bytes.Buffer
	z := gzip.NewWriter(&body)
	fmt.Fprintln(z, strings.Repeat(`{"symbol":"AAA"}`, 100))
	if err := z.Close(); err != nil {
		p.t.Fatal(err)
	}
	folder := p.path("lake", "buckets", "raw", "raw", "bars", "dt="+time.Now().UTC().Format(time.DateOnly))
	if err := os.WriteFile(filepath.Join(folder, "broken.gz"), body.Bytes()[:body.Len()/2], 0o644); err != nil {
		p.t.Fatal(err)
	}
}

const (
	barColumns = "symbol, ts, open, high, low, close, adj_close, volume, currency, basis, source, final"
	revColumns = barColumns + ", fetched_at, fetch_id"
)

// readings gives what can be read from a lake of formatMarket: as it stands, after a run,
// and after the next fetch.
func (p *pipeline) readings(m *market, give func(name, text string)) {
	ask := func(stage, name, sql string) {
		give(stage+"/"+name, p.must("query", "-f", "csv", sql))
	}
	ledger := func(stage string) {
		var s struct {
			Ledger []struct {
				State   string `json:"state"`
				Objects int    `json:"objects"`
				Lines   int    `json:"lines"`
			} `json:"ledger"`
			Series []struct {
				Table  string    `json:"table"`
				Symbol string    `json:"symbol"`
				Source string    `json:"source"`
				Last   time.Time `json:"last"`
			} `json:"series"`
		}
		p.mustJSON(&s, "status")
		text, err := json.MarshalIndent(s, "", " ")
		if err != nil {
			p.t.Fatal(err)
		}
		give(stage+"/status.json", string(text)+"\n")
	}
	for _, stage := range []string{"stands", "run", "fetch"} {
		columns, order := revColumns, " ORDER BY symbol, ts, fetched_at"
		switch stage {
		case "run":
			p.must("run")
		case "fetch":
			m.set(formatMarket(3))
			p.must("fetch")
			p.must("run")
			columns = barColumns // what is new has the fetches of this test
		}
		ledger(stage)
		ask(stage, "bars.csv", "SELECT "+columns+" FROM bars_1d"+order)
		ask(stage, "revisions.csv", "SELECT "+revColumns+" FROM bars_1d_revisions"+order)
		ask(stage, "latest.csv", "SELECT "+barColumns+" FROM latest"+strings.TrimSuffix(order, ", fetched_at"))
		ask(stage, "quarantine.csv", "SELECT DISTINCT symbol, ts, reason FROM ops.quarantine ORDER BY ALL")
		if stage == "fetch" {
			continue
		}
		ask(stage, "raw.csv", "SELECT symbol, count(*) AS n, min(ts) AS first, max(ts) AS last, count(DISTINCT fetch_id) AS fetches FROM raw.bars GROUP BY ALL ORDER BY ALL")
		if stage == "stands" {
			ask(stage, "set_aside.csv", "SELECT id, symbol, object, line, raw FROM ops.quarantine ORDER BY ALL")
			ask(stage, "replaced.csv", "SELECT symbol, ts, replaced_at FROM bars_1d_revisions ORDER BY ALL")
			ask(stage, "runs.csv", "SELECT id, state, rows_read, inserted, replaced, unchanged, superseded, quarantined, not_final FROM ops.runs ORDER BY id")
			ask(stage, "fetches.csv", "SELECT id, source, symbol, class, rows FROM ops.fetches ORDER BY id")
			ask(stage, "ops.csv", `SELECT 'jobs' AS t, count(*) AS n FROM ops.jobs UNION ALL SELECT 'quality_results', count(*) FROM ops.quality_results
				UNION ALL SELECT 'deliveries', count(*) FROM ops.deliveries UNION ALL SELECT 'objects', count(*) FROM ops.objects ORDER BY t`)
		}
	}
}

// pack is a folder as a tar in a fixed order, with times to the nanosecond: the ledger
// knows objects by them.
func pack(t *testing.T, dir string) []byte {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if d.IsDir() && (name == "lake/tmp" || name == "lake/leases") {
			return fs.SkipDir
		}
		if strings.HasSuffix(name, "-shm") {
			return nil // memory that programs share
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		h := &tar.Header{Name: filepath.ToSlash(name), Mode: int64(info.Mode().Perm()), ModTime: info.ModTime(), Typeflag: tar.TypeDir, Format: tar.FormatPAX}
		if d.IsDir() {
			h.Name += "/"
			return w.WriteHeader(h)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		h.Typeflag, h.Size = tar.TypeReg, int64(len(text))
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// unpack is its opposite.
func unpack(t *testing.T, file, dir string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.FromSlash(h.Name))
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o755)
		} else {
			var text []byte
			if text, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(path, text, os.FileMode(h.Mode))
			}
			if err == nil {
				err = os.Chtimes(path, h.ModTime, h.ModTime)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// stateVersion reads the format's version from a lake that nobody uses.
func stateVersion(t *testing.T, lake string) int {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(lake, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var version int
	if err := db.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
		t.Fatal(err)
	}
	return version
}

// schemaOfState are the tables and indexes of state.db.
func schemaOfState(t *testing.T, lake string) string {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(lake, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query("SELECT type, name, coalesce(sql, '') FROM sqlite_master ORDER BY type, name")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out strings.Builder
	for rows.Next() {
		var kind, name, text string
		if err := rows.Scan(&kind, &name, &text); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&out, kind, name, text)
	}
	if rows.Err() != nil {
		t.Fatal(rows.Err())
	}
	return out.String()
}

// hashes gives every file of a folder with the hash of its bytes, and every folder.
func hashes(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || d.IsDir() {
			out[name] = "a folder"
			return err
		}
		text, err := os.ReadFile(path)
		out[name] = fmt.Sprintf("%d bytes, %x", len(text), sha256.Sum256(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// formats are the versions of which there is a lake.
func formats(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/lakes/*.tar.gz")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no lakes in testdata/lakes:", err)
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), ".tar.gz")
	}
	return files
}

// lakeOfFormat unpacks one.
func lakeOfFormat(t *testing.T, version, market string) *pipeline {
	t.Helper()
	p := (&pipeline{t: t, dir: t.TempDir()}).with("MARKET=" + market)
	unpack(t, filepath.Join("testdata", "lakes", version+".tar.gz"), p.dir)
	if got := fmt.Sprint(stateVersion(t, p.path("lake"))); got != version {
		t.Fatalf("the lake of format %s has version %s", version, got)
	}
	return p
}

// TestFormats opens a lake of each format that was ever on main: all that its own
// program read from it, this one reads; what waited in it, this one publishes.
func TestFormats(t *testing.T) {
	t.Parallel()
	for _, version := range formats(t) {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			m := newMarket(t, formatMarket(3))
			p := lakeOfFormat(t, version, m.URL)
			golden, err := txtar.ParseFile(filepath.Join("testdata", "lakes", version+".txtar"))
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]string{}
			for _, f := range golden.Files {
				want[f.Name] = string(f.Data)
			}
			p.readings(m, func(name, got string) {
				if got != want[name] {
					t.Errorf("%s: got\n%s\nwant\n%s", name, got, want[name])
				}
				delete(want, name)
			})
			for name := range want {
				t.Errorf("%s is not read any more", name)
			}
			p.sameAs("bars_1d", without(formatMarket(3), "CCC", 4))
			p.conserved()
			fresh := newPipeline(t, formatFile).with("MARKET=" + m.URL)
			fresh.must("fetch")
			fresh.must("run")
			if got, want := schemaOfState(t, p.path("lake")), schemaOfState(t, fresh.path("lake")); got != want {
				t.Errorf("state.db has after the migration\n%s\nbut a fresh one has\n%s", got, want)
			}
		})
	}
}

// without takes a bar out of prices.
func without(p prices, symbol string, i int) prices {
	p[symbol] = append(p[symbol][:i:i], p[symbol][i+1:]...)
	return p
}

// TestFormatHasLake fails if the format has changed and no lake of it is kept.
func TestFormatHasLake(t *testing.T) {
	t.Parallel()
	for v := 1; v <= catalog.StateVersion; v++ {
		for _, suffix := range []string{".tar.gz", ".txtar"} {
			if _, err := os.Stat(filepath.Join("testdata", "lakes", fmt.Sprint(v)+suffix)); err != nil {
				t.Errorf("there is no lake of format %d: build the program that is to write it, then go test ./internal/e2e -run TestMakeLake -make-lake PROGRAM (%v)", v, err)
			}
		}
	}
}
