package deliver

import (
	"fmt"
	"strings"
	"time"
)

// A pattern is the part of Java's DateTimeFormatter that makes sense in a key:
// y or u (year), M (month), d (day), H (hour), m (minute), s (second), 'quoted
// text', two quotes for one, and every character that is not a letter.
type pattern []field

// A field is a run of one letter, or text if the letter is zero.
type field struct {
	letter byte
	width  int
	text   string
}

// meant says what to write instead of letters that are mistaken for others.
var meant = map[byte]string{
	'Y': "Y is the year of the week, which is another around New Year: use yyyy",
	'D': "D is the day of the year: use dd",
	'h': "h is the hour of the half day: use HH",
	'S': "S is a fraction of a second: use ss",
}

func parsePattern(text string) (pattern, error) {
	if text == "" {
		return nil, fmt.Errorf("want a pattern, such as yyyy-MM-dd")
	}
	var p pattern
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == '\'':
			s, n, err := quoted(text[i:])
			if err != nil {
				return nil, err
			}
			p = append(p, field{text: s})
			i += n
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
			n := 1
			for i+n < len(text) && text[i+n] == c {
				n++
			}
			if err := checkField(c, n); err != nil {
				return nil, err
			}
			p = append(p, field{letter: c, width: n})
			i += n
		case strings.IndexByte("[]{}#", c) >= 0:
			return nil, fmt.Errorf("%q is reserved in a pattern: put it in quotes", c)
		default:
			n := strings.IndexAny(text[i:], "'[]{}#abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
			if n < 0 {
				n = len(text) - i
			}
			p = append(p, field{text: text[i : i+n]})
			i += n
		}
	}
	return p, nil
}

// quoted reads text in quotes and says how many bytes it took. Two quotes are one,
// within quotes and without.
func quoted(text string) (string, int, error) {
	if strings.HasPrefix(text, "''") {
		return "'", 2, nil
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		if text[i] != '\'' {
			b.WriteByte(text[i])
			continue
		}
		if i+1 < len(text) && text[i+1] == '\'' {
			b.WriteByte('\'')
			i++
			continue
		}
		return b.String(), i + 1, nil
	}
	return "", 0, fmt.Errorf("the quote has no end")
}

func checkField(letter byte, width int) error {
	widest := 2
	switch letter {
	case 'y', 'u':
		widest = 4
		if width == 3 {
			return fmt.Errorf("%s: want yyyy or yy", strings.Repeat(string(letter), width))
		}
	case 'M':
		widest = 4
	case 'd', 'H', 'm', 's':
	default:
		if why := meant[letter]; why != "" {
			return fmt.Errorf("%s", why)
		}
		return fmt.Errorf("letter %c: want y, M, d, H, m or s, or quotes around text", letter)
	}
	if width > widest {
		return fmt.Errorf("%s: at most %d of %c", strings.Repeat(string(letter), width), widest, letter)
	}
	return nil
}

func (p pattern) append(dst []byte, at time.Time) []byte {
	for i := range p {
		f := &p[i]
		switch f.letter {
		case 0:
			dst = append(dst, f.text...)
		case 'y', 'u':
			if f.width == 2 {
				dst = appendNumber(dst, at.Year()%100, 2)
			} else {
				dst = appendNumber(dst, at.Year(), f.width)
			}
		case 'M':
			switch f.width {
			case 3:
				dst = append(dst, at.Month().String()[:3]...)
			case 4:
				dst = append(dst, at.Month().String()...)
			default:
				dst = appendNumber(dst, int(at.Month()), f.width)
			}
		case 'd':
			dst = appendNumber(dst, at.Day(), f.width)
		case 'H':
			dst = appendNumber(dst, at.Hour(), f.width)
		case 'm':
			dst = appendNumber(dst, at.Minute(), f.width)
		case 's':
			dst = appendNumber(dst, at.Second(), f.width)
		}
	}
	return dst
}

// appendNumber writes n with at least width digits.
func appendNumber(dst []byte, n, width int) []byte {
	return fmt.Appendf(dst, "%0*d", width, n)
}
