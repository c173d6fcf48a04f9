#include "textflag.h"

// RDTSCP waits for what is before it, LFENCE lets nothing behind it begin earlier.
// func TSC() uint64
TEXT ·TSC(SB),NOSPLIT,$0-8
	RDTSCP
	LFENCE
	SHLQ $32, DX
	ORQ  DX, AX
	MOVQ AX, ret+0(FP)
	RET

// func auxiliary() uint32
TEXT ·auxiliary(SB),NOSPLIT,$0-4
	RDTSCP
	MOVL CX, ret+0(FP)
	RET
