package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tickerlake/tickerlake/internal/fault"
)

// redriveKills are the fault points of redrive.
var redriveKills = []kill{
	{"deliver.synced", "redrive", []int{1}, true},
	{"redrive.sent", "redrive", []int{1, 2}, true},
	{"redrive.copied", "redrive", []int{1}, true},
	{"redrive.moved", "redrive", []int{1, 2}, true},
}

// A misled is a lake whose records came to the error path, since its prefix asks for a
// partition key that they do not have.
type misled struct {
	start *pipeline
	good  string // the pipeline file as it should be
	truth prices
}

func newMisled(t *testing.T) *misled {
	t.Helper()
	truth := history("2024-03-01", 30, "AAA", "BBB")
	m := newMarket(t, truth)
	x := &misled{good: seedFile(m.URL, "AAA, BBB"), truth: truth}
	x.start = newPipeline(t, x.good+"delivery: {prefix: 'raw/bars/of=!{partitionKeyFromQuery:exchange}/dt=!{timestamp:yyyy-MM-dd}/', error_prefix: 'errors/!{firehose:error-output-type}/'}\n")
	x.start.must("fetch", "--to", "2024-03-11")
	x.start.want(0, "fetch").says(t, "on the error path: ", "tickerlake redrive --list says why")
	if out := x.start.must("status"); !strings.Contains(out, "ERROR PATH") {
		t.Errorf("status does not tell of the error path:\n%s", out)
	}
	return x
}

func (x *misled) lake(t *testing.T, file string) *pipeline {
	t.Helper()
	p := newPipeline(t, file)
	if err := os.CopyFS(p.path("lake"), os.DirFS(x.start.path("lake"))); err != nil {
		t.Fatal(err)
	}
	return p
}

// An errorObject is what redrive prints of one.
type errorObject struct {
	Key     string
	Records int64
	Message string `json:"error_message"`
	MovedTo string `json:"moved_to"`
	Error   string
}

type redriven struct {
	Objects []errorObject
	Records int64
	Back    []string
}

func (p *pipeline) errors() (list []errorObject) {
	p.t.Helper()
	p.mustJSON(&list, "redrive", "--list")
	return list
}

// sent demands that every record was sent again and that prod has each bar once.
func (x *misled) sent(p *pipeline, twice bool) {
	p.t.Helper()
	if left := p.errors(); len(left) > 0 {
		p.t.Errorf("still on the error path: %+v", left)
	}
	moved, err := filepath.Glob(p.path("lake", "buckets", "raw", "redriven", "errors", "processing-failed", "*", "*", "*", "*", "*.gz"))
	if err != nil || len(moved) != 2 {
		p.t.Errorf("moved are %v, %v", moved, err)
	}
	p.must("run")
	p.sameAs("bars_1d", x.truth)
	p.conserved()
	p.settled()
	p.healthy()
	if n := p.value("SELECT count(*) - count(DISTINCT (fetch_id, \"row\")) FROM raw.bars"); n != "0" && !twice {
		p.t.Errorf("%s documents are in raw.bars twice", n)
	}
}

// TestRedrive: nothing is lost on the error path. As long as the cause is there, records
// come back to it; a damaged object is left alone; the rest is sent, once.
func TestRedrive(t *testing.T) {
	t.Parallel()
	x := newMisled(t)
	bad := x.lake(t, func() string {
		text, err := os.ReadFile(x.start.path("tickerlake.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}())
	list := bad.errors()
	if len(list) != 2 || list[0].Records != 2 || !strings.Contains(list[0].Message, `partition key "exchange" is missing`) {
		t.Fatalf("on the error path are %+v", list)
	}
	bad.want(1, "redrive").says(t, "records have come to the error path again")
	if list := bad.errors(); len(list) == 0 {
		t.Error("the records are gone")
	}

	p := x.lake(t, x.good)
	p.want(1, "redrive", "errors/none").says(t, "there is no such error object")
	var r redriven
	p.mustJSON(&r, "redrive", list[0].Key)
	if r.Records != 2 || len(r.Objects) != 1 || r.Objects[0].MovedTo != "redriven/"+list[0].Key || len(r.Back) != 0 {
		t.Errorf("redrive says %+v", r)
	}
	// The other is cut short.
	path := p.path("lake", "buckets", "raw", filepath.FromSlash(list[1].Key))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, whole[:len(whole)/2], 0o644); err != nil {
		t.Fatal(err)
	}
	p.want(1, "redrive").says(t, list[1].Key, "nothing of the object is sent")
	if err := os.WriteFile(path, whole, 0o644); err != nil {
		t.Fatal(err)
	}
	p.must("redrive")
	x.sent(p, false)
	var again redriven
	if p.mustJSON(&again, "redrive"); again.Records != 0 || len(again.Objects) != 0 {
		t.Errorf("there is more: %+v", again)
	}
}

// TestRedriveOfAnotherHand: an error object that is not packed, with documents in the
// order of another program.
func TestRedriveOfAnotherHand(t *testing.T) {
	t.Parallel()
	x := newMisled(t)
	p := x.lake(t, x.good)
	for _, o := range p.errors() {
		path := p.path("lake", "buckets", "raw", filepath.FromSlash(o.Key))
		if err := os.WriteFile(path, []byte("\n"+strings.TrimSuffix(p.unpacked(o.Key), "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p.must("redrive")
	x.sent(p, false)
}

// TestKillRedrive kills redrive after each of its steps. No record is lost; those of one
// object may be in raw twice, in prod they are once.
func TestKillRedrive(t *testing.T) {
	x := newMisled(t)
	for _, k := range redriveKills {
		for _, n := range k.times {
			t.Run(fmt.Sprintf("%s:%d", k.point, n), func(t *testing.T) {
				t.Parallel()
				p := x.lake(t, x.good)
				if o := p.with(fmt.Sprintf("%s=%s:%d", fault.Env, k.point, n)).run("redrive"); o.signal != syscall.SIGKILL {
					t.Fatalf("%v\nwant it to be killed at %s", o, k.point)
				}
				p.must("redrive")
				x.sent(p, k.point == "redrive.sent" || k.point == "deliver.synced")
			})
		}
	}
}
