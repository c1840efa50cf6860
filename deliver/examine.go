package deliver

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tickerlake/tickerlake"
)

// Examine reads the log in dir as it is, also while a stream is open on it, and gives
// what cannot be read. Bytes at the end of the last segment are left out: they may be
// being written, or are cut off when the stream is opened. It fails with Invalid if the
// log is of a newer program.
func Examine(dir string) ([]Damage, error) {
	const op = "deliver.Examine"
	numbers, err := segmentNumbers(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, failed(op, dir, err)
	}
	log := segments{dir: dir}
	if err := refuseNewer(op, &log, numbers); err != nil {
		return nil, err
	}
	var out []Damage
	var heads []header
	var texts [][]byte
	for i, n := range numbers {
		data, err := os.ReadFile(log.path(n))
		if errors.Is(err, fs.ErrNotExist) {
			data = nil // delivered meanwhile
		} else if err != nil {
			return out, failed(op, log.path(n), err)
		}
		if i > 0 && n != numbers[i-1]+1 {
			out = append(out, Damage{File: log.path(n - 1), Reason: "the file is missing"})
		}
		h, _, ok := decodeHeader(data)
		if ok {
			heads = append(heads, h)
		}
		texts = append(texts, data)
	}
	if len(heads) == 0 {
		if len(numbers) > 0 && len(texts[len(texts)-1]) > segmentHeader {
			out = append(out, Damage{File: log.path(numbers[0]), Bytes: segmentHeader, Reason: "neither copy of the header can be read in any segment, so none of the log can be"})
		}
		return out, nil
	}
	seed := seedOf(heads[0].id)
	for i, data := range texts {
		if len(data) <= segmentHeader {
			continue
		}
		path := log.path(numbers[i])
		h, gaps, ok := decodeHeader(data)
		if ok && h.id != heads[0].id {
			out = append(out, Damage{File: path, Bytes: segmentHeader, Reason: "the segment is of another delivery log"})
			continue
		}
		found := scan(seed, data[segmentHeader:], segmentHeader, func(int64, int, frame) {})
		if n := len(found); i == len(texts)-1 && n > 0 && found[n-1].offset+found[n-1].bytes == int64(len(data)) {
			found = found[:n-1]
		}
		for _, g := range append(gaps, found...) {
			out = append(out, Damage{File: path, Offset: g.offset, Bytes: g.bytes, Reason: "bytes that are not what was written"})
		}
	}
	aside, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix+damagedSuffix))
	if err != nil {
		return out, &tickerlake.Error{Code: tickerlake.Internal, Op: op, Name: dir, Err: err}
	}
	for _, path := range aside {
		out = append(out, Damage{File: path, Reason: "it held bytes that could not be read, and was put aside; what it had is asked for again if a source has it: delete it when you have looked at it"})
	}
	return out, nil
}
