//go:build linux

package test

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestShutdownWithoutBackend ends the collector while its backend takes nothing: no probe is left, and nobody waits for the backend.
func TestShutdownWithoutBackend(t *testing.T) {
	testbuild.RequireRoot(t)
	for name, answer := range map[string]func(context.Context) error{
		"refuses": func(context.Context) error { return status.Error(codes.Unavailable, "not now") },
		"hangs":   func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	} {
		for _, retry := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, retry %t", name, retry), func(t *testing.T) {
				endsWithoutBackend(t, answer, retry)
			})
		}
	}
}

func endsWithoutBackend(t *testing.T, answer func(context.Context) error, retry bool) {
	b := e2etest.NewBackendAnswering(t, answer)
	exe := testbuild.Program(t, "storm", testbuild.Options{})
	links := e2etest.Links(t)
	receiver := e2etest.Following(exe)
	receiver.Retry = e2etest.Settings{"enabled": retry}
	config := e2etest.NewConfig(receiver)
	config.Export(e2etest.OTLPExporter, e2etest.WithoutQueue(b.Endpoint()), e2etest.Signals...)
	c := e2etest.StartCollector(t, config)
	p := testbuild.Start(t, exe, "2", "1000000000")
	p.Line()
	c.Await("Following process")
	p.GoOn()
	c.Await("Exporting failed")
	began := time.Now()
	c.Stop()
	if took := time.Since(began); took > e2etest.Patience/2 {
		t.Errorf("the collector took %v to end", took)
	}
	if now := e2etest.Links(t); !maps.Equal(now, links) {
		t.Errorf("the kernel has links %v, before %v", now, links)
	}
}

// TestHangingBackendDelaysNothingElse has a backend of traces and logs that never answers: processes that begin are followed nevertheless, and
// have metrics.
func TestHangingBackendDelaysNothingElse(t *testing.T) {
	testbuild.RequireRoot(t)
	hangs := make(chan struct{})
	var once sync.Once
	slow := e2etest.NewBackendAnswering(t, func(ctx context.Context) error {
		once.Do(func() { close(hangs) })
		<-ctx.Done()
		return ctx.Err()
	})
	b := e2etest.NewBackend(t)
	exe := testbuild.Program(t, "storm", testbuild.Options{})
	config := e2etest.NewConfig(e2etest.Following(exe))
	config.Export("otlp_grpc/hangs", e2etest.WithoutQueue(slow.Endpoint()), "traces", "logs")
	config.Export(e2etest.OTLPExporter, e2etest.OTLP(b.Endpoint()), "metrics")
	c := e2etest.StartCollector(t, config)
	first := testbuild.Start(t, exe, "2", "1000000000")
	first.Line()
	c.Await("Following process")
	first.GoOn()
	select {
	case <-hangs:
	case <-time.After(e2etest.Patience):
		t.Fatal("nothing was exported")
	}
	second := testbuild.Start(t, exe, "1", "1")
	second.Line()
	e2etest.Eventually(t, "metrics of the second process", func() bool {
		for _, rm := range b.ResourceMetrics() {
			if pid, _ := rm.Resource().Attributes().Get("process.pid"); pid.Int() == int64(second.PID()) {
				return true
			}
		}
		return false
	}, c.Out.String)
}
