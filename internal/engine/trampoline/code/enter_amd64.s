#include "textflag.h"

// func enter(text uintptr, r *registers)
//
// The frame has what the registers cannot hold meanwhile. The caller's BP, R14 and X15 are restored by the assembler and by the compiler's wrapper.
TEXT ·enter(SB), 0, $16-16
	MOVQ text+0(FP), AX
	MOVQ AX, 0(SP)
	MOVQ r+8(FP), R15
	MOVQ R15, 8(SP)
	MOVQ 0(R15), AX
	MOVQ 8(R15), CX
	MOVQ 16(R15), DX
	MOVQ 24(R15), BX
	MOVQ 40(R15), BP
	MOVQ 48(R15), SI
	MOVQ 56(R15), DI
	MOVQ 64(R15), R8
	MOVQ 72(R15), R9
	MOVQ 80(R15), R10
	MOVQ 88(R15), R11
	MOVQ 96(R15), R12
	MOVQ 104(R15), R13
	MOVQ 112(R15), R14
	MOVQ 120(R15), R15
	CALL 0(SP)
	MOVQ R15, 0(SP)
	MOVQ 8(SP), R15
	MOVQ AX, 0(R15)
	MOVQ CX, 8(R15)
	MOVQ DX, 16(R15)
	MOVQ BX, 24(R15)
	MOVQ BP, 40(R15)
	MOVQ SI, 48(R15)
	MOVQ DI, 56(R15)
	MOVQ R8, 64(R15)
	MOVQ R9, 72(R15)
	MOVQ R10, 80(R15)
	MOVQ R11, 88(R15)
	MOVQ R12, 96(R15)
	MOVQ R13, 104(R15)
	MOVQ R14, 112(R15)
	MOVQ 0(SP), AX
	MOVQ AX, 120(R15)
	RET

// func cpuid(leaf, part uint32) (eax, ebx, ecx, edx uint32)
TEXT ·cpuid(SB), NOSPLIT, $0-24
	MOVL leaf+0(FP), AX
	MOVL part+4(FP), CX
	CPUID
	MOVL AX, eax+8(FP)
	MOVL BX, ebx+12(FP)
	MOVL CX, ecx+16(FP)
	MOVL DX, edx+20(FP)
	RET
