package collect

import (
	"fmt"
	"strings"
)

// A TimePiece is a part of the format of a time: letters such as yyyy with their layout
// of Go, or literal text.
type TimePiece struct {
	Letters, Layout string
	Literal         string
	Quoted          bool
}

// SplitTimeFormat takes a format such as yyyy-MM-dd'T'HH:mm apart. layouts has the
// letters that may stand in it; known names them, and what else there is, for a message.
func SplitTimeFormat(format string, layouts map[string]string, known string) ([]TimePiece, error) {
	var out []TimePiece
	for i := 0; i < len(format); {
		c := format[i]
		switch {
		case c == '\'':
			end := strings.IndexByte(format[i+1:], '\'')
			if end < 0 {
				return nil, fmt.Errorf("time format %q: ' without its end", format)
			}
			out = append(out, TimePiece{Literal: format[i+1 : i+1+end], Quoted: true})
			i += end + 2
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
			end := i
			for end < len(format) && format[end] == c {
				end++
			}
			layout, ok := layouts[format[i:end]]
			if !ok {
				return nil, fmt.Errorf("time format %q: no letters %s; there are %s", format, format[i:end], known)
			}
			out = append(out, TimePiece{Letters: format[i:end], Layout: layout})
			i = end
		default:
			out = append(out, TimePiece{Literal: format[i : i+1]})
			i++
		}
	}
	return out, nil
}
