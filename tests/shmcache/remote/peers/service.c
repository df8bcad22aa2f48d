/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service.c: what is lent to whom, and for how long. The link is this file: it has what was pushed,
 * sends it when the test says so, and does not ask whether it may.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "shmcache/guard.h"
#include "shmcache/remote/peers/service.h"
#include "shmcache/remote/peers/sum.h"
#include "tests/shmcache/rig.h"

#define BODIES_MAX 2
#define WAIT_MAX 60000
#define ASKED 8

enum state { UNANSWERED, PUSHED, SENT, ABORTED, REFUSED };

struct asked {
	struct link_request request; /* first */
	struct link_body body;
	enum state state;
	enum frame_status status; /* why it was refused */
	uint8_t key[ABI_KEY_SIZE_MAX];
};

static struct rig rig;
static struct service *service;
static struct service_guest guest;
static struct asked asked[ASKED];

/* --- the link --------------------------------------------------------------------------------- */

void link_push(struct link_request *request, const struct link_body *body)
{
	struct asked *a = (struct asked *)request;

	assert_int_equal(a->state, UNANSWERED);
	a->state = PUSHED;
	a->body = *body;
}

void link_refuse(struct link_request *request, enum frame_status status)
{
	struct asked *a = (struct asked *)request;

	assert_int_equal(a->state, UNANSWERED);
	a->state = REFUSED;
	a->status = status;
}

void link_push_abort(struct link_request *request)
{
	struct asked *a = (struct asked *)request;

	assert_int_equal(a->state, PUSHED);
	a->state = ABORTED;
	a->body.done(a->body.context, false);
}

/* All of it, in pieces; returns the sum that is told. */
static uint64_t deliver(struct asked *a)
{
	uint64_t size = a->body.value.size, off, n, sum;

	assert_int_equal(a->state, PUSHED);
	for (off = 0; a->body.sending && off < size; off += n) {
		n = size - off < 60000 ? size - off : 60000;
		a->body.sending(a->body.context, off, n);
	}
	sum = a->body.sum(a->body.context);
	a->state = SENT;
	a->body.done(a->body.context, true);
	return sum;
}

static void ask(unsigned i, uint64_t key, uint32_t wait_ms)
{
	struct asked *a = &asked[i];

	memset(a, 0, sizeof(*a));
	a->request = (struct link_request){.key = a->key, .wait_ms = wait_ms,
		.key_size = (uint16_t)rig_key(key, a->key)};
	service_fetch(service, &guest, &a->request);
}

static void expect(const enum state *states, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		if (asked[i].state != states[i])
			fail_msg("number %u is %d, not %d", i, asked[i].state, states[i]);
}

#define EXPECT(...) \
	expect((const enum state[]){__VA_ARGS__}, \
		sizeof((const enum state[]){__VA_ARGS__}) / sizeof(enum state))

static void pause_ms(unsigned ms)
{
	nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

/* --- a service -------------------------------------------------------------------------------- */

static int setup(void **state)
{
	const struct service_options options = {
		.store = &rig.store, .w = &rig.w, .n_bodies_max = BODIES_MAX, .wait_ms_max = WAIT_MAX,
		.lent_percent = 100};

	(void)state;
	rig_init(&rig, 16 * MIB, MIB);
	rig_open(&rig, false);
	memset(&guest, 0, sizeof(guest));
	return service_new(&service, &options);
}

/* Nothing is lent any more. */
static int teardown(void **state)
{
	(void)state;
	assert_int_equal(service_n_bodies(service), 0);
	assert_int_equal(guest.n_bodies, 0);
	assert_null(guest.first);
	assert_null(rig.store.loans);
	service_free(service);
	rig_drain(&rig);
	rig_check(&rig);
	rig_remove(&rig);
	return rig_leftovers() ? -1 : 0;
}

static uint64_t sum_of_value(uint64_t seed, size_t size)
{
	uint8_t *bytes = malloc(size);
	uint64_t sum;

	assert_non_null(bytes);
	rig_fill(bytes, size, seed);
	sum = sum_of(bytes, size);
	free(bytes);
	return sum;
}

static void put(uint64_t key, uint64_t seed, uint64_t size)
{
	assert_int_equal(rig_put(&rig, key, seed, size), ABI_STATUS_OK);
}

/* --- sums ------------------------------------------------------------------------------------- */

/* Made as it is first sent, kept, and made anew for what comes to lie in the same cell. */
static void test_sums(void **state)
{
	uint32_t cell, first;
	unsigned i;

	(void)state;
	put(1, 1, 200000);
	cell = first = rig_cell(&rig, 1);
	for (i = 0; i < 3; i++) {
		ask(0, 1, 0);
		assert_int_equal(asked[0].body.sending == NULL, i > 0);
		assert_int_equal(deliver(&asked[0]), sum_of_value(1, 200000));
	}
	/* Cells of what is gone are used again before long. */
	for (i = 2; i < 100 && (i == 2 || cell != first); i++) {
		assert_int_equal(rig_delete(&rig, 1), ABI_STATUS_OK);
		rig_drain(&rig);
		put(1, i, 200000);
		cell = rig_cell(&rig, 1);
	}
	assert_int_equal(cell, first);
	ask(0, 1, 0);
	assert_non_null(asked[0].body.sending);
	assert_int_equal(deliver(&asked[0]), sum_of_value(i - 1, 200000));
	assert_int_equal(guest.n_served, 4);
	assert_int_equal(guest.sent_bytes, 4 * 200000);
}

/*
 * A writer takes the tier's pages away under what is sent: whatever it sums up to is told as wrong.
 */
static void test_taken_away(void **state)
{
	int fd = shm_open(rig.dram_name, O_RDWR | O_CLOEXEC, 0);
	uint64_t right = sum_of_value(1, 200000), told;
	struct stat st;

	(void)state;
	/* Here, since cmocka has handlers of its own for each test. */
	assert_int_equal(guard_install(), 0);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	put(1, 1, 200000);
	ask(0, 1, 0);
	asked[0].body.sending(asked[0].body.context, 0, 100000);
	assert_int_equal(ftruncate(fd, 0), 0);
	asked[0].body.sending(asked[0].body.context, 100000, 100000);
	assert_int_equal(ftruncate(fd, st.st_size), 0);
	told = asked[0].body.sum(asked[0].body.context);
	/*
	 * Not that of the bytes that came, nor of all with the rest as nothing, and it is not kept.
	 */
	assert_int_not_equal(told, right);
	assert_int_not_equal(told, sum_of_value(1, 100000));
	asked[0].state = SENT;
	asked[0].body.done(asked[0].body.context, true);
	ask(0, 1, 0);
	assert_non_null(asked[0].body.sending);
	deliver(&asked[0]);
	close(fd);
}

/* --- turns ------------------------------------------------------------------------------------ */

/* So many at a time, the others in order; what is not here is told when it is its turn. */
static void test_turns(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < 5; i++)
		put(i, i, 1000);
	for (i = 0; i < 6; i++)
		ask(i, i == 3 ? 77 : i < 3 ? i : i - 1, 0);
	EXPECT(PUSHED, PUSHED, UNANSWERED, UNANSWERED, UNANSWERED, UNANSWERED);
	assert_int_equal(service_n_bodies(service), BODIES_MAX);
	deliver(&asked[1]);
	EXPECT(PUSHED, SENT, PUSHED, UNANSWERED, UNANSWERED, UNANSWERED);
	deliver(&asked[0]);
	EXPECT(SENT, SENT, PUSHED, REFUSED, PUSHED, UNANSWERED);
	assert_int_equal(asked[3].status, FRAME_MISS);
	assert_int_equal(deliver(&asked[2]), sum_of_value(2, 1000));
	deliver(&asked[4]);
	EXPECT(SENT, SENT, SENT, REFUSED, SENT, PUSHED);
	deliver(&asked[5]);
	assert_int_equal(guest.n_served, 5);
	assert_int_equal(guest.n_missed, 1);
}

/* Who goes while he waits is not served; the others move up. */
static void test_gone(void **state)
{
	unsigned i;

	(void)state;
	put(1, 1, 1000);
	for (i = 0; i < 5; i++)
		ask(i, 1, 0);
	service_gone(service, &asked[3].request);
	service_gone(service, &asked[2].request);
	deliver(&asked[0]);
	EXPECT(SENT, PUSHED, UNANSWERED, UNANSWERED, PUSHED);
	/* The last one. */
	ask(5, 1, 0);
	service_gone(service, &asked[5].request);
	ask(6, 1, 0);
	deliver(&asked[1]);
	assert_int_equal(asked[5].state, UNANSWERED);
	assert_int_equal(asked[6].state, PUSHED);
	deliver(&asked[4]);
	deliver(&asked[6]);
}

/* --- time ------------------------------------------------------------------------------------- */

/* A body that takes longer than its requester waits, or than anybody may say that he does. */
static void test_late(void **state)
{
	uint64_t begin_ms = store_now_ms();

	(void)state;
	put(1, 1, 1000);
	ask(0, 1, 1000);
	ask(1, 1, UINT32_MAX);
	ask(2, 1, 0);
	service_tick(service, begin_ms + 999);
	EXPECT(PUSHED, PUSHED, UNANSWERED);
	service_tick(service, store_now_ms() + 1000);
	EXPECT(ABORTED, PUSHED, PUSHED);
	service_tick(service, store_now_ms() + WAIT_MAX);
	EXPECT(ABORTED, ABORTED, ABORTED);
	assert_int_equal(guest.n_broken, 3);
}

/* By the time that it is his turn he has given up. */
static void test_late_in_turn(void **state)
{
	(void)state;
	put(1, 1, 1000);
	ask(0, 1, 0);
	ask(1, 1, 0);
	ask(2, 1, 1);
	pause_ms(20);
	deliver(&asked[0]);
	EXPECT(SENT, PUSHED, REFUSED);
	assert_int_equal(asked[2].status, FRAME_BUSY);
	deliver(&asked[1]);
}

/* What has expired is neither said to be here nor sent. */
static void test_expired(void **state)
{
	const struct store_put_options options = {.ttl_ms = 1};
	uint8_t key[ABI_KEY_SIZE_MAX];
	size_t size = rig_key(1, key);

	(void)state;
	assert_false(service_has(service, key, (uint16_t)size));
	assert_int_equal(rig_put_with(&rig, 1, 1, 1000, &options), ABI_STATUS_OK);
	pause_ms(20);
	assert_false(service_has(service, key, (uint16_t)size));
	ask(0, 1, 0);
	EXPECT(REFUSED);
	assert_int_equal(asked[0].status, FRAME_MISS);
	put(1, 2, 1000);
	assert_true(service_has(service, key, (uint16_t)size));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sums, setup, teardown),
		cmocka_unit_test_setup_teardown(test_taken_away, setup, teardown),
		cmocka_unit_test_setup_teardown(test_turns, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_late, setup, teardown),
		cmocka_unit_test_setup_teardown(test_late_in_turn, setup, teardown),
		cmocka_unit_test_setup_teardown(test_expired, setup, teardown),
	};

	return RIG_RUN(tests);
}
