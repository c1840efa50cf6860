package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/duck"
)

// TestMain lets the test binary be the process that answers users' SQL.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == duck.ChildArg {
		os.Exit(tickerlake.ExitStatus(duck.Child(context.Background(), os.Stdin, os.Stdout)))
	}
	testscript.Main(m, map[string]func(){"tickerlake": main})
}

// TestScripts runs testdata/script: what a user types and sees.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script"})
}

// A program is tickerlake in a folder of the test, on the test's clock.
type program struct {
	*testing.T
	dir string
	now time.Time
}

func newProgram(t *testing.T, yaml string) *program {
	t.Helper()
	p := &program{T: t, dir: t.TempDir(), now: time.Date(2026, 3, 2, 22, 0, 0, 0, time.UTC)}
	p.configure(yaml)
	return p
}

func (p *program) configure(yaml string) {
	p.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, "tickerlake.yaml"), []byte(yaml), 0o600); err != nil {
		p.Fatal(err)
	}
}

// try runs a command and gives what it printed and its exit status.
func (p *program) try(args ...string) (stdout, stderr string, status int) {
	p.Helper()
	var out, errs bytes.Buffer
	m := &Main{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Env: os.LookupEnv, Clock: func() time.Time { return p.now }}
	status = m.Run(p.Context(), append([]string{"-c", filepath.Join(p.dir, "tickerlake.yaml"), "--log-level", "error"}, args...))
	return out.String(), errs.String(), status
}

// do runs a command that must succeed.
func (p *program) do(args ...string) string {
	p.Helper()
	out, errs, status := p.try(args...)
	if status != 0 {
		p.Fatalf("tickerlake %s: exit status %d\n%s%s", strings.Join(args, " "), status, out, errs)
	}
	return out
}

// ask gives the answer to a query as CSV without its header.
func (p *program) ask(sql string) string {
	p.Helper()
	_, rows, _ := strings.Cut(p.do("query", "-f", "csv", sql), "\n")
	return strings.TrimSpace(strings.ReplaceAll(rows, "\r", ""))
}

func contains(text string, parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}
