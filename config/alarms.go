package config

import (
	"net/url"
	"time"

	"github.com/tickerlake/tickerlake"
)

// Alarms is the key alarms of the file: what a lake that is up watches itself for.
type Alarms struct {
	// StaleSource is how old the last answer of a source may be that is published; 0: any
	// age. Sources without a schedule are not watched.
	StaleSource tickerlake.Duration `yaml:"stale_source"`
	// FailedRun watches whether the last run of each workflow has failed, but for its gate.
	FailedRun bool `yaml:"failed_run"`
	// FailedGate watches whether rules have stopped the last run of each workflow.
	FailedGate bool `yaml:"failed_gate"`
	// HeldObjects is how many held raw objects are too many; 0: none are.
	HeldObjects int `yaml:"held_objects"`
	// Backlog is how old the oldest record may be that is not delivered; 0: any age.
	Backlog tickerlake.Duration `yaml:"backlog"`
	// DiskFreeMB is how many MiB must be free on the disk of the lake; 0: none.
	DiskFreeMB int `yaml:"disk_free_mb"`
	// Webhook is the address that is told when an alarm begins or ends; empty: none.
	Webhook string `yaml:"webhook"`
}

// DefaultAlarms are the values of keys that the file leaves out.
func DefaultAlarms() Alarms {
	return Alarms{FailedRun: true, FailedGate: true, HeldObjects: 1, Backlog: tickerlake.Duration(15 * time.Minute), DiskFreeMB: 1024}
}

// maxAge bounds the ages that alarms wait for.
const maxAge = tickerlake.Duration(36500 * 24 * time.Hour)

func (r *reader) checkAlarms() {
	a := r.file.Alarms
	for key, age := range map[string]tickerlake.Duration{"stale_source": a.StaleSource, "backlog": a.Backlog} {
		if age < 0 || age > maxAge || age > 0 && age < tickerlake.Duration(time.Second) {
			r.bad("alarms."+key, "%s: want 1 second to 36500 days, or 0 seconds for none", age)
		}
	}
	for key, n := range map[string]int{"held_objects": a.HeldObjects, "disk_free_mb": a.DiskFreeMB} {
		if n < 0 {
			r.bad("alarms."+key, "%d: want a number from 0 on, which is none", n)
		}
	}
	if a.Webhook == "" {
		return
	}
	if u, err := url.Parse(a.Webhook); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		r.bad("alarms.webhook", "want an address such as https://hooks.example.com/tickerlake") // without it: it may be a secret
	}
}
