//go:build linux && matrix

package test

import (
	"net/http"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestPrograms follows programs that people run, built as they are, under some requests.
func TestPrograms(t *testing.T) {
	testbuild.RequireRoot(t)
	for _, s := range e2etest.Servers {
		if s.Probe == "" {
			continue // the benchmark knows how to speak to it
		}
		t.Run(s.Name, func(t *testing.T) {
			exe, err := s.Build()
			if err != nil {
				t.Fatal(err)
			}
			backend := e2etest.NewBackend(t)
			c := e2etest.StartCollector(t, e2etest.Exporting(e2etest.Following(exe), backend.Endpoint()))
			running, address, err := s.Start(exe, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer e2etest.StopServer(running)
			c.Await("Following process")
			served := 0
			e2etest.Eventually(t, s.Name+" to serve", func() bool {
				if response, err := http.Get("http://" + address + s.Probe); err == nil {
					response.Body.Close()
					served++
				}
				return served == 50
			}, running.Stderr.(*e2etest.Buffer).String)
			http.DefaultClient.CloseIdleConnections()
			e2etest.Eventually(t, "spans of connections", func() bool {
				for _, span := range backend.Spans() {
					if e2etest.StartFunction(span) == "net/http.(*conn).serve" {
						return true
					}
				}
				return false
			}, c.Out.String)
			if c.Out.Has("\twarn\t") {
				t.Errorf("the collector warned:\n%s", c.Out)
			}
		})
	}
}
