#include "textflag.h"

// One function for each of goexe's kinds of probed instruction, which is its first. Here, nops and pushes are of no kind of their own.

// func nop5()
TEXT ·nop5(SB), NOSPLIT|NOFRAME, $0-0
	RET

// func emulated()
TEXT ·emulated(SB), NOSPLIT|NOFRAME, $0-0
	RET

// func emulatedPush()
TEXT ·emulatedPush(SB), NOSPLIT|NOFRAME, $0-0
	RET

// func singleStepped()
TEXT ·singleStepped(SB), NOSPLIT|NOFRAME, $0-0
	MOVD ZR, R0
	RET

// func addresses() (nop5, emulated, emulatedPush, singleStepped uintptr)
TEXT ·addresses(SB), NOSPLIT, $0-32
	MOVD $·nop5(SB), R0
	MOVD R0, nop5+0(FP)
	MOVD $·emulated(SB), R0
	MOVD R0, emulated+8(FP)
	MOVD $·emulatedPush(SB), R0
	MOVD R0, emulatedPush+16(FP)
	MOVD $·singleStepped(SB), R0
	MOVD R0, singleStepped+24(FP)
	RET
