package quality_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake/quality"
)

// shelf is Files in memory: contents by location.
type shelf struct {
	files  []quality.File
	bodies map[string]string
	opened int
}

func (s *shelf) put(location, body string, age time.Duration) {
	if s.bodies == nil {
		s.bodies = map[string]string{}
	}
	s.bodies[location] = body
	s.files = append(s.files, quality.File{Location: location, Size: int64(len(body)), Modified: fixedClock().Add(-age)})
}

func (s *shelf) List(_ context.Context, location string) ([]quality.File, error) {
	var out []quality.File
	for _, f := range s.files {
		if f.Location == location || strings.HasPrefix(f.Location, strings.TrimSuffix(location, "/")+"/") {
			out = append(out, f)
		}
	}
	return out, nil
}

func (s *shelf) Open(_ context.Context, location string) (io.ReadCloser, error) {
	s.opened++
	return io.NopCloser(strings.NewReader(s.bodies[location])), nil
}

func sum(body string) string {
	h := sha256.Sum256([]byte(body))
	return hex.EncodeToString(h[:])
}

// TestFileRules: the clock stands at 2026-11-24 12:00 UTC.
func TestFileRules(t *testing.T) {
	s := &shelf{}
	s.put("s3://raw/bars/a.csv", "one", time.Hour)
	s.put("s3://raw/bars/b.csv", "two two", 30*time.Hour)
	s.put("s3://raw/bars/sub/a.csv", "one", 72*time.Hour)
	s.put("s3://raw/bars/sub/c.tmp", "", 100*24*time.Hour)
	s.put("s3://old/x.csv", "two two", 9*time.Hour)
	s.put("s3://old/a.csv", "one", 9*time.Hour)
	s.put("s3://old/y.csv", "one", 9*time.Hour)
	target := quality.Target{Name: "bars", From: "bars", Columns: columnsOf("id bigint"), Files: s.files[:2]}
	bars := `"s3://raw/bars/"`
	md5 := "f97c5d29941bfb1b2fdab0874906ab82" // of one
	for _, c := range []struct {
		rule    string
		want    quality.Verdict
		metric  string
		value   float64
		message string
	}{
		{`FileSize ` + bars + ` < 8 B`, quality.Pass, "Dataset.*.FileCount", 4, "all 4 files pass"},
		{`FileSize ` + bars + ` > 0 B`, quality.Fail, "Dataset.*.FileSize.Compliance", 0.75, "the size is not > 0 B for 1 of 4 files, such as s3://raw/bars/sub/c.tmp"},
		{`FileSize ` + bars + ` > 0 with threshold > 0.7`, quality.Pass, "Dataset.*.MinimumFileSize", 0, ""},
		{`FileSize ` + bars + ` in [3 B, 7 B, 0 B]`, quality.Pass, "Dataset.*.MaximumFileSize", 7, ""},
		{`FileSize ` + bars + ` between 0 B and 1 KB with uriRegex = "\.csv$"`, quality.Pass, "Dataset.*.FileCount", 3, ""},
		{`FileSize ` + bars + ` not between 3 B and 1 KB with threshold = 0.75`, quality.Pass, "", 0, ""},
		{`FileSize ` + bars + ` > 0 B with failFast = "true" with threshold > 0.1`, quality.Fail, "Dataset.*.FileCount", 4, "the size of s3://raw/bars/sub/c.tmp is not > 0 B"},
		{`FileSize "s3://raw/bars/b.csv" = 7`, quality.Pass, "Dataset.*.FileCount", 1, ""},
		{`FileSize "s3://nothing/" > 0 B`, quality.Fail, "Dataset.*.FileCount", 0, "no files in s3://nothing/"},
		{`FileSize > 2 B`, quality.Pass, "Dataset.*.FileCount", 2, ""},
		{`FileSize ` + bars + ` > 0 B with failfast = "true"`, quality.Erred, "", 0, "FileSize has no tag failfast; did you mean failFast? (at 1:11 of the rules)"},
		{`FileSize ` + bars + ` > 0 B with uriRegex = "(?!x)"`, quality.Erred, "", 0, ""},
		{`FileSize ` + bars + ` > 0 B with recentFiles = 0`, quality.Erred, "", 0, ""},

		{`FileFreshness ` + bars + ` > (now() - 4 days) with threshold >= 0.75`, quality.Pass, "Dataset.*.FileFreshness.Compliance", 0.75, ""},
		{`FileFreshness "s3://raw/bars/a.csv" > (now() - 2 hours)`, quality.Pass, "", 0, ""},
		{`FileFreshness "s3://raw/bars/a.csv" between (now() - 60 minutes) and now()`, quality.Fail, "", 0, ""},
		{`FileFreshness "s3://raw/bars/a.csv" >= (now() - 60 minutes)`, quality.Pass, "", 0, ""},
		{`FileFreshness "s3://raw/bars/a.csv" > "2026-11-24"`, quality.Pass, "", 0, ""},
		{`FileFreshness "s3://raw/bars/b.csv" between "2026-11-23" and "2026-11-24"`, quality.Pass, "", 0, ""},
		{`FileFreshness "s3://raw/bars/b.csv" not between "2026-11-23" and "2026-11-24"`, quality.Fail, "", 0, ""},
		{`FileFreshness "s3://raw/bars/a.csv" > "10:59"`, quality.Pass, "", 0, ""},
		{`FileFreshness "s3://raw/bars/a.csv" > "11:00 AM"`, quality.Fail, "", 0, ""},
		{`FileFreshness "s3://raw/bars/a.csv" = "11:00"`, quality.Pass, "", 0, ""},
		{`FileFreshness "s3://raw/bars/a.csv" between "5:59 AM" and "6:01 AM" with timeZone = "America/New_York"`, quality.Pass, "", 0, ""},
		{`FileFreshness "s3://raw/bars/a.csv" > "10:00" with timeZone = "Nowhere/At_all"`, quality.Erred, "", 0, ""},
		{`FileFreshness ` + bars + ` > (now() - 2 hours) with recentFiles = 1`, quality.Pass, "Dataset.*.FileCount", 1, ""},
		{`FileFreshness ` + bars + ` > (now() - 2 hours) with recentFiles = 1 with uriRegex = "sub"`, quality.Fail, "Dataset.*.FileCount", 0, ""},
		{`FileFreshness ` + bars + ` > (now() - 80 hours) with recentFiles = 1 with uriRegex = "sub" with filterOrder = ["uriRegex", "recentFiles"]`, quality.Pass, "Dataset.*.FileCount", 1, ""},
		{`FileFreshness ` + bars + ` > (now() - 80 hours) with filterOrder = ["uriRegex"]`, quality.Erred, "", 0, ""},
		{`FileFreshness ` + bars + ` not in ["2026-01-01", NULL]`, quality.Erred, "", 0, ""},
		{`FileFreshness > (now() - 31 hours)`, quality.Pass, "", 0, ""},

		{`FileUniqueness ` + bars + ` = 0.5`, quality.Pass, "Dataset.*.FileUniquenessRatio", 0.5, ""},
		{`FileUniqueness ` + bars + ` > 0.5`, quality.Fail, "", 0, "the share of files that are the only one of their content is 0.5, wanted > 0.5, not so s3://raw/bars/a.csv"},
		{`FileUniqueness = 1`, quality.Pass, "Dataset.*.FileCount", 2, ""},
		{`FileUniqueness ` + bars + ` = 1 with recentFiles = 2`, quality.Pass, "", 0, ""},

		{`FileMatch "s3://raw/bars/a.csv" in ["` + sum("one") + `"]`, quality.Pass, "Dataset.*.FileCount", 1, ""},
		{`FileMatch "s3://raw/bars/a.csv" in ["x", "` + strings.ToUpper(sum("one")) + `"]`, quality.Pass, "", 0, ""},
		{`FileMatch "s3://raw/bars/a.csv" in ["` + md5 + `"] with hashAlgorithm = "MD5"`, quality.Pass, "", 0, ""},
		{`FileMatch "s3://raw/bars/a.csv" = "fe05bcdcdc4928012781a5f1a2a77cbb5398e106" with hashAlgorithm = "SHA-1"`, quality.Pass, "", 0, ""},
		{`FileMatch "s3://raw/bars/a.csv" in ["x"] with hashAlgorithm = "CRC"`, quality.Erred, "", 0, ""},
		{`FileMatch "s3://raw/bars/" in ["` + sum("one") + `"]`, quality.Fail, "Dataset.*.FileCount", 4, ""},
		{`FileMatch "s3://raw/bars/" in ["` + sum("one") + `"] with uriRegex = "a\.csv$"`, quality.Pass, "", 0, ""},
		{`FileMatch "s3://raw/bars/" in ["` + sum("one") + `"] with uriRegex = "a\.csv$" with matchFileName = "true"`, quality.Fail, "", 0, "two files have the name a.csv"},
		{`FileMatch in ["` + sum("one") + `", "` + sum("two two") + `"]`, quality.Pass, "Dataset.*.FileCount", 2, ""},
		{`FileMatch "s3://raw/bars/" "s3://old/" with uriRegex = "csv$"`, quality.Pass, "Dataset.*.FileCount", 6, ""},
		{`FileMatch "s3://raw/bars/" "s3://old/"`, quality.Fail, "", 0, "s3://raw/bars/sub/c.tmp is not matched in s3://old/"},
		{`FileMatch "s3://raw/bars/" "s3://old/" with uriRegex = "csv$" with matchFileName = "true"`, quality.Fail, "", 0, ""},
		{`FileMatch "s3://raw/bars/a.csv" "s3://old/y.csv"`, quality.Pass, "", 0, ""},
		{`FileMatch "s3://raw/bars/a.csv" "s3://old/x.csv"`, quality.Fail, "", 0, ""},
	} {
		e := quality.Engine{Dialect: quality.DuckDB, Clock: fixedClock, Files: s}
		res, err := e.Evaluate(context.Background(), mustParse(t, c.rule), target)
		if err != nil {
			t.Fatal(err)
		}
		r := res.RuleResults[0]
		if r.Result != c.want || c.message != "" && r.EvaluationMessage != c.message {
			t.Errorf("%s\n got  %s: %s\n want %s: %s", c.rule, r.Result, r.EvaluationMessage, c.want, c.message)
		}
		if v, ok := r.EvaluatedMetrics[c.metric]; c.metric != "" && (!ok || v != c.value) {
			t.Errorf("%s measured %v, want %s = %v", c.rule, r.EvaluatedMetrics, c.metric, c.value)
		}
	}
	e := quality.Engine{Dialect: quality.DuckDB, Clock: fixedClock}
	res, err := e.Evaluate(context.Background(), mustParse(t, `FileSize "s3://raw/" > 0 B, FileUniqueness "s3://raw/" > 0`), target)
	if err != nil || res.RuleResults[0].Result != quality.Erred || res.RuleResults[1].Result != quality.Erred {
		t.Errorf("without files: %+v, %v", res, err)
	}
}

// A file whose size no other has is not read to know that its content is its own.
func TestFileUniquenessReadsFewFiles(t *testing.T) {
	s := &shelf{}
	for i := range 9 {
		s.put("s3://raw/"+strings.Repeat("x", i+1), strings.Repeat("a", i), time.Hour)
	}
	s.put("s3://raw/y", "b", time.Hour)
	e := quality.Engine{Dialect: quality.DuckDB, Clock: fixedClock, Files: s}
	res, err := e.Evaluate(context.Background(), mustParse(t, `FileUniqueness "s3://raw/" = 1`), quality.Target{Name: "t"})
	if err != nil || !res.Passed() || s.opened != 2 {
		t.Errorf("%+v, %v, %d files were read", res, err, s.opened)
	}
}

func TestFileRulesAreRead(t *testing.T) {
	for text, want := range map[string]string{
		`FileMatch "a"`:                        "expected",
		`FileMatch "a" "b" in ["x"]`:           "FileMatch of two paths takes no condition",
		`FileMatch "a" "b" "c"`:                "takes at most 2 parameters",
		`FileMatch`:                            "FileMatch wants a condition on a text",
		`FileSize > 1 B with filterOrder = []`: "the quoted name of a filter",
	} {
		_, err := quality.Parse("Rules = [ " + text + " ]")
		if err == nil || want != "expected" && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	text := `FileSize "a" > 1 B with recentFiles = 2 with uriRegex = "x" with filterOrder = ["uriRegex","recentFiles"]`
	if again := mustParse(t, mustParse(t, text).Rules[0].String()).Rules[0]; again.String() != mustParse(t, text).Rules[0].String() {
		t.Errorf("printed, %s is %s", text, again)
	}
}
