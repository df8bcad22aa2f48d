/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Large values, beside memcpy between the same buffers.
 *
 * Copying out is shmc_read() into a buffer of the caller, against memcpy from the value's
 * view into that buffer. Copying in is reserve, memcpy into the block, commit. What it is
 * held against is a memcpy into the very memory that the broker hands out: the same
 * sequence of calls with the time taken around the memcpy alone. Both walk through the
 * same blocks, which the warm-up has touched already: a page of shared memory costs each
 * process a fault at its first touch, and that is told in a row of its own.
 */
#include "bench/compare.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COPY_KEYS 4 /* that values are stored under in turn */
#define GIB ((double)(1 << 30))

struct copy {
	struct compare *compare;
	struct shmc *cache;
	size_t size;
	void *source, *target;
	double *samples; /* of the round */
	size_t n;	 /* operations in a round */
};

static const char *copy_key(size_t i, char *key)
{
	keys_write(key, COMPARE_KEY_SIZE, "cpy:", i % COPY_KEYS);
	return key;
}

static void *buffer_new(struct compare *compare, size_t size, uint64_t id)
{
	void *buffer = aligned_alloc(4096, size);

	if (!buffer)
		bench_must(&compare->rep, -ENOMEM, "buffer");
	keys_value_fill(buffer, size, id, 0);
	return buffer;
}

static double copy_read(struct copy *copy, size_t i)
{
	char key[COMPARE_KEY_SIZE + 1];
	uint64_t start;
	size_t size = 0;
	int r;

	copy_key(i, key);
	start = report_now();
	r = shmc_read(
		copy->cache, key, COMPARE_KEY_SIZE, copy->target, copy->size, &size);
	start = report_now() - start;
	bench_must(&copy->compare->rep, r ? r : size == copy->size ? 0 : -EBADMSG, "read");
	return (double)start;
}

static double copy_read_plain(struct copy *copy, size_t i)
{
	char key[COMPARE_KEY_SIZE + 1];
	struct shmc_view view;
	uint64_t start;

	bench_must(&copy->compare->rep,
		shmc_get(copy->cache, copy_key(i, key), COMPARE_KEY_SIZE, &view), "get");
	start = report_now();
	memcpy(copy->target, view.data, view.size);
	start = report_now() - start;
	shmc_release(copy->cache, &view);
	return (double)start;
}

/* Reserve, fill and commit; the time of it all, or of the fill alone. */
static double copy_put(struct copy *copy, size_t i, bool fill_alone)
{
	struct shmc_reservation block;
	char key[COMPARE_KEY_SIZE + 1];
	uint64_t start, filled, now;
	int r;

	copy_key(i, key);
	start = report_now();
	r = shmc_reserve(
		copy->cache, key, COMPARE_KEY_SIZE, copy->size, NULL, &block, 30000);
	bench_must(&copy->compare->rep, r, "reserve");
	if (fill_alone)
		start = report_now();
	memcpy(block.data, copy->source, copy->size);
	filled = fill_alone ? report_now() : 0;
	r = shmc_commit(copy->cache, &block, 30000);
	now = report_now();
	bench_must(&copy->compare->rep, r, "commit");
	return (double)((fill_alone ? filled : now) - start);
}

static double copy_put_whole(struct copy *copy, size_t i)
{
	return copy_put(copy, i, false);
}

static double copy_put_fill(struct copy *copy, size_t i)
{
	return copy_put(copy, i, true);
}

static void copy_round(
	struct copy *copy, struct timing *timing, double (*op)(struct copy *, size_t))
{
	double sum = 0;
	size_t i;

	for (i = 0; i < copy->n; i++)
		sum += copy->samples[i] = op(copy, i);
	timing_record(timing, copy->samples, copy->n, (double)copy->n * 1e9 / sum);
}

/* The bytes that arrived last are the right ones. */
static void copy_check(struct copy *copy)
{
	struct shmc_view view;
	char key[COMPARE_KEY_SIZE + 1];
	size_t i;

	for (i = 0; i < COPY_KEYS; i++) {
		bench_must(&copy->compare->rep,
			shmc_get(copy->cache, copy_key(i, key), COMPARE_KEY_SIZE, &view),
			"get");
		if (view.size != copy->size ||
			memcmp(view.data, copy->source, copy->size) ||
			memcmp(copy->target, copy->source, copy->size))
			report_fatal(&copy->compare->rep, "a value was copied wrongly");
		shmc_release(copy->cache, &view);
	}
}

static void copy_row(struct copy *copy, const char *what, const struct timing *ours,
	const struct timing *theirs, double goal, const char *note)
{
	char name[48];

	/* The slow tail of a shared machine is in the mean; the goals are about the
	 * median. */
	struct report_row row = {name, (double)copy->size / timing_p50(ours) * 1e9 / GIB,
		(double)copy->size / timing_p50(theirs) * 1e9 / GIB, "GiB/s", goal,
		REPORT_AT_LEAST, note, timing_spread_rate(ours, (double)copy->size / GIB),
		timing_spread_rate(theirs, (double)copy->size / GIB)};

	snprintf(name, sizeof(name), "%s-%zuMiB", what, copy->size >> 20);
	report_row(&copy->compare->rep, &row);
}

static void copy_open(
	struct copy *copy, struct compare *compare, struct shmc *cache, size_t size)
{
	size_t budget = (size_t)(compare->rep.quick ? 256 : 1024)
			<< 20; /* bytes in a round */

	*copy = (struct copy){.compare = compare, .cache = cache, .size = size};
	copy->n = budget / size;
	copy->source = buffer_new(compare, size, 1);
	copy->target = buffer_new(compare, size, 2);
	copy->samples = calloc(copy->n, sizeof(*copy->samples));
	if (!copy->samples)
		bench_must(&compare->rep, -ENOMEM, "samples");
}

static void copy_close(struct copy *copy)
{
	free(copy->source);
	free(copy->target);
	free(copy->samples);
}

/* Measure two ways to do the same in turn, after one round of each that does not count.
 */
static void copy_compare(struct copy *copy, struct timing *ours, struct timing *theirs,
	double (*our_op)(struct copy *, size_t),
	double (*their_op)(struct copy *, size_t))
{
	unsigned round;

	*ours = *theirs = (struct timing){0};
	for (round = 0; round <= copy->compare->n_rounds; round++) {
		copy_round(copy, ours, our_op);
		copy_round(copy, theirs, their_op);
		if (!round)
			ours->n_rounds = theirs->n_rounds = 0;
	}
}

static void copy_measure(struct compare *compare, size_t size, bool in)
{
	struct timing ours, theirs;
	struct broker_run broker;
	struct shmc *cache;
	struct copy copy;
	double first;
	size_t i;

	compare_broker_start(compare, &broker, &cache, "512MiB", "");
	copy_open(&copy, compare, cache, size);
	first = copy_put_whole(&copy, 0);
	for (i = 1; i < COPY_KEYS; i++)
		copy_put_whole(&copy, i);
	if (in) {
		copy_compare(&copy, &ours, &theirs, copy_put_whole, copy_put_fill);
		memcpy(copy.target, copy.source, size);
		copy_check(&copy);
		copy_row(&copy, "put", &ours, &theirs, 0.9,
			"memcpy into the same blocks; reserve, fill, commit");
		char name[48];
		snprintf(name, sizeof(name), "put-%zuMiB-first-touch", size >> 20);
		report_row(
			&compare->rep, &(struct report_row){.name = name,
					       .ours = (double)size / first * 1e9 / GIB,
					       .theirs = NAN,
					       .unit = "GiB/s",
					       .note = "the first put of a process, "
						       "pages not mapped yet"});
	} else {
		copy_compare(&copy, &ours, &theirs, copy_read, copy_read_plain);
		copy_check(&copy);
		copy_row(&copy, "read", &ours, &theirs, 0.95,
			"memcpy from the view to the same buffer");
	}
	copy_close(&copy);
	compare_broker_stop(compare, &broker, cache);
}

void compare_copy(struct compare *compare)
{
	copy_measure(compare, (size_t)1 << 20, false);
	copy_measure(compare, (size_t)16 << 20, false);
}

void compare_put_large(struct compare *compare)
{
	copy_measure(compare, (size_t)1 << 20, true);
	copy_measure(compare, (size_t)16 << 20, true);
}
