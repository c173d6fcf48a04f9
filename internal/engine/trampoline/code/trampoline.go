package code

// writer writes trampolines.
type writer struct {
	*assembler
	Options
	statuses
	exit   func() // leaves the code outside of the usual path
	extras uint64 // the address of sharedExtras
}

// What the registers hold while a change is recorded. Each is dead at the place of a Call, and saved by a Swap.
const (
	g      = rdi // runtime.g, to the end
	change = esi // old status, and from bit 4 on the new one; later the head's word 1
	tsc    = rdx // until it is in the slot
	cpu    = rcx // until the slot is known
	data   = r8  // the shared memory, until the slot is known
	slot   = r8  // the head slot
	header = r9  // the CPU's header, less ring.OffHeaders
	index  = rax // the head slot's
	// current is Go's own: the g that the thread runs, or its g0.
	current = r14
)

// call writes the trampoline for an instruction in casgstatus. RAX is the g, EBX the old and ECX the new status. R14, RSP, RBP and X15 are alive
// as in all of Go's code, and R15 may be in code that is linked dynamically; all other registers and the flags are dead, as neither the prologue nor
// a caller leaves anything in them (cmd/compile/abi-internal.md).
func (t *writer) call(displaced []byte, back uint64) {
	t.mov(g, rax)
	t.mov(r10, rcx)
	t.mov(change, ecx)
	t.mov(eax, ebx)
	t.exit = func() { t.jmp("done") }
	t.record()
	t.mov(rax, g)
	t.mov(rcx, r10)
	t.emit(displaced...)
	t.jmpAway(back)
	t.outOfTheWay()
	t.withExtras()
	t.resolve()
}

// saved are the registers that a Swap keeps in the red zone, the 128 bytes below the stack pointer which no signal overwrites. Code that may not
// grow its stack has as much left below it (StackSmall in internal/abi/stack.go).
var saved = []reg{rax, rcx, rdx, rsi, rdi, r8, r9}

// savedByExtras are what the code that Swaps share for extra slots keeps there besides, returnTo is where it goes on.
var (
	savedByExtras = []reg{r11, r12, r13}
	returnTo      = redZone(len(saved) + len(savedByExtras))
)

func redZone(i int) mem { return mem{rsp, int32(-8 * (i + 1))} }

// swap writes the trampoline for a compare-and-swap, which is carried out here: EAX is the old status, new the new one, both also after it. If it
// fails, its code tries again or goes another way: no change. Nothing is known to be dead.
func (t *writer) swap(displaced []byte, gp, new reg, back uint64) {
	t.emit(displaced...)
	t.jccAway(notEqual, back)
	for i, r := range saved {
		t.store(redZone(i), r)
	}
	t.moveOperands(gp, new)
	t.exit = func() { t.jmp("done") }
	t.record()
	for i, r := range saved {
		t.mov(r, redZone(i))
	}
	t.cmp(eax, eax) // the flags of a swap that succeeded
	t.jmpAway(back)
	t.outOfTheWay()
	t.leaLabel(rax, "done")
	t.store(returnTo, rax)
	t.jmpAway(t.extras)
	t.resolve()
}

// moveOperands brings the operands of a swap to where they are expected, neither of them over the other.
func (t *writer) moveOperands(gp, new reg) {
	switch {
	case new == g && gp == rsi:
		t.xchg(rsi, rdi)
	case new == g:
		t.mov(change, new|half)
		t.mov(g, gp)
	default:
		t.mov(g, gp)
		t.mov(change, new|half)
	}
}

// sharedExtras is the code of all Swaps for changes with extra slots.
func (t *writer) sharedExtras() {
	t.extras = t.here()
	for i, r := range savedByExtras {
		t.store(redZone(len(saved)+i), r)
	}
	t.exit = func() {
		for i, r := range savedByExtras {
			t.mov(r, redZone(len(saved)+i))
		}
		t.jmpMem(returnTo)
	}
	t.withExtras()
	t.drop()
	t.resolve()
}
