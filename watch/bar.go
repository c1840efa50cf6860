package watch

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/tickerlake/tickerlake"
)

const (
	barWidth = 24
	// redraw is how often a bar is drawn at most; pace how often a plain line is
	// written for work that goes on.
	redraw = 100 * time.Millisecond
	pace   = 10 * time.Second
)

// A Bar shows the progress of one piece of work after the other. On a terminal it
// draws a line again and again; elsewhere it writes a line when work begins, goes
// on for long, and ends. It may be used by several goroutines.
type Bar struct {
	w     io.Writer
	clock tickerlake.Clock
	live  bool

	mu    sync.Mutex
	name  string
	shown time.Time
	drawn int // characters on the line now
}

// NewBar makes a bar on w; live says that w is a terminal.
func NewBar(w io.Writer, clock tickerlake.Clock, live bool) *Bar {
	return &Bar{w: w, clock: clock, live: live}
}

// Show tells how far the work of that name is: fraction is 0 to 1, negative if it
// is unknown; text stands behind it.
func (b *Bar) Show(name string, fraction float64, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.clock()
	every := pace
	if b.live {
		every = redraw
	}
	if name == b.name && now.Sub(b.shown) < every {
		return
	}
	b.name, b.shown = name, now
	if b.live {
		b.draw(name + " " + gauge(fraction) + " " + text)
		return
	}
	fmt.Fprintln(b.w, strings.TrimRight(name+" "+percent(fraction)+text, " "))
}

// End writes the last line of the work, which stays.
func (b *Bar) End(name, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.live {
		b.draw(name + " " + text)
		fmt.Fprintln(b.w)
	} else {
		fmt.Fprintln(b.w, name+" "+text)
	}
	b.name, b.drawn = "", 0
}

// Clear takes the line away, so that something else can be written.
func (b *Bar) Clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.live && b.drawn > 0 {
		b.draw("")
		fmt.Fprint(b.w, "\r")
	}
	b.name, b.drawn = "", 0
}

func (b *Bar) draw(line string) {
	runes := []rune(line)
	if width := width(b.w); len(runes) >= width {
		runes = runes[:width-1]
	}
	fmt.Fprint(b.w, "\r", string(runes), strings.Repeat(" ", max(0, b.drawn-len(runes))))
	b.drawn = len(runes)
}

func gauge(fraction float64) string {
	if !(fraction >= 0) {
		return "[" + strings.Repeat("·", barWidth) + "]    "
	}
	full := int(min(fraction, 1) * barWidth)
	return fmt.Sprintf("[%s%s] %3.0f%%", strings.Repeat("█", full), strings.Repeat("·", barWidth-full), min(fraction, 1)*100)
}

func percent(fraction float64) string {
	if !(fraction >= 0) {
		return ""
	}
	return fmt.Sprintf("%.0f%% ", min(fraction, 1)*100)
}
