package file

import (
	"path/filepath"
	"regexp"
	"strings"

	"github.com/tickerlake/tickerlake"
)

var (
	extension = regexp.MustCompile(`(?i)\.(csv|tsv|tab|txt|json|ndjson|jsonl|parquet|parq|pq|gz|gzip|zst|zstd|bz2)$`)
	copyMark  = regexp.MustCompile(` ?\(\d+\)$`)
	// tail is a last word that tells what the prices are, not whose.
	tail = regexp.MustCompile(`(?i)[ _.-](daily|day|hourly|hour|minute|min|intraday|eod|ohlcv?|bars?|prices?|quotes?|history|historical|data|full|adj|adjusted|unadjusted|raw|split|total|max|` +
		`d1|h1|m1|m5|m15|\d{1,2}(m|min|h|d|mo|y|yr)|\d{4}([-_.]?\d{2}([-_.]?\d{2})?)?)$`)
	stray = regexp.MustCompile(`[ _.-]+$`)
)

// SymbolOf reads a symbol off the name of a file: what is left without the folder, the
// endings (.csv.gz), the number of a copy, and last words that tell an interval, a time or
// what the file is: aapl_daily_2020-2024.csv.gz is of AAPL. It is not valid if nothing
// fit is left.
func SymbolOf(path string) tickerlake.Symbol {
	name := filepath.Base(path)
	for extension.MatchString(name) {
		name = extension.ReplaceAllString(name, "")
	}
	name = copyMark.ReplaceAllString(name, "")
	for {
		cut := stray.ReplaceAllString(tail.ReplaceAllString(name, ""), "")
		if cut == name || cut == "" {
			break
		}
		name = cut
	}
	return tickerlake.Symbol(strings.ToUpper(name))
}
