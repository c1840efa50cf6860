// Package watch is how the program tells people and machines what it does: logs,
// counters and the progress of work on a terminal.
//
// NewHandler makes the slog handler that everything else is handed, with secrets
// blacked out. A Registry hands out counters and gauges and gives their values. A
// Bar draws progress on a terminal and writes plain lines elsewhere.
package watch

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Terminal reports whether w is a terminal, so that colors and bars make sense.
func Terminal(w io.Writer) bool {
	f, ok := w.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}
