package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tickerlake/tickerlake"
)

// hidden is the folder of the root that holds what is not an object: files being
// written, and the lock. No key begins with it and List never shows it.
const (
	hidden   = ".blob"
	tempDir  = hidden + "/tmp"
	lockFile = hidden + "/lock"
)

// Dir is a bucket in a folder: the object "a/b" is the file a/b. Several
// processes may use one folder at a time.
//
// An object is put by writing a file in the hidden folder, fsyncing it, and
// linking (if absent) or renaming it to its name, then fsyncing its folder and
// every folder above that is not known to be on disk. What changes an object that
// exists (overwrite, replace, delete) does so under a file lock, so that a
// replacement on condition is atomic among processes.
//
// The ETag is the file's modification time in nanoseconds and its size. Put
// stamps that time itself and always later than that of the file it replaces,
// whatever the resolution of the kernel's clock; so the ETag needs no stored state
// and survives a copy that keeps times. Objects are files: symbolic links are none,
// and none that leads out of the root is followed.
type Dir struct {
	root *os.Root
	path string

	mu     sync.Mutex
	synced map[string]fs.FileInfo // folders whose entry in the folder above is on disk
}

// OpenDir opens the bucket at root, creates the folder if need be, and removes
// the temporary files that writers left which died.
func OpenDir(root string) (*Dir, error) {
	const op = "blob.OpenDir"
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, failed(op, root, err)
	}
	if err := makeRoot(abs); err != nil {
		return nil, failed(op, abs, err)
	}
	r, err := os.OpenRoot(abs)
	if err != nil {
		return nil, failed(op, abs, err)
	}
	d := &Dir{root: r, path: abs, synced: map[string]fs.FileInfo{}}
	if err := d.prepare(); err != nil {
		_ = r.Close()
		return nil, failed(op, abs, err)
	}
	return d, nil
}

// makeRoot creates the folder and those above it, each on disk before the next.
func makeRoot(dir string) error {
	if _, err := os.Stat(dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := makeRoot(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	f, err := os.Open(filepath.Dir(dir))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// prepare makes the hidden folder and removes leftovers. A bucket that cannot be
// written can still be read.
func (d *Dir) prepare() error {
	if err := d.root.MkdirAll(tempDir, 0o755); err != nil {
		if codeOf(err) == tickerlake.Denied {
			return nil
		}
		return err
	}
	unlock, err := d.lock()
	if err != nil {
		if codeOf(err) == tickerlake.Denied {
			return nil
		}
		return err
	}
	defer unlock()
	entries, err := fs.ReadDir(d.root.FS(), tempDir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := d.removeStale(path.Join(tempDir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// removeStale removes a temporary file whose writer is gone: a writer holds a lock
// on its file for as long as it lives.
func (d *Dir) removeStale(name string) error {
	f, err := d.root.Open(name)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	defer func() { _ = f.Close() }()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil // in use
	}
	if err := d.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Close releases the folder. Readers that Get has given stay usable.
func (d *Dir) Close() error { return d.root.Close() }

// Path is the local file of a key, for programs that open files by name. The file
// need not exist.
func (d *Dir) Path(key string) (string, error) {
	const op = "blob.Path"
	if err := d.check(op, key); err != nil {
		return "", err
	}
	if _, err := d.root.Stat(key); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", d.failed(op, key, err)
	}
	return filepath.Join(d.path, filepath.FromSlash(key)), nil
}

// Head describes the object at key.
func (d *Dir) Head(ctx context.Context, key string) (Info, error) {
	const op = "blob.Head"
	if err := d.begin(ctx, op, key); err != nil {
		return Info{}, err
	}
	info, err := d.stat(key)
	if err != nil {
		return Info{}, d.failed(op, key, err)
	}
	return describe(key, info), nil
}

// stat describes the file of an object; what is not a regular file is no object.
func (d *Dir) stat(key string) (fs.FileInfo, error) {
	info, err := d.root.Lstat(key)
	if err == nil && !info.Mode().IsRegular() {
		return nil, fs.ErrNotExist
	}
	return info, err
}

func describe(key string, info fs.FileInfo) Info {
	return Info{Key: key, Size: info.Size(), ETag: etag(info), Modified: info.ModTime().UTC()}
}

func etag(info fs.FileInfo) string {
	return fmt.Sprintf("%x-%x", info.ModTime().UnixNano(), info.Size())
}

// Get reads length bytes from offset on; a negative length reads to the end. The
// reader keeps the version it began with, also if the object is replaced.
func (d *Dir) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, Info, error) {
	const op = "blob.Get"
	if err := d.begin(ctx, op, key); err != nil {
		return nil, Info{}, err
	}
	if offset < 0 {
		return nil, Info{}, tickerlake.Errorf(tickerlake.Invalid, op, key, "offset %d: want 0 or more", offset)
	}
	if _, err := d.stat(key); err != nil {
		return nil, Info{}, d.failed(op, key, err)
	}
	f, err := d.root.Open(key)
	if err != nil {
		return nil, Info{}, d.failed(op, key, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		_ = f.Close()
		return nil, Info{}, d.failed(op, key, err)
	}
	rest := max(info.Size()-offset, 0)
	if length < 0 || length > rest {
		length = rest
	}
	return &reader{ctx: ctx, SectionReader: io.NewSectionReader(f, offset, length), file: f}, describe(key, info), nil
}

// A reader reads a range of a file until its context ends.
type reader struct {
	*io.SectionReader
	ctx  context.Context
	file *os.File
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.SectionReader.Read(p)
}

// WriteTo hides that of SectionReader, which would not look at the context.
func (r *reader) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{r})
}

func (r *reader) Close() error { return r.file.Close() }

// Delete removes the object at key, and the folders that it leaves empty. An
// absent one is no error.
func (d *Dir) Delete(ctx context.Context, key string) error {
	const op = "blob.Delete"
	if err := d.begin(ctx, op, key); err != nil {
		return err
	}
	unlock, err := d.lock()
	if err != nil {
		return d.failed(op, key, err)
	}
	defer unlock()
	if _, err = d.stat(key); err == nil {
		err = d.root.Remove(key)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	if err != nil {
		return d.failed(op, key, err)
	}
	dir := path.Dir(key)
	for dir != "." && d.root.Remove(dir) == nil {
		dir = path.Dir(dir)
	}
	if err := d.sync(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return d.failed(op, key, err)
	}
	return nil
}

// begin is what every operation on a key starts with.
func (d *Dir) begin(ctx context.Context, op, key string) error {
	if err := d.check(op, key); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return failed(op, key, err)
	}
	return nil
}

func (d *Dir) check(op, key string) error {
	why := badKey(key)
	if why == "" && (key == hidden || strings.HasPrefix(key, hidden+"/")) {
		why = hidden + " is the bucket's own folder"
	}
	if why != "" {
		return tickerlake.Errorf(tickerlake.Invalid, op, fmt.Sprintf("key %q", key), "%s", why)
	}
	return nil
}

// lock takes the lock that excludes every other change of an existing object, in
// this process and in others. It is held for moments only.
func (d *Dir) lock() (unlock func(), err error) {
	f, err := d.root.OpenFile(lockFile, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}

// stamp is the time that a file is stamped with: the present, or just after the file
// that it replaces.
func stamp(old fs.FileInfo) time.Time {
	now := time.Now()
	if old != nil && !now.After(old.ModTime()) {
		now = old.ModTime().Add(time.Nanosecond)
	}
	return now
}
