// Package collect fetches bars from price APIs and hands them on as raw documents.
//
// A source is described, not programmed: requests are templates over symbol and
// window, answers are mapped by jq (see HTTP). A Source is given such a
// description, a Sink that takes documents, and what is known of its table
// (Watermarks). Fetch asks for what is missing, judges every answer by its body,
// and puts the rows of good answers, one JSON document a line with exactly the keys
// tickerlake.RawFields. Nothing of a failed answer is handed on, one symbol that
// fails stops no other, and every request leaves a tickerlake.Fetch.
package collect

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/tickerlake/tickerlake"
)

// A Sink takes the documents of a source. Put is called by several goroutines at
// once and returns when every record is durable; Flush returns when all that was
// put is delivered.
type Sink interface {
	Put(ctx context.Context, records ...tickerlake.Record) error
	Flush(ctx context.Context) error
}

// Watermarks knows how far each symbol of a table has come.
type Watermarks interface {
	// Series gives what is known of the symbols of a table: source, basis and
	// currency of their rows, and the last final bar published or pending.
	Series(ctx context.Context, table string) (map[tickerlake.Symbol]tickerlake.Series, error)
	// Pending tells that rows of a fetch are durable in the sink. Each series has
	// the last final bar of the fetch as its watermark, the zero time if it brought
	// none. It is called by several goroutines at once, and may be called with an
	// older bar than is known.
	Pending(ctx context.Context, fetchID string, series tickerlake.Series) error
	// Reconciled tells that all of the history of symbols was fetched at a time, or is
	// taken to have been.
	Reconciled(ctx context.Context, table string, at time.Time, symbols ...tickerlake.Symbol) error
}

// Progress is how far a fetch of a source has come.
type Progress struct {
	Done, Total int // symbols
	Rows        int64
}

// Options are what a Source is handed beside its configuration.
type Options struct {
	// Name of the source: its key in the file, and what its rows say in "source".
	Name string
	// Dir is the folder that a symbols file is relative to.
	Dir  string
	Sink Sink
	// Watermarks may be nil: then nothing is known.
	Watermarks Watermarks
	// Clock stamps rows and decides what is final; time.Now if nil. Waiting between
	// attempts follows real time, as the provider does.
	Clock tickerlake.Clock
	// Random feeds fetch ids and jitter; crypto/rand if nil.
	Random io.Reader
	// Transport carries requests; one of the source's own if nil.
	Transport http.RoundTripper
	Log       *slog.Logger
	// Secrets are values that came from the environment. Those that a request
	// contains are never shown; base_url counts from its path on.
	Secrets []string
	// Budgets are those of the providers' accounts, which sources share; a budget of the
	// source's own if nil.
	Budgets *Budgets
	// OnFetch takes the record of every request, also of a failed one. An error
	// ends the fetch.
	OnFetch func(ctx context.Context, f tickerlake.Fetch) error
	// OnProgress is told after each symbol, by one goroutine at a time.
	OnProgress func(Progress)
}

// A Source is one price API.
type Source struct {
	cfg       Config
	o         Options
	log       *slog.Logger
	clock     tickerlake.Clock
	session   session
	mapping   *mapping
	window    *request
	history   *request // nil: the provider has no form for all history
	spell     *speller
	redact    *redactor
	budget    *budget
	ids       *ids
	transport http.RoundTripper
	since     time.Time
	backoff   backoff
}

// New makes a source of a whole configuration: preset and the user's keys merged,
// see Config. It fails with tickerlake.Invalid, naming every mistake.
func New(cfg Config, o Options) (*Source, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if o.Name == "" || o.Sink == nil {
		return nil, tickerlake.Errorf(tickerlake.Invalid, "collect.New", o.Name, "a source needs a name and a sink")
	}
	if _, err := cfg.Symbols.Resolve(o.Dir); err != nil {
		return nil, err
	}
	s := &Source{cfg: cfg, o: o, log: o.Log, clock: o.Clock, transport: o.Transport, backoff: defaultBackoff}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.log = s.log.With("source", o.Name)
	if s.clock == nil {
		s.clock = time.Now
	}
	random := o.Random
	if random == nil {
		random = rand.Reader
	}
	s.ids = &ids{random: random}
	s.budget = o.Budgets.of(cfg)
	var err error
	if s.session, err = newSession(cfg); err != nil {
		return nil, err
	}
	if s.mapping, err = newMapping(cfg.HTTP, s.session); err != nil {
		return nil, err
	}
	if s.spell, err = newSpeller(cfg.HTTP); err != nil {
		return nil, err
	}
	if s.window, err = newRequest("http.request", cfg.BaseURL, cfg.HTTP.Headers, cfg.HTTP.Request); err != nil {
		return nil, err
	}
	if h := cfg.HTTP.History; h != nil {
		if s.history, err = newRequest("http.history", cfg.BaseURL, cfg.HTTP.Headers, *h); err != nil {
			return nil, err
		}
	}
	if cfg.Since != "" {
		s.since, _ = time.Parse(time.DateOnly, cfg.Since) // Validate has read it
	}
	s.redact = newRedactor(cfg, o.Secrets)
	return s, nil
}

// Table is the table that the source's rows are for.
func (s *Source) Table() string { return s.cfg.TableName() }
