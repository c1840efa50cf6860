package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/config"
)

// A lakeClock is the file clock of a lake on a time of its own: what its clock shows and
// how fast it runs, so that every command sees the same time, and none sees it go back.
type lakeClock struct {
	// Asked is the start that the pipeline file had when this was written.
	Asked time.Time `json:"asked"`
	// At is a real time, Shown what the clock showed then, Speed its seconds in a real
	// one ever since.
	At    time.Time `json:"at"`
	Shown time.Time `json:"shown"`
	Speed int       `json:"speed"`

	kept []byte // the file as it is; nil: there is none
}

func (c lakeClock) pace(real tickerlake.Clock) tickerlake.Pace {
	return tickerlake.Faster(real, c.At, c.Shown, float64(c.Speed))
}

func clockFile(dir string) string { return filepath.Join(dir, "clock") }

// readClock gives the pace of a lake for one who only reads. A lake that was never worked
// on begins now.
func readClock(dir string, file *config.File, real tickerlake.Clock) (tickerlake.Pace, error) {
	c, err := nextClock(dir, file, real)
	if err != nil || c == nil {
		return tickerlake.Pace{Clock: real}, err
	}
	return c.pace(real), nil
}

// keepClock is readClock for one who works on the lake: the clock is what the pipeline
// file says from now on.
func keepClock(dir string, file *config.File, real tickerlake.Clock) (tickerlake.Pace, error) {
	for {
		c, err := nextClock(dir, file, real)
		if err != nil || c == nil {
			return tickerlake.Pace{Clock: real}, err
		}
		if err := c.write(clockFile(dir)); !errors.Is(err, fs.ErrExist) {
			return c.pace(real), err
		}
	}
}

// nextClock is the clock of a lake as the pipeline file wants it, going on where it is.
// It is nil if the time is the real one.
func nextClock(dir string, file *config.File, real tickerlake.Clock) (*lakeClock, error) {
	const op = "open the lake"
	path, now := clockFile(dir), real().UTC()
	text, err := os.ReadFile(path)
	was := lakeClock{kept: text}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if !file.Clock.Given() {
			return nil, nil
		}
		start := file.Clock.StartTime()
		return &lakeClock{Asked: start, At: now, Shown: start, Speed: file.Clock.Speed}, nil
	case err != nil:
		return nil, diskError(op, path, err)
	}
	if err := json.Unmarshal(text, &was); err != nil || was.Speed < 1 {
		return nil, tickerlake.Errorf(tickerlake.Damaged, op, path, "is not what tickerlake wrote there: remove the file, and the clock begins at clock.start again")
	}
	shows := was.pace(real).Now()
	if !file.Clock.Given() {
		if shows.After(now) {
			return nil, tickerlake.Errorf(tickerlake.Invalid, op, file.Path,
				"the lake is on a clock of its own, which shows %s and cannot go back to the real time: keep clock in the file, or name another lake", shows.Format(time.DateTime))
		}
		return nil, nil
	}
	start := file.Clock.StartTime()
	switch {
	case start.Equal(was.Asked) && file.Clock.Speed == was.Speed:
		return &was, nil
	case start.Equal(was.Asked):
		start = shows
	case start.Before(shows):
		return nil, tickerlake.Errorf(tickerlake.Invalid, op, file.Path,
			"clock.start is %s, and the clock of the lake shows %s already and cannot go back: want a later start, the former one (%s), or another lake",
			start.Format(time.DateTime), shows.Format(time.DateTime), was.Asked.Format(time.RFC3339))
	}
	return &lakeClock{Asked: file.Clock.StartTime(), At: now, Shown: start, Speed: file.Clock.Speed, kept: text}, nil
}

// write makes the file say so. It fails with fs.ErrExist if another program, a market
// that is served or the lake, has made one in the meantime.
func (c lakeClock) write(path string) error {
	const op = "open the lake"
	text, err := json.Marshal(c)
	if err != nil {
		return tickerlake.Errorf(tickerlake.Internal, op, path, "%w", err)
	}
	if bytes.Equal(c.kept, text) {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), "clock.*")
	if err != nil {
		return diskError(op, path, err)
	}
	defer os.Remove(f.Name()) // gone if it was renamed
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	switch {
	case err != nil:
	case c.kept == nil:
		if err = os.Link(f.Name(), path); errors.Is(err, fs.ErrExist) {
			return fs.ErrExist
		}
	default:
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return diskError(op, path, err)
	}
	return nil
}
