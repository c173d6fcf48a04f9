//go:build linux

package inject

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/code"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// soak is how long TestSoak takes for all programs together, as a duration. It takes some seconds, for some of them, by default.
const soak = "INJECT_SOAK"

// tortured are the programs that TestSoak uses: of six releases, each in other circumstances.
var tortured = []struct {
	release, parts, environment string
	cgo                         bool
}{
	{release: "go1.26.8", parts: all, environment: "GOGC=10", cgo: true},
	{release: "go1.20.14", parts: all + ",profile", environment: "GOGC=10"},
	{release: "go1.27.4", parts: all + ",profile", cgo: true},
	{release: "go1.17.13", parts: all, environment: "GODEBUG=asyncpreemptoff=1"},
	{release: "go1.22.12", parts: all + ",profile", cgo: true},
	{release: "go1.24.13", parts: all + ",profile", environment: "GOGC=10"},
}

const all = "pass,spawn,mutexes,selects,timers,threads,panics,collect,stacks,dumps,spin,files,connections,signals,execute,foreign,iterators"

// TestSoak installs and removes real trampolines again and again, in programs that do all that a runtime can do and check all results.
func TestSoak(t *testing.T) {
	testbuild.RequireRoot(t)
	each, programs := 2*time.Second, tortured[:3]
	if d, err := time.ParseDuration(os.Getenv(soak)); err == nil {
		programs = tortured
		each = d / time.Duration(len(programs))
	}
	for _, c := range programs {
		name := strings.TrimSpace(fmt.Sprintf("%s cgo=%v %s", c.release, c.cgo, c.environment))
		t.Run(name, func(t *testing.T) {
			if name, value, ok := strings.Cut(c.environment, "="); ok {
				t.Setenv(name, value)
			}
			p := testbuild.Start(t, testbuild.Program(t, "torture", testbuild.Options{Version: c.release, Cgo: c.cgo}), "24h", c.parts)
			require.Equal(t, "ready", p.Line())
			soakFor(t, each, p)
		})
	}
}

func soakFor(t *testing.T, d time.Duration, p *testbuild.Running) {
	t.Helper()
	program := trampolinesFor(t, p.PID())
	before := codeOf(t, p.PID(), program)
	var installs, removals []time.Duration
	busy, records := 0, uint64(0)
	for end := time.Now().Add(d); time.Now().Before(end); {
		began := time.Now()
		in, err := Install(p.PID(), program)
		if err != nil { // the machine is too busy for a thread to stop in time
			require.ErrorIs(t, err, errBusy)
			busy++
			continue
		}
		installs = append(installs, time.Since(began))
		in.Memory().Beat(ring.TSC() + 1<<32)
		in.Memory().SetStackSlots(3)
		reader := ring.NewReader(in.Memory())
		for range 5 {
			records += uint64(reader.Pass(1<<16, func(*ring.Record) {}).Visited)
			time.Sleep(2 * time.Millisecond)
		}
		began = time.Now()
		for tries := 0; ; tries++ {
			if err = in.Remove(); err == nil || tries == 10 {
				break
			}
			busy++
		}
		require.NoError(t, err)
		removals = append(removals, time.Since(began))
		require.NoError(t, in.Close())
	}
	p.GoOn()
	line := p.Line()
	require.True(t, strings.HasPrefix(line, "ok "), line)
	require.Equal(t, before, codeOf(t, p.PID(), program))
	require.Zero(t, descriptors(t, p.PID()))
	require.NotZero(t, records)
	t.Logf("%s: %d installations (median %v, longest %v), %d removals (%v, %v), %d times too busy, %d records, nothing wrong: %s",
		d, len(installs), median(installs), slices.Max(installs), len(removals), median(removals), slices.Max(removals), busy, records, line)
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// trampolinesFor returns the real trampolines for a process.
func trampolinesFor(t testing.TB, pid int) Program {
	t.Helper()
	p, err := processes.Read(pid)
	require.NoError(t, err)
	binary, err := goexe.Open(p.ExecutablePath())
	require.NoError(t, err)
	t.Cleanup(func() { _ = binary.Close() })
	patches, err := binary.Patches()
	require.NoError(t, err)
	bias, err := p.Bias(binary.Base)
	require.NoError(t, err)
	program := programFor(t, pid)
	o := code.Options{Geometry: ring.Geometry{CPUs: program.Geometry.CPUs, Bits: 12}, Layout: binary.Layout, ChannelReasons: binary.ChannelReasons(), RDPID: code.HasRDPID()}
	program.Geometry = o.Geometry
	program.Assemble = func(text, data uint64) ([]byte, []Jump, error) {
		o.Data = data
		written, jumps, err := assemble(o, text, bias, patches)
		var converted []Jump
		for _, j := range jumps {
			converted = append(converted, Jump(j))
		}
		return written, converted, err
	}
	return program
}
