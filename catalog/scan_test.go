package catalog

import (
	"bytes"
	"io"
	"maps"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
)

const goodLine = `{"symbol":"IBM","ts":"2020-01-02","open":1.5,"close":"1.5","volume":null,"source":"s","table":"t","interval":"1d","fetched_at":"2020-01-03T00:00:00Z","fetch_id":"f","row":0}`

func zipped(t testing.TB, text string) *bytes.Reader {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(out.Bytes())
}

// TestScanForm looks at each line alone, then after good lines: what came before
// must not change what is said of a line.
func TestScanForm(t *testing.T) {
	replace := func(old, new string) string { return strings.Replace(goodLine, old, new, 1) }
	for name, line := range map[string]string{
		"good":            goodLine,
		"another kind":    replace(`"open":1.5`, `"open":"1.5"`),
		"nested":          replace(`"open":1.5`, `"open":{"a":1}`),
		"identity kind":   replace(`"row":0`, `"row":"0"`),
		"no identity":     replace(`"fetch_id":"f",`, ``),
		"null identity":   replace(`"symbol":"IBM"`, `"symbol":null`),
		"key twice":       replace(`"close":"1.5"`, `"open":2`),
		"other order":     replace(`"open":1.5,"close":"1.5"`, `"close":"1.5","open":1.5`),
		"one more":        replace(`"row":0`, `"row":0,"extra":true`),
		"one less":        replace(`"volume":null,`, ``),
		"spaces":          strings.ReplaceAll(goodLine, `,`, ` , `),
		"space at end":    goodLine + " ",
		"cut in a value":  goodLine[:len(goodLine)-4],
		"cut at the end":  goodLine[:len(goodLine)-1],
		"cut after comma": replace(`,"row":0}`, `,`),
		"two documents":   goodLine + goodLine,
		"bad number":      replace(`1.5`, `01.5`),
		"number and more": replace(`1.5`, `1.5x`),
		"bad literal":     replace(`null`, `nul`),
		"literal, more":   replace(`null`, `nullx`),
		"escape":          replace(`"IBM"`, `"I\u0042M"`),
		"escaped key":     replace(`"open"`, `"op\u0065n"`),
		"not UTF-8":       replace(`IBM`, "IB\xff"),
		"empty object":    `{}`,
		"array":           `[]`,
		"cut at once":     `{`,
	} {
		t.Run(name, func(t *testing.T) {
			alone := scanText(t, line)
			after := scanText(t, goodLine+"\n"+goodLine+"\n"+line+"\n"+goodLine)
			if after.BadLines != alone.BadLines || after.Lines != alone.Lines+3 {
				t.Errorf("alone %d of %d lines are bad, after good ones %d of %d", alone.BadLines, alone.Lines, after.BadLines, after.Lines)
			}
			want := scanText(t, goodLine).Columns
			for name, k := range alone.Columns {
				want[name] |= k
			}
			if !maps.Equal(after.Columns, want) {
				t.Errorf("columns %v, want %v", after.Columns, want)
			}
		})
	}
}

func scanText(t *testing.T, text string) Facts {
	t.Helper()
	facts, err := Scan(zipped(t, text), nil)
	if err != nil || facts.Damage != "" {
		t.Fatal(err, facts.Damage)
	}
	return facts
}

func BenchmarkScan(b *testing.B) {
	body := zipped(b, strings.Repeat(goodLine+"\n", 100_000))
	b.SetBytes(int64(len(goodLine)+1) * 100_000)
	for b.Loop() {
		if _, err := body.Seek(0, io.SeekStart); err != nil {
			b.Fatal(err)
		}
		if _, err := Scan(body, nil); err != nil {
			b.Fatal(err)
		}
	}
}
