/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hits and misses, beside LMDB's get by reference.
 *
 * A hit is look up, read the first eight bytes of the value in place, let go. LMDB does
 * the same within a read transaction. With 1,000 keys everything stays in the processor's
 * caches and the instructions count; with a million at random the cache misses do, and a
 * batch is there to have many of them under way at once.
 *
 * A miss is looked up beside the hits, with keys of the same form that nobody stored. As
 * no peer is configured it must end in this process: the broker's count of submissions
 * does not move.
 */
#include "bench/compare.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define HIT_PREFIX "key:"
#define MISS_PREFIX "mis:"
#define NO_LMDB "LMDB: not installed when this was built"
#define FEW 1000
#define FEW_SEQUENCE 16384 /* draws from FEW keys */
#define LARGE_KEYS 8
#define LARGE_SIZE (16U << 20)
#define SUBMISSIONS "shmcache_submissions_total"

void compare_get(void *context, size_t first, size_t n)
{
	struct load *load = context;
	const struct keys *keys = load->keys;
	size_t i, at = load_position(load, first);
	struct shmc_view view;

	for (i = at; i < at + n; i++) {
		if (shmc_get(load->store, keys_at(keys, i), keys->size, &view)) {
			load->n_wrong++;
			continue;
		}
		load->sum += keys_word_read(view.data);
		shmc_release(load->store, &view);
	}
}

void compare_get_many(void *context, size_t first, size_t n)
{
	struct load *load = context;
	size_t i, at = load_position(load, first);
	struct shmc_view views[COMPARE_GROUP];
	struct shmc_key keys[COMPARE_GROUP];
	int results[COMPARE_GROUP];

	if (n != COMPARE_GROUP) {
		load->n_wrong++;
		return;
	}
	for (i = 0; i < COMPARE_GROUP; i++)
		keys[i] =
			(struct shmc_key){keys_at(load->keys, at + i), load->keys->size};
	if (shmc_get_many(load->store, keys, COMPARE_GROUP, views, results) !=
		COMPARE_GROUP) {
		load->n_wrong++;
		return;
	}
	for (i = 0; i < COMPARE_GROUP; i++)
		load->sum += keys_word_read(views[i].data);
	shmc_release_many(load->store, views, COMPARE_GROUP);
}

void compare_miss(void *context, size_t first, size_t n)
{
	struct load *load = context;
	const struct keys *keys = load->keys;
	size_t i, at = load_position(load, first);
	struct shmc_view view;

	for (i = at; i < at + n; i++)
		if (shmc_get(load->store, keys_at(keys, i), keys->size, &view) !=
			SHMC_MISS)
			load->n_wrong++;
}

static void lmdb_begin(void *context)
{
	struct load *load = context;

	load->n_wrong += !!rival_lmdb_hold(load->store);
}

static void lmdb_end(void *context)
{
	struct load *load = context;

	rival_lmdb_let_go(load->store);
}

/* All that look-ups over one set of keys need. */
struct hit {
	struct keys keys, absent;
	struct broker_run broker;
	struct shmc *cache;
	struct rival_lmdb *lmdb; /* NULL: not built in */
	struct load ours, ours_many, miss, theirs,
		theirs_renewed; /* each timing its own */
	struct timing get, get_many, get_miss, lmdb_get, lmdb_renewed;
	uint64_t n_submissions; /* during the measurement */
};

static void hit_open(struct compare *compare, struct hit *hit, size_t n, size_t n_seq)
{
	int r;

	memset(hit, 0, sizeof(*hit));
	bench_must(&compare->rep,
		keys_init(&hit->keys, n, n_seq, COMPARE_KEY_SIZE, HIT_PREFIX, 7), "keys");
	bench_must(&compare->rep,
		keys_init(&hit->absent, n, n_seq, COMPARE_KEY_SIZE, MISS_PREFIX, 7),
		"keys");
	compare_broker_start(compare, &hit->broker, &hit->cache, "1GiB", "");
	compare_fill(compare, hit->cache, &hit->keys, HIT_PREFIX);
	hit->ours = hit->ours_many =
		(struct load){.store = hit->cache, .keys = &hit->keys};
	hit->miss = (struct load){.store = hit->cache, .keys = &hit->absent};
	r = rival_lmdb_open(&hit->lmdb, (size_t)1 << 30);
	if (r == -ENOSYS)
		return;
	bench_must(&compare->rep, r, "LMDB");
	bench_must(&compare->rep, rival_lmdb_fill(hit->lmdb, &hit->keys, HIT_PREFIX), "LMDB");
	hit->theirs = (struct load){.store = hit->lmdb, .keys = &hit->keys};
	hit->theirs_renewed = hit->theirs;
}

static void hit_close(struct compare *compare, struct hit *hit)
{
	rival_lmdb_close(hit->lmdb);
	compare_broker_stop(compare, &hit->broker, hit->cache);
	keys_deinit(&hit->keys);
	keys_deinit(&hit->absent);
}

static void hit_measure(struct compare *compare, struct hit *hit, size_t n_ops)
{
	struct timing *sides[] = {
		&hit->get, &hit->get_many, &hit->lmdb_get, &hit->lmdb_renewed};
	struct timing *miss[] = {&hit->get_miss};
	uint64_t before;

	hit->get = (struct timing){.fn = compare_get,
		.context = &hit->ours,
		.n_ops = n_ops,
		.group = COMPARE_GROUP};
	hit->lmdb_get = hit->get_miss = hit->get_many = hit->get;
	hit->get_many.fn = compare_get_many;
	hit->get_many.context = &hit->ours_many;
	hit->get_miss.fn = compare_miss;
	hit->get_miss.context = &hit->miss;
	hit->lmdb_get.fn = rival_lmdb_get;
	hit->lmdb_get.context = &hit->theirs;
	hit->lmdb_renewed = hit->lmdb_get;
	hit->lmdb_renewed.fn = rival_lmdb_get_renewed;
	hit->lmdb_renewed.context = &hit->theirs_renewed;
	hit->lmdb_get.begin = lmdb_begin;
	hit->lmdb_get.end = lmdb_end;
	before = broker_run_stat(hit->cache, SUBMISSIONS);
	compare_run(compare, sides, hit->lmdb ? 4 : 2, true);
	compare_run(compare, miss, 1, false);
	hit->n_submissions = broker_run_stat(hit->cache, SUBMISSIONS) - before;
}

static void hit_rows_lmdb(
	struct compare *compare, struct hit *hit, const char *name, double goal)
{
	char further[64];

	snprintf(further, sizeof(further), "%s-renewed", name);
	if (!hit->lmdb) {
		compare_row_p50(
			compare, name, &hit->get, NULL, REPORT_FIGURE, 0, NO_LMDB);
		return;
	}
	compare_row_p50(compare, name, &hit->get, &hit->lmdb_get, REPORT_AT_MOST, goal,
		"LMDB, one transaction kept open");
	compare_row_p50(compare, further, &hit->get, &hit->lmdb_renewed, REPORT_FIGURE, 0,
		"LMDB, transaction renewed for each get");
}

static void hit_rows_miss(struct compare *compare, struct hit *hit, const char *name)
{
	struct report_row traffic = {.ours = (double)hit->n_submissions,
		.theirs = NAN,
		.unit = "req",
		.goal = 0,
		.bound = REPORT_AT_MOST,
		.note = "requests to the broker in all rounds of hits and misses"};
	char further[64];

	compare_row_p50(compare, name, &hit->get_miss, &hit->get, REPORT_AT_MOST, 1.5,
		"theirs: our hit");
	snprintf(further, sizeof(further), "%s-traffic", name);
	traffic.name = further;
	report_row(&compare->rep, &traffic);
}

void compare_hit_few(struct compare *compare)
{
	struct hit hit;

	hit_open(compare, &hit, FEW, FEW_SEQUENCE);
	compare_check(compare, hit.cache, &hit.keys, 0);
	hit_measure(compare, &hit, (compare->rep.quick ? 10 : 60) * FEW_SEQUENCE);
	hit_rows_lmdb(compare, &hit, "hit-64B-1k", 0.8);
	hit_rows_miss(compare, &hit, "miss-1k");
	hit_close(compare, &hit);
}

void compare_hit_many(struct compare *compare)
{
	struct hit hit;

	hit_open(compare, &hit, COMPARE_MANY, COMPARE_MANY);
	compare_check(compare, hit.cache, &hit.keys, 0);
	hit_measure(compare, &hit, compare->rep.quick ? COMPARE_QUICK : COMPARE_MANY);
	hit_rows_lmdb(compare, &hit, "hit-64B-1M", 0.6);
	compare_row_p50(compare, "hit-64B-1M-batch32", &hit.get_many,
		hit.lmdb ? &hit.lmdb_get : NULL,
		hit.lmdb ? REPORT_AT_MOST : REPORT_FIGURE, 0.35,
		hit.lmdb ? "per key; LMDB one by one, it has no batches" : NO_LMDB);
	hit_rows_miss(compare, &hit, "miss-1M");
	compare_readers(compare, hit.broker.name);
	hit_close(compare, &hit);
}

/* Store the keys of a large and a small value each; the first word is what a get looks
 * at. */
static void large_fill(
	struct compare *compare, struct shmc *cache, const struct keys *keys, size_t size)
{
	struct shmc_reservation block;
	size_t i;

	for (i = 0; i < keys->n_seq; i++) {
		if (!shmc_exists(cache, keys_at(keys, i), keys->size))
			continue;
		bench_must(&compare->rep,
			shmc_reserve(cache, keys_at(keys, i), keys->size, size, NULL,
				&block, 30000),
			"reserve");
		keys_value_fill(block.data, size, keys->id[i], 0);
		bench_must(&compare->rep, shmc_commit(cache, &block, 30000), "commit");
	}
}

void compare_hit_large(struct compare *compare)
{
	size_t n_ops = (compare->rep.quick ? 10 : 60) * FEW_SEQUENCE;
	struct keys small_keys, large_keys;
	struct load small_load, large_load;
	struct broker_run broker;
	struct shmc *cache;

	compare_broker_start(compare, &broker, &cache, "512MiB", "");
	bench_must(&compare->rep,
		keys_init(&small_keys, LARGE_KEYS, FEW_SEQUENCE, COMPARE_KEY_SIZE,
			"sml:", 7),
		"keys");
	bench_must(&compare->rep,
		keys_init(&large_keys, LARGE_KEYS, FEW_SEQUENCE, COMPARE_KEY_SIZE,
			"lrg:", 7),
		"keys");
	large_fill(compare, cache, &small_keys, KEYS_VALUE_SIZE);
	large_fill(compare, cache, &large_keys, LARGE_SIZE);
	small_load = (struct load){.store = cache, .keys = &small_keys};
	large_load = (struct load){.store = cache, .keys = &large_keys};

	struct timing small = {.fn = compare_get,
		.context = &small_load,
		.n_ops = n_ops,
		.group = COMPARE_GROUP};
	struct timing large = {.fn = compare_get,
		.context = &large_load,
		.n_ops = n_ops,
		.group = COMPARE_GROUP};
	struct timing *sides[] = {&large, &small};

	compare_run(compare, sides, 2, true);
	compare_row_p50(compare, "hit-16MiB", &large, &small, REPORT_AT_MOST, 1.3,
		"theirs: our hit of 64 B, as many keys");
	keys_deinit(&small_keys);
	keys_deinit(&large_keys);
	compare_broker_stop(compare, &broker, cache);
}
