package probe

import (
	"errors"
	"os"
	"testing"

	"github.com/cilium/ebpf"
)

func requireRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("CI must run the tests as root: BPF programs cannot be loaded")
	}
	t.Skip("NOT TESTED: BPF programs can be loaded only by root")
}

func newTracer(t testing.TB) *Tracer {
	t.Helper()
	requireRoot(t)
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
