package lake

import (
	"slices"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/quality"
)

// tolerance is how far, relative to itself, a price may lie outside high and low.
const tolerance = "1e-6"

// earliest is how far the first zone is ahead of UTC: a day begins there.
const earliest = 14 * time.Hour

// A verdict is a reason for which a row is rejected, and when.
type verdict struct {
	when, reason string
	weight       weight
}

// A weight says what can be done about a verdict.
type weight int

const (
	// noKey: which bar of which fetch the row is cannot be told.
	noKey weight = iota
	// noBar: the key is known, but the row cannot be made a bar.
	noBar
	// doubtful: a bar, but hardly a true one. A row that a user has accepted is not
	// asked.
	doubtful
)

// judgeSQL is the SELECT that casts and judges the rows of the relation raw. A row
// that breaks several rules gets the first reason. Times are compared with
// fetched_at: what was in the future when it was fetched is judged alike whenever.
// Rejected rows keep ts and fetched_at if their key can be told: they say that their
// fetch had this bar. What changes here must be looked at in plain.go as well: rows that
// are plain never get here.
func judgeSQL(d quality.Dialect, now time.Time) string {
	typed := []string{}
	add := func(expr, name string) { typed = append(typed, expr+" AS "+name) }
	for _, f := range tickerlake.RawFields {
		add(`"`+f+`"`, f+"_text")
	}
	add(quality.TryCast(`"ts"`, "timestamp"), "ts_value")
	add(quality.TryCast(`"fetched_at"`, "timestamp"), "fetched_value")
	add("CASE WHEN "+d.FullMatch(`"row"`, `-?[0-9]{1,18}`)+" THEN "+quality.TryCast(`"row"`, "bigint")+" END", "row_value")
	add(quality.TryCast(`"final"`, "boolean"), "final_value")
	for _, f := range append([]string{"ratio", "amount"}, numbers...) {
		add(quality.TryCast(`"`+f+`"`, "double"), f+"_value")
	}
	daily := "interval_text = '1d'"
	day := "CASE WHEN no_key IS NOT NULL THEN NULL WHEN " + daily + " THEN date_trunc('day', ts_value) ELSE ts_value END"
	part := "substr(CAST(ts_value AS VARCHAR), 1, CASE WHEN " + daily + " THEN 4 ELSE 7 END)" // 2015 or 2015-03

	all := verdicts(d, now)
	reasons := func(of ...weight) string {
		var b strings.Builder
		b.WriteString("CASE")
		for _, v := range all {
			if slices.Contains(of, v.weight) {
				b.WriteString("\n WHEN " + v.when + " THEN " + v.reason)
			}
		}
		return b.String() + "\n ELSE NULL END"
	}

	return `WITH typed AS (SELECT object, ` + strings.Join(typed, ", ") + ` FROM raw),
keyed AS (SELECT *, ` + reasons(noKey) + ` AS no_key FROM typed),
judged AS (SELECT *, coalesce(no_key, ` + reasons(noBar) + `, CASE WHEN accepted_text IS NULL THEN ` + reasons(doubtful) + ` END) AS reason FROM keyed)
SELECT symbol_text AS symbol, ` + day + ` AS ts, open_value AS open, high_value AS high, low_value AS low, close_value AS close,
 adj_close_value AS adj_close, volume_value AS volume, currency_text AS currency, basis_text AS basis, source_text AS source,
 final_value AS final, CASE WHEN no_key IS NULL THEN fetched_value END AS fetched_at, fetch_id_text AS fetch_id, row_value AS "row", interval_text AS "interval",
 object, CASE WHEN reason IS NULL THEN NULL ELSE ts_text END AS ts_text, reason,
 CASE WHEN reason IS NOT NULL THEN 'rejected' WHEN kind_text IS NOT NULL THEN 'actions' WHEN final_value THEN 'bars' ELSE 'open' END AS outcome,
 CASE WHEN reason IS NOT NULL THEN 'none' ELSE table_text END AS tbl,
 CASE WHEN reason IS NOT NULL AND kind_text IS NOT NULL THEN '` + OutcomeActions + `' WHEN reason IS NOT NULL OR NOT final_value THEN 'none' ELSE ` + part + ` END AS part,
 kind_text AS kind, ratio_value AS ratio, amount_value AS amount
FROM judged`
}

var (
	prices  = []string{"open", "high", "low", "close", "adj_close"}
	numbers = append(append([]string{}, prices...), "volume")
)

// The times that a bar can have; what lies outside is a mistake of units, or a time
// that is none, such as infinity.
var (
	oldest = time.Date(1800, 1, 1, 0, 0, 0, 0, time.UTC)
	newest = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// slack is how far the clock of a collector may be ahead.
const slack = time.Hour

func verdicts(d quality.Dialect, now time.Time) []verdict {
	text := quality.Literal
	unreadable := func(name string) string {
		return text(name+" cannot be read: ") + " || substr(" + name + "_text, 1, 80)"
	}
	// A UTC offset other than none is not read: the engines differ about it.
	noTime := func(name string) string {
		value := map[string]string{"ts": "ts_value", "fetched_at": "fetched_value"}[name]
		return d.FullMatch(name+"_text", `.*:.*[+-][0-9:]{2,6}`) + " OR " + value + " < " + quality.TimestampLiteral(oldest) + " OR " + value + " > " + quality.TimestampLiteral(newest)
	}
	vs := []verdict{
		{"NOT " + d.FullMatch("symbol_text", `[A-Z0-9^][A-Z0-9.\-^=/_]{0,31}`), unreadable("symbol"), noKey},
		{"interval_text NOT IN ('1m', '5m', '15m', '1h', '1d')", unreadable("interval"), noKey},
		{"NOT " + d.FullMatch("table_text", `[a-z][a-z0-9_]{0,62}`) + " OR table_text = 'latest' OR table_text LIKE '%\\_revisions' ESCAPE '\\'", unreadable("table"), noKey},
		{"(kind_text IS NULL) = (table_text = " + text(tickerlake.ActionsTable) + ")", unreadable("table"), noKey},
		{"kind_text NOT IN (" + text(tickerlake.KindSplit) + ", " + text(tickerlake.KindDividend) + ")", unreadable("kind"), noKey},
		{"kind_text IS NOT NULL AND interval_text <> '1d'", unreadable("interval"), noKey},
		{"ts_value IS NULL OR " + noTime("ts"), unreadable("ts"), noKey},
		{"fetched_value IS NULL OR " + noTime("fetched_at"), unreadable("fetched_at"), noKey},
		{"fetched_value > " + quality.TimestampLiteral(now.Add(slack)), "'fetched_at is in the future'", noKey},
		{"row_value IS NULL", unreadable("row"), noKey},
		{"final_value IS NULL", "'final cannot be read: ' || coalesce(substr(final_text, 1, 80), 'missing')", noBar},
		{"basis_text IS NULL OR basis_text NOT IN ('raw', 'split', 'total')", "'basis cannot be read: ' || coalesce(substr(basis_text, 1, 80), 'missing')", noBar},
		{"currency_text IS NULL OR currency_text = ''", "'currency is missing'", noBar},
		{"NOT " + d.FullMatch("currency_text", `[!-~]{1,16}`), text("currency cannot be read"), noBar},
		{"NOT " + d.FullMatch("source_text", `[ -~]{1,128}`), text("source cannot be read"), noBar},
		{"NOT " + d.FullMatch("fetch_id_text", `[!-~]{1,64}`), text("fetch_id cannot be read"), noBar},
	}
	for _, f := range numbers {
		vs = append(vs, verdict{f + "_text IS NOT NULL AND " + f + "_value IS NULL", unreadable(f), noBar})
	}
	for _, of := range [][2]string{{tickerlake.KindSplit, "ratio"}, {tickerlake.KindDividend, "amount"}} {
		kind, f := of[0], of[1]
		vs = append(vs, verdict{"kind_text = " + text(kind) + " AND (" + f + "_value IS NULL OR NOT " + d.IsFinite(f+"_value") + " OR " + f + "_value <= 0)",
			text(f+" cannot be read: ") + " || coalesce(substr(" + f + "_text, 1, 80), 'missing')", noBar})
	}
	vs = append(vs, verdict{"kind_text IS NULL AND close_value IS NULL", "'close is missing'", noBar})
	for _, f := range numbers {
		vs = append(vs, verdict{f + "_value IS NOT NULL AND NOT " + d.IsFinite(f+"_value"), text(f + " is not finite"), noBar})
	}
	for _, f := range prices {
		vs = append(vs, verdict{f + "_value <= 0", text(f + " is not above zero"), doubtful})
	}
	for _, f := range []string{"open", "low", "close"} {
		vs = append(vs, verdict{"high_value < " + f + "_value - " + tolerance + " * " + f + "_value", text("high is below " + f), doubtful})
	}
	for _, f := range []string{"open", "high", "close"} {
		vs = append(vs, verdict{"low_value > " + f + "_value + " + tolerance + " * " + f + "_value", text("low is above " + f), doubtful})
	}
	return append(vs,
		verdict{"interval_text = '1d' AND date_trunc('day', ts_value) > date_trunc('day', fetched_value + " + quality.Interval(earliest) + ")", "'ts is in the future'", noBar},
		verdict{"interval_text <> '1d' AND ts_value > fetched_value", "'ts is in the future'", noBar},
	)
}
