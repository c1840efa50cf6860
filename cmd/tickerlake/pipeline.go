package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/blob"
	"github.com/tickerlake/tickerlake/catalog"
	"github.com/tickerlake/tickerlake/collect"
	"github.com/tickerlake/tickerlake/config"
	"github.com/tickerlake/tickerlake/deliver"
	"github.com/tickerlake/tickerlake/duck"
	"github.com/tickerlake/tickerlake/flow"
	"github.com/tickerlake/tickerlake/lake"
	"github.com/tickerlake/tickerlake/quality"
)

// A pipeline is the embedded lake of a pipeline file with its stages joined. One
// that writes holds the lake's lock, one that reads a lease.
type pipeline struct {
	file    *config.File
	dir     string
	clock   tickerlake.Clock // that of pace, once the lake is locked or lent
	pace    tickerlake.Pace
	log     *slog.Logger
	lock    *lock
	lease   *lake.Lease // nil in a pipeline that writes, or if the lake cannot be written to
	raw     *blob.Dir
	catalog *catalog.Catalog
	engine  *duck.Engine
	lake    *lake.Lake
	runs    *flow.Store  // nil in a pipeline that reads
	flow    *flow.Engine // nil in a pipeline that reads
	bars    *stream      // nil in a pipeline that reads
	ops     *opsLog
	metrics *metrics
	budgets *collect.Budgets // of the accounts at providers

	// writer is the turn of whoever publishes, or changes the ledger beyond taking from
	// it; asking, by source, that of whoever asks it, imports having one together.
	writer turn
	asking map[string]turn
	drain  time.Duration // how long each stream may deliver on at the end; 0: its default
	// onDeliver is told of each raw object of bars; nil: nobody is.
	onDeliver func(tickerlake.Object)
	// onRun is told that runs have ended; nil: nobody is.
	onRun func()
}

// streamName is the stream of bars, which feeds raw.bars.
const streamName = "bars"

// opsName is the stream of events, which feeds the ops tables.
const opsName = "ops"

// openPipeline opens the lake of a file, made if there is none. With write it takes
// the lock and opens the delivery logs; what an earlier process left there is
// delivered from now on.
func openPipeline(ctx context.Context, file *config.File, clock tickerlake.Clock, log *slog.Logger, write bool, command string) (_ *pipeline, err error) {
	p, err := newPipeline(file, clock, log)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close(ctx))
		}
	}()
	if write {
		if err := p.take(command); err != nil {
			return nil, err
		}
	} else if err := p.lend(ctx, command); err != nil {
		return nil, err
	}
	return p, p.openStages(ctx)
}

// newPipeline is a pipeline of which nothing is open yet.
func newPipeline(file *config.File, clock tickerlake.Clock, log *slog.Logger) (*pipeline, error) {
	p := &pipeline{file: file, dir: file.LakeDir(), clock: clock, pace: tickerlake.Pace{Clock: clock}, log: log, metrics: newMetrics(), budgets: collect.NewBudgets(file.Sources), writer: newTurn(), asking: map[string]turn{imports: newTurn()}}
	for name := range file.Sources {
		p.asking[name] = newTurn()
	}
	if strings.ContainsAny(p.dir, "*?[") {
		return nil, tickerlake.Errorf(tickerlake.Invalid, "open the lake", p.dir, "a lake cannot be in a folder with *, ? or [ in its path: name another with lake:")
	}
	return p, nil
}

// take takes the lock of the lake, made if there is none.
func (p *pipeline) take(command string) (err error) {
	if _, err := catalog.Version(p.dir); err != nil { // before anything is touched
		return err
	}
	if err := os.MkdirAll(p.dir, 0o755); err != nil {
		return diskError("open the lake", p.dir, err)
	}
	if p.lock, err = lockLake(p.dir, command, p.clock()); err != nil {
		return err
	}
	p.pace, err = keepClock(p.dir, p.file, p.clock)
	p.clock = p.pace.Now
	return err
}

// lend takes a reader's lease.
func (p *pipeline) lend(ctx context.Context, command string) error {
	version, err := catalog.Version(p.dir)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(p.dir, "state.db")); err != nil {
		if _, err := os.Stat(filepath.Join(p.dir, "catalog.db")); err == nil {
			return tickerlake.Errorf(tickerlake.Damaged, "open the lake", filepath.Join(p.dir, "state.db"),
				"it is gone, and the tables are there: put back a copy with its -wal file; without one, tickerlake run reads all raw objects again, which changes no row that is published")
		}
		return tickerlake.Errorf(tickerlake.NotFound, "open the lake", p.dir, "there is no lake yet: run tickerlake fetch and tickerlake run first")
	}
	if err := migrateLake(ctx, p.dir, version, command, p.clock); err != nil {
		return err
	}
	if p.lease, err = lake.TakeLease(p.dir, command, p.clock()); errors.Is(err, tickerlake.Denied) {
		p.log.DebugContext(ctx, "reading without a lease", "why", err)
	} else if err != nil {
		return err
	}
	p.pace, err = readClock(p.dir, p.file, p.clock)
	p.clock = p.pace.Now
	return err
}

// openStages opens what the pipeline joins: for writing if the lock is taken.
func (p *pipeline) openStages(ctx context.Context) error {
	file, clock, write := p.file, p.clock, p.lock != nil
	dir, err := blob.OpenDir(filepath.Join(p.dir, "buckets", "raw"))
	if err != nil {
		return err
	}
	p.raw = dir
	if p.catalog, err = catalog.Open(ctx, p.dir, clock); err != nil {
		return err
	}
	if write {
		if err := p.openStreams(); err != nil {
			return err
		}
	}
	p.engine = duck.NewEngine(duck.EngineOptions{Spill: filepath.Join(p.dir, "tmp", "engine")})
	p.lake = lake.New(lake.Options{
		Dir: p.dir, Name: file.Name, Catalog: p.catalog, Raw: p.raw, Stream: streamName, Prefix: file.Delivery.Folder(),
		Engine: p.engine, Dialect: quality.DuckDB, Rules: file.Ruleset, Scope: file.Quality.Scope, Remove: removing(file), Events: p.ops, Clock: clock, Tidy: file.Tidy,
	})
	if write {
		if err := p.openFlow(ctx); err != nil {
			return err
		}
	}
	if err := p.lake.CheckName(ctx); err != nil {
		return err
	}
	if write {
		return p.finishRollbacks(ctx)
	}
	return nil
}

// finishRollbacks does what is left of a rollback that was cut off.
func (p *pipeline) finishRollbacks(ctx context.Context) error {
	done, err := p.lake.FinishRollbacks(ctx)
	for _, r := range done {
		p.log.WarnContext(ctx, "a rollback that was cut off is finished", "table", r.Table, "snapshot", r.Snapshot, "held", len(r.Held), "paused", strings.Join(r.Sources(), " "))
	}
	return err
}

// migrateLake brings the lake of an older program to this one's format. Who only reads
// does so too, under the lock: until it is done nobody can read.
func migrateLake(ctx context.Context, dir string, version int, command string, clock tickerlake.Clock) (err error) {
	if version == 0 || version == catalog.StateVersion {
		return nil
	}
	l, err := lockLake(dir, command, clock())
	if err != nil {
		return fmt.Errorf("the lake has format %d and has to be brought to %d first: %w", version, catalog.StateVersion, err)
	}
	defer func() { err = errors.Join(err, l.release()) }()
	c, err := catalog.Open(ctx, dir, clock)
	if err != nil {
		return err
	}
	return c.Close()
}

// openStreams opens the delivery streams of bars and of ops events.
func (p *pipeline) openStreams() error {
	events := deliver.Defaults()
	events.Prefix = "ops/!{partitionKeyFromQuery:table}/dt=!{timestamp:yyyy-MM-dd}/"
	events.ErrorPrefix = p.file.Delivery.ErrorPrefix
	ops, err := openStream(events, deliver.Options{
		Name: opsName, Dir: filepath.Join(p.dir, "log", opsName), Bucket: p.raw, Clock: p.clock, Speed: p.pace.Speed, Log: p.log, Drain: p.drain,
	})
	if err != nil {
		return err
	}
	p.ops = &opsLog{stream: ops, clock: p.clock}
	p.bars, err = openStream(p.file.Delivery, deliver.Options{
		Name: streamName, Dir: filepath.Join(p.dir, "log", streamName), Bucket: p.raw, Clock: p.clock, Speed: p.pace.Speed, Log: p.log, Drain: p.drain,
		OnDeliver: p.delivered,
		OnEvent:   p.ops.delivered,
	})
	return err
}

// delivered enters a raw object in the ledger and tells of it.
func (p *pipeline) delivered(ctx context.Context, o tickerlake.Object) error {
	if err := p.catalog.Enter(ctx, o); err != nil {
		return err
	}
	if p.onDeliver != nil {
		p.onDeliver(o)
	}
	return nil
}

// close ends the stages in the order of the flow: what is acknowledged is delivered
// if it can be, and stays in its log otherwise.
func (p *pipeline) close(ctx context.Context) error {
	p.logMetrics(ctx)
	var errs []error
	if p.bars != nil {
		errs = append(errs, p.bars.stop())
	}
	if p.ops != nil {
		errs = append(errs, p.ops.close(context.WithoutCancel(ctx)))
	}
	if p.engine != nil {
		errs = append(errs, p.engine.Close())
	}
	if p.catalog != nil {
		errs = append(errs, p.catalog.Close())
	}
	if p.raw != nil {
		errs = append(errs, p.raw.Close())
	}
	if p.lease != nil {
		errs = append(errs, p.lease.Release())
	}
	if p.lock != nil {
		errs = append(errs, p.lock.release())
	}
	return errors.Join(errs...)
}

// A stream is a delivery stream that runs until it is stopped.
type stream struct {
	*deliver.Stream
	cancel context.CancelFunc
	ended  chan error
	once   sync.Once
	err    error
}

func openStream(cfg deliver.Config, o deliver.Options) (*stream, error) {
	s, err := deliver.Open(cfg, o)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	out := &stream{Stream: s, cancel: cancel, ended: make(chan error, 1)}
	go func() { out.ended <- s.Run(ctx) }()
	return out, nil
}

// stop drains the stream and closes its log.
func (s *stream) stop() error {
	s.once.Do(func() {
		s.cancel()
		s.err = errors.Join(<-s.ended, s.Close())
	})
	return s.err
}
