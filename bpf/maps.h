/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#pragma once

#include "goroutine.h"

// The Go side sets the sizes of the maps that have room for 1 here when it loads them.
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

// Of each executable, by its index, the link-time addresses of the functions whose goroutines the runtime counts as its own. Each has a map of
// the size that it needs.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct {
		__uint(type, BPF_MAP_TYPE_HASH);
		__uint(max_entries, 1);
		__type(key, __u64);
		__type(value, __u8);
	});
} system_starts SEC(".maps");

// Of each executable, by its index, hits of its probes by processes that were not followed then.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 1);
} hits_of_others SEC(".maps");

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

// The rest of the distributions. Memory is taken as it is needed, for all CPUs together: that lets each process have what it needs.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
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

// For how long goroutines ran, in ns, by the function that they begin in.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__type(key, struct function);
	__type(value, __u64);
	__uint(max_entries, 1);
} run_times SEC(".maps");

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
