package deliver

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A call is a system call of the child: the lines of the trace at which it began
// and ended.
type call struct {
	name, args string
	begin, end int
}

var (
	whole   = regexp.MustCompile(`^\d+ +(\w+)\((.*)\) += `)
	opening = regexp.MustCompile(`^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$`)
	resumed = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>`)
)

func parseTrace(text string) []*call {
	var calls []*call
	open := map[string]*call{}
	for i, line := range strings.Split(text, "\n") {
		if m := opening.FindStringSubmatch(line); m != nil {
			c := &call{name: m[2], args: m[3], begin: i, end: 1 << 30}
			open[m[1]] = c
			calls = append(calls, c)
		} else if m := resumed.FindStringSubmatch(line); m != nil {
			if c := open[m[1]]; c != nil {
				c.end = i
			}
		} else if m := whole.FindStringSubmatch(line); m != nil {
			calls = append(calls, &call{name: m[1], args: m[2], begin: i, end: i})
		}
	}
	return calls
}

// TestOrderOfSystemCalls demands that a record's segment is fsynced before its
// acknowledgement, and that the object, its link and its folder are on disk before
// the mark is written.
func TestOrderOfSystemCalls(t *testing.T) {
	skip := t.Skipf
	if os.Getenv("CI") == "true" {
		skip = t.Fatalf
	}
	if out, err := exec.Command("strace", "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		skip("SKIPPED: the order of system calls cannot be watched: strace is missing or may not trace here: %v %s", err, out)
	}
	root := t.TempDir()
	file := filepath.Join(root, "trace")
	acked, _ := runChild(t, root, "trace", "", "strace", "-f", "-y", "-s", "40", "-o", file,
		"-e", "trace=write,fdatasync,fsync,linkat,renameat,renameat2,unlinkat")
	if len(acked) != 3 {
		t.Fatalf("acknowledged %q", acked)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	calls := parseTrace(string(text))
	find := func(after int, name string, parts ...string) *call {
		t.Helper()
		for _, c := range calls {
			match := c.begin > after && strings.HasPrefix(c.name, name)
			for _, p := range parts {
				match = match && strings.Contains(c.args, p)
			}
			if match {
				return c
			}
		}
		t.Fatalf("no %s with %q after line %d of\n%s", name, parts, after, text)
		return nil
	}
	before := func(a, b *call) {
		t.Helper()
		if a.end >= b.begin {
			t.Errorf("%s(%s) ends at line %d, and %s(%s) begins at %d already", a.name, a.args, a.end, b.name, b.args, b.begin)
		}
	}
	const segment = "/log/0000000001.log>"
	head := find(-1, "write", segment)
	headSync := find(head.end, "fdatasync", segment)
	last := find(headSync.end, "fsync", "/log>") // the segment's name
	for _, name := range acked {
		frame := find(last.end, "write", segment)
		sync := find(frame.end, "fdatasync", segment)
		ack := find(last.end, "write", "ack "+name)
		before(last, frame)
		before(frame, sync)
		before(sync, ack)
		last = ack
	}
	decision := find(last.end, "write", segment)
	decided := find(decision.end, "fdatasync", segment)
	object := find(decided.end, "fsync", "/bucket/.blob/tmp/")
	link := find(object.end, "linkat", "/bucket")
	folder := find(link.end, "fsync", "/bucket/raw/dt=")
	mark := find(decided.end, "write", segment)
	marked := find(mark.end, "fdatasync", segment)
	flushed := find(-1, "write", `"flushed`)
	for _, c := range calls {
		if c.name == "fsync" && strings.Contains(c.args, "/bucket") && c.begin > decided.end {
			before(c, mark) // every folder above it, too
		}
	}
	before(decided, object)
	before(object, link)
	before(link, folder)
	before(folder, mark)
	before(marked, flushed)
}
