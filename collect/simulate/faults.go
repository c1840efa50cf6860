package simulate

import "time"

// The faults that bear on the history.
const (
	faultSplit    = "split"
	faultDividend = "dividend"
)

type faults struct{}

func (f *faults) hits(kind, symbol string, date time.Time) bool { return false }
