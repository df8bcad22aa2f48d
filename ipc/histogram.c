/* SPDX-License-Identifier: Apache-2.0 */
/* histogram.c: reading histograms. */
#include "ipc/histogram.h"

void histogram_gather(struct histogram *sum, const struct abi_histogram *raw_h)
{
	uint64_t n, max_ns = shared_u64_load(&raw_h->max_ns);
	unsigned i;

	for (i = 0; i < ABI_HISTOGRAM_BUCKETS; i++) {
		n = shared_u64_load(&raw_h->bucket[i]);
		sum->bucket[i] += n;
		sum->n += n;
	}
	sum->sum_ns += shared_u64_load(&raw_h->sum_ns);
	if (max_ns > sum->max_ns)
		sum->max_ns = max_ns;
}

/* How far into bucket @idx, where @within of the bucket's values lie below. */
static uint64_t interpolate(unsigned idx, double within)
{
	uint64_t begin = histogram_bucket_begin(idx), end;

	if (idx == ABI_HISTOGRAM_BUCKETS - 1)
		return begin;
	end = histogram_bucket_begin(idx + 1);
	return begin + (uint64_t)((double)(end - begin) * within);
}

uint64_t histogram_quantile(const struct histogram *h, double q)
{
	double below = 0, want = q * (double)h->n;
	uint64_t value = h->max_ns;
	unsigned i;

	for (i = 0; i < ABI_HISTOGRAM_BUCKETS && h->n; i++) {
		if (h->bucket[i] && below + (double)h->bucket[i] >= want) {
			value = interpolate(i, (want - below) / (double)h->bucket[i]);
			break;
		}
		below += (double)h->bucket[i];
	}
	/* A maximum of 0 was not written yet. */
	return h->max_ns && value > h->max_ns ? h->max_ns : value;
}
