package goexe

import (
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestLoops looks at calls of the runtime that are made again and again, and at others.
func TestLoops(t *testing.T) {
	for _, release := range []string{testbuild.Versions[0], testbuild.Newest} {
		for _, goarch := range []string{"amd64", "arm64"} {
			if !supports(release, goarch) {
				continue
			}
			t.Run(release+"/"+goarch, func(t *testing.T) {
				b := analysed(t, testbuild.Program(t, "lifecycle", testbuild.Options{Version: release, Env: []string{"GOARCH=" + goarch}}))
				for function, first := range map[string]struct {
					of              string
					repeated, later bool
				}{
					"runtime.forcegchelper": {"runtime.gopark", true, true},
					"runtime.bgsweep":       {"runtime.gopark", false, true}, // it waits once before its loop
					"runtime.gcenable":      {"runtime.newproc", false, false},
					"runtime.newproc":       {"runtime.systemstack", false, false},
				} {
					repeated, later, ok := loopAt(t, b, function, first.of)
					if !ok || repeated != first.repeated || later != first.later {
						t.Errorf("%s: that it repeats calls of %s is %v, or something later %v (there are some: %v)", function, first.of, repeated, later, ok)
					}
				}
			})
		}
	}
}

// TestLiteralsDoNotLoop has a function literal count a goroutine that does something else.
func TestLiteralsDoNotLoop(t *testing.T) {
	b := analysed(t, testbuild.Program(t, "pool", testbuild.Options{Version: testbuild.Newest}))
	for _, s := range stepsOf(t, b, "main.start.func1") {
		if loop, later := b.Loop(s.next); loop >= 0 || later {
			t.Errorf("it repeats what is at %#x, or behind that", s.address)
		}
	}
}

// TestLoopsAreInlined has a function repeat a call, whether the literal that calls it holds its code or not.
func TestLoopsAreInlined(t *testing.T) {
	b := analysed(t, testbuild.Program(t, "pool", testbuild.Options{Version: testbuild.Newest}))
	seen := 0
	for i := range b.symbols.Len() {
		f, _ := b.symbols.Func(i)
		if !f.HasNamePrefix("main.") {
			continue
		}
		for _, s := range stepsOf(t, b, f.Name()) {
			calls := b.Frames(s.next - 1)
			if called(b, s) != "runtime.chanrecv2" || calls[0].Function != "main.takeCalled" {
				continue
			}
			seen++
			if loop, _ := b.Loop(s.next); loop != 0 {
				t.Errorf("of %+v, %d repeats it", calls, loop)
			}
		}
	}
	if seen == 0 {
		t.Error("nothing is received")
	}
}

// stepsOf returns the instructions of a function.
func stepsOf(t *testing.T, b *Binary, name string) []step {
	t.Helper()
	for i := range b.symbols.Len() {
		if f, _ := b.symbols.Func(i); f.Name() == name {
			steps, err := instructionSets[b.GOARCH].steps(function{name, f.Entry, b.image.between(f.Entry, f.End)})
			if err != nil || len(steps) == 0 {
				t.Fatalf("%s has %d instructions: %v", name, len(steps), err)
			}
			return steps
		}
	}
	t.Fatalf("%s is no function", name)
	return nil
}

// called returns the function that an instruction calls.
func called(b *Binary, s step) string {
	if f, ok := b.symbols.Find(s.called); ok && s.called != 0 {
		return f.Name()
	}
	return ""
}

// loopAt returns what Loop tells of a function's first call of another; ok is false if there is none.
func loopAt(t *testing.T, b *Binary, function, callee string) (repeats, later, ok bool) {
	t.Helper()
	for _, s := range stepsOf(t, b, function) {
		if called(b, s) == callee {
			loop, later := b.Loop(s.next)
			return loop >= 0, later, true
		}
	}
	return false, false, false
}
