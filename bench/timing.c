/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measuring two or more sides in turn, round by round.
 *
 * The machine is shared and its speed drifts, by more than the differences that matter. A
 * ratio of two figures is only worth something if both were taken under the same weather,
 * so the sides take turns, and what is compared are medians over the rounds: one
 * disturbed round of five moves nothing. The extremes are told too, so that a reader sees
 * how calm the run was.
 *
 * Time stamps come from CLOCK_MONOTONIC, about 20 ns a call, and the end of one group is
 * the start of the next. With 32 look-ups in a group that adds less than a nanosecond to
 * each, the same to both sides, hence a little in favour of the slower. A p99 of groups
 * is milder than one of single operations, for both sides alike.
 */
#include "bench/timing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void round_run(struct timing *timing, double *samples)
{
	size_t i, n = timing->n_ops / timing->group;
	uint64_t start, last, now;

	if (timing->begin)
		timing->begin(timing->context);
	start = last = report_now();
	for (i = 0; i < n; i++) {
		timing->fn(timing->context, i * timing->group, timing->group);
		now = report_now();
		samples[i] = (double)(now - last) / (double)timing->group;
		last = now;
	}
	if (timing->end)
		timing->end(timing->context);
	timing_record(
		timing, samples, n, (double)timing->n_ops * 1e9 / (double)(last - start));
}

void timing_record(struct timing *timing, double *samples, size_t n, double rate)
{
	unsigned at = timing->n_rounds;

	if (at == TIMING_ROUNDS_MAX)
		return;
	timing->p50[at] = report_quantile(samples, n, 0.5);
	timing->p99[at] = report_quantile(samples, n, 0.99);
	timing->rate[at] = rate;
	timing->n_rounds++;
}

int timing_run(struct timing *const *sides, size_t n_sides, unsigned n_rounds)
{
	size_t i, n, n_max = 1;
	double *samples;
	unsigned round;

	for (i = 0; i < n_sides; i++) {
		n = sides[i]->n_ops / sides[i]->group;
		n_max = n > n_max ? n : n_max;
	}
	samples = malloc(n_max * sizeof(*samples));
	if (!samples)
		return -ENOMEM;
	memset(samples, 0, n_max * sizeof(*samples));
	for (round = 0; round <= n_rounds; round++) {
		for (i = 0; i < n_sides; i++) {
			round_run(sides[i], samples);
			if (!round)
				sides[i]->n_rounds = 0; /* that was the warm-up */
		}
	}
	free(samples);
	return 0;
}

void timing_append(struct timing *all, const struct timing *one)
{
	unsigned i;

	for (i = 0; i < one->n_rounds && all->n_rounds < TIMING_ROUNDS_MAX; i++) {
		all->p50[all->n_rounds] = one->p50[i];
		all->p99[all->n_rounds] = one->p99[i];
		all->rate[all->n_rounds++] = one->rate[i];
	}
}

static double rounds_median(const double *rounds, unsigned n)
{
	double copy[TIMING_ROUNDS_MAX];

	memcpy(copy, rounds, n * sizeof(*rounds));
	return report_median(copy, n);
}

double timing_p50(const struct timing *timing)
{
	return rounds_median(timing->p50, timing->n_rounds);
}

double timing_rate(const struct timing *timing)
{
	return rounds_median(timing->rate, timing->n_rounds);
}

static struct report_spread spread_of(
	const struct timing *timing, const double *rounds, double scale)
{
	struct report_spread spread = {
		.min = rounds[0] * scale, .max = rounds[0] * scale};
	unsigned i;

	for (i = 1; i < timing->n_rounds; i++) {
		spread.min =
			rounds[i] * scale < spread.min ? rounds[i] * scale : spread.min;
		spread.max =
			rounds[i] * scale > spread.max ? rounds[i] * scale : spread.max;
	}
	spread.p99 = rounds_median(timing->p99, timing->n_rounds);
	spread.rate = timing_rate(timing);
	return spread;
}

struct report_spread timing_spread_p50(const struct timing *timing)
{
	return spread_of(timing, timing->p50, 1);
}

struct report_spread timing_spread_rate(const struct timing *timing, double scale)
{
	return spread_of(timing, timing->rate, scale);
}
