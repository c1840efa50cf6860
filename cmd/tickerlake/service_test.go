package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestService installs, prints and removes the files of both, in folders of the test.
func TestService(t *testing.T) {
	p := newProgram(t, "name: acme\n"+upFile)
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, "config"))
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for kind, path := range map[string]string{
		systemd: filepath.Join(home, "config", "systemd", "user", "tickerlake-acme.service"),
		launchd: filepath.Join(home, "Library", "LaunchAgents", "com.github.tickerlake.tickerlake-acme.plist"),
	} {
		printed := p.do("service", "print", "--for", kind)
		if !contains(printed, program, filepath.Join(p.dir, "tickerlake.yaml"), filepath.Join(p.dir, "tickerlake.env"), "45") {
			t.Errorf("%s: it says\n%s", kind, printed)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: print has written: %v", kind, err)
		}
		for range 2 { // again is no mistake
			if out := p.do("service", "install", "--for", kind); !contains(out, "wrote "+path, "tickerlake-acme") {
				t.Errorf("%s: it said %q", kind, out)
			}
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != printed {
			t.Errorf("%s: the file is not what was printed: %v", kind, err)
		}
		if out := p.do("service", "uninstall", "--for", kind); !strings.Contains(out, "removed "+path) {
			t.Errorf("%s: it said %q", kind, out)
		}
		if _, errs, status := p.try("service", "uninstall", "--for", kind); status != 1 || !strings.Contains(errs, "there is no such file") {
			t.Errorf("%s: removed twice: %d %s", kind, status, errs)
		}
		if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, what := range []string{"install", "uninstall"} {
			if _, errs, status := p.try("service", what, "--for", kind); status != 1 || !strings.Contains(errs, "tickerlake has not written this file") {
				t.Errorf("%s: %s of a file of somebody else: %d %s", kind, what, status, errs)
			}
		}
	}
	for args, want := range map[string]string{
		"service print --for upstart": `--for: "upstart": want systemd or launchd`,
		"service print --name a/b":    `--name: "a/b": want letters, digits and . _ -`,
		"service remove":              "unknown command",
	} {
		if _, errs, status := p.try(strings.Fields(args)...); status != 2 || !strings.Contains(errs, want) {
			t.Errorf("%s: %d %s", args, status, errs)
		}
	}
}

// hard has every character that one of the two takes for something else.
const hard = `/opt/a b/100%/$HOME/"q"/back\slash/<&>'`

// TestServiceText has paths that need quoting.
func TestServiceText(t *testing.T) {
	u := startup{name: "n", program: hard + "/bin", file: hard + "/f.yaml", dir: hard, env: hard + "/tickerlake.env"}
	unit := u.systemd("/c").Text
	if want := `ExecStart="/opt/a b/100%%/$$HOME/\"q\"/back\\slash/<&>'/bin" -c "/opt/a b/100%%/$$HOME/\"q\"/back\\slash/<&>'/f.yaml" up --output json` + "\n"; !strings.Contains(unit, want) {
		t.Errorf("it says\n%s\nand not\n%s", unit, want)
	}
	var texts []string
	d := xml.NewDecoder(strings.NewReader(u.launchd("/h").Text))
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := token.(xml.CharData); ok {
			texts = append(texts, string(text))
		}
	}
	all := strings.Join(texts, "\n")
	if !contains(all, "\n"+hard+"/bin\n", "\n"+hard+"/f.yaml\n", "\n"+hard+"\n", "\n"+hard+"/tickerlake.env\n") {
		t.Errorf("it says\n%s", all)
	}
}

// TestServiceStarts has the shell of launchd's file start a program, with the variables of
// the file beside it.
func TestServiceStarts(t *testing.T) {
	dir := t.TempDir()
	u := startup{name: "n", program: "/bin/sh", file: filepath.Join(dir, "f.yaml"), dir: dir, env: filepath.Join(dir, "tickerlake.env")}
	text := u.launchd("/h").Text
	_, text, _ = strings.Cut(text, "<string>-c</string>\n\t\t<string>")
	script, _, _ := strings.Cut(text, "</string>")
	script = strings.NewReplacer("&#34;", `"`, "&amp;", "&", "&#39;", "'").Replace(script)
	for _, key := range []string{"", "s p a c e"} {
		if key != "" {
			if err := os.WriteFile(u.env, []byte("KEY='"+key+"'\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		out, err := exec.Command("/bin/sh", "-c", script, "tickerlake", u.env, "/bin/sh", "-c", `echo "$KEY,$1"`, "x", "last arg").CombinedOutput()
		if err != nil || string(out) != key+",last arg\n" {
			t.Errorf("%v: %s", err, out)
		}
	}
}

// TestServiceVerified asks systemd whether it takes the unit.
func TestServiceVerified(t *testing.T) {
	verify, err := exec.LookPath("systemd-analyze")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip("SKIPPED: systemd-analyze is not here: the unit is not verified by systemd itself")
	}
	for _, system := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "a b", "100%")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		program, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		u := startup{name: "tickerlake-test", system: system, program: program, file: filepath.Join(dir, "f.yaml"), dir: dir, env: filepath.Join(dir, "tickerlake.env")}
		path := filepath.Join(dir, "tickerlake-test.service")
		if err := os.WriteFile(path, []byte(u.systemd("/c").Text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(verify, "verify", path).CombinedOutput(); err != nil || strings.Contains(string(out), "tickerlake-test") {
			t.Errorf("%v\n%s", err, out)
		}
	}
}
