package probe

import (
	"errors"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

func newTracer(t testing.TB) *Tracer {
	t.Helper()
	testbuild.RequireRoot(t)
	tracer, err := New(Options{MaxGoroutines: 4096})
	var verifier *ebpf.VerifierError
	if errors.As(err, &verifier) {
		t.Fatalf("%+v", verifier)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tracer.Close(); err != nil {
			t.Error(err)
		}
	})
	return tracer
}

func TestKernelTakesThePrograms(t *testing.T) {
	newTracer(t)
}
