package duck

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/tickerlake/tickerlake"
)

// kinds maps the words with which DuckDB's messages begin to codes, first match
// wins.
var kinds = []struct {
	prefix string
	code   tickerlake.Code
}{
	{"Out of Memory Error", tickerlake.Full},
	{"INTERRUPT", tickerlake.Canceled},
	{"Interrupt", tickerlake.Canceled},
	{"IO Error", tickerlake.Damaged},
	{"HTTP Error", tickerlake.Denied},
	{"Permission Error", tickerlake.Denied},
	{"INTERNAL Error", tickerlake.Internal},
	{"FATAL Error", tickerlake.Internal},
}

// suggestion is DuckDB's hint at a name that may be one of its own catalog.
var suggestion = regexp.MustCompile(`\nDid you mean "(pg_catalog|information_schema|system|temp|duckdb_|pragma_|sqlite_)[^\n]*`)

// failure is the error for what DuckDB said of a statement: its message, with the
// line and the caret, without the paths of this machine.
func failure(err error, r wireRequest) error {
	message := strings.TrimSpace(err.Error())
	code := tickerlake.Invalid
	for _, k := range kinds {
		if strings.HasPrefix(message, k.prefix) {
			code = k.code
			break
		}
	}
	for _, t := range r.Tables {
		for _, f := range t.Files {
			if strings.Contains(message, f) {
				message = strings.ReplaceAll(message, f, fmt.Sprintf("%s of %s", filepath.Base(f), t))
				if code == tickerlake.Invalid || code == tickerlake.Denied {
					code = tickerlake.Damaged
				}
			}
		}
	}
	message = strings.ReplaceAll(message, r.Scratch, "scratch")
	message = suggestion.ReplaceAllString(message, "")
	if code == tickerlake.Full {
		if strings.Contains(message, "max_temp_directory_size") || strings.Contains(message, "No space left") {
			message = "the statement needed more scratch space than there is; select fewer rows or columns"
		} else {
			message = fmt.Sprintf("the statement needed more than its %d MB of memory; select fewer rows or columns, or allow more memory", r.MemoryMB)
		}
	}
	return tickerlake.Errorf(code, "duck.Query", "", "%s", message)
}
