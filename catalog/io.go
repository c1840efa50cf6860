package catalog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	icebergio "github.com/apache/iceberg-go/io"
)

// rootKey is the catalog property that names the folder of the buckets.
const rootKey = "tickerlake.buckets"

// registerIO tells the Iceberg library who opens s3:// locations. The library
// offers a process-wide registry only; the folder comes with each catalog's own
// properties, so that several lakes can be open.
var registerIO = sync.OnceFunc(func() {
	icebergio.Register("s3", func(_ context.Context, _ *url.URL, props map[string]string) (icebergio.IO, error) {
		root := props[rootKey]
		if root == "" {
			return nil, fmt.Errorf("catalog property %s is not set", rootKey)
		}
		return Files{Root: root}, nil
	})
})

// Files resolves s3://bucket/key to Root/bucket/key and makes what it writes
// durable: when a writer is closed, the file, its folder and every folder made for
// it are on disk, and its checksum is recorded. A catalog commit that follows can rely on them.
type Files struct{ Root string }

// Path is the local file of a location. It fails for other schemes and for keys
// that would leave the root.
func (f Files) Path(location string) (string, error) {
	rest, ok := strings.CutPrefix(location, "s3://")
	if !ok || !filepath.IsLocal(filepath.FromSlash(rest)) {
		return "", &fs.PathError{Op: "resolve", Path: location, Err: fs.ErrInvalid}
	}
	return filepath.Join(f.Root, filepath.FromSlash(rest)), nil
}

// Open opens a file for reading. Metadata that is not what was written fails with
// Damaged.
func (f Files) Open(location string) (icebergio.File, error) {
	if metadata(location) {
		text, err := f.checked(location)
		if err != nil {
			return nil, err
		}
		return readFile{bytes.NewReader(text), path.Base(location)}, nil
	}
	path, err := f.Path(location)
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}

// ReadFile reads a whole file, as Open does.
func (f Files) ReadFile(location string) ([]byte, error) { return f.checked(location) }

// Remove removes a file.
func (f Files) Remove(location string) error {
	path, err := f.Path(location)
	if err != nil {
		return err
	}
	return os.Remove(path)
}

// Create makes a new file; its Close is the moment of durability.
func (f Files) Create(location string) (icebergio.FileWriter, error) {
	path, err := f.Path(location)
	if err != nil {
		return nil, err
	}
	if err := makeDurableDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &syncedFile{File: file, record: func() error { return f.record(location, path) }}, nil
}

// WriteFile writes a whole file durably.
func (f Files) WriteFile(location string, p []byte) error {
	w, err := f.Create(location)
	if err != nil {
		return err
	}
	_, err = w.Write(p)
	return errors.Join(err, w.Close())
}

// Sync makes a file that another program wrote at location durable.
func (f Files) Sync(location string) error {
	path, err := f.Path(location)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return (&syncedFile{File: file, record: func() error { return f.record(location, path) }}).Close()
}

type syncedFile struct {
	*os.File
	record func() error // the checksum
}

func (f *syncedFile) Close() error {
	err := errors.Join(f.Sync(), f.File.Close())
	if err == nil {
		err = f.record()
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(f.Name()))
}

// makeDurableDir is os.MkdirAll that syncs the parent of each folder it makes.
func makeDurableDir(dir string) error {
	if info, err := os.Stat(dir); err == nil {
		if info.IsDir() {
			return nil
		}
		return &fs.PathError{Op: "mkdir", Path: dir, Err: fs.ErrExist}
	}
	parent := filepath.Dir(dir)
	if err := makeDurableDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

// MakeDir makes a local folder and its parents, durably.
func (f Files) MakeDir(dir string) error { return makeDurableDir(dir) }

// Replace makes the local file at path, written by another program, the object at
// location, atomically and durably.
func (f Files) Replace(path, location string) error {
	target, err := f.Path(location)
	if err != nil {
		return err
	}
	if err := f.record(location, path); err != nil {
		return err
	}
	return replaceFile(path, target)
}

// replaceFile makes the file at path that at target, atomically and durably.
func replaceFile(path, target string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(path, target); err != nil {
		return err
	}
	return syncDir(filepath.Dir(target))
}
