package quality_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/tickerlake/tickerlake/quality"
)

type parseCase struct {
	ID        string
	Group     string
	Text      string
	Accepted  bool
	Structure map[string]any
	Quirk     string
}

// TestParseAgreement compares accepted and structure of every case with what AWS's
// parser made of it. Where the case calls the parser's answer a quirk, the guide's
// is expected.
func TestParseAgreement(t *testing.T) {
	cases := readLines[parseCase](t, "parse.jsonl")
	agree := 0
	for _, c := range cases {
		if why := disagreement(c); why != "" {
			t.Logf("%s: %s\n  %s", c.ID, why, c.Text)
			continue
		}
		agree++
	}
	fmt.Printf("dqdl parse: %d of %d agree\n", agree, len(cases))
	if share := float64(agree) / float64(len(cases)); share < wantShare(t, "parse") {
		t.Errorf("a share of %.4f agrees, below the recorded %.4f", share, wantShare(t, "parse"))
	}
}

func disagreement(c parseCase) string {
	rs, err := quality.Parse(c.Text)
	accepted := err == nil
	switch q := c.Quirk; {
	case strings.Contains(q, "strict parser should refuse"), strings.Contains(q, "refuse it early"):
		return verdict(accepted, false, err)
	case strings.Contains(q, "guide accepts it"):
		return verdict(accepted, true, err)
	case strings.Contains(q, "refusing it in good order is allowed"):
		return ""
	case strings.Contains(q, "single quote"):
		// The text meant has no backslash.
		data, _ := json.Marshal(c.Structure)
		_ = json.Unmarshal([]byte(strings.ReplaceAll(string(data), `\\'`, `'`)), &c.Structure)
	}
	if w := verdict(accepted, c.Accepted, err); w != "" || !accepted {
		return w
	}
	got, want := plain(structure(rs)), plain(c.Structure)
	if !reflect.DeepEqual(got, want) {
		g, _ := json.Marshal(got)
		w, _ := json.Marshal(want)
		return fmt.Sprintf("structure\n  got  %s\n  want %s", g, w)
	}
	again, err := quality.Parse(rs.String())
	if err != nil || !reflect.DeepEqual(plain(structure(again)), got) {
		return fmt.Sprintf("printed, it means something else (%v): %s", err, rs)
	}
	return ""
}

func verdict(got, want bool, err error) string {
	switch {
	case got && !want:
		return "accepted, want refused"
	case !got && want:
		return fmt.Sprintf("refused (%v), want accepted", err)
	}
	return ""
}

// plain takes away what is not compared, and makes numbers of number texts.
func plain(v any) any {
	data, _ := json.Marshal(v)
	var out any
	_ = json.Unmarshal(data, &out)
	var clean func(v any) any
	clean = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			for k, x := range v {
				if k == "string" || k == "text" || k == "source" {
					delete(v, k)
					continue
				}
				if s, ok := x.(string); ok && k == "num" {
					f, _ := strconv.ParseFloat(s, 64)
					v[k] = f
					continue
				}
				v[k] = clean(x)
			}
		case []any:
			for i := range v {
				v[i] = clean(v[i])
			}
		}
		return v
	}
	return clean(out)
}

type object = map[string]any

// structure gives a ruleset the shape of the cases.
func structure(rs *quality.Ruleset) object {
	s := object{"rules": rules(rs.Rules, false), "analyzers": rules(rs.Analyzers, true)}
	if rs.Version != "" {
		s["metadata"] = object{"Version": rs.Version}
	}
	if rs.Primary != "" {
		s["primary"] = rs.Primary
	}
	if len(rs.Additional) > 0 {
		s["additional"] = rs.Additional
	}
	if len(rs.DefaultLabels) > 0 {
		s["defaultLabels"] = labels(rs.DefaultLabels)
	}
	return s
}

func labels(list []quality.Label) object {
	m := object{}
	for _, l := range list {
		m[l.Key] = l.Value
	}
	return m
}

func rules(list []*quality.Rule, analyzers bool) []object {
	all := []object{}
	for _, r := range list {
		x := object{"type": r.Type}
		if len(r.Labels) > 0 {
			x["labels"] = labels(r.Labels)
		}
		all = append(all, x)
		if r.Type == quality.Composite {
			x["operator"] = strings.ToUpper(r.Operator)
			x["nested"] = rules(r.Nested, false)
			continue
		}
		params := []object{}
		for _, p := range r.Parameters {
			params = append(params, object{"name": p.Name, "value": p.Value})
		}
		x["parameters"] = params
		if !analyzers {
			x["condition"] = condition(r.Condition)
		}
		if r.Threshold != nil {
			x["threshold"] = condition(r.Threshold)
		}
		if r.Where != "" {
			x["where"] = r.Where
		}
		if len(r.Tags) > 0 {
			x["tags"] = labels(r.Tags)
		}
	}
	return all
}

var ops = map[quality.Op]string{
	quality.Equal: "EQUALS", quality.NotEqual: "NOT_EQUALS", quality.Greater: "GREATER_THAN",
	quality.GreaterEqual: "GREATER_THAN_EQUAL_TO", quality.Less: "LESS_THAN", quality.LessEqual: "LESS_THAN_EQUAL_TO",
	quality.Between: "BETWEEN", quality.NotBetween: "NOT_BETWEEN", quality.In: "IN", quality.NotIn: "NOT_IN",
	quality.Matches: "MATCHES", quality.NotMatches: "NOT_MATCHES",
}

func condition(c *quality.Condition) object {
	if c == nil {
		return object{"kind": "none"}
	}
	kind := string(c.Kind)
	if c.Kind == quality.KindText {
		kind = "string"
	}
	list := []object{}
	for _, o := range c.Operands {
		list = append(list, operand(o, c.Op == quality.In || c.Op == quality.NotIn))
	}
	return object{"kind": kind, "op": ops[c.Op], "operands": list}
}

func operand(o quality.Operand, inList bool) object {
	switch o := o.(type) {
	case quality.Number:
		return object{"num": o.Value}
	case quality.Binary:
		return object{"op": o.Op, "left": operand(o.Left, false), "right": operand(o.Right, false)}
	case quality.Call:
		args := []object{}
		for _, a := range o.Args {
			args = append(args, operand(a, false))
		}
		return object{"fn": o.Name, "args": args}
	case quality.Keyword:
		return object{"keyword": o.Name}
	case quality.Text:
		if inList {
			return object{"str": o.Value}
		}
		return object{"str": o.Raw}
	case quality.Date:
		return object{"date": o.String()}
	case quality.Duration:
		return object{"amount": o.Amount, "unit": strings.ToUpper(o.Unit)}
	case quality.Size:
		return object{"amount": o.Amount, "unit": o.Unit}
	}
	return nil
}
