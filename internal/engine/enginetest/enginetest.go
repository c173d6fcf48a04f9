//go:build linux

// Package enginetest holds what each engine must do, as tests on real processes.
package enginetest

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// New returns an engine that is ready for use. The suite closes it.
type New func(testing.TB, engine.Options) engine.Engine

// Run tests an engine, as subtests. It needs what the engine needs.
func Run(t *testing.T, start New) {
	RunFollowing(t, start)
	run(t, start, slices.Concat(newcomers, others))
}

// RunFollowing tests what engines must do too that touch no process which they are not to follow, and follow none by themselves.
func RunFollowing(t *testing.T, start New) {
	run(t, start, slices.Concat(calls, counts, events, looks, limits, attachments, ends))
}

// RunCalls tests the part that does not depend on what the engine sees, which engines must do too that only pretend.
func RunCalls(t *testing.T, start New) { run(t, start, calls) }

// subtest is one of the things that an engine must do.
type subtest struct {
	name string
	run  func(*test)
}

func run(t *testing.T, start New, all []subtest) {
	for _, s := range all {
		t.Run(s.name, func(t *testing.T) { s.run(&test{T: t, start: start}) })
	}
}

// test is one that runs.
type test struct {
	*testing.T
	start New
}

// patience is how long something may take that should happen at once.
const patience = 20 * time.Second

// eventually waits until something is true.
func (t *test) eventually(what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never happened: %s", what)
		}
	}
}

// options are enough for the programs of most tests.
var options = engine.Options{MaxGoroutines: 4096, MaxGoroutinesPerProcess: 4096, BufferSize: 4 << 20}

// everything samples all trees.
var everything = engine.Settings{SamplingRatio: 1, RootAge: time.Hour}

// engine returns one that is closed at the end of the test.
func (t *test) engine(o engine.Options) engine.Engine {
	t.Helper()
	e := t.start(t, o)
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("close the engine: %v", err)
		}
	})
	return e
}

// attach prepares the program's executable until the end of the test.
func (t *test) attach(e engine.Engine, p *program, o engine.AttachOptions) engine.Attachment {
	t.Helper()
	o.Syscalls = true
	a, err := e.Attach(p.binary, p.exe, o)
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Errorf("close the attachment: %v", err)
		}
	})
	return a
}

// build returns a program of testdata that does not run yet.
func (t *test) build(name string) *program { return t.buildBy("", name) }

// buildBy does so with a release of Go, or with that of the test if it is "".
func (t *test) buildBy(release, name string) *program {
	t.Helper()
	p := &program{t: t, exe: testbuild.Program(t, name, testbuild.Options{Version: release})}
	var err error
	p.binary, err = goexe.Open(p.exe)
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.binary.Close() })
	return p
}

// program returns one that runs, and has written its first line.
func (t *test) program(name string, args ...string) *program {
	t.Helper()
	p := t.build(name).again(args...)
	p.Line()
	return p
}

// follow returns a program of which all is followed with an engine of its own from now on.
func (t *test) follow(p *program, o engine.Options, s engine.Settings) *followed {
	t.Helper()
	e := t.engine(o)
	return t.followBy(e, t.attach(e, p, engine.AttachOptions{}), p, s)
}

// followBy returns a program that is followed by an attachment.
func (t *test) followBy(e engine.Engine, a engine.Attachment, p *program, s engine.Settings) *followed {
	t.Helper()
	process, err := a.Follow(p.PID(), 0, s)
	require.NoError(t, err)
	return &followed{program: p, Process: process, engine: e, attachment: a}
}
