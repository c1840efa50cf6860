package collect

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// errCut is the cause of an answer that ends before it is whole.
var errCut = errors.New("the answer is cut short")

// decode reads a JSON body with its numbers as they are written. NaN and Infinity,
// which are no JSON but which some programs write, become strings of that name.
func decode(body []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(quoteTokens(body)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, errCut
		}
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more after the JSON document")
	}
	return v, nil
}

var bareTokens = [][]byte{[]byte("-Infinity"), []byte("Infinity"), []byte("NaN")}

// quoteTokens puts quotes around bare NaN, Infinity and -Infinity.
func quoteTokens(body []byte) []byte {
	if !bytes.Contains(body, bareTokens[1]) && !bytes.Contains(body, bareTokens[2]) {
		return body
	}
	out := make([]byte, 0, len(body)+len(body)/8)
	for i := 0; i < len(body); {
		switch c := body[i]; c {
		case '"':
			end := stringEnd(body, i)
			out = append(out, body[i:end]...)
			i = end
		case '-', 'I', 'N':
			token := bareToken(body[i:])
			if token == nil {
				out = append(out, c)
				i++
				continue
			}
			out = append(out, '"')
			out = append(out, token...)
			out = append(out, '"')
			i += len(token)
		default:
			out = append(out, c)
			i++
		}
	}
	return out
}

// stringEnd is the place after the string that begins at i.
func stringEnd(body []byte, i int) int {
	for i++; i < len(body); i++ {
		switch body[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(body)
}

func bareToken(rest []byte) []byte {
	for _, t := range bareTokens {
		if bytes.HasPrefix(rest, t) {
			return t
		}
	}
	return nil
}

// html reports whether a body is a page for people.
func html(body []byte) bool {
	head := bytes.ToLower(bytes.TrimLeft(body[:min(len(body), 1024)], "\ufeff \t\r\n"))
	for _, begin := range []string{"<!doctype", "<html", "<head", "<body", "<?xml", "<script", "<!--", "<title", "<h1"} {
		if bytes.HasPrefix(head, []byte(begin)) {
			return true
		}
	}
	return false
}
