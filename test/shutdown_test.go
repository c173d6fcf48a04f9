package test

import (
	"context"
	"fmt"
	"maps"
	"strings"
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
