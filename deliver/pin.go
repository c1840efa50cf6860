package deliver

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tickerlake/tickerlake"
)

// A Pinned is a log as it was at one moment: its segments, opened, each with the size
// that it had. What a stream appends, cuts off or deletes since is not seen, but for the
// bytes of a group that was being written, which no caller was answered for.
type Pinned struct {
	ID       string // of the log, hexadecimal; empty if there is none
	Segments []PinnedSegment
}

// A PinnedSegment is one of them, oldest first.
type PinnedSegment struct {
	Name string // in the folder of the log
	File *os.File
	Size int64
}

// Pin opens the log in dir as it is, also while a stream is open on it. All that was
// acknowledged before is in it, or in objects that are marked as delivered.
func Pin(dir string) (*Pinned, error) {
	const op = "deliver.Pin"
	for {
		p, whole, err := pinOnce(op, dir)
		if err == nil && whole {
			return p, nil
		}
		if err = errors.Join(err, p.Close()); err != nil {
			return nil, err
		}
	}
}

// pinOnce opens what a listing shows. It is not whole if a segment was deleted between
// the two: the mark that set it free may be in one that is not listed.
func pinOnce(op, dir string) (p *Pinned, whole bool, err error) {
	p = &Pinned{}
	// New segments follow the last: those that are listed are a part of the log without a
	// gap, and all but the last are closed.
	numbers, err := segmentNumbers(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return p, true, nil
	}
	if err != nil {
		return p, false, failed(op, dir, err)
	}
	log := segments{dir: dir}
	for _, n := range numbers {
		file, err := os.Open(log.path(n))
		if errors.Is(err, fs.ErrNotExist) {
			return p, false, nil
		}
		if err != nil {
			return p, false, failed(op, log.path(n), err)
		}
		s := PinnedSegment{Name: filepath.Base(log.path(n)), File: file}
		info, err := file.Stat()
		if err == nil {
			s.Size = info.Size()
		}
		p.Segments = append(p.Segments, s)
		if err != nil {
			return p, false, failed(op, log.path(n), err)
		}
		if p.ID != "" {
			continue
		}
		b := make([]byte, segmentHeader)
		k, _ := file.ReadAt(b, 0)
		if h, _, ok := decodeHeader(b[:k]); ok {
			p.ID = hex.EncodeToString(h.id[:])
		}
	}
	if p.ID == "" && len(p.Segments) > 1 {
		return p, false, tickerlake.Errorf(tickerlake.Damaged, op, dir, "neither copy of the header can be read in any segment: see tickerlake doctor")
	}
	return p, true, nil
}

// Close closes the segments.
func (p *Pinned) Close() error {
	var errs []error
	for _, s := range p.Segments {
		errs = append(errs, s.File.Close())
	}
	return errors.Join(errs...)
}
