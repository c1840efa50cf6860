package file

import (
	"strings"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/collect"
)

// readTime reads one time as the only one of a file.
func readTime(t *testing.T, interval tickerlake.Interval, zone, format, text string) string {
	t.Helper()
	return readTimes(t, interval, zone, format, text)[0]
}

// readTimes reads times as those of one symbol, one after the other.
func readTimes(t *testing.T, interval tickerlake.Interval, zone, format string, texts ...string) (out []string) {
	t.Helper()
	location, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	times, err := newTimeReader(interval, location, format)
	if err != nil {
		t.Fatal(err)
	}
	r := &run{times: times, utc: times, cfg: collect.Config{TimeZone: zone}}
	o := &origin{}
	for _, text := range texts {
		var one row
		one.clear(1)
		one.cells[fieldTs] = cell{text: []byte(text)}
		got, _, _ := r.time(&one, o)
		out = append(out, got)
	}
	return out
}

func TestTimes(t *testing.T) {
	const ny = "America/New_York"
	for _, c := range []struct {
		interval                 tickerlake.Interval
		zone, format, text, want string
	}{
		{"1d", "UTC", "", "2024-01-31", "2024-01-31"},
		{"1d", "UTC", "", "20240131", "2024-01-31"},
		{"1d", ny, "", "2024-01-31 00:00:00", "2024-01-31"},
		{"1d", ny, "", "2024-01-31T00:00:00Z", "2024-01-31"},
		{"1d", ny, "", "2024-01-31T00:00:00.000Z", "2024-01-31"},
		{"1d", ny, "", "2024-01-31T21:00:00Z", "2024-01-31"},
		{"1d", ny, "", "2024-02-01T02:00:00Z", "2024-01-31"},
		{"1d", "UTC", "", "2024-01-31 00:00:00+01:00", "2024-01-31"},
		{"1d", ny, "", "2024-01-31 00:00:00-05:00", "2024-01-31"},
		{"1d", ny, "", "1706659200", "2024-01-31"},    // 00:00 UTC
		{"1d", ny, "", "1706625000000", "2024-01-30"}, // 14:30 UTC
		{"1d", "UTC", "", "1582-01-01", "1582-01-01"},
		{"1d", "UTC", "", "2024-02-30", "2024-02-30 (no known form of a time)"},
		{"1d", "UTC", "", "2024/01/31", "2024/01/31 (no known form of a time)"},
		{"1d", "UTC", "", "20241301", "20241301 (no known form of a time)"},
		{"1d", "UTC", "", "20240131.0", "2024-01-31"}, // of a column of numbers with holes
		{"1d", "UTC", "", "20240131.5", "20240131.5 (no known form of a time)"},
		{"1d", "UTC", "", "45322", "45322 (no known form of a time)"}, // days of a spreadsheet
		{"1m", "UTC", "", "45322.396", "45322.396 (no known form of a time)"},
		{"1d", "UTC", "", "0", "0 (no known form of a time)"},
		{"1d", "UTC", "epoch", "0", "1970-01-01"},
		{"1d", "UTC", "", "86400", "1970-01-02"},
		{"1m", "UTC", "", "202401310930", "202401310930 (no known form of a time)"},
		{"1m", "UTC", "yyyyMMddHHmm", "202401310930", "2024-01-31T09:30:00Z"},
		{"1m", "UTC", "epoch_ms", "202401310930", "1976-05-31T14:35:10.93Z"},
		{"1m", "UTC", "", "631152000000", "1990-01-01T00:00:00Z"},
		{"1d", "UTC", "", "soon", "soon (no known form of a time)"},
		{"1d", "UTC", "MM/dd/yyyy", "01/31/2024", "2024-01-31"},
		{"1d", "UTC", "MMM d, yyyy", "Jan 31, 2024", "2024-01-31"},
		{"1d", "UTC", "MM/dd/yyyy", "31/01/2024", "31/01/2024 (no known form of a time)"},
		{"1d", "UTC", "epoch_ms", "1706659200000", "2024-01-31"},
		{"1m", "UTC", "", "2024-01-31", "2024-01-31 (no time of day)"},
		{"1m", "UTC", "", "2024-01-31 14:30", "2024-01-31T14:30:00Z"},
		{"1m", "UTC", "", "2024-01-31T14:30:05.5", "2024-01-31T14:30:05.5Z"},
		{"1m", ny, "", "2024-01-31 09:30:00", "2024-01-31T14:30:00Z"},
		{"1m", ny, "", "2024-07-31 09:30:00", "2024-07-31T13:30:00Z"},
		{"1m", ny, "", "20240731 0930", "2024-07-31T13:30:00Z"},
		{"1m", ny, "", "2024-01-31T09:30:00Z", "2024-01-31T09:30:00Z"},
		{"1m", ny, "", "2024-01-31T09:30:00+0100", "2024-01-31T08:30:00Z"},
		{"1m", ny, "", "2024-01-31 09:30:00 UTC", "2024-01-31T09:30:00Z"},
		{"1m", ny, "", "2024-01-31 24:00:00", "2024-01-31 24:00:00 (no known form of a time)"},
		{"1m", ny, "", "2024-01-31 09:30:00 EST", "2024-01-31 09:30:00 EST (no known form of a time)"},
		{"1m", "UTC", "", "1706711400", "2024-01-31T14:30:00Z"},
		{"1m", "UTC", "", "1706711400.25", "2024-01-31T14:30:00.25Z"},
		{"1m", "UTC", "", "1706711400000", "2024-01-31T14:30:00Z"},
		{"1m", "UTC", "", "1706711400000000", "2024-01-31T14:30:00Z"},
		{"1m", "UTC", "", "1706711400000000000", "2024-01-31T14:30:00Z"},
		{"1m", "UTC", "", "-86400", "1969-12-31T00:00:00Z"},
		{"1m", "UTC", "", "99999999999999999999", "99999999999999999999 (no known form of a time)"},
		{"1m", ny, "dd.MM.yyyy HH:mm", "31.07.2024 09:30", "2024-07-31T13:30:00Z"},
		{"1m", ny, "MM/dd/yyyy hh:mm a", "07/31/2024 01:30 PM", "2024-07-31T17:30:00Z"},
		{"1m", ny, "yyyy-MM-dd'T'HH:mm:ssXXX", "2024-07-31T09:30:00-07:00", "2024-07-31T16:30:00Z"},
		{"1m", ny, "MM/dd/yyyy", "07/31/2024", "07/31/2024 (no time of day)"},
		// Neither clock is the day's: 24 and 25 hours before and after the changes.
		{"1m", ny, "", "2024-03-10 01:59", "2024-03-10T06:59:00Z"},
		{"1m", ny, "", "2024-03-10 02:00", "2024-03-10 02:00 (the clock of America/New_York skips it)"},
		{"1m", ny, "", "2024-03-10 02:59:59", "2024-03-10 02:59:59 (the clock of America/New_York skips it)"},
		{"1m", ny, "", "2024-03-10 03:00", "2024-03-10T07:00:00Z"},
		{"1m", ny, "", "2024-11-03 00:59", "2024-11-03T04:59:00Z"},
		{"1m", ny, "", "2024-11-03 01:00", "2024-11-03T05:00:00Z"},
		{"1m", ny, "", "2024-11-03 02:00", "2024-11-03T07:00:00Z"},
		{"1m", "Australia/Lord_Howe", "", "2024-10-06 02:15", "2024-10-06 02:15 (the clock of Australia/Lord_Howe skips it)"}, // by half an hour
		{"1m", "Australia/Lord_Howe", "", "2024-10-06 02:30", "2024-10-05T15:30:00Z"},
		{"1m", "Asia/Kolkata", "", "2024-01-31 09:15", "2024-01-31T03:45:00Z"},
	} {
		if got := readTime(t, c.interval, c.zone, c.format, c.text); got != c.want {
			t.Errorf("%s %s %q %q: got %q, want %q", c.interval, c.zone, c.format, c.text, got, c.want)
		}
	}
}

// TestHourTwice: times that the clock shows twice are told apart by the order of the rows,
// whichever way they go.
func TestHourTwice(t *testing.T) {
	var walls, instants []string
	for at := time.Date(2024, 11, 3, 4, 0, 0, 0, time.UTC); at.Before(time.Date(2024, 11, 3, 9, 0, 0, 0, time.UTC)); at = at.Add(15 * time.Minute) {
		ny, err := time.LoadLocation("America/New_York")
		if err != nil {
			t.Fatal(err)
		}
		walls = append(walls, at.In(ny).Format("2006-01-02 15:04"))
		instants = append(instants, at.Format(time.RFC3339))
	}
	check := func(way string) {
		for i, got := range readTimes(t, "15m", "America/New_York", "", walls...) {
			if got != instants[i] {
				t.Errorf("%s: %s, place %d, is %s, want %s", way, walls[i], i, got, instants[i])
			}
		}
	}
	check("forward")
	for i, j := 0, len(walls)-1; i < j; i, j = i+1, j-1 {
		walls[i], walls[j] = walls[j], walls[i]
		instants[i], instants[j] = instants[j], instants[i]
	}
	check("backward")
}

// TestWallClock compares the offsets, with what is kept of them, with those of the time
// package over all of two years in zones that are far apart.
func TestWallClock(t *testing.T) {
	for _, zone := range []string{"America/New_York", "Europe/Berlin", "Asia/Tokyo", "Australia/Lord_Howe", "America/Sao_Paulo"} {
		location, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		times, err := newTimeReader("1m", location, "")
		if err != nil {
			t.Fatal(err)
		}
		for u := time.Date(2017, 12, 1, 0, 0, 0, 0, time.UTC).Unix(); u < time.Date(2019, 12, 1, 0, 0, 0, 0, time.UTC).Unix(); u += 15 * 60 {
			wall := time.Unix(u, 0).UTC()
			list, n := times.offsets(wall)
			for _, o := range list[:n] {
				if got := time.Unix(u-o, 0).In(location).Format(time.DateTime); got != wall.Format(time.DateTime) {
					t.Fatalf("%s: %v less %d is %s there", zone, wall, o, got)
				}
			}
			y, m, d := wall.Date()
			there := time.Date(y, m, d, wall.Hour(), wall.Minute(), 0, 0, location)
			if exists := there.Format(time.DateTime) == wall.Format(time.DateTime); exists != (n > 0) {
				t.Fatalf("%s: %v has %d offsets, exists: %v", zone, wall, n, exists)
			}
		}
	}
}

func TestTimeFormats(t *testing.T) {
	for format, want := range map[string]string{
		"":                      "",
		"MM/dd/yyyy":            "",
		"dd.MM.yyyy HH:mm:ss":   "",
		"epoch_us":              "",
		"HH:mm":                 "says no day",
		"MM/DD/yyyy":            "no letters DD; there are epoch",
		"2006-01-02":            "2 is no letter of a format",
		"yyyy-MM-dd'T":          "' without its end",
		"yyyy-MM-dd 'at' HH:mm": "only 'T' can be quoted",
		"yyyy-MM-dd HHmmssSSS":  "want . or , before SSS",
	} {
		err := ParseTimeFormat(format)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", format, err, want)
		}
	}
}

func TestSymbolOf(t *testing.T) {
	for name, want := range map[string]tickerlake.Symbol{
		"AAPL.csv": "AAPL", "/x/y/aapl.csv.gz": "AAPL", "aapl_daily.csv": "AAPL", "AAPL-1d.parquet": "AAPL", "AAPL (2).csv": "AAPL",
		"aapl_daily_2020-01-01.csv": "AAPL", "aapl_2010_2020.csv": "AAPL", "SX5E_1min.csv.zst": "SX5E", "BRK.B.csv": "BRK.B", "BRK-B_history.csv": "BRK-B",
		"BTC_USD.csv": "BTC_USD", "EURUSD=X.csv": "EURUSD=X", "^GSPC.csv": "^GSPC", "msft.us.txt": "MSFT.US", "D.csv": "D", "F_1h.jsonl": "F",
		"daily.csv": "DAILY", "7203.csv": "7203", "AAPL 5m.csv": "AAPL", "AACG.XNAS_ohlcv_1d.csv": "AACG.XNAS", "noext": "NOEXT",
	} {
		if got := SymbolOf(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	for _, name := range []string{"my prices of apple.csv", "Ä.csv", ".csv"} {
		if got := SymbolOf(name); got.Valid() {
			t.Errorf("%s is of %s: want none", name, got)
		}
	}
}
