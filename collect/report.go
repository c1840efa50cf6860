package collect

import (
	"fmt"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake"
)

// A Report says what became of each symbol of a fetch, in the order of the source's
// symbols.
type Report struct {
	Source   string
	Table    string
	Symbols  []Result
	Rows     int64
	Requests int64 // repeats included
}

// A Result is what became of one symbol.
type Result struct {
	Symbol  tickerlake.Symbol
	FetchID string
	// From and To are the window that was asked for; the zero From is all history.
	From, To time.Time
	Class    tickerlake.Class
	Rows     int64
	// Err is why the symbol failed, nil if it did not.
	Err error
}

// and gives what became of a symbol that was asked for in parts.
func (r Result) and(next Result) Result {
	next.From = r.From
	next.Rows += r.Rows
	if next.Class == tickerlake.ClassEmpty {
		next.Class = r.Class
	}
	return next
}

// failures are the errors of the symbols that failed.
type failures []error

const shownFailures = 10

// Error lists the first of them on one line.
func (f failures) Error() string {
	var b strings.Builder
	for i, err := range f {
		if i == shownFailures {
			fmt.Fprintf(&b, "; and %d more", len(f)-i)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(err.Error())
	}
	return b.String()
}

// Unwrap gives each of them.
func (f failures) Unwrap() []error { return f }

// Err is nil if every symbol succeeded, else of code SourceFailed, naming which did
// not and why.
func (r Report) Err() error {
	var failed failures
	for _, s := range r.Symbols {
		if s.Err != nil {
			failed = append(failed, s.Err)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return &tickerlake.Error{
		Code: tickerlake.SourceFailed, Op: "collect.Fetch", Name: r.Source,
		Err: fmt.Errorf("%d of %d symbols failed: %w", len(failed), len(r.Symbols), failed),
	}
}

// classCodes are the codes of the errors that failed symbols have.
var classCodes = map[tickerlake.Class]tickerlake.Code{
	tickerlake.ClassNotFound:       tickerlake.NotFound,
	tickerlake.ClassQuota:          tickerlake.Full,
	tickerlake.ClassNotEntitled:    tickerlake.Denied,
	tickerlake.ClassBadCredentials: tickerlake.Denied,
	tickerlake.ClassBlocked:        tickerlake.Denied,
	tickerlake.ClassMalformed:      tickerlake.Damaged,
	tickerlake.ClassUnavailable:    tickerlake.Unavailable,
	tickerlake.ClassTimeout:        tickerlake.Timeout,
	tickerlake.ClassConflict:       tickerlake.Conflict,
}

func symbolError(symbol tickerlake.Symbol, v verdict) error {
	if v.class.OK() {
		return nil
	}
	return tickerlake.Errorf(classCodes[v.class], "collect.Fetch", string(symbol), "%s: %s", v.class, v.message)
}
