package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/flow"
	"github.com/tickerlake/tickerlake/serve"
)

// stopTimeout is how long a stop may take if nothing else is said.
const stopTimeout = 30 * time.Second

// An upWish is what the flags of up say.
type upWish struct {
	listen, output string
	stopTimeout    time.Duration
}

func (a *app) upCommand() *cobra.Command {
	var w upWish
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Keep the lake up: fetch by schedule, deliver, run, until stopped",
		Long: `Keeps the lake up until it is stopped: fetches each source by its schedule, delivers what
comes, runs the workflow on it, and tells on its address how it is: /healthz, /readyz and
/metrics. A source that was never fetched is fetched at once; of the firings that a stop
has missed one is made up for. A source without a schedule is fetched on command only.

Other commands may be used meanwhile as ever: query, tables, snapshots, status and others
that read do so beside it; fetch, import, run, tidy, rollback and others that write are
carried out by it. Only a second tickerlake up is refused.

Ctrl-C or SIGTERM ends it in good order: nothing new is collected, what is acknowledged is
delivered, a run under way is parked and taken up at the next start. That takes no longer
than --stop-timeout. A second signal ends it at once; what is acknowledged stays in its
log and is delivered at the next start.

On a terminal it prints a line for what is fetched, delivered and published; elsewhere it
writes a log in JSON to standard error.`,
		Example: `  tickerlake up
  tickerlake up --listen 127.0.0.1:0 --output json 2> up.jsonl
  tickerlake service install    # started with the machine`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.up(cmd, w) },
	}
	cmd.Flags().StringVar(&w.listen, "listen", "", "address of the endpoint (default the key listen of the file); port 0 takes a free one")
	cmd.Flags().StringVar(&w.output, "output", "auto", "lines for people, json for a log, or auto: lines on a terminal")
	cmd.Flags().DurationVar(&w.stopTimeout, "stop-timeout", stopTimeout, "how long an orderly stop may take")
	return cmd
}

func (a *app) up(cmd *cobra.Command, w upWish) error {
	file, err := a.load()
	if err != nil {
		return err
	}
	tell, err := a.teller(cmd, w.output)
	if err != nil {
		return err
	}
	if w.listen == "" {
		w.listen = file.Listen
	}
	if w.stopTimeout <= 0 {
		return tickerlake.Errorf(tickerlake.Invalid, "up", "--stop-timeout", "%s: want more than nothing", w.stopTimeout)
	}
	p, err := newPipeline(file, a.Clock, tell.log)
	if err != nil {
		return err
	}
	p.drain = w.stopTimeout / 3 // two streams, and a rest for all else
	d := &daemon{app: a, lake: p, tell: tell, looked: make(chan struct{}, 1), print: fingerprint(file.Path)}
	ctx := cmd.Context()
	ended := make(chan error, 1)
	go func() { ended <- d.keep(ctx, w.listen) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	limit := time.NewTimer(w.stopTimeout)
	defer limit.Stop()
	select {
	case err := <-ended:
		return err
	case <-limit.C:
		return tickerlake.Errorf(tickerlake.Timeout, "up", "--stop-timeout",
			"the stop has taken longer than %s and is cut off: nothing that was acknowledged is lost, the next start takes up what is left", w.stopTimeout)
	}
}

// A daemon is a lake that is up: one process holds its lock, one pipeline is open, and
// whatever is done to it is done here.
type daemon struct {
	app  *app
	lake *pipeline
	tell *teller
	// workflows starts them when their triggers fire.
	workflows *flow.Scheduler
	// looked wakes who watches the alarms.
	looked chan struct{}
	// print identifies the pipeline file as it was at the start.
	print string
	why   atomic.Pointer[[]string]
}

// keep keeps the lake up until ctx is done, and closes it.
func (d *daemon) keep(ctx context.Context, listen string) (err error) {
	p := d.lake
	d.notReady("starting: the lake is being opened")
	closed := false
	closeAll := func() error {
		if closed {
			return nil
		}
		closed = true
		return p.close(context.WithoutCancel(ctx))
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	if err := p.take(upName); err != nil {
		return err
	}
	d.tell.clock = p.clock
	socket, err := serve.OpenSocket(p.dir, p.lock.before)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, socket.Close()) }()
	at, err := serve.Listen(ctx, listen)
	if err != nil {
		return err
	}
	address := "http://" + at.Addr().String()
	// The endpoint is there until the rest has ended: it tells of the stop too.
	web, closeWeb := context.WithCancel(context.WithoutCancel(ctx))
	var endpoint sync.WaitGroup
	endpoint.Go(func() { err = errors.Join(err, serve.Run(web, at, d.handler())) })
	defer func() { closeWeb(); endpoint.Wait() }()
	if err := p.lock.tell(socket.Path(), address); err != nil {
		return err
	}
	if err := p.openStages(ctx); err != nil {
		return err
	}
	d.openWorkflows()
	p.onDeliver, p.onRun = d.arrived, d.look
	return d.work(ctx, socket, address, closeAll)
}

// work does what the lake is up for. It ends in the order of the flow.
func (d *daemon) work(ctx context.Context, socket net.Listener, address string, closeAll func() error) error {
	var parts sync.WaitGroup
	part := func(name string, do func(context.Context) error) { parts.Go(func() { d.again(ctx, name, do) }) }
	if _, err := fmt.Fprintf(d.app.Stdout, "tickerlake is up at %s (stop with Ctrl-C)\n", address); err != nil {
		return err
	}
	d.tell.event(ctx, "up", d.lake.file.Path, address, "address", address, "lake", d.lake.dir)
	for _, name := range d.lake.file.SourceNames() {
		if d.lake.file.Sources[name].Schedule == "" {
			d.tell.event(ctx, "waiting", name, "has no schedule: it is fetched on command only", "source", name)
			continue
		}
		part("source "+name, func(ctx context.Context) error { return d.collect(ctx, name) })
	}
	part("workflows", d.workflows.Serve)
	part("alarms", d.watchAlarms)
	part("socket", func(ctx context.Context) error { return serve.Commands(ctx, socket, d.carryOut) })
	d.notReady()
	<-ctx.Done()
	d.notReady("stopping")
	d.tell.event(context.WithoutCancel(ctx), "stopping", "", "what is acknowledged is delivered, a run under way is parked")
	parts.Wait()
	err := closeAll()
	if err == nil {
		d.tell.event(context.WithoutCancel(ctx), "stopped", "", "")
	}
	return err
}

// again does a part of the work until it ends by itself or ctx is done. One that fails,
// because the disk is full say, is begun again, after a longer wait each time.
func (d *daemon) again(ctx context.Context, name string, do func(context.Context) error) {
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		err := do(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		d.tell.problem(ctx, "failed", name, err, "part", name, "again_in_ms", wait.Milliseconds())
		if (tickerlake.Pace{}).Sleep(ctx, wait) != nil {
			return
		}
	}
}

// The waits before a part that failed is begun again.
const (
	firstWait   = time.Second
	longestWait = time.Minute
)

// notReady says why the lake is not ready; it is without a reason.
func (d *daemon) notReady(why ...string) { d.why.Store(&why) }

// arrived is told of each raw object.
func (d *daemon) arrived(o tickerlake.Object) {
	d.tell.event(context.Background(), "delivered", o.Key, plural(o.Records, "record")+", "+sizeText(o.Size), "key", o.Key, "records", o.Records, "size", o.Size)
	if err := d.workflows.Delivered(context.Background(), 1); err != nil {
		d.tell.problem(context.Background(), "failed", o.Key, err, "key", o.Key) // the next start counts it
	}
}

// handler is the endpoint.
func (d *daemon) handler() http.Handler {
	return serve.Handler(serve.Options{Ready: func() []string { return *d.why.Load() }, Metrics: d.metricsHandler()})
}
