package watch_test

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake/watch"
)

func TestHandler(t *testing.T) {
	at := time.Date(2026, 11, 24, 15, 0, 1, 500_000_000, time.FixedZone("", 3600))
	for _, c := range []struct {
		name string
		o    watch.LogOptions
		want string
	}{
		{"json", watch.LogOptions{}, `{"time":"2026-11-24T14:00:01.5Z","level":"WARN","msg":"it hid s3cr\"et","rows":3,"key":"s3cr\"et"}`},
		{"text", watch.LogOptions{Text: true}, `time=14:00:01 level=WARN msg="it hid s3cr\"et" rows=3 key="s3cr\"et"`},
		{"color", watch.LogOptions{Text: true, Color: true}, "time=14:00:01 \x1b[33mlevel=WARN\x1b[0m msg=\"it hid s3cr\\\"et\" rows=3 key=\"s3cr\\\"et\""},
		{"above the level", watch.LogOptions{Level: slog.LevelError}, ""},
		{"secrets in json", watch.LogOptions{Secrets: secrets()}, `{"time":"2026-11-24T14:00:01.5Z","level":"WARN","msg":"it hid [secret]","rows":3,"key":"[secret]"}`},
		{"secrets in text", watch.LogOptions{Text: true, Secrets: secrets()}, `time=14:00:01 level=WARN msg="it hid [secret]" rows=3 key="[secret]"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			h := watch.NewHandler(&out, c.o)
			if h.Enabled(t.Context(), slog.LevelWarn) {
				r := slog.NewRecord(at, slog.LevelWarn, `it hid s3cr"et`, 0)
				r.Add("rows", 3, "key", `s3cr"et`)
				if err := h.Handle(t.Context(), r); err != nil {
					t.Fatal(err)
				}
			}
			if got := strings.TrimSuffix(out.String(), "\n"); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func secrets() *watch.Secrets {
	s := &watch.Secrets{}
	s.Add(`s3cr"et`, "3", "")
	return s
}

func TestLevels(t *testing.T) {
	for text, want := range map[string]slog.Level{"debug": -4, "info": 0, "warn": 4, "error": 8} {
		if got, err := watch.ParseLevel(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	if _, err := watch.ParseLevel("loud"); err == nil || err.Error() != `log level: "loud": want debug, info, warn or error` {
		t.Error(err)
	}
}

func TestBar(t *testing.T) {
	for _, c := range []struct {
		name string
		live bool
		want string
	}{
		{"piped", false, "clean\nclean 50% 5 rows\nclean done, 10 rows\nquality 0%\n"},
		{"terminal", true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			now := time.Unix(0, 0)
			b := watch.NewBar(&out, func() time.Time { return now }, c.live)
			b.Show("clean", -1, "")
			now = now.Add(time.Millisecond)
			b.Show("clean", 0.1, "1 row") // too soon
			now = now.Add(time.Minute)
			b.Show("clean", 0.5, "5 rows")
			b.End("clean", "done, 10 rows")
			b.Show("quality", 0, "")
			if !c.live {
				if got := out.String(); got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
				return
			}
			b.Clear()
			lines := strings.Split(out.String(), "\r")
			last := lines[len(lines)-2]
			if !strings.HasPrefix(lines[2], "clean [████████████············]  50% 5 rows") || !strings.HasSuffix(lines[3], "\n") ||
				!strings.HasPrefix(lines[3], "clean done, 10 rows") || strings.TrimSpace(last) != "" {
				t.Errorf("drew %q", lines)
			}
		})
	}
}

func TestTerminal(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if watch.Terminal(f) || watch.Terminal(&bytes.Buffer{}) {
		t.Error("a file is a terminal")
	}
}
