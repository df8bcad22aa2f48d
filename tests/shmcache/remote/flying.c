/* SPDX-License-Identifier: Apache-2.0 */
/* flying.c: flights in a test's hands. */
#include "tests/shmcache/remote/flying.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <urcu.h>

#include <cmocka.h>

/*
 * A value says which key it is of, which version of that, and who made it, so that whoever finds it
 * can tell whether it should be there: 8 bytes, over and over.
 */
#define FETCHED 2
#define PUT 1

static uint64_t word_of(unsigned key, uint64_t version, unsigned how)
{
	return (uint64_t)how << 56 | (uint64_t)key << 40 | version;
}

static uint64_t version_of(uint64_t word)
{
	return word & ((UINT64_C(1) << 40) - 1);
}

static void fill(uint8_t *to, uint64_t size, uint64_t word)
{
	for (uint64_t i = 0; i < size; i++)
		to[i] = (uint8_t)(word >> i % 8 * 8);
}

/* Fails unless all of it is one word of that key. */
static uint64_t read_word(const uint8_t *from, uint64_t size, unsigned key)
{
	uint64_t word;

	assert_true(size >= 8);
	memcpy(&word, from, 8);
	assert_int_equal(word >> 40 & 0xffff, key);
	for (uint64_t i = 0; i < size; i++)
		assert_int_equal(from[i], (uint8_t)(word >> i % 8 * 8));
	return word;
}

static struct flying *the; /* for answers, which come without a context */

static size_t key_bytes(unsigned key, uint8_t bytes[ABI_KEY_SIZE_MAX])
{
	return (size_t)snprintf((char *)bytes, ABI_KEY_SIZE_MAX, "flying/%u", key);
}

static unsigned key_number(const struct remote_key *key)
{
	char text[32] = {0};

	assert_true(key->size < sizeof(text));
	memcpy(text, key->data, key->size);
	return (unsigned)atoi(text + strlen("flying/"));
}

struct index_key flying_key(struct flying *f, unsigned key, uint8_t bytes[ABI_KEY_SIZE_MAX])
{
	return index_key(&f->rig.store.index, bytes, key_bytes(key, bytes));
}

/* --- the kind --------------------------------------------------------------------------------- */

static void kind_locate(void *self, struct remote_locate *locate)
{
	struct flying *f = self;

	for (unsigned i = 0; i < locate->n; i++) {
		unsigned key = key_number(&locate->keys[i]);

		assert_true(f->n_locates < FLYING_OUT);
		f->locate[f->n_locates++] = (struct out_locate){locate, i, key};
		f->located[key] = f->version[key];
		f->n_located++;
	}
}

static void kind_fetch(void *self, unsigned holder, struct remote_fetch *fetch)
{
	struct flying *f = self;
	unsigned key = key_number(&fetch->key);

	/* The one rule: never two at once. What was called off may take its time. */
	for (unsigned i = 0; i < f->n_fetches; i++)
		assert_true(f->fetch[i].key != key || f->fetch[i].is_cancelled);
	assert_true(f->n_fetches < FLYING_OUT);
	assert_null(fetch->kind_state);
	f->fetch[f->n_fetches++] = (struct out_fetch){
		.fetch = fetch, .holder = holder, .key = key, .version = f->located[key]};
	f->n_fetched++;
}

static void fetch_done(struct flying *f, unsigned i, enum remote_result result)
{
	struct remote_fetch *fetch = f->fetch[i].fetch;

	f->fetch[i] = f->fetch[--f->n_fetches];
	fetch->done(fetch, result);
}

static void kind_cancel(void *self, struct remote_fetch *fetch)
{
	struct flying *f = self;
	unsigned i = 0;

	while (i < f->n_fetches && f->fetch[i].fetch != fetch)
		i++;
	assert_true(i < f->n_fetches && !f->fetch[i].is_cancelled);
	f->fetch[i].is_cancelled = true;
	if (!f->is_slow_to_cancel)
		fetch_done(f, i, REMOTE_CANCELLED);
}

static void kind_erase(void *self, const struct remote_key *key, uint64_t deadline_ms,
	void (*done)(void *context, unsigned n_told, unsigned n_failed), void *context)
{
	struct flying *f = self;

	(void)key;
	assert_true(deadline_ms > f->loop.now_ms);
	done(context, f->n_told, f->n_untold);
}

static unsigned kind_health(void *self, struct remote_health *health, unsigned max)
{
	(void)self;
	if (!max)
		return 0;
	*health = (struct remote_health){.holder = 3};
	return 1;
}

static void kind_set_ear(void *self, struct remote_ear *ear)
{
	struct flying *f = self;

	f->ear = ear;
}

static const struct remote_kind kind = {
	.name = "double",
	.locate = kind_locate,
	.fetch = kind_fetch,
	.cancel = kind_cancel,
	.erase = kind_erase,
	.health = kind_health,
	.set_ear = kind_set_ear,
};

/* --- set up, take down ------------------------------------------------------------------------ */

static void answered(struct ticket *ticket)
{
	for (unsigned i = 0; i < the->n_asked; i++) {
		if (the->asked[i].ticket != ticket)
			continue;
		assert_false(the->asked[i].is_answered);
		the->asked[i].is_answered = true;
		the->asked[i].answered_ms = the->loop.now_ms;
		the->n_answered++;
		return;
	}
	fail_msg("an answer to no question");
}

void flying_init(struct flying *f, uint64_t dram)
{
	memset(f, 0, sizeof(*f));
	the = f;
	config_init(&f->config);
	rig_init(&f->rig, dram, 16 * MIB);
	rig_open(&f->rig, false);
}

void flying_begin(struct flying *f)
{
	struct flights_options options = {&f->loop, answered};
	struct flight_source source = {&kind, f};

	assert_int_equal(remote_loop_init(
				 &f->loop, &f->rig.store, &f->rig.w, NULL, &f->config), 0);
	f->loop.now_ms = 1000;
	assert_int_equal(flights_new(&f->flights, &options), 0);
	flights_add(f->flights, &source);
}

/* Whatever was called off comes back in the end. */
static void let_go(struct flying *f)
{
	unsigned i = 0;

	while (i < f->n_fetches) {
		if (f->fetch[i].is_cancelled) {
			flying_finish(f, i, REMOTE_CANCELLED);
			i = 0;
		} else {
			i++;
		}
	}
}

void flying_end(struct flying *f)
{
	f->is_slow_to_cancel = false;
	let_go(f);
	flights_free(f->flights);
	assert_int_equal(f->n_fetches, 0);
	assert_int_equal(f->n_answered, f->n_asked);
	while (f->n_locates)
		flying_answer_locate(f, 0, NULL, 0, false);
	remote_loop_deinit(&f->loop);
	for (unsigned i = 0; i < f->n_asked; i++) {
		struct ticket *t = f->asked[i].ticket;

		if (t->kind == TICKET_FETCH && t->status == ABI_STATUS_OK && t->result[1])
			store_delivery_end(&f->rig.store, t->result[1]);
		free(t);
	}
	free(f->asked);
	for (unsigned key = 0; key < FLYING_KEYS; key++)
		flying_delete(f, key);
	rig_drain(&f->rig);
	rig_check(&f->rig);
	assert_int_equal(f->rig.store.reserved_size, 0);
	assert_int_equal(f->rig.store.n_fills, 0);
	assert_int_equal(f->rig.store.index.n_entries, 0);
	assert_int_equal(tier_used(&f->rig.store.tier[ABI_TIER_DRAM]), 0);
	rig_remove(&f->rig);
}

/* --- tickets ---------------------------------------------------------------------------------- */

int flying_setup(void **state)
{
	flying_init(*state, 16 * MIB);
	flying_begin(*state);
	return 0;
}

int flying_teardown(void **state)
{
	flying_end(*state);
	return 0;
}

struct ticket *flying_ticket(struct flying *f, unsigned key, int policy)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	size_t size = key_bytes(key, bytes);
	struct ticket *t = calloc(1, sizeof(*t) + size);

	assert_non_null(t);
	memcpy(t->key, bytes, size);
	t->key_size = (uint16_t)size;
	t->write_back = (uint8_t)(policy + 1);
	t->session = 1;
	t->lane_id = 1;
	t->deadline_ms = f->loop.now_ms + 1000;
	return t;
}

unsigned flying_take(struct flying *f, struct ticket *t)
{
	struct remote_key key = remote_key(t->key, t->key_size);

	if ((f->n_asked & (f->n_asked - 1)) == 0) {
		f->asked = realloc(f->asked, (f->n_asked ? 2 * f->n_asked : 1) * sizeof(*f->asked));
		assert_non_null(f->asked);
	}
	f->asked[f->n_asked] = (struct asked){.ticket = t, .key = key_number(&key)};
	if (f->asked[f->n_asked].key < FLYING_KEYS)
		f->asked[f->n_asked].version = f->version[f->asked[f->n_asked].key];
	f->n_asked++;
	t->next = NULL;
	flights_take(f->flights, t);
	return f->n_asked - 1;
}

unsigned flying_ask(struct flying *f, unsigned key, int policy)
{
	unsigned n = flying_take(f, flying_ticket(f, key, policy));

	flying_pass(f, 0);
	return n;
}

void flying_pass(struct flying *f, uint64_t ms)
{
	remote_loop_due(&f->loop, f->loop.now_ms + ms);
}

/* --- what the kind does ----------------------------------------------------------------------- */

void flying_answer_locate(struct flying *f, unsigned i, const uint16_t *holders, unsigned n,
	bool is_complete)
{
	struct out_locate l = f->locate[i];

	f->locate[i] = f->locate[--f->n_locates];
	l.locate->done(l.locate, l.i, holders, n, is_complete);
}

void flying_located(struct flying *f, unsigned key, unsigned first, unsigned n, bool is_complete)
{
	uint16_t holders[REMOTE_TRIED_MAX];
	unsigned i = 0;

	while (i < f->n_locates && f->locate[i].key != key)
		i++;
	if (i == f->n_locates)
		fail_msg("nobody asks where key %u is", key);
	for (unsigned k = 0; k < n; k++)
		holders[k] = (uint16_t)(first + k);
	flying_answer_locate(f, i, holders, n, is_complete);
	flying_pass(f, 0);
}

int flying_out(struct flying *f, unsigned key)
{
	int found = -1;

	for (unsigned i = 0; i < f->n_fetches; i++) {
		if (f->fetch[i].key != key || f->fetch[i].is_cancelled)
			continue;
		assert_int_equal(found, -1);
		found = (int)i;
	}
	return found;
}

bool flying_offer(struct flying *f, unsigned i, uint64_t size)
{
	struct remote_head head = {.size = size};
	struct remote_fetch *fetch = f->fetch[i].fetch;

	f->fetch[i].size = size;
	f->fetch[i].to = fetch->land(fetch, &head);
	f->fetch[i].is_cancelled = !f->fetch[i].to;
	return f->fetch[i].to;
}

bool flying_land(struct flying *f, unsigned i, uint64_t size)
{
	if (flying_offer(f, i, size))
		return true;
	fetch_done(f, i, REMOTE_CANCELLED);
	flying_pass(f, 0);
	return false;
}

void flying_finish(struct flying *f, unsigned i, enum remote_result result)
{
	struct out_fetch *o = &f->fetch[i];

	/* Also where it goes wrong: what was written must not show. */
	if (o->to)
		fill(o->to, result == REMOTE_OK ? o->size : o->size / 2,
			word_of(o->key, o->version, FETCHED));
	fetch_done(f, i, result);
	flying_pass(f, 0);
}

void flying_bring(struct flying *f, unsigned key, uint64_t size)
{
	int i;

	flying_located(f, key, 1, 1, true);
	i = flying_out(f, key);
	assert_true(i >= 0);
	assert_true(flying_land(f, (unsigned)i, size));
	flying_finish(f, (unsigned)i, REMOTE_OK);
}

/* --- what came of it -------------------------------------------------------------------------- */

bool flying_is_answered(const struct flying *f, unsigned n)
{
	return f->asked[n].is_answered;
}

void flying_expect_here(struct flying *f, unsigned n)
{
	assert_true(flying_is_answered(f, n));
	assert_int_equal(f->asked[n].ticket->status, ABI_STATUS_OK);
	assert_int_equal(f->asked[n].ticket->result[1], 0);
}

void flying_expect_miss(struct flying *f, unsigned n, enum abi_fetch_miss why)
{
	assert_true(flying_is_answered(f, n));
	assert_int_equal(f->asked[n].ticket->status, ABI_STATUS_MISS);
	assert_int_equal(f->asked[n].ticket->result[0], why);
}

void flying_expect_delivered(struct flying *f, unsigned n)
{
	struct ticket *t = f->asked[n].ticket;
	uint32_t cell;
	uint64_t word;

	assert_true(flying_is_answered(f, n));
	assert_int_equal(t->status, ABI_STATUS_OK);
	assert_int_not_equal(t->result[1], 0);
	cell = abi_word_cell(t->result[0]);
	assert_int_equal(f->rig.store.index.cell[cell].value_size, t->size);
	word = read_word((const uint8_t *)rig_value(&f->rig, cell), t->size, f->asked[n].key);
	assert_true(version_of(word) >= f->asked[n].version);
	store_delivery_end(&f->rig.store, t->result[1]);
	t->result[1] = 0;
}

int flying_stored(struct flying *f, unsigned key, uint64_t *version)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct index_key k = flying_key(f, key, bytes);
	uint64_t word;
	uint32_t cell;

	if (!index_find(&f->rig.store.index, &k, &cell))
		return 0;
	word = read_word((const uint8_t *)rig_value(&f->rig, cell),
		f->rig.store.index.cell[cell].value_size, key);
	*version = version_of(word);
	return (int)(word >> 56);
}

void flying_put(struct flying *f, unsigned key, uint64_t size)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX], *value = malloc(size);
	struct index_key k = flying_key(f, key, bytes);

	assert_non_null(value);
	f->version[key]++;
	fill(value, size, word_of(key, f->version[key], PUT));
	assert_int_equal(store_put(&f->rig.store, &f->rig.w, &k, &(struct store_put_options){0},
				 value, size), ABI_STATUS_OK);
	free(value);
}

void flying_delete(struct flying *f, unsigned key)
{
	uint8_t bytes[ABI_KEY_SIZE_MAX];
	struct index_key k = flying_key(f, key, bytes);

	f->version[key]++;
	store_delete(&f->rig.store, &f->rig.w, &k);
}
