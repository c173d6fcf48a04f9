/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#pragma once

#include "maps.h"
#include "verifier.h"

// A change of state on its way through the program.
struct change {
	const struct target *target;
	struct counters *counters;
	__u64 now;
	__u64 g;
	__u64 start_pc;
	__u8 from;
	__u8 to;
	__u8 reason;
	bool wakes; // the event for which room was reserved last
	bool late;  // the state that ends has done so before, unseen
};

static __always_inline void add(__u64 *to, __u64 what)
{
	__sync_fetch_and_add(to, what);
}

// Nothing before it is seen after it, nor the other way around. Where nobody looks at what an atomic operation returns, the compiler makes
// one that orders nothing on arm64.
static __always_inline void add_in_order(__u64 *to)
{
	__u64 before = __sync_fetch_and_add(to, 1);

	asm volatile("" : : "r"(before) : "memory");
}

static __always_inline __u64 read_word(__u64 address)
{
	__u64 word = 0;

	bpf_probe_read_user(&word, sizeof(word), (void *)address);
	return word;
}

static __always_inline __u8 state_of(const struct target *t, __u32 status)
{
	// The scan bit and what else is above the low four bits do not say where the goroutine is.
	return (t->states >> (4 * (status & 15))) & 15;
}
