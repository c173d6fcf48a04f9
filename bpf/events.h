/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#pragma once

#include "change.h"
#include "labels.h"
#include "registers.h"
#include "stack.h"

static __always_inline bool is_vital(__u8 kind)
{
	return kind == EVENT_CREATED || kind == EVENT_EXITED;
}

// Room for an event of a sampled goroutine, or NULL: then the loss is counted, on the goroutine too.
static __always_inline void *reserve(struct change *c, struct goroutine *g, __u8 kind, __u64 size)
{
	__u64 waiting = bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA);
	void *e = NULL;

	// Once for each multiple: to wake the reader costs as much as a hit, also if it is awake.
	c->wakes = (waiting ^ (waiting + size + BPF_RINGBUF_HDR_SZ)) >= wakeup_bytes;
	if (waiting < crowded_bytes || is_vital(kind))
		e = bpf_ringbuf_reserve(&events, size, 0);
	if (!e) {
		add(&c->counters->events_lost, 1);
		g->lost++;
	}
	return e;
}

static __always_inline void submit(void *e, const struct change *c)
{
	bpf_ringbuf_submit(e, c->wakes ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
}

static __always_inline void fill(struct event *e, const struct change *c, struct goroutine *g, __u8 kind)
{
	__u64 id = bpf_get_current_pid_tgid();

	e->time = c->now;
	e->since = g->since;
	e->g = c->g;
	e->goid = g->goid;
	e->waker = 0;
	e->waker_goid = 0;
	e->pid = id >> 32;
	e->tid = id;
	e->lost = g->lost;
	e->kind = kind;
	e->from = g->state;
	e->to = c->to;
	e->from_reason = g->reason;
	e->to_reason = c->reason;
	e->flags = g->flags;
	__builtin_memset(e->pad, 0, sizeof(e->pad));
	g->lost = 0;
}

// The goroutine that this thread runs; 0 on a scheduler's own work. Creating and waking happen on the thread's g0.
static __always_inline __u64 current_g(const struct registers *regs, const struct target *t)
{
	__u64 m = read_word(regs->reg[REG_G] + t->m);

	return m ? read_word(m + t->curg) : 0;
}

// A coroutine is still the current goroutine when it makes itself runnable again: nobody woke it.
static __always_inline void tell_waker(struct event *e, const struct change *c, const struct registers *regs)
{
	__u64 waker = current_g(regs, c->target);

	if (waker == c->g)
		return;
	e->waker = waker;
	if (waker)
		e->waker_goid = read_word(e->waker + c->target->goid);
}

static __always_inline void send_transition(struct change *c, struct goroutine *g, const struct registers *regs)
{
	struct event *e = reserve(c, g, EVENT_TRANSITION, sizeof(*e));

	if (!e)
		return;
	fill(e, c, g, EVENT_TRANSITION);
	if (g->state == STATE_WAITING && c->to == STATE_RUNNABLE)
		tell_waker(e, c, regs);
	submit(e, c);
}

// Whether a goroutine ends to wait for channels, or in a select.
static __always_inline bool leaves_channels(const struct change *c, const struct goroutine *g)
{
	return g->state == STATE_WAITING && c->to == STATE_RUNNABLE && g->reason < 64 && c->target->channel_reasons >> g->reason & 1;
}

// Whoever sends to a channel, receives from it or closes it leaves what waited for it in g.param (runtime/chan.go).
static __always_inline void send_waking(struct change *c, struct goroutine *g, const struct registers *regs)
{
	const struct target *t = c->target;
	struct waking *e = reserve(c, g, EVENT_WOKEN, sizeof(*e));
	__u64 sudog;

	if (!e)
		return;
	fill(&e->event, c, g, EVENT_WOKEN);
	tell_waker(&e->event, c, regs);
	sudog = read_word(c->g + t->param);
	e->channel = sudog ? read_word(sudog + t->sudog_c) : 0;
	e->dataqsiz = e->channel ? read_word(e->channel + t->dataqsiz) : 0;
	submit(e, c);
}

// Where a goroutine that blocks is in its program. It has been switched away from by now, unless it enters a system call.
static __always_inline struct place place_of(const struct change *c, const struct registers *regs)
{
	const struct target *t = c->target;
	struct saved saved = {};

	if (c->to == STATE_SYSCALL && t->live_syscalls)
		return (struct place){.frame_pointer = regs->reg[REG_FP]};
	bpf_probe_read_user(&saved, sizeof(saved), (void *)(c->g + t->sched_pc));
	return (struct place){.innermost = saved.pc, .frame_pointer = t->sched_has_ret ? saved.bp_behind_ret : saved.bp};
}

// Where a goroutine is that creates another, if there is one and it is to be told: its thread is on its g0, and runtime.systemstack has left its
// frame pointer in g.sched. Not static: verified once, and with it no branch that leads to what comes behind. Without the window, with which old
// verifiers do not come to an end here.
__noinline int walk_creator(struct creator_stack *to, __u64 creator, bool told, __u64 sched_pc, bool sched_has_ret)
{
	struct saved saved = {};

	if (!to)
		return 0;
	if (creator && told)
		bpf_probe_read_user(&saved, sizeof(saved), (void *)(creator + sched_pc));
	walk(to->pc, CREATOR_FRAMES, (struct place){.frame_pointer = sched_has_ret ? saved.bp_behind_ret : saved.bp}, NULL);
	return 0;
}

static __always_inline void send_blocking(struct change *c, struct goroutine *g, const struct registers *regs)
{
	struct blocking *e = reserve(c, g, EVENT_BLOCKED, sizeof(*e));

	if (!e)
		return;
	fill(&e->event, c, g, EVENT_BLOCKED);
	walk_in_window(e->pc, STACK_FRAMES, place_of(c, regs));
	submit(e, c);
}

// A goroutine that runs and will not until something happens; one that was preempted for a stack scan is where it happened to be.
static __always_inline bool blocks(const struct change *c, const struct goroutine *g)
{
	if (g->state != STATE_RUNNING)
		return false;
	return c->to == STATE_SYSCALL || (c->to == STATE_WAITING && c->reason != c->target->preempted_reason);
}

static __always_inline void send_change(struct change *c, struct goroutine *g, const struct registers *regs)
{
	if (c->target->stacks && leaves_channels(c, g))
		send_waking(c, g, regs);
	else if (c->target->stacks && blocks(c, g))
		send_blocking(c, g, regs);
	else
		send_transition(c, g, regs);
}

static __always_inline __u64 key_of(const struct target *t, __u64 g)
{
	return (__u64)t->slot << 48 | (g & 0xffffffffffff);
}

static __noinline int send_labels(struct change *c, struct goroutine *g, __u64 labels)
{
	struct labelling *e = reserve(c, g, EVENT_LABELLED, sizeof(*e));

	if (!e)
		return 0;
	fill(&e->event, c, g, EVENT_LABELLED);
	e->event.from = c->from;
	e->count = 0;
	if (c->target->label_form == LABELS_MAP)
		read_label_map(e, labels);
	else
		read_label_list(e, labels);
	submit(e, c);
	return 0;
}

// Tells the profiler labels of a goroutine that has others than before.
static __always_inline void tell_labels(struct change *c, struct goroutine *g)
{
	__u64 key = key_of(c->target, c->g);
	__u64 labels, *told;

	if (c->target->label_form == LABELS_NONE)
		return;
	labels = read_word(c->g + c->target->labels);
	if (!labels) {
		if (g->flags & GOROUTINE_LABELLED)
			bpf_map_delete_elem(&labels_told, &key);
		g->flags &= ~GOROUTINE_LABELLED;
		return;
	}
	told = g->flags & GOROUTINE_LABELLED ? bpf_map_lookup_elem(&labels_told, &key) : NULL;
	if (told && *told == labels)
		return;
	send_labels(c, g, labels);
	bpf_map_update_elem(&labels_told, &key, &labels, BPF_ANY);
	g->flags |= GOROUTINE_LABELLED;
}

static __always_inline void send_ending(struct change *c, struct goroutine *g)
{
	struct ending *e = reserve(c, g, EVENT_EXITED, sizeof(*e));

	if (!e)
		return;
	fill(&e->event, c, g, EVENT_EXITED);
	__builtin_memcpy(e->time, g->time, sizeof(e->time));
	__builtin_memcpy(e->count, g->count, sizeof(e->count));
	submit(e, c);
}

// Without its creation a goroutine cannot be told of: if there is no room for that, it is not sampled.
static __always_inline void send_creation(struct change *c, struct goroutine *g, __u64 parent)
{
	const struct target *t = c->target;
	struct creation *e = reserve(c, g, EVENT_CREATED, sizeof(*e));

	if (!e) {
		g->flags &= ~GOROUTINE_SAMPLED;
		return;
	}
	fill(&e->event, c, g, EVENT_CREATED);
	e->parent = parent;
	e->parent_goid = parent ? read_word(parent + t->goid) : 0;
	e->start_pc = c->start_pc;
	e->creation_pc = g->creation_pc;
	walk_creator(&e->stack, parent, t->stacks, t->sched_pc, t->sched_has_ret);
	submit(e, c);
}
