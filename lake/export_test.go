package lake

import "time"

// Restated reports whether changes of a symbol say that it was restated, and the fetch
// that told.
func Restated(changes []Change) (at time.Time, id string, ok bool) {
	_, by, ok := restated(changes)
	return by.FetchedAt, by.FetchID, ok
}
