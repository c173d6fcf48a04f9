//go:build linux

package test

import (
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestReplies has workers take jobs out of buffers and lists, of which nobody tells, at low load and when there are more jobs than workers. Whom they
// answer tells for whom they have worked. Of the stages of a pipeline only the last one answers. With trampolines all but lists is
// known.
func TestReplies(t *testing.T) {
	testbuild.RequireRoot(t)
	exe := testbuild.Program(t, "causes", testbuild.Options{})
	for name, clients := range map[string]int{"one client": 1, "many clients": 8} {
		t.Run("uprobe/"+name, func(t *testing.T) {
			testCauses(t, exe, "uprobe", load{
				others: []string{"queued", "picked", "listed", "staged", "kept"}, clients: clients, rounds: 20,
				shares:  map[string]float64{"queued": 0.9, "picked": 0.9, "listed": 0.8, "staged": 0.3},
				assumed: map[string]int{"main.takes": 2, "main.picks": 2, "main.lists": 2, "main.passes": 1},
			})
		})
		t.Run("trampoline/"+name, func(t *testing.T) {
			requireTrampolines(t)
			testCauses(t, exe, "trampoline", load{
				others: []string{"listed"}, clients: clients, rounds: 30,
				shares: map[string]float64{"listed": 0.8}, assumed: map[string]int{"main.lists": 2},
			})
		})
	}
}
