package catalog_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tickerlake/tickerlake/catalog"
)

// FuzzScan: a line without a problem is one JSON object with the identity of a row,
// as encoding/json reads it.
func FuzzScan(f *testing.F) {
	for _, seed := range []string{"{" + identity + "}", `{"a":1}`, `{"x":[1,{"y":null}],` + identity + `}`, `{"\u0061":1e5}`, ``, `{`, "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.ContainsAny(line, "\r\n") || line == "" {
			t.Skip()
		}
		facts, err := catalog.Scan(zipped(t, line+"\n"), func(l catalog.Line) error {
			if string(l.Text) != line {
				t.Errorf("read %q", l.Text)
			}
			var doc map[string]json.RawMessage
			if l.Problem != "" {
				return nil
			}
			if err := json.Unmarshal(l.Text, &doc); err != nil || !utf8.Valid(l.Text) || doc["symbol"] == nil || doc["row"] == nil {
				t.Errorf("no problem with %q: %v", line, err)
			}
			return nil
		})
		if err != nil || facts.Damage != "" {
			t.Errorf("%+v, %v", facts, err)
		}
	})
}
