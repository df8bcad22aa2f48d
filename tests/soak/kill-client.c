/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill-client.c: a client that does everything a client can, until it is killed.
 *
 * What it puts names key and version and is checked to the last byte wherever it is read; that it
 * is there, and no older than it must be, is judged by the ledger. Loose keys stand beside it: many
 * put, delete and flush them at once, and only their bytes are checked.
 *
 * A block that is filled in place is its writer's until he commits, whatever becomes of brokers in
 * the meantime: some take long enough to outlive one or two, and then look whether it is as they
 * left it.
 */
#include "tests/soak/kill-client.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOOSE_PREFIX 'l'
#define TTL_SLACK_MS 1000

bool kill_is_gone(const struct kill_hand *h, int r)
{
	return h->ledger->loses_brokers && (r == -ENOTCONN || r == SHMC_GONE);
}

void kill_expect(struct kill_hand *h, const char *what, int r, bool is_expected)
{
	if (is_expected || !r)
		return;
	if (!kill_is_gone(h, r))
		ledger_wrong(h->ledger, "life %u: %s: %s", h->slot->life, what, shmc_strerror(r));
	else
		nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

static enum ledger_outcome put_outcome(struct kill_hand *h, int r)
{
	if (!r)
		return LEDGER_STORED;
	return kill_is_gone(h, r) ? LEDGER_UNKNOWN : LEDGER_UNCHANGED;
}

/* Take a key at random for the thread's first place. */
static bool take_any(struct kill_hand *h, unsigned *key)
{
	*key = kill_any(h, h->ledger->n_keys);
	return ledger_take(h->ledger, h->slot, h->thread, 0, *key);
}

static void leave(struct kill_hand *h)
{
	ledger_leave(h->ledger, h->slot, h->thread, 0);
}

/* --- views ------------------------------------------------------------------------------------ */

/*
 * Bytes that are not whole under a view that is said to be good are wrong; a view that is said to
 * be gone may have any. Asked after the bytes were read, as the header says.
 */
uint64_t kill_view_version(struct kill_hand *h, const struct shmc_view *view, unsigned key)
{
	uint64_t version = 0;
	bool is_whole = value_is(view->data, view->size, key, &version);
	int r = shmc_view_check(h->cache, view);

	if (r && kill_is_gone(h, r)) {
		atomic_fetch_add(&h->ledger->n_gone_views, 1);
		return 0;
	}
	kill_expect(h, "view check", r, false);
	if (is_whole)
		return version;
	ledger_wrong(h->ledger, "life %u: wrong bytes under key %u", h->slot->life, key);
	return 0;
}

/* Look at a view again that was got long ago, and let go of it. */
static void let_go(struct kill_hand *h, struct kill_held *held)
{
	uint64_t version;

	if (!held->view.data)
		return;
	version = kill_view_version(h, &held->view, held->key);
	if (version && version != held->version)
		ledger_wrong(h->ledger, "a held view of key %u went from version %llu to %llu",
			held->key, (unsigned long long)held->version,
			(unsigned long long)version);
	shmc_release(h->cache, &held->view);
	atomic_fetch_add_explicit(&h->ledger->n_held, 1, memory_order_relaxed);
}

static void judge_view(struct kill_hand *h, unsigned key, const struct ledger_look *look,
	struct shmc_view *view, bool keeps)
{
	struct kill_held *held = &h->held[kill_any(h, KILL_HELD)];
	uint64_t version = kill_view_version(h, view, key);

	if (version)
		ledger_judge(h->ledger, key, look, version);
	if (!version || !keeps) {
		shmc_release(h->cache, view);
		return;
	}
	let_go(h, held);
	*held = (struct kill_held){*view, key, version};
}

static void get(struct kill_hand *h)
{
	unsigned number = kill_any(h, h->ledger->n_keys);
	struct ledger_look look = ledger_look(h->ledger, number);
	struct shmc_view view;
	char key[VALUE_KEY_MAX];
	int r = shmc_get(h->cache, key, value_key(LEDGER_PREFIX, number, key), &view);

	kill_expect(h, "get", r, r == SHMC_MISS);
	if (r == SHMC_MISS)
		ledger_judge(h->ledger, number, &look, 0);
	else if (!r)
		judge_view(h, number, &look, &view, kill_any(h, 5) == 0);
}

enum { MANY = 12 };

static void get_many(struct kill_hand *h)
{
	char text[MANY][VALUE_KEY_MAX];
	struct ledger_look look[MANY];
	struct shmc_view view[MANY];
	struct shmc_key key[MANY];
	unsigned number[MANY], i;
	int result[MANY], r;

	for (i = 0; i < MANY; i++) {
		number[i] = kill_any(h, h->ledger->n_keys);
		key[i] = (struct shmc_key){text[i], value_key(LEDGER_PREFIX, number[i], text[i])};
		look[i] = ledger_look(h->ledger, number[i]);
	}
	r = shmc_get_many(h->cache, key, MANY, view, result);
	kill_expect(h, "get_many", r, r >= 0);
	for (i = 0; r >= 0 && i < MANY; i++) {
		kill_expect(h, "get_many", result[i], result[i] == SHMC_MISS);
		if (result[i] == SHMC_MISS)
			ledger_judge(h->ledger, number[i], &look[i], 0);
		else if (!result[i])
			judge_view(h, number[i], &look[i], &view[i], false);
	}
}

static void copy_out(struct kill_hand *h)
{
	unsigned number = kill_any(h, h->ledger->n_keys);
	struct ledger_look look = ledger_look(h->ledger, number);
	uint64_t version = 0;
	char key[VALUE_KEY_MAX];
	size_t size;
	int r = shmc_read(h->cache, key, value_key(LEDGER_PREFIX, number, key), h->value,
		MIX_SIZE_MAX, &size);

	kill_expect(h, "read", r, r == SHMC_MISS);
	if (!r && !value_is(h->value, size, number, &version))
		ledger_wrong(h->ledger, "read: wrong bytes under key %u", number);
	else if (!r || r == SHMC_MISS)
		ledger_judge(h->ledger, number, &look, version);
}

/* --- changes ---------------------------------------------------------------------------------- */

/*
 * Long enough for others to be given the block, if it were to be had; by what they do, since how
 * long that takes is the machine's business. Then nobody has written here, and what we write is
 * nobody else's.
 */
static void linger(struct kill_hand *h, const struct shmc_reservation *block, unsigned number,
	uint64_t version)
{
	uint64_t enough = atomic_load(&h->ledger->n_acked) + kill_any(h, KILL_LINGER), found = 0;
	unsigned n_ms;

	for (n_ms = 0; n_ms < 3000 && atomic_load(&h->ledger->n_acked) < enough; n_ms++)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	if (!value_is(block->data, block->size, number, &found) || found != version)
		ledger_wrong(h->ledger, "life %u: a block of key %u changed while it was filled",
			h->slot->life, number);
	value_make(block->data, block->size, number, version);
	atomic_fetch_add(&h->ledger->n_lingered, 1);
}

static int fill_in_place(
	struct kill_hand *h, unsigned number, const char *key, size_t key_size, uint64_t version)
{
	struct shmc_reservation block;
	int r = shmc_reserve(h->cache, key, key_size, mix_size(&h->random), NULL, &block,
		KILL_TIMEOUT_MS);

	if (r)
		return r;
	value_make(block.data, block.size, number, version);
	if (h->ledger->loses_brokers && kill_any(h, 12) == 0)
		linger(h, &block, number, version);
	if (kill_any(h, 5))
		return shmc_commit(h->cache, &block, KILL_TIMEOUT_MS);
	r = shmc_abort(h->cache, &block, KILL_TIMEOUT_MS);
	return r ? r : SHMC_EXISTS; /* as good as refused */
}

static void put(struct kill_hand *h)
{
	struct shmc_put_options options = {0};
	uint64_t version, expire_by = 0;
	char key[VALUE_KEY_MAX];
	size_t key_size, size;
	unsigned number;
	int r;

	if (!take_any(h, &number))
		return;
	key_size = value_key(LEDGER_PREFIX, number, key);
	if (ledger_is_fleeting(number) && kill_any(h, 2))
		options.ttl_ms = 1 + kill_any(h, 500);
	version = ledger_begin(h->ledger, number, options.ttl_ms ? LEDGER_REMOVE : LEDGER_PUT);
	if (shmc_role(h->cache) == SHMC_ROLE_WRITER && kill_any(h, 4) == 0) {
		options.ttl_ms = 0;
		r = fill_in_place(h, number, key, key_size, version);
	} else {
		size = mix_size(&h->random);
		value_make(h->value, size, number, version);
		r = shmc_put(h->cache, key, key_size, h->value, size, &options, KILL_TIMEOUT_MS);
	}
	if (options.ttl_ms)
		expire_by = ledger_now_ms() + options.ttl_ms + TTL_SLACK_MS;
	/* A full tier, or the quota of reservations. EXISTS: aborted. */
	kill_expect(h, "put", r, r == SHMC_NOSPACE || r == SHMC_QUOTA || r == SHMC_EXISTS);
	ledger_settle(h->ledger, number, put_outcome(h, r), expire_by);
	leave(h);
}

static void delete(struct kill_hand *h)
{
	char key[VALUE_KEY_MAX];
	unsigned number;
	int r;

	if (!take_any(h, &number))
		return;
	ledger_begin(h->ledger, number, LEDGER_REMOVE);
	r = shmc_delete(h->cache, key, value_key(LEDGER_PREFIX, number, key), KILL_TIMEOUT_MS);
	kill_expect(h, "delete", r, r == SHMC_MISS);
	ledger_settle(h->ledger, number, kill_is_gone(h, r) ? LEDGER_UNKNOWN : LEDGER_REMOVED, 0);
	leave(h);
}

static void touch(struct kill_hand *h)
{
	unsigned number = kill_any(h, h->ledger->n_keys), ttl_ms = 0;
	uint64_t expire_by = 0;
	char key[VALUE_KEY_MAX];
	int r;

	if (!ledger_take(h->ledger, h->slot, h->thread, 0, number))
		return;
	if (ledger_is_fleeting(number))
		ttl_ms = 1 + kill_any(h, 500);
	ledger_begin(h->ledger, number, ttl_ms ? LEDGER_REMOVE : LEDGER_TOUCH);
	r = shmc_touch(h->cache, key, value_key(LEDGER_PREFIX, number, key), ttl_ms,
		KILL_TIMEOUT_MS);
	if (ttl_ms && !r)
		expire_by = ledger_now_ms() + ttl_ms + TTL_SLACK_MS;
	kill_expect(h, "touch", r, r == SHMC_MISS);
	ledger_settle(h->ledger, number, kill_is_gone(h, r) ? LEDGER_UNKNOWN : LEDGER_UNCHANGED,
		expire_by);
	leave(h);
}

static void pin(struct kill_hand *h)
{
	unsigned number = kill_any(h, h->ledger->n_keys);
	char key[VALUE_KEY_MAX];
	size_t size = value_key(LEDGER_PREFIX, number, key);
	int r = shmc_pin(h->cache, key, size, 1 + kill_any(h, 100), KILL_TIMEOUT_MS);

	kill_expect(h, "pin", r, r == SHMC_MISS || r == SHMC_QUOTA);
	if (r || kill_any(h, 2))
		return;
	r = shmc_unpin(h->cache, key, size, KILL_TIMEOUT_MS);
	kill_expect(h, "unpin", r, r == SHMC_MISS);
}

/* --- the rest --------------------------------------------------------------------------------- */

static void loose(struct kill_hand *h)
{
	unsigned number = kill_any(h, h->ledger->n_loose), kind = kill_any(h, 20);
	struct shmc_put_options options = {.flags = kind % 3 ? 0 : SHMC_IF_ABSENT};
	struct shmc_view view;
	char key[VALUE_KEY_MAX];
	size_t size = value_key(LOOSE_PREFIX, number, key), value_size;
	int r;

	if (kind < 9) {
		r = shmc_get(h->cache, key, size, &view);
		kill_expect(h, "loose get", r, r == SHMC_MISS);
		if (r)
			return;
		kill_view_version(h, &view, number);
		shmc_release(h->cache, &view);
	} else if (kind < 17) {
		value_size = mix_size(&h->random);
		value_make(h->value, value_size, number, h->slot->life);
		r = shmc_put(h->cache, key, size, h->value, value_size, &options, KILL_TIMEOUT_MS);
		kill_expect(h, "loose put", r, r == SHMC_EXISTS || r == SHMC_NOSPACE);
	} else if (kind < 19) {
		r = shmc_delete(h->cache, key, size, KILL_TIMEOUT_MS);
		kill_expect(h, "loose delete", r, r == SHMC_MISS);
	} else {
		/* Up to 16 of them. */
		r = shmc_flush(h->cache, key, 7, NULL, KILL_TIMEOUT_MS);
		kill_expect(h, "flush", r, false);
	}
}

/*
 * Published, delivered, gone at once, late or never; and now and then all who wait are answered. A
 * view of what was delivered is kept as long as others.
 */
static void fetch(struct kill_hand *h)
{
	static const char kinds[] = "pppddddvvlrnq";
	struct kill_held *held = &h->held[kill_any(h, KILL_HELD)];
	char kind = kinds[kill_any(h, sizeof(kinds) - 1)], key[VALUE_KEY_MAX];
	unsigned number = kill_any(h, h->ledger->n_loose);
	size_t size = value_key(kind, number, key);
	struct shmc_view view;
	uint64_t version;
	int r = shmc_fetch(h->cache, key, size, NULL, &view, NULL,
		kind == 'l' || kind == 'n' ? 2 : KILL_TIMEOUT_MS);

	kill_expect(h, "fetch", r, r == SHMC_MISS || r == -ETIMEDOUT);
	if (r)
		return;
	atomic_fetch_add_explicit(&h->ledger->n_fetched, 1, memory_order_relaxed);
	version = kill_view_version(h, &view, number);
	let_go(h, held);
	*held = (struct kill_held){view, number, version};
	if (!version) {
		shmc_release(h->cache, &view);
		*held = (struct kill_held){0};
	}
}

static int visit(void *context, const struct shmc_entry *entry)
{
	uint64_t *sum = context;

	*sum += ((const unsigned char *)entry->key)[entry->key_size - 1];
	return 0;
}

static void scan(struct kill_hand *h)
{
	uint64_t cursor = 0, sum = 0;
	int r = shmc_scan(h->cache, &cursor, NULL, 0, 64, visit, &sum);

	kill_expect(h, "scan", r, false);
}

/* Long enough for workers to fall asleep. */
static void rest(struct kill_hand *h)
{
	nanosleep(&(struct timespec){.tv_nsec = 100000 + (long)kill_any(h, 5000000)}, NULL);
}

static void *work(void *context)
{
	static const struct {
		unsigned share;
		void (*run)(struct kill_hand *h);
	} ops[] = {{300, get}, {300, put}, {60, delete}, {60, get_many}, {60, copy_out},
		{60, kill_execute}, {50, kill_queue}, {40, touch}, {30, pin}, {50, loose},
		{10, scan}, {10, rest}, {70, fetch}};
	struct kill_hand *h = context;
	unsigned i, choice;

	for (;;) {
		choice = kill_any(h, 1100);
		for (i = 0; choice >= ops[i].share; i++)
			choice -= ops[i].share;
		ops[i].run(h);
	}
	return NULL;
}

/* --- a life ----------------------------------------------------------------------------------- */

/*
 * Others of the hundreds that were killed may not be gone yet, and the broker may be about to come.
 */
static struct shmc *attach(struct ledger *l, struct ledger_slot *slot)
{
	struct shmc_attach_options options = {.timeout_ms = KILL_TIMEOUT_MS,
		.role = SHMC_ROLE_WRITER};
	uint64_t deadline = ledger_now_ms() + KILL_TIMEOUT_MS;
	struct shmc *cache;
	int r;

	do {
		r = shmc_attach(&cache, l->name, &options);
		if (!r)
			return cache;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	} while (ledger_now_ms() < deadline && (r == -EUSERS || l->loses_brokers));
	ledger_wrong(l, "life %u: attach: %s", slot->life, shmc_strerror(r));
	_exit(1);
}

_Noreturn void kill_client(struct ledger *l, struct ledger_slot *slot)
{
	unsigned n_threads = slot->life % 4 ? 1 : LEDGER_THREADS, i;
	static struct kill_hand hand[LEDGER_THREADS];
	struct shmc *cache = attach(l, slot);
	pthread_t thread;

	for (i = 0; i < n_threads; i++) {
		hand[i] = (struct kill_hand){.ledger = l, .slot = slot, .cache = cache, .thread = i};
		hand[i].random = (l->seed << 32 | slot->life) * LEDGER_THREADS + i;
		hand[i].value = malloc(MIX_SIZE_MAX);
		if (!hand[i].value)
			_exit(1);
	}
	for (i = 1; i < n_threads; i++)
		if (pthread_create(&thread, NULL, work, &hand[i]))
			_exit(1);
	work(&hand[0]);
	_exit(1);
}
