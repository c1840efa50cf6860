package lake

import (
	"testing"
	"time"
)

// A partition that the later of two fetches does not touch has nothing to be compared.
func TestReach(t *testing.T) {
	day := func(s string) time.Time {
		m, err := time.Parse(time.DateOnly, s)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	spans := []Span{
		{Symbol: "A", From: day("2004-01-02"), To: day("2025-12-31"), FetchID: "f1"},
		{Symbol: "A", From: day("2025-06-01"), To: day("2025-12-31"), FetchID: "f2"},
		{Symbol: "B", From: day("2025-01-02"), To: day("2025-12-31"), FetchID: "f1"},
	}
	stored := []file{{partition: "2010", symbols: [2]string{"A", "Z"}, times: [2]time.Time{day("2010-01-04"), day("2010-12-31")}}}
	for _, c := range []struct {
		partition string
		files     []file
		want      int
	}{
		{"2010", nil, 0}, {"2010", stored, 1}, {"2011", stored, 0}, {"2025", nil, 2}, {"2025-03", nil, 0}, {"2025-07", nil, 2}, {"2026", nil, 0},
	} {
		if got := (Part{Partition: c.partition}).reach(spans, c.files); len(got) != c.want {
			t.Errorf("%s with %d files: %d spans reach it, want %d: %v", c.partition, len(c.files), len(got), c.want, got)
		}
	}
}
