//go:build linux

package inject

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// programFor returns trampolines for a process that only count, in the first word of the first slot, how often they are passed.
func programFor(t testing.TB, pid int) Program {
	t.Helper()
	program, err := counters(pid)
	require.NoError(t, err)
	return program
}

func counters(pid int) (program Program, err error) {
	p, err := processes.Read(pid)
	if err != nil {
		return program, err
	}
	return countersIn(p.ExecutablePath(), p.Bias)
}

// programIn returns the same for an executable that runs where it was linked: analysing that takes longer than some programs run.
func programIn(t testing.TB, exe string) Program {
	t.Helper()
	program, err := countersIn(exe, func(uint64) (uint64, error) { return 0, nil })
	require.NoError(t, err)
	return program
}

func countersIn(exe string, biasOf func(base uint64) (uint64, error)) (program Program, err error) {
	binary, err := goexe.Open(exe)
	if err != nil {
		return program, err
	}
	defer binary.Close()
	patches, err := binary.Patches()
	if err != nil {
		return program, err
	}
	bias, err := biasOf(binary.Base)
	if err != nil {
		return program, err
	}
	for _, patch := range patches {
		program.Sites = append(program.Sites, Site{patch.Address + bias, bytes.Clone(patch.Code)})
	}
	rings, _, err := ring.Rings()
	return program.counting(ring.Geometry{CPUs: rings, Bits: 8}), err
}

// counting returns the program with trampolines that count, in memory of a size.
func (program Program) counting(g ring.Geometry) Program {
	program.Geometry = g
	sites := program.Sites
	program.Assemble = func(text, data uint64) ([]byte, []Jump, error) {
		code, jumps := counting(sites, text, data+g.Slots())
		return code, jumps, nil
	}
	return program
}

// counted returns how often trampolines were passed.
func counted(t testing.TB, in *Installed) uint64 {
	t.Helper()
	n, err := in.shared.word(in.memory.Geometry().Slots())
	require.NoError(t, err)
	return n
}

// exact starts a program that checks its own results.
func exact(t testing.TB, o testbuild.Options) *testbuild.Running {
	t.Helper()
	p := testbuild.Start(t, testbuild.Program(t, "exact", o))
	require.Equal(t, "ready", p.Line())
	return p
}

// well has the program do some more work.
func well(t testing.TB, p *testbuild.Running) {
	t.Helper()
	p.GoOn()
	require.True(t, strings.HasPrefix(p.Line(), "ok "))
}

// code returns what a process has in its memory of the code of its executable.
func codeOf(t testing.TB, pid int, program Program) []byte {
	t.Helper()
	p, err := program.open(pid)
	require.NoError(t, err)
	defer p.close()
	all, err := p.mappings()
	require.NoError(t, err)
	m, _, err := all.image(p.code)
	require.NoError(t, err)
	code, err := p.read(m.start, int(m.end-m.start))
	require.NoError(t, err)
	return code
}

// descriptors returns how many of shared memory a process has.
func descriptors(t testing.TB, pid int) (n int) {
	t.Helper()
	directory := "/proc/" + itoa(pid) + "/fd/"
	all, err := os.ReadDir(directory)
	require.NoError(t, err)
	for _, e := range all {
		if to, err := os.Readlink(directory + e.Name()); err == nil && to == memoryPath {
			n++
		}
	}
	return n
}

func mapped(t testing.TB, pid int) string {
	t.Helper()
	maps, err := os.ReadFile("/proc/" + itoa(pid) + "/maps")
	require.NoError(t, err)
	return string(maps)
}
