package tickerlake

import "time"

// The events of the ops database. Each is one JSON document in the object of its
// table and day; the names of its fields are the columns. An event may be written
// more than once (a crash between writing and marking): of equal IDs the one with
// the latest recorded_at counts.

// A Fetch records one request to a source: what was asked for and what came.
type Fetch struct {
	ID       string   `json:"id"` // the fetch_id of its rows
	Source   string   `json:"source"`
	Symbol   Symbol   `json:"symbol"`
	Table    string   `json:"table"`
	Interval Interval `json:"interval"`
	// From and To are the window asked for, To exclusive; the zero From means all
	// that the source gives.
	From       time.Time `json:"from_ts,omitzero"`
	To         time.Time `json:"to_ts,omitzero"`
	FetchedAt  time.Time `json:"fetched_at"`
	Class      Class     `json:"class"`
	Rows       int64     `json:"rows"`
	Attempts   int64     `json:"attempts"`
	DurationMS int64     `json:"duration_ms"`
	Error      string    `json:"error"`
	// File is the name of the file that the rows came from, empty if they were asked for.
	File string    `json:"file"`
	At   time.Time `json:"recorded_at"`
}

// A RunEvent records the state of a run of a workflow.
type RunEvent struct {
	ID       string    `json:"id"`
	Workflow string    `json:"workflow"`
	Trigger  string    `json:"trigger"`
	State    string    `json:"state"`
	Started  time.Time `json:"started_at"`
	Ended    time.Time `json:"ended_at,omitzero"`
	Error    string    `json:"error"`
	Counts
	At time.Time `json:"recorded_at"`
}

// A JobEvent records the end of one attempt of a job.
type JobEvent struct {
	ID         string    `json:"id"` // run/job/attempt
	Run        string    `json:"run"`
	Job        string    `json:"job"`
	Attempt    int64     `json:"attempt"`
	State      string    `json:"state"`
	Started    time.Time `json:"started_at"`
	Ended      time.Time `json:"ended_at,omitzero"`
	DurationMS int64     `json:"duration_ms"`
	Error      string    `json:"error"`
	At         time.Time `json:"recorded_at"`
}

// A QualityResult records one rule evaluated on one table.
type QualityResult struct {
	ID       string    `json:"id"` // run/build/table/number of the rule or analyzer
	Run      string    `json:"run"`
	Table    string    `json:"table"`
	Snapshot int64     `json:"snapshot"`
	Rule     string    `json:"rule"`
	Result   string    `json:"result"` // PASS, FAIL or ERROR; MEASURED by an analyzer
	Message  string    `json:"message"`
	Metrics  string    `json:"metrics"` // a JSON object
	Score    float64   `json:"score"`   // of the whole ruleset, 0 to 1
	At       time.Time `json:"recorded_at"`
}

// A Delivery records one object that a stream delivered.
type Delivery struct {
	ID         string    `json:"id"` // the key
	Stream     string    `json:"stream"`
	Key        string    `json:"key"`
	Records    int64     `json:"records"`
	Bytes      int64     `json:"bytes"` // before compression
	Size       int64     `json:"size"`  // as stored
	Attempts   int64     `json:"attempts"`
	AgeSeconds float64   `json:"age_seconds"` // of the oldest record
	Error      string    `json:"error"`
	At         time.Time `json:"recorded_at"`
}

// A Quarantined records one row that was set aside.
type Quarantined struct {
	ID     string `json:"id"`
	Run    string `json:"run"`
	Object string `json:"object"`
	Line   int64  `json:"line"` // from 1
	Table  string `json:"table"`
	Symbol string `json:"symbol"`
	Ts     string `json:"ts"`
	Reason string `json:"reason"`
	Raw    string `json:"raw"`
	// Decision is what a user decided: accepted or rejected; empty if nothing.
	Decision  string    `json:"decision,omitempty"`
	DecidedAt time.Time `json:"decided_at,omitzero"`
	At        time.Time `json:"recorded_at"`
}

// An ObjectEvent records that the ledger gave a raw object another state.
type ObjectEvent struct {
	ID    string    `json:"id"` // key@state
	Key   string    `json:"key"`
	State string    `json:"state"` // pending, published, held, damaged
	Run   string    `json:"run"`
	Lines int64     `json:"lines"`
	Size  int64     `json:"size"`
	Error string    `json:"error"`
	At    time.Time `json:"recorded_at"`
}

// A QueryEvent records one statement of a user.
type QueryEvent struct {
	ID         string    `json:"id"`
	SQL        string    `json:"sql"`
	State      string    `json:"state"` // SUCCEEDED, FAILED or CANCELLED
	Rows       int64     `json:"rows"`
	DurationMS int64     `json:"duration_ms"`
	Error      string    `json:"error"`
	Started    time.Time `json:"started_at"`
	At         time.Time `json:"recorded_at"`
}

// OpsTables names the tables of the ops database, each with an event of its type.
var OpsTables = map[string]any{
	"fetches":         Fetch{},
	"runs":            RunEvent{},
	"jobs":            JobEvent{},
	"quality_results": QualityResult{},
	"deliveries":      Delivery{},
	"quarantine":      Quarantined{},
	"objects":         ObjectEvent{},
	"queries":         QueryEvent{},
}

// Counts is what became of the rows of a run. Conservation holds:
// Read = Inserted + Replaced + Unchanged + Superseded + Quarantined + NotFinal + Waiting.
type Counts struct {
	Read        int64 `json:"rows_read"`
	Inserted    int64 `json:"inserted"`
	Replaced    int64 `json:"replaced"`
	Unchanged   int64 `json:"unchanged"`
	Superseded  int64 `json:"superseded"`
	Quarantined int64 `json:"quarantined"`
	NotFinal    int64 `json:"not_final"`
	// Waiting counts rows of series that were restated: all of their history is to come
	// anew before any of it is published.
	Waiting int64 `json:"waiting"`
	// Withdrawn counts bars of the tables that a later complete answer no longer has;
	// Removed those of them that were taken out. They are not among the rows read.
	Withdrawn int64 `json:"withdrawn"`
	Removed   int64 `json:"removed"`
}

// Conserved reports whether every row read is accounted for.
func (c Counts) Conserved() bool {
	return c.Read == c.Inserted+c.Replaced+c.Unchanged+c.Superseded+c.Quarantined+c.NotFinal+c.Waiting
}
