package goexe

import (
	"slices"
	"strings"

	"github.com/otelgoroutine/goroutinereceiver/internal/pclntab"
)

// stack is the source-level calls of a goroutine, innermost first.
type stack []pclntab.Frame

func (s stack) has(function string) bool {
	return slices.ContainsFunc(s, func(f pclntab.Frame) bool { return f.Function == function })
}

func (s stack) carries() bool {
	return slices.ContainsFunc(s, func(f pclntab.Frame) bool { return carriers[f.Function] })
}

// hasAny tells whether one of the calls is of a function whose name ends in one of some ways, with which packages are copied.
func (s stack) hasAny(ends ...string) bool {
	return slices.ContainsFunc(s, func(f pclntab.Frame) bool {
		return slices.ContainsFunc(ends, func(end string) bool { return strings.HasSuffix(f.Function, end) })
	})
}

// Texts of reasons to wait (runtime.waitReasonStrings in runtime/runtime2.go).
const (
	reasonReceive = "chan receive"
	reasonSend    = "chan send"
	reasonSelect  = "select"
	reasonCond    = "sync.Cond.Wait"
	reasonGroup   = "sync.WaitGroup.Wait"
	reasonIO      = "IO wait"
	reasonSleep   = "sleep"
)

// home tells, of a place at which a goroutine waits or reads, whether it waits for its next piece of work there. A first one may wait
// elsewhere than those after it.
type home func(reason string, s stack) (is, first bool)

// homes are those of goroutines that libraries start, of which the rule for others would find another.
var homes = map[string]home{
	"net/http.(*conn).serve":                           ofConnection,
	"net/http.(*http2serverConn).readFrames":           ofFrames,
	"golang.org/x/net/http2.(*serverConn).readFrames":  ofFrames,
	"net/http/internal/http2.(*serverConn).readFrames": ofFrames,
	"net/http.(*http2serverConn).serve":                ofHTTP2,
	"golang.org/x/net/http2.(*serverConn).serve":       ofHTTP2,
}

// requests are functions of which each goroutine serves one request; literals are without their numbers, which differ between releases.
var requests = map[string]bool{
	"net/http.(*http2serverConn).runHandler":             true,
	"golang.org/x/net/http2.(*serverConn).runHandler":    true,
	"net/http/internal/http2.(*serverConn).runHandler":   true,
	"google.golang.org/grpc.(*Server).serveStreams.func": true,
	"github.com/miekg/dns.(*Server).serveUDPPacket":      true,
}

// carriers are functions that read and write for others what comes and goes by a connection. A request has a goroutine of its own, and these do no
// work for it; NATS's reader does, which is none of them.
var carriers = map[string]bool{
	// google.golang.org/grpc/internal/transport: http2_server.go, http2_client.go, controlbuf.go
	"google.golang.org/grpc/internal/transport.(*http2Server).HandleStreams": true,
	"google.golang.org/grpc/internal/transport.(*http2Client).reader":        true,
	"google.golang.org/grpc/internal/transport.(*loopyWriter).run":           true,
	// net/http: h2_bundle.go; golang.org/x/net/http2: server.go, transport.go
	"net/http.(*http2serverConn).readFrames":            true,
	"net/http.(*http2serverConn).serve":                 true,
	"net/http.(*http2clientConnReadLoop).run":           true,
	"golang.org/x/net/http2.(*serverConn).readFrames":   true,
	"golang.org/x/net/http2.(*serverConn).serve":        true,
	"golang.org/x/net/http2.(*clientConnReadLoop).run":  true,
	"net/http/internal/http2.(*serverConn).readFrames":  true,
	"net/http/internal/http2.(*serverConn).serve":       true,
	"net/http/internal/http2.(*clientConnReadLoop).run": true,
	// github.com/nats-io/nats-server/v2/server: client.go
	"github.com/nats-io/nats-server/v2/server.(*client).writeLoop": true,
}

const (
	httpHandler = "net/http.serverHandler.ServeHTTP"
	httpRequest = "net/http.(*conn).readRequest"
	http2Serve  = "erverConn).serve"
	acceptCall  = "internal/poll.(*FD).Accept"
)

// ofConnection is that of a connection of net/http: between two requests it peeks at what comes (server.go), before the first it reads it.
// An HTTP/2 connection has no more to do itself than to gather.
func ofConnection(reason string, s stack) (is, first bool) {
	switch {
	case s.hasAny(http2Serve):
		return ofHTTP2(reason, s)
	case reason != reasonIO || s.has(httpHandler):
		return false, false
	case s.has(httpRequest):
		return s.has("net/http.readRequest") || s.has("net/http.readRequestLimit"), true // since Go 1.27
	default:
		return s.has("bufio.(*Reader).Peek"), false
	}
}

func ofHTTP2(reason string, s stack) (is, first bool) {
	return reason == reasonSelect && s.hasAny(http2Serve), false
}

// ofFrames is that of a reader of HTTP/2 frames; its select only waits until a frame has been taken.
func ofFrames(reason string, s stack) (is, first bool) {
	return reason == reasonIO && s.hasAny("ramer).ReadFrame", "ramer).ReadFrameHeader", "2readFrameHeader", "2.readFrameHeader"), false
}

// writes tells whether a wait for a file descriptor is to write or to connect.
func (s stack) writes() bool {
	return s.hasAny("internal/poll.(*FD).Write", "internal/poll.(*FD).WaitWrite", "internal/poll.(*pollDesc).waitWrite", "internal/poll.(*FD).Writev")
}

// reads tells whether a system call is one to read from a file descriptor.
func (s stack) reads() bool {
	return slices.ContainsFunc(s, func(f pclntab.Frame) bool { return strings.HasPrefix(f.Function, "internal/poll.(*FD).Read") })
}

// body returns the calls from the function on that the goroutine was started for, without wrappers of the compiler. ok is false if that
// function is not among them.
func (s stack) body() (body stack, ok bool) {
	bottom := slices.IndexFunc(s, IsBottom)
	if bottom < 0 {
		return nil, false
	}
	body = written(s[:bottom])
	for n := len(body); n > 1 && IsPassthrough(body[n-1]) && !IsPassthrough(body[n-2]); n-- { // runtime.main, and sync.(*WaitGroup).Go
		body = body[:n-1]
	}
	return body, len(body) > 0
}

// written returns the calls without those of wrappers of the compiler.
func written(s stack) (all stack) {
	for _, f := range s {
		if !isCompilers(f) {
			all = append(all, f)
		}
	}
	return all
}

// isCompilers tells whether a function is one that the compiler makes for a go or defer statement with arguments
// (cmd/compile/internal/ir/func.go: closureName).
func isCompilers(f pclntab.Frame) bool {
	name := strings.TrimRight(f.Function, "0123456789")
	return f.File == Autogenerated || strings.HasSuffix(name, ".gowrap") || strings.HasSuffix(name, ".deferwrap") || strings.HasSuffix(name, wrapperOf117)
}

// waitsItself tells whether the function that the goroutine was started for waits itself, if only by packages that pass the wait on.
func (s stack) waitsItself() bool { return len(s) == 1 || IsPassthrough(s[len(s)-2]) }
