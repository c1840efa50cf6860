package config

import (
	"strings"
	"time"
)

// Clock is the key clock of the file: a time that runs by itself, for a lake whose prices
// are all simulated.
type Clock struct {
	// Start is what the clock shows when the lake is first worked on. From then on it
	// runs, also while no program does.
	Start string `yaml:"start"`
	// Speed is how many of its seconds go by in a real one.
	Speed int `yaml:"speed"`
}

// maxSpeed bounds Clock.Speed: faster, a second is longer than a day.
const maxSpeed = 100_000

// Given reports whether the file has a clock.
func (c Clock) Given() bool { return c.Start != "" }

// StartTime is Start as a time.
func (c Clock) StartTime() time.Time {
	t, _ := time.Parse(time.RFC3339, c.Start) // Load has read it
	return t.UTC()
}

// checkClock allows a clock where no real source is asked.
func (r *reader) checkClock() {
	if _, written := r.lines["clock"]; !written || r.knownBad("clock") {
		return
	}
	c := r.file.Clock
	if t, err := time.Parse(time.RFC3339, c.Start); c.Start == "" {
		r.bad("clock.start", "missing: want the time that the clock shows first, such as 2026-01-05T14:25:00Z")
	} else if err != nil || t.Year() < 1990 || t.Year() > 2199 {
		r.bad("clock.start", "%q: want a time of the years 1990 to 2199, such as 2026-01-05T14:25:00Z", c.Start)
	}
	if c.Speed < 1 || c.Speed > maxSpeed {
		r.bad("clock.speed", "%d: want 1 to %d (seconds of the clock in a real one)", c.Speed, maxSpeed)
	}
	var real []string
	for _, name := range r.file.SourceNames() {
		if !r.file.Sources[name].Simulated && !r.guessing[child("sources", name)] {
			real = append(real, name)
		}
	}
	if len(real) > 0 {
		r.bad("clock", "real prices have no other time than the real one, and not every source is simulated: %s; leave clock out, or say simulated: true of a source that asks a simulated market", strings.Join(real, ", "))
	}
}
