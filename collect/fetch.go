package collect

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/internal/fault"
)

// patience is how many requests may fail in a row, each after all its repeats,
// before a source is taken to be down and the rest is not asked for.
const patience = 10

// Fetch brings the bars of a window to the sink and returns when they are
// delivered. The report has every symbol; the error is of code SourceFailed if any
// of them failed, and another one if the fetch itself could not be carried through
// (the sink, the watermarks or the caller gave up): then symbols may be missing in
// the report.
func (s *Source) Fetch(ctx context.Context, w Window) (Report, error) {
	report := Report{Source: s.o.Name, Table: s.Table()}
	now := s.clock()
	symbols, err := s.choose(w, now)
	if err != nil {
		return report, err
	}
	var known map[tickerlake.Symbol]tickerlake.Series
	if s.o.Watermarks != nil {
		if known, err = s.o.Watermarks.Series(ctx, s.Table()); err != nil {
			return report, fmt.Errorf("reading the watermarks of %s: %w", s.Table(), err)
		}
	}
	transport := s.transport
	if transport == nil {
		own := http.DefaultTransport.(*http.Transport).Clone()
		own.MaxIdleConnsPerHost = s.cfg.Concurrency
		defer own.CloseIdleConnections()
		transport = own
	}
	r := &run{
		source: s, window: w, known: known, client: s.client(transport), total: len(symbols),
		results: make(map[tickerlake.Symbol]Result, len(symbols)),
		plain:   s.documents(false),
		madeUp:  s.documents(true),
	}
	err = r.all(ctx, symbols, now)
	for _, symbol := range symbols {
		if result, ok := r.results[symbol]; ok {
			report.Symbols = append(report.Symbols, result)
		}
	}
	report.Rows, report.Requests = r.rows, r.requests
	if err != nil {
		return report, err
	}
	if err := s.o.Sink.Flush(ctx); err != nil {
		return report, fmt.Errorf("%s: delivering the rows: %w", s.o.Name, err)
	}
	fault.Point("collect.flushed")
	return report, report.Err()
}

// baseline takes all of the history of series as fetched now of which it is not known
// when it was: they are due on their day, and not all at once.
func (s *Source) baseline(ctx context.Context, symbols []tickerlake.Symbol, known map[tickerlake.Symbol]tickerlake.Series, now time.Time) error {
	if s.o.Watermarks == nil || s.cfg.reconcile() <= 0 {
		return nil
	}
	var unknown []tickerlake.Symbol
	for _, symbol := range symbols {
		if k, ok := known[symbol]; ok && k.Reconciled.IsZero() && !k.Watermark.IsZero() {
			unknown = append(unknown, symbol)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	if err := s.o.Watermarks.Reconciled(ctx, s.Table(), now, unknown...); err != nil {
		return fmt.Errorf("%s: keeping from when on series are fetched again: %w", s.o.Name, err)
	}
	return nil
}

// A run is one Fetch under way.
type run struct {
	source        *Source
	window        Window
	known         map[tickerlake.Symbol]tickerlake.Series
	client        *http.Client
	total         int
	plain, madeUp *documenter

	mu       sync.Mutex
	results  map[tickerlake.Symbol]Result
	rows     int64
	requests int64
	inARow   int     // requests that failed since the last that did not
	down     verdict // set once patience is over
}

// all carries out the tasks, so many at once, and stops at the first error that is
// not a symbol's.
func (r *run) all(ctx context.Context, symbols []tickerlake.Symbol, now time.Time) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	fresh := symbols[:0:0]
	for _, symbol := range symbols {
		why := r.source.conflictBefore(r.known[symbol])
		if why == "" || r.window.Replace {
			fresh = append(fresh, symbol)
			continue
		}
		from, to, _ := r.source.bounds(r.window, r.known[symbol], now)
		o := outcome{symbol: symbol, verdict: verdict{class: tickerlake.ClassConflict, message: why}}
		if err := r.settle(ctx, task{from: from, to: to}, answer{at: now.UTC().Truncate(time.Microsecond)}, []outcome{o}); err != nil {
			return err
		}
	}
	if err := r.source.baseline(ctx, fresh, r.known, now); err != nil {
		return err
	}
	tasks := make(chan task)
	var workers sync.WaitGroup
	for range r.source.cfg.Concurrency {
		workers.Go(func() {
			for t := range tasks {
				if err := r.parts(ctx, t); err != nil {
					stop(err)
				}
			}
		})
	}
feed:
	for _, t := range r.source.plan(r.window, fresh, r.known, now) {
		select {
		case tasks <- t:
		case <-ctx.Done():
			break feed
		}
	}
	close(tasks)
	workers.Wait()
	if err := context.Cause(ctx); err != nil {
		if err == ctx.Err() {
			return canceled(r.source.o.Name, err)
		}
		return err
	}
	return nil
}

// parts carries out a task in what the provider gives at once. A symbol that fails is
// not asked for further: what is known of it would have a hole.
func (r *run) parts(ctx context.Context, t task) error {
	parts := r.source.parts(t)
	if t.one && len(parts) > 1 {
		for _, symbol := range t.symbols {
			if err := r.one(ctx, t, symbol, parts); err != nil {
				return err
			}
		}
		return nil
	}
	for _, part := range parts {
		part.symbols = slices.DeleteFunc(slices.Clone(t.symbols), r.failed)
		if len(part.symbols) == 0 {
			return nil
		}
		if err := r.task(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// one makes the answers to several requests one: all history of a symbol, or nothing.
func (r *run) one(ctx context.Context, t task, symbol tickerlake.Symbol, parts []task) error {
	var all answer
	var asked map[string]tickerlake.Symbol
	t.symbols = []tickerlake.Symbol{symbol}
	for _, part := range parts {
		part.symbols = t.symbols
		if ctx.Err() != nil {
			return nil // all reports it
		}
		if down, yes := r.isDown(); yes {
			return r.settle(ctx, t, answer{at: r.source.clock().UTC().Truncate(time.Microsecond)}, outcomes(t, down))
		}
		a, spelled, err := r.ask(ctx, part)
		if err != nil {
			return err
		}
		asked = spelled
		if all.and(a); !all.whole() {
			break
		}
	}
	fault.Point("collect.answered")
	return r.settle(ctx, t, all, r.split(t, all, asked))
}

// ask makes the request of a task, and tells by which spelling its symbols were asked for.
func (r *run) ask(ctx context.Context, t task) (answer, map[string]tickerlake.Symbol, error) {
	form, p, asked, err := r.source.prepare(ctx, t)
	if err != nil {
		return answer{}, nil, err
	}
	a, err := r.source.ask(ctx, r.client, form, p, asked)
	if err != nil {
		return answer{}, nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests += int64(a.attempts)
	r.judgeSource(a.verdict)
	return a, asked, nil
}

// failed reports whether a symbol has failed in this fetch.
func (r *run) failed(symbol tickerlake.Symbol) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.results[symbol].Err != nil
}

// task asks for its symbols and settles them. If a request for several fails in a
// way that one of them may have caused, each half is asked for by itself.
func (r *run) task(ctx context.Context, t task) error {
	if ctx.Err() != nil {
		return nil // all reports it
	}
	if down, yes := r.isDown(); yes {
		return r.settle(ctx, t, answer{at: r.source.clock().UTC().Truncate(time.Microsecond)}, outcomes(t, down))
	}
	a, asked, err := r.ask(ctx, t)
	if err != nil {
		return err
	}
	if len(t.symbols) > 1 && !a.verdict.cut {
		switch a.verdict.class {
		case tickerlake.ClassNotFound, tickerlake.ClassNotEntitled, tickerlake.ClassMalformed:
			half := len(t.symbols) / 2
			first, second := t, t
			first.symbols, second.symbols = t.symbols[:half], t.symbols[half:]
			if err := r.task(ctx, first); err != nil {
				return err
			}
			return r.task(ctx, second)
		}
	}
	fault.Point("collect.answered")
	return r.settle(ctx, t, a, r.split(t, a, asked))
}

// An outcome is what came for one symbol.
type outcome struct {
	symbol   tickerlake.Symbol
	verdict  verdict
	rows     []row
	currency string
	id       string
}

func outcomes(t task, v verdict) []outcome {
	list := make([]outcome, len(t.symbols))
	for i, symbol := range t.symbols {
		list[i] = outcome{symbol: symbol, verdict: v}
	}
	return list
}

// split divides an answer among the symbols that were asked for.
func (r *run) split(t task, a answer, asked map[string]tickerlake.Symbol) []outcome {
	list := outcomes(t, a.verdict)
	if !a.verdict.class.OK() {
		return list
	}
	at := make(map[tickerlake.Symbol]*outcome, len(list))
	for i := range list {
		at[list[i].symbol] = &list[i]
	}
	if len(list) == 1 {
		list[0].rows = a.rows
	} else {
		for _, row := range a.rows {
			o := at[row.symbol]
			row.place = len(o.rows) // a symbol has a fetch of its own
			o.rows = append(o.rows, row)
		}
	}
	for spelled, v := range a.parts {
		if symbol, ok := asked[spelled]; ok {
			at[symbol].verdict = v
		}
	}
	for i := range list {
		r.examine(&list[i], t, a)
	}
	return list
}

// examine compares the rows of a symbol with what the source and the table say.
func (r *run) examine(o *outcome, t task, a answer) {
	if !o.verdict.class.OK() {
		return
	}
	if to := r.window.To; !to.IsZero() && r.window.From.IsZero() && !t.whole {
		// An answer to a request for all history goes beyond an end that was asked for.
		kept := o.rows[:0:0]
		for _, row := range o.rows {
			if !row.known || row.at.Before(to) {
				kept = append(kept, row)
			}
		}
		o.rows = kept
	}
	if o.verdict.class = tickerlake.ClassOK; len(o.rows) == 0 {
		o.verdict.class = tickerlake.ClassEmpty
		return
	}
	said := r.source.cfg.Currency
	if said == CurrencyOfAnswer {
		if said = o.rows[0].currency; said == "" {
			o.verdict = verdict{class: tickerlake.ClassMalformed, message: "the answer says no currency: map one, or name it (currency: USD)"}
			return
		}
	}
	for i := range o.rows {
		switch c := &o.rows[i].currency; {
		case *c == "":
			*c = said
		case *c != said:
			o.verdict = verdict{class: tickerlake.ClassConflict, message: fmt.Sprintf("the answer says currency %q where the source says %q", *c, said)}
			return
		}
	}
	o.currency = said
	if r.window.Replace {
		return
	}
	if why := r.source.conflict(r.known[o.symbol], r.source.label(a.madeUp), said); why != "" {
		o.verdict = verdict{class: tickerlake.ClassConflict, message: why}
	}
}

// settle hands the rows of an answer on, all at once, and records what became of
// each symbol.
func (r *run) settle(ctx context.Context, t task, a answer, list []outcome) error {
	s := r.source
	documents := r.plain
	if a.madeUp {
		documents = r.madeUp
	}
	pack := &packer{documents: documents}
	for i := range list {
		o := &list[i]
		var err error
		if o.id, err = s.ids.next(a.at); err != nil {
			return err
		}
		if r.window.Replace {
			o.id = tickerlake.ReplaceFetch + o.id
		}
		if !o.verdict.class.OK() {
			continue
		}
		before, from := *pack, newOrigin(o.id, a.at)
		err = pack.add(o.rows, s.session, a.sent, from)
		if err == nil {
			err = pack.addActions(a.actsOf(o, cmp.Or(o.currency, s.cfg.ownCurrency())), from)
		}
		if err != nil {
			*pack = before
			o.verdict = verdict{class: tickerlake.ClassMalformed, message: err.Error()}
		}
	}
	if records := pack.records(); len(records) > 0 {
		if err := s.o.Sink.Put(ctx, records...); err != nil {
			return fmt.Errorf("%s: handing on the rows of %s: %w", s.o.Name, names(list), err)
		}
		fault.Point("collect.put")
	}
	for _, o := range list {
		if err := r.record(ctx, t, a, o, documents); err != nil {
			return err
		}
	}
	return nil
}

func names(list []outcome) string {
	var all []string
	for _, o := range list {
		all = append(all, string(o.symbol))
	}
	return excerpt(strings.Join(all, ", "))
}

// record tells the watermarks, the fetch record, the report and the progress.
func (r *run) record(ctx context.Context, t task, a answer, o outcome, documents *documenter) error {
	s := r.source
	result := Result{
		Symbol: o.symbol, FetchID: o.id, From: t.from, To: t.to,
		Class: o.verdict.class, Err: symbolError(o.symbol, o.verdict),
	}
	if o.verdict.class == tickerlake.ClassOK {
		result.Rows = int64(len(o.rows))
		if s.o.Watermarks != nil && r.joins(t, o.symbol) {
			series := tickerlake.Series{
				Table: s.Table(), Symbol: o.symbol, Source: documents.keys["source"], Basis: s.cfg.Basis,
				Currency: o.currency, Interval: s.cfg.Interval, Watermark: watermark(o.rows, s.session, a.sent),
			}
			if err := s.o.Watermarks.Pending(ctx, o.id, series); err != nil {
				return fmt.Errorf("%s: keeping the watermark of %s: %w", s.o.Name, o.symbol, err)
			}
		}
		if t.whole && s.o.Watermarks != nil && s.cfg.reconcile() > 0 {
			if err := s.o.Watermarks.Reconciled(ctx, s.Table(), a.at, o.symbol); err != nil {
				return fmt.Errorf("%s: keeping when %s was fetched: %w", s.o.Name, o.symbol, err)
			}
		}
	}
	if s.o.OnFetch != nil {
		event := tickerlake.Fetch{
			ID: o.id, Source: documents.keys["source"], Symbol: o.symbol, Table: s.Table(), Interval: s.cfg.Interval,
			From: t.from, To: t.to, FetchedAt: a.at, Class: o.verdict.class, Rows: result.Rows,
			Attempts: int64(a.attempts), DurationMS: a.took.Milliseconds(), At: s.clock().UTC(),
		}
		if result.Err != nil {
			event.Error = o.verdict.message
		}
		if err := s.o.OnFetch(ctx, event); err != nil {
			return fmt.Errorf("%s: recording the fetch of %s: %w", s.o.Name, o.symbol, err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows += result.Rows
	if before, ok := r.results[o.symbol]; ok {
		result = before.and(result)
	}
	r.results[o.symbol] = result
	if s.o.OnProgress != nil {
		s.o.OnProgress(Progress{Done: len(r.results), Total: r.total, Rows: r.rows})
	}
	return nil
}

// judgeSource counts failures that are not a symbol's own.
func (r *run) judgeSource(v verdict) {
	switch v.class {
	case tickerlake.ClassQuota, tickerlake.ClassBadCredentials, tickerlake.ClassBlocked,
		tickerlake.ClassUnavailable, tickerlake.ClassTimeout:
		r.inARow++
	default:
		r.inARow = 0
	}
	if r.inARow == patience && r.down.class == "" {
		r.down = verdict{class: v.class, message: fmt.Sprintf("not asked for, because %d requests in a row failed before it, the last with: %s", patience, v.message)}
	}
}

func (r *run) isDown() (verdict, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.down, r.down.class != ""
}

// watermark is the last final bar that has a close.
func watermark(rows []row, s session, at time.Time) (last time.Time) {
	for i := range rows {
		r := &rows[i]
		if r.known && r.values[closeValue] != nil && r.at.After(last) && s.over(r, at) {
			last = r.at
		}
	}
	return last
}

// joins reports whether a task leaves no gap after what is known of a symbol: only then
// does it move the watermark. A window that was given may begin anywhere.
func (r *run) joins(t task, symbol tickerlake.Symbol) bool {
	known := r.known[symbol].Watermark
	switch {
	case !r.window.given(), t.whole, t.begin.IsZero():
		return true
	case known.IsZero():
		return !r.source.since.IsZero() && !t.begin.After(r.source.since)
	default:
		return !t.begin.After(known)
	}
}
