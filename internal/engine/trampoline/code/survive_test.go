package code

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/arch/x86/x86asm"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
)

// value is what is known of a register or a word of the red zone: the register whose value at the trampoline's beginning it is, or an address
// in the text, or nothing.
type value struct {
	of      x86asm.Reg
	address uint64
}

// knowledge is what is known at an instruction.
type knowledge struct {
	register [x86asm.R15 + 1]value
	redZone  [16]value
}

// moment is when an instruction is met.
type moment struct {
	at uint64
	knowledge
}

// follower goes all ways through a trampoline.
type follower struct {
	t    *testing.T
	code map[uint64]instruction
	// displaced is the patch's instruction.
	displaced string
	survive   []x86asm.Reg
	seen      map[moment]bool
	exits     map[uint64]int
}

// follow goes on from an address.
func (f *follower) follow(at uint64, k knowledge) {
	for {
		in, inside := f.code[at]
		if !inside {
			f.leave(at, k)
			return
		}
		if f.seen[moment{at, k}] {
			return
		}
		f.seen[moment{at, k}] = true
		next := at + uint64(in.Len)
		to, jumps := in.target()
		switch {
		case in.Op == x86asm.JMP && jumps:
			at = to
			continue
		case in.Op == x86asm.JMP:
			at = f.word(&k, in.Args[0].(x86asm.Mem)).address
			require.NotZero(f.t, at, "%s", in)
			continue
		case jumps:
			f.follow(to, k)
		case in.String() != f.displaced:
			f.carryOut(in, &k)
		}
		at = next
	}
}

func (f *follower) leave(to uint64, k knowledge) {
	f.exits[to]++
	for _, r := range f.survive {
		require.Equal(f.t, value{of: r}, k.register[r], "%s", r)
	}
}

func (f *follower) word(k *knowledge, m x86asm.Mem) *value {
	require.Equal(f.t, x86asm.RSP, m.Base)
	require.True(f.t, m.Index == 0 && m.Disp < 0 && m.Disp >= -128 && m.Disp%8 == 0, "%v", m)
	return &k.redZone[-m.Disp/8-1]
}

func isRedZone(a x86asm.Arg) bool {
	m, ok := a.(x86asm.Mem)
	return ok && m.Base == x86asm.RSP
}

// carryOut changes what is known as an instruction does. Memory is written only in the rings, of which the registers for their headers and slots
// point, and in the red zone.
func (f *follower) carryOut(in instruction, k *knowledge) {
	dst, src := in.Args[0], in.Args[1]
	switch in.Op {
	case x86asm.CMP, x86asm.TEST, x86asm.BT:
		return
	case x86asm.RDTSC, x86asm.RDTSCP:
		f.write(k, x86asm.RAX, value{})
		f.write(k, x86asm.RDX, value{})
		if in.Op == x86asm.RDTSCP {
			f.write(k, x86asm.RCX, value{})
		}
		return
	case x86asm.XCHG:
		x, y := dst.(x86asm.Reg), src.(x86asm.Reg)
		k.register[x], k.register[y] = k.register[y], k.register[x]
		return
	case x86asm.XADD:
		f.write(k, src.(x86asm.Reg), value{})
	case x86asm.MOV, x86asm.MOVZX, x86asm.LEA, x86asm.ADD, x86asm.OR, x86asm.AND, x86asm.SUB, x86asm.SHL, x86asm.SHR, x86asm.IMUL, x86asm.INC, 0:
	default:
		require.FailNow(f.t, "unknown instruction", "%s", in)
	}
	m, isMem := dst.(x86asm.Mem)
	switch {
	case isMem && isRedZone(dst):
		*f.word(k, m) = k.register[src.(x86asm.Reg)]
	case isMem:
		require.Contains(f.t, []x86asm.Reg{x86asm.R8, x86asm.R9}, m.Base, "%s", in)
	default:
		f.write(k, dst.(x86asm.Reg), f.result(in, k))
	}
}

func (f *follower) result(in instruction, k *knowledge) value {
	src := in.Args[1]
	switch m, isMem := src.(x86asm.Mem); {
	case in.Op == x86asm.LEA && m.Base == x86asm.RIP:
		return value{address: in.at + uint64(in.Len) + uint64(int64(int32(m.Disp)))}
	case in.Op == x86asm.MOV && isMem && isRedZone(src):
		return *f.word(k, m)
	case in.Op == x86asm.MOV:
		if r, ok := src.(x86asm.Reg); ok && r >= x86asm.RAX {
			return k.register[r]
		}
	}
	return value{}
}

// write tells that a register, or the whole one of a half, has another value.
func (f *follower) write(k *knowledge, r x86asm.Reg, v value) {
	if r >= x86asm.EAX && r <= x86asm.R15L {
		r, v = r-x86asm.EAX+x86asm.RAX, value{}
	}
	require.True(f.t, r >= x86asm.RAX && r <= x86asm.R15, "%s", r)
	require.NotContains(f.t, []x86asm.Reg{x86asm.RSP, x86asm.RBP, x86asm.R14}, r)
	k.register[r] = v
}

// Whatever way is taken through a trampoline: it ends behind the patch, with all in place that must be.
func TestRegistersSurvive(t *testing.T) {
	for _, e := range examples(t) {
		e.registersSurvive(t)
	}
}

func (e example) registersSurvive(t *testing.T) {
	code := map[uint64]instruction{}
	for _, in := range disassemble(t, e.text, exampleAt) {
		code[in.at] = in
	}
	for i, j := range e.jumps {
		f := &follower{t: t, code: code, seen: map[moment]bool{}, exits: map[uint64]int{}}
		f.displaced = disassemble(t, j.Original, 0)[0].String()
		f.survive = survivors(e.patches[i].Kind)
		var k knowledge
		for r := x86asm.RAX; r <= x86asm.R15; r++ {
			k.register[r] = value{of: r}
		}
		f.follow(e.entry(t, i), k)
		require.Len(t, f.exits, 1)
		require.Contains(t, f.exits, j.Address+uint64(len(j.Original)))
		if e.patches[i].Kind != goexe.Swap {
			require.False(t, f.usesRedZone(), "only a swap needs the stack")
		}
	}
}

// survivors are the registers that a patch's kind leaves as they are.
func survivors(kind goexe.Kind) []x86asm.Reg {
	always := []x86asm.Reg{x86asm.RSP, x86asm.RBP, x86asm.R14, x86asm.R15}
	switch kind {
	case goexe.Call:
		return append(always, x86asm.RAX, x86asm.RBX, x86asm.RCX)
	case goexe.Taken:
		return append(always, x86asm.RAX, x86asm.RBX, x86asm.RCX, x86asm.RDI, x86asm.RSI)
	case goexe.Swap:
		for r := x86asm.RAX; r <= x86asm.R15; r++ {
			always = append(always, r)
		}
	}
	return always
}

// usesRedZone tells whether any instruction did that was met, but the patch's own.
func (f *follower) usesRedZone() bool {
	for m := range f.seen {
		in := f.code[m.at]
		if in.String() != f.displaced && (isRedZone(in.Args[0]) || isRedZone(in.Args[1])) {
			return true
		}
	}
	return false
}
