package quality

import (
	"slices"
	"strings"
)

// mergeKind says how an aggregate of the target's parts merges: count, sum, min or
// max, with a FILTER or without, of expressions that depend on the row alone.
func (t Target) mergeKind(aggregate string) mergeKind {
	function, argument, where, ok := outermost(aggregate)
	if !ok || !t.pure(argument) || !t.pure(where) || !single(argument) {
		return notMerged
	}
	cls := other
	bare := argument == "n"
	if bare {
		cls = integral // the rows of a group
	}
	for _, c := range t.Columns {
		if argument == Ident(c.Name) {
			bare, cls = true, c.Type.class()
		}
	}
	switch function {
	case "count":
		return mergeCount
	case "sum":
		switch {
		case cls == integral:
			return mergeIntegers
		case cls == floating:
			return mergeDoubles
		case !bare && !t.decimals(argument):
			return mergeSum
		}
	case "min":
		if cls == textual {
			return mergeMinText
		}
		return mergeMin
	case "max":
		if cls == textual {
			return mergeMaxText
		}
		return mergeMax
	}
	return notMerged
}

// merges reports whether an aggregate is of a form that merges, whatever is in it.
func merges(aggregate string) bool {
	_, argument, _, ok := outermost(aggregate)
	return ok && single(argument)
}

// decimals reports whether an expression names a column of decimals.
func (t Target) decimals(expression string) bool {
	return slices.ContainsFunc(t.Columns, func(c Column) bool {
		return c.Type.class() == decimal && strings.Contains(strings.ToLower(expression), strings.ToLower(c.Name))
	})
}

// outermost takes an aggregate apart: count(a) FILTER (WHERE w). It is not ok for
// an expression of any other form.
func outermost(aggregate string) (function, argument, where string, ok bool) {
	open := strings.IndexByte(aggregate, '(')
	if open < 0 {
		return "", "", "", false
	}
	function = strings.ToLower(aggregate[:open])
	if !slices.Contains([]string{"count", "sum", "min", "max"}, function) {
		return "", "", "", false
	}
	end := parenthesis(aggregate, open)
	if end < 0 {
		return "", "", "", false
	}
	argument = strings.TrimSpace(aggregate[open+1 : end])
	rest := strings.TrimSpace(aggregate[end+1:])
	if rest == "" {
		return function, argument, "", true
	}
	const opening = "FILTER ("
	if !strings.HasPrefix(rest, opening) || parenthesis(rest, len(opening)-1) != len(rest)-1 {
		return "", "", "", false
	}
	where, ok = strings.CutPrefix(rest[len(opening):len(rest)-1], "WHERE ")
	return function, argument, where, ok
}

// parenthesis is the index of the one that closes that at i, -1 if none does.
func parenthesis(s string, i int) int {
	depth := 0
	for ; i < len(s); i++ {
		switch s[i] {
		case '\'', '"':
			if i = closing(s, i); i < 0 {
				return -1
			}
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// single reports whether an argument is one expression: not DISTINCT, no ORDER BY
// and no second argument.
func single(argument string) bool {
	depth := 0
	for _, w := range words(argument) {
		switch {
		case w.text == "(":
			depth++
		case w.text == ")":
			depth--
		case w.text == "," && depth == 0, !w.quoted && (w.text == "distinct" || w.text == "order" && depth == 0):
			return false
		}
	}
	return true
}

// pure reports whether an SQL expression over a row gives the same whenever it is
// asked: it calls known functions only, none of them the clock or chance, and has
// no query in it.
func (t Target) pure(expression string) bool {
	all := words(expression)
	for i, w := range all {
		switch {
		case w.text == "(" || w.text == ")" || w.text == ",":
		case i+1 < len(all) && all[i+1].text == "(":
			if !pureFunctions[w.text] && (w.quoted || !beforeParenthesis[w.text]) {
				return false
			}
		case impureWords[w.text]:
			if _, err := t.find(w.text); err != nil {
				return false
			}
		}
	}
	return true
}

// A word of SQL: a name in lower case, a parenthesis or a comma.
type word struct {
	text   string
	quoted bool
}

// words gives the names, parentheses and commas of SQL that has no comments.
func words(s string) []word {
	var out []word
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == '\'' || c == '"':
			end := closing(s, i)
			if end < 0 {
				return append(out, word{text: "select"}) // nothing that is known to be pure
			}
			if c == '"' {
				out = append(out, word{strings.ToLower(strings.ReplaceAll(s[i+1:end], `""`, `"`)), true})
			}
			i = end + 1
		case c == '(' || c == ')' || c == ',':
			out = append(out, word{text: string(c)})
			i++
		case isWordByte(c) && c != '.' || c >= 0x80:
			n := i
			for n < len(s) && (isWordByte(s[n]) && s[n] != '.' || s[n] >= 0x80) {
				n++
			}
			out = append(out, word{text: strings.ToLower(s[i:n])})
			i = n
		default:
			i++
		}
	}
	return out
}

func set(names string) map[string]bool {
	out := map[string]bool{}
	for _, n := range strings.Fields(names) {
		out[n] = true
	}
	return out
}

var (
	// pureFunctions are functions of DuckDB and Trino whose value depends on their
	// arguments alone. What is not here may be pure as well; then the whole table is
	// read, which costs time and is never wrong.
	pureFunctions = set(`abs acos asin atan atan2 bit_length ceil ceiling char_length character_length chr
		coalesce codepoint concat concat_ws contains cos date_add date_diff date_part date_trunc datediff datepart datetrunc
		day day_of_month day_of_week day_of_year dayofmonth dayofweek dayofyear element_at ends_with epoch epoch_ms exp extract
		floor from_unixtime greatest hour if ifnull infinity is_finite is_infinite is_nan isfinite isinf isnan json_extract
		json_extract_scalar json_extract_string last_day left length least levenshtein ln log log10 log2 lower lpad ltrim
		make_date make_timestamp minute mod month nan nullif octet_length pi position pow power quarter
		regexp_count regexp_extract regexp_full_match regexp_like regexp_matches regexp_replace repeat replace reverse right
		round rpad rtrim second sign signum sin split_part sqrt starts_with strip_accents strlen strpos strptime substr
		substring tan translate trim trunc truncate try_cast cast try_strptime upper week weekday week_of_year weekofyear year
		year_of_week yearweek`)
	// beforeParenthesis are keywords and types that a parenthesis may follow.
	beforeParenthesis = set(`and or not in where when then else case between like ilike similar to is any all values as escape
		filter from by interval array row char varchar character decimal numeric timestamp time double precision`)
	// impureWords are names that have a value of their own where no column has them,
	// and select, which brings other rows in.
	impureWords = set(`select with current_catalog current_date current_database current_query current_role current_schema
		current_schemas current_path current_time current_timestamp current_user get_current_time get_current_timestamp
		localtime localtimestamp now random rand session_user today transaction_timestamp user uuid`)
)
