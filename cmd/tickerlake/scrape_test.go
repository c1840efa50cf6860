package main

import (
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/tickerlake/tickerlake/blob"
	"github.com/tickerlake/tickerlake/deliver"
)

// TestMetrics reads /metrics as Prometheus does, and compares it with what happened.
func TestMetrics(t *testing.T) {
	p := newProgram(t, upFile)
	u := p.up()
	u.await("78 inserted")
	u.sleep(24 * time.Hour)
	u.await("2 inserted")
	p.do("tidy") // the second: after a day up does so itself
	status, text := u.get("/metrics")
	if status != 200 {
		t.Fatalf("%d\n%s", status, text)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	get := func(name string, labels ...string) float64 {
		t.Helper()
		for _, m := range families[name].GetMetric() {
			got := ""
			for _, l := range m.Label {
				got += l.GetName() + "=" + l.GetValue() + " "
			}
			if strings.TrimSpace(got) == strings.Join(labels, " ") {
				if families[name].GetType() == dto.MetricType_HISTOGRAM {
					return float64(m.GetHistogram().GetSampleCount())
				}
				return value(m)
			}
		}
		t.Errorf("there is no %s %s", name, labels)
		return -1
	}
	now := float64(u.now().Unix())
	for _, c := range []struct {
		name, labels string
		want         float64
	}{
		{"tickerlake_ready", "", 1},
		{"tickerlake_fetched_symbols_total", "class=ok source=market", 4},
		{"tickerlake_last_fetch_timestamp_seconds", "source=market", now},
		{"tickerlake_last_firing_timestamp_seconds", "source=market", now},
		{"tickerlake_rows_total", "outcome=inserted", 80},
		{"tickerlake_rows_total", "outcome=quarantined", 0},
		{"tickerlake_runs_total", "state=COMPLETED workflow=tidy", 2},
		{"tickerlake_run_duration_seconds", "workflow=tidy", 2},
		{"tickerlake_last_run_timestamp_seconds", "state=COMPLETED workflow=main", now},
		{"aws_firehose_delivery_to_s3_data_freshness_seconds", "delivery_stream_name=bars", 0},
		{"aws_firehose_throttled_records_total", "delivery_stream_name=bars", 0},
		{"tickerlake_delivery_backlog_bytes", "delivery_stream_name=bars", 0},
		{"tickerlake_series", "table=bars_1d", 2},
		// The bar of 2026-03-03 ends with that day; it is 22:00 of it.
		{"tickerlake_freshness_seconds", "table=bars_1d", -2 * 3600},
		{"tickerlake_stalest_seconds", "table=bars_1d", -2 * 3600},
		{"tickerlake_raw_objects", "state=held", 0},
		{"tickerlake_raw_objects", "state=pending", 0},
		{"tickerlake_paused_sources", "", 0},
	} {
		if got := get(c.name, strings.Fields(c.labels)...); got != c.want {
			t.Errorf("%s %s: %v, want %v", c.name, c.labels, got, c.want)
		}
	}
	if in, out := get("aws_firehose_incoming_records_total", "delivery_stream_name=bars"), get("aws_firehose_delivery_to_s3_records_total", "delivery_stream_name=bars"); in < 2 || in != out {
		t.Errorf("%v records came in, %v are delivered", in, out)
	}
	for _, name := range []string{"process_resident_memory_bytes", "go_goroutines", "tickerlake_disk_free_bytes", "tickerlake_info"} {
		if families[name] == nil {
			t.Errorf("there is no %s", name)
		}
	}
	for name, f := range families {
		if f.GetHelp() == "" {
			t.Errorf("%s has no help", name)
		}
		if counter := f.GetType() == dto.MetricType_COUNTER; counter != strings.HasSuffix(name, "_total") && !strings.HasPrefix(name, "go_") {
			t.Errorf("%s is a %s", name, f.GetType())
		}
	}
	for name := range u.firehose() {
		if firehoseMetrics[name].name == "" {
			t.Errorf("%s of a stream has no name in Prometheus", name)
		}
	}
}

// firehose are the names of what a stream counts.
func (u *upProgram) firehose() map[string]bool {
	bucket, err := blob.OpenDir(u.TempDir())
	if err != nil {
		u.Fatal(err)
	}
	defer bucket.Close()
	p, err := openStream(deliver.Defaults(), deliver.Options{Name: "s", Dir: u.TempDir(), Bucket: bucket})
	if err != nil {
		u.Fatal(err)
	}
	names := map[string]bool{}
	for name := range p.Metrics() {
		names[name] = true
	}
	if err := p.stop(); err != nil {
		u.Fatal(err)
	}
	return names
}
