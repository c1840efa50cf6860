package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tickerlake/tickerlake"
)

// Expand gives the files that arguments name, each once, in their order: a file itself,
// of a folder all files in it and below in the order of their names, of a pattern with *,
// ? or [ what it matches. In folders, names that begin with . or _ are left out. It fails
// with tickerlake.Invalid if an argument names nothing.
func Expand(args []string) ([]string, error) {
	var out []string
	seen := map[string]bool{}
	found := 0
	add := func(path string) {
		found++
		if key := filepath.Clean(path); !seen[key] {
			seen[key] = true
			out = append(out, path)
		}
	}
	for _, arg := range args {
		paths := []string{arg}
		if _, err := os.Lstat(arg); err != nil && strings.ContainsAny(arg, "*?[") {
			if paths, err = filepath.Glob(arg); err != nil {
				return nil, tickerlake.Errorf(tickerlake.Invalid, "file.Expand", arg, "is no pattern of file names: %w", err)
			}
			if len(paths) == 0 {
				return nil, tickerlake.Errorf(tickerlake.Invalid, "file.Expand", arg, "matches no file")
			}
		}
		found = 0
		for _, path := range paths {
			if err := expandPath(path, add); err != nil {
				return nil, err
			}
		}
		if found == 0 {
			return nil, tickerlake.Errorf(tickerlake.Invalid, "file.Expand", arg, "holds no file")
		}
	}
	return out, nil
}

func expandPath(path string, add func(string)) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return tickerlake.Errorf(tickerlake.Invalid, "file.Expand", path, "there is no such file")
	case err != nil:
		return tickerlake.Errorf(tickerlake.Denied, "file.Expand", path, "%w", pathless(err))
	case !info.IsDir():
		add(path)
		return nil
	}
	return filepath.WalkDir(path, func(at string, e fs.DirEntry, err error) error {
		if err != nil {
			return tickerlake.Errorf(tickerlake.Denied, "file.Expand", at, "%w", pathless(err))
		}
		if name := e.Name(); at != path && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")) {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		info, err := os.Stat(at) // a link may lead to a file
		if err == nil && info.Mode().IsRegular() {
			add(at)
		}
		return nil
	})
}

// pathless is an error of the file system without the path, which the error around it
// names.
func pathless(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
