package bench

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/blob"
	"github.com/tickerlake/tickerlake/catalog"
	"github.com/tickerlake/tickerlake/duck"
	"github.com/tickerlake/tickerlake/lake"
	"github.com/tickerlake/tickerlake/quality"
)

// rules are those that tickerlake init writes.
const rules = `Rules = [ RowCount > 0, IsPrimaryKey "symbol" "ts", IsComplete "close", ColumnValues "close" > 0 ]`

// publishAll takes raw objects to a published table, in an empty lake.
func publishAll(ctx context.Context, t task) (outcome, error) {
	l, err := openLake(ctx, t, rules)
	if err != nil {
		return outcome{}, err
	}
	if err := l.give(t.Objects); err != nil {
		return outcome{}, err
	}
	c := start()
	counts, err := l.run(ctx, c)
	c.out.Rows = counts.Inserted
	if err == nil {
		c.out.Bytes, err = l.bytes("bars_1d")
	}
	return c.out, errors.Join(err, l.close())
}

// publishNews fills a lake, untimed, then times runs with nothing new, each followed by
// one with new bars.
func publishNews(ctx context.Context, t task) (outcome, error) {
	l, c, err := filled(ctx, t, rules)
	if err != nil {
		return c.out, err
	}
	for round := range t.Rounds {
		begin := time.Now()
		if _, err := l.run(ctx, start()); err != nil {
			return c.out, err
		}
		c.out.add("nothing", time.Since(begin))
		counts, err := l.news(ctx, c, "news", t.Market.next(round, t.News))
		if err != nil {
			return c.out, err
		}
		if c.out.Rows = counts.Inserted; counts.Inserted != counts.Read || counts.Inserted == 0 {
			return c.out, fmt.Errorf("new bars were not new: %+v", counts)
		}
	}
	return c.out, l.close()
}

// publishDividends fills a lake, untimed, then times days on which symbols paid a
// dividend: all of their history has another adj_close.
func publishDividends(ctx context.Context, t task) (outcome, error) {
	l, c, err := filled(ctx, t, rules)
	if err != nil {
		return c.out, err
	}
	for round := range t.Rounds {
		written := l.written
		counts, err := l.news(ctx, c, "dividends", t.Market.dividend(round, t.News))
		if err != nil {
			return c.out, err
		}
		if want := int64(t.News) * int64(t.Market.Bars); counts.Read != want || counts.Replaced+counts.Unchanged != want || counts.Replaced < want/2 {
			return c.out, fmt.Errorf("of %d bars with another adj_close came: %+v", want, counts)
		}
		c.out.Rows, c.out.Bytes = counts.Replaced, l.written-written
	}
	return c.out, l.close()
}

// publishMinutes runs the workflow for each of the first minutes of a session, after t.Days sessions
// that were published a day at a time, untimed.
func publishMinutes(ctx context.Context, t task) (outcome, error) {
	l, err := openLake(ctx, t, rules)
	if err != nil {
		return outcome{}, err
	}
	c := start()
	m := t.Market
	for day := range t.Days {
		m.Bars = (day + 1) * session
		fetches := m.first()
		for i := range fetches {
			fetches[i].id, fetches[i].from = fmt.Sprintf("01N%03d%06d", day, i), day*session
		}
		if _, err := l.news(ctx, c, "day", fetches); err != nil {
			return c.out, err
		}
		if err := l.tidy(ctx, c); err != nil {
			return c.out, err
		}
	}
	if t.Days > 0 {
		c.out.Sizes["rows_before"] = float64(m.Symbols) * float64(t.Days) * session
	}
	before := peak()
	times := m.times((t.Days + 1) * session)
	for minute := range t.Rounds {
		n := t.Days*session + minute
		counts, err := l.news(ctx, c, "minute", m.minute(n, times[n]))
		if err != nil {
			return c.out, err
		}
		if counts.Inserted != int64(m.Symbols) {
			return c.out, fmt.Errorf("minute %d: %+v", n, counts)
		}
		if err := l.tidy(ctx, c); err != nil {
			return c.out, err
		}
	}
	c.out.Sizes["peak_MB_before"] = before
	if err := l.sizes(c.out.Sizes); err != nil {
		return c.out, err
	}
	return c.out, l.close()
}

// tidy tidies the lake if that is due, as the program does after a run.
func (p *pipeline) tidy(ctx context.Context, c *clock) error {
	due, err := p.TidyDue(ctx)
	if err != nil || !due {
		return err
	}
	p.runs++
	r := &run{id: fmt.Sprintf("run-%06d", p.runs)}
	t := p.NewTidy(lake.TidyOptions{})
	begin := time.Now()
	for _, job := range []func(context.Context, lake.Run) error{t.Compact, t.Expire, t.Retain, t.Ops, t.Collect} {
		if err := job(ctx, r); err != nil {
			return fmt.Errorf("tidy: %w", err)
		}
	}
	c.out.add("tidy", time.Since(begin))
	return nil
}

// filled is a lake with the market's first bars.
func filled(ctx context.Context, t task, rules string) (*pipeline, *clock, error) {
	c := start()
	l, err := openLake(ctx, t, rules)
	if err != nil {
		return nil, c, err
	}
	if err := l.give(t.Objects); err != nil {
		return nil, c, err
	}
	_, err = l.run(ctx, start())
	return l, c, err
}

// A pipeline is a lake with its stages joined as the program joins them.
type pipeline struct {
	*lake.Lake
	market  market
	walks   walks
	dir     string
	raw     string // the folder of the raw stream
	runs    int
	puts    int
	written int64 // bytes of the files that runs have made in prod
	engine  *duck.Engine
}

func openLake(ctx context.Context, t task, rules string) (*pipeline, error) {
	dir, err := blob.OpenDir(filepath.Join(t.Dir, "buckets", "raw"))
	if err != nil {
		return nil, err
	}
	now := time.Now
	cat, err := catalog.Open(ctx, t.Dir, now)
	if err != nil {
		return nil, err
	}
	ruleset, err := quality.Parse(rules)
	if err != nil {
		return nil, err
	}
	raw, err := temporary(t.Dir, "buckets", "raw", "raw", "bars", "dt="+time.Now().UTC().Format(time.DateOnly))
	if err != nil {
		return nil, err
	}
	engine := duck.NewEngine(duck.EngineOptions{Spill: filepath.Join(t.Dir, "tmp"), MemoryMB: t.MemoryMB})
	return &pipeline{dir: t.Dir, raw: raw, engine: engine, market: t.Market, walks: walks{}, Lake: lake.New(lake.Options{
		Dir: t.Dir, Catalog: cat, Raw: dir, Stream: "bars", Prefix: "raw/bars/", Engine: engine,
		Dialect: quality.DuckDB, Rules: ruleset, Events: silence{}, Clock: now,
	})}, nil
}

func (p *pipeline) close() error { return errors.Join(p.engine.Close(), p.Catalog.Close()) }

// give puts objects in the raw bucket, as links: they are only read.
func (p *pipeline) give(objects []string) error {
	for _, path := range objects {
		if err := os.Link(path, filepath.Join(p.raw, filepath.Base(path))); err != nil {
			return err
		}
	}
	return nil
}

// news delivers fetches as one object and runs the workflow, whose times it adds.
func (p *pipeline) news(ctx context.Context, c *clock, name string, fetches []fetch) (tickerlake.Counts, error) {
	last := 0
	for _, f := range fetches {
		last = max(last, f.to)
	}
	p.puts++
	err := p.market.writeObject(filepath.Join(p.raw, fmt.Sprintf("news-%06d.gz", p.puts)), fetches, p.market.times(last), p.walks)
	if err != nil {
		return tickerlake.Counts{}, err
	}
	begin := time.Now()
	one := start()
	counts, err := p.run(ctx, one)
	if err != nil {
		return counts, err
	}
	c.out.add(name, one.out.Took)
	for job, took := range one.out.Steps {
		c.out.add(name+" "+job, took)
	}
	return counts, filepath.WalkDir(filepath.Join(p.dir, "buckets", "prod"), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && !info.ModTime().Before(begin) {
			p.written += info.Size()
		}
		return err
	})
}

// bytes are those of a table's published files.
func (p *pipeline) bytes(table string) (int64, error) {
	views, err := p.Views(context.Background())
	for _, v := range views {
		if v.Database == "prod" && v.Name == table {
			return v.Bytes, err
		}
	}
	return 0, errors.Join(err, fmt.Errorf("no table %s", table))
}

// sizes measures the lake's folder.
func (p *pipeline) sizes(to map[string]float64) error {
	return filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rest, _ := filepath.Rel(filepath.Join(p.dir, "buckets", "prod"), path)
		switch {
		case strings.Contains(filepath.ToSlash(rest), "/metadata/"):
			to["metadata_MB"] += float64(info.Size()) / 1e6
			to["metadata_files"]++
		case filepath.Ext(path) == ".parquet":
			to["data_MB"] += float64(info.Size()) / 1e6
			to["data_files"]++
		case strings.HasPrefix(filepath.Base(path), "state.db"), strings.HasPrefix(filepath.Base(path), "catalog.db"):
			to["sqlite_MB"] += float64(info.Size()) / 1e6
		}
		return nil
	})
}

// run does what the main workflow does, one job after the other.
func (p *pipeline) run(ctx context.Context, c *clock) (tickerlake.Counts, error) {
	p.runs++
	r := &run{id: fmt.Sprintf("run-%06d", p.runs)}
	for _, job := range []struct {
		name string
		do   func(context.Context, lake.Run) error
	}{
		{"crawl", func(ctx context.Context, r lake.Run) error { return p.Crawl(ctx, r, false) }},
		{"clean", p.Clean}, {"optimize", p.Optimize}, {"quality", p.Quality}, {"publish", p.Publish},
	} {
		if err := job.do(ctx, r); err != nil {
			return r.counts, fmt.Errorf("%s: %w", job.name, err)
		}
		c.step(job.name)
	}
	return r.counts, p.Finish(r.id)
}

// A run is what a job is handed.
type run struct {
	id     string
	counts tickerlake.Counts
}

func (r *run) ID() string                        { return r.id }
func (r *run) Log() *slog.Logger                 { return slog.New(slog.DiscardHandler) }
func (r *run) Counts() tickerlake.Counts         { return r.counts }
func (r *run) Report(float64, tickerlake.Counts) {}

func (r *run) UpdateCounts(_ context.Context, f func(*tickerlake.Counts)) error {
	f(&r.counts)
	return nil
}

// silence takes events and keeps none.
type silence struct{}

func (silence) Emit(context.Context, string, ...any) error { return nil }
