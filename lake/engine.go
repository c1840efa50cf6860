package lake

import (
	"context"
	"time"

	"github.com/tickerlake/tickerlake/catalog"
)

// An Engine does the work on rows. It works in bounded memory and overwrites what
// an interrupted call left.
type Engine interface {
	// Clean reads raw objects, judges their rows and splits them by outcome, table
	// and partition.
	Clean(ctx context.Context, task CleanTask) (CleanResult, error)
	// Merge compares the clean rows of one partition with the files of its table
	// and writes the files that the candidate needs.
	Merge(ctx context.Context, task MergeTask) (MergeResult, error)
	// Write writes the rows of a SELECT to one Parquet file and returns their number.
	Write(ctx context.Context, task WriteTask) (int64, error)
	// Relation is the SQL text that stands for the rows of Parquet files, or, with
	// columns, for the documents of NDJSON files.
	Relation(files []string, columns ...Column) string
	// Query runs a statement of the program's own. Values are nil, bool, int64,
	// float64, string or time.Time.
	Query(ctx context.Context, sql string) (columns []string, rows [][]any, err error)
}

// A CleanTask is the reading of raw objects.
type CleanTask struct {
	// Files are local gzip NDJSON files in which every line was found good.
	Files []string
	// Select turns the relation raw, every field a text and the file's name in
	// "object", into the columns of CleanColumns.
	Select string
	// Dir is the folder to write to; what is in it is removed first.
	Dir string
}

// CleanColumns are the columns of clean rows: those of the bars, then what it takes
// to trace and place a row. outcome is OutcomeBars, OutcomeOpen or OutcomeRejected.
var CleanColumns = append(append([]string{}, barNames...),
	"row", "interval", "object", "ts_text", "reason", "outcome", "tbl", "part")

// ActionFields are further columns, which only rows of splits and dividends fill and not
// every file has.
var ActionFields = []string{"kind", "ratio", "amount"}

// The outcomes of a row.
const (
	OutcomeBars     = "bars"     // to be merged
	OutcomeOpen     = "open"     // not final yet
	OutcomeActions  = "actions"  // splits and dividends
	OutcomeRejected = "rejected" // to be quarantined, with a reason
)

// A CleanResult is what Clean wrote.
type CleanResult struct {
	Parts  []Part
	Groups []Group
}

// Rows sums the rows of an outcome.
func (r CleanResult) Rows(outcome string) (n int64) {
	for _, p := range r.Parts {
		if p.Outcome == outcome {
			n += p.Rows
		}
	}
	return n
}

// A Part is the rows of one outcome, table and partition.
type Part struct {
	Outcome   string    `json:"outcome"`
	Table     string    `json:"table"`
	Partition string    `json:"partition"` // 2015 for daily bars and actions, 2015-03 for others; actions for rejected ones
	Files     []string  `json:"files"`
	Rows      int64     `json:"rows"`
	MinSymbol string    `json:"min_symbol"`
	MaxSymbol string    `json:"max_symbol"`
	MinTs     time.Time `json:"min_ts"`
	MaxTs     time.Time `json:"max_ts"`
	// Distinct is true if it is known that no key stands twice in it.
	Distinct bool `json:"distinct"`
}

// ofBars reports whether its rows say something of bars: none of a split or dividend does,
// also if it is rejected.
func (p Part) ofBars() bool {
	return p.Outcome != OutcomeActions && (p.Outcome != OutcomeRejected || p.Partition != OutcomeActions)
}

// A Group is the rows of one symbol from one fetch in one object and of one outcome, which
// is not rejected.
type Group struct {
	Outcome   string    `json:"outcome"`
	Table     string    `json:"table"`
	Symbol    string    `json:"symbol"`
	Interval  string    `json:"interval"`
	Source    string    `json:"source"`
	Basis     string    `json:"basis"`
	Currency  string    `json:"currency"`
	FetchID   string    `json:"fetch_id"`
	FetchedAt time.Time `json:"fetched_at"`
	Object    string    `json:"object"` // the local file
	MinTs     time.Time `json:"min_ts"`
	MaxTs     time.Time `json:"max_ts"`
	Rows      int64     `json:"rows"`
	// Ascending is true if it is known that each row's ts is after that of the row
	// before, so that no key stands twice in it.
	Ascending bool `json:"ascending"`
}

// A MergeTask is the merging of clean rows into one partition of a table.
type MergeTask struct {
	Incoming []string // files of a Part
	Distinct bool     // no key stands twice in Incoming
	Existing []string // files of the table that may hold the same keys
	// Skip says which rows are left out.
	Skip []Skip
	// Covers are the spans that later fetches have confirmed, by symbol.
	Covers map[string][]catalog.Cover
	// Spans are those of the run's fetches that may show that a bar is withdrawn.
	Spans []Span
	// Rows are the files of all rows of the run, whatever their outcome: they tell
	// whether a fetch is complete within its span.
	Rows []string
	// Now is the replaced_at of revisions.
	Now time.Time
	// Inserted, Changed and Revised are the files to write: new keys, the new image
	// of keys that change, the old image of those that a revision keeps.
	Inserted, Changed, Revised string
	// Rewritten gives the file that takes the place of Existing[i].
	Rewritten func(i int) string
}

// A Skip names rows of a table that are left out: all of a symbol, or, with a
// source, those of the symbol with this source, basis, currency and interval, or, with
// times, those fetched before one of bars before the other. They are set aside; with Wait,
// only those from files are, and the others wait.
type Skip struct {
	Wait     bool   `json:"wait,omitempty"`
	Symbol   string `json:"symbol"`
	Source   string `json:"source,omitempty"`
	Basis    string `json:"basis,omitempty"`
	Currency string `json:"currency,omitempty"`
	Interval string `json:"interval,omitempty"`

	FetchedBefore time.Time `json:"fetched_before,omitzero"`
	TsBefore      time.Time `json:"ts_before,omitzero"`

	Reason string `json:"reason"`
}

// A Span is what a fetch of the run tells of a symbol, from its first final bar to
// its last. If the fetch is complete there (no row between is missing or without a
// key, the times go one way), then a bar in the span that an earlier fetch brought
// and this one has in no row, rejected ones included, is withdrawn. What a later
// fetch confirmed (MergeTask.Covers) or brings is not.
type Span struct {
	Symbol    string
	From, To  time.Time // both inclusive
	FetchedAt time.Time
	FetchID   string
	// Remove takes withdrawn bars out of the table; otherwise they are reported.
	Remove bool
	// Anew says that the fetch takes the place of all that is older: what it has in no
	// final bar goes, whatever Remove says, and is not asked whether it was complete.
	Anew bool
}

// A MergeResult is what Merge found and wrote. Inserted to Waiting add up to the rows
// of Incoming.
type MergeResult struct {
	Inserted, Replaced, Unchanged, Superseded, Skipped, Waiting int64
	// Changes are bars that a fetch has otherwise than one before it.
	Changes []Change
	// Lacking counts, by symbol, the stored bars within a span that no row of the run has.
	Lacking map[string]int64
	// Removed is how many stored bars are withdrawn and left out.
	Removed int64
	// Revisions is how many of Replaced and Removed leave a revision: all but changes
	// of adj_close alone.
	Revisions int64
	// Withdrawn has the withdrawn bars, those that stay included.
	Withdrawn []Withdrawal
	// Rewrote lists the indexes of Existing for which a file was written, Emptied
	// those of which no row is left.
	Rewrote, Emptied []int
}

// A Withdrawal is the bars of a symbol that a fetch no longer has.
type Withdrawal struct {
	Symbol    string    `json:"symbol"`
	FetchID   string    `json:"fetch_id"`
	FetchedAt time.Time `json:"fetched_at"`
	First     time.Time `json:"first"`
	Last      time.Time `json:"last"`
	Bars      int64     `json:"bars"`
	Removed   bool      `json:"removed"`
}

// A WriteTask is the writing of one Parquet file, whose rows are sorted by symbol and ts.
type WriteTask struct {
	// Select gives rows with the columns of Columns, in their order.
	Select  string
	Columns []Column // those with an ID get it as their field id
	File    string
	// Unsorted leaves the rows in the order in which they come.
	Unsorted bool
}
