package bench

import (
	"strings"
	"testing"
	"time"
)

const (
	memoryMB  = 768     // of the engine, as the program runs it
	unlimited = 1 << 16 // more than the data needs
)

// BenchmarkPublish takes raw NDJSON gzip objects to a published table, and in the
// same run, in turn with it, lets bare DuckDB do the least of the same work: read,
// de-duplicate, sort, write Parquet, without ledger, judgement, gate, commit or
// fsync. "split" works a year at a time under the program's memory limit; "oneshot"
// is one statement without a limit. Each is measured in a child process of its own;
// the metrics are medians. TICKERLAKE_BENCH_ROWS sets the number of bars.
func BenchmarkPublish(b *testing.B) {
	m := newMarket(size(b))
	objects, err := write(b.TempDir(), "bars", m.first())
	if err != nil {
		b.Fatal(err)
	}
	runs := []struct {
		name, work string
		memory     int
	}{
		{"publish", "publish", memoryMB},
		{"split", "split", memoryMB},
		{"oneshot", "oneshot", unlimited},
	}
	for b.Loop() {
		took, peaks, cpu := map[string][]time.Duration{}, map[string][]float64{}, map[string][]float64{}
		for round := range rounds(b) {
			for _, r := range runs {
				out := do(b, task{Work: r.work, Objects: objects, Market: m, MemoryMB: r.memory})
				if out.Error != "" {
					b.Fatalf("%s: %s", r.name, out.Error)
				}
				if out.Rows != m.bars() {
					b.Fatalf("%s: %d rows, want %d", r.name, out.Rows, m.bars())
				}
				took[r.name] = append(took[r.name], out.Took)
				peaks[r.name] = append(peaks[r.name], out.PeakMB)
				cpu[r.name] = append(cpu[r.name], out.CPU)
				for step, d := range out.Steps {
					took[r.name+"/"+step] = append(took[r.name+"/"+step], d)
				}
				b.Logf("round %d: %s %.2f s, %.2f s of processor, %.0f MB, %v", round, r.name, out.Took.Seconds(), out.CPU, out.PeakMB, out.Steps)
			}
		}
		ours := median(took["publish"]).Seconds()
		b.ReportMetric(float64(m.lines())/ours, "rows/s")
		b.ReportMetric(greatest(peaks["publish"]), "peak_MB")
		for _, bare := range []string{"split", "oneshot"} {
			b.ReportMetric(median(took[bare]).Seconds(), bare+"_s")
			b.ReportMetric(greatest(peaks[bare]), bare+"_peak_MB")
			b.ReportMetric(ratio(seconds(took["publish"]), seconds(took[bare])), "x_"+bare)
			b.ReportMetric(ratio(cpu["publish"], cpu[bare]), "x_"+bare+"_cpu")
		}
		for name, d := range took {
			if job, ok := strings.CutPrefix(name, "publish/"); ok {
				b.ReportMetric(median(d).Seconds(), job+"_s")
			}
		}
	}
}

// BenchmarkNews runs the workflow on a lake of 10 million bars with nothing new, and
// with 10,000 new bars.
func BenchmarkNews(b *testing.B) {
	m := newMarket(size(b))
	objects, err := write(b.TempDir(), "bars", m.first())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		out := do(b, task{Work: "news", Objects: objects, Market: m, MemoryMB: memoryMB})
		if out.Error != "" {
			b.Fatal(out.Error)
		}
		b.Logf("%d new bars; %v", out.Rows, out.Rounds)
		for name, d := range out.Rounds {
			b.ReportMetric(float64(median(d).Milliseconds()), strings.ReplaceAll(name, " ", "_")+"_ms")
		}
	}
}

// ratio is the median of the ratios of pairs: both of a pair ran close in time, so
// that what else the machine does weighs on both.
func ratio(ours, bare []float64) float64 {
	pairs := make([]float64, len(ours))
	for i := range ours {
		pairs[i] = ours[i] / bare[i]
	}
	return median(pairs)
}

func seconds(values []time.Duration) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = v.Seconds()
	}
	return out
}

func greatest(values []float64) (out float64) {
	for _, v := range values {
		out = max(out, v)
	}
	return out
}
