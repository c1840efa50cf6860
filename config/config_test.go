package config_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/collect"
	"github.com/tickerlake/tickerlake/config"
	"github.com/tickerlake/tickerlake/quality"
)

var update = flag.Bool("update", false, "write the messages of the bad files")

func env(name string) (string, bool) {
	value, ok := map[string]string{"API_KEY": "s3cret-key", "RETRIES": "7", "EMPTY": ""}[name]
	return value, ok
}

// TestBad loads testdata/*.bad.yaml; the messages stand in *.bad.txt beside them.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/*.bad.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			_, err := config.Load(file, env)
			if !errors.Is(err, tickerlake.Invalid) {
				t.Fatalf("loaded with %v, want mistakes", err)
			}
			if _, ok := errors.AsType[config.Problems](err); !ok {
				t.Fatalf("%v holds no Problems", err)
			}
			got := strings.ReplaceAll(err.Error(), "testdata/", "") + "\n"
			golden := strings.TrimSuffix(file, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestGood(t *testing.T) {
	files, err := filepath.Glob("testdata/*.good.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		f, err := config.Load(file, env)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if len(f.Warnings) > 0 || f.Ruleset == nil || f.Path != file {
			t.Errorf("%s: warnings %v, ruleset %v, path %s", file, f.Warnings, f.Ruleset, f.Path)
		}
	}
}

func TestFull(t *testing.T) {
	f, err := config.Load("testdata/full.good.yaml", env)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	market, own := f.Sources["market"], f.Sources["own"]
	hour, week := tickerlake.Duration(time.Hour), tickerlake.Duration(7*24*time.Hour)
	for _, c := range []struct {
		name      string
		got, want any
	}{
		{"name", f.Name, "acme"},
		{"lake", f.LakeDir(), filepath.Join(dir, "data")},
		{"listen", f.Listen, "127.0.0.1:7421"},
		{"sources", f.SourceNames(), []string{"market", "own"}},
		{"symbols", market.Symbols, collect.Symbols{List: []string{"AMZN", "ON", "NO", "5", "BRK.B"}}},
		{"session_end", market.SessionEnd, "16:00"},
		{"since", market.Since, "1990-01-01"},
		{"lookback", *market.Lookback, week},
		{"a value of the preset", market.Timeout, tickerlake.Duration(3 * time.Minute)},
		{"a part of the preset", market.HTTP.Request.Path, "/getSingleStockDetailsInDepth"},
		{"a value over the preset", market.BaseURL, "http://127.0.0.1:8099"},
		{"from the environment", market.HTTP.Headers["Authorization"], "Token s3cret-key"},
		{"a default", market.Concurrency, 4},
		{"a file of symbols", own.Symbols, collect.Symbols{File: "universe.txt"}},
		{"a number from the environment", own.Retries, 7},
		{"escaped", own.HTTP.Rows, `.[] | select(.kind != "${NOT_A_VARIABLE}")`},
		{"no preset", own.Preset, ""},
		{"size", *f.Delivery.Buffering.SizeMB, 1},
		{"compression", f.Delivery.Compression, "GZIP"},
		{"retries", f.Workflow.Retries, 0},
		{"timeout", f.Workflow.Timeout, hour},
		{"rules", f.Quality.Rules, "# the table must have rows\nRules = [ RowCount > 0 ]\n"},
		{"scope", f.Quality.Scope, quality.Touched},
		{"secrets", f.Secrets, []string{"s3cret-key", "7"}},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s: %#v, want %#v", c.name, c.got, c.want)
		}
	}
}

func TestTemplate(t *testing.T) {
	for _, preset := range append(collect.Presets(), "") {
		for _, symbols := range [][]string{nil, {"ON", "BRK.B", "^GSPC", "AMZN"}} {
			text, err := config.Template(preset, symbols)
			if err != nil {
				t.Fatal(err)
			}
			f, err := config.Parse("tickerlake.yaml", t.TempDir(), []byte(text), env)
			if err != nil {
				t.Errorf("the file for %q and %v has mistakes:\n%v\n%s", preset, symbols, err, text)
				continue
			}
			want := symbols
			if want == nil {
				want = config.DefaultSymbols
			}
			if got := f.Sources["market"].Symbols.List; !reflect.DeepEqual(got, want) {
				t.Errorf("symbols %v, want %v", got, want)
			}
		}
	}
	for _, c := range []struct {
		preset  string
		symbols []string
		want    string
	}{
		{"sead", nil, `preset: there is no preset "sead": want one of seed, simulated, yahoo`},
		{"seed", []string{"amzn"}, `symbols[0]: symbol "amzn": want "AMZN"`},
	} {
		if _, err := config.Template(c.preset, c.symbols); !errors.Is(err, tickerlake.Invalid) || err.Error() != c.want {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

// TestTemplateTellsDefaults holds the values that the template shows behind # to the
// defaults.
func TestTemplateTellsDefaults(t *testing.T) {
	text, err := config.Template("", nil)
	if err != nil {
		t.Fatal(err)
	}
	d := config.Defaults()
	for _, line := range []string{"lake: " + d.Lake, "# listen: " + d.Listen, "# interval: " + string(collect.Defaults().Interval),
		"prefix: " + d.Delivery.Prefix, "error_prefix: " + d.Delivery.ErrorPrefix, "retries: 2", "timeout: " + d.Workflow.Timeout.String()} {
		if !strings.Contains(text, line) {
			t.Errorf("the template lacks %q", line)
		}
	}
}

func TestLoadFails(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		path string
		code tickerlake.Code
		want string
	}{
		{filepath.Join(dir, "none.yaml"), tickerlake.Invalid, "there is no such file: make one with tickerlake init, or name another with -c"},
		{dir, tickerlake.Invalid, "is a directory"},
	} {
		if _, err := config.Load(c.path, env); !errors.Is(err, c.code) || !strings.Contains(err.Error(), c.path+": "+c.want) {
			t.Errorf("%s: %v", c.path, err)
		}
	}
	if os.Getuid() == 0 {
		t.Log("running as root: a file that may not be read cannot be made")
		return
	}
	closed := filepath.Join(dir, "closed.yaml")
	if err := os.WriteFile(closed, nil, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(closed, env); !errors.Is(err, tickerlake.Denied) {
		t.Error(err)
	}
}

// FuzzLoad proves that no text makes the reader panic, and that what it refuses it
// refuses with a line.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		_, err := config.Parse("f.yaml", ".", text, env)
		if err == nil {
			return
		}
		problems, ok := errors.AsType[config.Problems](err)
		if !ok || len(problems) == 0 {
			t.Fatalf("refused without a problem: %v", err)
		}
		for _, p := range problems {
			if p.Line < 1 || p.Message == "" || strings.Contains(p.Message, "s3cret-key") {
				t.Errorf("problem %+v", p)
			}
		}
	})
}
