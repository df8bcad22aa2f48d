/* SPDX-License-Identifier: Apache-2.0 */
/* load.c: single requests of every kind, at random. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/tsan/load-private.h"

/*
 * Shared keys are written by all threads: what is read must be some version of that key. Own keys
 * are written by one thread, which therefore knows: a hit is the version that it put last, and a
 * key that it deleted is a miss. Whatever is read is read to the last byte, in place, some of it
 * long after it was replaced or removed, and released by this thread or another.
 */
static const struct shmc_put_options *options_of(struct load *load, struct shmc_put_options *o)
{
	*o = (struct shmc_put_options){0};
	if (load_any(load, 3) == 0) {
		o->group = 1 + load_any(load, 50);
		o->position = load_any(load, 20);
		o->priority = (uint8_t)load_any(load, 3);
	}
	if (load_any(load, 40) == 0)
		o->ttl_ms = 1 + load_any(load, 30);
	if (load_any(load, 8) == 0)
		o->flags = SHMC_IF_ABSENT;
	return o;
}

void load_fail(struct load *load, const char *format, ...)
{
	va_list args;

	if (atomic_fetch_add(&load->run->n_failures, 1) >= 10)
		return;
	fprintf(stderr, "thread %u, seed %llu: ", load->number,
		(unsigned long long)load->run->seed);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

unsigned load_any(struct load *load, unsigned n)
{
	return (unsigned)(value_random(&load->random) >> 33) % n;
}

size_t load_size(struct load *load)
{
	unsigned kind = load_any(load, 1000);

	if (kind < 970)
		return VALUE_SIZE_MIN + load_any(load, 300);
	if (kind < 997)
		return VALUE_SIZE_MIN + load_any(load, 8000);
	return VALUE_SIZE_MIN + load_any(load, 150000);
}

uint64_t load_version(struct load *load)
{
	return ++load->n_versions << 16 | load->number;
}

void load_check(struct load *load, const struct shmc_view *view, uint64_t key, const char *how)
{
	uint64_t version;

	load->n_hits++;
	if (!value_is(view->data, view->size, key, &version))
		load_fail(load, "%s: wrong bytes under key %llu", how, (unsigned long long)key);
}

/* --- keys of all ------------------------------------------------------------------------------ */

static void expect(struct load *load, int r, const char *what, bool is_expected)
{
	if (!is_expected)
		load_fail(load, "%s: %s", what, shmc_strerror(r));
}

/* Keep @v for later, and let go of another, or leave that to the releaser. */
static void keep(struct load *load, const struct load_view *v)
{
	struct load_exchange *x = &load->run->exchange;
	struct load_view *slot = &load->held[load_any(load, LOAD_HELD)], old = *slot;

	*slot = *v;
	if (!old.view.data)
		return;
	load_check(load, &old.view, old.key, "a view held for long");
	if (load->cache == x->cache && !pthread_mutex_trylock(&x->lock)) {
		if (!x->view.view.data) {
			x->view = old;
			old.view.data = NULL;
		}
		pthread_mutex_unlock(&x->lock);
	}
	if (old.view.data)
		shmc_release(load->cache, &old.view);
}

/*
 * A thread with no lane of its own. That it has done with a value is told by the hold cell that it
 * clears, and by nothing else.
 */
void *load_release_main(void *argument)
{
	const struct timespec pause = {.tv_nsec = 50000};
	struct load *load = argument;
	struct load_exchange *x = &load->run->exchange;
	struct load_view v;
	bool is_done = false;

	while (!is_done) {
		is_done = atomic_load_explicit(&x->is_done, memory_order_relaxed);
		pthread_mutex_lock(&x->lock);
		v = x->view;
		x->view.view.data = NULL;
		pthread_mutex_unlock(&x->lock);
		if (!v.view.data) {
			nanosleep(&pause, NULL);
			continue;
		}
		load_check(load, &v.view, v.key, "another thread's view");
		shmc_release(load->cache, &v.view);
	}
	return NULL;
}

static void get(struct load *load)
{
	struct load_view v = {.key = load_any(load, LOAD_KEYS)};
	char key[VALUE_KEY_MAX];
	size_t size = value_key('s', v.key, key);
	int r = shmc_get(load->cache, key, size, &v.view);

	expect(load, r, "get", !r || r == SHMC_MISS);
	if (r)
		return;
	load_check(load, &v.view, v.key, "get");
	if (load_any(load, 8) == 0)
		keep(load, &v);
	else
		shmc_release(load->cache, &v.view);
}

static void look(struct load *load)
{
	uint64_t number = load_any(load, LOAD_KEYS), version;
	struct shmc_entry entry;
	char key[VALUE_KEY_MAX], value[4096];
	size_t size = value_key('s', number, key), value_size;
	int r;

	r = shmc_exists(load->cache, key, size);
	expect(load, r, "exists", !r || r == SHMC_MISS);
	r = shmc_stat(load->cache, key, size, &entry);
	expect(load, r, "stat", !r || r == SHMC_MISS);
	r = shmc_read(load->cache, key, size, value, sizeof(value), &value_size);
	expect(load, r, "read", !r || r == SHMC_MISS || r == -ENOSPC);
	if (!r && !value_is(value, value_size, number, &version))
		load_fail(load, "read: wrong bytes under key %llu", (unsigned long long)number);
}

static void put(struct load *load)
{
	static _Thread_local char value[160000];
	uint64_t number = load_any(load, LOAD_KEYS);
	struct shmc_put_options o;
	char key[VALUE_KEY_MAX];
	size_t size = load_size(load);
	int r;

	value_make(value, size, number, load_version(load));
	r = shmc_put(load->cache, key, value_key('s', number, key), value, size,
		options_of(load, &o), LOAD_TIMEOUT_MS);
	expect(load, r, "put", !r || r == SHMC_EXISTS || r == SHMC_NOSPACE);
}

static void delete(struct load *load)
{
	char key[VALUE_KEY_MAX];
	int r = shmc_delete(load->cache, key, value_key('s', load_any(load, LOAD_KEYS), key),
		LOAD_TIMEOUT_MS);

	expect(load, r, "delete", !r || r == SHMC_MISS);
}

static void reserve(struct load *load)
{
	uint64_t number = load_any(load, LOAD_KEYS);
	struct shmc_reservation block;
	struct shmc_put_options o;
	char key[VALUE_KEY_MAX];
	int r;

	if (!load->may_reserve)
		return;
	r = shmc_reserve(load->cache, key, value_key('s', number, key), load_size(load),
		options_of(load, &o), &block, LOAD_TIMEOUT_MS);
	expect(load, r, "reserve",
		!r || r == SHMC_EXISTS || r == SHMC_NOSPACE || r == SHMC_QUOTA);
	if (r)
		return;
	value_make(block.data, block.size, number, load_version(load));
	if (load_any(load, 4) == 0) {
		r = shmc_abort(load->cache, &block, LOAD_TIMEOUT_MS);
		expect(load, r, "abort", !r);
	} else {
		r = shmc_commit(load->cache, &block, LOAD_TIMEOUT_MS);
		expect(load, r, "commit", !r || r == SHMC_EXISTS || r == SHMC_NOSPACE);
	}
}

static void pin(struct load *load)
{
	char key[VALUE_KEY_MAX];
	size_t size = value_key('s', load_any(load, LOAD_KEYS), key);
	int r;

	r = shmc_pin(load->cache, key, size, 1 + load_any(load, 50), LOAD_TIMEOUT_MS);
	expect(load, r, "pin", !r || r == SHMC_MISS || r == SHMC_QUOTA);
	if (!r && load_any(load, 2)) {
		r = shmc_unpin(load->cache, key, size, LOAD_TIMEOUT_MS);
		expect(load, r, "unpin", !r || r == SHMC_MISS);
	}
	r = shmc_touch(load->cache, key, size, load_any(load, 2) * 20, LOAD_TIMEOUT_MS);
	expect(load, r, "touch", !r || r == SHMC_MISS);
}

/* One key in 256 of those in use. */
static void flush(struct load *load)
{
	char prefix[16];
	int n = snprintf(prefix, sizeof(prefix), "s/%04x", load_any(load, LOAD_KEYS) >> 8);
	int r = shmc_flush(load->cache, prefix, (size_t)n, NULL, LOAD_TIMEOUT_MS);

	expect(load, r, "flush", !r);
}

/* --- own keys --------------------------------------------------------------------------------- */

static void own_get(struct load *load, unsigned i, const char *key, size_t size)
{
	uint64_t number = (uint64_t)load->number << 8 | i;
	struct shmc_view view;
	uint64_t version = 0;
	int r = shmc_get(load->cache, key, size, &view);

	expect(load, r, "get of an own key", !r || r == SHMC_MISS);
	if (r)
		return;
	if (!value_is(view.data, view.size, number, &version))
		load_fail(load, "wrong bytes under own key %u", i);
	else if (version != load->own_version[i])
		load_fail(load, "own key %u has version %llx, put was %llx", i,
			(unsigned long long)version, (unsigned long long)load->own_version[i]);
	shmc_release(load->cache, &view);
}

static void own(struct load *load)
{
	unsigned i = load_any(load, LOAD_OWN_KEYS);
	uint64_t number = (uint64_t)load->number << 8 | i;
	char key[VALUE_KEY_MAX], value[700];
	size_t size = value_key('o', number, key);
	size_t value_size = VALUE_SIZE_MIN + load_any(load, 600);
	uint64_t version = load_version(load);
	int r;

	own_get(load, i, key, size);
	if (load_any(load, 6) == 0) {
		r = shmc_delete(load->cache, key, size, LOAD_TIMEOUT_MS);
		expect(load, r, "delete of an own key", !r || r == SHMC_MISS);
		load->own_version[i] = 0;
	} else {
		value_make(value, value_size, number, version);
		r = shmc_put(load->cache, key, size, value, value_size, NULL, LOAD_TIMEOUT_MS);
		expect(load, r, "put of an own key", !r || r == SHMC_NOSPACE);
		if (!r)
			load->own_version[i] = version;
	}
	own_get(load, i, key, size);
}

/* --- the rest --------------------------------------------------------------------------------- */

static int visit(void *context, const struct shmc_entry *entry)
{
	uint64_t *sum = context;

	*sum += entry->value_size + ((const unsigned char *)entry->key)[entry->key_size - 1];
	return 0;
}

static void scan(struct load *load)
{
	uint64_t cursor = (uint64_t)load_any(load, 1024) << 20, sum = 0;
	struct shmc_stat_value stats[100];
	struct shmc_usage usage;
	int r;

	r = shmc_scan(load->cache, &cursor, "s/", 2, 32, visit, &sum);
	expect(load, r, "scan", !r);
	r = shmc_stats(load->cache, stats, 100);
	expect(load, r, "stats", r > 0);
	r = shmc_usage(load->cache, &usage);
	expect(load, r, "usage", !r);
}

/* Long enough for workers to fall asleep. */
static void rest(struct load *load)
{
	struct timespec t = {.tv_nsec = 200000 + (long)load_any(load, 3000000)};

	nanosleep(&t, NULL);
}

void *load_main(void *argument)
{
	/* In the order of how often. */
	static const struct {
		unsigned share;
		void (*run)(struct load *load);
	} ops[] = {{3600, get}, {3300, put}, {800, own}, {500, load_get_many}, {500, delete},
		{400, reserve}, {300, look}, {200, pin}, {180, load_execute}, {150, load_queue},
		{50, scan}, {10, rest}, {10, flush}};
	struct load *load = argument;
	unsigned i, n, choice;

	for (n = 0; n < load->n_ops && atomic_load(&load->run->n_failures) < 10; n++) {
		choice = load_any(load, 10000);
		for (i = 0; choice >= ops[i].share; i++)
			choice -= ops[i].share;
		ops[i].run(load);
	}
	return NULL;
}

void load_init(struct load *load, struct load_run *run, struct shmc *cache, unsigned number,
	unsigned n_ops)
{
	memset(load, 0, sizeof(*load));
	load->run = run;
	load->cache = cache;
	load->number = number;
	load->n_ops = n_ops;
	load->may_reserve = shmc_role(cache) == SHMC_ROLE_WRITER;
	load->random = run->seed * 1000 + number;
}

void load_end(struct load *load)
{
	unsigned i;

	for (i = 0; i < LOAD_HELD; i++) {
		if (!load->held[i].view.data)
			continue;
		load_check(load, &load->held[i].view, load->held[i].key, "a view held to the end");
		shmc_release(load->cache, &load->held[i].view);
	}
}
