package lake

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/tickerlake/tickerlake"
)

// A Lease keeps the files that a reader may have pinned from being deleted: Tidy
// deletes none that a snapshot needed when a living lease began. It is a file with an
// advisory lock, which the kernel gives back however the reader ends.
type Lease struct {
	file *os.File
	path string
}

// leased is what the file of a lease says.
type leased struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
}

// leaseDir is the folder of the leases, beside the buckets.
func leaseDir(dir string) string { return filepath.Join(dir, "leases") }

// TakeLease takes a lease on the lake in dir; whoever reads takes it before it looks
// which files there are. It fails with Denied if the folder cannot be written to.
func TakeLease(dir, command string, now time.Time) (*Lease, error) {
	const op = "lake.TakeLease"
	folder := leaseDir(dir)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, leaseError(op, folder, err)
	}
	text, err := json.Marshal(leased{PID: os.Getpid(), Command: command, Since: now.UTC()})
	if err != nil {
		return nil, err
	}
	for {
		l, err := newLease(folder, text)
		if err != nil {
			return nil, leaseError(op, folder, err)
		}
		if l != nil {
			return l, nil
		}
	}
}

// newLease makes the file of a lease; nil if Tidy took it for a dead one before it was
// locked.
func newLease(folder string, text []byte) (*Lease, error) {
	path := filepath.Join(folder, uuid.Must(uuid.NewV7()).String())
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	err = flock(file, syscall.LOCK_SH)
	if err == nil {
		_, err = file.Write(text)
	}
	if noRoom(err) {
		// The lock is what keeps files: without its text it does so for those of any time.
		err = nil
	}
	if err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(path))
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, file.Close()
	} else if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &Lease{file: file, path: path}, nil
}

// Release gives the lease back.
func (l *Lease) Release() error {
	// Removed while it is locked: nobody can take it for another's.
	err := os.Remove(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, l.file.Close())
}

// readers removes the leases of readers that have died and gives the time at which the
// oldest living one began; false if there is none. A lease that cannot be read counts as
// one from the beginning of time.
func readers(dir string) (since time.Time, any bool, err error) {
	folder := leaseDir(dir)
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, false, nil
	}
	if err != nil {
		return time.Time{}, false, leaseError("lake.readers", folder, err)
	}
	for _, e := range entries {
		began, alive, err := examine(filepath.Join(folder, e.Name()))
		if err != nil {
			return time.Time{}, false, leaseError("lake.readers", filepath.Join(folder, e.Name()), err)
		}
		if alive && (!any || began.Before(since)) {
			since = began
		}
		any = any || alive
	}
	return since, any, nil
}

func examine(path string) (began time.Time, alive bool, err error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return began, false, nil // released meanwhile
	}
	if err != nil {
		return began, false, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	switch err := flock(file, syscall.LOCK_EX|syscall.LOCK_NB); {
	case err == nil:
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return began, false, err
		}
		return began, false, nil
	case !errors.Is(err, syscall.EWOULDBLOCK):
		return began, false, err
	}
	var l leased
	text, err := io.ReadAll(file)
	if err == nil && json.Unmarshal(text, &l) == nil {
		began = l.Since
	}
	return began, true, err
}

func flock(file *os.File, how int) error {
	for {
		if err := syscall.Flock(int(file.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func leaseError(op, path string, err error) error {
	code := tickerlake.Internal
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		code = tickerlake.Denied
	case noRoom(err):
		code, err = tickerlake.Full, fmt.Errorf("%w (make room on the disk and run the command again)", err)
	}
	return &tickerlake.Error{Code: code, Op: op, Name: path, Err: err}
}

func noRoom(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}
