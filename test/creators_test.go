//go:build linux

package test

import (
	"maps"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestCreators follows a program for which a library starts goroutines, with each engine: their spans name the function of the program that
// called the library, those of others do not.
func TestCreators(t *testing.T) {
	testbuild.RequireRoot(t)
	want := map[string]string{
		"main.ofItself": "", "main.ofTimer": "", "main.ofLibrary": "main.byLibrary", "main.ofInlinedLibrary": "main.byInlinedLibrary", "main.ofDeepDown": "main.deepDown",
	}
	exe := testbuild.Program(t, "creators", testbuild.Options{})
	for _, engine := range []string{"uprobe", "trampoline"} {
		t.Run(engine, func(t *testing.T) {
			if engine == "trampoline" {
				requireTrampolines(t)
			}
			b := e2etest.NewBackend(t)
			receiver := e2etest.Following(exe)
			if err := receiver.Set("engine: " + engine); err != nil {
				t.Fatal(err)
			}
			c := e2etest.StartCollector(t, e2etest.Exporting(receiver, b.Endpoint()))
			p := testbuild.Start(t, exe)
			p.Line()
			c.Await("Following process")
			p.GoOn()
			p.Line()
			c.Stop()
			got := map[string]string{}
			for _, s := range b.Spans() {
				start := e2etest.StartFunction(s)
				if _, is := want[start]; is {
					caller, _ := s.Attributes().AsRaw()["go.goroutine.creator.caller.function"].(string)
					got[start] = caller
				}
			}
			if !maps.Equal(got, want) {
				t.Errorf("goroutines were created by way of %v, want %v", got, want)
			}
		})
	}
}
