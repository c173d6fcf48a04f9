package telemetry

import (
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/pclntab"
)

// Process is what the goroutines of one process have in common.
type Process struct {
	resource pcommon.Resource
	ids      ids
	symbols  Symbols
	bias     uint64
	// fullStacks says that all of a stack is told.
	fullStacks bool
	exemplars  exemplars
	starts     starts // used by Metrics only
	// reasons are the texts of wait reasons, waiting the names of stretches of waiting.
	reasons, waiting []string

	mu     sync.Mutex
	places map[uint64]place
	sites  map[*lifecycle.Stack]site
}

// Symbols tells what addresses in an executable mean, by their link-time values; *goexe.Binary does.
type Symbols interface {
	// StartFunction returns the function that goroutines which begin at an address were started for.
	StartFunction(pc uint64) pclntab.Frame
	// Frames returns the source-level calls at an address, innermost first.
	Frames(pc uint64) []pclntab.Frame
}

var _ Symbols = (*goexe.Binary)(nil)

// place is what an address in the process means.
type place struct {
	start, call pclntab.Frame
}

// maxPlaces bounds the cache of addresses; a program has no more go statements than that.
const maxPlaces = 1 << 16

// Program is what processes run.
type Program struct {
	Symbols Symbols
	// WaitReasons are the texts of the values of g.waitreason.
	WaitReasons []string
	// FullStacks tells the whole stack of a goroutine that blocks, as far as it is known.
	FullStacks bool
}

// NewProcess returns a Process whose addresses are bias higher than linked.
func NewProcess(i Identity, r pcommon.Resource, program Program, bias uint64) *Process {
	p := &Process{
		resource: r, ids: newIDs(i), symbols: program.Symbols, fullStacks: program.FullStacks, bias: bias, reasons: program.WaitReasons,
		places: map[uint64]place{}, sites: map[*lifecycle.Stack]site{},
	}
	for _, reason := range program.WaitReasons {
		name := lifecycle.Waiting.String()
		if reason != "" {
			name += ": " + reason
		}
		p.waiting = append(p.waiting, name)
	}
	return p
}

// Resource returns the process's resource.
func (p *Process) Resource() pcommon.Resource { return p.resource }

func (p *Process) place(pc uint64) place {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, ok := p.places[pc]; ok {
		return known
	}
	var found place
	found.start = p.symbols.StartFunction(pc - p.bias)
	// A creation site is a return address: the call is before it.
	if frames := p.symbols.Frames(pc - p.bias - 1); len(frames) > 0 {
		found.call = frames[0]
	}
	if len(p.places) >= maxPlaces {
		clear(p.places)
	}
	p.places[pc] = found
	return found
}

// startOf returns the function that goroutines which begin at pc were started for.
func (p *Process) startOf(pc uint64) pclntab.Frame { return p.place(pc).start }

// callAt returns the source line of the call that returns to pc.
func (p *Process) callAt(pc uint64) pclntab.Frame { return p.place(pc).call }

// waitReason returns the text of a value of g.waitreason.
func (p *Process) waitReason(reason uint8) string {
	if int(reason) < len(p.reasons) {
		return p.reasons[reason]
	}
	return ""
}

// stretchName names a stretch in a state, such as "running" or "waiting: chan receive".
func (p *Process) stretchName(s lifecycle.State, reason uint8) string {
	if s == lifecycle.Waiting && int(reason) < len(p.waiting) {
		return p.waiting[reason]
	}
	return s.String()
}
