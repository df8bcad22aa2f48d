/* SPDX-License-Identifier: Apache-2.0 */
/* histogram.h: latencies in constant memory, quantiles within 3 %. */
#ifndef CLIENTS_CLI_HISTOGRAM_H
#define CLIENTS_CLI_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEPS 32 /* per power of two */
#define HISTOGRAM_SIZE (60 * HISTOGRAM_STEPS)

/* Zeroes are an empty one. One thread at a time. */
struct histogram {
	uint64_t n;
	uint64_t max;
	uint32_t counts[HISTOGRAM_SIZE];
};

void histogram_add(struct histogram *h, uint64_t value);
/* Add all that @from has seen. */
void histogram_merge(struct histogram *h, const struct histogram *from);
/* The smallest value that a share @q (0 to 1) of all does not exceed, or 0 of none at all. */
uint64_t histogram_quantile(const struct histogram *h, double q);

#endif
