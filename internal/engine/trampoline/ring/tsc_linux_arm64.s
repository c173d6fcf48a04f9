#include "textflag.h"

// func TSC() uint64
TEXT ·TSC(SB),NOSPLIT,$0-8
	ISB $15
	MRS CNTVCT_EL0, R0
	ISB $15
	MOVD R0, ret+0(FP)
	RET

// There is no such word on arm64: Usable says no before it is asked for.
// func auxiliary() uint32
TEXT ·auxiliary(SB),NOSPLIT,$0-4
	MOVW ZR, ret+0(FP)
	RET

// func frequency() uint64
TEXT ·frequency(SB),NOSPLIT,$0-8
	MRS CNTFRQ_EL0, R0
	MOVD R0, ret+0(FP)
	RET
