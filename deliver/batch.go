package deliver

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// A destination is where a record belongs: an evaluated prefix, and for one that
// cannot be delivered as meant the error that its object tells.
type destination struct {
	prefix        string
	code, message string
}

func (d *destination) isError() bool { return d.code != "" }

// An extent is a run of frames of one destination that lie one after another.
type extent struct {
	segment uint64
	offset  int64
	bytes   int64
	first   uint64 // sequence number of the first; the others follow without a gap
	count   int64
}

// maxExtent bounds what is read from the log at a time.
const maxExtent = 1 << 20

// A buffer gathers the records of one destination until they make an object. It
// knows where they are in the log, not what they say.
type buffer struct {
	destination
	extents []extent
	raw     int64     // bytes of data
	count   int64     // records
	oldest  time.Time // arrival of the first record
}

// add takes an extent and reports whether it needed an entry of its own.
func (b *buffer) add(e extent) bool {
	if n := len(b.extents); n > 0 {
		last := &b.extents[n-1]
		if last.segment == e.segment && last.offset+last.bytes == e.offset &&
			last.first+uint64(last.count) == e.first && last.bytes+e.bytes <= maxExtent {
			last.bytes += e.bytes
			last.count += e.count
			return false
		}
	}
	b.extents = append(b.extents, e)
	return true
}

// A batch is the decision which records make an object and what it is called.
type batch struct {
	destination
	key       string
	oldest    time.Time
	decided   time.Time
	gzip      bool
	delimiter bool
	raw       int64
	count     int64
	first     uint64 // sequence number of its first record, which identifies it
	extents   []extent

	// Where its frame is, once logged. Long lists of extents are read again there.
	segment       uint64
	offset, bytes int64
	extentCount   int
	attempts      int64
	done          chan struct{} // closed when it is delivered and marked
	over          chan struct{} // closed when Run has given it up for this time
}

// keepExtents is how many extents a waiting batch keeps in memory.
const keepExtents = 64

const (
	flagGzip = 1 << iota
	flagDelimiter
)

// appendBatch writes the body of a decision.
func appendBatch(dst []byte, b *batch) []byte {
	flags := byte(0)
	if b.gzip {
		flags |= flagGzip
	}
	if b.delimiter {
		flags |= flagDelimiter
	}
	dst = append(dst, flags)
	for _, s := range []string{b.prefix, b.code, b.message, b.key} {
		dst = appendString(dst, s)
	}
	for _, v := range []int64{b.oldest.UnixMilli(), b.decided.UnixMilli(), b.raw, b.count, int64(len(b.extents))} {
		dst = binary.AppendUvarint(dst, uint64(v))
	}
	for _, e := range b.extents {
		for _, v := range []uint64{e.segment, uint64(e.offset), uint64(e.bytes), e.first, uint64(e.count)} {
			dst = binary.AppendUvarint(dst, v)
		}
	}
	return dst
}

// decodeBatch reads the body of a decision.
func decodeBatch(body []byte) (*batch, error) {
	if len(body) == 0 {
		return nil, errBody
	}
	b := &batch{gzip: body[0]&flagGzip != 0, delimiter: body[0]&flagDelimiter != 0, done: make(chan struct{}), over: make(chan struct{})}
	d := decoder{rest: body[1:]}
	b.prefix, b.code, b.message, b.key = d.text(), d.text(), d.text(), d.text()
	b.oldest = time.UnixMilli(int64(d.uvarint())).UTC()
	b.decided = time.UnixMilli(int64(d.uvarint())).UTC()
	b.raw, b.count = int64(d.uvarint()), int64(d.uvarint())
	n := d.uvarint()
	if d.failed || n == 0 || n > uint64(len(d.rest)) {
		return nil, errBody
	}
	b.extents = make([]extent, n)
	for i := range b.extents {
		e := &b.extents[i]
		e.segment, e.offset, e.bytes = d.uvarint(), int64(d.uvarint()), int64(d.uvarint())
		e.first, e.count = d.uvarint(), int64(d.uvarint())
		// Frames of a record each, so that no list of nonsense makes us work or read
		// without bound.
		if e.offset < 0 || e.bytes < 0 || e.count < 1 || e.bytes > maxExtent+frameHeader+maxBody ||
			e.count > e.bytes/frameHeader || e.first+uint64(e.count) < e.first {
			return nil, errBody
		}
	}
	if d.failed || len(d.rest) > 0 {
		return nil, errBody
	}
	b.first = b.extents[0].first
	b.extentCount = len(b.extents)
	return b, nil
}

// name gives the object its key:
//
//	<prefix><stream>-<version>-yyyy-MM-dd-HH-mm-ss-<uuid>[.gz]
//
// with the time of the oldest record in the stream's zone. The UUID is derived
// from what the object is, so that the same decision has the same key.
func (b *batch) name(id [16]byte, stream string, version uint64, zone *time.Location) {
	h := sha256.New()
	var text []byte
	text = append(text, id[:]...)
	text = appendString(text, stream)
	text = binary.AppendUvarint(text, version)
	text = appendString(text, b.prefix)
	for i := 0; i < len(b.extents); {
		// Neighbours count as one range, whatever pieces they are kept in.
		first, count := b.extents[i].first, uint64(0)
		for ; i < len(b.extents) && b.extents[i].first == first+count; i++ {
			count += uint64(b.extents[i].count)
		}
		text = binary.AppendUvarint(text, first)
		text = binary.AppendUvarint(text, count)
		if len(text) > 4096 {
			h.Write(text)
			text = text[:0]
		}
	}
	h.Write(text)
	sum := [sha256.Size]byte(h.Sum(nil))

	var key strings.Builder
	used := byte(0)
	for i := range len(b.prefix) {
		if b.prefix[i] == randomMark {
			key.WriteString(randomText(sum, used))
			used++
			continue
		}
		key.WriteByte(b.prefix[i])
	}
	fmt.Fprintf(&key, "%s-%d-%s-%s", stream, version, b.oldest.In(zone).Format("2006-01-02-15-04-05"), uuid(sum))
	if b.gzip {
		key.WriteString(".gz")
	}
	b.key = key.String()
}

// uuid makes a UUID of version 8 (RFC 9562: contents of one's own).
func uuid(sum [sha256.Size]byte) string {
	sum[6] = sum[6]&0x0f | 0x80
	sum[8] = sum[8]&0x3f | 0x80
	t := hex.EncodeToString(sum[:16])
	return t[:8] + "-" + t[8:12] + "-" + t[12:16] + "-" + t[16:20] + "-" + t[20:]
}

// randomText is the random string of the expression that is used n-th in a key.
func randomText(sum [sha256.Size]byte, n byte) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	sum = sha256.Sum256(append(sum[:], n))
	var text [randomLength]byte
	for i := range text {
		text[i] = letters[int(sum[i])%len(letters)]
	}
	return string(text[:])
}
