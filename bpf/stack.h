/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#pragma once

#include "verifier.h"

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

/* Part of a stack. To read it at once costs as much as to read a frame. */
#define WINDOW_WORDS 64
#define LAST_FRAME (WINDOW_WORDS * sizeof(__u64) - sizeof(struct frame))

struct window {
	__u64 taken; /* a thread uses it; it may lose its CPU to another meanwhile */
	__u64 from;  /* the address of the first word */
	__u64 last;  /* where the last whole frame begins, in bytes */
	__u64 word[WINDOW_WORDS];
};

/* One for each CPU. Who finds it taken does without. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct window);
	__uint(max_entries, 1);
} windows SEC(".maps");

static __always_inline bool read_frame(struct frame *f, __u64 address)
{
	return !bpf_probe_read_user(f, sizeof(*f), (void *)address);
}

/* Lets the window begin at an address, and returns where the frame there is in it, -1 if it cannot be read. Not static: verified once. */
__noinline int move_window(struct window *w, __u64 address)
{
	if (!w)
		return -1;
	w->from = address;
	w->last = LAST_FRAME;
	if (!bpf_probe_read_user(w->word, sizeof(w->word), (void *)address))
		return 0;
	w->last = 0; /* memory may end soon behind the frame */
	return bpf_probe_read_user(w->word, sizeof(struct frame), (void *)address) ? -1 : 0;
}

/* Finds a frame in the window, which is moved there if need be. */
static __always_inline bool find_frame(struct frame *f, struct window *w, __u64 address)
{
	__u64 at = address - w->from;
	__u64 i;

	if (at > w->last)
		at = move_window(w, address);
	i = unproven(at / sizeof(w->word[0]));
	if (i > WINDOW_WORDS - 2)
		return false;
	f->caller = w->word[i];
	f->returns_to = w->word[i + 1];
	return true;
}

/* Where a walk begins. */
struct place {
	__u64 innermost; /* 0 if it is not known */
	__u64 frame_pointer;
};

/* Writes the return addresses of a stack to pc, and a 0 behind them if there are fewer than frames. */
static __always_inline void walk(__u64 *pc, __u32 frames, struct place from, struct window *w)
{
	__u64 frame_pointer = from.frame_pointer;
	struct frame f = {};
	__u32 n = 0;

	if (from.innermost)
		pc[n++] = from.innermost;
	for (__u32 i = n; i < frames; i++) {
		pc[i] = 0;
		if (!frame_pointer || !(w ? find_frame(&f, w, frame_pointer) : read_frame(&f, frame_pointer)))
			return;
		pc[i] = f.returns_to;
		/* Stacks grow down: what does not lead up leads nowhere. */
		frame_pointer = f.caller > frame_pointer ? f.caller : 0;
	}
}

static __always_inline void walk_in_window(__u64 *pc, __u32 frames, struct place from)
{
	__u32 only = 0;
	struct window *w = bpf_map_lookup_elem(&windows, &only);

	if (!w || __sync_lock_test_and_set(&w->taken, 1)) {
		walk(pc, frames, from, NULL);
		return;
	}
	w->last = 0;
	w->from = 0;
	walk(pc, frames, from, w);
	__sync_lock_test_and_set(&w->taken, 0);
}
