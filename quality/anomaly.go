package quality

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
)

// How DetectAnomalies judges, step by step; docs/quality.md tells it at length.
//
//  1. The earlier values, oldest first, are fitted by a line: the Theil-Sen estimator,
//     the median of the slopes of all pairs (Sen, JASA 63, 1968), which a quarter of
//     wild values does not move.
//  2. If there are three weeks of them, a season of 5 or of 7 results is taken out, the
//     median of the residuals at each place of it, where that takes away more than half
//     of what they are off in the mean.
//  3. The spread is the median absolute deviation of the residuals, times 1.4826, as of
//     a normal distribution; where more than half of them are equal, their mean absolute
//     deviation times 1.2533 (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993).
//  4. The value must lie within 3.5 spreads of the forecast, the limit of the same book,
//     widened for a line that was fitted to few values; and in any case may be one per
//     cent beside it.
const (
	anomalyWindow  = 100 // earlier values that count
	anomalyMinimum = 7   // below, nothing is judged
	anomalyLimit   = 3.5
	anomalyNear    = 0.01
)

// A forecast is what the next value is expected to be, and how far it may be off.
type forecast struct{ value, low, high float64 }

// expect forecasts the value that follows x, oldest first; at least anomalyMinimum of
// them.
func expect(x []float64) forecast {
	n := len(x)
	var slopes []float64
	for i := range x {
		for j := i + 1; j < n; j++ {
			slopes = append(slopes, (x[j]-x[i])/float64(j-i))
		}
	}
	slope := median(slopes)
	rest := make([]float64, n)
	for i := range x {
		rest[i] = x[i] - slope*float64(i)
	}
	level := median(rest)
	for i := range rest {
		rest[i] -= level
	}
	value := level + slope*float64(n)
	spread := spreadOf(rest)
	best := mean(absolute(rest)) / 2
	for _, period := range []int{5, 7} {
		if n < 3*7 {
			break
		}
		offsets, left := season(rest, period)
		if off := mean(absolute(left)); off < best {
			best, spread = off, spreadOf(left)
			value = level + slope*float64(n) + offsets[n%period]
		}
	}
	// As of a regression: the forecast lies (n+1)/2 beyond the middle of n points.
	middle := float64(n+1) / 2
	widened := math.Sqrt(1 + 1/float64(n) + middle*middle*12/(float64(n)*float64(n*n-1)))
	off := max(anomalyLimit*spread*widened, anomalyNear*math.Abs(value))
	return forecast{value: value, low: value - off, high: value + off}
}

// season gives the median at each place of a period, and what is left without them.
func season(x []float64, period int) (offsets, left []float64) {
	offsets, left = make([]float64, period), make([]float64, len(x))
	for place := range period {
		var same []float64
		for i := place; i < len(x); i += period {
			same = append(same, x[i])
		}
		offsets[place] = median(same)
	}
	for i := range x {
		left[i] = x[i] - offsets[i%period]
	}
	return offsets, left
}

// spreadOf is the spread of residuals around 0, as a standard deviation.
func spreadOf(x []float64) float64 {
	off := absolute(x)
	if m := median(off); m > 0 {
		return 1.4826 * m
	}
	return 1.2533 * mean(off)
}

func absolute(x []float64) []float64 {
	out := make([]float64, len(x))
	for i := range x {
		out[i] = math.Abs(x[i])
	}
	return out
}

// anomalyTypes are the types whose metrics DetectAnomalies watches.
var anomalyTypes = []string{"RowCount", "Completeness", "Uniqueness", "Mean", "Sum", "StandardDeviation", "Variance", "Entropy",
	"DistinctValuesCount", "UniqueValueRatio", "ColumnLength", "ColumnValues", "ColumnCorrelation", "CustomSql", "ColumnCount"}

// planAnomalies measures what the rule names and compares it with what was measured
// before.
func planAnomalies(p *plan, r *Rule) (judge, error) {
	name := r.Parameters[0]
	i := slices.IndexFunc(anomalyTypes, func(t string) bool { return strings.EqualFold(t, name.Value) })
	if i < 0 {
		hint := "there are " + strings.Join(anomalyTypes, ", ")
		if n := nearest(name.Value, anomalyTypes); n != "" {
			hint = "did you mean " + n + "?"
		}
		return nil, misplaced{name.Pos, fmt.Errorf("DetectAnomalies watches no %s; %s", name.Value, hint)}
	}
	t, _ := typeOf(anomalyTypes[i])
	watched := &Rule{Pos: r.Pos, Type: t.name, measures: true}
	if n := len(r.Parameters) - 1; !t.takes(n) {
		return nil, misplaced{name.Pos, fmt.Errorf("%s takes %s behind it, not %d", t.name, t.wants(), n)}
	}
	for k, param := range r.Parameters[1:] {
		param.Name = t.parameterName(k, len(r.Parameters)-1)
		watched.Parameters = append(watched.Parameters, param)
	}
	measure, err := t.plan(p, watched)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) outcome {
		o := measure(ctx)
		o.of = watched
		if o.verdict == Erred {
			return o
		}
		if len(o.metrics) == 0 {
			o.verdict = Fail
			return o
		}
		o.verdict, o.message = Pass, ""
		var said []string
		for _, metric := range sortedNames(o.metrics) {
			earlier, err := p.earlier(ctx)(statistic(metric, watched), anomalyWindow)
			if err != nil {
				return erred(err)
			}
			message, odd := judgeAnomaly(o.metrics[metric], earlier)
			said = append(said, metric+" "+message)
			if odd {
				o.verdict = Fail
			}
		}
		o.message = strings.Join(said, "; ")
		return o
	}, nil
}

// judgeAnomaly judges a value by earlier ones, the newest first.
func judgeAnomaly(v float64, earlier []float64) (message string, odd bool) {
	if len(earlier) < anomalyMinimum {
		return fmt.Sprintf("is %s, with %d earlier results of the %d that it takes to judge", show(v), len(earlier), anomalyMinimum), false
	}
	x := slices.Clone(earlier)
	slices.Reverse(x)
	f := expect(x)
	within := fmt.Sprintf("between %s and %s", show(f.low), show(f.high))
	if v >= f.low && v <= f.high {
		return fmt.Sprintf("is %s, as expected %s", show(v), within), false
	}
	return fmt.Sprintf("is %s, expected %s from %d earlier results", show(v), within, len(x)), true
}
