/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store of two tiers in this process: how fast demotion copies, and what the tiers hit.
 *
 * Demotion is beside memcpy() from the very blocks to the other tier, all else being what a
 * move costs besides: records, books, the swap. The trace runs through the store itself,
 * with the mover's steps after each request, so that watermarks, fragmentation and reclaim
 * have their part in the hit ratio; bench/replay does the same with policies alone.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <urcu.h>

#include "bench/tiers.h"
#include "bench/timing.h"
#include "bench/trace.h"
#include "shmcache/store.h"
#include "tests/support/cleanup.h"

#define MIB (UINT64_C(1) << 20)

struct bench_store {
	struct store store;
	struct abi_worker w;
	char name[3][64];
	struct cleanup cleanup;
};

static void scan_holds(void *context, struct index *ix, uint8_t round)
{
	(void)context;
	(void)ix;
	(void)round;
}

static void drain_logs(void *context, struct abi_worker *w)
{
	(void)context;
	(void)w;
}

static void remove_objects(struct cleanup *cleanup)
{
	struct bench_store *b =
		(struct bench_store *)((char *)cleanup - offsetof(struct bench_store, cleanup));
	unsigned i;

	for (i = 0; i < 3; i++)
		shm_unlink(b->name[i]);
}

static struct bench_store *store_make(struct tiers *t, uint64_t dram, uint64_t cxl,
	const struct store_tiering *tiering)
{
	struct bench_store *b = calloc(1, sizeof(*b));
	struct store_options o = {.index_size_max = 256 * MIB, .batch = 64, .tiering = *tiering};
	struct store_opened opened;
	char why[256];
	unsigned i;

	if (!b)
		report_fatal(&t->rep, "no memory");
	for (i = 0; i < 3; i++)
		snprintf(b->name[i], sizeof(b->name[i]), "/shmc-bench-tiers-%ld.%u", (long)getpid(),
			i);
	o.index_name = b->name[0];
	o.tier[ABI_TIER_DRAM].region = (struct region_options){
		.name = b->name[1], .size = dram, .node = -1, .n_threads = 1};
	if (cxl)
		o.tier[ABI_TIER_CXL].region = (struct region_options){
			.name = b->name[2], .size = cxl, .node = -1, .n_threads = 1};
	b->store.sessions = (struct store_sessions){scan_holds, drain_logs, b};
	cleanup_add(&b->cleanup, remove_objects);
	if (store_open(&b->store, &o, &opened, why, sizeof(why)))
		report_fatal(&t->rep, "no store: %s", why);
	return b;
}

static void store_drop(struct bench_store *b)
{
	store_close(&b->store, true);
	cleanup_drop(&b->cleanup);
	free(b);
}

static uint64_t count(const struct bench_store *b, enum abi_counter counter)
{
	return shared_u64_load(&b->w.counter[counter]);
}

/* --- copies ---------------------------------------------------------------------------------- */

static void put(struct tiers *t, struct bench_store *b, uint64_t id, const void *value, uint64_t size,
	uint8_t tier)
{
	struct store_put_options o = {.tier = tier};
	struct index_key key = index_key(&b->store.index, &id, sizeof(id));

	if (store_put(&b->store, &b->w, &key, &o, value, size) != ABI_STATUS_OK)
		report_fatal(&t->rep, "a put was refused");
}

/* ns of moving @n values of @size down. */
static double demote(struct tiers *t, struct bench_store *b, uint64_t n, uint64_t size)
{
	uint64_t before = count(b, ABI_COUNTER_DEMOTED_BYTES), begin = report_now(), ns;

	pthread_mutex_lock(&b->store.lock);
	store_demote_locked(&b->store, &b->w, n * size, NULL);
	pthread_mutex_unlock(&b->store.lock);
	ns = report_now() - begin;
	store_reclaim(&b->store, &b->w);
	before = count(b, ABI_COUNTER_DEMOTED_BYTES) - before;
	if (before < n * size)
		report_fatal(&t->rep, "%llu of %llu bytes moved", (unsigned long long)before,
			(unsigned long long)(n * size));
	return (double)ns * (double)(n * size) / (double)before;
}

static double copy(struct bench_store *b, uint64_t n, uint64_t size)
{
	const char *from = b->store.tier[ABI_TIER_DRAM].base;
	char *to = b->store.tier[ABI_TIER_CXL].base;
	uint64_t begin = report_now(), i;

	for (i = 0; i < n; i++) {
		memcpy(to + i * size, from + i * size, size);
		__asm__ __volatile__("" ::: "memory");
	}
	return (double)(report_now() - begin);
}

static void copies(struct tiers *t, const char *name, uint64_t size, enum report_bound bound)
{
	const struct store_tiering still = {.demote_at = 100, .demote_to = 100};
	uint64_t total = 256 * MIB, n = total / size, id = 0, i;
	double ours[TIMING_ROUNDS_MAX], theirs[TIMING_ROUNDS_MAX];
	struct bench_store *b = store_make(t, total + 64 * MIB, 2 * total, &still);
	char *value = malloc(size);
	unsigned round;

	if (!value)
		report_fatal(&t->rep, "no memory");
	memset(value, 7, size);
	for (round = 0; round < t->n_rounds; round++) {
		for (i = 0; i < n; i++)
			put(t, b, id++, value, size, ABI_TIER_DRAM);
		theirs[round] = (double)total / copy(b, n, size);
		/* The memcpy went over what was below: nobody looks at that here. */
		ours[round] = (double)total / demote(t, b, n, size);
	}
	report_row(&t->rep, &(struct report_row){.name = name,
		.ours = report_median(ours, t->n_rounds),
		.theirs = report_median(theirs, t->n_rounds),
		.unit = "GB/s",
		.goal = 0.8,
		.bound = bound,
		.note = "theirs: memcpy() between the same tiers"});
	free(value);
	store_drop(b);
}

void tiers_copies(struct tiers *t)
{
	rcu_register_thread();
	copies(t, "demote-16MiB", 16 * MIB, REPORT_AT_LEAST);
	copies(t, "demote-1MiB", MIB, REPORT_AT_LEAST);
	copies(t, "demote-64KiB", MIB / 16, REPORT_FIGURE);
	copies(t, "demote-4KiB", 4096, REPORT_FIGURE);
	rcu_unregister_thread();
}

/* --- the trace -------------------------------------------------------------------------------- */

struct replayed {
	double hits, above; /* of all reads; and in DRAM */
};

static struct replayed replay(struct tiers *t, const struct trace *trace, uint64_t dram, uint64_t cxl)
{
	const struct store_tiering tiering = {.demote_at = 95, .demote_to = 90, .promote_after = 2};
	struct bench_store *b = store_make(t, dram, cxl, &tiering);
	uint64_t n_hits = 0, n_above = 0, id;
	static char value[TRACE_BLOCK_SIZE];
	struct index_key key;
	uint32_t cell;
	size_t i;

	for (i = 0; i < trace->n_reads; i++) {
		id = trace->reads[i].key;
		key = index_key(&b->store.index, &id, sizeof(id));
		if (index_find(&b->store.index, &key, &cell)) {
			n_hits++;
			n_above += b->store.index.cell[cell].tier == ABI_TIER_DRAM;
			store_hits(&b->store, &b->w, &cell, 1);
		} else {
			put(t, b, id, value, sizeof(value), ABI_TIER_NONE);
		}
		while (store_move_step(&b->store, &b->w))
			;
	}
	store_drop(b);
	return (struct replayed){.hits = (double)n_hits / (double)trace->n_reads,
		.above = (double)n_above / (double)trace->n_reads};
}

static void trace_rows(struct tiers *t, const struct trace *trace, uint64_t n)
{
	uint64_t size = n * TRACE_BLOCK_SIZE;
	struct replayed one = replay(t, trace, size, 0);
	struct replayed two = replay(t, trace, size / 2, size / 2);
	char name[64], note[160];

	snprintf(name, sizeof(name), "tiers-lose@%llu", (unsigned long long)n);
	snprintf(note, sizeof(note), "hits %.4f in two tiers of half the size, %.4f in one; %.4f in DRAM",
		two.hits, one.hits, two.above);
	report_row(&t->rep, &(struct report_row){.name = name,
		.ours = 100 * (one.hits - two.hits),
		.theirs = NAN,
		.unit = "points",
		.goal = 2,
		.bound = REPORT_AT_MOST,
		.note = note});
}

void tiers_trace(struct tiers *t)
{
	static const uint64_t sizes[] = {1000, 3000, 10000, 30000, 50000};
	const char *what = t->trace ? t->trace : "zipf-loop:reads=200000";
	struct trace_error error;
	struct trace trace;
	size_t i, n = sizeof(sizes) / sizeof(sizes[0]);
	int r;

	if (access(what, F_OK))
		r = trace_make(&trace, what, 1, &error);
	else
		r = trace_load(&trace, what, TRACE_GUESS, t->rep.quick ? 100000 : 0, &error);
	if (r)
		report_fatal(&t->rep, "%s", error.text);
	report_say(&t->rep, "%s: %zu reads of %u keys, values of 4 KiB", what, trace.n_reads,
		trace.n_keys);
	rcu_register_thread();
	for (i = 0; i < n; i++)
		trace_rows(t, &trace, sizes[i]);
	rcu_unregister_thread();
	trace_free(&trace);
}
