package deliver

import (
	"io"
	"os"
)

// each reads segments whole, one after another, the next one while the one before is
// looked at. What look is given is written over when it has returned.
func (s *segments) each(op string, numbers []uint64, look func(i int, data []byte) error) error {
	type content struct {
		data []byte
		err  error
	}
	free, read, done := make(chan []byte, 2), make(chan content), make(chan struct{})
	defer close(done)
	free <- nil
	free <- nil
	go func() {
		for _, n := range numbers {
			var c content
			select {
			case c.data = <-free:
			case <-done:
				return
			}
			c.data, c.err = readInto(c.data, s.path(n))
			select {
			case read <- c:
			case <-done:
				return
			}
		}
	}()
	for i, n := range numbers {
		c := <-read
		if c.err == nil {
			c.err = look(i, c.data)
		}
		if c.err != nil {
			return failed(op, s.path(n), c.err)
		}
		free <- c.data
	}
	return nil
}

// readInto reads a file into b if it has room.
func readInto(b []byte, path string) (_ []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return b, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return b, err
	}
	if size := int(info.Size()); cap(b) < size {
		b = make([]byte, size)
	} else {
		b = b[:size]
	}
	_, err = io.ReadFull(f, b)
	return b, err
}
