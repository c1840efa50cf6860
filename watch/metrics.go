package watch

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// jsonText is a string as JSON writes it.
func jsonText(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return string(text)
}

// A Counter only grows. It may be used by several goroutines.
type Counter struct{ n atomic.Int64 }

// Add adds n, which is not negative.
func (c *Counter) Add(n int64) {
	if n > 0 {
		c.n.Add(n)
	}
}

// Value is the sum so far.
func (c *Counter) Value() int64 { return c.n.Load() }

// A Gauge is a value that goes up and down. It may be used by several goroutines.
type Gauge struct{ bits atomic.Uint64 }

// Set sets the value.
func (g *Gauge) Set(v float64) { g.bits.Store(math.Float64bits(v)) }

// Value is the value set last, 0 before.
func (g *Gauge) Value() float64 { return math.Float64frombits(g.bits.Load()) }

// A Label tells apart metrics of one name: source=market.
type Label struct{ Name, Value string }

// A Sample is the value of a metric at one moment. Name and labels are those of
// Prometheus.
type Sample struct {
	Name   string
	Labels []Label // by name
	Kind   string  // counter or gauge
	Value  float64
}

// A Registry hands out counters and gauges by name. The zero value is ready.
type Registry struct {
	mu      sync.Mutex
	metrics map[string]*metric
}

type metric struct {
	name    string
	labels  []Label
	counter *Counter
	gauge   *Gauge
}

// Counter gives the counter of that name and labels, made when it is asked for
// first. Names of counters end with _total.
func (r *Registry) Counter(name string, labels ...Label) *Counter {
	m := r.metric("counter", name, labels)
	return m.counter
}

// Gauge gives the gauge of that name and labels, made when it is asked for first.
func (r *Registry) Gauge(name string, labels ...Label) *Gauge {
	m := r.metric("gauge", name, labels)
	return m.gauge
}

func (r *Registry) metric(kind, name string, labels []Label) *metric {
	labels = slices.Clone(labels)
	slices.SortFunc(labels, func(a, b Label) int { return strings.Compare(a.Name, b.Name) })
	key := kind + "\x00" + name
	for _, l := range labels {
		key += "\x00" + l.Name + "\x00" + l.Value
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok := r.metrics[key]
	if !ok {
		m = &metric{name: name, labels: labels}
		if kind == "counter" {
			m.counter = &Counter{}
		} else {
			m.gauge = &Gauge{}
		}
		if r.metrics == nil {
			r.metrics = map[string]*metric{}
		}
		r.metrics[key] = m
	}
	return m
}

// Snapshot gives every metric, sorted by name and labels.
func (r *Registry) Snapshot() []Sample {
	r.mu.Lock()
	out := make([]Sample, 0, len(r.metrics))
	for _, m := range r.metrics {
		s := Sample{Name: m.name, Labels: m.labels}
		if m.counter != nil {
			s.Kind, s.Value = "counter", float64(m.counter.Value())
		} else {
			s.Kind, s.Value = "gauge", m.gauge.Value()
		}
		out = append(out, s)
	}
	r.mu.Unlock()
	slices.SortFunc(out, func(a, b Sample) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), slices.CompareFunc(a.Labels, b.Labels, func(x, y Label) int {
			return cmp.Or(strings.Compare(x.Name, y.Name), strings.Compare(x.Value, y.Value))
		}), strings.Compare(a.Kind, b.Kind))
	})
	return out
}
