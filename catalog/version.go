package catalog

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tickerlake/tickerlake"
)

// Where SQLite keeps user_version (https://www.sqlite.org/fileformat2.html): in the
// first page of the database, of which the write-ahead log may have a newer copy.
const (
	versionAt   = 60
	walHeader   = 32
	frameHeader = 24
)

// Version is the version of the format of the lake in dir, 0 if there is none yet. It
// only reads: neither the lake nor the files beside it change, as they would if SQLite
// opened them. A newer version than StateVersion is an error of code Invalid.
func Version(dir string) (int, error) {
	const op = "catalog.Version"
	path := filepath.Join(dir, "state.db")
	page, err := readAt(path, 0, versionAt+4)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, &tickerlake.Error{Code: tickerlake.Unavailable, Op: op, Name: path, Err: err}
	}
	version := 0
	if len(page) == versionAt+4 {
		version = int(binary.BigEndian.Uint32(page[versionAt:]))
	}
	logged, err := loggedVersion(path + "-wal")
	if err != nil {
		return 0, &tickerlake.Error{Code: tickerlake.Unavailable, Op: op, Name: path + "-wal", Err: err}
	}
	if logged > 0 {
		version = logged
	}
	if version > StateVersion {
		return version, newer(version)
	}
	return version, nil
}

// implausible is a version that no program will write: the bytes are damaged.
const implausible = 1 << 16

func newer(version int) error {
	if version >= implausible {
		return tickerlake.Errorf(tickerlake.Damaged, "catalog.Open", "state.db", "its header is damaged (version %d): see tickerlake doctor", version)
	}
	return tickerlake.Errorf(tickerlake.Invalid, "catalog.Open", "state.db",
		"the lake has format %d, this program knows formats up to %d: use a newer tickerlake", version, StateVersion)
}

// readAt reads up to n bytes of a file.
func readAt(path string, at int64, n int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	out := make([]byte, n)
	n, err = f.ReadAt(out, at)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return out[:n], err
}

// loggedVersion is that of the last first page in a write-ahead log, 0 if it has none.
// A frame of an earlier use of the log has another salt.
func loggedVersion(path string) (version int, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	head := make([]byte, walHeader)
	if _, err := io.ReadFull(f, head); err != nil {
		return 0, nil // empty, or cut short: SQLite takes nothing from it
	}
	size := int64(binary.BigEndian.Uint32(head[8:]))
	if size < 512 || size > 65536 {
		return 0, nil
	}
	frame := make([]byte, frameHeader+versionAt+4)
	for at := int64(walHeader); ; at += frameHeader + size {
		if n, err := f.ReadAt(frame, at); n < len(frame) {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return version, err
		}
		if string(frame[8:16]) != string(head[16:24]) {
			return version, nil
		}
		if binary.BigEndian.Uint32(frame) == 1 {
			version = int(binary.BigEndian.Uint32(frame[frameHeader+versionAt:]))
		}
	}
}
