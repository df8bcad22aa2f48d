/* SPDX-License-Identifier: Apache-2.0 */
/* flight-random.c: everything at once, in random orders, and what must hold all the same. */
#include "tests/shmcache/remote/flying.h"

#include "shmcache/remote/flight-impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/*
 * Few keys, so that requests meet; holders that are late, wrong, dead or refuse; clients that come,
 * go, ask in batches, put, delete and flush. After each step:
 *
 *	- no ticket was answered twice, none is open beyond its deadline
 *	- what flights count of themselves is so, and none waits for what can't come
 *	- there are never two transfers of one key that were not called off (flying.c)
 *	- what is in the store under a key was put last, or was asked for after whatever was done to that
 *	  key last: nothing that was overtaken is published
 *
 * and in the end no block, fill or flight is left, and the store's books agree (flying_end()).
 */
enum { KEYS = 12, STEPS = 10000, SESSIONS = 3 };

static struct flying f;
static uint64_t seed;

static unsigned below(unsigned n)
{
	return (unsigned)(rig_random(&seed) % n);
}

static void ask(unsigned key, uint64_t batch, uint32_t position, uint32_t n_batch, int policy)
{
	struct ticket *t = flying_ticket(&f, key, policy);

	t->session = 1 + below(SESSIONS);
	t->is_prefetch = below(4) == 0;
	t->deadline_ms = f.loop.now_ms + below(200);
	t->batch = batch;
	t->position = position;
	t->n_batch = n_batch;
	flying_take(&f, t);
}

static void ask_some(void)
{
	static uint64_t batch;
	unsigned n = 1 + below(6), begin = below(KEYS);
	int policy = (int)below(ABI_N_WRITE_BACKS + 1) - 1;

	if (below(2)) {
		ask(begin, 0, 0, 0, policy);
		return;
	}
	batch++;
	for (unsigned i = 0; i < n; i++)
		/* Now and then one is left out, or told wrong. */
		if (below(30))
			ask((begin + i) % KEYS, batch, i, below(40) ? n : below(9), policy);
}

static void answer_one_locate(void)
{
	uint16_t holders[4] = {(uint16_t)below(9), (uint16_t)below(9), (uint16_t)below(9), 300};

	if (f.n_locates)
		flying_answer_locate(
			&f, below(f.n_locates), holders, below(3) ? below(5) : 0, below(4) != 0);
}

static uint64_t some_size(void)
{
	static const uint64_t sizes[] = {8, 100, 5000, 70000, 300000, 1500000};

	return below(30) ? sizes[below(6)] : 100 * MIB;
}

/* A kind may say later that it has let go of what was not wanted. */
static void land_or_not(unsigned i)
{
	if (below(4))
		flying_land(&f, i, some_size());
	else
		flying_offer(&f, i, some_size());
}

static void go_on_with_one_fetch(void)
{
	unsigned i;

	if (!f.n_fetches)
		return;
	i = below(f.n_fetches);
	f.fetch[i].fetch->n_bytes += below(2);
	if (f.fetch[i].is_cancelled && below(2))
		flying_finish(&f, i, REMOTE_CANCELLED);
	else if (!f.fetch[i].to && !f.fetch[i].is_cancelled && below(4))
		land_or_not(i);
	else if (f.fetch[i].to && below(3))
		flying_finish(&f, i, REMOTE_OK);
	else
		flying_finish(&f, i, 1 + below(REMOTE_NOSPACE));
}

static void change_here(void)
{
	uint64_t bucket = 0;

	switch (below(8)) {
	case 0:
		for (unsigned key = 0; key < KEYS; key++)
			f.version[key]++;
		while (bucket != UINT64_MAX)
			store_flush(&f.rig.store, &f.rig.w, "fly", 3, &bucket, 64);
		break;
	case 1:
	case 2:
	case 3:
		flying_put(&f, below(KEYS), 8 + below(20000));
		break;
	default:
		flying_delete(&f, below(KEYS));
	}
	if (below(4) == 0)
		f.ear->heard(f.ear, NULL);
}

static void take_deliveries(void)
{
	for (unsigned n = f.n_asked > 50 ? f.n_asked - 50 : 0; n < f.n_asked; n++) {
		const struct ticket *t = f.asked[n].ticket;

		if (t->kind == TICKET_FETCH && f.asked[n].is_answered && t->result[1] &&
			t->status == ABI_STATUS_OK && below(3) == 0)
			flying_expect_delivered(&f, n);
	}
}

static void somebody_leaves(void)
{
	struct ticket *t = flying_ticket(&f, 0, -1);

	t->kind = TICKET_LEFT;
	t->session = 1 + below(SESSIONS);
	flying_take(&f, t);
	assert_true(flying_is_answered(&f, f.n_asked - 1));
}

static void step(void)
{
	switch (below(40)) {
	case 0:
		change_here();
		break;
	case 1:
		if (below(8) == 0)
			somebody_leaves();
		break;
	case 2:
		f.is_slow_to_cancel = below(2);
		break;
	case 3:
	case 4:
		take_deliveries();
		break;
	case 5:
		flying_pass(&f, below(60));
		break;
	case 6:
		rig_drain(&f.rig);
		break;
	case 7:
	case 8:
	case 9:
	case 10:
	case 11:
	case 12:
	case 13:
		ask_some();
		break;
	case 14:
	case 15:
	case 16:
	case 17:
	case 18:
	case 19:
	case 20:
	case 21:
	case 22:
	case 23:
	case 24:
		answer_one_locate();
		break;
	default:
		go_on_with_one_fetch();
	}
	flying_pass(&f, below(10) == 0);
}

static void expect_whole(const struct flight *flight)
{
	bool is_queued = flight->state == FLIGHT_QUEUED ||
		(flight->state == FLIGHT_LOCATING && !flight->locating);

	if (flight->is_over)
		assert_true(flight->is_out && !flight->waiters);
	else
		assert_true(flight->waiters ||
			(flight->state == FLIGHT_FETCHING && flight_is_wanted(flight)));
	/* Nobody can join: then it is on its way out. */
	assert_true(flight->hash_link || (flight->is_out && flight->stop));
	assert_int_equal(flight->queue_link != NULL, is_queued);
}

static void expect_balance(void)
{
	const struct flights *all = f.flights;
	const struct flight *flight;
	unsigned n = 0, n_out = 0;
	uint64_t n_bytes = 0;

	for (flight = all->all; flight; flight = flight->next) {
		expect_whole(flight);
		n++;
		n_out += flight->is_out;
		n_bytes += flight->is_landed ? flight->size : 0;
	}
	assert_int_equal(n, all->shares.n);
	assert_int_equal(n, all->store->n_fills);
	assert_int_equal(n_out, all->n_fetching);
	assert_int_equal(n_out, f.n_fetches);
	assert_int_equal(n_bytes, all->n_bytes);
	/* There is nothing that would set it going again. */
	assert_true(!all->queued.first || all->n_fetching);
}

static void expect_invariants(void)
{
	static unsigned first_open;
	uint64_t version;

	if (f.n_asked < first_open)
		first_open = 0;
	for (unsigned n = first_open; n < f.n_asked; n++) {
		if (f.asked[n].is_answered) {
			first_open += n == first_open;
			continue;
		}
		if (f.asked[n].ticket->deadline_ms <= f.loop.now_ms)
			fail_msg("ticket %u is open %u ms beyond its deadline", n,
				(unsigned)(f.loop.now_ms - f.asked[n].ticket->deadline_ms));
	}
	for (unsigned key = 0; key < KEYS; key++)
		if (flying_stored(&f, key, &version) && version != f.version[key])
			fail_msg("key %u: version %u is back, it is at %u", key, (unsigned)version,
				(unsigned)f.version[key]);
	assert_true(flights_n_fetching(f.flights) <= f.config.remote.fetches);
}

static void random_orders_keep_the_rules(void **state)
{
	unsigned n_here = 0, n_delivered = 0, n_missed[ABI_N_FETCH_MISSES] = {0};

	(void)state;
	flying_init(&f, 16 * MIB);
	f.config.remote.fetches = 6;
	flying_begin(&f);
	for (unsigned i = 0; i < STEPS; i++) {
		step();
		expect_balance();
		if (i % 8 == 0)
			expect_invariants();
	}
	for (unsigned n = 0; n < f.n_asked; n++) {
		const struct ticket *t = f.asked[n].ticket;

		if (!f.asked[n].is_answered || t->kind != TICKET_FETCH)
			continue;
		if (t->status == ABI_STATUS_MISS)
			n_missed[t->result[0]]++;
		else if (t->size)
			n_delivered++;
		else
			n_here++;
	}
	printf("%u tickets: %u here, %u delivered;", f.n_asked, n_here, n_delivered);
	for (unsigned why = 0; why < ABI_N_FETCH_MISSES; why++)
		printf(" %s %u", abi_fetch_miss_name(why), n_missed[why]);
	printf("\n");
	/* All of it was met. */
	assert_true(n_here && n_delivered && n_missed[ABI_FETCH_NOBODY] &&
		n_missed[ABI_FETCH_TIMEOUT] && n_missed[ABI_FETCH_CANCELLED] &&
		n_missed[ABI_FETCH_UNREACHABLE] && n_missed[ABI_FETCH_DECLINED]);
	flying_end(&f);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(random_orders_keep_the_rules)};

	seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL);
	printf("seed %llu\n", (unsigned long long)seed);
	return RIG_RUN(tests);
}
