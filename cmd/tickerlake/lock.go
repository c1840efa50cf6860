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
type lock struct {
	file   *os.File
	holder lockHolder
	before string // the socket of a holder that was killed
}

// A lockHolder is who holds a lock, as its file says.
type lockHolder struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
	// Socket is where a lake that is up takes commands, Address that of its endpoint.
	Socket  string `json:"socket,omitempty"`
	Address string `json:"address,omitempty"`
}

func (h lockHolder) String() string {
	if h.PID == 0 {
		return "another program"
	}
	return fmt.Sprintf("tickerlake %s (process %d, since %s)", h.Command, h.PID, h.Since.UTC().Format(time.DateTime+" UTC"))
}

// A heldError says who holds a lock that could not be had.
type heldError struct{ by lockHolder }

func (e *heldError) Error() string {
	if e.by.Socket != "" {
		return e.by.String() + " holds this lake: stop it first"
	}
	return e.by.String() + " is writing to this lake: wait until it has ended"
}

// lockLake takes the lock. It fails with Locked, and a heldError as the cause, if another
// process has it.
func lockLake(dir, command string, now time.Time) (l *lock, err error) {
	for range 20 {
		l, err = tryLock(dir, command, now)
		held, ok := errors.AsType[*heldError](err)
		if !ok || alive(held.by.PID) {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	return l, err
}

// alive reports whether a process is there. If the holder that a lock names is not, another
// has just taken the lock and has not said so yet, or only looks (lakeIdle).
func alive(pid int) bool { return pid > 0 && !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// tryLock takes the lock, or fails with who holds it by what its file says.
func tryLock(dir, command string, now time.Time) (*lock, error) {
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
		var held heldError
		if text, err := io.ReadAll(file); err != nil || json.Unmarshal(text, &held.by) != nil {
			held.by = lockHolder{}
		}
		return nil, &tickerlake.Error{Code: tickerlake.Locked, Op: "lock the lake", Name: dir, Err: &held}
	}
	l := &lock{file: file, holder: lockHolder{PID: os.Getpid(), Command: command, Since: now.UTC()}}
	var left lockHolder // by a process that was killed
	if text, err := io.ReadAll(file); err == nil && json.Unmarshal(text, &left) == nil {
		l.before = left.Socket
	}
	if err := l.tell("", ""); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return l, nil
}

// readHolder reads who holds a lock that is held.
func readHolder(dir string) (h lockHolder, err error) {
	path := filepath.Join(dir, "lock")
	text, err := os.ReadFile(path)
	if err == nil && json.Unmarshal(text, &h) != nil {
		h = lockHolder{} // it is being written
	}
	if err != nil {
		err = diskError("lock the lake", path, err)
	}
	return h, err
}

// tell writes who holds the lock, and how it is reached.
func (l *lock) tell(socket, address string) error {
	l.holder.Socket, l.holder.Address = socket, address
	text, err := json.Marshal(l.holder)
	if err == nil {
		err = errors.Join(l.file.Truncate(0), writeAt(l.file, text))
	}
	if err != nil {
		return diskError("lock the lake", l.file.Name(), err)
	}
	return nil
}

func writeAt(f *os.File, text []byte) error {
	_, err := f.WriteAt(text, 0)
	return err
}

// release gives the lock back. The file stays: removing it would let two programs
// hold locks on two files of that name.
// A process that is being started has a copy of the file for a moment, which would hold
// the lock on if it were only closed.
func (l *lock) release() error {
	return errors.Join(l.file.Truncate(0), syscall.Flock(int(l.file.Fd()), syscall.LOCK_UN), l.file.Close())
}

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

// lakeIdle reports whether no process holds the lock of a lake.
func lakeIdle(dir string) bool {
	file, err := os.Open(filepath.Join(dir, "lock"))
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	defer file.Close()
	return syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil
}
