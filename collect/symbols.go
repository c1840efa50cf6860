package collect

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tickerlake/tickerlake"
)

// Symbols are what a source collects: a list in the pipeline file, or a file with
// one symbol a line. In YAML it is either [A, B] or {file: universe.txt}.
type Symbols struct {
	List []string `yaml:"list"`
	File string   `yaml:"file"`
}

// UnmarshalYAML reads a list of symbols, or an object that names a file. The form
// of the method is the one that needs no import of a YAML module.
func (s *Symbols) UnmarshalYAML(unmarshal func(any) error) error {
	var list []string
	if err := unmarshal(&list); err == nil {
		*s = Symbols{List: list}
		return nil
	}
	var file struct {
		File string `yaml:"file"`
	}
	if err := unmarshal(&file); err != nil || file.File == "" {
		return errors.New("symbols: want a list such as [AAPL, BRK.B] or {file: universe.txt}")
	}
	*s = Symbols{File: file.File}
	return nil
}

func (s Symbols) validate() error {
	switch {
	case len(s.List) == 0 && s.File == "":
		return tickerlake.Errorf(tickerlake.Invalid, "collect.Validate", "symbols",
			"missing: want a list such as [AAPL, BRK.B] or {file: universe.txt}")
	case len(s.List) > 0 && s.File != "":
		return tickerlake.Errorf(tickerlake.Invalid, "collect.Validate", "symbols", "want a list or a file, not both")
	}
	c := checker{seen: map[string]string{}}
	for i, name := range s.List {
		c.check(fmt.Sprintf("symbols[%d]", i), name)
	}
	return errors.Join(c.errs...)
}

// Resolve gives the symbols in their order. A file is relative to dir, the folder
// of the pipeline file; empty lines are skipped and # begins a comment.
func (s Symbols) Resolve(dir string) ([]tickerlake.Symbol, error) {
	c := checker{seen: map[string]string{}}
	if s.File == "" {
		for i, name := range s.List {
			c.check(fmt.Sprintf("symbols[%d]", i), name)
		}
		return c.symbols, errors.Join(c.errs...)
	}
	path := s.File
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		code := tickerlake.Unavailable
		switch {
		case errors.Is(err, fs.ErrNotExist):
			code = tickerlake.NotFound
		case errors.Is(err, fs.ErrPermission):
			code = tickerlake.Denied
		}
		if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
			err = pathErr.Err // the file is named as the user named it
		}
		return nil, tickerlake.Errorf(code, "collect.Symbols", "symbols.file", "%s cannot be read: %w (a path is relative to the pipeline file)", s.File, err)
	}
	number := 0
	for line := range strings.Lines(string(bytes.TrimPrefix(text, []byte("\ufeff")))) {
		number++
		name, _, _ := strings.Cut(line, "#")
		if name = strings.TrimSpace(name); name != "" {
			c.check(fmt.Sprintf("%s:%d", s.File, number), name)
		}
	}
	if len(c.symbols) == 0 && len(c.errs) == 0 {
		return nil, tickerlake.Errorf(tickerlake.Invalid, "collect.Symbols", s.File, "holds no symbol: want one a line")
	}
	return c.symbols, errors.Join(c.errs...)
}

// A checker collects symbols and the mistakes among them.
type checker struct {
	symbols []tickerlake.Symbol
	seen    map[string]string
	errs    []error
}

func (c *checker) check(where, name string) {
	switch first, twice := c.seen[name]; {
	case twice:
		c.errs = append(c.errs, tickerlake.Errorf(tickerlake.Invalid, "collect.Symbols", where, "%s is there already, at %s", name, first))
	case tickerlake.Symbol(name).Valid():
		c.seen[name] = where
		c.symbols = append(c.symbols, tickerlake.Symbol(name))
	case tickerlake.Symbol(strings.ToUpper(name)).Valid():
		c.errs = append(c.errs, tickerlake.Errorf(tickerlake.Invalid, "collect.Symbols", where, "symbol %q: want %q", name, strings.ToUpper(name)))
	default:
		c.errs = append(c.errs, tickerlake.Errorf(tickerlake.Invalid, "collect.Symbols", where,
			"symbol %q: want up to 32 of A-Z, 0-9 and . - ^ = / _, such as AAPL or BRK.B", name))
	}
}
