// Package watch is how the program tells people what it does: logs, and the progress of
// work on a terminal.
//
// NewHandler makes the slog handler that everything else is handed, with secrets
// blacked out. A Bar draws progress on a terminal and writes plain lines elsewhere.
package watch

import (
	"io"
	"os"

	"golang.org/x/term"
)

// A screen is a terminal of another process.
type screen interface {
	Terminal() bool
	Width() int // in characters; 0 is not known
}

// Terminal reports whether w is a terminal, so that colors and bars make sense.
func Terminal(w io.Writer) bool {
	if s, ok := w.(screen); ok {
		return s.Terminal()
	}
	f, ok := w.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}

// width is that of the terminal w, 80 if it is not known.
func width(w io.Writer) int {
	switch w := w.(type) {
	case screen:
		if n := w.Width(); n > 1 {
			return n
		}
	case interface{ Fd() uintptr }:
		if n, _, err := term.GetSize(int(w.Fd())); err == nil && n > 1 {
			return n
		}
	}
	return 80
}
