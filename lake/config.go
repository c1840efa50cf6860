package lake

import (
	"errors"
	"time"

	"github.com/tickerlake/tickerlake"
)

// Config is the key tidy of the pipeline file: what is kept, and how long.
type Config struct {
	// FileMB is the size, in MiB, that data files are merged up to.
	FileMB int `yaml:"file_mb"`
	// Snapshots is how many snapshots of a table are kept, those of days aside.
	Snapshots int `yaml:"snapshots"`
	// DailySnapshots is how long the last snapshot of each UTC day is kept.
	DailySnapshots tickerlake.Duration `yaml:"daily_snapshots"`
	// Raw is how long published raw objects are kept; 0: for ever.
	Raw tickerlake.Duration `yaml:"raw"`
	// Ops is how long the events of the ops tables are kept.
	Ops tickerlake.Duration `yaml:"ops"`
	// Queries is how long those of ops.queries are kept instead.
	Queries tickerlake.Duration `yaml:"queries"`
}

const day = tickerlake.Duration(24 * time.Hour)

// Defaults are the values of keys that the file leaves out.
func Defaults() Config {
	return Config{FileMB: 128, Snapshots: 100, DailySnapshots: 30 * day, Ops: 400 * day, Queries: 45 * day}
}

// The limits of the keys. A hundred years are more than anybody has.
const (
	maxFileMB    = 1024
	maxSnapshots = 10_000
	maxKept      = 36_500 * day
)

// Validate reports every value out of its range, each under the path of its key.
func (c Config) Validate() error {
	const op = "lake.Config.Validate"
	var errs []error
	refuse := func(key, format string, args ...any) {
		errs = append(errs, tickerlake.Errorf(tickerlake.Invalid, op, key, format, args...))
	}
	if c.FileMB < 1 || c.FileMB > maxFileMB {
		refuse("file_mb", "%d: want 1 to %d", c.FileMB, maxFileMB)
	}
	if c.Snapshots < 2 || c.Snapshots > maxSnapshots {
		refuse("snapshots", "%d: want 2 to %d", c.Snapshots, maxSnapshots)
	}
	for _, d := range []struct {
		key   string
		value tickerlake.Duration
		least tickerlake.Duration
	}{{"daily_snapshots", c.DailySnapshots, 0}, {"raw", c.Raw, 0}, {"ops", c.Ops, day}, {"queries", c.Queries, day}} {
		if d.value < d.least || d.value > maxKept {
			refuse(d.key, "%s: want %s to %s", d.value, d.least, maxKept)
		}
	}
	return errors.Join(errs...)
}
