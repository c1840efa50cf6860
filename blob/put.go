package blob

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"

	"github.com/tickerlake/tickerlake"
)

// Put stores body at key under the condition, whole or not at all. When it
// returns, the object and the folders above it are on disk.
func (d *Dir) Put(ctx context.Context, key string, body io.Reader, cond Condition) (Info, error) {
	const op = "blob.Put"
	if err := d.begin(ctx, op, key); err != nil {
		return Info{}, err
	}
	if cond.IfAbsent && cond.IfMatch != "" {
		return Info{}, tickerlake.Errorf(tickerlake.Invalid, op, key, "IfAbsent and IfMatch exclude each other: set one")
	}
	// What cannot succeed need not be written.
	old, err := d.stat(key)
	if err := judge(op, key, old, err, cond); err != nil {
		return Info{}, err
	}
	temp, f, err := d.createTemp()
	if err != nil {
		return Info{}, d.failed(op, key, err)
	}
	defer func() {
		_ = d.root.Remove(temp)
		_ = f.Close()
	}()
	if err := d.write(ctx, temp, f, body, old); err != nil {
		return Info{}, d.failed(op, key, err)
	}
	info, err := d.place(op, key, temp, f, cond)
	if err != nil {
		return Info{}, err
	}
	if err := d.syncUp(path.Dir(key)); err != nil {
		return Info{}, d.failed(op, key, err)
	}
	return describe(key, info), nil
}

// judge holds the condition against what is at the key; err is that of stat.
func judge(op, key string, old fs.FileInfo, err error, cond Condition) error {
	switch {
	case err == nil && cond.IfAbsent:
		return tickerlake.Errorf(tickerlake.Exists, op, key, "the key is taken")
	case cond.IfMatch == "":
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return tickerlake.Errorf(tickerlake.Conflict, op, key, "there is no object to replace; read it again and decide anew")
	case err == nil && etag(old) != cond.IfMatch:
		return tickerlake.Errorf(tickerlake.Conflict, op, key, "the object has changed (ETag %s, not %s); read it again and decide anew", etag(old), cond.IfMatch)
	}
	return nil
}

// createTemp makes a locked file in the hidden folder. It does so under the lock of
// the bucket, so that OpenDir of another process never takes it for a leftover.
func (d *Dir) createTemp() (string, *os.File, error) {
	unlock, err := d.lock()
	if errors.Is(err, fs.ErrNotExist) {
		if err = d.root.MkdirAll(tempDir, 0o755); err == nil {
			unlock, err = d.lock()
		}
	}
	if err != nil {
		return "", nil, err
	}
	defer unlock()
	name := path.Join(tempDir, rand.Text())
	f, err := d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return "", nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return "", nil, errors.Join(err, d.root.Remove(name))
	}
	return name, f, nil
}

// write fills the temporary file, stamps it and brings it to disk.
func (d *Dir) write(ctx context.Context, temp string, f *os.File, body io.Reader, old fs.FileInfo) error {
	if _, err := io.Copy(f, &source{ctx, body}); err != nil {
		return err
	}
	if err := d.stampFile(temp, old); err != nil {
		return err
	}
	return f.Sync()
}

func (d *Dir) stampFile(temp string, old fs.FileInfo) error {
	now := stamp(old)
	return d.root.Chtimes(temp, now, now)
}

// A source reads a body until the context ends.
type source struct {
	ctx  context.Context
	body io.Reader
}

func (s *source) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.body.Read(p)
}

// place gives the written file its name under the condition. A folder above may
// vanish meanwhile, because a Delete empties it; then it is made again.
func (d *Dir) place(op, key, temp string, f *os.File, cond Condition) (fs.FileInfo, error) {
	for range 100 {
		if dir := path.Dir(key); dir != "." {
			if err := d.root.MkdirAll(dir, 0o755); err != nil {
				return nil, d.failed(op, key, err)
			}
		}
		info, err := d.placeOnce(op, key, temp, f, cond)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return info, err
	}
	return nil, tickerlake.Errorf(tickerlake.Unavailable, op, key, "the folder vanished each time it was made: another program deletes here without pause; try again")
}

func (d *Dir) placeOnce(op, key, temp string, f *os.File, cond Condition) (fs.FileInfo, error) {
	if cond.IfAbsent {
		err := d.root.Link(temp, key)
		if errors.Is(err, fs.ErrExist) {
			return nil, tickerlake.Errorf(tickerlake.Exists, op, key, "the key is taken")
		}
		if err != nil {
			return nil, d.orVanished(op, key, err)
		}
		return f.Stat()
	}
	unlock, err := d.lock()
	if err != nil {
		return nil, d.failed(op, key, err)
	}
	defer unlock()
	old, err := d.stat(key)
	if err := judge(op, key, old, err, cond); err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, d.failed(op, key, err)
	}
	if old != nil && !info.ModTime().After(old.ModTime()) {
		if err := errors.Join(d.stampFile(temp, old), f.Sync()); err != nil {
			return nil, d.failed(op, key, err)
		}
	}
	if err := d.root.Rename(temp, key); err != nil {
		return nil, d.orVanished(op, key, err)
	}
	return f.Stat()
}

// orVanished keeps the error of a missing folder recognizable for place.
func (d *Dir) orVanished(op, key string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return d.failed(op, key, err)
}

// syncUp brings the folder's entries to disk, and the entry of each folder above
// that is not known to be there: another process may have made it a moment ago.
func (d *Dir) syncUp(dir string) error {
	if err := d.sync(dir); err != nil {
		return err
	}
	for ; dir != "."; dir = path.Dir(dir) {
		info, err := d.root.Stat(dir)
		if err != nil {
			return err
		}
		d.mu.Lock()
		known, ok := d.synced[dir]
		d.mu.Unlock()
		if ok && os.SameFile(known, info) {
			continue
		}
		if err := d.sync(path.Dir(dir)); err != nil {
			return err
		}
		d.mu.Lock()
		if len(d.synced) >= 4096 {
			clear(d.synced)
		}
		d.synced[dir] = info
		d.mu.Unlock()
	}
	return nil
}

// sync brings the entries of one folder to disk.
func (d *Dir) sync(dir string) error {
	f, err := d.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
