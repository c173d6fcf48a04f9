/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The registers that a uprobe interrupts, as the kernel hands them to a program: struct pt_regs on amd64 and struct
 * user_pt_regs on arm64 are part of the kernel's user ABI and are both plain arrays of 64-bit words. What the words mean
 * is given here for Go's internal ABI (Go's src/cmd/compile/abi-internal.md, unchanged since Go 1.17 and 1.18).
 */
#pragma once

#if defined(__TARGET_ARCH_x86)
#define REGISTERS 19
enum {
	REG_R15, REG_R14, REG_R13, REG_R12, REG_RBP, REG_RBX, REG_R11, REG_R10,
	REG_R9, REG_R8, REG_RAX, REG_RCX, REG_RDX, REG_RSI, REG_RDI, REG_ORIG_RAX,
	REG_RIP, REG_CS, REG_EFLAGS,
};
#define REG_ARG0 REG_RAX
#define REG_ARG1 REG_RBX
#define REG_ARG2 REG_RCX
#define REG_G REG_R14
#define REG_PC REG_RIP
#define REG_FP REG_RBP
#elif defined(__TARGET_ARCH_arm64)
#define REGISTERS 33
#define REG_ARG0 0
#define REG_ARG1 1
#define REG_ARG2 2
#define REG_G 28
#define REG_PC 32
#define REG_FP 29
#else
#error "bpf2go sets __TARGET_ARCH_x86 or __TARGET_ARCH_arm64"
#endif

struct registers {
	__u64 reg[REGISTERS];
};
