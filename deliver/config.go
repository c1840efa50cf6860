package deliver

import (
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // custom time zones must work where the system has no database

	"github.com/tickerlake/tickerlake"
)

// Config is what a stream is configured with: Firehose's settings under short
// names. Its limits are Firehose's too, except that buffers may be smaller.
type Config struct {
	// Buffering is when a buffer is delivered: Firehose's BufferingHints.
	Buffering Buffering `yaml:"buffering"`
	// Prefix begins the keys of objects. It may have expressions.
	Prefix string `yaml:"prefix"`
	// ErrorPrefix begins the keys of objects that hold records which could not be
	// delivered under Prefix.
	ErrorPrefix string `yaml:"error_prefix"`
	// TimeZone is the IANA zone of timestamps in keys (CustomTimeZone); UTC if empty.
	TimeZone string `yaml:"time_zone"`
	// Compression is GZIP or UNCOMPRESSED.
	Compression string `yaml:"compression"`
	// AppendDelimiter puts a newline after each record (AppendDelimiterToRecord).
	// Records that end with a newline of their own do not need it.
	AppendDelimiter bool `yaml:"append_delimiter"`
	// DiskLimitMB bounds the log, in MiB. Beyond it Put refuses with Unavailable.
	DiskLimitMB int `yaml:"disk_limit_mb"`
}

// Buffering is Firehose's BufferingHints. Give both or neither.
type Buffering struct {
	// SizeMB is the number of MiB, before compression, at which a buffer is
	// delivered: 1 to 128, 5 if not given.
	SizeMB *int `yaml:"size_mb"`
	// IntervalSeconds is the age of a buffer's first record at which it is
	// delivered: 0 to 900, 300 if not given.
	IntervalSeconds *int `yaml:"interval_seconds"`
}

// The compressions.
const (
	Gzip         = "GZIP"
	Uncompressed = "UNCOMPRESSED"
)

// The limits.
const (
	MaxRecord     = 1_024_000 // bytes of one record
	MaxKeys       = 50        // partition keys of one record
	MaxPrefix     = 512       // characters of an evaluated prefix
	MaxPartitions = 500       // buffers open at a time

	defaultSizeMB          = 5
	defaultIntervalSeconds = 300
	maxKeyBytes            = 64 << 10 // names and values of one record's keys
)

// Defaults is the configuration of a stream about which nothing is said.
func Defaults() Config {
	return Config{
		ErrorPrefix: "errors/!{firehose:error-output-type}/",
		Compression: Gzip,
		DiskLimitMB: 10240,
	}
}

// size is the number of bytes at which a buffer is delivered.
func (b Buffering) size() int64 {
	if b.SizeMB == nil {
		return defaultSizeMB << 20
	}
	return int64(*b.SizeMB) << 20
}

// interval is the age at which a buffer is delivered.
func (b Buffering) interval() time.Duration {
	if b.IntervalSeconds == nil {
		return defaultIntervalSeconds * time.Second
	}
	return time.Duration(*b.IntervalSeconds) * time.Second
}

// Validate reports every mistake, each as Invalid with the path of its key.
func (c Config) Validate() error {
	var errs []error
	bad := func(name, format string, args ...any) {
		errs = append(errs, tickerlake.Errorf(tickerlake.Invalid, "deliver.Validate", name, format, args...))
	}
	size, interval := c.Buffering.SizeMB, c.Buffering.IntervalSeconds
	switch {
	case size == nil && interval != nil:
		bad("buffering.size_mb", "missing: give both buffering hints or neither")
	case size != nil && interval == nil:
		bad("buffering.interval_seconds", "missing: give both buffering hints or neither")
	}
	if size != nil && (*size < 1 || *size > 128) {
		bad("buffering.size_mb", "%d: want 1 to 128 (MiB)", *size)
	}
	if interval != nil && (*interval < 0 || *interval > 900) {
		bad("buffering.interval_seconds", "%d: want 0 to 900 (seconds)", *interval)
	}
	data, err := parsePrefix(c.Prefix, false)
	if err != nil {
		bad("prefix", "%w", err)
	}
	failed, err := parsePrefix(c.ErrorPrefix, true)
	if err != nil {
		bad("error_prefix", "%w", err)
	} else if data != nil && data.expressions > 0 && c.ErrorPrefix == "" {
		bad("error_prefix", "missing: a prefix with expressions needs one, such as errors/!{firehose:error-output-type}/")
	} else if _, why := failed.append(nil, sample, nil, failedType); why != "" {
		bad("error_prefix", "%s", why)
	}
	if data != nil && len(data.keys) == 0 {
		if _, why := data.append(nil, sample, nil, ""); why != "" {
			bad("prefix", "%s", why)
		}
	}
	if _, err := time.LoadLocation(c.TimeZone); err != nil || c.TimeZone == "Local" {
		bad("time_zone", "%q: want a name of the IANA database, such as America/New_York", c.TimeZone)
	}
	if c.Compression != Gzip && c.Compression != Uncompressed {
		bad("compression", "%q: want %s or %s", c.Compression, Gzip, Uncompressed)
	}
	if c.DiskLimitMB < 1 {
		bad("disk_limit_mb", "%d: want 1 or more (MiB)", c.DiskLimitMB)
	}
	return errors.Join(errs...)
}

// sample is a time whose every field is as wide as it gets.
var sample = time.Date(2026, time.September, 30, 23, 59, 59, 0, time.UTC)

// CheckName reports as Invalid what is no name of a stream.
func CheckName(name string) error {
	ok := len(name) >= 1 && len(name) <= 64
	for i := range len(name) {
		c := name[i]
		ok = ok && ('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '.' || c == '-')
	}
	if !ok {
		return tickerlake.Errorf(tickerlake.Invalid, "deliver.CheckName", fmt.Sprintf("stream %q", name),
			"the name of a stream has 1 to 64 characters of a-z, A-Z, 0-9 and _ . -")
	}
	return nil
}

// Folder is what stands before the first expression of Prefix, up to its last slash:
// every object of the data prefix lies below it.
func (c Config) Folder() string {
	fixed, _, _ := strings.Cut(c.Prefix, "!{")
	return fixed[:strings.LastIndexByte(fixed, '/')+1]
}
