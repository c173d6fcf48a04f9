//go:build linux

package test

import (
	"bufio"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// certain are the ways in which the causes program serves requests of which all work is in the request's trace.
var certain = []string{"direct", "chosen", "offered", "shared", "pipeline", "mutex", "fan", "poll", "timer", "cancel", "outlives"}

// through are those in which work waits in the buffer of a channel.
var through = []string{"queued", "picked", "staged", "kept"}

// load is what the causes program is asked to do.
type load struct {
	// certain are the ways of which all work is in the request's trace. In the others work may be in a trace of its own.
	certain, others []string
	// clients is how many send requests at once, and rounds how many of each way each of them sends.
	clients, rounds int
	// queued tells that work waits in buffers for so long that spans must say so.
	queued bool
	// shares are the least shares of the work of others that are in the request's trace, 0 if it is not named.
	shares map[string]float64
	// known is how many goroutines that begin in a function have episodes whose cause is exact before it begins, assumed the same of those that are
	// assumed.
	known, assumed map[string]int
}

// simple has work that is handed over, with some of which it is not known for which request it is: of remote not always for which the answers are
// that come at once.
var simple = load{
	certain: certain, others: []string{"queued", "remote"}, clients: 4, rounds: 5,
	known: map[string]int{"main.receives": 4, "main.selects": 3, "main.shares": 3, "main.stage": 3},
}

// worked is what the causes program tells of a piece of its work.
type worked struct {
	Request    string
	Handler    bool
	Goroutine  int64
	Begin, End int64
}

// TestCauses has a server hand work from goroutine to goroutine in many ways, at once, and compares with what it tells of that itself: each request
// is a trace, and work that is in one is in the right one. Where events are lost, or trees left out because others need the processors, the run
// says nothing of that, and is repeated.
func TestCauses(t *testing.T) {
	testbuild.RequireRoot(t)
	exe := testbuild.Program(t, "causes", testbuild.Options{})
	t.Run("uprobe", func(t *testing.T) { testCauses(t, exe, "uprobe", simple) })
	t.Run("trampoline", func(t *testing.T) {
		requireTrampolines(t)
		testCauses(t, exe, "trampoline", simple)
	})
}

// TestBufferedChannels has work wait in the buffers of channels, so that workers always find some and never wait. With trampolines all of it is in
// the trace of its request, at low load and when there are more requests than workers; with probes none is in that of another.
func TestBufferedChannels(t *testing.T) {
	testbuild.RequireRoot(t)
	known := map[string]int{"main.takes": 2, "main.picks": 2, "main.passes": 2, "main.keeps": 1}
	for _, release := range []string{"go1.20.14", testbuild.Newest} {
		exe := testbuild.Program(t, "causes", testbuild.Options{Version: release})
		for name, clients := range map[string]int{"one client": 1, "many clients": 8} {
			t.Run(release+"/uprobe/"+name, func(t *testing.T) {
				testCauses(t, exe, "uprobe", load{others: through, clients: clients, rounds: 10})
			})
			t.Run(release+"/trampoline/"+name, func(t *testing.T) {
				requireTrampolines(t)
				testCauses(t, exe, "trampoline", load{certain: through, clients: clients, rounds: 10, queued: clients > 1, known: known})
			})
		}
	}
}

func testCauses(t *testing.T, exe, engine string, l load) {
	testLoad(t, l, func() ([]worked, []ptrace.Span) { return serveCauses(t, exe, engine, l) })
}

// testLoad compares the traces of a run with the truth.
func testLoad(t *testing.T, l load, serve func() ([]worked, []ptrace.Span)) {
	t.Helper()
	for attempt := range attempts {
		truth, spans := serve()
		off := causesOff(l, truth, spans)
		if len(off) == 0 {
			return
		}
		if attempt == attempts-1 || !isImpaired(spans) {
			for what, n := range off {
				t.Errorf("%s: %d times", what, n)
			}
			return
		}
	}
}

// isImpaired tells whether events were lost.
func isImpaired(spans []ptrace.Span) bool {
	for _, s := range spans {
		if _, lost := s.Attributes().Get("go.goroutine.events.lost"); lost {
			return true
		}
	}
	return false
}

// serveCauses returns what the program has done in a run, and what the collector tells of it.
func serveCauses(t *testing.T, exe, engine string, l load) (truth []worked, spans []ptrace.Span) {
	t.Helper()
	b := e2etest.NewBackend(t)
	receiver := e2etest.Following(exe)
	if err := receiver.Set("{engine: " + engine + ", traces: {max_spans_per_second: 0}, overhead: {budget: 0}, ring_buffer_size: 134217728}"); err != nil {
		t.Fatal(err)
	}
	c := e2etest.StartCollector(t, e2etest.Exporting(receiver, b.Endpoint()))
	p := testbuild.Start(t, exe, echoes(t))
	url := "http://" + p.Line()
	c.Await("Following process")
	e2etest.Eventually(t, "it to be known by which channels work comes", func() bool {
		askAll(t, url, "early", slices.Concat(l.certain, l.others))
		return areKnown(b.Spans(), "exact", l.known) && areKnown(b.Spans(), "assumed", l.assumed)
	}, func() string { return fmt.Sprint(causesOf(b.Spans()), "\n", c.Out.String()) })
	var all sync.WaitGroup
	for n := range l.clients {
		all.Go(func() {
			for round := range l.rounds {
				askAll(t, url, fmt.Sprintf("%d-%d", n, round), slices.Concat(l.certain, l.others))
			}
		})
	}
	all.Wait()
	time.Sleep(50 * time.Millisecond) // what outlives its request ends
	truth = truthOf(t, url)
	http.DefaultClient.CloseIdleConnections()
	c.Stop()
	return truth, b.Spans()
}

// areKnown tells whether so many goroutines that begin in some functions have episodes with a cause.
func areKnown(spans []ptrace.Span, cause string, want map[string]int) bool {
	known := causesOf(spans)
	return !slices.ContainsFunc(slices.Collect(maps.Keys(want)), func(function string) bool { return len(known[function+" "+cause]) < want[function] })
}

// causesOf returns how many episodes goroutines have, by the function that they begin in and the cause.
func causesOf(spans []ptrace.Span) map[string]map[int64]int {
	known := map[string]map[int64]int{}
	for _, s := range spans {
		if !e2etest.IsEpisode(s) {
			continue
		}
		id, _ := s.Attributes().Get("go.goroutine.id")
		what := e2etest.StartFunction(s) + " " + causeOf(s)
		if known[what] == nil {
			known[what] = map[int64]int{}
		}
		known[what][id.Int()]++
	}
	return known
}

// causeOf returns the cause of an episode, "" if a span is none.
func causeOf(s ptrace.Span) string {
	cause, _ := s.Attributes().Get("go.goroutine.episode.cause")
	return cause.Str()
}

// askAll sends one request for each way by one connection.
func askAll(t *testing.T, url, id string, ways []string) {
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	for _, way := range ways {
		response, err := client.Get(fmt.Sprintf("%s/%s?id=%s.%s", url, way, way, id))
		if err != nil {
			t.Error(err)
			return
		}
		response.Body.Close()
	}
}

// echoes serves the connections of a program, and answers each line with the same a millisecond later. It returns its address.
func echoes(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				for in := bufio.NewScanner(conn); in.Scan(); {
					line := in.Text() + "\n"
					time.AfterFunc(time.Millisecond, func() { fmt.Fprint(conn, line) })
				}
			}()
		}
	}()
	return l.Addr().String()
}

// piecesOf returns the spans of lives and episodes, by the id of the goroutine.
func piecesOf(spans []ptrace.Span) map[int64][]ptrace.Span {
	pieces := map[int64][]ptrace.Span{}
	for _, s := range spans {
		if id, ok := s.Attributes().Get("go.goroutine.id"); ok {
			pieces[id.Int()] = append(pieces[id.Int()], s)
		}
	}
	return pieces
}

// pieceAt returns the span of what a goroutine did at a time, an episode if it was in one; ok is false if there is none.
func pieceAt(of []ptrace.Span, at int64) (found ptrace.Span, ok bool) {
	for _, s := range of {
		if at >= int64(s.StartTimestamp()) && at <= int64(s.EndTimestamp()) && (!ok || e2etest.IsEpisode(s)) {
			found, ok = s, true
		}
	}
	return found, ok
}

// causesOff tells in what ways the traces differ from the truth, and how often each.
func causesOff(l load, truth []worked, spans []ptrace.Span) map[string]int {
	off := map[string]int{}
	pieces := piecesOf(spans)
	traceOf, requestOf := map[string]pcommon.TraceID{}, map[pcommon.TraceID]string{}
	for _, w := range truth {
		if !w.Handler || isEarly(w) {
			continue
		}
		s, ok := pieceAt(pieces[w.Goroutine], (w.Begin+w.End)/2)
		if !ok || !s.ParentSpanID().IsEmpty() {
			off[way(w)+": a request is no root"]++
			continue
		}
		if requestOf[s.TraceID()] != "" {
			off[way(w)+": a request is in the trace of another"]++
		}
		traceOf[w.Request], requestOf[s.TraceID()] = s.TraceID(), w.Request
	}
	if missing := l.clients*l.rounds*(len(l.certain)+len(l.others)) - len(traceOf); missing != 0 {
		off["a request has no trace"] = missing
	}
	right, all := map[string]int{}, map[string]int{}
	for _, w := range truth {
		if w.Handler || isEarly(w) {
			continue
		}
		all[way(w)]++
		s, ok := pieceAt(pieces[w.Goroutine], (w.Begin+w.End)/2)
		switch {
		case !ok:
			off[way(w)+": work is nowhere"]++
		case s.TraceID() == traceOf[w.Request]:
			right[way(w)]++
		case requestOf[s.TraceID()] != "" && causeOf(s) == "assumed" && l.shares[way(w)] != 0:
		case requestOf[s.TraceID()] != "":
			off[way(w)+": work is in the trace of another"]++
		case slices.Contains(l.certain, way(w)):
			off[way(w)+": work is in no request's trace"]++
		}
	}
	if queued, early := queuedIn(spans); early != 0 || l.queued && queued == 0 {
		off[fmt.Sprintf("of %d items that are said to have waited, some were sent before what sent them began", queued)] = early
	}
	for way, share := range l.shares {
		if wrong := all[way] - right[way]; float64(right[way]) < share*float64(all[way]) || all[way] == 0 {
			off[fmt.Sprintf("%s: of %d pieces of work, some are not in the request's trace", way, all[way])] = wrong
		}
	}
	return off
}

// queuedIn counts the spans of work on items that had waited in a buffer, and those of which the item was there before its sender's span began.
func queuedIn(spans []ptrace.Span) (queued, early int) {
	byID := map[pcommon.SpanID]ptrace.Span{}
	for _, s := range spans {
		byID[s.SpanID()] = s
	}
	for _, s := range spans {
		seconds, ok := s.Attributes().Get("go.goroutine.queued.duration")
		if !ok {
			continue
		}
		queued++
		sent := s.StartTimestamp().AsTime().Add(-time.Duration(seconds.Double() * float64(time.Second)))
		if sender, ok := byID[s.ParentSpanID()]; ok && sent.Before(sender.StartTimestamp().AsTime().Add(-2*time.Microsecond)) {
			early++
		}
	}
	return queued, early
}

func way(w worked) string {
	name, _, _ := strings.Cut(w.Request, ".")
	return name
}

// isEarly tells whether a request was served before channels were known.
func isEarly(w worked) bool { return strings.HasSuffix(w.Request, ".early") }
