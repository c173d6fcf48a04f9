//go:build linux

package test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/otelgoroutine/goroutinereceiver/internal/otlptest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// withoutQueue makes the exporter's caller wait for the backend, as long as the exporter offers.
const withoutQueue = `
    sending_queue: {enabled: false}
`

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
	b, err := otlptest.StartAnswering(answer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Stop)
	exe := testbuild.Program(t, "storm", testbuild.Options{})
	links := linksOf(t)
	config := fmt.Sprintf(receiverOf, exe) + fmt.Sprintf("    retry_on_failure: {enabled: %t}\n", retry) + fmt.Sprintf(exporterTo, b.Endpoint())
	const insecure = "    tls: {insecure: true}\n"
	c := startCollector(t, strings.Replace(config, insecure, insecure+withoutQueue, 1))
	p := testbuild.Start(t, exe, "2", "1000000000")
	p.Line()
	c.await("Following process")
	p.GoOn()
	c.await("Exporting failed")
	began := time.Now()
	c.stop()
	if took := time.Since(began); took > patience/2 {
		t.Errorf("the collector took %v to end", took)
	}
	if now := linksOf(t); !maps.Equal(now, links) {
		t.Errorf("the kernel has links %v, before %v", now, links)
	}
}

const twoBackends = `
exporters:
  otlp_grpc/hangs:
    endpoint: %s
    tls: {insecure: true}
    sending_queue: {enabled: false}
  otlp_grpc:
    endpoint: %s
    tls: {insecure: true}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [goroutine], exporters: [otlp_grpc/hangs]}
    logs: {receivers: [goroutine], exporters: [otlp_grpc/hangs]}
    metrics: {receivers: [goroutine], exporters: [otlp_grpc]}
`

// TestHangingBackendDelaysNothingElse has a backend of traces and logs that never answers: processes that begin are followed nevertheless, and
// have metrics.
func TestHangingBackendDelaysNothingElse(t *testing.T) {
	testbuild.RequireRoot(t)
	hangs := make(chan struct{})
	var once sync.Once
	slow, err := otlptest.StartAnswering(func(ctx context.Context) error {
		once.Do(func() { close(hangs) })
		<-ctx.Done()
		return ctx.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(slow.Stop)
	b := newBackend(t)
	exe := testbuild.Program(t, "storm", testbuild.Options{})
	c := startCollector(t, fmt.Sprintf(receiverOf, exe)+fmt.Sprintf(twoBackends, slow.Endpoint(), b.Endpoint()))
	first := testbuild.Start(t, exe, "2", "1000000000")
	first.Line()
	c.await("Following process")
	first.GoOn()
	select {
	case <-hangs:
	case <-time.After(patience):
		t.Fatal("nothing was exported")
	}
	second := testbuild.Start(t, exe, "1", "1")
	second.Line()
	eventually(t, "metrics of the second process", func() bool {
		for _, rm := range b.ResourceMetrics() {
			if pid, _ := rm.Resource().Attributes().Get("process.pid"); pid.Int() == int64(second.PID()) {
				return true
			}
		}
		return false
	}, c.out.String)
}
