package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tickerlake/tickerlake"
)

// A serviceWish is what the flags of service say.
type serviceWish struct {
	kind, name string
	system     bool
}

// The programs that start others with the machine.
const (
	systemd = "systemd"
	launchd = "launchd"
)

func (a *app) serviceCommand() *cobra.Command {
	var w serviceWish
	cmd := &cobra.Command{
		Use:   "service",
		Short: "Have the machine keep the lake up: a systemd unit or launchd file",
		Long: `Writes the file with which systemd (Linux) or launchd (macOS) keeps tickerlake up running
for this pipeline file: for this user, or with --system for the machine. It names program
and file by their absolute paths; move one, and install again. What is to be typed then to
start it is printed.

Variables that the pipeline file takes from the environment, such as API keys, are read
from tickerlake.env beside it, lines of NAME=value, if there is one.`,
		Example: `  tickerlake service print
  tickerlake service install
  systemctl --user daemon-reload && systemctl --user enable --now tickerlake-acme
  tickerlake service uninstall`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	kind := systemd
	if runtime.GOOS == "darwin" {
		kind = launchd
	}
	cmd.PersistentFlags().StringVar(&w.kind, "for", kind, "who is to start it: systemd or launchd")
	cmd.PersistentFlags().StringVar(&w.name, "name", "", "of the service (default tickerlake- and the name of the lake, or of its folder)")
	cmd.PersistentFlags().BoolVar(&w.system, "system", false, "for the machine instead of this user")
	for _, c := range []struct {
		use, short string
		do         func(service) error
	}{
		{"install", "Write the file, and say how it is started", a.installService},
		{"uninstall", "Remove the file, and say how it is stopped", a.uninstallService},
		{"print", "Show the file", a.printService},
	} {
		cmd.AddCommand(&cobra.Command{
			Use: c.use, Short: c.short, Example: "  tickerlake service " + c.use, Args: usage(cobra.NoArgs),
			RunE: func(*cobra.Command, []string) error {
				s, err := a.service(w)
				if err != nil {
					return err
				}
				return c.do(s)
			},
		})
	}
	return cmd
}

// A service is a file that has tickerlake up started.
type service struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	Path string `json:"path"`
	Text string `json:"text"`
	// Start and Stop are the commands that the user is to give.
	Start []string `json:"start"`
	Stop  []string `json:"stop"`
}

// A startup is what such a file says.
type startup struct {
	name          string
	system        bool
	program, file string // absolute
	dir, env      string
}

var serviceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

func (a *app) service(w serviceWish) (service, error) {
	const op = "service"
	file, err := a.load()
	if err != nil {
		return service{}, err
	}
	program, err := os.Executable()
	if err != nil {
		return service{}, tickerlake.Errorf(tickerlake.Internal, op, "", "where this program is cannot be told: %w", err)
	}
	u := startup{name: w.name, system: w.system, program: program, file: filepath.Join(file.Dir, filepath.Base(file.Path)), dir: file.Dir, env: filepath.Join(file.Dir, "tickerlake.env")}
	if u.name == "" {
		of := file.Name
		if of == "" {
			of = filepath.Base(file.Dir)
		}
		u.name = "tickerlake-" + strings.Trim(regexp.MustCompile(`[^A-Za-z0-9._-]+`).ReplaceAllString(of, "-"), "-")
	}
	if !serviceName.MatchString(u.name) {
		return service{}, tickerlake.Errorf(tickerlake.Invalid, op, "--name", "%q: want letters, digits and . _ -, such as tickerlake-acme", u.name)
	}
	if strings.ContainsAny(u.program+u.file, "\n\r") {
		return service{}, tickerlake.Errorf(tickerlake.Invalid, op, u.file, "a path with a line break cannot stand in such a file")
	}
	home, err := os.UserHomeDir()
	if err != nil && !w.system {
		return service{}, tickerlake.Errorf(tickerlake.Invalid, op, "", "%w: set it, or use --system", err)
	}
	switch w.kind {
	case systemd:
		return u.systemd(a.userConfig(home)), nil
	case launchd:
		return u.launchd(home), nil
	}
	return service{}, tickerlake.Errorf(tickerlake.Invalid, op, "--for", "%q: want %s or %s", w.kind, systemd, launchd)
}

// userConfig is the folder of this user's settings.
func (a *app) userConfig(home string) string {
	if dir, ok := a.Env("XDG_CONFIG_HOME"); ok && filepath.IsAbs(dir) {
		return dir
	}
	return filepath.Join(home, ".config")
}

// writtenBy is in each file that this program writes.
const writtenBy = "Written by tickerlake service install"

// stopSeconds is how long the stop may take before the program is killed.
const stopSeconds = int(stopTimeout/1e9) + 15

func (u startup) systemd(userConfig string) service {
	ctl, wanted, after := "systemctl --user", "default.target", ""
	path := filepath.Join(userConfig, "systemd", "user", u.name+".service")
	if u.system {
		ctl, wanted, after = "systemctl", "multi-user.target", "Wants=network-online.target\nAfter=network-online.target\n"
		path = filepath.Join("/etc/systemd/system", u.name+".service")
	}
	s := service{Kind: systemd, Name: u.name, Path: path}
	s.Text = fmt.Sprintf(`# %s; install again after moving the program or the file.
[Unit]
Description=tickerlake, the price lake of %s
Documentation=https://github.com/tickerlake/tickerlake
%s
[Service]
Type=exec
ExecStart=%s -c %s up --output json
EnvironmentFile=-%s
WorkingDirectory=%s
Restart=on-failure
RestartSec=5
# A mistake in the file does not pass by itself.
RestartPreventExitStatus=2
# The program stops by itself within %d s.
TimeoutStopSec=%d
KillMode=mixed
NoNewPrivileges=true

[Install]
WantedBy=%s
`, writtenBy, percent(u.file), after, argument(u.program), argument(u.file), percent(u.env), percent(u.dir), int(stopTimeout.Seconds()), stopSeconds, wanted)
	s.Start = []string{ctl + " daemon-reload", ctl + " enable --now " + u.name}
	if !u.system {
		s.Start = append(s.Start, "loginctl enable-linger    # also while you are not logged in")
	}
	s.Stop = []string{ctl + " disable --now " + u.name, ctl + " daemon-reload"}
	return s
}

// percent writes a text where systemd looks for specifiers.
func percent(s string) string { return strings.ReplaceAll(s, "%", "%%") }

// argument writes one argument of a command line of systemd.
func argument(s string) string {
	s = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", "$$", "%", "%%").Replace(s)
	return `"` + s + `"`
}

func (u startup) launchd(home string) service {
	label := "com.github.tickerlake." + u.name
	dir, domain := filepath.Join(home, "Library", "LaunchAgents"), "gui/$(id -u)"
	log := filepath.Join(home, "Library", "Logs", u.name+".jsonl")
	if u.system {
		dir, domain, log = "/Library/LaunchDaemons", "system", "/Library/Logs/"+u.name+".jsonl"
	}
	s := service{Kind: launchd, Name: u.name, Path: filepath.Join(dir, label+".plist")}
	arguments := []string{"/bin/sh", "-c", `set -a; [ ! -f "$1" ] || . "$1"; set +a; shift; exec "$@"`, "tickerlake", u.env, u.program, "-c", u.file, "up", "--output", "json"}
	var b strings.Builder
	fmt.Fprintf(&b, `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<!-- %s; install again after moving the program or the file. -->
<plist version="1.0">
<dict>
	<key>Label</key><string>%s</string>
	<key>ProgramArguments</key>
	<array>
`, writtenBy, escaped(label))
	for _, arg := range arguments {
		fmt.Fprintf(&b, "\t\t<string>%s</string>\n", escaped(arg))
	}
	fmt.Fprintf(&b, `	</array>
	<key>WorkingDirectory</key><string>%s</string>
	<key>RunAtLoad</key><true/>
	<key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>
	<key>ThrottleInterval</key><integer>10</integer>
	<key>ExitTimeOut</key><integer>%d</integer>
	<key>StandardOutPath</key><string>%s</string>
	<key>StandardErrorPath</key><string>%[3]s</string>
</dict>
</plist>
`, escaped(u.dir), stopSeconds, escaped(log))
	s.Text = b.String()
	s.Start = []string{"launchctl bootstrap " + domain + " " + s.Path}
	s.Stop = []string{"launchctl bootout " + domain + "/" + label}
	return s
}

func escaped(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a buffer takes everything
	return b.String()
}

// ours refuses to touch a file that this program has not written.
func (s service) ours(op string) error {
	text, err := os.ReadFile(s.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return tickerlake.Errorf(tickerlake.NotFound, op, s.Path, "there is no such file")
	case err != nil:
		return diskError(op, s.Path, err)
	case !bytes.Contains(text, []byte(writtenBy)):
		return tickerlake.Errorf(tickerlake.Exists, op, s.Path, "tickerlake has not written this file: remove it yourself, or give another --name")
	}
	return nil
}

func (a *app) installService(s service) error {
	if err := s.ours("service install"); err != nil && !errors.Is(err, tickerlake.NotFound) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.Path), 0o755); err != nil {
		return diskError("service install", s.Path, err)
	}
	if err := os.WriteFile(s.Path, []byte(s.Text), 0o644); err != nil {
		return diskError("service install", s.Path, err)
	}
	return a.toldService(s, "wrote "+s.Path+"\nnext:\n", s.Start)
}

func (a *app) uninstallService(s service) error {
	if err := s.ours("service uninstall"); err != nil {
		return err
	}
	if err := os.Remove(s.Path); err != nil {
		return diskError("service uninstall", s.Path, err)
	}
	return a.toldService(s, "removed "+s.Path+"\nit goes on running until:\n", s.Stop)
}

func (a *app) toldService(s service, what string, commands []string) error {
	if a.json {
		return a.printJSON(s)
	}
	_, err := fmt.Fprint(a.Stdout, what+"  "+strings.Join(commands, "\n  ")+"\n")
	return err
}

func (a *app) printService(s service) error {
	if a.json {
		return a.printJSON(s)
	}
	_, err := fmt.Fprint(a.Stdout, s.Text)
	return err
}
