package tickerlake_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tickerlake/tickerlake"
)

func TestSymbolValid(t *testing.T) {
	for s, want := range map[tickerlake.Symbol]bool{
		"AAPL": true, "BRK.B": true, "AACG.XNAS": true, "^GSPC": true, "EURUSD=X": true, "7203.T": true,
		"": false, "aapl": false, "A B": false, ".A": false, "A\n": false, "../X": false,
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456": false,
	} {
		if got := s.Valid(); got != want {
			t.Errorf("%q valid: %v, want %v", s, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"7 days": 7 * 24 * time.Hour, "1 hour": time.Hour, "30 minutes": 30 * time.Minute,
		"5 seconds": 5 * time.Second, "250 milliseconds": 250 * time.Millisecond, "0 seconds": 0,
	} {
		d, err := tickerlake.ParseDuration(s)
		if err != nil || time.Duration(d) != want {
			t.Errorf("%q: %v, %v; want %v", s, time.Duration(d), err, want)
		}
		if d.String() != s {
			t.Errorf("%v written as %q, want %q", want, d.String(), s)
		}
	}
	for _, s := range []string{"", "7", "days", "7days", "-1 days", "1.5 hours", "9223372036854775807 days", "1 fortnight"} {
		if d, err := tickerlake.ParseDuration(s); err == nil {
			t.Errorf("%q read as %v", s, d)
		}
	}
}

func TestError(t *testing.T) {
	cause := errors.New("cause")
	err := fmt.Errorf("wrapped: %w", &tickerlake.Error{Code: tickerlake.NotFound, Op: "blob.Get", Name: "k", Err: cause})
	if !errors.Is(err, tickerlake.NotFound) || errors.Is(err, tickerlake.Exists) || !errors.Is(err, cause) {
		t.Error("the code or the cause is lost on the way")
	}
	if got := err.Error(); got != "wrapped: k: cause" {
		t.Errorf("reads %q", got)
	}
	if tickerlake.ExitStatus(err) != 1 || tickerlake.HTTPStatus(err) != 404 || tickerlake.ExitStatus(nil) != 0 {
		t.Error("status does not follow the table")
	}
	if got := tickerlake.ExitStatus(tickerlake.Errorf(tickerlake.SourceFailed, "x", "", "y")); got != 4 {
		t.Errorf("exit status %d, want 4", got)
	}
}

func TestConserved(t *testing.T) {
	c := tickerlake.Counts{Read: 21, Inserted: 1, Replaced: 2, Unchanged: 3, Superseded: 4, Quarantined: 5, NotFinal: 6}
	if !c.Conserved() {
		t.Error("21 = 1+2+3+4+5+6 is not conserved")
	}
	if c.Read++; c.Conserved() {
		t.Error("a lost row is conserved")
	}
}
