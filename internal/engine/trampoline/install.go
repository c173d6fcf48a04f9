//go:build linux

package trampoline

import (
	"math/bits"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/code"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/inject"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
)

const (
	// maxBits and minBits bound the logarithm of how many slots a ring has: the reader may have to wait for a processor for some
	// ten milliseconds, in which the busiest program fills the largest.
	maxBits, minBits = 18, 12
	// ringBytes is how much memory all rings of a process may take where there are many.
	ringBytes = 16 << 20
)

// geometryFor returns the size of a process's rings, of which only those that are used take memory.
func geometryFor(rings uint32, used int) ring.Geometry {
	each := uint64(ringBytes) / ring.SlotSize / uint64(max(used, 1))
	return ring.Geometry{CPUs: rings, Bits: uint32(min(max(bits.Len64(each)-1, minBits), maxBits))}
}

// geometryHere is that for this machine.
func geometryHere() (ring.Geometry, error) {
	n, used, err := ring.Rings()
	return geometryFor(n, len(used)), err
}

// assemblers write trampolines for architectures.
var assemblers = map[string]func(o code.Options, at, bias uint64, patches []goexe.Patch) ([]byte, []code.Jump, error){
	"amd64": code.Assemble, "arm64": code.AssembleARM64,
}

// install puts trampolines into a process, and returns where they record.
func (a *Attachment) install(p *Process) (*source, error) {
	geometry, err := geometryHere()
	if err != nil {
		return nil, err
	}
	m := &p.machine
	installed, err := inject.Install(m.pid, a.program(m.bias, geometry))
	if err != nil {
		return nil, err
	}
	m.summaries = a.engine.summaries.Load()
	return newSource(installed, a.engine.clock, m, a.binary.Base+m.bias), nil
}

// program returns what is put into processes that have the executable so much higher than linked.
func (a *Attachment) program(bias uint64, g ring.Geometry) inject.Program {
	sites := make([]inject.Site, 0, len(a.patches))
	for _, p := range a.patches {
		sites = append(sites, inject.Site{Address: p.Address + bias, Code: p.Code})
	}
	o := code.Options{Geometry: g, Layout: a.binary.Layout, ChannelReasons: a.binary.ChannelReasons(), RDPID: code.HasRDPID()}
	return inject.Program{Sites: sites, Geometry: g, Assemble: func(text, data uint64) ([]byte, []inject.Jump, error) {
		o.Data = data
		written, jumps, err := assemblers[a.binary.GOARCH](o, text, bias, a.patches)
		injected := make([]inject.Jump, 0, len(jumps))
		for _, j := range jumps {
			injected = append(injected, inject.Jump(j))
		}
		return written, injected, err
	}}
}
