/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What the kernel side and the Go side share. bpf2go turns these types into Go (see gen.go). */
#pragma once

/* A goroutine's state. Which of Go's statuses is which state is part of each target's layout. */
enum state {
	STATE_DEAD,
	STATE_RUNNABLE,
	STATE_RUNNING,
	STATE_SYSCALL,
	STATE_WAITING,
	STATES,
	STATE_UNKNOWN = 15,
};

/* Goroutine flags. */
enum goroutine_flag {
	GOROUTINE_SAMPLED = 1,     /* its events go to the ring buffer */
	GOROUTINE_SYSTEM = 2,      /* what the runtime does not count as the program's own */
	GOROUTINE_PREEXISTING = 4, /* was there before the probes were */
	GOROUTINE_ROOT = 8,        /* begins a tree of its own: no creator decided about its sampling */
	GOROUTINE_LABELLED = 16,   /* carried profiler labels when it was last looked at */
};

/* How a Go program keeps the profiler labels that g.labels points at. */
enum label_form {
	LABELS_NONE,
	LABELS_MAP,  /* a map[string]string */
	LABELS_LIST, /* a slice of pairs of strings */
};

/* A wait reason is a byte (runtime.waitReason). */
#define REASONS 256

/* What is known of one traced process; offsets are in bytes and belong to its binary's build. */
struct target {
	__u64 states;        /* 4 bits for each of Go's statuses: an enum state */
	__u64 keeps_thread[REASONS / 64]; /* one bit for each wait reason with which a goroutine stays on its thread */
	__u64 sample_below;  /* a tree is sampled if a random 32-bit number is below this */
	__u64 root_age;      /* ns; a creator older than this does not own what it creates */
	__u64 channel_reasons; /* one bit for each wait reason below 64 with which a goroutine waits for channels */
	__u64 bias;          /* how far above its link-time addresses the binary lies in memory; of a template, where the probe at casgstatus is */
	__u32 tgid;          /* 0 if nobody is followed in this slot; written last when one is, and first when nobody is any more */
	__u32 slot;          /* index into slots and counters, high 16 bits of goroutine keys */
	__u32 executable;    /* index of the binary, for system_starts */
	__u16 goid;          /* in runtime.g */
	__u16 waitreason;
	__u16 gopc;          /* ancestors and startpc come behind it */
	__u16 m;
	__u16 sched_pc;
	__u16 labels;
	__u16 param;
	__u16 curg;          /* in runtime.m */
	__u16 sudog_c;       /* in runtime.sudog */
	__u16 dataqsiz;      /* in runtime.hchan */
	__u8 preempted;      /* Go's status of a goroutine stopped for a stack scan */
	__u8 preempted_reason;
	__u8 late_reasons;   /* a wait that keeps the thread has its reason stored only after the change of state */
	__u8 stacks;         /* the stacks of goroutines that block, or create others, are told */
	__u8 live_syscalls;  /* g.sched has no frame pointer in a system call: the thread's own is right */
	__u8 sched_has_ret;  /* g.sched has a field ret before bp */
	__u8 label_form;     /* enum label_form */
	__u8 by_function;    /* created and exited are counted for each start function too */
	__u8 blind;          /* there are no probes at the ends of system calls */
	__u8 run_times;      /* how long goroutines run is added up for each start function; of the runtime's own it always is */
	__u8 pad[6];
};

/* What only the Go side writes of a target while it is followed. */
struct limit {
	__u64 withheld_below; /* a tree whose random number is below this is left out, though it is below sample_below, too */
	__u64 adopted;        /* how many goroutines the Go side has put into the map: they count for the limit of a target */
};

/*
 * A goroutine, keyed by slot << 48 | address of its runtime.g. The runtime never frees a g but gives it to a later
 * goroutine; the entry is kept too, so that only the first use of a g inserts. Size counts: see max_goroutines.
 */
struct goroutine {
	__u64 goid;      /* 0 until the runtime has stored it, and if the goroutine is not sampled */
	__u64 created;   /* ns, CLOCK_MONOTONIC */
	__u64 since;     /* ns, when the state began */
	__u64 creation_pc; /* behind the go statement that created it */
	__u64 start_pc;  /* of the function that it begins in; 0 if that is not known */
	__u64 time[STATES - 1];  /* ns in each state but dead */
	__u32 count[STATES - 1]; /* how often it was in each state but dead */
	__u32 lost;      /* events that the ring buffer had no room for since the last that it took */
	__u8 state;
	__u8 reason;     /* wait reason, if waiting */
	__u8 flags;
	__u8 pad;
};

/* The slot of a process that is not to be followed. */
#define NO_SLOT 0xffffffff

/*
 * Where a probe's cookie holds what: 15 bits for the executable's index, and 5 for the status that the goroutine gets, or STATUS_OF_CALL where
 * that and all else are arguments of casgstatus in their registers. At another compare-and-swap, 5 bits each are the numbers of registers:
 * that points at the g, hold the old and the new status (STATUS_IN_REGISTER), and of one whose bits in an 8-bit mask are 0 if the swap failed (a
 * mask of 0: not known). 16 bits tell how far above the g the first points.
 */
enum cookie_bit {
	COOKIE_G = 0,
	COOKIE_OLD = 5,
	COOKIE_NEW = 10,
	COOKIE_SWAPPED = 15,
	COOKIE_MASK = 20,
	COOKIE_ABOVE = 28,
	COOKIE_STATUS = 44,
	COOKIE_EXECUTABLE = 49,
	STATUS_IN_REGISTER = 31,
	STATUS_OF_CALL = 30,
};

enum event_kind {
	EVENT_TRANSITION = 1,
	EVENT_CREATED,
	EVENT_EXITED,
	EVENT_PROCESS_EXECUTED, /* any process: only time and pid are set */
	EVENT_PROCESS_EXITED,   /* a target: only time and pid are set */
	EVENT_PROCESS_FOLLOWED, /* the kernel follows it from its first change of state on, g is its slot */
	EVENT_BLOCKED,          /* a transition that tells where the goroutine is in its program */
	EVENT_LABELLED,         /* no change: the goroutine carries other labels than before */
	EVENT_WOKEN,            /* a transition that tells by which channel a wait for channels ends */
};

/* A change of state. It tells how long the state lasted that ended, so that a lost event leaves a gap and no wrong time. */
struct event {
	__u64 time;  /* ns, CLOCK_MONOTONIC */
	__u64 since; /* ns, when the state that ended began */
	__u64 g;
	__u64 goid;  /* 0 if not known yet */
	__u64 waker; /* the g that made the goroutine runnable, 0 if none did or another change is told */
	__u64 waker_goid;
	__u32 pid;
	__u32 tid;
	__u32 lost;  /* events of this goroutine lost just before this one */
	__u8 kind;
	__u8 from;
	__u8 to;
	__u8 from_reason; /* wait reason, if from is waiting */
	__u8 to_reason;
	__u8 flags;
	__u8 pad[6];
};

#define STACK_FRAMES 64

/* EVENT_BLOCKED: return addresses, innermost first, up to the first 0. */
struct blocking {
	struct event event;
	__u64 pc[STACK_FRAMES];
};

/* EVENT_WOKEN */
struct waking {
	struct event event;
	__u64 channel;  /* 0 if unknown */
	__u64 dataqsiz; /* how many items its buffer holds */
};

#define LABELS 8
#define LABEL_KEY 32
#define LABEL_VALUE 64

/* A profiler label, cut to what there is room for; the lengths are the real ones. */
struct label {
	__u32 key_length;
	__u32 value_length;
	__u8 key[LABEL_KEY];
	__u8 value[LABEL_VALUE];
};

/* EVENT_LABELLED; from is STATE_DEAD if the goroutine inherits them. */
struct labelling {
	struct event event;
	__u64 count;
	struct label label[LABELS];
};

#define CREATOR_FRAMES 24

/* Return addresses, as in struct blocking. */
struct creator_stack {
	__u64 pc[CREATOR_FRAMES];
};

/* EVENT_CREATED */
struct creation {
	struct event event;
	__u64 parent; /* creator's g, 0 if unknown or none */
	__u64 parent_goid;
	__u64 start_pc;
	__u64 creation_pc;
	struct creator_stack stack; /* empty if there is no creator or stacks are not told */
};

/* EVENT_EXITED */
struct ending {
	struct event event;
	__u64 time[STATES - 1];
	__u32 count[STATES - 1];
};

/*
 * One CPU's counts of one target. A goroutine that enters a state at t adds 1 to live and -t to time, one that leaves adds
 * -1 and t: summed over the CPUs, time + live * now is the time spent in the state until now, also by goroutines that are in it still.
 * The kernel copies a value from its first word to its last, so a copy with ends == begins holds no half-made update, as long as it reads
 * in that order, too: see readCounts.
 */
struct counters {
	__u64 ends;
	__s64 live[STATES];
	__s64 time[STATES];
	__u64 created;
	__u64 exited;
	__u64 repeats;        /* hits that told nothing new */
	__u64 resynchronized; /* a change was missed before this one; its time is not accounted */
	__u64 events_lost;    /* the ring buffer was full */
	__u64 untracked;      /* goroutines map was full */
	__u64 buckets_lost;   /* histograms map was full */
	__u64 trees_withheld; /* not sampled because of a limit, or as too many events wait */
	__u64 ignored;        /* hits that changed no state, failed swaps among them */
	__u64 begins;         /* transitions */
};

/* functions, run_times: goroutines by the function that they begin in. */
struct function {
	__u64 start_pc;
	__u32 slot;
	__u32 system; /* 1 in run_times for goroutines of the runtime itself */
};

struct lives {
	__u64 created;
	__u64 exited;
};

/* The distributions of one target. */
enum histogram_kind {
	HISTOGRAM_LIFETIME,
	HISTOGRAM_SCHEDULE,
	HISTOGRAM_RUN,
	HISTOGRAM_SYSCALL,
	HISTOGRAM_WAIT,
};

/* One bucket of one distribution. */
struct bucket_key {
	__u16 slot;
	__u8 kind;
	__u8 reason; /* HISTOGRAM_WAIT only */
	__u16 bucket;
	__u16 pad;
};

struct bucket {
	__u64 count;
	__u64 sum; /* ns */
};

/* Targets in the first slots have their distributions without a wait reason, up to some minutes, where no hash must be computed. */
#define DIRECT_SLOTS 64
#define DIRECT_KINDS HISTOGRAM_WAIT
#define DIRECT_BUCKETS 304

/* One distribution of one target, slot * DIRECT_KINDS + kind. */
struct distribution {
	__u64 sum; /* ns */
	__u64 count[DIRECT_BUCKETS];
};
