package main

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

	"github.com/tickerlake/tickerlake"
)

// A lock is the right to write to a lake: an advisory lock on its file lock, which
// the kernel gives back when the process ends, however it ends. The file says who
// holds it.
type lock struct{ file *os.File }

type lockHolder struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
}

func lockLake(dir, command string, now time.Time) (*lock, error) {
	path := filepath.Join(dir, "lock")
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, diskError("lock the lake", path, err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer file.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, diskError("lock the lake", path, err)
		}
		holder := "another program"
		var h lockHolder
		if text, err := io.ReadAll(file); err == nil && json.Unmarshal(text, &h) == nil {
			holder = fmt.Sprintf("tickerlake %s (process %d, since %s)", h.Command, h.PID, h.Since.UTC().Format(time.DateTime+" UTC"))
		}
		return nil, tickerlake.Errorf(tickerlake.Locked, "lock the lake", dir, "%s is writing to this lake: wait until it has ended", holder)
	}
	text, err := json.Marshal(lockHolder{PID: os.Getpid(), Command: command, Since: now.UTC()})
	if err == nil {
		err = errors.Join(file.Truncate(0), writeAt(file, text))
	}
	if err != nil {
		return nil, errors.Join(diskError("lock the lake", path, err), file.Close())
	}
	return &lock{file}, nil
}

func writeAt(f *os.File, text []byte) error {
	_, err := f.WriteAt(text, 0)
	return err
}

// release gives the lock back. The file stays: removing it would let two programs
// hold locks on two files of that name.
func (l *lock) release() error { return errors.Join(l.file.Truncate(0), l.file.Close()) }

// diskError gives a failure of the file system its code and a remedy.
func diskError(op, path string, err error) error {
	code, hint := tickerlake.Internal, ""
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		code, hint = tickerlake.Full, ": make room on the disk"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		code, hint = tickerlake.Denied, ": this user must be able to write there, or name another folder as lake"
	}
	var perr *fs.PathError
	if errors.As(err, &perr) {
		err = perr.Err
	}
	return tickerlake.Errorf(code, op, path, "%w%s", err, hint)
}
