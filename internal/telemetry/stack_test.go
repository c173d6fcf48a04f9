//go:build linux

package telemetry

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
			if got := leafOf(test.frames); got.Function != test.want {
				t.Errorf("it blocks in %q, want %q", got.Function, test.want)
			}
		})
	}
}
