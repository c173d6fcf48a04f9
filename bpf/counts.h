/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#pragma once

#include "buckets.h"
#include "change.h"

// Returns a key's entry of a map, which is inserted first if there is none, NULL if there is no room. Two CPUs may do so at once: therefore
// nothing is counted in what is inserted.
static __always_inline void *entry_of(void *map, const void *key, const void *none)
{
	void *entry = bpf_map_lookup_elem(map, key);

	if (entry)
		return entry;
	bpf_map_update_elem(map, key, none, BPF_NOEXIST);
	return bpf_map_lookup_elem(map, key);
}

static __always_inline bool count_directly(const struct change *c, __u8 kind, __u16 bucket, __u64 ns)
{
	__u32 which = c->target->slot * DIRECT_KINDS + kind;
	__u64 i = unproven(bucket);
	struct distribution *d;

	if (kind >= DIRECT_KINDS || i >= DIRECT_BUCKETS)
		return false;
	d = bpf_map_lookup_elem(&distributions, &which);
	if (!d)
		return false;
	add(&d->count[i], 1);
	add(&d->sum, ns);
	return true;
}

static __always_inline void count_duration(const struct change *c, __u8 kind, __u8 reason, __u64 ns)
{
	struct bucket_key key = {
		.slot = c->target->slot,
		.kind = kind,
		.reason = reason,
		.bucket = bucket_of(ns),
	};
	struct bucket *b, none = {};

	if (count_directly(c, kind, key.bucket, ns))
		return;
	b = entry_of(&histograms, &key, &none);
	if (!b) {
		add(&c->counters->buckets_lost, 1);
		return;
	}
	add(&b->count, 1);
	add(&b->sum, ns);
}

static __always_inline void count_state(const struct change *c, const struct goroutine *g, __u64 ns)
{
	switch (g->state) {
	case STATE_RUNNABLE:
		if (c->to == STATE_RUNNING)
			count_duration(c, HISTOGRAM_SCHEDULE, 0, ns);
		break;
	case STATE_RUNNING:
		count_duration(c, HISTOGRAM_RUN, 0, ns);
		break;
	case STATE_SYSCALL:
		count_duration(c, HISTOGRAM_SYSCALL, 0, ns);
		break;
	case STATE_WAITING:
		count_duration(c, HISTOGRAM_WAIT, g->reason, ns);
		break;
	}
}

// Those that there is no room for are in the counts of all.
static __always_inline struct lives *lives_of(const struct change *c, __u64 start_pc)
{
	struct function key = {.start_pc = start_pc, .slot = c->target->slot};
	struct lives none = {};

	return entry_of(&functions, &key, &none);
}

static __always_inline void count_creation(const struct change *c)
{
	struct lives *l = c->target->by_function ? lives_of(c, c->start_pc) : NULL;

	add(&c->counters->created, 1);
	if (l)
		add(&l->created, 1);
}

// What a g tells of how its goroutine came to be, read at once: each reading costs a fourteenth of a hit.
struct origin {
	__u64 gopc;
	__u64 ancestors;
	__u64 startpc;
};

static __always_inline struct origin read_origin(const struct change *c)
{
	struct origin o = {};

	bpf_probe_read_user(&o, sizeof(o), (void *)(c->g + c->target->gopc));
	return o;
}

static __always_inline void count_exit(const struct change *c, const struct goroutine *g)
{
	struct lives *l = c->target->by_function ? lives_of(c, g->start_pc) : NULL;

	add(&c->counters->exited, 1);
	if (l)
		add(&l->exited, 1);
}

// Those of functions that there is no room for are in the counts of all.
static __always_inline void count_run(const struct change *c, const struct goroutine *g, __u64 ns)
{
	struct function key = {
		.start_pc = g->start_pc,
		.slot = c->target->slot,
		.system = g->flags & GOROUTINE_SYSTEM ? 1 : 0,
	};
	__u64 none = 0;
	__u64 *sum = entry_of(&run_times, &key, &none);

	if (sum)
		add(sum, ns);
}

static __always_inline void leave(struct counters *n, __u8 state, __u64 when)
{
	__u64 i = unproven(state);

	if (i >= STATES)
		return;
	add((__u64 *)&n->live[i], -1);
	add((__u64 *)&n->time[i], when);
}

static __always_inline void enter(struct counters *n, __u8 state, __u64 when)
{
	__u64 i = unproven(state);

	if (i >= STATES)
		return;
	add((__u64 *)&n->live[i], 1);
	add((__u64 *)&n->time[i], -when);
}
