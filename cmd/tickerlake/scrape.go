package main

import (
	"context"
	"net/http"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tickerlake/tickerlake/catalog"
)

// scrapeTimeout bounds the questions to the lake that one scrape asks.
const scrapeTimeout = 10 * time.Second

// firehoseMetrics gives what a stream counts its name in Prometheus. Those of Firehose
// are called after its metrics in CloudWatch: DeliveryToS3.DataFreshness is
// aws_firehose_delivery_to_s3_data_freshness_seconds.
var firehoseMetrics = map[string]struct {
	name, help string
	kind       prometheus.ValueType
}{
	"IncomingRecords":            {"aws_firehose_incoming_records_total", "Records that were acknowledged.", prometheus.CounterValue},
	"IncomingBytes":              {"aws_firehose_incoming_bytes_total", "Their bytes.", prometheus.CounterValue},
	"ThrottledRecords":           {"aws_firehose_throttled_records_total", "Records that were refused because the log has reached its limit.", prometheus.CounterValue},
	"PartitionCountExceeded":     {"aws_firehose_partition_count_exceeded_total", "Records beyond the limit of partitions.", prometheus.CounterValue},
	"DeliveryToS3.Records":       {"aws_firehose_delivery_to_s3_records_total", "Records that are in objects.", prometheus.CounterValue},
	"DeliveryToS3.Bytes":         {"aws_firehose_delivery_to_s3_bytes_total", "Their bytes, before compression.", prometheus.CounterValue},
	"DeliveryToS3.Success":       {"aws_firehose_delivery_to_s3_success_total", "Objects that were written.", prometheus.CounterValue},
	"DeliveryToS3.Failed":        {"tickerlake_delivery_failed_attempts_total", "Attempts to write an object that failed.", prometheus.CounterValue},
	"ErrorRecords":               {"tickerlake_delivery_error_records_total", "Records that are in objects of the error prefix.", prometheus.CounterValue},
	"PartitionCount":             {"aws_firehose_partition_count", "Buffers that are open.", prometheus.GaugeValue},
	"DeliveryToS3.DataFreshness": {"aws_firehose_delivery_to_s3_data_freshness_seconds", "Age of the oldest record that is not in an object yet.", prometheus.GaugeValue},
	"LogBytes":                   {"tickerlake_delivery_log_bytes", "Size of the delivery log.", prometheus.GaugeValue},
	"BacklogBytes":               {"tickerlake_delivery_backlog_bytes", "Bytes that are not in objects yet.", prometheus.GaugeValue},
}

// A scrape asks a lake that is up how it is, at each scrape anew.
type scrape struct {
	d *daemon

	mu   sync.Mutex
	disk []diskUse
	at   time.Time // when disk was looked at, in real time
}

// diskEvery is how often the files of the lake are counted.
const diskEvery = time.Minute

// metricsHandler answers /metrics.
func (d *daemon) metricsHandler() http.Handler {
	version := "(devel)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = info.Main.Version
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{Name: "tickerlake_info", Help: "The program.", ConstLabels: prometheus.Labels{"version": version}})
	info.Set(1)
	r := d.lake.metrics.registry
	r.MustRegister(info, &scrape{d: d}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, ErrorLog: scrapeLog{d}, MaxRequestsInFlight: 4})
}

// A scrapeLog takes what promhttp has to complain about.
type scrapeLog struct{ d *daemon }

func (l scrapeLog) Println(v ...any) { l.d.tell.log.Warn("a scrape failed in part", "error", v) }

// Describe says nothing: what there is depends on the lake.
func (s *scrape) Describe(chan<- *prometheus.Desc) {}

// Collect gives what there is to say now.
func (s *scrape) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	e := &exposition{out: out}
	reasons := *s.d.why.Load()
	ready := 0.0
	if len(reasons) == 0 {
		ready = 1
	}
	e.gauge("tickerlake_ready", "1 if the lake is ready to work.", ready)
	if ready == 0 {
		return // it is being opened, or closed
	}
	p := s.d.lake
	for stream, of := range map[string]*stream{streamName: p.bars, opsName: p.ops.stream} {
		for name, value := range of.Metrics() {
			m := firehoseMetrics[name]
			e.metric(m.kind, m.name, m.help, float64(value), "delivery_stream_name", stream)
		}
	}
	if err := s.tables(ctx, e); err != nil {
		e.fail("tickerlake_series", err)
	}
	if err := s.ledger(ctx, e); err != nil {
		e.fail("tickerlake_raw_objects", err)
	}
	if err := s.alarms(ctx, e); err != nil {
		e.fail("tickerlake_alarm", err)
	}
	for _, use := range s.diskUse() {
		e.gauge("tickerlake_disk_bytes", "Size of the lake's files, counted once a minute.", float64(use.Bytes), "what", use.What)
		e.gauge("tickerlake_disk_files", "Number of the lake's files, counted once a minute.", float64(use.Files), "what", use.What)
	}
	if free, ok := freeBytes(p.dir); ok {
		e.gauge("tickerlake_disk_free_bytes", "What this user may still write to the disk of the lake.", free)
	}
}

// tables tells how fresh the tables are.
func (s *scrape) tables(ctx context.Context, e *exposition) error {
	tables, err := s.d.lake.freshness(ctx)
	if err != nil {
		return err
	}
	now := s.d.lake.clock()
	for _, t := range tables {
		length := t.Interval.Duration()
		e.gauge("tickerlake_series", "Symbols of a table.", float64(t.Series), "table", t.Table)
		e.gauge("tickerlake_last_bar_timestamp_seconds", "End of the newest final bar of a table.", seconds(t.Newest.Add(length)), "table", t.Table)
		e.gauge("tickerlake_freshness_seconds", "Time since the end of the newest final bar of a table.", now.Sub(t.Newest.Add(length)).Seconds(), "table", t.Table)
		e.gauge("tickerlake_stalest_seconds", "Time since the end of the newest final bar of that symbol of a table which is furthest behind.", now.Sub(t.Stalest.Add(length)).Seconds(), "table", t.Table)
	}
	return nil
}

// ledger tells what waits, what is held, and which sources are not asked.
func (s *scrape) ledger(ctx context.Context, e *exposition) error {
	counts, err := s.d.lake.catalog.Counts(ctx)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	now := s.d.lake.clock()
	object := func(state string, objects, bytes int64, age time.Duration) {
		e.gauge("tickerlake_raw_objects", "Raw objects by state: pending ones wait for a run, held ones for tickerlake run --release.", float64(objects), "state", state)
		e.gauge("tickerlake_raw_bytes", "Their size.", float64(bytes), "state", state)
		e.gauge("tickerlake_raw_oldest_seconds", "Age of the oldest of them.", age.Seconds(), "state", state)
		known[state] = true
	}
	for _, c := range counts {
		object(string(c.State), c.Objects, c.Bytes, now.Sub(c.Oldest))
	}
	for _, state := range []catalog.State{catalog.Waiting, catalog.Published, catalog.Held, catalog.Damaged} {
		if !known[string(state)] {
			object(string(state), 0, 0, 0)
		}
	}
	paused, err := s.d.lake.catalog.Paused(ctx)
	if err != nil {
		return err
	}
	e.gauge("tickerlake_paused_sources", "Sources that are not asked because of a rollback.", float64(len(paused)))
	for _, name := range s.d.lake.file.SourceNames() {
		at, err := s.d.lake.catalog.Fired(ctx, name)
		if err != nil {
			return err
		}
		if !at.IsZero() {
			e.gauge("tickerlake_last_firing_timestamp_seconds", "The last firing of a source's schedule that was carried out.", seconds(at), "source", name)
		}
	}
	return nil
}

// alarms tells how they were when they were last looked at.
func (s *scrape) alarms(ctx context.Context, e *exposition) error {
	alarms, err := s.d.lake.catalog.Alarms(ctx)
	for _, a := range alarms {
		for _, state := range []catalog.AlarmState{catalog.AlarmOK, catalog.InAlarm, catalog.InsufficientState} {
			is := 0.0
			if a.State == state {
				is = 1
			}
			e.gauge("tickerlake_alarm", "1 for the state that an alarm is in.", is, "alarm", a.Name, "state", string(state))
		}
	}
	return err
}

// diskUse counts the files, not at each scrape.
func (s *scrape) diskUse() []diskUse {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); s.at.IsZero() || now.Sub(s.at) > diskEvery {
		s.disk, s.at = s.d.lake.diskUse(), now
	}
	return s.disk
}

// freeBytes is what may still be written to the disk of a folder.
func freeBytes(dir string) (float64, bool) {
	var st syscall.Statfs_t
	if syscall.Statfs(dir, &st) != nil {
		return 0, false
	}
	return float64(st.Bavail) * float64(st.Bsize), true
}

// seconds is a time as Prometheus has it.
func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

// An exposition makes metrics of values.
type exposition struct{ out chan<- prometheus.Metric }

func (e *exposition) gauge(name, help string, value float64, labels ...string) {
	e.metric(prometheus.GaugeValue, name, help, value, labels...)
}

// metric gives one value; labels are names and values in turn.
func (e *exposition) metric(kind prometheus.ValueType, name, help string, value float64, labels ...string) {
	var names, values []string
	for i := 0; i < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, labels[i+1])
	}
	m, err := prometheus.NewConstMetric(prometheus.NewDesc(name, help, names, nil), kind, value, values...)
	if err != nil {
		e.fail(name, err)
		return
	}
	e.out <- m
}

func (e *exposition) fail(name string, err error) {
	e.out <- prometheus.NewInvalidMetric(prometheus.NewDesc(name, "failed", nil, nil), err)
}
