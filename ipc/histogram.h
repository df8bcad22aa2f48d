/* SPDX-License-Identifier: Apache-2.0 */
/* histogram.h: how long things take, in buckets that grow with what they hold. */
#ifndef IPC_HISTOGRAM_H
#define IPC_HISTOGRAM_H

#include <stdint.h>

#include "ipc/abi.h"

/*
 * Log-linear buckets, after HdrHistogram (Tene), with two for each power of two:
 *
 *	bucket    0     1     2      3      4      5     ...  60            61
 *	ns     0..63 64..95 96..127 ..191  ..255  ..383       51.5..68.7 s  more
 *
 * A value is thus known to a quarter of itself, from 64 ns to a minute, in 512 bytes. One writer;
 * whoever reads it meanwhile may see a bucket without its part of the sum, which is no harm.
 */
#define HISTOGRAM_FIRST_SHIFT 6 /* 64 ns */

static inline unsigned histogram_bucket(uint64_t ns)
{
	unsigned octave, idx;

	if (ns >> HISTOGRAM_FIRST_SHIFT == 0)
		return 0;
	octave = 63 - (unsigned)__builtin_clzll(ns);
	idx = 1 + 2 * (octave - HISTOGRAM_FIRST_SHIFT) + (unsigned)(ns >> (octave - 1) & 1);
	return idx < ABI_HISTOGRAM_BUCKETS ? idx : ABI_HISTOGRAM_BUCKETS - 1;
}

/* The least value that bucket @idx holds. That of the one behind the last is what the last begins
 * with, for it has no end. */
static inline uint64_t histogram_bucket_begin(unsigned idx)
{
	unsigned octave = HISTOGRAM_FIRST_SHIFT + (idx - 1) / 2;

	return idx ? (UINT64_C(1) << octave) + ((uint64_t)((idx - 1) & 1) << (octave - 1)) : 0;
}

/* Note @ns, which stands for @weight times the like. By the histogram's one writer. */
static inline void histogram_add(struct abi_histogram *h, uint64_t ns, uint64_t weight)
{
	shared_u64_add(&h->bucket[histogram_bucket(ns)], weight);
	shared_u64_add(&h->sum_ns, ns * weight);
	if (ns > shared_u64_load(&h->max_ns))
		shared_u64_store(&h->max_ns, ns);
}

/* A private copy, or the sum of several, to be read at leisure. */
struct histogram {
	uint64_t bucket[ABI_HISTOGRAM_BUCKETS];
	uint64_t n, sum_ns, max_ns;
};

/* Add what is in @raw_h, which may be written meanwhile and may be hostile: any numbers will do. */
void histogram_gather(struct histogram *sum, const struct abi_histogram *raw_h);

/*
 * The value below which the share @q (0 to 1) of all lie, in ns, linear within its bucket and never
 * more than the largest; 0 when there are none.
 */
uint64_t histogram_quantile(const struct histogram *h, double q);

#endif
