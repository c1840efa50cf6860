// Package blob keeps objects by key, with what Amazon S3 has and no more: put, put
// if absent, replace if the ETag is unchanged, ranged get, list in byte order,
// delete. It is given keys and bytes by every stage that stores something, and
// hands on what a bucket holds.
//
// # The contract
//
// Each adapter (Dir here, S3 in package aws) passes the suite of
// internal/porttest. A bucket has five methods, and the interfaces that stages
// declare are subsets of them:
//
//	Put(ctx, key, body, cond)       stores body whole or not at all; once it
//	                                returns the object survives a power cut
//	Get(ctx, key, offset, length)   reads a range of one version of the object
//	Head(ctx, key)                  describes the object
//	List(ctx, prefix, startAfter)   yields objects by key, in byte order
//	Delete(ctx, key)                removes the object; an absent one is no error
//
// A key is 1 to 1,024 bytes of UTF-8: segments of 1 to 255 bytes joined by single
// slashes, without ".", "..", backslash or NUL. This is narrower than S3, so that
// every key can be a file. Where objects are files, a key cannot lie below
// another key: with "a" stored, "a/b" is refused as Invalid.
//
// A range that begins at or past the end of the object is empty, not an error; a
// range that ends past it stops there. A negative length reads to the end.
//
// An ETag is an opaque text that changes with each Put of other content. It is
// compared, never parsed. List shows what was there when it passed; it may or may
// not show what is put meanwhile.
//
// Errors are tickerlake.Error values whose Name is the key: Exists (IfAbsent and
// the key is taken), Conflict (IfMatch and the ETag is another, or there is no
// object), NotFound, Invalid (bad key, range or condition), Full (no room), Denied,
// Canceled and Timeout (the context ended), Unavailable (worth trying again).
package blob

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tickerlake/tickerlake"
)

// Info describes a stored object.
type Info struct {
	Key      string
	Size     int64     // bytes
	ETag     string    // opaque
	Modified time.Time // UTC
}

// A Condition restricts a Put. The zero Condition overwrites whatever is there.
type Condition struct {
	IfAbsent bool   // only if the key is free
	IfMatch  string // only if the object's ETag is this one
}

// The bounds of keys, in bytes.
const (
	MaxKey     = 1024 // as S3
	MaxSegment = 255  // as the file systems
)

// CheckKey reports as Invalid a key that no bucket takes.
func CheckKey(key string) error {
	if why := badKey(key); why != "" {
		return tickerlake.Errorf(tickerlake.Invalid, "blob.CheckKey", fmt.Sprintf("key %q", key), "%s", why)
	}
	return nil
}

// badKey says what is wrong with a key, or nothing.
func badKey(key string) string {
	switch {
	case key == "":
		return "a key has at least one character"
	case len(key) > MaxKey:
		return fmt.Sprintf("a key has at most %d bytes, this one has %d", MaxKey, len(key))
	case !utf8.ValidString(key):
		return "a key is UTF-8"
	case strings.ContainsAny(key, "\\\x00"):
		return "a key has neither backslash nor NUL"
	}
	for segment := range strings.SplitSeq(key, "/") {
		switch {
		case segment == "":
			return "a key neither begins nor ends with a slash, nor has two in a row"
		case segment == "." || segment == "..":
			return fmt.Sprintf("%q is no name between slashes", segment)
		case len(segment) > MaxSegment:
			return fmt.Sprintf("a name between slashes has at most %d bytes, one here has %d", MaxSegment, len(segment))
		}
	}
	return ""
}
