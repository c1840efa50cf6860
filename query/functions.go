package query

import (
	_ "embed"
	"strings"
	"sync"
)

//go:embed functions.txt
var functionList string

// functions gives the names of functions.txt in lower case, those of the section
// [tables] apart: they may stand in FROM.
var functions = sync.OnceValues(func() (scalar, table map[string]bool) {
	scalar, table = map[string]bool{}, map[string]bool{}
	section := scalar
	for line := range strings.Lines(functionList) {
		switch line = strings.TrimSpace(line); {
		case strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			section = scalar
			if line == "[tables]" {
				section = table
			}
		default:
			for _, name := range strings.Fields(line) {
				section[name] = true
			}
		}
	}
	return scalar, table
})

// Functions lists the names of the functions that a statement may call, for a
// test that the engine knows them.
func Functions() []string {
	scalar, table := functions()
	var names []string
	for _, set := range []map[string]bool{scalar, table} {
		for name := range set {
			names = append(names, name)
		}
	}
	return names
}
