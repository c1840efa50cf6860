package quality

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Files are the objects that rules on files judge.
type Files interface {
	// List gives the objects at a location such as s3://raw/bars/: all below it if it
	// ends in a slash, else the one of that name, or all below it if there is none. A
	// location without objects gives none.
	List(ctx context.Context, location string) ([]File, error)
	// Open reads an object that List gave.
	Open(ctx context.Context, location string) (io.ReadCloser, error)
}

// A File is an object.
type File struct {
	Location string
	Size     int64 // bytes
	Modified time.Time
}

// name is the part of the location behind the last slash.
func (f File) name() string { return path.Base(f.Location) }

// A fileScan is the files that a rule judges.
type fileScan struct {
	plan   *plan
	path   string // empty: those that hold the target's rows
	pos    Position
	recent int
	uri    *regexp.Regexp
	order  []string
}

// The tags that limit the files of a rule, in the order in which they apply unless
// the tag filterOrder says otherwise.
var fileFilters = []string{"recentFiles", "uriRegex"}

// scan reads the tags that limit a rule's files. Those in known are the others that
// the type has.
func (p *plan) scan(r *Rule, known ...string) (s fileScan, err error) {
	s = fileScan{plan: p, pos: r.Pos, order: fileFilters}
	if len(r.Parameters) > 0 {
		s.path, s.pos = unescape(r.Parameters[0].Value), r.Parameters[0].Pos
	}
	known = append(slices.Clone(fileFilters), append(known, "filterOrder", "threshold")...)
	for _, t := range r.Tags {
		if !slices.Contains(known, t.Key) {
			hint := "its tags are " + strings.Join(known[:len(known)-1], ", ")
			if n := nearest(t.Key, known); n != "" {
				hint = "did you mean " + n + "?"
			}
			return s, fmt.Errorf("%s has no tag %s; %s", r.Type, t.Key, hint)
		}
	}
	if v := tag(r, "recentFiles"); v != "" {
		if s.recent, err = strconv.Atoi(v); err != nil || s.recent < 1 {
			return s, fmt.Errorf("recentFiles is a number of files, 1 or more, not %q", v)
		}
	}
	if v := tag(r, "uriRegex"); v != "" {
		if s.uri, err = regexp.Compile(unescapeQuotes(v)); err != nil {
			return s, fmt.Errorf("uriRegex: %w", err)
		}
	}
	if v := tag(r, "filterOrder"); v != "" {
		s.order = nil
		for _, name := range strings.Split(v, ",") {
			name = strings.TrimSpace(name)
			if !slices.Contains(fileFilters, name) || !hasLabel(r.Tags, name) {
				return s, fmt.Errorf("filterOrder names the filters of the rule, recentFiles and uriRegex; %q is none of them", name)
			}
			s.order = append(s.order, name)
		}
	}
	return s, nil
}

// files lists what the rule judges, by name.
func (s fileScan) files(ctx context.Context) ([]File, error) {
	return s.list(ctx, s.path)
}

func (s fileScan) list(ctx context.Context, location string) ([]File, error) {
	all := slices.Clone(s.plan.target.Files)
	if location == "" {
		if len(all) == 0 {
			return nil, fmt.Errorf("the files of %s are not known; give the rule a path", s.plan.target.Name)
		}
	} else {
		if s.plan.files == nil {
			return nil, fmt.Errorf("there are no files to judge here, only tables")
		}
		var err error
		if all, err = s.plan.files.List(ctx, location); err != nil {
			return nil, err
		}
	}
	for _, filter := range s.order {
		switch {
		case filter == "uriRegex" && s.uri != nil:
			all = slices.DeleteFunc(all, func(f File) bool { return !s.uri.MatchString(f.Location) })
		case filter == "recentFiles" && s.recent > 0:
			slices.SortFunc(all, func(a, b File) int {
				return cmp.Or(b.Modified.Compare(a.Modified), cmp.Compare(a.Location, b.Location))
			})
			all = all[:min(s.recent, len(all))]
		}
	}
	slices.SortFunc(all, func(a, b File) int { return cmp.Compare(a.Location, b.Location) })
	return all, nil
}

// where says where the files are, for messages.
func (s fileScan) where() string {
	if s.path == "" {
		return s.plan.target.Name
	}
	return s.path
}
