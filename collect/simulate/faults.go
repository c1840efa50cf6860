package simulate

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tickerlake/tickerlake"
)

// A Fault is something that a provider does at times, and that a market can be told to do.
type Fault struct {
	Name string
	// Of says what its rate is a share of.
	Of string
	// Rate is what it has if nothing else is said.
	Rate float64
	// Text says what it is.
	Text string
}

// The names of faults.
const (
	faultHTTP500    = "http500"
	faultHTTP429    = "http429"
	faultHTML       = "html"
	faultError200   = "error200"
	faultTimeout    = "timeout"
	faultSlow       = "slow"
	faultCut        = "cut"
	faultNulls      = "nulls"
	faultStrings    = "strings"
	faultDuplicates = "duplicates"
	faultSplit      = "split"
	faultDividend   = "dividend"
	faultCorrection = "correction"
	faultWithdrawn  = "withdrawn"
	faultDead       = "dead"
)

// What rates are shares of.
const (
	ofRequests = "requests"
	ofBars     = "bars"
	ofDays     = "days of a symbol"
)

// Faults lists them. Those of requests are drawn anew for each; the others belong to the
// history, which is the same whenever it is asked for.
func Faults() []Fault {
	return []Fault{
		{faultHTTP500, ofRequests, 0.05, "status 500"},
		{faultHTTP429, ofRequests, 0.05, "status 429 with Retry-After: 1, the body is plain text"},
		{faultHTML, ofRequests, 0.02, "a web page with status 200"},
		{faultError200, ofRequests, 0.05, "an error in the API's own words with status 200"},
		{faultTimeout, ofRequests, 0.01, "no answer, for two minutes or until the client has gone"},
		{faultSlow, ofRequests, 0.02, "a body that takes three seconds to come"},
		{faultCut, ofRequests, 0.03, "a body that ends in the middle"},
		{faultNulls, ofRequests, 0.05, "some bars without their volume, or without any value"},
		{faultStrings, ofRequests, 0.1, "numbers in quotes"},
		{faultDuplicates, ofRequests, 0.1, "some bars twice"},
		{faultSplit, ofDays, 0.01, "a split on a trading day: from its beginning on all history is on the new basis"},
		{faultDividend, ofDays, 0.02, "a dividend on a trading day: adjusted closes before it are lower from its beginning on"},
		{faultCorrection, ofBars, 0.01, "a bar that is told with a wrong close and volume at first: a day for up to three days, another bar for up to an hour"},
		{faultWithdrawn, ofDays, 0.05, "a bar that is none: of a day without a session, or after a session's end; a day or more later it is gone"},
		{faultDead, ofDays, 0.02, "a symbol that is not found all day"},
	}
}

// SettledAfter is how long after its end the history of a bar may still change by a
// correction or withdrawal.
const SettledAfter = 96 * time.Hour

// A demand is one fault as a list asks for it.
type demand struct {
	fault    string
	symbol   string // "" for every one
	rate     float64
	from, to time.Time // from zero: always
}

func (d demand) asks(symbol string, t time.Time) bool {
	return (d.symbol == "" || d.symbol == symbol) && (d.from.IsZero() || !t.Before(d.from) && t.Before(d.to))
}

// faults are those of a market.
type faults struct {
	seed    noise
	demands map[string][]demand

	mu    sync.Mutex
	asked map[string]int64 // requests by symbol
}

// newFaults reads a list such as "http500, cut=0.2, split(AMZN)@2026-01-07".
func newFaults(seed uint64, list string, zone *time.Location) (*faults, error) {
	f := &faults{seed: named(seed, "faults"), demands: map[string][]demand{}, asked: map[string]int64{}}
	var mistakes []error
	for item := range strings.SplitSeq(list, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		if item == "all" {
			for _, k := range Faults() {
				f.demands[k.Name] = append(f.demands[k.Name], demand{fault: k.Name, rate: k.Rate})
			}
			continue
		}
		d, err := readDemand(item, zone)
		if err != nil {
			mistakes = append(mistakes, tickerlake.Errorf(tickerlake.Invalid, "simulate.New", "faults", "%q: %w", item, err))
			continue
		}
		f.demands[d.fault] = append(f.demands[d.fault], d)
	}
	return f, errors.Join(mistakes...)
}

// readDemand reads NAME[(SYMBOL)][=RATE][@WHEN].
func readDemand(item string, zone *time.Location) (d demand, err error) {
	rest, when, timed := strings.Cut(item, "@")
	rest, rate, rated := strings.Cut(rest, "=")
	name, symbol, one := strings.Cut(rest, "(")
	known := Faults()
	i := slices.IndexFunc(known, func(k Fault) bool { return k.Name == name })
	if i < 0 {
		names := make([]string, len(known))
		for i, k := range known {
			names[i] = k.Name
		}
		return d, fmt.Errorf("no such fault: there are %s, and all", strings.Join(names, ", "))
	}
	d.fault, d.rate = name, known[i].Rate
	if one {
		var closed bool
		if d.symbol, closed = strings.CutSuffix(symbol, ")"); !closed || !tickerlake.Symbol(d.symbol).Valid() {
			return d, fmt.Errorf("want a symbol between the brackets, such as %s(AMZN)", name)
		}
	}
	if timed {
		d.rate = 1
		if d.from, d.to, err = readPeriod(when, zone); err != nil {
			return d, err
		}
	}
	if rated {
		if d.rate, err = strconv.ParseFloat(rate, 64); err != nil || !(d.rate >= 0 && d.rate <= 1) {
			return d, fmt.Errorf("rate %q: want 0 to 1, a share of %s", rate, known[i].Of)
		}
	}
	return d, nil
}

// readPeriod reads a date at the exchange, or two dates or two times with / between.
func readPeriod(text string, zone *time.Location) (from, to time.Time, err error) {
	first, last, two := strings.Cut(text, "/")
	if from, err = time.ParseInLocation(time.DateOnly, first, zone); err == nil {
		if to = from; two {
			to, err = time.ParseInLocation(time.DateOnly, last, zone)
		}
		to = to.AddDate(0, 0, 1)
	} else if from, err = time.Parse(time.RFC3339, first); err == nil && two {
		to, err = time.Parse(time.RFC3339, last)
	}
	if err != nil || !from.Before(to) {
		return from, to, fmt.Errorf("%q: want a date such as 2026-01-07, two of them (2026-01-07/2026-01-09) or two times (2026-01-07T15:00:00Z/2026-01-07T15:30:00Z)", text)
	}
	return from, to, nil
}

// touches names the first fault asked for that bears on what the history was.
func (f *faults) touches() string {
	for _, name := range []string{faultSplit, faultDividend, faultCorrection, faultWithdrawn} {
		if len(f.demands[name]) > 0 {
			return name
		}
	}
	return ""
}

// hits reports whether a fault belongs to a thing of a symbol at a time: always or never.
func (f *faults) hits(name, symbol, thing string, t time.Time) bool {
	for _, d := range f.demands[name] {
		if d.asks(symbol, t) {
			if n := f.noise(name, symbol, thing).of(t); n.unit() < d.rate {
				return true
			}
		}
	}
	return false
}

// hitsDay reports whether a fault belongs to a date of a symbol.
func (f *faults) hitsDay(name, symbol string, date time.Time) bool {
	return f.hits(name, symbol, "", noon(date))
}

// noon is a time that has the date in New York.
func noon(date time.Time) time.Time { return date.Add(17 * time.Hour) }

// later is a time between two after t that belongs to a thing.
func (f *faults) later(name, symbol, thing string, t time.Time, least, most time.Duration) time.Time {
	n := f.noise(name+" later", symbol, thing).of(t)
	return t.Add(least + time.Duration(n.unit()*float64(most-least)).Truncate(time.Second))
}

func (f *faults) noise(name, symbol, thing string) noise {
	return named(uint64(f.seed), name+" "+symbol+" "+thing)
}

// request draws the fault of a request, "" for none, and the noise for what it does. The
// draws of a symbol's requests follow each other, so that the next one has its own.
func (f *faults) request(symbol string, now time.Time) (string, noise) {
	if len(f.demands) == 0 {
		return "", 0
	}
	f.mu.Lock()
	if len(f.asked) >= maxStocks {
		clear(f.asked)
	}
	n := named(uint64(f.seed), "request "+symbol).at(f.asked[symbol])
	f.asked[symbol]++
	f.mu.Unlock()
	for _, k := range Faults() {
		if k.Of != ofRequests {
			continue
		}
		u := n.unit()
		for _, d := range f.demands[k.Name] {
			if d.asks(symbol, now) && u < d.rate {
				return k.Name, n
			}
		}
	}
	return "", 0
}
