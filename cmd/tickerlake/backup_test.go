package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestBackupOfALakeThatIsUp: backup reads beside tickerlake up, redrive is carried out by
// it, and a restore in its place is refused.
func TestBackupOfALakeThatIsUp(t *testing.T) {
	p := newProgram(t, upFile)
	u := p.up()
	u.await("78 inserted")
	dir := filepath.Join(t.TempDir(), "copy")
	if out := p.do("backup", dir); !strings.Contains(out, "generation 20260302t220000-000 in "+dir) {
		t.Errorf("it said %q", out)
	}
	u.sleep(24 * time.Hour)
	u.await("2 inserted")
	p.do("backup", dir)
	if out := p.do("redrive"); out != "0 records of 0 objects sent again\n" {
		t.Errorf("redrive said %q", out)
	}
	if _, errs, status := p.try("restore", dir, "--force"); status != 1 || !strings.Contains(errs, "holds this lake: stop it first") {
		t.Errorf("a restore over a lake that is up: %d %q", status, errs)
	}
	if status := u.stop(); status != 0 {
		t.Errorf("exit status %d\n%s", status, &u.errs)
	}
	for _, x := range []struct{ generation, rows string }{
		{"20260302t220000-000", "78,2026-03-02 00:00:00"}, {"", "80,2026-03-03 00:00:00"},
	} {
		p.do("restore", dir, "--force", "--generation", x.generation)
		if out := p.do("doctor"); !strings.Contains(out, "nothing is wrong") {
			t.Errorf("doctor says %q", out)
		}
		if got := p.ask("SELECT count(*), max(ts) FROM bars_1d"); got != x.rows {
			t.Errorf("generation %q has %s", x.generation, got)
		}
	}
	// The lake goes on, and with it the backup.
	p.do("fetch")
	p.do("run")
	p.do("backup", dir, "--keep", "1")
	p.do("backup", "--verify", dir)
}
