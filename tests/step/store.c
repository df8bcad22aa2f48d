/* SPDX-License-Identifier: Apache-2.0 */
/* store.c: a broker is killed after each instruction of each change that it makes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <urcu.h>

#include "shmcache/store.h"
#include "tests/shmcache/rig.h"
#include "tests/step/image.h"
#include "tests/step/trail.h"
#include "tests/step/view.h"

/*
 * The store is opened once and brought into a state; from there each child, a fork with private
 * books of its own and the same shared memory, does the same, and is killed one instruction further
 * on. What it leaves is opened as a new broker would. Then the memory is put back as it was.
 *
 * What must hold: the start is warm; the books agree; each key has the value that it had before or
 * the one that it has when nobody is killed, to the last byte, and nothing else is there; no two
 * values overlap; and what was opened takes, gives and drops values like any other store. Where a
 * client was viewing a value that the change removes, it still has it, from the new broker too; see
 * view.c.
 *
 * As a kill changes nothing by itself, what one leaves is the same as what the last one left unless
 * the instruction between wrote to shared memory. Of those few are made, and they are opened again
 * in a soak only.
 */
#define N_MAX 8192
#define PROBE (N_MAX + 1)
#define VERSIONS 3
#define HASH_SEED 42

static struct scene {
	struct rig rig; /* where each child begins */
	struct image index, dram, cxl;
	struct view view; /* of a client, from before the change to after the start */
	unsigned n_keys;
	/* Versions before the change and after it, 0: the key is not there. */
	uint8_t before[N_MAX], after[N_MAX];
	bool is_soak;
	unsigned seed;
} scene;

/* Version 3 is as large as many others together. */
static uint64_t size_of(uint64_t key, unsigned version)
{
	return version == 3 ? 1900 : 40 + key * 7 % 200 + version * 30;
}

static uint64_t seed_of(uint64_t key, unsigned version)
{
	return key << 8 | version;
}

static void put(uint64_t key, unsigned version)
{
	assert_int_equal(rig_put(&scene.rig, key, seed_of(key, version), size_of(key, version)),
		ABI_STATUS_OK);
}

static void view(uint64_t key)
{
	view_take(&scene.view, &scene.rig, key, seed_of(key, 1), size_of(key, 1));
}

static void fill(unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		put(i, 1);
	scene.n_keys = n;
}

/* --- the changes ------------------------------------------------------------------------------ */

/* Everything but the call itself is done before the mark. */
struct call {
	struct index_key key, other;
	struct store_put_options options;
	uint8_t bytes[2][ABI_KEY_SIZE_MAX];
	char value[2048];
	uint64_t size;
};

struct change {
	const char *name;
	uint64_t dram_size, index_size, cxl_size; /* cxl_size 0: one tier */
	uint64_t key, other;
	unsigned version;
	void (*enter)(void);
	enum abi_status (*run)(struct call *c);
};

#define STORE (&scene.rig.store)
#define WORKER (&scene.rig.w)

static enum abi_status run_put(struct call *c)
{
	return store_put(STORE, WORKER, &c->key, &c->options, c->value, c->size);
}

/* As it was meant: neighbours went that nobody had chosen. */
static enum abi_status run_window(struct call *c)
{
	struct shared_u64 *n_fit = &WORKER->counter[ABI_COUNTER_EVICTIONS_FIT];
	uint64_t n_before = shared_u64_load(n_fit);
	enum abi_status status = run_put(c);

	if (status == ABI_STATUS_OK && shared_u64_load(n_fit) == n_before)
		status = ABI_STATUS_NOSPACE;
	return status;
}

static enum abi_status run_delete(struct call *c)
{
	return store_delete(STORE, WORKER, &c->key);
}

static enum abi_status run_commit(struct call *c)
{
	enum abi_status status;
	uint32_t cell;

	status = store_reserve(STORE, WORKER, &c->key, &c->options, c->size, &cell);
	if (status == ABI_STATUS_OK)
		status = store_write(STORE, cell, 0, c->value, c->size);
	if (status == ABI_STATUS_OK)
		status = store_commit(STORE, WORKER, cell, false);
	return status;
}

static enum abi_status run_abort(struct call *c)
{
	enum abi_status status;
	uint32_t cell;

	status = store_reserve(STORE, WORKER, &c->key, &c->options, c->size, &cell);
	if (status == ABI_STATUS_OK)
		status = store_write(STORE, cell, 0, c->value, c->size);
	if (status == ABI_STATUS_OK)
		store_abort(STORE, cell);
	return status;
}

static enum abi_status run_touch(struct call *c)
{
	return store_touch(STORE, &c->key, 3600000);
}

static enum abi_status run_free(struct call *c)
{
	(void)c;
	store_reclaim(STORE, WORKER);
	return ABI_STATUS_OK;
}

/* The block and the cell of the one become those of the other. */
static enum abi_status run_reuse(struct call *c)
{
	enum abi_status status = store_delete(STORE, WORKER, &c->other);

	if (status == ABI_STATUS_OK)
		store_reclaim(STORE, WORKER);
	return status == ABI_STATUS_OK ? run_put(c) : status;
}

static enum abi_status run_expire(struct call *c)
{
	(void)c;
	store_sweep(STORE, WORKER, 4096);
	return ABI_STATUS_OK;
}

static enum abi_status run_flush(struct call *c)
{
	uint64_t bucket = lookup_bucket_idx(c->key.hash, scene.rig.store.index.n_buckets);

	store_flush(STORE, WORKER, NULL, 0, &bucket, 4);
	return ABI_STATUS_OK;
}

/*
 * All of the DRAM tier moves down: found in the one or the other at any moment, and in one alone.
 */
static enum abi_status run_move(struct call *c)
{
	uint64_t size;

	(void)c;
	pthread_mutex_lock(&STORE->lock);
	size = store_demote_locked(STORE, WORKER, 1, NULL);
	pthread_mutex_unlock(&STORE->lock);
	store_reclaim(STORE, WORKER);
	return size ? ABI_STATUS_OK : ABI_STATUS_NOSPACE;
}

static void enter_few(void)
{
	fill(3);
	view(1);
}

static void enter_some(void)
{
	fill(40);
}

static void enter_viewed(void)
{
	enter_some();
	view(5);
}

static void enter_full(void)
{
	unsigned i;

	/* As many as there are, without one evicted. */
	for (i = 0; scene.rig.store.limbo.n == 0 &&
		shared_u64_load(&scene.rig.w.counter[ABI_COUNTER_EVICTIONS]) == 0;
		i++)
		put(i, 1);
	rig_drain(&scene.rig);
	scene.n_keys = i;
}

/*
 * Full, and who goes next lies apart: each second one is put again. Of those that go first one is
 * viewed, so that its block stays where it is.
 */
static void enter_scattered(void)
{
	unsigned i;

	enter_full();
	for (i = 1; i < scene.n_keys; i += 2)
		if (rig_delete(&scene.rig, i) == ABI_STATUS_OK)
			rig_drain(&scene.rig);
	for (i = 1; i < scene.n_keys; i += 2)
		put(i, 1);
	view(8);
}

static void enter_retired(void)
{
	unsigned i;

	fill(40);
	view(3);
	for (i = 0; i < 6; i++)
		assert_int_equal(rig_delete(&scene.rig, i), ABI_STATUS_OK);
}

static void enter_late(void)
{
	struct store_put_options late = {.ttl_ms = 1};

	fill(40);
	assert_int_equal(rig_put_with(&scene.rig, 40, seed_of(40, 1), size_of(40, 1), &late),
		ABI_STATUS_OK);
	scene.n_keys = 41;
	nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);
}

/* One entry less than what splits a bucket; see index_grow(). */
static void enter_dense(void)
{
	uint64_t i, n = scene.rig.store.index.n_buckets * INDEX_LOAD;

	for (i = 0; i < n; i++)
		assert_int_equal(rig_put(&scene.rig, i, seed_of(i, 1), size_of(i, 1)), ABI_STATUS_OK);
	scene.n_keys = (unsigned)n;
}

#define SMALL 128 * KIB, 1 * MIB, 0
#define TIERS 128 * KIB, 1 * MIB, 128 * KIB

static const struct change changes[] = {
	{"publish", SMALL, 100, 0, 1, enter_some, run_put},
	{"publish a long key", SMALL, 104, 0, 1, enter_some, run_put},
	{"replace", SMALL, 5, 0, 2, enter_viewed, run_put},
	{"delete", SMALL, 5, 0, 0, enter_viewed, run_delete},
	{"reserve and commit", SMALL, 5, 0, 2, enter_viewed, run_commit},
	{"reserve and abort", SMALL, 5, 0, 1, enter_some, run_abort},
	{"touch", SMALL, 5, 0, 1, enter_some, run_touch},
	{"free", SMALL, 10, 0, 1, enter_retired, run_free},
	{"delete, free and use again", SMALL, 100, 5, 1, enter_some, run_reuse},
	{"expire", SMALL, 40, 0, 0, enter_late, run_expire},
	{"flush", SMALL, 5, 0, 0, enter_some, run_flush},
	{"evict", 16 * KIB, 1 * MIB, 0, 1000, 0, 1, enter_full, run_put},
	{"evict a window of neighbours", 16 * KIB, 1 * MIB, 0, 1000, 0, 3, enter_scattered,
		run_window},
	{"split", 2 * MIB, 2 * MIB, 0, 8000, 0, 1, enter_dense, run_put},
	{"move", TIERS, 1, 0, 1, enter_few, run_move},
};

static int child_main(void *context)
{
	static struct call c;
	const struct change *change = context;

	c.key = rig_index_key(&scene.rig, change->key, c.bytes[0]);
	c.other = rig_index_key(&scene.rig, change->other, c.bytes[1]);
	c.size = size_of(change->key, change->version);
	rig_fill(c.value, c.size, seed_of(change->key, change->version));
	tracer_mark();
	if (change->run(&c) != ABI_STATUS_OK)
		_exit(1);
	tracer_mark();
	return 0;
}

/* --- what a new broker finds ------------------------------------------------------------------ */

/* Which version of @key is there; any other bytes fail the test. */
static uint8_t version_of(struct rig *rig, uint64_t key, const char *where)
{
	uint32_t cell = rig_cell(rig, key);
	const struct abi_record *r;
	uint8_t v;

	if (!cell)
		return 0;
	r = &rig->store.index.cell[cell];
	for (v = 1; v <= VERSIONS; v++)
		if (r->value_size == size_of(key, v) &&
			rig_is_filled(rig_value(rig, cell), r->value_size, seed_of(key, v)))
			return v;
	fail_msg("%s: key %llu has bytes that nobody put", where, (unsigned long long)key);
	return 0;
}

static int by_offset(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (x[0] > y[0]) - (x[0] < y[0]);
}

/* Each entry where no other is, by the records alone. */
static void check_disjoint(struct rig *rig, const char *where)
{
	static uint64_t place[N_MAX + 2][2];
	const struct index *ix = &rig->store.index;
	uint64_t cell, i, n = 0;

	for (cell = 1; cell < ix->n_cells && n < N_MAX + 2; cell++) {
		if (ix->meta[cell].state != INDEX_PUBLISHED)
			continue;
		/* Tiers lie far apart. */
		place[n][0] = (uint64_t)ix->cell[cell].tier << 48 | ix->cell[cell].value_off;
		place[n++][1] = ix->cell[cell].value_size;
	}
	qsort(place, n, sizeof(place[0]), by_offset);
	for (i = 1; i < n; i++)
		if (place[i - 1][0] + place[i - 1][1] > place[i][0])
			fail_msg("%s: two values overlap", where);
}

static void check_works(struct rig *rig, const char *where)
{
	char why[256] = "";

	if (rig_put(rig, PROBE, 7, 100) != ABI_STATUS_OK || rig_get(rig, PROBE, 7, 100) != 100 ||
		rig_delete(rig, PROBE) != ABI_STATUS_OK || rig_cell(rig, PROBE))
		fail_msg("%s: what is left takes no more values", where);
	store_reclaim(&rig->store, &rig->w);
	if (store_check(&rig->store, why, sizeof(why)))
		fail_msg("%s: and then, %s", where, why);
}

/* Open what is there, and look at it. @found gets what there is of each key. */
static void start_again(const struct change *change, const char *where, uint8_t found[N_MAX])
{
	static struct rig again;
	char why[256] = "";
	unsigned i, n = 0;

	rig_init(&again, change->dram_size, change->index_size);
	again.options.batch = 1;
	if (change->cxl_size)
		rig_add_cxl(&again, change->cxl_size);
	if (rig_try_open(&again, true))
		fail_msg("%s: no start: %s", where, again.why);
	view_resume(&scene.view, &again);
	if (!again.opened.warm)
		fail_msg("%s: no warm start: %s", where, again.opened.cold_why);
	if (store_check(&again.store, why, sizeof(why)))
		fail_msg("%s: %s", where, why);
	for (i = 0; i < scene.n_keys; i++) {
		found[i] = version_of(&again, i, where);
		n += found[i] != 0;
	}
	if (change->key >= scene.n_keys) {
		found[change->key] = version_of(&again, change->key, where);
		n += found[change->key] != 0;
	}
	if (n != again.store.index.n_entries)
		fail_msg("%s: %u entries were put, and %llu are there", where, n,
			(unsigned long long)again.store.index.n_entries);
	check_disjoint(&again, where);
	view_check(&scene.view, &again, where);
	check_works(&again, where);
	view_release(&scene.view, &again, where);
	rig_close(&again);
}

/* --- the kills -------------------------------------------------------------------------------- */

static void restore(void)
{
	image_restore(&scene.index);
	image_restore(&scene.dram);
	if (scene.cxl.size)
		image_restore(&scene.cxl);
}

static bool has_changed(void)
{
	bool index = image_has_changed(&scene.index), dram = image_has_changed(&scene.dram);
	bool cxl = scene.cxl.size && image_has_changed(&scene.cxl);

	return index || dram || cxl;
}

/* Whether it was looked at. */
static bool check_kill(const struct change *change, const struct trail *trail, size_t i)
{
	const struct trail_place *at = &trail->place[i];
	static uint8_t found[N_MAX];
	char where[96];
	unsigned k;

	if (!has_changed() && i && !scene.is_soak)
		return false;
	snprintf(where, sizeof(where), "%s, killed %u instructions behind system call %u",
		change->name, at->n_steps, at->n_calls);
	memset(found, 0, sizeof(found));
	start_again(change, where, found);
	for (k = 0; k < N_MAX; k++)
		if (found[k] != scene.before[k] && found[k] != scene.after[k])
			fail_msg("%s: key %u has version %u; it had %u, and was to have %u", where,
				k, found[k], scene.before[k], scene.after[k]);
	return true;
}

static void record(const struct change *change, struct trail *trail)
{
	struct tracer t;

	if (tracer_start(&t, child_main, (void *)change) || trail_record(trail, &t))
		fail_msg("%s: the child ended by itself: %d", change->name, t.status);
	tracer_kill(&t);
	start_again(change, change->name, scene.after);
	restore();
	start_again(change, change->name, scene.before);
	restore();
	has_changed();
}

/*
 * Before and behind each instruction that writes to shared memory, and now and then between, where
 * nothing can differ; in a soak everywhere. Who searches for a window hardly ever writes, and to be
 * brought into the middle of a search takes a child milliseconds.
 */
static bool is_skipped(const struct trail *trail, size_t i)
{
	enum { EACH = 8, BETWEEN_MAX = 512 };
	bool is_before = i + 1 < trail->n && trail->place[i + 1].is_new;
	size_t each = trail->n > EACH * BETWEEN_MAX ? trail->n / BETWEEN_MAX : EACH;

	return !scene.is_soak && i && !trail->place[i].is_new && !is_before &&
		(i + scene.seed) % each;
}

/* A child to place @i, by @go, and no further. Whether it got there. */
static bool kill_one(const struct change *change, const struct trail *trail, size_t i,
	int (*go)(const struct trail *trail, struct tracer *t, size_t i))
{
	struct tracer t;
	int r;

	restore();
	r = tracer_start(&t, child_main, (void *)change);
	if (!r)
		r = go(trail, &t, i);
	tracer_kill(&t);
	if (r < 0)
		fail_msg("%s: the child ended by itself: %d", change->name, t.status);
	return !r;
}

static void test_change(void **state)
{
	const struct change *change = *state;
	unsigned n_opened = 0, n_lost = 0;
	struct trail trail = {.look = has_changed};
	unsigned n_kills = 0;
	size_t i;

	record(change, &trail);
	assert_int_equal(scene.after[change->key], change->version);
	for (i = 0; i < trail.n; i++) {
		if (is_skipped(&trail, i))
			continue;
		n_kills++;
		if (!kill_one(change, &trail, i, trail_go)) {
			kill_one(change, &trail, i, trail_walk);
			n_lost++;
		}
		n_opened += check_kill(change, &trail, i);
	}
	print_message("%s: %zu instructions, %u system calls; %u kills, %u of them on another way; "
		      "%u different images opened; nothing found\n",
		change->name, trail.n, trail.place[trail.n - 1].n_calls, n_kills, n_lost, n_opened);
	/* Or it was no change. */
	assert_true(n_opened > 1 || !memcmp(scene.before, scene.after, sizeof(scene.before)));
	trail_forget(&trail);
}

static int setup(void **state)
{
	const struct change *change = *state;

	memset(scene.before, 0, sizeof(scene.before));
	memset(scene.after, 0, sizeof(scene.after));
	memset(&scene.view, 0, sizeof(scene.view));
	rig_init(&scene.rig, change->dram_size, change->index_size);
	scene.rig.options.batch = 1;
	if (change->cxl_size)
		rig_add_cxl(&scene.rig, change->cxl_size);
	rig_open(&scene.rig, false);
	/* Else each run would have its own, and be of another length. */
	scene.rig.store.index.head->hash_seed = HASH_SEED;
	scene.rig.store.index.lookup.seed = HASH_SEED;
	change->enter();
	if (image_save(&scene.index, scene.rig.index_name) ||
		image_save(&scene.dram, scene.rig.dram_name))
		return -1;
	return change->cxl_size && image_save(&scene.cxl, scene.rig.cxl_name) ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	image_forget(&scene.index);
	image_forget(&scene.dram);
	image_forget(&scene.cxl);
	memset(&scene.cxl, 0, sizeof(scene.cxl));
	rig_remove(&scene.rig);
	return rig_leftovers() ? -1 : 0;
}

int main(int argc, char **argv)
{
	enum { N = sizeof(changes) / sizeof(changes[0]) };
	struct CMUnitTest tests[N];
	size_t i;
	int r = tracer_is_allowed();

	if (r) {
		printf("SKIP: a child can't be traced here: %s\n", strerror(-r));
		return 77;
	}
	if (tracer_settle(argv))
		return 1;
	rig_begin();
	rcu_register_thread();
	tracer_pin();
	scene.seed = tracer_seed();
	scene.is_soak = getenv("SHMCACHE_SOAK") && atoi(getenv("SHMCACHE_SOAK"));
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	for (i = 0; i < N; i++)
		tests[i] = (struct CMUnitTest){changes[i].name, test_change, setup, teardown,
			(void *)&changes[i]};
	r = _cmocka_run_group_tests("step-store", tests, N, NULL, NULL);
	rcu_unregister_thread();
	return r;
}
