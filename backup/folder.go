package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/tickerlake/tickerlake"
)

// formatVersion is that of a backup's folder.
const formatVersion = 1

// The names in a backup's folder.
const (
	aboutName       = "backup.json" // what the folder is
	lockName        = "lock"        // who writes to it
	filesName       = "files"       // contents, by their SHA-256
	generationsName = "generations"
	copiedName      = "copied.ndjson" // what a backup has copied that is not done
	tmpName         = "tmp"
)

// about is what backup.json says.
type about struct {
	Format int    `json:"format"`
	Lake   string `json:"lake"` // the id of its delivery log
}

// A Folder is an open backup: of one lake, with one writer or many readers.
type Folder struct {
	dir   string
	about about
	lock  *os.File
	new   bool // backup.json is not written yet
}

// Open opens the backup in dir, to write to it or only to read. It fails with NotFound if
// there is none, with Locked if another program is at it.
func Open(dir string, write bool) (*Folder, error) {
	const op = "backup.Open"
	text, err := os.ReadFile(filepath.Join(dir, aboutName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, tickerlake.Errorf(tickerlake.NotFound, op, dir, "there is no backup here: tickerlake backup %s makes one", dir)
	}
	if err != nil {
		return nil, failed(op, dir, err)
	}
	f := &Folder{dir: dir}
	if err := json.Unmarshal(text, &f.about); err != nil || f.about.Format < 1 {
		return nil, tickerlake.Errorf(tickerlake.Damaged, op, filepath.Join(dir, aboutName), "is not what was written: put {\"format\":%d,\"lake\":\"ID\"} there, with the lake that its generations name", formatVersion)
	}
	if f.about.Format > formatVersion {
		return nil, tickerlake.Errorf(tickerlake.Invalid, op, dir, "the backup has format %d, this program knows format %d: use a newer tickerlake", f.about.Format, formatVersion)
	}
	return f, f.take(op, write)
}

// Create opens the backup in dir to write to it, or begins one if dir is empty or not
// there. The folder above it must be, so that a disk that is not mounted is not taken for
// an empty folder. The lake must not lie in it, nor it in the lake.
func Create(dir, lakeDir string) (*Folder, error) {
	const op = "backup.Create"
	for _, x := range []struct{ inner, outer, why string }{
		{dir, lakeDir, "is in the lake that it would be a copy of: name a folder beside it, best on another disk"},
		{lakeDir, dir, "holds the lake: name a folder beside it, best on another disk"},
	} {
		within, err := isWithin(x.inner, x.outer)
		if err != nil {
			return nil, failed(op, dir, err)
		}
		if within {
			return nil, tickerlake.Errorf(tickerlake.Invalid, op, dir, "%s", x.why)
		}
	}
	if f, err := Open(dir, true); !errors.Is(err, tickerlake.NotFound) {
		return f, err
	}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.Mkdir(dir, 0o700); errors.Is(err, fs.ErrNotExist) {
			return nil, tickerlake.Errorf(tickerlake.NotFound, op, dir, "the folder above it is not there: make it, or mount its disk")
		} else if err != nil {
			return nil, failed(op, dir, err)
		}
	case errors.Is(err, syscall.ENOTDIR):
		return nil, tickerlake.Errorf(tickerlake.Invalid, op, dir, "is no folder")
	case err != nil:
		return nil, failed(op, dir, err)
	}
	for _, e := range entries {
		if e.Name() != lockName && e.Name() != "lost+found" && e.Name() != aboutName+".new" {
			return nil, tickerlake.Errorf(tickerlake.Invalid, op, dir, "is not empty and no backup (it has %s): name another folder", e.Name())
		}
	}
	f := &Folder{dir: dir, new: true}
	if err := f.take(op, true); err != nil {
		return nil, err
	}
	return f, failedOrNil(op, dir, syncDir(filepath.Dir(dir)))
}

func failedOrNil(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return failed(op, path, err)
}

// isWithin reports whether a folder is another one, or lies in it; what is not there yet
// counts by where it would be.
func isWithin(inner, outer string) (bool, error) {
	of, err := os.Stat(outer)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	at, err := filepath.Abs(inner)
	if err != nil {
		return false, err
	}
	if real, err := filepath.EvalSymlinks(at); err == nil {
		at = real
	} else if real, err := filepath.EvalSymlinks(filepath.Dir(at)); err == nil {
		at = filepath.Join(real, filepath.Base(at))
	}
	for ; ; at = filepath.Dir(at) {
		if info, err := os.Stat(at); err == nil && os.SameFile(info, of) {
			return true, nil
		}
		if at == filepath.Dir(at) {
			return false, nil
		}
	}
}

// take takes the folder's lock, which the kernel gives back however the program ends.
func (f *Folder) take(op string, write bool) (err error) {
	path := filepath.Join(f.dir, lockName)
	how, flags := syscall.LOCK_SH, os.O_RDONLY
	if write {
		how, flags = syscall.LOCK_EX, os.O_RDWR|os.O_CREATE
	}
	f.lock, err = os.OpenFile(path, flags, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a copy without it, that is only read
	}
	if err != nil {
		return failed(op, path, err)
	}
	if err := syscall.Flock(int(f.lock.Fd()), how|syscall.LOCK_NB); err != nil {
		defer f.lock.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return failed(op, path, err)
		}
		return tickerlake.Errorf(tickerlake.Locked, op, f.dir, "another tickerlake is at this backup: wait until it has ended")
	}
	return nil
}

// Close gives the folder back.
func (f *Folder) Close() error {
	if f.lock == nil {
		return nil
	}
	return f.lock.Close()
}

// belongs makes the folder one of a lake, or fails with Conflict if it is of another.
func (f *Folder) belongs(lake string) error {
	const op = "backup.Take"
	switch {
	case lake == "":
		return tickerlake.Errorf(tickerlake.NotFound, op, f.dir, "the lake has no delivery log yet, so nothing to keep: run tickerlake fetch first")
	case f.new:
		text, err := json.Marshal(about{Format: formatVersion, Lake: lake})
		if err == nil {
			err = replace(filepath.Join(f.dir, aboutName), append(text, '\n'))
		}
		f.about, f.new = about{Format: formatVersion, Lake: lake}, false
		return failedOrNil(op, f.dir, err)
	case f.about.Lake != lake:
		return tickerlake.Errorf(tickerlake.Conflict, op, f.dir, "is the backup of another lake (its delivery log is %s, that of this one %s): name another folder", short(f.about.Lake), short(lake))
	}
	return nil
}

func short(id string) string { return fmt.Sprintf("%.8s", id) }

// content is where the file with a SHA-256 is.
func (f *Folder) content(sum string) string {
	return filepath.Join(f.dir, filesName, sum[:2], sum[2:])
}

// has reports whether the content of a file is there. What it says is read by Verify.
func (f *Folder) has(c Copy) bool {
	info, err := os.Stat(f.content(c.SHA256))
	return err == nil && info.Size() == c.Size
}

func (f *Folder) path(elem ...string) string {
	return filepath.Join(append([]string{f.dir}, elem...)...)
}
