package collect

import (
	"time"
)

// What readers of files (collect/file) share with sources of HTTP APIs.

// Decode reads a JSON document with its numbers as they are written. NaN and Infinity,
// which are no JSON but which some programs write, become strings of that name.
func Decode(body []byte) (any, error) { return decode(body) }

// AppendValue writes a decoded value as a document of the raw stream has it. A number
// that JSON has no form for is written as its name.
func AppendValue(b []byte, v any) []byte { return appendValue(b, v) }

// AppendString writes a JSON string. Text that is not UTF-8 gets U+FFFD in its place.
func AppendString(b []byte, s string) []byte { return appendString(b, s) }

// MaxRecord bounds the bytes of a record of documents.
const MaxRecord = maxRecord

// Label is what the rows of the source of that name say as their source.
func (c Config) Label(name string) string {
	if c.Simulated {
		return SimulatedPrefix + name
	}
	return name
}

// Finality gives the zone of the exchange, and whether the bar with a Ts was over at an
// instant.
func (c Config) Finality() (zone *time.Location, final func(ts, at time.Time) bool, err error) {
	s, err := newSession(c)
	return s.zone, s.final, err
}

// FetchID is a fetch id made of an instant and random bits.
func FetchID(at time.Time, random [10]byte) string {
	var id [16]byte
	for i, ms := 5, at.UnixMilli(); i >= 0; i-- {
		id[i] = byte(ms)
		ms >>= 8
	}
	copy(id[6:], random[:])
	return encodeID(id)
}
