package blob

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"
	"syscall"
)

// List yields the objects whose key begins with prefix and comes after startAfter,
// in byte order of the keys. After an error it ends.
func (d *Dir) List(ctx context.Context, prefix, startAfter string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		// The folder that holds every match; a prefix that no key can have matches none.
		dir := "."
		if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
			dir = prefix[:i]
			if d.check("blob.List", dir) != nil {
				return
			}
		}
		l := &lister{dir: d, ctx: ctx, prefix: prefix, startAfter: startAfter, yield: yield}
		l.walk(dir)
	}
}

// A lister walks the folders that may hold a match.
type lister struct {
	dir                *Dir
	ctx                context.Context
	prefix, startAfter string
	yield              func(Info, error) bool
}

// walk yields what lies in a folder and reports whether to go on.
func (l *lister) walk(dir string) bool {
	if err := l.ctx.Err(); err != nil {
		return l.fail(dir, err)
	}
	keys, err := l.names(dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			return true
		}
		return l.fail(dir, err)
	}
	for _, key := range keys {
		if sub, ok := strings.CutSuffix(key, "/"); ok {
			if l.enters(key) && !l.walk(sub) {
				return false
			}
			continue
		}
		if !strings.HasPrefix(key, l.prefix) || key <= l.startAfter {
			continue
		}
		info, err := l.dir.stat(key)
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			return l.fail(key, err)
		}
		if !l.yield(describe(key, info), nil) {
			return false
		}
	}
	return true
}

// names lists a folder as keys, folders with a slash at the end, in the order of
// the keys that lie there: "a-b" comes before "a/b", and "a.b" too.
func (l *lister) names(dir string) ([]string, error) {
	f, err := l.dir.root.Open(dir)
	if err != nil {
		return nil, err
	}
	entries, err := f.ReadDir(-1)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	keys := make([]string, 0, len(entries))
	for _, e := range entries {
		key := path.Join(dir, e.Name())
		if l.dir.check("blob.List", key) != nil {
			continue // the hidden folder, or a file that no key can name
		}
		switch {
		case e.IsDir():
			keys = append(keys, key+"/")
		case e.Type().IsRegular():
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

// enters reports whether a folder, given with its slash, may hold a match.
func (l *lister) enters(folder string) bool {
	if !strings.HasPrefix(folder, l.prefix) && !strings.HasPrefix(l.prefix, folder) {
		return false
	}
	return folder > l.startAfter || strings.HasPrefix(l.startAfter, folder)
}

func (l *lister) fail(name string, err error) bool {
	l.yield(Info{}, l.dir.failed("blob.List", name, err))
	return false
}
