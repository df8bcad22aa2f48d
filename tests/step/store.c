/* SPDX-License-Identifier: Apache-2.0 */
/* store.c: a broker is killed amid each change that a request or its own upkeep makes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>
#include <cmocka.h>

#include "tests/step/change.h"

/* As it was meant: neighbours went that nobody had chosen. */
static bool run_window(struct call *c)
{
	uint64_t n_before = rig_count(&scene.rig, ABI_COUNTER_EVICTIONS_FIT);

	return change_put(c) && rig_count(&scene.rig, ABI_COUNTER_EVICTIONS_FIT) != n_before;
}

static bool run_delete(struct call *c)
{
	return store_delete(STORE, WORKER, &c->key) == ABI_STATUS_OK;
}

static bool reserve_and_write(struct call *c, uint32_t *cell)
{
	const struct scene_value *value = &c->value[c->version];

	return store_reserve(STORE, WORKER, &c->key, &c->options, value->size, cell) ==
			ABI_STATUS_OK &&
		store_write(STORE, *cell, 0, value->bytes, value->size) == ABI_STATUS_OK;
}

static bool run_commit(struct call *c)
{
	uint32_t cell;

	return reserve_and_write(c, &cell) &&
		store_commit(STORE, WORKER, cell, false) == ABI_STATUS_OK;
}

static bool run_abort(struct call *c)
{
	uint32_t cell;

	if (!reserve_and_write(c, &cell))
		return false;
	store_abort(STORE, cell);
	return true;
}

static bool run_touch(struct call *c)
{
	return store_touch(STORE, &c->key, 3600000) == ABI_STATUS_OK;
}

static bool run_free(struct call *c)
{
	(void)c;
	store_reclaim(STORE, WORKER);
	return true;
}

/* The block and the cell of the one become those of the other. */
static bool run_reuse(struct call *c)
{
	if (store_delete(STORE, WORKER, &c->other) != ABI_STATUS_OK)
		return false;
	store_reclaim(STORE, WORKER);
	return change_put(c);
}

static bool run_expire(struct call *c)
{
	(void)c;
	store_sweep(STORE, WORKER, 4096);
	return true;
}

static bool run_flush(struct call *c)
{
	uint64_t bucket = lookup_bucket_idx(c->key.hash, scene.rig.store.index.n_buckets);

	store_flush(STORE, WORKER, NULL, 0, &bucket, 4);
	return true;
}

/*
 * All of the DRAM tier moves down: found in the one or the other at any moment, and in one alone.
 */
static bool run_move(struct call *c)
{
	uint64_t size;

	(void)c;
	pthread_mutex_lock(&STORE->lock);
	size = store_demote_locked(STORE, WORKER, 1, NULL);
	pthread_mutex_unlock(&STORE->lock);
	store_reclaim(STORE, WORKER);
	return size != 0;
}

static void enter_few(void)
{
	scene_put_all(3);
	scene_view(1);
}

/*
 * Full, and who goes next lies apart: each second one is put again. Of those that go first one is
 * viewed, so that its block stays where it is.
 */
static void enter_scattered(void)
{
	unsigned i;

	scene_put_full();
	for (i = 1; i < scene.n_keys; i += 2)
		if (rig_delete(&scene.rig, i) == ABI_STATUS_OK)
			rig_drain(&scene.rig);
	for (i = 1; i < scene.n_keys; i += 2)
		scene_put(i, 1);
	scene_view(8);
}

static void enter_retired(void)
{
	unsigned i;

	scene_put_all(40);
	scene_view(3);
	for (i = 0; i < 6; i++)
		assert_int_equal(rig_delete(&scene.rig, i), ABI_STATUS_OK);
}

static void enter_late(void)
{
	struct store_put_options late = {.ttl_ms = 1};

	scene_put_all(40);
	assert_int_equal(rig_put_with(&scene.rig, 40, scene_value_seed(40, 1),
				 scene_value_size(40, 1), &late),
		ABI_STATUS_OK);
	scene.n_keys = 41;
	nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);
}

/* One entry less than what splits a bucket; see index_grow(). */
static void enter_dense(void)
{
	scene_put_all((unsigned)scene.rig.store.index.n_buckets * INDEX_LOAD);
}

static const struct change changes[] = {
	{"publish", SIZE_SMALL, 100, 0, 1, change_enter_some, change_put},
	{"publish a long key", SIZE_SMALL, 104, 0, 1, change_enter_some, change_put},
	{"replace", SIZE_SMALL, 5, 0, 2, change_enter_viewed, change_put},
	{"delete", SIZE_SMALL, 5, 0, 0, change_enter_viewed, run_delete},
	{"reserve and commit", SIZE_SMALL, 5, 0, 2, change_enter_viewed, run_commit},
	{"reserve and abort", SIZE_SMALL, 5, 0, 1, change_enter_some, run_abort},
	{"touch", SIZE_SMALL, 5, 0, 1, change_enter_some, run_touch},
	{"free", SIZE_SMALL, 10, 0, 1, enter_retired, run_free},
	{"delete, free and use again", SIZE_SMALL, 100, 5, 1, change_enter_some, run_reuse},
	{"expire", SIZE_SMALL, 40, 0, 0, enter_late, run_expire},
	{"flush", SIZE_SMALL, 5, 0, 0, change_enter_some, run_flush},
	{"evict", SIZE_TINY, 1000, 0, 1, scene_put_full, change_put},
	{"evict a window of neighbours", SIZE_TINY, 1000, 0, 3, enter_scattered, run_window},
	{"split", {2 * MIB, 2 * MIB, 0}, 8000, 0, 1, enter_dense, change_put},
	{"move", SIZE_TIERS, 1, 0, 1, enter_few, run_move},
};

int main(int argc, char **argv)
{
	return change_main(argc, argv, "step-store", changes, sizeof(changes) / sizeof(changes[0]));
}
