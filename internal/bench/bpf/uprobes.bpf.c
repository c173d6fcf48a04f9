// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
// What the product is compared with: a probe that does nothing, and the first version that everybody writes.
//go:build ignore
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>

#include "../../../bpf/registers.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The offset of goid in runtime.g that the first version knows. */
#define GOID 0x98

struct record {
	__u64 goid;
	__u32 state;
	__u32 pid;
	__u32 tgid;
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 24);
} records SEC(".maps");

SEC("uprobe")
int empty(struct registers *regs)
{
	return 0;
}

SEC("uprobe")
int first_version(struct registers *regs)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct record *r = bpf_ringbuf_reserve(&records, sizeof(*r), 0);

	if (!r)
		return 0;
	bpf_probe_read_user(&r->goid, sizeof(r->goid), (void *)(regs->reg[REG_ARG0] + GOID));
	r->state = regs->reg[REG_ARG2];
	r->pid = id;
	r->tgid = id >> 32;
	r->pad = 0;
	bpf_ringbuf_submit(r, 0);
	return 0;
}
