//go:build linux && amd64

package inject

import (
	"bytes"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// slowCode is a process that has code of a file which may not answer, and a program of trampolines for that.
type slowCode struct {
	*testbuild.Running
	t       *testing.T
	file    *slowFile
	program Program
}

func newSlowCode(t *testing.T) *slowCode {
	t.Helper()
	testbuild.RequireRoot(t)
	content := append([]byte("\x7fELF\x02\x01"), make([]byte, pageSize-6)...)
	content = append(content, bytes.Repeat([]byte{0x90}, pageSize)...)
	c := &slowCode{t: t, file: newSlowFile(t, content)}
	c.Running = testbuild.Start(t, testbuild.Program(t, "withheld", testbuild.Options{}), "code", c.file.path)
	address, err := strconv.ParseUint(c.Line(), 0, 64)
	require.NoError(t, err)
	rings, _, err := ring.Rings()
	require.NoError(t, err)
	c.program = Program{Sites: []Site{{address, content[pageSize:][:jumpSize]}}}.counting(ring.Geometry{CPUs: rings, Bits: 8})
	return c
}

// step has the process take one.
func (c *slowCode) step(line string) {
	c.t.Helper()
	c.GoOn()
	require.Equal(c.t, line, c.Line())
}

// inTime fails the test if a call does not end.
func (c *slowCode) inTime(call func()) {
	c.t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		call()
	}()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		c.t.Fatal("the call does not end")
	}
}

// TestInstallIntoSlowCode waits for no code that does not answer, and lets the process run.
func TestInstallIntoSlowCode(t *testing.T) {
	c := newSlowCode(t)
	c.file.withhold()
	c.step("forgotten")
	c.inTime(func() {
		_, err := Install(c.PID(), c.program)
		require.ErrorIs(t, err, errNoAnswer)
	})
	c.step("alive")
	c.file.answer()
	in, err := Install(c.PID(), c.program)
	require.NoError(t, err)
	require.NoError(t, in.Remove())
	require.NoError(t, in.Close())
}

// TestRemoveFromSlowCode gives up for now what does not answer, lets the process run, and knows that it is there.
func TestRemoveFromSlowCode(t *testing.T) {
	c := newSlowCode(t)
	in, err := Install(c.PID(), c.program)
	require.NoError(t, err)
	c.file.withhold()
	c.step("forgotten") // the jump, too
	c.inTime(func() {
		require.False(t, in.Gone())
		require.ErrorIs(t, in.Remove(), errNoAnswer)
		require.ErrorIs(t, in.Remove(), errNoAnswer)
		require.False(t, in.Gone())
	})
	c.step("alive")
	c.file.answer()
	require.Eventually(t, func() bool { return in.Remove() == nil }, 10*time.Second, time.Millisecond)
	require.NoError(t, in.Close())
}

// TestNoAnswer waits for no installation or removal that does not go on, and undoes an installation that does after all.
func TestNoAnswer(t *testing.T) {
	p := exact(t, testbuild.Options{})
	program := programFor(t, p.PID())
	before := codeOf(t, p.PID(), program)
	goOn := make(chan struct{})
	replaceFor(t, &step, func() { <-goOn })
	replaceFor(t, &installLimit, 10*time.Millisecond)
	for range 2 {
		_, err := Install(p.PID(), program)
		require.ErrorIs(t, err, errNoAnswer)
	}
	well(t, p)
	close(goOn)
	require.Eventually(t, func() bool { _, is := installing.Load(p.PID()); return !is }, time.Minute, time.Millisecond)
	require.Equal(t, before, codeOf(t, p.PID(), program))
	installLimit = time.Minute
	in, err := Install(p.PID(), program)
	require.NoError(t, err)
	removal := make(chan struct{})
	step = func() { <-removal }
	replaceFor(t, &removeLimit, 10*time.Millisecond)
	for range 2 {
		require.ErrorIs(t, in.Remove(), errNoAnswer)
	}
	close(removal)
	require.Eventually(t, func() bool { return in.removals.Silent() == 0 }, time.Minute, time.Millisecond)
	require.Equal(t, before, codeOf(t, p.PID(), program))
	removeLimit = time.Minute
	require.NoError(t, in.Remove())
	require.NoError(t, in.Close())
}

// replaceFor sets a variable until the end of the test.
func replaceFor[T any](t *testing.T, variable *T, value T) {
	t.Helper()
	before := *variable
	*variable = value
	t.Cleanup(func() { *variable = before })
}
