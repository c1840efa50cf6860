package quality

import (
	"context"
	"crypto/md5"  //nolint:gosec // one of the three algorithms that the language names
	"crypto/sha1" //nolint:gosec // another of them
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"time"
)

const fileCount = "Dataset.*.FileCount"

// noFiles is the outcome of a rule that finds no files.
func noFiles(s fileScan) outcome {
	return outcome{verdict: Fail, metrics: Metrics{fileCount: 0}, message: "no files in " + s.where()}
}

// each judges files one by one: all must pass, or a share of them that satisfies the
// threshold. With failFast the first that fails decides, whatever the threshold.
func (s fileScan) each(r *Rule, metric, what string, pass func(f File) bool, more func(all []File) Metrics) judge {
	return func(ctx context.Context) outcome {
		all, err := s.files(ctx)
		if err != nil {
			return erred(err)
		}
		if len(all) == 0 {
			return noFiles(s)
		}
		m := Metrics{fileCount: float64(len(all))}
		for k, v := range more(all) {
			m[k] = v
		}
		passed, first := 0, ""
		for _, f := range all {
			if pass(f) {
				passed++
			} else if first == "" {
				first = f.Location
			}
		}
		if r.Condition == nil {
			return outcome{verdict: Pass, metrics: m, message: fmt.Sprintf("%d files", len(all))}
		}
		if first != "" && tag(r, "failFast") == "true" {
			return outcome{verdict: Fail, metrics: m, message: fmt.Sprintf("%s of %s is not %s", what, first, r.Condition)}
		}
		n := share{float64(passed), float64(len(all))}
		m["Dataset.*."+metric+".Compliance"] = n.ratio()
		if r.Threshold != nil {
			return measured("the share of files that pass", n.ratio(), r.Threshold, m)
		}
		if first == "" {
			return outcome{verdict: Pass, metrics: m, message: fmt.Sprintf("all %d files pass", len(all))}
		}
		return outcome{verdict: Fail, metrics: m,
			message: fmt.Sprintf("%s is not %s for %d of %d files, such as %s", what, r.Condition, len(all)-passed, len(all), first)}
	}
}

// planFileSize judges the sizes of files.
func planFileSize(p *plan, r *Rule) (judge, error) {
	s, err := p.scan(r, "failFast")
	if err != nil {
		return nil, err
	}
	return s.each(r, "FileSize", "the size", func(f File) bool { return r.Condition.holds(float64(f.Size)) }, func(all []File) Metrics {
		low, high := all[0].Size, all[0].Size
		for _, f := range all {
			low, high = min(low, f.Size), max(high, f.Size)
		}
		return Metrics{"Dataset.*.MinimumFileSize": float64(low), "Dataset.*.MaximumFileSize": float64(high)}
	}), nil
}

// planFileFreshness judges when files were last modified.
func planFileFreshness(p *plan, r *Rule) (judge, error) {
	s, err := p.scan(r, "failFast", "timeZone")
	if err != nil {
		return nil, err
	}
	zone := time.UTC
	if name := tag(r, "timeZone"); name != "" {
		if zone, err = time.LoadLocation(name); err != nil {
			return nil, fmt.Errorf("timeZone: there is no zone %q; name one as America/New_York", name)
		}
	}
	var at []time.Time
	if r.Condition != nil {
		for _, o := range r.Condition.Operands {
			d, ok := o.(Date)
			if !ok {
				return nil, misplaced{o.Position(), fmt.Errorf("every file was modified at some time; %s is none", o)}
			}
			t, err := p.instantOf(d, zone)
			if err != nil {
				return nil, misplaced{d.Pos, err}
			}
			at = append(at, t)
		}
	}
	return s.each(r, "FileFreshness", "the time of change", func(f File) bool {
		return r.Condition == nil || holdsAt(r.Condition.Op, f.Modified, at)
	}, func([]File) Metrics { return nil }), nil
}

// instantOf is the instant that a date means for a file: a day its beginning in UTC, a
// time of day that of today in UTC, by a clock of the zone.
func (p *plan) instantOf(d Date, zone *time.Location) (time.Time, error) {
	if d.Clock == "" {
		return p.dateOf(d), nil
	}
	for _, layout := range []string{"3:04 PM", "15:04"} {
		if t, err := time.Parse(layout, d.Clock); err == nil {
			return time.Date(p.now.Year(), p.now.Month(), p.now.Day(), t.Hour(), t.Minute(), 0, 0, zone), nil
		}
	}
	return time.Time{}, fmt.Errorf("there is no time of day %q", d.Clock)
}

// holdsAt compares an instant with others.
func holdsAt(op Op, t time.Time, at []time.Time) bool {
	c := make([]int, len(at))
	for i := range at {
		c[i] = t.Compare(at[i])
	}
	switch op {
	case Equal, In:
		return slices.Contains(c, 0)
	case NotEqual, NotIn:
		return !slices.Contains(c, 0)
	case Greater:
		return c[0] > 0
	case GreaterEqual:
		return c[0] >= 0
	case Less:
		return c[0] < 0
	case LessEqual:
		return c[0] <= 0
	case Between:
		return c[0] > 0 && c[1] < 0
	case NotBetween:
		return c[0] <= 0 || c[1] >= 0
	}
	return false
}

// hashes are the algorithms that the language names.
var hashes = map[string]func() hash.Hash{"MD5": md5.New, "SHA-1": sha1.New, "SHA-256": sha256.New}

// digest is the checksum of a file, in lower-case hexadecimal.
func (s fileScan) digest(ctx context.Context, f File, algorithm string) (string, error) {
	if s.plan.files == nil {
		return "", fmt.Errorf("there are no files to read here, only tables")
	}
	body, err := s.plan.files.Open(ctx, f.Location)
	if err != nil {
		return "", err
	}
	defer body.Close()
	h := hashes[algorithm]()
	if _, err := io.Copy(h, body); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// planFileUniqueness measures the share of files whose content, and with matchFileName
// whose name, no other file has. Only files of one size are read.
func planFileUniqueness(p *plan, r *Rule) (judge, error) {
	s, err := p.scan(r, "matchFileName")
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) outcome {
		all, err := s.files(ctx)
		if err != nil {
			return erred(err)
		}
		if len(all) == 0 {
			return noFiles(s)
		}
		sizes := map[int64]int{}
		for _, f := range all {
			sizes[f.Size]++
		}
		contents, names := map[string]int{}, map[string]int{}
		keys := make([]string, len(all))
		for i, f := range all {
			keys[i] = f.Location
			if sizes[f.Size] > 1 {
				if keys[i], err = s.digest(ctx, f, "SHA-256"); err != nil {
					return erred(err)
				}
			}
			contents[keys[i]]++
			names[f.name()]++
		}
		unique, twice := 0, ""
		for i, f := range all {
			if contents[keys[i]] == 1 && (tag(r, "matchFileName") != "true" || names[f.name()] == 1) {
				unique++
			} else if twice == "" {
				twice = f.Location
			}
		}
		ratio := float64(unique) / float64(len(all))
		o := measured("the share of files that are the only one of their content", ratio, r.Condition,
			Metrics{fileCount: float64(len(all)), "Dataset.*.FileUniquenessRatio": ratio})
		if o.verdict == Fail && twice != "" {
			o.message += ", not so " + twice
		}
		return o
	}, nil
}

// planFileMatch compares the contents of files with checksums, or with those of the
// files of another path.
func planFileMatch(p *plan, r *Rule) (judge, error) {
	s, err := p.scan(r, "matchFileName", "hashAlgorithm")
	if err != nil {
		return nil, err
	}
	algorithm := tag(r, "hashAlgorithm")
	if algorithm == "" {
		algorithm = "SHA-256"
	}
	if hashes[algorithm] == nil {
		return nil, fmt.Errorf("hashAlgorithm is MD5, SHA-1 or SHA-256, not %q", algorithm)
	}
	switch {
	case len(r.Parameters) == 2:
		return s.sameFiles(r, algorithm), nil
	case r.Condition == nil:
		return s.each(r, "FileMatch", "", func(File) bool { return true }, func([]File) Metrics { return nil }), nil
	case r.Condition.Op != In && r.Condition.Op != Equal:
		return nil, misplaced{r.Condition.Pos, fmt.Errorf("FileMatch compares with checksums by in or =")}
	}
	var wanted []string
	for _, o := range r.Condition.Operands {
		t, ok := o.(Text)
		if !ok {
			return nil, misplaced{o.Position(), fmt.Errorf("%s is no checksum", o)}
		}
		wanted = append(wanted, strings.ToLower(t.Value))
	}
	return func(ctx context.Context) outcome {
		all, err := s.files(ctx)
		if err != nil {
			return erred(err)
		}
		if len(all) == 0 {
			return noFiles(s)
		}
		m := Metrics{fileCount: float64(len(all))}
		names := map[string]bool{}
		for _, f := range all {
			sum, err := s.digest(ctx, f, algorithm)
			if err != nil {
				return erred(err)
			}
			if !slices.Contains(wanted, sum) {
				return outcome{verdict: Fail, metrics: m, message: fmt.Sprintf("the %s checksum of %s is %s, which is not in the rule", algorithm, f.Location, sum)}
			}
			if names[f.name()] && tag(r, "matchFileName") == "true" {
				return outcome{verdict: Fail, metrics: m, message: "two files have the name " + f.name()}
			}
			names[f.name()] = true
		}
		return outcome{verdict: Pass, metrics: m, message: fmt.Sprintf("all %d files match", len(all))}
	}, nil
}

// sameFiles wants the same contents at both paths, with matchFileName under the same
// names.
func (s fileScan) sameFiles(r *Rule, algorithm string) judge {
	other := unescape(r.Parameters[1].Value)
	contents := func(ctx context.Context, location string) (map[string]int, []string, error) {
		all, err := s.list(ctx, location)
		if err != nil {
			return nil, nil, err
		}
		counts, names := map[string]int{}, make([]string, len(all))
		for i, f := range all {
			sum, err := s.digest(ctx, f, algorithm)
			if err != nil {
				return nil, nil, err
			}
			if tag(r, "matchFileName") == "true" {
				sum += " " + f.name()
			}
			counts[sum]++
			names[i] = sum + "\x00" + f.Location
		}
		return counts, names, nil
	}
	return func(ctx context.Context) outcome {
		mine, names, err := contents(ctx, s.path)
		if err != nil {
			return erred(err)
		}
		theirs, others, err := contents(ctx, other)
		if err != nil {
			return erred(err)
		}
		m := Metrics{fileCount: float64(len(names) + len(others))}
		if len(names) == 0 {
			return noFiles(s)
		}
		for _, side := range []struct {
			names []string
			in    map[string]int
			path  string
		}{{names, theirs, other}, {others, mine, s.path}} {
			for _, n := range side.names {
				sum, location, _ := strings.Cut(n, "\x00")
				if mine[sum] != theirs[sum] {
					return outcome{verdict: Fail, metrics: m, message: fmt.Sprintf("%s is not matched in %s", location, side.path)}
				}
			}
		}
		return outcome{verdict: Pass, metrics: m, message: fmt.Sprintf("all %d files match", len(names))}
	}
}
