package deliver

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// A prefix is a parsed prefix expression: text, and the values of the expressions
//
//	!{timestamp:PATTERN}             the time, in a pattern of Java's DateTimeFormatter
//	!{firehose:random-string}        11 characters, new at each use
//	!{firehose:error-output-type}    the kind of error; in an error prefix only
//	!{partitionKeyFromQuery:name}    a partition key; in a data prefix only
//
// Without a timestamp expression, yyyy/MM/dd/HH/ is appended.
type prefix struct {
	parts       []part
	keys        []string // names of partition keys, as often as they occur
	expressions int
}

// A part is literal text (the zero kind) or an expression.
type part struct {
	kind    partKind
	text    string // literal text, or the name of a key
	pattern pattern
}

type partKind byte

const (
	literal partKind = iota
	timestamp
	randomString
	errorType
	partitionKey
)

const (
	randomLength = 11
	// randomMark stands for a random string until the object is named. No valid
	// value contains it.
	randomMark = '\x00'
	// roomForName is what remains of a name between slashes for the object's own.
	roomForName = 255 - (64 + 1 + 10 + len("-yyyy-MM-dd-HH-mm-ss-") + 36 + len(".gz"))
)

// parsePrefix reads an expression; its errors give the column, from 1.
func parsePrefix(text string, forErrors bool) (*prefix, error) {
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("the prefix is not UTF-8")
	}
	p := &prefix{}
	timed, typed := false, false
	for at := 0; at < len(text); {
		start := strings.Index(text[at:], "!{")
		if start < 0 {
			p.parts = append(p.parts, part{text: text[at:]})
			break
		}
		if start > 0 {
			p.parts = append(p.parts, part{text: text[at : at+start]})
		}
		at += start
		column := utf8.RuneCountInString(text[:at]) + 1
		body, ok := expression(text[at+2:])
		if !ok {
			return nil, fmt.Errorf("column %d: the expression has no closing }", column)
		}
		e, err := parseExpression(body, forErrors)
		if err != nil {
			return nil, fmt.Errorf("column %d: !{%s}: %w", column, body, err)
		}
		switch e.kind {
		case timestamp:
			timed = true
		case errorType:
			typed = true
		case partitionKey:
			p.keys = append(p.keys, e.text)
		}
		p.parts = append(p.parts, e)
		p.expressions++
		at += 2 + len(body) + 1
	}
	if forErrors && p.expressions > 0 && !typed {
		return nil, fmt.Errorf("an error prefix with expressions has !{firehose:error-output-type} among them")
	}
	if !timed {
		hourly, err := parsePattern("yyyy/MM/dd/HH/")
		if err != nil {
			return nil, err
		}
		p.parts = append(p.parts, part{kind: timestamp, pattern: hourly})
	}
	return p, nil
}

// expression cuts text before the } that ends it; within quotes } is text.
func expression(text string) (string, bool) {
	quoted := false
	for i := range len(text) {
		switch {
		case text[i] == '\'':
			quoted = !quoted
		case text[i] == '}' && !quoted:
			return text[:i], true
		}
	}
	return "", false
}

func parseExpression(body string, forErrors bool) (part, error) {
	space, value, ok := strings.Cut(body, ":")
	if !ok {
		return part{}, fmt.Errorf("want namespace:value")
	}
	switch space {
	case "timestamp":
		pattern, err := parsePattern(value)
		return part{kind: timestamp, pattern: pattern}, err
	case "firehose":
		switch {
		case value == "random-string":
			return part{kind: randomString}, nil
		case value == "error-output-type" && forErrors:
			return part{kind: errorType}, nil
		case value == "error-output-type":
			return part{}, fmt.Errorf("only an error prefix has a type of error")
		}
		return part{}, fmt.Errorf("firehose has random-string and error-output-type")
	case "partitionKeyFromQuery":
		switch {
		case forErrors:
			return part{}, fmt.Errorf("an error prefix has no partition keys")
		case value == "":
			return part{}, fmt.Errorf("want the name of a key")
		}
		return part{kind: partitionKey, text: value}, nil
	case "partitionKeyFromLambda":
		return part{}, fmt.Errorf("there is no Lambda here: use partitionKeyFromQuery")
	}
	return part{}, fmt.Errorf("the namespaces are timestamp, firehose and partitionKeyFromQuery")
}

// append evaluates the prefix onto dst, with randomMark for each random string. If
// that cannot be done it says why; the reason does not quote values, so that there
// are few different ones. Time is written in the zone that at carries.
func (p *prefix) append(dst []byte, at time.Time, keys map[string]string, kind string) (out []byte, why string) {
	start, random := len(dst), 0
	for i := range p.parts {
		switch e := &p.parts[i]; e.kind {
		case literal:
			dst = append(dst, e.text...)
		case timestamp:
			dst = e.pattern.append(dst, at)
		case randomString:
			dst = append(dst, randomMark)
			random++
		case errorType:
			dst = append(dst, kind...)
		case partitionKey:
			value := keys[e.text]
			if value == "" {
				return dst, fmt.Sprintf("partition key %q is missing or empty", e.text)
			}
			if strings.ContainsAny(value, "\x00\\") || !utf8.ValidString(value) {
				return dst, fmt.Sprintf("partition key %q cannot stand in a key: it has a NUL, a backslash or bytes that are no UTF-8", e.text)
			}
			dst = append(dst, value...)
		}
	}
	return dst, badPrefix(dst[start:], random)
}

// badPrefix says why no object can be named under an evaluated prefix.
func badPrefix(text []byte, random int) string {
	if utf8.RuneCount(text)+random*(randomLength-1) > MaxPrefix {
		return fmt.Sprintf("the evaluated prefix has more than %d characters", MaxPrefix)
	}
	rest := text
	for {
		i := slices.Index(rest, '/')
		if i < 0 {
			break
		}
		name := rest[:i]
		rest = rest[i+1:]
		if len(name) == 0 || string(name) == "." || string(name) == ".." {
			return "the evaluated prefix has an empty name, . or .. between slashes"
		}
		if len(name)+random*(randomLength-1) > 255 {
			return "the evaluated prefix has a name of more than 255 bytes between slashes"
		}
	}
	if len(rest)+random*(randomLength-1) > roomForName {
		return fmt.Sprintf("the evaluated prefix has more than %d bytes after its last slash", roomForName)
	}
	if slices.Contains(text, '\\') {
		return "the evaluated prefix has a backslash"
	}
	return ""
}

// during gives the prefix with its timestamps written out, which holds for all
// records of one second.
func (p *prefix) during(at time.Time) *prefix {
	fixed := &prefix{keys: p.keys, expressions: p.expressions, parts: make([]part, 0, len(p.parts))}
	for _, e := range p.parts {
		if e.kind == timestamp {
			e = part{text: string(e.pattern.append(nil, at))}
		}
		if n := len(fixed.parts); n > 0 && e.kind == literal && fixed.parts[n-1].kind == literal {
			fixed.parts[n-1].text += e.text
			continue
		}
		fixed.parts = append(fixed.parts, e)
	}
	return fixed
}
