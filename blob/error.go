package blob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/tickerlake/tickerlake"
)

// codeOf classifies an error of the file system.
func codeOf(err error) tickerlake.Code {
	switch {
	case errors.Is(err, context.Canceled):
		return tickerlake.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return tickerlake.Timeout
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return tickerlake.Full
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return tickerlake.Denied
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR),
		errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, syscall.ELOOP), errors.Is(err, fs.ErrExist):
		return tickerlake.Invalid
	case errors.Is(err, fs.ErrNotExist):
		return tickerlake.NotFound
	default:
		return tickerlake.CodeOf(err)
	}
}

// failed reports an error of the file system as the contract wants it.
func failed(op, name string, err error) error {
	if e, ok := errors.AsType[*tickerlake.Error](err); ok {
		return e
	}
	code := codeOf(err)
	switch code {
	case tickerlake.Full:
		err = fmt.Errorf("no room: free space on the disk, or raise the quota or file size limit: %w", err)
	case tickerlake.Denied:
		err = fmt.Errorf("not permitted: make the folder writable for this user, and its disk not read-only: %w", err)
	case tickerlake.NotFound:
		err = errors.New("no such object")
	}
	return &tickerlake.Error{Code: code, Op: op, Name: name, Err: err}
}

// failed names the object by its file, which is what one has to look at on a disk,
// unless it is simply not there.
func (d *Dir) failed(op, key string, err error) error {
	switch code := codeOf(err); {
	case errors.Is(err, syscall.ENOTDIR) && (op == "blob.Get" || op == "blob.Head"):
		return failed(op, key, fs.ErrNotExist)
	case code == tickerlake.NotFound, code == tickerlake.Canceled, code == tickerlake.Timeout:
		return failed(op, key, err)
	case code == tickerlake.Invalid:
		return tickerlake.Errorf(code, op, key, "a key cannot lie below another key, nor be a folder of keys: %w", err)
	}
	if link := d.linkIn(key); link != "" {
		return tickerlake.Errorf(tickerlake.Denied, op, key, "%s is a symbolic link that leads out of the bucket: put a real folder in its place", filepath.Join(d.path, link))
	}
	return failed(op, filepath.Join(d.path, filepath.FromSlash(key)), err)
}

// linkIn is the first part of a key that is a symbolic link.
func (d *Dir) linkIn(key string) string {
	at := ""
	for segment := range strings.SplitSeq(key, "/") {
		at = path.Join(at, segment)
		info, err := d.root.Lstat(at)
		if err != nil {
			return ""
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return at
		}
	}
	return ""
}
