package collect

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake"
)

// A Window is what a fetch is to bring. The zero Window catches up: each symbol
// from its watermark less the lookback, a symbol without bars from the beginning.
type Window struct {
	// From and To bound the Ts of the bars, To exclusive; for daily bars they are
	// dates at 00:00 UTC. The zero From means the beginning, the zero To now.
	From, To time.Time
	// Symbols are some of the source's; none means all.
	Symbols []tickerlake.Symbol
	// Whole asks for all history, and not for From and To.
	Whole bool
	// Replace wants the answers in the place of what is stored, whatever its source, basis
	// and currency. It goes with Whole.
	Replace bool
}

func (w Window) given() bool { return !w.From.IsZero() || !w.To.IsZero() }

// everything is where a request for all history begins if the provider has no form
// for it: the first date whose seconds since 1970 are positive in every zone.
var everything = time.Date(1970, 1, 2, 0, 0, 0, 0, time.UTC)

// A task is one request: some symbols, and the window that all of them need.
type task struct {
	symbols []tickerlake.Symbol
	// from is zero for all history.
	from, to time.Time
	// begin is where the first part of it began, if it is one of several.
	begin time.Time
	whole bool // all history, or what is wanted of it (since)
	// one says that it has to come as one answer, however many requests that takes: it may
	// take the place of what is stored.
	one bool
}

// choose gives the symbols of the source that the window is about.
func (s *Source) choose(w Window, now time.Time) ([]tickerlake.Symbol, error) {
	symbols, err := s.cfg.Symbols.Resolve(s.o.Dir)
	if err != nil {
		return nil, err
	}
	if w.Whole && w.given() || w.Replace && !w.Whole {
		return nil, tickerlake.Errorf(tickerlake.Internal, "collect.Fetch", s.o.Name, "all history is wanted, and a window of it")
	}
	if !w.From.IsZero() && !w.To.IsZero() && !w.From.Before(w.To) {
		return nil, tickerlake.Errorf(tickerlake.Invalid, "collect.Fetch", s.o.Name,
			"the window from %s to %s is empty: want an end after the beginning", w.From.Format(time.RFC3339), w.To.Format(time.RFC3339))
	}
	if earliest := s.earliest(now); !w.To.IsZero() && !earliest.IsZero() && !w.To.After(earliest) {
		return nil, tickerlake.Errorf(tickerlake.Invalid, "collect.Fetch", s.o.Name,
			"the provider gives bars of %s of the last %s only: want a window that ends after %s", s.cfg.Interval, s.cfg.HTTP.MaxAge[string(s.cfg.Interval)], earliest.Format(time.RFC3339))
	}
	for _, symbol := range w.Symbols {
		if !slices.Contains(symbols, symbol) {
			return nil, tickerlake.Errorf(tickerlake.Invalid, "collect.Fetch", s.o.Name, "%s is not among the symbols of the source", symbol)
		}
	}
	if len(w.Symbols) > 0 {
		symbols = slices.DeleteFunc(symbols, func(symbol tickerlake.Symbol) bool { return !slices.Contains(w.Symbols, symbol) })
	}
	return symbols, nil
}

// bounds gives the window to ask for a symbol.
func (s *Source) bounds(w Window, known tickerlake.Series, now time.Time) (from, to time.Time, whole bool) {
	whole = w.Whole || known.Waiting != "" || !w.given() && (known.Watermark.IsZero() || s.reconciles(known, now))
	if to = w.To; to.IsZero() || whole {
		to = s.session.next(now)
	}
	switch {
	case whole:
		// A series that waits needs all that the table has, too.
		if from = s.since; !known.First.IsZero() && known.First.Before(from) {
			from = known.First
		}
	case !w.From.IsZero():
		from = w.From
	case w.given():
		from = s.since
	default:
		from = known.Watermark.Add(-s.cfg.lookback())
		if from.Before(s.since) {
			from = s.since
		}
	}
	if earliest := s.earliest(now); from.Before(earliest) {
		from = earliest
	}
	if s.session.interval.Daily() {
		from, to = midnight(from), midnight(to)
	}
	if !from.IsZero() && !from.Before(to) {
		from = s.session.last(to)
	}
	return from.UTC(), to.UTC(), whole
}

// reconciles reports whether all of a series' history is due to be fetched again: on a
// day of its own in each period, which its name decides, so that the symbols of a source
// are spread evenly.
func (s *Source) reconciles(known tickerlake.Series, now time.Time) bool {
	period := s.cfg.reconcile()
	if period <= 0 || known.Reconciled.IsZero() {
		return false
	}
	const day = 24 * time.Hour
	unit := min(day, period)
	slots := int64(period / unit)
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(known.Symbol)) // never fails
	slot := time.Duration(hash.Sum64()%uint64(slots)) * unit
	since := time.Duration(now.Unix()) * time.Second
	due := now.Add(-(since - slot) % (time.Duration(slots) * unit))
	return known.Reconciled.Before(due)
}

// earliest is the Ts of the oldest bar that the provider gives, zero if that is not known.
func (s *Source) earliest(now time.Time) time.Time {
	_, age := s.cfg.limits()
	if age == 0 {
		return time.Time{}
	}
	return s.session.next(now.Add(-age))
}

// parts cuts a task into what the provider gives at once, the oldest first.
func (s *Source) parts(t task) []task {
	t.begin = t.from
	step, _ := s.cfg.limits()
	if step == 0 || t.from.IsZero() {
		return []task{t}
	}
	var parts []task
	for to := t.to; t.from.Before(to); t.from = t.to {
		t.to = tickerlake.Earlier(t.from.Add(step), to)
		parts = append(parts, t)
	}
	return parts
}

func midnight(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	y, m, d := t.UTC().Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// plan makes the requests: symbols with the same window share one, up to the batch.
func (s *Source) plan(w Window, symbols []tickerlake.Symbol, known map[tickerlake.Symbol]tickerlake.Series, now time.Time) []task {
	var tasks []task
	type window struct {
		from, to   int64
		whole, one bool
	}
	open := map[window]int{} // window to its task that has room
	for _, symbol := range symbols {
		from, to, whole := s.bounds(w, known[symbol], now)
		if mark := known[symbol].Watermark; !whole && !w.given() && !mark.IsZero() && from.After(s.session.next(s.session.instant(mark))) {
			s.log.Warn("the provider no longer gives the bars after the last one that is known: they are missing",
				"symbol", symbol, "last", mark, "from", from)
		}
		one := whole && (w.Replace || !known[symbol].Watermark.IsZero() || known[symbol].Waiting != "")
		key := window{from.Unix(), to.Unix(), whole, one}
		if i, ok := open[key]; ok && len(tasks[i].symbols) < s.cfg.HTTP.Batch {
			tasks[i].symbols = append(tasks[i].symbols, symbol)
			continue
		}
		open[key] = len(tasks)
		tasks = append(tasks, task{symbols: []tickerlake.Symbol{symbol}, from: from, to: to, whole: whole, one: one})
	}
	return tasks
}

// prepare gives the form and the parameters of a task's request, and its symbols by
// the upper case of their spelling.
func (s *Source) prepare(ctx context.Context, t task) (*request, params, map[string]tickerlake.Symbol, error) {
	p := params{
		from: s.session.instant(t.from), to: s.session.instant(t.to), last: s.session.instant(s.session.last(t.to)),
		zone: s.session.zone, interval: s.cfg.Interval,
	}
	form := s.window
	if t.from.IsZero() {
		if s.history != nil {
			form = s.history
		}
		p.from = s.session.instant(everything)
	}
	asked := make(map[string]tickerlake.Symbol, len(t.symbols))
	for _, symbol := range t.symbols {
		text, err := s.spell.spell(ctx, symbol, s.cfg.Interval)
		if err != nil {
			return nil, p, nil, err
		}
		if other, taken := asked[strings.ToUpper(text)]; taken {
			return nil, p, nil, tickerlake.Errorf(tickerlake.Invalid, "collect.Fetch", "http.spelling", "%s and %s are both spelled %s", other, symbol, text)
		}
		asked[strings.ToUpper(text)] = symbol
		p.symbols = append(p.symbols, text)
	}
	return form, p, asked, nil
}

// conflict says how the stored rows of a symbol contradict the ones that the source
// gives, or nothing. An empty currency is not compared.
func (s *Source) conflict(known tickerlake.Series, source, currency string) string {
	var differ []string
	compare := func(what, stored, ours string) {
		if stored != "" && ours != "" && stored != ours {
			differ = append(differ, fmt.Sprintf("%s %q where this source says %q", what, stored, ours))
		}
	}
	compare("source", known.Source, source)
	compare("basis", string(known.Basis), string(s.cfg.Basis))
	compare("currency", known.Currency, currency)
	compare("interval", string(known.Interval), string(s.cfg.Interval))
	if len(differ) == 0 {
		return ""
	}
	return fmt.Sprintf("table %s holds rows of it with %s: give the source a table of its own (table: under sources.%s), or take its prices instead of those (tickerlake refetch %s --source %s --replace)",
		cmp.Or(known.Table, s.Table()), strings.Join(differ, ", and "), s.o.Name, known.Symbol, s.o.Name)
}

// conflictBefore is what can be said before any answer. Whether prices are made up
// is known from the answer, if the configuration does not say so.
func (s *Source) conflictBefore(known tickerlake.Series) string {
	source, currency := s.label(false), s.cfg.Currency
	if known.Source == s.label(true) {
		source = known.Source
	}
	if currency == CurrencyOfAnswer {
		currency = ""
	}
	return s.conflict(known, source, currency)
}

// label is what the rows say as their source.
func (s *Source) label(madeUp bool) string {
	if madeUp || s.cfg.Simulated {
		return SimulatedPrefix + s.o.Name
	}
	return s.o.Name
}
