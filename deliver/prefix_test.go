package deliver

import (
	"strings"
	"testing"
	"time"
)

var evaluated = time.Date(2026, time.March, 5, 4, 7, 9, 0, time.UTC)

func TestPrefix(t *testing.T) {
	keys := map[string]string{"table": "runs", "dt": "2026-11-24", "empty": ""}
	for _, c := range []struct {
		text   string
		errors bool
		want   string // "!" and the reason, if it cannot be evaluated
	}{
		{"", false, "2026/03/05/04/"},
		{"raw/", false, "raw/2026/03/05/04/"},
		{"raw/x-", false, "raw/x-2026/03/05/04/"},
		{"raw/dt=!{timestamp:yyyy-MM-dd}/", false, "raw/dt=2026-03-05/"},
		{"!{timestamp:yyyy}/!{timestamp:MM}/!{timestamp:dd'T'HH:mm:ss}/", false, "2026/03/05T04:07:09/"},
		{"!{timestamp:yy-M-d H.m.s}/", false, "26-3-5 4.7.9/"},
		{"!{timestamp:'year='yyyy'/month='MMM MMMM'/'}", false, "year=2026/month=Mar March/"},
		{"!{timestamp:''yyyy'it''s}'}/", false, "'2026it's}/"},
		{"!{timestamp:uuuu}/", false, "2026/"},
		{"a/!{firehose:random-string}/", false, "a/\x00/2026/03/05/04/"},
		{"!{partitionKeyFromQuery:table}/dt=!{partitionKeyFromQuery:dt}/!{timestamp:yyyy}/", false, "runs/dt=2026-11-24/2026/"},
		{"!{partitionKeyFromQuery:none}/", false, `!partition key "none" is missing or empty`},
		{"!{partitionKeyFromQuery:empty}/", false, `!partition key "empty" is missing or empty`},
		{"errors/!{firehose:error-output-type}/!{timestamp:yyyy}/", true, "errors/processing-failed/2026/"},
		{"errors/", true, "errors/2026/03/05/04/"},
		{"a//b/!{timestamp:yyyy}/", false, "!empty name"},
		{"../!{timestamp:yyyy}/", false, "!empty name, . or .."},
		{"/!{timestamp:yyyy}/", false, "!empty name"},
		{strings.Repeat("é/", 300) + "!{timestamp:yyyy}/", false, "!512 characters"},
		{strings.Repeat("é/", 253) + "!{timestamp:yyyyMM}", false, strings.Repeat("é/", 253) + "202603"},
		{strings.Repeat("é/", 254) + "!{timestamp:yyyyMM}", false, "!512 characters"},
		{strings.Repeat("x", 300) + "/", false, "!255 bytes"},
		{"a/" + strings.Repeat("x", 200) + "!{timestamp:yyyy}", false, "!after its last slash"},
		{"$!x!/", false, "$!x!/2026/03/05/04/"},
	} {
		p, err := parsePrefix(c.text, c.errors)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		for _, q := range []*prefix{p, p.during(evaluated)} {
			got, why := q.append(nil, evaluated, keys, failedType)
			if reason, bad := strings.CutPrefix(c.want, "!"); bad {
				if !strings.Contains(why, reason) {
					t.Errorf("%q: %q, want a reason with %q", c.text, why, reason)
				}
			} else if why != "" || string(got) != c.want {
				t.Errorf("%q: %q %s, want %q", c.text, got, why, c.want)
			}
		}
	}
}

func TestPrefixMistakes(t *testing.T) {
	for _, c := range []struct {
		text   string
		errors bool
		want   string
	}{
		{"raw/!{timestamp:yyyy", false, "column 5: the expression has no closing }"},
		{"é!{timestamp:}", false, "column 2: !{timestamp:}: want a pattern"},
		{"!{timestamp:YYYY}", false, "use yyyy"},
		{"!{timestamp:yyyy-MM-DD}", false, "use dd"},
		{"!{timestamp:hh}", false, "use HH"},
		{"!{timestamp:yyyyy}", false, "at most 4 of y"},
		{"!{timestamp:yyy}", false, "want yyyy or yy"},
		{"!{timestamp:ddd}", false, "at most 2 of d"},
		{"!{timestamp:Q}", false, "letter Q"},
		{"!{timestamp:yyyy[MM]}", false, "reserved"},
		{"!{timestamp:'x}", false, "no closing }"},
		{"!{nothing}", false, "namespace:value"},
		{"!{other:x}", false, "the namespaces are"},
		{"!{firehose:x}", false, "random-string"},
		{"!{firehose:error-output-type}", false, "only an error prefix"},
		{"!{partitionKeyFromQuery:}", false, "name of a key"},
		{"!{partitionKeyFromQuery:x}", true, "no partition keys"},
		{"!{partitionKeyFromLambda:x}", false, "partitionKeyFromQuery"},
		{"e/!{timestamp:yyyy}/", true, "error-output-type"},
		{"\xff", false, "UTF-8"},
	} {
		if _, err := parsePrefix(c.text, c.errors); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
}

func TestConfigMistakes(t *testing.T) {
	if err := Defaults().Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	n := func(i int) *int { return &i }
	for _, c := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Buffering.SizeMB = n(5) }, "buffering.interval_seconds: missing"},
		{func(c *Config) { c.Buffering.IntervalSeconds = n(5) }, "buffering.size_mb: missing"},
		{func(c *Config) { c.Buffering = Buffering{n(0), n(60)} }, "buffering.size_mb: 0"},
		{func(c *Config) { c.Buffering = Buffering{n(129), n(60)} }, "buffering.size_mb: 129"},
		{func(c *Config) { c.Buffering = Buffering{n(5), n(901)} }, "buffering.interval_seconds: 901"},
		{func(c *Config) { c.Buffering = Buffering{n(5), n(-1)} }, "buffering.interval_seconds: -1"},
		{func(c *Config) { c.Prefix = "!{x}" }, "prefix: column 1"},
		{func(c *Config) { c.Prefix = "/raw/" }, "prefix: the evaluated prefix has an empty name"},
		{func(c *Config) { c.Prefix = "!{timestamp:yyyy}/"; c.ErrorPrefix = "" }, "error_prefix: missing"},
		{func(c *Config) { c.ErrorPrefix = "!{firehose:x}" }, "error_prefix: column 1"},
		{func(c *Config) { c.ErrorPrefix = strings.Repeat("x/", 300) }, "error_prefix: the evaluated prefix has more than 512"},
		{func(c *Config) { c.TimeZone = "Mars" }, "time_zone"},
		{func(c *Config) { c.TimeZone = "Local" }, "time_zone"},
		{func(c *Config) { c.Compression = "ZIP" }, "compression"},
		{func(c *Config) { c.DiskLimitMB = 0 }, "disk_limit_mb"},
	} {
		cfg := Defaults()
		c.change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func FuzzPrefix(f *testing.F) {
	for _, seed := range []string{"", "raw/dt=!{timestamp:yyyy-MM-dd}/", "!{partitionKeyFromQuery:k}/!{firehose:random-string}", "!{timestamp:'a''}'HH}", "errors/!{firehose:error-output-type}/", "!{", "!{timestamp:''}"} {
		f.Add(seed, "value", false)
		f.Add(seed, "../x", true)
	}
	f.Fuzz(func(t *testing.T, text, value string, forErrors bool) {
		p, err := parsePrefix(text, forErrors)
		if err != nil {
			return
		}
		keys := map[string]string{}
		for _, k := range p.keys {
			keys[k] = value
		}
		got, why := p.append(nil, evaluated, keys, failedType)
		again, whyAgain := p.during(evaluated).append(nil, evaluated, keys, failedType)
		if string(got) != string(again) || why != whyAgain {
			t.Errorf("%q: %q (%s) and, with the time written out, %q (%s)", text, got, why, again, whyAgain)
		}
		if why != "" || strings.Contains(text, "\x00") {
			return
		}
		b := batch{destination: destination{prefix: string(got)}, extents: []extent{{first: 1, count: 1}}, gzip: true, oldest: evaluated}
		b.name([16]byte{}, strings.Repeat("s", 64), 1<<31, time.UTC)
		if why := badKey(b.key); why != nil {
			t.Errorf("%q gives the key %q: %v", text, b.key, why)
		}
	})
}
