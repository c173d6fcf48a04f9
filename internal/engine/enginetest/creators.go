//go:build linux

package enginetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// creations are how the program creators creates goroutines, by the functions that they are started for: the calls that led there, innermost
// first. A timer's goroutine has no creator, as a thread's own work starts it.
var creations = map[string][]string{
	"main.ofItself":         {"main.byItself", "main.main", "runtime.main", "runtime.goexit"},
	"main.ofLibrary":        {"example.com/lib.start", "example.com/lib.start", "example.com/lib.Go", "main.byLibrary", "main.main", "runtime.main", "runtime.goexit"},
	"main.ofInlinedLibrary": {"example.com/lib.GoInlined", "main.byInlinedLibrary", "main.main", "runtime.main", "runtime.goexit"},
	"main.ofDeepDown":       append([]string{"example.com/lib.start", "example.com/lib.start", "example.com/lib.Go"}, slices.Repeat([]string{"main.deepDown"}, 21)...),
	"main.ofTimer":          nil,
}

// creatorStacks has goroutines created by the calls that did so, if stacks are wanted.
func creatorStacks(t *test) {
	for _, release := range []string{"go1.18.10", "go1.22.12", testbuild.Newest} {
		p := t.buildBy(release, "creators")
		for _, wanted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", release, wanted), func(in *testing.T) {
				t := &test{T: in, start: t.start}
				s := everything
				s.Stacks = wanted
				p := &program{Running: testbuild.Start(t, p.exe), t: t, binary: p.binary, exe: p.exe}
				p.Line()
				t.follow(p, options, s).requireCreators(wanted)
			})
		}
	}
}

// leastCalls is how many calls are told at least, if there are so many.
const leastCalls = 23

// requireCreators compares the calls that led to creations with those that are known, if they are wanted.
func (f *followed) requireCreators(wanted bool) {
	f.t.Helper()
	f.adoptAll(true)
	f.step("done")
	told := func(all []lifecycle.Event) (created []lifecycle.Event) {
		for _, e := range all {
			if _, is := creations[f.start(e.StartPC)]; is && e.Kind == lifecycle.Created {
				created = append(created, e)
			}
		}
		return created
	}
	all := f.t.eventsOf(f.engine, f.PID(), func(all []lifecycle.Event) bool { return len(told(all)) >= len(creations) })
	for _, e := range told(all) {
		name := f.start(e.StartPC)
		want, calls := creations[name], f.calls(e.CreatorStack)
		require.Equal(f.t, want == nil, e.Parent == 0, "%s has no creator", name)
		if !wanted || want == nil {
			require.Empty(f.t, calls, name)
			continue
		}
		require.Equal(f.t, e.CreationPC, e.CreatorStack[0], name)
		require.GreaterOrEqual(f.t, len(calls), min(len(want), leastCalls), name)
		n := min(len(want), len(calls))
		require.Equal(f.t, want[:n], calls[:n], name)
	}
}

// calls returns the functions of a stack, innermost first.
func (p *program) calls(stack []uint64) (all []string) {
	for _, pc := range stack {
		for _, frame := range p.binary.Frames(pc - 1) {
			all = append(all, frame.Function)
		}
	}
	return all
}
