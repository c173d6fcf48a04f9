package goexe

import "github.com/otelgoroutine/goroutinereceiver/internal/pclntab"

// Leaves finds out at which call of the program's own goroutines of a process block. It remembers what addresses are, so that it takes some
// nanoseconds for a frame, and is not safe for concurrent use.
type Leaves struct {
	symbols Symbols
	bias    uint64
	known   map[uint64]frameKind
	recent  [1 << recentBits]recentFrame // of those that are known, where no hash must be computed
}

type recentFrame struct {
	pc   uint64
	kind frameKind
}

const recentBits = 9

// frameKind says what an address in a stack means for where a goroutine blocks.
type frameKind uint8

const (
	own         frameKind = iota // of the program, or of a library that does more than pass a wait on
	passthrough                  // of the runtime, or of a package that only passes a wait on
	bottom                       // below the function that the goroutine was started for
)

// NewLeaves returns the leaves of a process whose addresses are bias higher than linked.
func NewLeaves(s Symbols, bias uint64) *Leaves {
	return &Leaves{symbols: s, bias: bias, known: map[uint64]frameKind{}}
}

// Of returns the return address, of a stack's with the innermost first, whose call is the program's own: Leaf of the frames there is the
// line. If none is, it is that of the outermost call, 0 if there is none. Unknown addresses are 0.
func (l *Leaves) Of(stack []uint64) (leaf uint64) {
	for _, pc := range stack {
		if pc == 0 {
			continue
		}
		switch l.kind(pc) {
		case own:
			return pc
		case bottom:
			return leaf
		}
		leaf = pc
	}
	return leaf
}

func (l *Leaves) kind(pc uint64) frameKind {
	r := &l.recent[pc*0x9e3779b97f4a7c15>>(64-recentBits)]
	if r.pc != pc {
		*r = recentFrame{pc, l.find(pc)}
	}
	return r.kind
}

// maxFrames bounds how many addresses are remembered; a program has few calls that lead to a wait.
const maxFrames = 1 << 14

func (l *Leaves) find(pc uint64) frameKind {
	if kind, known := l.known[pc]; known {
		return kind
	}
	if len(l.known) >= maxFrames {
		clear(l.known)
	}
	kind := kindOf(l.symbols.Frames(pc - l.bias - 1)) // a return address is behind its call
	l.known[pc] = kind
	return kind
}

// kindOf returns the kind of an address at which these calls are, all but the last of which the compiler has inlined.
func kindOf(frames []pclntab.Frame) frameKind {
	for _, f := range frames {
		if IsBottom(f) {
			return bottom
		}
		if !IsPassthrough(f) {
			return own
		}
	}
	return passthrough
}

// Leaf returns the innermost frame of a stack that is the program's own, and not the runtime's or of a package that only passes a wait on. A
// goroutine that has none is the runtime's: then it is the function that it was started for.
func Leaf(frames []pclntab.Frame) pclntab.Frame {
	var leaf pclntab.Frame
	for _, f := range frames {
		if IsBottom(f) {
			break
		}
		leaf = f
		if !IsPassthrough(f) {
			break
		}
	}
	return leaf
}
