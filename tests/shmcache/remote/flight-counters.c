/* SPDX-License-Identifier: Apache-2.0 */
/* flight-counters.c: what is counted of requests, transfers, and what becomes of them. */
#include "tests/shmcache/remote/flying.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>


#include <cmocka.h>

static struct flying f;

#define ALWAYS ABI_WRITE_BACK_ALWAYS
#define OFF ABI_WRITE_BACK_OFF

/* All that there is of this kind; what is not named is none. */
struct counted {
	uint64_t fetches, joined, absent, locates;
	uint64_t transfers, done, bytes, failed;
	uint64_t published, overtaken, declined, deliveries, breakers;
};

#define EXPECT(field, name) \
	if (shared_u64_load(&f.rig.w.counter[ABI_COUNTER_##name]) != c.field) \
	fail_msg(#name " is %llu, not %llu", \
		(unsigned long long)shared_u64_load(&f.rig.w.counter[ABI_COUNTER_##name]), \
		(unsigned long long)c.field)

static void expect(struct counted c)
{
	EXPECT(fetches, FETCHES);
	EXPECT(joined, FETCHES_JOINED);
	EXPECT(absent, FETCHES_ABSENT);
	EXPECT(locates, LOCATES);
	EXPECT(transfers, TRANSFERS);
	EXPECT(done, TRANSFERS_DONE);
	EXPECT(bytes, TRANSFERRED_BYTES);
	EXPECT(failed, TRANSFERS_FAILED);
	EXPECT(published, FILLS_PUBLISHED);
	EXPECT(overtaken, FILLS_OVERTAKEN);
	EXPECT(declined, FILLS_DECLINED);
	EXPECT(deliveries, DELIVERIES);
	EXPECT(breakers, BREAKERS_OPENED);
}

/* Three ask for one key, one for another, and one for what is here by then. */
static void what_is_cached(void **state)
{
	unsigned n[5];

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		n[i] = flying_ask(&f, 1, ALWAYS);
	n[3] = flying_ask(&f, 2, ALWAYS);
	flying_bring(&f, 1, 5000);
	flying_bring(&f, 2, 300);
	n[4] = flying_ask(&f, 1, ALWAYS);
	for (unsigned i = 0; i < 5; i++)
		flying_expect_here(&f, n[i]);
	expect((struct counted){.fetches = 5, .joined = 2, .locates = 2, .transfers = 2, .done = 2,
		.bytes = 5300, .published = 2});
}

/* One value that the policy declines, two who get it. */
static void what_is_delivered(void **state)
{
	unsigned n[2];

	(void)state;
	for (unsigned i = 0; i < 2; i++)
		n[i] = flying_ask(&f, 1, OFF);
	flying_bring(&f, 1, 700);
	for (unsigned i = 0; i < 2; i++)
		flying_expect_delivered(&f, n[i]);
	expect((struct counted){.fetches = 2, .joined = 1, .locates = 1, .transfers = 1, .done = 1,
		.bytes = 700, .declined = 1, .deliveries = 2});
}

/* Nobody has it: asked once, known for a while. */
static void what_is_absent(void **state)
{
	unsigned n = flying_ask(&f, 1, ALWAYS);

	(void)state;
	flying_located(&f, 1, 0, 0, true);
	flying_expect_miss(&f, n, ABI_FETCH_NOBODY);
	for (unsigned i = 0; i < 3; i++)
		flying_expect_miss(&f, flying_ask(&f, 1, ALWAYS), ABI_FETCH_NOBODY);
	expect((struct counted){.fetches = 4, .absent = 3, .locates = 1});
}

/*
 * A holder that has it no more is no failure; one that can't be reached is, and is left alone in
 * the end.
 */
static void what_fails(void **state)
{
	unsigned n = flying_ask(&f, 1, ALWAYS);

	(void)state;
	flying_located(&f, 1, 1, 3, true);
	flying_finish(&f, 0, REMOTE_MISS);
	flying_finish(&f, 0, REMOTE_TIMEOUT);
	assert_true(flying_land(&f, 0, 40));
	flying_finish(&f, 0, REMOTE_CORRUPT);
	flying_expect_miss(&f, n, ABI_FETCH_CORRUPT);
	expect((struct counted){.fetches = 1, .locates = 1, .transfers = 3, .failed = 2});
	for (unsigned key = 2; key < 5; key++) {
		n = flying_ask(&f, key, ALWAYS);
		flying_located(&f, key, 9, 1, true);
		flying_finish(&f, 0, REMOTE_UNREACHABLE);
		flying_expect_miss(&f, n, ABI_FETCH_UNREACHABLE);
	}
	expect((struct counted){.fetches = 4, .locates = 4, .transfers = 6, .failed = 5, .breakers = 1});
	/* Nobody is asked who is left alone. */
	n = flying_ask(&f, 6, ALWAYS);
	flying_located(&f, 6, 9, 1, true);
	flying_expect_miss(&f, n, ABI_FETCH_UNREACHABLE);
	expect((struct counted){.fetches = 5, .locates = 5, .transfers = 6, .failed = 5, .breakers = 1});
}

/* Put here, or deleted, while it was on its way: it came, and is not cached. */
static void what_comes_too_late(void **state)
{
	unsigned n;

	(void)state;
	n = flying_ask(&f, 1, ALWAYS);
	flying_located(&f, 1, 1, 1, true);
	assert_true(flying_land(&f, 0, 600));
	flying_put(&f, 1, 100);
	flying_finish(&f, 0, REMOTE_OK);
	flying_expect_here(&f, n);
	n = flying_ask(&f, 2, ALWAYS);
	flying_located(&f, 2, 1, 1, true);
	assert_true(flying_land(&f, 0, 600));
	flying_delete(&f, 2);
	flying_finish(&f, 0, REMOTE_OK);
	flying_expect_miss(&f, n, ABI_FETCH_CANCELLED);
	expect((struct counted){.fetches = 2, .locates = 2, .transfers = 2, .done = 2, .bytes = 1200,
		.overtaken = 2});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FLYING_TEST(what_is_cached),
		FLYING_TEST(what_is_delivered),
		FLYING_TEST(what_is_absent),
		FLYING_TEST(what_fails),
		FLYING_TEST(what_comes_too_late),
	};

	return RIG_RUN(tests);
}
