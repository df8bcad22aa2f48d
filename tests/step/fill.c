/* SPDX-License-Identifier: Apache-2.0 */
/* fill.c: a broker is killed while a value comes from another, or goes there. */
#include <string.h>

#include "shmcache/guard.h"
#include "tests/step/change.h"

/*
 * What comes from another broker is OLD, the version of before; what is put here meanwhile is NEW.
 * However far a fill had come when its broker died, the next one has the value wholly or not at
 * all, and never OLD where something overtook it. What was delivered without an entry is for him
 * who holds it, over the restart too, and what nobody holds any more is free.
 *
 * A loan leaves no trace in shared memory, and needs none: who was read to is gone with the broker.
 * What it promises, it promises while the broker lives: the bytes stay, whatever becomes of the
 * entry. That those who are killed meanwhile leave nothing behind is the part for the next.
 */
#define OLD 1
#define NEW 2

static struct store_fill fill[2];
static struct store_loan loan;

static void begin(struct call *c)
{
	store_fill_begin(STORE, &fill[0], &c->key);
}

static void end(void)
{
	store_fill_end(STORE, &fill[0]);
}

static enum abi_status reserve(struct call *c, struct store_fill *f, uint64_t size, uint8_t **data)
{
	return store_fill_reserve(STORE, WORKER, f, &c->options, size, false, data);
}

static bool receive(struct call *c, struct store_fill *f, unsigned version)
{
	const struct scene_value *value = &c->value[version];
	uint8_t *data;

	return reserve(c, f, value->size, &data) == ABI_STATUS_OK &&
		guard_copy(data, value->bytes, value->size);
}

static enum abi_status publish(struct store_fill *f)
{
	return store_fill_publish(STORE, WORKER, f);
}

/* --- published -------------------------------------------------------------------------------- */

static bool run_publish(struct call *c)
{
	bool r;

	begin(c);
	r = receive(c, &fill[0], OLD) && publish(&fill[0]) == ABI_STATUS_OK;
	change_answered();
	end();
	return r;
}

/* With all that a record has besides. */
static bool run_publish_hints(struct call *c)
{
	c->options = (struct store_put_options){
		.ttl_ms = 3600000, .hints = {.group = 7, .position = 3, .priority = 2}};
	return run_publish(c);
}

/* Of two that came the second finds the first. */
static bool run_two(struct call *c)
{
	bool r;

	begin(c);
	store_fill_begin(STORE, &fill[1], &c->key);
	r = receive(c, &fill[0], OLD) && receive(c, &fill[1], NEW) &&
		publish(&fill[1]) == ABI_STATUS_OK;
	change_answered();
	r = r && publish(&fill[0]) == ABI_STATUS_EXISTS;
	store_fill_end(STORE, &fill[1]);
	end();
	return r;
}

/* --- given up --------------------------------------------------------------------------------- */

/* What came from one holder was not to be used, and the next one has it otherwise. */
static bool run_again(struct call *c)
{
	bool r;

	begin(c);
	r = receive(c, &fill[0], OLD);
	store_fill_drop(STORE, &fill[0]);
	r = r && receive(c, &fill[0], NEW) && publish(&fill[0]) == ABI_STATUS_OK;
	end();
	return r;
}

/* Two are, and what is put then has the block of the one and the cell of the other. */
static bool run_give_up(struct call *c)
{
	bool r;

	begin(c);
	store_fill_begin(STORE, &fill[1], &c->other);
	r = receive(c, &fill[0], OLD) && receive(c, &fill[1], OLD);
	end();
	store_fill_end(STORE, &fill[1]);
	return r && change_put(c);
}

/* Nothing is to go for it, so it does not come. */
static bool run_no_room(struct call *c)
{
	enum abi_status status;
	uint8_t *data;

	begin(c);
	status = store_fill_reserve(
		STORE, WORKER, &fill[0], &c->options, c->value[3].size, true, &data);
	end();
	return status == ABI_STATUS_NOSPACE;
}

/* --- overtaken -------------------------------------------------------------------------------- */

static bool run_put_first(struct call *c)
{
	uint8_t *data;
	bool r;

	begin(c);
	r = change_put(c);
	change_answered();
	r = r && reserve(c, &fill[0], c->value[OLD].size, &data) == ABI_STATUS_GONE;
	end();
	return r;
}

static bool run_put_meanwhile(struct call *c)
{
	bool r;

	begin(c);
	r = receive(c, &fill[0], OLD) && change_put(c);
	change_answered();
	r = r && publish(&fill[0]) == ABI_STATUS_EXISTS;
	end();
	return r;
}

/* Who did not find it has asked for it, and then it was put; see enter_new(). */
static bool run_delete_meanwhile(struct call *c)
{
	bool r;

	begin(c);
	r = receive(c, &fill[0], OLD) && store_delete(STORE, WORKER, &c->key) == ABI_STATUS_OK;
	change_answered();
	r = r && publish(&fill[0]) == ABI_STATUS_GONE;
	end();
	return r;
}

static bool run_flush_meanwhile(struct call *c)
{
	uint64_t first = 0, bucket = lookup_bucket_idx(c->key.hash, STORE->index.n_buckets);
	bool r;

	begin(c);
	r = receive(c, &fill[0], OLD);
	/* Of all between there is nothing to tell. */
	store_flush(STORE, WORKER, c->key.data, c->key.size, &first, 1);
	store_flush(STORE, WORKER, c->key.data, c->key.size, &bucket, 1);
	change_answered();
	r = r && publish(&fill[0]) == ABI_STATUS_GONE;
	end();
	return r;
}

/* --- delivered -------------------------------------------------------------------------------- */

static enum abi_status deliver(uint64_t *reservation, uint64_t *word)
{
	return store_fill_deliver(STORE, &fill[0], reservation, word);
}

static void hold(struct call *c, uint64_t word)
{
	view_take_word(
		&scene.told->view, &scene.rig, word, c->value[OLD].seed, c->value[OLD].size);
}

/* To two clients. The first had no use for it, and says so before the second holds it. */
static bool run_deliver(struct call *c)
{
	uint64_t reservation[2], word;
	bool r;

	begin(c);
	r = receive(c, &fill[0], OLD) && deliver(&reservation[0], &word) == ABI_STATUS_OK &&
		deliver(&reservation[1], &word) == ABI_STATUS_OK;
	end();
	if (!r)
		return false;
	store_delivery_end(STORE, reservation[0]);
	store_reclaim(STORE, WORKER);
	hold(c, word);
	store_delivery_end(STORE, reservation[1]);
	store_reclaim(STORE, WORKER);
	return true;
}

/* And what is put when it is held no more lies where it lay. */
static bool run_let_go(struct call *c)
{
	bool r = run_deliver(c);

	view_let_go(&scene.told->view, &scene.rig);
	store_reclaim(STORE, WORKER);
	return r && change_put(c);
}

/* Who has it keeps it; who asks from there on does not get it. */
static bool run_put_behind(struct call *c)
{
	uint64_t reservation, word;
	bool r;

	begin(c);
	r = receive(c, &fill[0], OLD) && deliver(&reservation, &word) == ABI_STATUS_OK;
	if (!r)
		return false;
	hold(c, word);
	store_delivery_end(STORE, reservation);
	r = change_put(c);
	change_answered();
	r = r && deliver(&reservation, &word) == ABI_STATUS_GONE;
	end();
	store_reclaim(STORE, WORKER);
	return r;
}

/* --- lent ------------------------------------------------------------------------------------- */

/* Something of its size is received into what is free, and what is lent stays as it is. */
static bool press(struct call *c)
{
	const struct scene_value *old = &c->value[OLD];
	uint8_t *data;
	bool r;

	store_reclaim(STORE, WORKER);
	store_fill_begin(STORE, &fill[1], &c->other);
	r = reserve(c, &fill[1], old->size, &data) == ABI_STATUS_OK &&
		guard_copy(data, c->value[NEW].bytes, old->size) &&
		!memcmp(loan.data, old->bytes, old->size);
	store_fill_end(STORE, &fill[1]);
	return r;
}

static bool lend(struct call *c)
{
	return store_lend(STORE, WORKER, &c->key, &loan) == ABI_STATUS_OK;
}

static void give_back(void)
{
	store_loan_end(STORE, &loan);
	store_reclaim(STORE, WORKER);
}

static bool run_lend_delete(struct call *c)
{
	bool r = lend(c) && store_delete(STORE, WORKER, &c->key) == ABI_STATUS_OK;

	change_answered();
	r = r && press(c);
	give_back();
	return r;
}

static bool run_lend_put(struct call *c)
{
	bool r = lend(c) && change_put(c);

	change_answered();
	r = r && press(c);
	give_back();
	return r;
}

/* --- where from ------------------------------------------------------------------------------- */

static void enter_new(void)
{
	change_enter_some();
	scene_put(5, NEW);
}

static const struct change changes[] = {
	{"publish", SIZE_SMALL, 100, 0, OLD, change_enter_some, run_publish},
	{"publish a long key, with hints", SIZE_SMALL, 104, 0, OLD, change_enter_some,
		run_publish_hints},
	{"publish where all is full", SIZE_TINY, 1000, 0, OLD, scene_put_full, run_publish},
	{"two of one key", SIZE_SMALL, 100, 0, NEW, change_enter_some, run_two},
	{"drop, and receive again", SIZE_SMALL, 100, 0, NEW, change_enter_some, run_again},
	{"give up", SIZE_SMALL, 100, 101, NEW, change_enter_some, run_give_up},
	{"no room", SIZE_TINY, 1000, 0, 0, scene_put_full, run_no_room},
	{"put first", SIZE_SMALL, 100, 0, NEW, change_enter_some, run_put_first},
	{"put meanwhile", SIZE_SMALL, 100, 0, NEW, change_enter_some, run_put_meanwhile},
	{"delete meanwhile", SIZE_SMALL, 5, 0, 0, enter_new, run_delete_meanwhile},
	{"flush meanwhile", SIZE_SMALL, 5, 0, 0, enter_new, run_flush_meanwhile},
	{"deliver", SIZE_SMALL, 100, 0, 0, change_enter_some, run_deliver},
	{"deliver, let go and use again", SIZE_SMALL, 100, 0, NEW, change_enter_some, run_let_go},
	{"put behind a delivery", SIZE_SMALL, 100, 0, NEW, change_enter_some, run_put_behind},
	{"lend what is deleted", SIZE_SMALL, 5, 100, 0, change_enter_some, run_lend_delete},
	{"lend what is replaced", SIZE_SMALL, 5, 100, NEW, change_enter_viewed, run_lend_put},
};

int main(int argc, char **argv)
{
	return change_main(argc, argv, "step-fill", changes, sizeof(changes) / sizeof(changes[0]));
}
