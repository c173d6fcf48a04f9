//go:build linux

package test

import (
	"net/http"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestWakerLinks has requests hand jobs to workers, of which it is not known for which request they are: the links to who woke a worker, and to who ended
// another wait, lead to a span that shows what that one did then, though that took a moment only.
func TestWakerLinks(t *testing.T) {
	testbuild.RequireRoot(t)
	exe := testbuild.Program(t, "pool", testbuild.Options{})
	for _, engine := range engines {
		t.Run(engine, func(t *testing.T) {
			if engine != "uprobe" {
				requireTrampolines(t)
			}
			b := e2etest.NewBackend(t)
			receiver := followingBy(engine, exe)
			receiver.Traces.Noise = "fold"
			c := e2etest.StartCollector(t, e2etest.Exporting(receiver, b.Endpoint()))
			client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
			url := "http://" + testbuild.Start(t, exe).Line()
			c.Await("Following process")
			ask(t, client, url+"/queued", 3*keepAlive)
			client.CloseIdleConnections()
			c.Stop()
			links, good := e2etest.WakerLinks(b.Spans())
			if links < 3*keepAlive || float64(good) < 0.95*float64(links) {
				t.Errorf("%d of %d links lead to a state of who ended a wait", good, links)
			}
		})
	}
}
