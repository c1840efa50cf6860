package deliver

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// A frame is one entry of the log. docs/format/delivery-log.md has every byte.
//
//	0  4  CRC32C of bytes 8 to 29, begun with the log's id
//	4  4  CRC32C of the body, begun with the log's id
//	8  4  length of the body
//	12 1  kind
//	13 8  sequence number
//	21 8  arrival time, Unix milliseconds
//	29    body
//
// The checksums begin with the log's random id, so that bytes within a record
// cannot pass for a frame when a reader looks for the next one after damage.
type frame struct {
	kind byte
	seq  uint64
	at   int64
	body []byte
}

const (
	frameHeader = 29
	maxBody     = 16 << 20

	kindRecord    = 1 // a record: its keys and data
	kindBatch     = 2 // the decision which records make an object
	kindDelivered = 3 // an object is stored and told of
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errCut  = errors.New("the frame is cut short")
	errHead = errors.New("no frame begins here")
	errBody = errors.New("the body of the frame is not what was written")
)

// begin reserves the header of a frame; the body is appended, then finish called.
func beginFrame(dst []byte) []byte {
	var header [frameHeader]byte
	return append(dst, header[:]...)
}

// finishFrame fills the header of the frame that begins at start and ends dst.
func finishFrame(seed uint32, dst []byte, start int, kind byte, seq uint64, at int64) {
	f := dst[start:]
	binary.LittleEndian.PutUint32(f[4:], crc32.Update(seed, castagnoli, f[frameHeader:]))
	binary.LittleEndian.PutUint32(f[8:], uint32(len(f)-frameHeader))
	f[12] = kind
	binary.LittleEndian.PutUint64(f[13:], seq)
	binary.LittleEndian.PutUint64(f[21:], uint64(at))
	binary.LittleEndian.PutUint32(f, crc32.Update(seed, castagnoli, f[8:frameHeader]))
}

// decodeFrame reads the frame that data begins with and gives its whole size. With
// errBody the header can be trusted, and size leads to the next frame.
func decodeFrame(seed uint32, data []byte) (f frame, size int, err error) {
	if len(data) < frameHeader {
		return f, 0, errCut
	}
	if crc32.Update(seed, castagnoli, data[8:frameHeader]) != binary.LittleEndian.Uint32(data) {
		return f, 0, errHead
	}
	length := binary.LittleEndian.Uint32(data[8:])
	f.kind = data[12]
	f.seq = binary.LittleEndian.Uint64(data[13:])
	f.at = int64(binary.LittleEndian.Uint64(data[21:]))
	if length > maxBody || f.kind < kindRecord || f.kind > kindDelivered {
		return f, 0, errHead
	}
	size = frameHeader + int(length)
	if size > len(data) {
		return f, 0, errCut
	}
	f.body = data[frameHeader:size:size]
	if crc32.Update(seed, castagnoli, f.body) != binary.LittleEndian.Uint32(data[4:]) {
		return f, size, errBody
	}
	return f, size, nil
}

// A gap is a run of bytes that cannot be read as frames.
type gap struct {
	offset, bytes int64
}

// scan reads the frames of data, which lies at offset base of its file, and finds
// the next good frame after damage. Sequence numbers rise; a frame whose number
// does not is damage too.
func scan(seed uint32, data []byte, base int64, each func(offset int64, size int, f frame)) (gaps []gap) {
	var last uint64
	bad := -1
	end := func(at int) {
		if bad >= 0 {
			gaps = append(gaps, gap{base + int64(bad), int64(at - bad)})
			bad = -1
		}
	}
	for at := 0; at < len(data); {
		f, size, err := decodeFrame(seed, data[at:])
		if err == nil && f.seq > last {
			end(at)
			each(base+int64(at), size, f)
			last = f.seq
			at += size
			continue
		}
		if bad < 0 {
			bad = at
		}
		// A trusted length leads over a damaged body; else look at each byte.
		at += max(size, 1)
	}
	end(len(data))
	return gaps
}

// appendRecord writes the body of a record: the number of its keys, each name and
// value with its length, names in order, then the data.
func appendRecord(dst []byte, names []string, keys map[string]string, data []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(names)))
	for _, name := range names {
		dst = appendString(dst, name)
		dst = appendString(dst, keys[name])
	}
	return append(dst, data...)
}

func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// decodeRecord reads the body of a record.
func decodeRecord(body []byte) (keys map[string]string, data []byte, err error) {
	d := decoder{rest: body}
	n := d.uvarint()
	if n > MaxKeys {
		return nil, nil, errBody
	}
	if n > 0 {
		keys = make(map[string]string, n)
	}
	for range n {
		name := d.text()
		keys[name] = d.text()
	}
	if d.failed {
		return nil, nil, errBody
	}
	return keys, d.rest, nil
}

// A decoder reads the fields of a body, and remembers if one could not be read.
type decoder struct {
	rest   []byte
	failed bool
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.failed = true
		d.rest = nil
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) text() string {
	n := d.uvarint()
	if n > uint64(len(d.rest)) {
		d.failed = true
		d.rest = nil
		return ""
	}
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}
