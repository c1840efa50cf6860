package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/collect"
)

// The source of a file that init writes where nothing else is said.
const DefaultPreset = "simulated"

// DefaultSymbols are its symbols.
var DefaultSymbols = []string{"AMZN", "TSLA", "NVDA", "IBM"}

const template = `# yaml-language-server: $schema=` + SchemaFile + `
# tickerlake.yaml: what to collect, where to keep it, and what must hold of it.
# tickerlake validate reports every mistake in this file. Keys that are left out have
# the values shown behind #. ${VAR} is replaced from the environment, for API keys.

# name: ""                       # prefixes the databases: acme makes acme_prod
lake: ./lake                     # the folder of the lake, relative to this file
# listen: 127.0.0.1:7420         # the address of the endpoint
# clock: {start: 2026-01-05T14:25:00Z, speed: 600}   # a time of its own, for simulated prices alone

sources:
  market:
%s
    symbols: [%s]   # or {file: universe.txt}, one a line
    # interval: 1d               # 1m, 5m, 15m, 1h or 1d
    # since: 1990-01-01          # for a symbol without bars; default: all that there is
    # lookback: 7 days           # how far each fetch goes back over what is known
    schedule: rate(1 hour)       # as in EventBridge: rate(..), cron(..) or at(..)

delivery:                        # Amazon Data Firehose's names and limits
  buffering: {size_mb: 5, interval_seconds: 60}
  prefix: raw/bars/dt=!{timestamp:yyyy-MM-dd}/
  error_prefix: errors/!{firehose:error-output-type}/

workflow:                        # crawl, clean, optimize, quality, publish
  retries: 2                     # of a job that failed in a way that may pass
  timeout: 30 minutes            # of one attempt of a job

# workflows:                     # jobs of your own: a SELECT, and the table of its rows
#   daily:
#     jobs:
#       highs: {sql: "SELECT symbol, max(high) AS high FROM bars_1d GROUP BY symbol", table: highs, mode: replace}
#     triggers: [{type: SCHEDULED, schedule: "cron(0 22 ? * MON-FRI *)"}]

# alarms:                        # tickerlake status and /metrics show them
#   stale_source: 2 hours        # nothing new of a source is published
#   webhook: ${ALARM_HOOK}       # is told when one begins or ends

# tidy:                          # what is kept; tickerlake run tidies when it is due
#   snapshots: 100               # of a table, and the last of each day for 30 days
#   raw: 0 days                  # how long raw documents are kept; 0: for ever

quality:                         # AWS Glue's rules; nothing is published that breaks one
  # scope: touched               # rules that need the whole table judge what a run touched
  rules: |
    Rules = [
      RowCount > 0,
      IsPrimaryKey "symbol" "ts",
      IsComplete "close",
      ColumnValues "close" > 0
    ]
`

// presetLines are the lines of a source that name its preset.
var presetLines = map[string]string{
	"simulated": `    preset: simulated            # made-up prices from within the program; or seed, or http: with all keys
    # base_url: http://127.0.0.1:8099  # of a market that tickerlake simulate runs`,
	"seed": `    preset: seed                 # or simulated, or http: with all keys
    # base_url: http://127.0.0.1:8099  # another host that speaks the same API`,
}

// Template is a commented file that runs as it is: one source with the preset and
// symbols given, DefaultPreset and DefaultSymbols without. It fails with Invalid if
// there is no such preset or no such symbol can be.
func Template(preset string, symbols []string) (string, error) {
	const op = "config.Template"
	if preset == "" {
		preset = DefaultPreset
	}
	if len(symbols) == 0 {
		symbols = DefaultSymbols
	}
	if !slices.Contains(collect.Presets(), preset) {
		return "", tickerlake.Errorf(tickerlake.Invalid, op, "preset", "there is no preset %q: want one of %s", preset, strings.Join(collect.Presets(), ", "))
	}
	if _, err := (collect.Symbols{List: symbols}).Resolve(""); err != nil {
		return "", err
	}
	lines, ok := presetLines[preset]
	if !ok {
		lines = "    preset: " + preset
	}
	quoted := make([]string, len(symbols))
	for i, s := range symbols {
		quoted[i] = yamlWord(s)
	}
	return fmt.Sprintf(template, lines, strings.Join(quoted, ", ")), nil
}

// yamlWord writes a symbol so that every reader of YAML takes it for text: ON, NO,
// Y and numbers are something else to some.
func yamlWord(s string) string {
	for i := range len(s) {
		if c := s[i]; c < 'A' || c > 'Z' {
			return `"` + s + `"`
		}
	}
	switch s {
	case "ON", "OFF", "YES", "NO", "Y", "N", "TRUE", "FALSE", "NULL":
		return `"` + s + `"`
	}
	return s
}
