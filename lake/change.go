package lake

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// A Change is a bar whose close or adj_close one fetch of the run says otherwise than
// an older one, or than the table.
type Change struct {
	Symbol    string
	FetchID   string
	FetchedAt time.Time
	// Against is the fetch_id of the older one if it is of the run as well.
	Against string
	Ts      time.Time
	// Old and New are open, high, low, close and adj_close, NaN for null.
	Old, New [5]float64
}

// MaxChanges is how many changes Merge gives of a symbol, a fetch and what it is
// compared with: the latest. More tell no more.
const MaxChanges = 8

// What makes a series restated: so many bars, that differ by one ratio.
const (
	restatedBars = 3
	// ratioSlack is how far a ratio may lie off the one of all.
	ratioSlack = 1e-4
)

// restated says how a series was restated, if changes of it say so: at least three bars,
// and most of those that differ, have in all of their prices, or in adj_close, one ratio.
// A split does that, a dividend, another unit of the currency. Bars that do not differ
// say nothing: a source may tell late of a split of some days ago.
func restated(changes []Change) (how string, by Change, ok bool) {
	type pair struct {
		id, against string
		at          time.Time
	}
	pairs := map[pair][]Change{}
	for _, c := range changes {
		p := pair{c.FetchID, c.Against, c.FetchedAt}
		pairs[p] = append(pairs[p], c)
	}
	for _, list := range pairs {
		for _, of := range []struct {
			what         string
			main         int
			first, after int
		}{{"prices", 3, 0, 4}, {"adj_close", 4, 4, 5}} {
			n, ratio := agreeing(list, of.main, of.first, of.after)
			if n < restatedBars {
				continue
			}
			c := list[0]
			if !ok || (fetchKey{c.FetchedAt, c.FetchID}).after(fetchKey{by.FetchedAt, by.FetchID}) {
				how, by, ok = fmt.Sprintf("%s of %d bars are %s times what they were", of.what, n, ratioText(ratio)), c, true
			}
			break
		}
	}
	return how, by, ok
}

// ratioText is a ratio for people.
func ratioText(r float64) string {
	text := strings.TrimRight(fmt.Sprintf("%.4f", r), "0")
	return strings.TrimSuffix(text, ".")
}

// agreeing counts the bars that have one ratio in all values from first on: that of the
// median bar of those whose main value differs. It is 0 if they are not most of these.
func agreeing(list []Change, main, first, after int) (n int, ratio float64) {
	var halves [2]float64
	for i := range halves {
		halves[i] = half(list, i == 1, first, after)
	}
	var ratios []float64
	var changed []Change
	for _, c := range list {
		low, high, known := between(c.Old[main], c.New[main], halves)
		if known && (low > 1 || high < 1) {
			changed = append(changed, c)
			ratios = append(ratios, c.New[main]/c.Old[main])
		}
	}
	if len(ratios) < restatedBars {
		return 0, 0
	}
	slices.Sort(ratios)
	ratio = ratios[len(ratios)/2]
	for _, c := range changed {
		fits := true
		for i := first; i < after; i++ {
			low, high, known := between(c.Old[i], c.New[i], halves)
			fits = fits && (!known || low <= ratio && ratio <= high)
		}
		if fits {
			n++
		}
	}
	if 2*n <= len(changed) {
		return 0, 0
	}
	return n, ratio
}

// between is where the ratio of two values lies, each known up to half of its last
// place. It is not known if one of them is null or not above zero.
func between(old, new float64, halves [2]float64) (low, high float64, known bool) {
	if !(old > 0) || !(new > 0) { // NaN is not
		return 0, 0, false
	}
	low = (new - halves[1]) / (old + halves[0]) * (1 - ratioSlack)
	high = math.Inf(1)
	if old > halves[0] {
		high = (new + halves[1]) / (old - halves[0]) * (1 + ratioSlack)
	}
	return low, high, true
}

// half is half of the unit in which the values are quoted: prices in cents that are
// divided by four are rounded, and their ratios not all the same. It is 0 if they have
// more than four places.
func half(list []Change, new bool, first, after int) float64 {
	places := 2
	for _, c := range list {
		values := c.Old
		if new {
			values = c.New
		}
		for _, v := range values[first:after] {
			for places <= 4 && v > 0 && math.Abs(v*math.Pow10(places)-math.Round(v*math.Pow10(places))) > 1e-6 {
				places += 2
			}
		}
	}
	if places > 4 {
		return 0
	}
	return math.Pow10(-places) / 2
}

// A fetchKey orders fetches.
type fetchKey struct {
	at time.Time
	id string
}

func (k fetchKey) after(o fetchKey) bool {
	return k.at.After(o.at) || k.at.Equal(o.at) && k.id > o.id
}
