/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#pragma once

/*
 * Go programs keep frame pointers on amd64 and arm64: what a frame pointer points at is the caller's frame pointer, and behind it the
 * return address (cmd/compile/abi-internal.md; the frame pointer of arm64 points one word below the frame).
 */
struct frame {
	__u64 caller;
	__u64 returns_to;
};

/* What g.sched tells of a goroutine that was switched away from, from pc on (runtime/runtime2.go, gobuf). */
struct saved {
	__u64 pc;
	__u64 between[3];
	__u64 bp;
	__u64 bp_behind_ret; /* where there is a field ret, which was removed in Go 1.25 */
};

/* Writes the return addresses of a stack to pc, and a 0 behind them if there are fewer than frames. */
static __always_inline void walk(__u64 *pc, __u32 frames, __u64 innermost, __u64 frame_pointer)
{
	struct frame f;
	__u32 n = 0;

	if (innermost)
		pc[n++] = innermost;
	for (__u32 i = n; i < frames; i++) {
		pc[i] = 0;
		if (!frame_pointer || bpf_probe_read_user(&f, sizeof(f), (void *)frame_pointer))
			return;
		pc[i] = f.returns_to;
		/* Stacks grow down: what does not lead up leads nowhere. */
		frame_pointer = f.caller > frame_pointer ? f.caller : 0;
	}
}
