// Package tickerlake is the vocabulary of the program: bars, symbols, intervals,
// tables, fetches, runs, and the errors that every package speaks. It knows the
// standard library only; every other package may import it.
//
// All times are UTC unless a name says otherwise. Prices are in the currency of
// their bar; volume is in shares and may have a fraction.
package tickerlake

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Clock tells the time. Every part takes the clock it is handed, so that a test or
// a simulated market can run on another one.
type Clock func() time.Time

// A Symbol is the canonical name of a listing: upper case, a share class after a
// dot (BRK.B), two listings of one ticker told apart by the exchange's MIC
// (AACG.XNAS). A source maps its own spelling to it.
type Symbol string

// Valid reports whether s can be a symbol: 1 to 32 characters of A-Z, 0-9 and
// . - ^ = / _, beginning with a letter, a digit or ^.
func (s Symbol) Valid() bool {
	if len(s) == 0 || len(s) > 32 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '^':
		case i > 0 && strings.IndexByte(".-=/_", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// An Interval is the length of a bar.
type Interval string

// The intervals of the lake, each with a table of its own.
const (
	Minute    Interval = "1m"
	Minutes5  Interval = "5m"
	Minutes15 Interval = "15m"
	Hour      Interval = "1h"
	Day       Interval = "1d"
)

// Intervals lists every interval, shortest first.
var Intervals = []Interval{Minute, Minutes5, Minutes15, Hour, Day}

// ParseInterval reads "1m", "5m", "15m", "1h" or "1d".
func ParseInterval(s string) (Interval, error) {
	if i := Interval(s); slices.Contains(Intervals, i) {
		return i, nil
	}
	return "", fmt.Errorf("interval %q: want one of 1m, 5m, 15m, 1h, 1d", s)
}

// Duration is the length of the bar; a day is 24 hours.
func (i Interval) Duration() time.Duration {
	switch i {
	case Minute:
		return time.Minute
	case Minutes5:
		return 5 * time.Minute
	case Minutes15:
		return 15 * time.Minute
	case Hour:
		return time.Hour
	default:
		return 24 * time.Hour
	}
}

// Daily reports whether bars of this interval are stamped with a trading date
// rather than an instant.
func (i Interval) Daily() bool { return i == Day }

// Table is the name of the table that holds bars of this interval: bars_1d.
func (i Interval) Table() string { return "bars_" + string(i) }

// A Basis says what the prices of a series are adjusted for.
type Basis string

// The bases. Raw prices are as traded; split prices are adjusted for splits;
// total prices for splits and dividends.
const (
	BasisRaw   Basis = "raw"
	BasisSplit Basis = "split"
	BasisTotal Basis = "total"
)

// A Bar is the prices of one symbol over one interval. Its key is (Symbol, Ts).
type Bar struct {
	Symbol Symbol `json:"symbol"`
	// Ts is the start of the bar; for a daily bar 00:00 of its trading date in the
	// exchange's zone, as that date.
	Ts       time.Time `json:"ts"`
	Open     *float64  `json:"open"`
	High     *float64  `json:"high"`
	Low      *float64  `json:"low"`
	Close    float64   `json:"close"`
	AdjClose *float64  `json:"adj_close"`
	Volume   *float64  `json:"volume"`
	Currency string    `json:"currency"`
	Basis    Basis     `json:"basis"`
	Source   string    `json:"source"`
	// Final is true if the bar was fetched after its end.
	Final bool `json:"final"`
	// FetchedAt is when we learned it.
	FetchedAt time.Time `json:"fetched_at"`
	FetchID   string    `json:"fetch_id"`
}

// RawFields are the keys of a document of the raw bar stream, in the order in
// which they are written: one JSON document a line, what the source said after
// the mapping of names and before any cast or judgement. Prices and volume may be
// numbers, strings or null. Row is the document's place among those of its fetch, from
// 0. Kind, ratio and amount stand only in documents of splits and dividends (see
// ActionFields), accepted only in documents that a user has sent again.
var RawFields = []string{
	"symbol", "ts", "open", "high", "low", "close", "adj_close", "volume",
	"currency", "basis", "source", "table", "interval", "final", "fetched_at", "fetch_id", "row",
	"kind", "ratio", "amount", AcceptedField,
}

// BarFields are the keys of the document of a bar, in their order.
var BarFields = RawFields[:17]

// ActionFields are the keys of the document of a split or a dividend, in their order: its
// ts is the date from which prices are without it, its ratio the shares that one of before
// a split became, its amount what a dividend paid for a share.
var ActionFields = []string{
	"symbol", "ts", "kind", "ratio", "amount", "currency", "basis", "source", "table", "interval", "final", "fetched_at", "fetch_id", "row",
}

// ActionsTable is the table of splits and dividends, whichever source tells of them.
const ActionsTable = "actions"

// The kinds of actions.
const (
	KindSplit    = "split"
	KindDividend = "dividend"
)

// FileFetch begins the fetch ids of rows that were brought in from a file, CopiedFetch, with
// the id of the fetch behind it, those of rows that came out of a lake as a file. The
// latter is less than every id of a fetch, so that a copy never wins over what it is of.
const (
	FileFetch   = "file-"
	CopiedFetch = "-"
)

// FromFile reports whether a fetch id is of rows from a file. A file says what it has; that
// it lacks a bar says nothing: it covers no span, and withdraws nothing.
func FromFile(fetchID string) bool {
	return strings.HasPrefix(fetchID, FileFetch) || strings.HasPrefix(fetchID, CopiedFetch)
}

// ReplaceFetch begins the fetch ids of an answer that a user wants in the place of all
// that is stored of its series, whatever its source, basis and currency, and even if it
// has less.
const ReplaceFetch = "replace-"

// Replaces reports whether a fetch id is of such an answer.
func Replaces(fetchID string) bool { return strings.HasPrefix(fetchID, ReplaceFetch) }

// AcceptedField is the key of a raw document that has the id of the quarantined row
// that a user accepted by it.
const AcceptedField = "accepted"

// A Record is one unit of delivery: a document, or several with a newline after
// each. Keys are the dynamic partition keys that a prefix may name.
type Record struct {
	Data []byte
	Keys map[string]string
}

// An Object is a delivered raw object.
type Object struct {
	Key     string    `json:"key"`
	Size    int64     `json:"size"`
	ETag    string    `json:"etag"`
	Records int64     `json:"records"`
	At      time.Time `json:"at"`
}

// An Import is what is known of a file that was brought in, or is on its way.
type Import struct {
	// ID stands for the content of the file and how it was read.
	ID   string
	Name string
	Size int64
	// FetchedAt is the time that rows without one of their own get.
	FetchedAt time.Time
	// Documents are so many of the file, from its beginning, that are durable.
	Documents int64
	// TakenAt is when all of them were; zero before that.
	TakenAt time.Time
	// Begun is when it was begun, in milliseconds, and later than that of every file before.
	Begun time.Time
}

// A Series is what is known of one symbol in one table.
type Series struct {
	Table    string   `json:"table"`
	Symbol   Symbol   `json:"symbol"`
	Source   string   `json:"source"`
	Basis    Basis    `json:"basis"`
	Currency string   `json:"currency"`
	Interval Interval `json:"interval"`
	// Watermark is the Ts up to which nothing is missing that a source has given: a
	// fetch asks from there. It counts bars on their way, and is zero if all is to be
	// asked for.
	Watermark time.Time `json:"watermark,omitzero"`
	// Last is the Ts of the last final bar published.
	Last time.Time `json:"last,omitzero"`
	// First is the Ts of the first bar that a fetch has confirmed, if that is known.
	First time.Time `json:"first,omitzero"`
	// Waiting says why nothing new of it is published before all of its history has come
	// anew; empty if it does not wait.
	Waiting string `json:"waiting,omitempty"`
	// Reconciled is when all of its history was fetched last, or is taken to have been.
	Reconciled time.Time `json:"reconciled,omitzero"`
}

// A Class says what an answer of a source is, judged by its body.
type Class string

// The classes of answers. Only ClassOK and ClassEmpty are successes.
const (
	ClassOK             Class = "ok"
	ClassEmpty          Class = "empty"
	ClassNotFound       Class = "not_found"
	ClassQuota          Class = "quota"
	ClassNotEntitled    Class = "not_entitled"
	ClassBadCredentials Class = "bad_credentials"
	ClassBlocked        Class = "blocked"
	ClassMalformed      Class = "malformed"
	ClassUnavailable    Class = "unavailable"
	ClassTimeout        Class = "timeout"
	ClassConflict       Class = "conflict"
)

// OK reports whether the class is a success.
func (c Class) OK() bool { return c == ClassOK || c == ClassEmpty }
