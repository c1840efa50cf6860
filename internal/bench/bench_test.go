package bench

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const (
	memoryMB  = 704     // of the engine, as the program runs it
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
	objects, err := m.write(b.TempDir(), "bars", m.first())
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
		size := int64(0)
		for round := range rounds(b) {
			for _, r := range runs {
				out := do(b, task{Work: r.work, Objects: objects, Market: m, MemoryMB: r.memory})
				if out.Error != "" {
					b.Fatalf("%s: %s", r.name, out.Error)
				}
				if out.Rows != m.bars() {
					b.Fatalf("%s: %d rows, want %d", r.name, out.Rows, m.bars())
				}
				size = max(size, out.Bytes)
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
		aim(b, "x_split", ratio(seconds(took["publish"]), seconds(took["split"])), 1.25)
		aim(b, "peak_MB", greatest(peaks["publish"]), 1000)
		aim(b, "bytes/bar", float64(size)/float64(m.bars()), 14)
		b.ReportMetric(float64(m.lines())/ours, "rows/s")
		for _, bare := range []string{"split", "oneshot"} {
			b.ReportMetric(median(took[bare]).Seconds(), bare+"_s")
			b.ReportMetric(greatest(peaks[bare]), bare+"_peak_MB")
			if bare != "split" {
				b.ReportMetric(ratio(seconds(took["publish"]), seconds(took[bare])), "x_"+bare)
			}
			b.ReportMetric(ratio(cpu["publish"], cpu[bare]), "x_"+bare+"_cpu")
		}
		for name, d := range took {
			if job, ok := strings.CutPrefix(name, "publish/"); ok {
				b.ReportMetric(median(d).Seconds(), job+"_s")
			}
		}
	}
}

// BenchmarkNews runs the workflow on a lake of 2 years and on one of 20 years of the
// same symbols, with nothing new and with 10,000 new bars.
func BenchmarkNews(b *testing.B) {
	for b.Loop() {
		news := map[int]map[string][]time.Duration{}
		for _, years := range []int{2, 20} {
			m := newMarket(size(b))
			m.Bars = years * tradingYear
			out := run1(b, m, task{Work: "news", News: 5 * m.Symbols, Rounds: rounds(b)})
			news[years] = out.Rounds
			b.Logf("%d years: %d new bars; %v", years, out.Rows, out.Rounds)
			for name, d := range out.Rounds {
				b.ReportMetric(milliseconds(median(d)), fmt.Sprintf("%s_%dy_ms", strings.ReplaceAll(name, " ", "_"), years))
			}
		}
		aim(b, "x_2_years", median(seconds(news[20]["news"]))/median(seconds(news[2]["news"])), 1.5)
		aim(b, "nothing_ms", milliseconds(median(news[20]["nothing"])), 50)
	}
}

// BenchmarkDividend publishes days on which one symbol in 20 paid a dividend, so that
// 20 years of its bars have another adj_close.
func BenchmarkDividend(b *testing.B) {
	m := newMarket(size(b))
	for b.Loop() {
		out := run1(b, m, task{Work: "dividends", News: max(1, m.Symbols/20), Rounds: rounds(b)})
		b.Logf("%d bars changed, %d bytes written, %v", out.Rows, out.Bytes, out.Rounds)
		b.ReportMetric(float64(out.Rows), "bars")
		b.ReportMetric(float64(out.Bytes)/1e6, "written_MB")
		b.ReportMetric(float64(out.Bytes)/float64(out.Rows), "bytes/changed_bar")
		b.ReportMetric(out.PeakMB, "peak_MB")
		for name, d := range out.Rounds {
			b.ReportMetric(milliseconds(median(d)), strings.ReplaceAll(name, " ", "_")+"_ms")
		}
	}
}

// BenchmarkMinutes runs the workflow for each of the 390 minutes of a session, for all
// symbols: on an empty lake, and after a month of such sessions. The last runs are
// compared with the first ones of the empty lake.
func BenchmarkMinutes(b *testing.B) {
	m := market{Symbols: setting(b, "TICKERLAKE_BENCH_MINUTE_SYMBOLS", 10_000, 200, 1), Minutes: true}
	days := setting(b, "TICKERLAKE_BENCH_MINUTE_DAYS", 21, 2, 1)
	minutes := setting(b, "TICKERLAKE_BENCH_MINUTE_RUNS", session, 40, 20)
	for b.Loop() {
		last := map[int]float64{}
		first := 0.0
		for _, before := range []int{0, days} {
			out := do(b, task{Work: "minutes", Market: m, MemoryMB: memoryMB, Days: before, Rounds: min(minutes, session)})
			if out.Error != "" {
				b.Fatal(out.Error)
			}
			took := out.Rounds["minute"]
			if before == 0 {
				first = median(seconds(took[:10]))
			}
			last[before] = median(seconds(took[len(took)-10:]))
			b.Logf("after %d days: first %.0f ms, last %.0f ms, %v, peak %.0f MB", before, 1000*median(seconds(took[:10])), 1000*last[before], out.Sizes, out.PeakMB)
			suffix := fmt.Sprintf("_%dd", before)
			b.ReportMetric(1000*last[before], "last"+suffix+"_ms")
			for name, d := range out.Rounds {
				if job, ok := strings.CutPrefix(name, "minute "); ok {
					b.ReportMetric(milliseconds(median(d[len(d)-10:])), job+suffix+"_ms")
				}
			}
			b.ReportMetric(out.PeakMB, "peak"+suffix+"_MB")
			b.ReportMetric(milliseconds(median(out.Rounds["tidy"])), "tidy"+suffix+"_ms")
			for name, size := range out.Sizes {
				b.ReportMetric(size, name+suffix)
			}
		}
		b.ReportMetric(1000*first, "first_ms")
		aim(b, "x_last_of_session", last[0]/first, 2)
		aim(b, "x_last_of_month", last[days]/first, 2)
	}
}

// BenchmarkRules evaluates 25 rules on a published table of 10 million rows, in turn
// with one statement written by hand that computes the same aggregates.
func BenchmarkRules(b *testing.B) {
	m := newMarket(size(b))
	for b.Loop() {
		out := run1(b, m, task{Work: "rules", Rounds: rounds(b)})
		b.Logf("%v", out.Rounds)
		b.ReportMetric(milliseconds(median(out.Rounds["rules"])), "rules_ms")
		b.ReportMetric(milliseconds(median(out.Rounds["by hand"])), "by_hand_ms")
		b.ReportMetric(out.PeakMB, "peak_MB")
		aim(b, "x_by_hand", ratio(seconds(out.Rounds["rules"]), seconds(out.Rounds["by hand"])), 1.2)
	}
}

// run1 writes the market's first objects and does a task with them.
func run1(b *testing.B, m market, t task) outcome {
	b.Helper()
	objects, err := m.write(b.TempDir(), "bars", m.first())
	if err != nil {
		b.Fatal(err)
	}
	t.Objects, t.Market, t.MemoryMB = objects, m, memoryMB
	out := do(b, t)
	if out.Error != "" {
		b.Fatal(out.Error)
	}
	return out
}

// aim reports a value and the most that it is to be.
func aim(b *testing.B, unit string, value, most float64) {
	b.ReportMetric(value, unit)
	b.ReportMetric(most, unit+"_aim")
	met := "met"
	if value > most {
		met = "NOT met"
	}
	b.Logf("%s: %.4g, aim at most %.4g: %s", unit, value, most, met)
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

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
