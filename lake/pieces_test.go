package lake

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPieces(t *testing.T) {
	at := func(s string) time.Time {
		layout := time.DateTime
		if len(s) == len(time.DateOnly) {
			layout = time.DateOnly
		}
		m, err := time.Parse(layout, s)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	for _, c := range []struct {
		what  string
		daily bool
		files string // from to
		want  string // numbers of files, by piece
	}{
		{"none", true, "", ""},
		{"years, and months of a year", true, "2024-01-02 2024-12-31, 2025-01-02 2025-01-31, 2025-02-03 2025-02-03, 2025-02-04 2025-02-04, 2025-04-01 2025-04-01", "0; 1; 2 3; 4"},
		{"days of the last month", true, "2025-03-31 2025-03-31, 2025-04-01 2025-04-01, 2025-04-02 2025-04-02, 2025-04-02 2025-04-03", "0; 1; 2 3"},
		{"a file that reaches into the last month", true, "2025-03-31 2025-04-02, 2025-04-01 2025-04-01, 2025-04-09 2025-04-09", "0 1 2"},
		{"days and minutes", false, "2025-04-01 10:00:00 2025-04-01 10:59:00, 2025-04-01 11:00:00 2025-04-01 11:00:00, 2025-04-02 10:00:00 2025-04-02 10:00:00, 2025-04-02 10:59:00 2025-04-02 10:59:00, 2025-04-02 11:00:00 2025-04-02 11:00:00", "0 1; 2; 3; 4"},
		{"a merged file, and what came since", false, "2025-04-02 10:00:00 2025-04-02 11:04:00, 2025-04-02 11:04:00 2025-04-02 11:05:00, 2025-04-02 11:05:00 2025-04-02 11:06:00, 2025-04-02 11:07:00 2025-04-02 11:07:00", "0 1 2; 3"},
		{"two months", false, "2025-03-31 23:00:00 2025-03-31 23:59:00, 2025-04-01 00:00:00 2025-04-01 00:00:00", "0; 1"},
	} {
		var files []file
		for i, text := range strings.Split(c.files, ", ") {
			if text == "" {
				break
			}
			half := len(text) / 2
			f := file{location: fmt.Sprint(i), times: [2]time.Time{at(text[:half]), at(text[half+1:])}}
			f.partition = f.times[0].Format("2006-01")
			if c.daily {
				f.partition = f.times[0].Format("2006")
			}
			files = append(files, f)
		}
		slices.Reverse(files)
		var got []string
		for _, p := range pieces(files) {
			var names []string
			for _, f := range p.files {
				names = append(names, f.location)
			}
			got = append(got, strings.Join(names, " "))
		}
		if text := strings.Join(got, "; "); text != c.want {
			t.Errorf("%s: %s, want %s", c.what, text, c.want)
		}
	}
}
