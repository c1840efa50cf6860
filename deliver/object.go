package deliver

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/klauspost/compress/gzip"
)

// An object is built by a worker, which uses one again and again.
type object struct {
	body bytes.Buffer
	gz   *gzip.Writer
	read []byte
}

// keepBody is how large a body a worker keeps for the next object.
const keepBody = 16 << 20

// build reads the records of a batch from the log and makes the object's bytes:
// the records one after another as they came or, on the error path, a JSON document
// a line. Equal batches give equal bytes. Frames that cannot be read are left out
// and told to lost; the others of the batch are there.
func (o *object) build(s *segments, b *batch, extents []extent, lost func(Damage)) (records int64, err error) {
	if o.body.Cap() > keepBody {
		o.body = bytes.Buffer{}
	}
	o.body.Reset()
	var w io.Writer = &o.body
	if b.gzip {
		if o.gz == nil {
			if o.gz, err = gzip.NewWriterLevel(&o.body, gzip.BestSpeed); err != nil {
				return 0, err
			}
		}
		o.gz.Reset(&o.body) // the header says neither name nor time
		w = o.gz
	}
	files := map[uint64]*os.File{}
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	for _, e := range extents {
		n, err := o.copyExtent(w, s, files, b, e, lost)
		if err != nil {
			return 0, err
		}
		records += n
	}
	if b.gzip {
		if err := o.gz.Close(); err != nil {
			return 0, err
		}
	}
	return records, nil
}

func (o *object) copyExtent(w io.Writer, s *segments, files map[uint64]*os.File, b *batch, e extent, lost func(Damage)) (records int64, err error) {
	f, ok := files[e.segment]
	if !ok {
		f, err = os.Open(s.path(e.segment))
		if errors.Is(err, fs.ErrNotExist) {
			lost(Damage{File: s.path(e.segment), Offset: e.offset, Bytes: e.bytes, Reason: "the file is missing"})
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		files[e.segment] = f
	}
	if int64(cap(o.read)) < e.bytes {
		o.read = make([]byte, e.bytes)
	}
	data := o.read[:e.bytes]
	n, err := f.ReadAt(data, e.offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	data = data[:n]
	gaps := scan(s.seed, data, e.offset, func(offset int64, size int, f frame) {
		if err != nil && !errors.Is(err, io.EOF) {
			return
		}
		if f.kind != kindRecord || f.seq < e.first || f.seq >= e.first+uint64(e.count) {
			lost(Damage{File: s.path(e.segment), Offset: offset, Bytes: int64(size), Reason: "a frame that does not belong there"})
			return
		}
		_, record, derr := decodeRecord(f.body)
		if derr != nil {
			lost(Damage{File: s.path(e.segment), Offset: offset, Bytes: int64(size), Reason: derr.Error()})
			return
		}
		if werr := writeRecord(w, b, f, record); werr != nil {
			err = werr
			return
		}
		records++
	})
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if int64(n) < e.bytes {
		gaps = append(gaps, gap{e.offset + int64(n), e.bytes - int64(n)})
	}
	for _, g := range gaps {
		lost(Damage{File: s.path(e.segment), Offset: g.offset, Bytes: g.bytes, Reason: "bytes that are not what was written"})
	}
	return records, nil
}

var newline = []byte("\n")

func writeRecord(w io.Writer, b *batch, f frame, record []byte) error {
	if b.isError() {
		return writeError(w, b, f, record)
	}
	_, err := w.Write(record)
	if err == nil && b.delimiter {
		_, err = w.Write(newline)
	}
	return err
}

// An errorRecord is how Firehose tells of a record that it could not deliver.
type errorRecord struct {
	AttemptsMade           int    `json:"attemptsMade"`
	ArrivalTimestamp       int64  `json:"arrivalTimestamp"`
	ErrorCode              string `json:"errorCode"`
	ErrorMessage           string `json:"errorMessage"`
	AttemptEndingTimestamp int64  `json:"attemptEndingTimestamp"`
	RawData                string `json:"rawData"`
}

func writeError(w io.Writer, b *batch, f frame, record []byte) error {
	line, err := json.Marshal(errorRecord{
		AttemptsMade:           1,
		ArrivalTimestamp:       f.at,
		ErrorCode:              b.code,
		ErrorMessage:           b.message,
		AttemptEndingTimestamp: b.decided.UnixMilli(),
		RawData:                base64.StdEncoding.EncodeToString(record),
	})
	if err != nil {
		return fmt.Errorf("error object: %w", err)
	}
	_, err = w.Write(append(line, '\n'))
	return err
}
