package goexe

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/pclntab"
)

// program has functions at addresses, one a call, and others behind a bar into which they were inlined. Those with a star make their calls again and
// again, those with a plus others later.
type program struct {
	start string
	calls []string
}

func (p program) StartFunction(uint64) pclntab.Frame { return pclntab.Frame{Function: p.start} }

func (p program) Frames(pc uint64) (frames []pclntab.Frame) {
	for _, call := range strings.Split(p.calls[pc], "|") {
		frames = append(frames, pclntab.Frame{Function: strings.TrimRight(call, "*+"), File: "file.go"})
	}
	return frames
}

func (p program) Loop(pc uint64) (index int, later bool) {
	calls := strings.Split(p.calls[pc-1], "|")
	index = slices.IndexFunc(calls, func(call string) bool { return strings.HasSuffix(call, "*") })
	return index, index >= 0 || strings.HasSuffix(p.calls[pc-1], "+")
}

// stackOf returns a stack with the calls of a text, innermost first, with what all waits for file descriptors to read have in common.
func stackOf(text string) (calls []string, s *lifecycle.Stack) {
	const poll = "runtime.gopark internal/poll.runtime_pollWait internal/poll.(*pollDesc).wait internal/poll.(*FD).Read net.(*conn).Read"
	calls = strings.Fields(strings.Replace(text, "POLL", poll, 1))
	s = &lifecycle.Stack{}
	for i := range calls {
		s.PCs = append(s.PCs, uint64(i)+1) // a return address is behind its call
	}
	return calls, s
}

func TestPlaces(t *testing.T) {
	reasons := []string{"", reasonReceive, reasonSelect, reasonIO, reasonSleep, "sync.Mutex.Lock", reasonCond, reasonSend}
	const (
		receive = iota + 1
		selects
		io
		sleep
		mutex
		cond
	)
	const serve, grpc, nats = "net/http.(*conn).serve", "google.golang.org/grpc/internal/transport.", "github.com/nats-io/nats-server/v2/server."
	for name, c := range map[string]struct {
		start, stack string
		reason       uint8
		want         lifecycle.Place
	}{
		"its own receive":                                {stack: "runtime.gopark runtime.chanrecv2 main.worker runtime.goexit", reason: receive, want: lifecycle.Place{Source: lifecycle.Channel, Channels: true, Own: true}},
		"behind a wrapper":                               {stack: "runtime.gopark runtime.chanrecv2 main.worker main.main.gowrap1 runtime.goexit", reason: receive, want: lifecycle.Place{Source: lifecycle.Channel, Channels: true, Own: true}},
		"started by a WaitGroup":                         {stack: "runtime.gopark runtime.chanrecv2 main.worker sync.(*WaitGroup).Go.func1 runtime.goexit", reason: receive, want: lifecycle.Place{Source: lifecycle.Channel, Channels: true, Own: true}},
		"a loop that a literal calls":                    {start: "main.main.func1", stack: "runtime.gopark runtime.chanrecv2 main.worker* main.main.func1 runtime.goexit", reason: receive, want: lifecycle.Place{Source: lifecycle.Channel, Channels: true, Own: true, Loop: "main.worker"}},
		"a loop in a literal that a group calls":         {start: "errgroup.(*Group).Go.func1", stack: "runtime.gopark runtime.chanrecv2 main.run.func2* errgroup.(*Group).Go.func1 runtime.goexit", reason: receive, want: lifecycle.Place{Source: lifecycle.Channel, Channels: true, Own: true, Loop: "main.run.func2"}},
		"a loop that a WaitGroup calls":                  {start: "sync.(*WaitGroup).Go.func1", stack: "runtime.gopark runtime.chanrecv1 main.(*pool).next main.(*pool).run* main.main.func3 sync.(*WaitGroup).Go.func1 runtime.goexit", reason: receive, want: lifecycle.Place{Source: lifecycle.Channel, Channels: true, Loop: "main.(*pool).run"}},
		"a literal that is a loop":                       {start: "main.main.func1", stack: "runtime.gopark runtime.chanrecv1 main.(*queue).next main.main.func1* runtime.goexit", reason: receive, want: lifecycle.Place{Source: lifecycle.Channel, Channels: true}},
		"a literal that calls once what does not repeat": {start: "main.main.func1", stack: "runtime.gopark runtime.chanrecv1 main.fetch main.main.func1 runtime.goexit", reason: receive, want: lifecycle.Place{Source: lifecycle.Channel, Channels: true}},
		"a literal that is a loop later":                 {start: "main.main.func1", stack: "runtime.gopark runtime.chanrecv1 runtime.sigenable os/signal.Notify* main.main.func1+ runtime.goexit", reason: receive, want: lifecycle.Place{Source: lifecycle.Channel, Channels: true}},
		"a loop that is inlined into a literal":          {start: "main.main.func1", stack: "runtime.gopark runtime.chanrecv2 main.worker*|main.main.func1 runtime.goexit", reason: receive, want: lifecycle.Place{Source: lifecycle.Channel, Channels: true, Own: true, Loop: "main.worker"}},
		"a function that calls a loop":                   {start: "main.serve", stack: "runtime.gopark runtime.chanrecv1 main.loop* main.serve runtime.goexit", reason: receive, want: lifecycle.Place{Source: lifecycle.Channel, Channels: true}},
		"a loop of a package that passes a wait on":      {start: "main.main.func1", stack: "runtime.gopark internal/poll.runtime_pollWait internal/poll.(*pollDesc).wait internal/poll.(*FD).Read* net.(*conn).Read main.main.func1 runtime.goexit", reason: io, want: lifecycle.Place{Source: lifecycle.Network, Own: true}},
		"in what it calls":                               {stack: "runtime.gopark runtime.chanrecv1 main.(*pool).next main.(*pool).run runtime.goexit", reason: receive, want: lifecycle.Place{Source: lifecycle.Channel, Channels: true}},
		"the main goroutine":                             {stack: "runtime.gopark runtime.selectgo main.main runtime.main runtime.goexit", reason: selects, want: lifecycle.Place{Source: lifecycle.Channel, Own: true, Select: true, Channels: true}},
		"through a package":                              {stack: "runtime.gopark sync.(*Cond).Wait main.worker runtime.goexit", reason: cond, want: lifecycle.Place{Source: lifecycle.Channel, Own: true}},
		"a sleep":                                        {stack: "runtime.gopark time.Sleep main.refresh runtime.goexit", reason: sleep, want: lifecycle.Place{Source: lifecycle.Timer, Own: true}},
		"a mutex":                                        {stack: "runtime.gopark sync.(*Mutex).Lock main.worker runtime.goexit", reason: mutex},
		"a stack that is cut off":                        {stack: "runtime.gopark runtime.chanrecv2 main.worker", reason: receive},
		"a write":                                        {stack: "runtime.gopark internal/poll.(*pollDesc).waitWrite internal/poll.(*FD).Write net.(*conn).Write main.worker runtime.goexit", reason: io},
		"a read":                                         {stack: "POLL main.worker runtime.goexit", reason: io, want: lifecycle.Place{Source: lifecycle.Network, Own: true}},
		"a listener":                                     {stack: "runtime.gopark internal/poll.(*FD).Accept net.(*TCPListener).Accept net/http.(*Server).Serve main.main runtime.main runtime.goexit", reason: io, want: lifecycle.Place{Source: lifecycle.Network, Accepts: true}},
		"the next request":                               {start: serve, stack: "POLL bufio.(*Reader).fill bufio.(*Reader).Peek " + serve + " runtime.goexit", reason: io, want: lifecycle.Place{Source: lifecycle.Network, Own: true, Listed: true, Home: true}},
		"the first request":                              {start: serve, stack: "POLL bufio.(*Reader).fill net/http.readRequest net/http.(*conn).readRequest " + serve + " runtime.goexit", reason: io, want: lifecycle.Place{Source: lifecycle.Network, Listed: true, Home: true, Opening: true}},
		"the body of a request":                          {start: serve, stack: "POLL bufio.(*Reader).fill bufio.(*Reader).Peek net/http.serverHandler.ServeHTTP " + serve + " runtime.goexit", reason: io, want: lifecycle.Place{Source: lifecycle.Network, Listed: true}},
		"a handler":                                      {start: serve, stack: "runtime.gopark runtime.chanrecv1 main.handle net/http.serverHandler.ServeHTTP " + serve + " runtime.goexit", reason: receive, want: lifecycle.Place{Source: lifecycle.Channel, Channels: true, Listed: true}},
		"an HTTP/2 connection":                           {start: serve, stack: "runtime.gopark runtime.selectgo net/http.(*http2serverConn).serve net/http.(*http2Server).ServeConn " + serve + " runtime.goexit", reason: selects, want: lifecycle.Place{Source: lifecycle.Channel, Select: true, Channels: true, Listed: true, Home: true, Carries: true}},
		"frames":                                         {start: "net/http.(*http2serverConn).readFrames", stack: "POLL io.ReadFull net/http.http2readFrameHeader net/http.(*http2Framer).ReadFrame net/http.(*http2serverConn).readFrames runtime.goexit", reason: io, want: lifecycle.Place{Source: lifecycle.Network, Listed: true, Home: true, Carries: true}},
		"a frame that is taken":                          {start: "net/http.(*http2serverConn).readFrames", stack: "runtime.gopark runtime.selectgo net/http.(*http2serverConn).readFrames runtime.goexit", reason: selects, want: lifecycle.Place{Source: lifecycle.Channel, Own: true, Select: true, Channels: true, Listed: true, Carries: true}},
		"a writer of frames":                             {stack: "runtime.gopark runtime.selectgo " + grpc + "(*controlBuffer).get " + grpc + "(*loopyWriter).run " + grpc + "NewServerTransport.func2 runtime.goexit", reason: selects, want: lifecycle.Place{Source: lifecycle.Channel, Select: true, Channels: true, Carries: true}},
		"a writer of messages":                           {stack: "runtime.gopark sync.(*Cond).Wait " + nats + "(*client).writeLoop " + nats + "(*Server).startGoRoutine.func1 runtime.goexit", reason: cond, want: lifecycle.Place{Source: lifecycle.Channel, Carries: true}},
		"a reader of messages":                           {stack: "POLL " + nats + "(*client).readLoop " + nats + "(*Server).startGoRoutine.func1 runtime.goexit", reason: io, want: lifecycle.Place{Source: lifecycle.Network}},
	} {
		t.Run(name, func(t *testing.T) {
			calls, s := stackOf(c.stack)
			p := NewPlaces(program{c.start, calls}, reasons, Traits{}, 0)
			got := p.Wait(0, c.reason, s)
			if (got.Key != 0) != (c.want.Source != lifecycle.Elsewhere) {
				t.Errorf("the key is %d", got.Key)
			}
			if diff := cmp.Diff(c.want, got, cmpopts.IgnoreFields(lifecycle.Place{}, "Key", "Path")); diff != "" {
				t.Error(diff)
			}
			if again := p.Wait(0, c.reason, s); again != got {
				t.Errorf("it is %v at the second time", again)
			}
		})
	}
}

// TestReadsAndWaitsAreCompared has the same line read and wait, and another.
func TestReadsAndWaitsAreCompared(t *testing.T) {
	paths := map[string]uint64{}
	for _, text := range []string{
		"POLL main.(*client).read main.loop runtime.goexit",
		"syscall.read syscall.Read internal/poll.(*FD).Read net.(*conn).Read main.(*client).read main.loop runtime.goexit",
		"syscall.read syscall.Read internal/poll.(*FD).Read net.(*conn).Read main.(*client).body main.loop runtime.goexit",
		"syscall.write syscall.Write internal/poll.(*FD).Write net.(*conn).Write main.(*client).read main.loop runtime.goexit",
	} {
		calls, s := stackOf(text)
		p := NewPlaces(program{"main.loop", calls}, []string{reasonIO}, Traits{}, 0)
		if text[0] == 'P' {
			paths[text] = p.Wait(0, 0, s).Path
		} else {
			paths[calls[0]+" "+calls[4]] = p.Read(0, s).Path
		}
	}
	wait, read := paths["POLL main.(*client).read main.loop runtime.goexit"], paths["syscall.read main.(*client).read"]
	if wait == 0 || read != wait || paths["syscall.read main.(*client).body"] == wait || paths["syscall.write main.(*client).read"] != 0 {
		t.Errorf("the paths are %v", paths)
	}
}

func TestRoles(t *testing.T) {
	for function, want := range map[string]lifecycle.Role{
		"runtime.main": lifecycle.Main, "main.main": lifecycle.Ordinary, "net/http.(*conn).serve": lifecycle.Ordinary,
		"google.golang.org/grpc.(*Server).serveStreams.func1.1": lifecycle.Request, "google.golang.org/grpc.(*Server).serveStreams.func2.1": lifecycle.Request,
		"net/http.(*http2serverConn).runHandler": lifecycle.Request, "net/http.(*http2serverConn).writeFrameAsync": lifecycle.Helper,
	} {
		if got := NewPlaces(program{start: function}, nil, Traits{}, 0).Role(1); got != want {
			t.Errorf("the role of %s is %d, want %d", function, got, want)
		}
	}
}

// TestAwaits has goroutines wait for what others do for them, and for others to be done with something.
func TestAwaits(t *testing.T) {
	reasons := []string{reasonReceive, reasonSelect, reasonCond, reasonGroup, reasonSend, reasonIO, reasonSleep, "sync.Mutex.Lock", "semacquire"}
	p := NewPlaces(program{}, reasons, Traits{}, 0)
	var awaits, locks []string
	for i := range len(reasons) + 1 {
		if p.Awaits(uint8(i)) {
			awaits = append(awaits, reasons[i])
		}
		if p.Locks(uint8(i)) {
			locks = append(locks, reasons[i])
		}
	}
	if diff := cmp.Diff([]string{"sync.Mutex.Lock"}, locks); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{reasonReceive, reasonSelect, reasonCond, reasonGroup}, awaits); diff != "" {
		t.Error(diff)
	}
}
