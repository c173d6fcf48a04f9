package goexe

import (
	"regexp"
	"slices"
	"strings"

	"golang.org/x/arch/arm64/arm64asm"
	"golang.org/x/arch/x86/x86asm"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/pclntab"
)

// step is an instruction as far as it decides which one is next.
type step struct {
	address, next uint64
	// to is where it jumps, 0 if nowhere, and called what it calls, 0 if that is nothing or not known.
	to, called uint64
	// ends tells that what follows it is never next, or only if it jumps there; unclear that what is next is not in the code.
	ends, unclear bool
}

// Loop returns which of the functions that make the call that returns to pc may make it again before it returns itself, as an index into what Frames
// tells of the call; -1 if none may. later tells that something else is repeated behind the call. If the code is not clear, it is the outermost.
func (b *Binary) Loop(pc uint64) (index int, later bool) {
	index = -1
	b.lookUp(func(symbols *pclntab.Table) {
		f, ok := symbols.Find(pc - 1)
		if !ok {
			return
		}
		jump, repeats, others := b.repeats(f, pc)
		if later = others; repeats {
			calls := symbols.Frames(pc - 1)
			index = len(calls) - max(1, outerOfBoth(calls, symbols.Frames(jump)))
		}
	})
	return index, later
}

// outerOfBoth returns how many calls two places have in common, from the outermost on.
func outerOfBoth(a, b []pclntab.Frame) (n int) {
	for n < min(len(a), len(b)) && a[len(a)-1-n].Function == b[len(b)-1-n].Function {
		n++
	}
	return n
}

// repeats tells whether a function may come again to the call that returns to pc, and by which jump back over it, 0 if that is not known; later
// whether it may come again to something behind that.
func (b *Binary) repeats(f pclntab.Func, pc uint64) (jump uint64, again, later bool) {
	code := b.image.between(f.Entry, f.End)
	if len(code) > maxFunction {
		return 0, true, true
	}
	steps, err := instructionSets[b.GOARCH].steps(function{name: f.Name(), entry: f.Entry, code: code})
	if err != nil {
		return 0, true, true
	}
	at := map[uint64]step{}
	for _, s := range steps {
		at[s.address] = s
	}
	from, behind := map[uint64]uint64{pc: 0}, map[uint64][]uint64{} // the instruction before each that can be reached, and all behind it
	for todo := []uint64{pc}; len(todo) > 0; {
		s, known := at[todo[len(todo)-1]]
		todo = todo[:len(todo)-1]
		switch {
		case !known: // behind the end
			continue
		case s.next == pc:
			return jumpBack(from, s.address), true, true
		case s.unclear:
			return 0, true, true
		}
		for _, to := range b.successors(s, f.Entry) {
			behind[s.address] = append(behind[s.address], to)
			if _, seen := from[to]; !seen {
				from[to] = s.address
				todo = append(todo, to)
			}
		}
	}
	return 0, false, hasCycle(behind)
}

// hasCycle tells whether a way leads from an instruction to itself.
func hasCycle(behind map[uint64][]uint64) bool {
	before := map[uint64]int{}
	for _, all := range behind {
		for _, to := range all {
			before[to]++
		}
	}
	var first []uint64
	for address := range behind {
		if before[address] == 0 {
			first = append(first, address)
		}
	}
	left := len(behind)
	for ; len(first) > 0; left-- {
		address := first[len(first)-1]
		first = first[:len(first)-1]
		for _, to := range behind[address] {
			if before[to]--; before[to] == 0 && behind[to] != nil {
				first = append(first, to)
			}
		}
	}
	return left > 0
}

// jumpBack returns the jump over a call on a way from behind it to it.
func jumpBack(from map[uint64]uint64, call uint64) (jump uint64) {
	for to := call; ; to = jump {
		if jump = from[to]; jump == 0 || to <= call && jump > call {
			return jump
		}
	}
}

// successors returns the instructions that may be next. A jump to the entry is none of the program's: the stack has grown.
func (b *Binary) successors(s step, entry uint64) (all []uint64) {
	if s.to != 0 && s.to != entry {
		all = append(all, s.to)
	}
	if !s.ends && !b.neverReturns(s.called) {
		all = append(all, s.next)
	}
	return all
}

// neverReturns tells functions of the runtime behind whose calls the compiler puts code that belongs elsewhere.
func (b *Binary) neverReturns(called uint64) bool {
	if called == 0 {
		return false
	}
	f, ok := b.symbols.Find(called)
	if !ok || f.Entry != called {
		return false
	}
	name, ofRuntime := strings.CutPrefix(string(f.NameInPlace()), "runtime.")
	return ofRuntime && (strings.HasPrefix(name, "panic") || strings.HasPrefix(name, "gopanic") || strings.HasPrefix(name, "goPanic") || name == "throw" || name == "block")
}

func (amd64) steps(f function) (all []step, err error) {
	code, err := decodeX86(f)
	for _, in := range code {
		s := step{address: in.address, next: in.address + uint64(in.Len)}
		to, direct := in.target()
		switch in.Op {
		case x86asm.CALL:
			if direct {
				s.called = to
			}
		case x86asm.JMP:
			s.ends, s.unclear = true, !direct
			if direct {
				s.to = to
			}
		case x86asm.RET, x86asm.UD2, x86asm.INT:
			s.ends = true
		default:
			if in.isConditionalJump() {
				s.to = to
			}
		}
		all = append(all, s)
	}
	return all, err
}

func (arm64) steps(f function) (all []step, err error) {
	for _, in := range decodeARM(f) {
		s := step{address: in.address, next: in.address + armSize}
		to, _ := in.target()
		switch in.Op {
		case arm64asm.BL:
			s.called = to
		case arm64asm.RET, arm64asm.BRK:
			s.ends = true
		case arm64asm.BR:
			s.ends, s.unclear = true, true
		default:
			s.to, s.ends = to, in.isPlainJump()
		}
		all = append(all, s)
	}
	return all, nil
}

// literal is what the names of function literals end in.
var literal = regexp.MustCompile(`\.func[0-9]+(\.[0-9]+)*$`)

// unnumbered returns the name of a function, of a literal without the numbers that the compiler gives those of one function.
func unnumbered(function string) string { return literal.ReplaceAllLiteralString(function, ".func") }

// loop is what Code.Loop tells.
type loop struct {
	index int
	later bool
}

// loopOf returns which of a stack's calls is of the function that does one piece of work after the other. That is the one that the goroutine was started
// for, unless it is a function literal that repeats nothing, but calls another one, as is written to have something done at the end, or by a package
// that starts goroutines for others (errgroup, sync.(*WaitGroup).Go). ok is false if none is known.
func (p *Places) loopOf(at *lifecycle.Stack, s stack, start string) (i int, ok bool) {
	end := len(s)
	for _, pc := range slices.Backward(at.PCs) {
		begin := end - len(p.symbols.Frames(pc-p.bias-1))
		for i := end - 1; i >= begin; i-- {
			function := s[i].Function
			if IsPassthrough(s[i]) || isCompilers(s[i]) {
				continue
			}
			isLiteral := literal.MatchString(function)
			if !isLiteral && function == start {
				return i, true // whether it repeats anything does not matter
			}
			switch l := p.loop(pc); {
			case l.index >= 0 && begin+l.index == i:
				return i, true
			case !isLiteral, l.index < 0 && l.later:
				return 0, false
			}
		}
		end = begin
	}
	return 0, false
}

// loop returns what repeats the call that returns to an address.
func (p *Places) loop(pc uint64) (found loop) {
	if known, ok := p.loops[pc]; ok {
		return known
	}
	found.index, found.later = p.symbols.Loop(pc - p.bias)
	if len(p.loops) >= maxWaits {
		clear(p.loops)
	}
	p.loops[pc] = found
	return found
}
