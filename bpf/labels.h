/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#pragma once

#include "goroutine.h"
#include "verifier.h"

/* A string of Go (runtime/string.go, stringStruct). */
struct go_string {
	__u64 data;
	__u64 length;
};

/* The beginning of a map's header before Go 1.24 (runtime/map.go, hmap). */
struct go_map {
	__u64 count;
	__u8 flags;
	__u8 log_buckets;
	__u16 overflow;
	__u32 seed;
	__u64 buckets;
};

/* A bucket of a map[string]string (runtime/map.go, bmap): top hashes, keys, values. A top hash below MIN_TOP_HASH is an empty place's. */
#define MIN_TOP_HASH 5
#define BUCKET_KEYS 8
#define BUCKET_VALUES (BUCKET_KEYS + LABELS * sizeof(struct go_string))

struct go_slice {
	__u64 data;
	__u64 length;
};

static __always_inline void read_label(struct labelling *to, const struct go_string *key, const struct go_string *value)
{
	__u64 i = unproven(to->count);
	struct label *l;

	if (i >= LABELS)
		return;
	l = &to->label[i];
	l->key_length = key->length;
	l->value_length = value->length;
	if (bpf_probe_read_user(l->key, key->length < LABEL_KEY ? key->length & (LABEL_KEY - 1) : LABEL_KEY, (void *)key->data))
		return;
	if (bpf_probe_read_user(l->value, value->length < LABEL_VALUE ? value->length & (LABEL_VALUE - 1) : LABEL_VALUE, (void *)value->data))
		return;
	to->count = i + 1;
}

/* Before Go 1.24, runtime/pprof keeps labels in a map; one that has more than a bucket is not read. */
static __always_inline void read_label_map(struct labelling *to, __u64 labels)
{
	struct go_map m = {};
	struct go_string key, value;
	__u64 header = 0, top_hashes;

	bpf_probe_read_user(&header, sizeof(header), (void *)labels);
	if (bpf_probe_read_user(&m, sizeof(m), (void *)header) || m.log_buckets)
		return;
	if (bpf_probe_read_user(&top_hashes, sizeof(top_hashes), (void *)m.buckets))
		return;
	for (int i = 0; i < LABELS; i++) {
		if ((top_hashes >> (8 * i) & 0xff) < MIN_TOP_HASH)
			continue;
		if (bpf_probe_read_user(&key, sizeof(key), (void *)(m.buckets + BUCKET_KEYS + i * sizeof(key))))
			return;
		if (bpf_probe_read_user(&value, sizeof(value), (void *)(m.buckets + BUCKET_VALUES + i * sizeof(value))))
			return;
		read_label(to, &key, &value);
	}
}

/* From Go 1.24 on, it keeps them in a slice. */
static __always_inline void read_label_list(struct labelling *to, __u64 labels)
{
	struct go_string pair[2];
	struct go_slice list;

	if (bpf_probe_read_user(&list, sizeof(list), (void *)labels))
		return;
	for (__u64 i = 0; i < LABELS && i < list.length; i++) {
		if (bpf_probe_read_user(pair, sizeof(pair), (void *)(list.data + i * sizeof(pair))))
			return;
		read_label(to, &pair[0], &pair[1]);
	}
}
