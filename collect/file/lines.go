package file

import (
	"bytes"
	"errors"
	"io"
)

// maxLine bounds one line of a file.
const maxLine = 64 << 20

// errLong is the cause of a line that is too long to be one.
var errLong = errors.New("a line is longer than 64 MiB")

// lines gives the lines of a text without their ends. It can look ahead over line ends,
// for quoted fields that hold some.
type lines struct {
	r      io.Reader
	b      []byte
	at     int // of the next line in b
	number int64
	err    error // of r
}

func newLines(r io.Reader) *lines {
	l := &lines{r: r, b: make([]byte, 0, 1<<20)}
	if l.fill(); bytes.HasPrefix(l.b, byteOrderMark) {
		l.at = len(byteOrderMark)
	}
	return l
}

// fill reads more behind what is there, making room at the front. It is false at the end.
func (l *lines) fill() bool {
	if l.err != nil {
		return false
	}
	if l.at > 0 {
		l.b = l.b[:copy(l.b, l.b[l.at:])]
		l.at = 0
	}
	if len(l.b) == cap(l.b) {
		if len(l.b) > maxLine {
			l.err = errLong
			return false
		}
		l.b = append(make([]byte, 0, 2*cap(l.b)), l.b...)
	}
	for range 100 {
		n, err := l.r.Read(l.b[len(l.b):cap(l.b)])
		l.b = l.b[:len(l.b)+n]
		if err != nil {
			l.err = err
		}
		if n > 0 || err != nil {
			return n > 0
		}
	}
	l.err = io.ErrNoProgress
	return false
}

// peek gives the text from the next line on up to its end that is the n-th from offset
// on, without that end, and the offset behind it. ok is false if the text ends before
// it; then the rest is given.
func (l *lines) peek(offset int) (text []byte, next int, ok bool) {
	searched := offset
	for {
		if i := bytes.IndexByte(l.b[l.at+searched:], '\n'); i >= 0 {
			next = searched + i + 1
			return trimCR(l.b[l.at : l.at+next-1]), next, true
		}
		searched = len(l.b) - l.at
		if !l.fill() {
			return trimCR(l.b[l.at:]), len(l.b) - l.at, false
		}
	}
}

// skip goes on behind n bytes, which have so many line ends.
func (l *lines) skip(n int, ends int64) {
	l.at += n
	l.number += ends
}

// next gives the next line and its number from 1. It is valid until the next call.
func (l *lines) next() (line []byte, number int64, err error) {
	line, n, ok := l.peek(0)
	if !ok && l.err != io.EOF {
		return nil, 0, l.err
	}
	if !ok && len(line) == 0 {
		return nil, 0, io.EOF
	}
	l.skip(n, 1)
	return line, l.number, nil
}

func trimCR(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == '\r' {
		return b[:n-1]
	}
	return b
}
