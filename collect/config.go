package collect

import (
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/schedule"
)

// Config describes a source as the pipeline file does. A preset is a file of the
// same form: the whole configuration of a source is Defaults, then its preset, then
// the user's keys, each decoded over the one before.
type Config struct {
	// Preset names the description that this one is based on.
	Preset string `yaml:"preset"`
	// BaseURL is what the paths of requests are appended to.
	BaseURL string `yaml:"base_url"`
	// Symbols are what to collect: a list, or a file beside the pipeline file with one
	// symbol a line (# begins a comment), which is read again at each fetch.
	Symbols Symbols `yaml:"symbols"`
	// Table is where the rows belong; by default bars_<interval>.
	Table string `yaml:"table"`
	// Interval is the length of a bar.
	Interval tickerlake.Interval `yaml:"interval"`
	// TimeZone is the exchange's: dates are dates there.
	TimeZone string `yaml:"time_zone"`
	// SessionEnd, as "16:00", is when the prices of a day are complete but for
	// Settle. Without it a day ends at the next midnight.
	SessionEnd string `yaml:"session_end"`
	// Settle is how long after SessionEnd a day's bar may still change.
	Settle tickerlake.Duration `yaml:"settle"`
	// Basis is what the prices are adjusted for: raw (nothing), split (splits) or
	// total (splits and dividends).
	Basis tickerlake.Basis `yaml:"basis"`
	// Currency is that of the prices; "answer" if each answer says its own.
	Currency string `yaml:"currency"`
	// Since is the first date to ask for when a symbol has no bars, as 1990-01-01;
	// by default all that the provider has.
	Since string `yaml:"since"`
	// Lookback is how far a fetch goes back over what is known; by default 7 days
	// for 1d, five bars otherwise.
	Lookback *tickerlake.Duration `yaml:"lookback"`
	// Withdrawn says what becomes of a bar in the tables that a later complete answer no
	// longer has: "report" it, or "remove" it, which leaves a revision.
	Withdrawn string `yaml:"withdrawn"`
	// Reconcile is how often all of a symbol's history is fetched again, which finds late
	// corrections and withdrawn bars; 0 is never. Each symbol has its day, by its name. By
	// default 30 days for 1d, never otherwise.
	Reconcile *tickerlake.Duration `yaml:"reconcile"`
	// Schedule is when the source is fetched by itself while the lake is up, in the words
	// of Amazon EventBridge Scheduler and in TimeZone.
	Schedule string `yaml:"schedule"`
	// FlexibleWindow is how much later than its schedule a fetch may begin. Each firing
	// has its own place in it, so that many sources do not ask at once.
	FlexibleWindow tickerlake.Duration `yaml:"flexible_window"`
	// Concurrency is how many requests may be under way at once.
	Concurrency int `yaml:"concurrency"`
	// Timeout bounds a whole exchange, from dialing to the last byte.
	Timeout tickerlake.Duration `yaml:"timeout"`
	// MaxBytes bounds the body of an answer, after decompression.
	MaxBytes int64 `yaml:"max_bytes"`
	// Retries is how often a request is repeated that may succeed later.
	Retries int `yaml:"retries"`
	// RequestsAMinute is how many requests the account may make a minute, repeats
	// included; 0 is no limit. Of sources with one account the least counts for all.
	RequestsAMinute int `yaml:"requests_a_minute"`
	// Account names the account at the provider whose budget the source uses: sources
	// with the same name share it, and wait together when the provider asks one to.
	Account string `yaml:"account"`
	// Simulated says that the prices are made up; the rows' source then begins with
	// "simulated:".
	Simulated bool `yaml:"simulated"`
	// HTTP describes the requests to the API and the meaning of its answers. It is
	// laid over that of the preset.
	HTTP HTTP `yaml:"http"`
}

// SimulatedPrefix begins the source of rows whose prices are made up.
const SimulatedPrefix = "simulated:"

// The values of Withdrawn.
const (
	WithdrawnReport = "report"
	WithdrawnRemove = "remove"
)

// CurrencyOfAnswer as the currency means that each answer says its own.
const CurrencyOfAnswer = "answer"

// HTTP describes the requests to an API and the meaning of its answers. Templates
// are explained at newTemplate; jq expressions have the variables $status (number),
// $symbols (as the provider spells them) and $interval, and the functions
// status_class and text_class, which give the class that a status code or a message
// stands for, or null, and float32_decimal (see decimalOfFloat32).
type HTTP struct {
	// Batch is how many symbols go into one request. With more than one, each row
	// must say its symbol.
	Batch int `yaml:"batch"`
	// Spell is a jq expression from the canonical symbol to the provider's.
	Spell string `yaml:"spell"`
	// Spelling has the provider's spelling of symbols that Spell does not give.
	Spelling map[string]string `yaml:"spelling"`
	// Headers are sent with every request.
	Headers map[string]string `yaml:"headers"`
	// Request is what asks for a window.
	Request Request `yaml:"request"`
	// History is what asks for all that the provider has. Without it such a request
	// is one from 1970-01-02 on.
	History *Request `yaml:"history"`
	// MaxWindow is, by interval, the longest span that one request may ask for. A longer
	// one is asked for in parts, the oldest first; all history is not, unless since or
	// MaxAge say where it begins.
	MaxWindow map[string]tickerlake.Duration `yaml:"max_window"`
	// MaxAge is, by interval, how old a bar may be that is asked for.
	MaxAge map[string]tickerlake.Duration `yaml:"max_age"`
	// Classify are jq expressions over the body. The first that yields a class, or
	// an object with class and message, decides; with a symbol in the object it
	// decides for that symbol alone.
	Classify []string `yaml:"classify"`
	// Rows is a jq expression over the body that yields an object a bar, with the
	// keys symbol, ts, open, high, low, close, adj_close, volume, currency and
	// time_zone; those that it leaves out are null.
	Rows string `yaml:"rows"`
	// Actions is a jq expression over the body that yields an object for each split and
	// dividend that it tells of, with the keys symbol, ts, kind, ratio, amount, currency
	// and time_zone. Without it none is looked for.
	Actions string `yaml:"actions"`
}

// A Request is the template of an HTTP request.
type Request struct {
	// Method is that of HTTP: GET if none is given.
	Method string `yaml:"method"`
	// Path is appended to the address of the source. It is a template.
	Path string `yaml:"path"`
	// Query has the parameters of the address. Their values are templates.
	Query map[string]string `yaml:"query"`
	// Headers are sent with this request. Their values are templates.
	Headers map[string]string `yaml:"headers"`
}

// RowFields are the keys that a mapped row may have; a row without one of them has
// null there. The time zone is that of the row's exchange, if it is not the source's.
var RowFields = []string{"symbol", "ts", "open", "high", "low", "close", "adj_close", "volume", "currency", "time_zone"}

// actionFields are the keys that a mapped split or dividend may have.
var actionFields = []string{"symbol", "ts", "kind", "ratio", "amount", "currency", "time_zone"}

// Defaults are the values of keys that neither preset nor user gives.
func Defaults() Config {
	return Config{
		Interval:    tickerlake.Day,
		TimeZone:    "UTC",
		Settle:      tickerlake.Duration(30 * time.Minute),
		Currency:    "USD",
		Withdrawn:   WithdrawnReport,
		Concurrency: 4,
		Timeout:     tickerlake.Duration(time.Minute),
		MaxBytes:    64 << 20,
		Retries:     3,
		HTTP:        HTTP{Batch: 1},
	}
}

// TableName is the table that the rows are for.
func (c Config) TableName() string {
	if c.Table != "" {
		return c.Table
	}
	return c.Interval.Table()
}

// When is the schedule, nil if there is none.
func (c Config) When() (*schedule.Schedule, error) {
	if c.Schedule == "" {
		return nil, nil
	}
	zone, err := loadZone(c.TimeZone)
	if err != nil {
		return nil, err
	}
	return schedule.Parse(c.Schedule, zone)
}

// ownCurrency is the one that the configuration names, empty if each answer does.
func (c Config) ownCurrency() string {
	if c.Currency == CurrencyOfAnswer {
		return ""
	}
	return c.Currency
}

// limits are the longest window and the oldest bar that the provider gives, 0 for any.
func (c Config) limits() (window, age time.Duration) {
	return time.Duration(c.HTTP.MaxWindow[string(c.Interval)]), time.Duration(c.HTTP.MaxAge[string(c.Interval)])
}

func (c Config) lookback() time.Duration {
	switch {
	case c.Lookback != nil:
		return time.Duration(*c.Lookback)
	case c.Interval.Daily():
		return 7 * 24 * time.Hour
	default:
		return 5 * c.Interval.Duration()
	}
}

// reconcile is how often all history is fetched again; 0: never. A request for it costs
// as much as another where a request is for one symbol, and daily bars are few.
func (c Config) reconcile() time.Duration {
	switch {
	case c.Reconcile != nil:
		return time.Duration(*c.Reconcile)
	case c.Interval.Daily():
		return 30 * 24 * time.Hour
	default:
		return 0
	}
}
