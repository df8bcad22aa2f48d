/* SPDX-License-Identifier: Apache-2.0 */
/*
 * histogram.c: latencies in constant memory, quantiles within 3 %.
 *
 * A few seconds of hits are 100 million samples: too many to keep. Below 32 each value has
 * a bucket of its own, from there on each power of two is cut into 32 equal steps, so that
 * a bucket is never wider than 1/32 of what it holds. A quantile is told as the upper edge
 * of its bucket: rather a bit too slow than a bit too good.
 */
#include "clients/cli/histogram.h"

#include <stddef.h>

static size_t bucket_of(uint64_t value)
{
	unsigned shift;

	if (value < HISTOGRAM_STEPS)
		return value;
	/* the 6 leading bits are 32 to 63 */
	shift = 63 - 5 - (unsigned)__builtin_clzll(value);
	return shift * HISTOGRAM_STEPS + (value >> shift);
}

static uint64_t bucket_last(size_t bucket)
{
	unsigned shift;

	if (bucket < HISTOGRAM_STEPS)
		return bucket;
	shift = (unsigned)(bucket / HISTOGRAM_STEPS) - 1;
	return ((bucket % HISTOGRAM_STEPS + HISTOGRAM_STEPS + 1) << shift) - 1;
}

void histogram_add(struct histogram *h, uint64_t value)
{
	h->counts[bucket_of(value)]++;
	h->n++;
	if (value > h->max)
		h->max = value;
}

void histogram_merge(struct histogram *h, const struct histogram *from)
{
	for (size_t i = 0; i < HISTOGRAM_SIZE; i++)
		h->counts[i] += from->counts[i];
	h->n += from->n;
	if (from->max > h->max)
		h->max = from->max;
}

uint64_t histogram_quantile(const struct histogram *h, double q)
{
	uint64_t wanted = (uint64_t)((double)h->n * q), seen = 0;

	for (size_t i = 0; i < HISTOGRAM_SIZE; i++) {
		seen += h->counts[i];
		if (h->counts[i] && seen >= wanted)
			return bucket_last(i) < h->max ? bucket_last(i) : h->max;
	}
	return h->max;
}
