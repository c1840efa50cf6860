package lake

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
)

// twoBases ends the reason of a row that is outdated.
const twoBases = "the series would be on two bases"

// outdated finds rows, by table, that would put bars of before a split or dividend in
// front of those that were fetched since: a file that is older than the split, with years
// that the source did not give. Where both have a bar the later fetch counts anyway.
func (l *Lake) outdated(ctx context.Context, r CleanResult) (map[string][]Skip, error) {
	covers := map[string]map[string][]catalog.Cover{}
	first := map[string]time.Time{} // fetched at, by table
	for _, g := range r.Groups {
		if g.Outcome == OutcomeBars {
			first[g.Table] = tickerlake.Earlier(first[g.Table], g.FetchedAt)
		}
	}
	for t, at := range first {
		var err error
		if covers[t], err = l.Catalog.Covers(ctx, t, at); err != nil {
			return nil, err
		}
	}
	var older []Group
	var symbols, ids []string
	for _, g := range r.Groups {
		if g.Outcome == OutcomeBars && g.MinTs.Before(confirmedFrom(covers[g.Table][g.Symbol], g.FetchedAt)) {
			older, symbols, ids = append(older, g), append(symbols, g.Symbol), append(ids, g.FetchID)
		}
	}
	if len(older) == 0 {
		return nil, nil
	}
	actions, err := l.actionsOf(ctx, symbols)
	if err != nil || len(actions) == 0 {
		return nil, err
	}
	adjusts, err := l.adjusted(ctx, r.Parts, ids)
	if err != nil {
		return nil, err
	}
	out := map[string][]Skip{}
	for _, g := range older {
		for _, a := range actions[g.Symbol] { // the latest first
			from := confirmedFrom(covers[g.Table][g.Symbol], a.ts)
			if !g.FetchedAt.Before(a.ts) || !g.MinTs.Before(from) || !g.changesWith(a.kind, adjusts[[2]string{g.Table, g.FetchID}]) {
				continue
			}
			skip := Skip{Symbol: g.Symbol, FetchedBefore: a.ts, TsBefore: from, Reason: fmt.Sprintf(
				"%s: fetched before the %s of %s, and those from %s on were fetched since: %s",
				g.Table, a.kind, tsText(a.ts), tsText(from), twoBases)}
			if !slices.Contains(out[g.Table], skip) {
				out[g.Table] = append(out[g.Table], skip)
			}
			break
		}
	}
	return out, nil
}

// confirmedFrom is the first ts that fetches of a moment or later have confirmed; zero if
// there are none.
func confirmedFrom(covers []catalog.Cover, at time.Time) (from time.Time) {
	for _, c := range covers {
		if !c.FetchedAt.Before(at) {
			from = tickerlake.Earlier(from, c.From)
		}
	}
	return from
}

// actionsOf lists the known splits and dividends of symbols, the latest first.
func (l *Lake) actionsOf(ctx context.Context, symbols []string) (map[string][]action, error) {
	paths, err := l.actionFiles(ctx, "")
	if err != nil || len(paths) == 0 {
		return nil, err
	}
	_, rows, err := l.Engine.Query(ctx, "SELECT symbol, kind, ts FROM "+l.typed(ActionColumns, paths)+" a WHERE symbol IN ("+
		literals(symbols)+") ORDER BY ts DESC")
	out := map[string][]action{}
	for _, r := range rows {
		a := action{textOf(r[0]), textOf(r[1]), timeOf(r[2])}
		out[a.symbol] = append(out[a.symbol], a)
	}
	return out, err
}
