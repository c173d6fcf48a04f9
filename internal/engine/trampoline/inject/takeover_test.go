//go:build linux

package inject

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestTakeOver takes over what a collector has left, as it is: nothing is stopped, and counts go on.
func TestTakeOver(t *testing.T) {
	testbuild.RequireRoot(t)
	p := exact(t, testbuild.Options{})
	program := programFor(t, p.PID())
	before := codeOf(t, p.PID(), program)
	in, err := Install(p.PID(), program)
	require.NoError(t, err)
	refused(t, engine.RefusedOther, p.PID(), program)
	well(t, p)
	count := counted(t, in)
	require.NotZero(t, count)
	require.NoError(t, in.Close())
	well(t, p)

	steps := 0
	step = func() { steps++ }
	defer func() { step = func() {} }()
	require.NoError(t, Check(p.PID(), program))
	in, err = Install(p.PID(), program)
	require.NoError(t, err)
	require.True(t, in.adopted)
	require.Equal(t, 1, steps, "more was done than to allocate pages")
	require.Greater(t, counted(t, in), count)
	require.NoError(t, in.Remove())
	require.NoError(t, in.Close())
	require.Equal(t, before, codeOf(t, p.PID(), program))
	well(t, p)
}

// TestUndoOther undoes what collectors with other memory or of another version have left, before it installs anew.
func TestUndoOther(t *testing.T) {
	testbuild.RequireRoot(t)
	for name, spoil := range map[string]func(*Installed){
		"geometry": func(*Installed) {},
		"version":  func(in *Installed) { require.NoError(t, in.shared.setWord(ring.OffVersion, ring.Version+1)) },
	} {
		t.Run(name, func(t *testing.T) {
			p := exact(t, testbuild.Options{})
			program := programFor(t, p.PID())
			before := codeOf(t, p.PID(), program)
			old, err := Install(p.PID(), program)
			require.NoError(t, err)
			spoil(old)
			require.NoError(t, old.Close())
			if name == "geometry" {
				program = program.counting(ring.Geometry{CPUs: program.Geometry.CPUs, Bits: program.Geometry.Bits + 1})
			}
			require.NoError(t, Check(p.PID(), program))
			in, err := Install(p.PID(), program)
			require.NoError(t, err)
			require.NotEqual(t, old.shared.data, in.shared.data)
			well(t, p)
			require.NotZero(t, counted(t, in))
			require.NoError(t, in.Remove())
			require.NoError(t, in.Close())
			require.Equal(t, before, codeOf(t, p.PID(), program))
			well(t, p)
		})
	}
}

// TestForgedNotes undoes by notes which the process has changed: nothing is written but what the executable has.
func TestForgedNotes(t *testing.T) {
	testbuild.RequireRoot(t)
	p := exact(t, testbuild.Options{})
	program := programFor(t, p.PID())
	before := codeOf(t, p.PID(), program)
	in, err := Install(p.PID(), program)
	require.NoError(t, err)
	first := program.Sites[0]
	lies := []uint64{
		first.Address | 5<<ring.PatchLengthShift,         // shorter: what is behind is not that of a jump
		(first.Address + 1) | 9<<ring.PatchLengthShift,   // in the middle
		(first.Address + 512) | 8<<ring.PatchLengthShift, // no jump
		in.shared.data | 8<<ring.PatchLengthShift, in.shared.text | 8<<ring.PatchLengthShift, 0, 1<<ring.PatchLengthShift - 1, ^uint64(0),
	}
	for i, lie := range lies {
		require.NoError(t, in.shared.setWord(ring.OffPatches+8*uint64(i), lie))
	}
	require.NoError(t, in.shared.setWord(ring.OffPatchCount, ^uint64(0)))
	require.NoError(t, in.shared.setWord(ring.OffVersion, ring.Version+1))
	require.NoError(t, in.Close())
	_, err = Install(p.PID(), program)
	requireReason(t, engine.RefusedForeignBytes, err)
	well(t, p)

	// The process's own bytes are put back by hand.
	again, err := program.open(p.PID())
	require.NoError(t, err)
	defer again.close()
	require.NoError(t, again.trace(func(tr *tracer) error {
		require.NoError(t, tr.stopAll())
		return tr.restore(reverse(in.jumps))
	}))
	require.Equal(t, before, codeOf(t, p.PID(), program))
	well(t, p)
	cycle(t, p.PID(), program)
	well(t, p)
}

// TestUsedStubs finds all places for stubs used, as if collectors had died in each: they are free again when no thread is in them.
func TestUsedStubs(t *testing.T) {
	testbuild.RequireRoot(t)
	p := exact(t, testbuild.Options{})
	program := programFor(t, p.PID())
	before := codeOf(t, p.PID(), program)
	of, err := program.open(p.PID())
	require.NoError(t, err)
	defer of.close()
	slots, err := of.slots()
	require.NoError(t, err)
	require.NotEmpty(t, slots)
	for _, at := range slots {
		require.NoError(t, of.write(at, append(append([]byte{}, stubCode...), make([]byte, stubSize-len(stubCode))...)))
	}
	cycle(t, p.PID(), program)
	require.Equal(t, before, codeOf(t, p.PID(), program))
	well(t, p)
}

// TestBuilds installs into programs that were built in other ways.
func TestBuilds(t *testing.T) {
	testbuild.RequireRoot(t)
	for name, o := range map[string]testbuild.Options{
		"stripped": {Flags: []string{"-ldflags=-s -w"}},
		"PIE":      {Flags: []string{"-buildmode=pie"}},
		"external": {Cgo: true, Flags: []string{"-buildmode=pie", "-ldflags=-linkmode=external"}},
		"static":   {Cgo: true, Flags: []string{"-ldflags=-linkmode=external -extldflags=-static"}},
		"race":     {Cgo: true, Flags: []string{"-race"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := exact(t, o)
			program := programFor(t, p.PID())
			before := codeOf(t, p.PID(), program)
			in, err := Install(p.PID(), program)
			require.NoError(t, err)
			well(t, p)
			require.NotZero(t, counted(t, in))
			require.NoError(t, in.Remove())
			require.NoError(t, in.Close())
			require.Equal(t, before, codeOf(t, p.PID(), program))
			well(t, p)
		})
	}
}
