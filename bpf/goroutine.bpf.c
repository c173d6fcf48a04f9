// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// Follows the goroutines of Go programs. One family of programs serves all binaries: what differs between versions of Go is in
// the targets map, what differs between probe sites is in the probe's cookie.
//go:build ignore
#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "registers.h"
#include "unproven.h"
#include "goroutine.h"
#include "buckets.h"
#include "labels.h"
#include "stack.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

// bpf2go turns into Go what the object's BTF holds, and BTF holds the types of maps and global variables.
const struct creation *creation_type;
const struct ending *ending_type;
const struct blocking *blocking_type;
const struct blocking_full *blocking_full_type;
const struct labelling *labelling_type;
const enum stack_depth *stack_depth_type;
const enum label_form *label_form_type;
const enum state *state_type;
const enum event_kind *event_kind_type;
const enum goroutine_flag *goroutine_flag_type;
const enum histogram_kind *histogram_kind_type;

// The Go side sets the sizes of all maps when it loads them.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32); // slot
	__type(value, struct target);
	__uint(max_entries, 1);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32); // tgid
	__type(value, __u32); // slot
	__uint(max_entries, 1);
} targets SEC(".maps");

// Only the Go side writes limits, and only the programs add to tracked, which is how many goroutines they have put into the map.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32); // slot
	__type(value, struct limit);
	__uint(max_entries, 1);
} limits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32); // slot
	__type(value, __u64);
	__uint(max_entries, 1);
} tracked SEC(".maps");

// The slot of the process that this CPU ran last: most often it runs it again, and looking into an array costs a tenth of what a hash does.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 1);
} last_slot SEC(".maps");

// Executables of which each process is followed, by their index: what becomes its entry in slots.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, struct target);
	__uint(max_entries, 1);
} templates SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__type(value, __u32);
	__uint(max_entries, 1);
} free_slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u64);
	__type(value, struct goroutine);
	__uint(max_entries, 1);
} goroutines SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct start);
	__type(value, __u8);
	__uint(max_entries, 1);
} system_starts SEC(".maps");

// What was found in system_starts last: the address, 15 bits of its executable's index above, and WAS_SYSTEM.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 1);
} last_start SEC(".maps");

#define WAS_SYSTEM (1ULL << 63)

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32); // slot
	__type(value, struct counters);
	__uint(max_entries, 1);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct distribution);
	__uint(max_entries, DIRECT_SLOTS * DIRECT_KINDS);
} distributions SEC(".maps");

// The rest of the distributions.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__type(key, struct bucket_key);
	__type(value, struct bucket);
	__uint(max_entries, 1);
} histograms SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__type(key, struct function);
	__type(value, struct lives);
	__uint(max_entries, 1);
} functions SEC(".maps");

// The g.labels that was last told of a goroutine. It tells labels apart: their memory is not used again before the garbage collector has
// found that no goroutine carries them, which it cannot without stopping those that run.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, __u64); // as in goroutines
	__type(value, __u64);
	__uint(max_entries, 1);
} labels_told SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

// Bytes of waiting events at each multiple of which, a power of two, the reader is woken, above which no new tree is sampled, and from
// which only creations and exits are taken.
volatile const __u64 wakeup_bytes;
volatile const __u64 busy_bytes;
volatile const __u64 crowded_bytes;

// How many goroutines of one target there is room for.
volatile const __u64 target_goroutines;

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
};

static __always_inline void add(__u64 *to, __u64 what)
{
	__sync_fetch_and_add(to, what);
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
	struct bucket *b;

	if (count_directly(c, kind, key.bucket, ns))
		return;
	b = bpf_map_lookup_elem(&histograms, &key);
	if (!b) {
		struct bucket none = {};

		bpf_map_update_elem(&histograms, &key, &none, BPF_NOEXIST);
		b = bpf_map_lookup_elem(&histograms, &key);
		if (!b) {
			add(&c->counters->buckets_lost, 1);
			return;
		}
	}
	add(&b->count, 1);
	add(&b->sum, ns);
}

static __always_inline void count_stretch(const struct change *c, const struct goroutine *g, __u64 ns)
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
	struct lives *l = bpf_map_lookup_elem(&functions, &key);

	if (!l) {
		struct lives none = {};

		bpf_map_update_elem(&functions, &key, &none, BPF_NOEXIST);
		l = bpf_map_lookup_elem(&functions, &key);
	}
	return l;
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

static __always_inline void count_exit(const struct change *c)
{
	struct lives *l = c->target->by_function ? lives_of(c, read_origin(c).startpc) : NULL;

	add(&c->counters->exited, 1);
	if (l)
		add(&l->exited, 1);
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

static __always_inline void send_blocking(struct change *c, struct goroutine *g, const struct registers *regs)
{
	struct blocking *e = reserve(c, g, EVENT_BLOCKED, sizeof(*e));

	if (!e)
		return;
	fill(&e->event, c, g, EVENT_BLOCKED);
	walk_in_window(e->pc, LEAF_FRAMES, place_of(c, regs));
	submit(e, c);
}

static __always_inline void send_blocking_full(struct change *c, struct goroutine *g, const struct registers *regs)
{
	struct blocking_full *e = reserve(c, g, EVENT_BLOCKED, sizeof(*e));

	if (!e)
		return;
	fill(&e->event, c, g, EVENT_BLOCKED);
	walk_in_window(e->pc, FULL_FRAMES, place_of(c, regs));
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
	if (c->target->stacks == STACK_NONE || !blocks(c, g))
		send_transition(c, g, regs);
	else if (c->target->stacks == STACK_LEAF)
		send_blocking(c, g, regs);
	else
		send_blocking_full(c, g, regs);
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
	struct creation *e = reserve(c, g, EVENT_CREATED, sizeof(*e));

	if (!e) {
		g->flags &= ~GOROUTINE_SAMPLED;
		return;
	}
	fill(&e->event, c, g, EVENT_CREATED);
	e->parent = parent;
	e->parent_goid = parent ? read_word(parent + c->target->goid) : 0;
	e->start_pc = c->start_pc;
	e->creation_pc = g->creation_pc;
	submit(e, c);
}

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

static __always_inline __u8 system_flag(const struct change *c)
{
	struct start key = {.pc = c->start_pc - c->target->bias, .executable = c->target->executable};
	__u64 start = ((__u64)key.executable << 48 | (key.pc & 0xffffffffffff)) & ~WAS_SYSTEM;
	__u32 only = 0;
	__u64 *last = bpf_map_lookup_elem(&last_start, &only);

	__u64 found;

	if (!last)
		return 0;
	found = *(volatile __u64 *)last;
	if ((found & ~WAS_SYSTEM) != start) {
		found = bpf_map_lookup_elem(&system_starts, &key) ? start | WAS_SYSTEM : start;
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

static __always_inline void end_life(struct change *c, struct goroutine *g)
{
	if (!(g->flags & GOROUTINE_SYSTEM)) {
		count_exit(c);
		if (!(g->flags & GOROUTINE_PREEXISTING))
			count_duration(c, HISTOGRAM_LIFETIME, 0, c->now - g->created);
	}
	if (g->flags & GOROUTINE_SAMPLED)
		send_ending(c, g);
}

// The stretch that ends is the recorded one, unless a change before it was missed: then nobody knows how the time since the last
// known change was spent, and it counts for no state.
static __always_inline void end_stretch(const struct change *c, struct goroutine *g)
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
	if (counted && known)
		count_stretch(c, g, c->now - g->since);
	if (counted && c->to != STATE_DEAD)
		enter(c->counters, c->to, c->now);
}

// A new goroutine in a g whose last one was not seen to exit: nobody knows how that spent its last stretch.
static __always_inline void forget(const struct change *c, const struct goroutine *g)
{
	add(&c->counters->resynchronized, 1);
	if (g->flags & GOROUTINE_SYSTEM)
		return;
	leave(c->counters, g->state, g->since);
	add(&c->counters->exited, 1);
}

// A wait that ends on the thread on which it began was none: the goroutine ran on. Only a runtime with late reasons needs to be told so
// afterwards.
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
	end_stretch(c, g);
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

static __always_inline void apply(struct change *c, const struct registers *regs)
{
	__u64 key = key_of(c->target, c->g);
	struct goroutine *g = bpf_map_lookup_elem(&goroutines, &key);

	if (g && g->state == c->to) {
		add(&c->counters->repeats, 1);
		return;
	}
	add(&c->counters->begins, 1);
	if (g && g->state != STATE_DEAD && c->from != STATE_DEAD) {
		change_state(c, g, regs);
	} else if (c->to != STATE_DEAD) {
		if (g && g->state != STATE_DEAD)
			forget(c, g);
		begin_life(c, regs, g, c->from == STATE_DEAD ? 0 : GOROUTINE_PREEXISTING);
	}
	add(&c->counters->ends, 1);
}

static __always_inline bool send_process_event(__u32 pid, enum event_kind kind, __u64 g)
{
	struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

	if (!e)
		return false; // the sweep of /proc will find out
	__builtin_memset(e, 0, sizeof(*e));
	e->time = bpf_ktime_get_ns();
	e->pid = pid;
	e->kind = kind;
	e->g = g;
	bpf_ringbuf_submit(e, BPF_RB_FORCE_WAKEUP);
	return true;
}

// Follows a process that has just begun to run a known executable: nothing of its life is missed while the Go side gets to know it. That
// decides afterwards whether the process counts.
static __noinline int follow_process(struct registers *regs)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	__u32 executable = bpf_get_attach_cookie(regs);
	const struct target *template = bpf_map_lookup_elem(&templates, &executable);
	struct target *t;
	__u32 slot;

	if (!template || bpf_map_lookup_elem(&targets, &tgid))
		return 0;
	if (bpf_map_pop_elem(&free_slots, &slot))
		return 0;
	t = bpf_map_lookup_elem(&slots, &slot);
	if (!t || !send_process_event(tgid, EVENT_PROCESS_FOLLOWED, slot)) {
		bpf_map_push_elem(&free_slots, &slot, 0);
		return 0;
	}
	*t = *template;
	t->slot = slot;
	t->bias = regs->reg[REG_PC] - template->bias;
	t->tgid = tgid;
	if (bpf_map_update_elem(&targets, &tgid, &slot, BPF_NOEXIST))
		t->tgid = 0; // another thread was first
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
	if (t)
		*last = *slot;
	return t && t->tgid == tgid ? t : NULL;
}

// Not every change of status is one of state; one to waiting gets its reason here.
static __always_inline bool is_change(struct change *c, __u32 status)
{
	if (c->from == c->to || c->from >= STATES || c->to >= STATES)
		return false;
	if (c->to != STATE_WAITING)
		return true;
	c->reason = wait_reason(c->target, c->g, status);
	return c->from != STATE_RUNNING || !(c->target->keeps_thread >> (c->reason & 63) & 1);
}

static __always_inline int transition(const struct registers *regs, const struct target *t, __u64 g, __u32 old, __u32 new)
{
	struct change c = {.target = t, .g = g};
	__u32 slot;

	if (!t)
		return 0;
	slot = t->slot;
	c.counters = bpf_map_lookup_elem(&counts, &slot);
	if (!c.counters)
		return 0;
	c.now = bpf_ktime_get_ns();
	c.from = state_of(t, old);
	c.to = state_of(t, new);
	if (is_change(&c, new))
		apply(&c, regs);
	else
		add(&c.counters->ignored, 1);
	return 0;
}

// Where runtime.casgstatus(gp, oldval, newval) still holds its arguments in registers. The cookie is the executable's index.
SEC("uprobe")
int on_casgstatus(struct registers *regs)
{
	const struct target *t = current_target();

	if (!t) {
		follow_process(regs);
		t = current_target();
	}
	return transition(regs, t, regs->reg[REG_ARG0], regs->reg[REG_ARG1], regs->reg[REG_ARG2]);
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

#define NO_STATUS 0xff

// At a compare-and-swap of a g's status. The cookie names registers, a byte each: what points at the g, the old and the new status, and
// one of which the bits in the next byte are 0 if the swap failed. 2 bytes tell how far above the g the first points, and the last one the
// new status if that is in no register, else NO_STATUS.
SEC("uprobe")
int on_swap(struct registers *regs)
{
	__u64 cookie = bpf_get_attach_cookie(regs);
	__u64 g = register_at(regs, cookie) - (cookie >> 40 & 0xffff);
	__u32 old = register_at(regs, cookie >> 8);
	__u32 new = register_at(regs, cookie >> 16);
	__u8 swapped = cookie >> 32;
	__u8 becomes = cookie >> 56;

	if (swapped && !(register_at(regs, cookie >> 24) & swapped))
		return 0;
	return transition(regs, current_target(), g, old, becomes == NO_STATUS ? new : becomes);
}

// Another program in a process is another target, if any: nothing that is known of the old one holds.
SEC("raw_tracepoint/sched_process_exec")
int on_exec(void *ctx)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	const __u32 *slot = bpf_map_lookup_elem(&targets, &tgid);
	struct target *t = slot ? bpf_map_lookup_elem(&slots, slot) : NULL;

	if (t)
		t->tgid = 0;
	bpf_map_delete_elem(&targets, &tgid);
	send_process_event(tgid, EVENT_PROCESS_EXECUTED, 0);
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
		send_process_event(tgid, EVENT_PROCESS_EXITED, 0);
	return 0;
}
