package deliver

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/blob"
	"github.com/tickerlake/tickerlake/internal/fault"
)

// RedrivenPrefix begins the keys of error objects whose records were sent again; their
// old key follows.
const RedrivenPrefix = "redriven/"

// Objects is the bucket that error objects are in.
type Objects interface {
	Bucket
	Each(ctx context.Context, prefix, startAfter string, f func(tickerlake.Object) error) error
	Open(ctx context.Context, key string) (io.ReadCloser, error)
	Delete(ctx context.Context, key string) error
}

// A Redrive sends the records of error objects through their stream again. It reads what
// the error prefix holds: JSON documents a line, as Firehose writes them.
type Redrive struct {
	Config  Config // of the stream
	Name    string // of the stream
	Objects Objects
	// Put hands records to the stream and returns when they are durable.
	Put func(ctx context.Context, records ...tickerlake.Record) error
	// Keys gives the partition keys of a record, which its error object does not have.
	Keys func(data []byte) map[string]string
}

// An ErrorObject is an object of the error prefix.
type ErrorObject struct {
	Key     string    `json:"key"`
	Size    int64     `json:"size"`
	Records int64     `json:"records"`
	Code    string    `json:"error_code,omitempty"`    // of its first record
	Message string    `json:"error_message,omitempty"` // the same
	Arrived time.Time `json:"arrived,omitzero"`        // when its oldest record came
	// MovedTo is where it is once its records were sent; Error why they were not.
	MovedTo string `json:"moved_to,omitempty"`
	Error   string `json:"error,omitempty"`
}

// batchRecords and batchBytes bound what is handed to the stream at a time, as
// PutRecordBatch does.
const (
	batchRecords = 500
	batchBytes   = 4 << 20
)

// objectForm is that of the name of an object of any stream below its prefix.
var objectForm = regexp.MustCompile(`^(.+)-\d+-\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?:\.gz)?$`)

// List gives the keys of the error objects of the stream, in order.
func (r Redrive) List(ctx context.Context) ([]ErrorObject, error) {
	fixed, _, _ := strings.Cut(r.Config.ErrorPrefix, "!{")
	folder := fixed[:strings.LastIndexByte(fixed, '/')+1]
	var out []ErrorObject
	err := r.Objects.Each(ctx, folder, "", func(o tickerlake.Object) error {
		of := objectForm.FindStringSubmatch(path.Base(o.Key))
		if of == nil || of[1] != r.Name || strings.HasPrefix(o.Key, RedrivenPrefix) {
			return nil
		}
		// Without a folder of their own they are told from others by the kind of error.
		if folder == "" && !strings.Contains(o.Key, failedType) && !strings.Contains(o.Key, exceededType) {
			return nil
		}
		out = append(out, ErrorObject{Key: o.Key, Size: o.Size})
		return nil
	})
	return out, err
}

// Look reads an error object and tells what is in it.
func (r Redrive) Look(ctx context.Context, o *ErrorObject) error {
	return r.each(ctx, o, func(tickerlake.Record) error { return nil })
}

// Send sends the records of an error object again, and then moves it to RedrivenPrefix.
// The copy there is the mark that all of them are durable: cut off before it, all are
// sent again by the next call, and what the stream has then twice differs in nothing. An
// object that cannot be read to its end is left alone, and nothing of it is sent.
func (r Redrive) Send(ctx context.Context, o *ErrorObject) error {
	const op = "deliver.Redrive"
	target := RedrivenPrefix + o.Key
	switch _, err := r.Objects.Head(ctx, target); {
	case err == nil: // all that is left is to remove it
	case !errors.Is(err, tickerlake.NotFound):
		return err
	default:
		if err := r.Look(ctx, o); err != nil {
			return err
		}
		if err := r.send(ctx, o); err != nil {
			return err
		}
		fault.Point("redrive.sent")
		body, err := r.Objects.Open(ctx, o.Key)
		if err != nil {
			return err
		}
		_, err = r.Objects.Put(ctx, target, body, blob.Condition{IfAbsent: true})
		if err = errors.Join(err, body.Close()); err != nil {
			return &tickerlake.Error{Code: tickerlake.CodeOf(err), Op: op, Name: o.Key, Err: err}
		}
		fault.Point("redrive.copied")
	}
	if err := r.Objects.Delete(ctx, o.Key); err != nil {
		return err
	}
	fault.Point("redrive.moved")
	o.MovedTo = target
	return nil
}

// send hands the records to the stream, in their order.
func (r Redrive) send(ctx context.Context, o *ErrorObject) error {
	var batch []tickerlake.Record
	size := 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := r.Put(ctx, batch...)
		batch, size = batch[:0], 0
		return err
	}
	err := r.each(ctx, o, func(record tickerlake.Record) error {
		if len(batch) == batchRecords || size+len(record.Data) > batchBytes {
			if err := flush(); err != nil {
				return err
			}
		}
		batch = append(batch, record)
		size += len(record.Data)
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}

// each calls f for the records of an error object, and enters in it what they say.
func (r Redrive) each(ctx context.Context, o *ErrorObject, f func(tickerlake.Record) error) error {
	damaged := func(line int64, why error) error {
		return tickerlake.Errorf(tickerlake.Damaged, "deliver.Redrive", fmt.Sprintf("%s:%d", o.Key, line), "%w: nothing of the object is sent; mend it, or leave it where it is", why)
	}
	body, err := r.Objects.Open(ctx, o.Key)
	if err != nil {
		return err
	}
	defer body.Close()
	lines := bufio.NewReaderSize(body, 64<<10)
	if magic, _ := lines.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(lines)
		if err != nil {
			return damaged(1, err)
		}
		lines = bufio.NewReaderSize(z, 64<<10)
	}
	o.Records = 0
	for n := int64(1); ; n++ {
		line, err := lines.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return damaged(n, err)
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			var e struct {
				errorRecord
				RawData *string `json:"rawData"`
			}
			if jerr := json.Unmarshal(line, &e); jerr != nil {
				return damaged(n, jerr)
			}
			if e.RawData == nil {
				return damaged(n, errors.New("the document has no rawData"))
			}
			data, berr := base64.StdEncoding.DecodeString(*e.RawData)
			if berr != nil {
				return damaged(n, berr)
			}
			if o.Records++; o.Records == 1 {
				o.Code, o.Message = e.ErrorCode, e.ErrorMessage
			}
			if at := time.UnixMilli(e.ArrivalTimestamp).UTC(); o.Arrived.IsZero() || at.Before(o.Arrived) {
				o.Arrived = at
			}
			if ferr := f(tickerlake.Record{Data: data, Keys: r.Keys(data)}); ferr != nil {
				return ferr
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}

// Choose gives those of the objects that are named, all if none is.
func Choose(all []ErrorObject, names []string) ([]ErrorObject, error) {
	if len(names) == 0 {
		return all, nil
	}
	var out []ErrorObject
	for _, name := range names {
		key := strings.TrimPrefix(name, "s3://raw/")
		i := slices.IndexFunc(all, func(o ErrorObject) bool { return o.Key == key })
		if i < 0 {
			return nil, tickerlake.Errorf(tickerlake.NotFound, "deliver.Redrive", name, "there is no such error object: tickerlake redrive --list shows them")
		}
		out = append(out, all[i])
	}
	return out, nil
}
