/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#pragma once

#include "change.h"
#include "registers.h"

static __always_inline void fill_process_event(struct event *e, __u32 pid, enum event_kind kind, __u64 g)
{
	__builtin_memset(e, 0, sizeof(*e));
	e->time = bpf_ktime_get_ns();
	e->pid = pid;
	e->kind = kind;
	e->g = g;
}

static __always_inline void send_process_event(__u32 pid, enum event_kind kind)
{
	struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

	if (!e)
		return; // the sweep of /proc will find out
	fill_process_event(e, pid, kind, 0);
	bpf_ringbuf_submit(e, BPF_RB_FORCE_WAKEUP);
}

// Puts a process into a slot that nobody is in. Programs find it by the targets map, or know the slot from its last process: they take it for
// another's until tgid is written.
static __always_inline bool enter_slot(__u32 slot, __u32 tgid, const struct target *template, __u64 casgstatus)
{
	struct target *t = bpf_map_lookup_elem(&slots, &slot);

	if (!t)
		return false;
	*t = *template;
	t->slot = slot;
	t->bias = casgstatus - template->bias;
	if (bpf_map_update_elem(&targets, &tgid, &slot, BPF_NOEXIST))
		return false; // another thread was first
	__sync_lock_test_and_set(&t->tgid, tgid);
	return true;
}

// Follows a process that has just begun to run a known executable: nothing of its life is missed while the Go side gets to know it. That
// is told when all is in place, and decides afterwards whether the process counts.
static __noinline int follow_process(struct registers *regs, __u32 executable)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	const struct target *template = bpf_map_lookup_elem(&templates, &executable);
	struct event *e;
	__u32 slot;

	if (!template || bpf_map_lookup_elem(&targets, &tgid) || bpf_map_pop_elem(&free_slots, &slot))
		return 0;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		bpf_map_push_elem(&free_slots, &slot, 0);
		return 0;
	}
	if (!enter_slot(slot, tgid, template, regs->reg[REG_PC])) {
		bpf_map_push_elem(&free_slots, &slot, 0);
		bpf_ringbuf_discard(e, 0);
		return 0;
	}
	fill_process_event(e, tgid, EVENT_PROCESS_FOLLOWED, slot);
	bpf_ringbuf_submit(e, BPF_RB_FORCE_WAKEUP);
	return 0;
}

static __always_inline const struct target *current_target(void)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	__u32 only = 0;
	__u32 *last = bpf_map_lookup_elem(&last_slot, &only);
	const __u32 *slot;
	const struct target *t;

	if (!last)
		return NULL;
	t = bpf_map_lookup_elem(&slots, last);
	if (t && t->tgid == tgid)
		return t;
	slot = bpf_map_lookup_elem(&targets, &tgid);
	if (!slot)
		return NULL;
	t = bpf_map_lookup_elem(&slots, slot);
	if (!t || t->tgid != tgid)
		return NULL;
	*last = *slot;
	return t;
}

// A hit that is not in the counts of a process: its cost is to be known all the same.
static __always_inline void count_hit_of_other(__u32 executable)
{
	__u64 *n = bpf_map_lookup_elem(&hits_of_others, &executable);

	if (n)
		add(n, 1);
}
