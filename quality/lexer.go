package quality

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// kind tells tokens apart. Punctuation is its own kind: the token's text.
type kind string

const (
	endOfText  kind = "the end of the text"
	identifier kind = "a name"
	keyword    kind = "a keyword"
	number     kind = "a number"
	text       kind = "a quoted text"
	dateText   kind = "a date"
	timeText   kind = "a time"
	nowCall    kind = "now()"
)

type token struct {
	kind kind
	text string // as written; of a quoted text what is between the quotes
	pos  Position
	end  int // offset behind the token
}

// is reports whether the token is the punctuation or keyword s.
func (t token) is(s string) bool {
	return (t.kind == keyword || t.kind == kind(s)) && t.text == s
}

// String describes the token in messages.
func (t token) String() string {
	switch t.kind {
	case endOfText:
		return string(endOfText)
	case text:
		return fmt.Sprintf("the text %q", shorten(t.text))
	case dateText:
		return fmt.Sprintf("%q, which reads as a date", t.text)
	case timeText:
		return fmt.Sprintf("%q, which reads as a time", t.text)
	case number:
		return "the number " + shorten(t.text)
	case keyword:
		return "the keyword " + t.text
	case nowCall:
		return t.text
	}
	return fmt.Sprintf("%q", shorten(t.text))
}

func shorten(s string) string {
	if utf8.RuneCountInString(s) <= 40 {
		return s
	}
	return string([]rune(s)[:40]) + "…"
}

// keywords cannot stand for a name without quotes.
var keywords = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(`and AND or OR of OF null NULL empty EMPTY whitespaces_only WHITESPACES_ONLY
		between in not matches where with labels days hours minutes B KB MB GB TB
		Rules Analyzers Metadata DataSources DefaultLabels`) {
		m[w] = true
	}
	return m
}()

var (
	isNumber = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)
	isDate   = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`)
	isTime   = regexp.MustCompile(`^([0-9]{1,2}:[0-9]{2} [AP]M|[0-9]{2}:[0-9]{2})$`)
)

// lexer cuts a text into tokens. A place that is no token ends the list of
// errors' first part: the lexer notes it and goes on behind it.
type lexer struct {
	src    string
	off    int
	line   int
	column int
	errs   []error
}

// scan gives all tokens of src, the last one the end of the text.
func scan(src string) ([]token, []error) {
	l := &lexer{src: src, line: 1, column: 1}
	var tokens []token
	for {
		t, ok := l.next()
		if !ok {
			continue
		}
		tokens = append(tokens, t)
		if t.kind == endOfText {
			return tokens, l.errs
		}
	}
}

func (l *lexer) pos() Position { return Position{Line: l.line, Column: l.column, Offset: l.off} }

// advance moves n bytes on, counting lines and characters.
func (l *lexer) advance(n int) {
	for _, r := range l.src[l.off : l.off+n] {
		if r == '\n' {
			l.line, l.column = l.line+1, 1
		} else {
			l.column++
		}
	}
	l.off += n
}

// next gives the next token; not ok if it skipped something that is none.
func (l *lexer) next() (token, bool) {
	l.skip()
	pos := l.pos()
	if l.off == len(l.src) {
		return token{kind: endOfText, pos: pos, end: l.off}, true
	}
	rest := l.src[l.off:]
	switch c := rest[0]; {
	case c == '"':
		return l.quoted(pos)
	case isWordByte(c):
		return l.word(pos), true
	}
	for _, p := range []string{"!=", ">=", "<="} {
		if strings.HasPrefix(rest, p) {
			l.advance(2)
			return token{kind: kind(p), text: p, pos: pos, end: l.off}, true
		}
	}
	if strings.IndexByte(":,{}[]()=<>-+*/$", rest[0]) >= 0 {
		l.advance(1)
		return token{kind: kind(rest[:1]), text: rest[:1], pos: pos, end: l.off}, true
	}
	r, size := utf8.DecodeRuneInString(rest)
	l.advance(size)
	switch {
	case r == '\'':
		l.fail(pos, `single quotes quote nothing here; write "like this"`)
	case r == '`':
		l.fail(pos, "backticks quote nothing here; write \"like this\"")
	case r == 0xFEFF:
		l.fail(pos, "a byte order mark; save the rules as UTF-8 without one")
	case r == utf8.RuneError:
		l.fail(pos, "a byte that is not UTF-8")
	default:
		l.fail(pos, fmt.Sprintf("%q has no meaning here; quote it if it is part of a name", r))
	}
	return token{}, false
}

func (l *lexer) fail(pos Position, message string) {
	if len(l.errs) < maxErrors {
		l.errs = append(l.errs, mistake("quality.Parse", pos, "%s", message))
	}
}

// skip passes over white space and comments.
func (l *lexer) skip() {
	for l.off < len(l.src) {
		switch l.src[l.off] {
		case ' ', '\t', '\n', '\r':
			l.advance(1)
		case '#':
			n := strings.IndexByte(l.src[l.off:], '\n')
			if n < 0 {
				n = len(l.src) - l.off
			}
			l.advance(n)
		default:
			return
		}
	}
}

func (l *lexer) quoted(pos Position) (token, bool) {
	for i := l.off + 1; i < len(l.src); i++ {
		switch l.src[i] {
		case '\\':
			if i+1 < len(l.src) && (l.src[i+1] == '"' || l.src[i+1] == '\\') {
				i++
			}
		case '"':
			body := l.src[l.off+1 : i]
			l.advance(i + 1 - l.off)
			k := text
			switch {
			case isDate.MatchString(body):
				k = dateText
			case isTime.MatchString(body):
				k = timeText
			}
			return token{kind: k, text: body, pos: pos, end: l.off}, true
		}
	}
	l.advance(len(l.src) - l.off)
	l.fail(pos, `this text has no closing "`)
	return token{}, false
}

func (l *lexer) word(pos Position) token {
	n := 0
	for l.off+n < len(l.src) && isWordByte(l.src[l.off+n]) {
		n++
	}
	w := l.src[l.off : l.off+n]
	if w == "now" && strings.HasPrefix(l.src[l.off+n:], "()") {
		l.advance(n + 2)
		return token{kind: nowCall, text: "now()", pos: pos, end: l.off}
	}
	l.advance(n)
	k := identifier
	switch {
	case isNumber.MatchString(w):
		k = number
	case keywords[w]:
		k = keyword
	}
	return token{kind: k, text: w, pos: pos, end: l.off}
}

func isWordByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '.'
}
