package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
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

const newBars = 10_000

// publishAll takes raw objects to a published table, in an empty lake.
func publishAll(ctx context.Context, t task) (outcome, error) {
	l, err := openLake(ctx, t)
	if err != nil {
		return outcome{}, err
	}
	if err := l.give(t.Objects); err != nil {
		return outcome{}, err
	}
	c := start()
	counts, err := l.run(ctx, c)
	c.out.Rows = counts.Inserted
	return c.out, errors.Join(err, l.close())
}

// publishNews fills a lake, untimed, then times runs with nothing new, each followed
// by one with newBars new bars.
func publishNews(ctx context.Context, t task) (outcome, error) {
	l, err := openLake(ctx, t)
	if err != nil {
		return outcome{}, err
	}
	if err := l.give(t.Objects); err != nil {
		return outcome{}, err
	}
	c := start()
	if _, err = l.run(ctx, c); err != nil {
		return c.out, err
	}
	c.out.Steps = map[string]time.Duration{}
	dir, err := temporary(t.Dir, "news")
	if err != nil {
		return c.out, err
	}
	for round := range 5 {
		begin := time.Now()
		if _, err := l.run(ctx, start()); err != nil {
			return c.out, err
		}
		c.out.Rounds["nothing"] = append(c.out.Rounds["nothing"], time.Since(begin))
		objects, err := write(dir, fmt.Sprintf("news-%d", round), t.Market.next(round, newBars))
		if err != nil {
			return c.out, err
		}
		if err := l.give(objects); err != nil {
			return c.out, err
		}
		one := start()
		counts, err := l.run(ctx, one)
		if err != nil {
			return c.out, err
		}
		if c.out.Rows = counts.Inserted; counts.Inserted != counts.Read || counts.Inserted == 0 {
			return c.out, fmt.Errorf("new bars were not new: %+v", counts)
		}
		c.out.Rounds["news"] = append(c.out.Rounds["news"], one.out.Took)
		for name, took := range one.out.Steps {
			c.out.Rounds["news "+name] = append(c.out.Rounds["news "+name], took)
		}
	}
	return c.out, l.close()
}

// A pipeline is a lake with its stages joined as the program joins them.
type pipeline struct {
	*lake.Lake
	dir    string
	runs   int
	engine *duck.Engine
}

func openLake(ctx context.Context, t task) (*pipeline, error) {
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
	engine := duck.NewEngine(duck.EngineOptions{Spill: filepath.Join(t.Dir, "tmp"), MemoryMB: t.MemoryMB})
	return &pipeline{dir: t.Dir, engine: engine, Lake: lake.New(lake.Options{
		Dir: t.Dir, Catalog: cat, Raw: bucket{dir}, Stream: "bars", Prefix: "raw/bars/", Engine: engine,
		Dialect: quality.DuckDB, Rules: ruleset, Events: silence{}, Clock: now,
	})}, nil
}

func (p *pipeline) close() error { return errors.Join(p.engine.Close(), p.Catalog.Close()) }

// give puts objects in the raw bucket, as links: they are only read.
func (p *pipeline) give(objects []string) error {
	dir, err := temporary(p.dir, "buckets", "raw", "raw", "bars", "dt="+time.Now().UTC().Format(time.DateOnly))
	if err != nil {
		return err
	}
	for _, path := range objects {
		if err := os.Link(path, filepath.Join(dir, filepath.Base(path))); err != nil {
			return err
		}
	}
	return nil
}

// run does what the main workflow does, one job after the other.
func (p *pipeline) run(ctx context.Context, c *clock) (tickerlake.Counts, error) {
	p.runs++
	r := &run{id: fmt.Sprintf("run-%03d", p.runs)}
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

// A bucket is blob.Dir in the words of catalog and lake.
type bucket struct{ *blob.Dir }

func (b bucket) Each(ctx context.Context, prefix, after string, f func(tickerlake.Object) error) error {
	for info, err := range b.List(ctx, prefix, after) {
		if err != nil {
			return err
		}
		if err := f(tickerlake.Object{Key: info.Key, Size: info.Size, ETag: info.ETag, At: info.Modified}); err != nil {
			return err
		}
	}
	return nil
}

func (b bucket) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	body, _, err := b.Get(ctx, key, 0, -1)
	return body, err
}
