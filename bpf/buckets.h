/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Duration to bucket of an exponential histogram of scale 3 in seconds. The Go side computes both tables (package
 * internal/buckets) with the mapping of the OpenTelemetry data model: bucket b holds durations above bucket_bounds[b-1] and up
 * to bucket_bounds[b].
 */
#pragma once

#include "verifier.h"

#define BUCKETS 512 /* from 1 ns to beyond any lifetime */
#define GUESSES 512 /* 64 octaves of 8 linear parts */

volatile const __u64 bucket_bounds[BUCKETS];
volatile const __u16 bucket_guess[GUESSES]; /* the lowest bucket that a duration of this part can be in */

static __always_inline __u32 highest_bit(__u64 v)
{
	__u32 bit = 0;

	if (v >> 32) { v >>= 32; bit += 32; }
	if (v >> 16) { v >>= 16; bit += 16; }
	if (v >> 8) { v >>= 8; bit += 8; }
	if (v >> 4) { v >>= 4; bit += 4; }
	if (v >> 2) { v >>= 2; bit += 2; }
	return bit + (v >> 1);
}

static __always_inline __u16 bucket_of(__u64 ns)
{
	__u32 octave = highest_bit(ns);
	__u32 part = octave >= 3 ? (ns >> (octave - 3)) & 7 : (ns << (3 - octave)) & 7;
	__u32 b = bucket_guess[unproven(octave * 8 + part) & (GUESSES - 1)];

	/* An eighth of an octave, cut linearly, touches three buckets at the most. */
	for (int i = 0; i < 2; i++)
		if (b < BUCKETS - 1 && ns > bucket_bounds[unproven(b) & (BUCKETS - 1)])
			b++;
	return b;
}
