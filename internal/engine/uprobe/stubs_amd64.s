#include "textflag.h"

// One function for each of goexe's kinds of probed instruction, which is its first.

// func nop5()
TEXT ·nop5(SB), NOSPLIT|NOFRAME, $0-0
	BYTE $0x0f; BYTE $0x1f; BYTE $0x44; BYTE $0x00; BYTE $0x00 // NOPL 0(AX)(AX*1)
	RET

// func emulated()
TEXT ·emulated(SB), NOSPLIT|NOFRAME, $0-0
	BYTE $0x90 // NOP
	RET

// func emulatedPush()
TEXT ·emulatedPush(SB), NOSPLIT|NOFRAME, $0-0
	BYTE $0x55 // PUSHQ BP
	BYTE $0x5d // POPQ BP
	RET

// func singleStepped()
TEXT ·singleStepped(SB), NOSPLIT|NOFRAME, $0-0
	XORL AX, AX
	RET

// func addresses() (nop5, emulated, emulatedPush, singleStepped uintptr)
TEXT ·addresses(SB), NOSPLIT, $0-32
	LEAQ ·nop5(SB), AX
	MOVQ AX, nop5+0(FP)
	LEAQ ·emulated(SB), AX
	MOVQ AX, emulated+8(FP)
	LEAQ ·emulatedPush(SB), AX
	MOVQ AX, emulatedPush+16(FP)
	LEAQ ·singleStepped(SB), AX
	MOVQ AX, singleStepped+24(FP)
	RET
