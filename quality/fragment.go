package quality

import (
	"fmt"
	"strings"
)

// A fragment is SQL that a rule brings along: a where, or a statement. It is put
// inside of ours, so it must not be able to end it.

// primaryName is the name by which fragments call the table that is judged.
const primaryName = "primary"

// fragment checks s and gives it for use in our statements: the word primary,
// reserved in DuckDB, is quoted, and names in backticks, as Spark has them, are
// quoted the standard way.
func fragment(s string) (string, error) {
	var b strings.Builder
	depth := 0
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == '\'' || c == '"' || c == '`':
			if c == '\'' && escapes(s, i) {
				return "", fmt.Errorf("the text at character %d begins with E; write it without", i+1)
			}
			end := closing(s, i)
			if end < 0 {
				return "", fmt.Errorf("the quote %c at character %d is not closed", c, i+1)
			}
			if c == '`' {
				b.WriteString(Ident(strings.ReplaceAll(s[i+1:end], "``", "`")))
			} else {
				b.WriteString(s[i : end+1])
			}
			i = end + 1
			continue
		case strings.HasPrefix(s[i:], "--"):
			n := strings.IndexByte(s[i:], '\n')
			if n < 0 {
				n = len(s) - i
			}
			i += n
			continue
		case strings.HasPrefix(s[i:], "/*"):
			n := strings.Index(s[i+2:], "*/")
			if n < 0 {
				return "", fmt.Errorf("the comment at character %d is not closed", i+1)
			}
			b.WriteByte(' ')
			i += n + 4
			continue
		case c == ';':
			return "", fmt.Errorf("; at character %d: one statement only, without its end", i+1)
		case c == '$':
			return "", fmt.Errorf("$ at character %d has no meaning in SQL outside of quotes", i+1)
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth < 0 {
				return "", fmt.Errorf(") at character %d closes nothing", i+1)
			}
		case isWordByte(c) && c != '.' || c >= 0x80:
			n := i
			for n < len(s) && (isWordByte(s[n]) && s[n] != '.' || s[n] >= 0x80) {
				n++
			}
			word := s[i:n]
			if strings.EqualFold(word, primaryName) && !strings.HasSuffix(strings.TrimRight(b.String(), " "), ".") {
				word = Ident(primaryName)
			}
			b.WriteString(word)
			i = n
			continue
		}
		b.WriteByte(s[i])
		i++
	}
	if depth > 0 {
		return "", fmt.Errorf("%d parentheses are not closed", depth)
	}
	if strings.TrimSpace(b.String()) == "" {
		return "", fmt.Errorf("there is nothing in it")
	}
	return b.String(), nil
}

// closing is the index of the quote that ends the one at i, -1 if none does. A
// doubled quote stands for itself.
func closing(s string, i int) int {
	q := s[i]
	for j := i + 1; j < len(s); j++ {
		if s[j] != q {
			continue
		}
		if j+1 < len(s) && s[j+1] == q {
			j++
			continue
		}
		return j
	}
	return -1
}

// escapes reports whether the quote at i follows a lone E, which would give
// backslashes a meaning that differs from engine to engine.
func escapes(s string, i int) bool {
	return i > 0 && (s[i-1] == 'e' || s[i-1] == 'E') && (i == 1 || !isWordByte(s[i-2]))
}
