package config_test

import (
	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/collect"
	"github.com/tickerlake/tickerlake/config"
	"github.com/tickerlake/tickerlake/quality"
)

// A note says of a key what its Go type cannot: what stands in its schema and in
// docs/config.md beside the comment on its field. TestNotes holds every note to what
// Load does.
type note struct {
	Unit     string   // of a number
	Min, Max string   // of a number or duration, both allowed
	Enum     []string // all that is allowed
	Pattern  string   // of a text, for the schema
	Not      string   // a pattern that a text must not have
	Want     string   // what is allowed, for people, where the above does not say it
	Default  string   // as YAML, where Defaults has none
	Instead  string   // what holds without the key, for people, where there is no default
	Example  string   // as YAML
	Good     []string // values to try, as YAML
	Bad      []string // values to try that Load and the schema refuse
	Deep     []string // values to try that Load alone can refuse
	Name     string   // of a mapping's entry, to try
	// Beside is the workflow in which a value is tried, as YAML, Besides that of some values.
	Beside  string
	Besides map[string]string
}

var (
	schedules = `^(rate\([0-9]+ (minutes?|hours?|days?)\)|cron\([^ ()]+( [^ ()]+){5}\)|at\([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\))?$`
	zone      = note{Want: "a name of the IANA database", Example: "America/New_York", Deep: []string{"Local", "New York"}, Not: "^Local$"}
	jq        = note{Want: "a jq expression"}
	header    = note{Name: "X-Api-Key", Example: "Token ${API_KEY}", Want: "text; a header with a name like key, token, auth or secret is never shown", Good: []string{"2"}}
)

func intervals() []string {
	var out []string
	for _, i := range tickerlake.Intervals {
		out = append(out, string(i))
	}
	return out
}

// Workflows to try values in: with a job, and with triggers.
const (
	ownJob   = `{jobs: {movers: {sql: SELECT 1 AS n, table: own, mode: replace, keys: [n]}}}`
	ownJobs  = `{jobs: {movers: {sql: SELECT 1 AS n, table: own, mode: replace}, other: {sql: SELECT 1 AS n, table: other, mode: append}}, triggers: [{type: CONDITIONAL, logical: ALL, conditions: [{job: movers, state: SUCCEEDED}], jobs: [other]}]}`
	onDemand = `{jobs: {movers: {sql: SELECT 1 AS n, table: own, mode: replace}}, triggers: [{type: ON_DEMAND}]}`
	onTime   = `{jobs: {movers: {sql: SELECT 1 AS n, table: own, mode: replace}}, triggers: [{type: SCHEDULED, schedule: "cron(0 18 ? * MON-FRI *)"}]}`
	onEvent  = `{jobs: {movers: {sql: SELECT 1 AS n, table: own, mode: replace}}, triggers: [{type: EVENT}]}`
)

// notes by path of the key.
var notes = map[string]note{
	"name": {Pattern: `^([a-z][a-z0-9_]{0,31})?$`, Want: "up to 32 of a-z, 0-9 and _, a letter first", Example: "acme",
		Instead: "the databases are prod, raw and ops", Bad: []string{"Acme", "4u", "a-b"}},
	"lake": {Pattern: `^.`, Not: `^[a-z0-9]+://`, Want: "a folder; an address such as s3://.. is none", Example: "/var/lib/tickerlake",
		Bad: []string{`""`, "s3://bucket/lake"}},
	"listen": {Pattern: `^(\[[^\[\]]+\]|[^:\[\]]+):[0-9]{1,5}$`, Want: "a host and a port", Example: "127.0.0.1:7420",
		Good: []string{"localhost:0", `"[::1]:7420"`, "127.0.0.1:65535"}, Bad: []string{"localhost", `":7420"`, "localhost:http"}, Deep: []string{"localhost:65536"}},
	"clock": {Want: "only with sources that are all simulated", Instead: "real time"},
	"clock.start": {Pattern: `^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$`, Want: "a time of the years 1990 to 2199", Example: "2026-01-05T14:25:00Z",
		Instead: "required", Good: []string{"2026-01-05T09:25:00-05:00"}, Bad: []string{"2026-01-05", "now"}, Deep: []string{"1970-01-01T00:00:00Z", "2026-02-30T00:00:00Z"}},
	"clock.speed": {Min: "1", Max: "100000", Unit: "seconds of the clock in a real one", Example: "600"},
	"sources":     {Want: "at least one source, each named by up to 64 of a-z, 0-9, - and _, a letter first", Instead: "required"},
	"sources.*.preset": {Enum: collect.Presets(), Example: "seed", Instead: "none: `base_url`, `basis` and `http` are required then",
		Bad: []string{"sead"}},
	"sources.*.base_url": {Pattern: `^https?://[^/#]+[^#]*$`, Want: "http:// or https:// and a host, without a fragment", Example: "https://api.example.com/v1",
		Instead: "that of the preset; required without one", Bad: []string{"api.example.com", "ftp://api.example.com", "http://", "http://a.example.com/#b"}},
	"sources.*.symbols": {Want: "canonical symbols (upper case, a share class after a dot), each once; or `{file: ..}`", Example: "[AAPL, BRK.B]",
		Instead: "required", Good: []string{"{file: universe.txt}", "[5]"}, Bad: []string{"AMZN", "[]", "{file: ''}", "{folder: x}", "[amzn]", "[AMZN, AMZN]"}, Deep: []string{"{file: nowhere.txt}"}},
	"sources.*.table": {Pattern: `^([a-z][a-z0-9_]{0,63})?$`, Want: "up to 64 of a-z, 0-9 and _, a letter first", Example: "own_1d",
		Instead: "`bars_` and the interval, such as bars_1d", Bad: []string{"Own", "own-1d", "1d"}},
	"sources.*.interval":  {Enum: intervals(), Example: "5m", Bad: []string{"2d", "1D"}},
	"sources.*.time_zone": zone,
	"sources.*.session_end": {Pattern: `^(([01]?[0-9]|2[0-3]):[0-5][0-9])?$`, Want: "hours and minutes, in `time_zone`", Example: `"16:00"`,
		Instead: "the next midnight in `time_zone`", Good: []string{"9:30", "16:00"}, Bad: []string{"25:00", "four"}},
	"sources.*.settle": {Min: "0 seconds", Max: "1 day", Example: "1 hour"},
	"sources.*.basis": {Enum: []string{string(tickerlake.BasisRaw), string(tickerlake.BasisSplit), string(tickerlake.BasisTotal)}, Example: "split",
		Instead: "that of the preset; required without one", Bad: []string{"adjusted"}},
	"sources.*.currency": {Pattern: `^([A-Za-z]{3}|answer)$`, Want: "three letters, or answer", Example: "EUR",
		Good: []string{"GBp", collect.CurrencyOfAnswer}, Bad: []string{"dollars", "$"}},
	"sources.*.since": {Pattern: `^([0-9]{4}-[0-9]{2}-[0-9]{2})?$`, Want: "a date", Example: "1990-01-01", Instead: "all that the provider has",
		Bad: []string{"yesterday", "1990"}, Deep: []string{"1990-02-30"}},
	"sources.*.lookback":  {Min: "0 seconds", Max: "36500 days", Example: "30 days", Instead: "7 days for 1d, five bars below"},
	"sources.*.reconcile": {Min: "0 seconds", Max: "36500 days", Example: "90 days", Instead: "30 days for 1d, never below"},
	"sources.*.withdrawn": {Enum: []string{collect.WithdrawnReport, collect.WithdrawnRemove}, Example: "remove", Bad: []string{"delete"}},
	"sources.*.schedule": {Pattern: schedules, Want: "rate(..), cron(..) of six fields, or at(..)", Example: "rate(1 hour)", Instead: "only on command",
		Good: []string{"cron(0 22 ? * MON-FRI *)", "at(2030-01-31T18:00:00)"}, Bad: []string{"every hour", "cron(0 22 * * *)"}, Deep: []string{"cron(0 25 * * ? *)", "rate(0 minutes)"}},
	"sources.*.flexible_window":   {Min: "0 seconds", Max: "1 day", Example: "15 minutes", Deep: []string{"30 seconds"}},
	"sources.*.concurrency":       {Min: "1", Max: "256", Unit: "requests", Example: "8"},
	"sources.*.timeout":           {Min: "1 millisecond", Max: "1 hour", Example: "2 minutes"},
	"sources.*.max_bytes":         {Min: "1024", Max: "1073741824", Unit: "bytes", Example: "1048576"},
	"sources.*.retries":           {Min: "0", Max: "20", Unit: "repeats of a request", Example: "5"},
	"sources.*.requests_a_minute": {Min: "0", Max: "100000", Unit: "requests a minute", Example: "60"},
	"sources.*.account": {Pattern: `^([a-z0-9][a-z0-9._-]{0,63})?$`, Want: "a name of your own for it, not its key: up to 64 of a-z, 0-9 and . _ -, a letter or digit first", Example: "tiingo-team",
		Instead: "the host of `base_url`", Bad: []string{"My account", "-"}},
	"sources.*.simulated":         {Example: "true", Bad: []string{"yes", "1"}},
	"sources.*.http.batch":        {Min: "1", Max: "10000", Unit: "symbols", Example: "50"},
	"sources.*.http.spell":        {Want: jq.Want, Example: `gsub("[.]"; "-")`, Instead: "the canonical symbol", Deep: []string{"gsub("}},
	"sources.*.http.spelling":     {Want: "canonical symbols, each with a text that is not empty", Instead: "none"},
	"sources.*.http.spelling.*":   {Name: "BRK.B", Pattern: "^.", Example: "BRK-B", Bad: []string{`""`}},
	"sources.*.http.headers":      {Instead: "none"},
	"sources.*.http.headers.*":    header,
	"sources.*.http.request":      {Instead: "that of the preset; required without one"},
	"sources.*.http.history":      {Instead: "that of the preset; else a window from 1970-01-02 on"},
	"sources.*.http.max_window":   {Want: "intervals, each with a span", Instead: "no limit"},
	"sources.*.http.max_window.*": {Name: "1m", Want: "a whole number of bars", Min: "1 minute", Max: "36500 days", Example: "7 days"},
	"sources.*.http.max_age":      {Want: "intervals, each with a span", Instead: "no limit"},
	"sources.*.http.max_age.*":    {Name: "1m", Want: "a whole number of bars", Min: "1 minute", Max: "36500 days", Example: "29 days"},
	"sources.*.http.classify":     {Instead: "that of the preset; else none, and the program judges by body and status"},
	"sources.*.http.classify[]":   {Want: jq.Want, Example: `if has("error") then "unavailable" else null end`, Deep: []string{"if"}},
	"sources.*.http.actions":      {Want: jq.Want, Example: "'.dividends[] | {kind: \"dividend\", ts: .exDate, amount: .cash}'", Instead: "that of the preset; without one none is looked for", Deep: []string{".splits[ |"}},
	"sources.*.http.rows":         {Want: jq.Want, Example: "'.bars[] | {ts: .t, open: .o, high: .h, low: .l, close: .c}'", Instead: "that of the preset; required without one", Deep: []string{".bars[ |"}},

	"sources.*.http.request.method":    {Enum: []string{"GET", "POST"}, Default: "GET", Example: "POST", Bad: []string{"PUT"}},
	"sources.*.http.request.path":      {Pattern: "^/", Want: "a template that begins with /", Example: "/bars/{symbol}", Bad: []string{"bars"}, Deep: []string{"/{sybmol}"}, Instead: "required"},
	"sources.*.http.request.query":     {Instead: "none"},
	"sources.*.http.request.query.*":   {Name: "from", Want: "a template", Example: `"{from}"`, Good: []string{"5000"}, Deep: []string{`"{frm}"`}},
	"sources.*.http.request.headers":   {Instead: "none"},
	"sources.*.http.request.headers.*": header,
	"sources.*.http.history.method":    {Enum: []string{"GET", "POST"}, Default: "GET", Example: "POST", Bad: []string{"PUT"}},
	"sources.*.http.history.path":      {Pattern: "^/", Want: "a template that begins with /", Example: "/history/{symbol}", Bad: []string{"bars"}, Deep: []string{"/{sybmol}"}, Instead: "required"},
	"sources.*.http.history.query":     {Instead: "none"},
	"sources.*.http.history.query.*":   {Name: "range", Want: "a template", Example: "max", Good: []string{"5000"}, Deep: []string{`"{frm}"`}},
	"sources.*.http.history.headers":   {Instead: "none"},
	"sources.*.http.history.headers.*": header,

	"delivery.buffering":                  {Want: "both keys, or neither"},
	"delivery.buffering.size_mb":          {Min: "1", Max: "128", Unit: "MiB", Default: "5", Example: "64"},
	"delivery.buffering.interval_seconds": {Min: "0", Max: "900", Unit: "seconds", Default: "300", Example: "60"},
	"delivery.prefix": {Want: "a folder, then text and expressions `!{timestamp:PATTERN}`, `!{firehose:random-string}`; not below ops/", Example: config.DefaultPrefix, Pattern: "^[^!]*/", Not: "^ops/",
		Bad: []string{"bars", "ops/bars/"}, Deep: []string{"raw/!{timestamp:yyyy/", "raw/!{firehose:nothing}/"}},
	"delivery.error_prefix": {Want: "text and expressions, also `!{firehose:error-output-type}`; not below the folder of `prefix`", Example: "failed/!{firehose:error-output-type}/",
		Deep: []string{"raw/bars/errors/!{firehose:error-output-type}/", `""`, "errors/!{partitionKeyFromQuery:x}/"}},
	"delivery.time_zone":              {Want: zone.Want, Example: zone.Example, Deep: []string{"Local", "New York"}, Not: "^Local$", Instead: "UTC"},
	"delivery.compression":            {Enum: []string{"GZIP"}, Example: "GZIP", Bad: []string{"gzip", "UNCOMPRESSED", "Snappy"}},
	"delivery.append_delimiter":       {Example: "true", Bad: []string{"yes"}},
	"delivery.disk_limit_mb":          {Min: "1", Unit: "MiB", Example: "1024"},
	"alarms.stale_source":             {Min: "0 seconds", Max: "36500 days", Example: "2 hours", Instead: "any age"},
	"alarms.failed_run":               {Example: "false", Bad: []string{"1"}},
	"alarms.failed_gate":              {Example: "false"},
	"alarms.held_objects":             {Min: "0", Unit: "objects", Example: "10"},
	"alarms.backlog":                  {Min: "0 seconds", Max: "36500 days", Example: "1 hour"},
	"alarms.disk_free_mb":             {Min: "0", Unit: "MiB", Example: "10240"},
	"alarms.webhook":                  {Want: "an address that takes HTTP POST", Instead: "none", Example: "https://hooks.example.com/tickerlake", Deep: []string{"hooks.example.com", "ftp://example.com/x"}},
	"tidy.file_mb":                    {Min: "1", Max: "1024", Unit: "MiB", Example: "256"},
	"tidy.snapshots":                  {Min: "2", Max: "10000", Unit: "snapshots", Example: "500"},
	"tidy.daily_snapshots":            {Min: "0 seconds", Max: "36500 days", Example: "90 days"},
	"tidy.raw":                        {Min: "0 seconds", Max: "36500 days", Example: "365 days"},
	"tidy.ops":                        {Min: "1 day", Max: "36500 days", Example: "90 days"},
	"tidy.queries":                    {Min: "1 day", Max: "36500 days", Example: "7 days"},
	"workflow.retries":                {Min: "0", Max: "10", Unit: "attempts after the first", Example: "0"},
	"workflow.timeout":                {Min: "1 second", Max: "7 days", Example: "2 hours"},
	"workflows":                       {Want: "names of workflows, up to 64 of a-z, 0-9, - and _, a letter first; `main` takes `triggers` and `max_concurrent_runs` alone", Instead: "main alone, on each delivery"},
	"workflows.*.max_concurrent_runs": {Min: "1", Max: "100", Unit: "runs", Default: "1", Example: "2", Beside: ownJob},
	"workflows.*.jobs":                {Want: "names of jobs, as those of workflows", Instead: "required, but for main", Beside: ownJob},
	"workflows.*.jobs.*.sql":          {Want: "one SELECT, as `tickerlake query` takes it", Example: "SELECT symbol, max(close) AS high FROM bars_1d GROUP BY symbol", Instead: "required", Beside: ownJob},
	"workflows.*.jobs.*.table": {Pattern: `^([a-z][a-z0-9_]{0,63})?$`, Want: "up to 64 of a-z, 0-9 and _, a letter first; no table of a source, no name like bars_.. or .._revisions, nor latest or actions", Example: "weekly_movers",
		Instead: "required", Bad: []string{"Own", "own-1d"}, Deep: []string{"bars_1d", "latest", "x_revisions"}, Beside: ownJob},
	"workflows.*.jobs.*.mode":     {Enum: []string{"append", "merge", "replace"}, Example: "replace", Instead: "required", Bad: []string{"upsert"}, Beside: ownJob},
	"workflows.*.jobs.*.keys":     {Want: "columns of the result", Instead: "none; required for mode merge", Beside: ownJob},
	"workflows.*.jobs.*.keys[]":   {Example: "symbol", Beside: ownJob, Deep: []string{`""`}},
	"workflows.*.jobs.*.rules":    {Want: "a ruleset in DQDL (docs/quality.md)", Example: "'Rules = [ RowCount > 0 ]'", Instead: "none", Deep: []string{`"Rules = [ RowCnt > 0 ]"`}, Beside: ownJob},
	"workflows.*.triggers":        {Want: "one trigger that starts the workflow at most, and others of type CONDITIONAL", Instead: "ON_DEMAND: `tickerlake run` and the name", Beside: ownJob},
	"workflows.*.triggers[].name": {Pattern: `^([a-z][a-z0-9_-]{0,63})?$`, Want: "as names of workflows", Example: "monday", Instead: "none", Bad: []string{"Monday"}, Beside: onDemand},
	"workflows.*.triggers[].type": {Enum: []string{"SCHEDULED", "ON_DEMAND", "EVENT", "CONDITIONAL"}, Example: "SCHEDULED", Instead: "required", Bad: []string{"scheduled", "CRON"}, Beside: onDemand,
		Besides: map[string]string{"SCHEDULED": onTime, "CONDITIONAL": ownJobs}},
	"workflows.*.triggers[].schedule": {Pattern: `^(cron\([^ ()]+( [^ ()]+){5}\))?$`, Want: "Glue's cron, in UTC, five minutes apart at least", Example: "cron(0 18 ? * MON-FRI *)", Instead: "required for SCHEDULED",
		Bad: []string{"rate(1 hour)"}, Deep: []string{"cron(0 25 * * ? *)"}, Beside: onTime},
	"workflows.*.triggers[].batch_size":         {Min: "1", Max: "100", Unit: "deliveries", Default: "1", Example: "10", Beside: onEvent},
	"workflows.*.triggers[].batch_window":       {Min: "1 second", Max: "15 minutes", Default: "15 minutes", Example: "1 minute", Beside: onEvent},
	"workflows.*.triggers[].logical":            {Enum: []string{"ALL", "ANY"}, Example: "ANY", Instead: "ALL, of one condition", Bad: []string{"AND"}, Beside: ownJobs},
	"workflows.*.triggers[].conditions":         {Want: "at least one, for CONDITIONAL", Instead: "none", Beside: ownJobs},
	"workflows.*.triggers[].conditions[].job":   {Want: "a job of the workflow", Example: "movers", Instead: "required", Deep: []string{"nobody"}, Beside: ownJobs},
	"workflows.*.triggers[].conditions[].state": {Enum: []string{"SUCCEEDED", "FAILED", "TIMEOUT", "STOPPED"}, Example: "FAILED", Instead: "required", Bad: []string{"ERROR"}, Beside: ownJobs},
	"workflows.*.triggers[].jobs":               {Want: "jobs of the workflow, each of which one trigger starts", Instead: "for a trigger that starts the workflow: all that no CONDITIONAL one names", Beside: ownJobs},
	"workflows.*.triggers[].jobs[]":             {Example: "other", Deep: []string{"nobody"}, Beside: ownJobs},
	"quality.rules": {Want: "a ruleset in DQDL (docs/quality.md)", Example: "|\n  Rules = [\n    RowCount > 0,\n    IsPrimaryKey \"symbol\" \"ts\"\n  ]",
		Deep: []string{`"Rules = [ RowCnt > 0 ]"`, `""`, "Rules = []"}},
	"quality.scope": {Enum: []string{string(quality.Table), string(quality.Touched)}, Example: "touched", Bad: []string{"all", `""`}},
}
