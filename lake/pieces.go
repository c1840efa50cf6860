package lake

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake/quality"

	"github.com/tickerlake/tickerlake"
)

// A piece is files of one partition of a table that hold all rows of some span of time,
// so that no ts, and no key, is in two pieces. What rules measure is kept by piece: a
// run that appends the bars of a minute has its file measured, not those of the month.
type piece struct {
	partition string
	files     []file
	from, to  time.Time // to is exclusive
}

// pieces divides the files of a table, by partition and time. A piece is a month of
// daily bars, a day of others, or more if a file holds more. In the last of them, where
// bars come in, it is a day or a minute. So there are few, since tidy merges the files of
// minutes, and only those change whose files do.
func pieces(files []file) []piece {
	if len(files) == 0 {
		return nil
	}
	daily := len(files[0].partition) == len("2006")
	var last time.Time
	for _, f := range files {
		last = tickerlake.Later(last, f.times[1])
	}
	last = beginning(last, daily, false)
	all := make([]piece, len(files))
	for i, f := range files {
		fine := !f.times[0].Before(last)
		from, to := beginning(f.times[0], daily, fine), beginning(f.times[1], daily, fine)
		all[i] = piece{partition: f.partition, files: []file{f}, from: from, to: following(to, daily, fine)}
	}
	slices.SortStableFunc(all, func(a, b piece) int { return a.from.Compare(b.from) })
	var out []piece
	for _, p := range all {
		if n := len(out) - 1; n >= 0 && p.from.Before(out[n].to) && p.partition == out[n].partition {
			out[n].files = append(out[n].files, p.files...)
			out[n].to = tickerlake.Later(out[n].to, p.to)
			continue
		}
		out = append(out, p)
	}
	for _, p := range out {
		slices.SortFunc(p.files, func(a, b file) int { return strings.Compare(a.location, b.location) })
	}
	return out
}

// parts divides the files of a table as rules are to see them: in pieces, or, where the
// scope of the rules is the partitions that a run touched, in partitions.
func (l *Lake) parts(v View) []piece {
	if l.Scope != quality.Touched {
		return pieces(v.data)
	}
	by := map[string][]file{}
	for _, f := range v.data {
		by[f.partition] = append(by[f.partition], f)
	}
	var out []piece
	for _, name := range slices.Sorted(maps.Keys(by)) {
		out = append(out, piece{partition: name, files: by[name]})
	}
	return out
}

// beginning is when the span of a moment begins: a month or a day, or if fine a day or
// a minute.
func beginning(t time.Time, daily, fine bool) time.Time {
	switch {
	case daily && !fine:
		return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
	case !daily && fine:
		return t.Truncate(time.Minute)
	}
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
}

func following(t time.Time, daily, fine bool) time.Time {
	switch {
	case daily && !fine:
		return t.AddDate(0, 1, 0)
	case !daily && fine:
		return t.Add(time.Minute)
	}
	return t.AddDate(0, 0, 1)
}

// changedPartitions names the partitions in which a piece came, changed or went.
func changedPartitions(now, before []piece) map[string]bool {
	pieces := map[string]int{} // by content: 1 now, 2 before, 3 both
	for _, p := range now {
		pieces[contentOf(p.files, "")] |= 1
	}
	for _, p := range before {
		pieces[contentOf(p.files, "")] |= 2
	}
	out := map[string]bool{}
	for _, p := range slices.Concat(now, before) {
		if pieces[contentOf(p.files, "")] != 3 {
			out[p.partition] = true
		}
	}
	return out
}
