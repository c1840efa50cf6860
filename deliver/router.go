package deliver

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"time"
)

// The kinds and codes of errors that error objects tell.
const (
	failedType   = "processing-failed"
	exceededType = "activePartitionExceeded"

	codePrefix   = "DynamicPartitioning.PrefixEvaluationFailed"
	codeExceeded = "activePartitionExceeded"
)

// A router tells which destination a record belongs to. It is used under a lock.
type router struct {
	data, errs       *prefix // as configured
	zone             *time.Location
	second           int64
	dataNow, errsNow *prefix      // with this second's timestamps
	fixed            *destination // of all records, if the prefix has no partition keys
	known            map[string]*destination
	wrong            map[destination]*destination
	scratch          []byte
}

func newRouter(cfg Config, zone *time.Location) (router, error) {
	data, err := parsePrefix(cfg.Prefix, false)
	if err != nil {
		return router{}, err
	}
	errs, err := parsePrefix(cfg.ErrorPrefix, true)
	return router{
		data: data, errs: errs, zone: zone, second: -1 << 63,
		known: map[string]*destination{}, wrong: map[destination]*destination{},
	}, err
}

// now sets the time of the records that follow.
func (r *router) now(at time.Time) {
	if at.Unix() == r.second && r.dataNow != nil {
		return
	}
	r.second = at.Unix()
	local := at.In(r.zone)
	r.dataNow, r.errsNow, r.fixed = r.data.during(local), r.errs.during(local), nil
	if len(r.known)+len(r.wrong) > 4*MaxPartitions {
		clear(r.known)
		clear(r.wrong)
	}
	if len(r.data.keys) == 0 {
		r.fixed = r.evaluate(at, nil)
	}
}

// route gives the destination of a record that arrived at the time of now.
func (r *router) route(at time.Time, keys map[string]string) *destination {
	if r.fixed != nil {
		return r.fixed
	}
	return r.evaluate(at, keys)
}

func (r *router) evaluate(at time.Time, keys map[string]string) *destination {
	text, why := r.dataNow.append(r.scratch[:0], at, keys, "")
	r.scratch = text
	if why != "" {
		return r.failed(at, failedType, codePrefix, why)
	}
	d, ok := r.known[string(text)]
	if !ok {
		d = &destination{prefix: string(text)}
		r.known[d.prefix] = d
	}
	return d
}

// failed gives the destination of a record that the data prefix cannot take.
func (r *router) failed(at time.Time, kind, code, message string) *destination {
	text, _ := r.errsNow.append(nil, at, nil, kind) // Validate has tried it
	d := destination{prefix: string(text), code: code, message: message}
	if p, ok := r.wrong[d]; ok {
		return p
	}
	r.wrong[d] = &d
	return &d
}

// fingerprint changes whenever the configuration does.
func (c Config) fingerprint() uint64 {
	text, err := json.Marshal(c)
	if err != nil {
		panic(err) // plain fields only
	}
	sum := sha256.Sum256(text)
	return binary.LittleEndian.Uint64(sum[:])
}
