package goexe

import (
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/pclntab"
)

func TestLeaf(t *testing.T) {
	frame := func(function, file string) pclntab.Frame {
		return pclntab.Frame{Function: function, File: file, Line: 1}
	}
	goexit := frame("runtime.goexit", "/go/src/runtime/asm_amd64.s")
	park := frame("runtime.gopark", "/go/src/runtime/proc.go")
	for _, test := range []struct {
		name   string
		frames []pclntab.Frame
		want   string
	}{
		{"none", nil, ""},
		{"sleep", []pclntab.Frame{park, frame("time.Sleep", "/go/src/runtime/time.go"), frame("main.f", "/main.go"), goexit}, "main.f"},
		{"trimmed path", []pclntab.Frame{frame("reflect.chanrecv", "runtime/chan.go"), frame("reflect.Value.Recv", "reflect/value.go")}, "reflect.Value.Recv"},
		{"mutex", []pclntab.Frame{park, frame("sync.runtime_Semacquire", "/go/src/runtime/sema.go"), frame("internal/sync.(*Mutex).Lock", "/go/src/internal/sync/mutex.go"), frame("sync.(*Mutex).Lock", "/go/src/sync/mutex.go"), frame("main.f", "/main.go")}, "main.f"},
		{"network", []pclntab.Frame{frame("internal/poll.(*FD).Read", "x.go"), frame("net.(*conn).Read", "net/net.go"), frame("net/http.(*connReader).Read", "net/http/server.go")}, "net/http.(*connReader).Read"},
		{"generic", []pclntab.Frame{frame("sync.(*Pool[go.shape.struct { net/http.Handler }]).Get", "p.go"), frame("iter.Pull[go.shape.int].func2", "i.go"), frame("example.com/sync.Wait[...]", "w.go")}, "example.com/sync.Wait[...]"},
		{"a package called runtime", []pclntab.Frame{park, frame("k8s.io/apimachinery/pkg/runtime.Wait", "/k8s.io/apimachinery/pkg/runtime/wait.go")}, "k8s.io/apimachinery/pkg/runtime.Wait"},
		{"the runtime's own", []pclntab.Frame{park, frame("runtime.gcBgMarkWorker", "/go/src/runtime/mgc.go"), goexit}, "runtime.gcBgMarkWorker"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Leaf(test.frames); got.Function != test.want {
				t.Errorf("it blocks in %q, want %q", got.Function, test.want)
			}
		})
	}
}

// calls are what is at addresses, by what is behind them.
type calls map[uint64][]pclntab.Frame

func (calls) StartFunction(uint64) pclntab.Frame { return pclntab.Frame{} }
func (c calls) Frames(pc uint64) []pclntab.Frame { return c[pc+1] }

func TestLeaves(t *testing.T) {
	frame := func(function string) pclntab.Frame { return pclntab.Frame{Function: function, File: "x.go"} }
	const park, lock, inlined, serve, goexit, bias = 10, 20, 30, 40, 50, 0x1000
	l := NewLeaves(calls{
		park: {frame("runtime.gopark")}, lock: {frame("internal/sync.(*Mutex).lockSlow")},
		inlined: {frame("sync.(*Mutex).Lock"), frame("main.f")}, serve: {frame("net/http.(*conn).serve")}, goexit: {frame("runtime.goexit")},
	}, bias)
	for name, test := range map[string]struct {
		stack []uint64
		want  uint64
	}{
		"none":                        {nil, 0},
		"the program's own":           {[]uint64{park, lock, inlined, serve, goexit}, inlined},
		"a library's":                 {[]uint64{park, serve, goexit}, serve},
		"the runtime's":               {[]uint64{park, lock, goexit}, lock},
		"not to its end":              {[]uint64{park, lock}, lock},
		"an address that is not told": {[]uint64{park, 0, inlined, goexit}, inlined},
	} {
		for range 2 { // the second time, addresses are known
			var stack []uint64
			for _, pc := range test.stack {
				if pc != 0 {
					pc += bias
				}
				stack = append(stack, pc)
			}
			want := test.want
			if want != 0 {
				want += bias
			}
			if got := l.Of(stack); got != want {
				t.Errorf("%s: the leaf is %#x, want %#x", name, got, want)
			}
		}
	}
}
