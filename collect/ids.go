package collect

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// ids makes fetch ids: ULIDs, 26 characters of Crockford's base 32, of which the
// first ten are the milliseconds since 1970. They sort by time; within one
// millisecond, by the order in which they were made.
type ids struct {
	random io.Reader

	mu   sync.Mutex
	last [16]byte
}

const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

func (g *ids) next(at time.Time) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var id [16]byte
	for i, ms := 5, at.UnixMilli(); i >= 0; i-- {
		id[i] = byte(ms)
		ms >>= 8
	}
	if [6]byte(id[:6]) == [6]byte(g.last[:6]) {
		id = g.last
		for i := 15; i >= 6; i-- {
			if id[i]++; id[i] != 0 {
				break
			}
		}
	} else {
		if _, err := io.ReadFull(g.random, id[6:]); err != nil {
			return "", fmt.Errorf("randomness for a fetch id: %w", err)
		}
		id[6] &= 0x7f // room to count up
	}
	g.last = id
	return encodeID(id), nil
}

// fraction is a random number from 0 to 1.
func (g *ids) fraction() float64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	var b [2]byte
	if _, err := io.ReadFull(g.random, b[:]); err != nil {
		return 0.5
	}
	return float64(uint(b[0])<<8|uint(b[1])) / 0xffff
}

// encodeID writes 128 bits as 26 characters of 5 bits, two leading zero bits first.
func encodeID(id [16]byte) string {
	var out [26]byte
	bits, n, at := uint(0), uint(2), 0
	for _, b := range id {
		bits = bits<<8 | uint(b)
		for n += 8; n >= 5; at++ {
			n -= 5
			out[at] = crockford[bits>>n&31]
		}
		bits &= 1<<n - 1
	}
	return string(out[:])
}
