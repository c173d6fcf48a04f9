// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Follows the goroutines of Go programs. One family of programs serves all binaries: what differs between versions of Go is in
// the targets map, what differs between probe sites is in the probe's cookie.
//go:build ignore
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "registers.h"
#include "lives.h"
#include "processes.h"

// Of the two licenses that these files may be used under, the one under which the kernel offers its helpers. The kernel compares the text with
// a short list of its own (include/linux/license.h), on which no expression of SPDX is.
char LICENSE[] SEC("license") = "GPL";

// bpf2go turns into Go what the object's BTF holds, and BTF holds the types of maps and global variables.
const struct creation *creation_type;
const struct ending *ending_type;
const struct blocking *blocking_type;
const struct labelling *labelling_type;
const struct waking *waking_type;
const enum label_form *label_form_type;
const enum state *state_type;
const enum event_kind *event_kind_type;
const enum goroutine_flag *goroutine_flag_type;
const enum histogram_kind *histogram_kind_type;
const enum cookie_bit *cookie_bit_type;

// Not every change of status is one of state; one to waiting gets its reason here.
static __always_inline bool is_change(struct change *c, __u32 status)
{
	if (c->from == c->to || c->from >= STATES || c->to >= STATES)
		return false;
	if (c->to != STATE_WAITING)
		return true;
	c->reason = wait_reason(c->target, c->g, status);
	return c->from != STATE_RUNNING || !keeps_thread(c->target, c->reason);
}

// A compare-and-swap of a g's status.
struct swap {
	__u64 g;
	__u32 old;
	__u32 new;
	bool failed;
};

static __always_inline int transition(const struct registers *regs, const struct target *t, struct swap s)
{
	struct change c = {.target = t, .g = s.g};
	__u32 slot = t->slot;

	c.counters = bpf_map_lookup_elem(&counts, &slot);
	if (!c.counters)
		return 0;
	c.now = bpf_ktime_get_ns();
	c.from = state_of(t, s.old);
	c.to = state_of(t, s.new);
	if (!s.failed && is_change(&c, s.new))
		apply(&c, regs);
	else
		add(&c.counters->ignored, 1);
	return 0;
}

static __always_inline __u64 register_at(const struct registers *regs, __u8 index)
{
	__u64 value = 0;

	// The kernel allows no computed offset into a program's context, which the compiler would make of plain C.
#define REGISTER(i) case i: asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(value) : "r"(regs), "i"(8 * (i))); break;
	switch (index) {
	REGISTER(0) REGISTER(1) REGISTER(2) REGISTER(3) REGISTER(4) REGISTER(5) REGISTER(6) REGISTER(7)
	REGISTER(8) REGISTER(9) REGISTER(10) REGISTER(11) REGISTER(12) REGISTER(13) REGISTER(14) REGISTER(15)
	REGISTER(16) REGISTER(17) REGISTER(18)
#if REGISTERS > 19
	REGISTER(19) REGISTER(20) REGISTER(21) REGISTER(22) REGISTER(23)
	REGISTER(24) REGISTER(25) REGISTER(26) REGISTER(27) REGISTER(28) REGISTER(29) REGISTER(30)
#endif
	}
#undef REGISTER
	return value;
}

static __always_inline __u32 from_cookie(__u64 cookie, enum cookie_bit at, int bits)
{
	return cookie >> at & ((1 << bits) - 1);
}

static __always_inline struct swap swap_of(const struct registers *regs, __u64 cookie)
{
	__u32 mask = from_cookie(cookie, COOKIE_MASK, 8);
	__u32 becomes = from_cookie(cookie, COOKIE_STATUS, 5);

	if (becomes == STATUS_OF_CALL)
		return (struct swap){.g = regs->reg[REG_ARG0], .old = regs->reg[REG_ARG1], .new = regs->reg[REG_ARG2]};
	return (struct swap){
		.g = register_at(regs, from_cookie(cookie, COOKIE_G, 5)) - from_cookie(cookie, COOKIE_ABOVE, 16),
		.old = register_at(regs, from_cookie(cookie, COOKIE_OLD, 5)),
		.new = becomes == STATUS_IN_REGISTER ? register_at(regs, from_cookie(cookie, COOKIE_NEW, 5)) : becomes,
		.failed = mask && !(register_at(regs, from_cookie(cookie, COOKIE_SWAPPED, 5)) & mask),
	};
}

// Where runtime.casgstatus(gp, oldval, newval) still holds its arguments in registers, and at compare-and-swaps of a g's status elsewhere. One
// program serves both, so that all probes of an executable are one link, which goes at once. The cookie says what it is: enum cookie_bit.
SEC("uprobe")
int on_change(struct registers *regs)
{
	__u64 cookie = bpf_get_attach_cookie(regs);
	const struct target *t = current_target();

	if (!t && from_cookie(cookie, COOKIE_STATUS, 5) == STATUS_OF_CALL) {
		follow_process(regs, cookie >> COOKIE_EXECUTABLE);
		t = current_target();
	}
	if (!t) {
		count_hit_of_other(cookie >> COOKIE_EXECUTABLE);
		return 0;
	}
	return transition(regs, t, swap_of(regs, cookie));
}

// Another program in a process is another target, if any: nothing that is known of the old one holds.
SEC("raw_tracepoint/sched_process_exec")
int on_exec(void *ctx)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	const __u32 *slot = bpf_map_lookup_elem(&targets, &tgid);
	struct target *t = slot ? bpf_map_lookup_elem(&slots, slot) : NULL;

	if (t && t->tgid == tgid)
		t->tgid = 0;
	bpf_map_delete_elem(&targets, &tgid);
	send_process_event(tgid, EVENT_PROCESS_EXECUTED);
	return 0;
}

// A Go program's first thread lives as long as the process does.
SEC("raw_tracepoint/sched_process_exit")
int on_exit(void *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 tgid = id >> 32;
	const __u32 *slot = bpf_map_lookup_elem(&targets, &tgid);

	if (!slot || tgid != (__u32)id)
		return 0;
	if (*slot == NO_SLOT)
		bpf_map_delete_elem(&targets, &tgid);
	else
		send_process_event(tgid, EVENT_PROCESS_EXITED);
	return 0;
}
