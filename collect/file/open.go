package file

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
	"unicode/utf8"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/tickerlake/tickerlake"
)

// The forms of files. They are told by their first bytes, not by their names.
const (
	formCSV     = "csv"
	formNDJSON  = "ndjson"
	formArray   = "json" // one array of objects
	formParquet = "parquet"
)

// An input is an open file.
type input struct {
	name        string
	file        *os.File
	info        os.FileInfo
	form        string
	compression string // gzip, zstd, bzip2 or empty
	read        int64  // bytes of the file as it lies there, in this pass
	onRead      func(fraction float64)
}

// headBytes is how much of a file tells its form.
const headBytes = 64 << 10

// open opens a file and finds out what it is.
func open(path, name string) (_ *input, err error) {
	f, err := os.Open(path)
	if err != nil {
		code := tickerlake.Denied
		if errors.Is(err, os.ErrNotExist) {
			code = tickerlake.NotFound
		}
		return nil, failure(name, code, "cannot be opened: %w", pathless(err))
	}
	in := &input{name: name, file: f, onRead: func(float64) {}}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	if in.info, err = f.Stat(); err != nil {
		return nil, failure(name, tickerlake.Unavailable, "%w", pathless(err))
	}
	if !in.info.Mode().IsRegular() {
		return nil, failure(name, tickerlake.Invalid, "is no regular file")
	}
	head := make([]byte, 8)
	n, err := io.ReadFull(f, head)
	if n == 0 && errors.Is(err, io.EOF) {
		return nil, failure(name, tickerlake.Invalid, "is empty")
	}
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, failure(name, tickerlake.Unavailable, "cannot be read: %w", pathless(err))
	}
	head = head[:n]
	for _, magic := range []struct{ begin, what string }{
		{"\x1f\x8b", "gzip"}, {"\x28\xb5\x2f\xfd", "zstd"}, {"BZh", "bzip2"},
		{"PK\x03\x04", "zip"}, {"\xfd7zXZ", "xz"}, {"7z\xbc\xaf", "7z"},
	} {
		if bytes.HasPrefix(head, []byte(magic.begin)) {
			in.compression = magic.what
		}
	}
	switch in.compression {
	case "zip", "xz", "7z":
		return nil, failure(name, tickerlake.Invalid, "is packed with %s, which is not read: unpack it first (gzip, zstd and bzip2 are read as they are)", in.compression)
	}
	body, err := in.body()
	if err != nil {
		return nil, err
	}
	defer body.Close()
	text := make([]byte, headBytes)
	n, err = io.ReadFull(body, text)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) || n == 0 && !errors.Is(err, io.EOF) {
		return nil, in.damaged(err)
	}
	in.form, err = formOf(name, text[:n])
	return in, err
}

func (in *input) close() error { return in.file.Close() }

// damaged is the failure of reading the file.
func (in *input) damaged(err error) error {
	if in.compression != "" {
		return failure(in.name, tickerlake.Damaged, "cannot be unpacked (%s): %w", in.compression, err)
	}
	return failure(in.name, tickerlake.Unavailable, "cannot be read: %w", pathless(err))
}

// formOf tells the form by the first bytes.
func formOf(name string, head []byte) (string, error) {
	if bytes.HasPrefix(head, []byte("PAR1")) {
		return formParquet, nil
	}
	utf16 := bytes.HasPrefix(head, []byte("\xff\xfe")) || bytes.HasPrefix(head, []byte("\xfe\xff"))
	if !utf16 && len(head) >= 4 { // without a mark every second byte of plain text is 0
		utf16 = head[0] == 0 && head[2] == 0 && head[1] != 0 || head[1] == 0 && head[3] == 0 && head[0] != 0
	}
	if utf16 {
		return "", failure(name, tickerlake.Invalid, "is UTF-16 text: save it as UTF-8 (iconv -f UTF-16 -t UTF-8)")
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(head, byteOrderMark), " \t\r\n")
	switch {
	case len(text) == 0 && len(head) < headBytes:
		return "", failure(name, tickerlake.Invalid, "is empty")
	case bytes.IndexByte(head, 0) >= 0:
		return "", failure(name, tickerlake.Invalid, "is neither text nor Parquet: CSV, NDJSON, a JSON array and Parquet are read")
	case bytes.HasPrefix(text, []byte("{")):
		return formNDJSON, nil
	case bytes.HasPrefix(text, []byte("[")):
		return formArray, nil
	case bytes.HasPrefix(bytes.ToLower(text[:min(len(text), 32)]), []byte("<!doctype")), bytes.HasPrefix(bytes.ToLower(text[:min(len(text), 32)]), []byte("<html")):
		return "", failure(name, tickerlake.Invalid, "is a web page: its download did not give the prices")
	}
	return formCSV, nil
}

var byteOrderMark = []byte("\ufeff")

// format names the form for people.
func (in *input) format() string {
	if in.compression != "" {
		return in.form + ", " + in.compression
	}
	return in.form
}

// A countingReader tells how much of the file was read.
type countingReader struct{ in *input }

func (c countingReader) Read(p []byte) (int, error) {
	n, err := c.in.file.Read(p)
	c.in.read += int64(n)
	c.in.onRead(float64(c.in.read) / float64(max(c.in.info.Size(), 1)))
	return n, err
}

// body reads the file from its beginning, unpacked.
func (in *input) body() (io.ReadCloser, error) {
	if _, err := in.file.Seek(0, io.SeekStart); err != nil {
		return nil, in.damaged(err)
	}
	in.read = 0
	return in.unpack(countingReader{in})
}

func (in *input) unpack(r io.Reader) (io.ReadCloser, error) {
	switch in.compression {
	case "gzip":
		z, err := gzip.NewReader(bufio.NewReaderSize(r, 256<<10))
		if err != nil {
			return nil, in.damaged(err)
		}
		return z, nil
	case "zstd":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<30))
		if err != nil {
			return nil, in.damaged(err)
		}
		return z.IOReadCloser(), nil
	case "bzip2":
		return io.NopCloser(bzip2.NewReader(bufio.NewReaderSize(r, 256<<10))), nil
	}
	return io.NopCloser(r), nil
}

// sum reads the whole file and gives the SHA-256 of its bytes. What is packed is unpacked
// on the way, so that a file that is cut short fails before any of its rows is handed on.
func (in *input) sum(ctx context.Context) (sum [32]byte, err error) {
	if _, err := in.file.Seek(0, io.SeekStart); err != nil {
		return sum, in.damaged(err)
	}
	in.read = 0
	hash := sha256.New()
	whole := io.TeeReader(countingReader{in}, hash)
	body := io.NopCloser(io.Reader(whole))
	if in.compression != "" {
		if body, err = in.unpack(whole); err != nil {
			return sum, err
		}
	}
	_, err = io.Copy(io.Discard, contextReader{ctx, body})
	if err == nil {
		_, err = io.Copy(io.Discard, whole) // what a packed form leaves behind its end
	}
	err = errors.Join(err, body.Close())
	if ctx.Err() != nil {
		return sum, canceled(ctx)
	}
	if err != nil {
		return sum, in.damaged(err)
	}
	return [32]byte(hash.Sum(nil)), nil
}

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

func canceled(ctx context.Context) error {
	return &tickerlake.Error{Code: tickerlake.Canceled, Op: "file.Import", Err: fmt.Errorf("the import was stopped: %w", context.Cause(ctx))}
}

// changed reports whether the file is another than when it was opened.
func (in *input) changed() bool {
	now, err := in.file.Stat()
	return err != nil || now.Size() != in.info.Size() || !now.ModTime().Equal(in.info.ModTime())
}

// spool gives the unpacked file as a file of its own, which is gone when it is closed.
func (in *input) spool(ctx context.Context, dir string) (_ *os.File, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	out, err := os.CreateTemp(dir, "import-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(out.Name()); err != nil {
		return nil, errors.Join(err, out.Close())
	}
	body, err := in.body()
	if err == nil {
		_, err = io.Copy(out, contextReader{ctx, body})
		err = errors.Join(err, body.Close())
	}
	if err != nil {
		return nil, errors.Join(err, out.Close())
	}
	return out, nil
}

// modified is the file's time in the precision of the lake.
func (in *input) modified() time.Time { return in.info.ModTime().UTC().Truncate(time.Microsecond) }

// excerpt is a text for a message: one line, not long.
func excerpt(text []byte) string {
	const most = 120
	cut := len(text) > most
	if cut {
		text = text[:most]
		for len(text) > 0 && !utf8.RuneStart(text[len(text)-1]) {
			text = text[:len(text)-1]
		}
		text = bytes.TrimRight(text, "\xc0\xff")
	}
	line := bytes.ToValidUTF8(bytes.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, text), []byte("\ufffd"))
	if cut {
		return string(line) + ".."
	}
	return string(line)
}

// Original reports whether a file holds raw lines of the project that tickerlake descends
// from, whose interval is known.
func Original(path string) bool {
	in, err := open(path, path)
	if err != nil {
		return false
	}
	defer in.close()
	if in.form != formNDJSON {
		return false
	}
	body, err := in.body()
	if err != nil {
		return false
	}
	defer body.Close()
	lines := newLines(body)
	for {
		line, _, err := lines.next()
		if err != nil {
			return false
		}
		if doc, err := firstDocument(line); err == nil {
			return originalLine(doc) != nil
		} else if len(bytes.TrimSpace(line)) > 0 {
			return false
		}
	}
}
