package goexe

import (
	"hash/maphash"
	"slices"
	"strings"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/pclntab"
)

// Symbols tells what link-time addresses in an executable mean; *Binary does.
type Symbols interface {
	StartFunction(pc uint64) pclntab.Frame
	Frames(pc uint64) []pclntab.Frame
}

// Code tells what the code of an executable does besides; *Binary does.
type Code interface {
	Symbols
	// Loop returns which of the functions that make the call that returns to pc may make it again before it returns itself, as an index into what
	// Frames tells of the call; -1 if none may. later tells that something else is repeated behind the call.
	Loop(pc uint64) (index int, later bool)
}

// Places tells what addresses in a process mean for the work of goroutines. It is not safe for concurrent use.
type Places struct {
	symbols Code
	reasons []string
	late    bool
	bias    uint64
	waits   map[waitKey]lifecycle.Place
	// handlers are those that stacks lead to.
	handlers map[handlerKey]lifecycle.Handler
	roles    map[uint64]role
	loops    map[uint64]loop // by return addresses
}

type waitKey struct {
	stack  *lifecycle.Stack
	start  uint64
	reason uint8
	read   bool
}

type handlerKey struct {
	stack *lifecycle.Stack
	start uint64
}

type role struct {
	lifecycle.Role
	function string
	home     home
	dispatch *dispatch
}

var _ lifecycle.Places = (*Places)(nil)

// NewPlaces returns the places of a process whose addresses are bias higher than linked; reasons are the texts of the values of g.waitreason.
func NewPlaces(s Code, reasons []string, traits Traits, bias uint64) *Places {
	return &Places{
		symbols: s, reasons: reasons, late: traits.LateReasons, bias: bias,
		waits: map[waitKey]lifecycle.Place{}, handlers: map[handlerKey]lifecycle.Handler{}, roles: map[uint64]role{}, loops: map[uint64]loop{},
	}
}

// maxWaits bounds each cache; a program has few places at which it waits.
const maxWaits = 1 << 14

// Role tells of goroutines that begin at an address.
func (p *Places) Role(startPC uint64) lifecycle.Role { return p.role(startPC).Role }

// Start returns the address as linked.
func (p *Places) Start(startPC uint64) uint64 { return startPC - p.bias }

func (p *Places) role(startPC uint64) role {
	known, ok := p.roles[startPC]
	if ok {
		return known
	}
	function := p.symbols.StartFunction(startPC - p.bias).Function
	r := role{function: function, home: homes[function], dispatch: dispatches[unnumbered(function)]}
	switch {
	case function == "runtime.main":
		r.Role = lifecycle.Main
	case requests[unnumbered(function)]:
		r.Role = lifecycle.Request
	case helpers[function]:
		r.Role = lifecycle.Helper
	}
	if len(p.roles) >= maxWaits {
		clear(p.roles)
	}
	p.roles[startPC] = r
	return r
}

var sources = map[string]lifecycle.Source{
	reasonReceive: lifecycle.Channel, reasonSelect: lifecycle.Channel, reasonCond: lifecycle.Channel,
	reasonIO: lifecycle.Network, reasonSleep: lifecycle.Timer,
}

func (p *Places) reason(reason uint8) string {
	if int(reason) >= len(p.reasons) {
		return ""
	}
	return p.reasons[reason]
}

// LateReasons tells that the reason of a wait is only known at its end.
func (p *Places) LateReasons() bool { return p.late }

// Sends tells whether a goroutine may have sent to a channel that has waited for a reason, and whether it certainly has.
func (p *Places) Sends(reason uint8) (may, has bool) {
	text := p.reason(reason)
	return text == reasonSend || text == reasonSelect, text == reasonSend
}

// Reads tells whether a goroutine has waited for a file descriptor by a reason.
func (p *Places) Reads(reason uint8) bool { return sources[p.reason(reason)] == lifecycle.Network }

// Locks tells whether a goroutine has waited for a mutex by a reason. Before Go 1.20, mutexes have no reason of their own.
func (p *Places) Locks(reason uint8) bool { return strings.HasSuffix(p.reason(reason), "Lock") }

// Awaits tells whether a goroutine that has waited for a reason may have waited for what another one does for it.
func (p *Places) Awaits(reason uint8) bool {
	switch p.reason(reason) {
	case reasonReceive, reasonSelect, reasonCond, reasonGroup:
		return true
	}
	return false
}

// Wait tells of a place at which a goroutine that begins at startPC waits.
func (p *Places) Wait(startPC uint64, reason uint8, at *lifecycle.Stack) lifecycle.Place {
	if sources[p.reason(reason)] == lifecycle.Elsewhere {
		return lifecycle.Place{}
	}
	return p.at(waitKey{at, startPC, reason, false})
}

// Read tells of a place at which a goroutine that begins at startPC is in a system call.
func (p *Places) Read(startPC uint64, at *lifecycle.Stack) lifecycle.Place {
	return p.at(waitKey{at, startPC, 0, true})
}

func (p *Places) at(key waitKey) lifecycle.Place {
	if key.stack == nil {
		return lifecycle.Place{}
	}
	if known, ok := p.waits[key]; ok {
		return known
	}
	found := p.find(key)
	if len(p.waits) >= maxWaits {
		clear(p.waits)
	}
	p.waits[key] = found
	return found
}

// find tells of a place for the first time. What is not known to its end, or is about writing, brings no work.
func (p *Places) find(key waitKey) lifecycle.Place {
	s := p.callsOf(key.stack)
	r := p.role(key.start)
	reason := p.reason(key.reason)
	if key.read {
		reason = reasonIO
	}
	body, whole := s.body()
	if !whole || key.read && !s.reads() || reason == reasonIO && s.writes() {
		return lifecycle.Place{}
	}
	repeats := ""
	if i, ok := p.loopOf(key.stack, s, r.function); ok && s[i].Function != r.function {
		repeats, body = s[i].Function, written(s[:i+1])
	}
	found := lifecycle.Place{
		Key: p.hash(key.reason, key.stack.PCs), Path: pathOf(body), Source: sources[reason],
		Own: body.waitsItself(), Loop: repeats, Select: reason == reasonSelect, Channels: reason == reasonSelect || reason == reasonReceive, Accepts: s.has(acceptCall),
		Carries: s.carries(),
	}
	if r.home != nil {
		found.Listed = true
		found.Home, found.Opening = r.home(reason, s)
	}
	return found
}

// callsOf returns the calls of a stack.
func (p *Places) callsOf(at *lifecycle.Stack) (s stack) {
	for _, pc := range at.PCs {
		s = append(s, p.symbols.Frames(pc-p.bias-1)...) // a return address is behind its call
	}
	return s
}

// Handler returns the function that a library has called for a request which a goroutine serves that begins at startPC.
func (p *Places) Handler(startPC uint64, at *lifecycle.Stack) lifecycle.Handler {
	d := p.role(startPC).dispatch
	if d == nil {
		return lifecycle.Handler{}
	}
	key := handlerKey{at, startPC}
	if known, ok := p.handlers[key]; ok {
		return known
	}
	found := d.handler(p.callsOf(at))
	if len(p.handlers) >= maxWaits {
		clear(p.handlers)
	}
	p.handlers[key] = found
	return found
}

var seed = maphash.MakeSeed()

// hash names a reason and a call path by link-time addresses.
func (p *Places) hash(reason uint8, pcs []uint64) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	h.WriteByte(reason)
	for _, pc := range pcs {
		maphash.WriteComparable(&h, pc-p.bias)
	}
	return max(h.Sum64(), 1)
}

// readers are the packages that only pass a read on: which of their functions are called differs between a read and the wait for one.
var readers = []string{"runtime", "syscall", "net", "internal/poll"}

func pathOf(body stack) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, f := range body {
		if !slices.Contains(readers, packageOf(f.Function)) {
			h.WriteString(f.Function)
			maphash.WriteComparable(&h, f.Line)
		}
	}
	return h.Sum64()
}
