package code

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each line is what one call of the assembler has to write, in Intel's syntax.
func TestInstructions(t *testing.T) {
	for want, write := range map[string]func(a *assembler){
		"mov rdi, rax":                              func(a *assembler) { a.mov(rdi, rax) },
		"mov r10, rcx":                              func(a *assembler) { a.mov(r10, rcx) },
		"mov rbp, r15":                              func(a *assembler) { a.mov(rbp, r15) },
		"mov esi, r9d":                              func(a *assembler) { a.mov(esi, r9d) },
		"mov r9d, esi":                              func(a *assembler) { a.mov(r9d, esi) },
		"mov rdx, qword ptr [r14+0x30]":             func(a *assembler) { a.mov(rdx, mem{r14, 0x30}) },
		"mov rdx, qword ptr [r12-0x80]":             func(a *assembler) { a.mov(rdx, mem{r12, -0x80}) },
		"mov r15, qword ptr [r13]":                  func(a *assembler) { a.mov(r15, mem{r13, 0}) },
		"mov edx, dword ptr [rbp]":                  func(a *assembler) { a.mov(edx, mem{rbp, 0}) },
		"mov rax, qword ptr [rsp-0x8]":              func(a *assembler) { a.mov(rax, mem{rsp, -8}) },
		"mov rax, qword ptr [rsp+0x80]":             func(a *assembler) { a.mov(rax, mem{rsp, 0x80}) },
		"mov qword ptr [r8+0x18], rdx":              func(a *assembler) { a.store(mem{r8, 24}, rdx) },
		"mov qword ptr [rsp-0x58], r15":             func(a *assembler) { a.store(mem{rsp, -0x58}, r15) },
		"mov dword ptr [r9], ecx":                   func(a *assembler) { a.store(mem{r9, 0}, ecx) },
		"mov qword ptr [r12+0x12345678], r11":       func(a *assembler) { a.store(mem{r12, 0x12345678}, r11) },
		"mov eax, 0x1":                              func(a *assembler) { a.set(rax, 1) },
		"mov r13d, -0x1":                            func(a *assembler) { a.set(r13, 0xffffffff) },
		"mov ecx, 0xb":                              func(a *assembler) { a.set(ecx, 11) },
		"mov r8, 0x7f1234567000":                    func(a *assembler) { a.set(r8, 0x7f1234567000) },
		"mov rdx, 0x100000000":                      func(a *assembler) { a.set(rdx, 1<<32) },
		"movzx edx, byte ptr [rdi+0xb0]":            func(a *assembler) { a.loadByte(edx, mem{rdi, 0xb0}) },
		"lea rax, ptr [r11+0x1]":                    func(a *assembler) { a.lea(rax, mem{r11, 1}) },
		"imul r8d, r13d, 0x6":                       func(a *assembler) { a.imul(r8d, r13d, 6) },
		"imul rax, rcx, 0x2b":                       func(a *assembler) { a.imul(rax, rcx, 43) },
		"xchg rsi, rdi":                             func(a *assembler) { a.xchg(rsi, rdi) },
		"add r8, rcx":                               func(a *assembler) { a.add(r8, rcx) },
		"add r8, 0x7000":                            func(a *assembler) { a.add(r8, imm(0x7000)) },
		"add rax, r11":                              func(a *assembler) { a.add(rax, r11) },
		"or rdx, qword ptr [rdi+0x98]":              func(a *assembler) { a.or(rdx, mem{rdi, 0x98}) },
		"or esi, 0x2100":                            func(a *assembler) { a.or(esi, imm(0x2100)) },
		"and ecx, 0xfff":                            func(a *assembler) { a.and(ecx, imm(0xfff)) },
		"and eax, 0xf":                              func(a *assembler) { a.and(eax, imm(0xf)) },
		"and r11d, 0xf":                             func(a *assembler) { a.and(r11d, imm(0xf)) },
		"sub r13, 0x1":                              func(a *assembler) { a.sub(r13, imm(1)) },
		"sub rdx, qword ptr [rdi]":                  func(a *assembler) { a.sub(rdx, mem{rdi, 0}) },
		"cmp rax, qword ptr [r9+0x1040]":            func(a *assembler) { a.cmp(rax, mem{r9, 0x1040}) },
		"cmp ecx, 0x80":                             func(a *assembler) { a.cmp(ecx, imm(0x80)) },
		"cmp eax, eax":                              func(a *assembler) { a.cmp(eax, eax) },
		"shl rdx, 0x20":                             func(a *assembler) { a.shl(rdx, 32) },
		"shr r11d, 0x4":                             func(a *assembler) { a.shr(r11d, 4) },
		"test r12, r12":                             func(a *assembler) { a.test(r12, r12) },
		"test r11d, 0xffff":                         func(a *assembler) { a.test(r11d, imm(0xffff)) },
		"bt eax, esi":                               func(a *assembler) { a.bt(eax, esi) },
		"bt r13d, eax":                              func(a *assembler) { a.bt(r13d, eax) },
		"lock xadd qword ptr [r9+0x1000], rax":      func(a *assembler) { a.lockXadd(mem{r9, 0x1000}, rax) },
		"lock inc qword ptr [r9+0x1080]":            func(a *assembler) { a.lockInc(mem{r9, 0x1080}) },
		"rdtsc":                                     func(a *assembler) { a.rdtsc() },
		"rdtscp":                                    func(a *assembler) { a.rdtscp() },
		"rdpid rcx":                                 func(a *assembler) { a.rdpid(rcx) },
		"jmp qword ptr [rsp-0x60]":                  func(a *assembler) { a.jmpMem(mem{rsp, -0x60}) },
		"int3":                                      func(a *assembler) { a.emit(int3) },
		"jmp 0x1234":                                func(a *assembler) { a.jmpAway(0x1234) },
		"jne 0x7fff0000":                            func(a *assembler) { a.jccAway(notEqual, 0x7fff0000) },
		"jmp 0x1006; int3; rdtsc":                   func(a *assembler) { a.jmp("l"); a.emit(int3); a.label("l"); a.rdtsc() },
		"rdtsc; jb 0x1000":                          func(a *assembler) { a.label("l"); a.rdtsc(); a.jcc(below, "l") },
		"lea rax, ptr [rip]; rdtsc":                 func(a *assembler) { a.leaLabel(rax, "l"); a.label("l"); a.rdtsc() },
		"lea r12, ptr [rip+0x1]; int3; rdtsc":       func(a *assembler) { a.leaLabel(r12, "l"); a.emit(int3); a.label("l"); a.rdtsc() },
		"ja 0x1007; mov ecx, 0x0; rdtsc":            func(a *assembler) { a.onlyIf(belowEqual, func() { a.set(ecx, 0) }); a.rdtsc() },
		"je 0x1004; rdtsc; rdtsc":                   func(a *assembler) { a.onlyIf(notZero, a.rdtsc); a.rdtsc() },
		"rdtsc; int3; int3; int3; int3; int3; int3": func(a *assembler) { a.rdtsc(); a.align(8) },
	} {
		a := newAssembler(0x1000)
		write(a)
		a.resolve()
		require.NoError(t, a.err)
		var all []string
		for _, in := range disassemble(t, a.code, a.at) {
			all = append(all, in.String())
		}
		require.Equal(t, want, strings.Join(all, "; "), "%x", a.code)
	}
}

func TestMistakesOfTheAssemblersUser(t *testing.T) {
	for want, write := range map[string]func(a *assembler){
		"a jump from 0x1001 does not reach 0x80001010": func(a *assembler) { a.jmpAway(0x80001010) },
		"there is no label x":                          func(a *assembler) { a.jmp("x") },
		"label x is there twice":                       func(a *assembler) { a.label("x"); a.label("x") },
		"130 bytes to pass over":                       func(a *assembler) { a.onlyIf(zero, func() { a.emit(make([]byte, 130)...) }) },
		"1 cannot be copied":                           func(a *assembler) { a.mov(rax, imm(1)) },
		"7 is no operand of instruction 0x85":          func(a *assembler) { a.encode(true, 0, imm(7), 0x85) },
	} {
		a := newAssembler(0x1000)
		write(a)
		a.resolve()
		require.EqualError(t, a.err, want)
	}
}

// Each form of operands, with all registers.
func TestOperands(t *testing.T) {
	names := strings.Fields("rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15")
	halves := strings.Fields("eax ecx edx ebx esp ebp esi edi r8d r9d r10d r11d r12d r13d r14d r15d")
	for x := range rax + 16 {
		for y := range rax + 16 {
			a := newAssembler(0)
			a.mov(x, y)
			a.mov(x|half, y|half)
			a.test(x, y)
			a.mov(x, mem{y, 0x10})
			a.store(mem{y, -0x10}, x|half)
			a.sub(x, imm(-5))
			a.loadByte(x, mem{y, 0})
			require.NoError(t, a.err)
			X, Y := names[x], names[y]
			var got []string
			for _, in := range disassemble(t, a.code, 0) {
				got = append(got, in.String())
			}
			require.Equal(t, []string{
				"mov " + X + ", " + Y, "mov " + halves[x] + ", " + halves[y], "test " + X + ", " + Y, "mov " + X + ", qword ptr [" + Y + "+0x10]",
				"mov dword ptr [" + Y + "-0x10], " + halves[x], "sub " + X + ", -0x5", "movzx " + halves[x] + ", byte ptr [" + Y + "]",
			}, got)
		}
	}
}
