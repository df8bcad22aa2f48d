/* SPDX-License-Identifier: Apache-2.0 */
/* Measuring two or more sides in turn, round by round. */
#ifndef BENCH_TIMING_H
#define BENCH_TIMING_H

#include <stddef.h>

#include "bench/report.h"

enum { TIMING_ROUNDS_MAX = 32 };

/* Do the operations number @first to @first + @n - 1 of a round. */
typedef void timing_fn(void *context, size_t first, size_t n);

/* One side: what it does, and what each round told. */
struct timing {
	timing_fn *fn;
	void *context;
	size_t n_ops; /* in a round, a multiple of group */
	size_t group; /* operations that one time stamp covers */

	/* Around a round, outside the measured time; either may be NULL. */
	void (*begin)(void *context);
	void (*end)(void *context);

	unsigned n_rounds;
	double p50[TIMING_ROUNDS_MAX], p99[TIMING_ROUNDS_MAX]; /* ns of one operation */
	double rate[TIMING_ROUNDS_MAX];			       /* operations a second */
};

/*
 * Run all sides once unmeasured, then @n_rounds times in turn: A B C A B C ... An
 * operation's time is that of its group divided by the size of the group: reading the
 * clock costs as much as a fast look-up. 0 or -ENOMEM. One thread.
 */
int timing_run(struct timing *const *sides, size_t n_sides, unsigned n_rounds);

/* For times that come from elsewhere: record a round. @samples are ns of one operation,
 * and get sorted. */
void timing_record(struct timing *timing, double *samples, size_t n, double rate);

/* Add the rounds of @one to those of @all. */
void timing_append(struct timing *all, const struct timing *one);

/* The median of the rounds, of p50 in ns or of the rate in operations a second. */
double timing_p50(const struct timing *timing);
double timing_rate(const struct timing *timing);

/* For a row: p99 and rate are medians of the rounds; the range is that of p50, or that of
 * the rate times @scale. */
struct report_spread timing_spread_p50(const struct timing *timing);
struct report_spread timing_spread_rate(const struct timing *timing, double scale);

#endif
