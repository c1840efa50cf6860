package simulate

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tickerlake/tickerlake/collect"
)

// A response is an answer in memory, with how it goes on its way.
type response struct {
	header http.Header
	status int
	body   bytes.Buffer
	fault  string
}

func (w *response) Header() http.Header         { return w.header }
func (w *response) WriteHeader(status int)      { w.status = status }
func (w *response) Write(b []byte) (int, error) { return w.body.Write(b) }

// chunks is into how many parts a slow body falls.
const chunks = 10

// respond makes the answer to a request, with its fault.
func (m *Market) respond(r *http.Request) *response {
	w := &response{header: http.Header{}, status: http.StatusOK}
	w.header.Set(collect.SimulatedHeader, m.says)
	symbol, charts := strings.CutPrefix(r.URL.Path, chartPath)
	if !charts {
		symbol = r.FormValue("symbol")
	}
	var n noise
	w.fault, n = m.faults.request(symbol, m.clock())
	switch w.fault {
	case faultHTTP500:
		w.plain(http.StatusInternalServerError, "Internal Server Error\n")
	case faultHTTP429:
		w.header.Set("Retry-After", "1")
		w.plain(http.StatusTooManyRequests, "Too Many Requests\r\n")
	case faultHTML:
		w.header.Set("Content-Type", "text/html; charset=utf-8")
		w.body.WriteString("<!DOCTYPE html>\n<html><head><title>One moment</title></head><body><p>Checking that you are human.</p></body></html>\n")
	case faultError200:
		if charts {
			write(w, []byte(`{"chart":{"result":null,"error":{"code":"Internal Server Error","description":"Service is temporarily unavailable, try again"}}}`))
		} else {
			write(w, []byte(`{"error":"Internal server error","code":"500"}`))
		}
	case faultTimeout:
	default:
		r = r.WithContext(context.WithValue(r.Context(), spoiling{}, spoil{w.fault, n}))
		m.mux.ServeHTTP(w, r)
	}
	w.header.Set("Content-Length", strconv.Itoa(w.body.Len()))
	return w
}

func (w *response) plain(status int, text string) {
	w.header.Set("Content-Type", "text/plain; charset=utf-8")
	w.status = status
	w.body.WriteString(text)
}

// ServeHTTP answers a request.
func (m *Market) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := m.respond(r)
	if a.fault == faultTimeout {
		m.pause(r.Context(), m.hang)
		panic(http.ErrAbortHandler) // closes the connection
	}
	for key, values := range a.header {
		w.Header()[key] = values
	}
	w.WriteHeader(a.status)
	if a.fault == faultCut {
		_, _ = flusher{w}.Write(a.body.Bytes()[:a.body.Len()/2]) // a client that left is no concern of the market
		panic(http.ErrAbortHandler)
	}
	_, _ = io.Copy(flusher{w}, m.reader(r.Context(), a))
}

// RoundTrip answers a request without a network.
func (m *Market) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if r.Body != nil {
		defer r.Body.Close()
	}
	a := m.respond(r)
	if a.fault == faultTimeout {
		if err := m.pause(r.Context(), m.hang); err != nil {
			return nil, err
		}
		return nil, io.ErrUnexpectedEOF
	}
	length := int64(a.body.Len())
	return &http.Response{
		Status: strconv.Itoa(a.status) + " " + http.StatusText(a.status), StatusCode: a.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, Header: a.header,
		Body: io.NopCloser(m.reader(r.Context(), a)), ContentLength: length,
	}, nil
}

// reader gives the body as the fault lets it come.
func (m *Market) reader(ctx context.Context, a *response) io.Reader {
	switch a.fault {
	case faultSlow:
		return &slowReader{ctx: ctx, market: m, from: &a.body, step: a.body.Len()/chunks + 1}
	case faultCut:
		return io.MultiReader(bytes.NewReader(a.body.Bytes()[:a.body.Len()/2]), brokenReader{})
	}
	return &a.body
}

// pause waits in real time, or until the client has gone.
func (m *Market) pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A slowReader takes its time before each part.
type slowReader struct {
	ctx    context.Context
	market *Market
	from   *bytes.Buffer
	step   int
}

func (s *slowReader) Read(b []byte) (int, error) {
	if err := s.market.pause(s.ctx, s.market.slow/chunks); err != nil {
		return 0, err
	}
	return s.from.Read(b[:min(len(b), s.step)])
}

// A brokenReader is a connection that broke.
type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// A flusher sends what is written at once.
type flusher struct{ w http.ResponseWriter }

func (f flusher) Write(b []byte) (int, error) {
	n, err := f.w.Write(b)
	if flush, ok := f.w.(http.Flusher); ok {
		flush.Flush()
	}
	return n, err
}

// spoil is a fault that bears on the rows of an answer, and the noise for it.
type spoil struct {
	fault string
	noise noise
}

type spoiling struct{}

// spoilOf gives that of a request.
func spoilOf(r *http.Request) spoil {
	s, _ := r.Context().Value(spoiling{}).(spoil)
	return s
}

// lines spoils the lines of an answer.
func (s spoil) lines(lines []line) []line {
	if len(lines) == 0 {
		return lines
	}
	n := s.noise
	sure := n.below(len(lines)) // one at least
	var out []line
	switch s.fault {
	case faultNulls:
		for i, l := range lines {
			switch u := n.unit(); {
			case i != sure && u >= 0.02:
			case n.unit() < 0.5:
				l.volume = "null"
			default:
				l.open, l.high, l.low, l.close, l.adj, l.volume = "null", "null", "null", "null", "null", "null"
			}
			out = append(out, l)
		}
	case faultDuplicates:
		for i, l := range lines {
			out = append(out, l)
			if i == sure || n.unit() < 0.02 {
				out = append(out, l)
			}
		}
	default:
		return lines
	}
	return out
}

// number writes a number, in quotes if that is the fault.
func (s spoil) number(b []byte, text string) []byte {
	if s.fault == faultStrings && text != "null" {
		return append(append(append(b, '"'), text...), '"')
	}
	return append(b, text...)
}
