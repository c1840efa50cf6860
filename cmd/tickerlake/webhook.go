package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/tickerlake/tickerlake"
	"github.com/tickerlake/tickerlake/catalog"
)

// A notice is what a webhook is told: the fields of the message by which CloudWatch tells
// of an alarm.
type notice struct {
	AlarmName       string             `json:"AlarmName"`
	NewStateValue   catalog.AlarmState `json:"NewStateValue"`
	OldStateValue   catalog.AlarmState `json:"OldStateValue"`
	NewStateReason  string             `json:"NewStateReason"`
	StateChangeTime time.Time          `json:"StateChangeTime"`
	// Lake is the folder of the lake.
	Lake string `json:"Lake"`
}

// A webhook tells its address of alarms that have begun or ended, each until it has been
// taken. What it was told is kept: after a restart it is told what it missed.
type webhook struct {
	lake    *pipeline
	tell    *teller
	client  *http.Client
	changed chan struct{}
	cancel  context.CancelFunc
	ended   sync.WaitGroup
}

// webhookTimeout is how long the address may take to answer.
const webhookTimeout = 10 * time.Second

// webhookGrace is how long it still may when the lake is stopped.
const webhookGrace = 2 * time.Second

func newWebhook(p *pipeline, tell *teller) *webhook {
	ctx, cancel := context.WithCancel(context.Background())
	h := &webhook{lake: p, tell: tell, changed: make(chan struct{}, 1), cancel: cancel,
		client: &http.Client{Timeout: webhookTimeout, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}}
	if p.file.Alarms.Webhook != "" {
		h.ended.Go(func() { h.serve(ctx) })
	}
	return h
}

func (h *webhook) close() {
	h.cancel()
	h.ended.Wait()
}

func (h *webhook) wake() {
	select {
	case h.changed <- struct{}{}:
	default:
	}
}

func (h *webhook) serve(ctx context.Context) {
	wait := firstWait
	for {
		select {
		case <-h.changed:
		case <-ctx.Done():
			return
		}
		err := h.tellAll(ctx)
		if err == nil || ctx.Err() != nil {
			wait = firstWait
			continue
		}
		h.tell.problem(ctx, "failed", "webhook", err, "again_in_ms", wait.Milliseconds())
		if (tickerlake.Pace{}).Sleep(ctx, wait) != nil {
			return
		}
		wait = min(2*wait, longestWait)
		h.wake()
	}
}

func (h *webhook) tellAll(ctx context.Context) error {
	alarms, known, err := h.lake.catalog.Untold(ctx)
	if err != nil {
		return err
	}
	for _, a := range alarms {
		was := known[a.Name]
		if was == "" {
			was = catalog.InsufficientState
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := h.tellOf(ctx, a, notice{a.Name, a.State, was, a.Reason, a.Since, h.lake.dir}); err != nil {
			return err
		}
	}
	return nil
}

// tellOf tells of one change and keeps that. A stop lets it come to its end: of what was
// heard and is not known as told, the end would never be told.
func (h *webhook) tellOf(ctx context.Context, a catalog.Alarm, n notice) error {
	kept := context.WithoutCancel(ctx)
	posted, cancel := context.WithCancel(kept)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(webhookGrace, cancel) })()
	if err := h.post(posted, n); err != nil {
		return err
	}
	return h.lake.catalog.Told(kept, a)
}

// post tells of one change. Its errors do not have the address, which may be a secret.
func (h *webhook) post(ctx context.Context, n notice) error {
	const op = "webhook"
	body, err := json.Marshal(n)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.lake.file.Alarms.Webhook, bytes.NewReader(body))
	if err != nil {
		return tickerlake.Errorf(tickerlake.Invalid, op, "alarms.webhook", "is no address")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "tickerlake")
	res, err := h.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return &tickerlake.Error{Code: tickerlake.Unavailable, Op: op, Name: req.URL.Host, Err: fmt.Errorf("it cannot be told that %s is %s: %w", n.AlarmName, n.NewStateValue, err)}
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
	if res.StatusCode/100 != 2 {
		return tickerlake.Errorf(tickerlake.Unavailable, op, req.URL.Host, "it answers %s to the news that %s is %s", res.Status, n.AlarmName, n.NewStateValue)
	}
	return nil
}
