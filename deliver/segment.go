package deliver

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/internal/fault"
)

const (
	segmentMagic   = "TLDELIV1"
	segmentHeader  = 128 // two equal copies of headerCopy bytes
	headerCopy     = 64
	segmentBytes   = 32 << 20 // a segment that has reached this is followed by a new one
	segmentSuffix  = ".log"
	damagedSuffix  = ".damaged"
	segmentNameLen = 10
)

// A header begins each segment, twice, so that one damaged copy costs nothing.
type header struct {
	id          [16]byte // the log's, random, the same in all its segments
	number      uint64   // the segment's, from 1
	version     uint64   // the stream's, one more at each change of configuration
	next        uint64   // no frame of the segment has a lower sequence number
	fingerprint uint64   // of the configuration
}

func (h header) encode() []byte {
	b := make([]byte, 0, segmentHeader)
	b = append(b, segmentMagic...)
	b = append(b, h.id[:]...)
	for _, v := range []uint64{h.number, h.version, h.next, h.fingerprint, 0} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = b[:headerCopy-4]
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return append(b, b...)
}

// decodeHeader reads a header and the places of copies that are damaged.
func decodeHeader(b []byte) (h header, gaps []gap, ok bool) {
	for at := int64(0); at < segmentHeader; at += headerCopy {
		c, good := decodeCopy(b, at)
		if !good {
			gaps = append(gaps, gap{at, headerCopy})
			continue
		}
		h, ok = c, true
	}
	return h, gaps, ok
}

func decodeCopy(b []byte, at int64) (h header, ok bool) {
	if int64(len(b)) < at+headerCopy {
		return h, false
	}
	b = b[at : at+headerCopy]
	if !bytes.HasPrefix(b, []byte(segmentMagic)) || binary.LittleEndian.Uint32(b[60:]) != crc32.Checksum(b[:60], castagnoli) {
		return h, false
	}
	copy(h.id[:], b[8:])
	h.number = binary.LittleEndian.Uint64(b[24:])
	h.version = binary.LittleEndian.Uint64(b[32:])
	h.next = binary.LittleEndian.Uint64(b[40:])
	h.fingerprint = binary.LittleEndian.Uint64(b[48:])
	return h, true
}

// A segment is one file of the log.
type segment struct {
	number  uint64
	size    int64
	live    int64 // records not delivered yet, and decisions not marked as done
	damaged bool  // kept aside instead of deleted
}

// A segments is the files of a log: append-only, deleted from the oldest on.
type segments struct {
	dir   string
	limit int64 // bytes at which a new segment follows
	head  header
	seed  uint32 // the checksums' beginning

	file *os.File // of the last segment; nil after a failure, then a new one follows
	list []*segment
}

func seedOf(id [16]byte) uint32 { return crc32.Checksum(id[:], castagnoli) }

func (s *segments) last() *segment { return s.list[len(s.list)-1] }

func (s *segments) path(number uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%0*d%s", segmentNameLen, number, segmentSuffix))
}

// segmentNumbers lists the segments of a folder, oldest first.
func segmentNumbers(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), segmentSuffix)
		if !ok || len(name) < segmentNameLen {
			continue
		}
		if n, err := strconv.ParseUint(name, 10, 64); err == nil && n > 0 {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// create makes the segment after the last one; its header and its name are on
// disk when it returns. The list is the caller's to change.
func (s *segments) create(number, next uint64) (*segment, error) {
	h := s.head
	h.number, h.next = number, next
	path := s.path(number)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(h.encode())
	if err == nil {
		err = syncData(f)
	}
	if err == nil {
		err = syncDir(s.dir)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	s.file = f
	return &segment{number: number, size: segmentHeader}, nil
}

// write appends bytes and brings them to disk. After a failure the segment is cut
// back to what it held, and closed: what an fsync has failed on cannot be trusted
// to be written by the next. Clean says that no trace of the bytes is left.
func (s *segments) write(b []byte, size int64) (clean bool, err error) {
	_, err = s.file.Write(b)
	if err == nil {
		fault.Point("deliver.written")
		err = syncData(s.file)
	}
	if err == nil {
		fault.Point("deliver.synced")
		return false, nil
	}
	undo := s.file.Truncate(size)
	if undo == nil {
		undo = syncData(s.file)
	}
	err = errors.Join(err, undo, s.file.Close())
	s.file = nil
	return undo == nil, err
}

// remove deletes a segment, or puts it aside if it is damaged.
func (s *segments) remove(g *segment) error {
	path := s.path(g.number)
	var err error
	if g.damaged {
		err = os.Rename(path, path+damagedSuffix)
	} else {
		err = os.Remove(path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	fault.Point("deliver.segment_deleted")
	return nil
}

func (s *segments) close() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// makeDir creates a folder and those above it, each on disk before the next.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := makeDir(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// failed reports an error of the log's disk.
func failed(op, name string, err error) error {
	code := tickerlake.CodeOf(err)
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		code = tickerlake.Full
		err = fmt.Errorf("no room for the delivery log: free space on the disk, or raise the quota or file size limit: %w", err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		code = tickerlake.Denied
		err = fmt.Errorf("not permitted: make the folder writable for this user, and its disk not read-only: %w", err)
	}
	return &tickerlake.Error{Code: code, Op: op, Name: name, Err: err}
}
