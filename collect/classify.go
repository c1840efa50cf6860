package collect

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/tickerlake/tickerlake"
)

// A verdict is what an answer, or the part of one symbol, is judged to be.
type verdict struct {
	class   tickerlake.Class
	message string
	// cut is set if the answer ended early: then it is worth another request.
	cut bool
}

func (v verdict) retryable() bool {
	switch v.class {
	case tickerlake.ClassQuota, tickerlake.ClassUnavailable, tickerlake.ClassTimeout:
		return true
	default:
		return v.cut
	}
}

// classes are those that an answer can be judged to be.
var classes = map[tickerlake.Class]bool{
	tickerlake.ClassOK: true, tickerlake.ClassEmpty: true, tickerlake.ClassNotFound: true,
	tickerlake.ClassQuota: true, tickerlake.ClassNotEntitled: true, tickerlake.ClassBadCredentials: true,
	tickerlake.ClassBlocked: true, tickerlake.ClassMalformed: true, tickerlake.ClassUnavailable: true,
	tickerlake.ClassTimeout: true,
}

// statusClass is the class that a status code of HTTP stands for, "" for a success.
func statusClass(status int) tickerlake.Class {
	switch {
	case status >= 200 && status < 300:
		return ""
	case status == http.StatusUnauthorized:
		return tickerlake.ClassBadCredentials
	case status == http.StatusPaymentRequired, status == http.StatusForbidden:
		return tickerlake.ClassNotEntitled
	case status == http.StatusNotFound, status == http.StatusGone:
		return tickerlake.ClassNotFound
	case status == http.StatusTooManyRequests:
		return tickerlake.ClassQuota
	case status == http.StatusRequestTimeout, status >= 500 && status < 600:
		return tickerlake.ClassUnavailable
	default:
		return tickerlake.ClassMalformed
	}
}

// phrases tell the class of a message, the first that matches. A quota message may
// speak of keys and of better plans, so it is looked for first.
var phrases = []struct {
	class   tickerlake.Class
	pattern *regexp.Regexp
}{
	{tickerlake.ClassQuota, regexp.MustCompile(`(?i)too many requests|(rate|request|hits?|daily|call|usage|api) limit|limit (exceeded|reached)|exceeded .*(limit|quota)|quota|request allocation|requests per (second|minute|hour|day)|call frequency|run out of api credits|throttl`)},
	{tickerlake.ClassNotEntitled, regexp.MustCompile(`(?i)(don't|do not|does not) have (access|permission)|not (entitled|authori[sz]ed to|allowed to|included in|available (on|for|under) your)|premium|upgrade your|your (plan|subscription)|requires? a (paid )?(plan|subscription)`)},
	{tickerlake.ClassBadCredentials, regexp.MustCompile(`(?i)(invalid|missing|incorrect|wrong|unknown|expired|no|valid) (api[ _-]?key|key|token|credentials?)|(api[ _-]?key|token|credentials?) (is |are )?(invalid|missing|incorrect|wrong|required|expired|not valid)|unauthori[sz]ed|not authenticated|authentication|please log ?in`)},
	{tickerlake.ClassNotFound, regexp.MustCompile(`(?i)not found|no (price )?data|delisted|no such (symbol|ticker)|(unknown|invalid|unsupported) (symbol|ticker|stock)|(symbol|ticker|stock) .*(does not exist|doesn't exist|is invalid|is unknown)`)},
	{tickerlake.ClassBlocked, regexp.MustCompile(`(?i)captcha|access denied|enable javascript|are you (a )?(human|robot)|unusual traffic`)},
	{tickerlake.ClassUnavailable, regexp.MustCompile(`(?i)try again|temporar|internal (server )?error|service unavailable|bad gateway|gateway time|timed? ?out|maintenance|overloaded`)},
}

// textClass is the class that a message for people stands for, "" if it is unknown.
func textClass(message string) tickerlake.Class {
	for _, p := range phrases {
		if p.pattern.MatchString(message) {
			return p.class
		}
	}
	return ""
}

// judge says what an answer is. Only of class ok are its rows worth mapping; parts
// are the verdicts on single symbols, by the provider's spelling.
func (m *mapping) judge(ctx context.Context, status int, body []byte, vars []any) (whole verdict, parts map[string]verdict, doc any) {
	fallback := statusClass(status)
	switch {
	case len(body) == 0 && status == http.StatusNoContent:
		return verdict{class: tickerlake.ClassEmpty}, nil, nil
	case html(body):
		// The status of a page tells more than the page.
		if fallback == "" || fallback == tickerlake.ClassNotEntitled || fallback == tickerlake.ClassMalformed {
			fallback = tickerlake.ClassBlocked
		}
		return verdict{class: fallback, message: fmt.Sprintf("a web page instead of data, with status %d: %s", status, excerpt(pageText(body)))}, nil, nil
	}
	doc, err := decode(body)
	if err != nil {
		v := verdict{class: fallback, message: excerpt(string(body))}
		if v.class == "" {
			v.class = textClass(v.message)
		}
		if v.class == "" {
			v.class = tickerlake.ClassMalformed
			v.cut = err == errCut && len(body) > 0
			v.message = fmt.Sprintf("not JSON: %v: %s", err, excerpt(string(body)))
			if len(body) == 0 {
				v.message = "the body is empty"
			}
		}
		return v, nil, nil
	}
	whole, parts = m.described(ctx, doc, vars)
	if whole.class != "" {
		if whole.message == "" && !whole.class.OK() {
			whole.message = excerpt(message(doc))
		}
		return whole, parts, doc
	}
	text := message(doc)
	if fallback == "" && text == "" {
		return verdict{class: tickerlake.ClassOK}, parts, doc
	}
	if text == "" {
		text = string(body)
	}
	class := textClass(text)
	for _, c := range []tickerlake.Class{fallback, codeClass(doc), tickerlake.ClassMalformed} {
		if class == "" {
			class = c
		}
	}
	return verdict{class: class, message: excerpt(text)}, parts, doc
}

// described runs the description's own classify expressions. One that does not
// apply to the body has no say.
func (m *mapping) described(ctx context.Context, doc any, vars []any) (whole verdict, parts map[string]verdict) {
	for _, code := range m.classify {
		iter := code.RunWithContext(ctx, doc, vars...)
		for n := 0; n < 100_000; n++ {
			out, ok := iter.Next()
			if !ok {
				break
			}
			if _, failed := out.(error); failed {
				break
			}
			symbol, v, ok := readVerdict(out)
			switch {
			case !ok:
			case symbol == "" && whole.class == "":
				whole = v
			case symbol != "":
				if parts == nil {
					parts = map[string]verdict{}
				}
				if _, taken := parts[strings.ToUpper(symbol)]; !taken {
					parts[strings.ToUpper(symbol)] = v
				}
			}
		}
		if whole.class != "" {
			break
		}
	}
	return whole, parts
}

// readVerdict reads "class" or {class, message, symbol}; null and false say nothing.
func readVerdict(out any) (symbol string, v verdict, ok bool) {
	switch out := out.(type) {
	case nil, bool:
		return "", v, false
	case string:
		v.class = tickerlake.Class(out)
	case map[string]any:
		class, _ := out["class"].(string)
		symbol, _ = out["symbol"].(string)
		v.class = tickerlake.Class(class)
		switch m := out["message"].(type) {
		case nil:
		case string:
			v.message = excerpt(m)
		default:
			text, _ := json.Marshal(m)
			v.message = excerpt(string(text))
		}
	}
	if !classes[v.class] {
		v = verdict{class: tickerlake.ClassMalformed, message: "classify gives a class that does not exist: " + excerpt(fmt.Sprint(out))}
	}
	return symbol, v, true
}

// message finds what a JSON answer says of an error, "" if it says nothing.
func message(doc any) string {
	if text, ok := doc.(string); ok {
		return text
	}
	object, ok := doc.(map[string]any)
	if !ok {
		return ""
	}
	for _, key := range []string{"error", "Error", "errors", "Error Message", "error_message", "errorMessage"} {
		switch v := object[key].(type) {
		case nil, bool:
		case string:
			if v != "" {
				return v
			}
		case []any:
			if len(v) > 0 {
				return compact(v)
			}
		case map[string]any:
			if len(v) > 0 {
				return compact(v)
			}
		default:
			return compact(v)
		}
	}
	return ""
}

// codeClass is the class of a code in the body, such as {"code":"500"}.
func codeClass(doc any) tickerlake.Class {
	object, _ := doc.(map[string]any)
	for _, key := range []string{"code", "Code", "status_code", "statusCode", "status"} {
		if status, ok := statusOf(object[key]); ok {
			return statusClass(status)
		}
	}
	return ""
}

// statusOf reads a status code that may be a number or a string.
func statusOf(v any) (int, bool) {
	var text string
	switch v := v.(type) {
	case string:
		text = v
	case json.Number:
		text = v.String()
	case int:
		return v, v >= 100 && v < 600
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= 100 && n < 600
}

func compact(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}

var tags = regexp.MustCompile(`(?is)<(script|style)[^>]*>.*?(</(script|style)>|$)|<[^>]*>?`)

// pageText is what a page says, without its tags.
func pageText(body []byte) string {
	return tags.ReplaceAllString(string(body[:min(len(body), 4096)]), " ")
}

// excerpt is the beginning of a text on one line, fit for a log.
func excerpt(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), 2048)], "\ufffd")
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || !unicode.IsPrint(r)
	}), " ")
	if runes := []rune(s); len(runes) > 200 {
		return string(runes[:200]) + ".."
	}
	return s
}
