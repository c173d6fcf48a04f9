/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#pragma once

#include "counts.h"
#include "events.h"

// A reader that cannot keep up has fewer trees to read of; the target never waits for it.
static __always_inline __u8 sampling_of_root(const struct change *c)
{
	__u32 slot = c->target->slot;
	__u32 draw = bpf_get_prandom_u32();
	const struct limit *limit = bpf_map_lookup_elem(&limits, &slot);

	if (draw >= c->target->sample_below)
		return GOROUTINE_ROOT;
	if ((limit && draw < limit->withheld_below) || bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) > busy_bytes) {
		add(&c->counters->trees_withheld, 1);
		return GOROUTINE_ROOT;
	}
	return GOROUTINE_ROOT | GOROUTINE_SAMPLED;
}

// A tree is sampled as a whole: what a short-lived creator spawns shares its lot.
static __always_inline __u8 sampling_of(const struct change *c, __u64 parent)
{
	__u64 key = key_of(c->target, parent);
	struct goroutine *p = parent ? bpf_map_lookup_elem(&goroutines, &key) : NULL;

	if (!p || p->flags & (GOROUTINE_SYSTEM | GOROUTINE_PREEXISTING) || c->now - p->created > c->target->root_age)
		return sampling_of_root(c);
	return p->flags & GOROUTINE_SAMPLED;
}

static __always_inline bool is_system_start(__u32 executable, __u64 pc)
{
	void *starts = bpf_map_lookup_elem(&system_starts, &executable);

	return starts && bpf_map_lookup_elem(starts, &pc);
}

static __always_inline __u8 system_flag(const struct change *c)
{
	__u64 pc = c->start_pc - c->target->bias;
	__u64 start = ((__u64)c->target->executable << 48 | (pc & 0xffffffffffff)) & ~WAS_SYSTEM;
	__u32 only = 0;
	__u64 *last = bpf_map_lookup_elem(&last_start, &only);
	__u64 found;

	if (!last)
		return 0;
	found = *(volatile __u64 *)last;
	if ((found & ~WAS_SYSTEM) != start) {
		found = is_system_start(c->target->executable, pc) ? start | WAS_SYSTEM : start;
		*(volatile __u64 *)last = found;
	}
	return found & WAS_SYSTEM ? GOROUTINE_SYSTEM : 0;
}

static __always_inline struct goroutine *track(const struct change *c, const struct goroutine *fresh)
{
	__u64 key = key_of(c->target, c->g);
	__u32 slot = c->target->slot;
	const struct limit *limit = bpf_map_lookup_elem(&limits, &slot);
	__u64 *count = bpf_map_lookup_elem(&tracked, &slot);

	if (!limit || !count || *count + limit->adopted >= target_goroutines || bpf_map_update_elem(&goroutines, &key, fresh, BPF_NOEXIST)) {
		add(&c->counters->untracked, 1);
		return NULL;
	}
	add(count, 1);
	return bpf_map_lookup_elem(&goroutines, &key);
}

// Brings a g into the map or to a new life. flags tells whether the runtime has created the goroutine just now.
static __always_inline void begin_life(struct change *c, const struct registers *regs, struct goroutine *known, __u8 flags)
{
	__u64 parent = 0;
	struct origin origin = read_origin(c);
	struct goroutine fresh = {
		.created = c->now,
		.since = c->now,
		.creation_pc = origin.gopc,
		.start_pc = origin.startpc,
		.state = c->to,
		.reason = c->reason,
		.flags = flags,
	};

	c->start_pc = origin.startpc;
	fresh.flags |= system_flag(c);
	fresh.count[(c->to - 1) & 3] = 1;
	if (flags & GOROUTINE_PREEXISTING)
		fresh.goid = read_word(c->g + c->target->goid);
	if (c->target->sample_below) {
		if (flags & GOROUTINE_PREEXISTING) {
			fresh.flags |= sampling_of_root(c);
		} else {
			parent = current_g(regs, c->target);
			if (parent == c->g)
				parent = 0; // the goroutine of a thread that C made
			fresh.flags |= sampling_of(c, parent);
		}
	}
	if (known) {
		*known = fresh;
	} else {
		known = track(c, &fresh);
		if (!known)
			return;
	}
	if (!(fresh.flags & GOROUTINE_SYSTEM)) {
		enter(c->counters, c->to, c->now);
		if (!(flags & GOROUTINE_PREEXISTING))
			count_creation(c);
	}
	if (fresh.flags & GOROUTINE_SAMPLED) {
		tell_labels(c, known);
		send_creation(c, known, parent);
	}
}

// A goroutine that exits before it became known is remembered as dead: who has read of it in the process's memory before must not believe
// that it lives.
static __always_inline void bury_unknown(const struct change *c)
{
	struct goroutine dead = {.created = c->now, .since = c->now, .state = STATE_DEAD, .flags = GOROUTINE_PREEXISTING};

	track(c, &dead);
}

static __always_inline void end_life(struct change *c, struct goroutine *g)
{
	if (!(g->flags & GOROUTINE_SYSTEM)) {
		count_exit(c, g);
		if (!(g->flags & GOROUTINE_PREEXISTING))
			count_duration(c, HISTOGRAM_LIFETIME, 0, c->now - g->created);
	}
	if (g->flags & GOROUTINE_SAMPLED)
		send_ending(c, g);
}

// The state that ends is the recorded one, unless a change before it was missed: then nobody knows how the time since the last
// known change was spent, and it counts for no state.
static __always_inline void end_state(const struct change *c, struct goroutine *g)
{
	bool known = g->state == c->from;
	bool counted = !(g->flags & GOROUTINE_SYSTEM);

	if (counted)
		leave(c->counters, g->state, known ? c->now : g->since);
	if (!known) {
		add(&c->counters->resynchronized, 1);
		g->lost++;
		g->since = c->now;
	}
	g->time[(g->state - 1) & 3] += c->now - g->since;
	if (known && g->state == STATE_RUNNING && (!counted || c->target->run_times))
		count_run(c, g, c->now - g->since);
	if (counted && known && !c->late)
		count_state(c, g, c->now - g->since);
	if (counted && c->to != STATE_DEAD)
		enter(c->counters, c->to, c->now);
}

// A new goroutine in a g whose last one was not seen to exit: nobody knows how long that was in its last state.
static __always_inline void forget(const struct change *c, const struct goroutine *g)
{
	add(&c->counters->resynchronized, 1);
	if (g->flags & GOROUTINE_SYSTEM)
		return;
	leave(c->counters, g->state, g->since);
	add(&c->counters->exited, 1);
}

// Before Go 1.20, the wait reason is stored after the change to waiting, so that a wait that keeps the thread looks like any other. But it ends
// by a change from waiting straight to running, which no other does: then the goroutine has been running all the time.
static __always_inline void take_back_wait(const struct change *c, struct goroutine *g)
{
	if (!(g->flags & GOROUTINE_SYSTEM)) {
		leave(c->counters, STATE_WAITING, g->since);
		enter(c->counters, STATE_RUNNING, g->since);
	}
	g->count[STATE_WAITING - 1]--;
	g->count[STATE_RUNNING - 1]--;
	g->state = STATE_RUNNING;
}

static __always_inline void change_state(struct change *c, struct goroutine *g, const struct registers *regs)
{
	if (!g->goid && g->flags & GOROUTINE_SAMPLED)
		g->goid = read_word(c->g + c->target->goid);
	if (c->target->late_reasons && g->state == STATE_WAITING && c->from == STATE_WAITING && c->to == STATE_RUNNING) {
		take_back_wait(c, g);
		c->from = STATE_RUNNING;
	}
	end_state(c, g);
	if (g->flags & GOROUTINE_SAMPLED && g->state == STATE_RUNNING)
		tell_labels(c, g);
	if (c->to == STATE_DEAD)
		end_life(c, g);
	else if (g->flags & GOROUTINE_SAMPLED)
		send_change(c, g, regs);
	g->state = c->to;
	g->reason = c->reason;
	g->since = c->now;
	if (c->to != STATE_DEAD)
		g->count[(c->to - 1) & 3]++;
}

static __always_inline __u8 wait_reason(const struct target *t, __u64 g, __u32 status)
{
	__u8 reason = 0;

	if ((status & 15) == t->preempted)
		return t->preempted_reason;
	bpf_probe_read_user(&reason, sizeof(reason), (void *)(g + t->waitreason));
	return reason;
}

static __always_inline bool keeps_thread(const struct target *t, __u8 reason)
{
	__u64 word = unproven(reason / 64);

	return word < REASONS / 64 && t->keeps_thread[word] >> (reason & 63) & 1;
}

// Without probes at the ends of system calls, few are seen to begin, and none to end. One that was, or in which the goroutine was found,
// lasts until the next change that is seen. What comes out of another, or of C, was running.
static __always_inline void see_blindly(struct change *c, const struct goroutine *g)
{
	__u8 state = g ? g->state : STATE_DEAD;

	if (state == STATE_SYSCALL && c->from != STATE_DEAD) {
		c->late = c->from != STATE_SYSCALL;
		c->from = STATE_SYSCALL;
	} else if (state == STATE_RUNNING && c->from == STATE_SYSCALL) {
		c->from = STATE_RUNNING;
	}
	if (c->from == STATE_DEAD && c->to == STATE_SYSCALL)
		c->to = STATE_RUNNING;
}

static __always_inline void apply(struct change *c, const struct registers *regs)
{
	__u64 key = key_of(c->target, c->g);
	struct goroutine *g = bpf_map_lookup_elem(&goroutines, &key);

	if (c->target->blind)
		see_blindly(c, g);
	if (g && g->state == c->to) {
		add(&c->counters->repeats, 1);
		return;
	}
	add_in_order(&c->counters->begins);
	if (g && g->state != STATE_DEAD && c->from != STATE_DEAD) {
		change_state(c, g, regs);
	} else if (c->to != STATE_DEAD) {
		if (g && g->state != STATE_DEAD)
			forget(c, g);
		begin_life(c, regs, g, c->from == STATE_DEAD ? 0 : GOROUTINE_PREEXISTING);
	} else if (!g) {
		bury_unknown(c);
	}
	add_in_order(&c->counters->ends);
}
