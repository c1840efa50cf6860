// Package config reads the pipeline file, tickerlake.yaml, into the configurations
// of the stages.
//
// Load is given the file and the environment, and hands on a File. It is strict: a
// key that no stage knows, a value of the wrong type and a rule that cannot be read
// are mistakes, and all mistakes are reported at once as Problems, each with its
// line. The stages own what their keys mean; config knows where they stand in the
// file.
package config

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/collect"
	"github.com/tickerlake/tickerlake/deliver"
	"github.com/tickerlake/tickerlake/flow"
	"github.com/tickerlake/tickerlake/lake"
	"github.com/tickerlake/tickerlake/quality"
)

// DefaultFile is the name of the pipeline file where none is given.
const DefaultFile = "tickerlake.yaml"

// maxBytes is more than any pipeline file is long.
const maxBytes = 4 << 20

// Config is the whole file.
type Config struct {
	// Name prefixes the databases of the lake; empty: no prefix.
	Name string `yaml:"name"`
	// Lake is the folder of the lake, relative to that of the file.
	Lake string `yaml:"lake"`
	// Listen is the address of the endpoint of a lake that is up.
	Listen string `yaml:"listen"`
	// Clock is the time that everything goes by, if not the real one. It is allowed only
	// if every source is simulated.
	Clock Clock `yaml:"clock"`
	// Sources are what to collect, by name.
	Sources map[string]collect.Config `yaml:"sources"`
	// Delivery is how fetched documents reach the raw bucket: the settings of Amazon
	// Data Firehose.
	Delivery deliver.Config `yaml:"delivery"`
	// Workflow bounds the jobs of a run.
	Workflow flow.Config `yaml:"workflow"`
	// Workflows are jobs of one's own and what starts them, by name; main is built in.
	Workflows flow.Definitions `yaml:"workflows"`
	// Alarms are what a lake that is up watches itself for.
	Alarms Alarms `yaml:"alarms"`
	// Tidy bounds what is kept.
	Tidy lake.Config `yaml:"tidy"`
	// Quality is what must hold of a table before it is published.
	Quality Quality `yaml:"quality"`
}

// Quality is the key quality of the file.
type Quality struct {
	// Rules is the ruleset that gates publishing, in DQDL.
	Rules string `yaml:"rules"`
	// Scope is what rules judge that cannot be put together from partitions: all of
	// the table, or the partitions that the run has touched. `tickerlake validate`
	// names these rules.
	Scope quality.Scope `yaml:"scope"`
}

// The values of keys that the file leaves out.
const (
	DefaultLake   = "./lake"
	DefaultListen = "127.0.0.1:7420"
	DefaultPrefix = "raw/bars/dt=!{timestamp:yyyy-MM-dd}/"
	DefaultRules  = `Rules = [ RowCount > 0, IsPrimaryKey "symbol" "ts", IsComplete "close", ColumnValues "close" > 0 ]`
)

// Defaults is a file that says nothing.
func Defaults() Config {
	c := Config{Lake: DefaultLake, Listen: DefaultListen, Clock: Clock{Speed: 1}, Delivery: deliver.Defaults(), Workflow: flow.Defaults(), Alarms: DefaultAlarms(), Tidy: lake.Defaults()}
	c.Delivery.Prefix = DefaultPrefix
	c.Quality.Rules, c.Quality.Scope = DefaultRules, quality.Table
	return c
}

// A File is a pipeline file that has no mistakes.
type File struct {
	Config
	// Path is the file as it was named, Dir its folder, absolute.
	Path, Dir string
	// Ruleset is Quality.Rules, parsed.
	Ruleset *quality.Ruleset
	// JobRules are the rules of jobs, parsed, by workflow.job.
	JobRules map[string]*quality.Ruleset
	// Secrets are the values that came from the environment. They are not shown.
	Secrets []string
	// Warnings are what is allowed and surely not meant.
	Warnings Problems
}

// LakeDir is the folder of the lake, absolute.
func (f *File) LakeDir() string { return f.Resolve(f.Lake) }

// Resolve makes a path of the file absolute.
func (f *File) Resolve(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(f.Dir, path)
}

// SourceNames lists the sources in order.
func (f *File) SourceNames() []string { return sortedKeys(f.Sources) }

// A Problem is one mistake of a file.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line"` // from 1
	Key     string `json:"key"`  // path of the key, empty for the file as a whole
	Message string `json:"message"`
}

// String reads "file:line: key: message".
func (p Problem) String() string {
	if p.Key == "" {
		return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Message)
	}
	return fmt.Sprintf("%s:%d: %s: %s", p.File, p.Line, p.Key, p.Message)
}

// Problems are all the mistakes of a file, by line.
type Problems []Problem

// Error has a line for each.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int { return cmp.Or(a.Line-b.Line, strings.Compare(a.Key, b.Key)) })
}

// An Env gives the value of an environment variable, as os.LookupEnv.
type Env func(name string) (string, bool)

// Load reads a pipeline file. If it has mistakes, the error has the code Invalid and
// its cause is Problems.
func Load(path string, env Env) (*File, error) {
	const op = "config.Load"
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, &tickerlake.Error{Code: tickerlake.Invalid, Op: op, Name: path, Err: err}
	}
	text, err := read(path)
	switch {
	case os.IsNotExist(err):
		return nil, tickerlake.Errorf(tickerlake.Invalid, op, path, "there is no such file: make one with tickerlake init, or name another with -c")
	case os.IsPermission(err):
		return nil, tickerlake.Errorf(tickerlake.Denied, op, path, "cannot be read: permission denied")
	case err != nil:
		return nil, &tickerlake.Error{Code: tickerlake.Invalid, Op: op, Name: path, Err: pathless(err)}
	}
	return Parse(path, dir, text, env)
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxBytes+1))
}

// pathless is an error of the file system without the path, which the error around it
// names.
func pathless(err error) error {
	if e, ok := err.(*fs.PathError); ok {
		return e.Err
	}
	return err
}

// Parse reads the text of a pipeline file that is named path and stands in dir.
func Parse(path, dir string, text []byte, env Env) (*File, error) {
	f := &File{Config: Defaults(), Path: path, Dir: dir}
	r := &reader{file: f, text: text, decoder: newDecoder(path, env)}
	r.read()
	f.Secrets = r.secrets()
	problems := r.redacted()
	if len(problems) > 0 {
		return nil, &tickerlake.Error{Code: tickerlake.Invalid, Op: "config.Load", Err: problems}
	}
	return f, nil
}
