/* SPDX-License-Identifier: Apache-2.0 */
/* rig.c: what the tests of the store have in common. */
#include "tests/shmcache/rig.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <urcu.h>
#include <cmocka.h>

#include "tests/support/cleanup.h"

static void scan_holds(void *context, struct index *ix, uint8_t round)
{
	struct rig *rig = context;
	uint64_t word;
	int i;

	for (i = 0; i < RIG_HOLDS; i++) {
		/* partner: the release of whoever lets go */
		word = shared_u64_load_acquire(&rig->held[i]);
		if (word)
			index_mark_held(ix, abi_word_cell(word), round);
	}
}

static void drain_logs(void *context, struct abi_worker *w)
{
	struct rig *rig = context;

	(void)w;
	if (rig->on_drain)
		rig->on_drain(rig);
}

void rig_name(char *out, size_t size, const char *what)
{
	snprintf(out, size, "/shmc-unit-%ld-%s", (long)getpid(), what);
}

int rig_thread_in(void **state)
{
	(void)state;
	rcu_register_thread();
	return 0;
}

int rig_thread_out(void **state)
{
	(void)state;
	rcu_unregister_thread();
	return 0;
}

void rig_init(struct rig *rig, uint64_t dram_size, uint64_t index_size_max)
{
	memset(rig, 0, sizeof(*rig));
	rig_name(rig->index_name, sizeof(rig->index_name), "index");
	rig_name(rig->dram_name, sizeof(rig->dram_name), "dram");
	rig->options = (struct store_options){
		.index_name = rig->index_name,
		.index_size_max = index_size_max,
		.batch = 32,
		.tier[ABI_TIER_DRAM].region = {
			.name = rig->dram_name,
			.size = dram_size,
			.node = -1,
			.n_threads = 1,
		},
	};
	rig_name(rig->cxl_name, sizeof(rig->cxl_name), "cxl");
	rig->store.sessions = (struct store_sessions){scan_holds, drain_logs, rig};
}

void rig_add_cxl(struct rig *rig, uint64_t cxl_size)
{
	rig->options.tier[ABI_TIER_CXL].region = (struct region_options){
		.name = rig->cxl_name, .size = cxl_size, .node = -1, .n_threads = 1};
	rig->options.tiering = (struct store_tiering){.demote_at = 100, .demote_to = 100};
}

int rig_try_open(struct rig *rig, bool reuse)
{
	int r;

	assert_false(rig->is_open);
	rig->options.reuse = reuse;
	r = store_open(&rig->store, &rig->options, &rig->opened, rig->why, sizeof(rig->why));
	rig->is_open = r == 0;
	return r;
}

void rig_open(struct rig *rig, bool reuse)
{
	int r = rig_try_open(rig, reuse);

	if (r)
		fail_msg("store_open: %s: %s", strerror(-r), rig->why);
}

void rig_open_tiers(struct rig *rig, uint64_t dram_size, uint64_t cxl_size)
{
	rig_init(rig, dram_size, 4 * MIB);
	rig_add_cxl(rig, cxl_size);
	rig->options.batch = 1;
	rig_open(rig, false);
}

void rig_close(struct rig *rig)
{
	if (rig->is_open)
		store_close(&rig->store, false);
	rig->is_open = false;
}

void rig_remove(struct rig *rig)
{
	rig_close(rig);
	shm_unlink(rig->index_name);
	shm_unlink(rig->dram_name);
	shm_unlink(rig->cxl_name);
}

/* Visit what is in /dev/shm under our names; returns how many there are. */
static unsigned each_leftover(void (*visit)(const char *name))
{
	char prefix[64], name[300];
	struct dirent *entry;
	unsigned n = 0;
	DIR *dir = opendir("/dev/shm");

	rig_name(prefix, sizeof(prefix), "");
	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, prefix + 1, strlen(prefix + 1)))
			continue;
		snprintf(name, sizeof(name), "/%s", entry->d_name);
		visit(name);
		n++;
	}
	if (dir)
		closedir(dir);
	return n;
}

static void print_leftover(const char *name)
{
	print_error("left in /dev/shm: %s\n", name);
}

unsigned rig_leftovers(void)
{
	return each_leftover(print_leftover);
}

static void unlink_leftover(const char *name)
{
	(void)shm_unlink(name);
}

static void undo(struct cleanup *cleanup)
{
	(void)cleanup;
	each_leftover(unlink_leftover);
}

void rig_begin(void)
{
	static struct cleanup cleanup;

	cleanup_add(&cleanup, undo);
	(void)cleanup_guard();
}

void rig_check(struct rig *rig)
{
	char why[256] = "";

	if (store_check(&rig->store, why, sizeof(why)))
		fail_msg("store_check: %s", why);
}

void rig_drain(struct rig *rig)
{
	uint64_t before;

	do {
		before = rig->store.limbo.n;
		store_reclaim(&rig->store, &rig->w);
	} while (rig->store.limbo.n && rig->store.limbo.n < before);
}

/* --- numbers, keys and values ------------------------------------------------------------- */

uint64_t rig_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t rig_random_size(uint64_t *state, uint64_t max)
{
	unsigned n_bits = 64 - (unsigned)__builtin_clzll(max);
	uint64_t size = rig_random(state) >> (64 - 1 - rig_random(state) % n_bits);

	return size ? (size < max ? size : max) : 1;
}

size_t rig_key(uint64_t i, uint8_t bytes[ABI_KEY_SIZE_MAX])
{
	uint64_t state = i;
	uint64_t shape = rig_random(&state);
	size_t size = 8 + shape % 33;

	/* One in eight goes beyond its record's line. */
	if ((shape >> 32) % 8 == 0)
		size = 33 + shape % (ABI_KEY_SIZE_MAX - 32);
	/* Long keys share their beginning, so that only the tail tells them apart. */
	memset(bytes, 'k', size);
	memcpy(bytes + size - sizeof(i), &i, sizeof(i));
	return size;
}

struct index_key rig_index_key(const struct rig *rig, uint64_t i, uint8_t bytes[ABI_KEY_SIZE_MAX])
{
	return index_key(&rig->store.index, bytes, rig_key(i, bytes));
}

void rig_fill(void *bytes, size_t size, uint64_t seed)
{
	uint64_t word = seed * UINT64_C(0x9e3779b97f4a7c15) + size;
	uint8_t *to = bytes;

	for (; size >= sizeof(word); size -= sizeof(word), to += sizeof(word)) {
		memcpy(to, &word, sizeof(word));
		word += UINT64_C(0xd1342543de82ef95);
	}
	memcpy(to, &word, size);
}

bool rig_is_filled(const void *bytes, size_t size, uint64_t seed)
{
	uint64_t word = seed * UINT64_C(0x9e3779b97f4a7c15) + size, is;
	const uint8_t *from = bytes;

	for (; size >= sizeof(word); size -= sizeof(word), from += sizeof(word)) {
		memcpy(&is, from, sizeof(is));
		if (is != word)
			return false;
		word += UINT64_C(0xd1342543de82ef95);
	}
	return !memcmp(from, &word, size);
}

/* --- requests ----------------------------------------------------------------------------- */

enum abi_status rig_put_with(struct rig *rig, uint64_t i, uint64_t seed, uint64_t size,
	const struct store_put_options *options)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct index_key key = rig_index_key(rig, i, bytes);
	void *value = malloc(size);
	enum abi_status status;

	assert_non_null(value);
	rig_fill(value, size, seed);
	status = store_put(&rig->store, &rig->w, &key, options, value, size);
	free(value);
	return status;
}

enum abi_status rig_put(struct rig *rig, uint64_t i, uint64_t seed, uint64_t size)
{
	static const struct store_put_options none;

	return rig_put_with(rig, i, seed, size, &none);
}

void rig_put_in(struct rig *rig, enum abi_tier tier, uint64_t i, uint64_t size)
{
	const struct store_put_options o = {.tier = (uint8_t)tier};

	assert_int_equal(rig_put_with(rig, i, i, size, &o), ABI_STATUS_OK);
}

enum abi_status rig_delete(struct rig *rig, uint64_t i)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct index_key key = rig_index_key(rig, i, bytes);

	return store_delete(&rig->store, &rig->w, &key);
}

uint32_t rig_cell(struct rig *rig, uint64_t i)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct index_key key = rig_index_key(rig, i, bytes);
	uint32_t cell;

	return index_find(&rig->store.index, &key, &cell) ? cell : 0;
}

char *rig_value(struct rig *rig, uint32_t cell)
{
	return store_tier_of(&rig->store, cell)->base + rig->store.index.cell[cell].value_off;
}

enum abi_tier rig_tier_of(struct rig *rig, uint64_t i)
{
	uint32_t cell = rig_cell(rig, i);

	return cell ? rig->store.index.cell[cell].tier : ABI_TIER_NONE;
}

uint64_t rig_count(const struct rig *rig, enum abi_counter counter)
{
	return shared_u64_load(&rig->w.counter[counter]);
}

uint64_t rig_get(struct rig *rig, uint64_t i, uint64_t seed, uint64_t size)
{
	uint32_t cell = rig_cell(rig, i);

	if (!cell)
		return 0;
	assert_int_equal(rig->store.index.cell[cell].value_size, size);
	if (!rig_is_filled(rig_value(rig, cell), size, seed))
		fail_msg("key %llu: not the bytes that were put", (unsigned long long)i);
	return size;
}

/* --- the reader --------------------------------------------------------------------------- */

/* Hold what @slot names if it is @key's. */
static uint64_t try_slot(const struct lookup *l, const struct shared_u64 *slot,
	struct shared_u64 *hold, uint64_t hash, const void *key, size_t size, uint64_t *n_again)
{
	uint64_t word;

	for (;; ++*n_again) {
		word = shared_u64_load_acquire(slot);
		if (!word || abi_word_tag(word) != hash >> 48)
			return 0;
		shared_u64_store(hold, word);
		/* Keeps the store of the hold before the second load of the slot. */
		shared_fence();
		if (shared_u64_load_acquire(slot) == word)
			break;
		rig_let_go(hold);
	}
	if (lookup_record_matches(l, &l->cell[abi_word_cell(word)], key, size))
		return word;
	rig_let_go(hold);
	return 0;
}

uint64_t rig_read(const struct lookup *l, struct shared_u64 *hold, const void *key, size_t size,
	uint64_t *n_again)
{
	uint64_t hash = hash_bytes(l->seed, key, size), n, word;
	const struct abi_bucket *b;
	int i;

	for (;; ++*n_again) {
		n = lookup_n_buckets(l);
		for (b = &l->bucket[lookup_bucket_idx(hash, n)]; b; b = lookup_next(l, b)) {
			for (i = 0; i < ABI_BUCKET_SLOTS; i++) {
				word = try_slot(l, &b->slot[i], hold, hash, key, size, n_again);
				if (word)
					return word;
			}
		}
		/* A split may have moved it under our eyes: not a miss yet. */
		if (lookup_n_buckets_again(l) == n)
			return 0;
	}
}

void rig_let_go(struct shared_u64 *hold)
{
	/* partner: the acquire of the scan; what was read was read before */
	shared_u64_store_release(hold, 0);
}
