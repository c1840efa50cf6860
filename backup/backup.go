// Package backup keeps copies of a lake in a folder, on the same disk or another, while
// the lake goes on being written to, and makes a lake of such a copy.
//
// It is given a lake.Moment: the lake as it would be if the power had failed at that
// moment, which every part of the program can go on from. It hands on generations. A
// generation names every file of the lake at its moment, with size, checksums and time;
// what the files hold is in the folder once, however many generations need it, under the
// SHA-256 of its content. docs/format/backup.md has every byte.
//
// # What holds
//
// Every record that the lake had acknowledged at the moment is in a raw object of the
// generation or in its delivery log, and what was decided about it is decided there too.
// The reason is the order in which the stages write: an acknowledged record stays in the
// log until its object is durable and entered in the ledger, which is held still while
// the log is opened. So a record that the log no longer has is in an object that the
// ledger of the generation has, and an object that this ledger lacks is made again from
// the log under the same key.
//
// A generation is there, whole, or not at all: its file takes its place when all that it
// names is on disk, has been read back, and agrees with the checksums that the lake has
// recorded. What a backup that was cut off has copied is used by the next.
package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/tickerlake/tickerlake"
)

// A Problem is a file that is not as it should be.
type Problem struct {
	Path    string `json:"path"` // in the lake's folder
	Problem string `json:"problem"`
}

// A Progress is how far copying or reading has come.
type Progress struct {
	Files, AllFiles int64
	Bytes, AllBytes int64 // AllBytes is a guess where sizes are not known before
}

// failed gives a failure of the file system its code and a remedy.
func failed(op, path string, err error) error {
	if e, ok := errors.AsType[*tickerlake.Error](err); ok {
		return e
	}
	code := tickerlake.CodeOf(err)
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		code = tickerlake.Full
		err = fmt.Errorf("no room: free space on the disk and give the command again, which goes on where it stopped: %w", bare(err))
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		code = tickerlake.Denied
		err = fmt.Errorf("not permitted: make it readable and its folder writable for this user: %w", bare(err))
	case errors.Is(err, fs.ErrNotExist):
		code, err = tickerlake.NotFound, errors.New("there is no such file")
	default:
		err = bare(err)
	}
	return &tickerlake.Error{Code: code, Op: op, Name: path, Err: err}
}

// bare is an error of the file system without the path, which stands before it.
func bare(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	return err
}

// syncDir brings the entries of a folder to disk.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// makeDir makes a folder and those above it, each on disk before the next.
func makeDir(dir string, mode os.FileMode) error {
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
		}
		return nil
	}
	if err := makeDir(filepath.Dir(dir), mode); err != nil {
		return err
	}
	if err := os.Mkdir(dir, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// replace writes a whole file beside its place and renames it there, durably.
func replace(path string, text []byte) (err error) {
	file, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(err, os.Remove(path+".new"))
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
