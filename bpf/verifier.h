/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#pragma once

/*
 * The verifier wants to see an index bounded where it is used, in arithmetic that it follows; the compiler, which knows more, would leave
 * that out or move it to where old verifiers lose it.
 */
static __always_inline __u64 unproven(__u64 index)
{
	asm volatile("" : "+r"(index));
	return index;
}
