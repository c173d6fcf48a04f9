//go:build linux

package telemetry

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

func TestGoName(t *testing.T) {
	for function, want := range map[string]string{
		"runtime.main":           "main goroutine",
		"main.worker":            "go main.worker",
		"net/http.(*conn).serve": "go http.(*conn).serve",
		"main.answer.func1":      "go main.answer.func1",
		"github.com/miekg/dns.(*Server).serveUDPPacket":            "go dns.(*Server).serveUDPPacket",
		"go.etcd.io/etcd/server/v3/etcdserver.(*EtcdServer).run":   "go etcdserver.(*EtcdServer).run",
		"github.com/nats-io/nats-server/v2.Run":                    "go nats-server.Run",
		"gopkg.in/yaml%2ev3.parse":                                 "go yaml.v3.parse",
		"v2.run":                                                   "go v2.run",
		"sync.(*Pool[go.shape.struct { net/http.Handler }]).Get":   "go sync.(*Pool[...]).Get",
		"example.com/a/b.Each[go.shape.[]example.com/c.D].func1.2": "go b.Each[...].func1.2",
		"": "goroutine",
	} {
		assert.Equal(t, want, goName(function), function)
	}
}

func TestStateName(t *testing.T) {
	for _, test := range []struct {
		state            lifecycle.State
		reason, function string
		want             string
	}{
		{lifecycle.Running, "", "", "running"},
		{lifecycle.Runnable, "", "", "runnable (waits for a CPU)"},
		{lifecycle.Syscall, "", "", "syscall"},
		{lifecycle.Syscall, "", "example.com/shop.(*Log).write", "syscall in shop.(*Log).write"},
		{lifecycle.Waiting, "sync.Mutex.Lock", "main.readCache", "sync.Mutex.Lock in main.readCache"},
		{lifecycle.Waiting, "sleep", "", "sleep"},
		{lifecycle.Waiting, "", "", "waiting"},
		{lifecycle.Waiting, "", "main.f", "waiting in main.f"},
	} {
		assert.Equal(t, test.want, stateName(test.state, test.reason, test.function))
	}
}

func TestRequestName(t *testing.T) {
	for handler, want := range map[string]string{
		"main.answer": "main.answer",
		"go.etcd.io/etcd/api/v3/etcdserverpb._KV_Range_Handler":         "KV/Range",
		"github.com/coredns/coredns/plugin/forward.(*Forward).ServeDNS": "forward.(*Forward).ServeDNS",
	} {
		assert.Equal(t, want, requestName(handler))
	}
}

// TestNamesOfLoops has a goroutine whose work another function does than the one that it was started for, and a piece of that.
func TestNamesOfLoops(t *testing.T) {
	p := hostileProcess(t, "func1")
	s := NewSpans(scope, testClock(), SpanOptions{States: StateSpans})
	for _, cause := range []lifecycle.Cause{lifecycle.NoEpisode, lifecycle.Exact} {
		s.Add(p, &lifecycle.Goroutine{GoID: 9, Tree: lifecycle.Tree{Root: 9}, StartPC: 1, End: 1_000_000, Cause: cause, Loop: "example.com/shop.(*Cart).run"})
	}
	var names []string
	for _, span := range s.Take().ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
		names = append(names, span.Name())
	}
	if want := []string{"go shop.(*Cart).run", "shop.(*Cart).run"}; !slices.Equal(names, want) {
		t.Errorf("they are called %q, want %q", names, want)
	}
}
