package watch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"

	"github.com/tickerlake/tickerlake"
)

// ParseLevel reads debug, info, warn or error.
func ParseLevel(s string) (slog.Level, error) {
	switch s {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, tickerlake.Errorf(tickerlake.Invalid, "watch.ParseLevel", "log level", "%q: want debug, info, warn or error", s)
}

// LogOptions say how a log is written.
type LogOptions struct {
	Level slog.Leveler
	// Text writes lines for people, else JSON, an object a line, times in UTC.
	Text bool
	// Color marks levels in text with the colors of a terminal.
	Color bool
	// Secrets are values that no log shows: each is written as [secret].
	Secrets *Secrets
}

// NewHandler makes a log that writes to w.
func NewHandler(w io.Writer, o LogOptions) slog.Handler {
	if o.Level == nil {
		o.Level = slog.LevelInfo
	}
	options := &slog.HandlerOptions{Level: o.Level, ReplaceAttr: replace(o.Text)}
	if o.Secrets != nil {
		w = &redacting{w: w, secrets: o.Secrets}
	}
	if !o.Text {
		return slog.NewJSONHandler(w, options)
	}
	if o.Color {
		w = &coloring{w: w}
	}
	return slog.NewTextHandler(w, options)
}

// replace writes times in UTC; in text to the second, since people read it.
func replace(text bool) func([]string, slog.Attr) slog.Attr {
	return func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) > 0 || a.Key != slog.TimeKey || a.Value.Kind() != slog.KindTime {
			return a
		}
		t := a.Value.Time().UTC()
		if text {
			return slog.String(slog.TimeKey, t.Format("15:04:05"))
		}
		return slog.Time(slog.TimeKey, t)
	}
}

// Secrets are values that must not be shown. The zero value has none.
type Secrets struct {
	mu     sync.RWMutex
	values []string
}

// shortest is the length below which a value is no secret: hiding every "1" or "us"
// would hide everything.
const shortest = 4

// Add hides further values; those under four characters are not hidden.
func (s *Secrets) Add(values ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range values {
		if len(v) < shortest {
			continue
		}
		s.values = append(s.values, v)
		for _, quoted := range []string{fmt.Sprintf("%q", v), jsonText(v)} {
			if inner := quoted[1 : len(quoted)-1]; inner != v {
				s.values = append(s.values, inner)
			}
		}
	}
}

// Hide replaces each secret in text.
func (s *Secrets) Hide(text string) string {
	if s == nil {
		return text
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, v := range s.values {
		text = strings.ReplaceAll(text, v, "[secret]")
	}
	return text
}

// redacting hides secrets. A handler of slog writes a record with one Write.
type redacting struct {
	w       io.Writer
	secrets *Secrets
}

func (r *redacting) Write(line []byte) (int, error) {
	if _, err := io.WriteString(r.w, r.secrets.Hide(string(line))); err != nil {
		return 0, err
	}
	return len(line), nil
}

// coloring colors the level of a line of text.
type coloring struct{ w io.Writer }

var colors = []struct{ level, color string }{
	{"level=DEBUG", "\x1b[2m"}, {"level=INFO", "\x1b[32m"}, {"level=WARN", "\x1b[33m"}, {"level=ERROR", "\x1b[31m"},
}

func (c *coloring) Write(line []byte) (int, error) {
	for _, l := range colors {
		if i := bytes.Index(line, []byte(l.level)); i >= 0 {
			colored := string(line[:i]) + l.color + l.level + "\x1b[0m" + string(line[i+len(l.level):])
			if _, err := io.WriteString(c.w, colored); err != nil {
				return 0, err
			}
			return len(line), nil
		}
	}
	return c.w.Write(line)
}

// jsonText is a string as JSON writes it.
func jsonText(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return string(text)
}
